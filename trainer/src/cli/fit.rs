//! `trainer fit`: train, evaluate, export.

use super::Failure;
use crate::data::{self, Dataset, Images, Split};
use crate::export::{self, Exported, quantize::Calibration};
use crate::files::write_whole;
use crate::gan::fit::{self, FitError, Length, Line, Progress, Run, Trained, Watch};
use crate::gan::{Settings, Size, dcgan};
use crate::metrics::Histogram;
use crate::nn::Initialization;
use crate::ops::Device;
use crate::optim::AdamConfig;
use crate::report;
use crate::spec::Shape;
use anyhow::Context;
use clap::ValueEnum;
use dfdx::prelude::Cpu;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Train a generator on real images and export it for the device.
///
/// Leaves everything in one folder: config.toml, stats.jsonl, losses.png, samples/, samples.png,
/// checkpoints/, model.onnx, model-int8.onnx, model.pgan (int8, what the device runs) and
/// model-f32.pgan.
#[derive(Debug, clap::Args)]
pub struct FitArgs {
    #[command(flatten)]
    options: Options,
    /// A TOML file whose keys are these flags' names; a flag overrides its key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The flags, which are the keys of the TOML file as well.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Options {
    /// Data set to learn, as `trainer data list` prints it.
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// What to train [default: dcgan].
    #[arg(long)]
    recipe: Option<Recipe>,
    /// How wide the networks are [default: small].
    #[arg(long)]
    size: Option<Size>,
    /// Passes over the training images [default: 24].
    #[arg(long, conflicts_with = "minutes")]
    epochs: Option<u32>,
    /// Train for this long instead.
    #[arg(long)]
    minutes: Option<f64>,
    /// Images a step, at least 2 [default: 64].
    #[arg(long)]
    batch: Option<u32>,
    /// Learning rate of both networks, above 0 and at most 1 [default: 0.0002].
    #[arg(long)]
    lr: Option<f64>,
    /// The same seed gives the same weights on the same machine, whatever the threads [default: 1].
    #[arg(long)]
    seed: Option<u64>,
    /// Threads to compute with [default: the machine's cores].
    #[arg(long)]
    threads: Option<u16>,
    /// Where to compute; auto takes the GPU if there is one [default: auto].
    #[arg(long)]
    device: Option<DeviceKind>,
    /// Only look for the data set in this folder.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The run's folder, which must not be there yet [default: runs/DATASET-RECIPE-SIZE, numbered].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object at the end, and nothing else, on standard output.
    #[arg(long, num_args = 0, default_missing_value = "true")]
    json: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Recipe {
    /// Deep convolutional GAN, non-saturating loss (Radford et al. 2016).
    #[default]
    Dcgan,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DeviceKind {
    /// The GPU if this build can use one and one is there, else the CPU.
    #[default]
    Auto,
    Cpu,
    /// An NVIDIA GPU; needs a build with `--features cuda`.
    Cuda,
}

impl Options {
    /// These, and where they are silent the others.
    fn or(self, other: Self) -> Self {
        let length_given = self.epochs.is_some() || self.minutes.is_some();
        Self {
            dataset: self.dataset.or(other.dataset),
            recipe: self.recipe.or(other.recipe),
            size: self.size.or(other.size),
            epochs: self.epochs.or(other.epochs.filter(|_| !length_given)),
            minutes: self.minutes.or(other.minutes.filter(|_| !length_given)),
            batch: self.batch.or(other.batch),
            lr: self.lr.or(other.lr),
            seed: self.seed.or(other.seed),
            threads: self.threads.or(other.threads),
            device: self.device.or(other.device),
            data_dir: self.data_dir.or(other.data_dir),
            out: self.out.or(other.out),
            json: self.json.or(other.json),
        }
    }
}

/// The options with every default filled in and every value checked.
struct Plan {
    dataset: Dataset,
    recipe: Recipe,
    size: Size,
    length: Length,
    batch: u32,
    lr: f64,
    seed: u64,
    threads: u16,
    device: DeviceKind,
    data_dir: Option<PathBuf>,
    out: PathBuf,
    json: bool,
}

fn input<T>(sentence: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Input(sentence.into()))
}

impl Plan {
    fn new(args: FitArgs) -> Result<Self, Failure> {
        let options = match &args.config {
            Some(path) => args.options.or(read_config(path)?),
            None => args.options,
        };
        let Some(dataset) = options.dataset else {
            return input(
                "no data set is named: add --dataset fashion, or another that `trainer data list` prints",
            );
        };
        let dataset: Dataset = dataset.parse().map_err(Failure::from)?;
        let recipe = options.recipe.unwrap_or_default();
        let size = options.size.unwrap_or(Size::Small);
        let length = match (options.epochs, options.minutes) {
            (Some(_), Some(_)) => return input("give epochs or minutes, not both"),
            (Some(0), _) => return input("--epochs must be at least 1"),
            (_, Some(minutes)) if minutes > 0.0 && minutes <= 1e6 => {
                Length::Time(Duration::from_secs_f64(minutes * 60.0))
            }
            (_, Some(_)) => return input("--minutes must be above 0 and at most 1000000"),
            (epochs, None) => Length::Epochs(epochs.unwrap_or(24)),
        };
        let batch = options.batch.unwrap_or(64);
        if !(2..=65_536).contains(&batch) {
            return input("--batch must be from 2 to 65536");
        }
        let lr = options.lr.unwrap_or(2e-4);
        if !(lr > 0.0 && lr <= 1.0) {
            return input("--lr must be above 0 and at most 1");
        }
        let seed = options.seed.unwrap_or(1);
        if i64::try_from(seed).is_err() {
            return input("--seed must be below 2^63");
        }
        let threads = options.threads.unwrap_or_else(|| {
            let cores = std::thread::available_parallelism();
            cores.map_or(1, |n| u16::try_from(n.get()).unwrap_or(u16::MAX))
        });
        if !(1..=1024).contains(&threads) {
            return input("--threads must be from 1 to 1024");
        }
        let out = match options.out {
            Some(out) => out,
            None => free_folder(dataset, recipe, size),
        };
        if out.symlink_metadata().is_ok() {
            return input(format!(
                "{} is there already: name another folder with --out",
                out.display()
            ));
        }
        Ok(Self {
            dataset,
            recipe,
            size,
            length,
            batch,
            lr,
            seed,
            threads,
            device: options.device.unwrap_or_default(),
            data_dir: options.data_dir,
            out,
            json: options.json.unwrap_or(false),
        })
    }

    /// The configuration that gives this run again.
    fn to_toml(&self) -> Result<String, Failure> {
        let (epochs, minutes) = match self.length {
            Length::Epochs(epochs) => (Some(epochs), None),
            Length::Time(limit) => (None, Some(limit.as_secs_f64() / 60.0)),
        };
        let options = Options {
            dataset: Some(self.dataset.name().to_owned()),
            recipe: Some(self.recipe),
            size: Some(self.size),
            epochs,
            minutes,
            batch: Some(self.batch),
            lr: Some(self.lr),
            seed: Some(self.seed),
            threads: Some(self.threads),
            device: Some(self.device),
            data_dir: self.data_dir.clone(),
            out: Some(self.out.clone()),
            json: Some(self.json),
        };
        let text = toml::to_string(&options).context("cannot write the configuration as TOML")?;
        Ok(text)
    }

    fn settings(&self, image: Shape) -> Settings {
        let (generator, discriminator) = match self.recipe {
            Recipe::Dcgan => dcgan::networks(self.size, image),
        };
        Settings {
            generator,
            discriminator,
            initialization: Initialization::Dcgan,
            adam: AdamConfig {
                learning_rate: self.lr,
                beta1: 0.5,
                beta2: 0.999,
                epsilon: 1e-8,
            },
            ema_decay: 0.999,
            seed: self.seed,
        }
    }
}

fn read_config(path: &Path) -> Result<Options, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Input(format!("cannot read {}: {error}", path.display())))?;
    toml::from_str(&text).map_err(|error| {
        let line = error
            .span()
            .map_or(0, |span| text[..span.start].matches('\n').count() + 1);
        let reason = error.message().trim().replace('\n', " ");
        Failure::Input(format!("{}, line {line}: {reason}", path.display()))
    })
}

/// `runs/fashion-dcgan-small`, or the first of `-2`, `-3`, … that is not there.
fn free_folder(dataset: Dataset, recipe: Recipe, size: Size) -> PathBuf {
    let Recipe::Dcgan = recipe;
    let name = format!("{dataset}-dcgan-{}", size.name());
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    std::iter::once(name.clone())
        .chain(numbered)
        .map(|name| Path::new("runs").join(name))
        .find(|path| path.symlink_metadata().is_err())
        .unwrap_or_default()
}

pub fn run(args: FitArgs) -> Result<(), Failure> {
    let plan = Plan::new(args)?;
    let pool = super::thread_pool(plan.threads)?;
    match plan.device {
        DeviceKind::Cpu => pool.install(|| fit_on(Cpu::default(), &plan)),
        #[cfg(feature = "cuda")]
        kind => match dfdx::prelude::Cuda::try_build(0, plan.seed) {
            Ok(gpu) => fit_on(gpu, &plan),
            Err(_) if kind == DeviceKind::Auto => {
                eprintln!("no GPU was found: training on the CPU");
                pool.install(|| fit_on(Cpu::default(), &plan))
            }
            Err(error) => input(format!("no GPU can be used: {error:?}")),
        },
        #[cfg(not(feature = "cuda"))]
        DeviceKind::Auto => {
            eprintln!("this build has no CUDA: training on the CPU");
            pool.install(|| fit_on(Cpu::default(), &plan))
        }
        #[cfg(not(feature = "cuda"))]
        DeviceKind::Cuda => {
            input("this build has no CUDA: build with `--features cuda`, or choose --device cpu")
        }
    }
}

fn fit_on<D: Device<f32>>(device: D, plan: &Plan) -> Result<(), Failure> {
    let options = data::Options {
        data_dir: plan.data_dir.clone(),
        ..data::Options::default()
    };
    let images = data::load(plan.dataset, Split::Train, &options)?;
    if images.count < plan.batch as usize {
        return input(format!(
            "--batch {} is more than the {} images there are",
            plan.batch, images.count
        ));
    }
    let shape = Shape::new(images.channels, images.height, images.width);
    let settings = plan.settings(shape);
    let config = plan.to_toml()?;
    create_folder(&plan.out, &config)?;
    eprintln!(
        "{}: {} images of {shape}; generator {} parameters, discriminator {}; into {}",
        plan.dataset,
        images.count,
        parameters(&settings.generator),
        parameters(&settings.discriminator),
        plan.out.display()
    );
    let run = Run {
        settings,
        length: plan.length,
        batch: plan.batch as usize,
        folder: plan.out.clone(),
        config,
    };
    let mut watch = Screen::new();
    let trained = fit::fit(device, &run, &images, &mut watch).map_err(failure)?;
    watch.finish();
    let summary = finish(plan, &trained, &images, shape)?;
    if plan.json {
        super::print_json(&summary)
    } else {
        summary.print();
        Ok(())
    }
}

fn parameters(network: &crate::spec::Network) -> usize {
    network.parameters().unwrap_or_default()
}

/// A file that cannot be written is the user's to mend.
fn failure(error: FitError) -> Failure {
    match error {
        FitError::Write { .. } => Failure::Input(error.to_string()),
        other => Failure::Run(other.into()),
    }
}

fn create_folder(out: &Path, config: &str) -> Result<(), Failure> {
    let create = || -> std::io::Result<()> {
        if let Some(parent) = out.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::create_dir(out)?;
        write_whole(&out.join("config.toml"), config.as_bytes())
    };
    create().or_else(|error| input(format!("cannot create {}: {error}", out.display())))
}

/// What `fit` reports at its end.
#[derive(Serialize)]
struct Summary {
    run: PathBuf,
    dataset: &'static str,
    recipe: Recipe,
    size: Size,
    steps: u32,
    minutes: f64,
    images_per_s: f64,
    parameters: usize,
    blob_bytes: usize,
    working_memory: usize,
    macs: u64,
    discriminator_loss: Option<f32>,
    generator_loss: Option<f32>,
    scores: Scores,
}

/// Figures over 1,024 images of the averaged generator, in float.
#[derive(Serialize)]
struct Scores {
    /// Normalized entropy of the pixel values.
    pixel_entropy: f64,
    /// The same of the training images.
    data_pixel_entropy: f64,
    /// Jensen-Shannon divergence of the two histograms, nats.
    pixel_js: f64,
}

fn finish<D: Device<f32>>(
    plan: &Plan,
    trained: &Trained<D>,
    images: &Images,
    shape: Shape,
) -> Result<Summary, Failure> {
    const SAMPLES: usize = 1024;
    const GRID: usize = 64;
    let generator = &trained.generator;
    let network = generator.network();
    let latents = fit::latents(plan.seed, SAMPLES, network.input.len());
    let pixels = fit::to_pixels(&generator.evaluate(&latents)?);
    let grid = report::montage(&pixels[..GRID * shape.len()], shape, 8)
        .context("cannot encode the sample grid")?;
    let path = plan.out.join("samples.png");
    write_whole(&path, &grid)
        .or_else(|error| input(format!("cannot write {}: {error}", path.display())))?;
    let exported = export(network, generator, &plan.out)?;
    let (ours, theirs) = (Histogram::of(&pixels), Histogram::of(&images.pixels));
    Ok(Summary {
        run: plan.out.clone(),
        dataset: plan.dataset.name(),
        recipe: plan.recipe,
        size: plan.size,
        steps: trained.steps,
        minutes: trained.elapsed.as_secs_f64() / 60.0,
        images_per_s: trained.images_per_s,
        parameters: parameters(network),
        blob_bytes: exported.blob_bytes,
        working_memory: exported.working_memory,
        macs: exported.macs,
        discriminator_loss: trained.last.map(|line| line.discriminator_loss),
        generator_loss: trained.last.map(|line| line.generator_loss),
        scores: Scores {
            pixel_entropy: ours.entropy(),
            data_pixel_entropy: theirs.entropy(),
            pixel_js: ours.jensen_shannon(&theirs),
        },
    })
}

fn export<D: Device<f32>>(
    network: &crate::spec::Network,
    generator: &crate::nn::Model<D>,
    out: &Path,
) -> Result<Exported, Failure> {
    let parameters = generator.parameters()?;
    export::export(network, &parameters, Calibration::default(), out)
        .map_err(|error| Failure::Run(error.into()))
}

impl Summary {
    fn print(&self) {
        let run = self.run.display();
        let s = &self.scores;
        say!(
            "{run}: {} steps in {:.1} minutes, {:.0} images/s",
            self.steps,
            self.minutes,
            self.images_per_s
        );
        say!(
            "  generator       {:>9} parameters, {} multiply-accumulates an image",
            self.parameters,
            self.macs
        );
        say!("  model.pgan      {:>9} bytes of flash", self.blob_bytes);
        say!("  working memory  {:>9} bytes of RAM", self.working_memory);
        say!(
            "  pixel entropy   {:>9.3} (training images {:.3}), Jensen-Shannon divergence {:.4}",
            s.pixel_entropy,
            s.data_pixel_entropy,
            s.pixel_js
        );
        say!("  samples         {run}/samples.png");
        say!("Next:");
        say!("  trainer sample {run} --count 64 -o grid.png");
        say!("  trainer verify {run}");
        say!("  trainer inspect {run}/model.pgan");
    }
}

/// A progress bar on a terminal, plain lines otherwise.
struct Screen {
    bar: Option<ProgressBar>,
    share: f64,
}

impl Screen {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(10_000);
            let template = "{bar:32} {percent:>3}%  {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, share: 0.0 }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Watch for Screen {
    fn step(&mut self, progress: Progress) {
        self.share = progress.share;
        if let Some(bar) = &self.bar {
            bar.set_position((progress.share * 10_000.0) as u64);
        }
    }

    fn line(&mut self, line: &Line) {
        let left = line.elapsed_s / self.share.max(1e-9) * (1.0 - self.share).max(0.0);
        let text = format!(
            "step {}  {:.0} images/s  D {:.3}  G {:.3}  entropy {:.3}  {} left",
            line.step,
            line.images_per_s,
            line.discriminator_loss,
            line.generator_loss,
            line.entropy,
            clock(left)
        );
        match &self.bar {
            Some(bar) => bar.set_message(text),
            // A line every so often is enough for a log.
            None if line.step.is_multiple_of(500) => eprintln!("{text}"),
            None => {}
        }
    }

    fn grid(&mut self, path: &Path) {
        match &self.bar {
            Some(bar) => bar.println(format!("samples: {}", path.display())),
            None => eprintln!("samples: {}", path.display()),
        }
    }
}

/// Minutes and seconds.
fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}
