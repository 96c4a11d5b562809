//! What the two networks of a run are trained for: the one place that tells the kinds of training apart.

use super::losses::Objective;
use super::penalties::Penalty;
use super::variational::Variational;

/// The kind of a training step. Another kind is another variant here, with a step in a file of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Game {
    /// The two networks play against each other.
    Adversarial(Adversarial),
    /// The two networks are a variational autoencoder's decoder and encoder.
    Variational(Variational),
}

/// The rules of a generative adversarial network (Goodfellow et al. 2014).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adversarial {
    pub objective: Objective,
    pub penalty: Option<Penalty>,
    /// Bound on each weight of the critic (Arjovsky et al. 2017, algorithm 1), if there is one.
    pub weight_clip: Option<f64>,
    /// Updates of the discriminator for one of the generator, at least 1.
    pub critic_steps: u32,
}

impl Adversarial {
    /// An objective by itself: no penalty, no bound, the networks in turns.
    pub const fn new(objective: Objective) -> Self {
        Self {
            objective,
            penalty: None,
            weight_clip: None,
            critic_steps: 1,
        }
    }
}

impl From<Adversarial> for Game {
    fn from(rules: Adversarial) -> Self {
        Self::Adversarial(rules)
    }
}

impl From<Variational> for Game {
    fn from(rules: Variational) -> Self {
        Self::Variational(rules)
    }
}

impl Game {
    /// Batches of real images that a step takes.
    pub const fn batches(self) -> u32 {
        match self {
            Self::Adversarial(rules) => rules.critic_steps,
            Self::Variational(_) => 1,
        }
    }

    /// What the field calls the two networks, the one that makes images first.
    pub const fn networks(self) -> [&'static str; 2] {
        match self {
            Self::Adversarial(_) => ["generator", "discriminator"],
            Self::Variational(_) => ["decoder", "encoder"],
        }
    }

    /// What [`Losses`](super::Losses) holds, the discriminator's first.
    pub const fn losses(self) -> [&'static str; 2] {
        match self {
            Self::Adversarial(_) => ["discriminator loss", "generator loss"],
            Self::Variational(_) => ["KL divergence", "reconstruction loss"],
        }
    }

    /// [`Game::losses`] in a few letters.
    pub const fn short_losses(self) -> [&'static str; 2] {
        match self {
            Self::Adversarial(_) => ["D", "G"],
            Self::Variational(_) => ["KL", "reconstruction"],
        }
    }
}
