//! The files of a run that people look at: the log, the curves, the sample grids.

use super::collapse::Monitor;
use super::{EpochScore, FitError, Run, Shown, Source};
use crate::files::write_whole;
use crate::gan::checkpoint::Checkpoint;
use crate::gan::log::{Log, Stepped};
use crate::gan::{Gan, LossName, Losses};
use crate::metrics::collapse::{self, Diversity, Reference};
use crate::nn::{Model, ModelError};
use crate::ops::Device;
use crate::report::{self, Curve};
use crate::samples::{classes_in_turn, draw, to_pixels};
use crate::spec::{Network, Shape};
use image::RgbImage;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Steps from one line of the log to the next.
const LOG_EVERY: u32 = 50;

/// Columns of a sample grid: about eight, or one for each class if the generator is told them and they are not too
/// many.
pub fn columns(generator: &Network) -> usize {
    match generator.classes() {
        Some(classes @ 2..=16) => classes * (8 / classes).max(1),
        _ => 8,
    }
}

/// Images in a sample grid: whole rows, and enough to be compared with each other.
pub fn grid(generator: &Network) -> usize {
    let columns = columns(generator);
    columns * collapse::AT_ONCE.div_ceil(columns).max(8)
}

/// A line of `stats.jsonl`: means since the line before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub step: u32,
    pub epoch: u32,
    /// Of the kind of training, each as `{key}_loss`.
    #[serde(flatten)]
    pub losses: Losses,
    pub learning_rate: f64,
    pub images_per_s: f64,
    /// Of 64 images of the generator in training, as are the two figures below; see [`Diversity`].
    pub entropy: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_generated: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_training: Option<f64>,
    /// Of all parts of the run.
    pub elapsed_s: f64,
}

impl Line {
    /// How varied the images were.
    pub fn diversity(&self) -> Diversity {
        Diversity {
            entropy: self.entropy,
            nearest_generated: self.nearest_generated,
            nearest_training: self.nearest_training,
        }
    }
}

/// The other kind of line in `stats.jsonl`, one at an epoch's end: how the averaged generator scores. It has `step`,
/// `epoch` and `elapsed_s` like the others, the figures of [`EpochScore`], the share of the classes that are seen
/// ([`collapse::class_coverage`]), and no losses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreLine {
    pub step: u32,
    pub epoch: u32,
    #[serde(flatten)]
    pub score: EpochScore,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_coverage: Option<f64>,
    pub elapsed_s: f64,
}

/// Either kind.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Entry {
    Losses(Line),
    Score(ScoreLine),
}

impl Stepped for Entry {
    fn step(&self) -> u32 {
        match self {
            Self::Losses(line) => line.step,
            Self::Score(line) => line.step,
        }
    }
}

pub(super) struct Journal<'a> {
    run: &'a Run,
    shape: Shape,
    /// Some training images, as pixels.
    training: Vec<u8>,
    /// What images of networks that see so many rows as one are held against.
    reference: (usize, Reference),
    /// Entropy of the training images.
    entropy: f64,
    stats: Log<Entry>,
    since: Vec<Losses>,
    /// The classes of the images of every grid, if the generator is told them.
    classes: Vec<u32>,
}

impl<'a> Journal<'a> {
    /// The journal at a checkpoint, or at the beginning.
    pub fn open(
        run: &'a Run,
        source: &dyn Source,
        from: Option<&Checkpoint>,
    ) -> Result<Self, FitError> {
        let path = run.folder.join("stats.jsonl");
        let step = from.map_or(0, |from| from.gan.steps);
        let generator = &run.settings.networks.generator.network;
        let count = grid(generator);
        let training = training(source);
        let reference = Reference::new(training.clone(), source.shape().len());
        Ok(Self {
            run,
            shape: source.shape(),
            training,
            entropy: reference.entropy(),
            reference: (1, reference),
            stats: Log::open(&path, step).map_err(|source| failed(&path, source))?,
            since: from.map_or_else(Vec::new, |from| from.since.clone()),
            classes: classes_in_turn(generator, count),
        })
    }

    /// Goes back to a step, that of the checkpoint.
    pub fn cut_back(&mut self, step: u32, from: Option<&Checkpoint>) -> Result<(), FitError> {
        self.since = from.map_or_else(Vec::new, |from| from.since.clone());
        let cut = self.stats.cut_back(step);
        cut.map_err(|source| failed(self.stats.path(), source))
    }

    /// What the lines tell of mode collapse.
    pub fn monitor(&self) -> Monitor {
        let mut monitor = Monitor::new(self.run.limits, self.entropy);
        for entry in self.stats.lines() {
            match entry {
                Entry::Losses(line) => monitor.line(line),
                Entry::Score(line) => monitor.score(line),
            }
        }
        monitor
    }

    /// The losses since the last line.
    pub fn since(&self) -> &[Losses] {
        &self.since
    }

    fn lines(&self) -> impl DoubleEndedIterator<Item = &Line> {
        self.stats.lines().iter().filter_map(|entry| match entry {
            Entry::Losses(line) => Some(line),
            Entry::Score(_) => None,
        })
    }

    pub fn last(&self) -> Option<Line> {
        self.lines().next_back().cloned()
    }

    /// The last epoch that was scored.
    pub fn last_score(&self) -> Option<ScoreLine> {
        let entries = self.stats.lines().iter().rev();
        entries.into_iter().find_map(|entry| match entry {
            Entry::Losses(_) => None,
            Entry::Score(line) => Some(line.clone()),
        })
    }

    /// Seconds up to the last line, if there is one.
    pub fn elapsed_s(&self) -> Option<f64> {
        self.lines().next_back().map(|line| line.elapsed_s)
    }

    /// The images of every grid: of the pictures that are shown, or of the first seeds.
    fn images<D: Device<f32>>(&self, generator: &Model<D>) -> Result<Vec<u8>, ModelError> {
        match &self.run.shown {
            Some(shown) => Ok(to_pixels(
                &generator.evaluate(&shown.pictures, &self.classes)?,
            )),
            None => draw(
                generator,
                self.run.settings.seed,
                grid(generator.network()),
                &self.classes,
            ),
        }
    }

    /// Counts a step in; every so many steps, a line.
    pub fn record<D: Device<f32>>(
        &mut self,
        gan: &Gan<D>,
        epoch: u32,
        losses: Losses,
        elapsed: Duration,
    ) -> Result<Option<Line>, FitError> {
        self.since.push(losses);
        if !gan.steps().is_multiple_of(LOG_EVERY) {
            return Ok(None);
        }
        let count = self.since.len();
        let pixels = self.images(&gan.generator.model)?;
        let elapsed_s = elapsed.as_secs_f64();
        let seconds = elapsed_s - self.elapsed_s().unwrap_or(0.0);
        let factor = gan.factor(gan.steps());
        if self.reference.0 != factor {
            let coarse = coarse(&self.training, self.shape, factor);
            self.reference = (factor, Reference::new(coarse, self.shape.len()));
        }
        let diversity = self.reference.1.diversity(&pixels);
        let line = Line {
            step: gan.steps(),
            epoch,
            losses: Losses::mean(&self.since),
            learning_rate: gan.learning_rate(),
            images_per_s: (count * self.run.images_a_step()) as f64 / seconds,
            entropy: diversity.entropy,
            nearest_generated: diversity.nearest_generated,
            nearest_training: diversity.nearest_training,
            elapsed_s,
        };
        self.append(Entry::Losses(line.clone()))?;
        self.since.clear();
        Ok(Some(line))
    }

    /// Keeps the score of an epoch's end.
    pub fn score(&mut self, line: &ScoreLine) -> Result<(), FitError> {
        self.append(Entry::Score(line.clone()))
    }

    fn append(&mut self, entry: Entry) -> Result<(), FitError> {
        let added = self.stats.append(entry);
        added.map_err(|source| failed(self.stats.path(), source))
    }

    /// Waits until the log is on the disk.
    pub fn sync(&self) -> Result<(), FitError> {
        let synced = self.stats.sync();
        synced.map_err(|source| failed(self.stats.path(), source))
    }

    /// Writes the grids of an epoch's end, by the averaged generators; gives their paths.
    pub fn grids<D: Device<f32>>(
        &self,
        gan: &Gan<D>,
        epoch: u32,
    ) -> Result<Vec<PathBuf>, FitError> {
        let generator = gan.average();
        let pixels = self.images(generator)?;
        let grid = match &self.run.shown {
            Some(shown) => report::png(translations(shown, &pixels, self.shape))?,
            None => report::montage(&pixels, self.shape, columns(generator.network()))?,
        };
        let mut paths = vec![self.write(&format!("samples/epoch-{epoch:04}.png"), &grid)?];
        for (name, shown) in &self.run.shown_others {
            let Some(network) = gan.average_of(name) else {
                continue;
            };
            let pixels = to_pixels(&network.evaluate(&shown.pictures, &[])?);
            let image = network.network().output().map_err(ModelError::from)?;
            let grid = report::png(translations(shown, &pixels, image))?;
            paths.push(self.write(&format!("samples/{name}-epoch-{epoch:04}.png"), &grid)?);
        }
        Ok(paths)
    }

    pub fn plot(&self) -> Result<(), FitError> {
        let game = self.run.settings.game;
        let curve = |loss: &LossName| {
            let point = |line: &Line| {
                let loss = game.loss_of(&line.losses, loss)?;
                Some((line.step.into(), loss.into()))
            };
            Curve {
                name: loss.title,
                points: self.lines().filter_map(point).collect(),
            }
        };
        let curves: Vec<_> = game.losses().iter().map(curve).collect();
        self.write("losses.png", &report::plot(&curves)?)?;
        Ok(())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, FitError> {
        let path = self.run.folder.join(name);
        match write_whole(&path, bytes) {
            Ok(()) => Ok(path),
            Err(source) => Err(failed(&path, source)),
        }
    }
}

/// A grid with a row for each picture: the picture, what was made of it, and what should have been, pixels
/// `(N, C, H, W)` of `image`. Rows stand side by side in several columns.
pub fn translations(shown: &Shown, made: &[u8], image: Shape) -> RgbImage {
    /// Pictures side by side.
    const ACROSS: usize = 4;
    let pictures = to_pixels(&shown.pictures);
    let pictures = pictures.chunks_exact(shown.picture.len().max(1));
    let mut pixels = Vec::new();
    let mut wanted = shown.images.chunks_exact(image.len());
    for (picture, made) in pictures.zip(made.chunks_exact(image.len())) {
        pixels.extend(fitted(picture, shown.picture, image));
        pixels.extend_from_slice(made);
        pixels.extend_from_slice(wanted.next().unwrap_or_default());
    }
    let each = if shown.images.is_empty() { 2 } else { 3 };
    report::sheet(&pixels, image, each * ACROSS)
}

/// A picture with as many channels and pixels as an image: grey in all channels, colour as its mean, pixels repeated.
fn fitted(picture: &[u8], from: Shape, image: Shape) -> Vec<u8> {
    let plane = from.height * from.width;
    let mut pixels = Vec::with_capacity(image.len());
    for channel in 0..image.channels {
        for y in 0..image.height {
            for x in 0..image.width {
                let row = y * from.height / image.height;
                let at = row * from.width + x * from.width / image.width;
                let pixel = if from.channels == image.channels {
                    picture[channel * plane + at]
                } else {
                    let all = picture.iter().skip(at).step_by(plane);
                    let sum: usize = all.map(|&p| usize::from(p)).sum();
                    (sum / from.channels) as u8
                };
                pixels.push(pixel);
            }
        }
    }
    pixels
}

/// Pixels `(N, C, H, W)`, each the mean of a square of so many rows; the sides are multiples of them.
fn coarse(pixels: &[u8], shape: Shape, rows: usize) -> Vec<u8> {
    let (width, plane) = (shape.width, shape.height * shape.width);
    let mut coarse = pixels.to_vec();
    for plane in coarse.chunks_exact_mut(plane.max(1)) {
        for top in (0..shape.height).step_by(rows) {
            for left in (0..width).step_by(rows) {
                let places = (0..rows * rows).map(|i| (top + i / rows) * width + left + i % rows);
                let sum: usize = places.clone().map(|at| usize::from(plane[at])).sum();
                let mean = (sum + rows * rows / 2) / (rows * rows);
                places.for_each(|at| plane[at] = mean as u8);
            }
        }
    }
    coarse
}

/// Training images at even distances, the same in every run, as pixels.
fn training(source: &dyn Source) -> Vec<u8> {
    let (count, some) = (source.count(), source.count().min(collapse::COMPARED));
    let numbers: Vec<u32> = (0..some).map(|i| (i * count / some) as u32).collect();
    let mut images = Vec::new();
    source.assemble(&numbers, &mut images, &mut Vec::new());
    to_pixels(&images)
}

fn failed(path: &Path, source: io::Error) -> FitError {
    FitError::Write {
        path: path.to_owned(),
        source,
    }
}
