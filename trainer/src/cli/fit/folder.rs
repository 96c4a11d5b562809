//! The folder of a run: begun, claimed, resumed.

use super::options::{Given, Options, Plan, input, numbered};
use crate::cli::Failure;
use crate::files::{PARTIAL, place, write_whole};
use crate::gan::fit::Length;
use crate::gan::store::{Found, Store};
use std::fs::{File, TryLockError};
use std::io::{Error, ErrorKind};
use std::mem::discriminant;
use std::path::Path;

const CONFIG: &str = "config.toml";
const LOCK: &str = ".lock";
/// Written last: a run that has it is finished.
const SUMMARY: &str = "summary.json";

/// A run's folder that no other process works in while this value lives. The system lets go of the lock when the
/// process ends, however it ends.
pub(super) struct Claim {
    _lock: File,
}

impl Claim {
    /// # Errors
    /// A folder that another run works in, or that cannot be written.
    fn new(run: &Path) -> Result<Self, Failure> {
        let path = run.join(LOCK);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .or_else(|error| input(format!("cannot write {}: {error}", path.display())))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _lock: file }),
            Err(TryLockError::WouldBlock) => input(format!(
                "another `trainer fit` works in {}: wait for it or stop it",
                run.display()
            )),
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                tell!(
                    "{} cannot be locked: see that no other run works in it",
                    run.display()
                );
                Ok(Self { _lock: file })
            }
            Err(TryLockError::Error(error)) => {
                input(format!("cannot lock {}: {error}", path.display()))
            }
        }
    }
}

/// Checks that a new run may begin in a folder: it is not there, or holds nothing.
///
/// # Errors
/// It holds something, or is no folder.
pub(super) fn check_new(out: &Path) -> Result<(), Failure> {
    if out.symlink_metadata().is_err() || is_empty(out) {
        Ok(())
    } else {
        taken(out)
    }
}

fn taken<T>(out: &Path) -> Result<T, Failure> {
    let remedy = if out.join(CONFIG).is_file() {
        "name another folder with --out, or go on with this run by --resume"
    } else {
        "name another folder with --out, or an empty one"
    };
    input(format!("{} is there already: {remedy}", out.display()))
}

/// Whether a folder is there and holds nothing; what the system keeps at the root of a volume does not count, nor does
/// what a run that is beginning holds.
fn is_empty(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    let ignored = ["lost+found", LOCK];
    entries
        .into_iter()
        .all(|entry| entry.is_ok_and(|entry| ignored.iter().any(|name| entry.file_name() == *name)))
}

/// Checks that a folder could be made there, as far as that can be told without making it.
///
/// # Errors
/// What is there is no folder.
pub(super) fn check_place(out: &Path) -> Result<(), Failure> {
    let mut above = out.ancestors().skip(1);
    match above.find(|path| path.exists()) {
        Some(path) if !path.is_dir() => input(format!(
            "cannot create {}: {} is not a folder",
            out.display(),
            path.display()
        )),
        _ => Ok(()),
    }
}

/// Makes the folder of a new run with its configuration, or begins in one that is empty; where none was named, in the
/// first that is free, by its number. Puts into `plan` which it is.
///
/// # Errors
/// A folder that is there, or cannot be made. Nothing is left of it then.
pub(super) fn begin(plan: &mut Plan) -> Result<Claim, Failure> {
    let Some(usual) = plan.usual_out.clone() else {
        check_new(&plan.out)?;
        if plan.out.is_dir() {
            return begin_in_empty(plan);
        }
        return create(plan)?.map_or_else(|| taken(&plan.out), Ok);
    };
    let begun = numbered(&usual).find_map(|out| {
        plan.out = out;
        // What is there by now may be a run that has just begun, in an empty folder too.
        if plan.out.symlink_metadata().is_ok() {
            None
        } else {
            create(plan).transpose()
        }
    });
    begun.unwrap_or_else(|| taken(&usual))
}

/// Makes a folder that is there with its configuration, claimed, or not at all; `None` where something has its name.
fn create(plan: &Plan) -> Result<Option<Claim>, Failure> {
    let out = plan.out.as_path();
    let config = plan.to_toml()?;
    let parent = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut made: Vec<&Path> = parent
        .ancestors()
        .take_while(|path| !path.exists())
        .collect();
    made.retain(|path| !path.as_os_str().is_empty());
    let begun = create_below(parent, out, &config);
    if !matches!(begun, Ok(Some(_))) {
        // What was made for it and is empty goes again.
        made.iter().for_each(|path| drop(std::fs::remove_dir(path)));
    }
    begun
}

fn create_below(parent: &Path, out: &Path, config: &str) -> Result<Option<Claim>, Failure> {
    let failed = |error: Error| Failure::Input(format!("cannot create {}: {error}", out.display()));
    std::fs::create_dir_all(parent).map_err(failed)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(PARTIAL);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any other folder: temporary ones are private otherwise.
        builder.permissions(std::fs::Permissions::from_mode(0o777));
    }
    let folder = builder.tempdir_in(parent).map_err(failed)?;
    let claim = Claim::new(folder.path())?;
    write_whole(&folder.path().join(CONFIG), config.as_bytes()).map_err(failed)?;
    match std::fs::rename(folder.path(), out) {
        Ok(()) => {
            // Under its new name it is no longer temporary.
            let _ = folder.keep();
            Ok(Some(claim))
        }
        Err(error) => match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory => {
                Ok(None)
            }
            _ => Err(failed(error)),
        },
    }
}

/// Begins in a folder that holds nothing, as a mounted volume does.
fn begin_in_empty(plan: &Plan) -> Result<Claim, Failure> {
    let out = plan.out.as_path();
    let config = plan.to_toml()?;
    let claim = Claim::new(out)?;
    check_new(out)?;
    let path = out.join(CONFIG);
    write_whole(&path, config.as_bytes()).or_else(|error| {
        let _ = std::fs::remove_file(out.join(LOCK));
        input(format!("cannot write {}: {error}", path.display()))
    })?;
    Ok(claim)
}

/// Puts into a run's configuration how long it is now, where its data lie and what they are. From here on it is not
/// finished.
///
/// # Errors
/// A configuration that cannot be read or written, a summary that cannot be removed.
pub(super) fn record(plan: &Plan) -> Result<(), Failure> {
    write_config(
        plan,
        plan.with_length(plan.with_data(own_options(&plan.out)?)),
    )?;
    let path = plan.out.join(SUMMARY);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            input(format!("cannot remove {}: {error}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Puts into a finished run's configuration where its data lie.
///
/// # Errors
/// A run that another process works in; a configuration that cannot be read or written.
pub(super) fn record_data(plan: &Plan) -> Result<(), Failure> {
    let _claim = Claim::new(&plan.out)?;
    write_config(plan, plan.with_data(own_options(&plan.out)?))
}

fn write_config(plan: &Plan, options: Options) -> Result<(), Failure> {
    let path = plan.out.join(CONFIG);
    let text = Plan::new(options)?.to_toml()?;
    write_whole(&path, text.as_bytes())
        .or_else(|error| input(format!("cannot write {}: {error}", path.display())))
}

/// Whether the data of `plan` lie elsewhere than the run's own configuration says, or are read in another way.
///
/// # Errors
/// A configuration that cannot be read.
pub(super) fn has_moved(plan: &Plan) -> Result<bool, Failure> {
    let own = Plan::new(own_options(&plan.out)?)?.options;
    Ok(plan.with_data(own.clone()) != own)
}

/// A run's own configuration.
///
/// # Errors
/// No run there, or a configuration that cannot be read.
pub(super) fn own_options(run: &Path) -> Result<Options, Failure> {
    let path = run.join(CONFIG);
    if !path.is_file() {
        return input(format!("{} is not the folder of a run", place(run)));
    }
    Options::read(&path)
}

/// The same, with the flags beside `--resume` in its place.
///
/// # Errors
/// No run there, or a configuration that cannot be read; data of another kind.
pub(super) fn options(run: &Path, flags: Given) -> Result<Options, Failure> {
    let own = own_options(run)?;
    let then = own.dataset()?;
    let options = flags.over(own)?;
    if let (Some(now), Some(then)) = (options.dataset()?, then)
        && discriminant(&now) != discriminant(&then)
    {
        return input(format!(
            "{} learns from {then}, which cannot have become {now}",
            run.display()
        ));
    }
    Ok(options)
}

/// The summary of the run of `plan`, if it has come to its end and is not to be longer.
///
/// # Errors
/// Another recipe than the checkpoint's, or a length that is exceeded already; checkpoints of which none can be used.
pub(super) fn finished(plan: &Plan) -> Result<Option<String>, Failure> {
    let Ok(summary) = std::fs::read_to_string(plan.out.join(SUMMARY)) else {
        return Ok(None);
    };
    let newest = newest(plan)?;
    check_recipe(plan, newest.as_ref())?;
    check_length(plan, newest.as_ref())?;
    let is_over = match &newest {
        Some(found) => is_over(plan, found),
        None if own_length(plan)? == plan.length => true,
        None => {
            return input(format!(
                "{} is finished and has no checkpoint to go on from",
                plan.out.display()
            ));
        }
    };
    Ok(is_over.then_some(summary))
}

/// Seconds of training up to a checkpoint of the run of `plan`, of all its parts.
fn elapsed_s(plan: &Plan, found: &Found) -> f64 {
    let elapsed = Store::of(&plan.out).elapsed_s(found.checkpoint.gan.steps);
    elapsed.unwrap_or(0.0)
}

/// Whether a run is as long at a checkpoint as `plan` says.
fn is_over(plan: &Plan, found: &Found) -> bool {
    match plan.length {
        Length::Epochs(epochs) => found.checkpoint.position.epoch >= epochs,
        Length::Time(limit) => elapsed_s(plan, found) >= limit.as_secs_f64(),
    }
}

/// The length in the configuration of a run.
fn own_length(plan: &Plan) -> Result<Length, Failure> {
    Ok(Plan::new(own_options(&plan.out)?)?.length)
}

/// A length that a run did not have yet must not be less than what it has trained.
fn check_length(plan: &Plan, from: Option<&Found>) -> Result<(), Failure> {
    let Some(found) = from else {
        return Ok(());
    };
    let at = found.checkpoint.position;
    let (is_shorter, trained, asked) = match plan.length {
        Length::Epochs(epochs) => (
            at.epoch > epochs || (at.epoch == epochs && at.batch > 0),
            format!("{} epochs and {} steps", at.epoch, at.batch),
            format!("--epochs {epochs}"),
        ),
        Length::Time(limit) => (
            elapsed_s(plan, found) > limit.as_secs_f64(),
            format!("{:.2} minutes", elapsed_s(plan, found) / 60.0),
            format!("--minutes {}", limit.as_secs_f64() / 60.0),
        ),
    };
    if is_shorter && own_length(plan)? != plan.length {
        return input(format!(
            "{} has trained for {trained}, which is more than {asked}: a run cannot be made shorter than it is",
            plan.out.display()
        ));
    }
    Ok(())
}

/// Claims the folder of the run of `plan` and finds its newest checkpoint, if there is one.
///
/// # Errors
/// A run that is going on; checkpoints of which none can be used; another recipe than the checkpoint's, or a length
/// that is exceeded already.
pub(super) fn take_up(plan: &Plan) -> Result<(Claim, Option<Found>), Failure> {
    let claim = Claim::new(&plan.out)?;
    let from = newest(plan)?;
    check_recipe(plan, from.as_ref())?;
    check_length(plan, from.as_ref())?;
    Ok((claim, from))
}

fn newest(plan: &Plan) -> Result<Option<Found>, Failure> {
    let found = Store::of(&plan.out).newest(&mut |note| tell!("{note}"));
    found.map_err(|error| Failure::Input(error.to_string()))
}

/// What decides the result must be what it was at the checkpoint, or when the run was begun.
fn check_recipe(plan: &Plan, from: Option<&Found>) -> Result<(), Failure> {
    let now = plan.recipe()?;
    let then: toml::Table = match from {
        // By way of the options: a key that was not known then has its default.
        Some(found) => match Options::of_checkpoint(&found.checkpoint.recipe, plan) {
            Some(options) => Plan::new(options)?.recipe()?,
            None => {
                return input(format!(
                    "{} holds no recipe that can be read",
                    found.path.display()
                ));
            }
        },
        None => Plan::new(plan.with_data(own_options(&plan.out)?))?.recipe()?,
    };
    let mut keys: Vec<&String> = now.keys().chain(then.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.retain(|key| now.get(*key) != then.get(*key));
    if keys.is_empty() {
        return Ok(());
    }
    let show = |table: &toml::Table, key: &str| match table.get(key) {
        Some(value) => value.to_string(),
        None => "not set".to_owned(),
    };
    let differences: Vec<String> = keys
        .iter()
        .map(|key| format!("{key} ({} then, {} now)", show(&then, key), show(&now, key)))
        .collect();
    input(format!(
        "{} was begun with another recipe: {}; put it back, or begin a new run",
        plan.out.display(),
        differences.join(", ")
    ))
}

/// A run that has no record of its images can only be resumed on the data set that it names.
///
/// # Errors
/// Another data set.
pub(super) fn check_dataset(plan: &Plan) -> Result<(), Failure> {
    let then = Plan::new(own_options(&plan.out)?)?.dataset;
    if then.is_same(&plan.dataset) {
        return Ok(());
    }
    input(format!(
        "{} began with {then} and has no record of its images: it cannot be resumed on {}",
        plan.out.display(),
        plan.dataset
    ))
}

/// Notes that a run is finished.
///
/// # Errors
/// A file that cannot be written.
pub(super) fn finish(run: &Path, summary: &str) -> Result<(), Failure> {
    let path = run.join(SUMMARY);
    write_whole(&path, format!("{summary}\n").as_bytes())
        .or_else(|error| input(format!("cannot write {}: {error}", path.display())))
}

/// The command that takes a run up again, for a shell.
pub(super) fn resume_command(run: &Path) -> String {
    format!("{} fit --resume {}", super::program(), quoted(run))
}

/// A path as one word of a shell's.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@".contains(c);
    if text.chars().all(plain) && !text.is_empty() {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
