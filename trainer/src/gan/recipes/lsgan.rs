//! Least squares GAN (Mao et al. 2017) on the networks of the DCGAN.

use super::{Make, Parts, Sizes, UsualSizes, dcgan};
use crate::gan::{Adversarial, Objective};
use crate::spec::Shape;

pub(super) const MAKE: Make = Make::InSizes(parts, UsualSizes::SMALL);

fn parts(sizes: Sizes, image: Shape) -> Parts {
    Parts {
        game: Adversarial::new(Objective::LeastSquares).into(),
        ..dcgan::parts(sizes, image)
    }
}
