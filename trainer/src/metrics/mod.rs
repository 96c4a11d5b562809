//! Figures of merit for sets of images.

pub mod collapse;
pub mod fid_cls;
mod frechet;
mod gaussian;
mod histogram;

pub use fid_cls::FidCls;
pub use frechet::frechet;
pub use gaussian::{Gaussian, Moments};
pub use histogram::Histogram;
