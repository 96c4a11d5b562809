//! The order of the weights in a blob (sections 3.1 and 3.2), and the taps it follows.

use super::{Numbers, Operator, Shape, Window};

/// `n` rounded up to whole groups of four.
pub(crate) const fn ceil4(n: usize) -> usize {
    n.div_ceil(4) * 4
}

/// `n`, with which something is to be divided. A checked model never divides by 0; saying so here
/// leaves no code for it in the firmware.
pub(crate) const fn divisor(n: usize) -> usize {
    if n == 0 { 1 } else { n }
}

/// A window along one axis: which inputs each output reads, and through which kernel places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    window: Window,
    transposed: bool,
}

impl Axis {
    /// The axis of a convolution, a transposed convolution or average pooling; `None` for the other operators.
    pub const fn of(operator: Operator) -> Option<Self> {
        match operator.in_this_build() {
            Operator::Conv2d(window) | Operator::AvgPool2d(window) => Some(Self {
                window,
                transposed: false,
            }),
            Operator::ConvTranspose2d(window) => Some(Self {
                window,
                transposed: true,
            }),
            Operator::Linear
            | Operator::Upsample { .. }
            | Operator::Add { .. }
            | Operator::Concat { .. } => None,
        }
    }

    /// The stride.
    const fn stride(self) -> usize {
        divisor(self.window.stride)
    }

    /// Places of the kernel.
    pub const fn kernel(self) -> usize {
        self.window.kernel
    }

    /// How many phases there are; outputs `phase`, `phase + phases()`, ... share their taps.
    pub const fn phases(self) -> usize {
        if self.transposed { self.stride() } else { 1 }
    }

    /// By how many inputs the taps move from one output of a phase to the next.
    pub const fn step(self) -> usize {
        if self.transposed { 1 } else { self.stride() }
    }

    /// `r` of section 3.1.
    const fn remainder(self, phase: usize) -> usize {
        (phase + self.window.padding) % self.stride()
    }

    /// How many taps the outputs of `phase` have, or an output.
    pub const fn taps(self, phase: usize) -> usize {
        if self.transposed {
            let r = self.remainder(phase);
            (self.window.kernel + self.stride() - 1 - r) / self.stride()
        } else {
            self.window.kernel
        }
    }

    /// How many taps the outputs of some phase have at most.
    pub const fn most_taps(self) -> usize {
        self.window.kernel.div_ceil(self.phases())
    }

    /// How many taps all the phases before `phase` have together.
    pub const fn taps_before(self, phase: usize) -> usize {
        let mut sum = 0;
        let mut before = 0;
        while before < phase {
            sum += self.taps(before);
            before += 1;
        }
        sum
    }

    /// The input that tap 0 of `output` reads; negative in the padding.
    pub const fn first_input(self, output: usize) -> isize {
        let Window {
            kernel, padding, ..
        } = self.window;
        if self.transposed {
            // That of the last tap less the other taps, rounded down; one more input for each place of the kernel
            // keeps what is divided above zero.
            let above = output + padding + (kernel + 1) * self.stride() - kernel;
            (above / self.stride()) as isize - kernel as isize
        } else {
            (output * self.stride()) as isize - padding as isize
        }
    }

    /// One after the input that the last tap of `output` reads.
    pub const fn behind_inputs(self, output: usize) -> isize {
        if self.transposed {
            ((output + self.window.padding) / self.stride()) as isize + 1
        } else {
            self.first_input(output) + self.window.kernel as isize
        }
    }

    /// The taps of `output` that read inside an input of length `len`: first, and one after the
    /// last.
    pub const fn inside(self, output: usize, len: usize) -> (usize, usize) {
        let (first, behind) = (self.first_input(output), self.behind_inputs(output));
        let start = if first < 0 { first.unsigned_abs() } else { 0 };
        let len = len as isize;
        let end = if behind < len { behind } else { len } - first;
        let end = if end < 0 { 0 } else { end as usize };
        (if start < end { start } else { end }, end)
    }

    /// The phase and tap that use kernel place `k`.
    pub const fn phase_and_tap(self, k: usize) -> (usize, usize) {
        if self.transposed {
            let Window {
                stride, padding, ..
            } = self.window;
            let r = k % stride;
            let phase = (r + stride - padding % stride) % stride;
            (phase, self.taps(phase).saturating_sub(1 + k / stride))
        } else {
            (0, k)
        }
    }
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
        Operator::Linear => (output.height * output.width) as u64 * (outputs * inputs) as u64,
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
            return Self::of_linear(numbers, input, output, oc);
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

    const fn of_linear(numbers: Numbers, input: Shape, output: Shape, o: usize) -> Self {
        match numbers {
            Numbers::Float => {
                let row_len = output.row_len();
                let row = o / row_len * input.channels * row_len;
                Self::plain(row + o % row_len, row_len)
            }
            Numbers::Int8 | Numbers::Int4 => {
                let (pixel, oc) = (o / output.channels, o % output.channels);
                let tile = pixel * output.channels.div_ceil(4) + oc / 4;
                Self {
                    first: (tile * input.channels.div_ceil(4) * 4 + oc % 4) * 4,
                    channel_step: 1,
                    group_step: 16,
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
