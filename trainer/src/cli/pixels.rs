//! Models that draw pixel by pixel: where they are found.

use super::{Failure, export};
use crate::engines::{self, EngineError};
use crate::export::{FLOAT_ONNX, PIXEL_MODEL};
use crate::parameters::Parameters;
use crate::pixelcnn::{self, Levels, Sampler};
use crate::spec::{Network, Shape};
use std::path::{Path, PathBuf};

/// A network that draws pixel by pixel, and its file or checkpoint.
pub(super) struct PixelModel {
    pub path: PathBuf,
    pub network: Network,
    pub parameters: Parameters,
    pub levels: Levels,
    sampler: Sampler,
}

impl PixelModel {
    /// Of a file, a folder that holds it, or the newest checkpoint of a run that has not been exported yet. `None`
    /// where there is another kind of model, or nothing.
    ///
    /// # Errors
    /// A file or a checkpoint that cannot be used.
    pub fn find(model: &Path) -> Result<Option<Self>, Failure> {
        let is_file = |path: &Path| path.file_name().is_some_and(|name| name == PIXEL_MODEL);
        let path = if model.is_dir() {
            model.join(PIXEL_MODEL)
        } else {
            model.to_owned()
        };
        if is_file(&path) && path.exists() {
            let bytes = engines::read(&path)?;
            let (network, parameters) = pixelcnn::decode(&bytes)
                .map_err(|error| Failure::Input(format!("{}: {error}", path.display())))?;
            return Self::new(path, network, parameters).map(Some);
        }
        if !model.join("checkpoints").is_dir() || model.join(FLOAT_ONNX).exists() {
            return Ok(None);
        }
        let found = export::checkpoint(model, false)?;
        let (network, parameters) = export::generator(&found)?;
        if !network.draws_pixels() {
            return Ok(None);
        }
        let (network, parameters) = (network.clone(), parameters.clone());
        Self::new(found.path, network, parameters).map(Some)
    }

    /// Refuses such a model where a command is for others.
    ///
    /// # Errors
    /// One that draws pixel by pixel.
    pub fn refuse(model: &Path, what: &str) -> Result<(), Failure> {
        match Self::find(model)? {
            Some(found) => Err(Failure::Input(format!(
                "{} draws pixel by pixel, and {what}",
                found.path.display()
            ))),
            None => Ok(()),
        }
    }

    fn new(path: PathBuf, network: Network, parameters: Parameters) -> Result<Self, Failure> {
        let refused = |error| Failure::Input(format!("{}: {error}", path.display()));
        let levels = Levels::of(&network).map_err(refused)?;
        let sampler = Sampler::new(&network, &parameters, levels).map_err(refused)?;
        Ok(Self {
            path,
            network,
            parameters,
            levels,
            sampler,
        })
    }

    /// The shape of its pictures.
    pub fn shape(&self) -> Shape {
        self.network.input
    }

    /// How many classes it is told; 0 for none.
    pub fn classes(&self) -> usize {
        self.network.classes().unwrap_or(0)
    }

    /// The pixels of the pictures of the seeds from `seed` on, `(N, 1, H, W)`, of these classes, or none.
    pub fn draw(&self, seed: u64, count: usize, classes: &[u32]) -> Vec<u8> {
        self.sampler.draw(seed, count, classes)
    }

    /// The pixels of a picture whose known levels are kept, `(1, H, W)`.
    pub fn complete(&self, seed: u64, class: Option<u32>, known: &[Option<u8>]) -> Vec<u8> {
        let levels = self.sampler.sample(seed, class, known);
        levels
            .iter()
            .map(|&level| self.levels.pixel(level))
            .collect()
    }

    /// The float ONNX file of the same network.
    ///
    /// # Errors
    /// A network that has none.
    pub fn onnx(&self) -> Result<Vec<u8>, EngineError> {
        let model = crate::export::onnx::pixel_model(&self.network, &self.parameters);
        model.map_err(|error| EngineError::Failed {
            engine: "the exporter",
            reason: error.to_string(),
        })
    }
}
