//! The smallest firmware: it makes one picture after another and holds nothing else: no text,
//! no allocator and no panic. What it adds to the blob is what the runtime costs in flash.
//!
//! The panic handler calls a function that does not exist, so that the program links only if no panic can
//! be reached. Only a release build removes all that is unreachable.
#![no_std]
#![no_main]

mod pictures;

use core::hint::black_box;
use core::panic::PanicInfo;

use pictures::{Image, Working, blank, draw};

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
    static mut BUFFER: Working = Working::new();
    static mut IMAGE: Image = blank();
    run(BUFFER, IMAGE)
}

#[cfg(target_arch = "riscv32")]
#[riscv_rt::entry]
fn main() -> ! {
    run(&mut Working::new(), &mut blank())
}

fn run(buffer: &mut Working, image: &mut Image) -> ! {
    draw(buffer, image, 0..);
    loop {
        black_box(());
    }
}
