//! Networks that a recipe can have in place of its own.

use super::Size;
use super::dcgan::{self, grow, halved, halvings, shrink};
use crate::spec::{Layer, Network, Shape};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The layers of a generator, or of a decoder. W is 16, 32 or 64 by the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum GeneratorKind {
    /// Dense to a quarter of the image's side with 2W channels, two transposed convolutions. From 48 pixels on more of
    /// them, from 4x4 to 7x7, with W channels at half of the side and up to 8W.
    Dcgan,
    /// The same with 2W channels at half of the side and W at the whole, then a 3x3 convolution to the image. From 48
    /// pixels on from 8x8 to 15x15, with 3W, 3W, 3W/2, W, W/2, ... channels.
    Detail,
    /// As detail, with an upsampling and a 3x3 convolution in place of each transposed convolution; on the device they
    /// are one again.
    Upsample,
    /// Dense to half the channels, a 3x3 convolution to all, then as detail, with a residual 3x3 convolution after the
    /// first transposed one. Where pictures are read: a convolution to W channels, others with stride 2, residual
    /// blocks of two 3x3 convolutions, and back.
    Residual,
    /// Where pictures are read: convolutions with stride 2 to 2W channels, transposed ones back, each joined with the
    /// tensor of its size on the way down.
    UNet,
}

/// The layers of a discriminator. W is 16, 32 or 64 by the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DiscriminatorKind {
    /// Two 4x4 convolutions with stride 2, to W and 2W channels. From 48 pixels on more of them, down to 4x4 to 7x7,
    /// with up to 8W channels.
    Dcgan,
    /// The same with a residual 3x3 convolution after each, down to 8x8 to 15x15, with up to 4W channels.
    Residual,
    /// A 3x3 convolution to W / 2 channels at the size of the image, then as residual without the additions.
    Deep,
}

impl GeneratorKind {
    /// Latent to image, whose sides must be multiples of four: batch norm and ReLU between the layers, tanh at the end.
    /// `None` for a kind that reads pictures.
    pub fn network(self, size: Size, latent: usize, image: Shape) -> Option<Network> {
        match self {
            Self::UNet => None,
            Self::Dcgan => Some(dcgan::generator(size, latent, image)),
            Self::Detail | Self::Upsample | Self::Residual => {
                Some(self.detailed(size, latent, image))
            }
        }
    }

    /// The network of a kind with a convolution at the image's size.
    pub(super) fn detailed(self, size: Size, latent: usize, image: Shape) -> Network {
        let times = halvings(image, LEAST);
        let channels = channels(size.width(), times);
        let wide = channels[0];
        let is_residual = self == Self::Residual;
        let dense = if is_residual { wide / 2 } else { wide };
        let seed = halved(image, times, dense);
        let mut layers = vec![
            Layer::Linear {
                features: seed.len(),
                bias: false,
            },
            Layer::Reshape(seed),
        ];
        layers.extend(NORMALIZED);
        if is_residual {
            layers.push(refine(wide, false));
            layers.extend(NORMALIZED);
        }
        let mut network = Network::chain(Shape::features(latent), layers);
        for (index, &channels) in channels.iter().enumerate().skip(1) {
            self.grow(&mut network.layers, channels);
            if is_residual && index == 1 {
                let base = network.layers.len();
                network.layers.push(refine(channels, false));
                network.layers.push(Layer::batch_norm());
                let branch = network.layers.len();
                network.push(Layer::Add, &[branch, base]);
                network.layers.push(Layer::Relu);
            }
        }
        network.layers.push(refine(image.channels, true));
        network.layers.push(Layer::Tanh);
        network
    }

    /// Adds what makes pictures of twice the side.
    fn grow(self, layers: &mut Vec<Layer>, channels: usize) {
        if self == Self::Upsample {
            layers.extend([Layer::Upsample { factor: 2 }, refine(channels, false)]);
        } else {
            layers.push(grow(channels, false));
        }
        layers.extend(NORMALIZED);
    }
}

impl DiscriminatorKind {
    /// Image to a logit, LeakyReLU 0.2 between the layers.
    pub fn network(self, size: Size, image: Shape) -> Network {
        let width = size.width();
        if self == Self::Dcgan {
            return dcgan::discriminator(size, image, 1);
        }
        let mut network = Network::chain(image, Vec::new());
        if self == Self::Deep {
            network.layers.extend([refine(width / 2, true), LEAKY]);
        }
        for level in 0..halvings(image, LEAST) {
            let channels = width << level.min(2);
            network.layers.extend([shrink(channels, true), LEAKY]);
            let base = network.layers.len();
            network.layers.push(refine(channels, true));
            if self == Self::Residual {
                let branch = network.layers.len();
                network.push(Layer::Add, &[branch, base]);
            }
            network.layers.push(LEAKY);
        }
        network.layers.push(Layer::Flatten);
        network.layers.push(Layer::Linear {
            features: 1,
            bias: true,
        });
        network
    }
}

/// The sides of the smallest tensor of large images.
const LEAST: usize = 8;

/// Channels of a detailed network's tensors, from the smallest to the one as large as the image.
fn channels(width: usize, halvings: usize) -> Vec<usize> {
    if halvings == 2 {
        return vec![2 * width, 2 * width, width];
    }
    let large = (3..=halvings).map(|times| (width >> (times - 3)).max(8));
    [3 * width, 3 * width, 3 * width / 2]
        .into_iter()
        .chain(large)
        .collect()
}

const NORMALIZED: [Layer; 2] = [Layer::batch_norm(), Layer::Relu];
pub(super) const LEAKY: Layer = Layer::LeakyRelu { slope: 0.2 };

/// A 3x3 convolution at the size of the picture.
pub(super) const fn refine(channels: usize, bias: bool) -> Layer {
    Layer::Conv2d {
        channels,
        kernel: 3,
        stride: 1,
        padding: 1,
        bias,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Step;

    /// Sides that networks of each depth are for.
    fn images() -> [Shape; 5] {
        let sides = [(1, 28), (3, 32), (3, 64), (1, 100), (3, 128)];
        sides.map(|(channels, side)| Shape::new(channels, side, side))
    }

    #[test]
    fn networks_fit_the_images() {
        for image in images() {
            for &size in Size::value_variants() {
                for kind in GeneratorKind::value_variants() {
                    let Some(network) = kind.network(size, 32, image) else {
                        assert_eq!(*kind, GeneratorKind::UNet);
                        continue;
                    };
                    assert_eq!(network.input, Shape::features(32));
                    assert_eq!(network.output(), Ok(image), "{kind:?}");
                }
                for kind in DiscriminatorKind::value_variants() {
                    let network = kind.network(size, image);
                    assert_eq!(network.input, image);
                    assert_eq!(network.output(), Ok(Shape::features(1)), "{kind:?}");
                }
            }
        }
        let detail = GeneratorKind::Detail.detailed(Size::Nano, 32, Shape::new(1, 28, 28));
        assert_eq!(detail.parameters(), Ok(75_057));
        // Nine weights in place of sixteen: 32 x 32 and 32 x 16 of them.
        let upsample = GeneratorKind::Upsample.detailed(Size::Nano, 32, Shape::new(1, 28, 28));
        assert_eq!(upsample.parameters(), Ok(75_057 - 7 * 32 * (32 + 16)));
        // What a microcontroller draws in a fifth of a second.
        let large = GeneratorKind::Detail.detailed(Size::Nano, 32, Shape::new(3, 64, 64));
        let macs: usize = large.walk().unwrap().iter().map(Step::macs).sum();
        assert!(macs <= 16_000_000 && large.parameters().unwrap() <= 300_000);
    }
}
