//! Pictures made by both cores at the same time: the first makes the upper half, the second the lower half.

use core::ops::Range;

use heapless::spsc::{Consumer, Producer, Queue};
use pocketgan::{Buffer, Error, Generator, RowSink};
use rp235x_hal::arch;
use static_cell::ConstStaticCell;

use crate::board::SecondCore;
use crate::{Failure, MODEL};

const HEIGHT: usize = MODEL.output().height;
/// Rows of the upper half.
const UPPER: usize = HEIGHT / 2;
/// Rows of the lower half.
const LOWER: usize = HEIGHT - UPPER;

/// Working memory of a generator.
type Working = Buffer<{ MODEL.buffer_len() }>;
/// A row of the lower half, or why there is none: `width * channels` pixels, ordered column, channel.
type Row = Result<[u8; MODEL.output().row_len()], Error>;

/// A picture to make.
#[derive(Clone, Copy)]
pub struct Picture {
    pub seed: u64,
    /// Of a model with classes.
    pub class: Option<usize>,
}

impl Picture {
    /// Makes some rows and hands each to `sink`.
    fn make_rows(
        self,
        generator: &mut Generator<'_, '_>,
        rows: Range<usize>,
        sink: &mut impl RowSink,
    ) -> Result<(), Error> {
        if let Some(class) = self.class {
            generator.set_class(class)?;
        }
        generator.sample_row_range(self.seed, rows, sink)
    }
}

/// Makes pictures, with the second core's help.
pub struct Halves {
    upper: Generator<'static, 'static>,
    /// What the second core is to make.
    pictures: Producer<'static, Picture>,
    /// What it has made, top to bottom.
    lower: Consumer<'static, Row>,
}

impl Halves {
    /// Starts the second core.
    pub fn start(core: SecondCore) -> Result<Self, Failure> {
        static BUFFERS: ConstStaticCell<[Working; 2]> =
            ConstStaticCell::new([const { Working::new() }; 2]);
        // A queue holds one value fewer than it has places.
        static PICTURES: ConstStaticCell<Queue<Picture, 2>> = ConstStaticCell::new(Queue::new());
        static ROWS: ConstStaticCell<Queue<Row, { LOWER + 1 }>> =
            ConstStaticCell::new(Queue::new());
        let [for_upper, for_lower] = BUFFERS.try_take().ok_or(Failure::SecondCore)?;
        let (pictures, to_make) = PICTURES.try_take().ok_or(Failure::SecondCore)?.split();
        let (made, lower) = ROWS.try_take().ok_or(Failure::SecondCore)?.split();
        let upper = Generator::new(&MODEL, for_upper)?;
        let generator = Generator::new(&MODEL, for_lower)?;
        core.start(move || make_lower_halves(generator, to_make, made))
            .ok_or(Failure::SecondCore)?;
        Ok(Self {
            upper,
            pictures,
            lower,
        })
    }

    /// Makes a picture on both cores and hands its rows to `sink`, top to bottom.
    pub fn sample(&mut self, picture: Picture, sink: &mut impl RowSink) -> Result<(), Error> {
        send(&mut self.pictures, picture);
        picture.make_rows(&mut self.upper, 0..UPPER, sink)?;
        for y in UPPER..HEIGHT {
            sink.row(y, &receive(&mut self.lower)?);
        }
        Ok(())
    }
}

/// What the second core does.
fn make_lower_halves(
    mut generator: Generator<'static, 'static>,
    mut pictures: Consumer<'static, Picture>,
    mut rows: Producer<'static, Row>,
) -> ! {
    loop {
        let picture = receive(&mut pictures);
        let made = picture.make_rows(
            &mut generator,
            UPPER..HEIGHT,
            &mut |_: usize, row: &[u8]| {
                send(&mut rows, row.try_into().map_err(|_| Error::SliceLength));
            },
        );
        if let Err(error) = made {
            send(&mut rows, Err(error));
        }
    }
}

/// Gives a value to the other core and wakes it up. All of these queues have room.
fn send<T>(queue: &mut Producer<'static, T>, mut value: T) {
    // The queue stores its index with release, after the value, and the other core loads it with acquire, before the
    // value: a core that sees the index sees the value. Both lie in RAM, which has no cache. The barrier finishes the
    // stores before the event.
    while let Err(refused) = queue.enqueue(value) {
        value = refused;
    }
    arch::dsb();
    arch::sev();
}

/// Waits for a value of the other core.
fn receive<T>(queue: &mut Consumer<'static, T>) -> T {
    loop {
        if let Some(value) = queue.dequeue() {
            return value;
        }
        // Returns at once if an event came since the last time.
        arch::wfe();
    }
}
