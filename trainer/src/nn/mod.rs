//! Networks on a device, built from their specification.

mod layout;
pub mod loss;
mod model;

pub(crate) use model::device_error;
pub use model::{Initialization, Mode, Model, ModelError, Statistics};
