//! The int8 kernels with AVX2, or with AVX-512's VNNI too.
//!
//! All the channels of a block share eight columns of four channels each, and eight outputs are requantized together.
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m256i, _mm_cvtsi32_si128, _mm256_abs_epi32, _mm256_add_epi32, _mm256_add_epi64,
    _mm256_and_si256, _mm256_blend_epi32, _mm256_blendv_epi8, _mm256_cmpgt_epi32,
    _mm256_i32gather_epi32, _mm256_max_epi32, _mm256_min_epi32, _mm256_mul_epi32,
    _mm256_mullo_epi32, _mm256_or_si256, _mm256_set1_epi32, _mm256_set1_epi64x,
    _mm256_setzero_si256, _mm256_sign_epi32, _mm256_sll_epi32, _mm256_slli_epi32,
    _mm256_srai_epi32, _mm256_srli_epi32, _mm256_srli_epi64, _mm256_sub_epi32,
};
use core::slice::ChunksMut;

use bytemuck::Zeroable;

use super::products::{Pairs, Products, Quads};
use crate::invariant::{Guaranteed, divisor};
use crate::kernels::arithmetic::TANH;
use crate::kernels::int8::{Kernels, Outputs, Phase, Tile};
use crate::layer::Layer;
use crate::scratch::BLOCK;
use crate::shape::Activation;

/// Words of a vector: neighbours that are computed together.
const LANES: usize = 8;

/// The kernels that sum products in one way, by the features it needs.
macro_rules! kernels {
    ($(#[$doc:meta])* $name:ident, $products:ident, $features:literal) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl $name {
            #[target_feature(enable = $features)]
            fn tile<const SIGNED: bool, const N: usize>(
                phase: &Phase<'_>,
                tile: &Tile,
                out: &mut [u8],
            ) {
                run_tile::<$products<SIGNED>, N>(phase, tile, out);
            }

            #[target_feature(enable = $features)]
            fn linear<const SIGNED: bool>(
                outputs: &Outputs<'_>,
                input: &[u32],
                weights: &[i8],
                out: &mut [u8],
                group_step: usize,
            ) {
                run_linear::<$products<SIGNED>>(outputs, input, weights, out, group_step);
            }
        }

        impl Kernels for $name {
            type Prepared<'a> = Phase<'a>;

            fn prepare(phase: Phase<'_>) -> Phase<'_> {
                phase
            }

            fn neighbours(_: &Phase<'_>, outputs: usize) -> usize {
                outputs.min(LANES)
            }

            fn tile(phase: &mut Phase<'_>, tile: &Tile, out: &mut [u8]) {
                // SAFETY: these kernels are used only where there are their instructions.
                unsafe {
                    match (phase.layer.signed_input, tile.channels) {
                        (true, 1) => Self::tile::<true, 1>(phase, tile, out),
                        (true, _) => Self::tile::<true, BLOCK>(phase, tile, out),
                        (false, 1) => Self::tile::<false, 1>(phase, tile, out),
                        (false, _) => Self::tile::<false, BLOCK>(phase, tile, out),
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
                // SAFETY: as above.
                unsafe {
                    if outputs.layer.signed_input {
                        Self::linear::<true>(outputs, input, weights, out, group_step)
                    } else {
                        Self::linear::<false>(outputs, input, weights, out, group_step)
                    }
                }
            }
        }
    };
}

kernels!(
    /// For x86-64 with AVX2: to be used only where [`has_avx2`](super::has_avx2).
    Avx2,
    Pairs,
    "avx2"
);
kernels!(
    /// For x86-64 with AVX-512 and its VNNI: to be used only where [`has_vnni`](super::has_vnni).
    Vnni,
    Quads,
    "avx2,avx512vl,avx512vnni"
);

/// Computes `N` channels of a tile, of which those that it has are stored.
#[inline(always)]
fn run_tile<P: Products, const N: usize>(phase: &Phase<'_>, tile: &Tile, out: &mut [u8]) {
    let rows = phase.rows.map(|rows| rows.get(tile.column..).guaranteed());
    // A channel that is not there is summed as the last one.
    let channels = core::array::from_fn(|i| tile.channel + i.min(tile.channels - 1));
    let sums = channel_sums::<P, N>(phase, rows, channels);
    // SAFETY: these kernels are used only where there is AVX2.
    unsafe { store_tile(phase, tile, sums, out) }
}

/// Requantizes the sums of a tile's channels and stores them.
#[inline]
#[target_feature(enable = "avx2")]
fn store_tile<const N: usize>(phase: &Phase<'_>, tile: &Tile, sums: [__m256i; N], out: &mut [u8]) {
    let layer = phase.layer;
    let parameters = &layer.parameters;
    let bias = layer.four(parameters.bias, tile.channel);
    let positive = layer.four(parameters.multipliers, tile.channel);
    let negative = layer.four(parameters.negative_multipliers, tile.channel);
    let mut words = _mm256_setzero_si256();
    for (i, sums) in sums.into_iter().enumerate().rev() {
        let acc = _mm256_add_epi32(sums, _mm256_set1_epi32(bias[i]));
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

/// The sums of some channels.
#[inline(always)]
fn channel_sums<P: Products, const N: usize>(
    phase: &Phase<'_>,
    rows: [&[u32]; 2],
    channels: [usize; N],
) -> [__m256i; N] {
    // Those of odd taps are beside the others where there are registers for them.
    let mut chains = [[P::Sums::zeroed(); N]; 2];
    let mut before = 0;
    for (rows, &groups) in rows.into_iter().zip(&phase.groups) {
        let taps = groups * phase.count;
        let weights = channels.map(|channel| {
            let weights = phase.weights.get(channel * phase.channel_len + before..);
            let weights = weights.guaranteed().as_chunks::<4>().0;
            weights.get(..taps).guaranteed()
        });
        before += taps * 4;
        // What is read without a look below relies on it.
        if weights.iter().any(|weights| weights.len() != taps) {
            break;
        }
        // Those whose columns all lie in the rows; of the others some are behind the picture.
        let reach = phase.count + LANES - 1;
        let whole = match rows.len().checked_sub(reach) {
            Some(more) if phase.step == 1 => more / divisor(phase.plane_len) + 1,
            _ => 0,
        };
        let whole = whole.min(groups);
        let [even, odd] = &mut chains;
        for group in 0..whole {
            let at = group * phase.count;
            // SAFETY: the columns of the last tap of the last group end where `rows` does or before, and the weights of
            // each channel are as many as there are taps in all groups.
            let add = |sums: &mut [P::Sums; N], tap| unsafe {
                let columns = rows.as_ptr().add(group * phase.plane_len + tap).cast();
                let weights = weights
                    .each_ref()
                    .map(|weights| *weights.get_unchecked(at + tap));
                step::<P, N>(sums, *columns, weights)
            };
            match phase.count {
                2 if P::CHAINS == 2 => {
                    add(even, 0);
                    add(odd, 1);
                }
                count => (0..count).for_each(|tap| add(even, tap)),
            }
        }
        for group in whole..groups {
            for tap in 0..phase.count {
                let columns = gather(rows, group * phase.plane_len + tap, phase.step);
                let weights = weights.map(|weights| weights[group * phase.count + tap]);
                step::<P, N>(even, columns, weights);
            }
        }
    }
    let [even, odd] = chains;
    core::array::from_fn(|i| P::sums(even[i], odd[i]))
}

/// Adds the products of eight columns with the weights of each channel.
#[inline(always)]
fn step<P: Products, const N: usize>(
    sums: &mut [P::Sums; N],
    columns: [[u32; LANES / 2]; 2],
    weights: [[i8; 4]; N],
) {
    let columns = P::columns(columns);
    for (sums, weights) in sums.iter_mut().zip(weights) {
        *sums = P::add(*sums, columns, i32::from_le_bytes(bytemuck::cast(weights)));
    }
}

/// Columns that are `step` apart; what is behind the rows' end is zeros.
#[cold]
#[inline(never)]
fn gather(rows: &[u32], column: usize, step: usize) -> [[u32; LANES / 2]; 2] {
    bytemuck::cast(core::array::from_fn::<u32, LANES, _>(|i| {
        rows.get(column + i * step).map_or(0, |&word| word)
    }))
}

#[inline(always)]
fn run_linear<P: Products>(
    outputs: &Outputs<'_>,
    input: &[u32],
    weights: &[i8],
    out: &mut [u8],
    group_step: usize,
) {
    let fours = weights.as_chunks::<16>().0;
    let mut fours = fours.chunks_exact(divisor(input.len()));
    let mut groups = out.chunks_mut(divisor(group_step));
    for i in (0..outputs.count).step_by(LANES) {
        let Some(first) = fours.next() else { return };
        let second = fours.next().unwrap_or(first);
        let mut sums = [P::Fours::zeroed(); 2];
        for ((&input, first), second) in input.iter().zip(first).zip(second) {
            for (sums, weights) in sums.iter_mut().zip([first, second]) {
                *sums = P::add_four(*sums, input, *weights);
            }
        }
        // SAFETY: these kernels are used only where there is AVX2.
        unsafe { store_fours(outputs, i, P::fours(sums), &mut groups) };
    }
}

/// Requantizes the sums of eight outputs from `i` on and stores them, four in a group.
#[inline]
#[target_feature(enable = "avx2")]
fn store_fours(outputs: &Outputs<'_>, i: usize, sums: __m256i, groups: &mut ChunksMut<'_, u8>) {
    let layer = outputs.layer;
    let start = [outputs.start(i), outputs.start(i + 4)];
    let acc = _mm256_add_epi32(sums, bytemuck::cast(start));
    let at = outputs.first + i;
    let parameters = &layer.parameters;
    let vectors = [parameters.multipliers, parameters.negative_multipliers];
    let multipliers =
        vectors.map(|words| bytemuck::cast([layer.four(words, at), layer.four(words, at + 4)]));
    let quanta: [[u32; 4]; 2] = bytemuck::cast(finish(layer, multipliers, acc));
    let counts = [outputs.count - i, (outputs.count - i).saturating_sub(4)];
    for ((quanta, count), to) in quanta.into_iter().zip(counts).zip(groups) {
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
