//! Shows a generator's pictures on an SSD1306 display, another one at each press of a button: the digits
//! in turn, each from a seed of its own. The Pico's light goes on if the display does not answer.
#![no_std]
#![no_main]

mod board;

use board::Board;
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::*;
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{InputPin, OutputPin};
use panic_halt as _;
use pocketgan::display::{Rows, dither};
use pocketgan::{Buffer, Error, Generator, Model, SampleError, include_model};
use rp2040_hal::entry;
use ssd1306::mode::DisplayConfig;
use ssd1306::prelude::{DisplayRotation, DisplaySize128x64};
use ssd1306::{I2CDisplayInterface, Ssd1306};

const MODEL: Model = include_model!("../../../models/mnist-nano/model.pgan");
/// Points of the display for a pixel, across and down.
const SCALE: u32 = 2;

/// Why the program ends.
enum Failure {
    Display,
    Model,
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
    let mut generator = Generator::new(&MODEL, &mut buffer)?;
    for seed in 1.. {
        generator.set_class((seed as usize - 1) % MODEL.classes())?;
        draw(&mut generator, seed, &mut display)?;
        display.flush().map_err(|_| Failure::Display)?;
        let Ok(()) = wait_for_press(&mut board.button, &mut board.timer);
    }
    Ok(())
}

/// Draws the picture of a seed in the middle of the display.
fn draw(
    generator: &mut Generator<'_, '_>,
    seed: u64,
    display: &mut impl DrawTarget<Color = BinaryColor>,
) -> Result<(), Failure> {
    let shape = MODEL.output();
    let size = Size::new(shape.width as u32, shape.height as u32) * SCALE;
    let corner =
        display.bounding_box().center() - Point::new(size.width as i32, size.height as i32) / 2;
    let mut rows = Rows::new(display, corner, SCALE, shape.channels, dither);
    let drawn = generator.try_sample_rows(seed, &mut rows);
    drawn.map_err(|error| match error {
        SampleError::Call(error) => error.into(),
        _ => Failure::Display,
    })
}

/// Waits until the button, which pulls its pin low, was let go and pressed again.
fn wait_for_press<B: InputPin>(button: &mut B, timer: &mut impl DelayNs) -> Result<(), B::Error> {
    /// Longer than a contact bounces.
    const SETTLED_MS: u32 = 20;
    while button.is_low()? {
        timer.delay_ms(SETTLED_MS);
    }
    while button.is_high()? {
        timer.delay_ms(SETTLED_MS);
    }
    Ok(())
}

impl From<Error> for Failure {
    fn from(_: Error) -> Self {
        Self::Model
    }
}
