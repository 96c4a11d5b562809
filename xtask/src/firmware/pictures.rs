//! Pictures that go in: enlarged and scored on a machine as here.

use std::fs;

use anyhow::{Context, Result, ensure};
use pocketgan::{Model, Pixels, Rng, Translator};
use sha2::{Digest, Sha256};

use super::machines::Machine;
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
    let core = machine.core.name();
    ensure!(
        what_was_made(&printed) == expected()?,
        "{core}: the pictures or scores are not those made here:\n{printed}"
    );
    eprintln!("{core}: the same enlarged pictures and the same scores as here");
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
            .and_then(|(_, rest)| rest.split_once(';'));
        sum.or(score.map(|(score, _)| score)).map(str::to_owned)
    });
    made.collect()
}

/// What they are here.
fn expected() -> Result<Vec<String>> {
    let mut made = Vec::new();
    let blob = read("models/fashion-upscale/model.pgan")?;
    let model = Model::parse(&blob)?;
    let mut buffer = vec![0; model.buffer_len()];
    let mut translator = Translator::new(&model, buffer.as_mut_slice())?;
    let mut image = vec![0; model.image_len()];
    for picture in of_file("small.bin", model.picture_len())? {
        translator.translate(&picture, &mut image)?;
        let sum = Sha256::digest(&image);
        made.push(sum.iter().map(|byte| format!("{byte:02x}")).collect());
    }
    let threshold = read("models/mnist-autoencoder/anomaly.json")?;
    let threshold: serde_json::Value = serde_json::from_slice(&threshold)?;
    let threshold = threshold["threshold"].as_u64().context("no threshold")?;
    let blob = read("models/mnist-autoencoder/model.pgan")?;
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

fn read(path: &str) -> Result<Vec<u8>> {
    let path = workspace::root().join(path);
    fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The pictures of a file, each of so many pixels.
fn of_file(name: &str, len: usize) -> Result<Vec<Vec<u8>>> {
    let pixels = read(&format!("firmware-examples/shared/pictures/{name}"))?;
    ensure!(pixels.len() == EACH * len, "{name} has another length");
    Ok(pixels.chunks_exact(len).map(<[u8]>::to_vec).collect())
}
