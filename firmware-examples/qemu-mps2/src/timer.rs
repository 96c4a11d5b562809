//! Counts executed instructions with the board's timer.
//!
//! Under `-icount shift=7` QEMU's virtual time advances exactly 128 ns an instruction, and the CMSDK
//! timer ticks every so many of them. On real hardware the figure would be time instead.

use core::hint::black_box;
use core::ptr;

use firmware_shared::counter::Counter;

/// The counter of this board.
pub const COUNTER: Counter = Counter::new(elapsed);

/// Where the timer is: in the secure half of a board with TrustZone.
const CONTROL: *mut u32 = if cfg!(trustzone) {
    0x5000_0000 as *mut u32
} else {
    0x4000_0000 as *mut u32
};
const VALUE: *mut u32 = CONTROL.wrapping_add(1);
const ENABLE: u32 = 1;
const NANOSECONDS_A_TICK: u64 = if cfg!(trustzone) { 50 } else { 40 };

fn elapsed(work: &mut dyn FnMut()) -> u64 {
    // SAFETY: these are the registers of the board's TIMER0, which nothing else uses.
    unsafe {
        ptr::write_volatile(CONTROL, 0);
        ptr::write_volatile(VALUE, u32::MAX);
        ptr::write_volatile(CONTROL, ENABLE);
    }
    black_box(work)();
    // SAFETY: as above.
    let left = unsafe { ptr::read_volatile(VALUE) };
    (u64::from(u32::MAX - left) * NANOSECONDS_A_TICK + 64) >> 7
}
