//! How a data set is found and read: the flags that every command with a data set has.

use super::Failure;
use crate::data::{self, Channels, Dataset, Pictures, SplitRule};
use serde::Deserialize;
use std::path::PathBuf;

/// What is given of how to find and read a data set; what is not has its default.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct DataFlags {
    /// Only look for the data set in this folder, which has its files as they are published.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// With folder:PATH, rows and columns that its pictures are scaled to [default: 32].
    #[arg(long, value_name = "PIXELS")]
    pub image_size: Option<u16>,
    /// With folder:PATH, grey or colour; auto is grey if every picture is [default: auto].
    #[arg(long)]
    pub channels: Option<Channels>,
    /// With folder:PATH, name pictures that cannot be read and go on without them.
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub skip_broken: Option<bool>,
    /// How data of your own are split that come without test images [default: stratified].
    #[arg(long, value_name = "RULE")]
    pub split_rule: Option<SplitRule>,
}

impl DataFlags {
    /// These, and where they are silent the others.
    pub fn or(self, other: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(other.data_dir),
            image_size: self.image_size.or(other.image_size),
            channels: self.channels.or(other.channels),
            skip_broken: self.skip_broken.or(other.skip_broken),
            split_rule: self.split_rule.or(other.split_rule),
        }
    }

    /// Those of them that go with such a data set.
    pub fn for_data_like(mut self, dataset: &Dataset) -> Self {
        if !matches!(dataset, Dataset::Folder(_)) {
            (self.image_size, self.channels, self.skip_broken) = (None, None, None);
        }
        if dataset.published().is_some() {
            self.split_rule = None;
        }
        self
    }

    /// What they come to for a data set.
    ///
    /// # Errors
    /// Flags that do not go with it, as bad input.
    pub fn options(&self, dataset: &Dataset) -> Result<data::Options, Failure> {
        let usual = data::Options::default();
        Ok(data::Options {
            data_dir: self.data_dir.clone(),
            pictures: self.pictures(dataset)?.unwrap_or_default(),
            split_rule: self.split_rule(dataset)?.unwrap_or_default(),
            ..usual
        })
    }

    /// How the pictures of a folder are read; `None` for other data.
    ///
    /// # Errors
    /// A side that is too large; flags of folders for other data.
    pub fn pictures(&self, dataset: &Dataset) -> Result<Option<Pictures>, Failure> {
        if !matches!(dataset, Dataset::Folder(_)) {
            return match (self.image_size, self.channels, self.skip_broken) {
                (None, None, None) => Ok(None),
                _ => Err(Failure::Input(
                    "--image-size, --channels and --skip-broken go with folder:PATH only".into(),
                )),
            };
        }
        let usual = Pictures::default();
        let side = self.image_size.unwrap_or(usual.side);
        if side == 0 || side > Pictures::LARGEST {
            let largest = Pictures::LARGEST;
            return Err(Failure::Input(format!(
                "--image-size must be from 1 to {largest}"
            )));
        }
        Ok(Some(Pictures {
            side,
            channels: self.channels.unwrap_or(usual.channels),
            skip_broken: self.skip_broken.unwrap_or(usual.skip_broken),
        }))
    }

    /// How data of the user's own are split; `None` for published data, whose splits are published too.
    ///
    /// # Errors
    /// A rule for published data.
    pub fn split_rule(&self, dataset: &Dataset) -> Result<Option<SplitRule>, Failure> {
        match (dataset.published(), self.split_rule) {
            (None, rule) => Ok(Some(rule.unwrap_or_default())),
            (Some(_), None) => Ok(None),
            (Some(_), Some(_)) => Err(Failure::Input(format!(
                "--split-rule is for data of your own: {dataset} has test images"
            ))),
        }
    }
}

/// The rule of a run whose configuration names none: it is older than the choice. `None` for published data.
pub(super) fn old_split_rule(dataset: Option<&str>) -> Option<SplitRule> {
    let dataset: Dataset = dataset?.parse().ok()?;
    match dataset.published() {
        Some(_) => None,
        None => Some(SplitRule::Legacy),
    }
}
