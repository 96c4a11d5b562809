//! `trainer sample`: images from an exported model.

use super::Failure;
use crate::engines::{self, Engine, EngineKind};
use crate::files::{sha256, write_whole};
use crate::report::montage;
use anyhow::Context;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Draw images from an exported model into one PNG file.
///
/// The image of a seed is the same on every machine with the runtime, and the same but for rounding
/// with the other engines.
#[derive(Debug, clap::Args)]
pub struct SampleArgs {
    /// A run's folder (its newest checkpoint while it has no exported model), a model's folder in
    /// models/, or a file: .pgan for the runtime, .onnx for the others.
    model: PathBuf,
    /// What runs the model.
    #[arg(long, value_enum, default_value_t)]
    engine: EngineKind,
    /// How many images.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    count: u32,
    /// Seed of the first image; the others follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Images in a row.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    columns: u32,
    /// The PNG file to write; what was there is replaced.
    #[arg(short, long, value_name = "FILE", default_value = "samples.png")]
    output: PathBuf,
    /// Print one JSON object, with the SHA-256 of each image's pixels.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Sampled {
    model: PathBuf,
    engine: EngineKind,
    output: PathBuf,
    channels: usize,
    height: usize,
    width: usize,
    images: Vec<Sample>,
}

#[derive(Serialize)]
struct Sample {
    seed: u64,
    /// Of the pixels in the device's order: row, column, channel.
    pixels_sha256: String,
}

/// The engine on a file, on a folder's exported model, or on the newest checkpoint of a run that has not been
/// exported yet; and the path of that.
pub(super) fn open(model: &Path, kind: EngineKind) -> Result<(PathBuf, Box<dyn Engine>), Failure> {
    let exported = match model.is_dir() {
        true => model.join(kind.file_name()),
        false => model.to_owned(),
    };
    if exported.exists() || !model.join("checkpoints").is_dir() {
        let engine = engines::open(kind, &exported)?;
        return Ok((exported, engine));
    }
    let found = super::export::checkpoint(model, false)?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    super::export::export_to(&found, folder.path())?;
    let engine = engines::open(kind, &folder.path().join(kind.file_name()))?;
    Ok((found.path, engine))
}

pub fn run(args: SampleArgs) -> Result<(), Failure> {
    let (path, mut engine) = open(&args.model, args.engine)?;
    let count = args.count as usize;
    let latents = engines::latents(args.seed, count, engine.latent_size());
    let images = engine.images(&latents)?;
    let shape = images.shape;
    let pixels = images.to_pixels();
    let png = montage(&pixels, shape, args.columns as usize).context("cannot encode the images")?;
    write_whole(&args.output, &png).map_err(|error| {
        Failure::Input(format!("cannot write {}: {error}", args.output.display()))
    })?;
    if !args.json {
        say!(
            "{count} images from {}: {}",
            path.display(),
            args.output.display()
        );
        return Ok(());
    }
    let images = pixels.chunks_exact(shape.len()).zip(0..);
    super::print_json(&Sampled {
        model: path,
        engine: args.engine,
        output: args.output,
        channels: shape.channels,
        height: shape.height,
        width: shape.width,
        images: images
            .map(|(pixels, i)| Sample {
                seed: args.seed.wrapping_add(i),
                pixels_sha256: sha256(&engines::channels_last(shape, pixels)),
            })
            .collect(),
    })
}
