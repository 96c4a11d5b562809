//! The first GAN (Goodfellow et al. 2014): dense layers only.

use super::{Make, Parts};
use crate::spec::{Layer, Network, Shape};

/// Numbers of a latent.
const LATENT: usize = 100;

fn linear(features: usize) -> Layer {
    Layer::Linear {
        features,
        bias: true,
    }
}

pub(super) const MAKE: Make = Make::OneSize(parts);

fn parts(image: Shape) -> Parts {
    Parts::new(generator(image), discriminator(image))
}

/// Latent 100 to 128 to 256 to the image: ReLU, tanh at the end.
fn generator(image: Shape) -> Network {
    Network::chain(
        Shape::features(LATENT),
        vec![
            linear(128),
            Layer::Relu,
            linear(256),
            Layer::Relu,
            linear(image.len()),
            Layer::Reshape(image),
            Layer::Tanh,
        ],
    )
}

/// Image to 256 to 128 to a logit: ReLU.
fn discriminator(image: Shape) -> Network {
    Network::chain(
        image,
        vec![
            Layer::Flatten,
            linear(256),
            Layer::Relu,
            linear(128),
            Layer::Relu,
            linear(1),
        ],
    )
}
