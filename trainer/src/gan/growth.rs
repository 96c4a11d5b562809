//! Networks that grow with their images (Karras et al. 2018, section 2).

use super::networks::{Named, Networks, Role};
use super::training::{Learner, Settings};
use crate::nn::ModelError;
use crate::ops::Device;
use crate::parameters::{HostTensor, Parameters, tensors_of};
use crate::rng::{Rng, Stream};
use crate::spec::{Network, SpecError};

/// The sizes that networks go through, from small images to those of the data. At all of them images have the data's
/// size: a generator of smaller ones ends with an upsampling, and a discriminator of smaller ones begins with a pooling.
#[derive(Clone, Debug, PartialEq)]
pub struct Growth {
    /// The smallest size; then, for each larger one, a phase in which it is faded in and one in which it stays.
    pub phases: Vec<Phase>,
    /// Steps of each phase but the last, which goes on; at least 1.
    pub steps: u32,
}

/// A part of a run in which the networks have the same layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    pub networks: Networks,
    /// Rows, and columns, of an image that are one of the phase's.
    pub factor: usize,
    /// Whether the networks blend this size with the one before.
    pub fades: bool,
}

impl Growth {
    /// The number of the phase of the step that follows so many.
    fn number(&self, steps: u32) -> usize {
        let last = self.phases.len().saturating_sub(1);
        ((steps / self.steps) as usize).min(last)
    }

    /// The phase after so many steps: that of the last of them.
    pub fn phase(&self, steps: u32) -> &Phase {
        &self.phases[self.number(steps.saturating_sub(1))]
    }

    /// The networks after so many steps, with the shares of the last of them.
    pub fn networks(&self, steps: u32) -> Networks {
        let steps = steps.saturating_sub(1);
        let mut networks = self.phases[self.number(steps)].networks.clone();
        for named in networks.iter_mut() {
            named.network.set_share(self.share(steps));
        }
        networks
    }

    /// The share that a size that is being faded in has at the step that follows so many: from nearly nothing to all.
    fn share(&self, steps: u32) -> f64 {
        f64::from(steps % self.steps + 1) / f64::from(self.steps)
    }

    /// Whether, after so many steps, a size has stayed as long as it does.
    pub fn ends_a_size(&self, steps: u32) -> bool {
        let is_last = |phase: &Phase| phase.factor == 1;
        let phase = self.phase(steps);
        steps > 0 && steps.is_multiple_of(self.steps) && !phase.fades && !is_last(phase)
    }

    /// What stands before the step that follows so many: the networks of another phase, if one begins, and the share.
    pub(super) fn next(&self, steps: u32) -> (Option<(usize, &Phase)>, f64) {
        let number = self.number(steps);
        let begins = number != self.number(steps.saturating_sub(1));
        (
            begins.then(|| (number, &self.phases[number])),
            self.share(steps),
        )
    }
}

/// A network in training with the layers of another phase: it keeps the layers that both have, and the others begin
/// fresh, in the average too. The optimizer's moments begin fresh.
///
/// # Errors
/// The device's.
pub(super) fn grown<D: Device<f32>>(
    learner: &Learner<D>,
    named: &Named,
    settings: &Settings,
    number: usize,
) -> Result<Learner<D>, ModelError> {
    // Each of the two networks has a stream of its own.
    let role = u32::from(named.role == Role::Auxiliary);
    let mut rng = Rng::new(settings.seed, Stream::Growth(number as u32, role));
    let fresh = settings
        .initialization
        .parameters(&named.network, &mut rng)?;
    let before = learner.model.network();
    let state = learner.state()?;
    let carried = |of: &Parameters| carried(before, of, &named.network, fresh.clone());
    let device = learner.model.device();
    let optimizer = learner.optimizer.config();
    let mut grown = Learner::new(
        device,
        named,
        optimizer,
        settings.initialization,
        &carried(&state.parameters)?,
    )?;
    if let Some(average) = &state.average {
        grown.set_average(&carried(average)?)?;
    }
    Ok(grown)
}

/// The numbers of `network`: those of the layers that `before` has as well, with the same inputs and outputs, and
/// `fresh` ones of the others.
fn carried(
    before: &Network,
    numbers: &Parameters,
    network: &Network,
    mut fresh: Parameters,
) -> Result<Parameters, SpecError> {
    let (old, new) = (before.walk()?, network.walk()?);
    for step in &new {
        let same = |other: &&crate::spec::Step<'_>| {
            other.layer == step.layer && other.input == step.input && other.output == step.output
        };
        let Some(other) = old.iter().find(same) else {
            continue;
        };
        for (to, from) in tensors_of(step).into_iter().zip(tensors_of(other)) {
            let found: Option<&HostTensor> = numbers.tensors.get(&from.name);
            fresh
                .tensors
                .extend(found.map(|tensor| (to.name, tensor.clone())));
        }
    }
    Ok(fresh)
}
