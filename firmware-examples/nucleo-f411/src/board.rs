//! What the program uses of the board.

use stm32f4xx_hal::gpio::PC13;
use stm32f4xx_hal::pac::{Peripherals, TIM2, USART2};
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::Config;
use stm32f4xx_hal::serial::Tx;
use stm32f4xx_hal::timer::DelayMs;

/// The parts, set up.
pub struct Board {
    /// To the debugger chip, which passes it on to USB: 115,200 baud.
    pub serial: Tx<USART2>,
    /// The blue one; it pulls its pin low.
    button: PC13,
    timer: DelayMs<TIM2>,
}

impl Board {
    /// Sets the clock to the chip's 100 MHz and sets up the parts; `None` if that was done already.
    pub fn take() -> Option<Self> {
        let peripherals = Peripherals::take()?;
        let mut rcc = peripherals.RCC.freeze(Config::hsi().sysclk(100.MHz()));
        let a = peripherals.GPIOA.split(&mut rcc);
        let c = peripherals.GPIOC.split(&mut rcc);
        let serial = peripherals.USART2.tx(a.pa2, 115_200.bps(), &mut rcc).ok()?;
        Some(Self {
            serial,
            button: c.pc13.into_input(),
            timer: peripherals.TIM2.delay_ms(&mut rcc),
        })
    }

    /// Waits until the button was let go and pressed again.
    pub fn wait_for_press(&mut self) {
        /// Longer than a contact bounces.
        const SETTLED_MS: u32 = 20;
        while self.button.is_low() {
            self.timer.delay(SETTLED_MS.millis());
        }
        while self.button.is_high() {
            self.timer.delay(SETTLED_MS.millis());
        }
    }
}
