//! What a run is told, and who watches it.

use super::data::{Order, Source};
use super::journal::{Line, ScoreLine};
use crate::data::{Fingerprint, spread};
use crate::gan::Settings;
use crate::metrics::PairScore;
use crate::metrics::collapse::Limits;
use crate::metrics::fid_cls::Score;
use crate::nn::{Model, ModelError};
use crate::spec::Shape;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    Epochs(u32),
    /// The time of all parts of the run together.
    Time(Duration),
}

/// What to do about a loss or a weight that is no longer finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnNan {
    /// End the run; its last good checkpoint stays.
    #[default]
    Stop,
    /// Go back to the last good checkpoint with half the learning rate, up to 6 times.
    Rollback,
}

/// What to do when the generator makes the same few images for every latent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnCollapse {
    /// Say when it begins and when it ends.
    #[default]
    Warn,
    /// End the run; its last good checkpoint stays.
    Stop,
    /// Go back to the last good checkpoint with half the learning rate, up to 6 times, those of --on-nan included.
    Rollback,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Run {
    pub settings: Settings,
    pub length: Length,
    /// Images an update; an adversarial step takes so many for each update of the discriminator.
    pub batch: usize,
    /// Whether half of the images, others in each epoch, are mirrored, left to right.
    pub flip: bool,
    /// What the grids show of a generator that reads pictures.
    pub shown: Option<Shown>,
    /// What grids show of other networks that read pictures and make images, by their names.
    pub shown_others: Vec<(String, Shown)>,
    /// The images, where they are known.
    pub data: Option<Fingerprint>,
    /// Whether a checkpoint may be of another number of images.
    pub changed_data: bool,
    /// The run's folder, which is there.
    pub folder: PathBuf,
    /// What decides the run's result as TOML, kept in checkpoints.
    pub recipe: String,
    /// Steps from one checkpoint to the next within an epoch; there is one at each epoch's end too.
    pub checkpoint_every: u32,
    /// Checkpoints that are kept, the newest; the best one besides.
    pub keep: usize,
    pub on_nan: OnNan,
    pub on_collapse: OnCollapse,
    /// What counts as collapse.
    pub limits: Limits,
}

impl Run {
    /// Real images that a step takes, in batches.
    pub fn images_a_step(&self) -> usize {
        self.batch * self.settings.game.batches() as usize
    }

    /// Steps of an epoch over so many images.
    pub fn steps_an_epoch(&self, images: usize) -> u32 {
        Order::new(self.settings.seed, images, self.images_a_step()).per_epoch()
    }

    /// Whether networks that grow have a size after this step that they then leave.
    pub(super) fn ends_a_size(&self, step: u32) -> bool {
        let growth = self.settings.growth.as_ref();
        growth.is_some_and(|growth| growth.ends_a_size(step))
    }

    /// The order of its images.
    pub(super) fn order(&self, source: &dyn Source) -> Order {
        Order::new(self.settings.seed, source.count(), self.images_a_step())
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// From 0 to 1.
    pub share: f64,
    /// Of all parts of the run.
    pub elapsed: Duration,
}

/// Watches a run.
pub trait Watch {
    /// After every step.
    fn step(&mut self, _: Progress) {}
    /// After every line of the log.
    fn line(&mut self, _: &Line) {}
    /// After every sample grid.
    fn grid(&mut self, _: &Path) {}
    /// At an epoch's end, if there is a score.
    fn score(&mut self, _: &ScoreLine) {}
    /// What is out of the ordinary, a sentence.
    fn note(&mut self, _: &str) {}
    /// Asked after every step: whether to write a checkpoint and leave.
    fn stop(&mut self) -> bool {
        false
    }
}

/// How the averaged generator scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EpochScore {
    /// Its images, by the data set's classifier.
    Images(Score),
    /// The images that it makes of held-out pictures, against those that they should be.
    Pairs(PairScore),
    /// How likely held-out images are.
    Likelihood(LikelihoodScore),
}

/// How likely held-out images are to a network that draws pixel by pixel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LikelihoodScore {
    /// The negative log-likelihood of an image, the mean, in nats.
    pub nats: f64,
    /// The same for each pixel, in bits.
    pub bits_per_dimension: f64,
}

impl EpochScore {
    /// What the best checkpoint is chosen by, where there is such a figure; the lower the better.
    pub fn selects(&self) -> Option<f64> {
        match self {
            Self::Images(score) => score.fid_channels,
            Self::Pairs(score) => Some(score.l1),
            // Held-out images are for reporting.
            Self::Likelihood(_) => None,
        }
    }

    /// Whether there is anything to tell.
    pub fn is_finite(&self) -> bool {
        match self {
            Self::Images(score) => score.fid_cls.is_finite(),
            Self::Pairs(score) => score.l1.is_finite(),
            Self::Likelihood(score) => score.nats.is_finite(),
        }
    }

    /// Images that were taken for each class, where a classifier saw them.
    pub fn class_counts(&self) -> Option<&[u32]> {
        match self {
            Self::Images(score) => Some(&score.class_counts),
            Self::Pairs(_) | Self::Likelihood(_) => None,
        }
    }
}

/// Held-out pictures, and what should be made of them.
#[derive(Clone, Debug)]
pub struct Shown {
    /// `(N, C, H, W)`, values in [-1, 1].
    pub pictures: Vec<f32>,
    pub picture: Shape,
    /// The images that belong to them, `(N, C, H, W)`, as pixels; none where nothing tells.
    pub images: Vec<u8>,
}

impl Shown {
    /// So many of them at even distances, or all where there are no more.
    pub fn some(&self, count: usize) -> Self {
        let all = self.pictures.len() / self.picture.len().max(1);
        let size = self.images.len() / all.max(1);
        Self {
            pictures: spread(&self.pictures, self.picture.len(), count),
            picture: self.picture,
            images: spread(&self.images, size, count),
        }
    }
}

/// Scores the averaged generator at an epoch's end; `None` where there is nothing to tell. It must not depend
/// on anything but the generator, for a resumed run is scored again.
pub type ScoreFunction<'a, D> = dyn FnMut(&Model<D>) -> Result<Option<EpochScore>, ModelError> + 'a;
