//! Counts executed instructions with what an emulated board has for it.

use core::arch::asm;
use core::fmt;
use core::hint::black_box;

/// A clock that advances by one an instruction.
#[derive(Clone, Copy)]
pub struct Counter {
    elapsed: fn(work: &mut dyn FnMut()) -> u64,
}

/// A loop that the counter read wrongly.
#[derive(Clone, Copy, Debug)]
pub struct Wrong {
    /// The loop's turns, of two instructions each.
    pub turns: u32,
    /// The instructions that were read.
    pub count: u64,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { turns, count } = self;
        write!(
            f,
            "the clock does not count instructions: a loop of {turns} turns reads {count}; is QEMU run as in \
             .cargo/config.toml?"
        )
    }
}

impl Counter {
    /// A counter from the instructions that `work` takes, those of reading the clock included.
    pub const fn new(elapsed: fn(work: &mut dyn FnMut()) -> u64) -> Self {
        Self { elapsed }
    }

    /// The instructions that `work` takes, those of reading the clock not counted.
    pub fn instructions(self, mut work: impl FnMut()) -> u64 {
        // Never inlined like this: each reading is taken by the same instructions, and no other code is moved into it.
        let elapsed = black_box(self.elapsed);
        let empty = elapsed(&mut || ());
        elapsed(&mut work).saturating_sub(empty)
    }

    /// Holds the counter against loops of known length: each further turn must read two more.
    ///
    /// # Errors
    ///
    /// The first loop that reads something else.
    pub fn check(self) -> Result<(), Wrong> {
        let count = |turns| self.instructions(|| two_instructions_a_turn(turns));
        let one = count(1);
        for turns in [2, 3, 10, 1_000, 1_000_000] {
            let count = count(turns);
            if count != one + 2 * u64::from(turns - 1) {
                return Err(Wrong { turns, count });
            }
        }
        Ok(())
    }
}

#[inline(never)]
fn two_instructions_a_turn(turns: u32) {
    // SAFETY: changes nothing but its own register and the flags.
    #[cfg(target_arch = "arm")]
    unsafe {
        asm!("2: subs {0}, #1", "bne 2b", inout(reg) turns => _, options(nomem, nostack))
    };
    // SAFETY: changes nothing but its own register.
    #[cfg(target_arch = "riscv32")]
    unsafe {
        asm!("2: addi {0}, {0}, -1", "bnez {0}, 2b", inout(reg) turns => _, options(nomem, nostack))
    };
}
