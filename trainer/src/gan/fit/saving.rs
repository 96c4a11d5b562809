//! When checkpoints are written, and which of them are kept.

use super::collapse::Monitor;
use super::data::Order;
use super::error::FitError;
use super::run::{OnCollapse, Run};
use crate::gan::checkpoint::Checkpoint;
use crate::gan::store::{Found, Store, Writer};
use std::collections::BTreeSet;

/// The checkpoints of a run that is going on.
pub(super) struct Checkpoints<'a> {
    run: &'a Run,
    order: Order,
    writer: Writer,
}

impl<'a> Checkpoints<'a> {
    /// Those up to a step; later ones cannot be used and are set aside.
    pub fn open(
        run: &'a Run,
        order: Order,
        step: u32,
        say: &mut dyn FnMut(&str),
    ) -> Result<Self, FitError> {
        Ok(Self {
            run,
            order,
            writer: Writer::open(Store::of(&run.folder), run.keep, step, say)?,
        })
    }

    /// Seconds of training up to the last one, if there is one.
    pub fn elapsed_s(&self) -> Option<f64> {
        self.writer.elapsed_s()
    }

    /// Whether a run left alone writes one after this step.
    pub fn is_planned(&self, step: u32) -> bool {
        let batch = self.order.position(step).batch;
        batch.is_multiple_of(self.run.checkpoint_every) || self.run.ends_a_size(step)
    }

    /// Whether a run left alone has one of a step from 1 to `horizon`, unless it was let go.
    pub fn were_planned(&self, horizon: u32) -> bool {
        (1..=horizon).any(|step| self.is_planned(step))
    }

    /// Writes one, with the score of an epoch's end.
    pub fn write(
        &mut self,
        checkpoint: &Checkpoint,
        score: Option<f64>,
        elapsed_s: f64,
    ) -> Result<(), FitError> {
        self.writer.write(checkpoint, score, elapsed_s)?;
        Ok(())
    }

    /// The newest that can be used, of some steps.
    pub fn newest_where(
        &self,
        wanted: impl Fn(u32) -> bool,
        say: &mut dyn FnMut(&str),
    ) -> Result<Option<Found>, FitError> {
        Ok(self.writer.newest_where(wanted, say)?)
    }

    /// Lets old ones go, but none that a run may have to go back to: the newest planned one, and those that a collapse
    /// needs. Nor those of networks that have grown since, which can be exported.
    pub fn prune(&self, monitor: &Monitor) -> Result<(), FitError> {
        let mut spared = match self.run.on_collapse {
            OnCollapse::Warn => BTreeSet::new(),
            OnCollapse::Stop | OnCollapse::Rollback => self.rollback_targets(monitor)?,
        };
        // What was written at a stop or at the end of the time must not displace what a longer run would roll back to.
        let steps = self.writer.steps()?.into_iter();
        spared.extend(steps.clone().filter(|&step| self.run.ends_a_size(step)));
        spared.extend(steps.filter(|&step| self.is_planned(step)).max());
        Ok(self.writer.prune(&spared)?)
    }

    /// Those that may be the last good one when a collapse is seen, and those that are the best then.
    fn rollback_targets(&self, monitor: &Monitor) -> Result<BTreeSet<u32>, FitError> {
        let mut steps = self.writer.steps()?;
        steps.retain(|&step| self.is_planned(step));
        let [images, classes] = monitor.horizons();
        let later = steps.iter().copied().filter(|&step| step > images);
        let mut targets: BTreeSet<u32> = later.collect();
        for horizon in [images, classes] {
            targets.extend(steps.iter().filter(|&&step| step <= horizon).max());
            targets.extend(self.writer.best_step(horizon));
        }
        Ok(targets)
    }

    /// Goes back to a step: what was written after it has not happened.
    pub fn cut_back(&mut self, step: u32, say: &mut dyn FnMut(&str)) -> Result<(), FitError> {
        Ok(self.writer.cut_back(step, say)?)
    }
}
