//! A multiplication with Arm's DSP extension.
#![allow(unsafe_code)]

use core::arch::asm;

/// [`arithmetic::rescale`](super::arithmetic::rescale) in an instruction that a compiler which was not told of the
/// extension does not take.
#[inline(always)]
pub(crate) fn rescale(acc: i32, shift: u32, multiplier: i32) -> i32 {
    let rounded;
    // SAFETY: changes nothing but its result.
    unsafe {
        asm!(
            // A core with the extension, which the compiler need not be told of.
            ".cpu cortex-m4",
            "smmulr {0}, {1}, {2}",
            out(reg) rounded,
            in(reg) acc << shift,
            in(reg) multiplier,
            options(nomem, nostack, preserves_flags, pure),
        );
    }
    rounded
}
