//! Counts executed instructions with the board's timer.
//!
//! Under `-icount shift=7` QEMU's virtual time advances exactly 128 ns an instruction, and the CMSDK
//! timer at 0x4000_0000 ticks every 40 ns of it. On real hardware the figure would be time instead.

use core::hint::black_box;
use core::ptr;

const CONTROL: *mut u32 = 0x4000_0000 as *mut u32;
const VALUE: *mut u32 = 0x4000_0004 as *mut u32;
const ENABLE: u32 = 1;

/// The instructions that `work` takes, those of reading the timer not counted.
pub fn instructions(work: impl FnOnce()) -> u64 {
    let empty = elapsed(|| ());
    elapsed(work).saturating_sub(empty)
}

fn elapsed(work: impl FnOnce()) -> u64 {
    // SAFETY: these are the registers of the board's TIMER0, which nothing else uses.
    unsafe {
        ptr::write_volatile(CONTROL, 0);
        ptr::write_volatile(VALUE, u32::MAX);
        ptr::write_volatile(CONTROL, ENABLE);
    }
    black_box(work)();
    // SAFETY: as above.
    let left = unsafe { ptr::read_volatile(VALUE) };
    (u64::from(u32::MAX - left) * 40 + 64) >> 7
}
