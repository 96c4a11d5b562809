//! The same pictures, made on this machine.

use std::fs;

use anyhow::{Context, Result};
use pocketgan::{Generator, Model};
use sha2::{Digest, Sha256};

use crate::workspace;

/// SHA-256 of the pixels that each seed gives with the shipped model of this size.
///
/// # Errors
///
/// The model cannot be read or is no valid blob.
pub fn pixels_sha256(size: &str, seeds: impl IntoIterator<Item = u64>) -> Result<Vec<String>> {
    let path = workspace::root()
        .join("models")
        .join(format!("fashion-{size}"))
        .join("model.pgan");
    let blob = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let model = Model::parse(&blob).with_context(|| path.display().to_string())?;
    let mut buffer = vec![0; model.buffer_len()];
    let mut generator = Generator::new(&model, &mut buffer)?;
    let mut pixels = vec![0; model.image_len()];
    let sums = seeds.into_iter().map(|seed| {
        generator.sample(seed, &mut pixels)?;
        Ok(Sha256::digest(&pixels)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    });
    sums.collect()
}
