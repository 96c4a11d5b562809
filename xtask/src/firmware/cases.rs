//! The kernels of each core against the reference, over every small window.

use anyhow::{Context, Result};

use super::machines::Machine;
use crate::bare_metal::Toolchain;
use crate::{process, workspace};

/// Writes the cases and returns the file's path.
///
/// # Errors
///
/// The runtime's example cannot be built or run.
pub fn write() -> Result<String> {
    let path = workspace::target().join("cases.bin");
    let path = path
        .to_str()
        .context("the target folder's path is no UTF-8")?;
    let mut cargo = process::cargo();
    cargo.args(["run", "--quiet", "--locked", "--package", "pocketgan"]);
    cargo.args(["--features", "writer", "--example", "cases", "--", path]);
    process::run(&mut cargo)?;
    Ok(path.to_owned())
}

/// Checks all cases on a machine.
///
/// # Errors
///
/// A model gives another image than the reference.
pub fn check(toolchain: &Toolchain, machine: &Machine, cases: &str) -> Result<()> {
    let mut run = machine.cargo(toolchain, "run");
    run.args(["--features", "graphs", "--example", "cases", "--"]);
    let printed = process::output(run.args(machine.options).args(["-append", cases]))?;
    eprint!("{}: {printed}", machine.core.name());
    Ok(())
}
