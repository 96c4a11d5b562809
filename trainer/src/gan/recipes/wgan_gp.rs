//! Wasserstein GAN with the gradient penalty (Gulrajani et al. 2017, algorithm 1) on the networks of the DCGAN,
//! whose critic has no batch norm.

use super::{Make, Parts, Sizes, UsualSizes, dcgan};
use crate::gan::{Adversarial, Objective, Penalty};
use crate::optim::OptimizerConfig;
use crate::spec::Shape;

pub(super) const MAKE: Make = Make::InSizes(parts, UsualSizes::SMALL);

fn parts(sizes: Sizes, image: Shape) -> Parts {
    let rules = Adversarial {
        penalty: Some(Penalty::Gradient(10.0)),
        critic_steps: 5,
        ..Adversarial::new(Objective::Wasserstein)
    };
    Parts {
        game: rules.into(),
        optimizer: OptimizerConfig::adam(1e-4, 0.0, 0.9),
        ..dcgan::parts(sizes, image)
    }
}
