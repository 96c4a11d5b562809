//! `trainer fit`: train, evaluate, export.

mod dry_run;
mod folder;
mod forecast;
mod images;
mod initial;
mod options;
mod screen;
mod signals;
mod source;
mod summary;
mod teacher;

use super::Failure;
use super::export::{checkpoint, export_others, float_only};
use crate::data::{Dataset, Fingerprint, Images, Split};
use crate::export::quantize::Calibration;
use crate::export::{self, FLOAT_ONNX, NoDevice};
use crate::gan::fit::{self, Ended, EpochScore, FitError, Run, Shown, Trained};
use crate::gan::store::{Found, StoreError};
use crate::gan::{Cycle, Game, Role, Settings, rounded};
use crate::metrics::collapse::Limits;
use crate::metrics::{FidCls, densest};
#[cfg(feature = "cuda")]
use crate::ops::Sums;
use crate::ops::{Cpu, Device};
use crate::spec::Network;
pub(super) use dry_run::OnDevice;
use folder::Claim;
pub(super) use images::Loaded;
use images::{Facts, HeldOut, Likely};
use initial::Initial;
pub(super) use options::Plan;
use options::{DeviceKind, Given, Options, input};
use screen::Screen;
pub(super) use signals::INTERRUPTED;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use summary::Summary;
use teacher::Teacher;

/// Train a generator on real images and export it for the device.
///
/// Leaves everything in one folder: config.toml, stats.jsonl, losses.png, samples/, samples.png,
/// checkpoints/, model.onnx, model-int8.onnx, model.pgan (what the device runs, int8 unless --finetune
/// says int4), model-f32.pgan and, last, summary.json.
///
/// Ctrl-C (or SIGTERM) ends a run after the step, with a checkpoint; a second one ends it at once. --resume
/// goes on with a run that was stopped or killed; one by --epochs ends with the same bytes as one left alone. With more
/// --epochs it trains a finished run longer, as if it had been begun with so many and the same schedule.
#[derive(Debug, clap::Args)]
pub struct FitArgs {
    #[command(flatten)]
    given: Given,
    /// A TOML file whose keys are these flags' names; a flag overrides its key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Resume the run in this folder, with its own configuration. Beside it only flags about data, length and machine
    /// may say something else; --dataset, where the same images have been moved.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "out"])]
    resume: Option<PathBuf>,
    /// Resume though the images or their classes have changed. The networks must fit; epochs are counted by the new
    /// number of images.
    #[arg(long, requires = "resume")]
    changed_data: bool,
    /// Check everything and print what the run would be: its configuration, its networks layer by layer, its steps.
    /// Nothing is trained or written.
    #[arg(long, conflicts_with = "resume")]
    dry_run: bool,
}

const NO_CUDA: &str =
    "this build has no CUDA: build with `--features cuda`, or choose --device cpu";

/// A run that there is something to do for.
struct Session {
    plan: Plan,
    resumed: Option<Resumed>,
}

/// What a resumed run has.
struct Resumed {
    claim: Claim,
    /// Its newest checkpoint.
    from: Option<Found>,
    /// Whether it goes on though its data have changed.
    changed_data: bool,
}

/// What the run in a folder is by its configuration.
///
/// # Errors
/// No run there, or a configuration that cannot be read.
pub(super) fn plan_of(run: &Path) -> Result<Plan, Failure> {
    Plan::new(folder::own_options(run)?)
}

/// Training pictures of a run as its networks read them.
///
/// # Errors
/// A folder of no run; a data set that cannot be had.
pub(super) fn calibration(run: &Path) -> Result<Calibration, Failure> {
    let plan = plan_of(run)?;
    let loaded = Loaded::new(&plan, Split::Train)?;
    let facts = loaded.facts(&plan)?;
    Ok(loaded.calibration(&plan, &facts))
}

pub fn run(args: FitArgs) -> Result<(), Failure> {
    let session = match args.resume {
        Some(run) => resume(run, args.given, args.changed_data)?,
        None => Some(begin(args.given, args.config)?),
    };
    match session {
        Some(mut session) if args.dry_run => dry_run::run(&mut session.plan),
        Some(session) => on_device(session),
        None => Ok(()),
    }
}

fn begin(flags: Given, config: Option<PathBuf>) -> Result<Session, Failure> {
    let options = match config {
        Some(path) => Options::read(&path)?,
        None => Options::default(),
    };
    let plan = Plan::new(flags.over(options)?)?;
    folder::check_new(&plan.out)?;
    folder::check_place(&plan.out)?;
    Ok(Session {
        plan,
        resumed: None,
    })
}

/// `None` for a run that is finished.
fn resume(run: PathBuf, flags: Given, changed_data: bool) -> Result<Option<Session>, Failure> {
    let mut plan = Plan::new(folder::options(&run, flags)?)?;
    // The folder may have been moved.
    plan.out = run;
    if let Some(summary) = folder::finished(&plan)? {
        if folder::has_moved(&plan)? {
            record_place(&plan)?;
        }
        if plan.options.json {
            say!("{}", summary.trim_end());
        } else {
            say!("{} is finished: there is nothing to do", plan.out.display());
        }
        return Ok(None);
    }
    let (claim, from) = folder::take_up(&plan)?;
    match &from {
        Some(found) => tell!("going on from {}", found.path.display()),
        None => tell!("there is no checkpoint yet: beginning from the start"),
    }
    Ok(Some(Session {
        plan,
        resumed: Some(Resumed {
            claim,
            from,
            changed_data,
        }),
    }))
}

fn on_device(session: Session) -> Result<(), Failure> {
    let plan = &session.plan;
    let pool = super::thread_pool(plan.options.threads)?;
    let cpu = Cpu::new(plan.sums);
    match plan.options.device {
        DeviceKind::Cpu => pool.install(|| fit_on(cpu, session)),
        #[cfg(feature = "cuda")]
        DeviceKind::Auto if plan.sums != Sums::Fast => {
            tell!("sums by parts of the batch are made on the CPU: training there");
            pool.install(|| fit_on(cpu, session))
        }
        #[cfg(feature = "cuda")]
        kind => match dfdx::prelude::Cuda::try_build(0, plan.options.seed) {
            Ok(gpu) => fit_on(gpu, session),
            Err(_) if kind == DeviceKind::Auto => {
                tell!("no GPU was found: training on the CPU");
                pool.install(|| fit_on(cpu, session))
            }
            Err(error) => input(format!("no GPU can be used: {error:?}")),
        },
        #[cfg(not(feature = "cuda"))]
        DeviceKind::Auto => {
            tell!("this build has no CUDA: training on the CPU");
            pool.install(|| fit_on(cpu, session))
        }
        #[cfg(not(feature = "cuda"))]
        DeviceKind::Cuda => input(NO_CUDA),
    }
}

fn fit_on<D: Device<f32>>(device: D, session: Session) -> Result<(), Failure> {
    let Session { mut plan, resumed } = session;
    let teacher = Teacher::of(&plan)?;
    let initial = Initial::of(&plan)?;
    let mut loaded = Loaded::new(&plan, Split::Train)?;
    // The classifier's figures are of images of all classes.
    let draws_pixels = matches!(plan.game, Game::Autoregressive(_));
    let mut fid_cls =
        if loaded.reads_pictures() || draws_pixels || plan.options.only_classes.is_some() {
            None
        } else {
            FidCls::new(&plan.dataset).map_err(anyhow::Error::from)?
        };
    let fingerprint = loaded.fingerprint();
    let changed_data = match &resumed {
        Some(resumed) => check_data(&plan, resumed, &fingerprint)?,
        None => {
            if let Some(difference) = difference(plan.options.fingerprint.as_ref(), &fingerprint) {
                tell!("these are not the images of that configuration: {difference}");
            }
            false
        }
    };
    plan.options.fingerprint = Some(fingerprint);
    let facts = loaded.facts(&plan)?;
    let shape = facts.image;
    let mut settings = settings(&plan, &facts, teacher.as_ref())?;
    plan.fill_phases(settings.growth.as_ref(), facts.count)?;
    let begins = begin_with(initial.as_ref(), &mut settings)?;
    let mut run = run_of(&plan, settings, facts.count)?;
    if let Some(fid_cls) = &mut fid_cls {
        let seen = fid_cls.see_training(&loaded.images);
        seen.map_err(anyhow::Error::from)?;
    }
    select(&plan, fid_cls.as_ref(), &mut loaded.images)?;
    let scored = HeldOut::load(&plan, &facts)?;
    let some = |shown: &Shown, made| shown.some(images::shown(made));
    run.shown = scored.there.as_ref().map(|shown| some(shown, shape));
    let back = scored.back.as_ref().zip(facts.picture);
    let back = back.map(|(shown, made)| (Cycle::GENERATORS[1].to_owned(), some(shown, made)));
    run.shown_others = back.into_iter().collect();
    run.changed_data = changed_data;
    let source = loaded.source();
    let (_claim, from) = match resumed {
        Some(Resumed { claim, from, .. }) => {
            let from = from.map(|found| found.checkpoint);
            if let Some(from) = &from {
                fit::check(from, &run, &source).map_err(failure)?;
            }
            folder::record(&plan)?;
            (claim, from)
        }
        None => (folder::begin(&mut plan)?, None),
    };
    run.folder.clone_from(&plan.out);
    let sources = [
        teacher.as_ref().map(|teacher| &teacher.source),
        initial.as_ref().map(|initial| &initial.source),
    ];
    for source in sources.into_iter().flatten() {
        source.keep(&plan.out)?;
    }
    if from.is_none() {
        begins.iter().for_each(|sentence| tell!("{sentence}"));
    }
    let plan = &plan;
    let networks = run.settings.networks.iter();
    let networks = networks.map(|named| format!("{} {}", named.name, parameters(&named.network)));
    let networks: Vec<String> = networks.collect();
    tell!(
        "{}: {} images of {shape}{}; parameters: {}; into {}",
        plan.target.as_ref().unwrap_or(&plan.dataset),
        loaded.images.count,
        match &plan.target {
            Some(_) => format!(", made of {}", plan.dataset),
            None => String::new(),
        },
        networks.join(", "),
        plan.out.display()
    );
    let asked = signals::listen()?;
    let done = from.as_ref().map_or(0, |from| from.gan.steps);
    let time = forecast::forecast(&device, &run, &source, done)?;
    if let Some(minutes) = time
        .map(|time| time.as_secs_f64() / 60.0)
        .filter(|minutes| *minutes >= 1.0)
    {
        tell!("this will take about {minutes:.0} minutes, if the machine stays as busy as it is");
    }
    let likely = Likely::load(plan)?;
    let mut watch = Screen::new(plan.game, asked.clone());
    let mut score = |generator: &_| {
        if let Some(scored) = &scored.there {
            return images::score(generator, scored);
        }
        if let Some(likely) = &likely {
            return likely.score(generator).map(Some);
        }
        let Some(fid_cls) = &fid_cls else {
            return Ok(None);
        };
        // What is scored is what the device will run.
        let score = match plan.options.finetune {
            Some(weights) => fid_cls.score(&rounded(generator, weights)?),
            None => fid_cls.score(generator),
        };
        score.map(|score| Some(EpochScore::Images(score)))
    };
    let ended = fit::fit(device, &run, &source, from.as_ref(), &mut score, &mut watch);
    watch.finish();
    let steps = match ended.map_err(failure)? {
        Ended::Finished(trained) if !asked.load(Ordering::Relaxed) => {
            return conclude(plan, &run, &trained, &loaded, &facts);
        }
        Ended::Finished(trained) => trained.steps,
        Ended::Stopped(steps) => steps,
    };
    let command = folder::resume_command(&plan.out);
    Err(Failure::Stopped(format!(
        "stopped after step {steps}; go on with: {command}"
    )))
}

/// Gives the networks the weights that they begin with, and says what those are; nothing where all are fresh.
fn begin_with(initial: Option<&Initial>, settings: &mut Settings) -> Result<Vec<String>, Failure> {
    match initial {
        Some(initial) => initial.settle(settings),
        None => Ok(Vec::new()),
    }
}

/// Leaves the images that are learned from, by the features of the data set's classifier.
fn select(plan: &Plan, eye: Option<&FidCls>, images: &mut Images) -> Result<(), Failure> {
    let (Some(eye), Some(_)) = (eye, plan.options.instance_selection) else {
        return Ok(());
    };
    let seen = eye.judge(&images.pixels).map_err(anyhow::Error::from)?;
    let all = images.count;
    images.retain(&densest(&seen.features, eye.features(), plan.selected(all)));
    tell!(
        "learning from {} of {all} images, the most usual",
        images.count
    );
    Ok(())
}

/// Exports what was trained and says what it came to.
fn conclude<D: Device<f32>>(
    plan: &Plan,
    run: &Run,
    trained: &Trained<D>,
    loaded: &Loaded,
    facts: &Facts,
) -> Result<(), Failure> {
    let calibration = loaded.calibration(plan, facts);
    let summary = Summary::new(
        plan,
        run.shown.as_ref(),
        trained,
        &loaded.images,
        calibration,
    )?;
    export_others(&checkpoint(&plan.out, false)?, &plan.out)?;
    folder::finish(&plan.out, &summary.to_json()?)?;
    if plan.options.json {
        super::print_json(&summary)?;
    } else {
        summary.print();
    }
    match &summary.no_device {
        Some(NoDevice::Quantize(error)) => Err(float_only(&plan.out, error)),
        Some(reason) => {
            tell!("{FLOAT_ONNX} is the only form of this network: {reason}");
            Ok(())
        }
        None => Ok(()),
    }
}

/// What has changed of the data since `then`.
fn difference(then: Option<&Fingerprint>, now: &Fingerprint) -> Option<String> {
    then.and_then(|then| now.difference(then))
}

/// Holds a resumed run's data against those that it began with, or was resumed with knowingly; tells whether they have
/// changed since its checkpoint.
///
/// # Errors
/// Changed data, where the user does not say that they may be.
fn check_data(plan: &Plan, resumed: &Resumed, now: &Fingerprint) -> Result<bool, Failure> {
    let checkpoint = resumed.from.as_ref().map(|found| &found.checkpoint);
    let at_checkpoint = checkpoint.and_then(|checkpoint| checkpoint.data.as_ref());
    let recorded = plan.options.fingerprint.as_ref();
    if recorded.is_none() && at_checkpoint.is_none() {
        folder::check_dataset(plan)?;
        tell!("this run has no record of its images: that they are the same cannot be checked");
        return Ok(resumed.changed_data);
    }
    let Some(difference) = difference(at_checkpoint.or(recorded), now) else {
        return Ok(false);
    };
    let is_accepted = recorded.is_some_and(|recorded| recorded == now);
    if !resumed.changed_data && !is_accepted {
        return input(format!(
            "the images are not those that {} began with: {difference}; put them back, or add --changed-data to \
             go on with these",
            plan.out.display()
        ));
    }
    tell!("going on with other images: {difference}");
    Ok(true)
}

/// Puts into the configuration of a finished run where its images lie now.
///
/// # Errors
/// Images that are missing or others; another data set, where the run has no record of its images.
fn record_place(plan: &Plan) -> Result<(), Failure> {
    let loaded = Loaded::new(plan, Split::Train)?;
    let recorded = plan.options.fingerprint.as_ref();
    if recorded.is_none() {
        folder::check_dataset(plan)?;
    }
    if let Some(difference) = difference(recorded, &loaded.fingerprint()) {
        return input(format!(
            "{} is finished, and these are not the images that it learned: {difference}",
            plan.out.display()
        ));
    }
    folder::record_data(plan)?;
    tell!(
        "the configuration of {} says now where the images are",
        plan.out.display()
    );
    Ok(())
}

/// What the loop is told about so many images.
fn run_of(plan: &Plan, settings: Settings, images: usize) -> Result<Run, Failure> {
    let mut run = Run {
        settings,
        length: plan.length,
        batch: plan.batch as usize,
        flip: plan.options.flip,
        shown: None,
        shown_others: Vec::new(),
        data: plan.options.fingerprint.clone(),
        changed_data: false,
        folder: plan.out.clone(),
        recipe: plan.recipe()?.to_string(),
        checkpoint_every: plan.options.checkpoint_every,
        keep: plan.options.keep as usize,
        on_nan: plan.options.on_nan,
        on_collapse: plan.options.on_collapse,
        limits: Limits::default(),
    };
    let an_epoch = run.steps_an_epoch(images);
    if let Some(epochs) = plan.options.schedule_epochs {
        run.settings.schedule.steps = epochs.saturating_mul(an_epoch);
    }
    let images_a_step = run.images_a_step() as u64;
    if let (Some(growth), Some(images)) = (&mut run.settings.growth, plan.options.phase_images) {
        let steps = images.div_ceil(images_a_step).max(1);
        growth.steps = u32::try_from(steps).unwrap_or(u32::MAX);
    }
    let mut imitated = 0;
    if let (Game::Distillation(rules), Some(epochs)) =
        (&mut run.settings.game, plan.options.teacher_epochs)
    {
        imitated = epochs.saturating_mul(an_epoch);
        rules.steps = imitated;
    }
    if let Some(rules) = run.settings.game.adversarial_mut()
        && let Some(top_k) = &mut rules.top_k
    {
        top_k.first_step = imitated;
        top_k.steps_an_epoch = an_epoch;
    }
    Ok(run)
}

/// Networks that fit so many images of a shape and of so many classes.
fn settings(plan: &Plan, facts: &Facts, teacher: Option<&Teacher>) -> Result<Settings, Failure> {
    let &Facts {
        count,
        image: shape,
        classes,
        ..
    } = facts;
    if let (Some(teacher), Some(run)) = (teacher, &plan.options.teacher) {
        teacher.check(run, shape, classes)?;
    }
    if plan.conditional && classes < 2 {
        return input(format!(
            "a conditional run asks for one of several classes, and these images have {classes}"
        ));
    }
    let settings = plan.settings(shape, facts.picture, classes, teacher)?;
    let cannot = |why: &dyn std::fmt::Display| {
        input(format!("this recipe cannot make images of {shape}: {why}"))
    };
    let generator = &settings.networks.generator.network;
    if let Game::Autoregressive(_) = plan.game
        && shape.channels != 1
    {
        return input(format!(
            "the recipe pixelcnn draws grey pictures, and these are {shape}{}",
            match plan.dataset {
                Dataset::Folder(_) => ": add --channels grey",
                _ => "",
            }
        ));
    }
    match generator.output() {
        Ok(_) if generator.draws_pixels() => {}
        Ok(output) if output == shape => {}
        Err(error) if shape.height.min(shape.width) >= 4 => return cannot(&error),
        _ => return cannot(&"their sides must be multiples of 4"),
    }
    if let Some(latent) = plan.latent_size().filter(|latent| *latent >= shape.len()) {
        return input(format!(
            "--latent-size must be below the {} numbers of an image, and {latent} is not",
            shape.len()
        ));
    }
    if facts
        .picture
        .is_some_and(|picture| picture != generator.input)
    {
        return input(format!(
            "this recipe reads pictures of {}, and these are {}",
            generator.input,
            facts.picture.unwrap_or(shape)
        ));
    }
    if let (Game::Cycle(rules), Some(picture)) = (settings.game, facts.picture)
        && rules.identity > 0.0
        && picture.channels != shape.channels
    {
        return input(format!(
            "--identity-weight compares pictures of one kind, and these are {picture} and {shape}: add --channels rgb"
        ));
    }
    for other in &settings.networks.others {
        if let Err(error) = other.network.output() {
            return cannot(&error);
        }
    }
    // What could not be exported is not worth training.
    for named in settings.networks.iter() {
        if named.role == Role::Generator
            && let Err(error) = export::check(&named.network)
        {
            return cannot(&error);
        }
    }
    let needed = u64::from(plan.batch) * u64::from(plan.game.batches());
    let count = facts.inputs.map_or(count, |inputs| inputs.min(count));
    if (count as u64) < needed {
        return input(format!(
            "a step takes {needed} images{}, and there are {count}",
            if facts.picture.is_some() {
                " of each kind (--batch)"
            } else {
                " (--batch times --critic-steps)"
            }
        ));
    }
    Ok(settings)
}

/// Trained parameters of a network that was built.
fn parameters(network: &Network) -> usize {
    network.parameters().unwrap_or_default()
}

/// What this program was called as.
fn program() -> &'static str {
    // Cargo sets this for what it runs.
    match std::env::var_os("CARGO") {
        Some(_) => "cargo trainer",
        None => "trainer",
    }
}

/// A file that cannot be written or read is the user's to repair.
fn failure(error: FitError) -> Failure {
    match error {
        FitError::Write { .. }
        | FitError::Networks { .. }
        | FitError::Images { .. }
        | FitError::Epochs { .. }
        | FitError::Store(StoreError::Read { .. } | StoreError::Write { .. }) => {
            Failure::Input(error.to_string())
        }
        other => Failure::Run(other.into()),
    }
}
