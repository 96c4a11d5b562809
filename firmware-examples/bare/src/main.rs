//! The smallest firmware: it makes one picture after another and holds nothing else: no text,
//! no allocator and no panic. What it adds to the blob is what the runtime costs in flash.
//!
//! The panic handler calls a function that does not exist, so that the program links only if no panic can
//! be reached. Only a release build removes all that is unreachable.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use pocketgan::{Buffer, Generator, Model, include_model};

const MODEL: Model = include_model!(env!("POCKETGAN_MODEL"));

type Working = Buffer<{ MODEL.buffer_len() }>;
type Image = [u8; MODEL.image_len()];

unsafe extern "C" {
    safe fn a_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    a_panic_is_reachable()
}

// What is static starts as zeros without code of its own.
#[cfg(target_arch = "arm")]
#[cortex_m_rt::entry]
fn main() -> ! {
    static mut BUFFER: Working = Buffer::new();
    static mut IMAGE: Image = [0; MODEL.image_len()];
    run(BUFFER, IMAGE)
}

#[cfg(target_arch = "riscv32")]
#[riscv_rt::entry]
fn main() -> ! {
    run(&mut Buffer::new(), &mut [0; MODEL.image_len()])
}

fn run(buffer: &mut Working, image: &mut Image) -> ! {
    if let Ok(mut generator) = Generator::new(&MODEL, buffer) {
        for seed in 0.. {
            if let Some(class) = (seed as usize).checked_rem(MODEL.classes()) {
                let _ = generator.set_class(class);
            }
            let _ = generator.sample(seed, image);
            // Here a picture would go to a display.
            black_box(&image);
        }
    }
    loop {
        black_box(());
    }
}
