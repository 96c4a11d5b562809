//! Samples a generator on a micro:bit and shows what comes out on its serial line.
#![no_std]
#![no_main]

mod serial;
mod timer;

use cortex_m_rt::entry;
use firmware_shared::emulated::{self, Board};
use serial::Serial;

#[entry]
fn main() -> ! {
    emulated::main(Board {
        core: "cortex-m0",
        counter: timer::COUNTER,
        output: &mut Serial::new(),
    })
}
