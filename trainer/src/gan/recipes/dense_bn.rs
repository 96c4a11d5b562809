//! Dense layers with batch norm in the generator.

use super::Parts;
use crate::optim::AdamConfig;
use crate::spec::{Layer, Network, Shape};

/// Numbers of a latent.
const LATENT: usize = 100;
pub(super) const LEAKY: Layer = Layer::LeakyRelu { slope: 0.2 };

/// Latent 100 to 256 to 512 to the image, no biases, batch norm and LeakyReLU, tanh; image to 512 to 256 to a logit,
/// LeakyReLU.
pub(super) fn parts(image: Shape) -> Parts {
    let linear = |features, bias| Layer::Linear { features, bias };
    let generator = Network::chain(
        Shape::features(LATENT),
        vec![
            linear(256, false),
            Layer::batch_norm(),
            LEAKY,
            linear(512, false),
            Layer::batch_norm(),
            LEAKY,
            linear(image.len(), false),
            Layer::Reshape(image),
            Layer::Tanh,
        ],
    );
    let discriminator = Network::chain(
        image,
        vec![
            Layer::Flatten,
            linear(512, true),
            LEAKY,
            linear(256, true),
            LEAKY,
            linear(1, true),
        ],
    );
    Parts {
        optimizer: AdamConfig::adam(1e-4, 0.9, 0.999),
        batch: 256,
        ..Parts::new(generator, discriminator)
    }
}
