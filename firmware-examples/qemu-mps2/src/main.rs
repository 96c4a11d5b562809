//! Samples a generator on an emulated Cortex-M board and shows what comes out and what it cost.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use firmware_shared::console::Console;
use firmware_shared::emulated::{self, Board};
use qemu_mps2::{core_name, timer};

#[entry]
fn main() -> ! {
    emulated::main(Board {
        core: core_name::read(),
        counter: timer::COUNTER,
        output: &mut Console,
    })
}
