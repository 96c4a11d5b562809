//! `trainer eval`: how good and how varied a model's images are, and what quantization cost.

mod model;
mod pictures;
mod table;

use super::Failure;
use super::data_flags::DataFlags;
use super::pixels::PixelModel;
use crate::classifier::{self, AttributeClassifier};
use crate::data::{self, Dataset, Fingerprint, Images, Split, spread};
use crate::evaluation::{EvaluationError, Figures, Judge, Samples, Scored, label};
use crate::metrics::Inception;
use crate::metrics::inception::InceptionError;
use crate::nn::Model;
use crate::ops::Cpu;
use crate::pixelcnn;
use crate::spec::Shape;
use clap::ValueEnum;
use model::{Form, Subject};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

/// Score a model's images: likeness, diversity, collapse, copies.
///
/// Draws the images of the seeds 1, 2, … and holds them against the data set: Fréchet and kernel distance,
/// precision, recall, density and coverage by the features of a classifier (or of Inception), classes, pixel
/// values, nearest neighbours. Every figure carries the name of its protocol, in which the number of images
/// is; docs/scores.md defines each. A column for the float model, the ONNX file and the int8 blob shows what
/// quantization cost.
///
/// A model that reads pictures is given the held-out ones of its run: how near its images come to those that belong to
/// them (L1, PSNR, SSIM, retrieval), beside what the pictures themselves, blurring, bicubic scaling or principal
/// components come to; the way there and back; and with --fid inception how like they are to images of their kind.
#[derive(Debug, clap::Args)]
pub struct EvalArgs {
    /// A run's folder (its newest checkpoint while it has no exported model), a model's folder in
    /// models/, or a file: .pgan or .onnx.
    model: PathBuf,
    /// What to score: all three of a folder where this is not given; may be given more than once.
    #[arg(long = "engine", value_name = "ENGINE", value_enum)]
    engines: Vec<Form>,
    /// Data set to hold the images against, as `trainer data list` prints it [default: the run's].
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Images to draw for each engine, from 10 to 100000 [default: each protocol's own number, 5,000 or, by
    /// Inception, 10,000; 1,000 pictures for a model that reads them].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..=100_000))]
    samples: Option<u32>,
    /// Whose features to measure by; inception takes minutes, and `cargo xtask fid-weights` once before.
    #[arg(long, value_enum, default_value_t)]
    fid: Eye,
    /// Count what the images show: a classifier.safetensors of `trainer classifier --attributes`.
    #[arg(long, value_name = "FILE")]
    attributes: Option<PathBuf>,
    /// Score training images as well, as if they were generated: what a perfect generator would get.
    #[arg(long)]
    floor: bool,
    /// Threads to compute with.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    #[command(flatten)]
    data: DataFlags,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Whose features images are measured by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Eye {
    /// The data set's small classifier, where the trainer carries one.
    #[default]
    Cls,
    /// The classifier, and Inception for figures that compare with published ones.
    Inception,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(serialize_with = "crate::cli::lossy")]
    model: PathBuf,
    recipe: Option<&'a str>,
    dataset: String,
    /// Whose figures follow: the first column's.
    engine: &'static str,
    #[serde(flatten)]
    first: Column<'a>,
    /// The protocol of each figure.
    protocols: BTreeMap<&'a str, &'a str>,
    /// All columns.
    #[serde(serialize_with = "by_name")]
    engines: Vec<(&'static str, Column<'a>)>,
    /// Figures of the test images themselves, for comparison; none for a model that reads pictures.
    data: &'a Figures,
}

#[derive(Clone, Copy, Serialize)]
struct Column<'a> {
    #[serde(flatten)]
    figures: &'a Figures,
    class_counts: Option<&'a [u32]>,
}

impl<'a> Column<'a> {
    fn of(scored: &'a Scored) -> Self {
        Self {
            figures: &scored.figures,
            class_counts: scored.class_counts.as_deref(),
        }
    }
}

fn by_name<S: Serializer>(
    columns: &[(&'static str, Column<'_>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(columns.iter().map(|(name, column)| (name, column)))
}

/// What is wrong with the images or the machine is the user's to repair.
impl From<EvaluationError> for Failure {
    fn from(error: EvaluationError) -> Self {
        match error {
            EvaluationError::Inception(InceptionError::Engine(error)) => error.into(),
            EvaluationError::Classifier(_) | EvaluationError::Model(_) => Self::Run(error.into()),
            _ => Self::Input(error.to_string()),
        }
    }
}

/// Runs `trainer eval`.
///
/// # Errors
/// A model, a data set or an Inception that cannot be had, as bad input; what engines and devices report.
pub fn run(args: EvalArgs) -> Result<(), Failure> {
    if let Some(model) = pictures::Model::of(&args.model)? {
        if args.attributes.is_some() {
            return Err(Failure::Input(format!(
                "{} reads pictures, and --attributes is for models that make images from seeds",
                args.model.display()
            )));
        }
        let pool = super::thread_pool(args.threads)?;
        return pool.install(|| pictures::run(&args, &model));
    }
    let attributes = args
        .attributes
        .as_deref()
        .map(read_attributes)
        .transpose()?;
    let subject = Subject::open(&args.model, &args.engines)?;
    let (dataset, options) = data_of(&args, &subject)?;
    // Before the work that would be lost.
    let inception = match args.fid {
        Eye::Cls => None,
        Eye::Inception => {
            Some(Inception::open(args.threads.into()).map_err(EvaluationError::from)?)
        }
    };
    let train = data::load(&dataset, Split::Train, &options)?;
    let test = data::load(&dataset, Split::Test, &options)?;
    let learned = subject.known.fingerprint.as_ref();
    if let Some(difference) = learned.and_then(|then| Fingerprint::of(&train).difference(then)) {
        tell!("these are not the images that the run learned: {difference}");
    }
    let samples = Samples::new(args.samples.map(|count| count as usize));
    let count = samples.most(inception.is_some());
    let pool = super::thread_pool(args.threads)?;
    pool.install(|| {
        let tell = &mut |text: &str| tell!("{text}");
        let mut judge = Judge::new(&dataset, [&train, &test], samples, inception, tell)?;
        if let Some(attributes) = attributes {
            judge = judge.with_attributes(attributes, &test)?;
        }
        let mut columns = Vec::new();
        for &form in &subject.forms {
            tell(&format!("{}: drawing {count} images", form.name()));
            let (pixels, shape) = subject.draw(form, count)?;
            let mut scored = judge.score(&pixels, shape, tell)?;
            if let Some(model) = &subject.pixels {
                likelihood(model, &test, &mut scored.figures)?;
            }
            columns.push((form.name(), scored));
        }
        if args.floor {
            tell("training images");
            let shape = Shape::new(train.channels, train.height, train.width);
            let pixels = spread(&train.pixels, shape.len(), count);
            columns.push(("floor", judge.score(&pixels, shape, tell)?));
        }
        let recipe = subject.known.recipe.as_deref();
        report(&args, recipe, &dataset, judge.data(), &columns)
    })
}

/// Adds how likely the test images are to a model that draws pixel by pixel.
fn likelihood(model: &PixelModel, test: &Images, figures: &mut Figures) -> Result<(), Failure> {
    let classes: Vec<u32> = match model.classes() {
        0 => Vec::new(),
        _ => test.labels.iter().copied().map(u32::from).collect(),
    };
    let network = Model::new(Cpu::default(), &model.network, &model.parameters);
    let network = network.map_err(anyhow::Error::from)?;
    let levels = model.levels.of_test_pixels(&test.pixels);
    let nats = pixelcnn::nats(&network, model.levels, &levels, &classes);
    let nats = nats.map_err(anyhow::Error::from)?;
    let mean = nats.iter().sum::<f64>() / nats.len() as f64;
    let bits = mean / test.image_len() as f64 / std::f64::consts::LN_2;
    let protocol = format!("{}-levels-{}-test", model.levels.count(), label(nats.len()));
    figures.add("nats", format!("nats-{protocol}"), Some(mean));
    let protocol = format!("bits-per-dimension-{protocol}");
    figures.add("bits_per_dimension", protocol, Some(bits));
    Ok(())
}

/// The classifier of attributes in a file.
fn read_attributes(path: &Path) -> Result<AttributeClassifier, Failure> {
    let refused = |error: &dyn Display| Failure::Input(format!("{}: {error}", path.display()));
    let bytes = fs::read(path).map_err(|error| refused(&error))?;
    let file = classifier::decode(&bytes).map_err(|error| refused(&error))?;
    AttributeClassifier::new(file.classifier, file.state.attributes).ok_or_else(|| {
        refused(&"it tells classes; make one with `trainer classifier --attributes`")
    })
}

/// The data set that is named, or else the run's, and how to read it: as the flags say, and where they are silent as
/// the run did.
fn data_of(args: &EvalArgs, subject: &Subject) -> Result<(Dataset, data::Options), Failure> {
    let known = &subject.known;
    let Some(name) = args.dataset.as_ref().or(known.dataset.as_ref()) else {
        return Err(Failure::Input(format!(
            "{} does not say what data set it learned: add --dataset fashion, or another that \
             `trainer data list` prints",
            args.model.display()
        )));
    };
    let dataset: Dataset = name.parse()?;
    let mut of_run = known.data.clone().for_data_like(&dataset);
    if known.dataset.as_ref() != Some(name) {
        of_run.data_dir = None;
    }
    let options = args.data.clone().or(of_run).options(&dataset)?;
    Ok((dataset, options))
}

/// Prints the figures of each column, and those of the data set's own images.
fn report(
    args: &EvalArgs,
    recipe: Option<&str>,
    dataset: &Dataset,
    data: &Figures,
    columns: &[(&'static str, Scored)],
) -> Result<(), Failure> {
    let Some((engine, first)) = columns.first() else {
        return Ok(());
    };
    if !args.json {
        let recipe = recipe.unwrap_or("-");
        say!("{}: {dataset}, recipe {recipe}", args.model.display());
        table::print(columns, data);
        return Ok(());
    }
    let figures = first.figures.0.iter();
    super::print_json(&Report {
        model: args.model.clone(),
        recipe,
        dataset: dataset.to_string(),
        engine,
        first: Column::of(first),
        protocols: figures.map(|f| (&*f.key, &*f.protocol)).collect(),
        engines: columns
            .iter()
            .map(|(name, s)| (*name, Column::of(s)))
            .collect(),
        data,
    })
}
