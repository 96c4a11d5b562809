//! Checks the core's kernels against the reference: `cargo run --release --example cases -- -append CASES`.
#![no_std]
#![no_main]

#[path = "../src/instret.rs"]
mod instret;

use riscv_rt::entry;

#[entry]
fn main() -> ! {
    firmware_shared::cases::main(instret::COUNTER)
}
