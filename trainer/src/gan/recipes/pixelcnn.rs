//! PixelCNN (van den Oord et al. 2016): each grey pixel from those before it, by masked convolutions.

use super::{Make, Parts, Size, Sizes, UsualSizes};
use crate::gan::{Autoregressive, Curve, Schedule};
use crate::nn::Initialization;
use crate::optim::OptimizerConfig;
use crate::pixelcnn::{Levels, Width, network};
use crate::spec::Shape;

pub(super) const MAKE: Make = Make::InSizes(parts, UsualSizes::SMALL);

fn parts(sizes: Sizes, image: Shape) -> Parts {
    let (channels, blocks) = match sizes.generator {
        Size::Nano => (16, 5),
        Size::Small => (32, 8),
        Size::Full => (64, 12),
    };
    let rules = Autoregressive {
        levels: Levels::SIXTEEN,
    };
    let network = network(Width { channels, blocks }, rules.levels, image);
    Parts {
        game: rules.into(),
        initialization: Initialization::FanIn,
        optimizer: OptimizerConfig::adam(1e-3, 0.9, 0.999),
        schedule: Schedule {
            curve: Curve::Cosine,
            end: 0.03,
            ..Schedule::CONSTANT
        },
        ema_decay: 0.9995,
        epochs: 8,
        ..Parts::of(Autoregressive::networks(network))
    }
}
