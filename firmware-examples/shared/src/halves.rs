//! Pictures made by two cores at the same time: the first makes the upper half, the second the lower half.

use core::ops::Range;

use cortex_m::asm;
use heapless::spsc::{Consumer, Producer, Queue};
use pocketgan::{Buffer, Error, Generator, RowSink};

use crate::model::MODEL;
use crate::picture::Picture;

/// Rows of the upper half.
pub const UPPER: Range<usize> = 0..MODEL.output().height / 2;
/// Rows of the lower half.
pub const LOWER: Range<usize> = UPPER.end..MODEL.output().height;

/// Working memory of a generator.
type Working = Buffer<{ MODEL.buffer_len() }>;
/// A row of the lower half, or why there is none: `width * channels` pixels, ordered column, channel.
type Row = Result<[u8; MODEL.output().row_len()], Error>;

/// What the cores work in, and what goes from one to the other.
pub struct Memory {
    buffers: [Working; 2],
    // A queue holds one value fewer than it has places.
    pictures: Queue<Picture, 2>,
    rows: Queue<Row, { LOWER.end - LOWER.start + 1 }>,
}

impl Memory {
    /// Before anything was made in it.
    pub const fn empty() -> Self {
        Self {
            buffers: [const { Working::new() }; 2],
            pictures: Queue::new(),
            rows: Queue::new(),
        }
    }

    /// What the first core works with, and what the second.
    ///
    /// # Errors
    ///
    /// Those of [`Generator::new`].
    pub fn split(&'static mut self) -> Result<(Halves, LowerHalf), Error> {
        let [for_upper, for_lower] = &mut self.buffers;
        let (pictures, to_make) = self.pictures.split();
        let (made, lower) = self.rows.split();
        let halves = Halves {
            upper: Generator::new(&MODEL, for_upper)?,
            pictures,
            lower,
        };
        let lower_half = LowerHalf {
            generator: Generator::new(&MODEL, for_lower)?,
            pictures: to_make,
            rows: made,
        };
        Ok((halves, lower_half))
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
    /// Makes a picture on both cores and hands its rows to `sink`, top to bottom.
    ///
    /// # Errors
    ///
    /// Those of [`Generator::set_class`] and [`Generator::sample_row_range`].
    pub fn sample(&mut self, picture: Picture, sink: &mut impl RowSink) -> Result<(), Error> {
        send(&mut self.pictures, picture);
        make_rows(&mut self.upper, picture, UPPER, sink)?;
        for y in LOWER {
            sink.row(y, &receive(&mut self.lower)?);
        }
        Ok(())
    }
}

/// Makes the lower halves of the pictures that [`Halves`] makes.
pub struct LowerHalf {
    generator: Generator<'static, 'static>,
    pictures: Consumer<'static, Picture>,
    rows: Producer<'static, Row>,
}

impl LowerHalf {
    /// What the second core does.
    pub fn run(&mut self) -> ! {
        loop {
            let picture = receive(&mut self.pictures);
            let mut sink = |_: usize, row: &[u8]| {
                let row = row.try_into().map_err(|_| Error::SliceLength);
                send(&mut self.rows, row);
            };
            if let Err(error) = make_rows(&mut self.generator, picture, LOWER, &mut sink) {
                send(&mut self.rows, Err(error));
            }
        }
    }
}

/// Makes some rows of a picture and hands each to `sink`.
fn make_rows(
    generator: &mut Generator<'_, '_>,
    picture: Picture,
    rows: Range<usize>,
    sink: &mut impl RowSink,
) -> Result<(), Error> {
    picture.choose_class(generator)?;
    generator.sample_row_range(picture.seed, rows, sink)
}

/// Gives a value to the other core and wakes it up. All of these queues have room.
fn send<T>(queue: &mut Producer<'static, T>, mut value: T) {
    // The queue stores its index with release, after the value, and the other core loads it with acquire, before the
    // value: a core that sees the index sees the value. Both lie in RAM, which has no cache. The barrier finishes the
    // stores before the event.
    while let Err(refused) = queue.enqueue(value) {
        value = refused;
    }
    asm::dsb();
    asm::sev();
}

/// Waits for a value of the other core.
fn receive<T>(queue: &mut Consumer<'static, T>) -> T {
    loop {
        if let Some(value) = queue.dequeue() {
            return value;
        }
        // Returns at once if an event came since the last time.
        asm::wfe();
    }
}
