//! The smallest kind of generator, two linear layers of random weights, for measuring.

use anyhow::Result;
use pocketgan::blob::writer::{self, LayerSpec, Parameters};
use pocketgan::{Activation, Operator, Rng, Shape};

/// Components of the latent.
const LATENT: usize = 16;
const HIDDEN: usize = 32;

/// The blob of a generator of 8 by 8 pixels.
///
/// # Errors
///
/// The writer's, none of which can come of these layers.
pub fn blob() -> Result<Vec<u8>> {
    let mut rng = Rng::new(1);
    let hidden = Shape::new(1, 1, HIDDEN);
    let layers = [
        layer(LATENT, Activation::Relu, hidden, 0.02, &mut rng),
        layer(
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
        output,
        parameters: Parameters::Int8 {
            weights: weights.collect(),
            bias: vec![0; outputs],
            multipliers: vec![1.0 / 1024.0; outputs],
            scale,
        },
    }
}
