//! `trainer export`: the files for the device, made again from a checkpoint or from the float blob.

use super::{Failure, fit};
use crate::engines::{EngineError, RuntimeEngine};
use crate::export::fold::FoldError;
use crate::export::quantize::{Calibration, Weights};
use crate::export::{
    self, BACK_ONNX, ENCODER_ONNX, FLOAT_BLOB, FLOAT_ONNX, INT8_BLOB, INT8_ONNX, NoDevice,
    QuantizeError, blob, device_plan,
};
use crate::gan::checkpoint::Checkpoint;
use crate::gan::store::{Found, Store, StoreError};
use crate::gan::{Cycle, Variational};
use crate::parameters::Parameters;
use crate::spec::Network;
use anyhow::Context;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Export a run's newest checkpoint again: model.onnx, model-int8.onnx, model.pgan, model-f32.pgan.
///
/// For a run that was stopped early, for int4, or after an update of this program. What is there is replaced. A damaged
/// checkpoint is passed over. A folder without checkpoints, as those in models/, is exported from its model-f32.pgan,
/// which must read latents.
/// Where a layer cannot be quantized, the float files are written, the layer is named, and the exit code is 1. A
/// network that reads pictures is calibrated on the run's training pictures; without them, or where no device runs it
/// (instance normalization), it has model.onnx alone. Beside it there is the way back of cyclegan (back.onnx) and the
/// encoder of an autoencoder, as of a variational one (encoder.onnx).
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// The folder of a run or a model.
    run: PathBuf,
    /// The weights of model.pgan and model-int8.onnx [default: those that the run was finetuned for, or int8]. int4
    /// makes the blob 42 to 48 % smaller than int8, but takes 45 % more working memory and 26 to 49 % more
    /// instructions, and its images are worse: fid-cls-5k-test of models/fashion-nano is 13.07 in int4 and 8.95 in
    /// int8. `trainer fit --teacher RUN --finetune int4` trains a generator for such weights.
    #[arg(long, value_enum, value_name = "NUMBERS")]
    weights: Option<Weights>,
    /// The folder to write into, made if it is not there; by default the run's own. To be named for a folder without
    /// checkpoints.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Export the checkpoint with the best score instead of the newest.
    #[arg(long)]
    best: bool,
    /// Of networks that grow, export those of images with so many rows, as they were at the end of that size.
    #[arg(long, value_name = "ROWS", conflicts_with = "best")]
    image_size: Option<usize>,
}

/// What a run's recipe says of its export.
#[derive(Deserialize)]
struct Own {
    finetune: Option<Weights>,
}

pub fn run(args: ExportArgs) -> Result<(), Failure> {
    let out = args.out.as_deref().unwrap_or(&args.run);
    let float_blob = args.run.join(FLOAT_BLOB);
    let without_checkpoints = !args.run.join("checkpoints").exists() && !args.best;
    let (source, exported) = if without_checkpoints && float_blob.exists() {
        if args.out.is_none() {
            return Err(Failure::Input(format!(
                "{} has no checkpoints to make its files from again: name another folder with --out",
                args.run.display()
            )));
        }
        let exported = export_blob(&float_blob, args.weights.unwrap_or_default(), out)?;
        (format!("from {}", float_blob.display()), exported)
    } else {
        let found = match args.image_size {
            Some(rows) => checkpoint_of_size(&args.run, rows)?,
            None => checkpoint(&args.run, args.best)?,
        };
        let exported = export_to(&found, args.weights, calibration(&args.run, &found)?, out)?;
        export_others(&found, out)?;
        (format!("step {}", found.checkpoint.gan.steps), exported)
    };
    match exported.device {
        Ok(device) => {
            say!(
                "{}: {source}, {} bytes of flash, {} bytes of working memory",
                out.display(),
                device.blob_bytes,
                device.working_memory
            );
            Ok(())
        }
        Err(NoDevice::Quantize(error)) => Err(float_only(out, &error)),
        Err(reason) if args.weights.is_some() => Err(Failure::Input(format!(
            "{}: {FLOAT_ONNX} alone was written, without weights of that kind: {reason}",
            out.display()
        ))),
        Err(reason) => {
            let stale = stale(out, &[INT8_BLOB, INT8_ONNX, FLOAT_BLOB]);
            say!(
                "{}: {source}, {FLOAT_ONNX} alone: {reason}{stale}",
                out.display()
            );
            Ok(())
        }
    }
}

/// What to say where only the float files were written.
pub(super) fn float_only(folder: &Path, error: &QuantizeError) -> Failure {
    let stale = stale(folder, &[INT8_BLOB, INT8_ONNX]);
    Failure::Run(anyhow::anyhow!(
        "{error}; {}: {FLOAT_ONNX} and {FLOAT_BLOB} were written, no int8 file{stale}",
        folder.display()
    ))
}

/// What to say of files that an export did not write and that are there.
fn stale(folder: &Path, names: &[&str]) -> String {
    let paths = names.iter().map(|name| folder.join(name));
    match paths.into_iter().find(|path| path.exists()) {
        Some(path) => format!("; {} there is of an earlier export", path.display()),
        None => String::new(),
    }
}

/// Writes the network of an f32 blob as the four files for the device.
fn export_blob(path: &Path, weights: Weights, folder: &Path) -> Result<export::Exported, Failure> {
    let engine = RuntimeEngine::open(path).map_err(|error| match error {
        EngineError::ReadsPictures(path) => Failure::Input(format!(
            "{} reads pictures, and needs those of its run to be exported: name the run",
            path.display()
        )),
        error => error.into(),
    })?;
    let Some(folded) = blob::folded(&engine.model()?) else {
        let refusal = format!("{} does not compute with f32", path.display());
        return Err(Failure::Input(refusal));
    };
    Ok(export::export_folded(
        &folded,
        weights,
        Calibration::default(),
        folder,
    )?)
}

/// Where a model is found.
pub(super) enum Source {
    /// In an exported file; it may be missing.
    File(PathBuf),
    /// In a checkpoint of a run, which is to be exported first.
    Checkpoint(Box<Found>),
}

impl Source {
    /// An exported file, by its own path or by its name in a folder, or else the newest checkpoint of the run in the
    /// folder.
    pub fn find(place: &Path, file_name: &str) -> Result<Self, Failure> {
        let file = if place.is_dir() {
            place.join(file_name)
        } else {
            place.to_owned()
        };
        if file.exists() || !place.join("checkpoints").is_dir() {
            return Ok(Self::File(file));
        }
        Ok(Self::Checkpoint(Box::new(checkpoint(place, false)?)))
    }
}

/// A folder for files that are exported for one command alone.
pub(super) fn temporary_folder() -> Result<TempDir, Failure> {
    Ok(tempfile::tempdir().context("cannot make a temporary folder")?)
}

/// Whether a checkpoint's generator reads pictures.
///
/// # Errors
/// A checkpoint without a generator.
pub(super) fn reads_pictures(found: &Found) -> Result<bool, Failure> {
    Ok(generator(found)?.0.reads_pictures())
}

/// The generator of a checkpoint and its averaged parameters.
pub(super) fn generator(found: &Found) -> Result<(&Network, &Parameters), Failure> {
    found.checkpoint.generator().ok_or_else(|| {
        let path = found.path.display();
        Failure::Input(format!("{path}: it holds no network that makes images"))
    })
}

/// The newest checkpoint of a run that can be used, or the best one.
pub(super) fn checkpoint(run: &Path, best: bool) -> Result<Found, Failure> {
    let store = Store::of(run);
    let found = if best {
        store.best()
    } else {
        store.newest(&mut |note| tell!("{note}"))
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

/// The newest checkpoint of a run whose networks have grown to images with so many rows.
fn checkpoint_of_size(run: &Path, rows: usize) -> Result<Found, Failure> {
    let store = Store::of(run);
    let mut before = u32::MAX;
    let mut others = BTreeSet::new();
    loop {
        let newest = store.newest_where(|step| step < before, &mut |note| tell!("{note}"));
        let found = newest.map_err(|error: StoreError| Failure::Input(error.to_string()))?;
        let Some(found) = found else {
            let others: Vec<String> = others.iter().map(usize::to_string).collect();
            return Err(Failure::Input(format!(
                "{} has no checkpoint at the end of images with {rows} rows; it has {}",
                run.display(),
                if others.is_empty() {
                    "none".into()
                } else {
                    others.join(", ")
                }
            )));
        };
        before = found.checkpoint.gan.steps;
        let (network, _) = generator(&found)?;
        if network.blends() {
            continue;
        }
        let image = network.without_enlarging().output();
        let image = image.map_err(anyhow::Error::from)?;
        if image.height == rows {
            return Ok(found);
        }
        others.insert(image.height);
    }
}

/// A network of a checkpoint besides the generator, with its averaged parameters if it has them.
pub(super) fn other<'a>(
    checkpoint: &'a Checkpoint,
    name: &str,
) -> Option<(&'a Network, &'a Parameters)> {
    let others = &checkpoint.networks.others;
    let named = others.iter().find(|named| named.name == name)?;
    let state = checkpoint.gan.networks.get(name)?;
    let parameters = state.average.as_ref().unwrap_or(&state.parameters);
    Some((&named.network, parameters))
}

/// The generator that goes back, of a translation without pairs.
pub(super) fn way_back(checkpoint: &Checkpoint) -> Option<(&Network, &Parameters)> {
    other(checkpoint, Cycle::GENERATORS[1])
}

/// The network that makes a picture of itself: an autoencoder's, or a variational one's encoder up to the means of its
/// latent and its decoder. `None` where there is none.
///
/// # Errors
/// A network of which that cannot be told.
pub(super) fn reconstruction(
    checkpoint: &Checkpoint,
) -> Result<Option<(Network, Parameters)>, Failure> {
    let Some((generator, parameters)) = checkpoint.generator() else {
        return Ok(None);
    };
    let output = generator.output().map_err(anyhow::Error::from)?;
    if generator.reads_pictures() {
        let is_own = way_back(checkpoint).is_none() && generator.input == output;
        return Ok(is_own.then(|| (generator.clone(), parameters.clone())));
    }
    let Some((encoder, of_encoder)) = other(checkpoint, Variational::ENCODER) else {
        return Ok(None);
    };
    if encoder.classes().is_some() || generator.classes().is_some() {
        return Ok(None);
    }
    let Some((means, of_means)) = Variational::means(encoder, of_encoder) else {
        return Ok(None);
    };
    let both = means.then(generator);
    let layers = means.layers.len();
    Ok(Some((both, of_means.then(parameters, layers))))
}

/// Writes the other networks of a checkpoint that are of use by themselves: an encoder, or a generator that goes back.
pub(super) fn export_others(found: &Found, folder: &Path) -> Result<(), Failure> {
    let checkpoint = &found.checkpoint;
    let mut files = Vec::new();
    let failed = |error: FoldError| Failure::Run(error.into());
    if let Some((network, parameters)) = way_back(checkpoint) {
        let bytes = export::translator(network, parameters).map_err(failed)?;
        files.push((BACK_ONNX, bytes));
    }
    if let Some((network, parameters)) = other(checkpoint, Variational::ENCODER) {
        let bytes = export::encoder(network, parameters).map_err(failed)?;
        files.push((ENCODER_ONNX, bytes));
    }
    if let Some((network, parameters)) = checkpoint
        .generator()
        .filter(|(network, _)| network.reads_pictures())
        && let Some(tensor) = network.bottleneck().map_err(anyhow::Error::from)?
    {
        let encoder = network.up_to(tensor);
        let parameters = parameters.up_to(tensor);
        files.push((
            ENCODER_ONNX,
            export::encoder(&encoder, &parameters).map_err(failed)?,
        ));
    }
    let files: Vec<(&str, &Vec<u8>)> = files.iter().map(|(name, bytes)| (*name, bytes)).collect();
    export::write_all(folder, &files)?;
    // What is there of an earlier export is of other networks.
    for name in [BACK_ONNX, ENCODER_ONNX] {
        if files.iter().all(|(written, _)| *written != name) {
            let _ = std::fs::remove_file(folder.join(name));
        }
    }
    Ok(())
}

/// What the generator of a run's checkpoint is calibrated on: training pictures, if it reads pictures and a device runs
/// it. Where these
/// cannot be had, that is told, and there are none.
pub(super) fn calibration(run: &Path, found: &Found) -> Result<Calibration, Failure> {
    let (network, _) = generator(found)?;
    let on_device = || device_plan(network).is_ok_and(|plan| plan.is_ok());
    if !network.reads_pictures() || !on_device() {
        return Ok(Calibration::default());
    }
    Ok(match fit::calibration(run) {
        Ok(calibration) => calibration,
        Err(Failure::Input(reason)) => {
            tell!("the run's pictures cannot be had: {reason}");
            Calibration::default()
        }
        Err(failure) => return Err(failure),
    })
}

/// Writes a checkpoint's averaged generator as the four files for the device, with the run's own weights where none
/// are asked for.
pub(super) fn export_to(
    found: &Found,
    weights: Option<Weights>,
    calibration: Calibration,
    folder: &Path,
) -> Result<export::Exported, Failure> {
    let checkpoint = &found.checkpoint;
    let own = toml::from_str(&checkpoint.recipe).unwrap_or(Own { finetune: None });
    let weights = weights.or(own.finetune).unwrap_or_default();
    let (network, parameters) = generator(found)?;
    if network.blends() {
        return Err(Failure::Input(format!(
            "{}: a larger size of images is being faded in; `trainer export --image-size ROWS` exports a smaller one",
            found.path.display()
        )));
    }
    // Networks that will grow enlarge their images to those of the data.
    let network = &network.without_enlarging();
    export::export(network, parameters, weights, calibration, folder)
        .map_err(|error| Failure::Input(format!("{}: {error}", found.path.display())))
}
