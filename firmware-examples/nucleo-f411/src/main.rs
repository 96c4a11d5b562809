//! Prints a generator's pictures on the serial line of the board's USB connector, another one at each
//! press of the blue button: the digits in turn, each from a seed of its own.
#![no_std]
#![no_main]

mod board;

use core::fmt::{self, Write};

use board::Board;
use cortex_m_rt::entry;
use firmware_shared::picture::{Checksum, Text};
use panic_halt as _;
use pocketgan::{Buffer, Error, Generator, Model, include_model};

const MODEL: Model = include_model!("../../../models/mnist-nano/model.pgan");

/// Why the program ends.
enum Failure {
    Model(Error),
    Output,
}

#[entry]
fn main() -> ! {
    if let Some(mut board) = Board::take()
        && let Err(Failure::Model(error)) = run(&mut board)
    {
        let _ = writeln!(board.serial, "{error}\r");
    }
    loop {
        core::hint::spin_loop();
    }
}

fn run(board: &mut Board) -> Result<(), Failure> {
    let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    let mut generator = Generator::new(&MODEL, &mut buffer)?;
    let mut pixels = [0; MODEL.image_len()];
    let shape = MODEL.output();
    for seed in 1.. {
        let class = (seed as usize - 1) % MODEL.classes();
        generator.set_class(class)?;
        generator.sample(seed, &mut pixels)?;
        let text = Text {
            shape,
            pixels: &pixels,
        };
        let mut serial = CarriageReturns(&mut board.serial);
        writeln!(serial, "{text}\nclass {class}, seed {seed}")?;
        writeln!(serial, "SHA-256 of the pixels: {}\n", Checksum(&pixels))?;
        board.wait_for_press();
    }
    Ok(())
}

/// Begins lines at the left, as terminals ask for.
struct CarriageReturns<'a, W>(&'a mut W);

impl<W: Write> Write for CarriageReturns<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive('\n') {
            match part.strip_suffix('\n') {
                Some(line) => write!(self.0, "{line}\r\n")?,
                None => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Model(error)
    }
}

impl From<fmt::Error> for Failure {
    fn from(_: fmt::Error) -> Self {
        Self::Output
    }
}
