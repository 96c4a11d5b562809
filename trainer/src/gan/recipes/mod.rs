//! The models that can be trained by name, one file each: networks, loss and optimizer. A flag or a
//! key of the configuration replaces any of the parts.

mod architectures;
mod autoencoder;
mod cdcgan;
mod cgan;
mod conditioning;
mod cyclegan;
pub mod dcgan;
mod dense_bn;
mod encdec;
mod hinge;
mod keras;
mod lsgan;
mod mlp;
mod pix2pix;
mod pixelcnn;
mod pocket;
mod progressive;
mod relativistic;
mod translators;
mod vae;
mod wgan;
mod wgan_gp;

pub use architectures::{DiscriminatorKind, GeneratorKind};
pub use conditioning::Conditioning;
pub use dcgan::{Size, Sizes};
pub use translators::{Normalization, Translator, Translators};

use super::{Adversarial, Game, Growth, Networks, Objective, Role, Schedule, Settings};
use crate::nn::Initialization;
use crate::optim::OptimizerConfig;
use crate::pixelcnn::Levels;
use crate::spec::{Layer, Network, Shape, SpecError};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Makes the recipes of a table: a line is a recipe's help text, its name (in kebab case on the
/// command line), and the file that has its parts.
macro_rules! recipes {
    ($($(#[$attribute:meta])* $recipe:ident: $file:ident,)*) => {
        /// A model by name.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Recipe {
            $($(#[$attribute])* $recipe,)*
        }

        impl Recipe {
            const fn make(self) -> Make {
                match self {
                    $(Self::$recipe => $file::MAKE,)*
                }
            }
        }
    };
}

recipes! {
    /// The first GAN: dense layers, ReLU (Goodfellow et al. 2014).
    Mlp: mlp,
    /// Dense layers, batch norm in the generator, LeakyReLU.
    DenseBn: dense_bn,
    /// The small GAN of many tutorials: a dense layer, then dense layers pixel by pixel.
    Keras: keras,
    /// Deep convolutional GAN, non-saturating loss (Radford et al. 2016).
    Dcgan: dcgan,
    /// Conditional GAN, dense: both networks are told the class (Mirza & Osindero 2014).
    Cgan: cgan,
    /// Conditional DCGAN.
    Cdcgan: cdcgan,
    /// Wasserstein GAN: weights clipped, RMSprop, five critic steps (Arjovsky et al. 2017).
    Wgan: wgan,
    /// Wasserstein GAN with the gradient penalty, five critic steps (Gulrajani et al. 2017).
    WganGp: wgan_gp,
    /// Least squares GAN (Mao et al. 2017).
    Lsgan: lsgan,
    /// DCGAN networks with the hinge loss (Lim & Ye 2017).
    Hinge: hinge,
    /// Relativistic pairing with R1 and R2 penalties (Huang et al. 2024).
    Relativistic: relativistic,
    /// A small generator with a convolution at the image's size against a deeper discriminator: relativistic pairing
    /// with R1 and R2 penalties, a learning rate that falls.
    #[default]
    Pocket: pocket,
    /// Networks that grow with their images, from 4x4 pixels on (Karras et al. 2018).
    Progressive: progressive,
    /// Variational autoencoder on DCGAN networks; its decoder is what is exported (Kingma & Welling 2014).
    Vae: vae,
    /// Draws grey pixels one after another, each from those before it (van den Oord et al. 2016).
    Pixelcnn: pixelcnn,
    /// Convolutional autoencoder: a picture through a small latent and back (Hinton & Salakhutdinov 2006).
    Autoencoder: autoencoder,
    /// Paired translation: an image of each picture, by pixels and a discriminator (Isola et al. 2017).
    Pix2pix: pix2pix,
    /// Unpaired translation between two kinds of pictures (Zhu et al. 2017).
    Cyclegan: cyclegan,
    /// The encoder-decoder of a first course on generative networks, for 256x256 pictures.
    Encdec: encdec,
}

/// How a recipe's parts are made for images of one shape.
enum Make {
    /// Its networks come in one size.
    OneSize(fn(Shape) -> Parts),
    /// Its networks come in the sizes of the DCGAN.
    InSizes(fn(Sizes, Shape) -> Parts, UsualSizes),
}

/// The sizes of a recipe's networks where none are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsualSizes {
    pub size: Size,
    /// The discriminator's; `None` where it is as large as the generator.
    pub discriminator: Option<Size>,
}

impl UsualSizes {
    const SMALL: Self = Self {
        size: Size::Small,
        discriminator: None,
    };
    const NANO_AGAINST_SMALL: Self = Self {
        size: Size::Nano,
        discriminator: Some(Size::Small),
    };
}

/// What a recipe comes to for images of one shape.
#[derive(Clone, Debug)]
pub struct Parts {
    pub networks: Networks,
    /// Whether all networks are told the class of an image; [`Parts::tell`] does it.
    pub conditional: bool,
    pub game: Game,
    pub initialization: Initialization,
    pub optimizer: OptimizerConfig,
    /// Of networks that have another, by name.
    pub optimizers: BTreeMap<String, OptimizerConfig>,
    /// What networks make images of pictures; `None` where generators read latents.
    pub translators: Option<Translators>,
    /// Of the learning rate; its steps depend on the data.
    pub schedule: Schedule,
    /// Decay of the average of a generator's weights a step, in [0, 1).
    pub ema_decay: f64,
    /// Images an update.
    pub batch: u32,
    /// Passes over the training images.
    pub epochs: u32,
    /// How the networks come to be these; the steps depend on the data. `None` of those that are so from the start.
    pub growth: Option<Growth>,
}

impl Parts {
    /// Two networks with the DCGAN's objective and numbers (Radford et al. 2016, section 4).
    fn new(generator: Network, discriminator: Network) -> Self {
        Self::of(Adversarial::networks(generator, discriminator))
    }

    /// As [`Parts::new`], of any networks.
    fn of(networks: Networks) -> Self {
        Self {
            networks,
            conditional: false,
            game: Adversarial::new(Objective::NonSaturating).into(),
            initialization: Initialization::Dcgan,
            optimizers: BTreeMap::new(),
            translators: None,
            optimizer: OptimizerConfig::adam(2e-4, 0.5, 0.999),
            schedule: Schedule::CONSTANT,
            ema_decay: 0.999,
            batch: 64,
            epochs: 24,
            growth: None,
        }
    }

    /// Tells all networks the class of an image, one of `classes`; `conditioning` says how a network that sees images
    /// is told. A generator gets an embedding of 50 numbers beside the latent; or, where what the first layer makes of
    /// the latent is batch-normalized, a shift behind that: in front of it the class would soon make up all that is
    /// normalized, and the latent nothing.
    ///
    /// # Errors
    /// For a projection, a discriminator whose last layer is no Linear layer to one logit.
    pub fn tell(&mut self, classes: usize, conditioning: Conditioning) -> Result<(), SpecError> {
        let phases = self.growth.iter_mut().flat_map(|growth| &mut growth.phases);
        let networks = phases.map(|phase| &mut phase.networks);
        for named in networks
            .chain([&mut self.networks])
            .flat_map(Networks::iter_mut)
        {
            match named.role {
                Role::Generator => tell_generator(&mut named.network, classes),
                Role::Auxiliary => conditioning.tell(&mut named.network, classes)?,
            }
        }
        Ok(())
    }

    /// Gives the network that makes images of latents other layers, for latents of the same size; says whether the kind
    /// is one of such networks.
    pub fn set_generator(&mut self, kind: GeneratorKind, size: Size, image: Shape) -> bool {
        let network = &mut self.networks.generator.network;
        let other = kind.network(size, network.input.len(), image);
        other.map(|other| *network = other).is_some()
    }

    /// Gives the networks of a recipe that reads pictures their shapes and layers; says whether the translator is one
    /// of the recipe's.
    pub fn set_translator(
        &mut self,
        translator: Translator,
        sizes: Sizes,
        picture: Shape,
        image: Shape,
    ) -> bool {
        let Some(Translators { make, .. }) = self.translators else {
            return false;
        };
        let Some(network) = make(translator, picture, image) else {
            return false;
        };
        self.networks.generator.network = network;
        match self.game {
            Game::Translation(rules) => {
                let others = self
                    .networks
                    .others
                    .iter_mut()
                    .filter(|_| rules.sees_pictures);
                let (channels, Shape { height, width, .. }) =
                    (image.channels + picture.channels, image);
                let both = Shape::new(channels, height, width);
                for discriminator in others {
                    discriminator.network = translators::patches(sizes, translator.norm, both);
                }
            }
            Game::Cycle(_) => {
                let back = make(translator, image, picture);
                let discriminators = [image, picture]
                    .map(|shape| translators::patches(sizes, translator.norm, shape));
                let others = back.into_iter().chain(discriminators);
                for (named, network) in self.networks.others.iter_mut().zip(others) {
                    named.network = network;
                }
            }
            Game::Adversarial(_)
            | Game::Distillation(_)
            | Game::Variational(_)
            | Game::Autoregressive(_) => {}
        }
        true
    }

    /// Gives the discriminator of an adversarial recipe other layers.
    pub fn set_discriminator(&mut self, kind: DiscriminatorKind, size: Size, image: Shape) {
        for discriminator in &mut self.networks.others {
            discriminator.network = kind.network(size, image);
        }
    }

    /// Gives a network that draws pixel by pixel another number of grey levels.
    pub fn set_levels(&mut self, levels: Levels) {
        crate::pixelcnn::set_levels(&mut self.networks.generator.network, levels);
    }

    /// Gives latents another size.
    pub fn set_latent_size(&mut self, size: usize) {
        let phases = self.growth.iter_mut().flat_map(|growth| &mut growth.phases);
        let networks = phases.map(|phase| &mut phase.networks);
        for networks in networks.chain([&mut self.networks]) {
            networks.generator.network.input = Shape::features(size);
        }
        if let Game::Variational(_) = self.game {
            for encoder in &mut self.networks.others {
                if let Some(Layer::Linear { features, .. }) = encoder.network.layers.last_mut() {
                    // A mean and a log-variance for each.
                    *features = 2 * size;
                }
            }
        }
    }

    /// All of it, with a seed.
    pub fn settings(self, seed: u64) -> Settings {
        Settings {
            networks: self.networks,
            game: self.game,
            initialization: self.initialization,
            trained: BTreeMap::new(),
            optimizer: self.optimizer,
            optimizers: self.optimizers,
            rates: BTreeMap::new(),
            schedule: self.schedule,
            ema_decay: self.ema_decay,
            growth: self.growth,
            seed,
        }
    }
}

/// Tells a generator the class, one of `classes`.
fn tell_generator(network: &mut Network, classes: usize) {
    if network.draws_pixels() {
        return crate::pixelcnn::tell(network, classes);
    }
    let layers = &network.layers;
    let norm = |layer: &Layer| matches!(layer, Layer::BatchNorm { .. });
    let passive = |layer: &&Layer| matches!(layer, Layer::Linear { .. } | Layer::Reshape(_));
    let sum = layers.iter().take_while(passive).count();
    if layers.get(sum).is_some_and(norm) {
        network.insert(sum + 1, Layer::ClassShift { classes });
    } else {
        let channels = 50;
        network.insert(0, Layer::ClassEmbedding { classes, channels });
    }
}

impl Recipe {
    /// The sizes of its networks where none are named; `None` where they come in one size.
    pub const fn usual_sizes(self) -> Option<UsualSizes> {
        match self.make() {
            Make::OneSize(_) => None,
            Make::InSizes(_, usual) => Some(usual),
        }
    }

    /// The parts, for images of one shape; the sizes, or one for both networks, are for those that come in several.
    pub fn parts(self, sizes: impl Into<Sizes>, image: Shape) -> Parts {
        match self.make() {
            Make::OneSize(parts) => parts(image),
            Make::InSizes(parts, _) => parts(sizes.into(), image),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every size of one network with every size of the other.
    fn pairs() -> impl Iterator<Item = Sizes> {
        let sizes = Size::value_variants().iter();
        sizes.flat_map(|&generator| {
            let others = Size::value_variants().iter();
            others.map(move |&discriminator| Sizes {
                generator,
                discriminator,
            })
        })
    }

    /// Generators that make images of pictures as large, and discriminators of them.
    fn translates(parts: &Parts, image: Shape) {
        for named in parts.networks.iter() {
            let output = named.network.output().unwrap();
            match named.role {
                Role::Generator => assert_eq!((named.network.input, output), (image, image)),
                Role::Auxiliary => assert_eq!(output.channels, 1),
            }
        }
    }

    /// Networks that fit the images and each other, for grey and colour, small and large.
    #[test]
    fn every_recipe_makes_images_and_looks_at_them() {
        let sides = [(1, 28), (3, 32), (3, 64), (3, 128)];
        for image in sides.map(|(channels, side)| Shape::new(channels, side, side)) {
            for &recipe in Recipe::value_variants() {
                for sizes in pairs() {
                    let mut parts = recipe.parts(sizes, image);
                    if parts.translators.is_some() {
                        translates(&parts, image);
                        continue;
                    }
                    parts.tell(10, Conditioning::Concat).unwrap();
                    let generator = &parts.networks.generator.network;
                    if let Game::Autoregressive(rules) = parts.game {
                        let logits = Shape {
                            channels: rules.levels.count(),
                            ..image
                        };
                        assert_eq!(generator.output(), Ok(logits), "{recipe:?}");
                        continue;
                    }
                    let [other] = &parts.networks.others[..] else {
                        panic!("{recipe:?}: {:?}", parts.networks.others)
                    };
                    assert_eq!(generator.output(), Ok(image), "{recipe:?}");
                    assert_eq!(other.network.input, image, "{recipe:?}");
                    let outputs = match parts.game {
                        Game::Adversarial(_) | Game::Distillation(_) => 1,
                        Game::Variational(_) => 2 * generator.input.len(),
                        Game::Translation(_) | Game::Cycle(_) | Game::Autoregressive(_) => {
                            panic!("{recipe:?} reads latents")
                        }
                    };
                    let seen = other.network.output();
                    assert_eq!(seen, Ok(Shape::features(outputs)), "{recipe:?}");
                }
            }
        }
    }
}
