//! The int8 kernels in assembly: what is checked here is done by the loops of the target's own file.
//!
//! The loops know tiles of 7, 4, 2 and 1 neighbouring outputs with one tap or two; with feature `images`, those of the
//! DSP extension also tiles of 5, 4, 2 and 1 with three taps, and of 7, 4, 2 and 1 with four taps at every other
//! column. Between them and the safe code stand two plain structures, [`Job`] and [`Linear`].
#![allow(unsafe_code)]

/// The places of the labels, from a table's start on, as addresses of Thumb code.
#[cfg(target_arch = "arm")]
macro_rules! table {
    ($name:literal: $($label:literal),+) => {
        concat!(
            ".p2align 2\n", $name, ":\n",
            $(".word ", $label, " - ", $name, "b + 1\n",)+
        )
    };
}

/// Asserts that these fields lie one behind the other, as instructions that load several words take them; `first`, that
/// they are a structure's first ones.
#[cfg(any(pocketgan_dsp, pocketgan_thumb2))]
macro_rules! in_a_row {
    (first $structure:ident: $first:ident, $($field:ident),+) => {
        const _: () = assert!(core::mem::offset_of!($structure, $first) == 0);
        in_a_row!($structure: $first, $($field),+);
    };
    ($structure:ident: $($field:ident),+) => {
        const _: () = {
            let offsets = [$(core::mem::offset_of!($structure, $field)),+];
            let mut i = 1;
            while i < offsets.len() {
                assert!(offsets[i] == offsets[i - 1] + 4);
                i += 1;
            }
        };
    };
}

mod job;
#[cfg(pocketgan_dsp)]
#[path = "dsp.rs"]
mod loops;
#[cfg(pocketgan_thumb2)]
#[path = "thumb2.rs"]
mod loops;
#[cfg(pocketgan_thumb1)]
#[path = "thumb1.rs"]
mod loops;
#[cfg(pocketgan_riscv)]
#[path = "riscv.rs"]
mod loops;

use job::{Job, Linear};

use super::int8::{self, Kernels, Outputs, Phase, TILE, Tile};
use crate::invariant::{divisor, unexpected};
use crate::layer::Parameters;
#[cfg(pocketgan_wide)]
use crate::scratch::BLOCK;
use crate::shape::Activation;

/// Whether the loop for linear layers goes on by itself from four outputs to the next ones, which takes more code.
const WHOLE: bool = cfg!(any(feature = "convolution", not(pocketgan_thumb1)));

/// Whether there are loops for three taps and for four, and all loops requantize where there is no activation.
const WIDE: bool = cfg!(pocketgan_wide);

/// How many sizes of tiles there are, and the one that only loops for three taps have, as their largest.
const SIZES: usize = 5;
const FIVE: usize = 5;

/// For every target that has a file of loops.
pub(crate) struct Asm;

impl Kernels for Asm {
    type Prepared<'a> = Prepared<'a>;

    fn prepare(phase: Phase<'_>) -> Prepared<'_> {
        Prepared::new(phase)
    }

    #[cfg(pocketgan_wide)]
    fn neighbours(prepared: &Prepared<'_>, outputs: usize) -> usize {
        if prepared.phase.has_three() {
            int8::neighbours_of_three(outputs)
        } else {
            int8::neighbours(outputs)
        }
    }

    #[cfg(pocketgan_wide)]
    fn channels(prepared: &Prepared<'_>) -> usize {
        if prepared.requantizes && prepared.columns > 0 {
            usize::MAX
        } else {
            BLOCK
        }
    }

    #[inline(never)]
    fn tile(prepared: &mut Prepared<'_>, tile: &Tile, out: &mut [u8]) {
        let phase = &prepared.phase;
        let before = tile.outputs.saturating_sub(1);
        let last = (tile.channel + tile.channels).saturating_sub(1);
        let reach = tile.column + before * phase.step + phase.count;
        let out_reach = before * phase.stride + phase.reach(tile.channels);
        let fits = (1..=prepared.columns).contains(&reach)
            && out.len() >= out_reach
            && phase.weights.len() >= last * phase.channel_len + prepared.used
            && phase.layer.parameters.bias.len() / 4 > last
            && tile.channels.wrapping_sub(1) < Self::channels(prepared);
        let Some(size) = phase.size(tile.outputs).filter(|_| fits) else {
            // All rows are outside the picture.
            return int8::store(phase, tile, &int8::biases(phase.layer, tile), out);
        };
        let all_taps = phase.all_taps(tile.edges);
        let job = &mut prepared.job;
        job.rows = phase.rows[0].as_ptr().wrapping_add(tile.column);
        job.second_rows = phase.rows[1].as_ptr().wrapping_add(tile.column);
        let weights = tile.channel * phase.channel_len;
        job.weights = phase.weights.as_ptr().wrapping_add(weights);
        job.channels = tile.channels;
        // SAFETY: the pointers are aligned to words, and reach as far as is checked here and by `Prepared`.
        unsafe {
            if prepared.requantizes {
                let parameters = &phase.layer.parameters;
                job.bias = parameters
                    .bias
                    .as_ptr()
                    .cast::<i32>()
                    .wrapping_add(tile.channel);
                job.multipliers = parameters.multipliers.as_ptr().cast::<i32>();
                job.multipliers = job.multipliers.wrapping_add(tile.channel);
                job.out = out.as_mut_ptr().wrapping_add(before * phase.stride);
                job.which = all_taps.of_size(size);
                job.size = match tile.outputs {
                    FIVE if WIDE => SIZES - 1,
                    _ => size,
                };
                if WIDE && phase.layer.activation == Activation::None {
                    job.size += SIZES;
                }
                #[cfg(pocketgan_wide)]
                for left in (BLOCK + 1..=tile.channels).rev().step_by(BLOCK) {
                    let out = job.out;
                    job.channels = BLOCK;
                    loops::sums(job);
                    job.out = out.wrapping_add(phase.group_step);
                    job.channels = left - BLOCK;
                }
                return loops::sums(job);
            }
            let mut acc = int8::biases(phase.layer, tile);
            job.acc = acc.as_mut_ptr();
            if phase.has_loop() {
                job.which = all_taps.of_size(size);
                loops::sums(job);
                return int8::store(phase, tile, &acc, out);
            }
            let mut left = phase.count;
            while left > 0 {
                let (taps, which) = match left {
                    2.. if phase.step == 1 => (2, phase.two_taps([false; 2])),
                    _ => (1, phase.one_tap()),
                };
                job.which = which.of_size(size);
                let weights = job.weights;
                job.acc = acc.as_mut_ptr();
                job.channels = tile.channels;
                loops::sums(job);
                job.weights = weights;
                job.go_on(taps, taps * 4);
                left -= taps;
            }
            int8::store(phase, tile, &acc, out);
        }
    }

    #[cfg_attr(feature = "convolution", inline(never))]
    fn linear(
        outputs: &Outputs<'_>,
        input: &[u32],
        weights: &[i8],
        out: &mut [u8],
        group_step: usize,
    ) {
        let layer = outputs.layer;
        let tiles = outputs.count.div_ceil(4);
        if input.is_empty() || weights.len() < tiles * input.len() * 16 || !aligned(weights) {
            return;
        }
        let mut job = Linear {
            class_step: layer.class_step,
            out: out.as_mut_ptr(),
            group_step,
            shift: layer.shift,
            tiles,
            ..Linear::new(input, weights, layer.signed_input)
        };
        let Parameters {
            bias,
            multipliers,
            column,
            ..
        } = layer.parameters;
        let (first, last) = (outputs.first, outputs.first + outputs.count);
        let whole = WHOLE
            && tiles > 0
            && outputs.count.is_multiple_of(4)
            && out.len() >= (tiles - 1) * group_step + 4
            && bias.len() >= last * 4
            && multipliers.len() == bias.len()
            && aligned(bias);
        if whole && layer.activation == Activation::Relu {
            job.bias = bias.as_ptr().cast::<i32>().wrapping_add(first);
            job.multipliers = multipliers.as_ptr().cast::<i32>().wrapping_add(first);
            if column.len() >= last {
                job.column = column.as_ptr().wrapping_add(first);
            }
            // SAFETY: the pointers are aligned to words where they must be, and reach for all the tiles.
            return unsafe { loops::linear(&mut job) };
        }
        for tile in 0..tiles {
            let mut sums = [0; 4];
            job.bias = sums.as_ptr();
            job.out = sums.as_mut_ptr().cast();
            // SAFETY: as above, for a tile whose sums go where they start; the job goes on by its weights.
            unsafe { loops::linear(&mut job) };
            outputs.finish(tile * 4, &sums, out, tile * group_step);
        }
    }

    fn add(signed: bool, input: &[u32], weights: &[i8], sums: &mut [i32]) {
        let tile_len = input.len() * 16;
        let tiles = weights.len() / divisor(tile_len);
        if input.is_empty() || !aligned(weights) {
            return unexpected();
        }
        let mut job = Linear::new(input, weights, signed);
        for sums in sums.as_chunks_mut::<4>().0.iter_mut().take(tiles) {
            job.bias = sums.as_ptr();
            job.out = sums.as_mut_ptr().cast();
            // SAFETY: as in `linear`, for a tile whose sums go where they start; the job goes on by its weights.
            unsafe { loops::linear(&mut job) };
        }
    }
}

/// Whether the slice starts at a whole word.
#[inline(always)]
fn aligned<T>(slice: &[T]) -> bool {
    slice.as_ptr().addr().is_multiple_of(4)
}

/// A phase, checked.
pub(crate) struct Prepared<'a> {
    phase: Phase<'a>,
    /// Columns that the rows hold for each group; none if the loops cannot take them.
    columns: usize,
    /// Bytes of a channel's weights that take part.
    used: usize,
    /// Whether one loop does all taps and requantizes.
    requantizes: bool,
    job: Job,
}

impl<'a> Prepared<'a> {
    fn new(phase: Phase<'a>) -> Self {
        let parameters = &phase.layer.parameters;
        let group_len = phase.count * 4;
        let lens = phase.groups.map(|groups| groups * group_len);
        let used = lens[0] + lens[1];
        let mut columns = usize::MAX;
        for (rows, &groups) in phase.rows.iter().zip(&phase.groups) {
            if groups > 0 {
                let before = (groups - 1) * phase.plane_len;
                columns = columns.min(rows.len().saturating_sub(before));
            }
        }
        let fits = lens[0] > 0
            && used <= phase.channel_len
            && aligned(phase.weights)
            && aligned(parameters.bias)
            && parameters.multipliers.len() == parameters.bias.len();
        Self {
            columns: if fits { columns } else { 0 },
            used,
            requantizes: phase.has_loop()
                && match phase.layer.activation {
                    Activation::Relu => true,
                    Activation::None => WIDE,
                    _ => false,
                },
            job: Job {
                rows: core::ptr::null(),
                len: lens[0],
                second_rows: core::ptr::null(),
                second_len: lens[1],
                weights: core::ptr::null(),
                skip: phase.channel_len.wrapping_sub(used),
                acc: core::ptr::null_mut(),
                channels: 0,
                plane_len: phase.plane_len * 4,
                group_len,
                step: phase.step * 4,
                bias: core::ptr::null(),
                multipliers: core::ptr::null(),
                out: core::ptr::null_mut(),
                stride: phase.stride,
                shift: phase.layer.shift,
                which: 0,
                size: 0,
            },
            phase,
        }
    }
}

impl Phase<'_> {
    /// Bytes from an output's first channel to the end of the last one of so many.
    #[cfg(pocketgan_wide)]
    fn reach(&self, channels: usize) -> usize {
        let last = channels.saturating_sub(1);
        last / BLOCK * self.group_step + last % BLOCK + 1
    }

    /// Bytes from an output's first channel to the end of the last one of so many.
    #[cfg(not(pocketgan_wide))]
    #[inline(always)]
    fn reach(&self, channels: usize) -> usize {
        channels
    }

    /// Whether one loop does all taps, which are three.
    #[inline(always)]
    fn has_three(&self) -> bool {
        WIDE && matches!((self.count, self.step), (3, 1))
    }

    /// Whether one loop does all taps.
    #[inline(always)]
    fn has_loop(&self) -> bool {
        matches!((self.count, self.step), (2, 1))
            || self.has_three()
            || WIDE && matches!((self.count, self.step), (4, 2))
    }

    /// Where the loop for so many outputs stands among those of a kind.
    #[inline(always)]
    fn size(&self, outputs: usize) -> Option<usize> {
        let largest = if self.has_three() { FIVE } else { TILE };
        match outputs {
            _ if outputs == largest => Some(0),
            4 => Some(1),
            2 => Some(2),
            1 => Some(3),
            _ => None,
        }
    }

    /// That loop.
    #[inline(always)]
    fn all_taps(&self, edges: [bool; 2]) -> Loop {
        match self.count {
            3 if WIDE => Loop::THREE_TAPS.of_sign(self.layer.signed_input),
            4 if WIDE => Loop::FOUR_TAPS.of_sign(self.layer.signed_input),
            _ => self.two_taps(edges),
        }
    }

    /// The loop for two taps.
    #[inline(always)]
    fn two_taps(&self, edges: [bool; 2]) -> Loop {
        match (self.layer.signed_input, edges) {
            (true, _) => Loop::SIGNED_TWO_TAPS,
            (false, [true, false]) => Loop::LEFT,
            (false, [false, true]) => Loop::RIGHT,
            (false, _) => Loop::TWO_TAPS,
        }
    }

    /// The loop for one tap.
    #[inline(always)]
    fn one_tap(&self) -> Loop {
        if self.layer.signed_input {
            Loop::SIGNED_ONE_TAP
        } else {
            Loop::ONE_TAP
        }
    }
}

/// The loops for the sizes of a kind of sums, by their place in the table of `loops::sums`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Loop(usize);

impl Loop {
    const TWO_TAPS: Self = Self(0);
    const SIGNED_TWO_TAPS: Self = Self(4);
    const ONE_TAP: Self = Self(8);
    const SIGNED_ONE_TAP: Self = Self(12);
    /// Two taps for the largest tile, whose first column is outside the picture.
    const LEFT: Self = Self(16);
    /// Two taps for the largest tile, whose last column is outside the picture.
    const RIGHT: Self = Self(17);
    /// Three taps; its largest tile is another.
    const THREE_TAPS: Self = Self(18);
    /// Four taps at every other column.
    const FOUR_TAPS: Self = Self(26);

    /// The loops of the same kind for a signed input, if it is one.
    fn of_sign(self, signed: bool) -> Self {
        Self(self.0 + usize::from(signed) * 4)
    }

    /// The place of the loop for the size.
    #[inline(always)]
    fn of_size(self, size: usize) -> usize {
        match self {
            Self::LEFT | Self::RIGHT if size == 0 => self.0,
            // Other sizes read the zeros there.
            Self::LEFT | Self::RIGHT => size,
            _ => self.0 + size,
        }
    }
}
