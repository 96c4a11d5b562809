//! The conditional GAN (Mirza & Osindero 2014), dense: both networks are told the class.

use super::{Make, Parts, dense_bn};
use crate::spec::{Layer, Network, Shape};

pub(super) const MAKE: Make = Make::OneSize(parts);

/// Latent 100 and the class to 256 to 512 to the image, LeakyReLU, tanh; image and class to 512 to 256 to a logit.
fn parts(image: Shape) -> Parts {
    let linear = |features| Layer::Linear {
        features,
        bias: true,
    };
    let generator = Network::chain(
        Shape::features(dense_bn::LATENT),
        vec![
            linear(256),
            dense_bn::LEAKY,
            linear(512),
            dense_bn::LEAKY,
            linear(image.len()),
            Layer::Reshape(image),
            Layer::Tanh,
        ],
    );
    Parts {
        conditional: true,
        ..Parts::new(generator, dense_bn::discriminator(image))
    }
}
