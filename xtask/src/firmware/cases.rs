//! The kernels of each core against the reference, over every small window.

use anyhow::{Context, Result};

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
