//! Windows: which rows and columns of its input a layer reads for which outputs.

use crate::shape::{Operator, Window};

/// A stride or factor, which is 0 only in a record that is not checked yet.
const fn above_zero(n: usize) -> usize {
    if n == 0 { 1 } else { n }
}

/// A window along one axis: which inputs each output reads, and through which kernel places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub window: Window,
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
        above_zero(self.window.stride)
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

/// How many rows of an input of `height` rows a layer must have seen before it can make output row `y`.
pub(crate) const fn rows_needed(operator: Operator, height: usize, y: usize) -> usize {
    match operator.in_this_build() {
        // A vector is a row.
        Operator::Linear if cfg!(feature = "images") => height,
        Operator::Linear => 1,
        Operator::Upsample { factor } => y / above_zero(factor) + 1,
        Operator::Add { .. } | Operator::Concat { .. } => y + 1,
        Operator::Conv2d(_) | Operator::ConvTranspose2d(_) | Operator::AvgPool2d(_) => {
            let Some(axis) = Axis::of(operator) else {
                return 0;
            };
            let (start, end) = axis.inside(y, height);
            if start < end {
                axis.first_input(y).wrapping_add_unsigned(end) as usize
            } else {
                0
            }
        }
    }
}

/// The first of these rows that output row `y` itself needs.
pub(crate) const fn first_row(operator: Operator, y: usize) -> usize {
    match (operator, Axis::of(operator)) {
        (_, Some(axis)) => match axis.first_input(y) {
            first @ 0.. => first as usize,
            _ => 0,
        },
        (Operator::Upsample { factor }, _) => y / above_zero(factor),
        (Operator::Add { .. } | Operator::Concat { .. }, _) => y,
        _ => 0,
    }
}

/// The most rows of an input of `height` rows that a layer reads at once.
pub(crate) const fn most_rows(operator: Operator, height: usize) -> usize {
    match Axis::of(operator) {
        Some(axis) if axis.most_taps() < height => axis.most_taps(),
        Some(_) => height,
        None => 1,
    }
}

/// The columns in front of the first and behind the last that a layer reads (section 9.4).
pub(crate) const fn margins(operator: Operator, width: usize, output_width: usize) -> [u8; 2] {
    let Some(axis) = Axis::of(operator) else {
        return [0; 2];
    };
    // Inputs and taps never go back from one output to the next.
    let before = 0usize.saturating_add_signed(axis.first_input(0).saturating_neg());
    let behind = axis.behind_inputs(output_width.saturating_sub(1));
    let behind = 0usize.saturating_add_signed(behind.saturating_sub_unsigned(width));
    [before as u8, behind as u8]
}
