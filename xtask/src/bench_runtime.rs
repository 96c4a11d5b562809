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

/// Runs the benchmark and prints the fastest of each one's hundred samples: what other programs do to the machine can
/// only make a sample slower.
///
/// # Errors
///
/// The benchmark fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    let home = workspace::target().join("criterion");
    let mut bench = process::cargo();
    bench.args(["bench", "-p", "pocketgan-tests", "--locked"]);
    bench.args(["--bench", "generators", "--", "--noplot"]);
    bench.env("ORT_DYLIB_PATH", onnxruntime::find()?.0);
    bench.env("CRITERION_HOME", &home);
    // Standard output is for the figures.
    eprint!("{}", process::output(&mut bench)?);
    if !arguments.json {
        println!("{:<6} {:<12} {:>12}", "model", "engine", "us per image");
    }
    for (model, engine) in MODELS
        .iter()
        .flat_map(|m| ENGINES.map(|engine| (*m, engine)))
    {
        let path = home.join(model).join(engine).join("new/sample.json");
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let Samples { iters, times } = serde_json::from_slice(&text)?;
        let each = times.iter().zip(iters).map(|(time, iters)| time / iters);
        let ns_per_image = each.fold(f64::INFINITY, f64::min);
        let outcome = Outcome {
            model,
            engine,
            ns_per_image,
        };
        match arguments.json {
            true => println!("{}", serde_json::to_string(&outcome)?),
            false => println!("{model:<6} {engine:<12} {:>12.1}", ns_per_image / 1000.0),
        }
    }
    Ok(())
}
