//! Measures how deep the stack gets, by painting the memory below it.

use core::arch::asm;
use core::ptr;

const PAINT: u32 = 0xa5a5_5a5a;
/// The farthest to paint, and so the deepest stack that can be measured, in bytes.
const REACH: usize = 64 * 1024;

unsafe extern "C" {
    /// The end of the static data, by the linker scripts of cortex-m-rt and riscv-rt.
    static __sheap: u32;
}

/// The bytes of stack that `work` takes, at most 64 KiB.
#[inline(never)]
pub fn stack_bytes(work: impl FnOnce()) -> usize {
    let top = pointer();
    let bottom = (&raw const __sheap as usize).max(top.saturating_sub(REACH));
    // SAFETY: the stack grows down from the end of RAM towards the static data, which end at
    // `__sheap`; nothing lives below the stack pointer, and no interrupt is enabled.
    unsafe {
        for at in (bottom..top).step_by(4) {
            ptr::write_volatile(at as *mut u32, PAINT);
        }
    }
    call(work);
    // SAFETY: as above.
    let painted = |at: &usize| unsafe { ptr::read_volatile(*at as *const u32) } == PAINT;
    let untouched = (bottom..top).step_by(4).take_while(painted).count();
    top - bottom - untouched * 4
}

/// Calls `work` with a frame of its own, below the one that is measured from.
#[inline(never)]
fn call(work: impl FnOnce()) {
    work();
}

/// The stack pointer, a multiple of 4.
#[inline(always)]
fn pointer() -> usize {
    let pointer;
    // SAFETY: reads a register.
    #[cfg(target_arch = "arm")]
    unsafe {
        asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags))
    };
    // SAFETY: reads a register.
    #[cfg(target_arch = "riscv32")]
    unsafe {
        asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags))
    };
    pointer
}
