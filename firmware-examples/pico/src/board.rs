//! The Pico and what is wired to it.

use rp2040_hal::clocks::{Clock, init_clocks_and_plls};
use rp2040_hal::fugit::RateExtU32;
use rp2040_hal::gpio::bank0::{Gpio0, Gpio1, Gpio4, Gpio5, Gpio15, Gpio25};
use rp2040_hal::gpio::{
    FunctionI2C, FunctionSioInput, FunctionSioOutput, FunctionUart, Pin, Pins, PullDown, PullUp,
};
use rp2040_hal::uart::{DataBits, Enabled, StopBits, UartConfig, UartPeripheral};
use rp2040_hal::{I2C, Sio, Timer, Watchdog, pac};

/// The Pico's crystal.
const CRYSTAL_HZ: u32 = 12_000_000;

/// Sets up the flash before the program starts.
// SAFETY: `memory.x` puts the section at the start of the flash, where the chip looks for it.
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

type Data = Pin<Gpio4, FunctionI2C, PullUp>;
type Clocking = Pin<Gpio5, FunctionI2C, PullUp>;

type Transmit = Pin<Gpio0, FunctionUart, PullDown>;
type Receive = Pin<Gpio1, FunctionUart, PullDown>;

/// From whoever sends pictures.
pub type Uart = UartPeripheral<Enabled, pac::UART0, (Transmit, Receive)>;

/// What the programs use.
pub struct Board {
    /// To the display.
    pub display: I2C<pac::I2C0, (Data, Clocking)>,
    /// To ground while it is pressed.
    #[allow(dead_code, reason = "one of the programs waits for it")]
    pub button: Pin<Gpio15, FunctionSioInput, PullUp>,
    /// On the Pico itself.
    pub light: Pin<Gpio25, FunctionSioOutput, PullDown>,
    /// For waiting.
    #[allow(dead_code, reason = "one of the programs waits")]
    pub timer: Timer,
    /// At 115,200 baud.
    #[allow(dead_code, reason = "one of the programs reads")]
    pub uart: Uart,
}

impl Board {
    /// Starts the clocks and sets up the pins; `None` if that fails or was done already.
    pub fn take() -> Option<Self> {
        let pac::Peripherals {
            CLOCKS,
            I2C0,
            IO_BANK0,
            PADS_BANK0,
            PLL_SYS,
            PLL_USB,
            mut RESETS,
            SIO,
            TIMER,
            UART0,
            WATCHDOG,
            XOSC,
            ..
        } = pac::Peripherals::take()?;
        let mut watchdog = Watchdog::new(WATCHDOG);
        let clocks = init_clocks_and_plls(
            CRYSTAL_HZ,
            XOSC,
            CLOCKS,
            PLL_SYS,
            PLL_USB,
            &mut RESETS,
            &mut watchdog,
        )
        .ok()?;
        let pins = Pins::new(IO_BANK0, PADS_BANK0, Sio::new(SIO).gpio_bank0, &mut RESETS);
        let display = I2C::i2c0(
            I2C0,
            pins.gpio4.reconfigure(),
            pins.gpio5.reconfigure(),
            400.kHz(),
            &mut RESETS,
            clocks.system_clock.freq(),
        );
        let config = UartConfig::new(115_200.Hz(), DataBits::Eight, None, StopBits::One);
        let uart = UartPeripheral::new(
            UART0,
            (pins.gpio0.reconfigure(), pins.gpio1.reconfigure()),
            &mut RESETS,
        );
        let uart = uart.enable(config, clocks.peripheral_clock.freq()).ok()?;
        Some(Self {
            uart,
            display,
            button: pins.gpio15.into_pull_up_input(),
            light: pins.gpio25.into_push_pull_output(),
            timer: Timer::new(TIMER, &mut RESETS, &clocks),
        })
    }
}
