//! The runtime as an engine.

use super::{Engine, EngineError, Images, channels_first, count_of};
use crate::spec::Shape;
use pocketgan::{Generator, Model};
use std::path::Path;

/// Runs a `.pgan` blob with the kernels that a device runs.
#[derive(Debug)]
pub struct RuntimeEngine {
    blob: Vec<u8>,
    buffer: Vec<u32>,
    latent_size: usize,
    classes: usize,
}

impl RuntimeEngine {
    /// Opens a blob.
    ///
    /// # Errors
    /// A file that cannot be read or is no blob that this version runs.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        Self::new(super::read(path)?).map_err(|error| match error {
            pocketgan::Error::ReadsPictures => EngineError::ReadsPictures(path.into()),
            error => EngineError::Blob {
                path: path.into(),
                error,
            },
        })
    }

    /// An engine for the bytes of a blob.
    ///
    /// # Errors
    /// What is wrong with the blob; that it reads pictures.
    pub fn new(blob: Vec<u8>) -> Result<Self, pocketgan::Error> {
        let model = Model::parse(&blob)?;
        if model.picture().is_some() {
            return Err(pocketgan::Error::ReadsPictures);
        }
        Ok(Self {
            buffer: vec![0; model.buffer_len()],
            latent_size: model.latent_size(),
            classes: model.classes(),
            blob,
        })
    }

    /// The parsed blob.
    ///
    /// # Errors
    /// None: the blob has been parsed before.
    pub fn model(&self) -> Result<Model<'_>, EngineError> {
        Model::parse(&self.blob).map_err(failed)
    }
}

impl Engine for RuntimeEngine {
    fn latent_size(&self) -> usize {
        self.latent_size
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn images(&mut self, latents: &[i8], classes: &[u32]) -> Result<Images, EngineError> {
        let count = count_of(self, latents, classes)?;
        let model = Model::parse(&self.blob).map_err(failed)?;
        let mut generator = Generator::new(&model, &mut self.buffer).map_err(failed)?;
        let shape = spec_shape(model.output());
        let mut image = vec![0.0; shape.len()];
        let mut data = Vec::with_capacity(count * shape.len());
        for (i, latent) in latents.chunks_exact(self.latent_size).enumerate() {
            if let Some(&class) = classes.get(i) {
                generator.set_class(class as usize).map_err(failed)?;
            }
            generator.values_into(latent, &mut image).map_err(failed)?;
            data.extend(channels_first(shape, &image));
        }
        Ok(Images {
            shape,
            range: model.range(),
            data,
        })
    }
}

/// The shape in the order of [`crate::spec`].
pub(crate) fn spec_shape(shape: pocketgan::Shape) -> Shape {
    Shape::new(shape.channels, shape.height, shape.width)
}

pub(super) fn failed(error: pocketgan::Error) -> EngineError {
    EngineError::Failed {
        engine: "the runtime",
        reason: error.to_string(),
    }
}
