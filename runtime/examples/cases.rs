//! Writes int8 models with every small window, larger ones, graphs, and some in int4, and the images that the reference
//! kernels make of them, so that a device can check its own kernels against them, and be told how long they take:
//!
//! `cargo run -p pocketgan --features writer --example cases -- cases.bin`
//!
//! With the word `pictures` behind it, models that read pictures.
//!
//! For each model: the lengths of its blob and its image, 32 bits each, little-endian; the blob, and zeros up
//! to a multiple of 16 bytes; the image of seed 1, or of the picture whose pixels are the first bytes of the numbers of
//! `Rng` with that seed.

#[path = "../tests/common/mod.rs"]
mod common;

use pocketgan::{Model, Numbers, PixelRange, Rng};
use std::process::ExitCode;

/// How many random graphs there are.
const GRAPHS: u64 = 160;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut bytes = Vec::new();
    let path = match words.as_slice() {
        [path] => {
            add_generators(&mut bytes);
            path
        }
        [path, kind] if kind == "pictures" => {
            add_translators(&mut bytes);
            path
        }
        _ => return fail("usage: cases PATH [pictures]"),
    };
    match std::fs::write(path, bytes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{path}: {error}")),
    }
}

fn add_generators(bytes: &mut Vec<u8>) {
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
        let model = Model::parse(&blob).expect("written blobs parse");
        let quanta = common::reference_int8(&model, &common::latents(&model, 1));
        add_case(bytes, &model, &blob, &quanta);
    }
}

/// Random graphs that read pictures, and larger networks as they are in use.
fn add_translators(bytes: &mut Vec<u8>) {
    let graphs = (8000..8000 + GRAPHS).map(|seed| {
        let graph = common::Graph::random_of_pictures(&mut Rng::new(seed));
        (graph.input, graph.nodes, seed)
    });
    let larger = (0..48).map(|seed| {
        let (input, nodes) = common::translator(seed);
        (input, nodes, seed as u64)
    });
    for (input, nodes, seed) in graphs.chain(larger) {
        let numbers: &[_] = match seed % 4 {
            0 => &[Numbers::Int8, Numbers::Int4],
            _ => &[Numbers::Int8],
        };
        for &numbers in numbers {
            let blob = common::translator_blob(input, &nodes, numbers, &mut Rng::new(seed));
            let blob = blob.expect("a valid model");
            let model = Model::parse(&blob).expect("written blobs parse");
            let mut rng = Rng::new(1);
            let picture = (0..model.picture_len()).map(|_| (rng.next_u32() >> 24) as u8);
            let picture: Vec<u8> = picture.collect();
            let quanta = common::reference_int8_of_picture(&model, &blob, &picture);
            add_case(bytes, &model, &blob, &quanta);
        }
    }
}

/// Adds a model and the image that its last layer makes.
fn add_case(bytes: &mut Vec<u8>, model: &Model<'_>, blob: &[u8], quanta: &[Vec<i16>]) {
    for len in [blob.len(), model.image_len()] {
        bytes.extend((len as u32).to_le_bytes());
    }
    bytes.extend(blob);
    bytes.resize(
        bytes.len() + blob.len().next_multiple_of(16) - blob.len(),
        0,
    );
    let offset = match model.range() {
        PixelRange::Signed => 128,
        PixelRange::Unsigned => 0,
    };
    let last = quanta.last().expect("there are layers");
    bytes.extend(last.iter().map(|q| (q + offset) as u8));
}

fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(2)
}
