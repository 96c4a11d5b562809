//! `trainer export`: the files for the device, made again from a checkpoint.

use super::Failure;
use crate::export::quantize::{Calibration, Weights};
use crate::export::{self, FLOAT_BLOB, FLOAT_ONNX, INT8_BLOB, INT8_ONNX, QuantizeError};
use crate::gan::store::{Found, Store, StoreError};
use std::path::{Path, PathBuf};

/// Export a run's newest checkpoint again: model.onnx, model-int8.onnx, model.pgan, model-f32.pgan.
///
/// For a run that was stopped early, for int4, or after an update of this program. What is there is replaced. A damaged
/// checkpoint is passed over. Where a layer cannot be quantized, the float files are written, the layer is named, and the
/// exit code is 1.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// The run's folder.
    run: PathBuf,
    /// The weights of model.pgan and model-int8.onnx: int4 takes half the flash, and some of the quality.
    #[arg(long, value_enum, default_value_t, value_name = "NUMBERS")]
    weights: Weights,
    /// The folder to write into, made if it is not there; by default the run's own.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Export the checkpoint with the best score instead of the newest.
    #[arg(long)]
    best: bool,
}

pub fn run(args: ExportArgs) -> Result<(), Failure> {
    let found = checkpoint(&args.run, args.best)?;
    let out = args.out.as_deref().unwrap_or(&args.run);
    let exported = export_to(&found, args.weights, out)?;
    let step = found.checkpoint.gan.steps;
    match exported.device {
        Ok(device) => {
            say!(
                "{}: step {step}, {} bytes of flash, {} bytes of working memory",
                out.display(),
                device.blob_bytes,
                device.working_memory
            );
            Ok(())
        }
        Err(error) => Err(float_only(out, &error)),
    }
}

/// What to say where only the float files were written.
pub(super) fn float_only(folder: &Path, error: &QuantizeError) -> Failure {
    let stale = [INT8_BLOB, INT8_ONNX].map(|name| folder.join(name));
    let stale = match stale.iter().find(|path| path.exists()) {
        Some(path) => format!("; {} there is of an earlier export", path.display()),
        None => String::new(),
    };
    Failure::Run(anyhow::anyhow!(
        "{error}; {}: {FLOAT_ONNX} and {FLOAT_BLOB} were written, no int8 file{stale}",
        folder.display()
    ))
}

/// The newest checkpoint of a run that can be used, or the best one.
pub(super) fn checkpoint(run: &Path, best: bool) -> Result<Found, Failure> {
    let store = Store::of(run);
    let found = match best {
        true => store.best(),
        false => store.newest(&mut |note| tell!("{note}")),
    };
    let found = found.map_err(|error: StoreError| Failure::Input(error.to_string()))?;
    let which = if best { "with a score" } else { "" };
    found.ok_or_else(|| {
        Failure::Input(
            format!("{} has no checkpoint {which}", run.display())
                .trim_end()
                .to_owned(),
        )
    })
}

/// Writes a checkpoint's averaged generator as the four files for the device.
pub(super) fn export_to(
    found: &Found,
    weights: Weights,
    folder: &Path,
) -> Result<export::Exported, Failure> {
    let checkpoint = &found.checkpoint;
    let calibration = Calibration::default();
    let (network, parameters) = (&checkpoint.generator, &checkpoint.gan.average);
    export::export(network, parameters, weights, calibration, folder)
        .map_err(|error| Failure::Input(format!("{}: {error}", found.path.display())))
}
