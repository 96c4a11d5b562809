//! Counts executed instructions with the board's timer.
//!
//! Under `-icount shift=7` QEMU's virtual time advances exactly 128 ns an instruction, and the timer ticks once in a
//! time that is known. On real hardware the figure would be time instead.

use core::hint::black_box;

use firmware_shared::counter::Counter;

#[cfg(not(mps3))]
use cmsdk as timer;
#[cfg(mps3)]
use sse as timer;

/// The counter of this board.
pub const COUNTER: Counter = Counter::new(elapsed);

const PICOSECONDS_AN_INSTRUCTION: u64 = 128_000;

fn elapsed(work: &mut dyn FnMut()) -> u64 {
    timer::start();
    let before = timer::ticks();
    black_box(work)();
    let ticks = timer::ticks().wrapping_sub(before);
    let picoseconds = u64::from(ticks) * timer::PICOSECONDS_A_TICK;
    (picoseconds + PICOSECONDS_AN_INSTRUCTION / 2) / PICOSECONDS_AN_INSTRUCTION
}

/// TIMER0 of the MPS2 boards, which counts down.
#[cfg(not(mps3))]
mod cmsdk {
    use core::ptr;

    /// Where the timer is: in the secure half of a board with TrustZone.
    const CONTROL: *mut u32 = if cfg!(trustzone) {
        0x5000_0000 as *mut u32
    } else {
        0x4000_0000 as *mut u32
    };
    const VALUE: *mut u32 = CONTROL.wrapping_add(1);
    const ENABLE: u32 = 1;
    pub const PICOSECONDS_A_TICK: u64 = if cfg!(trustzone) { 50_000 } else { 40_000 };

    /// Has it count from its largest value.
    pub fn start() {
        // SAFETY: these are the registers of the board's TIMER0, which nothing else uses.
        unsafe {
            ptr::write_volatile(CONTROL, 0);
            ptr::write_volatile(VALUE, u32::MAX);
            ptr::write_volatile(CONTROL, ENABLE);
        }
    }

    /// The ticks since some time.
    pub fn ticks() -> u32 {
        // SAFETY: as above.
        u32::MAX - unsafe { ptr::read_volatile(VALUE) }
    }
}

/// The system counter of the MPS3 board's SSE-300, which all its timers show.
#[cfg(mps3)]
mod sse {
    use core::ptr;

    /// The counter's control register, and the lower half of what timer 0 shows.
    const CONTROL: *mut u32 = 0x5810_0000 as *mut u32;
    const VALUE: *const u32 = 0x5800_0000 as *const u32;
    const ENABLE: u32 = 1;
    pub const PICOSECONDS_A_TICK: u64 = 31_250;

    /// Lets it run.
    pub fn start() {
        // SAFETY: this is the register of the board's counter, which nothing else uses.
        unsafe { ptr::write_volatile(CONTROL, ENABLE) };
    }

    /// The ticks since some time.
    pub fn ticks() -> u32 {
        // SAFETY: as above; reading it changes nothing.
        unsafe { ptr::read_volatile(VALUE) }
    }
}
