//! `cargo xtask cost`: what each part of the kernels takes on each core, fitted to counts of many models.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, ensure};
use pocketgan::Model;
use pocketgan::cost::{Counts, PARTS, counts};

use super::cases;
use super::machines::MACHINES;
use crate::{process, setup, workspace};

/// Counts all cases on each core, fits the costs and writes `runtime/src/cost.txt`.
///
/// # Errors
///
/// No compiler, no QEMU, a case fails, or the table cannot be written.
pub fn run() -> Result<()> {
    let toolchain = setup::firmware()?;
    let path = cases::write()?;
    let models = models(&fs::read(&path)?)?;
    let mut columns = Vec::new();
    let mut cores = Vec::new();
    for machine in &MACHINES {
        // The board can take all cases, which those with a small memory cannot.
        if machine.board == "microbit" {
            continue;
        }
        let mut run = machine.cargo(&toolchain, "run");
        run.args(["--example", "cases", "--"]).args(machine.options);
        // The words of the firmware are a single one for QEMU.
        let printed = process::output(run.args(["-append", &format!("{path} count")]))?;
        let measured: Vec<f64> = printed
            .lines()
            .filter_map(|line| line.parse().ok())
            .collect();
        ensure!(
            measured.len() == models.len(),
            "{} counted {} of {} models",
            machine.core.name(),
            measured.len(),
            models.len()
        );
        let costs = fit(&models, &measured);
        let mut errors: Vec<f64> = models
            .iter()
            .zip(&measured)
            .map(|(counts, measured)| (product(counts, &costs) / measured - 1.0).abs())
            .collect();
        errors.sort_by(f64::total_cmp);
        let share = |share: usize| errors[(errors.len() - 1) * share / 100] * 100.0;
        println!(
            "{:<12} off by {:.2} % at the median, {:.2} % for 95 of 100 models, {:.2} % at the most",
            machine.core.name(),
            share(50),
            share(95),
            share(100)
        );
        cores.push(machine.core.name());
        columns.push(costs);
    }
    ensure!(
        cores
            .iter()
            .map(String::as_str)
            .eq(pocketgan::cost::Core::all().map(|core| core.name())),
        "the runtime's cores are in another order"
    );
    let mut table = String::new();
    for part in 0..PARTS {
        let costs: Vec<String> = columns
            .iter()
            .map(|costs| format!("{:.3}", costs[part]))
            .collect();
        writeln!(table, "{}", costs.join(" "))?;
    }
    let path = workspace::root().join("runtime/src/cost.txt");
    fs::write(&path, table).with_context(|| format!("cannot write {}", path.display()))
}

/// How often each part runs in each case.
fn models(mut cases: &[u8]) -> Result<Vec<Counts>> {
    let mut models = Vec::new();
    while let Some((lens, rest)) = cases.split_first_chunk::<8>() {
        let [blob, image] = [&lens[..4], &lens[4..]].map(|len| {
            len.iter()
                .rev()
                .fold(0, |n, &byte| n << 8 | usize::from(byte))
        });
        let bytes = rest.get(..blob).context("the cases are cut short")?;
        let model = Model::parse(bytes)?;
        let counts = counts(&model).context("a case is in f32")?;
        models.push(std::array::from_fn(|part| {
            counts.iter().map(|counts| counts[part]).sum()
        }));
        let len = blob.next_multiple_of(16) + image;
        cases = rest.get(len..).context("the cases are cut short")?;
    }
    Ok(models)
}

fn product(counts: &Counts, costs: &[f64]) -> f64 {
    counts
        .iter()
        .zip(costs)
        .map(|(&count, cost)| count as f64 * cost)
        .sum()
}

/// The costs, none of them below zero, that give the least sum of squared relative errors: coordinate by coordinate
/// (Franc, Hlavac, Navara 2005, "Sequential coordinate-wise algorithm for the non-negative least squares problem").
fn fit(models: &[Counts], measured: &[f64]) -> Vec<f64> {
    // Most cases are tiny models, which are not what people run.
    let weights: Vec<f64> = measured.iter().map(|measured| measured.sqrt()).collect();
    let rows: Vec<Vec<f64>> = models
        .iter()
        .zip(measured)
        .zip(&weights)
        .map(|((counts, measured), weight)| {
            let weighted = counts.iter().map(|&n| n as f64 / measured * weight);
            weighted.collect()
        })
        .collect();
    let mut products = vec![vec![0.0; PARTS]; PARTS];
    let mut gradient = vec![0.0; PARTS];
    for row in &rows {
        for (a, products) in row.iter().zip(&mut products) {
            for (b, product) in row.iter().zip(products) {
                *product += a * b;
            }
        }
    }
    for (row, weight) in rows.iter().zip(&weights) {
        for (a, gradient) in row.iter().zip(&mut gradient) {
            *gradient -= a * weight;
        }
    }
    let mut costs = vec![0.0; PARTS];
    for _ in 0..200_000 {
        let mut change = 0.0f64;
        for part in 0..PARTS {
            let curvature = products[part][part];
            if curvature == 0.0 {
                continue;
            }
            let cost = (costs[part] - gradient[part] / curvature).max(0.0);
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
