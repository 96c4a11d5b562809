//! `cargo xtask bench-train`: a GAN step's speed against PyTorch's, in turns on the same machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{process, python};

#[derive(clap::Args)]
pub struct Arguments {
    /// Rounds; each runs ours and then PyTorch's, and the medians are compared.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Threads for either side.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// Images in a batch.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// A Python that has torch; by default one under the build folder, installed on first use (PyTorch
    /// takes some 5 GB).
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// Print one JSON object a net instead of the table.
    #[arg(long)]
    json: bool,
}

/// The nets that both sides measure, by the names that both give them.
const NETS: [&str; 7] = [
    "pocket", "pocket64", "mlp", "nano", "small", "full", "wgan-gp",
];

/// The line that either benchmark prints.
#[derive(Deserialize)]
struct Measured {
    images_per_s: f64,
    peak_bytes: u64,
}

/// A net's outcome: the medians over the rounds, and the most memory of any.
#[derive(Serialize)]
struct Outcome {
    net: &'static str,
    ours_images_per_s: f64,
    torch_images_per_s: f64,
    ratio: f64,
    ours_peak_bytes: u64,
    torch_peak_bytes: u64,
}

/// Runs both benchmarks and prints the ratio for each net.
///
/// # Errors
///
/// A benchmark fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    let python = match &arguments.python {
        Some(python) => python.clone(),
        None => python::TORCH.python()?.0,
    };
    warn_if_busy();
    process::run(process::cargo().args(["trainer", "--version"]))?;
    if !arguments.json {
        println!(
            "{:<8} {:>14} {:>14} {:>6} {:>14} {:>14}",
            "net", "ours, images/s", "torch, images/s", "ratio", "ours, peak MB", "torch, peak MB"
        );
    }
    for net in NETS {
        let outcome = compare(net, &python, arguments)?;
        if arguments.json {
            println!("{}", serde_json::to_string(&outcome)?);
        } else {
            println!(
                "{net:<8} {:>14.0} {:>15.0} {:>6.2} {:>14} {:>14}",
                outcome.ours_images_per_s,
                outcome.torch_images_per_s,
                outcome.ratio,
                outcome.ours_peak_bytes / 1_000_000,
                outcome.torch_peak_bytes / 1_000_000
            );
        }
    }
    Ok(())
}

/// Measures a net on both sides, in turns, each time in a process of its own.
fn compare(net: &'static str, python: &Path, arguments: &Arguments) -> Result<Outcome> {
    let (mut ours, mut torch) = (Vec::new(), Vec::new());
    for round in 1..=arguments.rounds {
        eprintln!("{net}, round {round} of {}", arguments.rounds);
        let mut trainer = process::cargo();
        trainer.args(["trainer", "bench", "--json"]);
        let mut script = process::command(python);
        script.arg("bench/pytorch_gan.py");
        let mut sides = [(&mut trainer, &mut ours), (&mut script, &mut torch)];
        // Neither side is always the first.
        if round % 2 == 0 {
            sides.reverse();
        }
        for (command, figures) in sides {
            figures.push(measure(net, command, arguments)?);
        }
    }
    let speed = |side: &[Measured]| median(side.iter().map(|m| m.images_per_s).collect());
    let peak = |side: &[Measured]| side.iter().map(|m| m.peak_bytes).max().unwrap_or_default();
    Ok(Outcome {
        net,
        ours_images_per_s: speed(&ours),
        torch_images_per_s: speed(&torch),
        ratio: speed(&ours) / speed(&torch),
        ours_peak_bytes: peak(&ours),
        torch_peak_bytes: peak(&torch),
    })
}

/// Runs a benchmark of one net, which prints a JSON object.
fn measure(net: &str, command: &mut Command, arguments: &Arguments) -> Result<Measured> {
    let (threads, batch) = (arguments.threads.to_string(), arguments.batch.to_string());
    command.args(["--net", net, "--threads", &threads, "--batch", &batch]);
    let printed = process::output(command)?;
    serde_json::from_str(&printed)
        .with_context(|| format!("`{}` printed {printed:?}", process::line(command)))
}

/// Says so where other programs hold the processor: the two sides do not suffer alike.
fn warn_if_busy() {
    let load = fs::read_to_string("/proc/loadavg").ok();
    let load = load.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    if let Some(load) = load.filter(|&load| load > 0.5) {
        eprintln!("warning: the machine is busy (load {load}); the ratios are rough");
    }
}

/// The middle value, or the mean of the two middle ones.
fn median(mut sorted: Vec<f64>) -> f64 {
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[half]
    } else {
        (sorted[half - 1] + sorted[half]) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle_of_the_sorted_figures() {
        assert_eq!(median(vec![3.0, 100.0, 1.0]), 3.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 100.0]), 3.0);
    }
}
