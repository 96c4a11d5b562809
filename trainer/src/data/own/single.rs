//! Single pictures, as they are.

use std::path::{Path, PathBuf};

use super::folder::{luminance, planes};
use super::listing::Listing;
use super::picture;
use crate::data::error::DataError;
use crate::spec::Shape;

/// A picture that stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub path: PathBuf,
    /// Its path below the folder that was named, without the ending and with `/` between the parts; the file's own name
    /// where a file was named.
    pub name: String,
}

impl Picture {
    /// The picture at `path`, or all of them below it if it is a folder, in the order of their paths. What was left out
    /// is handed to `say`.
    ///
    /// # Errors
    /// A folder without pictures, or one that cannot be looked into. A file is not opened yet.
    pub fn all(path: &Path, say: &mut dyn FnMut(&str)) -> Result<Vec<Self>, DataError> {
        if path.is_dir() {
            let files = Listing::all(path, say)?.into_iter();
            return Ok(files
                .map(|file| Self {
                    name: file.name(),
                    path: file.path,
                })
                .collect());
        }
        let stem = path.file_stem().unwrap_or_default();
        Ok(vec![Self {
            path: path.to_owned(),
            name: stem.to_string_lossy().into_owned(),
        }])
    }

    /// Its pixels, (C, H, W), with 1 channel (the luminance) or 3: as it is, or the largest square in its middle scaled
    /// to `side` rows and columns.
    ///
    /// # Errors
    /// A file that cannot be read as a picture.
    pub fn read(
        &self,
        channels: usize,
        side: Option<usize>,
    ) -> Result<(Vec<u8>, Shape), DataError> {
        let read = match side {
            Some(side) => picture::read(&self.path, side).map(|pixels| (pixels, side, side)),
            None => picture::read_whole(&self.path).map(|picture| {
                let (width, height) = picture.dimensions();
                (picture.into_raw(), height as usize, width as usize)
            }),
        };
        let (pixels, height, width) = read.map_err(|problem| DataError::Broken {
            path: self.path.clone(),
            problem,
            more: 0,
        })?;
        let shape = Shape::new(channels, height, width);
        let pixels = match channels {
            1 => luminance(&pixels),
            _ => planes(pixels, height * width),
        };
        Ok((pixels, shape))
    }
}
