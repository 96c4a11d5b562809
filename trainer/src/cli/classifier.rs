//! `trainer classifier`: the network behind the score `fid-cls`.

use super::Failure;
use super::data_flags::DataFlags;
use crate::classifier::{self, Augmentation, Classifier, Settings, State};
use crate::data::{self, Dataset, Images, Split};
use crate::files::{sha256, write_whole};
use crate::gaussian::Moments;
use crate::nn::ModelError;
use crate::ops::Cpu;
use crate::optim::OptimizerConfig;
use crate::spec::Shape;
use anyhow::Context;
use serde::Serialize;
use std::path::PathBuf;
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
#[derive(Debug, clap::Args)]
pub struct ClassifierArgs {
    /// Data set to learn, as `trainer data list` prints it.
    #[arg(long, value_name = "NAME")]
    dataset: String,
    /// The folder to write in; a classifier.safetensors that is there already is left alone.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
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
    /// Test images of each class (row), by the class that they were taken for (column).
    confusion: Vec<Vec<u32>>,
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
    check(&dataset, &train)?;
    std::fs::create_dir_all(&args.out).map_err(|error| {
        Failure::Input(format!("cannot create {}: {error}", args.out.display()))
    })?;
    let pool = super::thread_pool(args.threads)?;
    let (report, bytes) = pool.install(|| make(&dataset, &args, file, &train, &test))?;
    write_whole(&report.file, &bytes).map_err(|error| {
        Failure::Input(format!("cannot write {}: {error}", report.file.display()))
    })?;
    if args.json {
        return super::print_json(&report);
    }
    report.print(&train.classes);
    Ok(())
}

/// Whether there is something to learn.
fn check(dataset: &Dataset, train: &Images) -> Result<(), Failure> {
    let sentence = match train.classes.len() {
        0 | 1 => format!("{dataset} has no classes to tell apart"),
        _ if train.count < BATCH => {
            format!(
                "{dataset} has {} training images, fewer than {BATCH}",
                train.count
            )
        }
        _ => return Ok(()),
    };
    Err(Failure::Input(sentence))
}

/// Trains and tests; gives the report and the file's bytes.
fn make(
    dataset: &Dataset,
    args: &ClassifierArgs,
    file: PathBuf,
    train: &Images,
    test: &Images,
) -> Result<(Report, Vec<u8>), Failure> {
    let start = Instant::now();
    let shape = Shape::new(train.channels, train.height, train.width);
    let network = classifier::network(shape, train.classes.len());
    let settings = Settings {
        network: network.clone(),
        augmentation: Augmentation::of(dataset),
        optimizer: OptimizerConfig::adam(2e-3, 0.9, 0.999),
        ema_decay: 0.998,
        batch: BATCH,
        epochs: args.epochs,
        seed: args.seed,
    };
    let model = classifier::train(Cpu::default(), &settings, train, &mut |epoch| {
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
    let (moments, confusion) = examine(&eye, test)?;
    let right: u32 = (0..confusion.len())
        .map(|class| confusion[class][class])
        .sum();
    let state = State {
        test_accuracy: f64::from(right) / test.count as f64,
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
    };
    Ok((report, bytes))
}

/// The features of images, and what their classes were taken for.
fn examine(eye: &Classifier, images: &Images) -> Result<(Moments, Vec<Vec<u32>>), ModelError> {
    const AT_ONCE: usize = 512;
    let mut moments = Moments::new(eye.features());
    let mut confusion = vec![vec![0; eye.classes()]; eye.classes()];
    let labels = images.labels.chunks(AT_ONCE);
    for (pixels, labels) in images
        .pixels
        .chunks(AT_ONCE * images.image_len())
        .zip(labels)
    {
        let judged = eye.judge(pixels)?;
        moments.add(&judged.features);
        for (&label, &class) in labels.iter().zip(&judged.classes) {
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
    }
}
