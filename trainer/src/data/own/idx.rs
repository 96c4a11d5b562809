//! A folder of idx files of the user's own, with MNIST's names.

use std::fs;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::OwnProblem;
use super::arrays::{LARGEST, Part, choose};
use crate::data::error::{DataError, FileProblem};
use crate::data::idx::read;
use crate::data::{Images, Split, SplitRule};

/// Images and labels of each split. Only the first must be there.
const TRAIN: [&str; 2] = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
const TEST: [&str; 2] = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// Loads one split of the folder.
pub fn load(folder: &Path, split: Split, rule: SplitRule) -> Result<Images, DataError> {
    let own = |problem| DataError::Own {
        path: folder.to_owned(),
        problem,
    };
    if !folder.is_dir() {
        return Err(own(OwnProblem::NoFolder));
    }
    let Some(train) = part(folder, TRAIN)? else {
        let problem = format!("there is neither {0} nor {0}.gz in this folder", TRAIN[0]);
        return Err(own(OwnProblem::Broken(problem)));
    };
    let test = part(folder, TEST)?;
    choose(train, test, split, rule).map_err(own)
}

/// The images with these names, and their labels if there are any.
fn part(folder: &Path, [images, labels]: [&str; 2]) -> Result<Option<Part>, DataError> {
    let Some((path, sizes, pixels)) = file(folder, images, 3)? else {
        return Ok(None);
    };
    let part = Part::new(images, &sizes, pixels);
    let part = part.map_err(|problem| DataError::Own { path, problem })?;
    let labels = file(folder, labels, 1)?;
    Ok(Some(part.labelled(labels.map(|(_, _, labels)| labels))))
}

type File = (PathBuf, Vec<usize>, Vec<u8>);

/// The file of this name, plain or packed, if it is there: its path, sizes and elements.
fn file(folder: &Path, name: &str, rank: usize) -> Result<Option<File>, DataError> {
    let names = [name.to_owned(), format!("{name}.gz")];
    let paths = names.map(|name| folder.join(name));
    let Some(path) = paths.into_iter().find(|path| path.is_file()) else {
        return Ok(None);
    };
    match fs::read(&path) {
        Err(source) => Err(DataError::Read { path, source }),
        Ok(bytes) => match elements(&path, &bytes, rank) {
            Ok((sizes, elements)) => Ok(Some((path, sizes, elements))),
            Err(problem) => Err(DataError::Damaged { path, problem }),
        },
    }
}

fn elements(path: &Path, bytes: &[u8], rank: usize) -> Result<(Vec<usize>, Vec<u8>), FileProblem> {
    if path.extension().is_some_and(|extension| extension == "gz") {
        read(MultiGzDecoder::new(bytes), rank, LARGEST)
    } else {
        read(bytes, rank, LARGEST)
    }
}
