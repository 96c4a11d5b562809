//! Pictures by two emulated cores, a half by each.

use anyhow::{Context, Result, ensure};

use super::bench::{self, Sample};
use super::machines::{self, MPS2_TWO_M33};
use super::{DIGITS, Example, SMALL, printed_sums};
use crate::bare_metal::Toolchain;
use crate::{host, process};

/// The models, and how much of a picture's instructions its larger half may take. That is more than a half, since what
/// both halves need is made twice.
pub const MODELS: [(Example, f64); 2] = [(SMALL, 0.60), (DIGITS, 0.61)];

/// The example, after an action for cargo.
const EXAMPLE: [&str; 4] = ["--no-default-features", "--example", "halves", "--features"];

/// Has two cores make the pictures of the benchmark.
///
/// # Errors
///
/// The example cannot be built or run, prints something else than its figures, or a half takes more than `limit` of a
/// picture's instructions.
pub fn samples(toolchain: &Toolchain, model: &Example, limit: f64) -> Result<Vec<Sample>> {
    let mut run = MPS2_TWO_M33.cargo(toolchain, "run");
    run.args(EXAMPLE);
    run.arg(format!("bench,two-cores,{}", model.feature));
    let printed = process::output(run.arg("--").args(MPS2_TWO_M33.options))?;
    let samples = bench::parse(&MPS2_TWO_M33, model, &printed)?;
    let mut largest: f64 = 0.0;
    for sample in &samples {
        let [upper, lower] = sample.halves.context("the halves were not counted")?;
        largest = largest.max(upper.max(lower) as f64 / sample.instructions as f64);
    }
    ensure!(
        largest <= limit,
        "{}: half a picture takes {largest:.4} of its instructions, more than {limit}",
        model.feature
    );
    eprintln!(
        "{}: half a picture takes up to {largest:.4} of its instructions",
        model.feature
    );
    Ok(samples)
}

/// Lets QEMU run each core on a thread of this machine, so that they are at work at the same time: where instructions
/// are counted, QEMU runs one core after the other, many instructions at a time.
///
/// # Errors
///
/// The example cannot be built or run, or a picture differs from this machine's.
pub fn check_threads(toolchain: &Toolchain) -> Result<()> {
    let mut build = MPS2_TWO_M33.cargo(toolchain, "build");
    build.args(EXAMPLE);
    let program = machines::build(build.arg(format!("two-cores,{}", DIGITS.feature)))?;
    let mut qemu = process::command("qemu-system-arm");
    qemu.args(["-nographic", "-monitor", "none", "-serial", "none"]);
    qemu.args(["-semihosting-config", "enable=on,target=native"]);
    qemu.args(MPS2_TWO_M33.options);
    qemu.args(["-accel", "tcg,thread=multi", "-kernel"]);
    let printed = process::output(qemu.arg(program))?;
    let in_turn = (0..host::classes(DIGITS.blob)?).map(|class| (Some(class), 1));
    ensure!(
        printed_sums(&printed) == host::pixels_sha256(DIGITS.blob, in_turn)?,
        "two cores that run at the same time make other pictures:\n{printed}"
    );
    eprintln!("digits: the same pixels by two cores that run at the same time");
    Ok(())
}
