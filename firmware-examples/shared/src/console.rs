//! The console of the machine that runs QEMU, or the debugger's.

use core::fmt;

use semihosting::print;

/// Writes what it is given, unbuffered.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        print!("{text}");
        Ok(())
    }
}
