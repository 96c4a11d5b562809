//! Data sets: where they are, how they get here, and their exact contents.
//!
//! A data set is one entry of the table (files, sizes, SHA-256 of the unpacked files, sources).
//! [`load`] finds it through an ordered list of sources, checks every byte against the
//! table and hands out [`Images`].
//!
//! ```no_run
//! use pocketgan_trainer::data::{self, Dataset, Options, Split};
//!
//! let fashion: Dataset = "fashion".parse()?;
//! let images = data::load(fashion, Split::Train, &Options::default())?;
//! assert_eq!((images.count, images.channels, images.height, images.width), (60_000, 1, 28, 28));
//! # Ok::<(), data::DataError>(())
//! ```

mod download;
mod error;
#[cfg(test)]
mod fixture;
mod idx;
mod package;
mod sources;
mod store;
mod table;
#[cfg(test)]
mod tests;

use std::io::Write;

pub use error::{DataError, FileProblem};
pub use sources::{FileState, FileStatus, Options, fetch, info};
pub use table::{Dataset, IdxFile, PackageSource, Pair, Split};

/// The images of one split, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Number of images, N.
    pub count: usize,
    /// Channels of an image, C: 1 for grey.
    pub channels: usize,
    /// Rows of an image, H.
    pub height: usize,
    /// Columns of an image, W.
    pub width: usize,
    /// The pixels, (N, C, H, W) in row-major order, 0 (black) to 255.
    pub pixels: Vec<u8>,
    /// The class of each image, (N), an index into [`Dataset::classes`].
    pub labels: Vec<u8>,
}

impl Images {
    /// Bytes of one image: C * H * W.
    pub fn image_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// The pixels of one image, (C, H, W), or `None` past the last one.
    pub fn image(&self, index: usize) -> Option<&[u8]> {
        let len = self.image_len();
        self.pixels.get(index.checked_mul(len)?..)?.get(..len)
    }
}

/// Loads one split of a data set from the first source that has it.
///
/// What each source answered goes to stderr, a line each. Files that had to be downloaded are kept
/// in the cache.
///
/// # Errors
///
/// A file that is missing, damaged or not the published one; see [`DataError`].
pub fn load(dataset: Dataset, split: Split, options: &Options) -> Result<Images, DataError> {
    sources::load_with(dataset, split, options, &mut |line| {
        // Nobody need be listening.
        let _ = writeln!(std::io::stderr(), "{line}");
    })
}
