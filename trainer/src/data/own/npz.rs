//! `.npz` files: zip archives of arrays in NumPy's own format.

use std::cmp::Ordering;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::ZipArchive;

use super::OwnProblem;
use super::arrays::{LARGEST, Part, choose};
use super::npy::{self, Header};
use crate::data::error::DataError;
use crate::data::{Images, Split, SplitRule};

/// The names that an array may have: as Keras, as MedMNIST, as plain as can be.
const TRAIN_IMAGES: [&str; 3] = ["x_train", "train_images", "images"];
const TRAIN_LABELS: [&str; 3] = ["y_train", "train_labels", "labels"];
const TEST_IMAGES: [&str; 2] = ["x_test", "test_images"];
const TEST_LABELS: [&str; 2] = ["y_test", "test_labels"];

/// Loads one split of the file.
pub fn load(path: &Path, split: Split, rule: SplitRule) -> Result<Images, DataError> {
    let file = File::open(path).map_err(|source| DataError::Read {
        path: path.to_owned(),
        source,
    })?;
    read(BufReader::new(file), split, rule).map_err(|problem| DataError::Own {
        path: path.to_owned(),
        problem,
    })
}

fn read(file: BufReader<File>, split: Split, rule: SplitRule) -> Result<Images, OwnProblem> {
    let archive = ZipArchive::new(file)
        .map_err(|error| OwnProblem::Broken(format!("it is no .npz file ({error})")))?;
    let mut arrays = Arrays(archive);
    let Some(train) = arrays.part(&TRAIN_IMAGES, &TRAIN_LABELS)? else {
        let mut names = arrays.names();
        names.truncate(12);
        return Err(OwnProblem::NoImages(names));
    };
    let test = if arrays.is_empty(&TEST_IMAGES)? {
        None
    } else {
        arrays.part(&TEST_IMAGES, &TEST_LABELS)?
    };
    choose(train, test, split, rule)
}

/// The arrays of a file, by name.
struct Arrays(ZipArchive<BufReader<File>>);

/// An array's header and what its elements are read from.
struct Opened<'a> {
    array: &'a str,
    header: Header,
    elements: Box<dyn Read + 'a>,
}

impl Arrays {
    fn names(&self) -> Vec<String> {
        let names = self.0.file_names().filter_map(Result::ok);
        let names = names.filter_map(|name| Some(name.strip_suffix(".npy")?.to_owned()));
        names.collect()
    }

    /// The images under the first of these names that is there, with the labels likewise.
    fn part(&mut self, images: &[&str], labels: &[&str]) -> Result<Option<Part>, OwnProblem> {
        let Some(images) = self.open(images)? else {
            return Ok(None);
        };
        let part = images.images()?;
        let labels = self.open(labels)?;
        Ok(Some(part.labelled(labels.map(Opened::labels).transpose()?)))
    }

    /// Whether the array under the first of these names that is there has no element along its first axis.
    fn is_empty(&mut self, names: &[&str]) -> Result<bool, OwnProblem> {
        let opened = self.open(names)?;
        Ok(opened.is_some_and(|opened| opened.header.shape.first() == Some(&0)))
    }

    /// Opens the array that has the first of these names that is there.
    fn open<'a>(&'a mut self, names: &[&'a str]) -> Result<Option<Opened<'a>>, OwnProblem> {
        let there = self.names();
        let Some(&array) = names.iter().find(|name| there.iter().any(|t| t == **name)) else {
            return Ok(None);
        };
        let file = self.0.by_name(&format!("{array}.npy"));
        let mut file = file.map_err(|error| broken(array, error))?;
        let header = npy::read(&mut file).map_err(|error| broken(array, error))?;
        Ok(Some(Opened {
            array,
            header,
            elements: Box::new(file),
        }))
    }
}

impl Opened<'_> {
    fn images(mut self) -> Result<Part, OwnProblem> {
        if self.header.descr != "|u1" {
            return Err(self.mistyped("bytes (numpy.uint8, 0 to 255)"));
        }
        let bytes = self.elements(1)?;
        Part::new(self.array, &self.header.shape, bytes)
    }

    /// Labels of any integer type, (N) or (N, 1).
    fn labels(mut self) -> Result<Vec<u8>, OwnProblem> {
        let Some(integer) = Integer::of(&self.header.descr) else {
            return Err(self.mistyped("integers"));
        };
        if !matches!(self.header.shape[..], [_] | [_, 1]) {
            return Err(OwnProblem::Axes {
                array: self.array.to_owned(),
                shape: self.header.shape,
                expected: "labels have (N) or (N, 1)",
            });
        }
        let elements = self.elements(integer.bytes)?;
        let labels = elements.chunks_exact(integer.bytes).map(|element| {
            let label = integer.value(element);
            u8::try_from(label).map_err(|_| OwnProblem::Label {
                array: self.array.to_owned(),
                label,
            })
        });
        labels.collect()
    }

    fn mistyped(&self, expected: &'static str) -> OwnProblem {
        OwnProblem::Type {
            array: self.array.to_owned(),
            found: self.header.descr.clone(),
            expected,
        }
    }

    /// The elements, so many bytes each.
    fn elements(&mut self, bytes_each: usize) -> Result<Vec<u8>, OwnProblem> {
        let shape = &self.header.shape;
        // Where only one axis is longer than 1 the orders are the same.
        let is_flat = shape.iter().filter(|&&size| size > 1).count() <= 1;
        if self.header.is_fortran && !is_flat {
            return Err(OwnProblem::Fortran(self.array.to_owned()));
        }
        let len = shape
            .iter()
            .try_fold(bytes_each, |n, &size| n.checked_mul(size));
        let Some(len) = len.filter(|&len| len <= LARGEST) else {
            return Err(broken(
                self.array,
                format!("its axes are {shape:?}, more than 4 GiB"),
            ));
        };
        let mut bytes = Vec::new();
        let mut elements = self.elements.by_ref().take(len as u64 + 1);
        let read = elements.read_to_end(&mut bytes);
        read.map_err(|error| broken(self.array, error))?;
        let found = match bytes.len().cmp(&len) {
            Ordering::Equal => return Ok(bytes),
            Ordering::Less => bytes.len().to_string(),
            Ordering::Greater => "more".to_owned(),
        };
        Err(broken(
            self.array,
            format!("of its {len} bytes there are {found}"),
        ))
    }
}

/// An integer type of NumPy's.
struct Integer {
    bytes: usize,
    is_signed: bool,
    is_big_endian: bool,
}

impl Integer {
    /// The type that is written so, as `<i8`.
    fn of(descr: &str) -> Option<Self> {
        let (order, rest) = descr.split_at_checked(1)?;
        let (kind, bytes) = rest.split_at_checked(1)?;
        let is_signed = match kind {
            "i" => true,
            "u" => false,
            _ => return None,
        };
        Some(Self {
            bytes: bytes
                .parse()
                .ok()
                .filter(|bytes| [1, 2, 4, 8].contains(bytes))?,
            is_signed,
            is_big_endian: order == ">",
        })
    }

    fn value(&self, element: &[u8]) -> i128 {
        let push = |sum: i128, &byte: &u8| sum << 8 | i128::from(byte);
        let value = if self.is_big_endian {
            element.iter().fold(0, push)
        } else {
            element.iter().rev().fold(0, push)
        };
        let bits = 8 * element.len();
        if self.is_signed && value >> (bits - 1) == 1 {
            value - (1 << bits)
        } else {
            value
        }
    }
}

fn broken(array: &str, why: impl fmt::Display) -> OwnProblem {
    OwnProblem::Broken(format!("the array {array} is broken ({why})"))
}
