//! Where to look for data, and how to read pictures.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::error::DataError;
use super::table::Published;
use crate::files::cache_folder;

/// Where to look, and how to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// A folder with the published data set's files. When given, the only source.
    pub data_dir: Option<PathBuf>,
    /// Folder of the cache; `None` means `POCKETGAN_CACHE` or else the user's cache folder.
    pub cache_dir: Option<PathBuf>,
    /// How the pictures of `folder:PATH` are read.
    pub pictures: Pictures,
    /// How data of the user's own that come without test images are split.
    pub split_rule: SplitRule,
}

impl Options {
    /// The cache's folder for one data set.
    pub(super) fn cache(&self, published: Published) -> Result<PathBuf, DataError> {
        let root = match &self.cache_dir {
            Some(folder) => folder.clone(),
            None => cache_folder().ok_or(DataError::NoCache)?,
        };
        Ok(root.join("datasets").join(published.name()))
    }
}

/// How the pictures of a folder become images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pictures {
    /// Rows and columns of an image, from 1 to [`Pictures::LARGEST`].
    pub side: u16,
    /// Grey or colour.
    pub channels: Channels,
    /// Whether a file that cannot be read is told and passed over; else it is an error.
    pub skip_broken: bool,
}

impl Pictures {
    /// The most rows and columns.
    pub const LARGEST: u16 = 1024;
}

impl Default for Pictures {
    fn default() -> Self {
        Self {
            side: 32,
            channels: Channels::Auto,
            skip_broken: false,
        }
    }
}

/// How data of the user's own that come without test images are split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitRule {
    /// Of arrays a tenth of each class, drawn by a fixed seed; of a folder about a tenth, by the hash of each path, and
    /// at least one picture.
    #[default]
    Stratified,
    /// What earlier versions did: of arrays every tenth image; of a folder's PNG and JPEG files about a tenth, by the
    /// hash of each path, be it none.
    Legacy,
}

/// Whether images are grey or in colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// Grey if every picture is.
    #[default]
    Auto,
    /// One channel: the luminance (Rec. 709).
    Grey,
    /// Three: red, green, blue.
    Rgb,
}
