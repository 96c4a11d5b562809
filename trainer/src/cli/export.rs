//! `trainer export`: the files for the device, made again from a checkpoint.

use super::Failure;
use crate::export::{self, quantize::Calibration};
use crate::gan::checkpoint;
use std::path::{Path, PathBuf};

/// Export a run's newest checkpoint again: model.onnx, model-int8.onnx, model.pgan, model-f32.pgan.
///
/// For a run that was stopped early, or after an update of this program. What is there is replaced.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// The run's folder.
    run: PathBuf,
}

pub fn run(args: ExportArgs) -> Result<(), Failure> {
    let path = newest(&args.run.join("checkpoints"))?;
    let refuse = |reason: String| Failure::Input(format!("{}: {reason}", path.display()));
    let bytes = std::fs::read(&path).map_err(|error| refuse(error.to_string()))?;
    let (state, parameters) =
        checkpoint::decode_average(&bytes).map_err(|error| refuse(error.to_string()))?;
    let calibration = Calibration::default();
    let exported = export::export(&state.generator, &parameters, calibration, &args.run)
        .map_err(|error| refuse(error.to_string()))?;
    say!(
        "{}: step {}, {} bytes of flash, {} bytes of working memory",
        args.run.display(),
        state.step,
        exported.blob_bytes,
        exported.working_memory
    );
    Ok(())
}

/// The last checkpoint by name, which holds the step.
fn newest(folder: &Path) -> Result<PathBuf, Failure> {
    let listed = std::fs::read_dir(folder)
        .map_err(|error| Failure::Input(format!("cannot read {}: {error}", folder.display())))?;
    listed
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .max()
        .ok_or_else(|| Failure::Input(format!("{} holds no checkpoint", folder.display())))
}
