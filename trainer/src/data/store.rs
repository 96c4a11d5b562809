//! Files in folders: read and checked, or written whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};

use super::cifar::Batches;
use super::error::{DataError, FileProblem};
use super::idx;
use super::table::{Layout, Pair, Published, PublishedFile, Split, Sum};
use crate::files;

/// A published file together with what it must hold.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub file: PublishedFile,
    pub contents: Contents,
}

/// What a published file holds.
#[derive(Clone, Copy, Debug)]
pub enum Contents {
    /// An idx file of images: (count, height, width).
    Images([usize; 3]),
    /// An idx file of labels below `classes`.
    Labels { count: [usize; 1], classes: usize },
    /// An archive of these batches.
    Batches(Batches),
}

impl Contents {
    /// (count, height, width) of images, (count) of labels, (count, bytes) of records.
    pub fn shape(&self) -> Vec<usize> {
        match self {
            Self::Images(shape) => shape.to_vec(),
            Self::Labels { count, .. } => count.to_vec(),
            Self::Batches(batches) => batches.shape().to_vec(),
        }
    }
}

impl Wanted {
    /// The files of a split: images, then labels, or the one archive.
    pub fn of(published: Published, split: Split) -> Vec<Self> {
        match (&published.0.layout, split) {
            (Layout::Idx { train, .. }, Split::Train) => Self::pair(published, split, train),
            (Layout::Idx { test, .. }, Split::Test) => Self::pair(published, split, test),
            (Layout::Cifar { archive, train, .. }, Split::Train) => {
                vec![Self::archive(published, *archive, split, train)]
            }
            (Layout::Cifar { archive, test, .. }, Split::Test) => {
                vec![Self::archive(published, *archive, split, test)]
            }
        }
    }

    /// Every file of a data set, as each split wants it; an archive of both splits comes twice.
    pub fn all(published: Published) -> Vec<Self> {
        let splits = [Split::Train, Split::Test];
        splits
            .into_iter()
            .flat_map(|split| Self::of(published, split))
            .collect()
    }

    fn pair(published: Published, split: Split, pair: &Pair) -> Vec<Self> {
        let count = published.count(split);
        let (_, height, width) = published.image_shape();
        vec![
            Self {
                file: pair.images,
                contents: Contents::Images([count, height, width]),
            },
            Self {
                file: pair.labels,
                contents: Contents::Labels {
                    count: [count],
                    classes: published.classes().len(),
                },
            },
        ]
    }

    fn archive(
        published: Published,
        file: PublishedFile,
        split: Split,
        members: &'static [&'static str],
    ) -> Self {
        let (channels, height, width) = published.image_shape();
        Self {
            file,
            contents: Contents::Batches(Batches {
                members,
                records: published.count(split) / members.len().max(1),
                image_len: channels * height * width,
                classes: published.classes().len(),
            }),
        }
    }

    /// Bytes of the file's contents, unpacked.
    pub fn len(&self) -> usize {
        match &self.contents {
            Contents::Images(shape) => idx_len(shape),
            Contents::Labels { count, .. } => idx_len(count),
            Contents::Batches(batches) => batches.len(),
        }
    }

    /// More than the file has, plain or packed: a packed file is smaller than its contents, give or take a header.
    /// An archive holds all batches.
    pub fn packed_limit(&self) -> u64 {
        match &self.contents {
            Contents::Batches(_) => 1 << 28,
            _ => self.len() as u64 + 4096,
        }
    }

    /// Name of the packed file, as it is published.
    pub fn packed_name(&self) -> String {
        match self.file.sum {
            Sum::Sha256(_) => format!("{}.gz", self.file.name),
            Sum::PackedMd5(_) => self.file.name.to_owned(),
        }
    }

    /// The names that a folder may have the file under.
    pub fn names(&self) -> Vec<String> {
        match self.file.sum {
            Sum::Sha256(_) => vec![self.file.name.to_owned(), self.packed_name()],
            Sum::PackedMd5(_) => vec![self.packed_name()],
        }
    }

    /// Checks bytes that came under a name: gives the file as it is kept, unpacked or packed as its sum is of.
    pub fn verify(&self, name: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, FileProblem> {
        match self.file.sum {
            Sum::Sha256(expected) => {
                let unpacked = match name.extension() {
                    Some(extension) if extension == "gz" => idx::gunzip(&bytes, self.len())?,
                    _ => bytes,
                };
                self.check(&unpacked)?;
                let found = files::sha256(&unpacked);
                same("SHA-256 of the unpacked file", expected, found)?;
                Ok(unpacked)
            }
            Sum::PackedMd5(expected) => {
                let found = files::hex(&Md5::digest(&bytes));
                same("MD5 of the packed file", expected, found)?;
                Ok(bytes)
            }
        }
    }

    /// What a file holds that was verified: pixels, labels, or an archive's records.
    pub fn elements(&self, kept: Vec<u8>) -> Result<Vec<u8>, FileProblem> {
        let mut bytes = match (self.file.sum, &self.contents) {
            (_, Contents::Batches(batches)) => return batches.unpack(&kept),
            (Sum::Sha256(_), _) => kept,
            (Sum::PackedMd5(_), _) => idx::gunzip(&kept, self.len())?,
        };
        let header = bytes.len() - self.check(&bytes)?;
        bytes.drain(..header);
        Ok(bytes)
    }

    /// Checks an unpacked idx file: header, sizes, labels; gives the number of its elements.
    fn check(&self, bytes: &[u8]) -> Result<usize, FileProblem> {
        match &self.contents {
            Contents::Images(shape) => Ok(idx::elements(bytes, shape)?.len()),
            Contents::Labels { count, classes } => {
                let labels = idx::elements(bytes, count)?;
                let stray = labels.iter().find(|&&label| usize::from(label) >= *classes);
                match stray {
                    Some(&label) => Err(FileProblem::Label {
                        label,
                        classes: *classes,
                    }),
                    None => Ok(labels.len()),
                }
            }
            Contents::Batches(_) => Ok(bytes.len()),
        }
    }

    /// Where `folder` keeps this file, if it does.
    pub fn find(&self, folder: &Path) -> Option<PathBuf> {
        let paths = self.names().into_iter().map(|name| folder.join(name));
        { paths }.find(|path| path.is_file())
    }

    /// Reads and checks the file in `folder`, and gives what it holds.
    pub fn read_from(&self, folder: &Path) -> Result<Vec<u8>, DataError> {
        match self.find(folder) {
            Some(path) => self.read(&path),
            None => Err(DataError::Missing {
                folder: folder.to_owned(),
                names: self.names(),
            }),
        }
    }

    /// Reads and checks the file at `path`, and gives what it holds.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, DataError> {
        let bytes = fs::read(path).map_err(|source| DataError::Read {
            path: path.to_owned(),
            source,
        })?;
        let kept = self.verify(path, bytes);
        kept.and_then(|kept| self.elements(kept))
            .map_err(|problem| DataError::Damaged {
                path: path.to_owned(),
                problem,
            })
    }
}

fn idx_len(shape: &[usize]) -> usize {
    idx::header_len(shape.len()) + shape.iter().product::<usize>()
}

fn same(what: &'static str, expected: &'static str, found: String) -> Result<(), FileProblem> {
    if found == expected {
        Ok(())
    } else {
        Err(FileProblem::Checksum {
            what,
            expected,
            found,
        })
    }
}

/// Writes a file whole or not at all, in a folder that is made if need be.
///
/// # Errors
///
/// [`DataError::Write`]; the file is then as it was.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = fs::create_dir_all(folder).and_then(|()| files::write_whole(path, bytes));
    written.map_err(|source| DataError::Write {
        path: path.to_owned(),
        source,
    })
}
