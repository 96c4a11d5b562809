//! The checkpoint of another run that a run begins with.

use super::options::{Plan, input};
use crate::cli::Failure;
use crate::cli::export::checkpoint;
use crate::files::write_whole;
use crate::gan::checkpoint::Checkpoint;
use std::path::Path;

/// A checkpoint, and its bytes.
pub(super) struct Source {
    bytes: Vec<u8>,
    pub checkpoint: Checkpoint,
    /// The copy's name in the folder of the run that begins with it.
    name: &'static str,
}

impl Source {
    /// The newest checkpoint of `run`: as it was when the run of the plan began, if it has; otherwise as it is now.
    ///
    /// # Errors
    /// No checkpoint there, or one that cannot be read.
    pub fn of(plan: &Plan, run: &Path, name: &'static str) -> Result<Self, Failure> {
        let own = plan.out.join(name);
        let path = if own.exists() {
            own
        } else {
            checkpoint(run, false)?.path
        };
        let read = std::fs::read(&path);
        let bytes =
            read.or_else(|error| input(format!("cannot read {}: {error}", path.display())))?;
        let checkpoint = Checkpoint::decode(&bytes)
            .or_else(|error| input(format!("{}: {error}", path.display())))?;
        Ok(Self {
            bytes,
            checkpoint,
            name,
        })
    }

    /// Puts it into the folder of the run that begins with it.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn keep(&self, run: &Path) -> Result<(), Failure> {
        let path = run.join(self.name);
        if path.exists() {
            return Ok(());
        }
        write_whole(&path, &self.bytes)
            .or_else(|error| input(format!("cannot write {}: {error}", path.display())))
    }
}
