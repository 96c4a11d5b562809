//! Relativistic pairing with R1 and R2 (Huang et al. 2024) on the networks of the DCGAN.

use super::{Make, Parts, Sizes, UsualSizes, dcgan};
use crate::gan::{Adversarial, Objective, Penalty};
use crate::optim::OptimizerConfig;
use crate::spec::Shape;

pub(super) const MAKE: Make = Make::InSizes(parts, UsualSizes::SMALL);

pub(super) fn parts(sizes: Sizes, image: Shape) -> Parts {
    Parts {
        game: rules(0.3).into(),
        optimizer: OptimizerConfig::adam(2e-4, 0.0, 0.99),
        ..dcgan::parts(sizes, image)
    }
}

/// The objective with penalties of this weight at every eighth step.
pub(super) const fn rules(weight: f64) -> Adversarial {
    Adversarial {
        penalty: Some(Penalty::ZeroCentred { weight, every: 8 }),
        ..Adversarial::new(Objective::Relativistic)
    }
}
