//! Convolutions of few output channels, whose vectors hold neighbouring outputs. Their inputs are read from planes,
//! where the columns of a channel lie side by side.
#![allow(unsafe_code)]

use crate::invariant::Guaranteed;
use core::arch::x86_64::{
    __m128, _mm_loadu_ps, _mm_movehl_ps, _mm_movelh_ps, _mm_storeu_ps, _mm_unpackhi_ps,
    _mm_unpacklo_ps,
};
use core::mem::MaybeUninit;

use super::vector::{Vector, store};
use crate::kernels::float::{Convolution, Phase, words};

/// Phases that a convolution has at most: as many as the longest stride.
pub(super) const MOST_PHASES: usize = 8;
/// Vectors of sums for each channel of each phase.
const VECTORS: usize = 2;
/// Channels of all phases that are computed at once: eight phases have one each.
const CHAINS: usize = 8;
/// Input channels of which there are planes at most.
const CHANNELS: usize = 128;
/// Columns of a channel, of which a kernel of 16 adds no more than that many to the outputs'.
type Plane = [f32; VECTORS * 16 + 16];

/// The channels of a convolution's row from `channel` on.
pub(super) struct Block<'a> {
    pub convolution: &'a Convolution<'a>,
    pub channel: usize,
    pub phases: &'a [Option<Phase>; MOST_PHASES],
}

impl<'a> Block<'a> {
    /// The phases that have outputs.
    pub fn phases(&self) -> impl Iterator<Item = &'a Phase> {
        self.phases.iter().flatten()
    }
}

/// The first of a block's outputs in each phase, as many as `VECTORS` hold, and what they read.
struct Tile<'a> {
    block: &'a Block<'a>,
    /// How many channels are computed.
    count: usize,
    /// The first output of each phase, and how many vectors there are.
    first: usize,
    vectors: usize,
    /// The planes' first column.
    left: isize,
    /// -0 for each column outside the picture, 0 for those inside. What has both its bits and those of a product of 0
    /// is -0, and -0 changes no sum that it is added to.
    outside: &'a Plane,
}

/// Computes some of the block's channels, and says how many.
#[inline(always)]
pub(super) fn channels<W: Vector>(block: &Block<'_>, out: &mut [f32]) -> usize {
    let Convolution { layer, axis, .. } = *block.convolution;
    let rest = layer.output.channels - block.channel;
    let channels = layer.input.channels;
    if axis.step() != 1 || channels > CHANNELS {
        for phase in block.phases() {
            for i in 0..phase.outputs {
                block.convolution.channels(phase, i, block.channel, out);
            }
        }
        return rest;
    }
    let count = rest.min(CHAINS / block.phases().count().max(1));
    let mut planes = [const { MaybeUninit::<Plane>::uninit() }; CHANNELS];
    let planes = planes.get_mut(..channels).guaranteed();
    let left = block.phases().map(|phase| phase.first_column).min();
    let outputs = block.phases().map(|phase| phase.outputs).max();
    let outputs = outputs.guaranteed();
    for first in (0..outputs).step_by(VECTORS * W::LANES) {
        let left = left.guaranteed() + first as isize;
        let outside = outside(left, layer.input.width);
        let tile = Tile {
            block,
            count,
            first,
            vectors: (outputs - first).div_ceil(W::LANES).min(VECTORS),
            left,
            outside: &outside,
        };
        let planes = cleared(planes);
        let mut sums = [[W::splat(0.0); VECTORS]; CHAINS];
        let bias = words(layer.parameters.bias, block.channel);
        for sums in sums.chunks_mut(count) {
            for (sums, &bias) in sums.iter_mut().zip(bias) {
                *sums = [W::splat(f32::from_le_bytes(bias)); VECTORS];
            }
        }
        for vertical in block.convolution.vertical_taps() {
            transpose(block.convolution.input_row(vertical), left, planes);
            tile.add_row(vertical, planes, &mut sums);
        }
        tile.store(&sums, out);
    }
    count
}

impl Tile<'_> {
    /// Adds the products of a vertical tap's row to the sums of each channel of each phase.
    #[inline(always)]
    fn add_row<W: Vector>(
        &self,
        vertical: usize,
        planes: &[Plane],
        sums: &mut [[W; VECTORS]; CHAINS],
    ) {
        let Block {
            convolution,
            channel,
            ..
        } = *self.block;
        let most_taps = self.block.phases().map(|phase| phase.taps).max();
        for tap in 0..most_taps.guaranteed() {
            // The phases by turns, since each sum has to wait for the one before.
            for (phase, sums) in self.block.phases().zip(sums.chunks_mut(self.count)) {
                if tap >= phase.taps {
                    continue;
                }
                let weights = convolution.weights(phase, [vertical, tap]);
                let column = phase.first_column + (self.first + tap) as isize - self.left;
                for (c, sums) in sums.iter_mut().enumerate() {
                    let weights = weights.get(channel + c..).guaranteed();
                    for (v, sum) in sums.iter_mut().enumerate().take(self.vectors) {
                        let column = column as usize + v * W::LANES;
                        *sum = self.with_products(*sum, planes, column, weights);
                    }
                }
            }
        }
    }

    /// The sums with the products of the planes' numbers from `column` on, each plane's with the first of its row of
    /// weights.
    #[inline(always)]
    fn with_products<W: Vector>(
        &self,
        mut sums: W,
        planes: &[Plane],
        column: usize,
        weights: &[[u8; 4]],
    ) -> W {
        let row_len = self.block.convolution.layer.output.channels;
        let last = planes.len().saturating_sub(1) * row_len;
        if column + W::LANES > self.outside.len() || last >= weights.len() {
            return sums;
        }
        // SAFETY: a vector from `column` on lies in each plane, and the last weight among the weights.
        unsafe {
            let outside = W::load(self.outside.as_ptr().add(column));
            for (i, plane) in planes.iter().enumerate() {
                let weight = f32::from_le_bytes(*weights.get_unchecked(i * row_len));
                let products = W::load(plane.as_ptr().add(column)).mul(W::splat(weight));
                sums = sums.add(products.or(outside));
            }
        }
        sums
    }

    /// Writes the sums of each channel of each phase in their row.
    #[inline(always)]
    fn store<W: Vector>(&self, sums: &[[W; VECTORS]; CHAINS], out: &mut [f32]) {
        let Convolution { layer, axis, .. } = *self.block.convolution;
        for (phase, sums) in self.block.phases().zip(sums.chunks(self.count)) {
            for (c, sums) in sums.iter().enumerate() {
                let mut numbers = [0.0; VECTORS * 16];
                store(sums, &mut numbers);
                for (i, sum) in (self.first..phase.outputs)
                    .zip(numbers)
                    .take(VECTORS * W::LANES)
                {
                    let x = phase.number + i * axis.phases();
                    let at = x * layer.output.channels + self.block.channel + c;
                    if let Some(to) = out.get_mut(at) {
                        *to = sum;
                    }
                }
            }
        }
    }
}

/// See [`Tile::outside`].
fn outside(left: isize, width: usize) -> Plane {
    let mut plane = [-0.0; _];
    let end = (width as isize - left).max(0) as usize;
    for number in plane.iter_mut().take(end).skip((-left).max(0) as usize) {
        *number = 0.0;
    }
    plane
}

/// The planes filled with zeros.
fn cleared(planes: &mut [MaybeUninit<Plane>]) -> &mut [Plane] {
    for plane in planes.iter_mut() {
        plane.write([0.0; _]);
    }
    // SAFETY: all were just written.
    unsafe { planes.assume_init_mut() }
}

/// Writes the columns of `row` from column `left` on in their channels' planes, as far as both reach.
#[inline(always)]
fn transpose(row: &[f32], left: isize, planes: &mut [Plane]) {
    let channels = planes.len().max(1);
    let skipped = (-left).max(0) as usize;
    let row = row.get(left.max(0) as usize * channels..);
    let row = row.guaranteed();
    let columns = (row.len() / channels).min(size_of::<Plane>() / size_of::<f32>() - skipped);
    let (fours, rest) = match columns {
        4.. => planes.as_chunks_mut::<4>(),
        _ => (&mut [][..], planes),
    };
    for (c, planes) in fours.iter_mut().enumerate() {
        for x in (0..columns).step_by(4) {
            // The last ones go back over some that are done, rather than be fewer.
            let x = x.min(columns - 4);
            // SAFETY: four channels of four columns are in the row, and in the planes.
            unsafe {
                let from = row.as_ptr().add(x * channels + 4 * c);
                let columns = [
                    _mm_loadu_ps(from),
                    _mm_loadu_ps(from.add(channels)),
                    _mm_loadu_ps(from.add(2 * channels)),
                    _mm_loadu_ps(from.add(3 * channels)),
                ];
                for (plane, numbers) in planes.iter_mut().zip(transposed(columns)) {
                    _mm_storeu_ps(plane.as_mut_ptr().add(skipped + x), numbers);
                }
            }
        }
    }
    let done = channels - rest.len();
    for (x, pixel) in row.chunks_exact(channels).take(columns).enumerate() {
        for (plane, &number) in rest.iter_mut().zip(pixel.iter().skip(done)) {
            if let Some(to) = plane.get_mut(skipped + x) {
                *to = number;
            }
        }
    }
}

/// The columns of a matrix whose rows these are.
#[inline(always)]
fn transposed([a, b, c, d]: [__m128; 4]) -> [__m128; 4] {
    // SAFETY: every x86-64 machine has these vectors.
    unsafe {
        let (ab, ab_high) = (_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
        let (cd, cd_high) = (_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
        [
            _mm_movelh_ps(ab, cd),
            _mm_movehl_ps(cd, ab),
            _mm_movelh_ps(ab_high, cd_high),
            _mm_movehl_ps(cd_high, ab_high),
        ]
    }
}
