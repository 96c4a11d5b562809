//! The kernels of each core against the reference, over every small window.

use std::fs;

use anyhow::{Context, Result};
use pocketgan::Model;

use super::machines::Machine;
use crate::bare_metal::Toolchain;
use crate::{process, workspace};

/// What models read, and in which firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    Latents,
    /// With the kernels that there are for pictures: some cores have more of them.
    LatentsWithImages,
    Pictures,
}

impl Read {
    pub const ALL: [Self; 3] = [Self::Latents, Self::LatentsWithImages, Self::Pictures];

    /// The feature of the firmware that runs the cases.
    pub const fn feature(self) -> &'static str {
        match self {
            Self::Latents => "graphs",
            Self::LatentsWithImages | Self::Pictures => "images",
        }
    }

    /// Whether that firmware has the kernels for pictures.
    pub fn has_images(self) -> bool {
        self != Self::Latents
    }
}

/// Writes the cases and returns the file's path.
///
/// # Errors
///
/// The runtime's example cannot be built or run.
pub fn write(read: Read) -> Result<String> {
    let path = workspace::target().join(match read {
        Read::Latents | Read::LatentsWithImages => "cases.bin",
        Read::Pictures => "pictures.bin",
    });
    let path = path
        .to_str()
        .context("the target folder's path is no UTF-8")?;
    let mut cargo = process::cargo();
    cargo.args(["run", "--quiet", "--locked", "--package", "pocketgan"]);
    cargo.args(["--features", "writer", "--example", "cases", "--", path]);
    if read == Read::Pictures {
        cargo.arg("pictures");
    }
    process::run(&mut cargo)?;
    Ok(path.to_owned())
}

/// The instructions of an image of a model that reads pictures, made of random pixels on a machine.
///
/// # Errors
///
/// The firmware cannot be built or run, or prints no count.
pub fn count(
    toolchain: &Toolchain,
    machine: &Machine,
    model: &Model<'_>,
    blob: &[u8],
) -> Result<u64> {
    let path = workspace::target().join("translator.bin");
    let mut case = Vec::new();
    for len in [blob.len(), model.image_len()] {
        case.extend(u32::try_from(len)?.to_le_bytes());
    }
    case.extend(blob);
    let padding = blob.len().next_multiple_of(16) - blob.len();
    // Which image it is does not matter.
    case.resize(case.len() + padding + model.image_len(), 0);
    fs::write(&path, case).with_context(|| format!("cannot write {}", path.display()))?;
    let mut run = machine.cargo(toolchain, "run");
    run.args([
        "--features",
        Read::Pictures.feature(),
        "--example",
        "cases",
        "--",
    ]);
    run.args(machine.options);
    run.args(["-append", &format!("{} count", path.display())]);
    // It ends with a failure, since the image is another.
    let output = run.output().context("cannot run cargo")?;
    let [printed, said] = [output.stdout, output.stderr];
    let printed = String::from_utf8_lossy(&printed);
    let count = printed.lines().find_map(|line| line.parse().ok());
    count.with_context(|| format!("there is no count:\n{}", String::from_utf8_lossy(&said)))
}

/// Checks all cases on a machine.
///
/// # Errors
///
/// A model gives another image than the reference.
pub fn check(toolchain: &Toolchain, machine: &Machine, read: Read, cases: &str) -> Result<()> {
    let mut run = machine.cargo(toolchain, "run");
    run.args(["--features", read.feature(), "--example", "cases", "--"]);
    let printed = process::output(run.args(machine.options).args(["-append", cases]))?;
    eprint!("{}: {printed}", machine.core.name());
    Ok(())
}
