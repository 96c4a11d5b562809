//! Whatever is parsed makes images, in the memory it asked for, the same in every way as the reference's.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use pocketgan::Model;

fuzz_target!(|data: &[u8]| {
    if let Ok(model) = Model::parse(data) {
        pocketgan_fuzz::image::check_images(&model, data);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    pocketgan_fuzz::mutate::mutate(data, size, max_size, seed)
});
