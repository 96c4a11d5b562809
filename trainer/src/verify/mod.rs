//! Verification: an exported model in the runtime against the same model in tract and ONNX Runtime.
//!
//! The float blob must give what the float ONNX model gives. Each layer of the int8 blob must give what the same layer
//! of its QDQ twin gives, rounded to quanta; of the whole network, where a number that rounds to the other side grows
//! on its way, the pixels must be the twin's on average. The runtime's fast kernels must give the bits of its reference
//! kernels.
//!
//! Where ONNX Runtime is missing, tract runs the QDQ model in its place.

mod differences;
mod floats;
mod pictures;
mod pixels;
mod quanta;
pub mod reference;
mod twin;

pub use differences::{Comparison, QuantaDifferences};
pub use pictures::verify_pictures;
pub use pixels::verify_pixels;
pub use quanta::quanta_of;
pub use twin::{Expected, LayerTwin, NetworkTwin, Referee};

use crate::engines::{
    EngineError, channels_last, find_onnx_runtime, latents, read, read_onnx, spec_shape,
};
use crate::export::onnx::{OnnxError, OnnxModel};
use crate::export::{FLOAT_BLOB, FLOAT_ONNX, INT8_BLOB, INT8_ONNX};
use crate::samples::from_pixels;
use crate::spec::Shape;
use floats::Floats;
use pictures::{at_most, drawn};
use pocketgan::{Model, latent};
use quanta::Quanta;
use std::path::Path;

/// Inputs in flight at once.
const BATCH: usize = 32;

/// The four files of an exported model.
#[derive(Clone, Debug)]
pub struct ExportedModel {
    /// The float ONNX model.
    pub float_onnx: OnnxModel,
    /// The int8 ONNX model, in the QDQ form.
    pub int8_onnx: OnnxModel,
    /// The bytes of the f32 blob.
    pub float_blob: Vec<u8>,
    /// The bytes of the int8 blob.
    pub int8_blob: Vec<u8>,
}

impl ExportedModel {
    /// Reads the four files of a run's or a model's folder.
    ///
    /// # Errors
    /// The first file that cannot be read or is not what its name says.
    pub fn read(folder: &Path) -> Result<Self, EngineError> {
        let blob = |name| {
            let path = folder.join(name);
            let bytes = read(&path)?;
            match Model::parse(&bytes) {
                Ok(_) => Ok(bytes),
                Err(error) => Err(EngineError::Blob { path, error }),
            }
        };
        Ok(Self {
            float_onnx: read_onnx(&folder.join(FLOAT_ONNX))?,
            int8_onnx: read_onnx(&folder.join(INT8_ONNX))?,
            float_blob: blob(FLOAT_BLOB)?,
            int8_blob: blob(INT8_BLOB)?,
        })
    }
}

/// Why a model could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// An engine makes no images.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A blob is refused.
    #[error(transparent)]
    Blob(#[from] pocketgan::Error),
    /// The ONNX model lacks a layer.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The files have different sizes of latents, images or networks.
    #[error("the four files are not of one model: export it again")]
    Mismatched,
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// How many latents, or pictures, the engines were compared on.
    pub count: usize,
    /// Why ONNX Runtime took no part, if it did not.
    pub without_onnx_runtime: Option<String>,
    /// What was compared.
    pub comparisons: Vec<Comparison>,
}

impl Verification {
    /// The comparisons that are out of bounds.
    pub fn failures(&self) -> Vec<&Comparison> {
        let comparisons = self.comparisons.iter();
        comparisons.filter(|c| !c.passes()).collect()
    }
}

/// Some of the inputs that the engines are compared on.
enum Batch {
    Latents {
        latent_size: usize,
        latents: Vec<i8>,
        /// That of each, if the model has classes.
        classes: Vec<u32>,
    },
    Pictures {
        shape: Shape,
        /// `(N, C, H, W)`.
        pixels: Vec<u8>,
    },
}

/// One of them.
#[derive(Clone, Copy)]
enum Input<'b> {
    Latent(&'b [i8]),
    Picture(Shape, &'b [u8]),
}

impl Input<'_> {
    /// What `model` reads, ordered row, column, channel.
    fn values(self, model: &Model<'_>) -> Vec<f32> {
        match self {
            Self::Latent(latent) => {
                let values = latent.iter().map(|&q| f32::from(q) * latent::SCALE);
                values.collect()
            }
            Self::Picture(shape, pixels) => {
                let pixels = channels_last(shape, pixels);
                pixels.iter().map(|&p| model.pixel_value(p)).collect()
            }
        }
    }

    /// The same in quanta.
    fn quanta(self, model: &Model<'_>) -> Vec<i16> {
        match self {
            Self::Latent(latent) => latent.iter().map(|&q| q.into()).collect(),
            Self::Picture(..) => {
                let scale = model.input_scale();
                let values = self.values(model).into_iter();
                values.map(|value| (value / scale).round() as i16).collect()
            }
        }
    }
}

impl Batch {
    /// Latents `start` to `start + count` of those that begin with seed `seed`, each class of `model` in turn; of a
    /// model that reads pictures, so many of these.
    fn new(model: &Model<'_>, seed: u64, start: usize, count: usize) -> Self {
        if let Some(shape) = model.picture().map(spec_shape) {
            let pixels = (start..start + count).flat_map(|i| drawn(seed, i as u32, shape));
            return Self::Pictures {
                shape,
                pixels: pixels.collect(),
            };
        }
        let latent_size = model.latent_size();
        let class = |i: usize| Some(i.checked_rem(model.classes())? as u32);
        Self::Latents {
            latent_size,
            latents: latents(seed.wrapping_add(start as u64), count, latent_size),
            classes: (start..start + count).filter_map(class).collect(),
        }
    }

    /// The classes of latents that have some.
    fn classes(&self) -> &[u32] {
        match self {
            Self::Latents { classes, .. } => classes,
            Self::Pictures { .. } => &[],
        }
    }

    /// The numbers of all, as ONNX models read them.
    fn values(&self) -> Vec<f32> {
        match self {
            Self::Latents { latents, .. } => {
                let values = latents.iter().map(|&q| f32::from(q) * latent::SCALE);
                values.collect()
            }
            Self::Pictures { pixels, .. } => from_pixels(pixels),
        }
    }

    /// Each input, with `model` as it is for its class.
    fn each<'a, 'b>(
        &'b self,
        model: &Model<'a>,
    ) -> Result<Vec<(Input<'b>, Model<'a>)>, pocketgan::Error> {
        let inputs: Vec<Input<'b>> = match self {
            Self::Latents {
                latent_size,
                latents,
                ..
            } => {
                let latents = latents.chunks_exact(*latent_size);
                latents.map(Input::Latent).collect()
            }
            Self::Pictures { shape, pixels } => {
                let pictures = pixels.chunks_exact(shape.len());
                pictures
                    .map(|picture| Input::Picture(*shape, picture))
                    .collect()
            }
        };
        let each = inputs.into_iter().enumerate().map(|(i, input)| {
            let model = match self.classes().get(i) {
                Some(&class) => model.of_class(class as usize)?,
                None => *model,
            };
            Ok((input, model))
        });
        each.collect()
    }
}

/// Compares the engines on `count` latents, those of the seeds `seed`, `seed + 1`, …, each class in turn; on more if
/// there are more classes. A model that reads pictures is compared on pictures drawn from the seed instead; on fewer if
/// they are large. Tells `progress` how many are done, and how many there are. tract takes ONNX Runtime's place where
/// that is missing.
///
/// # Errors
/// Files that are not of one model, and whatever keeps an engine from running.
pub fn verify(
    model: &ExportedModel,
    seed: u64,
    count: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Verification, VerifyError> {
    let (referee, missing) = match find_onnx_runtime() {
        Ok(()) => (Referee::OnnxRuntime, None),
        Err(error) => (Referee::Tract, Some(error.to_string())),
    };
    let found = verify_by(referee, model, seed, count, progress)?;
    Ok(Verification {
        without_onnx_runtime: missing,
        ..found
    })
}

/// As [`verify`], with the engine that is to run the int8 ONNX model.
///
/// # Errors
/// As [`verify`], and a missing ONNX Runtime if it is the referee.
pub fn verify_by(
    referee: Referee,
    model: &ExportedModel,
    seed: u64,
    count: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Verification, VerifyError> {
    let float = Model::parse(&model.float_blob)?;
    let int8 = Model::parse(&model.int8_blob)?;
    check_facts(model, &float, &int8)?;
    let count = match int8.picture() {
        Some(picture) => at_most(count, spec_shape(picture)),
        None => count.max(int8.classes()),
    };
    let mut floats = Floats::new(model, float, referee)?;
    let mut quanta = Quanta::new(model, int8, referee)?;
    for start in (0..count).step_by(BATCH) {
        let batch = Batch::new(&int8, seed, start, BATCH.min(count - start));
        let (first, second) = rayon::join(|| floats.add(&batch), || quanta.add(&batch));
        first.and(second)?;
        progress((start + BATCH).min(count), count);
    }
    let mut comparisons = floats.comparisons();
    comparisons.extend(quanta.comparisons());
    Ok(Verification {
        count,
        without_onnx_runtime: None,
        comparisons,
    })
}

/// Checks that the four files have the same sizes.
fn check_facts(
    model: &ExportedModel,
    float: &Model<'_>,
    int8: &Model<'_>,
) -> Result<(), VerifyError> {
    let of_blob = |blob: &Model<'_>| {
        let latent = Shape::features(blob.latent_size());
        let input = blob.picture().map_or(latent, spec_shape);
        let output = spec_shape(blob.output());
        (input, blob.classes(), output, blob.range())
    };
    let of_onnx = |onnx: &OnnxModel| (onnx.input, onnx.classes, onnx.output, onnx.range);
    let facts = of_blob(int8);
    // The int8 network can have more layers than the float one.
    let same = of_blob(float) == facts
        && of_onnx(&model.float_onnx) == facts
        && of_onnx(&model.int8_onnx) == facts
        && float.layer_count() == model.float_onnx.layers
        && int8.layer_count() == model.int8_onnx.layers
        && float.numbers() == pocketgan::Numbers::Float
        && int8.numbers() != pocketgan::Numbers::Float;
    if same {
        Ok(())
    } else {
        Err(VerifyError::Mismatched)
    }
}
