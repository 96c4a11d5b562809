//! Variational autoencoder (Kingma & Welling 2014) on the networks of the DCGAN: the decoder is its generator with a
//! smaller latent, the encoder its discriminator with a mean and a log-variance for each number of the latent at the
//! end.

use super::{Make, Parts, Sizes, UsualSizes, dcgan};
use crate::gan::{Likelihood, Variational};
use crate::optim::OptimizerConfig;
use crate::spec::Shape;

/// Numbers of a latent: few, so that what the encoder makes of images fills the normal distribution that samples are
/// drawn from.
const LATENT: usize = 16;

pub(super) const MAKE: Make = Make::InSizes(parts, UsualSizes::SMALL);

fn parts(sizes: Sizes, image: Shape) -> Parts {
    let rules = Variational {
        likelihood: Likelihood::Bernoulli,
        beta: 1.0,
    };
    let decoder = dcgan::generator(sizes.generator, LATENT, image);
    let encoder = dcgan::discriminator(sizes.discriminator, image, 2 * LATENT);
    Parts {
        game: rules.into(),
        optimizer: OptimizerConfig::adam(1e-3, 0.9, 0.999),
        ..Parts::of(Variational::networks(decoder, encoder))
    }
}
