//! Other programs, run with their failures told.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// A command that runs in the root of the workspace, without input.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace::root()).stdin(Stdio::null());
    command
}

/// The cargo that runs this program, or else the one on the path.
pub fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command, its output shown.
///
/// # Errors
///
/// It cannot be started or does not exit 0.
pub fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", line(command));
    let status = command
        .status()
        .with_context(|| format!("cannot run `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", line(command));
    }
    Ok(())
}

/// Runs a command and returns its standard output.
///
/// # Errors
///
/// It cannot be started, does not exit 0 (its last words are in the error) or writes no UTF-8.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run `{}`", line(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(12)..].join("\n");
        bail!("`{}` failed ({}):\n{last}", line(command), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` wrote no UTF-8", line(command)))
}

/// The command as a person would type it.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Installs Debian packages where that can be done without asking: as root, with apt-get.
///
/// # Errors
///
/// Not root, no apt-get, or apt-get's failure; each names the command for a person to run.
pub fn apt_install(packages: &[&str]) -> Result<()> {
    let by_hand = format!("run `sudo apt-get install {}`", packages.join(" "));
    let user = output(command("id").arg("-u")).unwrap_or_default();
    if user.trim() != "0" {
        bail!("not root; {by_hand}, or install them the way your system does");
    }
    let install = || {
        let mut apt = command("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt.args(["install", "--yes", "--no-install-recommends"])
            .args(packages);
        output(&mut apt)
    };
    if install().is_ok() {
        return Ok(());
    }
    // A fresh machine has no package lists yet.
    output(command("apt-get").arg("update")).context(by_hand.clone())?;
    install().context(by_hand)?;
    Ok(())
}
