//! Generative adversarial networks (Goodfellow et al. 2014): networks, losses, the training step and
//! the loop around it.

pub mod checkpoint;
pub mod fit;
mod log;
pub mod losses;
pub mod penalties;
pub mod recipes;
pub mod store;
mod training;

pub use losses::Objective;
pub use penalties::Penalty;
pub use recipes::{Recipe, Size};
pub use training::{Gan, GanState, Losses, Settings, classes_in_turn};
