//! Prints a generator's pictures through the debugger (RTT), one every two seconds: the digits in turn,
//! each from a seed of its own.
#![no_std]
#![no_main]

use cortex_m::asm;
use cortex_m_rt::entry;
use firmware_shared::picture::{Checksum, Text};
use panic_rtt_target as _;
use pocketgan::{Buffer, Error, Generator, Model, include_model};
use rtt_target::ChannelMode::BlockIfFull;
use rtt_target::{rprintln, rtt_init_print};

const MODEL: Model = include_model!("../../../models/mnist-nano/model.pgan");
/// Two seconds at the core's 64 MHz.
const PAUSE_CYCLES: u32 = 128_000_000;

#[entry]
fn main() -> ! {
    // A picture is longer than the buffer: wait for the debugger rather than lose lines.
    rtt_init_print!(BlockIfFull, 1024);
    if let Err(error) = run() {
        rprintln!("{}", error);
    }
    loop {
        asm::wfi();
    }
}

fn run() -> Result<(), Error> {
    let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    let mut generator = Generator::new(&MODEL, &mut buffer)?;
    let mut pixels = [0; MODEL.image_len()];
    for seed in 1.. {
        let class = (seed as usize - 1) % MODEL.classes();
        generator.set_class(class)?;
        generator.sample(seed, &mut pixels)?;
        let shape = MODEL.output();
        let text = Text {
            shape,
            pixels: &pixels,
        };
        rprintln!("{}\nclass {}, seed {}", text, class, seed);
        rprintln!("SHA-256 of the pixels: {}\n", Checksum(&pixels));
        asm::delay(PAUSE_CYCLES);
    }
    Ok(())
}
