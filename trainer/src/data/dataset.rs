//! What images are named by: a published data set, or pictures of the user's own.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::DataError;
use super::table::Published;

/// Where images come from. Written the same in text, TOML and JSON: `fashion`, `folder:cats`, `npz:cats.npz`,
/// `idx:cats`; a path is kept as it was given.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Dataset {
    /// One of the table.
    Published(Published),
    /// The pictures below a folder.
    Folder(PathBuf),
    /// Arrays that NumPy saved.
    Npz(PathBuf),
    /// A folder of idx files with MNIST's names.
    Idx(PathBuf),
}

/// A kind of data of the user's own.
pub struct Form {
    prefix: &'static str,
    /// How it is written, as `folder:PATH`.
    pub usage: &'static str,
    /// One line on what it is.
    pub title: &'static str,
    make: fn(PathBuf) -> Dataset,
}

/// The kinds of data of the user's own.
pub static FORMS: [Form; 3] = [
    Form {
        prefix: "folder:",
        usage: "folder:PATH",
        title: "pictures of your own (PNG, JPEG, WebP, BMP, GIF, TIFF, PNM); subfolders are classes, or train and test with classes in them",
        make: Dataset::Folder,
    },
    Form {
        prefix: "npz:",
        usage: "npz:FILE",
        title: "arrays saved by NumPy: x_train of bytes, (N, H, W), (N, H, W, C) or (N, C, H, W); y_train, x_test, y_test if wanted",
        make: Dataset::Npz,
    },
    Form {
        prefix: "idx:",
        usage: "idx:PATH",
        title: "a folder of idx files of your own with MNIST's names, plain or .gz",
        make: Dataset::Idx,
    },
];

impl Dataset {
    /// The table's entry, if it is one of the table.
    pub fn published(&self) -> Option<Published> {
        match self {
            Self::Published(published) => Some(*published),
            _ => None,
        }
    }

    /// Whether both are the same, however their paths are written.
    pub fn is_same(&self, other: &Self) -> bool {
        let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        match (self, other) {
            (Self::Published(one), Self::Published(two)) => one == two,
            (Self::Folder(one), Self::Folder(two))
            | (Self::Npz(one), Self::Npz(two))
            | (Self::Idx(one), Self::Idx(two)) => whole(one) == whole(two),
            _ => false,
        }
    }

    /// A name for files that are about it: the table's, or that of the folder or file.
    pub fn short_name(&self) -> String {
        let (path, otherwise) = match self {
            Self::Published(published) => return published.name().to_owned(),
            Self::Folder(path) => (path, "folder"),
            Self::Npz(path) => (path, "npz"),
            Self::Idx(path) => (path, "idx"),
        };
        match path.file_stem() {
            Some(stem) => stem.to_string_lossy().into_owned(),
            None => otherwise.to_owned(),
        }
    }
}

impl From<Published> for Dataset {
    fn from(published: Published) -> Self {
        Self::Published(published)
    }
}

impl FromStr for Dataset {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        for form in &FORMS {
            match text.strip_prefix(form.prefix) {
                Some("") => return Err(DataError::NoPath { usage: form.usage }),
                Some(path) => return Ok((form.make)(path.into())),
                None => {}
            }
        }
        match Published::named(text) {
            Some(published) => Ok(Self::Published(published)),
            None => Err(DataError::Unknown {
                name: text.to_owned(),
                known: known().join(", "),
            }),
        }
    }
}

/// Every name there is, and the forms of the others.
fn known() -> Vec<&'static str> {
    let forms = FORMS.iter().map(|form| form.usage);
    Published::all().map(Published::name).chain(forms).collect()
}

impl TryFrom<String> for Dataset {
    type Error = DataError;

    fn try_from(text: String) -> Result<Self, DataError> {
        text.parse()
    }
}

impl From<Dataset> for String {
    fn from(dataset: Dataset) -> Self {
        dataset.to_string()
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut own = |prefix: &str, path: &Path| write!(f, "{prefix}{}", path.display());
        match self {
            Self::Published(published) => published.fmt(f),
            Self::Folder(path) => own("folder:", path),
            Self::Npz(path) => own("npz:", path),
            Self::Idx(path) => own("idx:", path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_the_same_again() {
        for text in [
            "fashion",
            "kmnist",
            "cifar10",
            "folder:a b/c",
            "npz:x:y.npz",
            "idx:../own",
        ] {
            let dataset: Dataset = text.parse().unwrap();
            assert_eq!(dataset.to_string(), text);
            let json = serde_json::to_string(&dataset).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Dataset>(&json).unwrap(), dataset);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "fashoin".parse::<Dataset>().unwrap_err().to_string();
        for part in ["fashoin", "fashion, mnist, kmnist, cifar10, folder:PATH"] {
            assert!(error.contains(part), "{error}");
        }
        let error = "folder:".parse::<Dataset>().unwrap_err().to_string();
        assert!(error.contains("folder:PATH"), "{error}");
    }

    #[test]
    fn a_short_name_is_the_last_of_a_path() {
        for (text, name) in [
            ("mnist", "mnist"),
            ("folder:pictures/cats/", "cats"),
            ("npz:a/b.npz", "b"),
            ("folder:..", "folder"),
        ] {
            assert_eq!(text.parse::<Dataset>().unwrap().short_name(), name);
        }
    }
}
