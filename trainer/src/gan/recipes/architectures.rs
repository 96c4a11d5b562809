//! Networks that a recipe can have in place of its own.

use super::Size;
use super::dcgan::{self, grow, shrink};
use crate::spec::{Layer, Network, Shape};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The layers of a generator, or of a decoder. W is 16, 32 or 64 by the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum GeneratorKind {
    /// Dense to a quarter of the image's side with 2W channels, two transposed convolutions.
    Dcgan,
    /// The same with 2W channels at half of the side and W at the whole, then a 3x3 convolution to the image.
    Detail,
    /// Dense to W channels, a 3x3 convolution to 2W, then as detail, with a residual 3x3 convolution at half of the
    /// side.
    Residual,
}

/// The layers of a discriminator. W is 16, 32 or 64 by the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DiscriminatorKind {
    /// Two 4x4 convolutions with stride 2, to W and 2W channels.
    Dcgan,
    /// The same with a residual 3x3 convolution after each.
    Residual,
}

impl GeneratorKind {
    /// Latent to image, whose sides must be multiples of four: batch norm and ReLU between the layers, tanh at the end.
    pub fn network(self, size: Size, latent: usize, image: Shape) -> Network {
        let width = size.width();
        if self == Self::Dcgan {
            return dcgan::generator(size, latent, image);
        }
        let dense = if self == Self::Residual {
            width
        } else {
            2 * width
        };
        let seed = Shape::new(dense, image.height / 4, image.width / 4);
        let mut layers = vec![
            Layer::Linear {
                features: seed.len(),
                bias: false,
            },
            Layer::Reshape(seed),
        ];
        layers.extend(NORMALIZED);
        if self == Self::Residual {
            layers.push(refine(2 * width, false));
            layers.extend(NORMALIZED);
        }
        layers.push(grow(2 * width, false));
        layers.extend(NORMALIZED);
        let mut network = Network::chain(Shape::features(latent), layers);
        if self == Self::Residual {
            let base = network.layers.len();
            network.layers.push(refine(2 * width, false));
            network.layers.push(Layer::batch_norm());
            let branch = network.layers.len();
            network.push(Layer::Add, &[branch, base]);
            network.layers.push(Layer::Relu);
        }
        network.layers.push(grow(width, false));
        network.layers.extend(NORMALIZED);
        network.layers.push(refine(image.channels, true));
        network.layers.push(Layer::Tanh);
        network
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
        for width in [width, 2 * width] {
            network.layers.push(shrink(width));
            network.layers.push(LEAKY);
            let base = network.layers.len();
            network.layers.push(refine(width, true));
            let branch = network.layers.len();
            network.push(Layer::Add, &[branch, base]);
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

const NORMALIZED: [Layer; 2] = [Layer::batch_norm(), Layer::Relu];
const LEAKY: Layer = Layer::LeakyRelu { slope: 0.2 };

/// A 3x3 convolution at the size of the picture.
const fn refine(channels: usize, bias: bool) -> Layer {
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

    #[test]
    fn networks_fit_the_images() {
        for image in [Shape::new(1, 28, 28), Shape::new(3, 32, 32)] {
            for &size in Size::value_variants() {
                for kind in GeneratorKind::value_variants() {
                    let network = kind.network(size, 32, image);
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
        let detail = GeneratorKind::Detail.network(Size::Nano, 32, Shape::new(1, 28, 28));
        assert_eq!(detail.parameters(), Ok(75_057));
    }
}
