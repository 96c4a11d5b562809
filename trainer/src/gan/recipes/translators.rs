//! Networks that make images of pictures, and discriminators that say of each part of an image whether it is real.

use super::architectures::{GeneratorKind, LEAKY, refine};
use super::dcgan::{self, LARGE, grow, most_halvings, shrink};
use super::{Size, Sizes};
use crate::data::Task;
use crate::spec::{Layer, Network, Shape};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What normalizes the tensors of a network that reads pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Normalization {
    /// By the statistics of batches (Ioffe & Szegedy 2015); it is folded into the weights for a device.
    #[default]
    Batch,
    /// Each image by itself (Ulyanov et al. 2016); for the trainer and ONNX only.
    Instance,
    /// Nothing.
    None,
}

impl Normalization {
    /// What stands after a layer with weights.
    fn layer(self) -> Option<Layer> {
        match self {
            Self::Batch => Some(Layer::batch_norm()),
            Self::Instance => Some(Layer::InstanceNorm { epsilon: 1e-5 }),
            Self::None => None,
        }
    }

    /// A layer with weights, normalized, and its activation. A bias in front of a normalization would have no effect.
    fn after(self, layer: impl Fn(bool) -> Layer, activation: Option<Layer>) -> Vec<Layer> {
        let norm = self.layer();
        let layer = layer(norm.is_none());
        [Some(layer), norm, activation]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// The networks of a recipe that make images of pictures, and which flags the recipe has for them.
#[derive(Clone, Copy, Debug)]
pub struct Translators {
    /// Makes a network for pictures of the first shape and images of the second; `None` where the recipe has none of
    /// the kind.
    pub make: fn(Translator, Shape, Shape) -> Option<Network>,
    /// Their layers where none are named; `make` may know one kind only.
    pub kind: GeneratorKind,
    /// Whether what normalizes them can be chosen.
    pub takes_norm: bool,
    /// Numbers of the latent in their middle where no other count is named; `None` where they have no latent.
    pub latent_size: Option<usize>,
    /// The task where none is named.
    pub task: Option<Task>,
    /// Whether images have the pictures' own shape.
    pub keeps_shape: bool,
    /// Whether the images that are to be made can be another data set.
    pub takes_target: bool,
}

impl Translators {
    /// Those of translations: residual networks or U-Nets, normalized.
    pub(super) const USUAL: Self = Self {
        make: Translator::network,
        kind: GeneratorKind::Residual,
        takes_norm: true,
        latent_size: None,
        task: None,
        keeps_shape: false,
        takes_target: true,
    };
}

/// What a network that makes images of pictures is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translator {
    pub kind: GeneratorKind,
    pub size: Size,
    pub norm: Normalization,
    /// Numbers of the latent in the middle; `None` of a network without one.
    pub latent_size: Option<usize>,
}

impl Translator {
    /// Pictures of one shape to images of another, as large or larger by a power of two; tanh at the end. `None` where
    /// the kind is none of such networks.
    pub fn network(self, picture: Shape, image: Shape) -> Option<Network> {
        match self.kind {
            GeneratorKind::Residual => Some(self.residual(picture, image)),
            GeneratorKind::UNet => Some(self.u_net(picture, image)),
            GeneratorKind::Dcgan | GeneratorKind::Detail | GeneratorKind::Upsample => None,
        }
    }

    /// A 3x3 convolution, 4x4 ones with stride 2, residual blocks of two 3x3 convolutions, transposed convolutions
    /// back, and a 3x3 convolution to the image (Zhu et al. 2017, section 7.2, with smaller windows and zeros at the
    /// borders). Where the image is larger than the picture, nothing is made smaller. nano has one stride, and two for
    /// images from
    /// [`LARGE`] pixels on, with half the channels before them: rows of a device's tensors are half as long.
    pub(super) fn residual(self, picture: Shape, image: Shape) -> Network {
        let Self { size, norm, .. } = self;
        let width = size.width();
        let twice = 2 * width;
        let ups = doublings(picture, image);
        // The channels on the way down, and the residual blocks.
        let (down, blocks) = match (size, ups) {
            (Size::Nano, 0) if image.height >= LARGE => (vec![width / 2, width, twice], 3),
            (Size::Nano, 0) => (vec![width, twice], 3),
            (Size::Small, 0) => (vec![width, twice, twice], 4),
            (Size::Full, 0) => (vec![width, twice, twice], 6),
            (Size::Nano, _) => (vec![width], 1),
            (Size::Small, _) => (vec![twice], 3),
            (Size::Full, _) => (vec![twice], 6),
        };
        let wide = down[down.len() - 1];
        let mut network = Network::chain(picture, Vec::new());
        let layers = &mut network.layers;
        layers.extend(norm.after(|bias| refine(down[0], bias), Some(Layer::Relu)));
        for &channels in &down[1..] {
            layers.extend(norm.after(|bias| shrink(channels, bias), Some(Layer::Relu)));
        }
        for _ in 0..blocks {
            let base = network.layers.len();
            let layers = &mut network.layers;
            layers.extend(norm.after(|bias| refine(wide, bias), Some(Layer::Relu)));
            layers.extend(norm.after(|bias| refine(wide, bias), None));
            let branch = network.layers.len();
            network.push(Layer::Add, &[branch, base]);
        }
        let mut up: Vec<usize> = down.iter().rev().skip(1).copied().collect();
        if ups > 0 {
            up = vec![wide; ups - 1];
            up.push(width);
        }
        for channels in up {
            let grown = norm.after(|bias| grow(channels, bias), Some(Layer::Relu));
            network.layers.extend(grown);
        }
        network
            .layers
            .extend([refine(image.channels, true), Layer::Tanh]);
        network
    }

    /// A U-Net (Ronneberger et al. 2015; Isola et al. 2017, section 6.1.1) of up to three levels, on the picture at the
    /// image's size.
    fn u_net(self, picture: Shape, image: Shape) -> Network {
        let Self { size, norm, .. } = self;
        let width = size.width();
        let mut network = Network::chain(picture, Vec::new());
        let factor = image.height / picture.height.max(1);
        if factor > 1 {
            network.layers.push(Layer::Upsample { factor });
        }
        let layers = norm.after(|bias| refine(width, bias), Some(LEAKY));
        network.layers.extend(layers);
        // What each level hands across, with its channels.
        let mut across = vec![(network.layers.len(), width)];
        for _ in 0..most_halvings(image, 4).min(3) {
            let layers = norm.after(|bias| shrink(2 * width, bias), Some(LEAKY));
            network.layers.extend(layers);
            across.push((network.layers.len(), 2 * width));
        }
        across.pop();
        for (tensor, channels) in across.into_iter().rev() {
            let layers = norm.after(|bias| grow(channels, bias), Some(Layer::Relu));
            network.layers.extend(layers);
            let grown = network.layers.len();
            network.push(Layer::Concat, &[grown, tensor]);
        }
        network
            .layers
            .extend([refine(image.channels, true), Layer::Tanh]);
        network
    }

    /// An autoencoder: the discriminator of the DCGAN to a latent, and a generator of latents.
    pub fn autoencoder(self, image: Shape) -> Option<Network> {
        let latent_size = self.latent_size?;
        let encoder = dcgan::discriminator(self.size, image, latent_size);
        let decoder = self.kind.network(self.size, latent_size, image)?;
        Some(encoder.then(&decoder))
    }
}

/// How often a picture's side is doubled to become the image's.
fn doublings(picture: Shape, image: Shape) -> usize {
    let factor = image.height / picture.height.max(1);
    factor.max(1).ilog2() as usize
}

/// A discriminator that gives a logit for each of many overlapping parts of an image (Isola et al. 2017, section
/// 6.1.2): two 4x4 convolutions with stride 2, to W and 2W channels, and a 3x3 one to 2W, the second and the third
/// normalized, LeakyReLU 0.2 between, and a 3x3 one to the logits.
pub(super) fn patches(sizes: Sizes, norm: Normalization, input: Shape) -> Network {
    let width = sizes.discriminator.width();
    let mut layers = vec![shrink(width, true), LEAKY];
    layers.extend(norm.after(|bias| shrink(2 * width, bias), Some(LEAKY)));
    layers.extend(norm.after(|bias| refine(2 * width, bias), Some(LEAKY)));
    layers.push(refine(1, true));
    Network::chain(input, layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_fit_pictures_and_images() {
        let grey = |side| Shape::new(1, side, side);
        let rgb = |side| Shape::new(3, side, side);
        let pairs = [
            (grey(28), grey(28)),
            (grey(14), grey(28)),
            (rgb(8), rgb(32)),
            (grey(64), rgb(64)),
            (rgb(64), rgb(64)),
        ];
        for (picture, image) in pairs {
            for &size in Size::value_variants() {
                for kind in [GeneratorKind::Residual, GeneratorKind::UNet] {
                    for &norm in Normalization::value_variants() {
                        let translator = Translator {
                            kind,
                            size,
                            norm,
                            latent_size: None,
                        };
                        let network = translator.network(picture, image).unwrap();
                        assert_eq!(network.input, picture);
                        assert_eq!(network.output(), Ok(image), "{kind:?} {picture} {image}");
                        let sides = network.sides().unwrap();
                        assert!(sides.multiple <= 8, "{kind:?} {picture} {image}: {sides:?}");
                    }
                }
                let logits = patches(size.into(), Normalization::Batch, image).output();
                let side = image.height / 4;
                assert_eq!(logits, Ok(Shape::new(1, side, side)));
            }
        }
        let nano = Translator {
            kind: GeneratorKind::Residual,
            size: Size::Nano,
            norm: Normalization::Batch,
            latent_size: None,
        };
        let of = |picture, image| {
            let network = nano.network(picture, image).unwrap();
            network.parameters().unwrap()
        };
        assert!((60_000..110_000).contains(&of(rgb(64), rgb(64))));
        assert!(of(grey(14), grey(28)) < 30_000);
    }

    #[test]
    fn an_autoencoder_has_a_latent_in_the_middle() {
        for kind in [GeneratorKind::Dcgan, GeneratorKind::Residual] {
            let translator = Translator {
                kind,
                size: Size::Nano,
                norm: Normalization::Batch,
                latent_size: Some(5),
            };
            let image = Shape::new(1, 28, 28);
            let network = translator.autoencoder(image).unwrap();
            assert_eq!((network.input, network.output()), (image, Ok(image)));
            let steps = network.walk().unwrap();
            let least = steps.iter().map(|step| step.output.len()).min();
            assert_eq!(least, Some(5));
        }
    }
}
