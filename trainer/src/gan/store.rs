//! The folder of a run's checkpoints: which there are, which can be used, which are kept.

use super::checkpoint::{Checkpoint, CheckpointError};
use super::log::{Log, Stepped};
use crate::files::write_whole;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// The checkpoint with the best score.
const BEST: &str = "best.safetensors";
/// What was written and when: what a checkpoint itself must not hold, for the time is never the same.
const LOG: &str = "log.jsonl";

/// A line of `checkpoints/log.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Written {
    pub step: u32,
    /// The score at an epoch's end, if there was one; lower is better. Older versions wrote another as `score`.
    pub selection: Option<f64>,
    /// Seconds of training up to the step, of all parts of the run.
    pub elapsed_s: f64,
}

impl Stepped for Written {
    fn step(&self) -> u32 {
        self.step
    }
}

/// A checkpoint and the file it came from.
#[derive(Clone, Debug)]
pub struct Found {
    pub path: PathBuf,
    pub checkpoint: Checkpoint,
}

/// Why there is no checkpoint to be had, or none could be written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("no checkpoint in {} can be used; the newest: {reason}", folder.display())]
    NoneUsable { folder: PathBuf, reason: String },
    #[error("{}: {reason}", path.display())]
    Unusable { path: PathBuf, reason: String },
    #[error(transparent)]
    Encode(#[from] CheckpointError),
}

/// The folder `checkpoints/` of a run.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The checkpoints of the run in the folder `run`; nothing is read or written yet.
    pub fn of(run: &Path) -> Self {
        Self {
            folder: run.join("checkpoints"),
        }
    }

    /// The newest checkpoint that can be used, `None` where there is no file. Each file that is passed over is
    /// said in a sentence.
    ///
    /// # Errors
    /// A folder that cannot be read; files, but none that can be used.
    pub fn newest(&self, say: &mut dyn FnMut(&str)) -> Result<Option<Found>, StoreError> {
        self.newest_where(|_| true, say)
    }

    /// As [`Store::newest`], among the checkpoints of some steps.
    ///
    /// # Errors
    /// As there.
    pub fn newest_where(
        &self,
        wanted: impl Fn(u32) -> bool,
        say: &mut dyn FnMut(&str),
    ) -> Result<Option<Found>, StoreError> {
        let mut first_reason = None;
        for (step, path) in self.files()?.into_iter().rev() {
            if !wanted(step) {
                continue;
            }
            match read(&path) {
                Ok(checkpoint) => return Ok(Some(Found { path, checkpoint })),
                Err(reason) => {
                    say(&format!("{}: {reason}; it is passed over", path.display()));
                    first_reason.get_or_insert(format!("{}: {reason}", path.display()));
                }
            }
        }
        match first_reason {
            Some(reason) => Err(StoreError::NoneUsable {
                folder: self.folder.clone(),
                reason,
            }),
            None => Ok(None),
        }
    }

    /// The checkpoint with the best score, `None` where no score was ever taken.
    ///
    /// # Errors
    /// A file that cannot be used.
    pub fn best(&self) -> Result<Option<Found>, StoreError> {
        let path = self.folder.join(BEST);
        if !path.exists() {
            return Ok(None);
        }
        match read(&path) {
            Ok(checkpoint) => Ok(Some(Found { path, checkpoint })),
            Err(reason) => Err(StoreError::Unusable { path, reason }),
        }
    }

    /// Seconds of training up to a step, of all parts of the run, if its log can be read.
    pub fn elapsed_s(&self, step: u32) -> Option<f64> {
        let text = std::fs::read_to_string(self.folder.join(LOG)).ok()?;
        let mut lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Written>(line).ok());
        let last = lines.rfind(|line| line.step <= step)?;
        Some(last.elapsed_s)
    }

    /// The files by step, the oldest first.
    fn files(&self) -> Result<Vec<(u32, PathBuf)>, StoreError> {
        let failed = |source| StoreError::Read {
            path: self.folder.clone(),
            source,
        };
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(step) = name.and_then(step_of) {
                files.push((step, path));
            }
        }
        files.sort_unstable();
        Ok(files)
    }
}

/// The step in the name of a checkpoint.
fn step_of(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("step-")?.strip_suffix(".safetensors")?;
    digits.parse().ok()
}

fn read(path: &Path) -> Result<Checkpoint, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("it cannot be read ({error})"))?;
    Checkpoint::decode(&bytes).map_err(|error| error.to_string())
}

/// The folder in the hands of the run that writes it.
pub(super) struct Writer {
    store: Store,
    log: Log<Written>,
    keep: usize,
    /// Steps with a score of which there is no checkpoint any more that could be the best.
    gone: BTreeSet<u32>,
}

impl Writer {
    /// Takes the folder up at a step, 0 for a run that begins. Later files, which cannot be used, are set
    /// aside as `*.damaged`.
    pub fn open(
        store: Store,
        keep: usize,
        step: u32,
        say: &mut dyn FnMut(&str),
    ) -> Result<Self, StoreError> {
        for (later, path) in store.files()? {
            if later > step {
                let aside = path.with_extension("safetensors.damaged");
                std::fs::rename(&path, aside).map_err(|source| failed(&path, source))?;
            }
        }
        let path = store.folder.join(LOG);
        let log = Log::open(&path, step).map_err(|source| failed(&path, source))?;
        let mut writer = Self {
            store,
            log,
            keep,
            gone: BTreeSet::new(),
        };
        writer.complete_best(step, say)?;
        Ok(writer)
    }

    /// Seconds of training up to the last checkpoint, if there is one.
    pub fn elapsed_s(&self) -> Option<f64> {
        self.log.lines().last().map(|line| line.elapsed_s)
    }

    /// The newest checkpoint that can be used, of some steps.
    pub fn newest_where(
        &self,
        wanted: impl Fn(u32) -> bool,
        say: &mut dyn FnMut(&str),
    ) -> Result<Option<Found>, StoreError> {
        self.store.newest_where(wanted, say)
    }

    /// Writes a checkpoint, as the best one too if its score is; then lets the oldest go.
    pub fn write(
        &mut self,
        checkpoint: &Checkpoint,
        score: Option<f64>,
        elapsed_s: f64,
    ) -> Result<PathBuf, StoreError> {
        let step = checkpoint.gan.steps;
        let bytes = checkpoint.encode()?;
        self.note(Written {
            step,
            selection: score.filter(|score| score.is_finite()),
            elapsed_s,
        })?;
        let path = self.path_of(step);
        write_whole(&path, &bytes).map_err(|source| failed(&path, source))?;
        if self.best_step(step) == Some(step) {
            self.write_best(&bytes)?;
        }
        Ok(path)
    }

    /// Lets all but the newest go, and those of some steps.
    pub fn prune(&self, spared: &BTreeSet<u32>) -> Result<(), StoreError> {
        let files = self.store.files()?;
        let old = &files[..files.len().saturating_sub(self.keep)];
        for (_, path) in old.iter().filter(|(step, _)| !spared.contains(step)) {
            std::fs::remove_file(path).map_err(|source| failed(path, source))?;
        }
        Ok(())
    }

    /// The steps of which there are checkpoints, in order.
    pub fn steps(&self) -> Result<Vec<u32>, StoreError> {
        let files = self.store.files()?;
        Ok(files.into_iter().map(|(step, _)| step).collect())
    }

    /// Goes back to a step: what was written after it has not happened, and is not the best.
    pub fn cut_back(&mut self, step: u32, say: &mut dyn FnMut(&str)) -> Result<(), StoreError> {
        for (later, path) in self.store.files()? {
            if later > step {
                std::fs::remove_file(&path).map_err(|source| failed(&path, source))?;
            }
        }
        let cut = self.log.cut_back(step);
        cut.map_err(|source| failed(self.log.path(), source))?;
        self.complete_best(step, say)
    }

    /// The line comes before the file, so that there is none without it.
    fn note(&mut self, line: Written) -> Result<(), StoreError> {
        let noted = self.log.append(line).and_then(|()| self.log.sync());
        noted.map_err(|source| failed(self.log.path(), source))
    }

    /// The step with the lowest score, the first of equals, of those up to a step.
    pub fn best_step(&self, horizon: u32) -> Option<u32> {
        let scored = self.log.lines().iter();
        let scored = scored.filter(|line| line.step <= horizon);
        let scored = scored.filter(|line| !self.gone.contains(&line.step));
        let scored = scored.filter_map(|line| Some((line.selection?, line.step)));
        let best = scored.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        best.map(|(_, step)| step)
    }

    /// A run that was killed between the two files of a best checkpoint lacks the second; and it may have been
    /// damaged since, or be of a step after `now`, which has not happened. Then it is the best of those that are left.
    fn complete_best(&mut self, now: u32, say: &mut dyn FnMut(&str)) -> Result<(), StoreError> {
        let path = self.store.folder.join(BEST);
        let held = match path.exists().then(|| read(&path)) {
            Some(Ok(checkpoint)) if checkpoint.gan.steps <= now => Some(checkpoint.gan.steps),
            Some(Ok(_)) => {
                std::fs::remove_file(&path).map_err(|source| failed(&path, source))?;
                None
            }
            Some(Err(reason)) => {
                say(&format!("{}: {reason}; it is set aside", path.display()));
                let aside = path.with_extension("safetensors.damaged");
                std::fs::rename(&path, aside).map_err(|source| failed(&path, source))?;
                None
            }
            None => None,
        };
        while let Some(step) = self.best_step(now).filter(|&step| held != Some(step)) {
            if let Ok(checkpoint) = read(&self.path_of(step)) {
                return self.write_best(&checkpoint.encode()?);
            }
            self.gone.insert(step);
        }
        Ok(())
    }

    fn write_best(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.store.folder.join(BEST);
        write_whole(&path, bytes).map_err(|source| failed(&path, source))
    }

    fn path_of(&self, step: u32) -> PathBuf {
        self.store
            .folder
            .join(format!("step-{step:08}.safetensors"))
    }
}

fn failed(path: &Path, source: io::Error) -> StoreError {
    StoreError::Write {
        path: path.to_owned(),
        source,
    }
}
