//! The DCGAN with both networks told the class.

use super::{Make, Parts, Size, dcgan};
use crate::spec::Shape;

pub(super) const MAKE: Make = Make::InSizes(parts);

fn parts(size: Size, image: Shape) -> Parts {
    Parts {
        conditional: true,
        ..dcgan::parts(size, image)
    }
}
