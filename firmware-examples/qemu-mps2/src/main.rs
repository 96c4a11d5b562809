//! Samples a generator on an emulated Cortex-M4 and shows what comes out and what it cost.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use pocketgan::{Buffer, Error, Generator, Model};
use qemu_mps2::counter::instructions;
use qemu_mps2::picture::Checksum;
use semihosting::{eprintln, println, process};

#[cfg(feature = "nano")]
const NAME: &str = "nano";
#[cfg(feature = "nano")]
const MODEL: Model = pocketgan::include_model!("../../../models/fashion-nano/model.pgan");
#[cfg(not(feature = "nano"))]
const NAME: &str = "small";
#[cfg(not(feature = "nano"))]
const MODEL: Model = pocketgan::include_model!("../../../models/fashion-small/model.pgan");

/// An image's pixels.
type Image = [u8; MODEL.image_len()];

#[entry]
fn main() -> ! {
    match run() {
        Ok(()) => process::exit(0),
        Err(error) => {
            eprintln!("{error}");
            process::exit(1)
        }
    }
}

fn run() -> Result<(), Error> {
    let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    let mut generator = Generator::new(&MODEL, &mut buffer)?;
    let mut image: Image = [0; MODEL.image_len()];
    let seeds = if cfg!(feature = "bench") { 16 } else { 3 };
    for seed in 1..=seeds {
        let mut result = Ok(());
        let count = instructions(|| result = generator.sample(seed, &mut image));
        result?;
        report(&mut generator, seed, count, &image);
    }
    Ok(())
}

#[cfg(feature = "bench")]
fn report(generator: &mut Generator<'_, '_>, seed: u64, instructions: u64, image: &Image) {
    let mut again: Image = [0; MODEL.image_len()];
    let mut result = Ok(());
    let stack_bytes = qemu_mps2::stack::bytes(|| result = generator.sample(seed, &mut again));
    if result.is_err() || again != *image {
        eprintln!("seed {seed} gave another image the second time");
        process::exit(1);
    }
    println!(
        "{{\"target\":\"cortex-m4\",\"model\":\"{NAME}\",\"seed\":{seed},\
         \"instructions\":{instructions},\"ram_bytes\":{},\"stack_bytes\":{stack_bytes},\
         \"pixels_sha256\":\"{}\"}}",
        MODEL.working_memory(),
        Checksum(image)
    );
}

#[cfg(not(feature = "bench"))]
fn report(_: &mut Generator<'_, '_>, seed: u64, instructions: u64, image: &Image) {
    let text = qemu_mps2::picture::Text {
        shape: MODEL.output(),
        pixels: image,
    };
    println!("{text}");
    println!("model {NAME}, seed {seed}: {instructions} instructions");
    println!("SHA-256 of the pixels: {}\n", Checksum(image));
}
