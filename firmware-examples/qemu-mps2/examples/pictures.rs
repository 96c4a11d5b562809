//! Enlarges pictures and tells digits from what is none: `cargo run --release --features pictures --example pictures`.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use firmware_shared::console::Console;
use firmware_shared::emulated::Board;
use firmware_shared::pictures_emulated;
use qemu_mps2::{core_name, timer};

#[entry]
fn main() -> ! {
    pictures_emulated::main(Board {
        core: core_name::read(),
        counter: timer::COUNTER,
        output: &mut Console,
    })
}
