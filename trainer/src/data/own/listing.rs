//! Which pictures there are below a folder, what they are by class and split, and what was left out.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};
use walkdir::{DirEntry, WalkDir};

use super::{OwnProblem, PictureProblem, picture};
use crate::data::error::DataError;
use crate::data::{SplitRule, counted};
use crate::mark;

/// About one picture of so many is kept for testing where there are no subfolders `train` and `test`.
const TEST_EVERY: u64 = 10;

/// Endings of files that are read.
const READ: [&str; 15] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "dib", "gif", "tif", "tiff", "ppm", "pgm",
    "pbm", "pnm",
];
/// Those that were read when [`SplitRule::Legacy`] was the only rule.
const READ_THEN: [&str; 3] = ["png", "jpg", "jpeg"];
/// Endings of pictures that are not read.
const NOT_READ: [&str; 27] = [
    "avif", "heic", "heif", "jxl", "jp2", "j2k", "svg", "ico", "psd", "xcf", "tga", "exr", "hdr",
    "dds", "pcx", "qoi", "apng", "dng", "cr2", "cr3", "nef", "arw", "orf", "rw2", "raf", "eps",
    "wmf",
];
/// Folders that file managers, archivers and network drives make for themselves, in lower case. Those that begin with
/// a dot are hidden anyway.
const OF_THE_SYSTEM: [&str; 10] = [
    "@eadir",
    "@tmp",
    "@recycle",
    "@recently-snapshot",
    "#recycle",
    "#snapshot",
    "__macosx",
    "$recycle.bin",
    "system volume information",
    "lost+found",
];

/// The pictures of a folder.
pub struct Listing {
    /// Names of the classes, in the order of their bytes; none where the pictures are in the folder itself.
    pub classes: Vec<String>,
    /// In the order of their paths.
    pub train: Vec<File>,
    /// In the order of their paths.
    pub test: Vec<File>,
    /// What lies there and cannot be looked into.
    pub broken: Vec<(PathBuf, PictureProblem)>,
    /// What was left out, a sentence each.
    pub notes: Vec<String>,
}

/// A picture, the number of its class, and its path below the folder, or below the folder of its split.
#[derive(Clone, Debug)]
pub struct File {
    pub path: PathBuf,
    pub class: Option<u8>,
    pub below: PathBuf,
}

impl File {
    /// The path below, without the ending and with `/` between the parts.
    pub fn name(&self) -> String {
        let bare = self.below.with_extension("");
        let parts = bare.components();
        let parts = parts.map(|part| part.as_os_str().to_string_lossy().into_owned());
        parts.collect::<Vec<_>>().join("/")
    }
}

/// A picture and its path below the folder, or below the folder of its split.
struct Found {
    path: PathBuf,
    below: PathBuf,
}

impl Listing {
    /// Lists the pictures below a folder; those of its subfolders `train` and `test` if it has both.
    ///
    /// # Errors
    /// No folder, no picture in it, classes that cannot be told apart.
    pub fn of(folder: &Path, rule: SplitRule) -> Result<Self, DataError> {
        let own = |problem| DataError::Own {
            path: folder.to_owned(),
            problem,
        };
        if !folder.is_dir() {
            return Err(own(OwnProblem::NoFolder));
        }
        let halves = ["train", "test"].map(|name| folder.join(name));
        let mut walk = Walk::new(rule);
        let listing = if halves.iter().all(|half| half.is_dir()) {
            let [train, test] = halves.map(|half| walk.pictures(&half));
            Self::halves(train, test)
        } else {
            Self::whole(walk.pictures(folder), rule)
        };
        let mut listing = listing.map_err(own)?;
        listing.notes = walk.notes(folder);
        listing.broken = walk.broken;
        if listing.train.is_empty() && listing.test.is_empty() && listing.broken.is_empty() {
            let notes = listing.notes.join("; ");
            return Err(own(OwnProblem::NoPictures(notes)));
        }
        Ok(listing)
    }

    /// All pictures below a folder, whatever their split and class, in the order of their paths; the sentences on what
    /// was left out are handed to `say`.
    ///
    /// # Errors
    /// No folder, no picture in it, what cannot be looked into.
    pub fn all(folder: &Path, say: &mut dyn FnMut(&str)) -> Result<Vec<File>, DataError> {
        let own = |problem| DataError::Own {
            path: folder.to_owned(),
            problem,
        };
        if !folder.is_dir() {
            return Err(own(OwnProblem::NoFolder));
        }
        let mut walk = Walk::new(SplitRule::Stratified);
        let found = walk.pictures(folder);
        let notes = walk.notes(folder);
        let more = walk.broken.len().saturating_sub(1);
        if let Some((path, problem)) = walk.broken.into_iter().next() {
            return Err(DataError::Broken {
                path,
                problem,
                more,
            });
        }
        if found.is_empty() {
            return Err(own(OwnProblem::NoPictures(notes.join("; "))));
        }
        notes.iter().for_each(|note| say(note));
        Ok(labelled(found, &[]))
    }

    fn halves(train: Vec<Found>, test: Vec<Found>) -> Result<Self, OwnProblem> {
        let classes = classes(&train)?;
        let mut of_test = self::classes(&test)?.into_iter();
        if let Some(class) = of_test.find(|class| !classes.contains(class)) {
            return Err(OwnProblem::UnknownClass(class.to_string_lossy().into()));
        }
        Ok(Self::new(&classes, train, test))
    }

    /// A picture's split follows from its path alone, so it stays when pictures are added or removed; but where there
    /// are two pictures that can be read, there is one in each split.
    fn whole(found: Vec<Found>, rule: SplitRule) -> Result<Self, OwnProblem> {
        let classes = classes(&found)?;
        let hashes: Vec<u64> = found.iter().map(|found| hash(&found.below)).collect();
        let mut is_test: Vec<bool> = hashes.iter().map(|hash| hash % TEST_EVERY == 0).collect();
        if rule == SplitRule::Stratified {
            share(&found, &hashes, &mut is_test);
        }
        let mut is_test = is_test.into_iter();
        let (test, train) = found
            .into_iter()
            .partition(|_| is_test.next().unwrap_or(false));
        Ok(Self::new(&classes, train, test))
    }

    fn new(classes: &[OsString], train: Vec<Found>, test: Vec<Found>) -> Self {
        Self {
            train: labelled(train, classes),
            test: labelled(test, classes),
            classes: classes
                .iter()
                .map(|class| class.to_string_lossy().into_owned())
                .collect(),
            broken: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// Where all pictures that can be read are in one split, takes the one of the least hash for testing, if there are two,
/// and the others for training.
fn share(found: &[Found], hashes: &[u64], is_test: &mut [bool]) {
    let is_readable = |i: &usize| picture::is_readable(&found[*i].path);
    let [train, test] = [false, true].map(|test| {
        let mut own = (0..found.len()).filter(|&i| is_test[i] == test);
        own.any(|i| is_readable(&i))
    });
    if train == test {
        return;
    }
    let mut readable: Vec<usize> = (0..found.len()).filter(is_readable).collect();
    readable.sort_by_key(|&i| hashes[i]);
    for (place, &i) in readable.iter().enumerate() {
        is_test[i] = place == 0 && readable.len() > 1;
    }
}

/// A walk through folders.
struct Walk {
    rule: SplitRule,
    broken: Vec<(PathBuf, PictureProblem)>,
    /// How many pictures of endings that are not read.
    not_read: BTreeMap<String, usize>,
    /// Folders of runs and models.
    runs: Vec<PathBuf>,
    /// Pictures that this program made.
    made_here: usize,
}

impl Walk {
    fn new(rule: SplitRule) -> Self {
        Self {
            rule,
            broken: Vec::new(),
            not_read: BTreeMap::new(),
            runs: Vec::new(),
            made_here: 0,
        }
    }

    /// The pictures below a folder, sorted by path. Left out are what is hidden, the system's folders, and what this
    /// program made.
    fn pictures(&mut self, folder: &Path) -> Vec<Found> {
        let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
        let mut found = Vec::new();
        let mut entries = walk.into_iter();
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.broken.extend(problem(folder, error));
                    continue;
                }
            };
            if entry.depth() > 0 && is_foreign(&entry) {
                if entry.file_type().is_dir() {
                    entries.skip_current_dir();
                }
            } else if entry.depth() > 0 && entry.file_type().is_dir() && is_run(entry.path()) {
                self.runs.push(entry.path().to_owned());
                entries.skip_current_dir();
            } else if !entry.file_type().is_dir() && self.is_picture(entry.path()) {
                if !entry.file_type().is_file() {
                    let path = entry.path().to_owned();
                    self.broken.push((path, PictureProblem::NoFile));
                    continue;
                }
                let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
                found.push(Found {
                    path: entry.path().to_owned(),
                    below: below.to_owned(),
                });
            }
        }
        found
    }

    /// Whether a file is a picture to be read, by its name and the mark of this program.
    fn is_picture(&mut self, path: &Path) -> bool {
        let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        let extension = extension.to_ascii_lowercase();
        let read = match self.rule {
            SplitRule::Stratified => &READ[..],
            SplitRule::Legacy => &READ_THEN[..],
        };
        if !read.contains(&&*extension) {
            if NOT_READ.contains(&&*extension) || READ.contains(&&*extension) {
                *self.not_read.entry(extension).or_default() += 1;
            }
            return false;
        }
        // A pipe would be waited for; a file that cannot be opened is named when it is to be decoded.
        let marked = path.is_file() && mark::is_marked(path).unwrap_or(false);
        self.made_here += usize::from(marked);
        !marked
    }

    fn notes(&self, folder: &Path) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(first) = self.runs.first() {
            notes.push(format!(
                "folder {}: left out {} of runs or models ({}{})",
                folder.display(),
                counted(self.runs.len(), "folder"),
                first.display(),
                if self.runs.len() > 1 { ", …" } else { "" }
            ));
        }
        if self.made_here > 0 {
            notes.push(format!(
                "folder {}: left out {} that this program made",
                folder.display(),
                counted(self.made_here, "picture")
            ));
        }
        if !self.not_read.is_empty() {
            let endings = self.not_read.iter();
            let endings: Vec<String> = endings.map(|(e, n)| format!("{n} .{e}")).collect();
            notes.push(format!(
                "folder {}: pictures of these endings are not read: {}",
                folder.display(),
                endings.join(", ")
            ));
        }
        notes
    }
}

/// What keeps an entry from being looked into; nothing for a hidden one.
fn problem(folder: &Path, error: walkdir::Error) -> Option<(PathBuf, PictureProblem)> {
    let path = error.path().unwrap_or(folder).to_owned();
    if path.file_name().is_some_and(is_hidden) && path != folder {
        return None;
    }
    let ancestor = error.loop_ancestor().map(Path::to_owned);
    let problem = match (ancestor, error.into_io_error()) {
        (Some(ancestor), _) => PictureProblem::LinkLoop(ancestor),
        (_, Some(error)) if error.kind() == ErrorKind::NotFound && path.is_symlink() => {
            PictureProblem::DanglingLink
        }
        (_, Some(error)) => PictureProblem::Read(error),
        (None, None) => return None,
    };
    Some((path, problem))
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Hidden entries and the system's folders.
fn is_foreign(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let lower = name.to_string_lossy().to_lowercase();
    is_hidden(name) || entry.file_type().is_dir() && OF_THE_SYSTEM.contains(&&*lower)
}

/// Whether a folder is that of a run, or of an exported model.
fn is_run(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).exists();
    let begun = has("config.toml") && (has(".lock") || has("checkpoints") || has("stats.jsonl"));
    begun || has("model.pgan")
}

/// The subfolder that a picture is in, which is its class.
fn subfolder(below: &Path) -> Option<&OsStr> {
    match below.components().next() {
        Some(Component::Normal(first)) if first != below => Some(first),
        _ => None,
    }
}

/// The subfolders with pictures, sorted; none if the pictures are in the folder itself.
fn classes(found: &[Found]) -> Result<Vec<OsString>, OwnProblem> {
    let folders = found.iter().filter_map(|found| subfolder(&found.below));
    let folders: BTreeSet<&OsStr> = folders.collect();
    let stray = found.iter().find(|found| subfolder(&found.below).is_none());
    match stray {
        Some(found) if !folders.is_empty() => Err(OwnProblem::NoClass(found.path.clone())),
        _ if folders.len() > 256 => Err(OwnProblem::TooManyClasses(folders.len())),
        _ => Ok(folders.into_iter().map(OsStr::to_owned).collect()),
    }
}

fn labelled(found: Vec<Found>, classes: &[OsString]) -> Vec<File> {
    let file = |Found { path, below }: Found| {
        let name = subfolder(&below);
        let place = name.and_then(|name| classes.iter().position(|class| class == name));
        let class = place.and_then(|place| u8::try_from(place).ok());
        File { path, class, below }
    };
    found.into_iter().map(file).collect()
}

/// The first 8 bytes of the SHA-256 of a path below the folder, with `/` between the parts, as a big-endian number.
fn hash(below: &Path) -> u64 {
    let parts: Vec<&[u8]> = below.iter().map(OsStr::as_encoded_bytes).collect();
    let sum = Sha256::digest(parts.join(b"/".as_slice()));
    sum[..8]
        .iter()
        .fold(0, |sum: u64, &byte| sum << 8 | u64::from(byte))
}
