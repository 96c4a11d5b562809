//! The encoder-decoder of a first course on generative networks, for folders of 256x256 pictures in colour. Encoder:
//! convolutions to 12 and 60 channels (3x3), each followed by average pooling (3x3, stride 1), and to 120 (5x5, stride
//! 2), with LeakyReLU. The course leaves the rest open. Decoder: the transposed convolutions that give each level its
//! size and channels back, tanh at the end. Discriminator: three convolutions with max pooling, three dense layers.
//! Loss: 100 times the distance of the pixels and the non-saturating one, as in pix2pix; the discriminator sees the
//! image alone.

use super::architectures::{LEAKY, refine};
use super::translators::Translators;
use super::{Make, Parts};
use crate::data::Task;
use crate::gan::{Adversarial, Objective, Translation};
use crate::nn::Initialization;
use crate::optim::OptimizerKind;
use crate::spec::{Layer, Network, Shape};

pub(super) const MAKE: Make = Make::OneSize(parts);

/// Channels of the levels.
const CHANNELS: [usize; 3] = [12, 60, 120];

fn parts(image: Shape) -> Parts {
    let rules = Translation {
        pixels: 100.0,
        adversarial: 1.0,
        objective: Objective::NonSaturating,
        ..Translation::PIXELS
    };
    let discriminator = OptimizerKind::Sgd.with_rate(1e-3);
    Parts {
        game: rules.into(),
        // By the DCGAN's, the discriminator's six layers pass nothing on.
        initialization: Initialization::FanIn,
        batch: 4,
        epochs: 10,
        optimizers: [(Adversarial::DISCRIMINATOR.to_owned(), discriminator)].into(),
        translators: Some(Translators {
            make: |_, picture, image| Some(generator(picture, image.channels)),
            takes_norm: false,
            task: Some(Task::Reconstruct),
            keeps_shape: true,
            ..Translators::USUAL
        }),
        ..Parts::of(Translation::networks(
            generator(image, image.channels),
            Some(discriminator_of(image)),
        ))
    }
}

fn generator(picture: Shape, channels: usize) -> Network {
    let pool = Layer::AvgPool2d {
        kernel: 3,
        stride: 1,
    };
    let [first, second, third] = CHANNELS;
    let narrow = Layer::Conv2d {
        channels: third,
        kernel: 5,
        stride: 2,
        padding: 2,
        bias: true,
    };
    let wide = Layer::ConvTranspose2d {
        channels: second,
        kernel: 5,
        stride: 2,
        padding: 2,
        output_padding: 1,
        bias: true,
    };
    // To a side that is larger by 2, what the pooling took.
    let unpool = |channels| Layer::ConvTranspose2d {
        channels,
        kernel: 3,
        stride: 1,
        padding: 0,
        output_padding: 0,
        bias: true,
    };
    let (down, up) = (
        [refine(first, true), LEAKY, pool.clone()],
        [refine(second, true), LEAKY, pool],
    );
    let rest = [narrow, LEAKY, wide, LEAKY, unpool(first), LEAKY];
    let last = [unpool(channels), Layer::Tanh];
    Network::chain(picture, [&down[..], &up, &rest, &last].concat())
}

fn discriminator_of(image: Shape) -> Network {
    let pool = Layer::MaxPool2d {
        kernel: 2,
        stride: 2,
    };
    let dense = |features| Layer::Linear {
        features,
        bias: true,
    };
    let first = Layer::Conv2d {
        channels: 16,
        kernel: 5,
        stride: 2,
        padding: 2,
        bias: true,
    };
    let mut layers = Vec::new();
    for convolution in [first, refine(32, true), refine(64, true)] {
        layers.extend([convolution, LEAKY, pool.clone()]);
    }
    layers.push(Layer::Flatten);
    layers.extend([dense(128), LEAKY, dense(32), LEAKY, dense(1)]);
    Network::chain(image, layers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Stream};

    #[test]
    fn the_image_is_as_large_as_the_picture() {
        for side in [16, 32, 64, 256] {
            let picture = Shape::new(3, side, side);
            let network = generator(picture, 3);
            assert_eq!(network.output(), Ok(picture));
            let seen = discriminator_of(picture).output();
            assert_eq!(seen, Ok(Shape::features(1)));
        }
        let network = generator(Shape::new(3, 256, 256), 3);
        let shapes = network.walk().unwrap();
        let shapes: Vec<String> = shapes.iter().map(|s| s.output.to_string()).collect();
        assert_eq!(shapes[2], "12x254x254");
        assert_eq!(shapes[5], "60x252x252");
        assert_eq!(shapes[6], "120x126x126");
    }

    /// Uniform within one over the root of the inputs, of which a bias has as many as its weight.
    #[test]
    fn weights_begin_as_those_of_pytorch() {
        let network = discriminator_of(Shape::new(3, 64, 64));
        let mut rng = Rng::new(1, Stream::Initialization);
        let drawn = Initialization::FanIn
            .parameters(&network, &mut rng)
            .unwrap();
        // 3 channels under 5x5, and 64 channels of 4x4 pixels.
        for (layer, inputs) in [(0, 75.0), (10, 1024.0)] {
            let bound = 1.0 / f64::sqrt(inputs);
            let weights = drawn.get(layer, "weight").unwrap();
            let square = weights.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>();
            let deviation = (square / weights.len() as f64).sqrt();
            assert!(
                (deviation * 3f64.sqrt() / bound - 1.0).abs() < 0.05,
                "{layer}: {deviation}"
            );
            for part in ["weight", "bias"] {
                let numbers = drawn.get(layer, part).unwrap();
                assert!(numbers.iter().all(|&n| f64::from(n).abs() <= bound));
                assert!(numbers.iter().any(|&n| f64::from(n).abs() > 0.7 * bound));
            }
        }
    }
}
