//! int8 layers, one output row at a time, over rows in the layout of [`Ring`].
//!
//! A transposed convolution is taken apart into its phases: each is an ordinary convolution with
//! the few taps that really meet an input, so no zeros are inserted and nothing is scattered. Rows
//! outside the picture are skipped; columns outside are zeros in the ring.

use super::arithmetic::finish;
use crate::blob::order::Axis;
use crate::plan::Ring;
use crate::{Layer, Operator};

/// Outputs that are computed together: neighbours of a phase, or of a linear layer's row.
pub(crate) const TILE: usize = 4;

/// Where the inputs of a tile lie: rows of groups of four channels, in the layout of [`Ring`].
#[derive(Clone, Copy)]
pub(crate) struct Taps {
    /// Groups of four channels.
    pub groups: usize,
    /// Elements from one group to the next.
    pub group_stride: usize,
    /// Horizontal taps.
    pub taps: usize,
    /// Columns from one output's taps to the next output's.
    pub step: usize,
}

/// The inner products, which differ from one target to another.
pub(crate) trait InnerProducts {
    /// Adds to each of `P` accumulators the products of one input row: accumulator `p` sums over
    /// groups and taps the products of `weights`, in order, with the columns `p * step + tap` of
    /// `input`, which starts at column 0.
    ///
    /// `weights` has `groups * taps * 4` elements, and `input` reaches that far.
    fn row<const P: usize>(acc: [i32; P], input: &[i16], weights: &[i8], taps: Taps) -> [i32; P];

    /// Adds to each accumulator the products of `input`, groups of four in the layout of [`Ring`],
    /// with its weights: `weights` has four for each accumulator in turn, for group after group.
    fn linear(acc: [i32; TILE], input: &[i16], weights: &[i8]) -> [i32; TILE];
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
            upsample_row(layer, y / factor, factor, input, out_ring, out)
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
                input.get(in_ring.place(x / factor, c)),
                out.get_mut(out_ring.place(x, c)),
            ) {
                *to = from;
            }
        }
    }
}

fn linear_row<K: InnerProducts>(
    layer: &Layer<'_>,
    y: usize,
    input: &[i16],
    out_ring: &Ring,
    out: &mut [i16],
) {
    let row_len = layer.output.row_len();
    let tile_len = input.len() * TILE;
    let weights: &[i8] = bytemuck::cast_slice(layer.parameters.weights);
    let row_start = y * row_len.div_ceil(TILE) * tile_len;
    let tiles = weights
        .get(row_start..)
        .unwrap_or_default()
        .chunks_exact(tile_len);
    let (mut x, mut c) = (0, 0);
    for (tile, weights) in tiles.take(row_len.div_ceil(TILE)).enumerate() {
        let output = y * row_len + tile * TILE;
        let acc = core::array::from_fn(|i| layer.bias_i32(output + i));
        let acc = K::linear(acc, input, weights);
        for (i, acc) in acc.into_iter().enumerate().take(row_len - tile * TILE) {
            let multipliers = layer.multipliers(output + i);
            let q = finish(layer.activation, layer.shift, multipliers, acc);
            if let Some(to) = out.get_mut(out_ring.place(x, c)) {
                *to = q as i16;
            }
            c += 1;
            if c == layer.output.channels {
                (x, c) = (x + 1, 0);
            }
        }
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
    /// The input row of vertical tap `taps.start`.
    first_row: usize,
}

/// A horizontal phase of an output row.
#[derive(Clone, Copy)]
struct Phase<'a> {
    taps: Taps,
    /// Column of the ring that the first tap of the first output reads.
    start: usize,
    /// The weights of the phase, all output channels, and of one channel and vertical tap.
    weights: &'a [i8],
    tap_len: usize,
}

impl<'a> Convolution<'a> {
    fn new(layer: &'a Layer<'a>, axis: Axis, y: usize, input: &'a [i16]) -> Self {
        let (start, end) = axis.inside(y, layer.input.height);
        let first_row = (axis.first_input(y) + start as isize).max(0) as usize;
        let (phase, ring) = (y % axis.phases(), Ring::of_input(layer));
        Self {
            layer,
            axis,
            ring,
            input,
            phase,
            taps: start..end,
            first_row,
        }
    }

    fn run<K: InnerProducts>(&self, out_ring: &Ring, out: &mut [i16]) {
        let phases = self.axis.phases();
        for px in 0..phases.min(self.layer.output.width) {
            let phase = self.horizontal_phase(px);
            for c in 0..self.layer.output.channels {
                let mut x = px;
                while x < self.layer.output.width {
                    let left = (self.layer.output.width - x).div_ceil(phases);
                    let column = phase.start + (x - px) / phases * phase.taps.step;
                    let at = (out_ring.place(x, c), phases * 4);
                    match left {
                        1 => self.tile::<K, 1>(phase, c, column, out, at),
                        2 => self.tile::<K, 2>(phase, c, column, out, at),
                        3 => self.tile::<K, 3>(phase, c, column, out, at),
                        _ => self.tile::<K, TILE>(phase, c, column, out, at),
                    }
                    x += left.min(TILE) * phases;
                }
            }
        }
    }

    fn horizontal_phase(&self, px: usize) -> Phase<'a> {
        let Layer { input, output, .. } = *self.layer;
        let axis = self.axis;
        let (taps_y, taps_x) = (axis.taps(self.phase), axis.taps(px));
        let kernel = axis.taps_before(axis.phases());
        let groups = input.channels.div_ceil(4);
        let per_tap = groups * 4 * output.channels;
        let before =
            (axis.taps_before(self.phase) * kernel + taps_y * axis.taps_before(px)) * per_tap;
        let weights: &[i8] = bytemuck::cast_slice(self.layer.parameters.weights);
        Phase {
            taps: Taps {
                groups,
                group_stride: self.ring.columns * 4,
                taps: taps_x,
                step: axis.step(),
            },
            start: (self.ring.pad_left as isize + axis.first_input(px)).max(0) as usize,
            weights: weights
                .get(before..before + taps_y * taps_x * per_tap)
                .unwrap_or_default(),
            tap_len: groups * taps_x * 4,
        }
    }

    /// Computes `P` neighbours of a phase in channel `c`, from the ring's column `column` on, and
    /// stores them at `at` (first place, stride).
    #[inline(always)]
    fn tile<K: InnerProducts, const P: usize>(
        &self,
        phase: Phase<'_>,
        c: usize,
        column: usize,
        out: &mut [i16],
        (first, stride): (usize, usize),
    ) {
        let layer = self.layer;
        let mut acc = [layer.bias_i32(c); P];
        let mut weights = (c * self.axis.taps(self.phase) + self.taps.start) * phase.tap_len;
        for row in self.first_row..self.first_row + self.taps.len() {
            let input = self.ring.row_start(row) + column * 4;
            if let (Some(input), Some(weights)) = (
                self.input.get(input..),
                phase.weights.get(weights..weights + phase.tap_len),
            ) {
                acc = K::row(acc, input, weights, phase.taps);
            }
            weights += phase.tap_len;
        }
        let multipliers = layer.multipliers(c);
        let mut at = first;
        for acc in acc {
            if let Some(to) = out.get_mut(at) {
                *to = finish(layer.activation, layer.shift, multipliers, acc) as i16;
            }
            at += stride;
        }
    }
}
