//! Generative adversarial networks (Goodfellow et al. 2014): networks, losses, the training step and
//! the loop around it.

mod dcgan;
pub mod losses;
mod training;

pub use dcgan::{Size, discriminator, generator};
pub use training::{Gan, Losses, Settings};
