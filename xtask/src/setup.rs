//! `cargo xtask setup`: everything the tests need, found or installed, and said.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::bare_metal::Toolchain;
use crate::{onnxruntime, process, python};

/// QEMU's programs, each with the Debian package that has it.
const QEMU: [(&str, &str); 2] = [
    ("qemu-system-arm", "qemu-system-arm"),
    ("qemu-system-riscv32", "qemu-system-misc"),
];
/// Node, which runs WebAssembly.
pub const NODE: &str = "node";

/// What the tests need, ready for use.
pub struct Tools {
    /// ONNX Runtime's shared library.
    onnx_runtime: PathBuf,
    /// A Python that has the `onnx` package.
    python: PathBuf,
    /// Compiler of the firmware.
    pub firmware: Toolchain,
}

impl Tools {
    /// Tells a command where the tools are: `ORT_DYLIB_PATH` and `POCKETGAN_PYTHON`.
    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("ORT_DYLIB_PATH", &self.onnx_runtime)
            .env("POCKETGAN_PYTHON", &self.python)
    }
}

/// Finds or installs every tool, a line each, and goes on after a failure so that all are named.
///
/// # Errors
///
/// One or more tools are missing; each has said its remedy.
pub fn run() -> Result<Tools> {
    let onnx_runtime = say("ONNX Runtime", onnxruntime::find().map(path));
    let python = say("Python with onnx", python::ONNX.python().map(path));
    let firmware = say(
        "bare-metal core",
        Toolchain::find().map(|(toolchain, how)| (toolchain, how.to_owned())),
    );
    let qemu = say("QEMU", qemu());
    let node = say("Node", find_or_install(NODE, "nodejs").map(|how| ((), how)));
    match (onnx_runtime, python, firmware, qemu, node) {
        (Some(onnx_runtime), Some(python), Some(firmware), Some(()), Some(())) => Ok(Tools {
            onnx_runtime,
            python,
            firmware,
        }),
        _ => bail!("setup is incomplete; the lines above say what to do"),
    }
}

/// Only what running firmware takes.
///
/// # Errors
///
/// No compiler or no QEMU, with the remedy.
pub fn firmware() -> Result<Toolchain> {
    let (toolchain, how) = Toolchain::find()?;
    eprintln!("setup: bare-metal core: {how}");
    qemu()?;
    Ok(toolchain)
}

fn path((path, how): (PathBuf, &str)) -> (PathBuf, String) {
    let how = format!("{how} ({})", path.display());
    (path, how)
}

/// Prints a tool's line and drops its error, which has been told.
fn say<T>(tool: &str, found: Result<(T, String)>) -> Option<T> {
    match found {
        Ok((found, how)) => {
            eprintln!("setup: {tool}: {how}");
            Some(found)
        }
        Err(error) => {
            eprintln!("setup: {tool}: MISSING: {error:#}");
            None
        }
    }
}

fn qemu() -> Result<((), String)> {
    let mut said = Vec::new();
    for (program, package) in QEMU {
        said.push(find_or_install(program, package)?);
    }
    Ok(((), said.join("; ")))
}

/// Sees to it that a program of a Debian package runs; says its version or that it was installed.
fn find_or_install(program: &str, package: &str) -> Result<String> {
    let version = || process::output(process::command(program).arg("--version"));
    if let Ok(version) = version() {
        let version = version.lines().next().unwrap_or_default().to_owned();
        return Ok(format!("{program} found ({version})"));
    }
    process::apt_install(&[package])?;
    version().with_context(|| format!("see to it that `{program}` runs"))?;
    Ok(format!("{program} installed with apt-get"))
}
