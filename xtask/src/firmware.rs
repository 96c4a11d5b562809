//! The firmware examples: built, run in QEMU, measured, and held against the host.

use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::bare_metal::Toolchain;
use crate::{elf, host, process, setup, workspace};

/// A model of the example.
struct Example {
    /// The feature that chooses it.
    feature: &'static str,
    /// Its blob, from the root of the workspace.
    blob: &'static str,
}

/// The models that the benchmark measures.
const MODELS: [Example; 3] = [
    Example {
        feature: "nano",
        blob: "models/fashion-nano/model.pgan",
    },
    Example {
        feature: "small",
        blob: "models/fashion-small/model.pgan",
    },
    DIGITS,
];
/// The model with classes.
const DIGITS: Example = Example {
    feature: "digits",
    blob: "models/mnist-nano/model.pgan",
};
/// Seeds that the benchmark samples.
const SEEDS: RangeInclusive<u64> = 1..=16;

#[derive(clap::Args)]
pub struct BenchArguments {
    /// Print one JSON object for each model and seed instead of the table.
    #[arg(long)]
    json: bool,
}

/// A line of the firmware in bench mode.
#[derive(Deserialize, Serialize)]
struct Sample {
    target: String,
    model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class: Option<usize>,
    seed: u64,
    instructions: u64,
    ram_bytes: u64,
    stack_bytes: u64,
    pixels_sha256: String,
}

/// A sample with what the firmware cannot know of itself.
#[derive(Serialize)]
struct Measured {
    #[serde(flatten)]
    sample: Sample,
    flash_bytes: u64,
}

/// The folders of all boards.
///
/// # Errors
///
/// The folder of the examples cannot be read.
pub fn boards() -> Result<Vec<PathBuf>> {
    let mut boards = Vec::new();
    for entry in fs::read_dir(workspace::root().join("firmware-examples"))? {
        let board = entry?.path();
        if board.join("Cargo.toml").is_file() {
            boards.push(board);
        }
    }
    boards.sort();
    Ok(boards)
}

/// Builds the example for QEMU's Cortex-M4 and runs it as a user would.
///
/// # Errors
///
/// No compiler, no QEMU, or the firmware's own failure.
pub fn show() -> Result<()> {
    let toolchain = setup::firmware()?;
    process::run(&mut cargo(&toolchain, "run", &[]))
}

/// Prints each model's instructions, RAM and flash for every seed.
///
/// # Errors
///
/// As [`show`], or the firmware prints something else than its figures.
pub fn bench(arguments: &BenchArguments) -> Result<()> {
    let toolchain = setup::firmware()?;
    if !arguments.json {
        println!(
            "model   class  seed  instructions  RAM, bytes  flash, bytes  SHA-256 of the pixels"
        );
    }
    for model in MODELS {
        for measured in measure(&toolchain, model.feature)? {
            if arguments.json {
                println!("{}", serde_json::to_string(&measured)?);
                continue;
            }
            let Measured {
                sample,
                flash_bytes,
            } = measured;
            println!(
                "{:<6}  {:>5}  {:>4}  {:>12}  {:>10}  {flash_bytes:>12}  {}",
                sample.model,
                sample
                    .class
                    .map_or_else(String::new, |class| class.to_string()),
                sample.seed,
                sample.instructions,
                sample.ram_bytes,
                sample.pixels_sha256
            );
        }
    }
    Ok(())
}

/// Checks that no panic can be reached (the example links only then), the example's run, what it does
/// when it is asked for a class, and the pixels of each model, class and seed against this machine's.
///
/// # Errors
///
/// As [`bench()`], or a picture that differs.
pub fn test(toolchain: &Toolchain) -> Result<()> {
    process::run(&mut cargo(toolchain, "build", &["--example", "no_panic"]))?;
    process::run(&mut cargo(toolchain, "run", &[]))?;
    test_requests(toolchain)?;
    for Example { feature, blob } in MODELS {
        let there = measure(toolchain, feature)?;
        let pictures = there.iter().map(|m| (m.sample.class, m.sample.seed));
        let here = host::pixels_sha256(blob, pictures)?;
        for (Measured { sample, .. }, here) in there.iter().zip(here) {
            ensure!(
                sample.pixels_sha256 == here,
                "{feature}, class {:?}, seed {}: the pixels' SHA-256 is {} on the {} and {here} here",
                sample.class,
                sample.seed,
                sample.pixels_sha256,
                sample.target
            );
        }
        eprintln!("{feature}: the same pixels on the device and here, seeds {SEEDS:?}");
    }
    Ok(())
}

/// Checks that the example shows each class in turn, shows the class it is asked for, and refuses what
/// it cannot show.
fn test_requests(toolchain: &Toolchain) -> Result<()> {
    let show = |words: &[&str]| {
        let mut run = cargo(toolchain, "run", &["--no-default-features", "--features"]);
        run.arg(DIGITS.feature).arg("--").args(words);
        process::output(&mut run)
    };
    let sums = |printed: &str| -> Vec<String> {
        let lines = printed.lines();
        let sums = lines.filter_map(|line| line.strip_prefix("SHA-256 of the pixels: "));
        sums.map(str::to_owned).collect()
    };
    let classes = host::classes(DIGITS.blob)?;
    let last = classes - 1;
    let in_turn = (0..classes).map(|class| (Some(class), 1));
    let here = host::pixels_sha256(DIGITS.blob, in_turn)?;
    ensure!(
        sums(&show(&[])?) == here,
        "the example does not show each of the {classes} classes in turn"
    );
    let here = host::pixels_sha256(DIGITS.blob, [(Some(last), 7)])?;
    ensure!(
        sums(&show(&["-append", &format!("{last} 7")])?) == here,
        "asked for class {last} and seed 7, the example shows something else"
    );
    for (words, sentence) in [
        (classes.to_string(), format!("there is no class {classes}")),
        ("seven".into(), "ask for a class and a seed".into()),
        ("1 2 3".into(), "ask for a class and a seed".into()),
    ] {
        match show(&["-append", &words]) {
            Err(error) if error.to_string().contains(&sentence) => {}
            other => bail!("asked for {words:?}, the example answers {other:?}"),
        }
    }
    eprintln!("the example shows the class it is asked for");
    Ok(())
}

fn cargo(toolchain: &Toolchain, action: &str, more: &[&str]) -> Command {
    let mut cargo = toolchain.cargo(action);
    cargo.current_dir(workspace::root().join("firmware-examples/qemu-mps2"));
    cargo.args(["--release", "--locked", "--quiet"]).args(more);
    cargo
}

/// Runs the benchmark of one model in QEMU.
fn measure(toolchain: &Toolchain, model: &str) -> Result<Vec<Measured>> {
    let features = format!("bench,{model}");
    let options = ["--no-default-features", "--features", features.as_str()];
    let flash_bytes = elf::flash_bytes(&build(toolchain, &options)?)?;
    let printed = process::output(&mut cargo(toolchain, "run", &options))?;
    let mut measured = Vec::new();
    for line in printed.lines().filter(|line| line.starts_with('{')) {
        let sample: Sample =
            serde_json::from_str(line).with_context(|| format!("the firmware printed {line:?}"))?;
        ensure!(
            sample.model == model,
            "the firmware of {model} printed {line:?}"
        );
        measured.push(Measured {
            sample,
            flash_bytes,
        });
    }
    let complete = measured
        .iter()
        .map(|measured| measured.sample.seed)
        .eq(SEEDS);
    ensure!(
        complete,
        "{model}: the firmware did not print seeds {SEEDS:?}:\n{printed}"
    );
    Ok(measured)
}

/// Builds the firmware and returns its ELF file.
fn build(toolchain: &Toolchain, options: &[&str]) -> Result<PathBuf> {
    let mut cargo = cargo(toolchain, "build", options);
    cargo.arg("--message-format=json-render-diagnostics");
    for line in process::output(&mut cargo)?.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        if let Some(path) = message["executable"].as_str() {
            return Ok(path.into());
        }
    }
    bail!("`{}` built no program", process::line(&cargo))
}
