//! The loop around the step: batches, logs, samples, checkpoints.

mod batches;
mod data;
mod journal;

use super::checkpoint::{Checkpoint, Position};
use super::store::{Store, StoreError, Writer};
use super::{Gan, Losses, Settings};
use crate::files;
use crate::metrics::fid_cls::Score;
use crate::nn::{Model, ModelError};
use crate::ops::Device;
use batches::Batches;
use data::Order;
pub use data::Source;
use journal::Journal;
pub use journal::{Line, ScoreLine, latents, to_pixels};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How often the learning rate is halved before a run is given up.
const MAX_ROLLBACKS: u32 = 6;

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    Epochs(u32),
    /// The time of all parts of the run together.
    Time(Duration),
}

/// What to do about a loss or a weight that is no longer finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnNan {
    /// End the run; its last good checkpoint stays.
    #[default]
    Stop,
    /// Go back to the last good checkpoint with half the learning rate, up to 6 times.
    Rollback,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Run {
    pub settings: Settings,
    pub length: Length,
    /// Images an update of the discriminator.
    pub batch: usize,
    /// Whether half of the images, others in each epoch, are mirrored, left to right.
    pub flip: bool,
    /// The run's folder, which is there.
    pub folder: PathBuf,
    /// What decides the run's result as TOML, kept in checkpoints.
    pub recipe: String,
    /// Steps from one checkpoint to the next within an epoch; there is one at each epoch's end too.
    pub checkpoint_every: u32,
    /// Checkpoints that are kept, the newest; the best one besides.
    pub keep: usize,
    pub on_nan: OnNan,
}

impl Run {
    /// Real images that a step takes: a batch for each update of the discriminator.
    pub fn images_a_step(&self) -> usize {
        self.batch * self.settings.critic_steps as usize
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// From 0 to 1.
    pub share: f64,
    /// Of all parts of the run.
    pub elapsed: Duration,
}

/// Watches a run.
pub trait Watch {
    /// After every step.
    fn step(&mut self, _: Progress) {}
    /// After every line of the log.
    fn line(&mut self, _: &Line) {}
    /// After every sample grid.
    fn grid(&mut self, _: &Path) {}
    /// At an epoch's end, if there is a score.
    fn score(&mut self, _: &ScoreLine) {}
    /// What is out of the ordinary, a sentence.
    fn note(&mut self, _: &str) {}
    /// Asked after every step: whether to write a checkpoint and leave.
    fn stop(&mut self) -> bool {
        false
    }
}

/// Scores the averaged generator at an epoch's end; `None` where there is nothing to tell. It must not depend
/// on anything but the generator, for a run that is taken up again is scored again.
pub type Judge<'a, D> = dyn FnMut(&Model<D>) -> Result<Option<Score>, ModelError> + 'a;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot write {}: {source}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot encode a picture: {0}")]
    Picture(#[from] image::ImageError),
    #[error("the checkpoint is not one of these networks and this many images")]
    Mismatch,
    #[error("a loss or a weight is no longer a number at step {step}; {}", advice(.last))]
    NotFinite { step: u32, last: Option<PathBuf> },
    #[error(
        "a loss or a weight is no longer a number at step {step}, though the learning rate was halved \
         {MAX_ROLLBACKS} times: begin again with a lower --lr"
    )]
    GivenUp { step: u32 },
}

fn advice(last: &Option<PathBuf>) -> String {
    match last {
        Some(path) => format!(
            "the last good checkpoint is {}: resume from it with --on-nan rollback, or begin again with a \
             lower --lr",
            path.display()
        ),
        None => "there is no checkpoint yet: begin again with a lower --lr".to_owned(),
    }
}

/// What a run leaves besides its files.
pub struct Trained<D: Device<f32>> {
    /// The averaged generator.
    pub generator: Model<D>,
    pub steps: u32,
    /// Of all parts of the run.
    pub elapsed: Duration,
    pub images_per_s: f64,
    pub last: Option<Line>,
    /// Of the last epoch that was scored.
    pub score: Option<Score>,
}

/// How a run ended.
pub enum Ended<D: Device<f32>> {
    Finished(Box<Trained<D>>),
    /// Because [`Watch::stop`] said so, after this step, of which there is a checkpoint.
    Stopped(u32),
}

/// Trains a GAN, leaving `stats.jsonl`, `losses.png`, `samples/` and `checkpoints/` in the run's folder. With a
/// checkpoint `from` that folder the run is taken up there, and what the folder holds of later steps is
/// forgotten; without one it begins.
///
/// # Errors
/// The device's, a file that cannot be written, numbers that are not finite, a checkpoint of another run.
pub fn fit<D: Device<f32>>(
    device: D,
    run: &Run,
    source: &dyn Source,
    from: Option<&Checkpoint>,
    judge: &mut Judge<'_, D>,
    watch: &mut dyn Watch,
) -> Result<Ended<D>, FitError> {
    let flips = run.flip.then_some(run.settings.seed);
    thread::scope(|scope| {
        let batches = Batches::new(scope, source, &order(run, source), flips);
        Loop::new(device, run, source, batches, from, judge, watch)?.go()
    })
}

/// The order of the run's images.
fn order(run: &Run, source: &dyn Source) -> Order {
    Order::new(run.settings.seed, source.count(), run.images_a_step())
}

struct Loop<'a, D: Device<f32>> {
    device: D,
    run: &'a Run,
    judge: &'a mut Judge<'a, D>,
    watch: &'a mut dyn Watch,
    gan: Gan<D>,
    rollbacks: u32,
    order: Order,
    batches: Batches<'a>,
    journal: Journal<'a>,
    checkpoints: Writer,
    /// Time of the parts of the run before this one.
    before: Duration,
    start: Instant,
    /// Up to the last step.
    elapsed: Duration,
}

impl<'a, D: Device<f32>> Loop<'a, D> {
    fn new(
        device: D,
        run: &'a Run,
        source: &dyn Source,
        batches: Batches<'a>,
        from: Option<&Checkpoint>,
        judge: &'a mut Judge<'a, D>,
        watch: &'a mut dyn Watch,
    ) -> Result<Self, FitError> {
        let order = order(run, source);
        if let Some(from) = from {
            check(from, run, &order)?;
        }
        let step = from.map_or(0, |from| from.gan.steps);
        tidy(&run.folder)?;
        let say = &mut |note: &str| watch.note(note);
        let checkpoints = Writer::open(Store::of(&run.folder), run.keep, step, say)?;
        let journal = Journal::open(run, source.shape(), from)?;
        let before = checkpoints.elapsed_s().or(journal.elapsed_s());
        let before = Duration::from_secs_f64(before.unwrap_or(0.0).max(0.0));
        let rollbacks = from.map_or(0, |from| from.rollbacks);
        Ok(Self {
            gan: restore(&device, run, from, rollbacks)?,
            device,
            run,
            judge,
            watch,
            rollbacks,
            order,
            batches,
            journal,
            checkpoints,
            before,
            start: Instant::now(),
            elapsed: before,
        })
    }

    fn go(mut self) -> Result<Ended<D>, FitError> {
        while !self.is_over() {
            let losses = self.step()?;
            if !losses.is_finite() {
                self.roll_back()?;
                continue;
            }
            self.report(losses)?;
            let stop = self.watch.stop();
            if !self.pause(stop)? {
                self.roll_back()?;
            } else if stop {
                return Ok(Ended::Stopped(self.gan.steps()));
            }
        }
        let steps = self.gan.steps();
        Ok(Ended::Finished(Box::new(Trained {
            images_per_s: f64::from(steps) * self.run.images_a_step() as f64
                / self.elapsed.as_secs_f64(),
            generator: self.gan.average,
            steps,
            elapsed: self.elapsed,
            last: self.journal.last(),
            score: self.journal.last_score(),
        })))
    }

    fn is_over(&self) -> bool {
        match self.run.length {
            Length::Epochs(epochs) => self.position().epoch >= epochs,
            Length::Time(limit) => self.elapsed >= limit,
        }
    }

    fn position(&self) -> Position {
        self.order.position(self.gan.steps())
    }

    fn step(&mut self) -> Result<Losses, FitError> {
        let batch = self.batches.take(self.gan.steps());
        let losses = self.gan.step(self.run.batch, &batch.real)?;
        self.batches.give_back(batch);
        self.elapsed = self.before + self.start.elapsed();
        Ok(losses)
    }

    fn report(&mut self, losses: Losses) -> Result<(), FitError> {
        let elapsed = self.elapsed;
        let share = match self.run.length {
            Length::Epochs(epochs) => {
                let steps = f64::from(epochs) * f64::from(self.order.per_epoch());
                f64::from(self.gan.steps()) / steps
            }
            Length::Time(limit) => elapsed.as_secs_f64() / limit.as_secs_f64(),
        };
        self.watch.step(Progress { share, elapsed });
        let epoch = self.order.position(self.gan.steps() - 1).epoch;
        if let Some(line) = self.journal.record(&self.gan, epoch, losses, elapsed)? {
            self.watch.line(&line);
        }
        Ok(())
    }

    /// Does what is due after a step: at an epoch's end, at a checkpoint, at a stop. False if the numbers are not
    /// finite, and then nothing is done.
    fn pause(&mut self, stop: bool) -> Result<bool, FitError> {
        let ends = self.position().batch == 0 || self.is_over();
        let planned = ends || self.is_planned(self.gan.steps());
        if !planned && !stop {
            return Ok(true);
        }
        self.gan.settle_average()?;
        let checkpoint = self.checkpoint()?;
        if !checkpoint.is_finite() {
            return Ok(false);
        }
        // The checkpoint comes last, so that there is none without the epoch's pictures.
        let score = if ends { self.end_epoch()? } else { None };
        self.journal.sync()?;
        let elapsed = self.elapsed.as_secs_f64();
        self.checkpoints.write(&checkpoint, score, elapsed)?;
        // What was written at a stop must not displace what a run left alone would roll back to.
        if planned {
            self.checkpoints.prune()?;
        }
        Ok(true)
    }

    fn end_epoch(&mut self) -> Result<Option<f64>, FitError> {
        let at = self.position();
        let epoch = at.epoch + u32::from(at.batch > 0);
        let grid = self.journal.grid(&self.gan.average, epoch)?;
        self.watch.grid(&grid);
        self.journal.plot()?;
        self.rate(epoch)
    }

    /// The score of the averaged generator. One that fails is told, and does not end the run.
    fn rate(&mut self, epoch: u32) -> Result<Option<f64>, FitError> {
        let step = self.gan.steps();
        let score = match (self.judge)(&self.gan.average) {
            Ok(Some(score)) if score.fid_cls.is_finite() => score,
            Ok(_) => return Ok(None),
            Err(error) => {
                let note = format!("there is no score at step {step}: {error}");
                self.watch.note(&note);
                return Ok(None);
            }
        };
        let line = ScoreLine {
            step,
            epoch: epoch - 1,
            score,
            elapsed_s: self.elapsed.as_secs_f64(),
        };
        self.journal.score(&line)?;
        self.watch.score(&line);
        Ok(Some(line.score.fid_cls))
    }

    /// Whether a run left alone writes a checkpoint after this step.
    fn is_planned(&self, step: u32) -> bool {
        let batch = self.order.position(step).batch;
        batch.is_multiple_of(self.run.checkpoint_every)
    }

    fn checkpoint(&self) -> Result<Checkpoint, FitError> {
        Ok(Checkpoint {
            gan: self.gan.state()?,
            generator: self.run.settings.generator.clone(),
            discriminator: self.run.settings.discriminator.clone(),
            position: self.position(),
            rollbacks: self.rollbacks,
            since: self.journal.since().to_vec(),
            recipe: self.run.recipe.clone(),
        })
    }

    /// Goes back to the last good checkpoint, or to the beginning where there is none yet, with half the learning
    /// rate; or gives up.
    fn roll_back(&mut self) -> Result<(), FitError> {
        let step = self.gan.steps();
        let planned = |at| self.run.on_nan == OnNan::Stop || self.is_planned(at);
        let mut notes = Vec::new();
        let say = &mut |note: &str| notes.push(note.to_owned());
        let found = self.checkpoints.newest_where(planned, say)?;
        notes.iter().for_each(|note| self.watch.note(note));
        if self.run.on_nan == OnNan::Stop {
            let last = found.map(|found| found.path);
            return Err(FitError::NotFinite { step, last });
        }
        if self.rollbacks == MAX_ROLLBACKS {
            return Err(FitError::GivenUp { step });
        }
        if self.is_over() {
            // No time is left to mend it.
            let last = found.map(|found| found.path);
            return Err(FitError::NotFinite { step, last });
        }
        self.rollbacks += 1;
        let from = found.as_ref().map(|found| &found.checkpoint);
        self.gan = restore(&self.device, self.run, from, self.rollbacks)?;
        self.checkpoints.cut_back(self.gan.steps())?;
        self.journal.cut_back(self.gan.steps(), from)?;
        self.watch.note(&format!(
            "a loss or a weight is no longer a number at step {step}: back to step {} with the learning rate {}",
            self.gan.steps(),
            self.gan.learning_rate(),
        ));
        Ok(())
    }
}

/// A checkpoint of other networks, or other images, cannot be gone on from.
fn check(from: &Checkpoint, run: &Run, order: &Order) -> Result<(), FitError> {
    let fits = from.generator == run.settings.generator
        && from.discriminator == run.settings.discriminator
        && from.position == order.position(from.gan.steps);
    match fits {
        true => Ok(()),
        false => Err(FitError::Mismatch),
    }
}

/// Removes what a killed run left half written.
fn tidy(folder: &Path) -> Result<(), FitError> {
    for folder in [
        folder.to_owned(),
        folder.join("samples"),
        folder.join("checkpoints"),
    ] {
        let tidied = std::fs::create_dir_all(&folder).and_then(|()| files::sweep(&folder));
        tidied.map_err(|source| FitError::Write {
            path: folder,
            source,
        })?;
    }
    Ok(())
}

/// The GAN at a checkpoint, or at its beginning.
fn restore<D: Device<f32>>(
    device: &D,
    run: &Run,
    from: Option<&Checkpoint>,
    rollbacks: u32,
) -> Result<Gan<D>, ModelError> {
    let mut settings = run.settings.clone();
    settings.adam.learning_rate *= 0.5f64.powi(rollbacks as i32);
    match from {
        Some(from) => Gan::restore(device.clone(), &settings, &from.gan),
        None => Gan::new(device.clone(), &settings),
    }
}
