//! A compiler for the firmware: a `core` for each board's target, from rustup or from Debian's
//! source package.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// WebAssembly without an operating system.
pub const WASM: &str = "wasm32-unknown-unknown";
/// What the firmware examples are compiled for.
const TARGETS: [&str; 6] = [
    WASM,
    "riscv32imc-unknown-none-elf",
    "thumbv6m-none-eabi",
    "thumbv7em-none-eabihf",
    "thumbv7m-none-eabi",
    "thumbv8m.main-none-eabihf",
];
/// What Debian's compiler is tried with: it can build `core` for all of them if it can for one.
const ONE_TARGET: [&str; 1] = ["thumbv7em-none-eabihf"];

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// How firmware is compiled on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// rustup's compiler with the targets installed.
    Rustup,
    /// Debian's compiler, which builds `core` from Debian's copy of its source and links with the
    /// `rust-lld` in this folder.
    Debian {
        /// Folder of rustup's `rust-lld`.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// Finds or installs a toolchain that compiles for all boards, and says how.
    ///
    /// # Errors
    ///
    /// Neither rustup nor apt-get could provide one; the error says what each answered.
    pub fn find() -> Result<(Self, &'static str)> {
        if Self::Rustup.probe(&TARGETS).is_ok() {
            return Ok((Self::Rustup, "rustup's targets, found"));
        }
        let mut add = process::command("rustup");
        let added = process::output(add.args(["target", "add"]).args(TARGETS));
        let rustup = match added.and_then(|_| Self::Rustup.probe(&TARGETS)) {
            Ok(()) => return Ok((Self::Rustup, "rustup's targets, installed")),
            Err(error) => error,
        };
        Self::debian().with_context(|| {
            let add = process::line(&add);
            format!("run `{add}` where there is a network; it answered: {rustup}")
        })
    }

    fn debian() -> Result<(Self, &'static str)> {
        let toolchain = Self::Debian {
            linker: rust_lld()?,
        };
        if toolchain.probe(&ONE_TARGET).is_ok() {
            return Ok((toolchain, "`core` built from Debian's rust-web-src, found"));
        }
        process::apt_install(&DEBIAN_PACKAGES)?;
        toolchain.probe(&ONE_TARGET)?;
        Ok((
            toolchain,
            "`core` built from Debian's rust-web-src, installed",
        ))
    }

    /// A cargo command (`build` or `run`) for firmware; the caller adds the folder.
    ///
    /// Debian's compiler is set for this one command only: it must never shadow rustup's.
    pub fn cargo(&self, action: &str) -> Command {
        let mut cargo = process::cargo();
        // Flags meant for the host's compiler are none of the firmware's business.
        cargo
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        cargo.arg(action);
        if let Self::Debian { linker } = self {
            cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
            cargo.env("PATH", path_with(linker));
            cargo.args(["-Z", "build-std=core,compiler_builtins"]);
            cargo.args(["-Z", "build-std-features=compiler-builtins-mem"]);
        }
        cargo
    }

    /// The compiler of the firmware.
    pub fn rustc(&self) -> Command {
        process::command(match self {
            Self::Rustup => "rustc",
            Self::Debian { .. } => DEBIAN_RUSTC,
        })
    }

    /// Compiles an empty `no_std` library.
    fn probe(&self, targets: &[&str]) -> Result<()> {
        let folder = workspace::target().join("bare-metal-probe");
        fs::create_dir_all(folder.join("src"))?;
        fs::write(
            folder.join("src/lib.rs"),
            "#![no_std]\npub fn add(a: u8) -> u8 { a + 1 }\n",
        )?;
        let manifest = folder.join("Cargo.toml");
        let package = "[package]\nname = \"probe\"\nedition = \"2024\"\n[workspace]\n";
        fs::write(&manifest, package)?;
        let mut cargo = self.cargo("build");
        cargo.arg("--manifest-path").arg(manifest);
        for target in targets {
            cargo.args(["--target", target]);
        }
        cargo.arg("--target-dir").arg(folder.join(match self {
            Self::Rustup => "rustup",
            Self::Debian { .. } => "debian",
        }));
        process::output(&mut cargo).map(drop)
    }
}

/// The folder of rustup's `rust-lld`, which Debian's compiler has none of.
fn rust_lld() -> Result<PathBuf> {
    let sysroot = process::output(process::command("rustc").args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(sysroot.trim())
        .join("lib/rustlib")
        .join(host_target()?)
        .join("bin"))
}

/// What this machine's own programs are compiled for.
///
/// # Errors
///
/// No compiler, or one that does not say.
fn host_target() -> Result<String> {
    let version = process::output(process::command("rustc").arg("-vV"))?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("`rustc -vV` names no host")?;
    Ok(host.to_owned())
}

fn path_with(folder: &std::path::Path) -> OsString {
    let old = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(env::split_paths(&old));
    env::join_paths(folders).unwrap_or(old)
}
