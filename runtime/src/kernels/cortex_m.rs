//! The int8 kernels with Arm's DSP extension: two products an instruction.
//!
//! SXTB16 widens bytes 0 and 2 of a word of four weights, and with a rotation bytes 1 and 3; the same
//! (or UXTB16) widens four channels of a column, and SMLAD multiplies them pair by pair. Up to seven
//! neighbouring outputs share each widened weight, and of two neighbouring taps each widened column:
//! 63 instructions for 56 products in the inner loop of a full tile with two taps, 58 for 54 where a column
//! is outside the picture. Fourteen registers are all there are, which is why the loops are written out by
//! hand; what leaves ReLU is requantized before it leaves the registers.
#![allow(unsafe_code)]

use core::arch::asm;

use super::int8::{self, BLOCK, InnerProducts, Outputs, Phase, TILE, Tile};
use super::portable::Portable;
use crate::Activation;
use crate::blob::order::divisor;

/// For Cortex-M4, M7, M33 and others with the DSP extension.
pub(crate) struct Dsp;

impl InnerProducts for Dsp {
    type Prepared<'a> = Prepared<'a>;

    fn prepare(phase: Phase<'_>) -> Prepared<'_> {
        Prepared::new(phase)
    }

    #[inline(never)]
    fn tile(prepared: &mut Prepared<'_>, tile: &Tile, out: &mut [u8]) {
        let phase = &prepared.phase;
        let reach = tile.column + tile.outputs.saturating_sub(1) * phase.step + phase.count;
        let out_reach = tile.outputs.saturating_sub(1) * phase.stride + tile.channels;
        let fits = reach <= prepared.columns
            && out.len() >= out_reach
            && tile.channel + tile.channels <= prepared.channels
            && tile.channels.wrapping_sub(1) < BLOCK;
        let Some(size) = Loop::size(tile.outputs).filter(|_| fits) else {
            return Portable::tile(&mut phase.clone(), tile, out);
        };
        let two_taps = phase.two_taps(tile.edges);
        let job = &mut prepared.job;
        job.rows = phase.rows[0].as_ptr().wrapping_add(tile.column);
        job.second_rows = phase.rows[1].as_ptr().wrapping_add(tile.column);
        let weights = tile.channel * phase.channel_len;
        job.weights = phase.weights.as_ptr().wrapping_add(weights);
        job.channels = tile.channels;
        job.size = size;
        // SAFETY: the pointers are aligned to words, and reach as far as is checked here and by `Prepared`.
        unsafe {
            if prepared.relu {
                let parameters = &phase.layer.parameters;
                job.bias = parameters
                    .bias
                    .as_ptr()
                    .cast::<i32>()
                    .wrapping_add(tile.channel);
                job.multipliers = parameters.multipliers.as_ptr().cast::<i32>();
                job.multipliers = job.multipliers.wrapping_add(tile.channel);
                job.out = out.as_mut_ptr().wrapping_add(out_reach - tile.channels);
                return sums(job, two_taps);
            }
            let mut acc = int8::biases(phase.layer, tile);
            job.acc = acc.as_mut_ptr();
            if phase.count == 2 && phase.step == 1 {
                sums(job, two_taps);
                return int8::store(phase, tile, &acc, out);
            }
            let mut left = phase.count;
            while left > 0 {
                let (taps, which) = match left {
                    2.. if phase.step == 1 => (2, phase.two_taps([false; 2])),
                    _ => (1, phase.one_tap()),
                };
                sums(&mut job.clone(), which);
                job.go_on(taps, taps * 4);
                left -= taps;
            }
            int8::store(phase, tile, &acc, out);
        }
    }

    #[inline(never)]
    fn linear(
        outputs: &Outputs<'_>,
        input: &[u32],
        weights: &[i8],
        out: &mut [u8],
        group_step: usize,
    ) {
        let layer = outputs.layer;
        let tiles = outputs.count / 4;
        let (bias, column) = (words(outputs, layer.parameters.bias), column(outputs));
        let multipliers = words(outputs, layer.parameters.multipliers);
        let fits = tiles > 0
            && !input.is_empty()
            && weights.len() >= tiles * input.len() * 16
            && out.len() >= (tiles - 1) * group_step + 4
            && [bias.len(), multipliers.len()] == [outputs.count; 2]
            && [0, outputs.count].contains(&column.len())
            && aligned(weights)
            && aligned(bias);
        if !fits || !outputs.count.is_multiple_of(4) || layer.activation != Activation::Relu {
            return Portable::linear(outputs, input, weights, out, group_step);
        }
        let mut job = Linear {
            input: input.as_ptr(),
            end: input.as_ptr_range().end,
            weights: weights.as_ptr(),
            bias: bias.as_ptr(),
            column: match column {
                [] => core::ptr::null(),
                column => column.as_ptr(),
            },
            class_step: layer.class_step,
            multipliers: multipliers.as_ptr(),
            out: out.as_mut_ptr(),
            group_step,
            shift: layer.shift,
            tiles,
        };
        // SAFETY: the pointers are aligned to words where they must be, and reach for all the tiles.
        unsafe { linear(&mut job, layer.signed_input) }
    }
}

/// Whether the slice starts at a whole word.
#[inline(always)]
fn aligned<T>(slice: &[T]) -> bool {
    slice.as_ptr().addr().is_multiple_of(4)
}

/// The words of some outputs in a vector of the parameters.
#[inline(always)]
fn words<'p>(outputs: &Outputs<'_>, vector: &'p [u8]) -> &'p [[u8; 4]] {
    let words = vector.as_chunks().0.get(outputs.first..);
    let words = words.and_then(|words| words.get(..outputs.count));
    words.unwrap_or_default()
}

/// The class's column of some outputs, if there is one.
#[inline(always)]
fn column<'p>(outputs: &Outputs<'p>) -> &'p [u8] {
    let column = outputs.layer.parameters.column.get(outputs.first..);
    let column = column.and_then(|column| column.get(..outputs.count));
    column.unwrap_or_default()
}

/// A phase, checked.
pub(crate) struct Prepared<'a> {
    phase: Phase<'a>,
    /// Columns that the rows hold for each group, and channels that the weights hold; none if the loops
    /// below cannot take them.
    columns: usize,
    channels: usize,
    /// Whether one loop does all taps and ReLU.
    relu: bool,
    job: Job,
}

impl<'a> Prepared<'a> {
    fn new(phase: Phase<'a>) -> Self {
        let parameters = &phase.layer.parameters;
        let group_len = phase.count * 4;
        let lens = phase.groups.map(|groups| groups * group_len);
        let used = lens[0] + lens[1];
        let columns = |i: usize| match phase.groups[i] {
            0 => usize::MAX,
            groups => phase.rows[i]
                .len()
                .saturating_sub((groups - 1) * phase.plane_len),
        };
        let whole = (phase.weights.len() + phase.channel_len).saturating_sub(used);
        let channels = (whole / divisor(phase.channel_len)).min(parameters.bias.len() / 4);
        let fits = lens[0] > 0
            && used <= phase.channel_len
            && aligned(phase.weights)
            && aligned(parameters.bias)
            && parameters.multipliers.len() == parameters.bias.len();
        Self {
            columns: columns(0).min(columns(1)),
            channels: if fits { channels } else { 0 },
            relu: phase.layer.activation == Activation::Relu && phase.count == 2 && phase.step == 1,
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
        match self.layer.signed_input {
            true => Loop::SIGNED_ONE_TAP,
            false => Loop::ONE_TAP,
        }
    }
}

/// One of the loops of [`sums`], by its place in the table there.
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

    /// Where the loop for so many outputs stands among those of a kind.
    #[inline(always)]
    fn size(outputs: usize) -> Option<usize> {
        match outputs {
            TILE => Some(0),
            4 => Some(1),
            2 => Some(2),
            1 => Some(3),
            _ => None,
        }
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

/// The sums of one or two taps, for some channels in turn.
#[derive(Clone)]
#[repr(C)]
struct Job {
    /// The first column of the first output, in the first run of rows and in the second.
    rows: *const u32,
    /// Bytes of the weights that the first run takes.
    len: usize,
    second_rows: *const u32,
    /// Bytes of the weights that the second run takes, 0 if there is none.
    second_len: usize,
    /// The weights of the channel at hand.
    weights: *const i8,
    /// Bytes behind them that are none of the next channel's.
    skip: usize,
    /// The accumulators of the channel at hand, if there is no bias or no multiplier.
    acc: *mut [i32; TILE],
    /// How many channels are still to come, this one included.
    channels: usize,
    /// Bytes from one group's plane to the next one's.
    plane_len: usize,
    /// Bytes from one group's weights to the next one's.
    group_len: usize,
    /// Bytes from one output's column to the next one's.
    step: usize,
    /// What the accumulators of the channel at hand start as; null to take those that are there.
    bias: *const i32,
    /// What ReLU's outputs are rescaled by; null to leave accumulators.
    multipliers: *const i32,
    /// Where the last output of the channel at hand goes.
    out: *mut u8,
    /// Bytes from one output to the next one.
    stride: usize,
    shift: u32,
    /// The loop, by its place in the table, and its size, by its place among those of a kind.
    which: usize,
    size: usize,
}

impl Job {
    /// Goes on by so many columns and weights.
    #[inline(always)]
    fn go_on(&mut self, columns: usize, weights: usize) {
        self.rows = self.rows.wrapping_add(columns);
        self.second_rows = self.second_rows.wrapping_add(columns);
        self.weights = self.weights.wrapping_add(weights);
    }
}

// The loops name their registers, since between them they use every one that there is: r0 to r5 and
// r8 are the accumulators of outputs 0 to 6, r9 to r12 widened weights, r6 and r7 a widened column, and
// lr points to the activations. The rest lies on the stack: where the weights of the group at hand are, the
// lengths of a plane and of a group's weights, where the weights of the rows at hand end and those of the
// channel, the job, the loop and the way out. LLVM keeps r6 and r7 for itself, so they are saved.

/// Adds to `$acc` the products of a column, widened in r6 and r7, with the weights `$even` and `$odd`.
macro_rules! products {
    ($acc:literal, $even:literal, $odd:literal) => {
        concat!(
            "smlad ", $acc, ", ", $even, ", r6, ", $acc, "\n", "smlad ", $acc, ", ", $odd,
            ", r7, ", $acc, "\n",
        )
    };
}

/// Loads a column into r6 and r7; `$extend` is SXTB16 or UXTB16.
macro_rules! column {
    ($extend:literal, $place:literal) => {
        concat!(
            "ldr r6, ",
            $place,
            "\n",
            $extend,
            " r7, r6, ror #8\n",
            $extend,
            " r6, r6\n",
        )
    };
}

/// The products of a group for two taps, whose weights are in r9 and r10, r11 and r12: output `i` takes
/// the columns `i` and `i + 1`. A column outside the picture is left out: on the `left` the first one, on
/// the `right` the last one.
#[rustfmt::skip]
macro_rules! two_taps_products {
    ($x:literal, all, 1) => { concat!(
        column!($x, "[lr]"), products!("r0", "r9", "r10"), two_taps_products!($x, left, 1),
    ) };
    ($x:literal, left, 1) => { concat!(column!($x, "[lr, #4]"), products!("r0", "r11", "r12")) };
    ($x:literal, right, 7) => { concat!(
        two_taps_products!($x, all, 6), products!("r8", "r9", "r10"),
    ) };
    ($x:literal, $from:tt, 2) => { two_taps_products!($x, $from, 1, "r1", "[lr, #8]") };
    ($x:literal, $from:tt, 3) => { two_taps_products!($x, $from, 2, "r2", "[lr, #12]") };
    ($x:literal, $from:tt, 4) => { two_taps_products!($x, $from, 3, "r3", "[lr, #16]") };
    ($x:literal, $from:tt, 5) => { two_taps_products!($x, $from, 4, "r4", "[lr, #20]") };
    ($x:literal, $from:tt, 6) => { two_taps_products!($x, $from, 5, "r5", "[lr, #24]") };
    ($x:literal, $from:tt, 7) => { two_taps_products!($x, $from, 6, "r8", "[lr, #28]") };
    ($x:literal, $from:tt, $before:tt, $acc:literal, $next:literal) => { concat!(
        two_taps_products!($x, $from, $before), products!($acc, "r9", "r10"),
        column!($x, $next), products!($acc, "r11", "r12"),
    ) };
}

/// The products of a group for one tap, whose weights are in r9 and r10: output `i` takes the column at
/// `i` times r11 from lr on.
#[rustfmt::skip]
macro_rules! one_tap_products {
    ($x:literal, 1) => { concat!(column!($x, "[lr]"), products!("r0", "r9", "r10")) };
    ($x:literal, 2) => { concat!(
        one_tap_products!($x, 1), column!($x, "[lr, r11]"), products!("r1", "r9", "r10"),
    ) };
    ($x:literal, 4) => { concat!(
        one_tap_products!($x, 2),
        column!($x, "[lr, r11, lsl #1]"), products!("r2", "r9", "r10"),
        "add r12, lr, r11, lsl #1\n",
        column!($x, "[r12, r11]"), products!("r3", "r9", "r10"),
    ) };
    ($x:literal, 7) => { concat!(
        one_tap_products!($x, 4),
        column!($x, "[r12, r11, lsl #1]"), products!("r4", "r9", "r10"),
        "add r12, r12, r11, lsl #1\n",
        column!($x, "[r12, r11]"), products!("r5", "r9", "r10"),
        column!($x, "[r12, r11, lsl #1]"), products!("r8", "r9", "r10"),
    ) };
}

/// A loop over groups, which starts with r6 at the group's weights; `$group` are its instructions.
macro_rules! groups {
    ($($group:expr),+) => {
        concat!(
            "2:\n",
            $($group,)+
            "ldm sp, {{r6, r7, r9, r10}}\n",
            "add r6, r9\n",
            "add lr, r7\n",
            "str r6, [sp]\n",
            "cmp r6, r10\n",
            "bne 2b\n",
            "b 5f\n",
        )
    };
}

/// The loop for two taps.
macro_rules! two_taps {
    ($extend:literal, $columns:tt, $outputs:tt) => {
        groups!(
            "ldrd r9, r11, [r6]\n",
            "sxtb16 r10, r9, ror #8\n",
            "sxtb16 r9, r9\n",
            "sxtb16 r12, r11, ror #8\n",
            "sxtb16 r11, r11\n",
            two_taps_products!($extend, $columns, $outputs)
        )
    };
}

/// The loop for one tap.
macro_rules! one_tap {
    ($extend:literal, $outputs:tt) => {
        groups!(
            "ldr r9, [r6]\n",
            "sxtb16 r10, r9, ror #8\n",
            "sxtb16 r9, r9\n",
            one_tap_products!($extend, $outputs)
        )
    };
}

/// Requantizes `$acc`, as ReLU does, and goes back by one output.
macro_rules! relu {
    ($acc:literal) => {
        concat!(
            "lsl ",
            $acc,
            ", ",
            $acc,
            ", r7\n",
            "smmulr ",
            $acc,
            ", ",
            $acc,
            ", r11\n",
            "usat ",
            $acc,
            ", #8, ",
            $acc,
            "\n",
            "strb ",
            $acc,
            ", [r10]\n",
            "sub r10, r6\n",
        )
    };
}

/// The places of the labels, from a table's start on, as addresses of Thumb code.
macro_rules! table {
    ($name:literal: $($label:literal),+) => {
        concat!(
            ".p2align 2\n", $name, ":\n",
            $(".word ", $label, " - ", $name, "b + 1\n",)+
        )
    };
}

/// Does a job.
///
/// # Safety
/// All pointers but `out` must be aligned to words. The rows must hold the columns of the outputs for each
/// group of `len` and `second_len`, and the weights reach as far, for each channel; `acc`, or `bias`,
/// `multipliers` and `out`, must reach for each channel. `len` and `channels` must not be 0.
#[inline(never)]
unsafe fn sums(job: &mut Job, which: Loop) {
    job.which = which.of_size(job.size);
    // SAFETY: reads only what the caller vouches for, writes outputs or accumulators and the job, and
    // restores r6, r7 and sp. The table has a place for each `which`, the second one for each `size`.
    unsafe {
        asm!(
            "push {{r6, r7}}",
            "sub sp, #32",
            "ldrd r2, r3, [r12, #32]",
            "strd r2, r3, [sp, #4]",
            "str r12, [sp, #20]",
            "ldrd r2, r3, [r12, #64]",
            "adr.w r4, 20f",
            "ldr r5, [r4, r2, lsl #2]",
            "add r4, r5",
            "adr.w r5, 21f",
            "ldr r2, [r5, r3, lsl #2]",
            "add r5, r2",
            "strd r4, r5, [sp, #24]",
            // A channel.
            "3:",
            "ldm r12, {{r0, r1, r2, r3, r6}}",
            "ldr r11, [r12, #40]",
            "ldr r7, [r12, #44]",
            "add r4, r6, r1",
            "add r5, r4, r3",
            "str r6, [sp]",
            "strd r4, r5, [sp, #12]",
            "mov lr, r0",
            "cbz r7, 4f",
            "ldr r0, [r7], #4",
            "str r7, [r12, #44]",
            "mov r1, r0",
            "mov r2, r0",
            "mov r3, r0",
            "mov r4, r0",
            "mov r5, r0",
            "mov r8, r0",
            "ldr pc, [sp, #24]",
            "4:",
            "ldr r9, [r12, #24]",
            "ldm r9, {{r0, r1, r2, r3, r4, r5, r8}}",
            "ldr pc, [sp, #24]",
            table!("20": "30f", "31f", "32f", "33f", "34f", "35f", "36f", "37f", "38f", "39f", "40f", "41f",
                "42f", "43f", "44f", "45f", "46f", "47f"),
            table!("21": "50f", "51f", "52f", "53f"),
            concat!("30:\n", two_taps!("uxtb16", all, 7)),
            concat!("31:\n", two_taps!("uxtb16", all, 4)),
            concat!("32:\n", two_taps!("uxtb16", all, 2)),
            concat!("33:\n", two_taps!("uxtb16", all, 1)),
            concat!("34:\n", two_taps!("sxtb16", all, 7)),
            concat!("35:\n", two_taps!("sxtb16", all, 4)),
            concat!("36:\n", two_taps!("sxtb16", all, 2)),
            concat!("37:\n", two_taps!("sxtb16", all, 1)),
            concat!("38:\n", one_tap!("uxtb16", 7)),
            concat!("39:\n", one_tap!("uxtb16", 4)),
            concat!("40:\n", one_tap!("uxtb16", 2)),
            concat!("41:\n", one_tap!("uxtb16", 1)),
            concat!("42:\n", one_tap!("sxtb16", 7)),
            concat!("43:\n", one_tap!("sxtb16", 4)),
            concat!("44:\n", one_tap!("sxtb16", 2)),
            concat!("45:\n", one_tap!("sxtb16", 1)),
            concat!("46:\n", two_taps!("uxtb16", left, 7)),
            concat!("47:\n", two_taps!("uxtb16", right, 7)),
            // The second run of rows, if there is one.
            "5:",
            "ldrd r9, r12, [sp, #16]",
            "cmp r6, r9",
            "beq 6f",
            "ldr lr, [r12, #8]",
            "str r9, [sp, #12]",
            "ldr pc, [sp, #24]",
            "6:",
            "ldr r7, [r12, #20]",
            "add r6, r7",
            "str r6, [r12, #16]",
            "ldrd r9, r10, [r12, #48]",
            "cmp r9, #0",
            "beq 7f",
            "ldr r11, [r9], #4",
            "ldrd r6, r7, [r12, #56]",
            "add lr, r10, #1",
            "strd r9, lr, [r12, #48]",
            "ldr pc, [sp, #28]",
            "50:",
            relu!("r8"),
            relu!("r5"),
            relu!("r4"),
            "51:",
            relu!("r3"),
            relu!("r2"),
            "52:",
            relu!("r1"),
            "53:",
            relu!("r0"),
            "b 8f",
            "7:",
            "ldr r9, [r12, #24]",
            "stm r9!, {{r0, r1, r2, r3, r4, r5, r8}}",
            "str r9, [r12, #24]",
            "8:",
            "ldr r9, [r12, #28]",
            "subs r9, #1",
            "str r9, [r12, #28]",
            "bne.w 3b",
            "add sp, #32",
            "pop {{r6, r7}}",
            out("r0") _,
            out("r1") _,
            out("r2") _,
            out("r3") _,
            out("r4") _,
            out("r5") _,
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
            inout("r12") core::ptr::from_mut(job) => _,
            out("lr") _,
        );
    }
}

/// Outputs of a linear layer with ReLU, four at a time.
#[repr(C)]
struct Linear {
    input: *const u32,
    /// The input's end.
    end: *const u32,
    weights: *const i8,
    bias: *const [u8; 4],
    /// The class's column; null if there is none.
    column: *const u8,
    class_step: i32,
    multipliers: *const [u8; 4],
    out: *mut u8,
    /// Bytes from four outputs to the next four.
    group_step: usize,
    shift: u32,
    /// How many fours are still to come.
    tiles: usize,
}

/// Does a job.
///
/// # Safety
/// The input, `weights`, `bias` and `multipliers` must be aligned to words. The weights must reach for each
/// word of the input and each tile, the others for each tile; there must be at least one of both.
#[inline(always)]
unsafe fn linear(job: &mut Linear, signed: bool) {
    // r0 to r3 are the accumulators, r4, r5, r8 and r12 words of weights, r11 and lr a widened group, r9 and
    // r10 point to the input and the weights, r6 to the input's end.
    macro_rules! output {
        ($acc:literal, $weights:literal) => {
            concat!(
                "sxtb16 r7, ",
                $weights,
                "\n",
                "smlad ",
                $acc,
                ", r7, r11, ",
                $acc,
                "\n",
                "sxtb16 ",
                $weights,
                ", ",
                $weights,
                ", ror #8\n",
                "smlad ",
                $acc,
                ", ",
                $weights,
                ", lr, ",
                $acc,
                "\n",
            )
        };
    }
    macro_rules! relu {
        ($acc:literal, $multiplier:literal, $place:literal) => {
            concat!(
                "lsl ",
                $acc,
                ", ",
                $acc,
                ", lr\n",
                "smmulr ",
                $acc,
                ", ",
                $acc,
                ", ",
                $multiplier,
                "\n",
                "usat ",
                $acc,
                ", #8, ",
                $acc,
                "\n",
                "strb ",
                $acc,
                ", ",
                $place,
                "\n",
            )
        };
    }
    macro_rules! add_class {
        ($acc:literal) => {
            concat!("ldrsb r8, [r4], #1\nmla ", $acc, ", r8, r5, ", $acc, "\n")
        };
    }
    macro_rules! run {
        ($extend:literal) => {
            asm!(
                "push {{r6, r7}}",
                "push {{r12}}",
                "3:",
                "ldm r12, {{r0, r6, r10, r11}}",
                "mov r9, r0",
                "ldrd r4, r5, [r12, #16]",
                "ldm r11!, {{r0, r1, r2, r3}}",
                "str r11, [r12, #12]",
                "cbz r4, 2f",
                add_class!("r0"),
                add_class!("r1"),
                add_class!("r2"),
                add_class!("r3"),
                "str r4, [r12, #16]",
                "2:",
                "ldr lr, [r9], #4",
                "ldm r10!, {{r4, r5, r8, r12}}",
                concat!($extend, " r11, lr"),
                concat!($extend, " lr, lr, ror #8"),
                output!("r0", "r4"),
                output!("r1", "r5"),
                output!("r2", "r8"),
                output!("r3", "r12"),
                "cmp r9, r6",
                "bne 2b",
                "ldr r12, [sp]",
                "str r10, [r12, #8]",
                "ldrd r9, r10, [r12, #24]",
                "ldrd r11, lr, [r12, #32]",
                "ldm r9!, {{r4, r5, r7, r8}}",
                relu!("r0", "r4", "[r10]"),
                relu!("r1", "r5", "[r10, #1]"),
                relu!("r2", "r7", "[r10, #2]"),
                relu!("r3", "r8", "[r10, #3]"),
                "add r10, r11",
                "strd r9, r10, [r12, #24]",
                "ldr r9, [r12, #40]",
                "subs r9, #1",
                "str r9, [r12, #40]",
                "bne 3b",
                "add sp, #4",
                "pop {{r6, r7}}",
                out("r0") _,
                out("r1") _,
                out("r2") _,
                out("r3") _,
                out("r4") _,
                out("r5") _,
                out("r8") _,
                out("r9") _,
                out("r10") _,
                out("r11") _,
                inout("r12") core::ptr::from_mut(&mut *job) => _,
                out("lr") _,
            )
        };
    }
    // SAFETY: reads only what the caller vouches for, writes outputs and the job; r6, r7, sp are restored.
    unsafe {
        match signed {
            true => run!("sxtb16"),
            false => run!("uxtb16"),
        }
    }
}
