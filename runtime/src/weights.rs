//! The order of the weights in a blob (sections 3.1 and 3.2).

use crate::shape::{Numbers, Operator, Shape};
use crate::window::Axis;

/// `n` rounded up to whole groups of four.
pub(crate) const fn ceil4(n: usize) -> usize {
    n.div_ceil(4) * 4
}

/// How many weights an operator has in the blob, the zeros that fill groups included.
pub(crate) const fn weights(
    operator: Operator,
    numbers: Numbers,
    input: Shape,
    output: Shape,
) -> u64 {
    let (inputs, outputs) = match numbers {
        Numbers::Float => (input.channels, output.channels),
        Numbers::Int8 | Numbers::Int4 => (ceil4(input.channels), ceil4(output.channels)),
    };
    match operator {
        Operator::Linear => {
            let places =
                (input.height * input.width) as u64 * (output.height * output.width) as u64;
            places * (outputs * inputs) as u64
        }
        Operator::Conv2d(w) | Operator::ConvTranspose2d(w) => {
            (w.kernel * w.kernel) as u64 * inputs as u64 * output.channels as u64
        }
        Operator::Upsample { .. }
        | Operator::Add { .. }
        | Operator::Concat { .. }
        | Operator::AvgPool2d(_) => 0,
    }
}

/// Where the weights of all input channels lie that belong to one output and one place of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    first: usize,
    /// From a channel to the next in its group of four.
    channel_step: usize,
    /// From a group of four channels to the next.
    group_step: usize,
}

impl Places {
    /// Of output `oc` at the kernel's place (`ky`, `kx`).
    pub const fn of(
        operator: Operator,
        numbers: Numbers,
        input: Shape,
        output: Shape,
        [oc, ky, kx]: [usize; 3],
    ) -> Self {
        let Some(axis) = Axis::of(operator) else {
            return Self::of_linear(numbers, input, output, [oc, ky, kx]);
        };
        let kernel = axis.window.kernel;
        let (py, ty) = axis.phase_and_tap(ky);
        let (px, tx) = axis.phase_and_tap(kx);
        let taps = axis.taps(px);
        let taps_before = axis.taps_before(py) * kernel + axis.taps(py) * axis.taps_before(px);
        match numbers {
            Numbers::Float => {
                let tap = taps_before + ty * taps + tx;
                Self::plain(tap * input.channels * output.channels + oc, output.channels)
            }
            Numbers::Int8 | Numbers::Int4 => {
                let groups = input.channels.div_ceil(4);
                let before = taps_before * groups * output.channels;
                let row = oc * axis.taps(py) + ty;
                Self {
                    first: (before + row * groups * taps + tx) * 4,
                    channel_step: 1,
                    group_step: taps * 4,
                }
            }
        }
    }

    /// Of output `o`, from row `y` and column `x` of the input: of the input or of the output only one has more than a
    /// pixel.
    const fn of_linear(
        numbers: Numbers,
        input: Shape,
        output: Shape,
        [o, y, x]: [usize; 3],
    ) -> Self {
        match numbers {
            Numbers::Float => {
                let row_len = output.row_len();
                let row = o / row_len * input.channels * row_len;
                let pixel = (y * input.width + x) * input.channels * row_len;
                Self::plain(row + pixel + o % row_len, row_len)
            }
            Numbers::Int8 | Numbers::Int4 => {
                let (pixel, oc) = (o / output.channels, o % output.channels);
                let tile = (pixel + y) * output.channels.div_ceil(4) + oc / 4;
                let words = input.channels.div_ceil(4) * input.width;
                Self {
                    first: ((tile * words + x) * 4 + oc % 4) * 4,
                    channel_step: 1,
                    group_step: 16 * input.width,
                }
            }
        }
    }

    /// Without groups.
    const fn plain(first: usize, channel_step: usize) -> Self {
        Self {
            first,
            channel_step,
            group_step: channel_step * 4,
        }
    }

    /// Where the weight of input channel `ic` lies, in weights.
    pub const fn of_channel(self, ic: usize) -> usize {
        self.first + ic / 4 * self.group_step + ic % 4 * self.channel_step
    }
}
