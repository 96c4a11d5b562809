//! Makes each picture on the two cores of `mps2-an521`, a half on each: `cargo run --release --target
//! thumbv8m.main-none-eabihf --features two-cores --example halves -- -M mps2-an521 -global sse-200.CPU0_DSP=on -global
//! sse-200.CPU0_FPU=on`. Without these words the first core lacks what the target has.
#![no_std]
#![no_main]

#[cfg(not(trustzone))]
compile_error!("the board with two cores takes --target thumbv8m.main-none-eabihf");

mod second_core;

use core::ops::Range;

use cortex_m_rt::{entry, exception};
use firmware_shared::console::Console;
use firmware_shared::counter::Counter;
use firmware_shared::emulated::{self, Board, Counted, Failure, Image, PICTURES};
use firmware_shared::halves::{LOWER, LowerHalf, Memory, UPPER};
use firmware_shared::model::MODEL;
use firmware_shared::picture::Picture;
use firmware_shared::request::Request;
use pocketgan::{Buffer, Error, Generator, RowSink};
use qemu_mps2::{core_name, timer};

#[entry]
fn main() -> ! {
    static mut MEMORY: Memory = Memory::empty();
    static mut LOWER_HALF: Option<LowerHalf> = None;
    emulated::end(run(MEMORY, LOWER_HALF))
}

/// The first core's; the second core has its own table.
#[exception(trampoline = false)]
unsafe fn HardFault() -> ! {
    second_core::fault()
}

fn run(
    memory: &'static mut Memory,
    lower_half: &'static mut Option<LowerHalf>,
) -> Result<(), Failure> {
    let mut board = Board {
        core: core_name::read(),
        counter: timer::COUNTER,
        output: &mut Console,
    };
    let request = Request::read(MODEL.classes())?;
    let counted = board.counts()?;
    let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    let mut alone = Generator::new(&MODEL, &mut buffer)?;
    // What either core executes advances the clock, so the first core counts before the second one starts.
    let mut pictures = [None; PICTURES];
    for (place, picture) in pictures.iter_mut().zip(emulated::pictures(request)) {
        *place = Some(count(board.counter, &mut alone, picture)?);
    }
    let (mut halves, lower) = memory.split()?;
    second_core::start(lower_half.insert(lower))
        .ok_or(Failure::Board("this board has no second core that waits"))?;
    let mut image: Image = [0; MODEL.image_len()];
    for made in pictures.iter().flatten() {
        halves.sample(made.picture, &mut into(&mut image))?;
        made.picture.choose_class(&mut alone)?;
        emulated::report(&mut board, &mut alone, made, counted, &image)?;
    }
    Ok(())
}

/// Counts what a picture takes by one core, whole and by halves.
fn count(
    counter: Counter,
    generator: &mut Generator<'_, '_>,
    picture: Picture,
) -> Result<Counted, Error> {
    let mut image: Image = [0; MODEL.image_len()];
    picture.choose_class(generator)?;
    let mut result = Ok(());
    let instructions = counter.instructions(|| result = generator.sample(picture.seed, &mut image));
    result?;
    let mut half = |rows: Range<usize>| {
        let mut result = Ok(());
        let mut sink = into(&mut image);
        let instructions = counter.instructions(|| {
            result = generator.sample_row_range(picture.seed, rows.clone(), &mut sink);
        });
        result.map(|()| instructions)
    };
    let halves = Some([half(UPPER)?, half(LOWER)?]);
    Ok(Counted {
        picture,
        instructions,
        halves,
    })
}

/// Puts rows where they belong in an image.
fn into(image: &mut Image) -> impl RowSink {
    |y: usize, pixels: &[u8]| {
        let row = image.iter_mut().skip(y * pixels.len());
        for (to, &from) in row.zip(pixels) {
            *to = from;
        }
    }
}
