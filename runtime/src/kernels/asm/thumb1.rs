//! Loops for ARMv6-M: three instructions a product, since a multiplication destroys a factor and only eight registers
//! can be multiplied.
//!
//! Up to seven neighbouring outputs share each weight, which is taken out of a word of four: 192 instructions for 56
//! products in the inner loop of a full tile with two taps, 180 for 52 where a column is outside the picture. What
//! leaves ReLU is requantized with four multiplications of halves.

use core::arch::asm;
use core::mem::offset_of;

use super::job::{Job, Linear};

// r8 to r12, lr and r0 are the accumulators of outputs 0 to 6, r3 and r4 weights, r5 a byte of a column and then its
// product, r6 and r7 words of weights; r1 points to the activations and r2 to the weights of the group at hand. The
// rest lies on the stack, in words: 0 where the weights of the rows at hand end, 1 the length of a plane, 2 where the
// channel's weights end, 3 the job, 4 the loop, 5 its way out, 6 the length of a group's weights, 7 the step from one
// output's column to the next one's, 8 how many outputs there are, and from 9 on their accumulators. What LLVM cannot
// be told of is saved.

/// Adds to `$acc` the product of the byte in r5 with the weight.
macro_rules! product {
    ("r0", $weight:literal) => {
        concat!("muls r5, ", $weight, ", r5\nadds r0, r5\n")
    };
    ($acc:literal, $weight:literal) => {
        concat!("muls r5, ", $weight, ", r5\nadd ", $acc, ", r5\n")
    };
}

/// Loads a byte of a column; `$widen` is UXTB or SXTB.
macro_rules! byte {
    ("uxtb", $place:expr) => {
        concat!("ldrb r5, ", $place, "\n")
    };
    ("sxtb", $place:expr) => {
        concat!("ldrb r5, ", $place, "\nsxtb r5, r5\n")
    };
}

/// The products of a channel for two taps, whose weights are in r3 and r4: output `i` takes the columns `i` and
/// `i + 1`. A column outside the picture is left out: on the `left` the first one, on the `right` the last one.
#[rustfmt::skip]
macro_rules! two_taps_products {
    ($x:tt, $lane:literal, all, 1) => { concat!(
        byte!($x, concat!("[r1, #0 + ", $lane, "]")), product!("r8", "r3"), two_taps_products!($x, $lane, left, 1),
    ) };
    ($x:tt, $lane:literal, left, 1) => { concat!(
        byte!($x, concat!("[r1, #4 + ", $lane, "]")), product!("r8", "r4"),
    ) };
    ($x:tt, $lane:literal, right, 7) => { concat!(
        two_taps_products!($x, $lane, all, 6),
        byte!($x, concat!("[r1, #24 + ", $lane, "]")), product!("r0", "r3"),
    ) };
    ($x:tt, $lane:literal, $from:tt, 2) => { two_taps_products!($x, $lane, $from, 1, "r9", "4 + ", "8 + ") };
    ($x:tt, $lane:literal, $from:tt, 3) => { two_taps_products!($x, $lane, $from, 2, "r10", "8 + ", "12 + ") };
    ($x:tt, $lane:literal, $from:tt, 4) => { two_taps_products!($x, $lane, $from, 3, "r11", "12 + ", "16 + ") };
    ($x:tt, $lane:literal, $from:tt, 5) => { two_taps_products!($x, $lane, $from, 4, "r12", "16 + ", "20 + ") };
    ($x:tt, $lane:literal, $from:tt, 6) => { two_taps_products!($x, $lane, $from, 5, "lr", "20 + ", "24 + ") };
    ($x:tt, $lane:literal, $from:tt, 7) => { two_taps_products!($x, $lane, $from, 6, "r0", "24 + ", "28 + ") };
    ($x:tt, $lane:literal, $from:tt, $before:tt, $acc:tt, $this:literal, $next:literal) => { concat!(
        two_taps_products!($x, $lane, $from, $before),
        byte!($x, concat!("[r1, #", $this, $lane, "]")), product!($acc, "r3"),
        byte!($x, concat!("[r1, #", $next, $lane, "]")), product!($acc, "r4"),
    ) };
}

/// The products of a channel for one tap, whose weight is in r3: output `i` takes the byte at `i` times r7 from r1
/// on.
#[rustfmt::skip]
macro_rules! one_tap_products {
    ($x:tt, $lane:literal, 1) => { concat!(byte!($x, concat!("[r1, #", $lane, "]")), product!("r8", "r3")) };
    ($x:tt, $lane:literal, 2) => { concat!(
        one_tap_products!($x, $lane, 1), "mov r4, r1\n", one_tap_products!($x, $lane, more "r9"),
    ) };
    ($x:tt, $lane:literal, 4) => { concat!(
        one_tap_products!($x, $lane, 2), one_tap_products!($x, $lane, more "r10", "r11"),
    ) };
    ($x:tt, $lane:literal, 7) => { concat!(
        one_tap_products!($x, $lane, 4), one_tap_products!($x, $lane, more "r12", "lr", "r0"),
    ) };
    ($x:tt, $lane:literal, more $($acc:tt),+) => { concat!(
        $("adds r4, r7\n", byte!($x, concat!("[r4, #", $lane, "]")), product!($acc, "r3"),)+
    ) };
}

/// A loop over groups, which starts with r2 at the group's weights; `$group` are its instructions.
macro_rules! groups {
    ($($group:expr),+) => {
        concat!(
            "2:\n",
            $($group,)+
            "ldr r3, [sp, #4]\n",
            "adds r1, r3\n",
            "ldr r3, [sp, #24]\n",
            "adds r2, r3\n",
            "ldr r3, [sp]\n",
            "cmp r2, r3\n",
            "beq 9f\n",
            "b 2b\n",
            "9:\n",
            "ldr r3, [sp, #20]\n",
            "bx r3\n",
        )
    };
}

/// The loop for two taps.
#[rustfmt::skip]
macro_rules! two_taps {
    ($x:tt, $columns:tt, $outputs:tt) => {
        groups!(
            "ldr r6, [r2]\nldr r7, [r2, #4]\n",
            "sxtb r3, r6\nsxtb r4, r7\n", two_taps_products!($x, "0", $columns, $outputs),
            "lsrs r6, r6, #8\nsxtb r3, r6\nlsrs r7, r7, #8\nsxtb r4, r7\n",
            two_taps_products!($x, "1", $columns, $outputs),
            "lsrs r6, r6, #8\nsxtb r3, r6\nlsrs r7, r7, #8\nsxtb r4, r7\n",
            two_taps_products!($x, "2", $columns, $outputs),
            "lsrs r6, r6, #8\nsxtb r3, r6\nlsrs r7, r7, #8\nsxtb r4, r7\n",
            two_taps_products!($x, "3", $columns, $outputs)
        )
    };
}

/// The loop for one tap.
#[rustfmt::skip]
macro_rules! one_tap {
    ($x:tt, $outputs:tt) => {
        groups!(
            "ldr r6, [r2]\nldr r7, [sp, #28]\n",
            "sxtb r3, r6\n", one_tap_products!($x, "0", $outputs),
            "lsrs r6, r6, #8\nsxtb r3, r6\n", one_tap_products!($x, "1", $outputs),
            "lsrs r6, r6, #8\nsxtb r3, r6\n", one_tap_products!($x, "2", $outputs),
            "lsrs r6, r6, #8\nsxtb r3, r6\n", one_tap_products!($x, "3", $outputs)
        )
    };
}

/// Requantizes r2, as ReLU does, with the shift in r8 and the multiplier's halves in r3 and r4; 2^15 is in r10, and r5,
/// r6 and r7 are taken. With `a` and `b` for the upper and lower half of the accumulator, `m` and `n` for those of the
/// multiplier, it is `am + (an >> 16) + (s >> 16) + ((low half of an + low half of s + 2^15) >> 16)`, where
/// `s = bm + (bn >> 16)`.
#[rustfmt::skip]
macro_rules! rescale {
    () => { concat!(
        "mov r5, r8\nlsls r2, r5\n",
        "uxth r5, r2\nasrs r2, r2, #16\n",
        "mov r6, r5\nmuls r6, r3, r6\nlsrs r6, r6, #16\n",
        "muls r5, r4, r5\nadds r5, r5, r6\n",
        "mov r6, r2\nmuls r6, r3, r6\n",
        "muls r2, r4, r2\n",
        "uxth r7, r5\nlsrs r5, r5, #16\nadds r2, r2, r5\n",
        "uxth r5, r6\nasrs r6, r6, #16\nadds r2, r2, r6\n",
        "adds r7, r7, r5\nadd r7, r10\nlsrs r7, r7, #16\nadds r2, r2, r7\n",
        "asrs r5, r2, #31\nbics r2, r5\n",
        "cmp r2, #255\nbls 9f\nmovs r2, #255\n",
        "9:\n",
    ) };
}

/// Puts the accumulators behind r2; r3 to r6 are taken.
#[rustfmt::skip]
macro_rules! store {
    () => { concat!(
        "mov r3, r8\nmov r4, r9\nmov r5, r10\nmov r6, r11\nstmia r2!, {{r3, r4, r5, r6}}\n",
        "mov r3, r12\nmov r4, lr\nmov r5, r0\nstmia r2!, {{r3, r4, r5}}\n",
    ) };
}

/// Saves what LLVM cannot be told of: eight words.
#[rustfmt::skip]
macro_rules! save {
    () => { concat!(
        "push {{r6, r7, lr}}\n",
        "mov r6, r8\nmov r7, r9\npush {{r6, r7}}\n",
        "mov r6, r10\nmov r7, r11\npush {{r6, r7}}\n",
        "mov r6, r12\npush {{r6}}\n",
    ) };
}

/// Restores what [`save`] saved; r5 is taken.
#[rustfmt::skip]
macro_rules! restore {
    () => { concat!(
        "pop {{r6}}\nmov r12, r6\n",
        "pop {{r6, r7}}\nmov r10, r6\nmov r11, r7\n",
        "pop {{r6, r7}}\nmov r8, r6\nmov r9, r7\n",
        "pop {{r6, r7}}\npop {{r5}}\nmov lr, r5\n",
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
    // restores all other registers. The table has a place for each `which`, the second one for each `size`.
    unsafe {
        asm!(
            save!(),
            "sub sp, #64",
            // Further than a branch goes.
            "bl 3f",
            concat!("30:\n", two_taps!("uxtb", all, 7)),
            concat!("31:\n", two_taps!("uxtb", all, 4)),
            concat!("32:\n", two_taps!("uxtb", all, 2)),
            concat!("33:\n", two_taps!("uxtb", all, 1)),
            concat!("34:\n", two_taps!("sxtb", all, 7)),
            concat!("35:\n", two_taps!("sxtb", all, 4)),
            concat!("36:\n", two_taps!("sxtb", all, 2)),
            concat!("37:\n", two_taps!("sxtb", all, 1)),
            concat!("38:\n", one_tap!("uxtb", 7)),
            concat!("39:\n", one_tap!("uxtb", 4)),
            concat!("40:\n", one_tap!("uxtb", 2)),
            concat!("41:\n", one_tap!("uxtb", 1)),
            concat!("42:\n", one_tap!("sxtb", 7)),
            concat!("43:\n", one_tap!("sxtb", 4)),
            concat!("44:\n", one_tap!("sxtb", 2)),
            concat!("45:\n", one_tap!("sxtb", 1)),
            concat!("46:\n", two_taps!("uxtb", left, 7)),
            concat!("47:\n", two_taps!("uxtb", right, 7)),
            "3:",
            "str r0, [sp, #12]",
            "ldr r1, [r0, #{plane_len}]",
            "str r1, [sp, #4]",
            "ldr r1, [r0, #{group_len}]",
            "str r1, [sp, #24]",
            "ldr r1, [r0, #{step}]",
            "str r1, [sp, #28]",
            "ldr r1, [r0, #{which}]",
            "lsls r1, r1, #2",
            "adr r2, 20f",
            "ldr r1, [r2, r1]",
            "adds r1, r1, r2",
            "str r1, [sp, #16]",
            "ldr r1, [r0, #{size}]",
            "lsls r1, r1, #2",
            "adr r2, 21f",
            "ldr r1, [r2, r1]",
            "str r1, [sp, #32]",
            "adr r2, 22f",
            "ldr r1, [r2]",
            "adds r1, r1, r2",
            "str r1, [sp, #20]",
            // A channel.
            "3:",
            "ldr r2, [r0, #{weights}]",
            "ldr r1, [r0, #{len}]",
            "adds r3, r2, r1",
            "str r3, [sp]",
            "ldr r1, [r0, #{second_len}]",
            "adds r3, r3, r1",
            "str r3, [sp, #8]",
            "ldr r1, [r0, #{rows}]",
            "ldr r3, [r0, #{bias}]",
            "cmp r3, #0",
            "beq 4f",
            "ldmia r3!, {{r4}}",
            "str r3, [r0, #{bias}]",
            "mov r8, r4",
            "mov r9, r4",
            "mov r10, r4",
            "mov r11, r4",
            "mov r12, r4",
            "mov lr, r4",
            "mov r0, r4",
            "ldr r5, [sp, #16]",
            "bx r5",
            "4:",
            "ldr r3, [r0, #{acc}]",
            "ldmia r3!, {{r4, r5, r6, r7}}",
            "mov r8, r4",
            "mov r9, r5",
            "mov r10, r6",
            "mov r11, r7",
            "ldmia r3!, {{r4, r5, r6}}",
            "mov r12, r4",
            "mov lr, r5",
            "mov r0, r6",
            "ldr r5, [sp, #16]",
            "bx r5",
            // The second run of rows, if there is one.
            "5:",
            "ldr r3, [sp, #8]",
            "cmp r2, r3",
            "beq 6f",
            "str r3, [sp]",
            "ldr r3, [sp, #12]",
            "ldr r1, [r3, #{second_rows}]",
            "ldr r5, [sp, #16]",
            "bx r5",
            "6:",
            "ldr r1, [sp, #12]",
            "ldr r3, [r1, #{skip}]",
            "adds r2, r2, r3",
            "str r2, [r1, #{weights}]",
            "ldr r7, [r1, #{multipliers}]",
            "cmp r7, #0",
            "beq 7f",
            "add r2, sp, #36",
            store!(),
            "ldmia r7!, {{r4}}",
            "str r7, [r1, #{multipliers}]",
            "uxth r3, r4",
            "lsrs r4, r4, #16",
            "ldr r5, [r1, #{shift}]",
            "mov r8, r5",
            "ldr r5, [r1, #{stride}]",
            "mov r9, r5",
            "movs r5, #1",
            "lsls r5, r5, #15",
            "mov r10, r5",
            "ldr r5, [sp, #32]",
            "mov r11, r5",
            "lsls r5, r5, #2",
            "add r0, sp, #32",
            "adds r0, r0, r5",
            "ldr r2, [r1, #{out}]",
            "adds r6, r2, #1",
            "str r6, [r1, #{out}]",
            "mov r1, r2",
            // An output, from the last one on.
            "2:",
            "ldr r2, [r0]",
            "subs r0, #4",
            rescale!(),
            "strb r2, [r1]",
            "mov r5, r9",
            "subs r1, r1, r5",
            "mov r5, r11",
            "subs r5, #1",
            "mov r11, r5",
            "bne 2b",
            "b 8f",
            "7:",
            "ldr r2, [r1, #{acc}]",
            store!(),
            "str r2, [r1, #{acc}]",
            "8:",
            "ldr r0, [sp, #12]",
            "ldr r1, [r0, #{channels}]",
            "subs r1, #1",
            "str r1, [r0, #{channels}]",
            "beq 23f",
            "b 3b",
            "23:",
            "add sp, #64",
            restore!(),
            "b 24f",
            table!("20": "30b", "31b", "32b", "33b", "34b", "35b", "36b", "37b", "38b", "39b", "40b", "41b",
                "42b", "43b", "44b", "45b", "46b", "47b"),
            // The outputs of each size.
            "21: .word 7, 4, 2, 1",
            table!("22": "5b"),
            "24:",
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
            inout("r0") core::ptr::from_mut(job) => _,
            out("r1") _,
            out("r2") _,
            out("r3") _,
            out("r4") _,
            out("r5") _,
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
    // r8 to r11 are the accumulators, r0 to r3 the bytes of a group, r4 a word of weights, r5 a weight and then a
    // product; r7 and r6 point to the input and the weights, r12 to the input's end, lr to the loop. On the stack the
    // job, and behind it the accumulators.
    macro_rules! output {
        ($acc:literal) => {
            concat!(
                "ldmia r6!, {{r4}}\n",
                "sxtb r5, r4\nmuls r5, r0, r5\nadd ",
                $acc,
                ", r5\n",
                "lsls r5, r4, #16\nasrs r5, r5, #24\nmuls r5, r1, r5\nadd ",
                $acc,
                ", r5\n",
                "lsls r5, r4, #8\nasrs r5, r5, #24\nmuls r5, r2, r5\nadd ",
                $acc,
                ", r5\n",
                "asrs r4, r4, #24\nmuls r4, r3, r4\nadd ",
                $acc,
                ", r4\n",
            )
        };
    }
    #[cfg(feature = "convolution")]
    macro_rules! add_class {
        ($acc:literal) => {
            concat!(
                "ldrb r4, [r3]\nsxtb r4, r4\nadds r3, #1\n",
                "muls r4, r5, r4\nadd ",
                $acc,
                ", r4\n",
            )
        };
    }
    macro_rules! group {
        ($widen:literal, $shift:literal) => {
            concat!(
                "ldmia r7!, {{r4}}\n",
                $widen,
                " r0, r4\nlsls r1, r4, #16\n",
                $shift,
                " r1, r1, #24\nlsls r2, r4, #8\n",
                $shift,
                " r2, r2, #24\n",
                $shift,
                " r3, r4, #24\n",
            )
        };
    }
    // SAFETY: reads only what the caller vouches for, writes outputs or sums and the job; all other registers are
    // restored.
    unsafe {
        asm!(
            save!(),
            "sub sp, #20",
            "str r0, [sp]",
            "3:",
            "ldr r0, [sp]",
            "ldr r6, [r0, #{weights}]",
            "ldr r1, [r0, #{bias}]",
            "ldmia r1!, {{r2, r3, r4, r5}}",
            "str r1, [r0, #{bias}]",
            "mov r8, r2",
            "mov r9, r3",
            "mov r10, r4",
            "mov r11, r5",
            "ldr r7, [r0, #{input}]",
            "ldr r5, [r0, #{end}]",
            "mov r12, r5",
            // Those that need no more than sums get them from less code.
            #[cfg(feature = "convolution")]
            concat!(
                "ldr r3, [r0, #{column}]\ncmp r3, #0\nbeq 2f\nldr r5, [r0, #{class_step}]\n",
                add_class!("r8"),
                add_class!("r9"),
                add_class!("r10"),
                add_class!("r11"),
                "str r3, [r0, #{column}]\n2:\n",
            ),
            "ldr r0, [r0, #{signed}]",
            "cmp r0, #0",
            "beq 4f",
            // Leaves the place behind it in lr.
            "bl 2f",
            "2:",
            group!("sxtb", "asrs"),
            "b 5f",
            "4:",
            "bl 2f",
            "2:",
            group!("uxtb", "lsrs"),
            "5:",
            output!("r8"),
            output!("r9"),
            output!("r10"),
            output!("r11"),
            "cmp r7, r12",
            "beq 5f",
            "bx lr",
            "5:",
            "ldr r7, [sp]",
            "str r6, [r7, #{weights}]",
            "mov r2, r8",
            "mov r3, r9",
            "mov r4, r10",
            "mov r5, r11",
            "ldr r1, [r7, #{out}]",
            // The outputs, one by one.
            #[cfg(feature = "convolution")]
            concat!(
                "ldr r0, [r7, #{multipliers}]\n",
                "cmp r0, #0\n",
                "beq 6f\n",
                "add r6, sp, #4\n",
                "mov r9, r6\n",
                "stmia r6!, {{r2, r3, r4, r5}}\n",
                "mov r11, r6\n",
                "ldr r5, [r7, #{shift}]\n",
                "mov r8, r5\n",
                "movs r5, #1\n",
                "lsls r5, r5, #15\n",
                "mov r10, r5\n",
                "2:\n",
                "ldmia r0!, {{r4}}\n",
                "uxth r3, r4\n",
                "lsrs r4, r4, #16\n",
                "mov r5, r9\n",
                "ldmia r5!, {{r2}}\n",
                "mov r9, r5\n",
                rescale!(),
                "strb r2, [r1]\n",
                "adds r1, #1\n",
                "cmp r9, r11\n",
                "bne 2b\n",
                "ldr r7, [sp]\n",
                "str r0, [r7, #{multipliers}]\n",
                "ldr r5, [r7, #{group_step}]\n",
                "adds r1, r1, r5\n",
                "subs r1, #4\n",
                "str r1, [r7, #{out}]\n",
                "ldr r5, [r7, #{tiles}]\n",
                "subs r5, #1\n",
                "str r5, [r7, #{tiles}]\n",
                "beq 7f\n",
                "b 3b\n",
            ),
            "6:",
            "stmia r1!, {{r2, r3, r4, r5}}",
            "7:",
            "add sp, #20",
            restore!(),
            input = const offset_of!(Linear, input),
            end = const offset_of!(Linear, end),
            weights = const offset_of!(Linear, weights),
            bias = const offset_of!(Linear, bias),
            #[cfg(feature = "convolution")]
            column = const offset_of!(Linear, column),
            #[cfg(feature = "convolution")]
            class_step = const offset_of!(Linear, class_step),
            #[cfg(feature = "convolution")]
            multipliers = const offset_of!(Linear, multipliers),
            out = const offset_of!(Linear, out),
            #[cfg(feature = "convolution")]
            group_step = const offset_of!(Linear, group_step),
            #[cfg(feature = "convolution")]
            shift = const offset_of!(Linear, shift),
            #[cfg(feature = "convolution")]
            tiles = const offset_of!(Linear, tiles),
            signed = const offset_of!(Linear, signed),
            inout("r0") core::ptr::from_mut(job) => _,
            out("r1") _,
            out("r2") _,
            out("r3") _,
            out("r4") _,
            out("r5") _,
        );
    }
}
