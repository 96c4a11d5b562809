//! The loop around the step: batches, logs, samples, checkpoints.

mod batches;
mod collapse;
mod data;
mod journal;

use super::checkpoint::{Checkpoint, Position};
use super::store::{Store, StoreError, Writer};
use super::{Gan, Losses, Networks, Settings};
use crate::data::Fingerprint;
use crate::files;
use crate::metrics::collapse::{Limits, class_coverage};
use crate::metrics::fid_cls::Score;
use crate::nn::{Model, ModelError};
use crate::ops::Device;
use batches::Batches;
use collapse::Monitor;
use data::Order;
pub use data::Source;
use journal::Journal;
pub use journal::{Line, ScoreLine, columns, grid, latents, to_pixels};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
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

/// What to do when the generator makes the same few images for every latent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnCollapse {
    /// Say when it begins and when it ends.
    #[default]
    Warn,
    /// End the run; its last good checkpoint stays.
    Stop,
    /// Go back to the last good checkpoint with half the learning rate, up to 6 times, those of --on-nan included.
    Rollback,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Run {
    pub settings: Settings,
    pub length: Length,
    /// Images an update; an adversarial step takes so many for each update of the discriminator.
    pub batch: usize,
    /// Whether half of the images, others in each epoch, are mirrored, left to right.
    pub flip: bool,
    /// The images, where they are known.
    pub data: Option<Fingerprint>,
    /// Whether a checkpoint may be of another number of images.
    pub changed_data: bool,
    /// The run's folder, which is there.
    pub folder: PathBuf,
    /// What decides the run's result as TOML, kept in checkpoints.
    pub recipe: String,
    /// Steps from one checkpoint to the next within an epoch; there is one at each epoch's end too.
    pub checkpoint_every: u32,
    /// Checkpoints that are kept, the newest; the best one besides.
    pub keep: usize,
    pub on_nan: OnNan,
    pub on_collapse: OnCollapse,
    /// What counts as collapse.
    pub limits: Limits,
}

impl Run {
    /// Real images that a step takes, in batches.
    pub fn images_a_step(&self) -> usize {
        self.batch * self.settings.game.batches() as usize
    }

    /// Steps of an epoch over so many images.
    pub fn steps_an_epoch(&self, images: usize) -> u32 {
        Order::new(self.settings.seed, images, self.images_a_step()).per_epoch()
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
/// on anything but the generator, for a resumed run is scored again.
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
    #[error("the checkpoint is of other networks: {then} then, {now} now")]
    Networks {
        /// What they were.
        then: String,
        /// What they are.
        now: String,
    },
    #[error("the checkpoint is of a run on {then} images, and there are {now}")]
    Images { then: usize, now: usize },
    #[error(
        "the checkpoint is of another number of images: step {step} was batch {} of epoch {}, and would be batch {} of epoch {}",
        .then.batch, .then.epoch, .now.batch, .now.epoch
    )]
    Epochs {
        step: u32,
        then: Position,
        now: Position,
    },
    #[error("a loss or a weight is no longer a number at step {step}; {}", advice(.last))]
    NotFinite { step: u32, last: Option<PathBuf> },
    #[error("the generator has collapsed at step {step} ({signs}); {}", way_out(.last))]
    Collapsed {
        step: u32,
        signs: String,
        last: Option<PathBuf>,
    },
    #[error(
        "{trouble} at step {step}, though the learning rate was halved {MAX_ROLLBACKS} times: begin again \
         with a lower --lr"
    )]
    GivenUp { step: u32, trouble: Trouble },
}

/// Why a run cannot go on as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("a loss or a weight is no longer a number")]
    NotFinite,
    /// With what speaks of it.
    #[error("the generator has collapsed ({0})")]
    Collapse(String),
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

fn way_out(last: &Option<PathBuf>) -> String {
    let anew = "begin again with a lower --lr or with a --penalty";
    match last {
        Some(path) => format!(
            "the last good checkpoint is {}: resume with --on-collapse rollback to go back to it, or {anew}",
            path.display()
        ),
        None => format!("there is no good checkpoint: {anew}"),
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
    pub score: Option<ScoreLine>,
    /// What speaks of mode collapse at the end, if anything does.
    pub collapse: Option<String>,
}

/// How a run ended.
pub enum Ended<D: Device<f32>> {
    Finished(Box<Trained<D>>),
    /// Because [`Watch::stop`] said so, after this step, of which there is a checkpoint.
    Stopped(u32),
}

/// Trains a GAN, leaving `stats.jsonl`, `losses.png`, `samples/` and `checkpoints/` in the run's folder. With a
/// checkpoint `from` that folder the run is resumed there, and what the folder holds of later steps is
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

/// What comes after a step.
enum Next {
    Step,
    /// Somebody asked to stop.
    Leave,
    Mend(Trouble),
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
    monitor: Monitor,
    /// Whether the collapse that there is was said.
    warned: bool,
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
            check(from, run, source)?;
        }
        let step = from.map_or(0, |from| from.gan.steps);
        tidy(&run.folder)?;
        let say = &mut |note: &str| watch.note(note);
        let checkpoints = Writer::open(Store::of(&run.folder), run.keep, step, say)?;
        let journal = Journal::open(run, source, from)?;
        let monitor = journal.monitor();
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
            warned: monitor.collapse().is_some(),
            monitor,
            checkpoints,
            before,
            start: Instant::now(),
            elapsed: before,
        })
    }

    fn go(mut self) -> Result<Ended<D>, FitError> {
        while !self.is_over() {
            match self.advance()? {
                Next::Step => {}
                Next::Leave => return Ok(Ended::Stopped(self.gan.steps())),
                Next::Mend(trouble) => self.mend(trouble)?,
            }
        }
        let steps = self.gan.steps();
        Ok(Ended::Finished(Box::new(Trained {
            images_per_s: f64::from(steps) * self.run.images_a_step() as f64
                / self.elapsed.as_secs_f64(),
            steps,
            generator: self.gan.into_average(),
            elapsed: self.elapsed,
            last: self.journal.last(),
            score: self.journal.last_score(),
            collapse: self.monitor.collapse(),
        })))
    }

    /// A step and what is due after it.
    fn advance(&mut self) -> Result<Next, FitError> {
        let losses = self.step()?;
        if !losses.is_finite() {
            return Ok(Next::Mend(Trouble::NotFinite));
        }
        self.report(losses)?;
        if let Some(trouble) = self.collapse() {
            return Ok(Next::Mend(trouble));
        }
        let stop = self.watch.stop();
        self.pause(stop)
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
        let generator = &self.run.settings.networks.generator.network;
        let classes = match generator.classes() {
            Some(_) => batch.classes.as_slice(),
            None => &[],
        };
        let losses = self.gan.step(self.run.batch, &batch.real, classes)?;
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
            self.monitor.line(&line);
            self.watch.line(&line);
        }
        Ok(())
    }

    /// Says when a collapse begins and when it ends, where that is all to do about it.
    fn collapse(&mut self) -> Option<Trouble> {
        let signs = self.monitor.collapse();
        if self.run.on_collapse != OnCollapse::Warn {
            return signs.map(Trouble::Collapse);
        }
        if signs.is_some() != self.warned {
            self.warned = signs.is_some();
            let step = self.gan.steps();
            self.watch.note(&match signs {
                Some(signs) => format!("step {step}: the generator has collapsed ({signs})"),
                None => format!("step {step}: the collapse is over"),
            });
        }
        None
    }

    /// Does what is due after a step: at an epoch's end, at a checkpoint, at a stop. No checkpoint is written of
    /// numbers that are not finite, or of a collapse that is to be mended.
    fn pause(&mut self, stop: bool) -> Result<Next, FitError> {
        let ends = self.position().batch == 0 || self.is_over();
        let planned = ends || self.is_planned(self.gan.steps());
        if !planned && !stop {
            return Ok(Next::Step);
        }
        self.gan.settle_average()?;
        let checkpoint = self.checkpoint()?;
        if !checkpoint.is_finite() {
            return Ok(Next::Mend(Trouble::NotFinite));
        }
        // The checkpoint comes last, so that there is none without the epoch's pictures.
        let score = if ends { self.end_epoch()? } else { None };
        if let Some(trouble) = self.collapse() {
            return Ok(Next::Mend(trouble));
        }
        self.journal.sync()?;
        let elapsed = self.elapsed.as_secs_f64();
        self.checkpoints.write(&checkpoint, score, elapsed)?;
        // What was written at a stop must not displace what a run left alone would roll back to.
        if planned {
            self.prune()?;
        }
        Ok(match stop {
            true => Next::Leave,
            false => Next::Step,
        })
    }

    /// Lets old checkpoints go, but none that a collapse may have to be mended from.
    fn prune(&self) -> Result<(), FitError> {
        let spared = match self.run.on_collapse {
            OnCollapse::Warn => BTreeSet::new(),
            OnCollapse::Stop | OnCollapse::Rollback => self.refuges()?,
        };
        Ok(self.checkpoints.prune(&spared)?)
    }

    /// The checkpoints that may be the last good one when a collapse is seen, and those that are the best then.
    fn refuges(&self) -> Result<BTreeSet<u32>, FitError> {
        let mut steps = self.checkpoints.steps()?;
        steps.retain(|&step| self.is_planned(step));
        let [images, classes] = self.monitor.horizons();
        let later = steps.iter().copied().filter(|&step| step > images);
        let mut refuges: BTreeSet<u32> = later.collect();
        for horizon in [images, classes] {
            refuges.extend(steps.iter().filter(|&&step| step <= horizon).max());
            refuges.extend(self.checkpoints.best_step(horizon));
        }
        Ok(refuges)
    }

    fn end_epoch(&mut self) -> Result<Option<f64>, FitError> {
        let at = self.position();
        let epoch = at.epoch + u32::from(at.batch > 0);
        let grid = self.journal.grid(self.gan.average(), epoch)?;
        self.watch.grid(&grid);
        self.journal.plot()?;
        self.rate(epoch)
    }

    /// The score of the averaged generator. One that fails is told, and does not end the run.
    fn rate(&mut self, epoch: u32) -> Result<Option<f64>, FitError> {
        let step = self.gan.steps();
        let score = match (self.judge)(self.gan.average()) {
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
            class_coverage: class_coverage(&score.class_counts),
            score,
            elapsed_s: self.elapsed.as_secs_f64(),
        };
        self.journal.score(&line)?;
        self.monitor.score(&line);
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
            networks: self.run.settings.networks.clone(),
            position: self.position(),
            rollbacks: self.rollbacks,
            since: self.journal.since().to_vec(),
            recipe: self.run.recipe.clone(),
            data: self.run.data.clone(),
        })
    }

    /// Goes back to the last good checkpoint, or to the beginning where there was none yet, with half the learning
    /// rate; or gives up.
    fn mend(&mut self, trouble: Trouble) -> Result<(), FitError> {
        let step = self.gan.steps();
        let (stop, horizon) = match trouble {
            Trouble::NotFinite => (self.run.on_nan == OnNan::Stop, step),
            Trouble::Collapse(_) => (
                self.run.on_collapse == OnCollapse::Stop,
                self.monitor.well(),
            ),
        };
        let wanted = |at| at <= horizon && (stop || self.is_planned(at));
        let mut notes = Vec::new();
        let say = &mut |note: &str| notes.push(note.to_owned());
        let found = self.checkpoints.newest_where(wanted, say)?;
        notes.iter().for_each(|note| self.watch.note(note));
        // What was to be kept for this may be gone where a run began without.
        let lost = matches!(trouble, Trouble::Collapse(_))
            && found.is_none()
            && (1..=horizon).any(|at| self.is_planned(at));
        if stop || lost || self.is_out_of_time() {
            return Err(given_up(trouble, step, found.map(|found| found.path)));
        }
        if self.rollbacks == MAX_ROLLBACKS {
            return Err(FitError::GivenUp { step, trouble });
        }
        self.rollbacks += 1;
        self.return_to(found.as_ref().map(|found| &found.checkpoint))?;
        self.watch.note(&format!(
            "{trouble} at step {step}: back to step {} with the learning rate {}",
            self.gan.steps(),
            self.gan.learning_rate(),
        ));
        Ok(())
    }

    /// Whether no time is left to mend anything.
    fn is_out_of_time(&self) -> bool {
        matches!(self.run.length, Length::Time(limit) if self.elapsed >= limit)
    }

    /// Goes back to a checkpoint, or to the beginning: what came after it has not happened.
    fn return_to(&mut self, from: Option<&Checkpoint>) -> Result<(), FitError> {
        self.gan = restore(&self.device, self.run, from, self.rollbacks)?;
        let step = self.gan.steps();
        let watch = &mut *self.watch;
        let say = &mut |note: &str| watch.note(note);
        self.checkpoints.cut_back(step, say)?;
        self.journal.cut_back(step, from)?;
        self.monitor = self.journal.monitor();
        self.warned = self.monitor.collapse().is_some();
        Ok(())
    }
}

/// The end of a run that is not mended.
fn given_up(trouble: Trouble, step: u32, last: Option<PathBuf>) -> FitError {
    match trouble {
        Trouble::NotFinite => FitError::NotFinite { step, last },
        Trouble::Collapse(signs) => FitError::Collapsed { step, signs, last },
    }
}

/// Checks that a run can go on from a checkpoint.
///
/// # Errors
/// Other networks; another number of images, unless the run allows it.
pub fn check(from: &Checkpoint, run: &Run, source: &dyn Source) -> Result<(), FitError> {
    let order = order(run, source);
    let (then, now) = (&from.networks, &run.settings.networks);
    if then != now {
        return Err(FitError::Networks {
            then: described(then),
            now: described(now),
        });
    }
    let position = order.position(from.gan.steps);
    if run.changed_data || from.position == position {
        return Ok(());
    }
    Err(match &from.data {
        Some(data) if data.images != order.count() => FitError::Images {
            then: data.images,
            now: order.count(),
        },
        _ => FitError::Epochs {
            step: from.gan.steps,
            then: from.position,
            now: position,
        },
    })
}

/// What tells networks apart: parameters, images and classes.
fn described(networks: &Networks) -> String {
    let parameters = networks.iter().map(|named| {
        let parameters = named.network.parameters().unwrap_or_default();
        format!("{} of {parameters} parameters", named.name)
    });
    let parameters: Vec<String> = parameters.collect();
    let generator = &networks.generator.network;
    let image = generator.output().unwrap_or(generator.input);
    let classes = generator.classes().unwrap_or(0);
    let parameters = parameters.join(" and ");
    format!("{parameters} for images of {image} and {classes} classes")
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
