//! Export: a trained network as ONNX files and `.pgan` blobs.
//!
//! [`fold`] makes the runtime's layers of a network, [`quantize`] its int8 form, [`onnx`] and
//! [`blob`] write both, and [`export`] does it all.

pub mod blob;
mod device;
pub mod fold;
mod forward;
pub mod onnx;
pub mod quantize;
mod scales;
mod unfold;

pub use device::{DeviceCost, DevicePlan, Kept, NoDevice, device_plan};

use crate::files::{self, Target, write_aside};
use crate::parameters::Parameters;
use crate::pixelcnn::{self, Levels, SamplerError};
use crate::spec::Network;
use fold::{FoldError, Folded};
use pocketgan::Model;
use pocketgan::blob::writer::WriteError;
use quantize::{Calibration, Quantized, Weights};
use std::path::{Path, PathBuf};

/// The float ONNX model's file name.
pub const FLOAT_ONNX: &str = "model.onnx";
/// The file name of the int8 (QDQ) ONNX model.
pub const INT8_ONNX: &str = "model-int8.onnx";
/// The int8 blob's file name.
pub const INT8_BLOB: &str = "model.pgan";
/// The f32 blob's file name.
pub const FLOAT_BLOB: &str = "model-f32.pgan";

/// The file name of the float ONNX model that goes back, of a translation without pairs.
pub const BACK_ONNX: &str = "back.onnx";
/// The file name of the float ONNX model of an encoder: of an autoencoder to its latent, of a variational one to the
/// means and then the log-variances of its latent.
pub const ENCODER_ONNX: &str = "encoder.onnx";
/// The file name of a network that draws pixel by pixel.
pub const PIXEL_MODEL: &str = "model.safetensors";
/// The file name of the int8 blob that makes a picture of itself, by which anomalies are found.
pub const RECONSTRUCTION_BLOB: &str = "reconstruction.pgan";

/// What an export wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The files and their bytes: [`FLOAT_ONNX`] and [`FLOAT_BLOB`], then [`INT8_ONNX`] and [`INT8_BLOB`] where the
    /// network could be quantized. Of a network that reads pictures and that no device runs, [`FLOAT_ONNX`] alone.
    pub files: Vec<(PathBuf, usize)>,
    /// Multiply-accumulates of one image.
    pub macs: u64,
    /// What the int8 blob takes of a device, or why there is none.
    pub device: Result<DeviceCost, NoDevice>,
}

/// Why a network has no int8 form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the network cannot be quantized: {error}{}", place(.layer))]
pub struct QuantizeError {
    /// What the layer is, where it is one.
    layer: Option<String>,
    error: WriteError,
}

fn place(layer: &Option<String>) -> String {
    layer
        .as_ref()
        .map_or_else(String::new, |layer| format!(" ({layer})"))
}

impl QuantizeError {
    fn new(quantized: &Quantized, error: WriteError) -> Self {
        let layer = error.layer().and_then(|layer| quantized.layers.get(layer));
        Self {
            layer: layer.map(|layer| format!("{}, output {}", layer.operator.name(), layer.output)),
            error,
        }
    }
}

/// Why a network was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The runtime cannot run the network.
    #[error("the network cannot be exported: {0}")]
    Fold(#[from] FoldError),
    /// The blob's format has no room for the network.
    #[error("the network cannot be exported: {0}")]
    Blob(#[from] WriteError),
    /// A layer cannot be quantized.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// The network draws no pictures pixel by pixel.
    #[error("the network cannot be exported: {0}")]
    Pixels(#[from] SamplerError),
    /// A file could not be encoded.
    #[error("the network cannot be exported: {0}")]
    Encode(#[from] pixelcnn::EncodeError),
    /// The blob's format has no instance normalization.
    #[error("it normalizes each image by itself (instance normalization)")]
    InstanceNorm,
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A network in every form that it is exported in.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// The float ONNX model.
    pub float_onnx: Vec<u8>,
    /// The int8 ONNX model, in the QDQ form; its weights are as fine as was asked for.
    pub int8_onnx: Vec<u8>,
    /// The int8 blob, or the int4 one.
    pub int8_blob: Vec<u8>,
    /// The f32 blob.
    pub float_blob: Vec<u8>,
}

impl Bundle {
    /// Folds and quantizes a network and encodes it in every form.
    ///
    /// # Errors
    /// A network that the runtime cannot run, parameters that are not the network's, a layer that cannot be quantized.
    pub fn new(
        network: &Network,
        parameters: &Parameters,
        weights: Weights,
        calibration: Calibration,
    ) -> Result<Self, ExportError> {
        Self::of_folded(&fold::fold(network, parameters)?, weights, calibration)
    }

    /// Quantizes a folded network and encodes it in every form.
    ///
    /// # Errors
    /// What the blob's format has no room for, a layer that cannot be quantized.
    pub fn of_folded(
        folded: &Folded,
        weights: Weights,
        calibration: Calibration,
    ) -> Result<Self, ExportError> {
        // The format's limits are checked before the work of calibration.
        let float_blob = float_blob(folded)?;
        let [int8_onnx, int8_blob] = quantized(folded, weights, calibration)?;
        Ok(Self {
            float_onnx: onnx::float_model(folded),
            int8_onnx,
            int8_blob,
            float_blob,
        })
    }
}

/// The quantized forms of a network, ONNX, then the blob; or why it has none.
fn quantized(
    folded: &Folded,
    weights: Weights,
    calibration: Calibration,
) -> Result<[Vec<u8>; 2], QuantizeError> {
    let quantized = quantize::quantize(folded, weights, calibration);
    match blob::int8_blob(&quantized) {
        Ok(blob) => Ok([onnx::int8_model(&quantized), blob]),
        Err(error) => Err(QuantizeError::new(&quantized, error)),
    }
}

/// Checks, before any training, that a network of these shapes can be exported.
///
/// # Errors
/// A network that the runtime cannot run, or that the blob's format has no room for.
pub fn check(network: &Network) -> Result<(), ExportError> {
    if network.draws_pixels() {
        Levels::of(network)?;
        return Ok(());
    }
    let folded = fold::fold(
        network,
        &Parameters::zeros(network).map_err(FoldError::from)?,
    )?;
    match on_device(&folded) {
        Err(_) if network.reads_pictures() => Ok(()),
        checked => checked,
    }
}

/// Checks that a device can run a network of these shapes.
fn on_device(folded: &Folded) -> Result<(), ExportError> {
    float_blob(folded)?;
    blob::int8_blob(&quantize::blank(folded))?;
    Ok(())
}

/// The f32 blob of a network.
///
/// # Errors
/// What the format has no room for, instance normalization among it.
fn float_blob(folded: &Folded) -> Result<Vec<u8>, ExportError> {
    let mut norms = folded.layers.iter().map(|layer| &layer.instance_norm);
    if norms.any(Option::is_some) {
        return Err(ExportError::InstanceNorm);
    }
    Ok(blob::float_blob(folded)?)
}

/// Writes a network into the folder `dir`, made if it is not there, as the files named above, replacing those there;
/// the float ones alone where it cannot be quantized, and [`FLOAT_ONNX`] alone where it reads pictures and no device
/// runs it, or `calibration` has no pictures. No file is ever there in part: each is written under another name and
/// renamed when all are complete.
///
/// # Errors
/// A network that the runtime cannot run, parameters that are not the network's, or a folder that
/// cannot be written.
pub fn export(
    network: &Network,
    parameters: &Parameters,
    weights: Weights,
    calibration: Calibration,
    dir: &Path,
) -> Result<Exported, ExportError> {
    if network.draws_pixels() {
        return export_pixels(network, parameters, dir);
    }
    let folded = fold::fold(network, parameters)?;
    if !network.reads_pictures() {
        return export_folded(&folded, weights, calibration, dir);
    }
    let onnx = onnx::translator_model(&folded, network.sides());
    let no_device = match (on_device(&folded), &calibration) {
        (Err(error), _) => Some(NoDevice::Network(error.to_string())),
        (Ok(()), Calibration::Pictures(pictures)) if !pictures.is_empty() => None,
        (Ok(()), _) => Some(NoDevice::Pictures),
    };
    let Some(reason) = no_device else {
        return write_forms(&folded, onnx, weights, calibration, dir);
    };
    write_all(dir, &[(FLOAT_ONNX, &onnx)])?;
    let steps = network.walk().map_err(FoldError::from)?;
    Ok(Exported {
        files: vec![(dir.join(FLOAT_ONNX), onnx.len())],
        macs: steps.iter().map(|step| step.macs() as u64).sum(),
        device: Err(reason),
    })
}

/// Writes a network that draws pixel by pixel: its full pass as [`FLOAT_ONNX`], and [`PIXEL_MODEL`], which pictures are
/// drawn by.
fn export_pixels(
    network: &Network,
    parameters: &Parameters,
    dir: &Path,
) -> Result<Exported, ExportError> {
    let onnx = onnx::pixel_model(network, parameters)?;
    let model = pixelcnn::encode(network, parameters)?;
    let files = [(FLOAT_ONNX, &onnx), (PIXEL_MODEL, &model)];
    write_all(dir, &files)?;
    let steps = network.walk().map_err(FoldError::from)?;
    Ok(Exported {
        files: files
            .iter()
            .map(|(name, bytes)| (dir.join(name), bytes.len()))
            .collect(),
        macs: steps.iter().map(|step| step.macs() as u64).sum(),
        device: Err(NoDevice::Pixels),
    })
}

/// The float ONNX model of a network that reads pictures.
///
/// # Errors
/// Parameters that are not the network's, a network that cannot be folded.
pub fn translator(network: &Network, parameters: &Parameters) -> Result<Vec<u8>, FoldError> {
    let folded = fold::fold(network, parameters)?;
    Ok(onnx::translator_model(&folded, network.sides()))
}

/// The float ONNX model of a network that makes vectors of pictures.
///
/// # Errors
/// As [`translator`].
pub fn encoder(network: &Network, parameters: &Parameters) -> Result<Vec<u8>, FoldError> {
    Ok(onnx::encoder_model(&fold::fold_encoder(
        network, parameters,
    )?))
}

/// As [`export`], of a folded network that reads latents.
///
/// # Errors
/// What the blob's format has no room for, or a folder that cannot be written.
pub fn export_folded(
    folded: &Folded,
    weights: Weights,
    calibration: Calibration,
    dir: &Path,
) -> Result<Exported, ExportError> {
    write_forms(folded, onnx::float_model(folded), weights, calibration, dir)
}

/// Writes a folded network in all forms, with this float ONNX model.
fn write_forms(
    folded: &Folded,
    float_onnx: Vec<u8>,
    weights: Weights,
    calibration: Calibration,
    dir: &Path,
) -> Result<Exported, ExportError> {
    let float_blob = float_blob(folded)?;
    let macs = Model::parse(&float_blob).map_err(WriteError::from)?.macs();
    let quantized = quantized(folded, weights, calibration);
    let mut contents = vec![(FLOAT_ONNX, &float_onnx), (FLOAT_BLOB, &float_blob)];
    let device = match &quantized {
        Ok([onnx, blob]) => {
            contents.extend([(INT8_ONNX, onnx), (INT8_BLOB, blob)]);
            Ok(DeviceCost::of(blob)?)
        }
        Err(error) => Err(error.clone().into()),
    };
    write_all(dir, &contents)?;
    Ok(Exported {
        files: contents
            .iter()
            .map(|(name, bytes)| (dir.join(name), bytes.len()))
            .collect(),
        macs,
        device,
    })
}

/// Writes files into `dir`: all of them under temporary names first, then each under its own. A link among these names
/// stays, and what it leads to is written.
pub(crate) fn write_all(dir: &Path, files: &[(&str, &Vec<u8>)]) -> Result<(), ExportError> {
    let failed = |path: &Path, source| ExportError::Write {
        path: path.into(),
        source,
    };
    std::fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    let (mut complete, mut direct) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let named = dir.join(name);
        match Target::find(&named).map_err(|error| failed(&named, error))? {
            Target::New(path) | Target::Replace(path) => {
                let file = write_aside(&path, bytes).map_err(|error| failed(&path, error))?;
                complete.push((file, path));
            }
            other => direct.push((named, other, bytes)),
        }
    }
    for (file, path) in complete {
        let renamed = file.persist(&path);
        renamed.map_err(|error| failed(&path, error.error))?;
    }
    for (named, target, bytes) in direct {
        let written = target.write(bytes);
        written.map_err(|error| failed(&named, error))?;
    }
    files::sync_folder(dir);
    Ok(())
}
