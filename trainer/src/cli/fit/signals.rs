//! Ctrl-C and its kin.

use crate::cli::Failure;
use anyhow::Context;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a process says that ends because of Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// From here on the first Ctrl-C (or SIGTERM, or SIGHUP) sets the flag, and the second ends the process.
///
/// # Errors
/// The system's.
pub(super) fn listen() -> Result<Arc<AtomicBool>, Failure> {
    let asked = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&asked);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
    })
    .context("cannot listen to Ctrl-C")?;
    Ok(asked)
}
