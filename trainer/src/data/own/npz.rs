//! `.npz` files: zip archives of arrays in NumPy's own format.

use std::cmp::Ordering;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use npyz::{DType, Deserialize, NpyFile, NpyHeader, NpyReader, Order};
use zip::ZipArchive;

use super::OwnProblem;
use super::arrays::{LARGEST, Part, choose};
use crate::data::error::DataError;
use crate::data::{Images, Split};

/// The names that an array may have: as Keras, as MedMNIST, as plain as can be.
const TRAIN_IMAGES: [&str; 3] = ["x_train", "train_images", "images"];
const TRAIN_LABELS: [&str; 3] = ["y_train", "train_labels", "labels"];
const TEST_IMAGES: [&str; 2] = ["x_test", "test_images"];
const TEST_LABELS: [&str; 2] = ["y_test", "test_labels"];

/// Bytes of an array's header that are read, as NumPy itself does.
const LARGEST_HEADER: usize = 10_000;

/// Loads one split of the file.
pub fn load(path: &Path, split: Split) -> Result<Images, DataError> {
    let file = File::open(path).map_err(|source| DataError::Read {
        path: path.to_owned(),
        source,
    })?;
    read(BufReader::new(file), split).map_err(|problem| DataError::Own {
        path: path.to_owned(),
        problem,
    })
}

fn read(file: BufReader<File>, split: Split) -> Result<Images, OwnProblem> {
    let archive = ZipArchive::new(file)
        .map_err(|error| OwnProblem::Broken(format!("it is no .npz file ({error})")))?;
    let mut arrays = Arrays(archive);
    let Some(train) = arrays.part(&TRAIN_IMAGES, &TRAIN_LABELS)? else {
        return Err(OwnProblem::NoImages(arrays.names().join(", ")));
    };
    let test = arrays.part(&TEST_IMAGES, &TEST_LABELS)?;
    choose(train, test, split)
}

/// The arrays of a file, by name.
struct Arrays(ZipArchive<BufReader<File>>);

/// An array's header and what its elements are read from.
struct Opened<'a> {
    array: &'a str,
    header: NpyHeader,
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

    /// Opens the array that has the first of these names that is there.
    fn open<'a>(&'a mut self, names: &[&'a str]) -> Result<Option<Opened<'a>>, OwnProblem> {
        let there = self.names();
        let Some(&array) = names.iter().find(|name| there.iter().any(|t| t == **name)) else {
            return Ok(None);
        };
        let file = self.0.by_name(&format!("{array}.npy"));
        let mut file = file.map_err(|error| broken(array, error))?;
        let header = header(&mut file).map_err(|error| broken(array, error))?;
        Ok(Some(Opened {
            array,
            header,
            elements: Box::new(file),
        }))
    }
}

/// Reads an array's header, which says its own length: 2 bytes in version 1 of the format, 4 in later ones.
fn header(file: &mut impl Read) -> io::Result<NpyHeader> {
    let mut start = vec![0; 10];
    file.read_exact(&mut start)?;
    if start[6] > 1 {
        start.resize(12, 0);
        file.read_exact(&mut start[10..])?;
    }
    let length = start[8..].iter().rev();
    let length = length.fold(0, |sum: usize, &byte| sum << 8 | usize::from(byte));
    if length > LARGEST_HEADER {
        return Err(io::Error::other(format!("its header has {length} bytes")));
    }
    NpyHeader::from_reader(start.chain(file))
}

impl Opened<'_> {
    fn images(self) -> Result<Part, OwnProblem> {
        if self.type_name() != "|u1" {
            return Err(self.mistyped("bytes (numpy.uint8, 0 to 255)"));
        }
        let (array, shape, len) = (self.array, self.shape(), self.len()?);
        let bytes = self.elements(len)?;
        Part::new(array, &shape, bytes)
    }

    /// Labels of any integer type, (N) or (N, 1).
    fn labels(self) -> Result<Vec<u8>, OwnProblem> {
        match self.shape()[..] {
            [_] | [_, 1] => {}
            _ => {
                return Err(OwnProblem::Axes {
                    array: self.array.to_owned(),
                    shape: self.shape(),
                    expected: "labels have (N) or (N, 1)",
                });
            }
        }
        self.len()?;
        let mistyped = self.mistyped("integers");
        let array = self.array;
        let file = NpyFile::with_header(self.header, self.elements);
        let labels = (file.try_data::<u8>().map(|data| labels(array, data)))
            .or_else(|file| file.try_data::<i8>().map(|data| labels(array, data)))
            .or_else(|file| file.try_data::<u16>().map(|data| labels(array, data)))
            .or_else(|file| file.try_data::<i16>().map(|data| labels(array, data)))
            .or_else(|file| file.try_data::<u32>().map(|data| labels(array, data)))
            .or_else(|file| file.try_data::<i32>().map(|data| labels(array, data)))
            .or_else(|file| file.try_data::<u64>().map(|data| labels(array, data)))
            .or_else(|file| file.try_data::<i64>().map(|data| labels(array, data)));
        labels.map_err(|_| mistyped)?
    }

    /// NumPy's name of the element type, as `|u1` or `<i8`.
    fn type_name(&self) -> String {
        match self.header.dtype() {
            DType::Plain(plain) => plain.to_string(),
            other => other.descr(),
        }
    }

    fn mistyped(&self, expected: &'static str) -> OwnProblem {
        OwnProblem::Type {
            array: self.array.to_owned(),
            found: self.type_name(),
            expected,
        }
    }

    fn shape(&self) -> Vec<usize> {
        let sizes = self.header.shape().iter();
        sizes.map(|&size| usize::try_from(size).unwrap_or(usize::MAX)).collect()
    }

    /// Number of elements.
    fn len(&self) -> Result<usize, OwnProblem> {
        // With one axis that is longer than 1 the orders are the same.
        let is_flat = self.shape().iter().filter(|&&size| size > 1).count() <= 1;
        if self.header.order() == Order::Fortran && !is_flat {
            return Err(OwnProblem::Fortran(self.array.to_owned()));
        }
        let product = self.shape().iter().try_fold(1usize, |n, &size| n.checked_mul(size));
        product.filter(|&len| len <= LARGEST).ok_or_else(|| self.too_large())
    }

    fn too_large(&self) -> OwnProblem {
        let (array, shape) = (self.array, self.shape());
        broken(array, format!("its axes are {shape:?}, more than 4 GiB"))
    }

    /// The bytes after the header, which must be so many.
    fn elements(self, len: usize) -> Result<Vec<u8>, OwnProblem> {
        let mut bytes = Vec::new();
        let read = self.elements.take(len as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| broken(self.array, error))?;
        let found = match bytes.len().cmp(&len) {
            Ordering::Equal => return Ok(bytes),
            Ordering::Less => bytes.len().to_string(),
            Ordering::Greater => "more".to_owned(),
        };
        Err(broken(self.array, format!("of its {len} bytes there are {found}")))
    }
}

/// Labels of any integer type as bytes.
fn labels<T: Deserialize + Into<i128>>(
    array: &str,
    labels: NpyReader<T, impl Read>,
) -> Result<Vec<u8>, OwnProblem> {
    let label = |label: io::Result<T>| {
        let label: i128 = label.map_err(|error| broken(array, error))?.into();
        u8::try_from(label).map_err(|_| OwnProblem::Label {
            array: array.to_owned(),
            label,
        })
    };
    labels.map(label).collect()
}

fn broken(array: &str, why: impl fmt::Display) -> OwnProblem {
    OwnProblem::Broken(format!("the array {array} is broken ({why})"))
}
