//! What can be wrong with data of the user's own.

use std::path::PathBuf;

/// Why data of the user's own cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnProblem {
    /// Not a folder.
    #[error("there is no such folder")]
    NoFolder,
    /// A folder without pictures; what was left out, if anything was.
    #[error("there are no pictures to read in this folder{}", aside(.0))]
    NoPictures(String),
    /// No picture can be read.
    #[error("none of the {0} pictures can be read")]
    AllBroken(&'static str),
    /// All pictures are in the other split.
    #[error(
        "none of the pictures is one of the {0} images: put those into a subfolder train and those for testing into \
         a subfolder test"
    )]
    NoPicturesOf(&'static str),
    /// An array without images, or all of them in the other split.
    #[error("there are no {0} images")]
    EmptySplit(&'static str),
    /// Pictures within and without class folders.
    #[error(
        "{} lies beside subfolders with pictures: move it into one of them, which are the classes, or have no subfolders",
        .0.display()
    )]
    NoClass(PathBuf),
    /// A class of the test pictures alone.
    #[error("test has the class {0}, which train has not")]
    UnknownClass(String),
    /// More classes than a label can tell.
    #[error(
        "there are {0} classes, and at most 256 can be told apart: put all pictures into one folder to do without"
    )]
    TooManyClasses(usize),
    /// More pixels than memory.
    #[error(
        "{0} images of {1} bytes do not fit into memory: take fewer, or a smaller --image-size"
    )]
    Memory(usize, usize),
    /// The zip archive, or an array's header, is broken.
    #[error("{0}")]
    Broken(String),
    /// No array with the name of images.
    #[error("there is no array x_train, train_images or images; there are {0:?}")]
    NoImages(Vec<String>),
    /// Another element type.
    #[error("the array {array} has elements of type {found:?}, where {expected} are read")]
    Type {
        /// Name of the array.
        array: String,
        /// NumPy's name of the type.
        found: String,
        /// What there should be.
        expected: &'static str,
    },
    /// Column-major order.
    #[error("the array {0} is in Fortran order: save numpy.ascontiguousarray of it")]
    Fortran(String),
    /// Axes that are not those of images or labels.
    #[error("the array {array} has the axes {shape:?}; {expected}")]
    Axes {
        /// Name of the array.
        array: String,
        /// Its sizes.
        shape: Vec<usize>,
        /// What there should be.
        expected: &'static str,
    },
    /// A label that is no number of a class.
    #[error("the array {array} has the label {label}: labels are numbers from 0 to 255")]
    Label {
        /// Name of the array.
        array: String,
        /// The first such label.
        label: i128,
    },
    /// Not as many labels as images.
    #[error("there are {labels} labels for {images} {split} images")]
    Count {
        /// Which split.
        split: &'static str,
        /// Images there are.
        images: usize,
        /// Labels there are.
        labels: usize,
    },
    /// Labels for one split only.
    #[error("there are labels for one of the training and test images only")]
    HalfLabelled,
    /// Splits of different shapes.
    #[error("training images are {train:?} (channels, height, width), test images {test:?}")]
    Shapes {
        /// Of training images.
        train: [usize; 3],
        /// Of test images.
        test: [usize; 3],
    },
}

/// Why a picture cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureProblem {
    /// The system's answer.
    #[error("it cannot be read ({0})")]
    Read(#[from] std::io::Error),
    /// Other contents than the name says.
    #[error("its contents are none of PNG, JPEG, WebP, BMP, GIF, TIFF and PNM")]
    Format,
    /// A link whose target is gone.
    #[error("it is a link to something that is not there")]
    DanglingLink,
    /// A link to a folder that it is in.
    #[error("it is a link back to {}, which it is in", .0.display())]
    LinkLoop(PathBuf),
    /// A pipe, a socket or a device.
    #[error("it is not a regular file")]
    NoFile,
    /// A file of more bytes than a picture may have.
    #[error("its file is too large for a picture ({0} bytes)")]
    TooLarge(u64),
    /// A JPEG file that was cut off.
    #[error("it ends before the picture does")]
    CutOff,
    /// The decoder's answer.
    #[error("it cannot be decoded ({0})")]
    Decode(#[from] image::ImageError),
    /// A picture without a pixel.
    #[error("it has no pixels")]
    Empty,
    /// A fault of the decoder's own.
    #[error("it cannot be decoded (the decoder failed)")]
    Panic,
}

fn aside(notes: &str) -> String {
    if notes.is_empty() {
        String::new()
    } else {
        format!(" ({notes})")
    }
}
