//! Writes a model of a benchmark's shape with random weights, for measuring and for trying out a
//! board before there is a trained model:
//!
//! `cargo run -p pocketgan --features writer --example random_model -- small model.pgan`

#[path = "../tests/common/mod.rs"]
mod common;

use pocketgan::{Numbers, Rng, Shape};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (size, classes, path) = match arguments.as_slice() {
        [size, path] => (size, None, path),
        [size, classes, path] => (size, Some(classes), path),
        _ => {
            return fail(
                "usage: random_model nano|small|tiny|tiny-int4|tiny-f32|tiny-linear|tiny-skips|tiny-graph|tiny-graph-int4|tiny-graph-f32|\
                 tiny-concat|tiny-translator|tiny-translator-int4|tiny-translator-f32|tiny-autoencoder \
                 [CLASSES] PATH",
            );
        }
    };
    let graph = |(latent, nodes): (usize, Vec<common::Node>)| (Shape::new(1, 1, latent), nodes);
    let chain =
        |(latent, plans): (usize, Vec<common::Plan>)| graph((latent, common::chain(&plans)));
    let ((input, nodes), numbers) = match size.as_str() {
        "nano" => (chain(common::benchmark(32)), Numbers::Int8),
        "small" => (chain(common::benchmark(64)), Numbers::Int8),
        "tiny" => (chain(common::tiny()), Numbers::Int8),
        "tiny-int4" => (chain(common::tiny()), Numbers::Int4),
        "tiny-f32" => (chain(common::tiny()), Numbers::Float),
        "tiny-linear" => (chain(common::tiny_linear()), Numbers::Int8),
        "tiny-skips" => (chain(common::tiny_skips()), Numbers::Int8),
        "tiny-graph" => (graph(common::tiny_graph()), Numbers::Int8),
        "tiny-graph-int4" => (graph(common::tiny_graph()), Numbers::Int4),
        "tiny-graph-f32" => (graph(common::tiny_graph()), Numbers::Float),
        "tiny-concat" => (graph(common::tiny_concat()), Numbers::Int8),
        "tiny-translator" => (common::tiny_translator(), Numbers::Int8),
        "tiny-translator-int4" => (common::tiny_translator(), Numbers::Int4),
        "tiny-translator-f32" => (common::tiny_translator(), Numbers::Float),
        "tiny-autoencoder" => (common::tiny_autoencoder(), Numbers::Int8),
        _ => {
            return fail(
                "the sizes are nano, small, tiny, tiny-int4, tiny-f32, tiny-linear, tiny-skips, tiny-graph, \
                 tiny-graph-int4, tiny-graph-f32, tiny-concat, tiny-translator, tiny-translator-int4, \
                 tiny-translator-f32 and tiny-autoencoder",
            );
        }
    };
    let mut rng = Rng::new(1);
    let blob = match classes.map(|classes| classes.parse()) {
        None if input.height > 1 => common::translator_blob(input, &nodes, numbers, &mut rng),
        None => common::graph_blob(input.channels, &nodes, numbers, &mut rng),
        Some(_) if input.height > 1 => return fail("a model that reads pictures has no classes"),
        Some(Ok(classes)) => {
            common::conditional_graph_blob(input.channels, classes, &nodes, numbers, &mut rng)
        }
        Some(Err(_)) => return fail("the number of classes is not a number"),
    };
    let blob = match blob {
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
