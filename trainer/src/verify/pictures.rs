//! A model that reads pictures: the trainer against the float ONNX model in tract and ONNX Runtime.

use super::differences::Differences;
use super::{Verification, VerifyError};
use crate::engines::{EngineKind, Images, Translator, find_onnx_runtime};
use crate::nn::Model;
use crate::ops::Cpu;
use crate::parameters::Parameters;
use crate::rng::{Rng, Stream};
use crate::samples::from_pixels;
use crate::spec::{Network, Shape};
use std::path::Path;

/// Numbers of all pictures together, and the fewest pictures.
const NUMBERS: usize = 1 << 21;
const LEAST: usize = 4;
/// How far two may be apart at most: sums in another order.
const BOUND: f64 = 1e-5;

/// Compares the engines on `count` pictures, fewer of large ones, drawn from `seed`, half of them noise and half of
/// them smooth, and with the trainer's own arithmetic where its network is given.
///
/// # Errors
/// A file that is no such model; a network of another shape; whatever keeps an engine from running.
pub fn verify_pictures(
    onnx: &Path,
    trained: Option<(&Network, &Parameters)>,
    seed: u64,
    count: usize,
) -> Result<Verification, VerifyError> {
    let mut tract = Translator::open(EngineKind::Tract, onnx)?;
    let (mut ort, missing) = match find_onnx_runtime() {
        Ok(()) => (Some(Translator::open(EngineKind::Ort, onnx)?), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let shape = tract.input();
    let count = at_most(count, shape);
    let model = trained.map(|(network, parameters)| {
        let model = Model::new(Cpu::default(), network, parameters);
        model.map_err(|_| VerifyError::Mismatched)
    });
    let model = model.transpose()?;
    if model
        .as_ref()
        .is_some_and(|model| model.network().input != shape)
    {
        return Err(VerifyError::Mismatched);
    }
    let mut pairs = [
        ("trainer f32, tract", Differences::default()),
        ("trainer f32, ONNX Runtime", Differences::default()),
        ("tract, ONNX Runtime", Differences::default()),
    ];
    for number in 0..count {
        let picture = drawn(seed, number as u32, shape);
        let ours = match &model {
            Some(model) => {
                let made = model.evaluate(&from_pixels(&picture), &[]);
                Some(made.map_err(|_| VerifyError::Mismatched)?)
            }
            None => None,
        };
        let of_tract = tract.images(&picture, shape)?;
        let of_ort = ort
            .as_mut()
            .map(|ort| ort.images(&picture, shape))
            .transpose()?;
        let numbers = |images: &Images| images.data.clone();
        let (of_tract, of_ort) = (Some(numbers(&of_tract)), of_ort.as_ref().map(numbers));
        let [with_tract, with_ort, others] = &mut pairs;
        for (differences, a, b) in [
            (&mut with_tract.1, &ours, &of_tract),
            (&mut with_ort.1, &ours, &of_ort),
            (&mut others.1, &of_tract, &of_ort),
        ] {
            if let (Some(a), Some(b)) = (a, b) {
                let [a, b] = [a, b].map(|numbers| numbers.iter().map(|&v| f64::from(v)));
                differences.add_all(a, b)?;
            }
        }
    }
    let seen = [
        model.is_some(),
        model.is_some() && ort.is_some(),
        ort.is_some(),
    ];
    let comparisons = pairs.iter().zip(seen).filter(|(_, seen)| *seen);
    let comparisons = comparisons
        .map(|((what, differences), _)| differences.comparison(*what, "").at_most(BOUND));
    Ok(Verification {
        count,
        without_onnx_runtime: missing,
        comparisons: comparisons.collect(),
    })
}

/// How many pictures of a shape are compared on where `count` are asked for.
pub(super) fn at_most(count: usize, shape: Shape) -> usize {
    count.min((NUMBERS / shape.len()).max(LEAST))
}

/// A picture's pixels: noise if its number is even, else waves of random lengths and directions.
pub(super) fn drawn(seed: u64, number: u32, shape: Shape) -> Vec<u8> {
    let mut rng = Rng::new(seed, Stream::Picture(0, number));
    if number.is_multiple_of(2) {
        return (0..shape.len())
            .map(|_| (rng.uniform() * 256.0) as u8)
            .collect();
    }
    let mut pixels = Vec::with_capacity(shape.len());
    for _ in 0..shape.channels {
        let waves: Vec<[f64; 4]> = (0..4)
            .map(|_| std::array::from_fn(|_| rng.normal()))
            .collect();
        for y in 0..shape.height {
            for x in 0..shape.width {
                let sum: f64 = waves
                    .iter()
                    .map(|[by_y, by_x, phase, height]| {
                        let [y, x] = [y, x].map(|at| at as f64 * 0.3);
                        height * (by_y * y + by_x * x + phase).sin()
                    })
                    .sum();
                pixels.push((128.0 + 64.0 * sum) as u8);
            }
        }
    }
    pixels
}
