//! The same pictures in two styles, as folders of pairs: emoji as Twitter and as Google draw them, from npm packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;
use image::{ImageFormat, RgbImage};
use sha2::{Digest, Sha256};

use crate::{process, workspace};

/// A style, its npm package, the sum of that, and the licence of its pictures.
struct Style {
    name: &'static str,
    package: &'static str,
    sha256: &'static str,
    licence: &'static str,
}

const STYLES: [Style; 2] = [
    Style {
        name: "twitter",
        package: "emoji-datasource-twitter@16.0.0",
        sha256: "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
        licence: "Twemoji, CC-BY 4.0",
    },
    Style {
        name: "google",
        package: "emoji-datasource-google@16.0.0",
        sha256: "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
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
    let folder = std::path::absolute(&arguments.folder)?;
    make(&folder, arguments.seed, arguments.test_every)
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
    // Without `..`, as far as the folders are there.
    let there = folder
        .ancestors()
        .find_map(|above| Some((above, above.canonicalize().ok()?)));
    let (above, real) = there.context("the folder has no parent")?;
    let folder = real.join(folder.strip_prefix(above)?);
    ensure!(
        !folder.starts_with(workspace::root().canonicalize()?),
        "{} is inside the repository: name a folder elsewhere",
        folder.display()
    );
    ensure!(
        !folder.exists(),
        "{} is there already: name another folder",
        folder.display()
    );
    let [mut twitter, mut google] = [pictures(&STYLES[0])?, pictures(&STYLES[1])?];
    twitter.retain(|name, _| google.contains_key(name));
    google.retain(|name, _| twitter.contains_key(name));
    let test: BTreeSet<&String> = twitter
        .keys()
        .filter(|name| is_test(name, seed, test_every))
        .collect();
    let parent = folder.parent().context("the folder has no parent")?;
    fs::create_dir_all(parent)?;
    let made = tempfile::tempdir_in(parent)?;
    for (style, pictures) in STYLES.iter().zip([&twitter, &google]) {
        for (name, picture) in pictures {
            let half = if test.contains(name) { "test" } else { "train" };
            let place = made.path().join(style.name).join(half);
            fs::create_dir_all(&place)?;
            picture.save_with_format(place.join(format!("{name}.png")), ImageFormat::Png)?;
        }
    }
    fs::write(made.path().join("ORIGIN.txt"), origin())?;
    // Others may read it too, as any folder.
    let made = made.keep();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&made, fs::Permissions::from_mode(0o755))?;
    }
    fs::rename(&made, &folder)?;
    eprintln!(
        "{}: {} pictures in two styles, {} of them for testing\n{}",
        folder.display(),
        twitter.len(),
        test.len(),
        origin().trim_end()
    );
    Ok(())
}

fn origin() -> String {
    STYLES
        .iter()
        .map(|style| format!("{}: npm {}, {}\n", style.name, style.package, style.licence))
        .collect()
}

/// Whether a picture is kept for testing: by its name without skin tones, so that no picture is learned from one that
/// is nearly the same.
fn is_test(name: &str, seed: u64, every: u64) -> bool {
    let parts = name.split('-').filter(|part| !TONES.contains(part));
    let group: Vec<&str> = parts.collect();
    let hash = Sha256::new()
        .chain_update(seed.to_le_bytes())
        .chain_update(group.join("-"))
        .finalize();
    let first = hash
        .iter()
        .take(8)
        .fold(0u64, |n, &byte| n << 8 | u64::from(byte));
    first % every == 0
}

/// A style's pictures of 64x64 pixels on white, by their names.
fn pictures(style: &Style) -> Result<BTreeMap<String, RgbImage>> {
    let folder = tempfile::tempdir()?;
    eprintln!("npm pack {}", style.package);
    let mut npm = process::command("npm");
    npm.current_dir(folder.path());
    process::output(npm.args(["pack", "--silent", style.package]))?;
    let archive = fs::read_dir(folder.path())?.next();
    let archive = archive.context("npm left no package")??.path();
    let bytes = fs::read(&archive)?;
    let sum: String = Sha256::digest(&bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    if sum != style.sha256 {
        bail!(
            "{} has the SHA-256 {sum}, not {}",
            style.package,
            style.sha256
        );
    }
    let place = format!("package/img/{}/64", style.name);
    let mut pictures = BTreeMap::new();
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(&archive)?));
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
        style.package
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
