//! A folder of pictures.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use image::{Pixel, Rgb};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use walkdir::{DirEntry, WalkDir};

use super::picture;
use super::{OwnProblem, PictureProblem};
use crate::data::error::DataError;
use crate::data::{Channels, Images, Pictures, Split};

/// Of so many pictures about one is kept for testing where there are no subfolders `train` and `test`.
const TEST_EVERY: u64 = 10;

/// Loads one split of the pictures below `folder`, in the order of their paths.
pub fn load(
    folder: &Path,
    split: Split,
    pictures: &Pictures,
    say: &mut dyn FnMut(&str),
) -> Result<Images, DataError> {
    let own = |problem| DataError::Own {
        path: folder.to_owned(),
        problem,
    };
    let listing = Listing::of(folder)?;
    let (files, others) = match split {
        Split::Train => (listing.train, listing.test),
        Split::Test => (listing.test, listing.train),
    };
    if files.is_empty() {
        return Err(own(OwnProblem::EmptySplit(split.name())));
    }
    say(&format!(
        "folder {}: reading {} pictures",
        folder.display(),
        files.len()
    ));
    let side = usize::from(pictures.side);
    let (pixels, files) = read(&files, side, pictures.skip_broken, say)?.ok_or_else(|| {
        let bytes = 3 * side * side;
        own(OwnProblem::Memory(files.len(), bytes))
    })?;
    if files.is_empty() {
        return Err(own(OwnProblem::AllBroken));
    }
    let is_grey = match pictures.channels {
        Channels::Grey => true,
        Channels::Rgb => false,
        Channels::Auto => is_grey(&pixels) && others.par_iter().all(|file| looks_grey(file, side)),
    };
    let plane = side * side;
    Ok(Images {
        count: files.len(),
        channels: if is_grey { 1 } else { 3 },
        height: side,
        width: side,
        pixels: match is_grey {
            true => luminance(&pixels),
            false => planes(pixels, plane),
        },
        labels: files.iter().filter_map(|file| file.class).collect(),
        classes: listing.classes,
    })
}

/// The pictures there are, and their classes.
struct Listing {
    classes: Vec<String>,
    train: Vec<File>,
    test: Vec<File>,
}

#[derive(Clone, Debug)]
struct File {
    path: PathBuf,
    class: Option<u8>,
}

/// A picture and its path below the folder, or below the folder of its split.
type Found = (PathBuf, PathBuf);

impl Listing {
    /// Lists the pictures below a folder; those of its subfolders `train` and `test` if it has both.
    fn of(folder: &Path) -> Result<Self, DataError> {
        let own = |problem| DataError::Own {
            path: folder.to_owned(),
            problem,
        };
        if !folder.is_dir() {
            return Err(own(OwnProblem::NoFolder));
        }
        let halves = ["train", "test"].map(|name| folder.join(name));
        let listing = match halves.iter().all(|half| half.is_dir()) {
            true => Self::halves(pictures(&halves[0])?, pictures(&halves[1])?),
            false => Self::whole(pictures(folder)?),
        };
        let listing = listing.map_err(own)?;
        match listing.train.is_empty() && listing.test.is_empty() {
            true => Err(own(OwnProblem::NoPictures)),
            false => Ok(listing),
        }
    }

    fn halves(train: Vec<Found>, test: Vec<Found>) -> Result<Self, OwnProblem> {
        let classes = classes(&train)?;
        let stranger = self::classes(&test)?
            .into_iter()
            .find(|class| !classes.contains(class));
        match stranger {
            Some(class) => Err(OwnProblem::UnknownClass(class.to_string_lossy().into())),
            None => Ok(Self {
                train: labelled(train, &classes),
                test: labelled(test, &classes),
                classes: names(&classes),
            }),
        }
    }

    /// The split follows from each path alone, so it stays when pictures are added or taken away.
    fn whole(found: Vec<Found>) -> Result<Self, OwnProblem> {
        let classes = classes(&found)?;
        let (test, train) = found.into_iter().partition(|(_, below)| is_for_test(below));
        Ok(Self {
            train: labelled(train, &classes),
            test: labelled(test, &classes),
            classes: names(&classes),
        })
    }
}

/// The files with the names of pictures below a folder, sorted by path. What is hidden is no picture.
fn pictures(folder: &Path) -> Result<Vec<Found>, DataError> {
    let is_hidden = |entry: &DirEntry| {
        entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
    let mut found = Vec::new();
    for entry in walk.into_iter().filter_entry(|entry| !is_hidden(entry)) {
        let entry = entry.map_err(|error| DataError::Read {
            path: error.path().unwrap_or(folder).to_owned(),
            source: error.into(),
        })?;
        let path = entry.path();
        if entry.file_type().is_file() && is_picture(path) {
            let below = path.strip_prefix(folder).unwrap_or(path);
            found.push((path.to_owned(), below.to_owned()));
        }
    }
    Ok(found)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    ["png", "jpg", "jpeg"]
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
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
    let folders: BTreeSet<&OsStr> = found
        .iter()
        .filter_map(|(_, below)| subfolder(below))
        .collect();
    let stray = found.iter().find(|(_, below)| subfolder(below).is_none());
    match stray {
        Some((path, _)) if !folders.is_empty() => Err(OwnProblem::NoClass(path.clone())),
        _ if folders.len() > 256 => Err(OwnProblem::TooManyClasses(folders.len())),
        _ => Ok(folders.into_iter().map(OsStr::to_owned).collect()),
    }
}

fn names(classes: &[OsString]) -> Vec<String> {
    let names = classes.iter().map(|class| class.to_string_lossy());
    names.map(String::from).collect()
}

fn labelled(found: Vec<Found>, classes: &[OsString]) -> Vec<File> {
    let file = |(path, below): Found| {
        let place =
            subfolder(&below).and_then(|name| classes.iter().position(|class| class == name));
        let class = place.and_then(|place| u8::try_from(place).ok());
        File { path, class }
    };
    found.into_iter().map(file).collect()
}

/// Whether a picture is kept for testing: the first 8 bytes of the SHA-256 of its path below the folder, with `/`
/// between the parts, as a big-endian number, are a multiple of [`TEST_EVERY`].
fn is_for_test(below: &Path) -> bool {
    let parts: Vec<&[u8]> = below.iter().map(OsStr::as_encoded_bytes).collect();
    let sum = Sha256::digest(parts.join(b"/".as_slice()));
    let number = sum[..8]
        .iter()
        .fold(0, |sum: u64, &byte| sum << 8 | u64::from(byte));
    number % TEST_EVERY == 0
}

/// Pictures, (N, H, W, C), and their files.
type Block = (Vec<u8>, Vec<File>);

/// Reads pictures side by side, and tells which were read. `None` where they do not fit into memory.
fn read(
    files: &[File],
    side: usize,
    skip_broken: bool,
    say: &mut dyn FnMut(&str),
) -> Result<Option<Block>, DataError> {
    let len = 3 * side * side;
    let mut pixels = Vec::new();
    let all = files.len().checked_mul(len);
    if all.is_none_or(|all| pixels.try_reserve_exact(all).is_err()) {
        return Ok(None);
    }
    pixels.resize(files.len() * len, 0);
    let problems: Vec<Option<PictureProblem>> = pixels
        .par_chunks_exact_mut(len)
        .zip(files)
        .map(|(place, file)| {
            let picture = picture::read(&file.path, side);
            picture.map(|picture| place.copy_from_slice(&picture)).err()
        })
        .collect();
    let problems = problems.into_iter().enumerate();
    let broken: Vec<_> = problems
        .filter_map(|(i, problem)| Some((i, problem?)))
        .collect();
    let more = broken.len().saturating_sub(1);
    let mut skipped = BTreeSet::new();
    for (i, problem) in broken {
        let path = files[i].path.clone();
        if !skip_broken {
            return Err(DataError::Broken {
                path,
                problem,
                more,
            });
        }
        say(&format!("{}: {problem}: passed over", path.display()));
        skipped.insert(i);
    }
    Ok(Some(without(pixels, files, len, &skipped)))
}

/// Closes the gaps that skipped pictures leave.
fn without(mut pixels: Vec<u8>, files: &[File], len: usize, skipped: &BTreeSet<usize>) -> Block {
    let mut kept = Vec::with_capacity(files.len());
    for (i, file) in files
        .iter()
        .enumerate()
        .filter(|(i, _)| !skipped.contains(i))
    {
        pixels.copy_within(i * len..(i + 1) * len, kept.len() * len);
        kept.push(file.clone());
    }
    pixels.truncate(kept.len() * len);
    (pixels, kept)
}

/// Whether all pixels, (…, C), are grey.
fn is_grey(pixels: &[u8]) -> bool {
    pixels.par_chunks(3 << 12).all(|pixels| {
        let mut pixels = pixels.chunks_exact(3);
        pixels.all(|rgb| rgb[0] == rgb[1] && rgb[1] == rgb[2])
    })
}

/// Whether a picture is grey or cannot be read: then it says nothing.
fn looks_grey(file: &File, side: usize) -> bool {
    picture::read(&file.path, side).map_or(true, |picture| is_grey(&picture))
}

/// (N, H, W, C) to (N, H, W): the luminance.
fn luminance(pixels: &[u8]) -> Vec<u8> {
    pixels
        .chunks_exact(3)
        .map(|rgb| Rgb([rgb[0], rgb[1], rgb[2]]).to_luma().0[0])
        .collect()
}

/// (N, H, W, C) to (N, C, H, W), in place.
fn planes(mut pixels: Vec<u8>, plane: usize) -> Vec<u8> {
    pixels.par_chunks_exact_mut(3 * plane).for_each(|image| {
        let interleaved = image.to_vec();
        for (channel, plane) in image.chunks_exact_mut(plane).enumerate() {
            let values = interleaved.iter().skip(channel).step_by(3);
            plane
                .iter_mut()
                .zip(values)
                .for_each(|(to, &from)| *to = from);
        }
    });
    pixels
}
