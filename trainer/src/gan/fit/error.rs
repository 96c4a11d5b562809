//! Why a run ends early.

use super::recovery::MAX_ROLLBACKS;
use crate::gan::checkpoint::Position;
use crate::gan::store::StoreError;
use crate::nn::ModelError;
use std::path::PathBuf;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot write {}: {source}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot encode a picture: {0}")]
    Picture(#[from] image::ImageError),
    #[error("the checkpoint is of other networks: {then} then, {now} now")]
    Networks {
        /// What they were.
        then: String,
        /// What they are.
        now: String,
    },
    #[error("the checkpoint is of a run on {then} images, and there are {now}")]
    Images { then: usize, now: usize },
    #[error(
        "the checkpoint is of another number of images: step {step} was batch {} of epoch {}, and would be batch {} of epoch {}",
        .then.batch, .then.epoch, .now.batch, .now.epoch
    )]
    Epochs {
        step: u32,
        then: Position,
        now: Position,
    },
    #[error("a loss or a weight is no longer a number at step {step}; {}", advice(.last))]
    NotFinite { step: u32, last: Option<PathBuf> },
    #[error("the generator has collapsed at step {step} ({signs}); {}", way_out(.last))]
    Collapsed {
        step: u32,
        signs: String,
        last: Option<PathBuf>,
    },
    #[error(
        "{trouble} at step {step}, though the learning rate was halved {MAX_ROLLBACKS} times: begin again \
         with a lower --lr"
    )]
    GivenUp { step: u32, trouble: Trouble },
}

/// Why a run cannot go on as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("a loss or a weight is no longer a number")]
    NotFinite,
    /// With what speaks of it.
    #[error("the generator has collapsed ({0})")]
    Collapse(String),
}

fn advice(last: &Option<PathBuf>) -> String {
    match last {
        Some(path) => format!(
            "the last good checkpoint is {}: resume from it with --on-nan rollback, or begin again with a \
             lower --lr",
            path.display()
        ),
        None => "there is no checkpoint yet: begin again with a lower --lr".to_owned(),
    }
}

fn way_out(last: &Option<PathBuf>) -> String {
    let anew = "begin again with a lower --lr or with a --penalty";
    match last {
        Some(path) => format!(
            "the last good checkpoint is {}: resume with --on-collapse rollback to go back to it, or {anew}",
            path.display()
        ),
        None => format!("there is no good checkpoint: {anew}"),
    }
}

impl Trouble {
    /// The end of a run by it; `last` is the last good checkpoint.
    pub(super) fn ends_run(self, step: u32, last: Option<PathBuf>) -> FitError {
        match self {
            Self::NotFinite => FitError::NotFinite { step, last },
            Self::Collapse(signs) => FitError::Collapsed { step, signs, last },
        }
    }
}
