//! Paired translation (Isola et al. 2017): a generator makes images of pictures, and learns from the distance of their
//! pixels and from a discriminator that sees both.

use super::translators::{Normalization, Translator, Translators, patches};
use super::{GeneratorKind, Make, Parts, Size, Sizes, UsualSizes};
use crate::gan::{Objective, Translation};
use crate::spec::Shape;

pub(super) const MAKE: Make = Make::InSizes(
    parts,
    UsualSizes {
        size: Size::Nano,
        discriminator: None,
    },
);

/// The network of a recipe whose translator is named by nothing else, for pictures of the image's shape.
pub(super) const fn usual(size: Size) -> Translator {
    Translator {
        kind: GeneratorKind::Residual,
        size,
        norm: Normalization::Batch,
        latent_size: None,
    }
}

fn parts(sizes: Sizes, image: Shape) -> Parts {
    let rules = Translation {
        pixels: 100.0,
        adversarial: 1.0,
        objective: Objective::NonSaturating,
        sees_pictures: true,
        ..Translation::PIXELS
    };
    let both = Shape::new(2 * image.channels, image.height, image.width);
    let discriminator = patches(sizes, Normalization::Batch, both);
    let generator = usual(sizes.generator).residual(image, image);
    Parts {
        game: rules.into(),
        batch: 16,
        translators: Some(Translators::USUAL),
        ..Parts::of(Translation::networks(generator, Some(discriminator)))
    }
}
