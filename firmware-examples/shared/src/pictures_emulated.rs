//! The program of emulated boards that read pictures: what it enlarges and scores, and what that cost.

use core::fmt;

use pocketgan::Error;
use semihosting::{eprintln, process};

use crate::counter::Wrong;
use crate::emulated::Board;
use crate::picture::{Checksum, Text};
use crate::pictures::{
    ANOMALY_THRESHOLD, DIGITS, EACH, ENLARGER, Enlarged, Kind, Scored, enlarge, score, small,
};

/// Why the program ends early.
enum Failure {
    Model(Error),
    Counter(Wrong),
    Output,
}

/// Runs the program and ends it, with status 0 or with 1 and a sentence.
pub fn main(board: Board<'_>) -> ! {
    match run(board) {
        Ok(()) => process::exit(0),
        Err(Failure::Model(error)) => eprintln!("{error}"),
        Err(Failure::Counter(wrong)) => eprintln!("{wrong}"),
        Err(Failure::Output) => eprintln!("the output cannot be written"),
    }
    process::exit(1)
}

fn run(board: Board<'_>) -> Result<(), Failure> {
    board.counter.check()?;
    let output = board.output;
    let mut image: Enlarged = [0; ENLARGER.image_len()];
    for number in 0..EACH {
        let mut result = Ok(());
        let picture = small(number)?;
        let work = || result = enlarge(picture, &mut image);
        let instructions = board.counter.instructions(work);
        result?;
        if number == 0 {
            let shape = ENLARGER.output();
            let pixels = &image;
            writeln!(output, "{}", Text { shape, pixels })?;
        }
        writeln!(
            output,
            "enlarged {number}: {instructions} instructions, {} bytes of RAM, SHA-256 of the pixels: {}",
            ENLARGER.working_memory(),
            Checksum(&image)
        )?;
    }
    let mut noise: Scored = [0; DIGITS.picture_len()];
    for kind in Kind::ALL {
        for number in 0..EACH {
            let mut result = Ok(0);
            let picture = kind.picture(number, &mut noise)?;
            let work = || result = score(picture);
            let instructions = board.counter.instructions(work);
            let score = result?;
            let verdict = if score > ANOMALY_THRESHOLD {
                "no digit"
            } else {
                "a digit"
            };
            writeln!(
                output,
                "{kind} {number}: score {score}, {verdict}; {instructions} instructions, {} bytes of RAM",
                DIGITS.working_memory()
            )?;
        }
    }
    Ok(())
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Model(error)
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Self::Counter(wrong)
    }
}

impl From<fmt::Error> for Failure {
    fn from(_: fmt::Error) -> Self {
        Self::Output
    }
}
