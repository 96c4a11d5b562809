//! What the emulated boards do when they are asked for a class.

use anyhow::{Context, Result, bail, ensure};

use super::machines::Machine;
use super::{DIGITS, printed_sums};
use crate::bare_metal::Toolchain;
use crate::host;

/// Checks that the example shows each class in turn, shows the class it is asked for, and refuses what
/// it cannot show.
///
/// # Errors
///
/// The first of these that it does not do.
pub fn check(toolchain: &Toolchain, machine: &Machine) -> Result<()> {
    let show = |words: &[&str]| machine.run(toolchain, DIGITS.feature, words);
    let board = machine.board;
    let classes = host::classes(DIGITS.blob)?;
    let last = classes
        .checked_sub(1)
        .with_context(|| format!("{} has no classes", DIGITS.blob))?;
    let in_turn = (0..classes).map(|class| (Some(class), 1));
    let here = host::pixels_sha256(DIGITS.blob, in_turn)?;
    ensure!(
        printed_sums(&show(&[])?) == here,
        "{board} does not show each of the {classes} classes in turn"
    );
    let here = host::pixels_sha256(DIGITS.blob, [(Some(last), 7)])?;
    ensure!(
        printed_sums(&show(&["-append", &format!("{last} 7")])?) == here,
        "asked for class {last} and seed 7, {board} shows something else"
    );
    for (words, sentence) in [
        (classes.to_string(), format!("there is no class {classes}")),
        ("seven".into(), "ask for a class and a seed".into()),
        ("1 2 3".into(), "ask for a class and a seed".into()),
    ] {
        match show(&["-append", &words]) {
            Err(error) if error.to_string().contains(&sentence) => {}
            other => bail!("asked for {words:?}, {board} answers {other:?}"),
        }
    }
    eprintln!("{board} shows the class it is asked for");
    Ok(())
}
