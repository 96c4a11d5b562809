//! The smallest firmware: how much code it takes, and what it must not hold.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{Example, machines};
use crate::bare_metal::Toolchain;
use crate::{elf, workspace};

/// What no int8 firmware may link: text, panics and the heap, by the paths of their functions.
const FORBIDDEN: [&str; 5] = [
    "core::fmt::",
    "core::panicking::",
    "rust_begin_unwind",
    "alloc::",
    "__rust_",
];

/// Bytes of flash that the smallest firmware of a model takes beyond the blob and the interrupt vectors.
///
/// # Errors
///
/// It cannot be built or read.
pub fn code_bytes(toolchain: &Toolchain, target: &str, model: &Example) -> Result<u64> {
    let flash = elf::flash_bytes_without_vectors(&build(toolchain, target, model)?)?;
    let blob = workspace::root().join(model.blob);
    let blob = blob
        .metadata()
        .with_context(|| format!("cannot read {}", blob.display()))?;
    Ok(flash - blob.len())
}

/// Checks that the smallest firmware links, which it does only if no panic can be reached, and that it
/// holds nothing that is forbidden.
///
/// # Errors
///
/// Names the symbols that should not be there.
pub fn check(toolchain: &Toolchain, target: &str, model: &Example) -> Result<()> {
    let symbols = elf::symbols(&build(toolchain, target, model)?)?;
    let forbidden: Vec<String> = symbols
        .into_iter()
        .filter(|name| is_forbidden(name))
        .collect();
    if !forbidden.is_empty() {
        bail!(
            "the smallest firmware of {} for {target} holds what it must not:\n{}",
            model.feature,
            forbidden.join("\n")
        );
    }
    Ok(())
}

fn is_forbidden(symbol: &str) -> bool {
    FORBIDDEN.iter().any(|name| symbol.contains(name))
}

fn build(toolchain: &Toolchain, target: &str, model: &Example) -> Result<PathBuf> {
    let mut cargo = machines::cargo(toolchain, "build", Path::new("bare"));
    cargo.args(["--target", target, "--no-default-features"]);
    cargo.args(["--features", model.feature]);
    machines::build(&mut cargo)
}
