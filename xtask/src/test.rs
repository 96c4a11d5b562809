//! `cargo xtask test`: every check and every test, in order, with a table at the end.

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};

use crate::budget::{self, Outcome};
use crate::setup::{self, Tools};
use crate::{firmware, fuzz, licences, mutants, process, soak, workspace};

#[derive(clap::Args)]
pub struct Arguments {
    /// Run only this step (after setup); may be given more than once.
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
    /// Run the steps that take minutes for one fact as well: layers, size, mutants, soak.
    #[arg(long, conflicts_with = "only")]
    slow: bool,
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
    /// The tests of xtask.
    Xtask,
    /// The runtime's tests with overflow checks, and its parity tests with the portable kernels, with SSE2's and with
    /// AVX2's.
    Runtime,
    /// The trainer's tests, optimized.
    Trainer,
    /// The tests of both products against each other and against other engines, optimized.
    Engines,
    /// The firmware in QEMU; its pixels against the host's.
    Firmware,
    /// Slow: a million random layers, the kernels against the reference.
    Layers,
    /// Slow: size and speed of all models on all cores against the table.
    Size,
    /// Slow: `trainer verify` on many latents of the shipped models and on 1,000 mutants of them.
    Mutants,
    /// Slow: a run that is killed, stopped and resumed over and over.
    Soak,
}

impl Step {
    fn is_slow(self) -> bool {
        matches!(self, Self::Layers | Self::Size | Self::Mutants | Self::Soak)
    }

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
            // As `cargo xtask` builds it, so that its dependencies are there.
            Self::Xtask => cargo(&["test", "--package", "xtask", "--locked"], tools),
            Self::Runtime => runtime(tools),
            Self::Trainer => optimized("pocketgan-trainer", tools),
            Self::Engines => optimized("pocketgan-tests", tools),
            Self::Firmware => firmware::test(&tools.firmware),
            Self::Layers => layers(tools),
            Self::Size => firmware::size(&defaults()?),
            Self::Mutants => mutants::run(&defaults()?),
            Self::Soak => soak(tools),
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
    let budgets = budget::budgets()?;
    let (tools, spent) = budget::measure(setup::run)?;
    let tools = tools?;
    let mut outcomes = vec![Outcome {
        step: "setup".to_owned(),
        spent,
        ok: true,
    }];
    for &step in Step::value_variants() {
        let wanted = match arguments.only.as_slice() {
            [] => arguments.slow || !step.is_slow(),
            only => only.contains(&step),
        };
        if !wanted {
            continue;
        }
        eprintln!("\n=== {}", step.name());
        let (outcome, spent) = budget::measure(|| step.run(&tools))?;
        if let Err(error) = &outcome {
            eprintln!("{}: {error:#}", step.name());
        }
        outcomes.push(Outcome {
            step: step.name(),
            spent,
            ok: outcome.is_ok(),
        });
    }
    print!("\nseconds\n{}", budget::report(&outcomes, &budgets));
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|outcome| !outcome.ok)
        .map(|outcome| outcome.step.as_str())
        .collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// The arguments that another chore has by default.
fn defaults<A: clap::Args>() -> Result<A> {
    #[derive(Parser)]
    struct Wrapped<A: clap::Args> {
        #[command(flatten)]
        arguments: A,
    }
    let wrapped = Wrapped::<A>::try_parse_from(["xtask"]);
    Ok(wrapped.context("the chore has no defaults")?.arguments)
}

/// How many random layers' kernels are held against the reference in the slow tier; the tests alone take 2,000.
const RANDOM_LAYERS: &str = "1000000";

fn layers(tools: &Tools) -> Result<()> {
    let mut layers = process::cargo();
    layers.args(["test", "--package", "pocketgan", "--locked", "--release"]);
    layers.args(["--features", "writer", "--test", "parity", "random_layers"]);
    layers.env("RANDOM_LAYERS", RANDOM_LAYERS);
    process::run(tools.environment(&mut layers))
}

/// How often a run is killed in the slow tier; the tests alone kill one 10 times.
const KILLS: &str = "24";

fn soak(tools: &Tools) -> Result<()> {
    let mut kills = process::cargo();
    kills.args(["test", "--release", "--package", "pocketgan-trainer"]);
    kills.args(["--locked", "--test", "integration", "a_killed_run"]);
    process::run(tools.environment(kills.env("KILLS", KILLS)))?;
    soak::run(&defaults()?)
}

fn runtime(tools: &Tools) -> Result<()> {
    let test = [
        "test",
        "--package",
        "pocketgan",
        "--locked",
        "--features",
        "writer",
    ];
    cargo(&test, tools)?;
    for features in ["", "convolution,int4"] {
        let lean = ["--no-default-features", "--features", features];
        let lean = [&test[..4], &lean, &["--test", "features"]].concat();
        cargo(&lean, tools)?;
    }
    for kernels in ["portable", "sse2", "avx2"] {
        let mut parity = process::cargo();
        parity.args(test).args(["--test", "parity"]);
        parity.env("POCKETGAN_KERNELS", kernels);
        // One folder for the three, so that nothing else is built anew and their dependencies once.
        parity.env("CARGO_TARGET_DIR", workspace::target().join("kernels"));
        process::run(tools.environment(&mut parity))?;
    }
    Ok(())
}

fn optimized(package: &str, tools: &Tools) -> Result<()> {
    cargo(
        &["test", "--release", "--package", package, "--locked"],
        tools,
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_step_has_a_budget_and_no_other() {
        let steps = Step::value_variants().iter().map(|step| step.name());
        let steps: BTreeSet<String> = steps.chain(["setup".to_owned()]).collect();
        let budgets: BTreeSet<String> = budget::budgets().unwrap().into_keys().collect();
        assert_eq!(budgets, steps);
    }

    #[test]
    fn the_slow_chores_have_defaults() {
        defaults::<firmware::SizeArguments>().unwrap();
        defaults::<mutants::Arguments>().unwrap();
        defaults::<soak::Arguments>().unwrap();
    }
}
