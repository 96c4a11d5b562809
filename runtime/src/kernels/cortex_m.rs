//! The int8 inner products with Arm's DSP extension: two products an instruction.
//!
//! SXTB16 widens bytes 0 and 2 of a word of four weights, and after a rotation bytes 1 and 3; the
//! rings keep activations in that order, so no other shuffle is needed before SMLAD.
#![allow(unsafe_code)]

use core::arch::asm;

use super::int8::{InnerProducts, TILE, Taps};
use super::portable::Portable;

/// For Cortex-M4, M7, M33 and others with the DSP extension.
pub(crate) struct Dsp;

/// Bytes 0 and 2 of a word, sign-extended to halfwords.
#[inline(always)]
fn even_bytes(word: u32) -> u32 {
    let pair;
    // SAFETY: SXTB16 reads and writes registers only.
    unsafe { asm!("sxtb16 {}, {}", out(reg) pair, in(reg) word, options(pure, nomem, nostack)) };
    pair
}

/// Bytes 1 and 3 of a word, sign-extended to halfwords.
#[inline(always)]
fn odd_bytes(word: u32) -> u32 {
    let pair;
    // SAFETY: SXTB16 reads and writes registers only.
    unsafe {
        asm!("sxtb16 {}, {}, ror #8", out(reg) pair, in(reg) word, options(pure, nomem, nostack))
    };
    pair
}

/// `acc` plus the products of the lower and of the upper halfwords.
#[inline(always)]
fn smlad(x: u32, y: u32, mut acc: i32) -> i32 {
    // SAFETY: SMLAD reads and writes registers only (and the sticky Q flag, which nothing reads).
    unsafe {
        asm!("smlad {0}, {1}, {2}, {0}", inout(reg) acc, in(reg) x, in(reg) y,
            options(pure, nomem, nostack, preserves_flags))
    };
    acc
}

/// Whether the slice starts at a whole word.
fn aligned<T>(slice: &[T]) -> bool {
    slice.as_ptr().addr() % 4 == 0
}

impl InnerProducts for Dsp {
    #[inline]
    fn row<const P: usize>(acc: [i32; P], input: &[i16], weights: &[i8], taps: Taps) -> [i32; P] {
        let Taps {
            groups,
            group_stride,
            taps: count,
            step,
        } = taps;
        let reach = (groups.max(1) - 1) * group_stride + ((P - 1) * step + count) * 4;
        let fits = input.len() >= reach && weights.len() >= groups * count * 4;
        if !fits || !aligned(input) || !aligned(weights) {
            return Portable::row(acc, input, weights, taps);
        }
        let (input, weights) = (input.as_ptr().cast::<u32>(), weights.as_ptr().cast::<u32>());
        // SAFETY: both pointers are aligned to words, and reach as far as `fits` says.
        unsafe {
            match (count, step) {
                (2, 1) => row_of::<P, 2, 1>(acc, input, weights, groups, group_stride / 2),
                _ => row_any(acc, input, weights, taps),
            }
        }
    }

    #[inline]
    fn linear(mut acc: [i32; TILE], input: &[i16], weights: &[i8]) -> [i32; TILE] {
        if !aligned(input) || !aligned(weights) {
            return Portable::linear(acc, input, weights);
        }
        let groups = (input.len() / 4).min(weights.len() / (4 * TILE));
        let mut input = input.as_ptr().cast::<u32>();
        let mut weights = weights.as_ptr().cast::<u32>();
        // SAFETY: both pointers are aligned to words, and have `groups` groups.
        unsafe {
            for _ in 0..groups {
                let (even, odd) = (*input, *input.add(1));
                for (i, acc) in acc.iter_mut().enumerate() {
                    let word = *weights.add(i);
                    *acc = smlad(even_bytes(word), even, *acc);
                    *acc = smlad(odd_bytes(word), odd, *acc);
                }
                input = input.add(2);
                weights = weights.add(TILE);
            }
        }
        acc
    }
}

/// [`InnerProducts::row`] for `T` taps, `S` columns apart; `stride` is in words.
///
/// # Safety
/// `weights` must point to `groups * T` words, and `input` to as many groups of `stride` words as
/// hold columns up to the last tap of the last output.
#[inline]
unsafe fn row_of<const P: usize, const T: usize, const S: usize>(
    mut acc: [i32; P],
    mut input: *const u32,
    mut weights: *const u32,
    groups: usize,
    stride: usize,
) -> [i32; P] {
    for _ in 0..groups {
        let mut even = [0; T];
        let mut odd = [0; T];
        for t in 0..T {
            // SAFETY: the group's weights are in bounds.
            let word = unsafe { *weights.add(t) };
            even[t] = even_bytes(word);
            odd[t] = odd_bytes(word);
        }
        for column in 0..(P - 1) * S + T {
            // SAFETY: the column is one of the group's.
            let (x_even, x_odd) = unsafe { (*input.add(column * 2), *input.add(column * 2 + 1)) };
            for (p, acc) in acc.iter_mut().enumerate() {
                if let Some(t) = column.checked_sub(p * S)
                    && t < T
                {
                    *acc = smlad(even[t], x_even, *acc);
                    *acc = smlad(odd[t], x_odd, *acc);
                }
            }
        }
        input = input.wrapping_add(stride);
        weights = weights.wrapping_add(T);
    }
    acc
}

/// [`InnerProducts::row`] for any taps.
///
/// # Safety
/// As for [`row_of`].
#[inline]
unsafe fn row_any<const P: usize>(
    mut acc: [i32; P],
    mut input: *const u32,
    mut weights: *const u32,
    taps: Taps,
) -> [i32; P] {
    for _ in 0..taps.groups {
        for t in 0..taps.taps {
            // SAFETY: the group's weights are in bounds.
            let word = unsafe { *weights.add(t) };
            let (even, odd) = (even_bytes(word), odd_bytes(word));
            for (p, acc) in acc.iter_mut().enumerate() {
                let column = (p * taps.step + t) * 2;
                // SAFETY: the column is one of the group's.
                let (x_even, x_odd) = unsafe { (*input.add(column), *input.add(column + 1)) };
                *acc = smlad(even, x_even, *acc);
                *acc = smlad(odd, x_odd, *acc);
            }
        }
        input = input.wrapping_add(taps.group_stride / 2);
        weights = weights.wrapping_add(taps.taps);
    }
    acc
}
