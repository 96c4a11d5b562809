//! int8 layers, one output row at a time, over rows in the layout of [`Ring`].
//!
//! A transposed convolution is taken apart into its phases: each is an ordinary convolution with
//! the few taps that really meet an input, so no zeros are inserted and nothing is scattered. Rows
//! outside the picture are skipped; columns outside are zeros in the ring.

use super::arithmetic::finish;
use crate::blob::order::{Axis, divisor};
use crate::plan::Ring;
use crate::{Activation, Layer, Operator, Shape};

/// Neighbours of a phase that are computed together, at most.
pub(crate) const TILE: usize = 7;
/// Outputs of a linear layer that are computed together.
pub(crate) const LINEAR_TILE: usize = 4;

/// What a tile's products are made of.
#[derive(Clone, Copy)]
pub(crate) struct Taps {
    /// Groups of four channels.
    pub groups: usize,
    /// Elements of a plane.
    pub plane_len: usize,
    /// Horizontal taps.
    pub count: usize,
    /// Columns from one output's taps to the next output's.
    pub step: usize,
}

/// The inner products, which differ from one target to another.
pub(crate) trait InnerProducts {
    /// Adds to each of the first `outputs` accumulators the products of one input row: accumulator
    /// `i` sums over groups and taps the products of `weights`, in order, with the columns
    /// `i * step + tap` of `input`, whose planes start at column 0 and are laid out as in [`Ring`].
    ///
    /// `weights` has `groups * count * 4` elements, and `input` reaches that far.
    fn row(acc: &mut [i32; TILE], outputs: usize, input: &[i16], weights: &[i8], taps: Taps);

    /// Adds to each accumulator the products of `input`, a vector laid out as in [`Ring`], with its
    /// weights: `weights` has four for each accumulator in turn, for group after group.
    fn linear(acc: &mut [i32; LINEAR_TILE], input: &[i16], weights: &[i8]);
}

/// Computes row `y` of a layer's output into `out`, a row of `out_ring`, from the rows of its
/// input's ring.
pub(crate) fn row<K: InnerProducts>(
    layer: &Layer<'_>,
    y: usize,
    input: &[i16],
    out_ring: &Ring,
    out: &mut [i16],
) {
    match (layer.operator, Axis::of(layer.operator)) {
        (Operator::Upsample { factor }, _) => {
            upsample_row(layer, y / divisor(factor), factor, input, out_ring, out)
        }
        (_, Some(axis)) => Convolution::new(layer, axis, y, input).run::<K>(out_ring, out),
        (_, None) => linear_row::<K>(layer, y, input, out_ring, out),
    }
}

fn upsample_row(
    layer: &Layer<'_>,
    y: usize,
    factor: usize,
    input: &[i16],
    out_ring: &Ring,
    out: &mut [i16],
) {
    let in_ring = Ring::of_input(layer);
    let input = input.get(in_ring.row_start(y)..).unwrap_or_default();
    for c in 0..layer.output.channels {
        for x in 0..layer.output.width {
            if let (Some(&from), Some(to)) = (
                input.get(in_ring.place(x / divisor(factor), c)),
                out.get_mut(out_ring.place(x, c)),
            ) {
                *to = from;
            }
        }
    }
}

#[inline(never)]
fn linear_row<K: InnerProducts>(
    layer: &Layer<'_>,
    y: usize,
    input: &[i16],
    out_ring: &Ring,
    out: &mut [i16],
) {
    let Shape {
        width, channels, ..
    } = layer.output;
    let groups = channels.div_ceil(4);
    let weights: &[i8] = bytemuck::must_cast_slice(layer.parameters.weights);
    let tile_len = input.len() * LINEAR_TILE;
    let mut tiles = weights
        .get(y * width * groups * tile_len..)
        .unwrap_or_default();
    for x in 0..width {
        for group in 0..groups {
            let Some((weights, rest)) = tiles.split_at_checked(tile_len) else {
                return;
            };
            tiles = rest;
            let output = (y * width + x) * channels + group * 4;
            let mut acc = layer.four_starts(output);
            K::linear(&mut acc, input, weights);
            let quanta = finish_four(layer, output, acc);
            for (i, q) in quanta.into_iter().enumerate().take(channels - group * 4) {
                if let Some(to) = out.get_mut(out_ring.place(x, group * 4 + i)) {
                    *to = q;
                }
            }
        }
    }
}

/// Requantizes the accumulators of a linear layer's outputs from `output` on; the activation is
/// chosen once for all of them.
#[inline(always)]
fn finish_four(layer: &Layer<'_>, output: usize, acc: [i32; 4]) -> [i16; 4] {
    let positive = layer.four(layer.parameters.multipliers, output);
    let each = |activation, negative: [i32; 4]| {
        core::array::from_fn(|i| {
            finish(activation, layer.shift, [positive[i], negative[i]], acc[i]) as i16
        })
    };
    match layer.activation {
        Activation::None => each(Activation::None, positive),
        Activation::Relu => each(Activation::Relu, positive),
        Activation::Tanh => each(Activation::Tanh, positive),
        Activation::Sigmoid => each(Activation::Sigmoid, positive),
        leaky @ Activation::LeakyRelu { .. } => each(
            leaky,
            layer.four(layer.parameters.negative_multipliers, output),
        ),
    }
}

/// One output row of a convolution or transposed convolution.
struct Convolution<'a> {
    layer: &'a Layer<'a>,
    axis: Axis,
    ring: Ring,
    input: &'a [i16],
    /// The vertical phase and its taps that are inside the picture.
    phase: usize,
    taps: core::ops::Range<usize>,
    /// Where the input row of vertical tap `taps.start` starts.
    first_row: usize,
}

/// A horizontal phase of an output row.
#[derive(Clone, Copy)]
struct Phase<'a> {
    taps: Taps,
    /// Outputs of the phase, and how many of them are computed together.
    outputs: usize,
    tile: usize,
    /// Column of the ring that the first tap of the first output reads.
    start: usize,
    /// The weights of the phase, all output channels, and of one channel and vertical tap.
    weights: &'a [i8],
    tap_len: usize,
}

impl<'a> Convolution<'a> {
    fn new(layer: &'a Layer<'a>, axis: Axis, y: usize, input: &'a [i16]) -> Self {
        let (start, end) = axis.inside(y, layer.input.height);
        let ring = Ring::of_input(layer);
        let first_row = ring.row_start((axis.first_input(y) + start as isize).max(0) as usize);
        let (phase, taps) = (y % axis.phases(), start..end);
        Self {
            layer,
            axis,
            ring,
            input,
            phase,
            taps,
            first_row,
        }
    }

    #[inline(never)]
    fn run<K: InnerProducts>(&self, out_ring: &Ring, out: &mut [i16]) {
        let phases = self.axis.phases();
        for px in 0..phases.min(self.layer.output.width) {
            let phase = self.horizontal_phase(px);
            for c in 0..self.layer.output.channels {
                let out = out.get_mut(out_ring.place(px, c)..).unwrap_or_default();
                self.channel::<K>(&phase, c, out, phases * 2);
            }
        }
    }

    fn horizontal_phase(&self, px: usize) -> Phase<'a> {
        let Layer { input, output, .. } = *self.layer;
        let axis = self.axis;
        let (taps_y, count) = (axis.taps(self.phase), axis.taps(px));
        let kernel = axis.taps_before(axis.phases());
        let groups = input.channels.div_ceil(4);
        let per_tap = groups * 4 * output.channels;
        let before = axis.taps_before(self.phase) * kernel + taps_y * axis.taps_before(px);
        let weights: &[i8] = bytemuck::must_cast_slice(self.layer.parameters.weights);
        let weights = weights.get(before * per_tap..).unwrap_or_default();
        let outputs = (output.width - px).div_ceil(divisor(axis.phases()));
        Phase {
            outputs,
            // Tiles of about the same size are better than full ones and a small rest.
            tile: divisor(outputs.div_ceil(divisor(outputs.div_ceil(TILE)))),
            taps: Taps {
                groups,
                plane_len: self.ring.plane_len(),
                count,
                step: axis.step(),
            },
            start: (self.ring.pad_left as isize + axis.first_input(px)).max(0) as usize,
            weights: weights.get(..taps_y * count * per_tap).unwrap_or_default(),
            tap_len: groups * count * 4,
        }
    }

    /// Computes a phase's outputs of channel `c` into every `stride`th place of `out`.
    #[inline(always)]
    fn channel<K: InnerProducts>(
        &self,
        phase: &Phase<'_>,
        c: usize,
        out: &mut [i16],
        stride: usize,
    ) {
        let first = (c * self.axis.taps(self.phase) + self.taps.start) * phase.tap_len;
        let weights = phase
            .weights
            .get(first..first + self.taps.len() * phase.tap_len);
        let weights = weights.unwrap_or_default();
        let (bias, multipliers) = (self.layer.bias_i32(c), self.layer.multipliers(c));
        let mut done = 0;
        while done < phase.outputs {
            let count = phase.tile.min(phase.outputs - done);
            let column = phase.start + done * phase.taps.step;
            let mut acc = [bias; TILE];
            self.sum::<K>(&mut acc, count, column, weights, phase);
            let out = out.get_mut(done * stride..).unwrap_or_default();
            let acc = acc.get(..count).unwrap_or_default();
            self.store(acc, multipliers, out, stride);
            done += count;
        }
    }

    /// Adds the products of `count` neighbours, from the ring's column `column` on, over the
    /// vertical taps inside the picture.
    #[inline(always)]
    fn sum<K: InnerProducts>(
        &self,
        acc: &mut [i32; TILE],
        count: usize,
        column: usize,
        weights: &[i8],
        phase: &Phase<'_>,
    ) {
        let mut row = self.first_row;
        let row_len = self.ring.row_len();
        for weights in weights.chunks_exact(divisor(phase.tap_len)) {
            if let Some(input) = self.input.get(row + column * 2..) {
                K::row(acc, count, input, weights, phase.taps);
            }
            row += row_len;
            if row == self.ring.rows * row_len {
                row = 0;
            }
        }
    }

    /// Requantizes accumulators into every `stride`th place; the activation is chosen once for all
    /// of them.
    #[inline(always)]
    fn store(&self, acc: &[i32], multipliers: [i32; 2], out: &mut [i16], stride: usize) {
        let shift = self.layer.shift;
        let mut each = |activation| {
            let mut at = 0;
            for &acc in acc {
                if let Some(to) = out.get_mut(at) {
                    *to = finish(activation, shift, multipliers, acc) as i16;
                }
                at += stride;
            }
        };
        match self.layer.activation {
            Activation::None => each(Activation::None),
            Activation::Relu => each(Activation::Relu),
            Activation::Tanh => each(Activation::Tanh),
            Activation::Sigmoid => each(Activation::Sigmoid),
            leaky @ Activation::LeakyRelu { .. } => each(leaky),
        }
    }
}
