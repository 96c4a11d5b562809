//! Code and stack of the smallest firmware: fitted to random models, and held against what is predicted.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use pocketgan::cost::Core;
use pocketgan::cost::firmware::{Terms, terms};
use pocketgan::{Model, Numbers, Operator};

use super::bare::Footprint;
use super::cost;
use super::machines::{self, Machine};
use super::random::{self, Recipe};
use crate::bare_metal::Toolchain;

/// How far a prediction may be off, in percent, for the compiler that it was fitted with.
const TOLERANCE: u64 = 5;
/// The same for int8 models of linear layers alone: what the compiler makes of these 4 kB spreads by as much over the
/// models that are fitted to.
const TOLERANCE_OF_LINEAR: u64 = 7;

/// A machine for each core that figures are predicted for, with room for every model.
pub fn machines() -> impl Iterator<Item = &'static Machine> {
    machines::with_room().filter(|machine| machine.core.name().parse::<Core>().is_ok())
}

/// Measures models on each core; cores of one target share their figures.
///
/// # Errors
///
/// A model's firmware cannot be built or run.
pub fn measure(toolchain: &Toolchain, models: &[Recipe]) -> Result<Vec<(String, Vec<Footprint>)>> {
    let mut of_targets: BTreeMap<&str, Vec<Footprint>> = BTreeMap::new();
    let mut all = Vec::new();
    for machine in machines() {
        if !of_targets.contains_key(machine.target) {
            let mut measured = Vec::new();
            for model in models {
                measured.push(Footprint::measure(toolchain, machine, &model.write()?)?);
            }
            eprintln!("measured {} models for {}", models.len(), machine.target);
            of_targets.insert(machine.target, measured);
        }
        let measured = of_targets.get(machine.target).cloned().unwrap_or_default();
        all.push((machine.core.name(), measured));
    }
    Ok(all)
}

/// Checks that the code and the stack of a model are predicted as they were measured.
///
/// # Errors
///
/// A prediction is off by more than [`TOLERANCE`] percent, of int8 models of linear layers alone by more than
/// [`TOLERANCE_OF_LINEAR`].
pub fn check(core: &str, name: &str, blob: &[u8], measured: Footprint) -> Result<()> {
    let model = Model::parse(blob)?;
    let target: Option<Core> = core.parse().ok();
    let predicted = target.and_then(|core| {
        Some(Footprint {
            code_bytes: core.code_bytes(&model)?,
            stack_bytes: core.stack_bytes(&model)?,
        })
    });
    let predicted =
        predicted.with_context(|| format!("nothing is predicted for {name} on {core}"))?;
    let is_linear = model.numbers() == Numbers::Int8
        && model
            .layers()
            .all(|layer| layer.operator == Operator::Linear);
    let tolerance = if is_linear {
        TOLERANCE_OF_LINEAR
    } else {
        TOLERANCE
    };
    for ((figure, predicted), (_, measured)) in
        predicted.figures().into_iter().zip(measured.figures())
    {
        ensure!(
            predicted.abs_diff(measured) * 100 <= measured * tolerance,
            "{name} on {core}: {predicted} {figure} are predicted, {measured} were measured"
        );
    }
    Ok(())
}

/// Fits code and stack to random models and writes the runtime's tables.
///
/// # Errors
///
/// A model's firmware cannot be built or run, or a table cannot be written.
pub fn fit(toolchain: &Toolchain) -> Result<()> {
    let models = random::fitted();
    let mut all_terms: Vec<Terms> = Vec::new();
    for model in &models {
        let blob = model.blob()?;
        all_terms.push(terms(&Model::parse(&blob)?).context("a random model is in f32")?);
    }
    let (mut code, mut stack) = (Vec::new(), Vec::new());
    for (core, measured) in measure(toolchain, &models)? {
        let figures = |of: fn(&Footprint) -> u64| -> Vec<f64> {
            measured.iter().map(|it| of(it) as f64).collect()
        };
        code.push(cost::fit(
            &core,
            "code",
            &all_terms,
            &figures(|it| it.code_bytes),
            |_| 1.0,
            f64::NEG_INFINITY,
        ));
        stack.push(cost::fit(
            &core,
            "stack",
            &all_terms,
            &figures(|it| it.stack_bytes),
            |_| 1.0,
            f64::NEG_INFINITY,
        ));
    }
    cost::write("code.txt", &code, 0)?;
    cost::write("stack.txt", &stack, 0)
}
