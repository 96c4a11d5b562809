//! The model that is scored: where it is, what it learned, and its images.

use crate::cli::Failure;
use crate::cli::data_flags::{DataFlags, old_split_rule};
use crate::cli::export::{checkpoint, export_to};
use crate::cli::pixels::PixelModel;
use crate::data::Fingerprint;
use crate::engines::{self, EngineError, EngineKind};
use crate::export::quantize::Calibration;
use crate::export::{FLOAT_BLOB, FLOAT_ONNX, INT8_BLOB};
use crate::files::place;
use crate::spec::Shape;
use anyhow::Context;
use clap::ValueEnum;
use pocketgan::Model;
use rayon::prelude::*;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Seed of the first image; the others follow.
const FIRST_SEED: u64 = 1;
/// Images that an engine is asked for at a time.
const AT_ONCE: usize = 250;

/// The forms that a trained generator is exported in, each run by the engine that is always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// The f32 blob, by the runtime: the model as it was trained.
    Float,
    /// The float ONNX file, by tract.
    Onnx,
    /// The int8 blob, by the runtime: what a device draws.
    Int8,
}

impl Form {
    pub fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Onnx => "onnx",
            Self::Int8 => "int8",
        }
    }

    fn file_name(self) -> &'static str {
        match self {
            Self::Float => FLOAT_BLOB,
            Self::Onnx => FLOAT_ONNX,
            Self::Int8 => INT8_BLOB,
        }
    }

    fn engine(self) -> EngineKind {
        match self {
            Self::Float | Self::Int8 => EngineKind::Runtime,
            Self::Onnx => EngineKind::Tract,
        }
    }

    /// The form of a file on its own.
    fn of_file(path: &Path) -> Result<Self, Failure> {
        if path
            .extension()
            .is_some_and(|extension| extension == "onnx")
        {
            return Ok(Self::Onnx);
        }
        let bytes = engines::read(path)?;
        let model = Model::parse(&bytes).map_err(|error| EngineError::Blob {
            path: path.into(),
            error,
        })?;
        Ok(match model.numbers() {
            pocketgan::Numbers::Float => Self::Float,
            _ => Self::Int8,
        })
    }
}

/// A model to score.
pub(super) struct Subject {
    /// Where it draws pixel by pixel.
    pub pixels: Option<PixelModel>,
    /// The files of its forms, a folder's or a single file.
    place: PathBuf,
    /// Holds what was exported for this alone.
    _exported: Option<TempDir>,
    pub forms: Vec<Form>,
    pub known: Known,
}

impl Subject {
    /// Finds a model and what is known of it, in some forms or, where none is named, in all that it can have.
    ///
    /// # Errors
    /// No such model; a file in another form than those named.
    pub fn open(model: &Path, forms: &[Form]) -> Result<Self, Failure> {
        if let Some(pixels) = PixelModel::find(model)? {
            return Self::of_pixels(model, pixels, forms);
        }
        if !model.is_dir() {
            return Self::of_file(model, forms);
        }
        let named = forms;
        let mut forms = match named {
            [] => Form::value_variants().to_vec(),
            named => named.to_vec(),
        };
        let known = Known::of(model)?;
        let exported = forms
            .iter()
            .all(|form| model.join(form.file_name()).exists());
        let (place, exported) = if exported || !model.join("checkpoints").is_dir() {
            (model.to_owned(), None)
        } else {
            let found = checkpoint(model, false)?;
            let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
            let exported = export_to(&found, None, Calibration::default(), folder.path())?;
            if let Err(error) = exported.device {
                if named.contains(&Form::Int8) {
                    return Err(Failure::Input(error.to_string()));
                }
                tell!("{error}: int8 is left out");
                forms.retain(|&form| form != Form::Int8);
            }
            (folder.path().to_owned(), Some(folder))
        };
        Ok(Self {
            pixels: None,
            place,
            _exported: exported,
            forms,
            known,
        })
    }

    /// A model that draws pixel by pixel has one form.
    fn of_pixels(model: &Path, pixels: PixelModel, forms: &[Form]) -> Result<Self, Failure> {
        if forms.iter().any(|&form| form != Form::Float) {
            return Err(Failure::Input(format!(
                "{} draws pixel by pixel, and has the form float alone: leave --engine out",
                pixels.path.display()
            )));
        }
        let folder = if model.is_dir() {
            model
        } else {
            model.parent().unwrap_or(Path::new(""))
        };
        Ok(Self {
            place: pixels.path.clone(),
            pixels: Some(pixels),
            _exported: None,
            forms: vec![Form::Float],
            known: Known::of(folder)?,
        })
    }

    fn of_file(file: &Path, forms: &[Form]) -> Result<Self, Failure> {
        let form = Form::of_file(file)?;
        if let Some(other) = forms.iter().find(|&&named| named != form) {
            return Err(Failure::Input(format!(
                "{} is the {} form of a model, not the {}: name its folder, or leave --engine out",
                file.display(),
                form.name(),
                other.name()
            )));
        }
        Ok(Self {
            pixels: None,
            place: file.to_owned(),
            _exported: None,
            forms: vec![form],
            // Its folder may be anything.
            known: Known::of(file.parent().unwrap_or(Path::new(""))).unwrap_or_default(),
        })
    }

    /// The images of the seeds 1 to `count`, of each class in turn if the model has classes, as pixels `(N, C, H, W)`,
    /// and their shape.
    ///
    /// # Errors
    /// A file that cannot be read or is not the form's; the engine's.
    pub fn draw(&self, form: Form, count: usize) -> Result<(Vec<u8>, Shape), Failure> {
        if let Some(model) = &self.pixels {
            let classes = engines::classes_in_turn(model.classes(), count);
            return Ok((model.draw(FIRST_SEED, count, &classes), model.shape()));
        }
        let path = if self.place.is_dir() {
            self.place.join(form.file_name())
        } else {
            self.place.clone()
        };
        let parts: Vec<usize> = (0..count).step_by(AT_ONCE).collect();
        let drawn: Result<Vec<(Vec<u8>, Shape)>, EngineError> = parts
            .into_par_iter()
            .map(|first| draw(form, &path, first, AT_ONCE.min(count - first)))
            .collect();
        let drawn = drawn?;
        let shape = drawn
            .first()
            .map_or(Shape::features(0), |(_, shape)| *shape);
        let pixels = drawn.into_iter().flat_map(|(pixels, _)| pixels);
        Ok((pixels.collect(), shape))
    }
}

/// `count` images from the one with the number `first` on, by an engine of their own.
fn draw(
    form: Form,
    path: &Path,
    first: usize,
    count: usize,
) -> Result<(Vec<u8>, Shape), EngineError> {
    let mut engine = engines::open(form.engine(), path)?;
    let seed = FIRST_SEED + first as u64;
    let latents = engines::latents(seed, count, engine.latent_size());
    let mut classes = engines::classes_in_turn(engine.classes(), first + count);
    let images = engine.images(&latents, &classes.split_off(first.min(classes.len())))?;
    Ok((images.to_pixels(), images.shape))
}

/// What a run's folder says of its model and of the data that it learned.
#[derive(Default, Deserialize)]
pub(super) struct Known {
    pub dataset: Option<String>,
    pub recipe: Option<String>,
    pub fingerprint: Option<Fingerprint>,
    #[serde(flatten)]
    pub data: DataFlags,
}

impl Known {
    /// From config.toml, or else summary.json; a folder that has neither says nothing.
    fn of(folder: &Path) -> Result<Self, Failure> {
        if let Some((path, text)) = read(&folder.join("config.toml"))? {
            let mut known: Self = toml::from_str(&text).map_err(|_| unreadable(&path))?;
            let old = || old_split_rule(known.dataset.as_deref());
            known.data.split_rule = known.data.split_rule.or_else(old);
            return Ok(known);
        }
        match read(&folder.join("summary.json"))? {
            Some((path, text)) => serde_json::from_str(&text).map_err(|_| unreadable(&path)),
            None => Ok(Self::default()),
        }
    }
}

/// A file's text, `None` where it is not there.
fn read(path: &Path) -> Result<Option<(PathBuf, String)>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::Input(format!(
            "cannot read {}: {error}",
            place(path)
        ))),
    }
}

fn unreadable(path: &Path) -> Failure {
    Failure::Input(format!(
        "{} cannot be understood: correct it, or name a file of the model and --dataset",
        path.display()
    ))
}
