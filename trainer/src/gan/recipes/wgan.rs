//! Wasserstein GAN (Arjovsky et al. 2017, algorithm 1) on the networks of the DCGAN.

use super::{Make, Parts, Sizes, UsualSizes, dcgan};
use crate::gan::{Adversarial, Objective};
use crate::optim::OptimizerConfig;
use crate::spec::Shape;

pub(super) const MAKE: Make = Make::InSizes(parts, UsualSizes::SMALL);

fn parts(sizes: Sizes, image: Shape) -> Parts {
    let rules = Adversarial {
        weight_clip: Some(0.01),
        critic_steps: 5,
        ..Adversarial::new(Objective::Wasserstein)
    };
    Parts {
        game: rules.into(),
        optimizer: OptimizerConfig::rmsprop(5e-5),
        ..dcgan::parts(sizes, image)
    }
}
