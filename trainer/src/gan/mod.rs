//! Generative adversarial networks (Goodfellow et al. 2014): networks, losses, the training step and
//! the loop around it.

pub mod checkpoint;
pub mod dcgan;
pub mod fit;
mod log;
pub mod losses;
pub mod mlp;
pub mod penalties;
pub mod store;
mod training;

pub use dcgan::Size;
pub use training::{Gan, GanState, Losses, Objective, Settings};
