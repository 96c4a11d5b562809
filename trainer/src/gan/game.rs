//! The kinds of training: the one place that tells them apart.

use super::adversarial::Adversarial;
use super::autoregressive::Autoregressive;
use super::cycle::Cycle;
use super::distillation::Distillation;
use super::networks::{LossName, Losses};
use super::training::{Batch, Gan};
use super::translation::Translation;
use super::variational::Variational;
use crate::nn::ModelError;
use crate::ops::Device;

/// What the networks of a run are trained for. Another kind is another variant here, with a file of its own that has
/// its rules, its networks, its losses and its step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Game {
    /// A generator and a discriminator against each other.
    Adversarial(Adversarial),
    /// A generator and its teacher, then the generator and a discriminator.
    Distillation(Distillation),
    /// The decoder and the encoder of a variational autoencoder.
    Variational(Variational),
    /// A generator that makes images of pictures, each of which belongs to an image.
    Translation(Translation),
    /// Two generators between two kinds of pictures.
    Cycle(Cycle),
    /// A network that tells each pixel from those before it.
    Autoregressive(Autoregressive),
}

impl From<Autoregressive> for Game {
    fn from(rules: Autoregressive) -> Self {
        Self::Autoregressive(rules)
    }
}

impl From<Adversarial> for Game {
    fn from(rules: Adversarial) -> Self {
        Self::Adversarial(rules)
    }
}

impl From<Distillation> for Game {
    fn from(rules: Distillation) -> Self {
        Self::Distillation(rules)
    }
}

impl From<Variational> for Game {
    fn from(rules: Variational) -> Self {
        Self::Variational(rules)
    }
}

impl From<Translation> for Game {
    fn from(rules: Translation) -> Self {
        Self::Translation(rules)
    }
}

impl From<Cycle> for Game {
    fn from(rules: Cycle) -> Self {
        Self::Cycle(rules)
    }
}

impl Game {
    /// Batches of real images that a step takes.
    pub const fn batches(self) -> u32 {
        match self {
            Self::Adversarial(rules) => rules.critic_steps,
            Self::Distillation(rules) => rules.finish.critic_steps,
            Self::Variational(_)
            | Self::Translation(_)
            | Self::Cycle(_)
            | Self::Autoregressive(_) => 1,
        }
    }

    /// The losses of a step, in the order in which they are shown.
    pub const fn losses(self) -> &'static [LossName] {
        match self {
            Self::Adversarial(_) => &Adversarial::LOSSES,
            Self::Distillation(_) => &Distillation::LOSSES,
            Self::Variational(_) => &Variational::LOSSES,
            Self::Translation(rules) => rules.losses(),
            Self::Cycle(rules) => rules.losses(),
            Self::Autoregressive(_) => &Autoregressive::LOSSES,
        }
    }

    /// The rules between a generator and a discriminator, of a kind of training that has one.
    pub const fn adversarial_mut(&mut self) -> Option<&mut Adversarial> {
        match self {
            Self::Adversarial(rules) => Some(rules),
            Self::Distillation(rules) => Some(&mut rules.finish),
            Self::Variational(_)
            | Self::Translation(_)
            | Self::Cycle(_)
            | Self::Autoregressive(_) => None,
        }
    }

    /// A loss of a line of the log. Older versions named those of an autoencoder as an adversarial network's.
    pub fn loss_of(self, line: &Losses, name: &LossName) -> Option<f32> {
        let old = || {
            let Self::Variational(_) = self else {
                return None;
            };
            let mut losses = self.losses().iter().zip(Adversarial::LOSSES);
            let (_, old) = losses.find(|(now, _)| *now == name)?;
            line.get(old.key)
        };
        line.get(name.key).or_else(old)
    }

    /// Updates the networks by the images of a step.
    ///
    /// # Errors
    /// Networks of another kind; the device's.
    pub(super) fn step<D: Device<f32>>(
        self,
        gan: &mut Gan<D>,
        batch: Batch<'_>,
    ) -> Result<Losses, ModelError> {
        match self {
            Self::Adversarial(rules) => rules.step(gan, batch),
            Self::Distillation(rules) => rules.step(gan, batch),
            Self::Variational(rules) => rules.step(gan, batch),
            Self::Translation(rules) => rules.step(gan, batch),
            Self::Cycle(rules) => rules.step(gan, batch),
            Self::Autoregressive(rules) => rules.step(gan, batch),
        }
    }
}
