//! Prints the checksums of the pixels of seeds 1 to 8, a model with classes of each class in turn, so that what
//! the features choose can be held against the host:
//!
//! `cargo run --release --config ../qemu-mps2/.cargo/config.toml --example pixels`
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use pocketgan::{Buffer, Generator, Model, include_model};
use semihosting::{print, println, process};
use sha2::{Digest, Sha256};

const MODEL: Model = include_model!(env!("POCKETGAN_MODEL"));

#[entry]
fn main() -> ! {
    let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    let mut image = [0; MODEL.image_len()];
    let mut made = false;
    if let Ok(mut generator) = Generator::new(&MODEL, &mut buffer) {
        made = (1..=8).all(|seed| {
            if let Some(class) = (seed as usize - 1).checked_rem(MODEL.classes()) {
                let _ = generator.set_class(class);
            }
            let made = generator.sample(seed, &mut image);
            print!("SHA-256 of the pixels: ");
            for byte in Sha256::digest(&image) {
                print!("{byte:02x}");
            }
            println!();
            made.is_ok()
        });
    }
    process::exit(i32::from(!made))
}
