//! The WebAssembly module: built, and its pictures held against this machine's.

use std::path::Path;

use anyhow::{Result, ensure};

use super::bench::SEEDS;
use super::{Example, machines, printed_sums};
use crate::bare_metal::{Toolchain, WASM};
use crate::setup::NODE;
use crate::{host, process, workspace};

/// Checks that Node makes the same pictures from a model as this machine.
///
/// # Errors
///
/// The module cannot be built or run, or makes something else.
pub fn check(toolchain: &Toolchain, model: &Example) -> Result<()> {
    let mut build = machines::cargo(toolchain, "build", Path::new("wasm"));
    build.args(["--target", WASM, "--no-default-features"]);
    build.args(["--features", model.feature]);
    let module = machines::build(&mut build)?;
    let show = workspace::root().join("firmware-examples/wasm/show.mjs");
    let printed = process::output(process::command(NODE).arg(show).arg(module))?;
    let classes = host::classes(model.blob)?;
    let pictures = SEEDS.map(|seed| ((seed as usize - 1).checked_rem(classes), seed));
    ensure!(
        printed_sums(&printed) == host::pixels_sha256(model.blob, pictures)?,
        "{}: the pixels of wasm32 are not those made here",
        model.feature
    );
    eprintln!(
        "{}: the same pixels on wasm32 and here, seeds {SEEDS:?}",
        model.feature
    );
    Ok(())
}
