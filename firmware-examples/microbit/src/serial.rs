//! The serial line to the USB connector: 115,200 baud, written only.

use core::fmt;
use core::ptr;

/// The registers of UART0; nRF51 reference manual, chapter 29.
mod register {
    const UART0: usize = 0x4000_2000;
    pub const START: *mut u32 = (UART0 + 0x008) as *mut u32;
    pub const READY: *mut u32 = (UART0 + 0x11c) as *mut u32;
    pub const ENABLE: *mut u32 = (UART0 + 0x500) as *mut u32;
    pub const PIN: *mut u32 = (UART0 + 0x50c) as *mut u32;
    pub const BYTE: *mut u32 = (UART0 + 0x51c) as *mut u32;
    pub const BAUD_RATE: *mut u32 = (UART0 + 0x524) as *mut u32;
}

const ENABLED: u32 = 4;
const BAUD_115200: u32 = 0x01d7_e000;
/// The pin that the board connects to its USB chip.
const TRANSMIT_PIN: u32 = 24;

/// The line.
pub struct Serial(());

impl Serial {
    /// Switches the line on.
    pub fn new() -> Self {
        // SAFETY: these are the registers of UART0, which nothing else uses.
        unsafe {
            ptr::write_volatile(register::PIN, TRANSMIT_PIN);
            ptr::write_volatile(register::BAUD_RATE, BAUD_115200);
            ptr::write_volatile(register::ENABLE, ENABLED);
            ptr::write_volatile(register::START, 1);
        }
        Self(())
    }

    fn write(&mut self, byte: u8) {
        // SAFETY: as in `new`.
        unsafe {
            ptr::write_volatile(register::READY, 0);
            ptr::write_volatile(register::BYTE, u32::from(byte));
            while ptr::read_volatile(register::READY) == 0 {}
        }
    }
}

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.write(byte));
        Ok(())
    }
}
