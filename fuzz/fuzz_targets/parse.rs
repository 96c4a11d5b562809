//! Any bytes are parsed or refused, and what is parsed keeps what the documentation claims of it.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use pocketgan::Model;

fuzz_target!(|data: &[u8]| {
    if let Ok(model) = Model::parse(data) {
        pocketgan_fuzz::check_facts(&model);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    pocketgan_fuzz::mutate::mutate(data, size, max_size, seed)
});
