//! Which of the boards' cores this is.

use core::ptr;

/// Part numbers in the CPUID register, bits 4 to 15, and names.
const CORES: [(u32, &str); 5] = [
    (0xc23, "cortex-m3"),
    (0xc24, "cortex-m4"),
    (0xc27, "cortex-m7"),
    (0xd21, "cortex-m33"),
    (0xd22, "cortex-m55"),
];

/// The core's name, as in `cortex-m4`. A program for the Cortex-M0, which none of the boards has, runs
/// the same instructions on any of them.
pub fn read() -> &'static str {
    if cfg!(armv6m) {
        return "cortex-m0";
    }
    const CPUID: *const u32 = 0xe000_ed00 as *const u32;
    // SAFETY: the register is there on every Cortex-M, and reading it changes nothing.
    let part = unsafe { ptr::read_volatile(CPUID) } >> 4 & 0xfff;
    let name = CORES.iter().find(|(number, _)| *number == part);
    name.map_or("an unknown core", |(_, name)| name)
}
