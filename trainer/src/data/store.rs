//! Files in folders: read and checked, or written whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::{DataError, FileProblem};
use super::idx;
use super::table::{Dataset, IdxFile, Split};
use crate::files;
use sha2::{Digest, Sha256};

/// A published file together with the sizes its header must give.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub file: IdxFile,
    pub shape: [usize; 3],
    pub rank: usize,
    pub classes: usize,
}

impl Wanted {
    /// The two files of a split: images, then labels.
    pub fn pair(dataset: Dataset, split: Split) -> [Self; 2] {
        let files = dataset.files(split);
        let (_, height, width) = dataset.image_shape();
        let shape = [files.count, height, width];
        let classes = dataset.classes().len();
        [
            Self {
                file: files.images,
                shape,
                rank: 3,
                classes,
            },
            Self {
                file: files.labels,
                shape,
                rank: 1,
                classes,
            },
        ]
    }

    /// Sizes in the header: (count, height, width) of images, (count) of labels.
    pub fn shape(&self) -> &[usize] {
        &self.shape[..self.rank]
    }

    /// Bytes of the unpacked file.
    pub fn len(&self) -> usize {
        idx::header_len(self.rank) + self.shape().iter().product::<usize>()
    }

    /// Checks unpacked bytes: header, sizes, labels, then the published sum.
    pub fn check(&self, bytes: &[u8]) -> Result<(), FileProblem> {
        let elements = idx::elements(bytes, self.shape())?;
        if self.rank == 1
            && let Some(&label) = elements
                .iter()
                .find(|&&label| usize::from(label) >= self.classes)
        {
            return Err(FileProblem::Label {
                label,
                classes: self.classes,
            });
        }
        let found = hex(&Sha256::digest(bytes));
        if found != self.file.sha256 {
            return Err(FileProblem::Checksum {
                expected: self.file.sha256,
                found,
            });
        }
        Ok(())
    }

    /// Unpacks `bytes` where the name they came under says that they are packed, and checks them.
    pub fn unpack(&self, name: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, FileProblem> {
        let unpacked = match name.extension() {
            Some(extension) if extension == "gz" => idx::gunzip(&bytes, self.len())?,
            _ => bytes,
        };
        self.check(&unpacked)?;
        Ok(unpacked)
    }

    /// Where `folder` keeps this file, plain or packed, if it does.
    pub fn find(&self, folder: &Path) -> Option<PathBuf> {
        [
            folder.join(self.file.name),
            folder.join(format!("{}.gz", self.file.name)),
        ]
        .into_iter()
        .find(|path| path.is_file())
    }

    /// Reads, unpacks and checks the file at `path`.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, DataError> {
        let bytes = fs::read(path).map_err(|source| DataError::Read {
            path: path.to_owned(),
            source,
        })?;
        self.unpack(path, bytes)
            .map_err(|problem| DataError::Damaged {
                path: path.to_owned(),
                problem,
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

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
