//! The model that the features choose.

use pocketgan::{Model, include_model};

/// What it is called.
pub const NAME: &str = chosen::NAME;
/// The model itself.
pub const MODEL: Model = chosen::MODEL;

#[cfg(feature = "nano")]
mod chosen {
    pub const NAME: &str = "nano";
    pub const MODEL: super::Model =
        super::include_model!("../../../models/fashion-nano/model.pgan");
}
#[cfg(all(feature = "small", not(feature = "nano")))]
mod chosen {
    pub const NAME: &str = "small";
    pub const MODEL: super::Model =
        super::include_model!("../../../models/fashion-small/model.pgan");
}
#[cfg(not(any(feature = "small", feature = "nano")))]
mod chosen {
    pub const NAME: &str = "digits";
    pub const MODEL: super::Model = super::include_model!("../../../models/mnist-nano/model.pgan");
}
