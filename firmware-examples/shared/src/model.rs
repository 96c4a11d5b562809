//! The model that the features choose.

use pocketgan::{Model, include_model};

/// What it is called.
pub const NAME: &str = CHOSEN[0].0;
/// The model itself.
pub const MODEL: Model = CHOSEN[0].1;

/// The models of all features, the first of which is taken, and what is taken without any.
const CHOSEN: &[(&str, Model)] = &[
    #[cfg(feature = "nano")]
    (
        "nano",
        include_model!("../../../models/fashion-nano/model.pgan"),
    ),
    #[cfg(feature = "small")]
    (
        "small",
        include_model!("../../../models/fashion-small/model.pgan"),
    ),
    #[cfg(feature = "nano-int4")]
    (
        "nano-int4",
        include_model!("../../../models/fashion-nano/model-int4.pgan"),
    ),
    #[cfg(feature = "small-int4")]
    (
        "small-int4",
        include_model!("../../../models/fashion-small/model-int4.pgan"),
    ),
    #[cfg(feature = "digits-int4")]
    (
        "digits-int4",
        include_model!("../../../models/mnist-nano/model-int4.pgan"),
    ),
    (
        "digits",
        include_model!("../../../models/mnist-nano/model.pgan"),
    ),
];
