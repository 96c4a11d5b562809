//! Enlarges pictures that come line by line over UART0, as from a camera, and draws them on an SSD1306 display while
//! they come: no whole picture is ever in memory. A picture is 14 lines of 14 bytes at 115,200 baud. The Pico asks for
//! a line by sending its number, as no line may come while it computes. Its light goes on if the display does not
//! answer or a line is garbled.
#![no_std]
#![no_main]

#[path = "../src/board.rs"]
mod board;

use board::{Board, Uart};
use embedded_graphics::prelude::*;
use embedded_hal::digital::OutputPin;
use panic_halt as _;
use pocketgan::display::{Rows, dither};
use pocketgan::{Buffer, Error, Model, RowSource, Translator, include_model};
use rp2040_hal::entry;
use rp2040_hal::uart::ReadErrorType;
use ssd1306::mode::DisplayConfig;
use ssd1306::prelude::{DisplayRotation, DisplaySize128x64};
use ssd1306::{I2CDisplayInterface, Ssd1306};

const MODEL: Model = include_model!("../../../models/fashion-upscale/model.pgan");
/// Bytes of a line.
const LINE: usize = match MODEL.picture() {
    Some(picture) => picture.row_len(),
    None => 0,
};
/// Points of the display for a pixel, across and down.
const SCALE: u32 = 2;

/// A line at a time from the UART.
struct Lines<'u> {
    uart: &'u Uart,
    line: [u8; LINE],
}

impl RowSource for Lines<'_> {
    type Error = ReadErrorType;

    fn next_row(&mut self, y: usize) -> Result<&[u8], ReadErrorType> {
        self.uart.write_full_blocking(&[y as u8]);
        self.uart.read_full_blocking(&mut self.line)?;
        Ok(&self.line)
    }
}

/// Why the program ends.
enum Failure {
    Display,
    Model,
    Line,
}

#[entry]
fn main() -> ! {
    if let Some(mut board) = Board::take()
        && run(&mut board).is_err()
    {
        let Ok(()) = board.light.set_high();
    }
    loop {
        core::hint::spin_loop();
    }
}

fn run(board: &mut Board) -> Result<(), Failure> {
    let interface = I2CDisplayInterface::new(&mut board.display);
    let mut display = Ssd1306::new(interface, DisplaySize128x64, DisplayRotation::Rotate0)
        .into_buffered_graphics_mode();
    display.init().map_err(|_| Failure::Display)?;
    let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    let mut translator = Translator::new(&MODEL, &mut buffer)?;
    let mut lines = Lines {
        uart: &board.uart,
        line: [0; LINE],
    };
    loop {
        let corner = display.bounding_box().center() - Point::new(28, 28);
        let mut rows = Rows::new(&mut display, corner, SCALE, MODEL.output().channels, dither);
        let translated = translator.translate_rows(&mut lines, &mut rows);
        translated.map_err(|_| Failure::Line)?;
        display.flush().map_err(|_| Failure::Display)?;
    }
}

impl From<Error> for Failure {
    fn from(_: Error) -> Self {
        Self::Model
    }
}
