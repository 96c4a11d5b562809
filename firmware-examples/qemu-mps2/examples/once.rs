//! Makes one image and ends: a program for tracing every instruction of it.
#![no_std]
#![no_main]

use core::hint::black_box;

use cortex_m_rt::entry;
use firmware_shared::model::MODEL;
use pocketgan::{Buffer, Generator};
use semihosting::process;

#[entry]
fn main() -> ! {
    let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    let mut image = [0; MODEL.image_len()];
    let mut made = false;
    if let Ok(mut generator) = Generator::new(&MODEL, &mut buffer) {
        // A model without classes has none to choose.
        let _ = generator.set_class(0);
        made = generator.sample(1, &mut image).is_ok();
    }
    black_box(&image);
    process::exit(i32::from(!made))
}
