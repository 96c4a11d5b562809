//! Loops for RV32IM: a multiplication and an addition a product.
//!
//! Up to seven neighbouring outputs share each weight, and of two neighbouring taps each byte of a column: 155
//! instructions for 56 products in the inner loop of a full tile with two taps, 143 for 52 where a column is
//! outside the picture. What leaves ReLU is requantized before it leaves the registers.

use core::arch::asm;
use core::mem::offset_of;

use super::job::{Job, Linear};

// s2 to s8 are the accumulators of outputs 0 to 6, t0 and t1 weights, t2 a byte of a column, t3 a product; a1 points
// to the activations and a2 to the weights of the group at hand, a3 is where the weights of the rows at hand end and
// a6 where the channel's end, a4 the length of a plane, a5 that of a group's weights, t5 the step from one output's
// column to the next one's; a0 is the job, a7 the loop, t4 the way out, s9 the greatest byte.

/// Adds to `$acc` the product of the byte in t2 with the weight.
macro_rules! product {
    ($acc:literal, $weight:literal) => {
        concat!(
            "mul t3, t2, ",
            $weight,
            "\nadd ",
            $acc,
            ", ",
            $acc,
            ", t3\n"
        )
    };
}

/// Loads a byte of a column; `$load` is LB or LBU.
macro_rules! byte {
    ($load:literal, $place:expr) => {
        concat!($load, " t2, ", $place, "(a1)\n")
    };
}

/// The products of a channel for two taps, whose weights are in t0 and t1: output `i` takes the columns `i` and
/// `i + 1`. A column outside the picture is left out: on the `left` the first one, on the `right` the last one.
#[rustfmt::skip]
macro_rules! two_taps_products {
    ($x:literal, $lane:literal, all, 1) => { concat!(
        byte!($x, concat!("0 + ", $lane)), product!("s2", "t0"), two_taps_products!($x, $lane, left, 1),
    ) };
    ($x:literal, $lane:literal, left, 1) => { concat!(
        byte!($x, concat!("4 + ", $lane)), product!("s2", "t1"),
    ) };
    ($x:literal, $lane:literal, right, 7) => { concat!(
        two_taps_products!($x, $lane, all, 6), product!("s8", "t0"),
    ) };
    ($x:literal, $lane:literal, $from:tt, 2) => { two_taps_products!($x, $lane, $from, 1, "s3", "8 + ") };
    ($x:literal, $lane:literal, $from:tt, 3) => { two_taps_products!($x, $lane, $from, 2, "s4", "12 + ") };
    ($x:literal, $lane:literal, $from:tt, 4) => { two_taps_products!($x, $lane, $from, 3, "s5", "16 + ") };
    ($x:literal, $lane:literal, $from:tt, 5) => { two_taps_products!($x, $lane, $from, 4, "s6", "20 + ") };
    ($x:literal, $lane:literal, $from:tt, 6) => { two_taps_products!($x, $lane, $from, 5, "s7", "24 + ") };
    ($x:literal, $lane:literal, $from:tt, 7) => { two_taps_products!($x, $lane, $from, 6, "s8", "28 + ") };
    ($x:literal, $lane:literal, $from:tt, $before:tt, $acc:literal, $next:literal) => { concat!(
        two_taps_products!($x, $lane, $from, $before), product!($acc, "t0"),
        byte!($x, concat!($next, $lane)), product!($acc, "t1"),
    ) };
}

/// The products of a channel for one tap, whose weight is in t0: output `i` takes the byte at `i` times t5 from a1
/// on.
#[rustfmt::skip]
macro_rules! one_tap_products {
    ($x:literal, $lane:literal, 1) => { concat!(byte!($x, $lane), product!("s2", "t0")) };
    ($x:literal, $lane:literal, 2) => { concat!(
        one_tap_products!($x, $lane, 1), "mv t6, a1\n", one_tap_products!($x, $lane, more "s3"),
    ) };
    ($x:literal, $lane:literal, 4) => { concat!(
        one_tap_products!($x, $lane, 2), one_tap_products!($x, $lane, more "s4", "s5"),
    ) };
    ($x:literal, $lane:literal, 7) => { concat!(
        one_tap_products!($x, $lane, 4), one_tap_products!($x, $lane, more "s6", "s7", "s8"),
    ) };
    ($x:literal, $lane:literal, more $($acc:literal),+) => { concat!(
        $("add t6, t6, t5\n", $x, " t2, ", $lane, "(t6)\n", product!($acc, "t0"),)+
    ) };
}

/// A loop over groups, which starts with a2 at the group's weights; `$group` are its instructions.
macro_rules! groups {
    ($($group:expr),+) => {
        concat!(
            "2:\n",
            $($group,)+
            "add a2, a2, a5\n",
            "add a1, a1, a4\n",
            "bne a2, a3, 2b\n",
            "j 5f\n",
        )
    };
}

/// The loop for two taps.
#[rustfmt::skip]
macro_rules! two_taps {
    ($x:literal, $columns:tt, $outputs:tt) => {
        groups!(
            "lb t0, 0(a2)\n", "lb t1, 4(a2)\n", two_taps_products!($x, "0", $columns, $outputs),
            "lb t0, 1(a2)\n", "lb t1, 5(a2)\n", two_taps_products!($x, "1", $columns, $outputs),
            "lb t0, 2(a2)\n", "lb t1, 6(a2)\n", two_taps_products!($x, "2", $columns, $outputs),
            "lb t0, 3(a2)\n", "lb t1, 7(a2)\n", two_taps_products!($x, "3", $columns, $outputs)
        )
    };
}

/// The loop for one tap.
#[rustfmt::skip]
macro_rules! one_tap {
    ($x:literal, $outputs:tt) => {
        groups!(
            "lb t0, 0(a2)\n", one_tap_products!($x, "0", $outputs),
            "lb t0, 1(a2)\n", one_tap_products!($x, "1", $outputs),
            "lb t0, 2(a2)\n", one_tap_products!($x, "2", $outputs),
            "lb t0, 3(a2)\n", one_tap_products!($x, "3", $outputs)
        )
    };
}

/// Requantizes `$acc` with the shift and the multiplier, as ReLU does; t3 is taken.
macro_rules! rescale {
    ($acc:literal, $shift:literal, $multiplier:literal) => {
        concat!(
            "sll ",
            $acc,
            ", ",
            $acc,
            ", ",
            $shift,
            "\n",
            "mul t3, ",
            $acc,
            ", ",
            $multiplier,
            "\n",
            "mulh ",
            $acc,
            ", ",
            $acc,
            ", ",
            $multiplier,
            "\n",
            "srli t3, t3, 31\n",
            "add ",
            $acc,
            ", ",
            $acc,
            ", t3\n",
            "bgez ",
            $acc,
            ", 9f\n",
            "li ",
            $acc,
            ", 0\n",
            "9:\n",
            "bge s9, ",
            $acc,
            ", 9f\n",
            "mv ",
            $acc,
            ", s9\n",
            "9:\n",
        )
    };
}

/// Requantizes `$acc` and goes back by one output.
macro_rules! relu {
    ($acc:literal) => {
        concat!(
            rescale!($acc, "t1", "t0"),
            "sb ",
            $acc,
            ", 0(t2)\n",
            "sub t2, t2, t6\n"
        )
    };
}

/// The places of the labels, from a table's start on.
macro_rules! table {
    ($name:literal: $($label:literal),+) => {
        concat!(
            ".p2align 2\n", $name, ":\n",
            $(".word ", $label, " - ", $name, "b\n",)+
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
    // SAFETY: reads only what the caller vouches for, writes outputs or accumulators and the job. The table has a place
    // for each `which`, the second one for each `size`.
    unsafe {
        asm!(
            "lw t0, {which}(a0)",
            "lw t1, {size}(a0)",
            "slli t0, t0, 2",
            "slli t1, t1, 2",
            "lla a7, 20f",
            "lla t4, 21f",
            "add t0, t0, a7",
            "add t1, t1, t4",
            "lw t0, 0(t0)",
            "lw t1, 0(t1)",
            "add a7, a7, t0",
            "add t4, t4, t1",
            "lw a2, {weights}(a0)",
            "lw a4, {plane_len}(a0)",
            "lw a5, {group_len}(a0)",
            "lw t5, {step}(a0)",
            "li s9, 255",
            // A channel.
            "3:",
            "lw a1, {rows}(a0)",
            "lw t0, {len}(a0)",
            "lw t1, {second_len}(a0)",
            "lw t2, {bias}(a0)",
            "add a3, a2, t0",
            "add a6, a3, t1",
            "beqz t2, 4f",
            "lw s2, 0(t2)",
            "addi t2, t2, 4",
            "sw t2, {bias}(a0)",
            "mv s3, s2",
            "mv s4, s2",
            "mv s5, s2",
            "mv s6, s2",
            "mv s7, s2",
            "mv s8, s2",
            "jr a7",
            "4:",
            "lw t2, {acc}(a0)",
            "lw s2, 0(t2)",
            "lw s3, 4(t2)",
            "lw s4, 8(t2)",
            "lw s5, 12(t2)",
            "lw s6, 16(t2)",
            "lw s7, 20(t2)",
            "lw s8, 24(t2)",
            "jr a7",
            table!("20": "30f", "31f", "32f", "33f", "34f", "35f", "36f", "37f", "38f", "39f", "40f", "41f",
                "42f", "43f", "44f", "45f", "46f", "47f"),
            table!("21": "50f", "51f", "52f", "53f"),
            concat!("30:\n", two_taps!("lbu", all, 7)),
            concat!("31:\n", two_taps!("lbu", all, 4)),
            concat!("32:\n", two_taps!("lbu", all, 2)),
            concat!("33:\n", two_taps!("lbu", all, 1)),
            concat!("34:\n", two_taps!("lb", all, 7)),
            concat!("35:\n", two_taps!("lb", all, 4)),
            concat!("36:\n", two_taps!("lb", all, 2)),
            concat!("37:\n", two_taps!("lb", all, 1)),
            concat!("38:\n", one_tap!("lbu", 7)),
            concat!("39:\n", one_tap!("lbu", 4)),
            concat!("40:\n", one_tap!("lbu", 2)),
            concat!("41:\n", one_tap!("lbu", 1)),
            concat!("42:\n", one_tap!("lb", 7)),
            concat!("43:\n", one_tap!("lb", 4)),
            concat!("44:\n", one_tap!("lb", 2)),
            concat!("45:\n", one_tap!("lb", 1)),
            concat!("46:\n", two_taps!("lbu", left, 7)),
            concat!("47:\n", two_taps!("lbu", right, 7)),
            // The second run of rows, if there is one.
            "5:",
            "beq a2, a6, 6f",
            "lw a1, {second_rows}(a0)",
            "mv a3, a6",
            "jr a7",
            "6:",
            "lw t0, {skip}(a0)",
            "lw t1, {multipliers}(a0)",
            "add a2, a2, t0",
            "beqz t1, 7f",
            "lw t2, {out}(a0)",
            "lw t6, {stride}(a0)",
            "lw t0, 0(t1)",
            "addi t1, t1, 4",
            "addi t3, t2, 1",
            "sw t1, {multipliers}(a0)",
            "sw t3, {out}(a0)",
            "lw t1, {shift}(a0)",
            "jr t4",
            "50:",
            relu!("s8"),
            relu!("s7"),
            relu!("s6"),
            "51:",
            relu!("s5"),
            relu!("s4"),
            "52:",
            relu!("s3"),
            "53:",
            relu!("s2"),
            "j 8f",
            "7:",
            "lw t2, {acc}(a0)",
            "sw s2, 0(t2)",
            "sw s3, 4(t2)",
            "sw s4, 8(t2)",
            "sw s5, 12(t2)",
            "sw s6, 16(t2)",
            "sw s7, 20(t2)",
            "sw s8, 24(t2)",
            "addi t2, t2, 28",
            "sw t2, {acc}(a0)",
            "8:",
            "lw t0, {channels}(a0)",
            "addi t0, t0, -1",
            "sw t0, {channels}(a0)",
            "bnez t0, 3b",
            rows = const offset_of!(Job, rows),
            len = const offset_of!(Job, len),
            second_rows = const offset_of!(Job, second_rows),
            second_len = const offset_of!(Job, second_len),
            weights = const offset_of!(Job, weights),
            skip = const offset_of!(Job, skip),
            acc = const offset_of!(Job, acc),
            channels = const offset_of!(Job, channels),
            plane_len = const offset_of!(Job, plane_len),
            group_len = const offset_of!(Job, group_len),
            step = const offset_of!(Job, step),
            bias = const offset_of!(Job, bias),
            multipliers = const offset_of!(Job, multipliers),
            out = const offset_of!(Job, out),
            stride = const offset_of!(Job, stride),
            shift = const offset_of!(Job, shift),
            which = const offset_of!(Job, which),
            size = const offset_of!(Job, size),
            inout("a0") core::ptr::from_mut(job) => _,
            out("a1") _,
            out("a2") _,
            out("a3") _,
            out("a4") _,
            out("a5") _,
            out("a6") _,
            out("a7") _,
            out("t0") _,
            out("t1") _,
            out("t2") _,
            out("t3") _,
            out("t4") _,
            out("t5") _,
            out("t6") _,
            out("s2") _,
            out("s3") _,
            out("s4") _,
            out("s5") _,
            out("s6") _,
            out("s7") _,
            out("s8") _,
            out("s9") _,
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
    // s2 to s5 are the accumulators, a2 to a5 and t3 weights and products, t2 a byte of the input; a6 and a7 point to
    // the input and the weights, t6 to the input's end.
    macro_rules! product {
        ($acc:literal, $weight:literal) => {
            concat!(
                "mul ",
                $weight,
                ", ",
                $weight,
                ", t2\nadd ",
                $acc,
                ", ",
                $acc,
                ", ",
                $weight,
                "\n"
            )
        };
    }
    macro_rules! byte {
        ($load:literal, $i:literal) => {
            concat!(
                $load,
                " t2, ",
                $i,
                "(a6)\n",
                "lb a2, 0 + ",
                $i,
                "(a7)\n",
                "lb a3, 4 + ",
                $i,
                "(a7)\n",
                "lb a4, 8 + ",
                $i,
                "(a7)\n",
                "lb a5, 12 + ",
                $i,
                "(a7)\n",
                product!("s2", "a2"),
                product!("s3", "a3"),
                product!("s4", "a4"),
                product!("s5", "a5"),
            )
        };
    }
    macro_rules! relu {
        ($acc:literal, $i:literal) => {
            concat!(
                "lw t0, 4 * ",
                $i,
                "(a2)\n",
                rescale!($acc, "t1", "t0"),
                "sb ",
                $acc,
                ", ",
                $i,
                "(a3)\n",
            )
        };
    }
    macro_rules! add_class {
        ($acc:literal, $i:literal) => {
            concat!(
                "lb a4, ",
                $i,
                "(a3)\nmul a4, a4, t1\nadd ",
                $acc,
                ", ",
                $acc,
                ", a4\n"
            )
        };
    }
    macro_rules! group {
        ($load:literal) => {
            concat!(
                byte!($load, "0"),
                byte!($load, "1"),
                byte!($load, "2"),
                byte!($load, "3"),
                "addi a6, a6, 4\n",
                "addi a7, a7, 16\n",
            )
        };
    }
    // SAFETY: reads only what the caller vouches for, and writes outputs or sums and the job.
    unsafe {
        asm!(
            "lw t6, {end}(a0)",
            "lw a7, {weights}(a0)",
            "lw t4, {tiles}(a0)",
            "lw t5, {signed}(a0)",
            "li s9, 255",
            "3:",
            "lw a6, {input}(a0)",
            "lw a2, {bias}(a0)",
            "lw a3, {column}(a0)",
            "lw s2, 0(a2)",
            "lw s3, 4(a2)",
            "lw s4, 8(a2)",
            "lw s5, 12(a2)",
            "addi a2, a2, 16",
            "sw a2, {bias}(a0)",
            "beqz a3, 2f",
            "lw t1, {class_step}(a0)",
            add_class!("s2", "0"),
            add_class!("s3", "1"),
            add_class!("s4", "2"),
            add_class!("s5", "3"),
            "addi a3, a3, 4",
            "sw a3, {column}(a0)",
            "2:",
            "beqz t5, 4f",
            "2:",
            group!("lb"),
            "bne a6, t6, 2b",
            "j 5f",
            "4:",
            group!("lbu"),
            "bne a6, t6, 4b",
            "5:",
            "lw a2, {multipliers}(a0)",
            "lw a3, {out}(a0)",
            "beqz a2, 6f",
            "lw a4, {group_step}(a0)",
            "lw t1, {shift}(a0)",
            relu!("s2", "0"),
            relu!("s3", "1"),
            relu!("s4", "2"),
            relu!("s5", "3"),
            "addi a2, a2, 16",
            "add a3, a3, a4",
            "sw a2, {multipliers}(a0)",
            "sw a3, {out}(a0)",
            "addi t4, t4, -1",
            "bnez t4, 3b",
            "j 7f",
            "6:",
            "sw a7, {weights}(a0)",
            "sw s2, 0(a3)",
            "sw s3, 4(a3)",
            "sw s4, 8(a3)",
            "sw s5, 12(a3)",
            "7:",
            input = const offset_of!(Linear, input),
            end = const offset_of!(Linear, end),
            weights = const offset_of!(Linear, weights),
            bias = const offset_of!(Linear, bias),
            column = const offset_of!(Linear, column),
            class_step = const offset_of!(Linear, class_step),
            multipliers = const offset_of!(Linear, multipliers),
            out = const offset_of!(Linear, out),
            group_step = const offset_of!(Linear, group_step),
            shift = const offset_of!(Linear, shift),
            tiles = const offset_of!(Linear, tiles),
            signed = const offset_of!(Linear, signed),
            inout("a0") core::ptr::from_mut(job) => _,
            out("a2") _,
            out("a3") _,
            out("a4") _,
            out("a5") _,
            out("a6") _,
            out("a7") _,
            out("t0") _,
            out("t1") _,
            out("t2") _,
            out("t3") _,
            out("t4") _,
            out("t5") _,
            out("t6") _,
            out("s2") _,
            out("s3") _,
            out("s4") _,
            out("s5") _,
            out("s9") _,
        );
    }
}
