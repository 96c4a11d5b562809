//! int4 layers: some channels' weights and multipliers at a time are unpacked to an int8 layer of these channels, for
//! which the int8 kernels do the rest.

use super::int8::{Convolution, Kernels, Outputs, linear_pixel};
use crate::invariant::Guaranteed;
use crate::layer::{Layer, Parameters};
use crate::ring::Ring;
use crate::scratch::{BLOCK, OUTPUTS, vectors};
use crate::shape::{Activation, Numbers, Shape};

/// A layer's part from one channel on (for linear: from one output on), unpacked.
struct Unpacked<'a> {
    layer: Layer<'a>,
    weights: &'a [i8],
}

/// Unpacks `outputs` multipliers from the `first` on and `len` weights from `start` on, a multiple of four.
fn unpack<'a>(
    layer: &Layer<'a>,
    [first, outputs]: [usize; 2],
    [start, len]: [usize; 2],
    scratch: &'a mut [u32],
) -> Unpacked<'a> {
    let (positive, rest) = scratch.split_at_mut_checked(outputs).guaranteed();
    let negative = outputs * (vectors(layer.activation) - 1);
    let (negative, weights) = rest.split_at_mut_checked(negative).guaranteed();
    let parameters = &layer.parameters;
    let shift = layer.multiplier_shift;
    let multipliers = unpack_multipliers(parameters.multipliers, first, outputs, shift, positive);
    let negative_multipliers = match layer.activation {
        Activation::LeakyRelu { .. } => {
            let halves = parameters.negative_multipliers;
            unpack_multipliers(halves, first, outputs, shift, negative)
        }
        _ => &[],
    };
    let weights = unpack_weights(parameters.weights, start, len, weights);
    let bias = parameters.bias.get(first * 4..(first + outputs) * 4);
    // There is no column without classes.
    let column = parameters.column.get(first..first + outputs);
    Unpacked {
        layer: Layer {
            numbers: Numbers::Int8,
            parameters: Parameters {
                bias: bias.guaranteed(),
                multipliers,
                negative_multipliers,
                column: column.unwrap_or_default(),
                ..Parameters::NONE
            },
            ..*layer
        },
        weights,
    }
}

/// The multipliers from the `first` on, as an int8 layer has them.
fn unpack_multipliers<'a>(
    halves: &[u8],
    first: usize,
    count: usize,
    shift: u32,
    to: &'a mut [u32],
) -> &'a [u8] {
    let halves = halves.as_chunks().0.get(first..).guaranteed();
    for (to, &half) in to.iter_mut().zip(halves) {
        *to = (u32::from(u16::from_le_bytes(half)) << shift).to_le();
    }
    let bytes: &[u8] = bytemuck::must_cast_slice(to);
    bytes.get(..count * 4).guaranteed()
}

/// The weights from `start` on, as an int8 layer has them.
fn unpack_weights<'a>(packed: &[u8], start: usize, len: usize, to: &'a mut [u32]) -> &'a [i8] {
    let words = packed.as_chunks().0.get(start / 8..).guaranteed();
    let count = (start % 8 + len).div_ceil(8);
    for (to, &word) in to.as_chunks_mut().0.iter_mut().zip(words).take(count) {
        let word = u32::from_le_bytes(word);
        let pair: [u32; 2] = [(word << 4) & 0xf0f0_f0f0, word & 0xf0f0_f0f0];
        *to = pair.map(u32::to_le);
    }
    let bytes: &[i8] = bytemuck::must_cast_slice(to);
    let bytes = bytes.get(start % 8..).guaranteed();
    bytes.get(..len).guaranteed()
}

/// Computes row `y` of a linear layer, as [`int8::linear_row`](super::int8::linear_row) does.
// Neither is inlined, so that int8 layers need no stack for them.
#[inline(never)]
pub(crate) fn linear_row<K: Kernels>(
    layer: &Layer<'_>,
    y: usize,
    input: &[u32],
    out_ring: &Ring,
    out: &mut [u8],
    scratch: &mut [u32],
) {
    let Shape {
        width, channels, ..
    } = layer.output;
    let group_len = input.len() * 16;
    for x in 0..width {
        let pixel = y * width + x;
        for channel in (0..channels).step_by(OUTPUTS) {
            let count = (channels - channel).min(OUTPUTS);
            let group = pixel * channels.div_ceil(4) + channel / 4;
            let weights = [group * group_len, count.div_ceil(4) * group_len];
            let outputs = [pixel * channels + channel, count];
            let part = unpack(layer, outputs, weights, scratch);
            let outputs = Outputs {
                layer: &part.layer,
                first: 0,
                count,
            };
            let out = out.get_mut(out_ring.place(x, channel)..);
            linear_pixel::<K>(&outputs, input, part.weights, out_ring, out.guaranteed());
        }
    }
}

/// Adds row `y` of its input to the sums of a linear layer over an image, as
/// [`int8::add_image_row`](super::int8::add_image_row) does.
#[inline(never)]
pub(crate) fn add_image_row<K: Kernels>(
    layer: &Layer<'_>,
    y: usize,
    input: &[u32],
    sums: &mut [i32],
    scratch: &mut [u32],
) {
    let output_len = input.len() * 4;
    let mut start = y * sums.len() * output_len;
    for sums in sums.chunks_mut(OUTPUTS) {
        let len = sums.len() * output_len;
        let weights = unpack_weights(layer.parameters.weights, start, len, scratch);
        K::add(layer.signed_input, input, weights, sums);
        start += len;
    }
}

impl Convolution<'_> {
    /// Computes the row, as [`run`](Self::run) does for int8.
    #[inline(never)]
    pub(crate) fn run_int4<K: Kernels>(
        &self,
        out_ring: &Ring,
        out: &mut [u8],
        scratch: &mut [u32],
    ) {
        let output = self.layer.output;
        let mut start = self.first_weight();
        for px in 0..self.axis.phases().min(output.width) {
            let len = self.channel_len(px);
            for channel in (0..output.channels).step_by(BLOCK) {
                let count = (output.channels - channel).min(BLOCK);
                let part = unpack(self.layer, [channel, count], [start, count * len], scratch);
                start += count * len;
                let mut layer = part.layer;
                layer.output.channels = count;
                let part_of_row = out_ring.place(0, channel) - out_ring.place(0, 0);
                let out = out.get_mut(part_of_row..).guaranteed();
                let convolution = self.of_part(&layer);
                convolution.run_phase::<K>(px, part.weights, out_ring, out);
            }
        }
    }
}
