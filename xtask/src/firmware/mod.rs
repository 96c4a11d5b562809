//! The firmware examples: built, run in QEMU, measured, and held against the host.

mod bare;
mod bench;
mod cases;
mod cost;
mod cycles;
mod footprint;
mod halves;
mod machines;
mod perceptron;
mod pictures;
mod random;
mod requests;
mod size;
mod test;
mod thumb;
mod wasm;

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use crate::{process, setup, workspace};

pub use bench::{Arguments as BenchArguments, run as bench};
pub use cost::{Arguments as CostArguments, run as cost};
pub use cycles::{Arguments as CyclesArguments, run as cycles};
pub use size::{Arguments as SizeArguments, run as size};
pub use test::run as test;

/// A model of the examples.
struct Example {
    /// The feature that chooses it.
    feature: &'static str,
    /// Its blob, from the root of the workspace.
    blob: &'static str,
}

impl Example {
    /// Where its blob is.
    fn path(&self) -> PathBuf {
        workspace::root().join(self.blob)
    }
}

/// A blob with every operator and activation.
fn every_operator() -> PathBuf {
    workspace::root().join("runtime/tests/data/v5-int8.pgan")
}

const NANO: Example = Example {
    feature: "nano",
    blob: "models/fashion-nano/model.pgan",
};
const SMALL: Example = Example {
    feature: "small",
    blob: "models/fashion-small/model.pgan",
};
/// The model with classes.
const DIGITS: Example = Example {
    feature: "digits",
    blob: "models/mnist-nano/model.pgan",
};
const NANO_INT4: Example = Example {
    feature: "nano-int4",
    blob: "models/fashion-nano/model-int4.pgan",
};
const SMALL_INT4: Example = Example {
    feature: "small-int4",
    blob: "models/fashion-small/model-int4.pgan",
};
const DIGITS_INT4: Example = Example {
    feature: "digits-int4",
    blob: "models/mnist-nano/model-int4.pgan",
};

/// The folders of all boards and of what they share.
///
/// # Errors
///
/// The folder of the examples cannot be read.
pub fn folders() -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(workspace::root().join("firmware-examples"))? {
        let folder = entry?.path();
        if folder.join("Cargo.toml").is_file() {
            folders.push(folder);
        }
    }
    folders.sort();
    Ok(folders)
}

/// The checksums among what an example printed.
fn printed_sums(printed: &str) -> Vec<String> {
    let lines = printed.lines();
    let sums = lines.filter_map(|line| line.strip_prefix("SHA-256 of the pixels: "));
    sums.map(str::to_owned).collect()
}

/// Builds the example for QEMU's Cortex-M4 and runs it as a user would.
///
/// # Errors
///
/// No compiler, no QEMU, or the firmware's own failure.
pub fn show() -> Result<()> {
    let toolchain = setup::firmware()?;
    process::run(&mut machines::MPS2_M4.cargo(&toolchain, "run"))
}
