//! Runs of `trainer fit` and their scores, for tables.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::process;

/// What a run's `summary.json` says.
#[derive(Deserialize)]
pub struct Summary {
    pub minutes: f64,
    pub parameters: u64,
    /// Of an adversarial recipe.
    pub discriminator_loss: Option<f64>,
}

/// What `trainer eval --json` prints; the figures are the float model's.
#[derive(Deserialize)]
pub struct Evaluated {
    pub fid_cls: Option<f64>,
    pub fid_channels: Option<f64>,
    pub fid_inception: Option<f64>,
    pub entropy: Option<f64>,
    pub coverage: Option<f64>,
    pub class_coverage: Option<f64>,
    pub js_classes: Option<f64>,
    pub engines: BTreeMap<String, Quantized>,
}

/// The figures of one engine.
#[derive(Deserialize)]
pub struct Quantized {
    pub fid_cls: Option<f64>,
}

/// Trains into a folder by these flags of `trainer fit`, or goes on where that was stopped.
///
/// # Errors
///
/// The training fails.
pub fn train(run: &Path, flags: &[impl AsRef<OsStr>]) -> Result<()> {
    let mut trainer = process::cargo();
    trainer.args(["trainer", "fit"]);
    if run.join("config.toml").exists() {
        trainer.arg("--resume").arg(run);
    } else {
        trainer.args(flags).arg("--out").arg(run);
    }
    // Standard output is for the figures.
    let printed = process::output(trainer.stderr(Stdio::inherit()))?;
    eprint!("{printed}");
    Ok(())
}

/// The summary of a finished run.
///
/// # Errors
///
/// There is none, or it is not one.
pub fn summary(run: &Path) -> Result<Summary> {
    read(&run.join("summary.json"))
}

/// What `trainer eval` says of a run by these flags: once, and then what the file in the run's folder keeps.
///
/// # Errors
///
/// The evaluation fails, or the file cannot be written or read.
pub fn evaluate(run: &Path, file: &str, flags: &[&str]) -> Result<Evaluated> {
    evaluate_as(run, file, flags)
}

fn evaluate_as<T: DeserializeOwned>(run: &Path, file: &str, flags: &[&str]) -> Result<T> {
    let path = run.join(file);
    if !path.exists() {
        let mut trainer = process::cargo();
        trainer.args(["trainer", "eval", "--json"]).arg(run);
        let printed = process::output(trainer.args(flags).stderr(Stdio::inherit()))?;
        fs::write(&path, printed)?;
    }
    read(&path)
}

/// The figures of a run whose generator reads pictures, by their keys.
///
/// # Errors
///
/// As [`evaluate`].
pub fn figures(run: &Path) -> Result<BTreeMap<String, f64>> {
    let all: serde_json::Map<String, serde_json::Value> = evaluate_as(run, "eval.json", &[])?;
    let numbers = all
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_f64()?)));
    Ok(numbers.collect())
}

/// The scores of the float model and of the int8 one against the test images.
///
/// # Errors
///
/// As [`evaluate`].
pub fn scores(run: &Path) -> Result<Evaluated> {
    evaluate(run, "eval.json", &["--engine", "float", "--engine", "int8"])
}

/// The float model's `fid-inception` of so many images.
///
/// # Errors
///
/// As [`evaluate`].
pub fn fid_inception(run: &Path, images: u32) -> Result<Option<f64>> {
    let samples = images.to_string();
    let mut flags = vec!["--fid", "inception", "--engine", "float"];
    if images != INCEPTION_IMAGES {
        flags.extend(["--samples", &samples]);
    }
    Ok(evaluate(run, &inception_file(images), &flags)?.fid_inception)
}

/// The protocol's own number of images.
pub const INCEPTION_IMAGES: u32 = 10_000;

/// Where a run keeps its `fid-inception` of so many images, which takes minutes.
pub fn inception_file(images: u32) -> String {
    match images {
        INCEPTION_IMAGES => "inception.json".to_owned(),
        images => format!("inception-{images}.json"),
    }
}

/// Bytes of a run's blob, which may have been exported again since the run ended.
///
/// # Errors
///
/// There is none.
pub fn blob_bytes(run: &Path) -> Result<u64> {
    let blob = run.join("model.pgan").metadata();
    let blob = blob.with_context(|| format!("{} has no model.pgan", run.display()))?;
    Ok(blob.len())
}

/// A figure of a table; a dash where there is none.
pub fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is not what was expected", path.display()))
}
