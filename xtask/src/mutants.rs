//! `cargo xtask mutants`: `trainer verify` on the shipped models and on mutants of them.

use anyhow::Result;

use crate::{onnxruntime, process};

#[derive(clap::Args)]
pub struct Arguments {
    /// Arguments of `tests/examples/mutants.rs`, which `--help` behind `--` shows.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Prints how the shipped models fare in long verifications and in many short ones, and which of 1,000 mutants are
/// found.
///
/// # Errors
///
/// The program behind it fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    let (library, ..) = onnxruntime::find()?;
    let mut mutants = process::cargo();
    mutants.args([
        "run",
        "--release",
        "--package",
        "pocketgan-tests",
        "--locked",
    ]);
    mutants.args(["--example", "mutants", "--"]);
    mutants.args(&arguments.rest);
    process::run(mutants.env("ORT_DYLIB_PATH", library))
}
