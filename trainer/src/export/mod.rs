//! Export: a trained network as ONNX files and `.pgan` blobs.
//!
//! [`fold`] makes the runtime's layers of a network, [`quantize`] its int8 form, [`onnx`] and
//! [`blob`] write both, and [`export`] does it all.

pub mod blob;
pub mod fold;
mod forward;
pub mod onnx;
pub mod quantize;

use crate::files::{self, write_aside};
use crate::parameters::Parameters;
use crate::spec::Network;
use fold::{FoldError, Folded};
use pocketgan::Model;
use pocketgan::blob::writer::WriteError;
use quantize::{Calibration, Weights};
use std::path::{Path, PathBuf};

/// The float ONNX model's file name.
pub const FLOAT_ONNX: &str = "model.onnx";
/// The file name of the int8 (QDQ) ONNX model.
pub const INT8_ONNX: &str = "model-int8.onnx";
/// The int8 blob's file name.
pub const INT8_BLOB: &str = "model.pgan";
/// The f32 blob's file name.
pub const FLOAT_BLOB: &str = "model-f32.pgan";

/// What an export wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The four files and their bytes: [`FLOAT_ONNX`], [`INT8_ONNX`], [`INT8_BLOB`], [`FLOAT_BLOB`].
    pub files: Vec<(PathBuf, usize)>,
    /// Bytes of the int8 blob: the flash that the model takes.
    pub blob_bytes: usize,
    /// Bytes of RAM that making an image with the int8 blob takes.
    pub working_memory: usize,
    /// Multiply-accumulates of one image.
    pub macs: u64,
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
    /// A network that the runtime cannot run, or parameters that are not the network's.
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
    /// What the blob's format has no room for.
    pub fn of_folded(
        folded: &Folded,
        weights: Weights,
        calibration: Calibration,
    ) -> Result<Self, ExportError> {
        // The format's limits are checked before the work of calibration.
        let float_blob = blob::float_blob(folded)?;
        let quantized = quantize::quantize(folded, weights, calibration);
        Ok(Self {
            float_onnx: onnx::float_model(folded),
            int8_onnx: onnx::int8_model(&quantized),
            int8_blob: blob::int8_blob(&quantized)?,
            float_blob,
        })
    }
}

/// Writes a network into the folder `dir`, made if it is not there, as the four files named above, replacing those there. No
/// file is ever there in part: each is written under another name and renamed when all are complete.
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
    export_folded(&fold::fold(network, parameters)?, weights, calibration, dir)
}

/// As [`export`], of a folded network.
///
/// # Errors
/// What the blob's format has no room for, or a folder that cannot be written.
pub fn export_folded(
    folded: &Folded,
    weights: Weights,
    calibration: Calibration,
    dir: &Path,
) -> Result<Exported, ExportError> {
    let bundle = Bundle::of_folded(folded, weights, calibration)?;
    let model = Model::parse(&bundle.int8_blob).map_err(WriteError::from)?;
    let contents = [
        (FLOAT_ONNX, &bundle.float_onnx),
        (INT8_ONNX, &bundle.int8_onnx),
        (INT8_BLOB, &bundle.int8_blob),
        (FLOAT_BLOB, &bundle.float_blob),
    ];
    write_all(dir, &contents)?;
    Ok(Exported {
        files: contents
            .iter()
            .map(|(name, bytes)| (dir.join(name), bytes.len()))
            .collect(),
        blob_bytes: bundle.int8_blob.len(),
        working_memory: model.working_memory(),
        macs: model.macs(),
    })
}

/// Writes files into `dir`: all of them under temporary names first, then each under its own.
fn write_all(dir: &Path, files: &[(&str, &Vec<u8>)]) -> Result<(), ExportError> {
    let failed = |path: &Path, source| ExportError::Write {
        path: path.into(),
        source,
    };
    std::fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    let mut complete = Vec::new();
    for (name, bytes) in files {
        let path = dir.join(name);
        let file = write_aside(&path, bytes).map_err(|error| failed(&path, error))?;
        complete.push((file, path));
    }
    for (file, path) in complete {
        let renamed = file.persist(&path);
        renamed.map_err(|error| failed(&path, error.error))?;
    }
    files::sync_folder(dir);
    Ok(())
}
