//! Writes int8 models with every small window, larger ones, graphs, and some in int4, and the images that the reference
//! kernels make of them, so that a device can check its own kernels against them, and be told how long they take:
//!
//! `cargo run -p pocketgan --features writer --example cases -- cases.bin`
//!
//! For each model: the lengths of its blob and its image, 32 bits each, little-endian; the blob, and zeros up
//! to a multiple of 16 bytes; the image of seed 1.

#[path = "../tests/common/mod.rs"]
mod common;

use pocketgan::{Model, Numbers, PixelRange, Rng};
use std::process::ExitCode;

/// How many random graphs there are.
const GRAPHS: u64 = 160;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        return fail("usage: cases PATH");
    };
    let mut bytes = Vec::new();
    let models = common::every_small_window().into_iter();
    let models = models.chain(common::larger()).chain(common::skips());
    let models = models.map(|(plans, seed)| {
        let latent = match seed {
            5000..6000 => [8, 16, 40, 64][seed as usize % 4],
            _ => 5,
        };
        (latent, common::chain(&plans), seed)
    });
    let graphs = (7000..7000 + GRAPHS).map(|seed| {
        let graph = common::Graph::random(&mut Rng::new(seed));
        (graph.input.channels, graph.nodes, seed)
    });
    let models = models.chain(graphs).flat_map(|(latent, nodes, seed)| {
        // Unpacked, int4 is int8: a part of them will do.
        let numbers: &[_] = match seed % 4 {
            0 => &[Numbers::Int8, Numbers::Int4],
            _ => &[Numbers::Int8],
        };
        numbers
            .iter()
            .map(move |&numbers| (latent, nodes.clone(), seed, numbers))
    });
    for (latent, nodes, seed, numbers) in models {
        let blob = common::graph_blob(latent, &nodes, numbers, &mut Rng::new(seed));
        let blob = blob.expect("a valid model");
        let image = image(&Model::parse(&blob).expect("written blobs parse"));
        for len in [blob.len(), image.len()] {
            bytes.extend((len as u32).to_le_bytes());
        }
        bytes.extend(&blob);
        bytes.resize(
            bytes.len() + blob.len().next_multiple_of(16) - blob.len(),
            0,
        );
        bytes.extend(image);
    }
    match std::fs::write(&path, bytes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{path}: {error}")),
    }
}

/// The image of seed 1.
fn image(model: &Model<'_>) -> Vec<u8> {
    let quanta = common::reference_int8(model, &common::latents(model, 1));
    let offset = match model.range() {
        PixelRange::Signed => 128,
        PixelRange::Unsigned => 0,
    };
    let last = quanta.last().expect("there are layers");
    last.iter().map(|q| (q + offset) as u8).collect()
}

fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(2)
}
