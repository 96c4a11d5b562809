//! Loops for ARMv7-M without the DSP extension: one product an instruction.
//!
//! Up to seven neighbouring outputs share each weight, and of two neighbouring taps each byte of a column: 101
//! instructions for 56 products in the inner loop of a full tile with two taps, 93 for 52 where a column is
//! outside the picture. What leaves ReLU is requantized before it leaves the registers.

use core::arch::asm;
use core::mem::offset_of;

use super::job::{Job, Linear};

in_a_row!(first Job: rows, len, second_rows, second_len, weights);
in_a_row!(Job: step, bias);
in_a_row!(Job: multipliers, out);
in_a_row!(Job: stride, shift);
in_a_row!(Job: which, size);
in_a_row!(first Linear: input, end, weights, bias);
in_a_row!(Linear: column, class_step);
in_a_row!(Linear: multipliers, out);
in_a_row!(Linear: group_step, shift);

// The loops name their registers, since between them they use every one that there is: r0 to r5 and
// r8 are the accumulators of outputs 0 to 6, r9 and r10 weights, r6 a byte of a column; lr points to the
// activations and r12 to the weights of the group at hand, r7 is the length of a plane and r11 the step from one
// output's column to the next one's. On the stack: where the weights of the rows at hand end, the length of a
// group's weights, where the channel's weights end, the job, the loop and the way out. LLVM keeps r6 and r7 for
// itself, so they are saved.

/// Adds to `$acc` the product of the byte in r6 with the weight.
macro_rules! product {
    ($acc:literal, $weight:literal) => {
        concat!("mla ", $acc, ", r6, ", $weight, ", ", $acc, "\n")
    };
}

/// Loads a byte of a column; `$load` is LDRB or LDRSB.
macro_rules! byte {
    ($load:literal, $place:expr) => {
        concat!($load, " r6, [lr, #", $place, "]\n")
    };
}

/// The products of a channel for two taps, whose weights are in r9 and r10: output `i` takes the columns `i` and
/// `i + 1`. A column outside the picture is left out: on the `left` the first one, on the `right` the last one.
#[rustfmt::skip]
macro_rules! two_taps_products {
    ($x:literal, $lane:literal, all, 1) => { concat!(
        byte!($x, concat!("0 + ", $lane)), product!("r0", "r9"), two_taps_products!($x, $lane, left, 1),
    ) };
    ($x:literal, $lane:literal, left, 1) => { concat!(
        byte!($x, concat!("4 + ", $lane)), product!("r0", "r10"),
    ) };
    ($x:literal, $lane:literal, right, 7) => { concat!(
        two_taps_products!($x, $lane, all, 6), product!("r8", "r9"),
    ) };
    ($x:literal, $lane:literal, $from:tt, 2) => { two_taps_products!($x, $lane, $from, 1, "r1", "8 + ") };
    ($x:literal, $lane:literal, $from:tt, 3) => { two_taps_products!($x, $lane, $from, 2, "r2", "12 + ") };
    ($x:literal, $lane:literal, $from:tt, 4) => { two_taps_products!($x, $lane, $from, 3, "r3", "16 + ") };
    ($x:literal, $lane:literal, $from:tt, 5) => { two_taps_products!($x, $lane, $from, 4, "r4", "20 + ") };
    ($x:literal, $lane:literal, $from:tt, 6) => { two_taps_products!($x, $lane, $from, 5, "r5", "24 + ") };
    ($x:literal, $lane:literal, $from:tt, 7) => { two_taps_products!($x, $lane, $from, 6, "r8", "28 + ") };
    ($x:literal, $lane:literal, $from:tt, $before:tt, $acc:literal, $next:literal) => { concat!(
        two_taps_products!($x, $lane, $from, $before), product!($acc, "r9"),
        byte!($x, concat!($next, $lane)), product!($acc, "r10"),
    ) };
}

/// The products of a channel for one tap, whose weight is in r9: output `i` takes the byte at `i` times r11 from lr
/// on.
#[rustfmt::skip]
macro_rules! one_tap_products {
    ($x:literal, $lane:literal, 1) => { concat!(byte!($x, $lane), product!("r0", "r9")) };
    ($x:literal, $lane:literal, 2) => { concat!(
        one_tap_products!($x, $lane, 1), "mov r10, lr\n", one_tap_products!($x, $lane, more "r1"),
    ) };
    ($x:literal, $lane:literal, 4) => { concat!(
        one_tap_products!($x, $lane, 2), one_tap_products!($x, $lane, more "r2", "r3"),
    ) };
    ($x:literal, $lane:literal, 7) => { concat!(
        one_tap_products!($x, $lane, 4), one_tap_products!($x, $lane, more "r4", "r5", "r8"),
    ) };
    ($x:literal, $lane:literal, more $($acc:literal),+) => { concat!(
        $("add r10, r11\n", $x, " r6, [r10, #", $lane, "]\n", product!($acc, "r9"),)+
    ) };
}

/// A loop over groups, which starts with r12 at the group's weights; `$group` are its instructions.
macro_rules! groups {
    ($($group:expr),+) => {
        concat!(
            "2:\n",
            $($group,)+
            "ldrd r6, r9, [sp]\n",
            "add r12, r9\n",
            "add lr, r7\n",
            "cmp r12, r6\n",
            "bne 2b\n",
            "b 5f\n",
        )
    };
}

/// The loop for two taps.
#[rustfmt::skip]
macro_rules! two_taps {
    ($x:literal, $columns:tt, $outputs:tt) => {
        groups!(
            "ldrsb r9, [r12]\n", "ldrsb r10, [r12, #4]\n",
            two_taps_products!($x, "0", $columns, $outputs),
            "ldrsb r9, [r12, #1]\n", "ldrsb r10, [r12, #5]\n",
            two_taps_products!($x, "1", $columns, $outputs),
            "ldrsb r9, [r12, #2]\n", "ldrsb r10, [r12, #6]\n",
            two_taps_products!($x, "2", $columns, $outputs),
            "ldrsb r9, [r12, #3]\n", "ldrsb r10, [r12, #7]\n",
            two_taps_products!($x, "3", $columns, $outputs)
        )
    };
}

/// The loop for one tap.
#[rustfmt::skip]
macro_rules! one_tap {
    ($x:literal, $outputs:tt) => {
        groups!(
            "ldrsb r9, [r12]\n", one_tap_products!($x, "0", $outputs),
            "ldrsb r9, [r12, #1]\n", one_tap_products!($x, "1", $outputs),
            "ldrsb r9, [r12, #2]\n", one_tap_products!($x, "2", $outputs),
            "ldrsb r9, [r12, #3]\n", one_tap_products!($x, "3", $outputs)
        )
    };
}

/// Requantizes `$acc` with the shift and the multiplier, as ReLU does; r9 is taken.
macro_rules! rescale {
    ($acc:literal, $shift:literal, $multiplier:literal) => {
        concat!(
            "lsl ",
            $acc,
            ", ",
            $acc,
            ", ",
            $shift,
            "\n",
            "smull r9, ",
            $acc,
            ", ",
            $acc,
            ", ",
            $multiplier,
            "\n",
            "lsls r9, r9, #1\n",
            "adc ",
            $acc,
            ", ",
            $acc,
            ", #0\n",
            "usat ",
            $acc,
            ", #8, ",
            $acc,
            "\n",
        )
    };
}

/// Requantizes `$acc` and goes back by one output.
macro_rules! relu {
    ($acc:literal) => {
        concat!(
            rescale!($acc, "r7", "r11"),
            "strb ",
            $acc,
            ", [r10]\n",
            "sub r10, r6\n"
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
pub(super) unsafe fn sums(job: &mut Job) {
    // SAFETY: reads only what the caller vouches for, writes outputs or accumulators and the job, and
    // restores r6, r7 and sp. The table has a place for each `which`, the second one for each `size`.
    unsafe {
        asm!(
            "push {{r6, r7}}",
            "sub sp, #24",
            "ldr r2, [r12, #{group_len}]",
            "str r2, [sp, #4]",
            "str r12, [sp, #12]",
            "ldrd r2, r3, [r12, #{which}]",
            "adr.w r4, 20f",
            "ldr r5, [r4, r2, lsl #2]",
            "add r4, r5",
            "adr.w r5, 21f",
            "ldr r2, [r5, r3, lsl #2]",
            "add r5, r2",
            "strd r4, r5, [sp, #16]",
            // A channel.
            "3:",
            "ldm r12, {{r0, r1, r2, r3, r6}}",
            "ldr r9, [r12, #{acc}]",
            "ldrd r11, r8, [r12, #{step}]",
            "ldr r7, [r12, #{plane_len}]",
            "add r4, r6, r1",
            "add r5, r4, r3",
            "str r4, [sp]",
            "str r5, [sp, #8]",
            "mov lr, r0",
            "cmp r8, #0",
            "beq 4f",
            "ldr r0, [r8], #4",
            "str r8, [r12, #{bias}]",
            "mov r12, r6",
            "mov r1, r0",
            "mov r2, r0",
            "mov r3, r0",
            "mov r4, r0",
            "mov r5, r0",
            "mov r8, r0",
            "ldr pc, [sp, #16]",
            "4:",
            "mov r12, r6",
            "ldm r9, {{r0, r1, r2, r3, r4, r5, r8}}",
            "ldr pc, [sp, #16]",
            table!("20": "30f", "31f", "32f", "33f", "34f", "35f", "36f", "37f", "38f", "39f", "40f", "41f",
                "42f", "43f", "44f", "45f", "46f", "47f"),
            table!("21": "50f", "51f", "52f", "53f"),
            concat!("30:\n", two_taps!("ldrb", all, 7)),
            concat!("31:\n", two_taps!("ldrb", all, 4)),
            concat!("32:\n", two_taps!("ldrb", all, 2)),
            concat!("33:\n", two_taps!("ldrb", all, 1)),
            concat!("34:\n", two_taps!("ldrsb", all, 7)),
            concat!("35:\n", two_taps!("ldrsb", all, 4)),
            concat!("36:\n", two_taps!("ldrsb", all, 2)),
            concat!("37:\n", two_taps!("ldrsb", all, 1)),
            concat!("38:\n", one_tap!("ldrb", 7)),
            concat!("39:\n", one_tap!("ldrb", 4)),
            concat!("40:\n", one_tap!("ldrb", 2)),
            concat!("41:\n", one_tap!("ldrb", 1)),
            concat!("42:\n", one_tap!("ldrsb", 7)),
            concat!("43:\n", one_tap!("ldrsb", 4)),
            concat!("44:\n", one_tap!("ldrsb", 2)),
            concat!("45:\n", one_tap!("ldrsb", 1)),
            concat!("46:\n", two_taps!("ldrb", left, 7)),
            concat!("47:\n", two_taps!("ldrb", right, 7)),
            // The second run of rows, if there is one.
            "5:",
            "ldrd r9, r6, [sp, #8]",
            "cmp r12, r9",
            "beq 6f",
            "ldr lr, [r6, #{second_rows}]",
            "str r9, [sp]",
            "ldr pc, [sp, #16]",
            "6:",
            "ldr r7, [r6, #{skip}]",
            "add r7, r12",
            "mov r12, r6",
            "str r7, [r12, #{weights}]",
            "ldrd r9, r10, [r12, #{multipliers}]",
            "cmp r9, #0",
            "beq 7f",
            "ldr r11, [r9], #4",
            "ldrd r6, r7, [r12, #{stride}]",
            "add lr, r10, #1",
            "strd r9, lr, [r12, #{multipliers}]",
            "ldr pc, [sp, #20]",
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
            "ldr r9, [r12, #{acc}]",
            "stm r9!, {{r0, r1, r2, r3, r4, r5, r8}}",
            "str r9, [r12, #{acc}]",
            "8:",
            "ldr r9, [r12, #{channels}]",
            "subs r9, #1",
            "str r9, [r12, #{channels}]",
            "bne.w 3b",
            "add sp, #24",
            "pop {{r6, r7}}",
            second_rows = const offset_of!(Job, second_rows),
            weights = const offset_of!(Job, weights),
            skip = const offset_of!(Job, skip),
            acc = const offset_of!(Job, acc),
            channels = const offset_of!(Job, channels),
            plane_len = const offset_of!(Job, plane_len),
            group_len = const offset_of!(Job, group_len),
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
    // r0 to r3 are the accumulators, r4 and r7 weights, r8 a byte of the input; r9 and r10 point to the input and
    // the weights, r6 to the input's end.
    macro_rules! byte {
        ($load:literal, $i:literal) => {
            concat!(
                $load,
                " r8, [r9], #1\n",
                "ldrsb r4, [r10, #",
                $i,
                "]\n",
                "ldrsb r7, [r10, #4 + ",
                $i,
                "]\n",
                "ldrsb r5, [r10, #8 + ",
                $i,
                "]\n",
                "ldrsb r11, [r10, #12 + ",
                $i,
                "]\n",
                "mla r0, r8, r4, r0\n",
                "mla r1, r8, r7, r1\n",
                "mla r2, r8, r5, r2\n",
                "mla r3, r8, r11, r3\n",
            )
        };
    }
    macro_rules! relu {
        ($acc:literal, $multiplier:literal, $place:literal) => {
            concat!(
                rescale!($acc, "lr", $multiplier),
                "strb ",
                $acc,
                ", ",
                $place,
                "\n"
            )
        };
    }
    macro_rules! add_class {
        ($acc:literal) => {
            concat!("ldrsb r8, [r4], #1\nmla ", $acc, ", r8, r5, ", $acc, "\n")
        };
    }
    macro_rules! group {
        ($load:literal) => {
            concat!(
                byte!($load, "0"),
                byte!($load, "1"),
                byte!($load, "2"),
                byte!($load, "3"),
                "add r10, #16\n",
                "cmp r9, r6\n",
            )
        };
    }
    // SAFETY: reads only what the caller vouches for, writes outputs or sums and the job; r6 and r7 are restored.
    unsafe {
        asm!(
            "push {{r6, r7}}",
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
            "cmp r7, #0",
            "beq 4f",
            "2:",
            group!("ldrsb"),
            "bne 2b",
            "b 5f",
            "4:",
            group!("ldrb"),
            "bne 4b",
            "5:",
            "str r10, [r12, #{weights}]",
            "ldrd r6, r10, [r12, #{multipliers}]",
            "cmp r6, #0",
            "beq 6f",
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
            "bne.w 3b",
            "b 7f",
            "6:",
            "stm r10, {{r0, r1, r2, r3}}",
            "7:",
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
