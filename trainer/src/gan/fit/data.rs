//! Which images come when.

use crate::data::{Draw, Images, Task};
use crate::gan::checkpoint::Position;
use crate::rng::{Rng, Stream};
use crate::samples::from_pixels;
use crate::spec::Shape;

/// Images to learn from. They are put together on a thread of their own.
pub trait Source: Sync {
    /// The shape of each.
    fn shape(&self) -> Shape;
    /// How many there are.
    fn count(&self) -> usize;
    /// How many classes they are of; 0 where they have none.
    fn classes(&self) -> usize;
    /// Makes `real` the images of these numbers, `(N, C, H, W)`, values in [-1, 1], and `classes` their classes,
    /// `(N)`; nothing where they have none.
    fn assemble(&self, batch: &[u32], real: &mut Vec<f32>, classes: &mut Vec<u32>);
    /// The pictures that generators read; `None` where they read latents.
    fn inputs(&self) -> Option<Inputs<'_>> {
        None
    }
}

/// The pictures that generators read in training.
#[derive(Clone, Copy)]
pub enum Inputs<'a> {
    /// What a task leaves of each image.
    Task(Task),
    /// For each image the picture of the same number, as many as there are images.
    Paired(&'a Images),
    /// Pictures in an order of their own.
    Unpaired(&'a Images),
}

/// Images, and the pictures that generators read to make them.
pub struct Translated<'a> {
    pub images: &'a Images,
    /// `None` where they read latents.
    pub inputs: Option<Inputs<'a>>,
}

impl Source for Translated<'_> {
    fn shape(&self) -> Shape {
        self.images.shape()
    }

    fn count(&self) -> usize {
        self.images.count()
    }

    fn classes(&self) -> usize {
        self.images.classes()
    }

    fn assemble(&self, batch: &[u32], real: &mut Vec<f32>, classes: &mut Vec<u32>) {
        self.images.assemble(batch, real, classes);
    }

    fn inputs(&self) -> Option<Inputs<'_>> {
        self.inputs
    }
}

impl Source for Images {
    fn shape(&self) -> Shape {
        Shape::new(self.channels, self.height, self.width)
    }

    fn count(&self) -> usize {
        self.count
    }

    fn classes(&self) -> usize {
        self.classes.len()
    }

    /// Pixel `p` as `(p - 128) / 128`.
    fn assemble(&self, batch: &[u32], real: &mut Vec<f32>, classes: &mut Vec<u32>) {
        classes.clear();
        let labels = batch.iter().filter_map(|&i| self.labels.get(i as usize));
        classes.extend(labels.map(|&label| u32::from(label)));
        real.clear();
        for pixels in batch.iter().filter_map(|&i| self.image(i as usize)) {
            real.extend(from_pixels(pixels));
        }
    }
}

/// The order of the images: in each epoch another one, told from the seed alone.
#[derive(Clone)]
pub(super) struct Order {
    seed: u64,
    /// The stream of an epoch.
    stream: fn(u32) -> Stream,
    count: u32,
    batch: usize,
    /// The epoch that `numbers` are of.
    epoch: Option<u32>,
    numbers: Vec<u32>,
}

impl Order {
    /// Of the images that are learned.
    pub fn new(seed: u64, count: usize, batch: usize) -> Self {
        Self::by(Stream::Order, seed, count, batch)
    }

    fn by(stream: fn(u32) -> Stream, seed: u64, count: usize, batch: usize) -> Self {
        Self {
            seed,
            stream,
            count: count as u32,
            batch: batch.min(count).max(1),
            epoch: None,
            numbers: Vec::new(),
        }
    }

    /// How many images there are.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// Batches of an epoch; images that do not fill one are left for another epoch.
    pub fn per_epoch(&self) -> u32 {
        (self.count / self.batch as u32).max(1)
    }

    /// Where in the data a run is after so many steps.
    pub fn position(&self, steps: u32) -> Position {
        Position {
            epoch: steps / self.per_epoch(),
            batch: steps % self.per_epoch(),
        }
    }

    /// The images of the step after so many.
    pub fn batch(&mut self, steps: u32) -> &[u32] {
        let at = self.position(steps);
        if self.epoch != Some(at.epoch) {
            self.numbers = Rng::new(self.seed, (self.stream)(at.epoch)).permutation(self.count);
            self.epoch = Some(at.epoch);
        }
        let start = at.batch as usize * self.batch;
        self.numbers.get(start..start + self.batch).unwrap_or(&[])
    }
}

/// Puts together the pictures that generators read, each batch from its step alone.
pub(super) struct Reader<'a> {
    inputs: Inputs<'a>,
    seed: u64,
    /// Of unpaired pictures: their order, and which are mirrored.
    order: Order,
    flips: Option<Flips>,
}

impl<'a> Reader<'a> {
    /// Of a source whose images come in `order`, mirrored if `flip` says so; `None` where generators read latents.
    pub fn new(source: &'a dyn Source, order: &Order, flip: bool) -> Option<Self> {
        let inputs = source.inputs()?;
        let count = match inputs {
            Inputs::Unpaired(pictures) => pictures.count,
            Inputs::Task(_) | Inputs::Paired(_) => 0,
        };
        Some(Self {
            inputs,
            seed: order.seed,
            order: Order::by(Stream::InputOrder, order.seed, count, order.batch),
            flips: flip.then(|| Flips::new(order.seed, count)),
        })
    }

    /// Makes `pictures` what is read at a step: its images are those of `numbers`, and are `real`, `(N, C, H, W)` of
    /// `shape`, mirrored as `flips` says.
    pub fn read(
        &mut self,
        step: u32,
        epoch: u32,
        numbers: &[u32],
        (shape, real): (Shape, &[f32]),
        flips: Option<&mut Flips>,
        pictures: &mut Vec<f32>,
    ) {
        match self.inputs {
            Inputs::Task(task) => {
                pictures.clear();
                for (&image, values) in numbers.iter().zip(real.chunks_exact(shape.len())) {
                    let draw = Draw {
                        seed: self.seed,
                        epoch,
                        image,
                    };
                    task.apply(draw, shape, values, pictures);
                }
            }
            Inputs::Paired(images) => {
                images.assemble(numbers, pictures, &mut Vec::new());
                if let Some(flips) = flips {
                    flips.apply(epoch, numbers, images.shape(), pictures);
                }
            }
            Inputs::Unpaired(images) => {
                let epoch = self.order.position(step).epoch;
                let numbers = self.order.batch(step);
                images.assemble(numbers, pictures, &mut Vec::new());
                if let Some(flips) = &mut self.flips {
                    flips.apply(epoch, numbers, images.shape(), pictures);
                }
            }
        }
    }
}

/// Which images are mirrored, left to right: in each epoch others, half of them, told from the seed alone.
pub(super) struct Flips {
    seed: u64,
    /// The epoch that `mirrored` is of.
    epoch: Option<u32>,
    /// By the image's number.
    mirrored: Vec<bool>,
}

impl Flips {
    pub fn new(seed: u64, count: usize) -> Self {
        Self {
            seed,
            epoch: None,
            mirrored: vec![false; count],
        }
    }

    /// Mirrors those of a batch's images, `(N, C, H, W)` of `shape`, that are to be in this epoch.
    pub fn apply(&mut self, epoch: u32, batch: &[u32], shape: Shape, real: &mut [f32]) {
        if self.epoch != Some(epoch) {
            let mut rng = Rng::new(self.seed, Stream::Augmentation(epoch));
            self.mirrored.fill_with(|| rng.uniform() < 0.5);
            self.epoch = Some(epoch);
        }
        for (&number, image) in batch.iter().zip(real.chunks_exact_mut(shape.len())) {
            if self.mirrored.get(number as usize) == Some(&true) {
                let rows = image.chunks_exact_mut(shape.width);
                rows.for_each(<[f32]>::reverse);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An epoch shows each image once at most, and the same whether one comes from the start or from the middle.
    #[test]
    fn a_step_tells_its_batch() {
        let mut order = Order::new(5, 23, 4);
        assert_eq!(order.per_epoch(), 5);
        let steps: Vec<Vec<u32>> = (0..10).map(|step| order.batch(step).to_vec()).collect();
        let mut first: Vec<u32> = steps[..5].concat();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 20);
        assert_ne!(steps[..5], steps[5..]);
        assert_eq!(Order::new(5, 23, 4).batch(7), steps[7]);
        let at = order.position(7);
        assert_eq!((at.epoch, at.batch), (1, 2));
    }

    /// Half of the images, others in another epoch, the same wherever one begins.
    #[test]
    fn an_epoch_tells_what_is_mirrored() {
        const COUNT: u32 = 1000;
        let shape = Shape::new(2, 1, 3);
        let image = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mirrored = [3.0, 2.0, 1.0, 6.0, 5.0, 4.0];
        let all: Vec<u32> = (0..COUNT).rev().collect();
        let of = |flips: &mut Flips, epoch| -> Vec<bool> {
            let mut real = image.repeat(COUNT as usize);
            flips.apply(epoch, &all, shape, &mut real);
            let images = real.chunks_exact(6);
            assert!(images.clone().all(|i| i == image || i == mirrored));
            images.map(|i| i == mirrored).collect()
        };
        let mut flips = Flips::new(3, COUNT as usize);
        let (first, second) = (of(&mut flips, 0), of(&mut flips, 1));
        assert_ne!(first, second);
        assert_eq!(of(&mut flips, 0), first);
        assert_eq!(of(&mut Flips::new(3, COUNT as usize), 1), second);
        assert_ne!(of(&mut Flips::new(4, COUNT as usize), 1), second);
        for flipped in [first, second] {
            let count = flipped.iter().filter(|&&flipped| flipped).count();
            // Five standard deviations of a fair coin.
            assert!((421..580).contains(&count), "{count}");
        }
        // It goes by the image's number, not its place.
        let mut real = image.repeat(2);
        let one = all[17];
        flips.apply(0, &[one, one], shape, &mut real);
        assert_eq!(real[..6], real[6..]);
        assert_eq!(real[..6] == mirrored, of(&mut flips, 0)[17]);
    }
}
