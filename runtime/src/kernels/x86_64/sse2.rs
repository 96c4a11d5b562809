//! The int8 kernels with SSE2, which every x86-64 has: PMADDWD multiplies eight pairs and adds them two by two.
//!
//! Two columns, four channels each, make a vector of sixteen bits a number; two output channels share each widened
//! column.
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_cvtsi32_si128, _mm_cvtsi64_si128, _mm_madd_epi16,
    _mm_setzero_si128, _mm_srai_epi16, _mm_unpackhi_epi8, _mm_unpacklo_epi8, _mm_unpacklo_epi64,
};

use crate::invariant::{Guaranteed, divisor};
use crate::kernels::arithmetic::finish;
use crate::kernels::int8::{self, Kernels, Outputs, Phase, TILE, Tile};

/// For x86-64.
pub(crate) struct Sse2;

/// Pairs of columns in a tile.
const PAIRS: usize = TILE.div_ceil(2);
/// Output channels that share widened columns.
const SHARED: usize = 2;

/// The sums of a channel: for each column its two halves.
type Sums = [__m128i; PAIRS];

impl Kernels for Sse2 {
    type Prepared<'a> = Phase<'a>;

    fn prepare(phase: Phase<'_>) -> Phase<'_> {
        phase
    }

    fn tile(phase: &mut Phase<'_>, tile: &Tile, out: &mut [u8]) {
        // SAFETY: every x86-64 has SSE2.
        unsafe {
            if phase.layer.signed_input {
                run_tile::<true>(phase, tile, out)
            } else {
                run_tile::<false>(phase, tile, out)
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
        // SAFETY: every x86-64 has SSE2.
        unsafe {
            if outputs.layer.signed_input {
                run_linear::<true>(outputs, input, weights, out, group_step)
            } else {
                run_linear::<false>(outputs, input, weights, out, group_step)
            }
        }
    }
}

#[target_feature(enable = "sse2")]
fn run_tile<const SIGNED: bool>(phase: &Phase<'_>, tile: &Tile, out: &mut [u8]) {
    let mut acc = int8::biases(phase.layer, tile);
    let first = tile.channel * phase.channel_len;
    let weights = phase.weights.get(first..).guaranteed();
    let rows = phase.rows.map(|rows| rows.get(tile.column..).guaranteed());
    for (i, acc) in acc.chunks_mut(SHARED).enumerate() {
        if i * SHARED >= tile.channels {
            break;
        }
        let weights = weights.get(i * SHARED * phase.channel_len..);
        let weights = weights.guaranteed();
        // A channel that is not there is summed as the one before it.
        let second = if i * SHARED + 1 < tile.channels {
            weights.get(phase.channel_len..).unwrap_or(weights)
        } else {
            weights
        };
        let sums = channels::<SIGNED>(phase, rows, [weights, second]);
        for (acc, sums) in acc.iter_mut().zip(sums) {
            for (acc, sum) in acc.as_chunks_mut().0.iter_mut().zip(sums) {
                add_halves(acc, sum);
            }
            if let (Some(acc), Some(&sum)) = (acc.last_mut(), sums.last()) {
                let [a, b, ..]: [i32; 4] = bytemuck::cast(sum);
                *acc = acc.wrapping_add(a).wrapping_add(b);
            }
        }
    }
    int8::store(phase, tile, &acc, out);
}

/// Adds to two accumulators the two halves of each of their sums.
#[inline(always)]
fn add_halves(acc: &mut [i32; 2], sum: __m128i) {
    let [a, b, c, d]: [i32; 4] = bytemuck::cast(sum);
    acc[0] = acc[0].wrapping_add(a).wrapping_add(b);
    acc[1] = acc[1].wrapping_add(c).wrapping_add(d);
}

/// The sums of two channels.
#[inline]
#[target_feature(enable = "sse2")]
fn channels<const SIGNED: bool>(
    phase: &Phase<'_>,
    rows: [&[u32]; 2],
    weights: [&[i8]; SHARED],
) -> [Sums; SHARED] {
    let mut sums = [[_mm_setzero_si128(); PAIRS]; SHARED];
    let [mut first, mut second] = weights.map(|weights| weights.as_chunks::<4>().0);
    for (rows, &groups) in rows.into_iter().zip(&phase.groups) {
        for group in 0..groups {
            let plane = rows.get(group * phase.plane_len..).guaranteed();
            for tap in 0..phase.count {
                let (Some((a, rest_a)), Some((b, rest_b))) =
                    (first.split_first(), second.split_first())
                else {
                    return sums;
                };
                (first, second) = (rest_a, rest_b);
                let weights = [widened_weights(a), widened_weights(b)];
                let plane = plane.get(tap..).guaranteed();
                let columns = match plane.first_chunk() {
                    Some(columns) if phase.step == 1 => *columns,
                    _ => gather(plane, phase.step),
                };
                for pair in 0..PAIRS {
                    let bytes =
                        u64::from(columns[pair * 2]) | u64::from(columns[pair * 2 + 1]) << 32;
                    let columns = widened::<SIGNED>(bytes);
                    for (sums, weights) in sums.iter_mut().zip(weights) {
                        let products = _mm_madd_epi16(columns, weights);
                        sums[pair] = _mm_add_epi32(sums[pair], products);
                    }
                }
            }
        }
    }
    sums
}

/// Columns that are `step` apart; what is behind the row's end is zeros.
#[cold]
fn gather(plane: &[u32], step: usize) -> [u32; PAIRS * 2] {
    core::array::from_fn(|i| plane.get(i * step).map_or(0, |&column| column))
}

/// Eight bytes as numbers of sixteen bits.
#[inline]
#[target_feature(enable = "sse2")]
fn widened<const SIGNED: bool>(bytes: u64) -> __m128i {
    let bytes = _mm_cvtsi64_si128(bytes as i64);
    if SIGNED {
        _mm_srai_epi16::<8>(_mm_unpacklo_epi8(bytes, bytes))
    } else {
        _mm_unpacklo_epi8(bytes, _mm_setzero_si128())
    }
}

/// Four weights, twice.
#[inline]
#[target_feature(enable = "sse2")]
fn widened_weights(weights: &[i8; 4]) -> __m128i {
    let bytes = _mm_cvtsi32_si128(i32::from_le_bytes(bytemuck::cast(*weights)));
    let words = _mm_srai_epi16::<8>(_mm_unpacklo_epi8(bytes, bytes));
    _mm_unpacklo_epi64(words, words)
}

#[target_feature(enable = "sse2")]
fn run_linear<const SIGNED: bool>(
    outputs: &Outputs<'_>,
    input: &[u32],
    weights: &[i8],
    out: &mut [u8],
    group_step: usize,
) {
    let layer = outputs.layer;
    let tiles = weights
        .as_chunks::<16>()
        .0
        .chunks_exact(divisor(input.len()));
    let groups = out.chunks_mut(divisor(group_step));
    for ((i, tile), out) in (0..outputs.count).step_by(4).zip(tiles).zip(groups) {
        let mut sums = [_mm_setzero_si128(); 2];
        for (&input, weights) in input.iter().zip(tile) {
            let input = widened::<SIGNED>(u64::from(input) << 32 | u64::from(input));
            let bytes: __m128i = bytemuck::cast(*weights);
            let weights = [
                _mm_unpacklo_epi8(bytes, bytes),
                _mm_unpackhi_epi8(bytes, bytes),
            ];
            for (sum, weights) in sums.iter_mut().zip(weights) {
                let products = _mm_madd_epi16(_mm_srai_epi16::<8>(weights), input);
                *sum = _mm_add_epi32(*sum, products);
            }
        }
        let mut acc = outputs.start(i);
        for (acc, sum) in acc.as_chunks_mut().0.iter_mut().zip(sums) {
            add_halves(acc, sum);
        }
        let places = out.iter_mut().take(outputs.count - i).enumerate();
        for ((j, to), acc) in places.zip(acc) {
            let multipliers = layer.multipliers(outputs.first + i + j);
            *to = finish(layer.activation, layer.shift, multipliers, acc) as u8;
        }
    }
}
