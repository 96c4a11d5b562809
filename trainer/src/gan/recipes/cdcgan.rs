//! The DCGAN with both networks told the class.

use super::{Make, Parts, Sizes, UsualSizes, dcgan};
use crate::spec::Shape;

pub(super) const MAKE: Make = Make::InSizes(parts, UsualSizes::SMALL);

fn parts(sizes: Sizes, image: Shape) -> Parts {
    Parts {
        conditional: true,
        ..dcgan::parts(sizes, image)
    }
}
