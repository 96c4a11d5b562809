//! Least squares GAN (Mao et al. 2017) on the networks of the DCGAN.

use super::{Parts, Size, dcgan};
use crate::gan::Objective;
use crate::spec::Shape;

pub(super) fn parts(size: Size, image: Shape) -> Parts {
    Parts {
        objective: Objective::LeastSquares,
        ..dcgan::parts(size, image)
    }
}
