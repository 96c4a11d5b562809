//! f32 layers, one output row at a time: the order of every sum is the reference's, and vector code
//! runs over output channels, whose weights lie side by side.

use super::arithmetic::activate;
use crate::blob::order::{Axis, divisor};
use crate::plan::Ring;
use crate::{Layer, Operator};

/// Output channels that are summed together.
const LANES: usize = 16;

/// Computes row `y` of a layer's output into `out` from the rows of its input's ring.
pub(crate) fn row(layer: &Layer<'_>, y: usize, input: &[f32], out: &mut [f32]) {
    match (layer.operator.in_this_build(), Axis::of(layer.operator)) {
        (Operator::Upsample { factor }, _) => {
            upsample_row(layer, y / divisor(factor), factor, input, out)
        }
        (_, Some(axis)) => Convolution::new(layer, axis, y, input).run(out),
        (_, None) => linear_row(layer, y, input, out),
    }
}

/// Computes row `y` of an addition's output into `out` from the rows of its input's ring and of that of the layer `from`.
pub(crate) fn add_row(
    layer: &Layer<'_>,
    y: usize,
    input: &[f32],
    (from, added): (&Layer<'_>, &[f32]),
    out: &mut [f32],
) {
    let input = input.get(Ring::of_input(layer).row_start(y)..);
    let added = added.get(Ring::of_input(from).row_start(y)..);
    let addends = input.into_iter().flatten().zip(added.into_iter().flatten());
    for (to, (input, added)) in out.iter_mut().zip(addends) {
        *to = activate(layer.activation, input + added);
    }
}

fn upsample_row(layer: &Layer<'_>, y: usize, factor: usize, input: &[f32], out: &mut [f32]) {
    let start = Ring::of_input(layer).row_start(y);
    let pixels = input
        .get(start..)
        .unwrap_or_default()
        .chunks_exact(divisor(layer.input.channels));
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

fn linear_row(layer: &Layer<'_>, y: usize, input: &[f32], out: &mut [f32]) {
    #[cfg(pocketgan_x86_64)]
    if super::x86_64::has_avx2() {
        return super::x86_64::float::linear(layer, y, input, out);
    }
    linear_outputs(layer, y, input, 0, out);
}

/// Computes the outputs of row `y` from output `first` on, and says how many these are.
pub(crate) fn linear_outputs(
    layer: &Layer<'_>,
    y: usize,
    input: &[f32],
    first: usize,
    out: &mut [f32],
) -> usize {
    let row_len = layer.output.row_len();
    let bias = words(layer.parameters.bias, y * row_len);
    let column = words(layer.parameters.column, y * row_len);
    let weights = words(layer.parameters.weights, y * row_len * input.len());
    for (chunk, out) in out.chunks_mut(LANES).enumerate() {
        let at = first + chunk * LANES;
        let mut sums = load(bias, at, out.len());
        for (sum, &column) in sums.iter_mut().zip(column.iter().skip(at)) {
            *sum += f32::from_le_bytes(column);
        }
        add_products(&mut sums, input, weights, row_len, at);
        store(layer, &sums, out);
    }
    out.len()
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
    first_column: isize,
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
            taps_before: axis.taps_before(phase) * axis.taps_before(axis.phases()),
            taps: axis.taps(phase),
        }
    }

    fn run(&self, out: &mut [f32]) {
        #[cfg(pocketgan_x86_64)]
        if super::x86_64::has_avx2() {
            return super::x86_64::float::convolution(self, out);
        }
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

    /// The horizontal taps of a phase's output `i` that are inside the picture.
    #[inline(always)]
    pub fn inside(&self, phase: &Phase, i: usize) -> [usize; 2] {
        let first = phase.first_column + (i * self.axis.step()) as isize;
        let room = (self.layer.input.width as isize - first).max(0) as usize;
        let end = room.min(phase.taps);
        [((-first).max(0) as usize).min(end), end]
    }

    /// For each vertical tap inside the picture: the inputs from the one on that a phase's output `i` reads through its
    /// horizontal tap `start`, those of its other taps side by side, and the weights of all output channels for each
    /// of them.
    pub fn taps(
        &self,
        phase: &Phase,
        i: usize,
        start: usize,
    ) -> impl Iterator<Item = (&'a [f32], &'a [[u8; 4]])> {
        let (input, ring) = (self.input, self.ring);
        let weights = words(self.layer.parameters.weights, 0);
        let (channels, out_channels) = (ring.shape.channels, self.layer.output.channels);
        let column = phase.first_column + (i * self.axis.step() + start) as isize;
        let column = column.max(0) as usize * channels;
        let (first_row, taps, taps_before) =
            (self.first_row, phase.taps, phase.taps_before + start);
        let [first, end] = self.rows;
        (first..end).map(move |tap| {
            let row = (first_row + tap as isize).max(0) as usize;
            let input = input.get(ring.row_start(row) + column..);
            let weights = weights.get((taps_before + tap * taps) * channels * out_channels..);
            (input.unwrap_or_default(), weights.unwrap_or_default())
        })
    }

    /// Computes the channels from `channel` on of a phase's output `i`; says how many outputs this is.
    pub fn channels(&self, phase: &Phase, i: usize, channel: usize, out: &mut [f32]) -> usize {
        let row_len = self.layer.output.channels;
        let x = phase.number + i * self.axis.phases();
        let [start, end] = self.inside(phase, i);
        let run = (end - start) * self.layer.input.channels;
        let bias = words(self.layer.parameters.bias, channel);
        let pixel = out.get_mut(x * row_len + channel..(x + 1) * row_len);
        let chunks = pixel.unwrap_or_default().chunks_mut(LANES);
        for (chunk, out) in chunks.enumerate() {
            let lane = chunk * LANES;
            let mut sums = load(bias, lane, out.len());
            for (input, weights) in self.taps(phase, i, start) {
                let input = input.get(..run).unwrap_or_default();
                add_products(&mut sums, input, weights, row_len, channel + lane);
            }
            store(self.layer, &sums, out);
        }
        1
    }
}

/// The little-endian words of `bytes` from word `start` on.
pub(crate) fn words(bytes: &[u8], start: usize) -> &[[u8; 4]] {
    bytes.as_chunks().0.get(start..).unwrap_or_default()
}

/// Up to [`LANES`] biases from `start` on, `count` at most.
fn load(bias: &[[u8; 4]], start: usize, count: usize) -> [f32; LANES] {
    let mut sums = [0.0; LANES];
    let bias = bias.get(start..).unwrap_or_default();
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
        let row = row.get(lane..).unwrap_or_default();
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

fn store(layer: &Layer<'_>, sums: &[f32; LANES], out: &mut [f32]) {
    for (to, &sum) in out.iter_mut().zip(sums) {
        *to = activate(layer.activation, sum);
    }
}
