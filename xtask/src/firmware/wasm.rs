//! The WebAssembly module: built, and its pictures held against this machine's.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::bench::SEEDS;
use super::{Example, machines, printed_sums};
use crate::bare_metal::{Toolchain, WASM};
use crate::setup::NODE;
use crate::{host, process, workspace};

/// Builds the module with a feature; gives the command that runs it by a script of its folder.
///
/// # Errors
///
/// The module cannot be built.
pub fn node(toolchain: &Toolchain, feature: &str, script: &str) -> Result<Command> {
    let mut build = machines::cargo(toolchain, "build", Path::new("wasm"));
    build.args(["--target", WASM, "--no-default-features"]);
    build.args(["--features", feature]);
    let module = machines::build(&mut build)?;
    let mut node = process::command(NODE);
    let folder = workspace::root().join("firmware-examples/wasm");
    node.arg(folder.join(script)).arg(module);
    Ok(node)
}

/// Checks that Node makes the same pictures from a model as this machine.
///
/// # Errors
///
/// The module cannot be built or run, or makes something else.
pub fn check(toolchain: &Toolchain, model: &Example) -> Result<()> {
    let printed = process::output(&mut node(toolchain, model.feature, "show.mjs")?)?;
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
