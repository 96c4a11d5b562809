//! Unpaired translation (Zhu et al. 2017): two generators, each the other's way back, and a discriminator of each kind
//! of picture.

use super::pix2pix::usual;
use super::translators::{Normalization, Translators, patches};
use super::{Make, Parts, Sizes, UsualSizes};
use crate::gan::{Curve, Cycle, Schedule};
use crate::spec::Shape;

pub(super) const MAKE: Make = Make::InSizes(parts, UsualSizes::NANO_AGAINST_SMALL);

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
            end: 0.0,
            ..Schedule::CONSTANT
        },
        batch: 8,
        epochs: 60,
        translators: Some(Translators::USUAL),
        ..Parts::of(networks)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Size;
    use super::*;

    #[test]
    fn the_rate_stays_and_then_falls_to_nothing() {
        let Schedule { curve, end, .. } = parts(Size::Nano.into(), Shape::new(3, 32, 32)).schedule;
        let steps = 8;
        let schedule = Schedule { curve, steps, end };
        assert_eq!(
            [0, 4, 6, 8].map(|step| schedule.share(step)),
            [1.0, 1.0, 0.5, 0.0]
        );
    }
}
