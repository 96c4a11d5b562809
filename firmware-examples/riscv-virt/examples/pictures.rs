//! Enlarges pictures and tells digits from what is none: `cargo run --release --features pictures --example pictures`.
#![no_std]
#![no_main]

#[path = "../src/instret.rs"]
mod instret;

use firmware_shared::console::Console;
use firmware_shared::emulated::Board;
use firmware_shared::pictures_emulated;
use riscv_rt::entry;

#[entry]
fn main() -> ! {
    pictures_emulated::main(Board {
        core: "riscv32imc",
        counter: instret::COUNTER,
        output: &mut Console,
    })
}
