//! The flags of `trainer fit`, the keys of its TOML file, and what they add up to.

use crate::cli::Failure;
use crate::cli::data_flags::{DataFlags, old_split_rule};
use crate::data::{self, Channels, Dataset, Fingerprint, Pictures, SplitRule};
use crate::files::place;
use crate::gan::fit::{Length, OnCollapse, OnNan};
use crate::gan::penalties::PenaltyKind;
use crate::gan::recipes::Parts;
use crate::gan::{Adversarial, Game, Likelihood, Objective, Recipe, Settings, Size, Variational};
use crate::ops::Sums;
use crate::spec::Shape;
use anyhow::Context;
use clap::ValueEnum;
use serde::{Deserialize, Serialize, Serializer};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The keys that do not decide a run's result: they may differ when it is resumed, and are in no checkpoint.
/// `on-nan` and `on-collapse` are among them because they change nothing before the trouble that they are about: a run
/// that stopped there can go on another way. `epochs` and `minutes` are, because no step depends on how many follow.
/// The data set is known by its fingerprint, wherever it lies.
const CIRCUMSTANCES: [&str; 14] = [
    "epochs",
    "minutes",
    "dataset",
    "skip-broken",
    "fingerprint",
    "threads",
    "checkpoint-every",
    "keep",
    "on-nan",
    "on-collapse",
    "device",
    "data-dir",
    "out",
    "json",
];

/// The flags, which are the keys of the TOML file as well.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Options {
    /// Data set to learn, as `trainer data list` prints it: fashion, or pictures of your own as folder:PATH.
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// With folder:PATH, rows and columns that its pictures are scaled to, a multiple of 4 [default: 32].
    #[arg(long, value_name = "PIXELS")]
    image_size: Option<u16>,
    /// With folder:PATH, grey or colour; auto is grey if every picture is [default: auto].
    #[arg(long)]
    channels: Option<Channels>,
    /// With folder:PATH, name pictures that cannot be read and go on without them.
    #[arg(long, num_args = 0, default_missing_value = "true")]
    skip_broken: Option<bool>,
    /// How data of your own are split that come without test images [default: stratified].
    #[arg(long, value_name = "RULE")]
    split_rule: Option<SplitRule>,
    /// Mirror half of the images, others in each epoch, left to right.
    #[arg(long, num_args = 0, default_missing_value = "true")]
    flip: Option<bool>,
    /// What to train; `trainer recipes` lists them with their parts [default: dcgan].
    #[arg(long)]
    recipe: Option<Recipe>,
    /// How wide the networks of a convolutional recipe are [default: small].
    #[arg(long)]
    size: Option<Size>,
    /// Tell both networks the class of an image, so that one can ask for a class [default: the recipe's].
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    conditional: Option<bool>,
    /// What the networks play for [default: the recipe's].
    #[arg(long)]
    loss: Option<Objective>,
    /// What keeps the discriminator's gradient in bounds [default: the recipe's].
    #[arg(long)]
    penalty: Option<PenaltyKind>,
    /// Weight of the penalty, above 0 [default: 10 for gradient, 0.3 for zero-centred].
    #[arg(long, value_name = "WEIGHT")]
    penalty_weight: Option<f64>,
    /// Bound on each weight of the discriminator, 0 for none [default: the recipe's].
    #[arg(long, value_name = "BOUND")]
    weight_clip: Option<f64>,
    /// Updates of the discriminator for one of the generator, from 1 to 100 [default: the recipe's].
    #[arg(long, value_name = "COUNT")]
    critic_steps: Option<u32>,
    /// How an image is compared with what the decoder of a variational autoencoder makes [default: the recipe's].
    #[arg(long)]
    likelihood: Option<Likelihood>,
    /// Weight of the divergence of a variational autoencoder's latents from the prior, above 0 [default: 1].
    #[arg(long, value_name = "WEIGHT")]
    beta: Option<f64>,
    /// Passes over the training images, all parts of a resumed run together [default: 24].
    #[arg(long, conflicts_with = "minutes")]
    epochs: Option<u32>,
    /// Train for this long instead, all parts of a resumed run together.
    #[arg(long)]
    minutes: Option<f64>,
    /// Images an update, at least 2 [default: the recipe's].
    #[arg(long)]
    batch: Option<u32>,
    /// Equal parts of each batch that sums over it are made by, 1 or 8. By 8 the result is that of up to eight machines
    /// which share the batch; it is slower, runs on the CPU, and needs batches of a multiple of 8 [default: 1].
    #[arg(long, value_name = "COUNT")]
    parts: Option<u8>,
    /// Learning rate of both networks, above 0 and at most 1 [default: the recipe's].
    #[arg(long)]
    lr: Option<f64>,
    /// The same seed gives the same weights on the same machine, whatever the threads [default: 1].
    #[arg(long)]
    seed: Option<u64>,
    /// Threads to compute with [default: the machine's cores].
    #[arg(long)]
    threads: Option<u16>,
    /// Steps from one checkpoint to the next within an epoch; there is one at each epoch's end too
    /// [default: 1000].
    #[arg(long, value_name = "STEPS")]
    checkpoint_every: Option<u32>,
    /// Checkpoints to keep, the newest; kept besides are the one with the best score and, unless --on-collapse is warn,
    /// those that a collapse would have to be mended from [default: 3].
    #[arg(long, value_name = "COUNT")]
    keep: Option<u32>,
    /// What to do about a loss or a weight that is no longer a number [default: stop].
    #[arg(long, value_name = "ACTION")]
    on_nan: Option<OnNan>,
    /// What to do when the generator makes the same few images for every latent [default: warn].
    #[arg(long, value_name = "ACTION")]
    on_collapse: Option<OnCollapse>,
    /// Where to compute; auto takes the GPU if there is one [default: auto].
    #[arg(long)]
    device: Option<DeviceKind>,
    /// Only look for the data set in this folder.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The run's folder, which must not be there yet or be empty [default: runs/DATASET-RECIPE-SIZE, numbered].
    #[arg(long, value_name = "DIR")]
    #[serde(serialize_with = "lossy")]
    out: Option<PathBuf>,
    /// Print one JSON object at the end, and nothing else, on standard output.
    #[arg(long, num_args = 0, default_missing_value = "true")]
    json: Option<bool>,
    /// What the run learned, for the run's own configuration.
    #[arg(skip)]
    pub fingerprint: Option<Fingerprint>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DeviceKind {
    /// The GPU if this build can use one and one is there, else the CPU.
    #[default]
    Auto,
    Cpu,
    /// An NVIDIA GPU; needs a build with `--features cuda`.
    Cuda,
}

impl Options {
    /// Reads a TOML file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Input(format!("cannot read {}: {error}", place(path))))?;
        let options: Self = toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            let reason = error.message().trim().replace('\n', " ");
            Failure::Input(format!("{}, line {line}: {reason}", path.display()))
        })?;
        Ok(options.with_old_split_rule())
    }

    /// A configuration that a run wrote names every option: one that names no split rule is older than the choice.
    fn with_old_split_rule(mut self) -> Self {
        if self.split_rule.is_none() && self.out.is_some() && self.json.is_some() {
            self.split_rule = old_split_rule(self.dataset.as_deref());
        }
        self
    }

    /// The options in a checkpoint, but with the data of `plan`; `None` where they cannot be read.
    pub fn of_checkpoint(recipe: &str, plan: &Plan) -> Option<Self> {
        let mut options = plan.with_data(toml::from_str(recipe).ok()?);
        let old = || old_split_rule(options.dataset.as_deref());
        options.split_rule = options.split_rule.or_else(old);
        Some(options)
    }

    /// The data set, if one is named.
    pub fn dataset(&self) -> Result<Option<Dataset>, Failure> {
        let dataset = self.dataset.as_deref().map(str::parse).transpose();
        dataset.map_err(|error: data::DataError| error.into())
    }

    /// How the data set is found and read.
    fn data(&self) -> DataFlags {
        DataFlags {
            data_dir: self.data_dir.clone(),
            image_size: self.image_size,
            channels: self.channels,
            skip_broken: self.skip_broken,
            split_rule: self.split_rule,
        }
    }

    /// These, and where they are silent the others.
    pub fn or(self, other: Self) -> Self {
        let length_given = self.epochs.is_some() || self.minutes.is_some();
        Self {
            dataset: self.dataset.or(other.dataset),
            image_size: self.image_size.or(other.image_size),
            channels: self.channels.or(other.channels),
            skip_broken: self.skip_broken.or(other.skip_broken),
            split_rule: self.split_rule.or(other.split_rule),
            flip: self.flip.or(other.flip),
            recipe: self.recipe.or(other.recipe),
            size: self.size.or(other.size),
            conditional: self.conditional.or(other.conditional),
            loss: self.loss.or(other.loss),
            penalty: self.penalty.or(other.penalty),
            penalty_weight: self.penalty_weight.or(other.penalty_weight),
            weight_clip: self.weight_clip.or(other.weight_clip),
            critic_steps: self.critic_steps.or(other.critic_steps),
            likelihood: self.likelihood.or(other.likelihood),
            beta: self.beta.or(other.beta),
            epochs: self.epochs.or(other.epochs.filter(|_| !length_given)),
            minutes: self.minutes.or(other.minutes.filter(|_| !length_given)),
            batch: self.batch.or(other.batch),
            parts: self.parts.or(other.parts),
            lr: self.lr.or(other.lr),
            seed: self.seed.or(other.seed),
            threads: self.threads.or(other.threads),
            checkpoint_every: self.checkpoint_every.or(other.checkpoint_every),
            keep: self.keep.or(other.keep),
            on_nan: self.on_nan.or(other.on_nan),
            on_collapse: self.on_collapse.or(other.on_collapse),
            device: self.device.or(other.device),
            data_dir: self.data_dir.or(other.data_dir),
            out: self.out.or(other.out),
            json: self.json.or(other.json),
            fingerprint: self.fingerprint.or(other.fingerprint),
        }
    }

    /// The options that a game is described by.
    fn of(game: Game) -> Self {
        match game {
            Game::Adversarial(rules) => {
                let (penalty, penalty_weight) = PenaltyKind::of(rules.penalty);
                Self {
                    loss: Some(rules.objective),
                    penalty: Some(penalty),
                    penalty_weight,
                    weight_clip: Some(rules.weight_clip.unwrap_or(0.0)),
                    critic_steps: Some(rules.critic_steps),
                    ..Self::default()
                }
            }
            Game::Variational(rules) => Self {
                likelihood: Some(rules.likelihood),
                beta: Some(rules.beta),
                ..Self::default()
            },
        }
    }

    /// Refuses what describes another game than the recipe's.
    fn check_game(&self, recipe: Recipe, game: Game) -> Result<(), Failure> {
        let adversarial = [
            ("loss", self.loss.is_some()),
            ("penalty", self.penalty.is_some()),
            ("penalty-weight", self.penalty_weight.is_some()),
            ("weight-clip", self.weight_clip.is_some()),
            ("critic-steps", self.critic_steps.is_some()),
        ];
        let variational = [
            ("likelihood", self.likelihood.is_some()),
            ("beta", self.beta.is_some()),
        ];
        let (kind, foreign) = match game {
            Game::Adversarial(_) => ("an adversarial network", &variational[..]),
            Game::Variational(_) => ("a variational autoencoder", &adversarial[..]),
        };
        match foreign.iter().find(|(_, given)| *given) {
            Some((flag, _)) => input(format!(
                "the recipe {} is {kind}, which has no --{flag}, as flag or as key",
                recipe.name()
            )),
            None => Ok(()),
        }
    }

    /// The rules of an adversarial recipe.
    fn adversarial(&self, defaults: Adversarial) -> Result<Adversarial, Failure> {
        let (kind, weight) = PenaltyKind::of(defaults.penalty);
        let penalty = self.penalty.unwrap_or(kind);
        let weight = self.penalty_weight.or(weight.filter(|_| penalty == kind));
        let penalty = penalty.with(weight);
        let weight = PenaltyKind::of(penalty).1;
        if self.penalty_weight.is_some() && weight.is_none() {
            return input("--penalty-weight is given, but there is no penalty: add --penalty");
        }
        if weight.is_some_and(|weight| !(weight > 0.0 && weight <= 1e6)) {
            return input("--penalty-weight must be above 0 and at most 1000000");
        }
        let weight_clip = self.weight_clip.or(defaults.weight_clip);
        if !(0.0..=1e6).contains(&weight_clip.unwrap_or(0.0)) {
            return input("--weight-clip must be from 0 to 1000000");
        }
        let critic_steps = self.critic_steps.unwrap_or(defaults.critic_steps);
        if !(1..=100).contains(&critic_steps) {
            return input("--critic-steps must be from 1 to 100");
        }
        Ok(Adversarial {
            objective: self.loss.unwrap_or(defaults.objective),
            penalty,
            weight_clip: weight_clip.filter(|&bound| bound > 0.0),
            critic_steps,
        })
    }

    /// The rules of a variational autoencoder.
    fn variational(&self, defaults: Variational) -> Result<Variational, Failure> {
        let beta = self.beta.unwrap_or(defaults.beta);
        if !(beta > 0.0 && beta <= 1e6) {
            return input("--beta must be above 0 and at most 1000000");
        }
        Ok(Variational {
            likelihood: self.likelihood.unwrap_or(defaults.likelihood),
            beta,
        })
    }
}

/// The options with every default filled in and every value checked.
pub(super) struct Plan {
    pub dataset: Dataset,
    /// Of a folder of pictures.
    pub pictures: Option<Pictures>,
    /// Of data of the user's own.
    pub split_rule: Option<SplitRule>,
    /// Of the data that the configuration is about, where it says so.
    pub fingerprint: Option<Fingerprint>,
    pub flip: bool,
    pub recipe: Recipe,
    /// Of a recipe that comes in several.
    pub size: Option<Size>,
    pub conditional: bool,
    pub game: Game,
    pub length: Length,
    pub batch: u32,
    pub sums: Sums,
    pub lr: f64,
    pub seed: u64,
    pub threads: u16,
    pub checkpoint_every: u32,
    pub keep: u32,
    pub on_nan: OnNan,
    pub on_collapse: OnCollapse,
    pub device: DeviceKind,
    pub data_dir: Option<PathBuf>,
    pub out: PathBuf,
    /// Where no folder was named: the name that is numbered until one is free.
    pub usual_out: Option<PathBuf>,
    pub json: bool,
}

/// Bad input, and what to do about it.
pub(super) fn input<T>(sentence: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Input(sentence.into()))
}

impl Plan {
    pub fn new(options: Options) -> Result<Self, Failure> {
        let Some(dataset) = &options.dataset else {
            return input(
                "no data set is named: add --dataset fashion, or another that `trainer data list` prints",
            );
        };
        let dataset: Dataset = dataset.parse()?;
        let data = options.data();
        let pictures = pictures(&data, &dataset)?;
        let split_rule = data.split_rule(&dataset)?;
        let recipe = options.recipe.unwrap_or_default();
        let size = match (options.size, recipe.is_sized()) {
            (Some(_), false) => return input(format!("the recipe {} has one size", recipe.name())),
            (size, true) => Some(size.unwrap_or(Size::Small)),
            (None, false) => None,
        };
        let defaults = defaults(recipe);
        options.check_game(recipe, defaults.game)?;
        let game = match defaults.game {
            Game::Adversarial(defaults) => options.adversarial(defaults)?.into(),
            Game::Variational(defaults) => options.variational(defaults)?.into(),
        };
        let length = match (options.epochs, options.minutes) {
            (Some(_), Some(_)) => return input("give epochs or minutes, not both"),
            (Some(0), _) => return input("--epochs must be at least 1"),
            (_, Some(minutes)) if minutes > 0.0 && minutes <= 1e6 => {
                Length::Time(Duration::from_secs_f64(minutes * 60.0))
            }
            (_, Some(_)) => return input("--minutes must be above 0 and at most 1000000"),
            (epochs, None) => Length::Epochs(epochs.unwrap_or(24)),
        };
        let batch = options.batch.unwrap_or(defaults.batch);
        if !(2..=65_536).contains(&batch) {
            return input("--batch must be from 2 to 65536");
        }
        let parts = options.parts.unwrap_or(1);
        let Some(sums) = Sums::of_parts(parts) else {
            return input("--parts must be 1 or 8");
        };
        if !batch.is_multiple_of(parts.into()) {
            return input(format!(
                "--parts {parts} needs a --batch that is a multiple of {parts}, which {batch} is not"
            ));
        }
        if sums != Sums::Fast && options.device == Some(DeviceKind::Cuda) {
            return input(format!("--parts {parts} runs on the CPU: add --device cpu"));
        }
        let lr = options.lr.unwrap_or(defaults.optimizer.learning_rate);
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
        let checkpoint_every = options.checkpoint_every.unwrap_or(1000);
        if checkpoint_every == 0 {
            return input("--checkpoint-every must be at least 1");
        }
        let keep = options.keep.unwrap_or(3);
        if keep == 0 {
            return input("--keep must be at least 1");
        }
        if options
            .data_dir
            .as_ref()
            .is_some_and(|dir| dir.to_str().is_none())
        {
            return input("the name of --data-dir is not UTF-8, so config.toml could not keep it");
        }
        let (out, usual_out) = match options.out {
            // Without `.` and a slash at its end.
            Some(out) => (out.components().collect(), None),
            None => {
                let usual = usual_folder(&dataset, recipe, size);
                let mut names = numbered(&usual);
                let free = names.find(|path| path.symlink_metadata().is_err());
                (free.unwrap_or_else(|| usual.clone()), Some(usual))
            }
        };
        Ok(Self {
            pictures,
            split_rule,
            fingerprint: options.fingerprint,
            flip: options.flip.unwrap_or(false),
            recipe,
            size,
            conditional: options.conditional.unwrap_or(defaults.conditional),
            game,
            length,
            batch,
            sums,
            lr,
            seed,
            threads,
            checkpoint_every,
            keep,
            on_nan: options.on_nan.unwrap_or_default(),
            on_collapse: options.on_collapse.unwrap_or_default(),
            device: options.device.unwrap_or_default(),
            data_dir: options.data_dir,
            usual_out,
            out,
            json: options.json.unwrap_or(false),
            dataset,
        })
    }

    /// Options about the data of this plan, which may lie elsewhere than when the options were written.
    pub fn with_data(&self, options: Options) -> Options {
        Options {
            dataset: Some(self.dataset.to_string()),
            data_dir: self.data_dir.clone(),
            skip_broken: self.pictures.map(|pictures| pictures.skip_broken),
            fingerprint: self.fingerprint.clone(),
            ..options
        }
    }

    /// Options with the length of this plan.
    pub fn with_length(&self, options: Options) -> Options {
        let (epochs, minutes) = self.epochs_or_minutes();
        Options {
            epochs,
            minutes,
            ..options
        }
    }

    fn epochs_or_minutes(&self) -> (Option<u32>, Option<f64>) {
        match self.length {
            Length::Epochs(epochs) => (Some(epochs), None),
            Length::Time(limit) => (None, Some(limit.as_secs_f64() / 60.0)),
        }
    }

    /// How the data set is found and read.
    pub fn data_options(&self) -> data::Options {
        data::Options {
            data_dir: self.data_dir.clone(),
            pictures: self.pictures.unwrap_or_default(),
            split_rule: self.split_rule.unwrap_or_default(),
            ..data::Options::default()
        }
    }

    /// The configuration that gives this run again.
    pub fn to_toml(&self) -> Result<String, Failure> {
        let text = toml::to_string(&self.options());
        Ok(text.context("cannot write the configuration as TOML")?)
    }

    /// The same as a table.
    pub fn to_table(&self) -> Result<toml::Table, Failure> {
        let table = toml::Table::try_from(self.options());
        Ok(table.context("cannot write the configuration as TOML")?)
    }

    /// The part of the configuration that decides the result.
    pub fn recipe(&self) -> Result<toml::Table, Failure> {
        let mut table = self.to_table()?;
        table.retain(|key, _| !CIRCUMSTANCES.contains(&key));
        Ok(table)
    }

    fn options(&self) -> Options {
        let (epochs, minutes) = self.epochs_or_minutes();
        Options {
            dataset: Some(self.dataset.to_string()),
            image_size: self.pictures.map(|pictures| pictures.side),
            channels: self.pictures.map(|pictures| pictures.channels),
            skip_broken: self.pictures.map(|pictures| pictures.skip_broken),
            split_rule: self.split_rule,
            fingerprint: self.fingerprint.clone(),
            flip: Some(self.flip),
            recipe: Some(self.recipe),
            size: self.size,
            conditional: Some(self.conditional),
            epochs,
            minutes,
            batch: Some(self.batch),
            parts: u8::try_from(self.sums.parts()).ok(),
            lr: Some(self.lr),
            seed: Some(self.seed),
            threads: Some(self.threads),
            checkpoint_every: Some(self.checkpoint_every),
            keep: Some(self.keep),
            on_nan: Some(self.on_nan),
            on_collapse: Some(self.on_collapse),
            device: Some(self.device),
            data_dir: self.data_dir.clone(),
            out: Some(self.out.clone()),
            json: Some(self.json),
            ..Options::of(self.game)
        }
    }

    /// The networks and numbers of the recipe, for images of one shape and of so many classes.
    pub fn settings(&self, image: Shape, classes: usize) -> Settings {
        let mut parts = self.recipe.parts(self.size.unwrap_or(Size::Small), image);
        if self.conditional {
            parts.tell(classes);
        }
        parts.game = self.game;
        parts.optimizer.learning_rate = self.lr;
        parts.settings(self.seed)
    }
}

/// How the pictures of a folder are read; `None` for other data.
fn pictures(data: &DataFlags, dataset: &Dataset) -> Result<Option<Pictures>, Failure> {
    let pictures = data.pictures(dataset)?;
    if pictures.is_some_and(|pictures| !pictures.side.is_multiple_of(4)) {
        return input(format!(
            "--image-size must be a multiple of 4 from 4 to {}",
            Pictures::LARGEST
        ));
    }
    Ok(pictures)
}

/// The parts of a recipe that do not depend on the images.
fn defaults(recipe: Recipe) -> Parts {
    recipe.parts(Size::Small, Shape::new(1, 28, 28))
}

/// `runs/fashion-dcgan-small`.
fn usual_folder(dataset: &Dataset, recipe: Recipe, size: Option<Size>) -> PathBuf {
    let size = size.map_or_else(String::new, |size| format!("-{}", size.name()));
    Path::new("runs").join(format!("{}-{}{size}", dataset.short_name(), recipe.name()))
}

/// A path, then the same with `-2`, `-3`, ….
pub(super) fn numbered(path: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let name = path.as_os_str().to_owned();
    let others = (2..).map(move |n| {
        let mut name = name.clone();
        name.push(format!("-{n}"));
        name.into()
    });
    std::iter::once(path.to_owned()).chain(others)
}

/// A path as text; where it is not UTF-8, as near as can be.
fn lossy<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref()
        .map(|path| path.to_string_lossy())
        .serialize(serializer)
}
