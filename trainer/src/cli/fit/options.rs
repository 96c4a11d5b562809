//! The flags of `trainer fit`, the keys of its TOML file, and what they add up to.

mod translation;

use super::teacher::Teacher;
use crate::cli::data_flags::{DataFlags, old_split_rule};
use crate::cli::{Failure, complaint, name};
use crate::data::{self, Channels, ClassList, Dataset, Fingerprint, Pictures, SplitRule, Task};
use crate::export::quantize::Weights;
use crate::files::place;
use crate::gan::fit::{Length, OnCollapse, OnNan};
use crate::gan::penalties::PenaltyKind;
use crate::gan::recipes::Parts;
use crate::gan::{
    Adversarial, Autoregressive, Conditioning, Curve, Cycle, DiffAugment, DiscriminatorKind,
    Distillation, Game, GeneratorKind, Growth, Likelihood, Normalization, Objective, Recipe,
    Schedule, Settings, Size, Sizes, TopK, Variational,
};
use crate::metrics::FidCls;
use crate::ops::Sums;
use crate::optim::{OptimizerConfig, OptimizerKind, Rule};
use crate::pixelcnn::Levels;
use crate::spec::Shape;
use anyhow::Context;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches, ValueEnum};
use serde::{Deserialize, Serialize, Serializer};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The heading of a flag that does not decide the result of so many steps: such a flag may say something else when a
/// run is resumed, and is in no checkpoint. `on-nan` and `on-collapse` are among them because they change nothing
/// before the trouble that they are about: a run that stopped there can go on another way. `epochs` and `minutes` are,
/// because no step depends on how many follow. The data set is known by its fingerprint, wherever it lies.
const CIRCUMSTANCE: &str = "Data, length and machine (may change when a run is resumed)";
/// The heading of a flag that only adversarial recipes have.
const ADVERSARIAL: &str = "Of adversarial recipes";
/// The heading of a flag that only the recipe of networks that grow has.
const PROGRESSIVE: &str = "Of the recipe progressive";
/// The heading of a flag that only the recipe has that draws pixel by pixel.
const AUTOREGRESSIVE: &str = "Of the recipe pixelcnn";
/// The heading of a flag that only variational autoencoders have.
const VARIATIONAL: &str = "Of variational autoencoders";
/// The heading of a flag that only recipes have whose generators read pictures.
const TRANSLATION: &str = "Of recipes that make images of pictures";

/// The flags, which are the keys of the TOML file as well: a flag is a field here, with its help text and its default.
/// Its heading in `--help` says what it is about, and the code goes by it: one without a heading decides the result of
/// every recipe. An `Option` has no default, or one that depends on the others; [`Plan::new`] fills it in.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::cli) struct Options {
    /// Data set to learn, as `trainer data list` prints it: fashion, or pictures of your own as folder:PATH.
    #[arg(long, value_name = "NAME", help_heading = CIRCUMSTANCE)]
    dataset: Option<String>,
    /// With folder:PATH, rows and columns that its pictures are scaled to, a multiple of 4 [default: 32].
    #[arg(long, value_name = "PIXELS")]
    image_size: Option<u16>,
    /// With folder:PATH, grey or colour; auto is grey if every picture is [default: auto].
    #[arg(long)]
    channels: Option<Channels>,
    /// With folder:PATH, name pictures that cannot be read and go on without them.
    #[arg(long, num_args = 0, default_missing_value = "true", help_heading = CIRCUMSTANCE)]
    skip_broken: Option<bool>,
    /// How data of your own are split that come without test images [default: stratified].
    #[arg(long, value_name = "RULE")]
    split_rule: Option<SplitRule>,
    /// Mirror half of the images, others in each epoch, left to right.
    #[arg(long)]
    pub flip: bool,
    /// Learn only the images of these classes, counted from 0: 3, or 0-2,5 [default: all].
    #[arg(long, value_name = "CLASSES")]
    pub only_classes: Option<ClassList>,
    /// Learn only from this share of the images, above 0 and below 1: those that the built-in classifier's features
    /// show to be the most usual. For fashion and mnist [default: all].
    #[arg(long, value_name = "SHARE")]
    pub instance_selection: Option<f64>,
    /// What to train; `trainer recipes` lists them with their parts.
    #[arg(long, value_enum, default_value_t)]
    pub recipe: Recipe,
    /// How wide the networks of a convolutional recipe are [default: the recipe's].
    #[arg(long)]
    pub size: Option<Size>,
    /// How wide the discriminator is, which no device runs [default: the recipe's, or as --size says].
    #[arg(long, value_name = "SIZE", help_heading = ADVERSARIAL)]
    discriminator_size: Option<Size>,
    /// The layers of a convolutional recipe's generator or decoder [default: the recipe's].
    #[arg(long, value_name = "KIND")]
    generator: Option<GeneratorKind>,
    /// The layers of a convolutional recipe's discriminator [default: the recipe's].
    #[arg(long, value_name = "KIND", help_heading = ADVERSARIAL)]
    discriminator: Option<DiscriminatorKind>,
    /// Numbers of a latent, from 1 to 1024 [default: the recipe's].
    #[arg(long, value_name = "COUNT")]
    latent_size: Option<u32>,
    /// Tell both networks the class of an image, so that one can ask for a class [default: the recipe's].
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    conditional: Option<bool>,
    /// How the discriminator of a conditional run is told the class of an image [default: concat].
    #[arg(long, value_name = "KIND", help_heading = ADVERSARIAL)]
    discriminator_conditioning: Option<Conditioning>,
    /// The loss of both networks [default: the recipe's].
    #[arg(long, help_heading = ADVERSARIAL)]
    loss: Option<Objective>,
    /// What keeps the discriminator's gradient in bounds [default: the recipe's].
    #[arg(long, help_heading = ADVERSARIAL)]
    penalty: Option<PenaltyKind>,
    /// Weight of the penalty, above 0 [default: the recipe's, or 10 for gradient and 0.3 for
    /// zero-centred].
    #[arg(long, value_name = "WEIGHT", help_heading = ADVERSARIAL)]
    penalty_weight: Option<f64>,
    /// Bound on each weight of the discriminator, 0 for none [default: the recipe's].
    #[arg(long, value_name = "BOUND", help_heading = ADVERSARIAL)]
    weight_clip: Option<f64>,
    /// Updates of the discriminator for one of the generator, from 1 to 100 [default: the recipe's].
    #[arg(long, value_name = "COUNT", help_heading = ADVERSARIAL)]
    critic_steps: Option<u32>,
    /// What is done to each image that the discriminator sees, real or generated, so that it cannot learn few training
    /// images by heart [default: none].
    #[arg(long, alias = "diff-augment", value_name = "KIND", help_heading = ADVERSARIAL)]
    #[serde(alias = "diff-augment")]
    augment: Option<DiffAugment>,
    /// Share of a batch, above 0 and below 1, that the generator still learns from in the end: the images that the
    /// discriminator takes for the most real [default: all, always].
    #[arg(long, value_name = "SHARE", help_heading = ADVERSARIAL)]
    top_k: Option<f64>,
    /// With --top-k, what the share is multiplied by after each epoch, above 0 and below 1 [default: 0.99].
    #[arg(long, value_name = "DECAY", help_heading = ADVERSARIAL)]
    top_k_decay: Option<f64>,
    /// Learn the images that the generator of this run, as its newest checkpoint has it, makes of the same latents; the
    /// discriminator is that run's. In the last epochs, train against it as the recipe says.
    #[arg(long, value_name = "RUN", help_heading = ADVERSARIAL)]
    #[serde(serialize_with = "lossy")]
    pub teacher: Option<PathBuf>,
    /// With --teacher, the epochs that it is learned from, as many images as there are training images in each
    /// [default: three quarters of --epochs when the run begins].
    #[arg(long, value_name = "EPOCHS", help_heading = ADVERSARIAL)]
    pub teacher_epochs: Option<u32>,
    /// With --teacher, the weight of the distance of the discriminator's features beside that of pixels, at least 0
    /// [default: 1].
    #[arg(long, value_name = "WEIGHT", help_heading = ADVERSARIAL)]
    feature_weight: Option<f64>,
    /// With --teacher, train that run's own generator further, in all epochs, so that its images with rounded weights
    /// come near to those without. The run's blob has these weights.
    #[arg(long, value_name = "NUMBERS", help_heading = ADVERSARIAL)]
    pub finetune: Option<Weights>,
    /// Images of each phase: a size is faded in over so many, and trained at over so many more. The last size is trained
    /// at to the end [default: as many as have the last size begin after two fifths of the epochs].
    #[arg(long, value_name = "COUNT", help_heading = PROGRESSIVE)]
    pub phase_images: Option<u64>,
    /// Grey levels that pixels are rounded to: 2, 4, 16 or 256. Of two each pixel is drawn afresh in each pass, white
    /// with its grey as the probability [default: the recipe's].
    #[arg(long, value_name = "COUNT", help_heading = AUTOREGRESSIVE)]
    pub levels: Option<u16>,
    /// How an image is compared with what the decoder makes [default: the recipe's].
    #[arg(long, help_heading = VARIATIONAL)]
    likelihood: Option<Likelihood>,
    /// Weight of the divergence of the latents from the prior, above 0 [default: the recipe's].
    #[arg(long, value_name = "WEIGHT", help_heading = VARIATIONAL)]
    beta: Option<f64>,
    /// The images that are to be made, where --dataset has the pictures that are read: for cyclegan any others, for
    /// pix2pix and encdec one of the same name for each, in folders.
    #[arg(long, value_name = "NAME", help_heading = TRANSLATION)]
    target_dataset: Option<String>,
    /// Make the pictures that are read of the images of --dataset; the network is to undo it [default for autoencoder
    /// and encdec: reconstruct].
    #[arg(long, help_heading = TRANSLATION)]
    pub task: Option<Task>,
    /// What normalizes tensors within the networks, but of autoencoder and encdec [default: batch].
    #[arg(long, value_name = "KIND", help_heading = TRANSLATION)]
    norm: Option<Normalization>,
    /// Weight of the distance of pixels, at least 0 [default: the recipe's].
    #[arg(long, value_name = "WEIGHT", help_heading = TRANSLATION)]
    pixel_weight: Option<f64>,
    /// Weight of the discriminator's part, at least 0; without a discriminator if it is 0 [default: the recipe's].
    #[arg(long, value_name = "WEIGHT", help_heading = TRANSLATION)]
    adversarial_weight: Option<f64>,
    /// Weight of the distance from a picture there and back, above 0 [default: 10].
    #[arg(long, value_name = "WEIGHT", help_heading = TRANSLATION)]
    cycle_weight: Option<f64>,
    /// Weight of the distance between an image and what a generator that makes such images makes of it, at least 0, as
    /// a share of --cycle-weight [default: 0].
    #[arg(long, value_name = "SHARE", help_heading = TRANSLATION)]
    identity_weight: Option<f64>,
    /// Begin with the weights of this run, as its newest checkpoint has them: of each network those layers that have the
    /// same place and shape there. Those that have not are named.
    #[arg(long, value_name = "RUN")]
    #[serde(serialize_with = "lossy")]
    pub init_from: Option<PathBuf>,
    /// Passes over the training images, all parts of a resumed run together [default: the recipe's].
    #[arg(long, conflicts_with = "minutes", help_heading = CIRCUMSTANCE)]
    epochs: Option<u32>,
    /// Train for this long instead, all parts of a resumed run together.
    #[arg(long, help_heading = CIRCUMSTANCE)]
    minutes: Option<f64>,
    /// Images an update, at least 2 [default: the recipe's].
    #[arg(long)]
    batch: Option<u32>,
    /// Equal parts of each batch that sums over it are made by, 1 or 8. By 8 the result is that of up to eight machines
    /// which share the batch; it is slower, runs on the CPU, and needs batches of a multiple of 8.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    parts: u8,
    /// Learning rate of all networks, above 0 and at most 1 [default: the recipe's; a third of it with --finetune].
    #[arg(long)]
    lr: Option<f64>,
    /// Learning rate of the generator [default: as --lr says].
    #[arg(long, value_name = "LR", help_heading = ADVERSARIAL)]
    lr_generator: Option<f64>,
    /// Learning rate of the discriminator [default: as --lr says].
    #[arg(long, value_name = "LR", help_heading = ADVERSARIAL)]
    lr_discriminator: Option<f64>,
    /// How the learning rates change over the epochs [default: the recipe's].
    #[arg(long, value_name = "CURVE")]
    lr_schedule: Option<Curve>,
    /// With a schedule, the learning rate at its end as a share of that at the beginning, from 0 to 1 [default: the
    /// recipe's, or 0].
    #[arg(long, value_name = "SHARE")]
    lr_end: Option<f64>,
    /// With a schedule, the epoch at whose end it ends; later epochs keep the last rate [default: as --epochs says when
    /// the run begins, or the recipe's epochs with --minutes].
    #[arg(long, value_name = "EPOCHS")]
    pub schedule_epochs: Option<u32>,
    /// How weights follow their gradients [default: the recipe's].
    #[arg(long, value_name = "NAME")]
    optimizer: Option<OptimizerKind>,
    /// Decay of Adam's first moment, at least 0 and below 1 [default: the recipe's].
    #[arg(long, value_name = "DECAY")]
    adam_beta1: Option<f64>,
    /// Decay of the second moment of Adam or RMSprop, at least 0 and below 1 [default: the recipe's].
    #[arg(long, value_name = "DECAY")]
    adam_beta2: Option<f64>,
    /// Momentum of gradient descent (--optimizer sgd), at least 0 and below 1 [default: 0.9].
    #[arg(long)]
    momentum: Option<f64>,
    /// Decay a step of the average of the generator's weights, which is what is sampled and exported; at least 0 and
    /// below 1 [default: the recipe's].
    #[arg(long, value_name = "DECAY")]
    ema_decay: Option<f64>,
    /// The same seed gives the same weights on the same machine, whatever the threads.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads to compute with [default: the machine's cores].
    #[arg(long, default_value_t = cores(), hide_default_value = true, help_heading = CIRCUMSTANCE)]
    pub threads: u16,
    /// Steps from one checkpoint to the next within an epoch; there is one at each epoch's end too.
    #[arg(long, value_name = "STEPS", default_value_t = 1000, help_heading = CIRCUMSTANCE)]
    pub checkpoint_every: u32,
    /// Checkpoints to keep, the newest; kept besides are the one with the best score, the newest that is not due to a
    /// stop and, unless --on-collapse is warn, those that a collapse would be rolled back to.
    #[arg(long, value_name = "COUNT", default_value_t = 3, help_heading = CIRCUMSTANCE)]
    pub keep: u32,
    /// What to do about a loss or a weight that is no longer a number.
    #[arg(long, value_name = "ACTION", value_enum, default_value_t, help_heading = CIRCUMSTANCE)]
    pub on_nan: OnNan,
    /// What to do when the generator makes the same few images for every latent.
    #[arg(long, value_name = "ACTION", value_enum, default_value_t, help_heading = CIRCUMSTANCE)]
    pub on_collapse: OnCollapse,
    /// Where to compute; auto takes the GPU if there is one.
    #[arg(long, value_enum, default_value_t, help_heading = CIRCUMSTANCE)]
    pub device: DeviceKind,
    /// Only look for the data set in this folder.
    #[arg(long, value_name = "DIR", help_heading = CIRCUMSTANCE)]
    data_dir: Option<PathBuf>,
    /// The run's folder, which must not be there yet or be empty [default: runs/DATASET-RECIPE-SIZE, numbered].
    #[arg(long, value_name = "DIR", help_heading = CIRCUMSTANCE)]
    #[serde(serialize_with = "lossy")]
    out: Option<PathBuf>,
    /// Print one JSON object at the end, and nothing else, on standard output.
    #[arg(long, help_heading = CIRCUMSTANCE)]
    pub json: bool,
    /// What the run learned, for the run's own configuration.
    #[arg(skip)]
    pub fingerprint: Option<Fingerprint>,
}

/// Every flag at its default.
impl Default for Options {
    fn default() -> Self {
        let none = Self::augment_args(Command::new("fit")).get_matches_from(["fit"]);
        Self::from_arg_matches(&none).unwrap_or_else(|error| error.exit())
    }
}

/// The flags that were given, and no defaults.
#[derive(Clone, Debug)]
pub(super) struct Given(ArgMatches);

impl Args for Given {
    fn augment_args(command: Command) -> Command {
        Options::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Options::augment_args_for_update(command)
    }
}

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = matches.clone();
        for id in matches.ids().map(clap::Id::as_str) {
            if matches.value_source(id) == Some(ValueSource::DefaultValue) {
                // It is an error for an unknown flag only.
                let _ = given.try_clear_id(id);
            }
        }
        Ok(Self(given))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Given {
    /// The options, with the flags that were given in their place.
    pub fn over(mut self, mut options: Options) -> Result<Options, Failure> {
        if ["epochs", "minutes"]
            .iter()
            .any(|id| self.0.contains_id(id))
        {
            (options.epochs, options.minutes) = (None, None);
        }
        let updated = options.update_from_arg_matches_mut(&mut self.0);
        updated.map_err(|error| Failure::Input(complaint(&error)))?;
        Ok(options)
    }
}

/// The keys of the flags below a heading.
fn keys(heading: &str) -> Vec<String> {
    let flags = Options::augment_args(Command::new("fit"));
    let below = flags
        .get_arguments()
        .filter(|flag| flag.get_help_heading() == Some(heading));
    below
        .filter_map(|flag| flag.get_long().map(str::to_owned))
        .collect()
}

/// The machine's cores.
fn cores() -> u16 {
    let cores = std::thread::available_parallelism();
    cores.map_or(1, |n| u16::try_from(n.get()).unwrap_or(u16::MAX))
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum DeviceKind {
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
        let mut options: Self = toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            let reason = error.message().trim().replace('\n', " ");
            Failure::Input(format!("{}, line {line}: {reason}", path.display()))
        })?;
        // A configuration that a run wrote names every option: one that names no split rule is older than the choice.
        let table: toml::Table = toml::from_str(&text).map_err(anyhow::Error::from)?;
        if table.contains_key("out") && table.contains_key("json") {
            let old = || old_split_rule(options.dataset.as_deref());
            options.split_rule = options.split_rule.or_else(old);
        }
        Ok(options)
    }

    /// The options in a checkpoint, but with the data of `plan`; `None` where they cannot be read.
    pub fn of_checkpoint(recipe: &str, plan: &Plan) -> Option<Self> {
        let mut options = plan.with_length(plan.with_data(toml::from_str(recipe).ok()?));
        let old = || old_split_rule(options.dataset.as_deref());
        options.split_rule = options.split_rule.or_else(old);
        Some(options)
    }

    /// The data set, if one is named.
    pub fn dataset(&self) -> Result<Option<Dataset>, Failure> {
        let dataset = self.dataset.as_deref().map(str::parse).transpose();
        dataset.map_err(|error: data::DataError| error.into())
    }

    /// Whether pictures that cannot be read are passed over.
    pub fn skips_broken(&self) -> bool {
        self.skip_broken == Some(true)
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

    /// Refuses what describes another game than the recipe's.
    fn check_game(&self, defaults: &Parts) -> Result<(), Failure> {
        let of = |headings: [&str; 2]| {
            let growing = (defaults.growth.is_none()).then_some(PROGRESSIVE);
            let is_pixels = matches!(defaults.game, Game::Autoregressive(_));
            let pixels = (!is_pixels).then_some(AUTOREGRESSIVE);
            let own = growing.into_iter().chain(pixels);
            headings.into_iter().chain(own).flat_map(keys).collect()
        };
        let (kind, foreign): (_, Vec<String>) = match (&defaults.translators, defaults.game) {
            (Some(translators), _) => ("", translation::foreign(defaults, translators)),
            (None, Game::Variational(_)) => (
                " is a variational autoencoder, which",
                of([ADVERSARIAL, TRANSLATION]),
            ),
            (None, Game::Adversarial(_) | Game::Distillation(_)) => (
                " is an adversarial network, which",
                of([VARIATIONAL, TRANSLATION]),
            ),
            (None, Game::Autoregressive(_)) => {
                let mut foreign: Vec<String> = of([ADVERSARIAL, TRANSLATION]);
                foreign.extend(keys(VARIATIONAL));
                foreign.extend(["generator", "latent-size"].map(str::to_owned));
                (" draws pixel by pixel, and", foreign)
            }
            (None, Game::Translation(_) | Game::Cycle(_)) => {
                return input(format!(
                    "the recipe {} reads no pictures",
                    name(self.recipe)
                ));
            }
        };
        let given = self.to_table()?;
        match foreign.iter().find(|key| given.contains_key(*key)) {
            Some(flag) => input(format!(
                "the recipe {}{kind} has no --{flag}, as flag or as key",
                name(self.recipe)
            )),
            None => Ok(()),
        }
    }

    /// Refuses what does not go with networks that grow.
    fn check_growth(&self, defaults: &Parts) -> Result<(), Failure> {
        if defaults.growth.is_none() {
            return Ok(());
        }
        let given = [
            ("generator", self.generator.is_some()),
            ("discriminator", self.discriminator.is_some()),
            ("teacher", self.teacher.is_some()),
            ("init-from", self.init_from.is_some()),
        ];
        if let Some((flag, _)) = given.iter().find(|(_, given)| *given) {
            return input(format!(
                "the networks of the recipe {} are of a kind of their own: leave out --{flag}",
                name(self.recipe)
            ));
        }
        if self.minutes.is_some() {
            return input(
                "networks grow after so many images: give --epochs in place of --minutes",
            );
        }
        match self.phase_images {
            Some(0) => input("--phase-images must be at least 1"),
            _ => Ok(()),
        }
    }

    /// Refuses what a run with a teacher has of that.
    fn check_teacher(&self) -> Result<(), Failure> {
        if self.teacher.is_none() {
            let given = [
                ("teacher-epochs", self.teacher_epochs.is_some()),
                ("feature-weight", self.feature_weight.is_some()),
                ("finetune", self.finetune.is_some()),
            ];
            return match given.iter().find(|(_, given)| *given) {
                Some((flag, _)) => input(format!("--{flag} needs --teacher")),
                None => Ok(()),
            };
        }
        let own = self.finetune.is_some();
        let given = [
            ("discriminator-size", self.discriminator_size.is_some()),
            ("discriminator", self.discriminator.is_some()),
            (
                "discriminator-conditioning",
                self.discriminator_conditioning.is_some(),
            ),
            ("latent-size", self.latent_size.is_some()),
            ("conditional", self.conditional.is_some()),
            ("size", own && self.size.is_some()),
            ("init-from", self.init_from.is_some()),
            ("generator", own && self.generator.is_some()),
            ("teacher-epochs", own && self.teacher_epochs.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) if own => input(format!(
                "with --finetune the networks are the teacher's, all epochs through: leave out --{flag}"
            )),
            Some((flag, _)) => input(format!(
                "latents, classes and discriminator are the teacher's: leave out --{flag}"
            )),
            None => Ok(()),
        }
    }

    /// The rules of a run with a teacher, filled in; the steps are counted by the data.
    fn distillation(&mut self, finish: Adversarial) -> Result<Distillation, Failure> {
        let features = *self.feature_weight.get_or_insert(1.0);
        if !(0.0..=1e6).contains(&features) {
            return input("--feature-weight must be from 0 to 1000000");
        }
        if self.finetune.is_none() {
            let usual = self.epochs.map(|epochs| epochs - epochs / 4);
            self.teacher_epochs = self.teacher_epochs.or(usual);
            match (self.teacher_epochs, self.epochs) {
                (None, _) => return input("--teacher with --minutes needs --teacher-epochs"),
                (Some(imitated), Some(epochs)) if imitated > epochs => {
                    return input("--teacher-epochs must be at most --epochs");
                }
                _ => {}
            }
        }
        Ok(Distillation {
            features,
            steps: u32::MAX,
            finish,
            weights: self.finetune,
        })
    }

    /// Fills in the size. A discriminator of the same size is not named, as it was before it could be chosen.
    fn fill_sizes(&mut self) -> Result<(), Failure> {
        if self.finetune.is_some() {
            return Ok(());
        }
        if let Some(usual) = self.recipe.usual_sizes() {
            self.size.get_or_insert(usual.size);
            // A teacher brings the discriminator.
            if self.teacher.is_some() {
                return Ok(());
            }
            if usual.discriminator.is_some() {
                self.discriminator_size = self.discriminator_size.or(usual.discriminator);
            } else if self.discriminator_size == self.size {
                self.discriminator_size = None;
            }
            return Ok(());
        }
        let given = [
            ("size", self.size.is_some()),
            ("discriminator-size", self.discriminator_size.is_some()),
            ("generator", self.generator.is_some()),
            ("discriminator", self.discriminator.is_some()),
        ];
        if let Some((flag, _)) = given.iter().find(|(_, given)| *given) {
            return input(format!(
                "the recipe {} has networks of one kind and size: leave out --{flag}",
                name(self.recipe)
            ));
        }
        Ok(())
    }

    /// The rules of an adversarial recipe, filled in.
    fn adversarial(&mut self, defaults: Adversarial) -> Result<Adversarial, Failure> {
        let (kind, weight) = PenaltyKind::of(defaults.penalty);
        let penalty = *self.penalty.get_or_insert(kind);
        let weight = self.penalty_weight.or(weight.filter(|_| penalty == kind));
        let penalty = penalty.with(weight);
        let weight = PenaltyKind::of(penalty).1;
        if self.penalty_weight.is_some() && weight.is_none() {
            return input("--penalty-weight is given, but there is no penalty: add --penalty");
        }
        if weight.is_some_and(|weight| !(weight > 0.0 && weight <= 1e6)) {
            return input("--penalty-weight must be above 0 and at most 1000000");
        }
        self.penalty_weight = weight;
        let weight_clip = defaults.weight_clip.unwrap_or(0.0);
        let weight_clip = *self.weight_clip.get_or_insert(weight_clip);
        if !(0.0..=1e6).contains(&weight_clip) {
            return input("--weight-clip must be from 0 to 1000000");
        }
        let critic_steps = *self.critic_steps.get_or_insert(defaults.critic_steps);
        if !(1..=100).contains(&critic_steps) {
            return input("--critic-steps must be from 1 to 100");
        }
        Ok(Adversarial {
            objective: *self.loss.get_or_insert(defaults.objective),
            penalty,
            weight_clip: Some(weight_clip).filter(|&bound| bound > 0.0),
            critic_steps,
            diff_augment: self.augment.unwrap_or_default(),
            top_k: self.top_k()?,
        })
    }

    /// Which images the generator learns from, filled in; the steps of an epoch are counted by the data.
    fn top_k(&mut self) -> Result<Option<TopK>, Failure> {
        let Some(share) = self.top_k else {
            return match self.top_k_decay {
                Some(_) => input("--top-k-decay needs --top-k"),
                None => Ok(None),
            };
        };
        let decay = *self.top_k_decay.get_or_insert(TopK::DECAY);
        for (flag, value) in [("top-k", share), ("top-k-decay", decay)] {
            if !(value > 0.0 && value < 1.0) {
                return input(format!("--{flag} must be above 0 and below 1"));
            }
        }
        Ok(Some(TopK {
            share,
            decay,
            first_step: 0,
            steps_an_epoch: 1,
        }))
    }

    /// The rules of a variational autoencoder, filled in.
    fn variational(&mut self, defaults: Variational) -> Result<Variational, Failure> {
        let beta = *self.beta.get_or_insert(defaults.beta);
        if !(beta > 0.0 && beta <= 1e6) {
            return input("--beta must be above 0 and at most 1000000");
        }
        Ok(Variational {
            likelihood: *self.likelihood.get_or_insert(defaults.likelihood),
            beta,
        })
    }

    /// The rules of a network that draws pixel by pixel, filled in.
    fn autoregressive(&mut self, defaults: Autoregressive) -> Result<Autoregressive, Failure> {
        let levels = *self.levels.get_or_insert(defaults.levels.into());
        let levels = Levels::try_from(levels);
        Ok(Autoregressive {
            levels: levels.map_err(|reason| Failure::Input(format!("--levels: {reason}")))?,
        })
    }

    /// The optimizer of all networks, filled in.
    fn optimizer(&mut self, defaults: OptimizerConfig) -> Result<OptimizerConfig, Failure> {
        let usual = match self.finetune {
            // What is trained already is to change little.
            Some(_) => defaults.learning_rate / 3.0,
            None => defaults.learning_rate,
        };
        let rate = *self.lr.get_or_insert(usual);
        for (flag, rate) in [
            ("lr", Some(rate)),
            ("lr-generator", self.lr_generator),
            ("lr-discriminator", self.lr_discriminator),
        ] {
            if rate.is_some_and(|rate| !(rate > 0.0 && rate <= 1.0)) {
                return input(format!("--{flag} must be above 0 and at most 1"));
            }
        }
        let kind = *self.optimizer.get_or_insert(defaults.kind());
        let mut optimizer = if kind == defaults.kind() {
            defaults
        } else {
            kind.with_rate(rate)
        };
        optimizer.learning_rate = rate;
        let [beta1, beta2, momentum] = match &mut optimizer.rule {
            Rule::Adam { beta1, beta2, .. } if kind == OptimizerKind::Adam => {
                [Some(beta1), Some(beta2), None]
            }
            Rule::Adam { beta2, .. } => [None, Some(beta2), None],
            Rule::Sgd { momentum } => [None, None, Some(momentum)],
        };
        for (flag, given, value) in [
            ("adam-beta1", &mut self.adam_beta1, beta1),
            ("adam-beta2", &mut self.adam_beta2, beta2),
            ("momentum", &mut self.momentum, momentum),
        ] {
            let Some(value) = value else {
                if given.is_some() {
                    let kind = name(kind);
                    return input(format!(
                        "the optimizer {kind} has no --{flag}, as flag or as key"
                    ));
                }
                continue;
            };
            *value = *given.get_or_insert(*value);
            if !(0.0..1.0).contains(value) {
                return input(format!("--{flag} must be at least 0 and below 1"));
            }
        }
        Ok(optimizer)
    }

    /// The schedule of the learning rates, filled in; its steps are counted by the data.
    /// `epochs` are the recipe's, which a schedule of its own has where the run is limited by time.
    fn schedule(&mut self, defaults: Schedule, epochs: u32) -> Result<Schedule, Failure> {
        let curve = *self.lr_schedule.get_or_insert(defaults.curve);
        let usual = (curve == defaults.curve).then_some(epochs);
        if curve == Curve::Constant {
            if self.lr_end.is_some() || self.schedule_epochs.is_some() {
                return input("--lr-end and --schedule-epochs need an --lr-schedule");
            }
            return Ok(Schedule::CONSTANT);
        }
        let usual_end = if curve == defaults.curve {
            defaults.end
        } else {
            0.0
        };
        let end = *self.lr_end.get_or_insert(usual_end);
        if !(0.0..=1.0).contains(&end) {
            return input("--lr-end must be from 0 to 1");
        }
        self.schedule_epochs = self.schedule_epochs.or(self.epochs).or(usual);
        match self.schedule_epochs {
            None => input(format!(
                "--lr-schedule {} needs to know its epochs: add --schedule-epochs, or --lr-schedule constant",
                name(curve)
            )),
            Some(0) => input("--schedule-epochs must be at least 1"),
            Some(epochs) if end == 0.0 && self.epochs.is_some_and(|all| all > epochs) => {
                input(format!(
                    "the learning rate is 0 from the end of epoch {epochs} on: later epochs would change nothing"
                ))
            }
            Some(_) => Ok(Schedule {
                curve,
                steps: 1,
                end,
            }),
        }
    }

    /// The length, filled in.
    fn length(&mut self, epochs: u32) -> Result<Length, Failure> {
        match (self.epochs, self.minutes) {
            (Some(_), Some(_)) => input("give epochs or minutes, not both"),
            (_, Some(minutes)) if minutes > 0.0 && minutes <= 1e6 => {
                Ok(Length::Time(Duration::from_secs_f64(minutes * 60.0)))
            }
            (_, Some(_)) => input("--minutes must be above 0 and at most 1000000"),
            (Some(0), None) => input("--epochs must be at least 1"),
            (_, None) => Ok(Length::Epochs(*self.epochs.get_or_insert(epochs))),
        }
    }

    /// Refuses numbers out of range that no recipe changes.
    fn check_ranges(&self) -> Result<(), Failure> {
        if i64::try_from(self.seed).is_err() {
            return input("--seed must be below 2^63");
        }
        if self
            .instance_selection
            .is_some_and(|share| !(share > 0.0 && share < 1.0))
        {
            return input("--instance-selection must be above 0 and below 1");
        }
        if !(1..=1024).contains(&self.threads) {
            return input("--threads must be from 1 to 1024");
        }
        if self.checkpoint_every == 0 {
            return input("--checkpoint-every must be at least 1");
        }
        if self.keep == 0 {
            return input("--keep must be at least 1");
        }
        let data_dir = self.data_dir.as_ref();
        if data_dir.is_some_and(|dir| dir.to_str().is_none()) {
            return input("the name of --data-dir is not UTF-8, so config.toml could not keep it");
        }
        Ok(())
    }

    fn to_table(&self) -> Result<toml::Table, Failure> {
        let table = toml::Table::try_from(self);
        Ok(table.context("cannot write the configuration as TOML")?)
    }
}

/// The options with every default filled in and every value checked, and what they come to.
pub(in crate::cli) struct Plan {
    pub options: Options,
    pub dataset: Dataset,
    /// What the images are that are to be made, where [`Plan::dataset`] has the pictures that are read.
    pub target: Option<Dataset>,
    /// Of a folder of pictures.
    pictures: Option<Pictures>,
    pub conditional: bool,
    pub game: Game,
    pub length: Length,
    pub batch: u32,
    pub sums: Sums,
    optimizer: OptimizerConfig,
    schedule: Schedule,
    ema_decay: f64,
    pub out: PathBuf,
    /// Where no folder was named: the name that is numbered until one is free.
    pub usual_out: Option<PathBuf>,
}

/// Bad input, and what to do about it.
pub(super) fn input<T>(sentence: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Input(sentence.into()))
}

impl Plan {
    pub fn new(mut options: Options) -> Result<Self, Failure> {
        let Some(dataset) = &options.dataset else {
            return input(
                "no data set is named: add --dataset fashion, or another that `trainer data list` prints",
            );
        };
        let dataset: Dataset = dataset.parse()?;
        let data = options.data();
        // Of two data sets, how the pictures of a folder are read is about either.
        let target = options.target_dataset.as_deref().map(str::parse);
        let target: Option<Dataset> = target.transpose()?;
        let folder = [Some(&dataset), target.as_ref()].into_iter().flatten();
        let folder = folder
            .into_iter()
            .find(|set| matches!(set, Dataset::Folder(_)));
        let pictures = pictures(&data, folder.unwrap_or(&dataset))?;
        options.dataset = Some(dataset.to_string());
        options.image_size = pictures.map(|pictures| pictures.side);
        options.channels = pictures.map(|pictures| pictures.channels);
        options.skip_broken = pictures.map(|pictures| pictures.skip_broken);
        options.split_rule = data.split_rule(&dataset)?;
        options.check_ranges()?;
        let recipe = options.recipe;
        let defaults = defaults(recipe);
        options.check_game(&defaults)?;
        options.check_growth(&defaults)?;
        let target = options.target(&defaults, target)?;
        if options.instance_selection.is_some() && options.only_classes.is_some() {
            return input("--instance-selection compares all classes: leave out --only-classes");
        }
        if options.instance_selection.is_some() && !FidCls::is_for(&dataset) {
            return input(format!(
                "--instance-selection needs a classifier of the data set, and there is none of {dataset}"
            ));
        }
        options.check_teacher()?;
        options.fill_sizes()?;
        let length = options.length(defaults.epochs)?;
        let game = match defaults.game {
            Game::Adversarial(rules) | Game::Distillation(Distillation { finish: rules, .. }) => {
                let rules = options.adversarial(rules)?;
                if options.teacher.is_some() {
                    options.distillation(rules)?.into()
                } else {
                    rules.into()
                }
            }
            Game::Variational(defaults) => options.variational(defaults)?.into(),
            Game::Translation(defaults) => options.translation(defaults)?.into(),
            Game::Cycle(defaults) => options.cycle(defaults)?.into(),
            Game::Autoregressive(defaults) => options.autoregressive(defaults)?.into(),
        };
        if defaults.translators.is_some_and(|kinds| kinds.takes_norm) {
            options.norm.get_or_insert_default();
        }
        let batch = *options.batch.get_or_insert(defaults.batch);
        if !(2..=65_536).contains(&batch) {
            return input("--batch must be from 2 to 65536");
        }
        let parts = options.parts;
        let Some(sums) = Sums::of_parts(parts) else {
            return input("--parts must be 1 or 8");
        };
        if !batch.is_multiple_of(parts.into()) {
            return input(format!(
                "--parts {parts} needs a --batch that is a multiple of {parts}, which {batch} is not"
            ));
        }
        if sums != Sums::Fast && options.device == DeviceKind::Cuda {
            return input(format!("--parts {parts} runs on the CPU: add --device cpu"));
        }
        let optimizer = options.optimizer(defaults.optimizer)?;
        let schedule = options.schedule(defaults.schedule, defaults.epochs)?;
        let ema_decay = *options.ema_decay.get_or_insert(defaults.ema_decay);
        if !(0.0..1.0).contains(&ema_decay) {
            return input("--ema-decay must be at least 0 and below 1");
        }
        let latent_size = match &defaults.translators {
            Some(translators) => translators.latent_size,
            // A teacher brings the latents and the classes.
            None if options.teacher.is_some() => None,
            None if matches!(game, Game::Autoregressive(_)) => {
                options.conditional.get_or_insert(defaults.conditional);
                None
            }
            None => {
                options.conditional.get_or_insert(defaults.conditional);
                Some(defaults.networks.generator.network.input.len())
            }
        };
        if let Some(usual) = latent_size
            && !(1..=1024).contains(options.latent_size.get_or_insert(usual as u32))
        {
            return input("--latent-size must be from 1 to 1024");
        }
        let conditional = options.conditional.unwrap_or_default();
        if conditional && options.only_classes.is_some() {
            return input(
                "a conditional run is told the class, of all there are: leave out --only-classes",
            );
        }
        if options.discriminator_conditioning.is_some() && !conditional {
            return input(
                "--discriminator-conditioning needs a conditional run: add --conditional",
            );
        }
        // Defaults are not written, so that checkpoints have the bytes that they had before the flags.
        options
            .augment
            .take_if(|augment| *augment == DiffAugment::None);
        let conditioning = &mut options.discriminator_conditioning;
        conditioning.take_if(|conditioning| *conditioning == Conditioning::Concat);
        let (out, usual_out) = match options.out.take() {
            // Without `.` and a slash at its end.
            Some(out) => (out.components().collect(), None),
            None => {
                let usual = usual_folder(&dataset, recipe, options.size);
                let mut names = numbered(&usual);
                let free = names.find(|path| path.symlink_metadata().is_err());
                (free.unwrap_or_else(|| usual.clone()), Some(usual))
            }
        };
        Ok(Self {
            options,
            dataset,
            target,
            pictures,
            conditional,
            game,
            length,
            batch,
            sums,
            optimizer,
            schedule,
            ema_decay,
            out,
            usual_out,
        })
    }

    /// Options about the data of this plan, which may lie elsewhere than when the options were written.
    pub fn with_data(&self, options: Options) -> Options {
        Options {
            dataset: self.options.dataset.clone(),
            target_dataset: self.options.target_dataset.clone(),
            data_dir: self.options.data_dir.clone(),
            skip_broken: self.options.skip_broken,
            fingerprint: self.options.fingerprint.clone(),
            ..options
        }
    }

    /// Options with the length of this plan.
    pub fn with_length(&self, options: Options) -> Options {
        Options {
            epochs: self.options.epochs,
            minutes: self.options.minutes,
            ..options
        }
    }

    /// Fills in the images of a phase where networks grow, by the number of training images.
    ///
    /// # Errors
    /// Epochs that end before the last size begins.
    pub fn fill_phases(&mut self, growth: Option<&Growth>, images: usize) -> Result<(), Failure> {
        let (Some(growth), Length::Epochs(epochs)) = (growth, self.length) else {
            return Ok(());
        };
        let all = u64::from(epochs).saturating_mul(images as u64);
        let before = growth.phases.len().saturating_sub(1) as u64;
        let usual = (2 * all).checked_div(5 * before).unwrap_or(all).max(1);
        let own = *self.options.phase_images.get_or_insert(usual);
        // In whole steps, as they are taken.
        let a_step = u64::from(self.batch) * u64::from(self.game.batches());
        let needed = own.div_ceil(a_step).saturating_mul(before);
        let steps = u64::from(epochs) * (images as u64 / a_step);
        if needed >= steps {
            return input(format!(
                "networks are grown after {before} phases of {own} images, and these epochs have {all}: give more \
                 --epochs or fewer --phase-images"
            ));
        }
        Ok(())
    }

    /// How many of so many training images are learned from.
    pub fn selected(&self, images: usize) -> usize {
        let share = self.options.instance_selection.unwrap_or(1.0);
        (share * images as f64).round() as usize
    }

    /// How the data set is found and read.
    pub fn data_options(&self) -> data::Options {
        data::Options {
            data_dir: self.options.data_dir.clone(),
            pictures: self.pictures.unwrap_or_default(),
            split_rule: self.options.split_rule.unwrap_or_default(),
            ..data::Options::default()
        }
    }

    /// How another data set's images are found and read: as this run's are, as far as that goes.
    ///
    /// # Errors
    /// Options that do not go with it.
    pub fn data_options_for(&self, dataset: &Dataset) -> Result<data::Options, Failure> {
        let mut flags = self.options.data().for_data_like(dataset);
        flags.data_dir = None;
        if matches!(dataset, Dataset::Folder(_)) && self.options.image_size.is_none() {
            let image = self
                .dataset
                .published()
                .map(|published| published.image_shape());
            if let Some((channels, height, _)) = image {
                flags.image_size = u16::try_from(height).ok();
                flags.channels = Some(if channels == 1 {
                    Channels::Grey
                } else {
                    Channels::Rgb
                });
            }
        }
        flags.options(dataset)
    }

    /// The configuration that gives this run again.
    pub fn to_toml(&self) -> Result<String, Failure> {
        let text = toml::to_string(&self.configuration());
        Ok(text.context("cannot write the configuration as TOML")?)
    }

    /// The same as a table.
    pub fn to_table(&self) -> Result<toml::Table, Failure> {
        self.configuration().to_table()
    }

    /// The part of the configuration that decides the result.
    pub fn recipe(&self) -> Result<toml::Table, Failure> {
        let mut table = self.to_table()?;
        for key in keys(CIRCUMSTANCE) {
            table.remove(&key);
        }
        table.remove("fingerprint");
        // As the data set, it is known by its fingerprint.
        table.remove("target-dataset");
        Ok(table)
    }

    fn configuration(&self) -> Options {
        Options {
            out: Some(self.out.clone()),
            ..self.options.clone()
        }
    }

    /// The networks and numbers of the recipe, for images of one shape and of so many classes, and for the pictures
    /// that generators read, if they do.
    pub(super) fn settings(
        &self,
        image: Shape,
        picture: Option<Shape>,
        classes: usize,
        teacher: Option<&Teacher>,
    ) -> Result<Settings, Failure> {
        let generator = self.options.size.unwrap_or(Size::Small);
        let discriminator = self.options.discriminator_size.unwrap_or(generator);
        let sizes = Sizes {
            generator,
            discriminator,
        };
        let mut parts = self.options.recipe.parts(sizes, image);
        let fits = match picture.zip(parts.translators) {
            Some((picture, translators)) => {
                let translator = self.translator(&translators, generator);
                parts.set_translator(translator, sizes, picture, image)
            }
            None => match self.options.generator {
                Some(kind) => parts.set_generator(kind, generator, image),
                None => true,
            },
        };
        if !fits {
            let kind = self.options.generator.map(name).unwrap_or_default();
            return input(format!(
                "the recipe {} has no generator of the kind {kind}",
                name(self.options.recipe)
            ));
        }
        if matches!(self.game, Game::Translation(rules) if rules.adversarial == 0.0) {
            parts.networks.others.clear();
        }
        if let Some(kind) = self.options.discriminator {
            parts.set_discriminator(kind, discriminator, image);
        }
        if let Game::Autoregressive(rules) = self.game {
            parts.set_levels(rules.levels);
        }
        let latent_size = self.options.latent_size.map(|size| size as usize);
        let latent_size = latent_size.or(teacher.map(Teacher::latent_size));
        if let Some(size) = latent_size.filter(|_| picture.is_none()) {
            parts.set_latent_size(size);
        }
        if self.conditional || teacher.is_some_and(|teacher| teacher.classes().is_some()) {
            let conditioning = self.options.discriminator_conditioning.unwrap_or_default();
            let told = parts.tell(classes, conditioning);
            told.map_err(|error| {
                Failure::Input(format!(
                    "the discriminator cannot be told the class: {error}"
                ))
            })?;
        }
        parts.game = self.game;
        // Where the user says how weights follow their gradients, it is said of all networks.
        if parts.optimizer != self.optimizer {
            parts.optimizers.clear();
        }
        parts.optimizer = self.optimizer;
        parts.schedule = self.schedule;
        parts.ema_decay = self.ema_decay;
        let options = &self.options;
        let [of_generators, of_discriminators] = [options.lr_generator, options.lr_discriminator];
        let generators = Cycle::GENERATORS.map(|name| (name, of_generators));
        let discriminators = Cycle::DISCRIMINATORS.map(|name| (name, of_discriminators));
        let names: Vec<String> = parts.networks.iter().map(|n| n.name.clone()).collect();
        let is_there = |name: &str| names.iter().any(|known| known == name);
        let rates = generators.into_iter().chain(discriminators);
        let rates = rates.filter(|(name, _)| is_there(name));
        let mut settings = Settings {
            rates: rates
                .filter_map(|(name, rate)| Some((name.to_owned(), rate?)))
                .collect(),
            ..parts.settings(options.seed)
        };
        if let Some(teacher) = teacher {
            teacher.settle(&mut settings, options.finetune.is_some())?;
        }
        Ok(settings)
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

/// `runs/fashion-pocket-nano`.
fn usual_folder(dataset: &Dataset, recipe: Recipe, size: Option<Size>) -> PathBuf {
    let size = size.map_or_else(String::new, |size| format!("-{}", name(size)));
    Path::new("runs").join(format!("{}-{}{size}", dataset.short_name(), name(recipe)))
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
