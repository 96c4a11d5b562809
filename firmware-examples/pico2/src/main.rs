//! Shows a generator's pictures on a colour display with an ST7789, another one at each press of a button, each from a
//! seed of its own and, of a model with classes, of the next class. Each core makes a half of the picture. The Pico 2's
//! light goes on if the program cannot go on.
#![no_std]
#![no_main]

mod board;

use board::Board;
use embedded_graphics::pixelcolor::Rgb565;
use embedded_graphics::prelude::*;
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{InputPin, OutputPin};
use firmware_shared::halves::Memory;
use firmware_shared::model::MODEL;
use firmware_shared::picture::Picture;
use mipidsi::Builder;
use mipidsi::interface::SpiInterface;
use mipidsi::models::ST7789;
use mipidsi::options::ColorInversion;
use panic_halt as _;
use pocketgan::Error;
use pocketgan::display::{Rows, rgb565};
use rp235x_hal::entry;

/// Points of the display, across and down: 240 by 240 or 240 by 320.
const DISPLAY: (u16, u16) = (240, 240);
/// Points of the display for a pixel, across and down: as many as fit.
const SCALE: u32 = {
    let (across, down) = (
        DISPLAY.0 as u32 / MODEL.output().width as u32,
        DISPLAY.1 as u32 / MODEL.output().height as u32,
    );
    let scale = if across < down { across } else { down };
    assert!(scale > 0, "the display is too small for the pictures");
    scale
};

/// Why the program ends.
enum Failure {
    Display,
    Model,
    SecondCore,
}

#[entry]
fn main() -> ! {
    static mut MEMORY: Memory = Memory::empty();
    if let Some(mut board) = Board::take()
        && run(&mut board, MEMORY).is_err()
    {
        let Ok(()) = board.light.set_high();
    }
    loop {
        core::hint::spin_loop();
    }
}

fn run(board: &mut Board, memory: &'static mut Memory) -> Result<(), Failure> {
    // So many bytes are sent at once.
    let mut batch = [0; 512];
    let (bus, data_or_command) = (&mut board.display, &mut board.data_or_command);
    let mut display = Builder::new(ST7789, SpiInterface::new(bus, data_or_command, &mut batch))
        .display_size(DISPLAY.0, DISPLAY.1)
        // Nearly all of these displays show the opposite of what they are sent.
        .invert_colors(ColorInversion::Inverted)
        .reset_pin(&mut board.reset)
        .init(&mut board.timer)
        .map_err(|_| Failure::Display)?;
    display.clear(Rgb565::BLACK).map_err(|_| Failure::Display)?;
    let second_core = board.second_core.take().ok_or(Failure::SecondCore)?;
    let (mut halves, mut lower_half) = memory.split()?;
    second_core
        .start(move || lower_half.run())
        .ok_or(Failure::SecondCore)?;
    for seed in 1.. {
        let class = (seed as usize - 1).checked_rem(MODEL.classes());
        let mut rows = centred(&mut display);
        halves.sample(Picture { seed, class }, &mut rows)?;
        rows.result().map_err(|_| Failure::Display)?;
        let Ok(()) = wait_for_press(&mut board.button, &mut board.timer);
    }
    Ok(())
}

/// Draws rows in the middle of the display.
fn centred<D>(display: &mut D) -> Rows<'_, D, impl FnMut(Point, &[u8]) -> Rgb565>
where
    D: DrawTarget<Color = Rgb565>,
{
    let shape = MODEL.output();
    let size = Size::new(shape.width as u32, shape.height as u32) * SCALE;
    let margins = display.bounding_box().size - size;
    let corner = Point::new(margins.width as i32, margins.height as i32) / 2;
    Rows::new(display, corner, SCALE, shape.channels, rgb565)
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
