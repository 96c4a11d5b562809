//! Ctrl-C and its kin.

use crate::cli::Failure;
use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What a process says that ends because of Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// From here on the first Ctrl-C (or SIGTERM) sets the flag, and the second ends the process.
///
/// # Errors
/// The system's.
pub(super) fn listen() -> Result<Arc<AtomicBool>, Failure> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the flag of the first signal is there for the second to see.
        flag::register_conditional_shutdown(signal, INTERRUPTED.into(), Arc::clone(&asked))
            .and_then(|_| flag::register(signal, Arc::clone(&asked)))
            .context("cannot listen to Ctrl-C")?;
    }
    Ok(asked)
}
