//! Checks the core's kernels against the reference: `cargo run --release --example cases -- -append CASES`.
#![no_std]
#![no_main]

use cortex_m_rt::entry;

#[entry]
fn main() -> ! {
    firmware_shared::cases::main(qemu_mps2::timer::COUNTER)
}
