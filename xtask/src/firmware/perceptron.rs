//! The smallest kind of generator, two linear layers of random weights, for measuring.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use pocketgan::blob::writer::{self, LayerSpec, Parameters};
use pocketgan::{Activation, Operator, Rng, Shape};

use super::machines;

/// Components of the latent.
const LATENT: usize = 16;
const HIDDEN: usize = 32;

/// Writes the blob of a generator of 8 by 8 pixels and returns the file's path.
///
/// # Errors
///
/// The file cannot be written.
pub fn write() -> Result<PathBuf> {
    let path = machines::build_folder().join("perceptron.pgan");
    fs::write(&path, blob()?).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn blob() -> Result<Vec<u8>> {
    let mut rng = Rng::new(1);
    let hidden = Shape::new(1, 1, HIDDEN);
    let layers = [
        layer(0, LATENT, Activation::Relu, hidden, 0.02, &mut rng),
        layer(
            1,
            HIDDEN,
            Activation::Tanh,
            Shape::new(8, 8, 1),
            1.0 / 128.0,
            &mut rng,
        ),
    ];
    Ok(writer::write(LATENT, &layers)?)
}

fn layer(
    source: usize,
    inputs: usize,
    activation: Activation,
    output: Shape,
    scale: f32,
    rng: &mut Rng,
) -> LayerSpec {
    let outputs = output.len();
    let weights = (0..inputs * outputs).map(|_| (rng.below(255) as i32 - 127) as i8);
    LayerSpec {
        operator: Operator::Linear,
        activation,
        source,
        output,
        parameters: Parameters::Int8 {
            weights: weights.collect(),
            bias: vec![0; outputs],
            multipliers: vec![1.0 / 1024.0; outputs],
            scale,
        },
    }
}
