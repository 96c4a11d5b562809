//! What can be wrong with a data set, in sentences that say what to do next.

use std::io;
use std::path::PathBuf;

pub use super::own::{OwnProblem, PictureProblem};
use crate::files::place;

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
    /// The header promises more than fits.
    #[error("the header says {sizes:?}, more than the {limit} elements that are read")]
    TooLarge {
        /// Sizes in the header.
        sizes: Vec<usize>,
        /// Most elements that are read.
        limit: usize,
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
    #[error("the {what} is {found}, the published one is {expected}")]
    Checksum {
        /// Which sum, of what.
        what: &'static str,
        /// The sum in the table.
        expected: &'static str,
        /// The file's own sum.
        found: String,
    },
    /// An archive lacks a file.
    #[error("the archive has no {0}")]
    NoMember(&'static str),
    /// A batch within an archive has another length.
    #[error("a batch of the archive does not have its {expected} bytes")]
    BatchLength {
        /// Bytes of a batch.
        expected: usize,
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
    /// A kind of data of the user's own without its path.
    #[error("the path is missing: write {usage}")]
    NoPath {
        /// The form with a path.
        usage: &'static str,
    },
    /// A folder of published files for data of the user's own.
    #[error(
        "--data-dir holds the files of a published data set, which {dataset} is not: leave it out"
    )]
    NotPublished {
        /// The data named.
        dataset: String,
    },
    /// Data of the user's own that cannot be used.
    #[error("{}: {problem}", place(path))]
    Own {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: OwnProblem,
    },
    /// A picture that cannot be read.
    #[error(
        "{}: {problem}{}; repair or remove it, or add --skip-broken to go on without it",
        place(path),
        others(*more)
    )]
    Broken {
        /// The first such file.
        path: PathBuf,
        /// What is wrong with it.
        problem: PictureProblem,
        /// How many there are besides.
        more: usize,
    },
    /// The folder that the user named lacks a file.
    #[error(
        "{} has {}; put the data set's files there or leave --data-dir out to fetch them",
        place(folder),
        none_of(names)
    )]
    Missing {
        /// The folder named.
        folder: PathBuf,
        /// The names that the file may have.
        names: Vec<String>,
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
    #[error("cannot read {}: {source}; {}", place(path), read_remedy(source))]
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

fn read_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "check the path",
        _ => "check its permissions",
    }
}

fn others(more: usize) -> String {
    match more {
        0 => String::new(),
        1 => " (and one more file)".to_owned(),
        _ => format!(" (and {more} more files)"),
    }
}

fn none_of(names: &[String]) -> String {
    match names {
        [one] => format!("no {one}"),
        _ => format!("neither {}", names.join(" nor ")),
    }
}
