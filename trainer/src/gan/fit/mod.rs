//! The loop around the step: batches, logs, samples, checkpoints.

mod batches;
mod collapse;
mod data;
mod error;
mod journal;
mod recovery;
mod run;
mod saving;

use super::checkpoint::{Checkpoint, Position};
use super::{Batch, Gan, Losses, Named, Networks, Role};
use crate::files;
use crate::metrics::collapse::class_coverage;
use crate::nn::Model;
use crate::ops::Device;
use crate::spec::{Layer, Network};
use batches::Batches;
use collapse::Monitor;
use data::Order;
pub use data::{Inputs, Source, Translated};
pub use error::{FitError, Trouble};
use journal::Journal;
pub use journal::{Line, ScoreLine, columns, grid, translations};
use recovery::Recovery;
pub use run::{
    EpochScore, Length, LikelihoodScore, OnCollapse, OnNan, Progress, Run, ScoreFunction, Shown,
    Watch,
};
use saving::Checkpoints;
use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

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
    score_function: &mut ScoreFunction<'_, D>,
    watch: &mut dyn Watch,
) -> Result<Ended<D>, FitError> {
    let flips = run.flip.then_some(run.settings.seed);
    thread::scope(|scope| {
        let batches = Batches::new(scope, source, &run.order(source), flips);
        Loop::new(device, run, source, batches, from, score_function, watch)?.go()
    })
}

/// What comes after a step.
enum Next {
    Step,
    /// Somebody asked to stop.
    Leave,
    Recover(Trouble),
}

struct Loop<'a, D: Device<f32>> {
    device: D,
    run: &'a Run,
    score_function: &'a mut ScoreFunction<'a, D>,
    watch: &'a mut dyn Watch,
    gan: Gan<D>,
    order: Order,
    batches: Batches<'a>,
    journal: Journal<'a>,
    monitor: Monitor,
    checkpoints: Checkpoints<'a>,
    recovery: Recovery<'a>,
    /// Pictures that the averages' statistics are estimated on, by the name of the generator that reads them.
    settled_on: BTreeMap<String, Vec<f32>>,
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
        mut batches: Batches<'a>,
        from: Option<&Checkpoint>,
        score_function: &'a mut ScoreFunction<'a, D>,
        watch: &'a mut dyn Watch,
    ) -> Result<Self, FitError> {
        let order = run.order(source);
        if let Some(from) = from {
            check(from, run, source)?;
        }
        let step = from.map_or(0, |from| from.gan.steps);
        tidy(&run.folder)?;
        let say = &mut |note: &str| watch.note(note);
        let checkpoints = Checkpoints::open(run, order.clone(), step, say)?;
        let journal = Journal::open(run, source, from)?;
        let monitor = journal.monitor();
        let before = checkpoints.elapsed_s().or(journal.elapsed_s());
        let before = Duration::from_secs_f64(before.unwrap_or(0.0).max(0.0));
        let recovery = Recovery::new(run, from, &monitor);
        let settled_on = pictures(run, source, &mut batches);
        Ok(Self {
            gan: recovery.restore(&device, from)?,
            device,
            run,
            score_function,
            watch,
            order,
            batches,
            journal,
            monitor,
            checkpoints,
            recovery,
            settled_on,
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
                Next::Recover(trouble) => self.recover(&trouble)?,
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
            return Ok(Next::Recover(Trouble::NotFinite));
        }
        self.report(losses)?;
        if let Some(trouble) = self.collapse() {
            return Ok(Next::Recover(trouble));
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
        let losses = self.gan.step(Batch {
            n: self.run.batch,
            images: &batch.real,
            classes,
            inputs: &batch.inputs,
        })?;
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

    fn collapse(&mut self) -> Option<Trouble> {
        let step = self.gan.steps();
        self.recovery.collapse(step, &self.monitor, self.watch)
    }

    /// Does what is due after a step: at an epoch's end, at a checkpoint, at a stop. No checkpoint is written of
    /// numbers that are not finite, or of a collapse that the run goes back from.
    fn pause(&mut self, stop: bool) -> Result<Next, FitError> {
        let ends = self.position().batch == 0 || self.is_over();
        let planned = self.checkpoints.is_planned(self.gan.steps());
        if !planned && !ends && !stop {
            return Ok(Next::Step);
        }
        self.gan.settle_average_on(&self.settled_on)?;
        let checkpoint = self.checkpoint()?;
        if !checkpoint.is_finite() {
            return Ok(Next::Recover(Trouble::NotFinite));
        }
        // The checkpoint comes last, so that there is none without the epoch's pictures.
        let score = if ends { self.end_epoch()? } else { None };
        if let Some(trouble) = self.collapse() {
            return Ok(Next::Recover(trouble));
        }
        self.journal.sync()?;
        let elapsed = self.elapsed.as_secs_f64();
        self.checkpoints.write(&checkpoint, score, elapsed)?;
        self.checkpoints.prune(&self.monitor)?;
        Ok(if stop { Next::Leave } else { Next::Step })
    }

    fn end_epoch(&mut self) -> Result<Option<f64>, FitError> {
        let at = self.position();
        let epoch = at.epoch + u32::from(at.batch > 0);
        for grid in self.journal.grids(&self.gan, epoch)? {
            self.watch.grid(&grid);
        }
        self.journal.plot()?;
        self.rate(epoch)
    }

    /// What the best checkpoint is chosen by, of the averaged generator. A score that fails is told, and does not end
    /// the run.
    fn rate(&mut self, epoch: u32) -> Result<Option<f64>, FitError> {
        let step = self.gan.steps();
        let score = match (self.score_function)(self.gan.average()) {
            Ok(Some(score)) if score.is_finite() => score,
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
            class_coverage: score.class_counts().map(class_coverage),
            score,
            elapsed_s: self.elapsed.as_secs_f64(),
        };
        self.journal.score(&line)?;
        self.monitor.score(&line);
        self.watch.score(&line);
        Ok(line.score.selects())
    }

    fn checkpoint(&self) -> Result<Checkpoint, FitError> {
        Ok(Checkpoint {
            gan: self.gan.state()?,
            networks: self.gan.networks(),
            position: self.position(),
            rollbacks: self.recovery.rollbacks(),
            since: self.journal.since().to_vec(),
            recipe: self.run.recipe.clone(),
            data: self.run.data.clone(),
        })
    }

    /// Goes back to the last good checkpoint, or to the beginning where there was none yet, with half the learning
    /// rate; or gives up.
    fn recover(&mut self, trouble: &Trouble) -> Result<(), FitError> {
        let step = self.gan.steps();
        let found = self.recovery.target(
            trouble,
            step,
            self.is_out_of_time(),
            &self.monitor,
            &self.checkpoints,
            self.watch,
        )?;
        self.return_to(found.as_ref().map(|found| &found.checkpoint))?;
        self.watch.note(&format!(
            "{trouble} at step {step}: back to step {} with the learning rate {}",
            self.gan.steps(),
            self.gan.learning_rate(),
        ));
        Ok(())
    }

    /// Whether no time is left to go back.
    fn is_out_of_time(&self) -> bool {
        matches!(self.run.length, Length::Time(limit) if self.elapsed >= limit)
    }

    /// Goes back to a checkpoint, or to the beginning: what came after it has not happened.
    fn return_to(&mut self, from: Option<&Checkpoint>) -> Result<(), FitError> {
        self.gan = self.recovery.restore(&self.device, from)?;
        let step = self.gan.steps();
        let watch = &mut *self.watch;
        self.checkpoints
            .cut_back(step, &mut |note| watch.note(note))?;
        self.journal.cut_back(step, from)?;
        self.monitor = self.journal.monitor();
        self.recovery.look_again(&self.monitor);
        Ok(())
    }
}

/// Pictures of the first steps for each generator that reads some and has batch norm, by its name: at least 512, if an
/// epoch has so many; of large ones fewer.
fn pictures(
    run: &Run,
    source: &dyn Source,
    batches: &mut Batches<'_>,
) -> BTreeMap<String, Vec<f32>> {
    const COUNT: usize = 512;
    const NUMBERS: usize = 1 << 23;
    let has_norm = |network: &Network| {
        let is_norm = |layer: &Layer| matches!(layer, Layer::BatchNorm { .. });
        network.layers.iter().any(is_norm)
    };
    let networks = run.settings.networks.iter();
    let generators = networks.filter(|named| named.role == Role::Generator);
    let generators: Vec<&Named> = generators
        .filter(|named| has_norm(&named.network))
        .collect();
    let mut pictures: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    if source.inputs().is_none() || generators.is_empty() {
        return pictures;
    }
    let count = COUNT.min(NUMBERS / source.shape().len()).max(2);
    let steps = count.div_ceil(run.images_a_step()) as u32;
    for step in 0..steps.min(run.steps_an_epoch(source.count())) {
        let batch = batches.take(step);
        for named in &generators {
            let read = if named.name == run.settings.networks.generator.name {
                &batch.inputs
            } else {
                &batch.real
            };
            pictures.entry(named.name.clone()).or_default().extend(read);
        }
        batches.give_back(batch);
    }
    pictures
}

/// Checks that a run can go on from a checkpoint.
///
/// # Errors
/// Other networks; another number of images, unless the run allows it.
pub fn check(from: &Checkpoint, run: &Run, source: &dyn Source) -> Result<(), FitError> {
    let order = run.order(source);
    let (then, now) = (&from.networks, &run.settings.networks_after(from.gan.steps));
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
