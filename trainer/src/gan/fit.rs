//! The loop around the step: batches, logs, samples, checkpoints.

use super::checkpoint::{self, CheckpointError};
use super::{Gan, Losses, Settings};
use crate::data::Images;
use crate::engines;
use crate::files::write_whole;
use crate::metrics::Histogram;
use crate::metrics::fid_cls::{FidCls, Score};
use crate::nn::{Model, ModelError};
use crate::ops::Device;
use crate::report::{self, Curve};
use crate::rng::{Rng, Stream};
use crate::spec::Shape;
use pocketgan::latent;
use serde::Serialize;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Steps from one line of the log to the next.
const LOG_EVERY: u32 = 50;
/// Images in a sample grid, eight to a row.
const GRID: usize = 64;
/// Checkpoints that are kept, the newest.
const KEPT: usize = 3;

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    Epochs(u32),
    Time(Duration),
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Run {
    pub settings: Settings,
    pub length: Length,
    /// Images a step.
    pub batch: usize,
    /// The run's folder, which is there.
    pub folder: PathBuf,
    /// The configuration as TOML, kept in checkpoints.
    pub config: String,
}

/// A line of `stats.jsonl` on losses: means since the line before.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Line {
    pub step: u32,
    pub epoch: u32,
    pub discriminator_loss: f32,
    pub generator_loss: f32,
    pub images_per_s: f64,
    /// Normalized entropy of the pixel values of 64 images of the generator in training.
    pub entropy: f64,
    pub elapsed_s: f64,
}

/// The other kind of line in `stats.jsonl`, one at an epoch's end: how the averaged generator scores. It
/// has `step`, `epoch` and `elapsed_s` like the others, the figures of [`Score`], and no losses.
#[derive(Clone, Debug, Serialize)]
pub struct ScoreLine {
    pub step: u32,
    pub epoch: u32,
    #[serde(flatten)]
    pub score: Score,
    pub elapsed_s: f64,
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// From 0 to 1.
    pub share: f64,
    pub elapsed: Duration,
}

/// Watches a run.
pub trait Watch {
    /// After every step.
    fn step(&mut self, progress: Progress);
    /// After every line of the log.
    fn line(&mut self, line: &Line);
    /// After every score.
    fn score(&mut self, line: &ScoreLine);
    /// After every sample grid.
    fn grid(&mut self, path: &Path);
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("cannot write {}: {source}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot encode a picture: {0}")]
    Picture(#[from] image::ImageError),
    #[error(
        "a loss is no longer a number at step {0}; the last checkpoint is sound: try again with a lower --lr"
    )]
    NotFinite(u32),
}

/// What a run leaves besides its files.
pub struct Trained<D: Device<f32>> {
    /// The averaged generator.
    pub generator: Model<D>,
    pub steps: u32,
    pub elapsed: Duration,
    pub images_per_s: f64,
    pub last: Option<Line>,
    /// The score at the end, if there is a scorer.
    pub score: Option<Score>,
}

/// Trains a GAN, leaving `stats.jsonl`, `losses.png`, `samples/` and `checkpoints/` in the run's folder. At
/// each epoch's end `judge`, if there is one, scores the averaged generator.
///
/// # Errors
/// The device's, a file that cannot be written, or a loss that is not finite.
pub fn fit<D: Device<f32>>(
    device: D,
    run: &Run,
    images: &Images,
    judge: Option<&FidCls>,
    watch: &mut dyn Watch,
) -> Result<Trained<D>, FitError> {
    let shape = Shape::new(images.channels, images.height, images.width);
    let mut gan = Gan::new(device, &run.settings)?;
    let mut journal = Journal::new(run)?;
    let steps_per_epoch = (images.count / run.batch).max(1) as u32;
    let mut real = Vec::with_capacity(run.batch * shape.len());
    let start = Instant::now();
    let (mut epoch, mut score) = (0, None);
    while !is_over(run.length, epoch, start) {
        let order =
            Rng::new(run.settings.seed, Stream::Order(epoch)).permutation(images.count as u32);
        for (at, batch) in order
            .chunks(run.batch)
            .take(steps_per_epoch as usize)
            .enumerate()
        {
            assemble(images, batch, &mut real);
            let losses = gan.step(batch.len(), &real)?;
            if !losses.discriminator.is_finite() || !losses.generator.is_finite() {
                return Err(FitError::NotFinite(gan.steps()));
            }
            let done = f64::from(epoch) + (at + 1) as f64 / f64::from(steps_per_epoch);
            let elapsed = start.elapsed();
            watch.step(Progress {
                share: match run.length {
                    Length::Epochs(epochs) => done / f64::from(epochs),
                    Length::Time(limit) => elapsed.as_secs_f64() / limit.as_secs_f64(),
                },
                elapsed,
            });
            if let Some(line) = journal.record(&gan, epoch, losses, batch.len(), elapsed)? {
                watch.line(&line);
            }
            if matches!(run.length, Length::Time(limit) if elapsed >= limit) {
                break;
            }
        }
        gan.settle_average()?;
        if let Some(judge) = judge {
            let line = journal.score(&gan, epoch, judge.score(&gan.average)?, start.elapsed())?;
            watch.score(&line);
            score = Some(line.score);
        }
        epoch += 1;
        watch.grid(&journal.grid(&gan.average, shape, epoch)?);
        journal.checkpoint(&gan)?;
        journal.plot()?;
    }
    let elapsed = start.elapsed();
    let steps = gan.steps();
    Ok(Trained {
        images_per_s: f64::from(steps) * run.batch as f64 / elapsed.as_secs_f64(),
        generator: gan.average,
        steps,
        elapsed,
        last: journal.lines.last().copied(),
        score,
    })
}

fn is_over(length: Length, epoch: u32, start: Instant) -> bool {
    match length {
        Length::Epochs(epochs) => epoch >= epochs,
        Length::Time(limit) => start.elapsed() >= limit,
    }
}

/// A batch of images, `(N, C, H, W)`, pixel `p` as `(p - 128) / 128`.
fn assemble(images: &Images, batch: &[u32], real: &mut Vec<f32>) {
    real.clear();
    for pixels in batch.iter().filter_map(|&i| images.image(i as usize)) {
        real.extend(pixels.iter().map(|&p| (f32::from(p) - 128.0) / 128.0));
    }
}

/// The pixels of images with values in [-1, 1]: rounded and clamped; the inverse of what training reads.
pub fn to_pixels(images: &[f32]) -> Vec<u8> {
    images.iter().map(|y| (128.0 * y + 128.5) as u8).collect()
}

/// The latents of the images with the seeds `seed`, `seed + 1`, …, as the runtime draws them.
pub fn latents(seed: u64, count: usize, size: usize) -> Vec<f32> {
    let drawn = engines::latents(seed, count, size);
    drawn
        .into_iter()
        .map(|q| f32::from(q) * latent::SCALE)
        .collect()
}

/// The files of a run as it goes on.
struct Journal<'a> {
    run: &'a Run,
    stats: File,
    lines: Vec<Line>,
    since: Vec<Losses>,
    images_since: usize,
    last: Duration,
    checkpoints: Vec<PathBuf>,
    /// The latents that every grid shows.
    fixed: Vec<f32>,
}

impl<'a> Journal<'a> {
    fn new(run: &'a Run) -> Result<Self, FitError> {
        let path = run.folder.join("stats.jsonl");
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| FitError::Write { path, source }
        };
        for folder in ["samples", "checkpoints"] {
            let folder = run.folder.join(folder);
            std::fs::create_dir(&folder).map_err(failed(&folder))?;
        }
        Ok(Self {
            run,
            stats: File::create(&path).map_err(failed(&path))?,
            lines: Vec::new(),
            since: Vec::new(),
            images_since: 0,
            last: Duration::ZERO,
            checkpoints: Vec::new(),
            fixed: latents(run.settings.seed, GRID, run.settings.generator.input.len()),
        })
    }

    /// Counts a step in; every so many steps, a line.
    fn record<D: Device<f32>>(
        &mut self,
        gan: &Gan<D>,
        epoch: u32,
        losses: Losses,
        images: usize,
        elapsed: Duration,
    ) -> Result<Option<Line>, FitError> {
        self.since.push(losses);
        self.images_since += images;
        if !gan.steps().is_multiple_of(LOG_EVERY) {
            return Ok(None);
        }
        let count = self.since.len() as f32;
        let mean = |loss: fn(&Losses) -> f32| self.since.iter().map(loss).sum::<f32>() / count;
        let pixels = to_pixels(&gan.generator.evaluate(&self.fixed)?);
        let line = Line {
            step: gan.steps(),
            epoch,
            discriminator_loss: mean(|l| l.discriminator),
            generator_loss: mean(|l| l.generator),
            images_per_s: self.images_since as f64 / (elapsed - self.last).as_secs_f64(),
            entropy: Histogram::of(&pixels).entropy(),
            elapsed_s: elapsed.as_secs_f64(),
        };
        self.note(&line)?;
        self.lines.push(line);
        self.since.clear();
        self.images_since = 0;
        self.last = elapsed;
        Ok(Some(line))
    }

    /// Keeps the score of an epoch's end.
    fn score<D: Device<f32>>(
        &mut self,
        gan: &Gan<D>,
        epoch: u32,
        score: Score,
        elapsed: Duration,
    ) -> Result<ScoreLine, FitError> {
        let line = ScoreLine {
            step: gan.steps(),
            epoch,
            score,
            elapsed_s: elapsed.as_secs_f64(),
        };
        self.note(&line)?;
        Ok(line)
    }

    /// Adds a line to `stats.jsonl`.
    fn note(&mut self, line: &impl Serialize) -> Result<(), FitError> {
        serde_json::to_writer(&self.stats, line)
            .map_err(std::io::Error::from)
            .and_then(|()| self.stats.write_all(b"\n"))
            .map_err(|source| FitError::Write {
                path: self.run.folder.join("stats.jsonl"),
                source,
            })
    }

    fn grid<D: Device<f32>>(
        &self,
        generator: &Model<D>,
        shape: Shape,
        epoch: u32,
    ) -> Result<PathBuf, FitError> {
        let pixels = to_pixels(&generator.evaluate(&self.fixed)?);
        let name = format!("samples/epoch-{epoch:04}.png");
        self.write(&name, &report::montage(&pixels, shape, 8)?)
    }

    fn checkpoint<D: Device<f32>>(&mut self, gan: &Gan<D>) -> Result<(), FitError> {
        let name = format!("checkpoints/step-{:08}.safetensors", gan.steps());
        let path = self.write(&name, &checkpoint::encode(gan, &self.run.config)?)?;
        self.checkpoints.push(path);
        if self.checkpoints.len() > KEPT {
            let oldest = self.checkpoints.remove(0);
            std::fs::remove_file(&oldest).map_err(|source| FitError::Write {
                path: oldest,
                source,
            })?;
        }
        Ok(())
    }

    fn plot(&self) -> Result<(), FitError> {
        let curve = |name, value: fn(&Line) -> f32| Curve {
            name,
            points: self
                .lines
                .iter()
                .map(|line| (f64::from(line.step), f64::from(value(line))))
                .collect(),
        };
        let curves = [
            curve("discriminator loss", |line| line.discriminator_loss),
            curve("generator loss", |line| line.generator_loss),
        ];
        self.write("losses.png", &report::plot(&curves)?)?;
        Ok(())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, FitError> {
        let path = self.run.folder.join(name);
        match write_whole(&path, bytes) {
            Ok(()) => Ok(path),
            Err(source) => Err(FitError::Write { path, source }),
        }
    }
}
