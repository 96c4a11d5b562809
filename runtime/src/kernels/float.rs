//! f32 layers, one output row at a time: the order of every sum is the reference's, and vector code
//! runs over output channels, whose weights lie side by side.

use core::ops::Range;

use super::arithmetic;
use crate::invariant::{Guaranteed, divisor};
use crate::layer::Layer;
use crate::ring::Ring;
use crate::shape::{PixelRange, Window};
use crate::window::Axis;

/// Output channels that are summed together.
const LANES: usize = 16;

/// Computes row `y` of the output of a layer with weights into `out` from the rows of its input's ring.
pub(crate) fn row(layer: &Layer<'_>, y: usize, input: &[f32], out: &mut [f32]) {
    match Axis::of(layer.operator) {
        Some(axis) => Convolution::new(layer, axis, y, input).run(out),
        None => {
            linear_outputs(layer, y, input, 0, out);
        }
    }
    for sum in out {
        *sum = arithmetic::activate(layer.activation, *sum);
    }
}

/// Rounds values to pixels.
pub(crate) fn pixels(range: PixelRange, values: &[f32], pixels: &mut [u8]) {
    for (pixel, &value) in pixels.iter_mut().zip(values) {
        *pixel = arithmetic::pixel_of_value(range, value);
    }
}

/// Computes row `y` of an addition's output into `out` from the rows of its inputs' rings.
pub(crate) fn add_row(layer: &Layer<'_>, y: usize, input: &[f32], added: &[f32], out: &mut [f32]) {
    let input = input.get(Ring::of_input(layer).row_start(y)..);
    let added = added.get(Ring::of_other(layer).row_start(y)..);
    let addends = input.into_iter().flatten().zip(added.into_iter().flatten());
    for (to, (input, added)) in out.iter_mut().zip(addends) {
        *to = arithmetic::activate(layer.activation, input + added);
    }
}

/// Computes row `y` of a concatenation's output into `out` from the rows of its inputs' rings.
pub(crate) fn concat_row(
    layer: &Layer<'_>,
    y: usize,
    input: &[f32],
    other: &[f32],
    out: &mut [f32],
) {
    let (ring, other_ring) = (Ring::of_input(layer), Ring::of_other(layer));
    let first = pixels_of(input, ring.row_start(y), ring.shape.channels);
    let second = pixels_of(other, other_ring.row_start(y), other_ring.shape.channels);
    let pixels = out.chunks_exact_mut(divisor(layer.output.channels));
    for (to, (first, second)) in pixels.zip(first.zip(second)) {
        for (to, &from) in to.iter_mut().zip(first.iter().chain(second)) {
            *to = from;
        }
    }
}

/// Computes row `y` of average pooling's output into `out` from the rows of its input's ring.
pub(crate) fn pool_row(
    layer: &Layer<'_>,
    window: Window,
    y: usize,
    input: &[f32],
    out: &mut [f32],
) {
    let Window { kernel, stride, .. } = window;
    let part = 1.0 / (kernel * kernel) as f32;
    let (ring, channels) = (Ring::of_input(layer), layer.output.channels);
    for (x, to) in out.chunks_exact_mut(divisor(channels)).enumerate() {
        for sum in to.iter_mut() {
            *sum = 0.0;
        }
        for row in y * stride..y * stride + kernel {
            let start = ring.row_start(row) + x * stride * channels;
            for pixel in pixels_of(input, start, channels).take(kernel) {
                for (sum, &value) in to.iter_mut().zip(pixel) {
                    *sum += value;
                }
            }
        }
        for sum in to.iter_mut() {
            *sum *= part;
        }
    }
}

/// The pixels of `rows` from element `start` on.
fn pixels_of(rows: &[f32], start: usize, channels: usize) -> impl Iterator<Item = &[f32]> {
    let rows = rows.get(start..).guaranteed();
    rows.chunks_exact(divisor(channels))
}

pub(crate) fn upsample_row(
    layer: &Layer<'_>,
    y: usize,
    factor: usize,
    input: &[f32],
    out: &mut [f32],
) {
    let start = Ring::of_input(layer).row_start(y);
    let pixels = pixels_of(input, start, layer.input.channels);
    let repeated = pixels.flat_map(|pixel| core::iter::repeat_n(pixel, factor));
    for (to, from) in out
        .chunks_exact_mut(divisor(layer.output.channels))
        .zip(repeated)
    {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = from;
        }
    }
}

/// Computes the sums of row `y` from output `first` on, and says how many these are.
pub(crate) fn linear_outputs(
    layer: &Layer<'_>,
    y: usize,
    input: &[f32],
    first: usize,
    out: &mut [f32],
) -> usize {
    let row_len = layer.output.row_len();
    let bias = words(layer.parameters.bias, y * row_len);
    let column = match layer.parameters.column {
        [] => &[],
        column => words(column, y * row_len),
    };
    let weights = words(layer.parameters.weights, y * row_len * input.len());
    for (chunk, out) in out.chunks_mut(LANES).enumerate() {
        let at = first + chunk * LANES;
        let mut sums = load(bias, at, out.len());
        for (sum, &column) in sums.iter_mut().zip(column.iter().skip(at)) {
            *sum += f32::from_le_bytes(column);
        }
        add_products(&mut sums, input, weights, row_len, at);
        copy(out, &sums);
    }
    out.len()
}

/// Adds row `y` of its input to the sums of a linear layer over an image, which start as its bias.
pub(crate) fn add_image_row(layer: &Layer<'_>, y: usize, input: &[f32], sums: &mut [f32]) {
    if y == 0 {
        let bias = words(layer.parameters.bias, 0);
        for (sum, &bias) in sums.iter_mut().zip(bias) {
            *sum = f32::from_le_bytes(bias);
        }
    }
    let row_len = layer.outputs();
    let weights = words(layer.parameters.weights, y * input.len() * row_len);
    for (chunk, sums) in sums.chunks_mut(LANES).enumerate() {
        let mut lanes = [0.0; LANES];
        for (lane, &sum) in lanes.iter_mut().zip(sums.iter()) {
            *lane = sum;
        }
        add_products(&mut lanes, input, weights, row_len, chunk * LANES);
        copy(sums, &lanes);
    }
}

/// Computes the vector that a linear layer makes of an image from the sums of all rows into `out`.
pub(crate) fn finish_image(layer: &Layer<'_>, sums: &[f32], out: &mut [f32]) {
    for (to, &sum) in out.iter_mut().zip(sums) {
        *to = arithmetic::activate(layer.activation, sum);
    }
}

/// One output row of a convolution or transposed convolution.
pub(crate) struct Convolution<'a> {
    pub layer: &'a Layer<'a>,
    pub axis: Axis,
    input: &'a [f32],
    ring: Ring,
    /// The input row of the first vertical tap, and the taps inside the picture.
    first_row: isize,
    rows: [usize; 2],
    /// How many taps there are in the vertical phases before this one, and how many in a column of this one.
    taps_before: usize,
    taps: usize,
}

/// A horizontal phase of an output row.
pub(crate) struct Phase {
    /// Its number.
    pub number: usize,
    /// How many outputs and taps it has.
    pub outputs: usize,
    pub taps: usize,
    /// The column of the first output's first tap.
    pub first_column: isize,
    /// How many taps there are in the phases before this one.
    taps_before: usize,
}

impl<'a> Convolution<'a> {
    pub fn new(layer: &'a Layer<'a>, axis: Axis, y: usize, input: &'a [f32]) -> Self {
        let phase = y % axis.phases();
        let (start, end) = axis.inside(y, layer.input.height);
        Self {
            layer,
            axis,
            input,
            ring: Ring::of_input(layer),
            first_row: axis.first_input(y),
            rows: [start, end],
            taps_before: axis.taps_before(phase) * axis.kernel(),
            taps: axis.taps(phase),
        }
    }

    fn run(&self, out: &mut [f32]) {
        for phase in self.phases() {
            for i in 0..phase.outputs {
                self.channels(&phase, i, 0, out);
            }
        }
    }

    /// The phases that have outputs.
    pub fn phases(&self) -> impl Iterator<Item = Phase> {
        let (axis, width) = (self.axis, self.layer.output.width);
        (0..axis.phases().min(width)).map(move |number| Phase {
            number,
            outputs: (width - number).div_ceil(axis.phases()),
            taps: axis.taps(number),
            first_column: axis.first_input(number),
            taps_before: self.taps_before + self.taps * axis.taps_before(number),
        })
    }

    /// The vertical taps that are inside the picture.
    pub fn vertical_taps(&self) -> Range<usize> {
        let [first, end] = self.rows;
        first..end
    }

    /// The input row that vertical tap `tap` reads.
    pub fn input_row(&self, tap: usize) -> &'a [f32] {
        let start = (self.first_row + tap as isize).max(0) as usize;
        let start = self.ring.row_start(start);
        let row = self.input.get(start..start + self.ring.row_len());
        row.guaranteed()
    }

    /// The weights of all output channels for each input channel of a phase's tap: its vertical and its horizontal
    /// number. Those of the next horizontal taps follow.
    pub fn weights(&self, phase: &Phase, [vertical, horizontal]: [usize; 2]) -> &'a [[u8; 4]] {
        let tap = phase.taps_before + vertical * phase.taps + horizontal;
        let products = self.layer.input.channels * self.layer.output.channels;
        words(self.layer.parameters.weights, tap * products)
    }

    /// Computes the sums of the channels from `channel` on of a phase's output `i`.
    pub fn channels(&self, phase: &Phase, i: usize, channel: usize, out: &mut [f32]) {
        let channels = self.layer.input.channels;
        let row_len = self.layer.output.channels;
        let x = phase.number + i * self.axis.phases();
        let first = phase.first_column + (i * self.axis.step()) as isize;
        let room = (self.layer.input.width as isize - first).max(0) as usize;
        let end = room.min(phase.taps);
        let start = ((-first).max(0) as usize).min(end);
        let columns = (first + start as isize).max(0) as usize;
        let columns = columns * channels..(columns + end - start) * channels;
        let bias = words(self.layer.parameters.bias, channel);
        let pixel = out.get_mut(x * row_len + channel..(x + 1) * row_len);
        let chunks = pixel.guaranteed().chunks_mut(LANES);
        for (chunk, out) in chunks.enumerate() {
            let lane = chunk * LANES;
            let mut sums = load(bias, lane, out.len());
            for tap in self.vertical_taps() {
                let input = self.input_row(tap).get(columns.clone());
                let weights = self.weights(phase, [tap, start]);
                add_products(
                    &mut sums,
                    input.guaranteed(),
                    weights,
                    row_len,
                    channel + lane,
                );
            }
            copy(out, &sums);
        }
    }
}

/// The little-endian words of `bytes` from word `start` on.
pub(crate) fn words(bytes: &[u8], start: usize) -> &[[u8; 4]] {
    bytes.as_chunks().0.get(start..).guaranteed()
}

/// Up to [`LANES`] biases from `start` on, `count` at most.
fn load(bias: &[[u8; 4]], start: usize, count: usize) -> [f32; LANES] {
    let mut sums = [0.0; LANES];
    let bias = bias.get(start..).guaranteed();
    for (sum, &bias) in sums.iter_mut().zip(bias).take(count) {
        *sum = f32::from_le_bytes(bias);
    }
    sums
}

/// Adds the products of each input in turn with the [`LANES`] weights from `lane` on in its row of
/// `row_len` weights.
#[inline(always)]
fn add_products(
    sums: &mut [f32; LANES],
    input: &[f32],
    weights: &[[u8; 4]],
    row_len: usize,
    lane: usize,
) {
    if row_len == 1 {
        for (x, &weight) in input.iter().zip(weights) {
            sums[0] += x * f32::from_le_bytes(weight);
        }
        return;
    }
    for (&x, row) in input.iter().zip(weights.chunks_exact(divisor(row_len))) {
        let row = row.get(lane..).guaranteed();
        if let Some(row) = row.first_chunk::<LANES>() {
            for (sum, &weight) in sums.iter_mut().zip(row) {
                *sum += x * f32::from_le_bytes(weight);
            }
        } else {
            for (sum, &weight) in sums.iter_mut().zip(row) {
                *sum += x * f32::from_le_bytes(weight);
            }
        }
    }
}

fn copy(out: &mut [f32], sums: &[f32; LANES]) {
    for (to, &sum) in out.iter_mut().zip(sums) {
        *to = sum;
    }
}
