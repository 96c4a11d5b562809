//! Samples a generator on an emulated RV32IMC machine and shows what comes out and what it cost.
#![no_std]
#![no_main]

mod instret;

use firmware_shared::console::Console;
use firmware_shared::emulated::{self, Board};
use riscv_rt::entry;

#[entry]
fn main() -> ! {
    emulated::main(Board {
        core: "riscv32imc",
        counter: instret::COUNTER,
        output: &mut Console,
    })
}
