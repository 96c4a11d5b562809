//! A folder of pictures.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use image::{Pixel, Rgb};
use rayon::prelude::*;

use super::listing::{File, Listing};
use super::picture;
use super::{OwnProblem, PictureProblem};
use crate::data::error::DataError;
use crate::data::{Channels, Images, Options, Split, counted};

/// Loads one split of the pictures below `folder`, in the order of their paths.
pub fn load(
    folder: &Path,
    split: Split,
    options: &Options,
    say: &mut dyn FnMut(&str),
) -> Result<Images, DataError> {
    let own = |problem| DataError::Own {
        path: folder.to_owned(),
        problem,
    };
    let pictures = &options.pictures;
    let listing = Listing::of(folder, options.split_rule)?;
    // Once for both splits.
    let mut once = |line: &str| {
        if split == Split::Train {
            say(line);
        }
    };
    listing.notes.iter().for_each(|note| once(note));
    skip(listing.broken, pictures.skip_broken, &mut once)?;
    let (files, others) = match split {
        Split::Train => (listing.train, listing.test),
        Split::Test => (listing.test, listing.train),
    };
    if files.is_empty() {
        return Err(own(OwnProblem::NoPicturesOf(split.name())));
    }
    say(&format!(
        "folder {}: reading {}",
        folder.display(),
        counted(files.len(), "picture")
    ));
    let side = usize::from(pictures.side);
    let (pixels, files) = read(&files, side, pictures.skip_broken, say)?.ok_or_else(|| {
        let bytes = 3 * side * side;
        own(OwnProblem::Memory(files.len(), bytes))
    })?;
    if files.is_empty() {
        return Err(own(OwnProblem::AllBroken(split.name())));
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
        pixels: if is_grey {
            luminance(&pixels)
        } else {
            planes(pixels, plane)
        },
        labels: files.iter().filter_map(|file| file.class).collect(),
        classes: listing.classes,
        names: files.iter().map(File::name).collect(),
    })
}

/// Says what is broken and skipped.
///
/// # Errors
/// The first that is broken, where none may be skipped.
fn skip(
    broken: Vec<(PathBuf, PictureProblem)>,
    skip_broken: bool,
    say: &mut dyn FnMut(&str),
) -> Result<(), DataError> {
    let more = broken.len().saturating_sub(1);
    for (path, problem) in broken {
        if !skip_broken {
            return Err(DataError::Broken {
                path,
                problem,
                more,
            });
        }
        say(&format!("{}: {problem}: skipped", path.display()));
    }
    Ok(())
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
    let broken = problems.filter_map(|(i, problem)| Some((i, problem?)));
    let (skipped, broken): (BTreeSet<usize>, Vec<_>) = broken
        .map(|(i, problem)| (i, (files[i].path.clone(), problem)))
        .unzip();
    skip(broken, skip_broken, say)?;
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
pub(super) fn luminance(pixels: &[u8]) -> Vec<u8> {
    pixels
        .chunks_exact(3)
        .map(|rgb| Rgb([rgb[0], rgb[1], rgb[2]]).to_luma().0[0])
        .collect()
}

/// (N, H, W, C) to (N, C, H, W), in place.
pub(super) fn planes(mut pixels: Vec<u8>, plane: usize) -> Vec<u8> {
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
