//! Deep convolutional GANs (Radford et al. 2016), in sizes that fit a microcontroller.

use super::{Make, Parts, UsualSizes};
use crate::spec::{Layer, Network, Shape};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How wide a DCGAN is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Size {
    /// 16 wide, as the generator 64 -> 7x7x32 -> 14x14x16 -> 28x28: 551,936 multiply-accumulates.
    Nano,
    /// 32 wide, as the generator 64 -> 7x7x64 -> 14x14x32 -> 28x28: 1,906,688 multiply-accumulates.
    Small,
    /// 64 wide, as the generator 64 -> 7x7x128 -> 14x14x64 -> 28x28: 7,024,640 multiply-accumulates.
    Full,
}

impl Size {
    /// Channels of the generator's second picture; its first has twice as many.
    pub(super) const fn width(self) -> usize {
        match self {
            Self::Nano => 16,
            Self::Small => 32,
            Self::Full => 64,
        }
    }
}

/// How wide each network of a recipe is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Of the network that makes images.
    pub generator: Size,
    /// Of the network that sees them: the discriminator, or the encoder.
    pub discriminator: Size,
}

/// Both as wide.
impl From<Size> for Sizes {
    fn from(size: Size) -> Self {
        Self {
            generator: size,
            discriminator: size,
        }
    }
}

/// Numbers of a latent.
const LATENT: usize = 64;

pub(super) const MAKE: Make = Make::InSizes(parts, UsualSizes::SMALL);

pub(super) fn parts(sizes: Sizes, image: Shape) -> Parts {
    Parts::new(
        generator(sizes.generator, LATENT, image),
        discriminator(sizes.discriminator, image, 1),
    )
}

/// Latent to image: dense, then two 4x4 stride-2 transposed convolutions, batch norm and ReLU between
/// them, tanh at the end. `image` must be four times as high and wide as a whole number.
pub(super) fn generator(size: Size, latent: usize, image: Shape) -> Network {
    let width = size.width();
    let seed = Shape::new(2 * width, image.height / 4, image.width / 4);
    Network::chain(
        Shape::features(latent),
        vec![
            Layer::Linear {
                features: seed.len(),
                bias: false,
            },
            Layer::Reshape(seed),
            Layer::batch_norm(),
            Layer::Relu,
            grow(width, false),
            Layer::batch_norm(),
            Layer::Relu,
            grow(image.channels, true),
            Layer::Tanh,
        ],
    )
}

/// Image to so many outputs, one for a logit: two 4x4 stride-2 convolutions with LeakyReLU 0.2, then dense.
pub(super) fn discriminator(size: Size, image: Shape, outputs: usize) -> Network {
    let width = size.width();
    Network::chain(
        image,
        vec![
            shrink(width, true),
            Layer::LeakyRelu { slope: 0.2 },
            shrink(2 * width, true),
            Layer::LeakyRelu { slope: 0.2 },
            Layer::Flatten,
            Layer::Linear {
                features: outputs,
                bias: true,
            },
        ],
    )
}

/// A transposed convolution to twice the side. A bias in front of batch norm would have no effect.
pub(super) const fn grow(channels: usize, bias: bool) -> Layer {
    Layer::ConvTranspose2d {
        channels,
        kernel: 4,
        stride: 2,
        padding: 1,
        output_padding: 0,
        bias,
    }
}

/// A convolution to half of the side.
pub(super) const fn shrink(channels: usize, bias: bool) -> Layer {
    Layer::Conv2d {
        channels,
        kernel: 4,
        stride: 2,
        padding: 1,
        bias,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Step;

    #[test]
    fn sizes_are_the_designs() {
        let image = Shape::new(1, 28, 28);
        let sizes = [
            (Size::Nano, 551_936),
            (Size::Small, 1_906_688),
            (Size::Full, 7_024_640),
        ];
        for (size, macs) in sizes {
            let network = generator(size, LATENT, image);
            let steps = network.walk().unwrap();
            assert_eq!(steps.iter().map(Step::macs).sum::<usize>(), macs);
            assert_eq!(network.output().unwrap(), image);
            let critic = discriminator(size, image, 1);
            assert_eq!(critic.output().unwrap(), Shape::features(1));
        }
    }
}
