//! The real images of each step, put together on a thread of their own while the step before is computed.

use super::data::{Flips, Order, Reader, Source};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, Scope};

/// Batches that are put together ahead of the step.
const AHEAD: u32 = 2;

/// Real images of one step.
#[derive(Default)]
pub(super) struct Batch {
    /// Steps before it.
    step: u32,
    /// `(N, C, H, W)`, values in [-1, 1].
    pub real: Vec<f32>,
    /// `(N)`, or nothing where images have no classes.
    pub classes: Vec<u32>,
    /// What generators read, `(N, C, H, W)`, values in [-1, 1]; nothing where they read latents.
    pub inputs: Vec<f32>,
}

/// Puts batches together: each follows from its step alone.
struct Maker<'a> {
    source: &'a dyn Source,
    order: Order,
    /// If images are mirrored at all.
    flips: Option<Flips>,
    /// If generators read pictures.
    reader: Option<Reader<'a>>,
}

impl<'a> Maker<'a> {
    fn new(source: &'a dyn Source, order: &Order, flips: Option<u64>) -> Self {
        Self {
            source,
            order: order.clone(),
            flips: flips.map(|seed| Flips::new(seed, source.count())),
            reader: Reader::new(source, order, flips.is_some()),
        }
    }

    fn fill(&mut self, batch: &mut Batch) {
        let epoch = self.order.position(batch.step).epoch;
        let numbers = self.order.batch(batch.step);
        self.source
            .assemble(numbers, &mut batch.real, &mut batch.classes);
        if let Some(flips) = &mut self.flips {
            flips.apply(epoch, numbers, self.source.shape(), &mut batch.real);
        }
        if let Some(reader) = &mut self.reader {
            reader.read(
                batch.step,
                epoch,
                numbers,
                (self.source.shape(), &batch.real),
                self.flips.as_mut(),
                &mut batch.inputs,
            );
        }
    }
}

/// Hands out the batch of any step; the one after the last handed out is ready soonest.
pub(super) struct Batches<'a> {
    /// For a machine that has no more threads.
    here: Maker<'a>,
    ahead: Option<Ahead>,
}

impl<'a> Batches<'a> {
    /// Starts the thread, which ends when this value is dropped.
    pub fn new<'scope>(
        scope: &'scope Scope<'scope, 'a>,
        source: &'a dyn Source,
        order: &Order,
        flips: Option<u64>,
    ) -> Self {
        let maker = || Maker::new(source, order, flips);
        Self {
            here: maker(),
            ahead: Ahead::new(scope, maker()),
        }
    }

    /// The images of the step after so many.
    pub fn take(&mut self, step: u32) -> Batch {
        let made = self.ahead.as_mut().and_then(|ahead| ahead.take(step));
        made.unwrap_or_else(|| {
            self.ahead = None;
            let mut batch = Batch {
                step,
                ..Batch::default()
            };
            self.here.fill(&mut batch);
            batch
        })
    }

    /// Takes a batch back whose memory may be used again.
    pub fn give_back(&mut self, batch: Batch) {
        if let Some(ahead) = &mut self.ahead {
            ahead.free.push(batch);
        }
    }
}

/// The other thread as this one sees it. A batch goes there with the number of its step and comes back full, in
/// order; there are never more than [`AHEAD`] there and one here.
struct Ahead {
    asked: Sender<Batch>,
    made: Receiver<Batch>,
    /// Batches that are here.
    free: Vec<Batch>,
    /// Batches that are there.
    away: u32,
    /// The step of the first of them.
    next: u32,
}

impl Ahead {
    /// `None` where no thread can be started.
    fn new<'scope, 'a>(scope: &'scope Scope<'scope, 'a>, mut maker: Maker<'a>) -> Option<Self> {
        let (asked, to_make) = channel::<Batch>();
        let (done, made) = channel();
        let work = move || {
            for mut batch in to_make {
                maker.fill(&mut batch);
                if done.send(batch).is_err() {
                    return;
                }
            }
        };
        let thread = Builder::new().name("batches".into());
        thread.spawn_scoped(scope, work).ok()?;
        Some(Self {
            asked,
            made,
            free: (0..=AHEAD).map(|_| Batch::default()).collect(),
            away: 0,
            next: 0,
        })
    }

    /// `None` if the other thread has died.
    fn take(&mut self, step: u32) -> Option<Batch> {
        if self.next != step {
            self.recall()?;
            self.next = step;
        }
        while self.away <= AHEAD
            && let Some(mut batch) = self.free.pop()
        {
            batch.step = self.next.wrapping_add(self.away);
            self.asked.send(batch).ok()?;
            self.away += 1;
        }
        let batch = self.made.recv().ok()?;
        self.away -= 1;
        self.next = self.next.wrapping_add(1);
        Some(batch)
    }

    /// Waits for all batches that are away.
    fn recall(&mut self) -> Option<()> {
        while self.away > 0 {
            self.free.push(self.made.recv().ok()?);
            self.away -= 1;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Shape;
    use std::sync::Mutex;
    use std::thread;

    const COUNT: usize = 23;
    const BATCH: usize = 4;

    /// Images that follow from their number, and the numbers that were asked for.
    #[derive(Default)]
    struct Numbers(Mutex<Vec<Vec<u32>>>);

    impl Source for Numbers {
        fn shape(&self) -> Shape {
            Shape::new(1, 2, 3)
        }

        fn count(&self) -> usize {
            COUNT
        }

        fn classes(&self) -> usize {
            COUNT
        }

        fn assemble(&self, batch: &[u32], real: &mut Vec<f32>, classes: &mut Vec<u32>) {
            real.clear();
            real.extend(
                batch
                    .iter()
                    .flat_map(|&i| (0..6).map(move |p| (6 * i + p) as f32)),
            );
            classes.clear();
            classes.extend(batch);
            self.0.lock().unwrap().push(batch.to_vec());
        }
    }

    fn order() -> Order {
        Order::new(5, COUNT, BATCH)
    }

    /// The images of a step, and which of them are mirrored.
    fn direct(step: u32, flips: Option<u64>) -> (Vec<f32>, Vec<u32>) {
        let numbers = Numbers::default();
        let mut maker = Maker::new(&numbers, &order(), flips);
        let mut batch = Batch {
            step,
            ..Batch::default()
        };
        maker.fill(&mut batch);
        (batch.real, batch.classes)
    }

    /// Whatever comes next: the step after, an earlier one, a later one.
    #[test]
    fn what_is_made_ahead_is_what_would_be_made_here() {
        let numbers = Numbers::default();
        for flips in [None, Some(9)] {
            thread::scope(|scope| {
                let mut batches = Batches::new(scope, &numbers, &order(), flips);
                assert!(batches.ahead.is_some());
                for step in [0, 1, 2, 3, 4, 5, 6, 2, 3, 3, 4, 40, 41, 0, 12] {
                    let batch = batches.take(step);
                    let (real, classes) = direct(step, flips);
                    assert_eq!(batch.step, step);
                    assert!(
                        batch.real == real && batch.classes == classes,
                        "step {step}"
                    );
                    batches.give_back(batch);
                }
            });
        }
    }

    #[test]
    fn no_more_is_made_than_the_next_batches() {
        let numbers = Numbers::default();
        thread::scope(|scope| {
            let mut batches = Batches::new(scope, &numbers, &order(), None);
            for step in 0..10 {
                let batch = batches.take(step);
                batches.give_back(batch);
            }
        });
        let made = numbers.0.lock().unwrap();
        let expected: Vec<Vec<u32>> = (0..10 + AHEAD).map(|step| direct(step, None).1).collect();
        assert!(
            made.len() >= 10 && expected.starts_with(&made),
            "{}",
            made.len()
        );
    }

    /// A run that ends, or dies, ends the thread: the scope is left.
    #[test]
    fn the_thread_ends_with_the_run() {
        let numbers = Numbers::default();
        let died = std::panic::catch_unwind(|| {
            thread::scope(|scope| {
                let mut batches = Batches::new(scope, &numbers, &order(), None);
                let _kept = batches.take(0);
                std::panic::resume_unwind(Box::new("died"));
            })
        });
        assert!(died.is_err());
    }

    #[test]
    fn without_a_thread_batches_are_made_here() {
        let numbers = Numbers::default();
        thread::scope(|scope| {
            let mut batches = Batches::new(scope, &numbers, &order(), Some(2));
            batches.ahead = None;
            for step in [0, 1, 7] {
                let batch = batches.take(step);
                let expected = direct(step, Some(2));
                assert!((batch.real.clone(), batch.classes.clone()) == expected);
                batches.give_back(batch);
            }
        });
    }
}
