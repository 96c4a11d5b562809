//! A model that draws pixel by pixel: the trainer against the float ONNX model in tract and ONNX Runtime.

use super::differences::Differences;
use super::{Verification, VerifyError};
use crate::engines::{Arithmetic, Graph, OrtGraph, TractGraph, find_onnx_runtime};
use crate::nn::Model;
use crate::ops::Cpu;
use crate::parameters::Parameters;
use crate::pixelcnn::{Levels, Sampler};
use crate::rng::{Rng, Stream};
use crate::spec::Network;

/// How far two probabilities may be apart: sums in another order.
const BOUND: f64 = 1e-5;
/// Pictures that are drawn column by column too.
const DRAWN: usize = 16;

/// Compares the probabilities of the levels of each pixel over `count` pictures drawn from `seed`: by the trainer's
/// full pass, by its sampler, pixel by pixel, and by the engines.
///
/// # Errors
/// A file that is of another network; whatever keeps an engine from running.
pub fn verify_pixels(
    onnx: &[u8],
    (network, parameters): (&Network, &Parameters),
    seed: u64,
    count: usize,
) -> Result<Verification, VerifyError> {
    let mismatched = |_| VerifyError::Mismatched;
    let levels = Levels::of(network).map_err(mismatched)?;
    let sampler = Sampler::new(network, parameters, levels).map_err(mismatched)?;
    let model = Model::new(Cpu::default(), network, parameters);
    let model = model.map_err(|_| VerifyError::Mismatched)?;
    let shape = network.input;
    let dims = [shape.channels, shape.height, shape.width];
    let mut tract = TractGraph::of_pictures(onnx, dims, network.classes().is_some())?;
    let (mut ort, missing) = match find_onnx_runtime() {
        Ok(()) => (Some(OrtGraph::new(onnx, Arithmetic::Optimized)?), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let mut with_sampler = Differences::default();
    let mut with_tract = Differences::default();
    let mut with_ort = Differences::default();
    for number in 0..count {
        let mut rng = Rng::new(seed, Stream::Picture(0, number as u32));
        let picture: Vec<u8> = (0..shape.len())
            .map(|_| (levels.count() as f64 * rng.uniform()) as u8)
            .collect();
        let classes: Vec<u32> = network
            .classes()
            .map(|classes| (number % classes) as u32)
            .into_iter()
            .collect();
        let values: Vec<f32> = picture.iter().map(|&level| levels.value(level)).collect();
        let logits = model.evaluate(&values, &classes);
        let ours = probabilities(&logits.map_err(|_| VerifyError::Mismatched)?, levels);
        if number < DRAWN {
            // Its logits are in the order of places, then levels.
            let columns = sampler.logits(&picture, classes.first().copied());
            let mut planes = Vec::with_capacity(columns.len());
            for level in 0..levels.count() {
                planes.extend(columns.iter().skip(level).step_by(levels.count()));
            }
            let columns = probabilities(&planes, levels);
            with_sampler.add_all(ours.iter().copied(), columns.into_iter())?;
        }
        let run = |graph: &mut dyn Graph, differences: &mut Differences| {
            let outputs = graph.outputs(&[(&values, &dims)], &classes)?;
            let theirs = outputs.into_iter().next().unwrap_or_default();
            let theirs = probabilities(&theirs, levels);
            differences.add_all(ours.iter().copied(), theirs.into_iter())
        };
        run(&mut tract, &mut with_tract)?;
        if let Some(ort) = &mut ort {
            run(ort, &mut with_ort)?;
        }
    }
    let mut comparisons = vec![
        with_sampler
            .comparison("trainer f32, pixel by pixel", "")
            .at_most(BOUND),
        with_tract
            .comparison("trainer f32, tract", "")
            .at_most(BOUND),
    ];
    if ort.is_some() {
        let comparison = with_ort.comparison("trainer f32, ONNX Runtime", "");
        comparisons.push(comparison.at_most(BOUND));
    }
    Ok(Verification {
        count,
        without_onnx_runtime: missing,
        comparisons,
    })
}

/// The softmax of each pixel's logits, `(levels, H, W)`.
fn probabilities(logits: &[f32], levels: Levels) -> Vec<f64> {
    let pixels = logits.len() / levels.count();
    let mut all: Vec<f64> = logits.iter().copied().map(f64::from).collect();
    for pixel in 0..pixels {
        let own = || (pixel..logits.len()).step_by(pixels);
        let most = own().map(|at| all[at]).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = own().map(|at| (all[at] - most).exp()).sum();
        own().for_each(|at| all[at] = (all[at] - most).exp() / sum);
    }
    all
}
