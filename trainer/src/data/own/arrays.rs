//! Images and labels as plain arrays, from files that hold a split or both.

use std::collections::BTreeMap;

use super::OwnProblem;
use crate::data::{Images, Split, SplitRule};
use crate::rng::{Rng, Stream};

/// The most bytes of an array that are read: a packed file must not fill the memory.
pub const LARGEST: usize = 1 << 32;

/// Of so many images one is kept for testing where a file has no test images.
const TEST_EVERY: usize = 10;

/// Chooses the images of each class that are kept for testing.
const SPLIT_SEED: u64 = 1;

/// Images of one split, with their labels if there are any.
pub struct Part {
    count: usize,
    /// (channels, height, width).
    shape: [usize; 3],
    /// (N, C, H, W).
    pixels: Vec<u8>,
    labels: Option<Vec<u8>>,
}

impl Part {
    /// Images of an array with the axes (N, H, W), (N, H, W, C) or (N, C, H, W), C being 1 or 3; where either may be
    /// meant, C is the last.
    ///
    /// # Errors
    /// Other axes.
    pub fn new(array: &str, shape: &[usize], elements: Vec<u8>) -> Result<Self, OwnProblem> {
        let is_colour = |channels: usize| channels == 1 || channels == 3;
        let (count, shape, pixels) = match *shape {
            _ if elements.is_empty() => return Err(axes(array, shape)),
            [n, h, w] => (n, [1, h, w], elements),
            [n, h, w, c] if is_colour(c) => (n, [c, h, w], planes(&elements, h * w, c)),
            [n, c, h, w] if is_colour(c) => (n, [c, h, w], elements),
            _ => return Err(axes(array, shape)),
        };
        Ok(Self {
            count,
            shape,
            pixels,
            labels: None,
        })
    }

    /// These images with labels.
    pub fn labelled(self, labels: Option<Vec<u8>>) -> Self {
        Self { labels, ..self }
    }

    fn check(&self, split: &'static str) -> Result<(), OwnProblem> {
        match &self.labels {
            Some(labels) if labels.len() != self.count => Err(OwnProblem::Count {
                split,
                images: self.count,
                labels: labels.len(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether each image is kept for testing, where there are no test images.
    fn is_test(&self, rule: SplitRule) -> Vec<bool> {
        match rule {
            SplitRule::Legacy => (0..self.count)
                .map(|i| i % TEST_EVERY == TEST_EVERY - 1)
                .collect(),
            SplitRule::Stratified => self.stratified(),
        }
    }

    /// A tenth of each class, rounded, but one where there are two.
    fn stratified(&self) -> Vec<bool> {
        let mut is_test = vec![false; self.count];
        let mut classes: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
        for i in 0..self.count {
            let label = self.labels.as_ref().map_or(0, |labels| labels[i]);
            classes.entry(label).or_default().push(i);
        }
        for (label, images) in classes {
            let tests = (images.len() + TEST_EVERY / 2) / TEST_EVERY;
            let tests = tests.max(usize::from(images.len() > 1));
            let order = Rng::new(SPLIT_SEED, Stream::Split(label)).permutation(images.len() as u32);
            for &place in &order[..tests] {
                is_test[images[place as usize]] = true;
            }
        }
        is_test
    }

    /// The images whose number `keep` says yes to.
    fn filter(self, keep: impl Fn(usize) -> bool) -> Self {
        let len = self.shape.iter().product();
        let images = self.pixels.chunks_exact(len).enumerate();
        let kept = images.filter(|&(i, _)| keep(i)).map(|(_, image)| image);
        let pixels = kept.collect::<Vec<_>>().concat();
        let labels = self.labels.map(|labels| {
            let labels = labels.into_iter().enumerate();
            labels
                .filter(|&(i, _)| keep(i))
                .map(|(_, label)| label)
                .collect()
        });
        Self {
            count: pixels.len() / len,
            pixels,
            labels,
            ..self
        }
    }
}

fn axes(array: &str, shape: &[usize]) -> OwnProblem {
    OwnProblem::Axes {
        array: array.to_owned(),
        shape: shape.to_vec(),
        expected: "images have (N, H, W), (N, H, W, C) or (N, C, H, W) with C 1 or 3, none of them 0",
    }
}

/// (N, H, W, C) to (N, C, H, W).
fn planes(pixels: &[u8], plane: usize, channels: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(pixels.len());
    for image in pixels.chunks_exact(plane * channels) {
        for channel in 0..channels {
            out.extend(image.iter().skip(channel).step_by(channels));
        }
    }
    out
}

/// One split of what a file holds; where it has no test images, `rule` says which they are. Classes are the numbers up
/// to the greatest label.
///
/// # Errors
/// Parts that do not fit each other.
pub fn choose(
    train: Part,
    test: Option<Part>,
    split: Split,
    rule: SplitRule,
) -> Result<Images, OwnProblem> {
    train.check("training")?;
    let mut classes = class_count(&train);
    let part = match (test, split) {
        (Some(test), split) => {
            test.check("test")?;
            fit_together(&train, &test)?;
            classes = classes.max(class_count(&test));
            match split {
                Split::Train => train,
                Split::Test => test,
            }
        }
        (None, split) => {
            let is_test = train.is_test(rule);
            train.filter(|i| is_test[i] == (split == Split::Test))
        }
    };
    if part.count == 0 {
        return Err(OwnProblem::EmptySplit(split.name()));
    }
    let [channels, height, width] = part.shape;
    Ok(Images {
        count: part.count,
        channels,
        height,
        width,
        pixels: part.pixels,
        labels: part.labels.unwrap_or_default(),
        classes: (0..classes).map(|class| class.to_string()).collect(),
        names: Vec::new(),
    })
}

fn class_count(part: &Part) -> usize {
    let greatest = part.labels.iter().flatten().max();
    greatest.map_or(0, |&label| usize::from(label) + 1)
}

fn fit_together(train: &Part, test: &Part) -> Result<(), OwnProblem> {
    if train.labels.is_some() != test.labels.is_some() {
        return Err(OwnProblem::HalfLabelled);
    }
    if train.shape != test.shape {
        return Err(OwnProblem::Shapes {
            train: train.shape,
            test: test.shape,
        });
    }
    Ok(())
}
