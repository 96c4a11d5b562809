//! Figures of merit for sets of images.

pub mod collapse;
mod density;
pub mod divergence;
pub mod fid_cls;
mod frechet;
mod histogram;
pub mod inception;
pub mod kid;
pub mod manifold;
pub mod neighbours;
pub mod pairs;
pub mod roc;
pub mod selection;

pub use density::densest;
pub use fid_cls::FidCls;
pub use frechet::frechet;
pub use histogram::Histogram;
pub use inception::Inception;
pub use pairs::PairScore;
