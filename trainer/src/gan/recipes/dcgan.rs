//! Deep convolutional GANs (Radford et al. 2016), in sizes that fit a microcontroller.

use super::{Make, Parts, UsualSizes};
use crate::spec::{Layer, Network, Shape};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How wide a DCGAN is; the figures are those of images of 28x28.
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
    /// Channels of the tensor whose sides are half of the image's.
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

/// Sides from which on the networks have more than two steps between the image and their smallest tensor.
pub(super) const LARGE: usize = 48;

/// How often both sides of an image can be halved to whole numbers that are at least `least`.
pub(super) fn most_halvings(image: Shape, least: usize) -> usize {
    let fits = |&times: &usize| {
        let fits = |side: usize| side.is_multiple_of(1 << times) && side >> times >= least;
        fits(image.height) && fits(image.width)
    };
    (1..usize::BITS as usize).take_while(fits).count()
}

/// How often the image's sides are halved to those of the smallest tensor: twice, and [`LARGE`] ones as often as
/// [`most_halvings`] says, if that is more.
pub(super) fn halvings(image: Shape, least: usize) -> usize {
    if image.height.min(image.width) < LARGE {
        2
    } else {
        most_halvings(image, least).max(2)
    }
}

/// An image's sides after so many halvings.
pub(super) fn halved(image: Shape, times: usize, channels: usize) -> Shape {
    Shape::new(channels, image.height >> times, image.width >> times)
}

/// The sides of the smallest tensor of large images (Radford et al. 2016, figure 1).
const LEAST: usize = 4;

/// Channels of a tensor whose sides are the image's halved once or more often.
fn channels(size: Size, halvings: usize) -> usize {
    size.width() << (halvings - 1).min(3)
}

/// Latent to image: dense to the smallest tensor, then 4x4 stride-2 transposed convolutions, batch norm and ReLU
/// between them, tanh at the end. `image` must be four times as high and wide as a whole number.
pub(super) fn generator(size: Size, latent: usize, image: Shape) -> Network {
    let times = halvings(image, LEAST);
    let seed = halved(image, times, channels(size, times));
    let mut layers = vec![
        Layer::Linear {
            features: seed.len(),
            bias: false,
        },
        Layer::Reshape(seed),
        Layer::batch_norm(),
        Layer::Relu,
    ];
    for times in (1..times).rev() {
        let grow = grow(channels(size, times), false);
        layers.extend([grow, Layer::batch_norm(), Layer::Relu]);
    }
    layers.extend([grow(image.channels, true), Layer::Tanh]);
    Network::chain(Shape::features(latent), layers)
}

/// Image to so many outputs, one for a logit: 4x4 stride-2 convolutions with LeakyReLU 0.2, then dense.
pub(super) fn discriminator(size: Size, image: Shape, outputs: usize) -> Network {
    let mut layers = Vec::new();
    for times in 1..=halvings(image, LEAST) {
        let shrink = shrink(channels(size, times), true);
        layers.extend([shrink, Layer::LeakyRelu { slope: 0.2 }]);
    }
    layers.push(Layer::Flatten);
    layers.push(Layer::Linear {
        features: outputs,
        bias: true,
    });
    Network::chain(image, layers)
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

    /// Radford et al. 2016, figure 1, at an eighth of the width: from 4x4 with 1,024 channels to 64x64.
    #[test]
    fn large_images_grow_from_four_by_four() {
        let image = Shape::new(3, 64, 64);
        let shapes = |network: Network| -> Vec<Shape> {
            let steps = network.walk().unwrap();
            let pictures = steps.iter().map(|step| step.output);
            let mut shapes: Vec<Shape> = pictures.filter(|shape| shape.height > 1).collect();
            shapes.dedup();
            shapes
        };
        let tensors = [(128, 4), (64, 8), (32, 16), (16, 32)];
        let tensors = tensors.map(|(channels, side)| Shape::new(channels, side, side));
        let made = shapes(generator(Size::Nano, LATENT, image));
        assert_eq!(made, [&tensors[..], &[image]].concat());
        let seen = shapes(discriminator(Size::Nano, image, 1));
        assert!(seen.iter().rev().eq(&tensors));
        // At 128 pixels, the smallest tensor of a network 32 wide is 4x4x256.
        let made = shapes(generator(Size::Small, LATENT, Shape::new(3, 128, 128)));
        assert_eq!(made[0], Shape::new(256, 4, 4));
    }

    #[test]
    fn the_smallest_tensor_is_no_smaller_than_asked_for() {
        let image = |side| Shape::new(1, side, side);
        for (side, least, times) in [
            (28, 4, 2),
            (32, 4, 2),
            (48, 4, 3),
            (64, 4, 4),
            (64, 8, 3),
            (100, 4, 2),
            (128, 8, 4),
            (256, 8, 5),
        ] {
            assert_eq!(halvings(image(side), least), times, "{side}");
        }
        assert_eq!(halvings(Shape::new(1, 64, 256), 8), 3);
        assert_eq!(halvings(Shape::new(1, 64, 72), 4), 3);
    }
}
