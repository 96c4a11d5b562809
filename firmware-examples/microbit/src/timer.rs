//! Counts executed instructions with the chip's timer.
//!
//! Under `-icount shift=7` QEMU's virtual time advances exactly 128 ns an instruction, and TIMER0 ticks
//! every 62.5 ns of it. On real hardware the figure would be time instead.

use core::hint::black_box;
use core::ptr;

use firmware_shared::counter::Counter;

/// The counter of this board.
pub const COUNTER: Counter = Counter::new(elapsed);

/// The registers of TIMER0; nRF51 reference manual, chapter 18.
mod register {
    const TIMER0: usize = 0x4000_8000;
    pub const START: *mut u32 = TIMER0 as *mut u32;
    pub const STOP: *mut u32 = (TIMER0 + 0x004) as *mut u32;
    pub const CLEAR: *mut u32 = (TIMER0 + 0x00c) as *mut u32;
    pub const CAPTURE: *mut u32 = (TIMER0 + 0x040) as *mut u32;
    pub const BIT_MODE: *mut u32 = (TIMER0 + 0x508) as *mut u32;
    pub const PRESCALER: *mut u32 = (TIMER0 + 0x510) as *mut u32;
    pub const CAPTURED: *mut u32 = (TIMER0 + 0x540) as *mut u32;
}

const BITS_32: u32 = 3;

fn elapsed(work: &mut dyn FnMut()) -> u64 {
    // SAFETY: these are the registers of TIMER0, which nothing else uses.
    unsafe {
        ptr::write_volatile(register::STOP, 1);
        ptr::write_volatile(register::BIT_MODE, BITS_32);
        ptr::write_volatile(register::PRESCALER, 0);
        ptr::write_volatile(register::CLEAR, 1);
        ptr::write_volatile(register::START, 1);
    }
    black_box(work)();
    // SAFETY: as above.
    let ticks = unsafe {
        ptr::write_volatile(register::CAPTURE, 1);
        ptr::read_volatile(register::CAPTURED)
    };
    (u64::from(ticks) * 125 + 128) >> 8
}
