//! Convolutional autoencoder (Hinton & Salakhutdinov 2006): the discriminator of the DCGAN squeezes an image into a
//! latent, its generator makes the image of that again. Both are trained on the squared error.

use super::translators::{Translator, Translators};
use super::{GeneratorKind, Make, Parts, Sizes, UsualSizes, dcgan};
use crate::data::Task;
use crate::gan::{Distance, Translation};
use crate::optim::OptimizerConfig;
use crate::spec::Shape;

/// Numbers of a latent where none are named.
const LATENT: usize = 32;

pub(super) const MAKE: Make = Make::InSizes(parts, UsualSizes::SMALL);

fn parts(sizes: Sizes, image: Shape) -> Parts {
    let rules = Translation {
        distance: Distance::Squared,
        ..Translation::PIXELS
    };
    let encoder = dcgan::discriminator(sizes.generator, image, LATENT);
    let decoder = dcgan::generator(sizes.generator, LATENT, image);
    Parts {
        game: rules.into(),
        optimizer: OptimizerConfig::adam(1e-3, 0.9, 0.999),
        translators: Some(Translators {
            make: |translator: Translator, _, image| translator.autoencoder(image),
            kind: GeneratorKind::Dcgan,
            takes_norm: false,
            latent_size: Some(LATENT),
            task: Some(Task::Reconstruct),
            keeps_shape: true,
            takes_target: false,
        }),
        ..Parts::of(Translation::networks(encoder.then(&decoder), None))
    }
}
