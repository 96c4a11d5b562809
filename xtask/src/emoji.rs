//! The same pictures in two styles, as folders of pairs: emoji as Twitter and as Google draw them, from npm packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use image::{ImageFormat, RgbImage};

use crate::npm::Package;
use crate::pictures;

/// A style, its package, and the licence of its pictures.
struct Style {
    name: &'static str,
    package: Package,
    licence: &'static str,
}

const STYLES: [Style; 2] = [
    Style {
        name: "twitter",
        package: Package {
            name: "emoji-datasource-twitter@16.0.0",
            sha256: "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
        },
        licence: "Twemoji, CC-BY 4.0",
    },
    Style {
        name: "google",
        package: Package {
            name: "emoji-datasource-google@16.0.0",
            sha256: "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
        },
        licence: "Noto Emoji, Apache License 2.0",
    },
];

/// Names of skin tones within the names of pictures. Pictures that differ in these alone are in one split.
const TONES: [&str; 5] = ["1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"];

const SEED: u64 = 1;
const TEST_EVERY: u64 = 8;

#[derive(clap::Args)]
pub struct Arguments {
    /// The folder to make, outside the repository: twitter and google in it, each with train and test.
    folder: PathBuf,
    /// Seed of the split.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Of how many groups of pictures one is kept for testing.
    #[arg(long, value_name = "N", default_value_t = TEST_EVERY, value_parser = clap::value_parser!(u64).range(2..))]
    test_every: u64,
}

/// Makes the folders.
///
/// # Errors
///
/// A folder that is there, or inside the repository; packages that cannot be fetched or are not the known ones.
pub fn run(arguments: &Arguments) -> Result<()> {
    make(&arguments.folder, arguments.seed, arguments.test_every)
}

/// Makes the folders as the command does where no flag is given.
///
/// # Errors
///
/// As [`run`].
pub fn lay_out(folder: &Path) -> Result<()> {
    make(folder, SEED, TEST_EVERY)
}

fn make(folder: &Path, seed: u64, test_every: u64) -> Result<()> {
    pictures::make(folder, |made| {
        let [mut twitter, mut google] = [pictures_of(&STYLES[0])?, pictures_of(&STYLES[1])?];
        twitter.retain(|name, _| google.contains_key(name));
        google.retain(|name, _| twitter.contains_key(name));
        let test: BTreeSet<&String> = twitter
            .keys()
            .filter(|name| is_test(name, seed, test_every))
            .collect();
        for (style, pictures) in STYLES.iter().zip([&twitter, &google]) {
            for (name, picture) in pictures {
                let half = if test.contains(name) { "test" } else { "train" };
                let place = made.join(style.name).join(half);
                fs::create_dir_all(&place)?;
                picture.save_with_format(place.join(format!("{name}.png")), ImageFormat::Png)?;
            }
        }
        fs::write(made.join("ORIGIN.txt"), origin())?;
        eprintln!(
            "{}: {} pictures in two styles, {} of them for testing\n{}",
            folder.display(),
            twitter.len(),
            test.len(),
            origin().trim_end()
        );
        Ok(())
    })
}

fn origin() -> String {
    STYLES
        .iter()
        .map(|style| {
            format!(
                "{}: npm {}, {}\n",
                style.name, style.package.name, style.licence
            )
        })
        .collect()
}

/// Whether a picture is kept for testing: by its name without skin tones, so that no picture is learned from one that
/// is nearly the same.
fn is_test(name: &str, seed: u64, every: u64) -> bool {
    let parts = name.split('-').filter(|part| !TONES.contains(part));
    let group: Vec<&str> = parts.collect();
    pictures::draw(seed, &group.join("-")).is_multiple_of(every)
}

/// A style's pictures of 64x64 pixels on white, by their names.
fn pictures_of(style: &Style) -> Result<BTreeMap<String, RgbImage>> {
    let folder = tempfile::tempdir()?;
    let mut archive = style.package.fetch(folder.path())?;
    let place = format!("package/img/{}/64", style.name);
    let mut pictures = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let is_picture = path.parent() == Some(Path::new(&place));
        let Some(stem) = path.file_stem().filter(|_| is_picture) else {
            continue;
        };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let picture = image::load_from_memory_with_format(&bytes, ImageFormat::Png);
        let picture = picture.with_context(|| format!("cannot read {}", path.display()))?;
        let name = stem.to_string_lossy().into_owned();
        pictures.insert(name, on_white(&picture.to_rgba8()));
    }
    ensure!(
        !pictures.is_empty(),
        "{} has no pictures in {place}",
        style.package.name
    );
    Ok(pictures)
}

fn on_white(picture: &image::RgbaImage) -> RgbImage {
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, a] = picture.get_pixel(x, y).0.map(u32::from);
        image::Rgb([r, g, b].map(|c| ((c * a + 255 * (255 - a) + 127) / 255) as u8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tones_of_one_picture_are_in_one_split() {
        let names = ["1f44b", "1f44b-1f3fb", "1f44b-1f3ff"];
        for seed in 0..20 {
            let split = names.map(|name| is_test(name, seed, 3));
            assert!(split.iter().all(|&test| test == split[0]));
        }
        let count = (0..3000)
            .filter(|n| is_test(&format!("{n:x}"), 1, 8))
            .count();
        // Five standard deviations of 3,000 draws.
        assert!((285..466).contains(&count), "{count}");
        assert_ne!(
            (0..64)
                .map(|n| is_test(&format!("{n:x}"), 1, 8))
                .collect::<Vec<_>>(),
            (0..64)
                .map(|n| is_test(&format!("{n:x}"), 2, 8))
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn what_is_clear_becomes_white() {
        let picture = image::RgbaImage::from_fn(3, 1, |x, _| {
            image::Rgba([[10, 20, 30, 0], [10, 20, 30, 255], [0, 255, 100, 51]][x as usize])
        });
        let laid = on_white(&picture);
        let pixels: Vec<[u8; 3]> = laid.pixels().map(|pixel| pixel.0).collect();
        assert_eq!(pixels, [[255; 3], [10, 20, 30], [204, 255, 224]]);
    }
}
