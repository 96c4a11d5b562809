//! What is done about numbers that are not finite and about a collapse.

use super::collapse::Monitor;
use super::error::{FitError, Trouble};
use super::run::{OnCollapse, OnNan, Run, Watch};
use super::saving::Checkpoints;
use crate::gan::Gan;
use crate::gan::checkpoint::Checkpoint;
use crate::gan::store::Found;
use crate::nn::ModelError;
use crate::ops::Device;

/// How often the learning rate is halved before a run is given up.
pub(super) const MAX_ROLLBACKS: u32 = 6;

/// The rollbacks of a run.
pub(super) struct Recovery<'a> {
    run: &'a Run,
    /// How often the learning rate was halved.
    rollbacks: u32,
    /// Whether the collapse that there is was said.
    warned: bool,
}

impl<'a> Recovery<'a> {
    /// At a checkpoint, or at the beginning.
    pub fn new(run: &'a Run, from: Option<&Checkpoint>, monitor: &Monitor) -> Self {
        Self {
            run,
            rollbacks: from.map_or(0, |from| from.rollbacks),
            warned: monitor.collapse().is_some(),
        }
    }

    pub fn rollbacks(&self) -> u32 {
        self.rollbacks
    }

    /// The networks at a checkpoint, or at their beginning, with the learning rate that the rollbacks have left.
    pub fn restore<D: Device<f32>>(
        &self,
        device: &D,
        from: Option<&Checkpoint>,
    ) -> Result<Gan<D>, ModelError> {
        let mut settings = self.run.settings.clone();
        settings.scale_rates(0.5f64.powi(self.rollbacks as i32));
        match from {
            Some(from) => Gan::restore(device.clone(), &settings, &from.gan),
            None => Gan::new(device.clone(), &settings),
        }
    }

    /// The collapse that there is after a step, unless it is only to be told: then says when one begins and when it
    /// ends.
    pub fn collapse(
        &mut self,
        step: u32,
        monitor: &Monitor,
        watch: &mut dyn Watch,
    ) -> Option<Trouble> {
        let signs = monitor.collapse();
        if self.run.on_collapse != OnCollapse::Warn {
            return signs.map(Trouble::Collapse);
        }
        if signs.is_some() != self.warned {
            self.warned = signs.is_some();
            watch.note(&match signs {
                Some(signs) => format!("step {step}: the generator has collapsed ({signs})"),
                None => format!("step {step}: the collapse is over"),
            });
        }
        None
    }

    /// The last good checkpoint to go back to, with half the learning rate; `None` is the beginning, where there was
    /// none yet.
    ///
    /// # Errors
    /// The end of the run: it was told to stop, has no time left, lacks the checkpoint, or was rolled back too often.
    pub fn target(
        &mut self,
        trouble: &Trouble,
        step: u32,
        is_out_of_time: bool,
        monitor: &Monitor,
        checkpoints: &Checkpoints<'_>,
        watch: &mut dyn Watch,
    ) -> Result<Option<Found>, FitError> {
        let (stop, horizon) = match trouble {
            Trouble::NotFinite => (self.run.on_nan == OnNan::Stop, step),
            Trouble::Collapse(_) => (self.run.on_collapse == OnCollapse::Stop, monitor.well()),
        };
        let wanted = |at| at <= horizon && (stop || checkpoints.is_planned(at));
        let found = checkpoints.newest_where(wanted, &mut |note| watch.note(note))?;
        // What was to be kept for this may be gone where a run began without.
        let lost = matches!(trouble, Trouble::Collapse(_))
            && found.is_none()
            && checkpoints.were_planned(horizon);
        if stop || lost || is_out_of_time {
            let last = found.map(|found| found.path);
            return Err(trouble.clone().ends_run(step, last));
        }
        if self.rollbacks == MAX_ROLLBACKS {
            let trouble = trouble.clone();
            return Err(FitError::GivenUp { step, trouble });
        }
        self.rollbacks += 1;
        Ok(found)
    }

    /// Goes on from what the log tells after a rollback.
    pub fn look_again(&mut self, monitor: &Monitor) {
        self.warned = monitor.collapse().is_some();
    }
}
