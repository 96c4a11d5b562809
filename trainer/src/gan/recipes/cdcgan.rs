//! The DCGAN with both networks told the class.

use super::{Parts, Size, dcgan};
use crate::spec::Shape;

pub(super) fn parts(size: Size, image: Shape) -> Parts {
    Parts {
        conditional: true,
        ..dcgan::parts(size, image)
    }
}
