//! Writes a model of a benchmark's shape with random int8 weights, for measuring and for trying out
//! a board before there is a trained model:
//!
//! `cargo run -p pocketgan --features writer --example random_model -- small model.pgan`

#[path = "../tests/common/mod.rs"]
mod common;

use pocketgan::{Numbers, Rng};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (size, path) = match arguments.as_slice() {
        [size, path] => (size.as_str(), path),
        _ => return fail("usage: random_model nano|small PATH"),
    };
    let channels = match size {
        "nano" => 32,
        "small" => 64,
        _ => return fail("the sizes are nano and small"),
    };
    let (latent, plans) = common::benchmark(channels);
    let blob = match common::blob(latent, &plans, Numbers::Int8, &mut Rng::new(1)) {
        Ok(blob) => blob,
        Err(error) => return fail(&error.to_string()),
    };
    match std::fs::write(path, blob) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{path}: {error}")),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(2)
}
