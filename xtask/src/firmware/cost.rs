//! `cargo xtask cost`: what each part of the kernels takes on each core, fitted to counts of many models, and what
//! [`footprint`] fits.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, anyhow, ensure};
use clap::ValueEnum;
use pocketgan::Model;
use pocketgan::cost::{Counts, counts};

use super::cases::{self, Read};
use super::footprint;
use super::machines::Machine;
use crate::bare_metal::Toolchain;
use crate::{process, setup, workspace};

/// What is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Figures {
    /// Executed instructions.
    Instructions,
    /// Code and stack of the smallest firmware.
    Firmware,
}

#[derive(clap::Args)]
pub struct Arguments {
    /// Fit only these figures.
    #[arg(long, value_name = "FIGURES")]
    only: Option<Figures>,
}

/// Measures many models on each core, fits what the runtime predicts from, and writes the tables in `runtime/src/cost`.
///
/// # Errors
///
/// No compiler, no QEMU, a case fails, or a table cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let toolchain = setup::firmware()?;
    let machines = footprint::machines().map(|machine| machine.core.name());
    ensure!(
        machines.eq(pocketgan::cost::Core::all().map(|core| core.name())),
        "the runtime's cores are in another order"
    );
    if arguments.only != Some(Figures::Firmware) {
        fit_instructions(&toolchain)?;
    }
    if arguments.only != Some(Figures::Instructions) {
        footprint::fit(&toolchain)?;
    }
    Ok(())
}

fn fit_instructions(toolchain: &Toolchain) -> Result<()> {
    let mut all = Vec::new();
    for read in Read::ALL {
        let path = cases::write(read)?;
        let cases = fs::read(&path)?;
        all.push((read, path, cases));
    }
    let mut columns = Vec::new();
    // The boards can take all cases, which those with a small memory cannot.
    for machine in footprint::machines() {
        let (mut models, mut measured) = (Vec::new(), Vec::<f64>::new());
        for (read, path, cases) in &all {
            models.extend(counts_of(cases, machine, read.has_images())?);
            let mut run = machine.cargo(toolchain, "run");
            run.args(["--features", read.feature(), "--example", "cases", "--"]);
            run.args(machine.options);
            // The words of the firmware are a single one for QEMU.
            let printed = process::output(run.args(["-append", &format!("{path} count")]))?;
            measured.extend(printed.lines().filter_map(|line| line.parse::<f64>().ok()));
        }
        let core = machine.core.name();
        ensure!(
            measured.len() == models.len(),
            "{core} counted {} of {} models",
            measured.len(),
            models.len()
        );
        // Most cases are tiny models, which are not what people run; and no part takes less than nothing.
        let costs = fit(&core, "instructions", &models, &measured, f64::sqrt, 0.0);
        columns.push(costs);
    }
    write("instructions.txt", &columns, 3)
}

/// Writes a table of `runtime/src/cost`: a line a cost, a column a core.
///
/// # Errors
///
/// It cannot be written.
pub fn write(name: &str, columns: &[Vec<f64>], decimals: usize) -> Result<()> {
    let mut table = String::new();
    for line in 0..columns.first().map_or(0, Vec::len) {
        let costs = columns
            .iter()
            .map(|costs| format!("{:.decimals$}", costs[line]));
        writeln!(table, "{}", costs.collect::<Vec<_>>().join(" "))?;
    }
    let path = workspace::root().join("runtime/src/cost").join(name);
    fs::write(&path, table).with_context(|| format!("cannot write {}", path.display()))
}

/// The costs, none of them below `least`, that fit a core's figures, which are weighted by a function of them; prints
/// how far they are off.
pub fn fit<const N: usize>(
    core: &str,
    figure: &str,
    models: &[[u64; N]],
    measured: &[f64],
    weight: fn(f64) -> f64,
    least: f64,
) -> Vec<f64> {
    let weights: Vec<f64> = measured.iter().map(|&measured| weight(measured)).collect();
    let costs = least_squares(models, measured, &weights, least);
    let mut errors: Vec<f64> = models
        .iter()
        .zip(measured)
        .map(|(counts, measured)| (product(counts, &costs) / measured - 1.0).abs())
        .collect();
    errors.sort_by(f64::total_cmp);
    let share = |share: usize| errors[(errors.len() - 1) * share / 100] * 100.0;
    println!(
        "{core:<12} {figure:<12} off by {:.2} % at the median, {:.2} % for 95 of 100 models, {:.2} % at the most",
        share(50),
        share(95),
        share(100)
    );
    costs
}

/// How often each part runs in each case.
fn counts_of(mut cases: &[u8], machine: &Machine, images: bool) -> Result<Vec<Counts>> {
    let core = machine.core.name().parse();
    let core = core.map_err(|()| anyhow!("the runtime does not know {}", machine.core.name()))?;
    let mut models = Vec::new();
    while let Some((lens, rest)) = cases.split_first_chunk::<8>() {
        let [blob, image] = [&lens[..4], &lens[4..]].map(|len| {
            len.iter()
                .rev()
                .fold(0, |n, &byte| n << 8 | usize::from(byte))
        });
        let bytes = rest.get(..blob).context("the cases are cut short")?;
        let model = Model::parse(bytes)?;
        let counts = counts(&model, core, images).context("a case is in f32")?;
        models.push(std::array::from_fn(|part| {
            counts.iter().map(|counts| counts[part]).sum()
        }));
        let len = blob.next_multiple_of(16) + image;
        cases = rest.get(len..).context("the cases are cut short")?;
    }
    Ok(models)
}

fn product(counts: &[u64], costs: &[f64]) -> f64 {
    counts
        .iter()
        .zip(costs)
        .map(|(&count, cost)| count as f64 * cost)
        .sum()
}

/// The costs, none of them below `least`, that give the least sum of squared relative errors: coordinate by coordinate
/// (Franc, Hlavac, Navara 2005, "Sequential coordinate-wise algorithm for the non-negative least squares problem").
fn least_squares<const N: usize>(
    models: &[[u64; N]],
    measured: &[f64],
    weights: &[f64],
    least: f64,
) -> Vec<f64> {
    let rows: Vec<Vec<f64>> = models
        .iter()
        .zip(measured)
        .zip(weights)
        .map(|((counts, measured), weight)| {
            let weighted = counts.iter().map(|&n| n as f64 / measured * weight);
            weighted.collect()
        })
        .collect();
    let mut products = vec![vec![0.0; N]; N];
    let mut gradient = vec![0.0; N];
    for row in &rows {
        for (a, products) in row.iter().zip(&mut products) {
            for (b, product) in row.iter().zip(products) {
                *product += a * b;
            }
        }
    }
    for (row, weight) in rows.iter().zip(weights) {
        for (a, gradient) in row.iter().zip(&mut gradient) {
            *gradient -= a * weight;
        }
    }
    let mut costs = vec![0.0; N];
    for _ in 0..200_000 {
        let mut change = 0.0f64;
        for part in 0..N {
            let curvature = products[part][part];
            if curvature == 0.0 {
                continue;
            }
            let cost = (costs[part] - gradient[part] / curvature).max(least);
            let step = cost - costs[part];
            costs[part] = cost;
            for (gradient, product) in gradient.iter_mut().zip(&products[part]) {
                *gradient += step * product;
            }
            change = change.max(step.abs() * curvature.sqrt());
        }
        if change < 1e-9 {
            break;
        }
    }
    costs
}
