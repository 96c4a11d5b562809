//! Dense layers with batch norm in the generator.

use super::{Make, Parts};
use crate::optim::OptimizerConfig;
use crate::spec::{Layer, Network, Shape};

/// Numbers of a latent.
pub(super) const LATENT: usize = 100;
pub(super) const LEAKY: Layer = Layer::LeakyRelu { slope: 0.2 };

pub(super) const MAKE: Make = Make::OneSize(parts);

/// Latent 100 to 256 to 512 to the image, no biases, batch norm and LeakyReLU, tanh; image to 512 to 256 to a logit,
/// LeakyReLU.
fn parts(image: Shape) -> Parts {
    let linear = |features| Layer::Linear {
        features,
        bias: false,
    };
    let generator = Network::chain(
        Shape::features(LATENT),
        vec![
            linear(256),
            Layer::batch_norm(),
            LEAKY,
            linear(512),
            Layer::batch_norm(),
            LEAKY,
            linear(image.len()),
            Layer::Reshape(image),
            Layer::Tanh,
        ],
    );
    Parts {
        optimizer: OptimizerConfig::adam(1e-4, 0.9, 0.999),
        batch: 256,
        ..Parts::new(generator, discriminator(image))
    }
}

/// Image to 512 to 256 to a logit, LeakyReLU.
pub(super) fn discriminator(image: Shape) -> Network {
    let linear = |features| Layer::Linear {
        features,
        bias: true,
    };
    Network::chain(
        image,
        vec![
            Layer::Flatten,
            linear(512),
            LEAKY,
            linear(256),
            LEAKY,
            linear(1),
        ],
    )
}
