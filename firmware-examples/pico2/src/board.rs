//! The Pico 2 and what is wired to it.

use embedded_hal::spi::MODE_0;
use embedded_hal_bus::spi::ExclusiveDevice;
use rp235x_hal::block::ImageDef;
use rp235x_hal::clocks::{Clock, init_clocks_and_plls};
use rp235x_hal::fugit::RateExtU32;
use rp235x_hal::gpio::bank0::{Gpio15, Gpio16, Gpio17, Gpio18, Gpio19, Gpio20, Gpio25};
use rp235x_hal::gpio::{
    FunctionSioInput, FunctionSioOutput, FunctionSpi, Pin, Pins, PullDown, PullUp,
};
use rp235x_hal::multicore::{Multicore, Stack};
use rp235x_hal::sio::SioFifo;
use rp235x_hal::spi::Enabled;
use rp235x_hal::timer::CopyableTimer0;
use rp235x_hal::{Sio, Spi, Timer, Watchdog, pac};

/// The Pico 2's crystal.
const CRYSTAL_HZ: u32 = 12_000_000;
/// Words of the second core's stack: several times what making rows takes.
const STACK_WORDS: usize = 2048;

/// Tells the boot ROM that the flash holds a program for the Arm cores.
// SAFETY: `memory.x` puts the section behind the interrupt vectors, where the boot ROM looks for it.
#[unsafe(link_section = ".start_block")]
#[used]
static IMAGE_DEFINITION: ImageDef = ImageDef::secure_exe();

type Output<I> = Pin<I, FunctionSioOutput, PullDown>;
type Data = Pin<Gpio19, FunctionSpi, PullDown>;
type Clocking = Pin<Gpio18, FunctionSpi, PullDown>;
type Bus = Spi<Enabled, pac::SPI0, (Data, Clocking)>;

/// What the program uses.
pub struct Board {
    /// To the display.
    pub display: ExclusiveDevice<Bus, Output<Gpio17>, Timer<CopyableTimer0>>,
    /// Low while the display is sent commands, high while it is sent data.
    pub data_or_command: Output<Gpio16>,
    /// Resets the display while it is low.
    pub reset: Output<Gpio20>,
    /// To ground while it is pressed.
    pub button: Pin<Gpio15, FunctionSioInput, PullUp>,
    /// On the Pico 2 itself.
    pub light: Output<Gpio25>,
    /// For waiting.
    pub timer: Timer<CopyableTimer0>,
    /// The core that does nothing yet; taken by whoever starts it.
    pub second_core: Option<SecondCore>,
}

/// What starts the second core.
pub struct SecondCore {
    psm: pac::PSM,
    ppb: pac::PPB,
    fifo: SioFifo,
}

impl SecondCore {
    /// Has the core run `task`; `None` if it does not answer.
    pub fn start(mut self, task: impl FnOnce() + Send + 'static) -> Option<()> {
        static STACK: Stack<STACK_WORDS> = Stack::new();
        let stack = STACK.take()?;
        let mut cores = Multicore::new(&mut self.psm, &mut self.ppb, &mut self.fifo);
        cores.cores().last_mut()?.spawn(stack, task).ok()
    }
}

impl Board {
    /// Starts the clocks, with the cores at 150 MHz, and sets up the pins; `None` if that fails or was done already.
    pub fn take() -> Option<Self> {
        let pac::Peripherals {
            CLOCKS,
            IO_BANK0,
            PADS_BANK0,
            PLL_SYS,
            PLL_USB,
            PPB,
            PSM,
            mut RESETS,
            SIO,
            SPI0,
            TIMER0,
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
        let sio = Sio::new(SIO);
        let pins = Pins::new(IO_BANK0, PADS_BANK0, sio.gpio_bank0, &mut RESETS);
        let timer = Timer::new_timer0(TIMER0, &mut RESETS, &clocks);
        let bus = Spi::new(SPI0, (pins.gpio19.reconfigure(), pins.gpio18.reconfigure())).init(
            &mut RESETS,
            clocks.peripheral_clock.freq(),
            40.MHz(),
            MODE_0,
        );
        let Ok(display) = ExclusiveDevice::new(bus, pins.gpio17.into_push_pull_output(), timer);
        Some(Self {
            display,
            data_or_command: pins.gpio16.into_push_pull_output(),
            reset: pins.gpio20.into_push_pull_output(),
            button: pins.gpio15.into_pull_up_input(),
            light: pins.gpio25.into_push_pull_output(),
            timer,
            second_core: Some(SecondCore {
                psm: PSM,
                ppb: PPB,
                fifo: sio.fifo,
            }),
        })
    }
}
