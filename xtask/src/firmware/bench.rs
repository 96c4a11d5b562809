//! `cargo xtask firmware-bench`: instructions, RAM, stack and flash of each model on each core.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use pocketgan::{Model, Numbers, cost};
use serde::{Deserialize, Serialize};

use super::bare::Footprint;
use super::machines::{self, Core, MACHINES, Machine};
use super::{Example, cases};
use crate::bare_metal::Toolchain;
use crate::{elf, setup};

/// Seeds that the benchmark samples.
pub const SEEDS: RangeInclusive<u64> = 1..=16;

#[derive(clap::Args)]
pub struct Arguments {
    /// Print one JSON object for each core, model and seed instead of the table.
    #[arg(long)]
    json: bool,
    /// Measure only this core; may be given more than once.
    #[arg(long, value_name = "CORE")]
    core: Vec<Core>,
    /// Measure this blob instead, of a model that reads pictures.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    translator: Option<PathBuf>,
}

/// A line of the firmware in bench mode.
#[derive(Deserialize, Serialize)]
pub struct Sample {
    pub target: String,
    pub model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<usize>,
    pub seed: u64,
    pub instructions: u64,
    /// Of its upper and its lower half, of an image by two cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halves: Option<[u64; 2]>,
    pub ram_bytes: u64,
    pub pixels_sha256: String,
}

/// A sample with what the firmware cannot know of itself.
#[derive(Serialize)]
struct Measured {
    #[serde(flatten)]
    sample: Sample,
    /// Of the program that was run, which prints and checks as well.
    flash_bytes: u64,
    /// Of the smallest program.
    #[serde(flatten)]
    footprint: Footprint,
}

/// Prints each core's and model's figures for every seed.
///
/// # Errors
///
/// No compiler, no QEMU, the firmware's own failure, or it prints something else than its figures.
pub fn run(arguments: &Arguments) -> Result<()> {
    let toolchain = setup::firmware()?;
    let asked = |core| arguments.core.is_empty() || arguments.core.contains(&core);
    if let Some(path) = &arguments.translator {
        let machines = machines::with_room().filter(|machine| asked(machine.core));
        return measure_translator(&toolchain, machines, path);
    }
    if !arguments.json {
        println!(
            "target      model        class  seed  instructions  RAM, bytes  stack, bytes  flash, bytes  \
             code, bytes  SHA-256 of the pixels"
        );
    }
    for machine in MACHINES.iter().filter(|machine| asked(machine.core)) {
        for model in machine.models.iter().chain(machine.int4) {
            for measured in measure(&toolchain, machine, model)? {
                if arguments.json {
                    println!("{}", serde_json::to_string(&measured)?);
                } else {
                    print_row(&measured);
                }
            }
        }
    }
    Ok(())
}

/// Prints what a model that reads pictures takes on machines.
fn measure_translator(
    toolchain: &Toolchain,
    machines: impl Iterator<Item = &'static Machine>,
    path: &Path,
) -> Result<()> {
    let path = path.canonicalize();
    let path = path.context("cannot find the model")?;
    let blob = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let model = Model::parse(&blob).with_context(|| path.display().to_string())?;
    ensure!(
        model.picture().is_some() && model.numbers() != Numbers::Float,
        "{} is no int8 or int4 model that reads pictures",
        path.display()
    );
    println!(
        "target      instructions  for each product  predicted  RAM, bytes  stack, bytes  code, bytes"
    );
    for machine in machines {
        let count = cases::count(toolchain, machine, &model, &blob)?;
        let footprint = Footprint::measure(toolchain, machine, &path)?;
        let core: Option<cost::Core> = machine.core.name().parse().ok();
        let predicted = core.and_then(|core| core.instructions(&model));
        let predicted = predicted.map_or_else(String::new, |each| {
            let sum: u64 = each.iter().sum();
            format!("{:+.1} %", (sum as f64 / count as f64 - 1.0) * 100.0)
        });
        println!(
            "{:<10}  {count:>12}  {:>16.2}  {predicted:>9}  {:>10}  {:>12}  {:>11}",
            machine.core.name(),
            count as f64 / model.macs() as f64,
            model.working_memory(),
            footprint.stack_bytes,
            footprint.code_bytes
        );
    }
    Ok(())
}

fn print_row(measured: &Measured) {
    let Measured {
        sample,
        flash_bytes,
        footprint,
    } = measured;
    println!(
        "{:<10}  {:<11}  {:>5}  {:>4}  {:>12}  {:>10}  {:>12}  {flash_bytes:>12}  {:>11}  {}",
        sample.target,
        sample.model,
        sample
            .class
            .map_or_else(String::new, |class| class.to_string()),
        sample.seed,
        sample.instructions,
        sample.ram_bytes,
        footprint.stack_bytes,
        footprint.code_bytes,
        sample.pixels_sha256
    );
}

fn measure(toolchain: &Toolchain, machine: &Machine, model: &Example) -> Result<Vec<Measured>> {
    let mut build = machine.cargo(toolchain, "build");
    build.args(["--no-default-features", "--features"]);
    build.arg(features(model));
    let flash_bytes = elf::flash_bytes(&machines::build(&mut build)?)?;
    let footprint = Footprint::measure(toolchain, machine, &model.path())?;
    let measured = samples(toolchain, machine, model)?.into_iter();
    Ok(measured
        .map(|sample| Measured {
            sample,
            flash_bytes,
            footprint,
        })
        .collect())
}

/// Runs one model's benchmark on one machine.
///
/// # Errors
///
/// As [`run`].
pub fn samples(toolchain: &Toolchain, machine: &Machine, model: &Example) -> Result<Vec<Sample>> {
    let printed = machine.run(toolchain, &features(model), &[])?;
    parse(machine, model, &printed)
}

/// What a machine's firmware in bench mode printed.
///
/// # Errors
///
/// It is not one line of figures for each seed.
pub fn parse(machine: &Machine, model: &Example, printed: &str) -> Result<Vec<Sample>> {
    let (core, name) = (machine.core.name(), model.feature);
    let mut samples = Vec::new();
    for line in printed.lines().filter(|line| line.starts_with('{')) {
        let sample: Sample =
            serde_json::from_str(line).with_context(|| format!("the firmware printed {line:?}"))?;
        ensure!(
            sample.target == core && sample.model == name,
            "the firmware of {name} for the {core} printed {line:?}"
        );
        samples.push(sample);
    }
    ensure!(
        samples.iter().map(|sample| sample.seed).eq(SEEDS),
        "{name} on the {core}: the firmware did not print seeds {SEEDS:?}:\n{printed}"
    );
    Ok(samples)
}

fn features(model: &Example) -> String {
    format!("bench,{}", model.feature)
}
