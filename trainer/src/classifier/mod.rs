//! A small image classifier, trained like everything else here: the eye that
//! [`crate::metrics::FidCls`] looks through.

mod attributes;
mod augment;
mod file;
mod loss;
mod network;
mod sight;
mod training;

pub use attributes::{Attribute, AttributeClassifier, SURE, Table, TableError, Tally, sizes};
pub use augment::Augmentation;
pub use file::{DecodeError, EncodeError, Frozen, State, decode, encode};
pub use loss::cross_entropy;
pub use network::{ATTRIBUTE_FEATURES, FEATURES, attribute_network, network};
pub use sight::{Classifier, ClassifierError, Judged};
pub use training::{Epoch, Settings, Targets, train};
