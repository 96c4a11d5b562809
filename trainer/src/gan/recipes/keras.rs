//! The small GAN of many Keras tutorials: a dense layer to 128 channels, then dense layers pixel by pixel.
//!
//! As it is usually printed, the generator ends at 7x7 and cannot feed its discriminator, which takes 28x28. Here each
//! of its last pixels is made a 4x4 patch, by a transposed convolution whose windows do not overlap.

use super::{Make, Parts};
use crate::spec::{Layer, Network, Shape};

/// Numbers of a latent.
const LATENT: usize = 100;
const LEAKY: Layer = Layer::LeakyRelu { slope: 0.01 };

pub(super) const MAKE: Make = Make::OneSize(parts);

/// Latent 100 to 7x7x128 to 256 a pixel to a 4x4 patch a pixel, LeakyReLU, tanh; image to 256 to a logit, LeakyReLU.
/// `image` must be four times as high and wide as a whole number.
fn parts(image: Shape) -> Parts {
    let linear = |features| Layer::Linear {
        features,
        bias: true,
    };
    let seed = Shape::new(128, image.height / 4, image.width / 4);
    let generator = Network::chain(
        Shape::features(LATENT),
        vec![
            linear(seed.len()),
            Layer::Reshape(seed),
            LEAKY,
            Layer::Conv2d {
                channels: 256,
                kernel: 1,
                stride: 1,
                padding: 0,
                bias: true,
            },
            LEAKY,
            Layer::ConvTranspose2d {
                channels: image.channels,
                kernel: 4,
                stride: 4,
                padding: 0,
                output_padding: 0,
                bias: true,
            },
            Layer::Tanh,
        ],
    );
    let discriminator = Network::chain(image, vec![Layer::Flatten, linear(256), LEAKY, linear(1)]);
    Parts {
        batch: 128,
        ..Parts::new(generator, discriminator)
    }
}
