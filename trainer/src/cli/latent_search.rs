//! What `trainer project` and `trainer inpaint` share: the model whose latents are searched, and the pictures.

use super::{Failure, export, sample};
use crate::data::{Dataset, Picture};
use crate::engines::{self, EngineKind};
use crate::export::quantize::Calibration;
use crate::export::{FLOAT_BLOB, INT8_BLOB};
use crate::metrics::FidCls;
use crate::projection::{ProjectionError, Search, Settings};
use crate::spec::Shape;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// How latents are looked for.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SearchFlags {
    /// Latents to start from; of a model with classes, so many of each.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    starts: u16,
    /// Steps down the gradient; only the best starts go all the way.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    steps: u32,
    /// Weight of the distance of the features of the data set's classifier beside that of pixels; without effect where
    /// the trainer carries no classifier.
    #[arg(long, value_name = "WEIGHT", default_value_t = 0.1)]
    feature_weight: f64,
    /// Seed of the starts.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads to compute with.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: u16,
    /// Scale the largest square in the middle of each picture to the size of the model's images.
    #[arg(long)]
    resize: bool,
}

impl SearchFlags {
    /// # Errors
    /// A weight out of range.
    pub fn settings(&self) -> Result<Settings, Failure> {
        if !(0.0..=1e6).contains(&self.feature_weight) {
            let sentence = "--feature-weight must be from 0 to 1000000";
            return Err(Failure::Input(sentence.into()));
        }
        Ok(Settings {
            starts: self.starts.into(),
            steps: self.steps,
            feature_weight: self.feature_weight,
            seed: self.seed,
        })
    }

    /// The pixels of a picture that has the shape of a model's images.
    ///
    /// # Errors
    /// A picture that cannot be read, or has another shape.
    pub fn read(&self, picture: &Picture, shape: Shape) -> Result<Vec<u8>, Failure> {
        let side = self.resize.then_some(shape.height);
        let (pixels, found) = picture.read(shape.channels, side)?;
        if found == shape {
            return Ok(pixels);
        }
        let advice = if self.resize { "" } else { ": add --resize" };
        Err(Failure::Input(format!(
            "{} is {found}, and the model makes images of {shape}{advice}",
            picture.path.display()
        )))
    }
}

/// What a run says of its data.
#[derive(Deserialize)]
struct Known {
    dataset: Option<String>,
}

/// The data set that a folder's run learned, where it says so.
fn dataset(folder: &Path) -> Option<Dataset> {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    let config = read("config.toml").and_then(|text| toml::from_str::<Known>(&text).ok());
    let known = config.or_else(|| serde_json::from_str(&read("summary.json")?).ok());
    known?.dataset?.parse().ok()
}

/// Opens a model's folder, or a run that has not been exported yet, to search its latents; gives its path too.
///
/// # Errors
/// A folder without such a model.
pub(super) fn open(model: &Path) -> Result<(PathBuf, Search), Failure> {
    if !model.is_dir() {
        return Err(Failure::Input(format!(
            "{} is no folder of a run or a model",
            model.display()
        )));
    }
    // Refuses what makes images of pictures.
    let (path, _) = sample::open(model, EngineKind::Runtime)?;
    let exported = [FLOAT_BLOB, INT8_BLOB].map(|name| model.join(name));
    let temporary;
    let files = if exported.iter().all(|file| file.exists()) {
        exported
    } else {
        let found = export::checkpoint(model, false)?;
        temporary = export::temporary_folder()?;
        export::export_to(&found, None, Calibration::default(), temporary.path())?;
        [FLOAT_BLOB, INT8_BLOB].map(|name| temporary.path().join(name))
    };
    let [float, device] = files.map(|file| engines::read(&file));
    let features = match dataset(model) {
        Some(dataset) => FidCls::new(&dataset).map_err(anyhow::Error::from)?,
        None => None,
    };
    let features = features.map_or_else(Vec::new, FidCls::into_body);
    Ok((path, Search::new(float?, device?, features)?))
}

impl From<ProjectionError> for Failure {
    fn from(error: ProjectionError) -> Self {
        match error {
            ProjectionError::Engine(error) => error.into(),
            error => Self::Run(error.into()),
        }
    }
}
