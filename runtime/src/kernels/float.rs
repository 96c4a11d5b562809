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
    match (layer.operator, Axis::of(layer.operator)) {
        (Operator::Upsample { factor }, _) => {
            upsample_row(layer, y / divisor(factor), factor, input, out)
        }
        (_, Some(axis)) => convolution_row(layer, axis, y, input, out),
        (_, None) => linear_row(layer, y, input, out),
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
    let row_len = layer.output.row_len();
    let bias = words(layer.parameters.bias, y * row_len);
    let column = words(layer.parameters.column, y * row_len);
    let weights = words(layer.parameters.weights, y * row_len * input.len());
    for (chunk, out) in out.chunks_mut(LANES).enumerate() {
        let mut sums = load(bias, chunk * LANES, out.len());
        for (sum, &column) in sums.iter_mut().zip(column.iter().skip(chunk * LANES)) {
            *sum += f32::from_le_bytes(column);
        }
        add_products(&mut sums, input, weights, row_len, chunk * LANES);
        store(layer, &sums, out);
    }
}

fn convolution_row(layer: &Layer<'_>, axis: Axis, y: usize, input: &[f32], out: &mut [f32]) {
    let (ring, phase_y) = (Ring::of_input(layer), y % axis.phases());
    let (first_y, (start_y, end_y)) = (axis.first_input(y), axis.inside(y, layer.input.height));
    let (channels, out_channels) = (layer.input.channels, layer.output.channels);
    let kernel = axis.taps_before(axis.phases());
    let weights = words(layer.parameters.weights, 0);
    let bias = words(layer.parameters.bias, 0);
    for (x, pixel) in out.chunks_exact_mut(divisor(out_channels)).enumerate() {
        let phase_x = x % axis.phases();
        let (first_x, (start_x, end_x)) = (axis.first_input(x), axis.inside(x, layer.input.width));
        let before =
            axis.taps_before(phase_y) * kernel + axis.taps(phase_y) * axis.taps_before(phase_x);
        // The taps of a row that are inside lie side by side in the input and in the weights.
        let columns = (end_x - start_x) * channels;
        let first_column = (first_x + start_x as isize).max(0) as usize * channels;
        for (chunk, out) in pixel.chunks_mut(LANES).enumerate() {
            let mut sums = load(bias, chunk * LANES, out.len());
            for tap_y in start_y..end_y {
                let row = (first_y + tap_y as isize).max(0) as usize;
                let at = ring.row_start(row) + first_column;
                let input = input.get(at..at + columns).unwrap_or_default();
                let tap = before + tap_y * axis.taps(phase_x) + start_x;
                let weights = weights
                    .get(tap * channels * out_channels..)
                    .unwrap_or_default();
                add_products(&mut sums, input, weights, out_channels, chunk * LANES);
            }
            store(layer, &sums, out);
        }
    }
}

/// The little-endian words of `bytes` from word `start` on.
fn words(bytes: &[u8], start: usize) -> &[[u8; 4]] {
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
