//! Networks that grow with their images (Karras et al. 2018): from 4x4 pixels on, each size is faded in, then stays. The
//! learning rate is equalized. What differs from the paper fits the device and the exact penalties: batch norm in
//! the generator, which folds into the weights, in place of the norm of pixels; no statistics of the batch in the
//! discriminator; the relativistic objective with R1 and R2; transposed and strided convolutions of 4x4 in place of
//! resizing and 3x3 convolutions.

use super::architectures::{LEAKY, refine};
use super::dcgan::{grow, halved, most_halvings, shrink};
use super::{Make, Parts, Size, Sizes, UsualSizes, relativistic};
use crate::gan::{Adversarial, Curve, Growth, Phase, Schedule};
use crate::nn::Initialization;
use crate::optim::OptimizerConfig;
use crate::spec::{Layer, Network, Shape};

/// Numbers of a latent.
const LATENT: usize = 32;

/// The shortest side of the smallest images.
const LEAST: usize = 4;

pub(super) const MAKE: Make = Make::InSizes(parts, UsualSizes::NANO_AGAINST_SMALL);

fn parts(sizes: Sizes, image: Shape) -> Parts {
    let networks = |side, fades| networks(sizes, image, side, fades);
    let smallest = most_halvings(image, LEAST);
    let mut phases = vec![networks(smallest, false)];
    for factor in (0..smallest).rev() {
        phases.extend([networks(factor, true), networks(factor, false)]);
    }
    Parts {
        game: relativistic::rules(0.1).into(),
        initialization: Initialization::Equalized,
        optimizer: OptimizerConfig::adam(1e-2, 0.0, 0.99),
        schedule: Schedule {
            curve: Curve::Cosine,
            end: 0.03,
            ..Schedule::CONSTANT
        },
        ema_decay: 0.999,
        epochs: 30,
        growth: Some(Growth { phases, steps: 1 }),
        ..Parts::of(networks(0, false).networks)
    }
}

/// Channels of tensors with such a shorter side, of images with such a one: 8W at 4, 4W at 8, 3W at 16, 3W/2 at 32, W
/// at 64, and half as many for each double, at least 8. Of images below 64 pixels, W at the image's side and on from
/// there.
fn channels(size: Size, side: usize, of_image: usize) -> usize {
    let width = size.width();
    match side * 64 / of_image.clamp(1, 64) {
        0..8 => 8 * width,
        8..16 => 4 * width,
        16..32 => 3 * width,
        32..64 => 3 * width / 2,
        large => (width >> (large / 64).ilog2()).max(8),
    }
}

/// The networks for images whose sides were halved so often; where they fade, blended with the size below.
fn networks(sizes: Sizes, image: Shape, halvings: usize, fades: bool) -> Phase {
    let grower = Grower {
        image,
        halvings,
        fades,
        smallest: most_halvings(image, LEAST),
    };
    Phase {
        networks: Adversarial::networks(
            grower.generator(sizes.generator),
            grower.discriminator(sizes.discriminator),
        ),
        factor: 1 << halvings,
        fades,
    }
}

struct Grower {
    image: Shape,
    /// Halvings of the image's sides to those of this phase.
    halvings: usize,
    fades: bool,
    /// Halvings to the smallest.
    smallest: usize,
}

impl Grower {
    /// The tensor of a network of a size at so many halvings.
    fn tensor(&self, size: Size, halvings: usize) -> Shape {
        let shorter = |shape: Shape| shape.height.min(shape.width);
        let tensor = halved(self.image, halvings, 1);
        let channels = channels(size, shorter(tensor), shorter(self.image));
        Shape { channels, ..tensor }
    }

    /// Dense, then 4x4 transposed convolutions with stride 2, batch norm and LeakyReLU 0.2 after each, and a 3x3
    /// convolution to the image's channels; tanh.
    fn generator(&self, size: Size) -> Network {
        let seed = self.tensor(size, self.smallest);
        let dense = Layer::Linear {
            features: seed.len(),
            bias: false,
        };
        let layers = vec![dense, Layer::Reshape(seed), Layer::batch_norm(), LEAKY];
        let mut network = Network::chain(Shape::features(LATENT), layers);
        let image = refine(self.image.channels, true);
        let mut small = None;
        for halvings in (self.halvings..self.smallest).rev() {
            if self.fades && halvings == self.halvings {
                // Below, in front of this size's layers: the size before, enlarged.
                let tensor = network.layers.len();
                network.layers.push(image.clone());
                network.layers.push(Layer::Upsample { factor: 2 });
                small = Some((tensor, network.layers.len()));
            }
            let channels = self.tensor(size, halvings).channels;
            let base = small.map_or(network.layers.len(), |(tensor, _)| tensor);
            network.push(grow(channels, false), &[base]);
            network.layers.extend([Layer::batch_norm(), LEAKY]);
        }
        network.layers.push(image);
        if let Some((_, small)) = small {
            let large = network.layers.len();
            network.push(Layer::Blend { share: 1.0 }, &[small, large]);
        }
        network.layers.push(Layer::Tanh);
        if self.halvings > 0 {
            let factor = 1 << self.halvings;
            network.layers.push(Layer::Upsample { factor });
        }
        network
    }

    /// A 1x1 convolution, then for each size a 4x4 convolution with stride 2 and a 3x3 one, LeakyReLU 0.2 after each,
    /// down to the smallest; dense to the logit.
    fn discriminator(&self, size: Size) -> Network {
        let mut network = Network::chain(self.image, Vec::new());
        let reads = |halvings| [point(self.tensor(size, halvings).channels), LEAKY];
        let pool = |halvings: usize| Layer::AvgPool2d {
            kernel: 1 << halvings,
            stride: 1 << halvings,
        };
        let mut small = None;
        if self.fades {
            network.layers.push(pool(self.halvings + 1));
            network.layers.extend(reads(self.halvings + 1));
            small = Some(network.layers.len());
        }
        if self.halvings > 0 {
            network.push(pool(self.halvings), &[0]);
            network.layers.extend(reads(self.halvings));
        } else {
            let [first, rest] = reads(0);
            network.push(first, &[0]);
            network.layers.push(rest);
        }
        for halvings in self.halvings + 1..=self.smallest {
            let channels = self.tensor(size, halvings).channels;
            let layers = [shrink(channels, true), LEAKY, refine(channels, true), LEAKY];
            network.layers.extend(layers);
            if let Some(small) = small.take() {
                let large = network.layers.len();
                network.push(Layer::Blend { share: 1.0 }, &[small, large]);
            }
        }
        network.layers.push(Layer::Flatten);
        network.layers.push(Layer::Linear {
            features: 1,
            bias: true,
        });
        network
    }
}

/// A 1x1 convolution.
const fn point(channels: usize) -> Layer {
    Layer::Conv2d {
        channels,
        kernel: 1,
        stride: 1,
        padding: 0,
        bias: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gan::Networks;

    #[test]
    fn networks_of_all_sizes_fit_the_images() {
        for (image, sides) in [
            (Shape::new(1, 28, 28), vec![7, 14, 28]),
            (Shape::new(3, 64, 64), vec![4, 8, 16, 32, 64]),
            (Shape::new(3, 128, 128), vec![4, 8, 16, 32, 64, 128]),
            (Shape::new(3, 32, 64), vec![4, 8, 16, 32]),
            (Shape::new(1, 100, 100), vec![25, 50, 100]),
        ] {
            let growth = parts(Size::Nano.into(), image).growth.unwrap();
            assert_eq!(growth.phases.len(), 2 * sides.len() - 1);
            let mut seen = Vec::new();
            for phase in &growth.phases {
                let Networks { generator, others } = &phase.networks;
                assert_eq!(generator.network.output(), Ok(image));
                assert_eq!(others[0].network.input, image);
                assert_eq!(others[0].network.output(), Ok(Shape::features(1)));
                if !phase.fades {
                    seen.push(image.height.min(image.width) / phase.factor);
                }
            }
            assert_eq!(seen, sides);
        }
    }

    /// The form of a first course on generative networks: from 4x4x256 to 128x128x3.
    #[test]
    fn the_courses_form_is_there() {
        let image = Shape::new(3, 128, 128);
        let parts = parts(Size::Small.into(), image);
        let network = &parts.networks.generator.network;
        let steps = network.walk().unwrap();
        assert_eq!(steps[1].output, Shape::new(256, 4, 4));
        let ups = network.layers.iter().filter(|layer| {
            matches!(
                layer,
                Layer::ConvTranspose2d {
                    kernel: 4,
                    stride: 2,
                    ..
                }
            )
        });
        assert_eq!(ups.count(), 5);
        assert!(network.layers.contains(&LEAKY) && network.layers.contains(&Layer::batch_norm()));
        assert_eq!(network.output(), Ok(image));
    }
}
