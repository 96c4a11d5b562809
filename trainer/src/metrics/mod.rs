//! Figures of merit for sets of images.

mod frechet;
mod gaussian;
mod histogram;

pub use frechet::frechet;
pub use gaussian::{Gaussian, Moments};
pub use histogram::Histogram;
