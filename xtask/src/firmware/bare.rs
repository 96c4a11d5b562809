//! The smallest firmware: how much code it takes, and what it must not hold.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use pocketgan::{Model, Numbers, Operator};
use serde::{Deserialize, Serialize};

use super::machines::{self, Machine};
use super::printed_sums;
use crate::bare_metal::Toolchain;
use crate::{elf, host, process, workspace};

/// A blob of linear layers with every activation, and three classes.
const EVERY_LINEAR: &str = "runtime/tests/data/v4-linear.pgan";

/// What no int8 firmware may link: text, panics, the heap and floating point, by the paths of their
/// functions.
const FORBIDDEN: [&str; 8] = [
    "core::fmt::",
    "core::panicking::",
    "rust_begin_unwind",
    "alloc::",
    "__rust_",
    "libm::",
    "pocketgan::kernels::float::",
    "compiler_builtins::float::",
];
/// Ends of the names of functions that stand in for floating-point instructions.
const SOFT_FLOAT: [&str; 8] = ["sf", "df", "sf2", "df2", "sf3", "df3", "2f", "2d"];

/// What the functions of the kernels and their tables have in their names.
const KERNELS: [&str; 2] = ["pocketgan::kernels::", "_ZN9pocketgan7kernels"];
/// What the int8 operators may take on cores with the DSP extension, in bytes.
const OPERATORS_LIMIT: u64 = 9 * 1024;
/// What the firmware of a model of linear layers may take on an Armv6-M core beside the blob, in bytes.
const LINEAR_LIMIT: u64 = 3 * 1024;

/// How the smallest firmware is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// For speed, as the figures of instructions are.
    Fast,
    /// With `opt-level = "s"`.
    Small,
}

/// What the smallest firmware of a model takes on a core, built for speed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Footprint {
    /// All of its flash but the blob and the interrupt vectors.
    pub code_bytes: u64,
    /// Its stack while it makes an image, at the deepest.
    pub stack_bytes: u64,
}

impl Footprint {
    /// Its figures and what they are called.
    pub fn figures(self) -> [(&'static str, u64); 2] {
        [
            ("code bytes", self.code_bytes),
            ("stack bytes", self.stack_bytes),
        ]
    }

    /// Builds the firmware of the model in a file and runs it.
    ///
    /// # Errors
    ///
    /// It cannot be built or run, or prints something else than its stack.
    pub fn measure(toolchain: &Toolchain, machine: &Machine, blob: &Path) -> Result<Self> {
        let bare = Bare::build(toolchain, machine, blob, Kind::Fast)?;
        let mut run = cargo(toolchain, "run", machine, blob, Kind::Fast)?;
        run.args(["--config", machine.runner()]);
        run.args(["--example", "stack", "--"]).args(machine.options);
        let printed = process::output(&mut run)?;
        let stack_bytes = printed.trim().parse();
        Ok(Self {
            code_bytes: bare.code_bytes()?,
            stack_bytes: stack_bytes
                .with_context(|| format!("the firmware printed {printed:?}"))?,
        })
    }
}

/// The smallest firmware of a model, built.
pub struct Bare {
    program: PathBuf,
    blob_len: u64,
}

impl Bare {
    /// Builds the firmware of the model in a file, with the features that it needs.
    ///
    /// # Errors
    ///
    /// It cannot be built; it links only if no panic can be reached.
    pub fn build(
        toolchain: &Toolchain,
        machine: &Machine,
        blob: &Path,
        kind: Kind,
    ) -> Result<Self> {
        let metadata = blob.metadata();
        let metadata = metadata.with_context(|| format!("cannot read {}", blob.display()))?;
        Ok(Self {
            program: machines::build(&mut cargo(toolchain, "build", machine, blob, kind)?)?,
            blob_len: metadata.len(),
        })
    }

    /// Bytes of flash that it takes beyond the blob and the interrupt vectors.
    ///
    /// # Errors
    ///
    /// The program cannot be read.
    pub fn code_bytes(&self) -> Result<u64> {
        Ok(elf::flash_bytes_without_vectors(&self.program)? - self.blob_len)
    }

    /// Bytes of the int8 operators' functions and tables.
    ///
    /// # Errors
    ///
    /// The program cannot be read.
    pub fn operator_bytes(&self) -> Result<u64> {
        let symbols = elf::symbols(&self.program)?;
        let kernels = symbols
            .iter()
            .filter(|(name, _)| KERNELS.iter().any(|kernels| name.contains(kernels)));
        Ok(kernels.map(|(_, bytes)| bytes).sum())
    }

    /// Checks that the int8 operators are not larger than they may be.
    ///
    /// # Errors
    ///
    /// They are.
    pub fn check_operators(&self) -> Result<()> {
        let bytes = self.operator_bytes()?;
        ensure!(
            bytes <= OPERATORS_LIMIT,
            "the int8 operators have {bytes} bytes of code, more than {OPERATORS_LIMIT}"
        );
        Ok(())
    }

    /// Checks that the whole firmware of a model of linear layers, interrupt vectors and all, is not larger than it may
    /// be beside the blob.
    ///
    /// # Errors
    ///
    /// It is.
    pub fn check_linear(&self) -> Result<()> {
        let bytes = elf::flash_bytes(&self.program)? - self.blob_len;
        ensure!(
            bytes <= LINEAR_LIMIT,
            "the firmware of linear layers has {bytes} bytes beside the blob, more than {LINEAR_LIMIT}"
        );
        Ok(())
    }

    /// Checks that it holds nothing that is forbidden.
    ///
    /// # Errors
    ///
    /// Names the symbols that should not be there.
    pub fn check_symbols(&self) -> Result<()> {
        let symbols = elf::symbols(&self.program)?.into_iter();
        let symbols: Vec<String> = symbols
            .map(|(name, _)| name)
            .filter(|name| is_forbidden(name))
            .collect();
        if !symbols.is_empty() {
            bail!(
                "the smallest firmware holds what it must not:\n{}",
                symbols.join("\n")
            );
        }
        Ok(())
    }
}

fn cargo(
    toolchain: &Toolchain,
    action: &str,
    machine: &Machine,
    blob: &Path,
    kind: Kind,
) -> Result<Command> {
    let mut cargo = machines::cargo(toolchain, action, Path::new("bare"));
    cargo.env("POCKETGAN_MODEL", blob);
    match kind {
        Kind::Fast => {}
        Kind::Small => {
            cargo.args(["--config", "profile.release.opt-level=\"s\""]);
        }
    }
    let bytes = fs::read(blob).with_context(|| format!("cannot read {}", blob.display()))?;
    let model = Model::parse(&bytes).with_context(|| blob.display().to_string())?;
    cargo.args(["--no-default-features", "--features", &features(&model)]);
    machine.choose_core(&mut cargo);
    Ok(cargo)
}

/// The features that the smallest firmware of a model has.
fn features(model: &Model<'_>) -> String {
    let has = |wanted: fn(Operator) -> bool| model.layers().any(|layer| wanted(layer.operator));
    let features = [
        ("convolution", has(|it| it != Operator::Linear)),
        ("graphs", has(Operator::is_of_graphs)),
        ("images", model.picture().is_some()),
        ("int4", model.numbers() == Numbers::Int4),
    ];
    let wanted = features.iter().filter(|(_, wanted)| *wanted);
    wanted.map(|(name, _)| *name).collect::<Vec<_>>().join(",")
}

/// Checks that the code for models of linear layers alone makes the pixels that this machine makes.
///
/// # Errors
///
/// It cannot be built or run, or makes others.
pub fn check_linear_pixels(toolchain: &Toolchain, machine: &Machine) -> Result<()> {
    let blob = workspace::root().join(EVERY_LINEAR);
    let mut run = cargo(toolchain, "run", machine, &blob, Kind::Small)?;
    run.args(["--config", machine.runner()]);
    let printed = process::output(run.args(["--example", "pixels"]))?;
    let classes = host::classes(EVERY_LINEAR)? as u64;
    let pictures = (1..=8).map(|seed| (Some(((seed - 1) % classes) as usize), seed));
    let here = host::pixels_sha256(EVERY_LINEAR, pictures)?;
    ensure!(
        printed_sums(&printed) == here,
        "{EVERY_LINEAR}: the firmware for linear layers makes other pixels on the {}",
        machine.core.name()
    );
    Ok(())
}

fn is_forbidden(symbol: &str) -> bool {
    let arm_float = symbol.starts_with("__aeabi_f") || symbol.starts_with("__aeabi_d");
    let ends_as_float = SOFT_FLOAT.iter().any(|end| symbol.ends_with(end));
    arm_float
        || (symbol.starts_with("__") && ends_as_float)
        || FORBIDDEN.iter().any(|name| symbol.contains(name))
}

#[cfg(test)]
mod tests {
    use super::is_forbidden;

    #[test]
    fn floating_point_text_and_panics_are_told_from_what_int8_needs() {
        for symbol in [
            "__aeabi_fadd",
            "__aeabi_dmul",
            "__aeabi_i2f",
            "__aeabi_ul2d",
            "__addsf3",
            "__floatsisf",
            "__unordsf2",
            "libm::math::expf::expf",
            "core::fmt::write",
            "core::panicking::panic_bounds_check",
            "alloc::alloc::handle_alloc_error",
            "__rustc::__rust_alloc",
        ] {
            assert!(is_forbidden(symbol), "{symbol}");
        }
        for symbol in [
            "__aeabi_lmul",
            "__aeabi_uidivmod",
            "__aeabi_memcpy4",
            "__aeabi_llsl",
            "__muldi3",
            "__clzsi2",
            "memset",
            "pocketgan::kernels::int8::linear_row",
            "compiler_builtins::int::specialized_div_rem::u32_div_rem",
        ] {
            assert!(!is_forbidden(symbol), "{symbol}");
        }
    }
}
