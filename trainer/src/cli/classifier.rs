//! `trainer classifier`: the network behind the score `fid-cls`.

use super::Failure;
use super::data_flags::DataFlags;
use crate::classifier::{
    self, Attribute, AttributeClassifier, Augmentation, Classifier, Settings, State, Table, Targets,
};
use crate::data::{self, Dataset, Images, Split};
use crate::files::{sha256, write_whole};
use crate::gaussian::Moments;
use crate::nn::ModelError;
use crate::ops::Cpu;
use crate::optim::OptimizerConfig;
use crate::spec::{Network, Shape};
use anyhow::Context;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The file that is left.
const FILE: &str = "classifier.safetensors";
/// Images a step.
const BATCH: usize = 128;

/// Train the small classifier that the score fid-cls compares images by.
///
/// Learns the classes of a data set's training images, then writes classifier.safetensors: the network,
/// its weights, its accuracy on the test images, and the mean and covariance of the 64 features that it
/// sees in them. models/classifier-fashion and models/classifier-mnist hold the two that the trainer
/// carries with it; a figure is comparable only between runs that were judged by the same file.
///
/// With --attributes it learns what a table says of each picture instead, and `trainer eval --attributes` counts what
/// generated pictures show.
#[derive(Debug, clap::Args)]
pub struct ClassifierArgs {
    /// Data set to learn, as `trainer data list` prints it.
    #[arg(long, value_name = "NAME")]
    dataset: String,
    /// The folder to write in; a classifier.safetensors that is there already is left alone.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Learn the attributes that this CSV file lists: a line a picture, first its path below the folder of the data
    /// set.
    #[arg(long, value_name = "FILE")]
    attributes: Option<PathBuf>,
    /// Passes over the training images.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    epochs: u32,
    /// The same seed gives the same file on the same machine, whatever the threads.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads to compute with.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    #[command(flatten)]
    data: DataFlags,
    /// Print one JSON object at the end.
    #[arg(long)]
    json: bool,
}

/// What is reported in the end.
#[derive(Serialize)]
struct Report {
    #[serde(serialize_with = "super::lossy")]
    file: PathBuf,
    dataset: Dataset,
    epochs: u32,
    seed: u64,
    parameters: usize,
    bytes: usize,
    sha256: String,
    seconds: f64,
    test_accuracy: f64,
    /// Test images of each class (row), by the class that they were taken for (column); none of attributes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    confusion: Vec<Vec<u32>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<Told>,
}

/// How well an attribute of the test images is told.
#[derive(Serialize)]
struct Told {
    name: String,
    values: usize,
    /// Share of the images whose value is told.
    accuracy: f64,
    /// Share of the images that the classifier is sure about.
    sure: f64,
}

/// What is learned of the images.
struct Task {
    /// None for classes.
    attributes: Vec<Attribute>,
    /// How many values each attribute has, or how many classes there are.
    sizes: Vec<usize>,
    /// Of the training images and of the test images.
    labels: [Vec<u8>; 2],
}

/// Runs `trainer classifier`.
///
/// # Errors
/// Data that cannot be had or a file that cannot be written, as bad input; the device's.
pub fn run(args: ClassifierArgs) -> Result<(), Failure> {
    let dataset: Dataset = args.dataset.parse()?;
    let file = args.out.join(FILE);
    if file.symlink_metadata().is_ok() {
        return Err(Failure::Input(format!(
            "{} is there already: name another folder with --out",
            file.display()
        )));
    }
    let options = args.data.options(&dataset)?;
    let train = data::load(&dataset, Split::Train, &options)?;
    let test = data::load(&dataset, Split::Test, &options)?;
    let task = Task::of(&dataset, args.attributes.as_deref(), &train, &test)?;
    std::fs::create_dir_all(&args.out).map_err(|error| {
        Failure::Input(format!("cannot create {}: {error}", args.out.display()))
    })?;
    let pool = super::thread_pool(args.threads)?;
    let (report, bytes) = pool.install(|| make(&dataset, &args, file, [&train, &test], &task))?;
    write_whole(&report.file, &bytes).map_err(|error| {
        Failure::Input(format!("cannot write {}: {error}", report.file.display()))
    })?;
    if args.json {
        return super::print_json(&report);
    }
    report.print(&train.classes);
    Ok(())
}

impl Task {
    /// What a table says of the images, or their classes.
    fn of(
        dataset: &Dataset,
        table: Option<&Path>,
        train: &Images,
        test: &Images,
    ) -> Result<Self, Failure> {
        if table.is_none() && train.classes.len() < 2 {
            let sentence = format!("{dataset} has no classes to tell apart");
            return Err(Failure::Input(sentence));
        }
        if train.count < BATCH {
            return Err(Failure::Input(format!(
                "{dataset} has {} training images, fewer than {BATCH}",
                train.count
            )));
        }
        let Some(path) = table else {
            return Ok(Self {
                attributes: Vec::new(),
                sizes: vec![train.classes.len()],
                labels: [train, test].map(|images| images.labels.clone()),
            });
        };
        let refused = |error| Failure::Input(format!("{}: {error}", path.display()));
        let table = Table::read(path).map_err(refused)?;
        Ok(Self {
            sizes: classifier::sizes(&table.attributes),
            labels: [
                table.of(train, Split::Train).map_err(refused)?,
                table.of(test, Split::Test).map_err(refused)?,
            ],
            attributes: table.attributes,
        })
    }

    fn network(&self, image: Shape) -> Network {
        let outputs = self.sizes.iter().sum();
        if self.attributes.is_empty() {
            classifier::network(image, outputs)
        } else {
            classifier::attribute_network(image, outputs)
        }
    }
}

/// Trains and tests; gives the report and the file's bytes.
fn make(
    dataset: &Dataset,
    args: &ClassifierArgs,
    file: PathBuf,
    [train, test]: [&Images; 2],
    task: &Task,
) -> Result<(Report, Vec<u8>), Failure> {
    let start = Instant::now();
    let shape = Shape::new(train.channels, train.height, train.width);
    let network = task.network(shape);
    let settings = Settings {
        network: network.clone(),
        // A table may tell of left and right, and of what is at the edge.
        augmentation: if task.attributes.is_empty() {
            Augmentation::of(dataset)
        } else {
            Augmentation::NONE
        },
        optimizer: OptimizerConfig::adam(2e-3, 0.9, 0.999),
        ema_decay: 0.998,
        batch: BATCH,
        epochs: args.epochs,
        seed: args.seed,
    };
    let targets = Targets {
        labels: &task.labels[0],
        sizes: &task.sizes,
    };
    let model = classifier::train(Cpu::default(), &settings, train, targets, &mut |epoch| {
        tell!(
            "epoch {} of {}: loss {:.4}, {:.0} s",
            epoch.epoch,
            args.epochs,
            epoch.loss,
            start.elapsed().as_secs_f64()
        );
    })?;
    let parameters = model.parameters()?;
    let eye = Classifier::new(&network, &parameters).map_err(anyhow::Error::from)?;
    let classes: &[u8] = if task.attributes.is_empty() {
        &task.labels[1]
    } else {
        &[]
    };
    let (moments, mut confusion) = examine(&eye, test, classes)?;
    let right: u32 = (0..confusion.len())
        .map(|class| confusion[class][class])
        .sum();
    let mut test_accuracy = f64::from(right) / test.count as f64;
    let mut told = Vec::new();
    if let Some(eye) = AttributeClassifier::new(eye, task.attributes.clone()) {
        confusion.clear();
        told = Told::all(&eye, test, &task.labels[1])?;
        test_accuracy = told.iter().map(|it| it.accuracy).sum::<f64>() / told.len() as f64;
    }
    let state = State {
        attributes: task.attributes.clone(),
        test_accuracy,
        ..State::new(dataset, test, network, args.seed, args.epochs)
    };
    let bytes = classifier::encode(&state, &parameters, &moments.gaussian())
        .context("cannot keep the classifier")?;
    let report = Report {
        file,
        dataset: dataset.clone(),
        epochs: args.epochs,
        seed: args.seed,
        parameters: state.network.parameters().map_err(ModelError::from)?,
        bytes: bytes.len(),
        sha256: sha256(&bytes),
        seconds: start.elapsed().as_secs_f64(),
        test_accuracy: state.test_accuracy,
        confusion,
        attributes: told,
    };
    Ok((report, bytes))
}

impl Told {
    /// Each attribute of images with these labels, `(N, A)`.
    fn all(
        eye: &AttributeClassifier,
        images: &Images,
        labels: &[u8],
    ) -> Result<Vec<Self>, ModelError> {
        let attributes = eye.attributes();
        let tallies = eye.tally(&images.pixels)?;
        let told = attributes.iter().zip(tallies).enumerate();
        let told = told.map(|(at, (attribute, tally))| {
            let labels = labels.iter().skip(at).step_by(attributes.len());
            let right = tally.values.iter().zip(labels).filter(|(a, b)| a == b);
            Self {
                name: attribute.name.clone(),
                values: attribute.values.len(),
                accuracy: right.count() as f64 / images.count as f64,
                sure: f64::from(tally.sure) / images.count as f64,
            }
        });
        Ok(told.collect())
    }
}

/// The features of images, and what their classes were taken for.
fn examine(
    eye: &Classifier,
    images: &Images,
    labels: &[u8],
) -> Result<(Moments, Vec<Vec<u32>>), ModelError> {
    const AT_ONCE: usize = 512;
    let mut moments = Moments::new(eye.features());
    let mut confusion = vec![vec![0; eye.classes()]; eye.classes()];
    let mut labels = labels.iter();
    for pixels in images.pixels.chunks(AT_ONCE * images.image_len()) {
        let judged = eye.judge(pixels)?;
        moments.add(&judged.features);
        for (&class, &label) in judged.classes.iter().zip(&mut labels) {
            confusion[usize::from(label)][usize::from(class)] += 1;
        }
    }
    Ok((moments, confusion))
}

impl Report {
    fn print(&self, classes: &[String]) {
        say!(
            "{}: {} parameters, {} bytes, {:.0} seconds",
            self.file.display(),
            self.parameters,
            self.bytes,
            self.seconds
        );
        say!("  sha256         {}", self.sha256);
        say!("  test accuracy  {:.4}", self.test_accuracy);
        for (class, row) in classes.iter().zip(&self.confusion) {
            let counts: String = row.iter().map(|count| format!("{count:>5}")).collect();
            say!("  {class:<13}{counts}");
        }
        for told in &self.attributes {
            say!(
                "  {:<20}{:>4} values, accuracy {:.4}, sure of {:.4}",
                told.name,
                told.values,
                told.accuracy,
                told.sure
            );
        }
    }
}
