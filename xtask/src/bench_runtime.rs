//! `cargo xtask bench-runtime`: one image on one thread of this machine, in the runtime, tract and ONNX Runtime.

use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{onnxruntime, process, workspace};

#[derive(clap::Args)]
pub struct Arguments {
    /// Print one JSON object for each model and engine instead of the table.
    #[arg(long)]
    json: bool,
}

/// The models and engines of `tests/benches/generators.rs`, by the names it gives them.
const MODELS: [&str; 2] = ["nano", "small"];
const ENGINES: [&str; 4] = ["f32", "int8", "tract", "onnxruntime"];

/// How often the whole benchmark is run: the machine may be slow for seconds, while one engine is at work and the
/// others are not.
const ROUNDS: usize = 6;

/// What criterion keeps of a benchmark's samples.
#[derive(Deserialize)]
struct Samples {
    iters: Vec<f64>,
    times: Vec<f64>,
}

#[derive(Serialize)]
struct Outcome {
    model: &'static str,
    engine: &'static str,
    ns_per_image: f64,
}

/// Runs the benchmark some times and prints the fastest of each one's samples: what other programs do to the machine
/// can only make a sample slower.
///
/// # Errors
///
/// The benchmark fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    let home = workspace::target().join("criterion");
    let (library, ..) = onnxruntime::find()?;
    let mut outcomes: Vec<_> = MODELS
        .iter()
        .flat_map(|&model| {
            ENGINES.map(|engine| Outcome {
                model,
                engine,
                ns_per_image: f64::INFINITY,
            })
        })
        .collect();
    for _ in 0..ROUNDS {
        let mut bench = process::cargo();
        bench.args(["bench", "-p", "pocketgan-tests", "--locked"]);
        bench.args(["--bench", "generators", "--", "--noplot"]);
        bench.env("ORT_DYLIB_PATH", &library);
        bench.env("CRITERION_HOME", &home);
        // Standard output is for the figures.
        eprint!("{}", process::output(&mut bench)?);
        for outcome in &mut outcomes {
            let path = home.join(outcome.model).join(outcome.engine);
            let path = path.join("new/sample.json");
            let text = fs::read(&path);
            let text = text.with_context(|| format!("cannot read {}", path.display()))?;
            let Samples { iters, times } = serde_json::from_slice(&text)?;
            let each = times.iter().zip(iters).map(|(time, iters)| time / iters);
            outcome.ns_per_image = each.fold(outcome.ns_per_image, f64::min);
        }
    }
    if !arguments.json {
        println!("{:<6} {:<12} {:>12}", "model", "engine", "us per image");
    }
    for outcome in outcomes {
        if arguments.json {
            println!("{}", serde_json::to_string(&outcome)?);
        } else {
            let microseconds = outcome.ns_per_image / 1000.0;
            println!(
                "{:<6} {:<12} {microseconds:>12.1}",
                outcome.model, outcome.engine
            );
        }
    }
    Ok(())
}
