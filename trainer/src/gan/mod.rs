//! Generative adversarial networks (Goodfellow et al. 2014), and beside them variational autoencoders (Kingma & Welling
//! 2014), distillation and the translation of pictures (Isola et al. 2017, Zhu et al. 2017), and networks that draw
//! pixel by pixel (van den Oord et al. 2016): networks, losses, the training step and the loop around it.

mod adversarial;
mod autoregressive;
pub mod checkpoint;
mod cycle;
mod diff_augment;
mod distillation;
pub mod fit;
mod game;
mod growth;
mod log;
pub mod losses;
pub mod networks;
#[cfg(test)]
mod numerical;
pub mod penalties;
pub mod recipes;
mod schedule;
pub mod store;
mod top_k;
mod training;
mod translation;
pub mod variational;

pub use adversarial::Adversarial;
pub use autoregressive::Autoregressive;
pub use cycle::Cycle;
pub use diff_augment::DiffAugment;
pub use distillation::{Distillation, rounded};
pub use game::Game;
pub use growth::{Growth, Phase};
pub use losses::Objective;
pub use networks::{LossName, Losses, Named, Networks, Role};
pub use penalties::Penalty;
pub use recipes::{
    Conditioning, DiscriminatorKind, GeneratorKind, Normalization, Recipe, Size, Sizes, Translator,
};
pub use schedule::{Curve, Schedule};
pub use top_k::TopK;
pub use training::{Batch, Gan, GanState, Learner, NetworkState, Settings};
pub use translation::{Distance, Translation};
pub use variational::{Likelihood, Variational};
