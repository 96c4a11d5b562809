//! The loop around the step, on networks so small that every byte of a checkpoint can be tried.

use pocketgan_trainer::data::{self, Fingerprint, Task};
use pocketgan_trainer::files::sha256;
use pocketgan_trainer::gan::checkpoint::{Checkpoint, DecodeError};
use pocketgan_trainer::gan::fit::{
    Ended, EpochScore, FitError, Inputs, Length, Line, OnCollapse, OnNan, Progress, Run,
    ScoreFunction, Source, Watch, fit,
};
use pocketgan_trainer::gan::store::{Store, StoreError};
use pocketgan_trainer::gan::{
    Adversarial, Curve, Cycle, Likelihood, Losses, Objective, Schedule, Settings, Translation,
    Variational,
};
use pocketgan_trainer::metrics::collapse::Limits;
use pocketgan_trainer::metrics::fid_cls::Score;
use pocketgan_trainer::nn::{Initialization, ModelError};
use pocketgan_trainer::ops::Cpu;
use pocketgan_trainer::optim::{OptimizerConfig, OptimizerKind};
use pocketgan_trainer::parameters::HostTensor;
use pocketgan_trainer::spec::{Layer, Network, Shape};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;
use tempfile::TempDir;

const IMAGE: Shape = Shape::new(1, 4, 4);
const IMAGES: usize = 84;
const BATCH: usize = 4;
/// Steps of an epoch, and of a run of [`EPOCHS`].
const PER_EPOCH: u32 = 21;
const EPOCHS: u32 = 5;
const STEPS: u32 = PER_EPOCH * EPOCHS;

fn settings() -> Settings {
    let linear = |features| Layer::Linear {
        features,
        bias: true,
    };
    let generator = Network::chain(
        Shape::features(3),
        vec![
            linear(5),
            Layer::batch_norm(),
            Layer::Relu,
            linear(IMAGE.len()),
            Layer::Reshape(IMAGE),
            Layer::Tanh,
        ],
    );
    let discriminator = Network::chain(
        IMAGE,
        vec![
            Layer::Flatten,
            linear(4),
            Layer::LeakyRelu { slope: 0.2 },
            linear(1),
        ],
    );
    Settings {
        networks: Adversarial::networks(generator, discriminator),
        game: Adversarial::new(Objective::NonSaturating).into(),
        initialization: Initialization::Dcgan,
        trained: BTreeMap::new(),
        optimizer: OptimizerConfig::adam(1e-2, 0.5, 0.999),
        optimizers: BTreeMap::new(),
        rates: BTreeMap::new(),
        schedule: Schedule::CONSTANT,
        ema_decay: 0.99,
        growth: None,
        seed: 3,
    }
}

/// A learning rate that falls over a whole run.
const COSINE: Schedule = Schedule {
    curve: Curve::Cosine,
    steps: STEPS,
    end: 0.1,
};

/// Images that follow from their number; a poisoned batch holds a NaN.
#[derive(Default)]
struct Images {
    /// The batches that were asked for.
    asked: Mutex<Vec<Vec<u32>>>,
    poisoned: Vec<u32>,
    /// The batches of the steps, where steps matter.
    script: Vec<Vec<u32>>,
    /// The steps whose images are all black.
    spoiled: Range<u32>,
    /// The step that was taken last.
    step: AtomicU32,
    cured: AtomicBool,
    /// What generators read.
    task: Option<Task>,
    unpaired: Option<data::Images>,
}

impl Source for Images {
    fn inputs(&self) -> Option<Inputs<'_>> {
        let task = self.task.map(Inputs::Task);
        task.or(self.unpaired.as_ref().map(Inputs::Unpaired))
    }

    fn shape(&self) -> Shape {
        IMAGE
    }

    fn count(&self) -> usize {
        IMAGES
    }

    fn classes(&self) -> usize {
        2
    }

    fn assemble(&self, batch: &[u32], real: &mut Vec<f32>, classes: &mut Vec<u32>) {
        classes.clear();
        classes.extend(batch.iter().map(|number| number % 2));
        real.clear();
        for &number in batch {
            real.extend((0..16).map(|pixel| ((number * 31 + pixel * 7) % 64) as f32 / 32.0 - 1.0));
        }
        if batch == self.poisoned && !self.cured.load(Ordering::Relaxed) {
            real[0] = f32::NAN;
        }
        let at = self.script.iter().position(|known| known == batch);
        let spoiled = at.is_some_and(|at| self.spoiled.contains(&(at as u32 + 1)));
        if spoiled && !self.cured.load(Ordering::Relaxed) {
            real.fill(-1.0);
        }
        // The others are for the watch on collapse.
        if batch.len() == BATCH {
            self.asked.lock().unwrap().push(batch.to_vec());
        }
    }
}

/// What befalls a run.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    LeftAlone,
    /// The process dies after this step.
    Dies(u32),
    /// Somebody presses Ctrl-C after this step.
    Stops(u32),
}

struct Observer<'a> {
    fate: Fate,
    /// Those that this part has taken, and all before.
    steps: u32,
    /// Those of the whole run, if it is one of so many epochs.
    all: f64,
    images: &'a Images,
    notes: Vec<String>,
    lines: Vec<Line>,
}

impl Watch for Observer<'_> {
    fn step(&mut self, progress: Progress) {
        let step = (progress.share * self.all).round() as u32;
        self.images.step.store(step, Ordering::Relaxed);
        self.steps += 1;
        if self.fate == Fate::Dies(self.steps) {
            std::panic::resume_unwind(Box::new("killed"));
        }
    }

    fn line(&mut self, line: &Line) {
        self.lines.push(line.clone());
    }

    fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
        // A lower learning rate is all it took.
        let cured = note.contains("learning rate");
        self.images.cured.store(cured, Ordering::Relaxed);
    }

    fn stop(&mut self) -> bool {
        self.fate == Fate::Stops(self.steps)
    }
}

thread_local! {
    /// The networks here are so small that handing work from thread to thread takes nearly all of the time.
    static ALONE: ThreadPool = ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build()
        .unwrap();
}

/// A run's folder and what is run in it.
struct Bench {
    folder: TempDir,
    run: Run,
    images: Images,
}

/// Makes a bench with so many steps from one checkpoint to the next.
type New = fn(u32) -> Bench;

/// How a part of a run went.
struct Part {
    /// `None` if it died.
    ended: Option<Result<Ended<Cpu>, FitError>>,
    notes: Vec<String>,
    lines: Vec<Line>,
}

impl Part {
    fn finished(self) -> u32 {
        match self.ended {
            Some(Ok(Ended::Finished(trained))) => trained.steps,
            Some(Ok(Ended::Stopped(step))) => panic!("stopped after step {step}"),
            Some(Err(error)) => panic!("{error}"),
            None => panic!("died"),
        }
    }

    fn failed(self) -> FitError {
        match self.ended {
            Some(Err(error)) => error,
            _ => panic!("it did not fail"),
        }
    }
}

impl Bench {
    fn new(checkpoint_every: u32) -> Self {
        ALONE.with(|_| {});
        let folder = tempfile::tempdir().unwrap();
        let run = Run {
            settings: settings(),
            length: Length::Epochs(EPOCHS),
            batch: BATCH,
            flip: false,
            shown: None,
            shown_others: Vec::new(),
            data: None,
            changed_data: false,
            folder: folder.path().to_owned(),
            recipe: "seed = 3\n".into(),
            checkpoint_every,
            keep: 1000,
            on_nan: OnNan::Stop,
            on_collapse: OnCollapse::Warn,
            limits: Limits::default(),
        };
        Self {
            folder,
            run,
            images: Images::default(),
        }
    }

    /// The same with a variational autoencoder: the second network is its encoder.
    fn variational(checkpoint_every: u32) -> Self {
        let mut bench = Self::new(checkpoint_every);
        let settings = &mut bench.run.settings;
        let decoder = settings.networks.generator.network.clone();
        let mut encoder = settings.networks.others[0].network.clone();
        encoder.layers.pop();
        encoder.layers.push(Layer::Linear {
            features: 2 * decoder.input.len(),
            bias: true,
        });
        settings.networks = Variational::networks(decoder, encoder);
        settings.game = Variational {
            likelihood: Likelihood::Bernoulli,
            beta: 1.0,
        }
        .into();
        bench
    }

    /// Networks that read pictures: a generator of pictures, and a discriminator beside the one that there is.
    fn of_pictures(checkpoint_every: u32) -> (Self, Network, Network) {
        let bench = Self::new(checkpoint_every);
        let conv = |channels| Layer::Conv2d {
            channels,
            kernel: 3,
            stride: 1,
            padding: 1,
            bias: true,
        };
        let layers = vec![
            conv(2),
            Layer::batch_norm(),
            Layer::Relu,
            conv(1),
            Layer::Tanh,
        ];
        let generator = Network::chain(IMAGE, layers);
        let both = Shape::new(2, IMAGE.height, IMAGE.width);
        let layers = vec![
            conv(2),
            Layer::batch_norm(),
            Layer::LeakyRelu { slope: 0.2 },
            conv(1),
        ];
        (bench, generator, Network::chain(both, layers))
    }

    /// The same with a translation of noisy images.
    fn translation(checkpoint_every: u32) -> Self {
        let (mut bench, generator, discriminator) = Self::of_pictures(checkpoint_every);
        bench.images.task = Some(Task::Denoise);
        let settings = &mut bench.run.settings;
        settings.networks = Translation::networks(generator, Some(discriminator));
        settings.game = Translation {
            adversarial: 0.5,
            sees_pictures: true,
            ..Translation::PIXELS
        }
        .into();
        bench
    }

    /// The same with a translation between images and eleven others.
    fn cycle(checkpoint_every: u32) -> Self {
        let (mut bench, generator, mut discriminator) = Self::of_pictures(checkpoint_every);
        discriminator.input = IMAGE;
        bench.images.unpaired = Some(data::Images {
            count: 11,
            channels: 1,
            height: IMAGE.height,
            width: IMAGE.width,
            pixels: (0..11 * 16).map(|i| (i * 23 % 256) as u8).collect(),
            labels: Vec::new(),
            classes: Vec::new(),
            names: Vec::new(),
        });
        let settings = &mut bench.run.settings;
        settings.networks = Cycle::networks(
            [generator.clone(), generator],
            [discriminator.clone(), discriminator],
        );
        settings.game = Cycle {
            identity: 0.5,
            ..Cycle::USUAL
        }
        .into();
        settings.schedule = Schedule {
            curve: Curve::ConstantThenLinear,
            ..COSINE
        };
        bench
    }

    fn store(&self) -> Store {
        Store::of(self.folder.path())
    }

    fn newest(&self) -> Option<Checkpoint> {
        let found = self.store().newest(&mut |_| {}).unwrap();
        found.map(|found| found.checkpoint)
    }

    fn path(&self, step: u32) -> PathBuf {
        let name = format!("checkpoints/step-{step:08}.safetensors");
        self.folder.path().join(name)
    }

    fn bytes(&self, step: u32) -> Vec<u8> {
        std::fs::read(self.path(step)).unwrap()
    }

    fn last(&self) -> Vec<u8> {
        self.bytes(STEPS)
    }

    /// Steps and losses of the log: all that is not a time.
    fn log(&self) -> Vec<(u32, Losses, f64)> {
        let text = std::fs::read_to_string(self.folder.path().join("stats.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.map(|l: Line| (l.step, l.losses, l.entropy)).collect()
    }

    /// Begins the run, or takes it up at its newest checkpoint.
    fn go(&self, fate: Fate) -> Part {
        self.rated(fate, &mut |_| Ok(None))
    }

    fn rated(&self, fate: Fate, score: &mut ScoreFunction<'_, Cpu>) -> Part {
        let from = self.newest();
        let rolled_back = from.as_ref().is_some_and(|from| from.rollbacks > 0);
        self.images.cured.store(rolled_back, Ordering::Relaxed);
        let epochs = match self.run.length {
            Length::Epochs(epochs) => epochs,
            Length::Time(_) => 0,
        };
        let mut observer = Observer {
            fate,
            all: f64::from(epochs * STEPS / EPOCHS),
            steps: from.as_ref().map_or(0, |from| from.gan.steps),
            images: &self.images,
            notes: Vec::new(),
            lines: Vec::new(),
        };
        let mut part = || {
            let cpu = Cpu::default();
            fit(
                cpu,
                &self.run,
                &self.images,
                from.as_ref(),
                score,
                &mut observer,
            )
        };
        let ended = catch_unwind(AssertUnwindSafe(&mut part)).ok();
        Part {
            ended,
            notes: observer.notes,
            lines: observer.lines,
        }
    }

    /// Poisons the batch of a step.
    fn poison(&mut self, step: u32) {
        let clean = Bench::new(1000);
        clean.go(Fate::LeftAlone).finished();
        let asked = clean.images.asked.lock().unwrap();
        self.images.poisoned = asked[step as usize - 1].clone();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[test]
fn every_checkpoint_leads_to_the_same_end() {
    let alone = Bench::new(1);
    assert_eq!(alone.go(Fate::LeftAlone).finished(), STEPS);
    assert_eq!(alone.log().len(), 2);
    for step in (1..STEPS).step_by(4) {
        let again = Bench::new(1000);
        copy(alone.folder.path(), again.folder.path());
        for later in step + 1..=STEPS {
            std::fs::remove_file(again.path(later)).unwrap();
        }
        assert_eq!(again.go(Fate::LeftAlone).finished(), STEPS);
        assert!(again.last() == alone.last(), "from step {step}");
        assert_eq!(again.log(), alone.log(), "from step {step}");
    }
}

/// Wherever a run dies or is stopped, and however often it writes.
#[test]
fn a_run_that_dies_is_taken_up_exactly() {
    let steps = [1, 6, 7, 8, 20, 21, 22, 49, 50, 51, 63, 90, 104];
    taken_up_exactly(Bench::new, &steps);
}

/// With momentum, a schedule, and rates that differ.
#[test]
fn a_run_with_other_rates_that_dies_is_taken_up_exactly() {
    let new = |every| {
        let mut bench = Bench::new(every);
        let settings = &mut bench.run.settings;
        settings.optimizer = OptimizerKind::Sgd.with_rate(1e-2);
        settings.rates = [("discriminator".to_owned(), 5e-3)].into();
        settings.schedule = COSINE;
        bench
    };
    taken_up_exactly(new, &[21, 50]);
}

#[test]
fn a_variational_run_that_dies_is_taken_up_exactly() {
    taken_up_exactly(Bench::variational, &[7, 21, 50, 90]);
}

/// What is read follows from the step, and what the discriminators are shown from the checkpoint.
#[test]
fn runs_that_read_pictures_and_die_are_taken_up_exactly() {
    taken_up_exactly(Bench::translation, &[7, 50]);
    taken_up_exactly(Bench::cycle, &[3, 21, 50]);
    let bench = Bench::cycle(1000);
    bench.go(Fate::LeftAlone).finished();
    let checkpoint = bench.newest().unwrap();
    let buffers = checkpoint.gan.extra;
    let shapes: Vec<_> = buffers.values().map(|buffer| &buffer.shape[..]).collect();
    assert_eq!(shapes, [[50, 4, 4, 1]; 2]);
}

fn taken_up_exactly(new: fn(u32) -> Bench, steps: &[u32]) {
    let alone = new(1000);
    alone.go(Fate::LeftAlone).finished();
    let samples = |bench: &Bench| {
        let names = std::fs::read_dir(bench.folder.path().join("samples")).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    for &step in steps {
        for (every, fate) in [(7, Fate::Dies(step)), (1000, Fate::Stops(step))] {
            let bench = new(every);
            let part = bench.go(fate);
            match fate {
                Fate::Stops(step) => {
                    assert!(matches!(part.ended, Some(Ok(Ended::Stopped(at))) if at == step));
                }
                _ => assert!(part.ended.is_none()),
            }
            bench.go(Fate::LeftAlone).finished();
            assert!(bench.last() == alone.last(), "step {step}");
            assert_eq!(bench.log(), alone.log(), "step {step}");
            assert_eq!(samples(&bench), samples(&alone), "step {step}");
        }
    }
}

/// A run that was shorter first leaves what one leaves that was not: checkpoints, the best of them, log and pictures.
#[test]
fn a_longer_run_leaves_no_trace_of_its_first_length() {
    let scores = [5.0, 3.0, 4.0, 2.0, 6.0];
    let bench = |new: fn(u32) -> Bench| {
        let mut bench = new(10);
        bench.run.keep = 2;
        bench
    };
    let files = |bench: &Bench| {
        ["checkpoints", "samples"].map(|folder| {
            let entries = std::fs::read_dir(bench.folder.path().join(folder)).unwrap();
            let files = entries.map(|entry| entry.unwrap().path());
            let files = files.filter(|path| path.extension().is_none_or(|end| end != "jsonl"));
            let named =
                files.map(|path| (path.file_name().unwrap().to_owned(), std::fs::read(path)));
            let mut named: Vec<_> = named.map(|(name, bytes)| (name, bytes.unwrap())).collect();
            named.sort();
            named
        })
    };
    for new in [Bench::new, Bench::variational] {
        let alone = bench(new);
        let mut score = planted(scores, 0);
        alone
            .rated(Fate::LeftAlone, &mut |_| {
                Ok(Some(EpochScore::Images(score())))
            })
            .finished();
        for (epochs, fate) in [
            (2, Fate::LeftAlone),
            (4, Fate::LeftAlone),
            (4, Fate::Stops(50)),
        ] {
            let mut bench = bench(new);
            bench.run.length = Length::Epochs(epochs);
            let mut score = planted(scores, 0);
            bench.rated(fate, &mut |_| Ok(Some(EpochScore::Images(score()))));
            bench.run.length = Length::Epochs(EPOCHS);
            let done = bench.newest().unwrap().gan.steps / PER_EPOCH;
            let mut score = planted(scores, done);
            bench
                .rated(Fate::LeftAlone, &mut |_| {
                    Ok(Some(EpochScore::Images(score())))
                })
                .finished();
            assert!(files(&bench) == files(&alone), "{epochs} epochs");
        }
    }
}

/// What is mirrored hangs on the epoch and the image, not on where a run was resumed.
#[test]
fn a_run_with_mirrored_images_is_taken_up_exactly() {
    let flipped = |checkpoint_every| {
        let mut bench = Bench::new(checkpoint_every);
        bench.run.flip = true;
        bench
    };
    let alone = flipped(1000);
    alone.go(Fate::LeftAlone).finished();
    for step in [5, 21, 50] {
        let bench = flipped(4);
        assert!(bench.go(Fate::Dies(step)).ended.is_none());
        bench.go(Fate::LeftAlone).finished();
        assert!(bench.last() == alone.last(), "step {step}");
    }
    let unflipped = Bench::new(1000);
    unflipped.go(Fate::LeftAlone).finished();
    assert!(unflipped.last() != alone.last());
}

#[test]
fn every_altered_byte_is_found() {
    let bench = Bench::new(1000);
    bench.go(Fate::LeftAlone).finished();
    let bytes = bench.last();
    let sound = Checkpoint::decode(&bytes).unwrap();
    assert!(sound.encode().unwrap() == bytes);
    assert_eq!(sound.position.epoch, EPOCHS);
    let mut altered = bytes.clone();
    for at in 0..bytes.len() {
        for bits in [1, 0x80, 0x29] {
            altered[at] ^= bits;
            assert!(Checkpoint::decode(&altered).is_err(), "byte {at}");
            altered[at] ^= bits;
        }
    }
    for cut in 0..bytes.len() {
        assert!(Checkpoint::decode(&bytes[..cut]).is_err(), "{cut} bytes");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(Checkpoint::decode(&longer).is_err());
}

#[test]
fn another_format_is_named() {
    let bench = Bench::new(1000);
    bench.go(Fate::LeftAlone).finished();
    let mut bytes = bench.last();
    replace(&mut bytes, br#"\"format\":4"#, br#"\"format\":1"#);
    let error = Checkpoint::decode(&bytes).unwrap_err();
    assert!(matches!(error, DecodeError::Format { found: 1 }), "{error}");
}

fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let at = bytes.windows(old.len()).position(|w| w == old).unwrap();
    bytes[at..at + old.len()].copy_from_slice(new);
}

/// A checkpoint of format 3 after step 63, written by the code of then.
fn of_format_3(kind: &str) -> Vec<u8> {
    let name = format!("tests/fixtures/format-3-{kind}.safetensors");
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Format 2 had no record of the data.
fn as_format_2(mut bytes: Vec<u8>) -> Vec<u8> {
    replace(&mut bytes, br#"\"format\":3"#, br#"\"format\":2"#);
    replace(&mut bytes, br#",\"data\":null"#, b"              ");
    let sum = br#"\"sha256\":\""#;
    let at = bytes.windows(sum.len()).position(|w| w == sum).unwrap();
    let place = at + sum.len()..at + sum.len() + 64;
    bytes[place.clone()].fill(b'0');
    let sum = sha256(&bytes);
    bytes[place].copy_from_slice(sum.as_bytes());
    bytes
}

#[test]
fn a_run_of_an_old_format_goes_on_exactly() {
    let kinds: [(&str, New, _, _); 2] = [
        (
            "gan",
            Bench::new,
            ["generator", "discriminator"],
            ["discriminator", "generator"],
        ),
        (
            "vae",
            Bench::variational,
            ["decoder", "encoder"],
            ["divergence", "reconstruction"],
        ),
    ];
    for (kind, new, networks, losses) in kinds {
        let alone = new(1000);
        alone.go(Fate::LeftAlone).finished();
        let bytes = of_format_3(kind);
        for bytes in [as_format_2(bytes.clone()), bytes] {
            let checkpoint = Checkpoint::decode(&bytes).unwrap();
            let names: Vec<_> = checkpoint
                .networks
                .iter()
                .map(|named| &named.name)
                .collect();
            assert_eq!(names, networks);
            assert_eq!(checkpoint.since.len(), 13);
            let names: Vec<_> = checkpoint.since[0].0.keys().collect();
            assert_eq!(names, losses);
            let bench = new(1000);
            std::fs::create_dir(bench.folder.path().join("checkpoints")).unwrap();
            std::fs::write(bench.path(63), bytes).unwrap();
            bench.go(Fate::LeftAlone).finished();
            assert!(bench.last() == alone.last(), "{kind}");
        }
    }
}

#[test]
fn a_log_has_the_losses_of_its_kind() {
    let kinds: [(New, _); 2] = [
        (Bench::new, ["discriminator_loss", "generator_loss"]),
        (
            Bench::variational,
            ["divergence_loss", "reconstruction_loss"],
        ),
    ];
    for (new, losses) in kinds {
        let bench = new(1000);
        bench.go(Fate::Stops(50));
        let text = std::fs::read_to_string(bench.folder.path().join("stats.jsonl")).unwrap();
        let line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        let keys = line.keys().filter(|key| key.ends_with("_loss"));
        assert_eq!(keys.collect::<Vec<_>>(), losses);
        assert!(losses.iter().all(|key| line[*key].is_f64()), "{text}");
    }
}

/// Tensors with names, for kinds of training that need more than networks and optimizers.
#[test]
fn what_a_kind_of_training_keeps_besides_stays() {
    let bench = Bench::new(1000);
    bench.go(Fate::Stops(60));
    let mut checkpoint = Checkpoint::decode(&bench.bytes(60)).unwrap();
    let queue = HostTensor {
        shape: vec![2, 1],
        data: vec![0.5, -1.0],
    };
    checkpoint.gan.extra.insert("queue".into(), queue);
    let bytes = checkpoint.encode().unwrap();
    assert_eq!(Checkpoint::decode(&bytes).unwrap(), checkpoint);
    std::fs::write(bench.path(60), bytes).unwrap();
    bench.go(Fate::LeftAlone).finished();
    let last = Checkpoint::decode(&bench.last()).unwrap();
    assert_eq!(last.gan.extra, checkpoint.gan.extra);
    assert!(checkpoint.is_finite());
    checkpoint.gan.extra.get_mut("queue").unwrap().data[1] = f32::NAN;
    assert!(!checkpoint.is_finite());
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_set_aside() {
    let alone = Bench::new(1000);
    alone.go(Fate::LeftAlone).finished();
    let mut bench = Bench::new(10);
    // With one kept, a damaged file that counted would push out the good one.
    bench.run.keep = 2;
    bench.go(Fate::Dies(35));
    let torn = bench.bytes(31);
    std::fs::write(bench.path(31), &torn[..torn.len() / 2]).unwrap();
    let mut notes = Vec::new();
    let found = bench
        .store()
        .newest(&mut |note| notes.push(note.to_owned()));
    assert_eq!(found.unwrap().unwrap().checkpoint.gan.steps, 21);
    assert!(
        notes.len() == 1 && notes[0].contains("step-00000031"),
        "{notes:?}"
    );
    bench.run.keep = 1;
    bench.go(Fate::Dies(29));
    assert_eq!(bench.newest().unwrap().gan.steps, 21);
    let aside = bench.path(31).with_extension("safetensors.damaged");
    assert!(std::fs::read(aside).unwrap() == torn[..torn.len() / 2]);
    bench.go(Fate::LeftAlone).finished();
    assert!(bench.last() == alone.last());
    assert_eq!(bench.log(), alone.log());

    let mut altered = bench.last();
    altered[40] ^= 1;
    std::fs::write(bench.path(STEPS), altered).unwrap();
    let error = bench.store().newest(&mut |_| {}).unwrap_err();
    assert!(matches!(error, StoreError::NoneUsable { .. }), "{error}");
}

#[test]
fn only_the_newest_checkpoints_are_kept() {
    let mut bench = Bench::new(10);
    bench.run.keep = 2;
    bench.go(Fate::LeftAlone).finished();
    let there: Vec<u32> = (0..=STEPS)
        .filter(|&step| bench.path(step).exists())
        .collect();
    assert_eq!(there, [104, 105]);
}

/// What is written at a stop counts, but the last planned one stays, to which a run goes back.
#[test]
fn a_checkpoint_of_a_stop_is_one_of_the_newest() {
    for (keep, kept) in [(3, vec![42, 52, 57]), (2, vec![52, 57]), (1, vec![52, 57])] {
        let mut bench = Bench::new(10);
        bench.run.keep = keep;
        bench.go(Fate::Stops(57));
        let there = |bench: &Bench| {
            let steps = (0..=STEPS).filter(|&step| bench.path(step).exists());
            steps.collect::<Vec<u32>>()
        };
        assert_eq!(there(&bench), kept);
        bench.go(Fate::LeftAlone).finished();
        assert_eq!(there(&bench), [94, 104, 105][3 - keep..]);
    }
}

/// Older versions logged the losses of an autoencoder under an adversarial network's names.
#[test]
fn the_curves_of_an_old_autoencoder_have_their_first_points() {
    let alone = Bench::variational(10);
    alone.go(Fate::LeftAlone).finished();
    let bench = Bench::variational(10);
    bench.go(Fate::Stops(60));
    let log = bench.folder.path().join("stats.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    let old = text.replace("divergence_loss", "discriminator_loss");
    let old = old.replace("reconstruction_loss", "generator_loss");
    assert_ne!(old, text);
    std::fs::write(&log, old).unwrap();
    bench.go(Fate::LeftAlone).finished();
    let curves =
        [&bench, &alone].map(|b| std::fs::read(b.folder.path().join("losses.png")).unwrap());
    assert!(curves[0] == curves[1]);
}

#[test]
fn a_nan_ends_the_run_at_its_last_good_checkpoint() {
    let mut bench = Bench::new(10);
    bench.poison(47);
    match bench.go(Fate::LeftAlone).failed() {
        FitError::NotFinite { step, last } => {
            assert_eq!((step, last), (47, Some(bench.path(42))));
        }
        other => panic!("{other}"),
    }
    let sound = bench.newest().unwrap();
    assert_eq!(sound.gan.steps, 42);
    assert!(sound.is_finite());
    let mut bench = Bench::new(10);
    bench.poison(4);
    let error = bench.go(Fate::LeftAlone).failed();
    assert!(
        matches!(
            error,
            FitError::NotFinite {
                step: 4,
                last: None
            }
        ),
        "{error}"
    );
}

/// A run that went back ends alike wherever it dies or is stopped, before and after.
#[test]
fn a_rollback_is_part_of_the_run() {
    let schedules = [Schedule::CONSTANT, COSINE];
    for (poisoned, schedule) in [4, 47].into_iter().zip(schedules) {
        let new = || {
            let mut bench = Bench::new(10);
            bench.run.settings.schedule = schedule;
            bench
        };
        let bench = || {
            let mut bench = new();
            bench.run.on_nan = OnNan::Rollback;
            bench.run.keep = 1;
            bench.poison(poisoned);
            bench
        };
        let alone = bench();
        let part = alone.go(Fate::LeftAlone);
        let back = if poisoned == 4 { 0 } else { 42 };
        assert_eq!(part.notes.len(), 1);
        let rate = |steps| 0.005 * schedule.share(steps);
        let note = format!("back to step {back} with the learning rate {}", rate(back));
        assert!(part.notes[0].contains(&note), "{}", part.notes[0]);
        let rates: Vec<(u32, f64)> = part
            .lines
            .iter()
            .map(|l| (l.step, l.learning_rate))
            .collect();
        assert_eq!(rates, [(50, rate(49)), (100, rate(99))]);
        let last = Checkpoint::decode(&alone.last()).unwrap();
        assert_eq!(last.rollbacks, 1);
        assert_ne!(last.gan, {
            let other = new();
            other.go(Fate::LeftAlone).finished();
            Checkpoint::decode(&other.last()).unwrap().gan
        });
        for step in [2, 41, 43, 46, 48, 60] {
            for fate in [Fate::Dies(step), Fate::Stops(step)] {
                let bench = bench();
                bench.go(fate);
                bench.go(Fate::LeftAlone).finished();
                assert!(
                    bench.last() == alone.last(),
                    "step {step} of a run poisoned at {poisoned}"
                );
                assert_eq!(bench.log(), alone.log());
            }
        }
    }
}

/// Weights that overflow, whatever the learning rate: six halvings, then a sentence, and nothing that is not a
/// number on the disk.
#[test]
fn a_hopeless_run_is_given_up() {
    let mut bench = Bench::new(1);
    bench.run.on_nan = OnNan::Rollback;
    bench.run.settings.optimizer.learning_rate = 1e38;
    let part = bench.go(Fate::LeftAlone);
    assert_eq!(part.notes.len(), 6, "{:?}", part.notes);
    let error = part.failed();
    assert!(matches!(error, FitError::GivenUp { .. }), "{error}");
    for step in 1..STEPS {
        if bench.path(step).exists() {
            assert!(Checkpoint::decode(&bench.bytes(step)).unwrap().is_finite());
        }
    }
}

/// The best by `fid-channels` is the worst by `fid-cls`.
fn scored(fid_channels: f64) -> Score {
    Score {
        fid_cls: 100.0 - fid_channels,
        fid_channels: Some(fid_channels),
        class_counts: vec![7],
        class_entropy: 0.0,
    }
}

/// Scores of the five epochs, planted.
fn planted(scores: [f64; EPOCHS as usize], done: u32) -> impl FnMut() -> Score {
    let mut scores = scores.into_iter().skip(done as usize);
    move || scored(scores.next().unwrap())
}

#[test]
fn the_best_checkpoint_is_kept_through_deaths() {
    let best = |bench: &Bench| {
        let found = bench.store().best().unwrap();
        found.map(|found| found.checkpoint.gan.steps)
    };
    // An infinite score is no score.
    let scores = [5.0, 3.0, f64::NEG_INFINITY, 4.0, 3.0];
    for death in [25, 43, 70, 100] {
        let mut bench = Bench::new(10);
        bench.run.keep = 1;
        assert_eq!(best(&bench), None);
        let mut score = planted(scores, 0);
        bench.rated(Fate::Dies(death), &mut |_| {
            Ok(Some(EpochScore::Images(score())))
        });
        let so_far = if death < 42 { 21 } else { 42 };
        assert_eq!(best(&bench), Some(so_far), "death after step {death}");
        let mut score = planted(scores, death / PER_EPOCH);
        let part = bench.rated(Fate::LeftAlone, &mut |_| {
            Ok(Some(EpochScore::Images(score())))
        });
        assert_eq!(part.finished(), STEPS);
        assert_eq!(best(&bench), Some(42), "death after step {death}");
        assert!(bench.path(STEPS).exists() && !bench.path(42).exists());
    }
}

/// Killed after the checkpoint was written and before it was written as the best.
#[test]
fn a_best_checkpoint_that_is_missing_is_made_up_for() {
    let bench = Bench::new(10);
    let mut score = planted([5.0, 4.0, 3.0, 2.0, 1.0], 0);
    bench.rated(Fate::Dies(43), &mut |_| {
        Ok(Some(EpochScore::Images(score())))
    });
    let best = bench.folder.path().join("checkpoints/best.safetensors");
    std::fs::remove_file(&best).unwrap();
    bench.go(Fate::Dies(44));
    assert!(std::fs::read(&best).unwrap() == bench.bytes(42));
}

#[test]
fn a_score_that_fails_costs_nothing_but_itself() {
    let alone = Bench::new(10);
    alone.go(Fate::LeftAlone).finished();
    let bench = Bench::new(10);
    let failure = || ModelError::Device("no room".into());
    let mut scores = [
        Ok(Some(EpochScore::Images(scored(2.0)))),
        Err(failure()),
        Ok(None),
        Ok(Some(EpochScore::Images(scored(1.0)))),
        Err(failure()),
    ]
    .into_iter();
    let part = bench.rated(Fate::LeftAlone, &mut |_| scores.next().unwrap());
    let told: Vec<_> = part
        .notes
        .iter()
        .filter(|note| note.contains("no room"))
        .collect();
    assert_eq!(told.len(), 2);
    part.finished();
    assert!(bench.last() == alone.last());
    let best = bench.store().best().unwrap().unwrap();
    assert_eq!(best.checkpoint.gan.steps, 4 * PER_EPOCH);
}

/// The score sees the generator that the checkpoint holds, and does not change the run.
#[test]
fn a_score_is_an_onlooker() {
    let alone = Bench::new(10);
    alone.go(Fate::LeftAlone).finished();
    let rated = Bench::new(10);
    let mut seen = Vec::new();
    let part = rated.rated(Fate::LeftAlone, &mut |generator| {
        seen.push(generator.parameters()?);
        Ok(None)
    });
    part.finished();
    assert!(rated.last() == alone.last());
    let held = (1..=EPOCHS).map(|epoch| Checkpoint::decode(&rated.bytes(epoch * PER_EPOCH)));
    let held: Vec<_> = held
        .map(|held| held.unwrap().generator().unwrap().1.clone())
        .collect();
    assert_eq!(seen, held);
}

/// The time of all parts counts, and none is counted that was lost with its steps.
#[test]
fn the_clock_goes_on() {
    let mut bench = Bench::new(10);
    let limit = Duration::from_millis(300);
    bench.run.length = Length::Time(limit);
    bench.go(Fate::Stops(60));
    let elapsed = |bench: &Bench| -> Vec<f64> {
        let path = bench.folder.path().join("checkpoints/log.jsonl");
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines
            .map(|l: serde_json::Value| l["elapsed_s"].as_f64().unwrap())
            .collect()
    };
    let before = elapsed(&bench);
    let steps = bench.go(Fate::LeftAlone).finished();
    let after = elapsed(&bench);
    assert_eq!(after[..before.len()], before);
    assert!(after.is_sorted());
    assert!(*after.last().unwrap() >= limit.as_secs_f64());
    // A run whose time is over has nothing left to do.
    assert_eq!(bench.go(Fate::LeftAlone).finished(), steps);
}

#[test]
fn a_checkpoint_of_other_networks_is_refused() {
    let mut bench = Bench::new(10);
    bench.go(Fate::Dies(25));
    bench.run.batch = 5;
    let error = bench.go(Fate::LeftAlone).failed();
    assert!(matches!(error, FitError::Epochs { .. }), "{error}");
    bench.run.batch = BATCH;
    let networks = &mut bench.run.settings.networks;
    let generator = &mut networks.generator.network;
    generator.layers.insert(0, Layer::batch_norm());
    let error = bench.go(Fate::LeftAlone).failed();
    assert!(matches!(error, FitError::Networks { .. }), "{error}");
    let generator = &bench.run.settings.networks.generator.network;
    let latent = generator.input.len();
    let now: usize = generator.parameters().unwrap();
    let then = now - 2 * latent;
    let said = error.to_string();
    let then = format!("networks: generator of {then} parameters and ");
    assert!(said.contains(&then), "{said}");
    let now = format!(" then, generator of {now} parameters and ");
    assert!(said.contains(&now), "{said}");
}

/// A checkpoint knows of how many images it is.
#[test]
fn a_checkpoint_of_another_number_of_images_is_refused() {
    let print = |images: usize| Fingerprint {
        sha256: String::new(),
        sum: String::new(),
        images,
        shape: [1, 4, 4],
        classes: Vec::new(),
        inputs: None,
    };
    let mut bench = Bench::new(10);
    bench.run.data = Some(print(77));
    bench.go(Fate::Dies(25));
    bench.run.batch = 5;
    let said = bench.go(Fate::LeftAlone).failed().to_string();
    let count = bench.images.count();
    assert!(
        said.contains(&format!("on 77 images, and there are {count}")),
        "{said}"
    );
    bench.run.changed_data = true;
    bench.go(Fate::LeftAlone).finished();
}

/// Steps of a run that collapses.
const LONG: u32 = 20 * PER_EPOCH;
/// The first step whose images are black.
const BLACK: u32 = 200;

/// A run that collapses if its images do.
fn long(on_collapse: OnCollapse) -> Bench {
    let mut bench = Bench::new(10);
    bench.run.length = Length::Epochs(20);
    bench.run.keep = 1;
    bench.run.on_collapse = on_collapse;
    bench.run.limits = Limits {
        warm_up: 50,
        window: 2,
        ..Limits::default()
    };
    bench
}

/// The batches of the steps of such a run, which has no collapse of its own.
static SCRIPT: LazyLock<Vec<Vec<u32>>> = LazyLock::new(|| {
    let clean = long(OnCollapse::Warn);
    let part = clean.go(Fate::LeftAlone);
    assert_eq!(part.notes, [""; 0]);
    assert_eq!(part.finished(), LONG);
    clean.images.asked.into_inner().unwrap()
});

/// A run whose images are black from a step on, until the learning rate is lower.
fn collapsing(on_collapse: OnCollapse) -> Bench {
    let mut bench = long(on_collapse);
    bench.images.script = SCRIPT.clone();
    bench.images.spoiled = BLACK..u32::MAX;
    bench
}

/// The step and the last good checkpoint of a run that a collapse has ended.
fn collapsed(part: Part) -> (u32, Option<PathBuf>) {
    match part.failed() {
        FitError::Collapsed { step, last, .. } => (step, last),
        other => panic!("{other}"),
    }
}

#[test]
fn a_warning_changes_nothing_and_is_given_once() {
    let bench = collapsing(OnCollapse::Warn);
    let part = bench.go(Fate::LeftAlone);
    println!("{:?}", part.notes);
    assert_eq!(part.notes.len(), 1, "{:?}", part.notes);
    assert!(part.notes[0].contains("the generator has collapsed (pixel entropy"));
    assert_eq!(part.finished(), LONG);
    // A resumed run has been warned.
    let again = collapsing(OnCollapse::Warn);
    again.go(Fate::Dies(LONG - 5));
    let part = again.go(Fate::LeftAlone);
    assert_eq!(part.notes, [""; 0]);
    part.finished();
    assert!(again.bytes(LONG) == bench.bytes(LONG));
}

#[test]
fn a_collapse_ends_the_run_and_its_last_good_checkpoint_stays() {
    let bench = collapsing(OnCollapse::Stop);
    let (step, last) = collapsed(bench.go(Fate::LeftAlone));
    assert!(step > BLACK, "{step}");
    let last = last.unwrap();
    let good = Checkpoint::decode(&std::fs::read(&last).unwrap()).unwrap();
    // From before the two lines that it was seen by.
    assert!(good.gan.steps <= step - 100, "{step} {}", last.display());
    assert!(bench.newest().unwrap().gan.steps < step);
    // It stops there again; but it can be told to go another way.
    let (again, _) = collapsed(bench.go(Fate::LeftAlone));
    assert_eq!(again, step);
    let mut bench = bench;
    bench.run.on_collapse = OnCollapse::Rollback;
    assert_eq!(bench.go(Fate::LeftAlone).finished(), LONG);
    let alone = collapsing(OnCollapse::Rollback);
    alone.go(Fate::LeftAlone).finished();
    assert!(bench.bytes(LONG) == alone.bytes(LONG));
}

/// A run that went back from a collapse ends alike wherever it dies or is stopped, before and after, though it keeps
/// one checkpoint only.
#[test]
fn a_rollback_from_a_collapse_is_part_of_the_run() {
    let alone = collapsing(OnCollapse::Rollback);
    let part = alone.go(Fate::LeftAlone);
    println!("{:?}", part.notes);
    assert_eq!(part.notes.len(), 1, "{:?}", part.notes);
    assert!(part.notes[0].starts_with("the generator has collapsed (pixel entropy"));
    assert!(part.notes[0].ends_with("with the learning rate 0.005"));
    part.finished();
    let last = Checkpoint::decode(&alone.bytes(LONG)).unwrap();
    assert_eq!(last.rollbacks, 1);
    assert_eq!(alone.log().len(), LONG as usize / 50);
    for step in (190..LONG).step_by(42) {
        for fate in [Fate::Dies(step), Fate::Stops(step)] {
            let bench = collapsing(OnCollapse::Rollback);
            bench.go(fate);
            bench.go(Fate::LeftAlone).finished();
            assert!(bench.bytes(LONG) == alone.bytes(LONG), "step {step}");
            assert_eq!(bench.log(), alone.log(), "step {step}");
        }
    }
}

/// A run that went on in spite of a warning goes back to before it, if what it needs for that was kept.
#[test]
fn a_warned_run_can_go_back() {
    let alone = collapsing(OnCollapse::Rollback);
    alone.go(Fate::LeftAlone).finished();
    for keep in [1000, 1] {
        let mut bench = collapsing(OnCollapse::Warn);
        bench.run.keep = keep;
        bench.go(Fate::Stops(LONG - 10));
        bench.run.on_collapse = OnCollapse::Rollback;
        let part = bench.go(Fate::LeftAlone);
        if keep == 1 {
            assert_eq!(collapsed(part).1, None);
        } else {
            part.finished();
            assert!(bench.bytes(LONG) == alone.bytes(LONG));
        }
    }
}

/// Scores by step: how good, and of how many of ten classes.
fn judged(bench: &Bench, fate: Fate, score: impl Fn(u32) -> (f64, usize)) -> Part {
    bench.rated(fate, &mut |_| {
        let (fid_channels, classes) = score(bench.images.step.load(Ordering::Relaxed));
        let counts = (0..10).map(|class| if class < classes { 500 } else { 0 });
        Ok(Some(EpochScore::Images(Score {
            class_counts: counts.collect(),
            ..scored(fid_channels)
        })))
    })
}

/// Classes missing at the ends of the epochs 8 to 10, after the steps 168, 189 and 210, and back later.
fn few_classes(step: u32) -> (f64, usize) {
    (9.0, if (168..=210).contains(&step) { 2 } else { 9 })
}

#[test]
fn missing_classes_are_a_collapse_that_may_end() {
    let mut bench = collapsing(OnCollapse::Warn);
    bench.images.spoiled = 0..0;
    let part = judged(&bench, Fate::LeftAlone, few_classes);
    let begin = "step 168: the generator has collapsed (share of the classes that are seen 0.200, below 0.333)";
    assert_eq!(part.notes, [begin, "step 231: the collapse is over"]);
    part.finished();
}

#[test]
fn a_rollback_from_missing_classes_goes_to_the_epoch_before() {
    let bench = || {
        let mut bench = collapsing(OnCollapse::Rollback);
        bench.images.spoiled = 0..0;
        bench
    };
    let score = |bench: &Bench, step| {
        if bench.images.cured.load(Ordering::Relaxed) {
            (9.0, 9)
        } else {
            few_classes(step)
        }
    };
    let alone = bench();
    let part = judged(&alone, Fate::LeftAlone, |step| score(&alone, step));
    assert_eq!(part.notes.len(), 1, "{:?}", part.notes);
    assert!(
        part.notes[0].contains("at step 168: back to step 147"),
        "{:?}",
        part.notes
    );
    part.finished();
    for step in [147, 150, 167, 168, 169, 190, 300] {
        for fate in [Fate::Dies(step), Fate::Stops(step)] {
            let bench = bench();
            judged(&bench, fate, |step| score(&bench, step));
            judged(&bench, Fate::LeftAlone, |step| score(&bench, step)).finished();
            assert!(bench.bytes(LONG) == alone.bytes(LONG), "step {step}");
        }
    }
}

/// A checkpoint of the time before a collapse was seen has the best score; the run goes back to before it.
#[test]
fn what_was_undone_is_not_the_best() {
    let score = |bench: &Bench, step| match (step, bench.images.cured.load(Ordering::Relaxed)) {
        (126, _) => (3.0, 9),
        (BLACK.., false) => (1.0, 9),
        _ => (5.0, 9),
    };
    let best = |bench: &Bench| {
        std::fs::read(bench.folder.path().join("checkpoints/best.safetensors")).unwrap()
    };
    let alone = collapsing(OnCollapse::Rollback);
    let part = judged(&alone, Fate::LeftAlone, |step| score(&alone, step));
    assert_eq!(part.notes.len(), 1, "{:?}", part.notes);
    part.finished();
    assert_eq!(Checkpoint::decode(&best(&alone)).unwrap().gan.steps, 126);
    for step in [130, 215, 280, 330] {
        let bench = collapsing(OnCollapse::Rollback);
        judged(&bench, Fate::Dies(step), |step| score(&bench, step));
        judged(&bench, Fate::LeftAlone, |step| score(&bench, step)).finished();
        assert!(best(&bench) == best(&alone), "step {step}");
    }
}

#[test]
fn a_generator_that_always_collapses_is_given_up() {
    let mut bench = collapsing(OnCollapse::Rollback);
    // Above any entropy, and no time to get there.
    bench.run.limits.entropy = 2.0;
    bench.run.limits.entropy_share = 10.0;
    bench.run.limits.patience = 100;
    let part = bench.go(Fate::LeftAlone);
    assert_eq!(part.notes.len(), 6, "{:?}", part.notes);
    assert!(part.notes[5].contains("at step 150: back to step 0"));
    let error = part.failed();
    assert!(
        matches!(error, FitError::GivenUp { step: 150, .. })
            && error.to_string().contains("collapsed"),
        "{error}"
    );
}
