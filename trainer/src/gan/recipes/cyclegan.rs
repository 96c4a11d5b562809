//! Unpaired translation (Zhu et al. 2017): two generators, each the other's way back, and a discriminator of each kind
//! of picture.

use super::pix2pix::usual;
use super::translators::{Normalization, Translator, patches};
use super::{Make, Parts, Size, Sizes, UsualSizes};
use crate::gan::{Curve, Cycle, Schedule};
use crate::spec::Shape;

pub(super) const MAKE: Make = Make::InSizes(
    parts,
    UsualSizes {
        size: Size::Nano,
        discriminator: None,
    },
);

fn parts(sizes: Sizes, image: Shape) -> Parts {
    let generator = || usual(sizes.generator).residual(image, image);
    let discriminator = || patches(sizes, Normalization::Batch, image);
    let networks = Cycle::networks(
        [generator(), generator()],
        [discriminator(), discriminator()],
    );
    Parts {
        game: Cycle::USUAL.into(),
        schedule: Schedule {
            curve: Curve::ConstantThenLinear,
            ..Schedule::CONSTANT
        },
        batch: 8,
        epochs: 60,
        translator: Some(Translator::network),
        ..Parts::of(networks)
    }
}
