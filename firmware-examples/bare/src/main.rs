//! The smallest firmware: it makes one picture after another and holds nothing else: no text,
//! no allocator and no panic. What it adds to the blob is what the runtime costs in flash.
//!
//! The panic handler calls a function that does not exist, so that the program links only if no panic can
//! be reached. Only a release build removes all that is unreachable.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

#[cfg(target_arch = "arm")]
use cortex_m_rt::entry;
use pocketgan::{Buffer, Generator, Model, include_model};
#[cfg(target_arch = "riscv32")]
use riscv_rt::entry;

const MODEL: Model = include_model!(env!("POCKETGAN_MODEL"));

unsafe extern "C" {
    safe fn a_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    a_panic_is_reachable()
}

#[entry]
fn main() -> ! {
    let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    let mut image = [0; MODEL.image_len()];
    if let Ok(mut generator) = Generator::new(&MODEL, &mut buffer) {
        for seed in 0.. {
            if let Some(class) = (seed as usize).checked_rem(MODEL.classes()) {
                let _ = generator.set_class(class);
            }
            let _ = generator.sample(seed, &mut image);
            // Here a picture would go to a display.
            black_box(&image);
        }
    }
    loop {
        black_box(());
    }
}
