//! Counts executed instructions with the core's own counter of them.

use core::arch::asm;
use core::hint::black_box;

use firmware_shared::counter::Counter;

/// The counter of this core.
pub const COUNTER: Counter = Counter::new(elapsed);

fn elapsed(work: &mut dyn FnMut()) -> u64 {
    let before = retired();
    black_box(work)();
    retired().wrapping_sub(before)
}

/// The 64 bits of `minstret`, whose upper half is read twice in case the lower one ran over between.
fn retired() -> u64 {
    loop {
        let (high, low, again): (u32, u32, u32);
        // SAFETY: reads registers.
        unsafe {
            asm!(
                "csrr {}, minstreth", "csrr {}, minstret", "csrr {}, minstreth",
                out(reg) high, out(reg) low, out(reg) again,
                options(nomem, nostack, preserves_flags)
            );
        }
        if high == again {
            return u64::from(high) << 32 | u64::from(low);
        }
    }
}
