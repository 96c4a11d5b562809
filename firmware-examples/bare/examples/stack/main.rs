//! Prints how much stack the smallest firmware takes where it makes pictures, in bytes:
//!
//! `cargo run --release --config ../qemu-mps2/.cargo/config.toml --example stack`
#![no_std]
#![no_main]

mod paint;
#[path = "../../src/pictures.rs"]
mod pictures;

use core::hint::black_box;

use pictures::{Working, blank, draw};
use semihosting::{println, process};

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    let (mut buffer, mut image) = (Working::new(), blank());
    // So that the compiler keeps the loop over them.
    let seeds = black_box(2);
    println!(
        "{}",
        paint::stack_bytes(|| draw(&mut buffer, &mut image, 0..seeds))
    );
    process::exit(0)
}
