//! Figures of merit for sets of images.

mod histogram;

pub use histogram::Histogram;
