//! Data sets: where they are, how they get here, and their exact contents.
//!
//! A published data set is one entry of the table (files, sizes, sums, sources); [`load`] finds it
//! through an ordered list of sources and checks every byte against the table. Data of the user's own is a folder of
//! pictures, NumPy arrays or idx files. Both come out as [`Images`].
//!
//! ```no_run
//! use pocketgan_trainer::data::{self, Dataset, Options, Split};
//!
//! let fashion: Dataset = "fashion".parse()?;
//! let images = data::load(&fashion, Split::Train, &Options::default())?;
//! assert_eq!((images.count, images.channels, images.height, images.width), (60_000, 1, 28, 28));
//! # Ok::<(), data::DataError>(())
//! ```

mod cifar;
mod classes;
mod dataset;
mod download;
mod error;
mod fingerprint;
#[cfg(test)]
mod fixture;
mod idx;
mod options;
mod own;
mod package;
mod sources;
mod store;
mod table;
mod task;
#[cfg(test)]
mod tests;

use std::io::Write;

use sha2::{Digest, Sha256};

use crate::files;

pub use classes::ClassList;
pub use dataset::{Dataset, FORMS, Form};
pub use error::{DataError, FileProblem, OwnProblem, PictureProblem};
pub use fingerprint::{ClassPrint, Fingerprint};
pub use options::{Channels, Options, Pictures, SplitRule};
pub use own::Picture;
pub use sources::{FileState, FileStatus, info};
pub use table::{PackageSource, Published, PublishedFile, Split, Sum};
pub use task::{Draw, Task};

/// The images of one split, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Number of images, N.
    pub count: usize,
    /// Channels of an image, C: 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// Rows of an image, H.
    pub height: usize,
    /// Columns of an image, W.
    pub width: usize,
    /// The pixels, (N, C, H, W) in row-major order, 0 (black) to 255.
    pub pixels: Vec<u8>,
    /// The class of each image, (N), an index into `classes`; empty where there are no classes.
    pub labels: Vec<u8>,
    /// Names of the classes, at most 256; empty where the images have none.
    pub classes: Vec<String>,
    /// Of pictures from a folder, the path of each below the folder or below that of its split, without the ending and
    /// with `/` between the parts; empty otherwise.
    pub names: Vec<String>,
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

    /// Keeps the images of these numbers, in their order.
    pub fn retain(&mut self, numbers: &[usize]) {
        let pixels = numbers.iter().filter_map(|&i| self.image(i));
        let pixels: Vec<u8> = pixels.flatten().copied().collect();
        let labels = numbers.iter().filter_map(|&i| self.labels.get(i).copied());
        self.labels = labels.collect();
        let names = numbers.iter().filter_map(|&i| self.names.get(i).cloned());
        self.names = names.collect();
        self.pixels = pixels;
        self.count = self.pixels.len() / self.image_len().max(1);
    }

    /// SHA-256 of the pixels as an idx file of (count, height, width) if they are grey, else of (count, channels,
    /// height, width): for MNIST and its like, that of the published file.
    pub fn sha256(&self) -> String {
        let sizes = [self.count, self.channels, self.height, self.width];
        let header = match self.channels {
            1 => idx::header(&[sizes[0], sizes[2], sizes[3]]),
            _ => idx::header(&sizes),
        };
        files::hex(
            &Sha256::new()
                .chain_update(header)
                .chain_update(&self.pixels)
                .finalize(),
        )
    }
}

/// `count` rows at equal steps, or all where there are no more: of a file that is sorted some of each kind.
pub fn spread<T: Copy>(rows: &[T], size: usize, count: usize) -> Vec<T> {
    let all = rows.len() / size.max(1);
    if count >= all {
        return rows.to_vec();
    }
    let chosen = (0..count).map(|i| i * all / count);
    chosen
        .flat_map(|i| &rows[i * size..][..size])
        .copied()
        .collect()
}

/// Loads one split of a data set: a published one from the first source that has it.
///
/// What each source answered goes to stderr, a line each, and so does every broken picture that is passed over. Files
/// that had to be downloaded are kept in the cache.
///
/// # Errors
///
/// A file that is missing, damaged or not the published one; see [`DataError`].
pub fn load(dataset: &Dataset, split: Split, options: &Options) -> Result<Images, DataError> {
    load_with(dataset, split, options, &mut |line| {
        // Nobody need be listening.
        let _ = writeln!(std::io::stderr(), "{line}");
    })
}

/// [`load`] with its messages handed to `say`.
fn load_with(
    dataset: &Dataset,
    split: Split,
    options: &Options,
    say: &mut dyn FnMut(&str),
) -> Result<Images, DataError> {
    if options.data_dir.is_some() && dataset.published().is_none() {
        let dataset = dataset.to_string();
        return Err(DataError::NotPublished { dataset });
    }
    match dataset {
        Dataset::Folder(path) => own::folder(path, split, options, say),
        Dataset::Npz(path) => own::npz(path, split, options.split_rule),
        Dataset::Idx(path) => own::idx(path, split, options.split_rule),
        Dataset::Published(published) => sources::load(*published, split, options, say),
    }
}

/// Makes sure that both splits are on this machine and can be used, fetching what is missing into the cache. With
/// [`Options::data_dir`], only checks that folder.
///
/// # Errors
///
/// As [`load`].
pub fn fetch(dataset: &Dataset, options: &Options) -> Result<(), DataError> {
    for split in [Split::Train, Split::Test] {
        load(dataset, split, options)?;
    }
    Ok(())
}

/// `1 picture`, `2 pictures`.
fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
