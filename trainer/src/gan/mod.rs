//! Generative adversarial networks (Goodfellow et al. 2014), and variational autoencoders (Kingma & Welling 2014)
//! and distillation beside them: networks, losses, the training step and the loop around it.

mod adversarial;
pub mod checkpoint;
mod diff_augment;
mod distillation;
pub mod fit;
mod game;
mod log;
pub mod losses;
pub mod networks;
pub mod penalties;
pub mod recipes;
mod schedule;
pub mod store;
mod top_k;
mod training;
pub mod variational;

pub use adversarial::Adversarial;
pub use diff_augment::DiffAugment;
pub use distillation::{Distillation, rounded};
pub use game::Game;
pub use losses::Objective;
pub use networks::{LossName, Losses, Named, Networks, Role};
pub use penalties::Penalty;
pub use recipes::{Conditioning, DiscriminatorKind, GeneratorKind, Recipe, Size, Sizes};
pub use schedule::{Curve, Schedule};
pub use top_k::TopK;
pub use training::{Gan, GanState, Learner, NetworkState, Settings};
pub use variational::{Likelihood, Variational};
