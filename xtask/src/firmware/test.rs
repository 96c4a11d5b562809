//! `cargo xtask test --only firmware`: all boards built, those that QEMU knows run, and their pixels
//! held against this machine's.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::bare::{self, Bare, Footprint, Kind};
use super::bench::{self, SEEDS, Sample};
use super::cases::{self, Read};
use super::machines::{self, MACHINES, MICROBIT, MODELS, MPS2_M4, MPS3_M55, Machine, RISCV_VIRT};
use super::{
    Example, NANO, every_operator, folders, footprint, halves, perceptron, pictures, requests,
    size, wasm,
};
use crate::bare_metal::Toolchain;
use crate::{host, process, workspace};

/// Runs the checks; the first failure ends them.
///
/// # Errors
///
/// A board that does not build or run, a panic that can be reached, or a picture that differs.
pub fn run(toolchain: &Toolchain) -> Result<()> {
    build_all(toolchain)?;
    for machine in [MPS2_M4, MPS3_M55] {
        let mut no_panic = machine.cargo(toolchain, "build");
        process::run(no_panic.args(["--features", "everything", "--example", "no_panic"]))?;
    }
    let mut sizes = size::Sample::new(toolchain)?;
    test_bare(toolchain, &mut sizes)?;
    for machine in [MICROBIT, MPS2_M4] {
        bare::check_linear_pixels(toolchain, &machine)?;
    }
    for machine in [MICROBIT, MPS2_M4, RISCV_VIRT] {
        requests::check(toolchain, &machine)?;
    }
    let cases = Read::ALL.map(|read| Ok((read, cases::write(read)?)));
    let cases: Vec<(Read, String)> = cases.into_iter().collect::<Result<_>>()?;
    // The micro:bit's memory is too small; its core is there a second time.
    for machine in machines::with_room() {
        for (read, path) in &cases {
            cases::check(toolchain, machine, *read, path)?;
        }
        pictures::check(toolchain, machine)?;
    }
    for model in MODELS {
        wasm::check(toolchain, model)?;
    }
    pictures::check_wasm(toolchain)?;
    for machine in &MACHINES {
        for model in machine.models {
            let there = bench::samples(toolchain, machine, model)?;
            let core = machine.core.name();
            compare(&core, model, &there)?;
            sizes.images(&core, model.feature, &there);
        }
    }
    for (model, limit) in &halves::MODELS {
        let there = halves::samples(toolchain, model, *limit)?;
        compare("two Cortex-M33", model, &there)?;
    }
    halves::check_threads(toolchain)?;
    sizes.outcome()
}

/// Builds every board as its folder is configured.
fn build_all(toolchain: &Toolchain) -> Result<()> {
    for folder in folders()? {
        if folder.join(".cargo/config.toml").is_file() {
            let board = folder.file_name().unwrap_or_default();
            eprintln!("building {}", board.display());
            let mut build = machines::cargo(toolchain, "build", &folder);
            if folder.join("examples").is_dir() {
                build.args(["--bins", "--examples"]);
            }
            process::run(&mut build)?;
        }
    }
    Ok(())
}

/// Checks what the smallest firmware holds on each target, and says what it takes.
fn test_bare(toolchain: &Toolchain, sizes: &mut size::Sample) -> Result<()> {
    let models = [
        ("nano", NANO.path(), Kind::Fast),
        ("every operator", every_operator(), Kind::Small),
        ("two linear layers", perceptron::write()?, Kind::Small),
        ("fashion-upscale", shipped("fashion-upscale"), Kind::Fast),
        (
            "mnist-autoencoder",
            shipped("mnist-autoencoder"),
            Kind::Small,
        ),
    ];
    let builds: BTreeMap<_, &Machine> = MACHINES
        .iter()
        .map(|machine| ((machine.target, machine.feature), machine))
        .collect();
    for machine in builds.values() {
        let core = machine.core.name();
        for (name, blob, kind) in &models {
            let bare = Bare::build(toolchain, machine, blob, *kind)?;
            bare.check_symbols()
                .with_context(|| format!("{name}, {core}"))?;
            match *name {
                "every operator" if machine.target == MPS2_M4.target => bare.check_operators()?,
                "two linear layers" if machine.target == MICROBIT.target => bare.check_linear()?,
                _ => {}
            }
            let code_bytes = bare.code_bytes()?;
            eprintln!("{name}, {core}: the smallest firmware has {code_bytes} bytes of code");
        }
    }
    for machine in footprint::machines() {
        let (core, blob) = (machine.core.name(), NANO.path());
        let measured = Footprint::measure(toolchain, machine, &blob)?;
        footprint::check(&core, NANO.feature, &fs::read(&blob)?, measured)?;
        sizes.footprint(&core, NANO.feature, measured);
        eprintln!("nano, {core}: {} bytes of stack", measured.stack_bytes);
    }
    Ok(())
}

/// The blob of a model in models/.
fn shipped(name: &str) -> PathBuf {
    workspace::root()
        .join("models")
        .join(name)
        .join("model.pgan")
}

/// Holds pictures that were made elsewhere against this machine's.
fn compare(place: &str, model: &Example, there: &[Sample]) -> Result<()> {
    let pictures = there.iter().map(|sample| (sample.class, sample.seed));
    let here = host::pixels_sha256(model.blob, pictures)?;
    for (sample, here) in there.iter().zip(here) {
        ensure!(
            sample.pixels_sha256 == here,
            "{}, class {:?}, seed {}: the pixels' SHA-256 is {} on the {place} and {here} here",
            model.feature,
            sample.class,
            sample.seed,
            sample.pixels_sha256
        );
    }
    eprintln!(
        "{}: the same pixels on the {place} and here, seeds {SEEDS:?}",
        model.feature
    );
    Ok(())
}
