//! Folders of avatar faces: drawn by npm packages as SVG, rendered here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use image::{ImageFormat, RgbImage};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};
use serde::Deserialize;

use crate::npm::Package;
use crate::{pictures, process};

const CORE: Package = Package {
    name: "@dicebear/core@9.4.3",
    sha256: "6ca7dae651c74ad547e548fbe7c41f49aaa377cf4617259277518389bf6b1a3d",
};

/// The program that draws, beside the packages that it imports.
const PROGRAM: &str = include_str!("../node/avatars.js");

/// Who draws the faces.
#[derive(Clone, Copy, ValueEnum)]
enum Style {
    /// By DiceBear, on 16x16 squares.
    PixelArt,
    /// By Pablo Stanley, ink and one colour.
    OpenPeeps,
    /// By Lisa Wischofsky, ink.
    Lorelei,
}

impl Style {
    const fn package(self) -> Package {
        match self {
            Self::PixelArt => Package {
                name: "@dicebear/pixel-art@9.4.3",
                sha256: "1252d798c632c20f194e7d8b2fbc18b23ad76b2511e668668d0051084bfaa754",
            },
            Self::OpenPeeps => Package {
                name: "@dicebear/open-peeps@9.4.3",
                sha256: "65b664ec00dc69c068051461f2b5bd97c8335af676e36c284e906a3017c23d4f",
            },
            Self::Lorelei => Package {
                name: "@dicebear/lorelei@9.4.3",
                sha256: "78cbba0a6c4d14e1af7c62ffa9a73bd98a8cda02e28690110e199348cd6a9c06",
            },
        }
    }

    const fn origin(self) -> &'static str {
        match self {
            Self::PixelArt => "Pixel Art by DiceBear",
            Self::OpenPeeps => "Open Peeps by Pablo Stanley",
            Self::Lorelei => "Lorelei by Lisa Wischofsky",
        }
    }
}

#[derive(clap::Args)]
pub struct Arguments {
    /// The folder to make, outside the repository: train, test and labels.csv in it.
    folder: PathBuf,
    /// Who draws the faces.
    #[arg(long, value_enum, default_value = "pixel-art")]
    style: Style,
    /// Faces for training. Fewer are the first of more.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Faces for testing, the same whatever `--count` is.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    test_count: u32,
    /// Rows and columns of a picture.
    #[arg(long, value_name = "PIXELS", default_value_t = 64, value_parser = clap::value_parser!(u32).range(8..=512))]
    size: u32,
    /// What all faces are drawn by, backgrounds too.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Put the faces into subfolders by what this option is in them, for conditional models: a column of labels.csv.
    #[arg(long, value_name = "OPTION")]
    class: Option<String>,
}

/// A face as the program writes it.
#[derive(Deserialize)]
struct Face {
    /// Its split and its number: `train/00001`.
    name: String,
    svg: String,
    /// What was drawn, by the option: none of parts that the face does not have.
    options: BTreeMap<String, String>,
}

/// Makes the folder.
///
/// # Errors
///
/// A folder that is there, or inside the repository; packages that cannot be fetched or are not the known ones; a class
/// that is no option of the style; a face that cannot be drawn or written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { style, size, .. } = *arguments;
    let packages = [CORE, style.package()];
    let program = tempfile::tempdir()?;
    for package in &packages {
        unpack(package, program.path())?;
    }
    pictures::make(&arguments.folder, |made| {
        let labels = draw(arguments, program.path(), made)?;
        fs::write(made.join("labels.csv"), table(&labels)?)?;
        let origin = format!(
            "{}, CC0 1.0, drawn by npm {} and {} (MIT), seed {}\n",
            style.origin(),
            packages[0].name,
            packages[1].name,
            arguments.seed
        );
        fs::write(made.join("ORIGIN.txt"), &origin)?;
        eprint!(
            "{}: {} faces of {size}x{size} for training, {} for testing\n{origin}",
            arguments.folder.display(),
            arguments.count,
            arguments.test_count
        );
        Ok(())
    })
}

/// Lays a package out where Node looks for it.
fn unpack(package: &Package, program: &Path) -> Result<()> {
    let folder = tempfile::tempdir_in(program)?;
    let mut archive = package.fetch(folder.path())?;
    let versioned = package.name.rsplit_once('@');
    let (name, _) = versioned.context("a package without a version")?;
    let place = program.join("node_modules").join(name);
    fs::create_dir_all(place.parent().context("a package without a folder")?)?;
    archive.unpack(folder.path())?;
    fs::rename(folder.path().join("package"), &place)?;
    Ok(())
}

/// Draws all faces into `made`, and returns what was drawn in each, by its path.
fn draw(
    arguments: &Arguments,
    program: &Path,
    made: &Path,
) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
    let versioned = arguments.style.package().name.rsplit_once('@');
    let (style, _) = versioned.context("a package without a version")?;
    let script = program.join("avatars.mjs");
    fs::write(&script, PROGRAM)?;
    let mut node = process::command("node");
    node.arg(&script).args([style, &arguments.seed.to_string()]);
    node.args(["train", &arguments.count.to_string()]);
    node.args(["test", &arguments.test_count.to_string()]);
    let mut child = node.stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("node has no output")?;
    let lines = Mutex::new(BufReader::new(stdout).lines());
    let labels: Mutex<BTreeMap<_, _>> = Mutex::default();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let drawn: Result<Vec<()>> = thread::scope(|scope| {
        let render = || {
            while let Some(line) = locked(&lines).next() {
                let face: Face = serde_json::from_str(&line?)?;
                let path = face.save(arguments, made)?;
                locked(&labels).insert(path, face.options);
            }
            Ok(())
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(render)).collect();
        let ends = workers.into_iter().map(|worker| worker.join());
        ends.map(|end| end.unwrap_or_else(|_| bail!("a thread that draws has failed")))
            .collect()
    });
    // Before waiting, so that a program whose lines nobody reads ends.
    drop(lines);
    let status = child.wait()?;
    drawn?;
    ensure!(
        status.success(),
        "`{}` failed: {status}",
        process::line(&node)
    );
    Ok(labels.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Face {
    /// Renders the face into its place below `made`, and returns that.
    fn save(&self, arguments: &Arguments, made: &Path) -> Result<String> {
        let (split, number) = self
            .name
            .split_once('/')
            .context("a face without a split")?;
        let mut path = format!("{split}/");
        if let Some(class) = &arguments.class {
            path += self.class(class)?;
            path.push('/');
        }
        path += &format!("{number}.png");
        let place = made.join(&path);
        fs::create_dir_all(place.parent().context("a face without a folder")?)?;
        let picture = render(&self.svg, arguments.size).with_context(|| self.name.clone())?;
        picture.save_with_format(place, ImageFormat::Png)?;
        Ok(path)
    }

    /// What an option is in the face.
    fn class(&self, option: &str) -> Result<&str> {
        let class = self.options.get(option).with_context(|| {
            let options: Vec<&str> = self.options.keys().map(String::as_str).collect();
            format!(
                "the style has no option {option}; it has {}",
                options.join(", ")
            )
        })?;
        Ok(class)
    }
}

/// Pixels of a drawing, as large as it fits a square.
fn render(svg: &str, size: u32) -> Result<RgbImage> {
    let tree = Tree::from_str(svg, &Options::default())?;
    let mut pixels = Pixmap::new(size, size).context("a picture without pixels")?;
    let scale = size as f32 / tree.size().width().max(tree.size().height());
    resvg::render(
        &tree,
        Transform::from_scale(scale, scale),
        &mut pixels.as_mut(),
    );
    let opaque = pixels.pixels().iter().map(|pixel| {
        ensure!(pixel.is_opaque(), "the drawing has no background");
        Ok([pixel.red(), pixel.green(), pixel.blue()])
    });
    let opaque: Vec<[u8; 3]> = opaque.collect::<Result<_>>()?;
    RgbImage::from_raw(size, size, opaque.into_flattened()).context("a picture of another size")
}

/// A line for each picture, with a column for each option.
fn table(labels: &BTreeMap<String, BTreeMap<String, String>>) -> Result<String> {
    let options: BTreeSet<&String> = labels.values().flat_map(BTreeMap::keys).collect();
    let mut table = String::from("picture");
    for option in &options {
        table += &format!(",{option}");
    }
    table.push('\n');
    for (path, drawn) in labels {
        table += path;
        for option in &options {
            let value = drawn.get(*option).map_or("none", String::as_str);
            ensure!(
                !value.contains([',', '"', '\n']),
                "{value} is no word for a table"
            );
            table += &format!(",{value}");
        }
        table.push('\n');
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_fills_the_square() {
        let svg = |rest| {
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 2 2\" shape-rendering=\"crispEdges\">\
                 {rest}<path fill=\"#0a141e\" d=\"M1 0h1v1h-1Z\"/></svg>"
            )
        };
        let background = "<rect fill=\"#ff0000\" width=\"2\" height=\"2\"/>";
        let picture = render(&svg(background), 4).unwrap();
        let is_blue = |x, y| x >= 2 && y < 2;
        for (x, y, pixel) in picture.enumerate_pixels() {
            let colour = if is_blue(x, y) {
                [10, 20, 30]
            } else {
                [255, 0, 0]
            };
            assert_eq!(pixel.0, colour, "{x} {y}");
        }
        assert!(render(&svg(""), 4).is_err());
    }

    #[test]
    fn the_table_has_a_column_for_each_option() {
        let face = |options: &[(&str, &str)]| {
            let own = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
            options.iter().map(own).collect()
        };
        let labels = BTreeMap::from([
            ("test/0.png".to_owned(), face(&[("hair", "long")])),
            (
                "train/0.png".to_owned(),
                face(&[("hair", "short"), ("hat", "top")]),
            ),
        ]);
        assert_eq!(
            table(&labels).unwrap(),
            "picture,hair,hat\ntest/0.png,long,none\ntrain/0.png,short,top\n"
        );
        let comma = BTreeMap::from([("a".to_owned(), face(&[("hair", "long, red")]))]);
        assert!(table(&comma).is_err());
    }
}
