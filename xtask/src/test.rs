//! `cargo xtask test`: every check and every test, in order, with a table at the end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::setup::{self, Tools};
use crate::{firmware, fuzz, licences, process, workspace};

#[derive(clap::Args)]
pub struct Arguments {
    /// Run only this step (after setup); may be given more than once.
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
}

/// A step, in the order of a full run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Formatting, of the firmware and the fuzzers too.
    Fmt,
    /// Licences of all dependencies against deny.toml.
    Licences,
    /// Clippy on all targets, warnings refused.
    Clippy,
    /// Documentation, warnings refused.
    Doc,
    /// Type check of the CUDA code; needs no toolkit.
    Cuda,
    /// The runtime's tests with overflow checks, and once more with the portable kernels, with SSE2's and with AVX2's.
    Runtime,
    /// All other tests, optimized.
    Workspace,
    /// The firmware in QEMU; its pixels against the host's.
    Firmware,
}

impl Step {
    fn run(self, tools: &Tools) -> Result<()> {
        match self {
            Self::Fmt => fmt(),
            Self::Licences => licences::check(),
            Self::Clippy => clippy(),
            Self::Doc => doc(),
            Self::Cuda => cargo(
                &[
                    "check",
                    "--package",
                    "pocketgan-trainer",
                    "--features",
                    "cuda,ci-check",
                    "--locked",
                ],
                tools,
            ),
            Self::Runtime => runtime(tools),
            Self::Workspace => cargo(
                &[
                    "test",
                    "--release",
                    "--workspace",
                    "--exclude",
                    "pocketgan",
                    "--locked",
                ],
                tools,
            ),
            Self::Firmware => firmware::test(&tools.firmware),
        }
    }

    fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Runs the steps, all of them even after a failure, and prints how each went.
///
/// # Errors
///
/// Setup is incomplete or a step failed.
pub fn run(arguments: &Arguments) -> Result<()> {
    let start = Instant::now();
    let tools = setup::run()?;
    let mut table = vec![("setup".to_owned(), start.elapsed(), true)];
    for &step in Step::value_variants() {
        if !arguments.only.is_empty() && !arguments.only.contains(&step) {
            continue;
        }
        eprintln!("\n=== {}", step.name());
        let start = Instant::now();
        let outcome = step.run(&tools);
        if let Err(error) = &outcome {
            eprintln!("{}: {error:#}", step.name());
        }
        table.push((step.name(), start.elapsed(), outcome.is_ok()));
    }
    report(&table)
}

fn report(table: &[(String, Duration, bool)]) -> Result<()> {
    println!("\n{:<12} {:>7}", "step", "seconds");
    for (step, time, ok) in table {
        println!(
            "{step:<12} {:>7.0}  {}",
            time.as_secs_f64(),
            if *ok { "ok" } else { "FAILED" }
        );
    }
    let failed: Vec<&str> = table
        .iter()
        .filter(|(_, _, ok)| !ok)
        .map(|(step, ..)| step.as_str())
        .collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// How many random layers' kernels are held against the reference.
const RANDOM_LAYERS: &str = "1000000";

fn runtime(tools: &Tools) -> Result<()> {
    let test = ["test", "--package", "pocketgan", "--locked"];
    cargo(&[&test[..], &["--features", "writer"]].concat(), tools)?;
    let mut layers = process::cargo();
    layers.args(test);
    layers.args(["--release", "--features", "writer", "--test", "parity"]);
    layers
        .arg("random_layers")
        .env("RANDOM_LAYERS", RANDOM_LAYERS);
    process::run(tools.environment(&mut layers))?;
    for kernels in ["portable", "sse2", "avx2"] {
        let mut parity = process::cargo();
        parity.args(test);
        parity.args(["--features", "writer", "--test", "parity"]);
        parity.env("POCKETGAN_KERNELS", kernels);
        // A folder of its own, so that nothing else is built anew.
        parity.env("CARGO_TARGET_DIR", workspace::target().join(kernels));
        process::run(tools.environment(&mut parity))?;
    }
    Ok(())
}

fn fmt() -> Result<()> {
    process::run(process::cargo().args(["fmt", "--all", "--check"]))?;
    for folder in firmware::folders()?.into_iter().chain([fuzz::folder()]) {
        process::run(
            process::cargo()
                .args(["fmt", "--check"])
                .current_dir(folder),
        )?;
    }
    Ok(())
}

fn clippy() -> Result<()> {
    process::run(process::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "--deny=warnings",
    ]))
}

fn doc() -> Result<()> {
    let mut doc = process::cargo();
    doc.args(["doc", "--workspace", "--no-deps", "--locked"]);
    process::run(doc.env("RUSTDOCFLAGS", "--deny=warnings"))
}

fn cargo(arguments: &[&str], tools: &Tools) -> Result<()> {
    let mut cargo = process::cargo();
    cargo.args(arguments);
    process::run(tools.environment(&mut cargo))
}
