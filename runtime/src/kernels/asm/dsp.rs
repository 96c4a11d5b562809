//! Loops with Arm's DSP extension: two products an instruction.
//!
//! SXTB16 widens bytes 0 and 2 of a word of four weights, and with a rotation bytes 1 and 3; the same
//! (or UXTB16) widens four channels of a column, and SMLAD multiplies them pair by pair. Up to seven
//! neighbouring outputs share each widened weight, and of two neighbouring taps each widened column:
//! 63 instructions for 56 products in the inner loop of a full tile with two taps, 58 for 54 where a column
//! is outside the picture. Three neighbouring taps share a widened column too: 63 instructions for 60 products. Of four
//! taps at every other column, the first and the third meet the even columns and the others the odd ones, each two as
//! two neighbouring taps: 123 for 112. Fourteen registers are all there are, which is why the loops are written out
//! by hand; what leaves ReLU, or with feature `images` no activation, is requantized before it leaves the registers.

use core::arch::asm;
use core::mem::offset_of;

use super::job::{Job, Linear};

in_a_row!(first Job: rows, len, second_rows, second_len, weights);
in_a_row!(Job: plane_len, group_len);
in_a_row!(Job: multipliers, out);
in_a_row!(Job: stride, shift);
in_a_row!(Job: which, size);
in_a_row!(first Linear: input, end, weights, bias);
in_a_row!(Linear: column, class_step);
in_a_row!(Linear: multipliers, out);
in_a_row!(Linear: group_step, shift);

// The loops name their registers, since between them they use every one that there is: r0 to r5 and
// r8 are the accumulators of outputs 0 to 6, r9 to r12 widened weights, r6 and r7 a widened column, and
// lr points to the activations. The rest lies on the stack: where the weights of the group at hand are, the
// lengths of a plane and of a group's weights, where the weights of the rows at hand end and those of the
// channel, the job, the loop and the way out. LLVM keeps r6 and r7 for itself, so they are saved.

/// Names a core with the DSP extension, which the compiler need not be told of.
macro_rules! cpu {
    () => {
        ".cpu cortex-m4"
    };
}

/// Adds to `$acc` the products of a column, widened in r6 and r7, with the weights `$even` and `$odd`.
macro_rules! products {
    ($acc:literal, $even:literal, $odd:literal) => {
        concat!(
            "smlad ", $acc, ", ", $even, ", r6, ", $acc, "\n", "smlad ", $acc, ", ", $odd,
            ", r7, ", $acc, "\n",
        )
    };
}

/// Widens a column into r6 and r7; `$extend` is SXTB16 or UXTB16.
#[rustfmt::skip]
macro_rules! widened {
    ($extend:literal, $column:literal) => { concat!(
        $extend, " r7, ", $column, ", ror #8\n", $extend, " r6, ", $column, "\n",
    ) };
}

/// Loads a column and widens it.
macro_rules! column {
    ($extend:literal, $place:literal) => {
        concat!("ldr r6, ", $place, "\n", widened!($extend, "r6"))
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

/// The products of a group for two taps, as those of `two_taps_products`, with the columns at these places.
#[cfg(pocketgan_wide)]
macro_rules! two_taps_at {
    ($x:literal, $first:literal, $($acc:literal $next:literal),+) => {
        concat!(
            column!($x, $first),
            $(products!($acc, "r9", "r10"), column!($x, $next), products!($acc, "r11", "r12"),)+
        )
    };
}

/// The products of a group for four taps at every other column: those with even columns, then those with odd ones.
#[cfg(pocketgan_wide)]
#[rustfmt::skip]
macro_rules! four_taps_products {
    ($x:literal, even, 1) => { two_taps_at!($x, "[lr]", "r0" "[lr, #8]") };
    ($x:literal, odd, 1) => { two_taps_at!($x, "[lr, #4]", "r0" "[lr, #12]") };
    ($x:literal, even, 2) => { two_taps_at!($x, "[lr]", "r0" "[lr, #8]", "r1" "[lr, #16]") };
    ($x:literal, odd, 2) => { two_taps_at!($x, "[lr, #4]", "r0" "[lr, #12]", "r1" "[lr, #20]") };
    ($x:literal, even, 4) => { two_taps_at!(
        $x, "[lr]", "r0" "[lr, #8]", "r1" "[lr, #16]", "r2" "[lr, #24]", "r3" "[lr, #32]"
    ) };
    ($x:literal, odd, 4) => { two_taps_at!(
        $x, "[lr, #4]", "r0" "[lr, #12]", "r1" "[lr, #20]", "r2" "[lr, #28]", "r3" "[lr, #36]"
    ) };
    ($x:literal, even, 7) => { two_taps_at!(
        $x, "[lr]", "r0" "[lr, #8]", "r1" "[lr, #16]", "r2" "[lr, #24]", "r3" "[lr, #32]",
        "r4" "[lr, #40]", "r5" "[lr, #48]", "r8" "[lr, #56]"
    ) };
    ($x:literal, odd, 7) => { two_taps_at!(
        $x, "[lr, #4]", "r0" "[lr, #12]", "r1" "[lr, #20]", "r2" "[lr, #28]", "r3" "[lr, #36]",
        "r4" "[lr, #44]", "r5" "[lr, #52]", "r8" "[lr, #60]"
    ) };
}

/// Adds to `$acc` the products of a column with the weights of one of three taps.
#[cfg(pocketgan_wide)]
#[rustfmt::skip]
macro_rules! tap {
    (first, $acc:literal) => { products!($acc, "r5", "r8") };
    (second, $acc:literal) => { products!($acc, "r9", "r10") };
    (third, $acc:literal) => { products!($acc, "r11", "r12") };
}

/// The products of a group for three taps, whose weights are in r5 and r8, r9 and r10, r11 and r12: output `i` takes
/// the columns `i` to `i + 2`.
#[cfg(pocketgan_wide)]
#[rustfmt::skip]
macro_rules! three_taps_products {
    ($x:literal, 1) => { concat!(
        column!($x, "[lr]"), tap!(first, "r0"),
        column!($x, "[lr, #4]"), tap!(second, "r0"),
        column!($x, "[lr, #8]"), tap!(third, "r0"),
    ) };
    ($x:literal, 2) => { concat!(
        column!($x, "[lr]"), tap!(first, "r0"),
        column!($x, "[lr, #4]"), tap!(second, "r0"), tap!(first, "r1"),
        column!($x, "[lr, #8]"), tap!(third, "r0"), tap!(second, "r1"),
        column!($x, "[lr, #12]"), tap!(third, "r1"),
    ) };
    // r4 is left, so that two columns are loaded at once.
    ($x:literal, 4) => { concat!(
        "ldrd r6, r4, [lr]\n",
        widened!($x, "r6"), tap!(first, "r0"),
        widened!($x, "r4"), tap!(second, "r0"), tap!(first, "r1"),
        "ldrd r6, r4, [lr, #8]\n",
        widened!($x, "r6"), tap!(third, "r0"), tap!(second, "r1"), tap!(first, "r2"),
        widened!($x, "r4"), tap!(third, "r1"), tap!(second, "r2"), tap!(first, "r3"),
        "ldrd r6, r4, [lr, #16]\n",
        widened!($x, "r6"), tap!(third, "r2"), tap!(second, "r3"),
        widened!($x, "r4"), tap!(third, "r3"),
    ) };
    ($x:literal, 5) => { concat!(
        column!($x, "[lr]"), tap!(first, "r0"),
        column!($x, "[lr, #4]"), tap!(second, "r0"), tap!(first, "r1"),
        column!($x, "[lr, #8]"), tap!(third, "r0"), tap!(second, "r1"), tap!(first, "r2"),
        column!($x, "[lr, #12]"), tap!(third, "r1"), tap!(second, "r2"), tap!(first, "r3"),
        column!($x, "[lr, #16]"), tap!(third, "r2"), tap!(second, "r3"), tap!(first, "r4"),
        column!($x, "[lr, #20]"), tap!(third, "r3"), tap!(second, "r4"),
        column!($x, "[lr, #24]"), tap!(third, "r4"),
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

/// The loop for three taps.
#[cfg(pocketgan_wide)]
macro_rules! three_taps {
    ($extend:literal, $outputs:tt) => {
        concat!(
            "2:\n",
            "ldm r6!, {{r5, r9, r11}}\n",
            "str r6, [sp]\n",
            "sxtb16 r8, r5, ror #8\n",
            "sxtb16 r5, r5\n",
            "sxtb16 r10, r9, ror #8\n",
            "sxtb16 r9, r9\n",
            "sxtb16 r12, r11, ror #8\n",
            "sxtb16 r11, r11\n",
            three_taps_products!($extend, $outputs),
            "ldm sp, {{r6, r7, r9, r10}}\n",
            "add lr, r7\n",
            "cmp r6, r10\n",
            "bne 2b\n",
            "b 5f\n",
        )
    };
}

/// The loop for four taps at every other column.
#[cfg(pocketgan_wide)]
macro_rules! four_taps {
    ($extend:literal, $outputs:tt) => {
        groups!(
            "ldr r9, [r6]\n",
            "ldr r11, [r6, #8]\n",
            "sxtb16 r10, r9, ror #8\n",
            "sxtb16 r9, r9\n",
            "sxtb16 r12, r11, ror #8\n",
            "sxtb16 r11, r11\n",
            four_taps_products!($extend, even, $outputs),
            "ldr r6, [sp]\n",
            "ldr r9, [r6, #4]\n",
            "ldr r11, [r6, #12]\n",
            "sxtb16 r10, r9, ror #8\n",
            "sxtb16 r9, r9\n",
            "sxtb16 r12, r11, ror #8\n",
            "sxtb16 r11, r11\n",
            four_taps_products!($extend, odd, $outputs)
        )
    };
}

/// The tables of places, with those of the loops of `wide`.
#[cfg(pocketgan_wide)]
macro_rules! tables {
    ($which:literal: $($loops:literal),+; $size:literal: $($sizes:literal),+) => {
        concat!(
            table!($which: $($loops,)+ "60f", "61f", "62f", "63f", "64f", "65f", "66f", "67f",
                "68f", "69f", "70f", "71f", "72f", "73f", "74f", "75f"),
            table!($size: $($sizes,)+ "54f", "55f", "56f", "57f", "58f", "59f"),
        )
    };
}

/// The tables of places.
#[cfg(not(pocketgan_wide))]
macro_rules! tables {
    ($which:literal: $($loops:literal),+; $size:literal: $($sizes:literal),+) => {
        concat!(table!($which: $($loops),+), table!($size: $($sizes),+))
    };
}

/// The loops for three taps and for four.
#[cfg(pocketgan_wide)]
#[rustfmt::skip]
macro_rules! wide {
    () => {
        concat!(
            "60:\n", three_taps!("uxtb16", 5), "61:\n", three_taps!("uxtb16", 4),
            "62:\n", three_taps!("uxtb16", 2), "63:\n", three_taps!("uxtb16", 1),
            "64:\n", three_taps!("sxtb16", 5), "65:\n", three_taps!("sxtb16", 4),
            "66:\n", three_taps!("sxtb16", 2), "67:\n", three_taps!("sxtb16", 1),
            "68:\n", four_taps!("uxtb16", 7), "69:\n", four_taps!("uxtb16", 4),
            "70:\n", four_taps!("uxtb16", 2), "71:\n", four_taps!("uxtb16", 1),
            "72:\n", four_taps!("sxtb16", 7), "73:\n", four_taps!("sxtb16", 4),
            "74:\n", four_taps!("sxtb16", 2), "75:\n", four_taps!("sxtb16", 1),
        )
    };
}

/// What requantizes the accumulators of layers without an activation.
#[cfg(pocketgan_wide)]
macro_rules! wide_requantize {
    () => {
        requantize_tile!("ssat", "55:\n", "59:\n", "56:\n", "57:\n", "58:\n")
    };
}

/// Those are requantized in Rust.
#[cfg(not(pocketgan_wide))]
macro_rules! wide_requantize {
    () => {
        ""
    };
}

/// There are no more loops.
#[cfg(not(pocketgan_wide))]
macro_rules! wide {
    () => {
        ""
    };
}

/// Requantizes `$acc`, which `$saturate` brings in range, and goes back by one output.
#[rustfmt::skip]
macro_rules! requantize {
    ($saturate:literal, $acc:literal) => { concat!(
        "lsl ", $acc, ", ", $acc, ", r7\n",
        "smmulr ", $acc, ", ", $acc, ", r11\n",
        $saturate, " ", $acc, ", #8, ", $acc, "\n",
        "strb ", $acc, ", [r10]\n",
        "sub r10, r6\n",
    ) };
}

/// Requantizes the accumulators of a tile, from the label for its size on.
#[rustfmt::skip]
macro_rules! requantize_tile {
    ($saturate:literal, $seven:literal, $five:literal, $four:literal, $two:literal, $one:literal) => { concat!(
        $seven, requantize!($saturate, "r8"), requantize!($saturate, "r5"),
        $five, requantize!($saturate, "r4"),
        $four, requantize!($saturate, "r3"), requantize!($saturate, "r2"),
        $two, requantize!($saturate, "r1"),
        $one, requantize!($saturate, "r0"),
        "b 8f\n",
    ) };
}

/// Does a job.
///
/// # Safety
/// All pointers but `out` must be aligned to words. The rows must hold the columns of the outputs for each
/// group of `len` and `second_len`, and the weights reach as far, for each channel; `acc`, or `bias`,
/// `multipliers` and `out`, must reach for each channel. `len` and `channels` must not be 0.
#[inline(never)]
pub(super) unsafe fn sums(job: &mut Job) {
    // SAFETY: reads only what the caller vouches for, writes outputs or accumulators and the job, and
    // restores r6, r7 and sp. The table has a place for each `which`, the second one for each `size`.
    unsafe {
        asm!(
            cpu!(),
            "push {{r6, r7}}",
            "sub sp, #32",
            "ldrd r2, r3, [r12, #{plane_len}]",
            "strd r2, r3, [sp, #4]",
            "str r12, [sp, #20]",
            "ldrd r2, r3, [r12, #{which}]",
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
            "ldr r11, [r12, #{step}]",
            "ldr r7, [r12, #{bias}]",
            "add r4, r6, r1",
            "add r5, r4, r3",
            "str r6, [sp]",
            "strd r4, r5, [sp, #12]",
            "mov lr, r0",
            "cbz r7, 4f",
            "ldr r0, [r7], #4",
            "str r7, [r12, #{bias}]",
            "mov r1, r0",
            "mov r2, r0",
            "mov r3, r0",
            "mov r4, r0",
            "mov r5, r0",
            "mov r8, r0",
            "ldr pc, [sp, #24]",
            "4:",
            "ldr r9, [r12, #{acc}]",
            "ldm r9, {{r0, r1, r2, r3, r4, r5, r8}}",
            "ldr pc, [sp, #24]",
            tables!(
                "20": "30f", "31f", "32f", "33f", "34f", "35f", "36f", "37f", "38f", "39f", "40f", "41f",
                    "42f", "43f", "44f", "45f", "46f", "47f";
                "21": "50f", "51f", "52f", "53f"
            ),
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
            wide!(),
            // The second run of rows, if there is one.
            "5:",
            "ldrd r9, r12, [sp, #16]",
            "cmp r6, r9",
            "beq 6f",
            "ldr lr, [r12, #{second_rows}]",
            "str r9, [sp, #12]",
            "ldr pc, [sp, #24]",
            "6:",
            "ldr r7, [r12, #{skip}]",
            "add r6, r7",
            "str r6, [r12, #{weights}]",
            "ldrd r9, r10, [r12, #{multipliers}]",
            "cmp r9, #0",
            "beq 7f",
            "ldr r11, [r9], #4",
            "ldrd r6, r7, [r12, #{stride}]",
            "add lr, r10, #1",
            "strd r9, lr, [r12, #{multipliers}]",
            "ldr pc, [sp, #28]",
            requantize_tile!("usat", "50:\n", "54:\n", "51:\n", "52:\n", "53:\n"),
            wide_requantize!(),
            "7:",
            "ldr r9, [r12, #{acc}]",
            "stm r9!, {{r0, r1, r2, r3, r4, r5, r8}}",
            "str r9, [r12, #{acc}]",
            "8:",
            "ldr r9, [r12, #{channels}]",
            "subs r9, #1",
            "str r9, [r12, #{channels}]",
            "bne.w 3b",
            "add sp, #32",
            "pop {{r6, r7}}",
            second_rows = const offset_of!(Job, second_rows),
            weights = const offset_of!(Job, weights),
            skip = const offset_of!(Job, skip),
            acc = const offset_of!(Job, acc),
            channels = const offset_of!(Job, channels),
            plane_len = const offset_of!(Job, plane_len),
            step = const offset_of!(Job, step),
            bias = const offset_of!(Job, bias),
            multipliers = const offset_of!(Job, multipliers),
            stride = const offset_of!(Job, stride),
            which = const offset_of!(Job, which),
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

/// Does a job; without multipliers, of its first tile only.
///
/// # Safety
/// The input, `weights`, `bias` and `multipliers` must be aligned to words. The weights must reach for each
/// word of the input and each tile, the others for each tile; there must be at least one of both. Without
/// `multipliers`, `out` must be aligned to words too, and reach for a tile's sums.
#[inline(never)]
pub(super) unsafe fn linear(job: &mut Linear) {
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
    macro_rules! group {
        ($extend:literal) => {
            concat!(
                "ldr lr, [r9], #4\n",
                "ldm r10!, {{r4, r5, r8, r12}}\n",
                $extend,
                " r11, lr\n",
                $extend,
                " lr, lr, ror #8\n",
                output!("r0", "r4"),
                output!("r1", "r5"),
                output!("r2", "r8"),
                output!("r3", "r12"),
                "cmp r9, r6\n",
            )
        };
    }
    // SAFETY: reads only what the caller vouches for, writes outputs or sums and the job; r6, r7, sp are restored.
    unsafe {
        asm!(
            cpu!(),
            "push {{r6, r7}}",
            "push {{r12}}",
            "3:",
            "ldm r12, {{r0, r6, r10, r11}}",
            "mov r9, r0",
            "ldrd r4, r5, [r12, #{column}]",
            "ldm r11!, {{r0, r1, r2, r3}}",
            "str r11, [r12, #{bias}]",
            "cbz r4, 2f",
            add_class!("r0"),
            add_class!("r1"),
            add_class!("r2"),
            add_class!("r3"),
            "str r4, [r12, #{column}]",
            "2:",
            "ldr r7, [r12, #{signed}]",
            "cbz r7, 4f",
            "2:",
            group!("sxtb16"),
            "bne 2b",
            "b 5f",
            "4:",
            group!("uxtb16"),
            "bne 4b",
            "5:",
            "ldr r12, [sp]",
            "str r10, [r12, #{weights}]",
            "ldrd r6, r10, [r12, #{multipliers}]",
            "cbz r6, 6f",
            "ldrd r11, lr, [r12, #{group_step}]",
            "ldm r6!, {{r4, r5, r7, r8}}",
            relu!("r0", "r4", "[r10]"),
            relu!("r1", "r5", "[r10, #1]"),
            relu!("r2", "r7", "[r10, #2]"),
            relu!("r3", "r8", "[r10, #3]"),
            "add r10, r11",
            "strd r6, r10, [r12, #{multipliers}]",
            "ldr r9, [r12, #{tiles}]",
            "subs r9, #1",
            "str r9, [r12, #{tiles}]",
            "bne 3b",
            "b 7f",
            "6:",
            "stm r10, {{r0, r1, r2, r3}}",
            "7:",
            "add sp, #4",
            "pop {{r6, r7}}",
            weights = const offset_of!(Linear, weights),
            bias = const offset_of!(Linear, bias),
            column = const offset_of!(Linear, column),
            multipliers = const offset_of!(Linear, multipliers),
            group_step = const offset_of!(Linear, group_step),
            tiles = const offset_of!(Linear, tiles),
            signed = const offset_of!(Linear, signed),
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
