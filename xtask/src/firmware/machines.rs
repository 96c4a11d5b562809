//! The machines that QEMU emulates, and how firmware is built for them and run on them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use clap::ValueEnum;

use super::{DIGITS, DIGITS_INT4, Example, NANO, NANO_INT4, SMALL, SMALL_INT4};
use crate::bare_metal::Toolchain;
use crate::{process, workspace};

/// A processor core that figures are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Core {
    CortexM0,
    CortexM3,
    CortexM4,
    CortexM7,
    CortexM33,
    CortexM55,
    Riscv32imc,
}

/// A core, and where it runs what.
pub struct Machine {
    pub core: Core,
    /// Folder of the board in `firmware-examples`.
    pub board: &'static str,
    /// What is compiled for.
    pub target: &'static str,
    /// The feature of the firmware that chooses the core, where the target does not.
    pub feature: Option<&'static str>,
    /// What QEMU is told beyond the board's runner.
    pub options: &'static [&'static str],
    /// The models that fit, and those with int4 weights.
    pub models: &'static [Example],
    pub int4: &'static [Example],
}

/// All models.
pub const MODELS: &[Example] = &[NANO, SMALL, DIGITS];
/// The same with int4 weights.
const INT4: &[Example] = &[NANO_INT4, SMALL_INT4, DIGITS_INT4];

/// The machine that a user meets first.
pub const MPS2_M4: Machine = mps2(Core::CortexM4, "thumbv7em-none-eabihf", &[]);
/// The micro:bit, whose flash is too small for [`SMALL`].
pub const MICROBIT: Machine = Machine {
    core: Core::CortexM0,
    board: "microbit",
    target: "thumbv6m-none-eabi",
    feature: None,
    options: &[],
    models: &[NANO, DIGITS],
    int4: INT4,
};
/// The core with Helium.
pub const MPS3_M55: Machine = Machine {
    feature: Some("cortex-m55"),
    ..mps2(
        Core::CortexM55,
        "thumbv8m.main-none-eabihf",
        &["-M", "mps3-an547"],
    )
};
/// Two cores, of which QEMU gives the first neither the DSP extension nor an FPU unless it is told to.
pub const MPS2_TWO_M33: Machine = mps2(
    Core::CortexM33,
    "thumbv8m.main-none-eabihf",
    &[
        "-M",
        "mps2-an521",
        "-global",
        "sse-200.CPU0_DSP=on",
        "-global",
        "sse-200.CPU0_FPU=on",
    ],
);
/// RISC-V.
pub const RISCV_VIRT: Machine = Machine {
    core: Core::Riscv32imc,
    board: "riscv-virt",
    target: "riscv32imc-unknown-none-elf",
    feature: None,
    options: &[],
    models: MODELS,
    int4: INT4,
};
/// Every machine.
pub const MACHINES: [Machine; 8] = [
    MICROBIT,
    // The same instructions on a larger core.
    Machine {
        models: &[SMALL],
        int4: &[],
        ..mps2(Core::CortexM0, "thumbv6m-none-eabi", &[])
    },
    mps2(Core::CortexM3, "thumbv7m-none-eabi", &[]),
    MPS2_M4,
    mps2(
        Core::CortexM7,
        "thumbv7em-none-eabihf",
        &["-M", "mps2-an500"],
    ),
    mps2(Core::CortexM33, "thumbv8m.main-none-eabihf", &[]),
    MPS3_M55,
    RISCV_VIRT,
];

/// Machines that have room for every model.
pub fn with_room() -> impl Iterator<Item = &'static Machine> {
    MACHINES
        .iter()
        .filter(|machine| machine.board != MICROBIT.board)
}

const fn mps2(core: Core, target: &'static str, options: &'static [&'static str]) -> Machine {
    Machine {
        core,
        board: "qemu-mps2",
        target,
        feature: None,
        options,
        models: MODELS,
        int4: INT4,
    }
}

impl Core {
    /// As in the figures.
    pub fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl Machine {
    /// A cargo command in the board's folder; the caller adds features.
    pub fn cargo(&self, toolchain: &Toolchain, action: &str) -> Command {
        let mut cargo = cargo(toolchain, action, Path::new(self.board));
        self.choose_core(&mut cargo);
        cargo
    }

    /// Tells a cargo command which core to build for.
    pub fn choose_core(&self, cargo: &mut Command) {
        cargo.args(["--target", self.target]);
        if let Some(feature) = self.feature {
            cargo.args(["--features", feature]);
        }
    }

    /// The configuration that tells cargo how to run firmware with any memory in QEMU, from another folder of
    /// `firmware-examples`.
    pub fn runner(&self) -> &'static str {
        match self.core {
            Core::Riscv32imc => "../riscv-virt/.cargo/config.toml",
            _ => "../qemu-mps2/.cargo/config.toml",
        }
    }

    /// Runs the firmware with these features, `words` added to QEMU's, and returns what it prints.
    ///
    /// # Errors
    ///
    /// It cannot be built, or ends with another status than 0.
    pub fn run(&self, toolchain: &Toolchain, features: &str, words: &[&str]) -> Result<String> {
        let mut run = self.cargo(toolchain, "run");
        run.args(["--no-default-features", "--features", features]);
        run.arg("--").args(self.options).args(words);
        process::output(&mut run)
    }
}

/// A release build's cargo command in a folder of `firmware-examples`. All share a build folder, and
/// with it what they have in common.
pub fn cargo(toolchain: &Toolchain, action: &str, folder: &Path) -> Command {
    let mut cargo = toolchain.cargo(action);
    cargo.current_dir(workspace::root().join("firmware-examples").join(folder));
    cargo.env("CARGO_TARGET_DIR", build_folder());
    cargo.args(["--release", "--locked", "--quiet"]);
    cargo
}

/// Where all examples are built.
pub fn build_folder() -> PathBuf {
    workspace::target().join("firmware")
}

/// Runs a build and returns the file it makes: a program or a WebAssembly module.
///
/// # Errors
///
/// The build fails or makes no such file.
pub fn build(cargo: &mut Command) -> Result<PathBuf> {
    cargo.arg("--message-format=json-render-diagnostics");
    for line in process::output(cargo)?.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        let files = message["filenames"].as_array().into_iter().flatten();
        let module = files
            .filter_map(|file| file.as_str())
            .find(|file| file.ends_with(".wasm"));
        if let Some(path) = message["executable"].as_str().or(module) {
            return Ok(path.into());
        }
    }
    bail!("`{}` built no program", process::line(cargo))
}
