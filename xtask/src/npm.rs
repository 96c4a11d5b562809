//! Packages from npm's registry, each of a known sum.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use crate::process;

/// A package and the SHA-256 of its file.
pub struct Package {
    /// With its version: `name@1.2.3`.
    pub name: &'static str,
    pub sha256: &'static str,
}

impl Package {
    /// Fetches the package's file into a folder that is empty, and opens it.
    ///
    /// # Errors
    ///
    /// It cannot be fetched, or is another file.
    pub fn fetch(&self, folder: &Path) -> Result<tar::Archive<GzDecoder<File>>> {
        eprintln!("npm pack {}", self.name);
        let mut npm = process::command("npm");
        npm.current_dir(folder);
        process::output(npm.args(["pack", "--silent", self.name]))?;
        let archive = fs::read_dir(folder)?.next();
        let archive = archive.context("npm left no package")??.path();
        let sum: String = Sha256::digest(fs::read(&archive)?)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        ensure!(
            sum == self.sha256,
            "{} has the SHA-256 {sum}, not {}",
            self.name,
            self.sha256
        );
        Ok(tar::Archive::new(GzDecoder::new(File::open(archive)?)))
    }
}
