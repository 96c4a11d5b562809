//! Generative adversarial networks (Goodfellow et al. 2014), and variational autoencoders (Kingma & Welling 2014) beside
//! them: networks, losses, the training step and the loop around it.

pub mod checkpoint;
pub mod fit;
mod game;
mod log;
pub mod losses;
pub mod penalties;
pub mod recipes;
pub mod store;
mod training;
pub mod variational;

pub use game::{Adversarial, Game};
pub use losses::Objective;
pub use penalties::Penalty;
pub use recipes::{Recipe, Size};
pub use training::{Gan, GanState, Losses, Settings, classes_in_turn};
pub use variational::{Likelihood, Variational};
