//! The int8 inner products with Arm's DSP extension: two products an instruction.
//!
//! SXTB16 widens bytes 0 and 2 of a word of four weights, and after a rotation bytes 1 and 3; the
//! rings keep activations in planes of the same pairs, so no other shuffle is needed before SMLAD.
//! Up to seven neighbouring outputs share each widened weight and, where they overlap, each
//! activation loaded: 45 instructions for 56 products in the inner loop of a full tile with two
//! taps. Fourteen registers are all there are, which is why the loops are written out by hand.
#![allow(unsafe_code)]

use core::arch::asm;

use super::int8::{InnerProducts, LINEAR_TILE, TILE, Taps};
use super::portable::Portable;

/// For Cortex-M4, M7, M33 and others with the DSP extension.
pub(crate) struct Dsp;

impl InnerProducts for Dsp {
    #[inline]
    fn row(acc: &mut [i32; TILE], outputs: usize, input: &[i16], weights: &[i8], taps: Taps) {
        let Taps {
            groups,
            plane_len,
            count,
            step,
        } = taps;
        let outputs = outputs.clamp(1, TILE);
        let reach = (groups * 2).saturating_sub(1) * plane_len + (outputs + count - 1) * 2;
        let fits = input.len() >= reach && weights.len() >= groups * count * 4;
        if !fits || groups == 0 || step != 1 || !aligned(input) || !aligned(weights) {
            return Portable::row(acc, outputs, input, weights, taps);
        }
        let (input, weights) = (input.as_ptr(), weights.as_ptr());
        // SAFETY: both pointers are aligned to words, and reach as far as `fits` says.
        unsafe {
            if count == 2 {
                return two_taps(acc, outputs, input, weights, Loop::new(groups, plane_len));
            }
            for tap in 0..count {
                let (input, weights) = (input.add(tap * 2), weights.add(tap * 4));
                one_tap(
                    acc,
                    outputs,
                    input,
                    weights,
                    count * 4,
                    Loop::new(groups, plane_len),
                );
            }
        }
    }

    #[inline]
    fn linear(acc: &mut [i32; LINEAR_TILE], input: &[i16], weights: &[i8]) {
        let groups = (input.len() / 4).min(weights.len() / (4 * LINEAR_TILE));
        if groups == 0 || !aligned(input) || !aligned(weights) {
            return Portable::linear(acc, input, weights);
        }
        // SAFETY: both pointers are aligned to words, and reach for `groups` groups.
        unsafe { linear(acc, input.as_ptr(), weights.as_ptr(), groups) }
    }
}

/// Whether the slice starts at a whole word.
#[inline(always)]
fn aligned<T>(slice: &[T]) -> bool {
    slice.as_ptr().addr().is_multiple_of(4)
}

/// The state of a loop over groups, two a turn, in two registers.
#[derive(Clone, Copy)]
struct Loop {
    /// Bytes of a plane in the lower half, for UXTAH; turns still to come, less one and times two,
    /// in the upper half.
    state: u32,
    /// Whether the first turn does only its second group.
    odd: u32,
}

impl Loop {
    /// A loop over at least one group. A checked model's planes have less than 2^16 bytes, and its
    /// groups are less than 2^11.
    #[inline(always)]
    fn new(groups: usize, plane_len: usize) -> Self {
        let odd = groups as u32 & 1;
        Self {
            state: ((groups as u32 + odd - 2) << 16) | (plane_len as u32 * 2),
            odd,
        }
    }
}

// The loops name their registers, since between them they use every one that there is:
// r0 to r5 and r8 are the accumulators of outputs 0 to 6, r9 points to the activations and r10 to
// the weights, r11 is the loop's state, r12 and lr are widened weights, r6 and r7 activations.
// LLVM keeps r6 and r7 for itself, so they are saved.

/// Adds to `$acc` the two products of `$weights` and `$input`.
macro_rules! smlad {
    ($acc:literal, $weights:literal, $input:literal) => {
        concat!(
            "smlad ", $acc, ", ", $weights, ", ", $input, ", ", $acc, "\n"
        )
    };
}

/// Loads the words of two columns into r6 and r7.
macro_rules! columns {
    ($offset:literal) => {
        concat!("ldrd r6, r7, [r9, #", $offset, "]\n")
    };
}

/// Loads the word of one column into r6.
macro_rules! column {
    ($offset:literal) => {
        concat!("ldr r6, [r9, #", $offset, "]\n")
    };
}

/// The products of one plane for two taps, whose weights are in r12 and lr: output `i` takes the
/// columns `i` and `i + 1`.
#[rustfmt::skip]
macro_rules! two_taps_products {
    (1) => { concat!(columns!(0), smlad!("r0", "r12", "r6"), smlad!("r0", "lr", "r7")) };
    (2) => { two_taps_products!(1, "r1", 8) };
    (3) => { two_taps_products!(1, "r1", "r2", 8) };
    (4) => { two_taps_products!(3, "r3", 16) };
    (5) => { two_taps_products!(3, "r3", "r4", 16) };
    (6) => { two_taps_products!(5, "r5", 24) };
    (7) => { two_taps_products!(5, "r5", "r8", 24) };
    ($before:tt, $i:literal, $offset:literal) => {
        concat!(
            two_taps_products!($before), smlad!($i, "r12", "r7"),
            column!($offset), smlad!($i, "lr", "r6"),
        )
    };
    ($before:tt, $i:literal, $j:literal, $offset:literal) => {
        concat!(
            two_taps_products!($before), smlad!($i, "r12", "r7"),
            columns!($offset), smlad!($i, "lr", "r6"),
            smlad!($j, "r12", "r6"), smlad!($j, "lr", "r7"),
        )
    };
}

/// The products of one plane for one tap, whose weights are in r12: output `i` takes column `i`.
#[rustfmt::skip]
macro_rules! one_tap_products {
    (1) => { concat!(column!(0), smlad!("r0", "r12", "r6")) };
    (2) => { concat!(columns!(0), smlad!("r0", "r12", "r6"), smlad!("r1", "r12", "r7")) };
    (3) => { concat!(one_tap_products!(2), column!(8), smlad!("r2", "r12", "r6")) };
    (4) => { one_tap_products!(2, 8, "r2", "r3") };
    (5) => { concat!(one_tap_products!(4), column!(16), smlad!("r4", "r12", "r6")) };
    (6) => { one_tap_products!(4, 16, "r4", "r5") };
    (7) => { concat!(one_tap_products!(6), column!(24), smlad!("r8", "r12", "r6")) };
    ($before:tt, $offset:literal, $i:literal, $j:literal) => {
        concat!(
            one_tap_products!($before), columns!($offset),
            smlad!($i, "r12", "r6"), smlad!($j, "r12", "r7"),
        )
    };
}

/// Loads the accumulators, runs a loop over groups, two a turn, with the instructions `$group` for
/// each, and stores the accumulators. `$stride` is what lr holds in the loop.
macro_rules! run {
    ($acc:ident, $input:ident, $weights:ident, $turns:ident, $stride:expr, $group:expr) => {
        asm!(
            "push {{r6, r7, lr}}",
            "cmp r0, #0",
            "mov r12, r1",
            "ldm lr, {{r0, r1, r2, r3, r4, r5, r8}}",
            "mov lr, r12",
            "bne 3f",
            "2:",
            $group,
            "3:",
            $group,
            "subs r11, r11, #0x20000",
            "bcs 2b",
            "pop {{r6, r7, lr}}",
            "stm lr, {{r0, r1, r2, r3, r4, r5, r8}}",
            inout("r0") $turns.odd => _,
            inout("r1") $stride => _,
            out("r2") _,
            out("r3") _,
            out("r4") _,
            out("r5") _,
            out("r8") _,
            inout("r9") $input => _,
            inout("r10") $weights => _,
            inout("r11") $turns.state => _,
            out("r12") _,
            inout("lr") $acc.as_mut_ptr() => _,
        )
    };
}

/// The products of one row of inputs for two taps, one column apart.
///
/// # Safety
/// `weights` must point to the words of two taps for each group, `input` to its planes, which must
/// hold `outputs + 1` columns; both must be aligned to words.
#[inline(always)]
unsafe fn two_taps(
    acc: &mut [i32; TILE],
    outputs: usize,
    input: *const i16,
    weights: *const i8,
    turns: Loop,
) {
    macro_rules! run_outputs {
        ($outputs:tt) => {
            run!(
                acc,
                input,
                weights,
                turns,
                0,
                concat!(
                    "ldrd r12, lr, [r10]\n",
                    "sxtb16 r12, r12\n",
                    "sxtb16 lr, lr\n",
                    two_taps_products!($outputs),
                    "uxtah r9, r9, r11\n",
                    "ldrd r12, lr, [r10], #8\n",
                    "sxtb16 r12, r12, ror #8\n",
                    "sxtb16 lr, lr, ror #8\n",
                    two_taps_products!($outputs),
                    "uxtah r9, r9, r11\n",
                )
            )
        };
    }
    // SAFETY: reads only what the caller vouches for and writes `acc`; r6 and r7 are restored.
    unsafe {
        match outputs {
            1 => run_outputs!(1),
            2 => run_outputs!(2),
            3 => run_outputs!(3),
            4 => run_outputs!(4),
            5 => run_outputs!(5),
            6 => run_outputs!(6),
            _ => run_outputs!(7),
        }
    }
}

/// The products of one row of inputs for one tap of several.
///
/// # Safety
/// `weights` must point to a word for each group, `stride` bytes apart, `input` to its planes,
/// which must hold `outputs` columns; all must be aligned to words.
#[inline(always)]
unsafe fn one_tap(
    acc: &mut [i32; TILE],
    outputs: usize,
    input: *const i16,
    weights: *const i8,
    stride: usize,
    turns: Loop,
) {
    macro_rules! run_outputs {
        ($outputs:tt) => {
            run!(
                acc,
                input,
                weights,
                turns,
                stride,
                concat!(
                    "ldr r12, [r10]\n",
                    "sxtb16 r12, r12\n",
                    one_tap_products!($outputs),
                    "uxtah r9, r9, r11\n",
                    "ldr r12, [r10]\n",
                    "add r10, r10, lr\n",
                    "sxtb16 r12, r12, ror #8\n",
                    one_tap_products!($outputs),
                    "uxtah r9, r9, r11\n",
                )
            )
        };
    }
    // SAFETY: reads only what the caller vouches for and writes `acc`; r6 and r7 are restored.
    unsafe {
        match outputs {
            1 => run_outputs!(1),
            2 => run_outputs!(2),
            3 => run_outputs!(3),
            4 => run_outputs!(4),
            5 => run_outputs!(5),
            6 => run_outputs!(6),
            _ => run_outputs!(7),
        }
    }
}

/// The products of a vector with four outputs' weights.
///
/// # Safety
/// `input` must point to four elements for each group, `weights` to sixteen; both must be aligned
/// to words, and `groups` must not be 0.
#[inline(always)]
unsafe fn linear(
    acc: &mut [i32; LINEAR_TILE],
    input: *const i16,
    weights: *const i8,
    groups: usize,
) {
    // r0 to r3 are the accumulators, r4, r5, r8 and r12 words of weights, r11 and lr activations.
    macro_rules! output {
        ($acc:literal, $weights:literal) => {
            concat!(
                "sxtb16 r7, ",
                $weights,
                "\n",
                smlad!($acc, "r7", "r11"),
                "sxtb16 ",
                $weights,
                ", ",
                $weights,
                ", ror #8\n",
                smlad!($acc, $weights, "lr"),
            )
        };
    }
    macro_rules! group {
        () => {
            concat!(
                "ldrd r11, lr, [r9], #8\n",
                "ldm r10!, {{r4, r5, r8, r12}}\n",
                output!("r0", "r4"),
                output!("r1", "r5"),
                output!("r2", "r8"),
                output!("r3", "r12"),
            )
        };
    }
    let odd = groups as u32 & 1;
    // SAFETY: reads only what the caller vouches for and writes `acc`; r6 and r7 are restored.
    unsafe {
        asm!(
            "push {{r6, r7, lr}}",
            "mov r6, r4",
            "cmp r5, #0",
            "ldm lr, {{r0, r1, r2, r3}}",
            "bne 3f",
            "2:",
            group!(),
            "3:",
            group!(),
            "subs r6, #2",
            "bne 2b",
            "pop {{r6, r7, lr}}",
            "stm lr, {{r0, r1, r2, r3}}",
            out("r0") _,
            out("r1") _,
            out("r2") _,
            out("r3") _,
            inout("r4") groups as u32 + odd => _,
            inout("r5") odd => _,
            out("r8") _,
            inout("r9") input => _,
            inout("r10") weights => _,
            out("r11") _,
            out("r12") _,
            inout("lr") acc.as_mut_ptr() => _,
        );
    }
}
