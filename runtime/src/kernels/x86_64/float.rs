//! f32 layers with AVX2. Every sum has the reference's order, so products and sums are not fused: vectors hold
//! neighbouring output channels or, where there are few of those, neighbouring outputs.
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m256, _mm256_add_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_mul_ps, _mm256_permute2f128_ps,
    _mm256_set1_ps, _mm256_setzero_ps, _mm256_shuffle_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
};

use crate::kernels::arithmetic::activate;
use crate::kernels::float::{Convolution, Phase, linear_outputs, words};
use crate::{Activation, Layer};

/// Numbers of a vector.
const LANES: usize = 8;
/// Outputs of a convolution that share the weights which are loaded.
const SHARING: usize = 6;

/// A row of a convolution: to be called only where there is AVX2.
pub(crate) fn convolution(convolution: &Convolution<'_>, out: &mut [f32]) {
    // SAFETY: this machine has AVX2.
    unsafe { convolution_row(convolution, out) }
}

/// A row of a linear layer: to be called only where there is AVX2.
pub(crate) fn linear(layer: &Layer<'_>, y: usize, input: &[f32], out: &mut [f32]) {
    // SAFETY: this machine has AVX2.
    unsafe { linear_row(layer, y, input, out) }
}

#[target_feature(enable = "avx2")]
fn linear_row(layer: &Layer<'_>, y: usize, input: &[f32], out: &mut [f32]) {
    let mut done = 0;
    while done < out.len() {
        let (_, rest) = out.split_at_mut(done);
        done += match rest.len() {
            32.. => linear_vectors::<4>(layer, y, input, done, rest),
            LANES.. => linear_vectors::<1>(layer, y, input, done, rest),
            _ => linear_outputs(layer, y, input, done, rest),
        };
    }
}

/// Computes `V` vectors of the outputs of row `y` from output `first` on, and says how many outputs these are.
#[target_feature(enable = "avx2")]
fn linear_vectors<const V: usize>(
    layer: &Layer<'_>,
    y: usize,
    input: &[f32],
    first: usize,
    out: &mut [f32],
) -> usize {
    let row_len = layer.output.row_len();
    let weights = words(layer.parameters.weights, y * row_len * input.len() + first);
    let mut sums = [load::<V>(layer.parameters.bias, y * row_len + first)];
    if !layer.parameters.column.is_empty() {
        let columns = load::<V>(layer.parameters.column, y * row_len + first);
        for (sum, column) in sums[0].iter_mut().zip(columns) {
            *sum = _mm256_add_ps(*sum, column);
        }
    }
    add_products(&mut sums, [input], weights, row_len);
    for (sum, out) in sums[0].iter().zip(out.chunks_mut(LANES)) {
        store(layer, *sum, out);
    }
    V * LANES
}

#[target_feature(enable = "avx2")]
fn convolution_row(convolution: &Convolution<'_>, out: &mut [f32]) {
    let channels = convolution.layer.output.channels;
    for phase in convolution.phases() {
        let is_whole = |i: &usize| convolution.inside(&phase, *i) == [0, phase.taps];
        let first = (0..phase.outputs).find(is_whole).unwrap_or(phase.outputs);
        let end = (first..phase.outputs).find(|i| !is_whole(i));
        let end = end.unwrap_or(phase.outputs);
        for i in (0..first).chain(end..phase.outputs) {
            let mut channel = 0;
            while channel < channels {
                channel += match channels - channel {
                    32.. => vectors_of_channels::<1, 4>(convolution, &phase, i, channel, out),
                    LANES.. => vectors_of_channels::<1, 1>(convolution, &phase, i, channel, out),
                    _ => convolution.channels(&phase, i, channel, out),
                };
            }
        }
        let mut channel = 0;
        while channel < channels {
            let block = Block {
                convolution,
                phase: &phase,
                outputs: [first, end],
                channel,
            };
            channel += match channels - channel {
                16.. => block.channels::<2>(out),
                LANES.. => block.channels::<1>(out),
                _ if end - first < LANES => block.slowly(out),
                3.. => block.outputs::<3>(out),
                _ => block.outputs::<1>(out),
            };
        }
    }
}

/// Some channels from `channel` on of the outputs of a phase that have all their taps inside the picture: each function
/// computes what it says and returns how many channels these are.
struct Block<'a> {
    convolution: &'a Convolution<'a>,
    phase: &'a Phase,
    outputs: [usize; 2],
    channel: usize,
}

impl Block<'_> {
    /// `V` vectors of channels. The last outputs go back over some that are done, rather than be fewer.
    #[target_feature(enable = "avx2")]
    fn channels<const V: usize>(&self, out: &mut [f32]) -> usize {
        let (convolution, phase, channel) = (self.convolution, self.phase, self.channel);
        let [first, end] = self.outputs;
        if end - first < SHARING {
            for i in first..end {
                vectors_of_channels::<1, V>(convolution, phase, i, channel, out);
            }
        } else {
            for i in (first..end).step_by(SHARING) {
                let i = i.min(end - SHARING);
                vectors_of_channels::<SHARING, V>(convolution, phase, i, channel, out);
            }
        }
        V * LANES
    }

    /// `N` channels, in pairs of vectors of outputs, of which there are enough for one.
    #[target_feature(enable = "avx2")]
    fn outputs<const N: usize>(&self, out: &mut [f32]) -> usize {
        let [first, end] = self.outputs;
        let last = end - LANES;
        for i in (first..end).step_by(2 * LANES) {
            let firsts = [i, i + LANES].map(|i| i.min(last));
            vectors_of_outputs::<N>(self.convolution, self.phase, firsts, self.channel, out);
        }
        N
    }

    /// All the rest of the channels.
    fn slowly(&self, out: &mut [f32]) -> usize {
        let [first, end] = self.outputs;
        for i in first..end {
            self.convolution.channels(self.phase, i, self.channel, out);
        }
        self.convolution.layer.output.channels - self.channel
    }
}

/// Computes `V` vectors of channels from `channel` on of `P` outputs of a phase, from output `first` on, and says how many
/// channels these are.
#[target_feature(enable = "avx2")]
fn vectors_of_channels<const P: usize, const V: usize>(
    convolution: &Convolution<'_>,
    phase: &Phase,
    first: usize,
    channel: usize,
    out: &mut [f32],
) -> usize {
    let Convolution { layer, axis, .. } = *convolution;
    let mut sums = [load::<V>(layer.parameters.bias, channel); P];
    let [start, end] = convolution.inside(phase, first);
    let step = axis.step() * layer.input.channels;
    let run = (end - start) * layer.input.channels;
    for (input, weights) in convolution.taps(phase, first, start) {
        let mut inputs = [&[][..]; P];
        for (i, inputs) in inputs.iter_mut().enumerate() {
            *inputs = input.get(i * step..i * step + run).unwrap_or_default();
        }
        let weights = weights.get(channel..).unwrap_or_default();
        add_products(&mut sums, inputs, weights, layer.output.channels);
    }
    for (i, sums) in sums.iter().enumerate() {
        let at = (phase.number + (first + i) * axis.phases()) * layer.output.channels + channel;
        let out = out.get_mut(at..).unwrap_or_default();
        for (sum, out) in sums.iter().zip(out.chunks_mut(LANES)) {
            store(layer, *sum, out);
        }
    }
    V * LANES
}

/// Computes `N` channels from `channel` on of two vectors of outputs of a phase, from output `firsts` on each.
#[target_feature(enable = "avx2")]
fn vectors_of_outputs<const N: usize>(
    convolution: &Convolution<'_>,
    phase: &Phase,
    firsts: [usize; 2],
    channel: usize,
    out: &mut [f32],
) {
    let Convolution { layer, axis, .. } = *convolution;
    let channels = layer.output.channels;
    let bias = words(layer.parameters.bias, channel);
    let mut sums = [[_mm256_setzero_ps(); N]; 2];
    for sums in &mut sums {
        for (sum, bias) in sums.iter_mut().zip(bias) {
            *sum = _mm256_set1_ps(f32::from_le_bytes(*bias));
        }
    }
    let step = axis.step() * layer.input.channels;
    let run = phase.taps * layer.input.channels;
    let starts = [0, (firsts[1] - firsts[0]) * step];
    for (input, weights) in convolution.taps(phase, firsts[0], 0) {
        let reach = run.saturating_sub(1) * channels + channel + N;
        if weights.len() < reach || input.len() < starts[1] + 7 * step + run {
            break;
        }
        for k in (0..run).step_by(LANES) {
            let count = (run - k).min(LANES);
            let columns = [
                transposed(input, starts[0] + k, step),
                transposed(input, starts[1] + k, step),
            ];
            for j in 0..count {
                for n in 0..N {
                    // SAFETY: the last of these weights lies before `reach`.
                    let weight =
                        unsafe { *weights.get_unchecked((k + j) * channels + channel + n) };
                    let weight = _mm256_set1_ps(f32::from_le_bytes(weight));
                    for (sums, columns) in sums.iter_mut().zip(&columns) {
                        sums[n] = _mm256_add_ps(sums[n], _mm256_mul_ps(columns[j], weight));
                    }
                }
            }
        }
    }
    for (first, sums) in firsts.into_iter().zip(sums) {
        for (n, sum) in sums.into_iter().enumerate() {
            let sums: [f32; LANES] = bytemuck::cast(sum);
            for (i, sum) in sums.into_iter().enumerate() {
                let x = phase.number + (first + i) * axis.phases();
                if let Some(to) = out.get_mut(x * channels + channel + n) {
                    *to = activate(layer.activation, sum);
                }
            }
        }
    }
}

/// Adds to the sums of `P` outputs the products of each of their inputs in turn with `V` vectors of its row of
/// `row_len` weights.
#[inline]
#[target_feature(enable = "avx2")]
fn add_products<const P: usize, const V: usize>(
    sums: &mut [[__m256; V]; P],
    inputs: [&[f32]; P],
    weights: &[[u8; 4]],
    row_len: usize,
) {
    let count = inputs[0].len();
    let reach = count.saturating_sub(1) * row_len + V * LANES;
    if inputs.iter().any(|input| input.len() != count) || weights.len() < reach {
        return;
    }
    // The compiler keeps in registers what is here alone.
    let mut acc = *sums;
    for k in 0..count {
        let mut row = [_mm256_setzero_ps(); V];
        for (v, row) in row.iter_mut().enumerate() {
            // SAFETY: for the last `k` and `v` the load ends at `reach`.
            *row = unsafe { _mm256_loadu_ps(weights.as_ptr().add(k * row_len + v * LANES).cast()) };
        }
        for (acc, input) in acc.iter_mut().zip(inputs) {
            let x = _mm256_set1_ps(input[k]);
            for (acc, row) in acc.iter_mut().zip(row) {
                *acc = _mm256_add_ps(*acc, _mm256_mul_ps(x, row));
            }
        }
    }
    *sums = acc;
}

/// `V` vectors of little-endian numbers from number `start` on, zeros where there are none.
#[inline]
#[target_feature(enable = "avx2")]
fn load<const V: usize>(bytes: &[u8], start: usize) -> [__m256; V] {
    let mut vectors = [_mm256_setzero_ps(); V];
    let numbers = words(bytes, start).as_chunks::<LANES>().0;
    for (vector, numbers) in vectors.iter_mut().zip(numbers) {
        *vector = bytemuck::cast(*numbers);
    }
    vectors
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(layer: &Layer<'_>, sums: __m256, out: &mut [f32]) {
    if let (Activation::Relu, Some(to)) = (layer.activation, out.first_chunk_mut::<LANES>()) {
        // Where they are equal, or the first is no number, it gives the second.
        *to = bytemuck::cast(_mm256_max_ps(sums, _mm256_setzero_ps()));
        return;
    }
    let sums: [f32; LANES] = bytemuck::cast(sums);
    for (to, sum) in out.iter_mut().zip(sums) {
        *to = activate(layer.activation, sum);
    }
}

/// Number `at` of `input` and the seven that are `step` apart from it, and in the next vectors the numbers behind
/// each of them; zeros behind the input's end.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed(input: &[f32], at: usize, step: usize) -> [__m256; LANES] {
    let mut v = [_mm256_setzero_ps(); LANES];
    let reaches = at + (LANES - 1) * step + LANES <= input.len();
    for (i, v) in v.iter_mut().enumerate() {
        let at = at + i * step;
        *v = match reaches {
            // SAFETY: the last of the vectors ends inside the input.
            true => unsafe { _mm256_loadu_ps(input.as_ptr().add(at)) },
            false => short(input.get(at..).unwrap_or_default()),
        };
    }
    let [a, b, c, d] = transposed_halves([v[0], v[1], v[2], v[3]]);
    let [e, f, g, h] = transposed_halves([v[4], v[5], v[6], v[7]]);
    [
        _mm256_permute2f128_ps::<0x20>(a, e),
        _mm256_permute2f128_ps::<0x20>(b, f),
        _mm256_permute2f128_ps::<0x20>(c, g),
        _mm256_permute2f128_ps::<0x20>(d, h),
        _mm256_permute2f128_ps::<0x31>(a, e),
        _mm256_permute2f128_ps::<0x31>(b, f),
        _mm256_permute2f128_ps::<0x31>(c, g),
        _mm256_permute2f128_ps::<0x31>(d, h),
    ]
}

/// Up to eight numbers, and zeros.
#[cold]
#[target_feature(enable = "avx2")]
fn short(numbers: &[f32]) -> __m256 {
    let mut filled = [0.0; LANES];
    for (to, &number) in filled.iter_mut().zip(numbers) {
        *to = number;
    }
    bytemuck::cast(filled)
}

/// The rows of the two 4x4 halves of four vectors as columns.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed_halves([a, b, c, d]: [__m256; 4]) -> [__m256; 4] {
    let (ab, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    let (cd, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    [
        _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd),
        _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd),
        _mm256_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high),
        _mm256_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high),
    ]
}
