//! Pictures that go in: enlarged and scored on a machine as here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use pocketgan::{Model, Pixels, Rng, Translator};
use sha2::{Digest, Sha256};

use super::machines::Machine;
use super::wasm;
use crate::bare_metal::Toolchain;
use crate::{process, workspace};

/// How many pictures there are of each kind.
const EACH: usize = 10;

/// Runs the example on a machine and holds what it makes against what this machine makes.
///
/// # Errors
///
/// It cannot be built or run, or makes something else.
pub fn check(toolchain: &Toolchain, machine: &Machine) -> Result<()> {
    let mut run = machine.cargo(toolchain, "run");
    run.args(["--features", "pictures", "--example", "pictures", "--"]);
    let printed = process::output(run.args(machine.options))?;
    compare(&machine.core.name(), &printed, &expected()?)
}

/// Has Node enlarge the same pictures, and score those that are no noise.
///
/// # Errors
///
/// The module cannot be built or run, or makes something else.
pub fn check_wasm(toolchain: &Toolchain) -> Result<()> {
    let mut node = wasm::node(toolchain, "pictures", "pictures.mjs")?;
    let files = ["small.bin", "digits.bin", "clothes.bin"];
    node.args(files.map(path_of));
    let printed = process::output(&mut node)?;
    compare("wasm32", &printed, &expected()?[..3 * EACH])
}

/// Holds what was printed against what is made here.
fn compare(place: &str, printed: &str, expected: &[String]) -> Result<()> {
    ensure!(
        what_was_made(printed) == expected,
        "{place}: the pictures or scores are not those made here:\n{printed}"
    );
    eprintln!("{place}: the same enlarged pictures and the same scores as here");
    Ok(())
}

/// The sums of the enlarged pictures and the scores that were printed.
fn what_was_made(printed: &str) -> Vec<String> {
    let made = printed.lines().filter_map(|line| {
        let sum = line
            .split_once("SHA-256 of the pixels: ")
            .map(|(_, sum)| sum);
        let score = line
            .split_once(": score ")
            .map(|(_, rest)| rest.split_once(';').map_or(rest, |(score, _)| score));
        sum.or(score).map(str::to_owned)
    });
    made.collect()
}

/// What they are here.
fn expected() -> Result<Vec<String>> {
    let mut made = Vec::new();
    let models = workspace::root().join("models");
    let blob = read(&models.join("fashion-upscale/model.pgan"))?;
    let model = Model::parse(&blob)?;
    let mut buffer = vec![0; model.buffer_len()];
    let mut translator = Translator::new(&model, buffer.as_mut_slice())?;
    let mut image = vec![0; model.image_len()];
    for picture in of_file("small.bin", model.picture_len())? {
        translator.translate(&picture, &mut image)?;
        let sum = Sha256::digest(&image);
        made.push(sum.iter().map(|byte| format!("{byte:02x}")).collect());
    }
    let threshold = read(&models.join("mnist-autoencoder/anomaly.json"))?;
    let threshold: serde_json::Value = serde_json::from_slice(&threshold)?;
    let threshold = threshold["threshold"].as_u64().context("no threshold")?;
    let blob = read(&models.join("mnist-autoencoder/model.pgan"))?;
    let model = Model::parse(&blob)?;
    let mut buffer = vec![0; model.buffer_len()];
    let mut translator = Translator::new(&model, buffer.as_mut_slice())?;
    let row_len = model.output().row_len();
    let noise = (0..EACH as u64).map(|seed| {
        let mut rng = Rng::new(seed);
        let pixels = (0..model.picture_len()).map(|_| (rng.next_u32() >> 24) as u8);
        pixels.collect()
    });
    let mut pictures = of_file("digits.bin", model.picture_len())?;
    pictures.extend(of_file("clothes.bin", model.picture_len())?);
    pictures.extend(noise);
    for picture in pictures {
        let score = translator.score(&mut Pixels::new(&picture, row_len))?;
        let verdict = if score > threshold {
            "no digit"
        } else {
            "a digit"
        };
        made.push(format!("{score}, {verdict}"));
    }
    Ok(made)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Where the pictures of the examples are.
fn path_of(name: &str) -> PathBuf {
    workspace::root()
        .join("firmware-examples/shared/pictures")
        .join(name)
}

/// The pictures of a file, each of so many pixels.
fn of_file(name: &str, len: usize) -> Result<Vec<Vec<u8>>> {
    let pixels = read(&path_of(name))?;
    ensure!(pixels.len() == EACH * len, "{name} has another length");
    Ok(pixels.chunks_exact(len).map(<[u8]>::to_vec).collect())
}
