//! The first GAN (Goodfellow et al. 2014): dense layers only.

use super::Parts;
use crate::gan::Objective;
use crate::optim::AdamConfig;
use crate::spec::{Layer, Network, Shape};

/// Numbers of a latent.
const LATENT: usize = 100;

fn linear(features: usize) -> Layer {
    Layer::Linear {
        features,
        bias: true,
    }
}

pub(super) fn parts(image: Shape) -> Parts {
    Parts {
        generator: generator(image),
        discriminator: discriminator(image),
        objective: Objective::NonSaturating,
        penalty: None,
        weight_clip: None,
        critic_steps: 1,
        optimizer: AdamConfig::adam(2e-4, 0.5, 0.999),
        batch: 64,
    }
}

/// Latent 100 to 128 to 256 to the image: ReLU, tanh at the end.
fn generator(image: Shape) -> Network {
    Network {
        input: Shape::features(LATENT),
        layers: vec![
            linear(128),
            Layer::Relu,
            linear(256),
            Layer::Relu,
            linear(image.len()),
            Layer::Reshape(image),
            Layer::Tanh,
        ],
    }
}

/// Image to 256 to 128 to a logit: ReLU.
fn discriminator(image: Shape) -> Network {
    Network {
        input: image,
        layers: vec![
            Layer::Flatten,
            linear(256),
            Layer::Relu,
            linear(128),
            Layer::Relu,
            linear(1),
        ],
    }
}
