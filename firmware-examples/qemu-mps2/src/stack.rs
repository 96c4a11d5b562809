//! Measures how deep the stack gets, by painting the memory below it.

use core::arch::asm;
use core::ptr;

const PAINT: u32 = 0xa5a5_5a5a;
/// How far down to paint, and so the deepest stack that can be measured, in bytes.
const REACH: usize = 64 * 1024;

/// The bytes of stack that `work` takes, at most 64 KiB.
#[inline(never)]
pub fn bytes(work: impl FnOnce()) -> usize {
    let top = pointer();
    // SAFETY: the linker puts the stack at the far end of 4 MiB of RAM, whose static data end far
    // below `REACH`; nothing lives below the stack pointer, and no interrupt is enabled.
    unsafe {
        for at in (top - REACH..top).step_by(4) {
            ptr::write_volatile(at as *mut u32, PAINT);
        }
    }
    work();
    // SAFETY: as above.
    let painted = |at: &usize| unsafe { ptr::read_volatile(*at as *const u32) } == PAINT;
    let untouched = (top - REACH..top).step_by(4).take_while(painted).count();
    REACH - untouched * 4
}

/// The stack pointer, a multiple of 4.
#[inline(always)]
fn pointer() -> usize {
    let pointer;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}
