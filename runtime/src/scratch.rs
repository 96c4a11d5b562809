//! How much of an int4 layer is unpacked at once, and the memory that takes.

use crate::layer::Layer;
use crate::shape::{Activation, Operator};
use crate::window::Axis;

/// Channels of a convolution that are computed together, at most.
pub(crate) const BLOCK: usize = 4;

/// Outputs of a linear layer that are unpacked together: whole groups of four.
pub(crate) const OUTPUTS: usize = 8;

/// Words that a layer's unpacked parameters take: the multipliers of as many channels as are unpacked together, and
/// their weights with what shares their first and last eight.
pub(crate) const fn scratch_len(layer: &Layer<'_>) -> usize {
    let groups = layer.input.channels.div_ceil(4);
    let channels = layer.output.channels;
    let (at_once, words) = match (layer.operator, Axis::of(layer.operator)) {
        (
            Operator::Upsample { .. }
            | Operator::Add { .. }
            | Operator::Concat { .. }
            | Operator::AvgPool2d(_),
            _,
        ) => return 0,
        (_, None) => {
            let at_once = if channels < OUTPUTS {
                channels
            } else {
                OUTPUTS
            };
            // Of an image, a row at a time.
            let words = groups * layer.input.width;
            (at_once, at_once.div_ceil(4) * 4 * words)
        }
        (_, Some(axis)) => {
            let at_once = if channels < BLOCK { channels } else { BLOCK };
            let (mut most, mut start) = (0, 0);
            let mut phase = 0;
            while phase < axis.phases() * axis.phases() {
                let taps = axis.taps(phase / axis.phases()) * axis.taps(phase % axis.phases());
                let len = taps * groups * 4;
                let words = (start % 8 + at_once * len).div_ceil(8) * 2;
                most = if words > most { words } else { most };
                start += channels * len;
                phase += 1;
            }
            (at_once, most)
        }
    };
    at_once * vectors(layer.activation) + words
}

/// How many multipliers an output has.
pub(crate) const fn vectors(activation: Activation) -> usize {
    match activation {
        Activation::LeakyRelu { .. } => 2,
        _ => 1,
    }
}
