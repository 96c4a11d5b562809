//! The chores of this workspace: `cargo xtask setup | test | firmware | firmware-bench | bench-runtime |
//! bench-train | profile | recipes | search | anomaly | emoji | avatars | soak | mutants | fuzz | fid-weights | fid-check`.

mod anomaly;
mod avatars;
mod bare_metal;
mod bench_runtime;
mod bench_train;
mod budget;
mod elf;
mod emoji;
mod fid;
mod firmware;
mod fuzz;
mod host;
mod licences;
mod mutants;
mod npm;
mod onnxruntime;
mod pictures;
mod process;
mod profile;
mod python;
mod recipes;
mod runs;
mod search;
mod setup;
mod soak;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Sets up, tests and measures pocketgan.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Find or install what the tests need: ONNX Runtime, a bare-metal `core`, QEMU, Node, `onnx`.
    Setup,
    /// Run every check and every test, `setup` first; the slow ones with `--slow`.
    Test(test::Arguments),
    /// Build the firmware, run it in QEMU and show its picture.
    Firmware,
    /// Count instructions, RAM, stack and flash of each model on each emulated core.
    FirmwareBench(firmware::BenchArguments),
    /// Compare what each model takes on each core with the table that is kept, and fail if it grew by over 1%.
    Size(firmware::SizeArguments),
    /// Fit what `trainer inspect --target` predicts to figures of many models on each emulated core.
    Cost(firmware::CostArguments),
    /// Estimate the cycles of an image on cores that have a timing table, from a trace of its instructions.
    Cycles(firmware::CyclesArguments),
    /// Time an image in the runtime, tract and ONNX Runtime, on one thread of this machine.
    BenchRuntime(bench_runtime::Arguments),
    /// Compare a GAN step's speed with PyTorch's, on this machine, in turns.
    BenchTrain(bench_train::Arguments),
    /// Account for the time of a training step, net by net.
    Profile(profile::Arguments),
    /// Train every recipe on real images, score it, and write docs/recipes.md.
    Recipes(recipes::Arguments),
    /// Train a list of configurations on as many images each, score them, and write a table of all.
    Search(search::Arguments),
    /// Train autoencoders on some digits, score how well they tell the others, and write docs/anomaly.md.
    Anomaly(anomaly::Arguments),
    /// Lay out the same pictures in two styles, emoji from two npm packages, for translation between them.
    Emoji(emoji::Arguments),
    /// Draw a folder of avatar faces, with what was drawn in each as labels, by npm packages.
    Avatars(avatars::Arguments),
    /// Kill, stop and resume a run over and over, and check all that it leaves.
    Soak(soak::Arguments),
    /// Verify the shipped models on many latents, and count which mutants of them `trainer verify` finds.
    Mutants(mutants::Arguments),
    /// Feed hostile blobs to the parser and the kernels, under AddressSanitizer.
    Fuzz(fuzz::Arguments),
    /// Make the Inception network that `trainer eval --fid inception` looks through, in the user's cache.
    FidWeights,
    /// Check our scores against torch-fidelity's, on the same PNG files.
    FidCheck(fid::CheckArguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().chore {
        Chore::Setup => setup::run().map(drop),
        Chore::Test(arguments) => test::run(&arguments),
        Chore::Firmware => firmware::show(),
        Chore::FirmwareBench(arguments) => firmware::bench(&arguments),
        Chore::Size(arguments) => firmware::size(&arguments),
        Chore::Cost(arguments) => firmware::cost(&arguments),
        Chore::Cycles(arguments) => firmware::cycles(&arguments),
        Chore::BenchRuntime(arguments) => bench_runtime::run(&arguments),
        Chore::BenchTrain(arguments) => bench_train::run(&arguments),
        Chore::Profile(arguments) => profile::run(&arguments),
        Chore::Recipes(arguments) => recipes::run(&arguments),
        Chore::Search(arguments) => search::run(&arguments),
        Chore::Anomaly(arguments) => anomaly::run(&arguments),
        Chore::Emoji(arguments) => emoji::run(&arguments),
        Chore::Avatars(arguments) => avatars::run(&arguments),
        Chore::Soak(arguments) => soak::run(&arguments),
        Chore::Mutants(arguments) => mutants::run(&arguments),
        Chore::Fuzz(arguments) => fuzz::run(&arguments),
        Chore::FidWeights => fid::weights(),
        Chore::FidCheck(arguments) => fid::check(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
