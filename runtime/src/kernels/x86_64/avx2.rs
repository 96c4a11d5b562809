//! The int8 kernels with AVX2: PMADDWD multiplies sixteen pairs and adds them two by two.
//!
//! Four columns, four channels each, make a vector of sixteen bits a number; all the channels of a block share the
//! widened columns, and eight outputs are requantized together.
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m256i, _mm_cvtsi32_si128, _mm_set1_epi32, _mm256_abs_epi32, _mm256_add_epi32,
    _mm256_add_epi64, _mm256_and_si256, _mm256_blend_epi32, _mm256_blendv_epi8, _mm256_cmpgt_epi32,
    _mm256_cvtepi8_epi16, _mm256_cvtepu8_epi16, _mm256_hadd_epi32, _mm256_i32gather_epi32,
    _mm256_madd_epi16, _mm256_max_epi32, _mm256_min_epi32, _mm256_mul_epi32, _mm256_mullo_epi32,
    _mm256_or_si256, _mm256_permute4x64_epi64, _mm256_set1_epi32, _mm256_set1_epi64x,
    _mm256_setzero_si256, _mm256_sign_epi32, _mm256_sll_epi32, _mm256_slli_epi32,
    _mm256_srai_epi32, _mm256_srli_epi32, _mm256_srli_epi64, _mm256_sub_epi32,
};

use crate::blob::order::divisor;
use crate::kernels::arithmetic::TANH;
use crate::kernels::int8::{BLOCK, Kernels, Outputs, Phase, Tile};
use crate::{Activation, Layer};

/// For x86-64 with AVX2: to be used only where [`has_avx2`](super::has_avx2).
pub(crate) struct Avx2;

/// Words of a vector: neighbours that are computed together.
const LANES: usize = 8;

impl Kernels for Avx2 {
    type Prepared<'a> = Phase<'a>;

    fn prepare(phase: Phase<'_>) -> Phase<'_> {
        phase
    }

    fn neighbours(outputs: usize) -> usize {
        outputs.min(LANES)
    }

    fn tile(phase: &mut Phase<'_>, tile: &Tile, out: &mut [u8]) {
        // SAFETY: these kernels are used only where there is AVX2.
        unsafe {
            match (phase.layer.signed_input, tile.channels) {
                (true, 1) => run_tile::<true, 1>(phase, tile, out),
                (true, _) => run_tile::<true, BLOCK>(phase, tile, out),
                (false, 1) => run_tile::<false, 1>(phase, tile, out),
                (false, _) => run_tile::<false, BLOCK>(phase, tile, out),
            }
        }
    }

    fn linear(
        outputs: &Outputs<'_>,
        input: &[u32],
        weights: &[i8],
        out: &mut [u8],
        group_step: usize,
    ) {
        // SAFETY: these kernels are used only where there is AVX2.
        unsafe {
            match outputs.layer.signed_input {
                true => run_linear::<true>(outputs, input, weights, out, group_step),
                false => run_linear::<false>(outputs, input, weights, out, group_step),
            }
        }
    }
}

/// Computes `N` channels of a tile, of which those that it has are stored.
#[target_feature(enable = "avx2")]
fn run_tile<const SIGNED: bool, const N: usize>(phase: &Phase<'_>, tile: &Tile, out: &mut [u8]) {
    let rows = phase
        .rows
        .map(|rows| rows.get(tile.column..).unwrap_or_default());
    // A channel that is not there is summed as the last one.
    let channels = core::array::from_fn(|i| tile.channel + i.min(tile.channels - 1));
    let sums = channel_sums::<SIGNED, N>(phase, rows, channels);
    let layer = phase.layer;
    let parameters = &layer.parameters;
    let bias = layer.four(parameters.bias, tile.channel);
    let positive = layer.four(parameters.multipliers, tile.channel);
    let negative = layer.four(parameters.negative_multipliers, tile.channel);
    let mut words = _mm256_setzero_si256();
    for (i, sums) in sums.into_iter().enumerate().rev() {
        let acc = _mm256_add_epi32(in_order(sums), _mm256_set1_epi32(bias[i]));
        let multipliers = [
            _mm256_set1_epi32(positive[i]),
            _mm256_set1_epi32(negative[i]),
        ];
        let quanta = finish(layer, multipliers, acc);
        words = _mm256_or_si256(_mm256_slli_epi32::<8>(words), quanta);
    }
    let words: [[u8; 4]; LANES] = bytemuck::cast(words);
    for (i, word) in words.iter().take(tile.outputs).enumerate() {
        let at = i * phase.stride;
        let Some(to) = out.get_mut(at..at + tile.channels) else {
            return;
        };
        match to.first_chunk_mut() {
            Some(to) if N == BLOCK => *to = *word,
            _ => to.iter_mut().zip(word).for_each(|(to, &q)| *to = q),
        }
    }
}

/// The sums of some channels, as [`in_order`] takes them.
#[inline]
#[target_feature(enable = "avx2")]
fn channel_sums<const SIGNED: bool, const N: usize>(
    phase: &Phase<'_>,
    rows: [&[u32]; 2],
    channels: [usize; N],
) -> [[__m256i; 2]; N] {
    let mut sums = [[_mm256_setzero_si256(); 2]; N];
    let mut before = 0;
    for (rows, &groups) in rows.into_iter().zip(&phase.groups) {
        let taps = groups * phase.count;
        let weights = channels.map(|channel| {
            let weights = phase.weights.get(channel * phase.channel_len + before..);
            let weights = weights.unwrap_or_default().as_chunks::<4>().0;
            weights.get(..taps).unwrap_or_default()
        });
        before += taps * 4;
        // So that the compiler need not look again.
        if weights.iter().any(|weights| weights.len() != taps) {
            break;
        }
        for group in 0..groups {
            let first = group * phase.plane_len;
            let reach = phase.count + LANES - 1;
            let plane = rows.get(first..first + reach);
            let plane = plane.filter(|_| phase.step == 1);
            for tap in 0..phase.count {
                let columns = match plane {
                    // SAFETY: the last tap's columns end where the plane's part does.
                    Some(plane) => unsafe { *plane.as_ptr().add(tap).cast() },
                    None => gather(rows, first + tap, phase.step),
                };
                let columns = widened::<SIGNED>(columns);
                for (sums, weights) in sums.iter_mut().zip(weights) {
                    let weights =
                        i32::from_le_bytes(bytemuck::cast(weights[group * phase.count + tap]));
                    let weights = _mm256_cvtepi8_epi16(_mm_set1_epi32(weights));
                    for (sum, columns) in sums.iter_mut().zip(columns) {
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(columns, weights));
                    }
                }
            }
        }
    }
    sums
}

/// Columns that are `step` apart; what is behind the rows' end is zeros.
#[cold]
#[inline(never)]
fn gather(rows: &[u32], column: usize, step: usize) -> [[u32; LANES / 2]; 2] {
    bytemuck::cast(core::array::from_fn::<u32, LANES, _>(|i| {
        rows.get(column + i * step).map_or(0, |&word| word)
    }))
}

/// Eight words of bytes as numbers of sixteen bits.
#[inline]
#[target_feature(enable = "avx2")]
fn widened<const SIGNED: bool>(words: [[u32; LANES / 2]; 2]) -> [__m256i; 2] {
    let [low, high] = words;
    let (low, high) = (bytemuck::cast(low), bytemuck::cast(high));
    match SIGNED {
        true => [_mm256_cvtepi8_epi16(low), _mm256_cvtepi8_epi16(high)],
        false => [_mm256_cvtepu8_epi16(low), _mm256_cvtepu8_epi16(high)],
    }
}

/// Eight outputs' sums from the two halves of each.
#[inline]
#[target_feature(enable = "avx2")]
fn in_order([low, high]: [__m256i; 2]) -> __m256i {
    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(low, high))
}

#[target_feature(enable = "avx2")]
fn run_linear<const SIGNED: bool>(
    outputs: &Outputs<'_>,
    input: &[u32],
    weights: &[i8],
    out: &mut [u8],
    group_step: usize,
) {
    let layer = outputs.layer;
    let fours = weights.as_chunks::<16>().0;
    let mut fours = fours.chunks_exact(divisor(input.len()));
    let mut groups = out.chunks_mut(divisor(group_step));
    for i in (0..outputs.count).step_by(LANES) {
        let Some(first) = fours.next() else { return };
        let second = fours.next().unwrap_or(first);
        let mut sums = [_mm256_setzero_si256(); 2];
        for ((&input, first), second) in input.iter().zip(first).zip(second) {
            let input = _mm_set1_epi32(input as i32);
            let input = match SIGNED {
                true => _mm256_cvtepi8_epi16(input),
                false => _mm256_cvtepu8_epi16(input),
            };
            for (sum, weights) in sums.iter_mut().zip([first, second]) {
                let weights = _mm256_cvtepi8_epi16(bytemuck::cast(*weights));
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(weights, input));
            }
        }
        let start = [outputs.start(i), outputs.start(i + 4)];
        let acc = _mm256_add_epi32(in_order(sums), bytemuck::cast(start));
        let at = outputs.first + i;
        let parameters = &layer.parameters;
        let vectors = [parameters.multipliers, parameters.negative_multipliers];
        let multipliers =
            vectors.map(|words| bytemuck::cast([layer.four(words, at), layer.four(words, at + 4)]));
        let quanta: [[u32; 4]; 2] = bytemuck::cast(finish(layer, multipliers, acc));
        let counts = [outputs.count - i, (outputs.count - i).saturating_sub(4)];
        for ((quanta, count), to) in quanta.into_iter().zip(counts).zip(&mut groups) {
            let quanta = quanta.map(|q| q as u8);
            match to.first_chunk_mut() {
                Some(to) if count >= 4 => *to = quanta,
                _ => to
                    .iter_mut()
                    .zip(quanta)
                    .take(count)
                    .for_each(|(to, q)| *to = q),
            }
        }
    }
}

/// Eight accumulators through the activation, as the [scalar](crate::kernels::arithmetic::finish) does it:
/// the outputs' bytes, each in a word of its own.
#[inline]
#[target_feature(enable = "avx2")]
fn finish(layer: &Layer<'_>, [positive, negative]: [__m256i; 2], acc: __m256i) -> __m256i {
    let zero = _mm256_setzero_si256();
    let multipliers = match layer.activation {
        Activation::LeakyRelu { .. } => {
            _mm256_blendv_epi8(positive, negative, _mm256_cmpgt_epi32(zero, acc))
        }
        _ => positive,
    };
    let x = rescale(acc, layer.shift, multipliers);
    let quanta = match layer.activation {
        Activation::None | Activation::LeakyRelu { .. } => clamp::<-128, 127>(x),
        Activation::Relu => clamp::<0, 255>(x),
        Activation::Tanh => {
            let magnitude = rounded::<14>(interpolate::<6>(x));
            let magnitude = _mm256_sign_epi32(magnitude, x);
            _mm256_min_epi32(magnitude, _mm256_set1_epi32(127))
        }
        Activation::Sigmoid => {
            let magnitude = rounded::<15>(interpolate::<7>(x));
            let magnitude = _mm256_sign_epi32(magnitude, x);
            clamp::<0, 255>(_mm256_add_epi32(magnitude, _mm256_set1_epi32(128)))
        }
    };
    _mm256_and_si256(quanta, _mm256_set1_epi32(0xff))
}

/// See [`rescale`](crate::kernels::arithmetic::rescale).
#[inline]
#[target_feature(enable = "avx2")]
fn rescale(acc: __m256i, shift: u32, multipliers: __m256i) -> __m256i {
    let acc = _mm256_sll_epi32(acc, _mm_cvtsi32_si128(shift as i32));
    let half = _mm256_set1_epi64x(1 << 31);
    let even = _mm256_add_epi64(_mm256_mul_epi32(acc, multipliers), half);
    let odd = _mm256_mul_epi32(
        _mm256_srli_epi64::<32>(acc),
        _mm256_srli_epi64::<32>(multipliers),
    );
    let odd = _mm256_add_epi64(odd, half);
    _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd)
}

#[inline]
#[target_feature(enable = "avx2")]
fn clamp<const LOW: i32, const HIGH: i32>(x: __m256i) -> __m256i {
    let x = _mm256_max_epi32(x, _mm256_set1_epi32(LOW));
    _mm256_min_epi32(x, _mm256_set1_epi32(HIGH))
}

/// `x / 2^BITS` to nearest, halves up.
#[inline]
#[target_feature(enable = "avx2")]
fn rounded<const BITS: i32>(x: __m256i) -> __m256i {
    let half = _mm256_set1_epi32(1 << (BITS - 1));
    _mm256_srai_epi32::<BITS>(_mm256_add_epi32(x, half))
}

/// See [`interpolate`](crate::kernels::arithmetic).
#[inline]
#[target_feature(enable = "avx2")]
fn interpolate<const BITS: i32>(x: __m256i) -> __m256i {
    // Behind the table's end the function is what its last entry says.
    let last = TANH.len() as i32 - 2;
    let x = _mm256_min_epi32(_mm256_abs_epi32(x), _mm256_set1_epi32((last + 1) << BITS));
    let index = _mm256_min_epi32(_mm256_srli_epi32::<BITS>(x), _mm256_set1_epi32(last));
    let fraction = _mm256_sub_epi32(x, _mm256_slli_epi32::<BITS>(index));
    // SAFETY: there are two entries from `index`, 0 to `last`, on.
    let pairs = unsafe { _mm256_i32gather_epi32::<2>(TANH.as_ptr().cast(), index) };
    let from = _mm256_and_si256(pairs, _mm256_set1_epi32(0xffff));
    let to = _mm256_srli_epi32::<16>(pairs);
    let step = _mm256_mullo_epi32(_mm256_sub_epi32(to, from), fraction);
    _mm256_add_epi32(_mm256_slli_epi32::<BITS>(from), step)
}
