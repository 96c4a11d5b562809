//! Blobs that are right in what a fuzzer would never guess.

use std::collections::BTreeMap;

use pocketgan::{Activation, Numbers, Operator, Rng, Shape};

use crate::common::{self, ACTIVATIONS, Plan};
use crate::layers::{Blob, header};

const MAGIC: &[u8; 8] = b"\x89PGAN\r\n\x1a";
const CRC_LEN: usize = 4;
/// A forged layer has no more outputs than this.
const MAX_OUTPUTS: usize = 3000;
/// A forged model has no more weights than this.
const MAX_WEIGHTS: usize = 6000;

/// Seeds of one kind, and the largest of a chain and of a graph, in bytes.
const EACH: usize = 2;
const LARGEST: usize = 2500;
const LARGEST_GRAPH: usize = 5000;

/// The seed corpus: random chains and graphs of every version and kind of numbers, with and without additions, and
/// blobs at the edges of the format.
///
/// # Panics
/// If the writer does not take the blobs at the edges.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut kinds = BTreeMap::new();
    for seed in 0..2000 {
        let chain = model(&mut Rng::new(seed)).filter(|blob| blob.len() <= LARGEST);
        let graph = graph(&mut Rng::new(seed)).filter(|blob| blob.len() <= LARGEST_GRAPH);
        let pictures = translator(&mut Rng::new(seed)).filter(|blob| blob.len() <= LARGEST_GRAPH);
        for blob in [chain, graph, pictures].into_iter().flatten() {
            let (version, numbers) = (blob[header::READER], blob[header::NUMBERS]);
            let additions = Blob::read(&blob).is_some_and(|blob| blob.has_additions());
            let kind = (version, numbers, additions);
            let blobs: &mut Vec<Vec<u8>> = kinds.entry(kind).or_default();
            if blobs.len() < EACH {
                blobs.push(blob);
            }
        }
    }
    let edges = edges().expect("the edges are within the format");
    kinds.into_values().flatten().chain(edges).collect()
}

/// Puts in the magic, the length and the checksum that the bytes must have.
pub fn seal(blob: &mut [u8]) {
    let len = blob.len() as u32;
    if let Some(magic) = blob.get_mut(..8) {
        magic.copy_from_slice(MAGIC);
    }
    if let Some(length) = blob.get_mut(12..16) {
        length.copy_from_slice(&len.to_le_bytes());
    }
    if let Some((checked, crc)) = blob.split_last_chunk_mut::<CRC_LEN>() {
        *crc = crc32(checked).to_le_bytes();
    }
}

/// The format's checksum, a bit at a time.
fn crc32(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
    !bytes
        .iter()
        .fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), bit))
}

/// The blob of a small random model; `None` if the writer does not take what was drawn.
pub fn model(rng: &mut Rng) -> Option<Vec<u8>> {
    let numbers = [Numbers::Float, Numbers::Int8, Numbers::Int4][between(rng, 0, 2)];
    let latent = between(rng, 1, 20);
    let plans = plans(latent, rng)?;
    let blob = if matches!(plans[0].0, Operator::Linear) && one_in(rng, 3) {
        common::conditional_blob(latent, between(rng, 1, 6), &plans, numbers, rng)
    } else {
        common::blob(latent, &plans, numbers, rng)
    };
    blob.ok()
}

/// The blob of a small random graph; `None` if the writer does not take what was drawn.
pub fn graph(rng: &mut Rng) -> Option<Vec<u8>> {
    let numbers = [Numbers::Float, Numbers::Int8, Numbers::Int4][between(rng, 0, 2)];
    let graph = common::Graph::random(rng);
    let blob = if one_in(rng, 3) {
        common::conditional_graph_blob(
            graph.input.channels,
            between(rng, 1, 6),
            &graph.nodes,
            numbers,
            rng,
        )
    } else {
        common::graph_blob(graph.input.channels, &graph.nodes, numbers, rng)
    };
    blob.ok()
}

/// As [`graph`], of a graph that reads pictures.
pub fn translator(rng: &mut Rng) -> Option<Vec<u8>> {
    let numbers = [Numbers::Float, Numbers::Int8, Numbers::Int4][between(rng, 0, 2)];
    let graph = common::Graph::random_of_pictures(rng);
    common::translator_blob(graph.input, &graph.nodes, numbers, rng).ok()
}

/// Blobs with the largest picture there can be, and with the tallest column that these windows make.
fn edges() -> Option<Vec<Vec<u8>>> {
    let point = common::linear(Activation::Relu, 1, 1, 1);
    let mut largest = vec![point];
    for factor in [8, 8, 8, 4] {
        largest.push(common::upsample(largest[largest.len() - 1].2, factor));
    }
    let mut tallest = vec![common::linear(Activation::Relu, 8, 1, 1)];
    for _ in 0..3 {
        let input = tallest[tallest.len() - 1].2;
        tallest.push(common::windowed(
            input,
            true,
            [3, 8, 1, 0],
            Activation::Relu,
            1,
        )?);
    }
    let mut blobs = Vec::new();
    for (mut plans, numbers) in [(largest, Numbers::Int8), (tallest, Numbers::Float)] {
        let input = plans[plans.len() - 1].2;
        plans.push(common::windowed(
            input,
            false,
            [1, 8, 0, 0],
            Activation::Tanh,
            1,
        )?);
        blobs.push(common::blob(1, &plans, numbers, &mut Rng::new(1)).ok()?);
    }
    Some(blobs)
}

/// A few layers, the last with a last layer's activation; `None` if they are too large.
fn plans(latent: usize, rng: &mut Rng) -> Option<Vec<Plan>> {
    let mut input = Shape::new(1, 1, latent);
    let mut plans = Vec::new();
    let mut weights = 0;
    let last = between(rng, 0, 5);
    for index in 0..=last {
        let plan = if index == last {
            let ends = [Activation::Tanh, Activation::Sigmoid];
            let end = ends[between(rng, 0, 1)];
            weighted(input, end, rng)?
        } else if one_in(rng, 5) {
            common::upsample(input, between(rng, 1, 8))
        } else if let (Some(from), true) = (same_input(&plans, latent), one_in(rng, 2)) {
            let activation = ACTIVATIONS[between(rng, 0, ACTIVATIONS.len() - 1)];
            common::addition(&plans, from, activation)
        } else {
            let activation = ACTIVATIONS[between(rng, 0, ACTIVATIONS.len() - 1)];
            weighted(input, activation, rng)?
        };
        weights += count_weights(input, &plan);
        if plan.2.len() > MAX_OUTPUTS || weights > MAX_WEIGHTS {
            return None;
        }
        input = plan.2;
        plans.push(plan);
    }
    Some(plans)
}

/// The first layer whose input has the shape of what the plans make.
fn same_input(plans: &[Plan], latent: usize) -> Option<usize> {
    let made = plans.last()?.2;
    let first = Shape::new(1, 1, latent);
    let mut inputs = std::iter::once(first).chain(plans.iter().map(|plan| plan.2));
    inputs
        .position(|input| input == made)
        .filter(|&from| from < plans.len())
}

/// A layer with weights; `None` if its window does not fit.
fn weighted(input: Shape, activation: Activation, rng: &mut Rng) -> Option<Plan> {
    let channels = between(rng, 1, 9);
    if input.height == 1 && input.width == 1 && !one_in(rng, 4) {
        let (height, width) = (between(rng, 1, 6), between(rng, 1, 9));
        return Some(common::linear(activation, height, width, channels));
    }
    let transposed = one_in(rng, 2);
    // Large windows now and then.
    let (most_kernel, most_stride) = if one_in(rng, 6) { (16, 8) } else { (5, 3) };
    let (kernel, stride) = (between(rng, 1, most_kernel), between(rng, 1, most_stride));
    let padding = between(rng, 0, kernel - 1);
    let output_padding = if transposed {
        between(rng, 0, stride - 1)
    } else {
        0
    };
    let window = [kernel, stride, padding, output_padding];
    common::windowed(input, transposed, window, activation, channels)
}

fn count_weights(input: Shape, &(operator, _, output): &Plan) -> usize {
    match operator {
        Operator::Linear => input.channels * output.len(),
        Operator::Conv2d(window) | Operator::ConvTranspose2d(window) => {
            window.kernel * window.kernel * input.channels * output.channels
        }
        Operator::Upsample { .. }
        | Operator::Add { .. }
        | Operator::Concat { .. }
        | Operator::AvgPool2d(_) => 0,
    }
}

/// A number from `least` to `most`, both in.
pub fn between(rng: &mut Rng, least: usize, most: usize) -> usize {
    least + rng.below((most - least + 1) as u32) as usize
}

fn one_in(rng: &mut Rng, n: u32) -> bool {
    rng.below(n) == 0
}
