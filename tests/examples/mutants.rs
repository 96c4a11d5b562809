//! The program behind `cargo xtask mutants`: does `trainer verify` pass the shipped models, and find faulty ones?
//! Exits with 1 if a shipped model is rejected, or less than 99 % of the mutants that break a layer's bound are found.

use clap::Parser;
use pocketgan::{Model, Rng, latent};
use pocketgan_tests::mutants::{Experiment, Fault, Tally};
use pocketgan_trainer::engines::{Engine, RuntimeEngine, classes_in_turn, latents};
use pocketgan_trainer::verify::{
    ExportedModel, NetworkTwin, QuantaDifferences, Referee, VerifyError, quanta_of, verify,
};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Latents of a verification, by default.
const LATENTS: usize = 256;

#[derive(Parser)]
struct Arguments {
    /// Mutants, spread evenly over models and faults.
    #[arg(long, default_value_t = 1000)]
    mutants: usize,
    /// Seed of the mutants.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Latents, other than the 256 of the verification, on which it is decided whether a mutant breaks a bound.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    wide: u32,
    /// Runs of 256 latents for each model that the whole network is checked on.
    #[arg(long, default_value_t = 1000)]
    runs: usize,
    /// Latents of the one whole verification of each model.
    #[arg(long, default_value_t = 4096)]
    latents: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let mut models = Vec::new();
    for folder in folders()? {
        let name = folder.file_name().unwrap_or_default();
        models.push((name.display().to_string(), ExportedModel::read(&folder)?));
    }
    let mut rejected = 0;
    println!("whole verifications of {} latents", arguments.latents);
    println!("{:<14} {:>8} {:>8}", "model", "passes", "seconds");
    for (name, model) in &models {
        let start = Instant::now();
        let found = verify(model, 1, arguments.latents, &mut |_, _| {})?;
        let (passes, seconds) = (found.failures().is_empty(), start.elapsed().as_secs_f64());
        println!("{name:<14} {passes:>8} {seconds:>8.0}");
        rejected += usize::from(!passes);
    }
    println!(
        "\nwhole networks, {} runs of {LATENTS} latents",
        arguments.runs
    );
    println!(
        "{:<14} {:>8} {:>10} {:>8} {:>10}",
        "model", "rejected", "worst mean", "at most", "largest"
    );
    for (name, model) in &models {
        rejected += print_runs(name, model, arguments.runs)?;
    }
    println!("\nmutants, verified on {LATENTS} latents");
    println!(
        "{:<14} {:<11} {:>5} {:>7} {:>6} {:>13}",
        "model", "fault", "made", "beyond", "found", "found besides"
    );
    let each = arguments.mutants.div_ceil(models.len() * Fault::ALL.len());
    let mut rng = Rng::new(arguments.seed);
    let mut sum = Tally::default();
    for (name, model) in &models {
        let experiment = Experiment::new(model, arguments.wide as usize)?;
        for fault in Fault::ALL {
            let tally = experiment.tally(fault, each, &mut rng)?;
            print_tally(name, &format!("{fault:?}"), &tally);
            sum += tally;
        }
    }
    print_tally("all", "", &sum);
    let share = 100.0 * sum.found as f64 / sum.beyond.max(1) as f64;
    println!("{share:.1} % of the mutants beyond a layer's bound were found");
    if rejected > 0 || share < 99.0 {
        return Err("good models were rejected, or too few mutants found".into());
    }
    Ok(())
}

fn print_tally(model: &str, fault: &str, tally: &Tally) {
    println!(
        "{model:<14} {fault:<11} {:>5} {:>7} {:>6} {:>13}",
        tally.made, tally.beyond, tally.found, tally.found_within
    );
}

/// The folders of `models/` with the blob of a generator.
fn folders() -> std::io::Result<Vec<PathBuf>> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(models)? {
        let path = entry?.path();
        let Ok(blob) = std::fs::read(path.join("model.pgan")) else {
            continue;
        };
        if Model::parse(&blob).is_ok_and(|model| model.picture().is_none()) {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

/// How a good network fares in `runs` verifications, of other latents each time. Gives how often it was rejected, by
/// the bound without what the differences of inner layers add to it, which rejects more.
fn print_runs(name: &str, model: &ExportedModel, runs: usize) -> Result<usize, VerifyError> {
    let blob = Model::parse(&model.int8_blob)?;
    let mut twin = NetworkTwin::new(Referee::OnnxRuntime, &model.int8_onnx, &blob)?;
    let mut runtime = RuntimeEngine::new(model.int8_blob.clone())?;
    let classes = classes_in_turn(blob.classes(), LATENTS);
    let (mut rejected, mut mean, mut largest, mut bound) = (0, 0.0f64, 0.0f64, 0.0);
    for run in 0..runs {
        let latents = latents((1 + run * LATENTS) as u64, LATENTS, blob.latent_size());
        let mut differences = QuantaDifferences::default();
        let images = runtime.images(&latents, &classes)?;
        let values: Vec<f32> = latents
            .iter()
            .map(|&q| f32::from(q) * latent::SCALE)
            .collect();
        differences.add(&quanta_of(&images), &twin.run(&values, &classes)?)?;
        let comparison = differences.of_network("", 0.0);
        rejected += usize::from(!comparison.passes());
        mean = mean.max(comparison.mean);
        largest = largest.max(comparison.largest);
        bound = comparison.mean_bound.unwrap_or_default();
    }
    println!("{name:<14} {rejected:>8} {mean:>10.5} {bound:>8} {largest:>10.1}");
    Ok(rejected)
}
