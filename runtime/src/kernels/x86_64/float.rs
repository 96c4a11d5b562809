//! f32 layers with AVX2 or AVX-512. Every sum has the reference's order, so products and sums are not fused: vectors
//! hold neighbouring output channels or, where there are few of those, neighbouring outputs.
#![allow(unsafe_code)]

use crate::invariant::Guaranteed;
use core::arch::x86_64::{__m256, __m512};

use super::features::has_avx512;
use super::planes::{self, Block, MOST_PHASES};
use super::pointwise::activate;
use super::vector::{Vector, load, store};
use crate::kernels::float::{Convolution, Phase, linear_outputs, words};
use crate::layer::Layer;
use crate::window::Axis;

/// Outputs that share the weights which are loaded, at most.
const SHARING: usize = 8;

/// Computes row `y` of the output of a layer with weights: to be called only where there is AVX2.
pub(crate) fn row(layer: &Layer<'_>, y: usize, input: &[f32], out: &mut [f32]) {
    // SAFETY: this machine has what they need.
    unsafe {
        if has_avx512() {
            avx512_row(layer, y, input, out)
        } else {
            avx2_row(layer, y, input, out)
        }
    }
}

#[target_feature(enable = "avx2")]
fn avx2_row(layer: &Layer<'_>, y: usize, input: &[f32], out: &mut [f32]) {
    vector_row::<__m256>(layer, y, input, out);
}

#[target_feature(enable = "avx512f,avx512dq")]
fn avx512_row(layer: &Layer<'_>, y: usize, input: &[f32], out: &mut [f32]) {
    vector_row::<__m512>(layer, y, input, out);
}

// What follows is inlined in these two, and so compiled for either.

#[inline(always)]
fn vector_row<W: Vector>(layer: &Layer<'_>, y: usize, input: &[f32], out: &mut [f32]) {
    match Axis::of(layer.operator) {
        Some(axis) => convolution_row::<W>(&Convolution::new(layer, axis, y, input), out),
        None => linear_row::<W>(layer, y, input, out),
    }
    activate::<W>(layer.activation, out);
}

#[inline(always)]
fn linear_row<W: Vector>(layer: &Layer<'_>, y: usize, input: &[f32], out: &mut [f32]) {
    let mut done = 0;
    while done < out.len() {
        let (_, rest) = out.split_at_mut(done);
        let vectors = rest.len() / W::LANES;
        done += match vectors.min(W::SUMS) {
            14.. => linear_vectors::<W, 14>(layer, y, input, done, rest),
            8.. => linear_vectors::<W, 8>(layer, y, input, done, rest),
            2.. => linear_vectors::<W, 2>(layer, y, input, done, rest),
            1 => linear_vectors::<W, 1>(layer, y, input, done, rest),
            _ => linear_outputs(layer, y, input, done, rest),
        };
    }
}

/// Computes `V` vectors of the sums of row `y` from output `first` on, and says how many outputs these are.
#[inline(always)]
fn linear_vectors<W: Vector, const V: usize>(
    layer: &Layer<'_>,
    y: usize,
    input: &[f32],
    first: usize,
    out: &mut [f32],
) -> usize {
    let row_len = layer.output.row_len();
    let weights = words(layer.parameters.weights, y * row_len * input.len() + first);
    let mut sums = [load::<W, V>(layer.parameters.bias, y * row_len + first)];
    if !layer.parameters.column.is_empty() {
        let columns = load::<W, V>(layer.parameters.column, y * row_len + first);
        for (sum, column) in sums[0].iter_mut().zip(columns) {
            *sum = sum.add(column);
        }
    }
    let products = Products {
        input,
        count: input.len(),
        step: 0,
        weights,
        row_len,
    };
    products.add_to::<W, 1, V>(&mut sums);
    store(&sums[0], out);
    V * W::LANES
}

#[inline(always)]
fn convolution_row<W: Vector>(convolution: &Convolution<'_>, out: &mut [f32]) {
    let mut phases = [const { None }; MOST_PHASES];
    for (to, phase) in phases.iter_mut().zip(convolution.phases()) {
        *to = Some(phase);
    }
    let channels = convolution.layer.output.channels;
    let mut channel = 0;
    while channel < channels {
        let block = Block {
            convolution,
            phases: &phases,
            channel,
        };
        let rest = channels - channel;
        channel += match rest / W::LANES {
            2.. => block.vectors_of_channels::<W, 2>(out),
            1 => block.vectors_of_channels::<W, 1>(out),
            _ if rest >= __m256::LANES => block.vectors_of_channels::<__m256, 1>(out),
            _ => planes::channels::<W>(&block, out),
        };
    }
}

impl Block<'_> {
    /// Computes `V` vectors of channels, and says how many channels these are.
    #[inline(always)]
    fn vectors_of_channels<W: Vector, const V: usize>(&self, out: &mut [f32]) -> usize {
        let layer = self.convolution.layer;
        let bias = load::<W, V>(layer.parameters.bias, self.channel);
        for phase in self.phases() {
            let tiles = phase.outputs.div_ceil(SHARING.min(W::SUMS / V));
            for tile in 0..tiles {
                let first = phase.outputs * tile / tiles;
                let end = phase.outputs * (tile + 1) / tiles;
                let mut sums = [bias; SHARING];
                let Some(sums) = sums.get_mut(..end - first) else {
                    return layer.output.channels;
                };
                self.add_taps(phase, first, sums);
                for (i, sums) in sums.iter().enumerate() {
                    let x = phase.number + (first + i) * self.convolution.axis.phases();
                    let at = x * layer.output.channels + self.channel;
                    store(sums, out.get_mut(at..).guaranteed());
                }
            }
        }
        V * W::LANES
    }

    /// Adds the products of all taps to the sums of a phase's outputs from `first` on.
    #[inline(always)]
    fn add_taps<W: Vector, const V: usize>(
        &self,
        phase: &Phase,
        first: usize,
        sums: &mut [[W; V]],
    ) {
        let Convolution { layer, axis, .. } = *self.convolution;
        let channels = layer.input.channels;
        let width = layer.input.width as isize;
        for vertical in self.convolution.vertical_taps() {
            let input = self.convolution.input_row(vertical);
            for horizontal in 0..phase.taps {
                // Of the columns that the tap reads those inside the picture.
                let start = first * axis.step() + horizontal;
                let column = |i: usize| phase.first_column + (start + i * axis.step()) as isize;
                let (mut from, mut to) = (0, sums.len());
                while from < to && column(from) < 0 {
                    from += 1;
                }
                while from < to && column(to - 1) >= width {
                    to -= 1;
                }
                let input = input.get(column(from).max(0) as usize * channels..);
                let weights = self.convolution.weights(phase, [vertical, horizontal]);
                let products = Products {
                    // No row reaches a tap that no output reads.
                    input: input.unwrap_or_default(),
                    count: channels,
                    step: axis.step() * channels,
                    weights: weights.get(self.channel..).guaranteed(),
                    row_len: layer.output.channels,
                };
                let sums = sums.get_mut(from..to).guaranteed();
                match sums.len() {
                    1 => products.add_to::<W, 1, V>(sums),
                    2 => products.add_to::<W, 2, V>(sums),
                    3 => products.add_to::<W, 3, V>(sums),
                    4 => products.add_to::<W, 4, V>(sums),
                    5 => products.add_to::<W, 5, V>(sums),
                    6 => products.add_to::<W, 6, V>(sums),
                    7 => products.add_to::<W, 7, V>(sums),
                    8 => products.add_to::<W, 8, V>(sums),
                    _ => {}
                }
            }
        }
    }
}

/// Inputs of neighbouring outputs, and vectors of weights for each.
struct Products<'a> {
    /// The first output's inputs, `count` of them. Those of the next one lie `step` behind.
    input: &'a [f32],
    count: usize,
    step: usize,
    /// A row for each input.
    weights: &'a [[u8; 4]],
    row_len: usize,
}

impl Products<'_> {
    /// Adds to the sums of `P` outputs the products of each of their inputs in turn with `V` vectors of its weights.
    #[inline(always)]
    fn add_to<W: Vector, const P: usize, const V: usize>(&self, sums: &mut [[W; V]]) {
        let Self {
            count,
            step,
            row_len,
            ..
        } = *self;
        let mut inputs = [&[][..]; P];
        for (i, inputs) in inputs.iter_mut().enumerate() {
            let input = self.input.get(i * step..i * step + count);
            *inputs = input.guaranteed();
        }
        let reach = count.saturating_sub(1) * row_len + V * W::LANES;
        let whole = inputs.iter().all(|input| input.len() == count);
        let (Some(sums), true) = (
            sums.first_chunk_mut::<P>(),
            whole && reach <= self.weights.len(),
        ) else {
            return;
        };
        // The compiler keeps in registers what is here alone.
        let mut acc = *sums;
        for k in 0..count {
            let mut row = [W::splat(0.0); V];
            for (v, row) in row.iter_mut().enumerate() {
                let from = k * row_len + v * W::LANES;
                // SAFETY: for the last `k` and `v` the vector ends at `reach`.
                *row = unsafe { W::load(self.weights.as_ptr().add(from).cast()) };
            }
            for (acc, input) in acc.iter_mut().zip(inputs) {
                let x = W::splat(input[k]);
                for (acc, row) in acc.iter_mut().zip(row) {
                    *acc = acc.add(x.mul(row));
                }
            }
        }
        *sums = acc;
    }
}
