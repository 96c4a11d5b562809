//! The same pictures, made on this machine.

use std::fs;

use anyhow::{Context, Result};
use pocketgan::{Generator, Model};
use sha2::{Digest, Sha256};

use crate::workspace;

/// How many classes the blob at `path`, counted from the root of the workspace, has; 0 for a model
/// without.
///
/// # Errors
///
/// The model cannot be read or is no valid blob.
pub fn classes(path: &str) -> Result<usize> {
    let blob = read(path)?;
    let model = Model::parse(&blob).with_context(|| path.to_owned())?;
    Ok(model.classes())
}

fn read(path: &str) -> Result<Vec<u8>> {
    let path = workspace::root().join(path);
    fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// SHA-256 of the pixels that the blob at `path`, counted from the root of the workspace, gives for
/// each class, if it is to be one, and seed.
///
/// # Errors
///
/// The model cannot be read, is no valid blob or has no such class.
pub fn pixels_sha256(
    path: &str,
    pictures: impl IntoIterator<Item = (Option<usize>, u64)>,
) -> Result<Vec<String>> {
    let blob = read(path)?;
    let model = Model::parse(&blob).with_context(|| path.to_owned())?;
    let mut buffer = vec![0; model.buffer_len()];
    let mut generator = Generator::new(&model, &mut buffer)?;
    let mut pixels = vec![0; model.image_len()];
    let sums = pictures.into_iter().map(|(class, seed)| {
        if let Some(class) = class {
            generator.set_class(class)?;
        }
        generator.sample(seed, &mut pixels)?;
        Ok(Sha256::digest(&pixels)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    });
    sums.collect()
}
