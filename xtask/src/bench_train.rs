//! `cargo xtask bench-train`: a GAN step's speed against PyTorch's, in turns on the same machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
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

/// A line that either benchmark prints.
#[derive(Deserialize)]
struct Speed {
    net: String,
    images_per_s: f64,
}

/// A net's outcome: the medians over the rounds.
#[derive(Serialize)]
struct Outcome {
    net: String,
    ours_images_per_s: f64,
    torch_images_per_s: f64,
    ratio: f64,
}

/// Every figure of one side, by net.
type Figures = BTreeMap<String, Vec<f64>>;

/// Runs both benchmarks and prints the ratio for each net.
///
/// # Errors
///
/// A benchmark fails, or the two do not measure the same nets.
pub fn run(arguments: &Arguments) -> Result<()> {
    let python = match &arguments.python {
        Some(python) => python.clone(),
        None => python::TORCH.python()?.0,
    };
    warn_if_busy();
    let build = [
        "build",
        "--quiet",
        "--release",
        "--package",
        "pocketgan-trainer",
    ];
    process::run(process::cargo().args(build))?;
    let (mut ours, mut torch) = (Figures::new(), Figures::new());
    for round in 1..=arguments.rounds {
        eprintln!("round {round} of {}", arguments.rounds);
        let mut trainer = process::cargo();
        trainer.args(["trainer", "bench", "--json"]);
        measure(with_sizes(&mut trainer, arguments), &mut ours)?;
        let mut script = process::command(&python);
        script.arg("bench/pytorch_gan.py");
        measure(with_sizes(&mut script, arguments), &mut torch)?;
    }
    let outcomes = compare(&ours, &torch)?;
    if !arguments.json {
        println!(
            "{:<8} {:>14} {:>14} {:>7}",
            "net", "ours, images/s", "torch, images/s", "ratio"
        );
    }
    for outcome in outcomes {
        if arguments.json {
            println!("{}", serde_json::to_string(&outcome)?);
        } else {
            let Outcome {
                net,
                ours_images_per_s,
                torch_images_per_s,
                ratio,
            } = outcome;
            println!("{net:<8} {ours_images_per_s:>14.0} {torch_images_per_s:>15.0} {ratio:>7.2}");
        }
    }
    Ok(())
}

/// Says so where other programs hold the processor: the two sides do not suffer alike.
fn warn_if_busy() {
    let load = fs::read_to_string("/proc/loadavg").ok();
    let load = load.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    if let Some(load) = load.filter(|&load| load > 0.5) {
        eprintln!("warning: the machine is busy (load {load}); the ratios are rough");
    }
}

fn with_sizes<'a>(command: &'a mut Command, arguments: &Arguments) -> &'a mut Command {
    let (threads, batch) = (arguments.threads.to_string(), arguments.batch.to_string());
    command.args(["--threads", &threads, "--batch", &batch])
}

/// Runs a benchmark that prints a JSON object a line and notes its figures.
fn measure(command: &mut Command, figures: &mut Figures) -> Result<()> {
    for line in process::output(command)?.lines() {
        let speed: Speed = serde_json::from_str(line)
            .with_context(|| format!("`{}` printed {line:?}", process::line(command)))?;
        figures
            .entry(speed.net)
            .or_default()
            .push(speed.images_per_s);
    }
    Ok(())
}

fn compare(ours: &Figures, torch: &Figures) -> Result<Vec<Outcome>> {
    ensure!(
        ours.keys().eq(torch.keys()),
        "different nets: ours {:?}, PyTorch's {:?}",
        ours.keys(),
        torch.keys()
    );
    let outcomes = ours.iter().zip(torch.values()).map(|((net, ours), torch)| {
        let (ours, torch) = (median(ours), median(torch));
        Outcome {
            net: net.clone(),
            ours_images_per_s: ours,
            torch_images_per_s: torch,
            ratio: ours / torch,
        }
    });
    Ok(outcomes.collect())
}

/// The middle value, or the mean of the two middle ones.
fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
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
    use super::{Figures, compare, median};

    #[test]
    fn the_median_is_the_middle_of_the_sorted_figures() {
        assert_eq!(median(&[3.0, 100.0, 1.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]), 3.0);
    }

    #[test]
    fn nets_are_compared_by_name_and_a_missing_one_is_an_error() {
        let figures = |nets: &[(&str, f64)]| -> Figures {
            nets.iter()
                .map(|(net, speed)| ((*net).to_owned(), vec![*speed]))
                .collect()
        };
        let ours = figures(&[("small", 10.0), ("nano", 30.0)]);
        let torch = figures(&[("nano", 60.0), ("small", 5.0)]);
        let ratios: Vec<_> = compare(&ours, &torch)
            .unwrap()
            .into_iter()
            .map(|o| (o.net, o.ratio))
            .collect();
        assert_eq!(
            ratios,
            [("nano".to_owned(), 0.5), ("small".to_owned(), 2.0)]
        );
        assert!(compare(&ours, &figures(&[("nano", 60.0)])).is_err());
    }
}
