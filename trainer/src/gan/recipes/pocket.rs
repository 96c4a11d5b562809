//! The relativistic objective with R1 and R2 (Huang et al. 2024) for a small generator that spends its weights on the
//! picture's details, and a deeper discriminator, which no device runs.

use super::{DiscriminatorKind, GeneratorKind, Make, Parts, Sizes, UsualSizes, relativistic};
use crate::gan::{Adversarial, Curve, Schedule};
use crate::optim::OptimizerConfig;
use crate::spec::Shape;

/// Numbers of a latent.
const LATENT: usize = 32;

pub(super) const MAKE: Make = Make::InSizes(parts, UsualSizes::NANO_AGAINST_SMALL);

fn parts(sizes: Sizes, image: Shape) -> Parts {
    let generator = GeneratorKind::Detail.detailed(sizes.generator, LATENT, image);
    let discriminator = DiscriminatorKind::Deep.network(sizes.discriminator, image);
    Parts {
        networks: Adversarial::networks(generator, discriminator),
        game: relativistic::rules(0.1).into(),
        optimizer: OptimizerConfig::adam(1e-3, 0.0, 0.99),
        schedule: Schedule {
            curve: Curve::Cosine,
            end: 0.03,
            ..Schedule::CONSTANT
        },
        ema_decay: 0.9995,
        epochs: 30,
        ..relativistic::parts(sizes, image)
    }
}
