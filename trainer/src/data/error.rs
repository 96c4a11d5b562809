//! What can be wrong with a data set, in sentences that say what to do next.

use std::io;
use std::path::PathBuf;

/// What is wrong with the contents of one file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// The gzip stream ends early or does not decode.
    #[error("the gzip data is truncated or damaged ({0})")]
    Gzip(io::Error),
    /// The file is shorter than the idx header.
    #[error("the file has {0} bytes, too few for an idx header")]
    NoHeader(usize),
    /// The first four bytes are not the idx magic number of unsigned bytes with this many axes.
    #[error(
        "the magic number is {found:#010x}, an idx file of this kind starts with {expected:#010x}"
    )]
    Magic {
        /// The magic number of the right kind of file.
        expected: u32,
        /// The first four bytes, big-endian.
        found: u32,
    },
    /// The sizes in the header are not those of the data set.
    #[error("the header says {found:?} (count first), the data set has {expected:?}")]
    Shape {
        /// Sizes of the published file: count, then height and width.
        expected: Vec<usize>,
        /// Sizes in the header.
        found: Vec<usize>,
    },
    /// Fewer bytes follow the header than it promises.
    #[error("{found} bytes follow the header where it promises {expected}")]
    TooShort {
        /// Bytes that the header's sizes need.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// Bytes follow the last element.
    #[error("there are trailing bytes after the {expected} that the header promises")]
    TooLong {
        /// Bytes that the header's sizes need.
        expected: usize,
    },
    /// The file is well formed and is not the published one.
    #[error("the SHA-256 of the unpacked file is {found}, the published one is {expected}")]
    Checksum {
        /// The sum in the table.
        expected: &'static str,
        /// The file's own sum.
        found: String,
    },
    /// A label is not the number of a class.
    #[error("label {label} is not one of the {classes} classes")]
    Label {
        /// The first such label.
        label: u8,
        /// Number of classes.
        classes: usize,
    },
}

/// Why a data set cannot be had. Each is bad input to the command line: exit code 2.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// No table entry has this name.
    #[error("there is no data set `{name}`; choose one of: {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The folder that the user named lacks a file.
    #[error(
        "{} has neither {file} nor {file}.gz; put the data set's files there or leave --data-dir out to fetch them",
        folder.display()
    )]
    Missing {
        /// The folder named.
        folder: PathBuf,
        /// Name of the unpacked file.
        file: &'static str,
    },
    /// A file is there but is not the published one.
    #[error("{}: {problem}; replace or delete this file, then try again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: FileProblem,
    },
    /// A file is there but cannot be read.
    #[error("cannot read {}: {source}; check its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The cache cannot be written.
    #[error(
        "cannot write {}: {source}; free some space or set POCKETGAN_CACHE to a folder you can write",
        path.display()
    )]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The machine has no home folder to keep a cache in.
    #[error(
        "there is no home folder to keep data in; set POCKETGAN_CACHE to a folder you can write"
    )]
    NoCache,
    /// Every source was tried in vain.
    #[error("no source has the data set `{dataset}` ({tried}); {remedy}")]
    NoSource {
        /// Name of the data set.
        dataset: &'static str,
        /// Each source and what it answered.
        tried: String,
        /// What the user can do.
        remedy: String,
    },
}
