//! The engines that make images from an exported model: the runtime, tract and ONNX Runtime.
//!
//! All take the same latents and give the same layout, so that any two can be compared.

mod ort;
mod runtime;
mod tract;
mod translator;

pub use self::ort::{Arithmetic, OrtEngine, OrtGraph, find_onnx_runtime};
pub use self::runtime::RuntimeEngine;
pub(crate) use self::runtime::spec_shape;
pub use self::tract::{TractEngine, TractGraph};
pub use self::translator::Translator;

use crate::export::onnx::OnnxError;
use crate::spec::Shape;
use pocketgan::{PixelRange, Rng, latent};
use std::path::{Path, PathBuf};

/// The images of `N` latents.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    /// Shape of one image.
    pub shape: Shape,
    /// What the values mean.
    pub range: PixelRange,
    /// `[N, C, H, W]`, each in [-1, 1] (signed range) or [0, 1] (unsigned).
    pub data: Vec<f32>,
}

impl Images {
    /// The images as pixels, `[N, C, H, W]`, by the convention of section 4.1 of the blob format.
    pub fn to_pixels(&self) -> Vec<u8> {
        // The cast rounds towards zero and saturates.
        let pixel = |y: &f32| match self.range {
            PixelRange::Signed => (128.0 * y + 128.5) as u8,
            PixelRange::Unsigned => (256.0 * y + 0.5) as u8,
        };
        self.data.iter().map(pixel).collect()
    }

    /// How many images there are.
    pub fn count(&self) -> usize {
        self.data.len() / self.shape.len().max(1)
    }
}

/// Makes images from latents.
pub trait Engine {
    /// Components of a latent.
    fn latent_size(&self) -> usize;

    /// How many classes the model has; 0 for one without.
    fn classes(&self) -> usize;

    /// Makes one image of each latent in `latents` (`[N, latent size]`, component `q` worth `q / 32`), of its class in
    /// `classes` (`[N]`, none for a model without classes).
    ///
    /// # Errors
    /// [`EngineError::Latents`] for a rest of a latent, [`EngineError::ClassCount`] and [`EngineError::NoSuchClass`]
    /// for classes that do not fit, and whatever the engine reports.
    fn images(&mut self, latents: &[i8], classes: &[u32]) -> Result<Images, EngineError>;
}

/// A graph of float inputs, classes if it takes them, and float outputs.
pub trait Graph: Send {
    /// Runs `N` samples: of each input the numbers, sample after sample, and the extents of a sample; the class of each
    /// sample for a graph that takes classes, and none for another. Gives the numbers of each output.
    ///
    /// # Errors
    /// What the engine says.
    fn outputs(
        &mut self,
        inputs: &[(&[f32], &[usize])],
        classes: &[u32],
    ) -> Result<Vec<Vec<f32>>, EngineError>;
}

/// Which engine makes the images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// The runtime, as on a device, from `model.pgan`.
    #[default]
    Runtime,
    /// tract, from `model.onnx`.
    Tract,
    /// ONNX Runtime, from `model.onnx`; needs its library (`cargo xtask setup`).
    Ort,
}

impl EngineKind {
    /// The file in a run's or a model's folder that the engine runs.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Runtime => crate::export::INT8_BLOB,
            Self::Tract | Self::Ort => crate::export::FLOAT_ONNX,
        }
    }
}

/// Why an engine makes no images.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The model's file cannot be read.
    #[error("cannot read {}: {source}", crate::files::place(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no `.pgan` blob that this version runs.
    #[error("{}: {error}", path.display())]
    Blob {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: pocketgan::Error,
    },
    /// The file is not an ONNX model of ours.
    #[error("{}: {error}", path.display())]
    Onnx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: OnnxError,
    },
    /// A model that reads latents was given pictures.
    #[error("{} makes images of latents, not of pictures: draw some with `trainer sample`", .0.display())]
    ReadsLatents(PathBuf),
    /// A model that reads pictures was given latents.
    #[error("{} makes images of pictures, not of latents: give it some with `trainer translate`", .0.display())]
    ReadsPictures(PathBuf),
    /// A picture has a shape that the model cannot read.
    #[error("{} cannot read a picture of {picture}: {reason}", path.display())]
    Picture {
        /// The model.
        path: PathBuf,
        /// The picture's shape.
        picture: Shape,
        /// What the model reads.
        reason: String,
    },
    /// ONNX Runtime's library is not there or cannot be used.
    #[error("{0}; `cargo xtask setup` installs ONNX Runtime, or set ORT_DYLIB_PATH to its library")]
    Library(String),
    /// The latents are not a whole number of latents of this model.
    #[error("{found} latent components are not a multiple of the model's {latent_size}")]
    Latents {
        /// Components given.
        found: usize,
        /// Components of one latent.
        latent_size: usize,
    },
    /// There are more or fewer classes than images to make of them, or any for a model without classes.
    #[error("{found} classes were given where the model takes {expected}")]
    ClassCount {
        /// Classes given.
        found: usize,
        /// One for each image, or 0 for a model without classes.
        expected: usize,
    },
    /// A class is not one of the model's.
    #[error("there is no class {class}: the model has {classes} classes, counted from 0")]
    NoSuchClass {
        /// The class asked for.
        class: u32,
        /// How many the model has.
        classes: usize,
    },
    /// The engine failed on the model.
    #[error("{engine} cannot run the model: {reason}")]
    Failed {
        /// The engine's name.
        engine: &'static str,
        /// What it says.
        reason: String,
    },
}

/// Opens a model with an engine: a `.pgan` blob with the runtime, an ONNX model of ours with the
/// others.
///
/// # Errors
/// A file that cannot be read or is not the engine's, or a library that is not there.
pub fn open(kind: EngineKind, path: &Path) -> Result<Box<dyn Engine>, EngineError> {
    Ok(match kind {
        EngineKind::Runtime => Box::new(RuntimeEngine::open(path)?),
        EngineKind::Tract => Box::new(TractEngine::open(path)?),
        EngineKind::Ort => Box::new(OrtEngine::open(path, Arithmetic::Optimized)?),
    })
}

/// `[count, latent_size]` latents, those of the images with the seeds `seed`, `seed + 1`, ….
pub fn latents(seed: u64, count: usize, latent_size: usize) -> Vec<i8> {
    let mut latents = vec![0; count * latent_size];
    for (i, one) in latents.chunks_exact_mut(latent_size.max(1)).enumerate() {
        latent::fill(&mut Rng::new(seed.wrapping_add(i as u64)), one);
    }
    latents
}

/// The classes of `count` images of a model with `classes` classes, each in turn; none where it has none.
pub fn classes_in_turn(classes: usize, count: usize) -> Vec<u32> {
    (0..classes as u32).cycle().take(count).collect()
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, EngineError> {
    std::fs::read(path).map_err(|source| EngineError::Read {
        path: path.into(),
        source,
    })
}

pub(crate) fn read_onnx(path: &Path) -> Result<crate::export::onnx::OnnxModel, EngineError> {
    let bytes = read(path)?;
    crate::export::onnx::OnnxModel::read(&bytes).map_err(|error| EngineError::Onnx {
        path: path.into(),
        error,
    })
}

/// Whether there is a model of ours at `path`, ONNX or a blob, that reads pictures.
pub(crate) fn reads_pictures(path: &Path) -> bool {
    if path.extension().is_some_and(|ending| ending == "pgan") {
        return RuntimeEngine::open(path)
            .is_err_and(|error| matches!(error, EngineError::ReadsPictures(_)));
    }
    read_onnx(path).is_ok_and(|model| !model.input.is_flat())
}

/// A model that makes images of latents.
fn read_generator(path: &Path) -> Result<crate::export::onnx::OnnxModel, EngineError> {
    let model = read_onnx(path)?;
    if model.input.is_flat() {
        Ok(model)
    } else {
        Err(EngineError::ReadsPictures(path.into()))
    }
}

/// How many images an engine is asked for, if the latents are whole and the classes fit them.
fn count_of(engine: &impl Engine, latents: &[i8], asked: &[u32]) -> Result<usize, EngineError> {
    let (latent_size, classes) = (engine.latent_size(), engine.classes());
    if latent_size == 0 || !latents.len().is_multiple_of(latent_size) {
        return Err(EngineError::Latents {
            found: latents.len(),
            latent_size,
        });
    }
    let count = latents.len() / latent_size;
    let expected = if classes > 0 { count } else { 0 };
    if asked.len() != expected {
        return Err(EngineError::ClassCount {
            found: asked.len(),
            expected,
        });
    }
    match asked.iter().find(|&&class| class as usize >= classes) {
        Some(&class) => Err(EngineError::NoSuchClass { class, classes }),
        None => Ok(count),
    }
}

fn to_floats(latents: &[i8]) -> Vec<f32> {
    let scale = latent::SCALE;
    latents.iter().map(|&q| f32::from(q) * scale).collect()
}

/// From row, column, channel order to channel, row, column order.
pub fn channels_first<T: Copy>(shape: Shape, values: &[T]) -> Vec<T> {
    let mut planes = Vec::with_capacity(values.len());
    for channel in 0..shape.channels {
        planes.extend(values.iter().skip(channel).step_by(shape.channels));
    }
    planes
}

/// One image from channel, row, column order to row, column, channel order, the device's.
pub fn channels_last<T: Copy>(shape: Shape, values: &[T]) -> Vec<T> {
    let plane = shape.height * shape.width;
    (0..values.len())
        .map(|i| values[i % shape.channels * plane + i / shape.channels])
        .collect()
}
