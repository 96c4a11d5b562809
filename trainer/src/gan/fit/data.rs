//! Which images come when.

use crate::data::Images;
use crate::gan::checkpoint::Position;
use crate::rng::{Rng, Stream};
use crate::spec::Shape;

/// Images to learn from.
pub trait Source {
    /// The shape of each.
    fn shape(&self) -> Shape;
    /// How many there are.
    fn count(&self) -> usize;
    /// How many classes the images are of, 0 where nothing is known of them.
    fn classes(&self) -> usize;
    /// Makes `real` the images of these numbers, `(N, C, H, W)`, values in [-1, 1], and `classes` the class of each.
    fn assemble(&self, batch: &[u32], real: &mut Vec<f32>, classes: &mut Vec<u32>);
}

impl Source for Images {
    fn shape(&self) -> Shape {
        Shape::new(self.channels, self.height, self.width)
    }

    fn count(&self) -> usize {
        self.count
    }

    fn classes(&self) -> usize {
        let last = self.labels.iter().max();
        last.map_or(0, |&last| usize::from(last) + 1)
    }

    /// Pixel `p` as `(p - 128) / 128`.
    fn assemble(&self, batch: &[u32], real: &mut Vec<f32>, classes: &mut Vec<u32>) {
        let labels = batch.iter().filter_map(|&i| self.labels.get(i as usize));
        classes.clear();
        classes.extend(labels.map(|&label| u32::from(label)));
        real.clear();
        for pixels in batch.iter().filter_map(|&i| self.image(i as usize)) {
            real.extend(pixels.iter().map(|&p| (f32::from(p) - 128.0) / 128.0));
        }
    }
}

/// The order of the images: in each epoch another one, told from the seed alone.
pub(super) struct Order {
    seed: u64,
    count: u32,
    batch: usize,
    /// The epoch that `numbers` are of.
    epoch: Option<u32>,
    numbers: Vec<u32>,
}

impl Order {
    pub fn new(seed: u64, count: usize, batch: usize) -> Self {
        Self {
            seed,
            count: count as u32,
            batch: batch.min(count).max(1),
            epoch: None,
            numbers: Vec::new(),
        }
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
            self.numbers = Rng::new(self.seed, Stream::Order(at.epoch)).permutation(self.count);
            self.epoch = Some(at.epoch);
        }
        let start = at.batch as usize * self.batch;
        self.numbers.get(start..start + self.batch).unwrap_or(&[])
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
}
