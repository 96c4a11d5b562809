//! An account of where the threads' time goes, kept while it is switched on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A kind of work in a training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Matrix products.
    Product,
    /// Windows gathered into rows for a product, and scattered back.
    Windows,
    /// Batch normalization, both ways.
    Normalization,
    /// Bias and activation, both ways.
    Activation,
    /// Parts' sums of weights' gradients added up.
    Reduction,
    /// The optimizer, and the average of weights.
    Optimizer,
}

impl Work {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Product,
        Self::Windows,
        Self::Normalization,
        Self::Activation,
        Self::Reduction,
        Self::Optimizer,
    ];

    /// A word for a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Product => "matrix products",
            Self::Windows => "im2col, col2im",
            Self::Normalization => "batch norm",
            Self::Activation => "bias, activation",
            Self::Reduction => "sums of gradients",
            Self::Optimizer => "optimizer, EMA",
        }
    }
}

static ON: AtomicBool = AtomicBool::new(false);
static NANOSECONDS: [AtomicU64; Work::ALL.len()] = [const { AtomicU64::new(0) }; Work::ALL.len()];

/// Runs `action` and books its time, if an account is kept.
pub(super) fn book<R>(work: Work, action: impl FnOnce() -> R) -> R {
    if !ON.load(Relaxed) {
        return action();
    }
    let start = Instant::now();
    let result = action();
    let spent = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    NANOSECONDS[work as usize].fetch_add(spent, Relaxed);
    result
}

/// Begins an account at zero.
pub fn open() {
    for spent in &NANOSECONDS {
        spent.store(0, Relaxed);
    }
    ON.store(true, Relaxed);
}

/// Ends the account: the time of all threads together, kind by kind.
pub fn close() -> [(Work, Duration); Work::ALL.len()] {
    ON.store(false, Relaxed);
    Work::ALL.map(|work| {
        let spent = NANOSECONDS[work as usize].load(Relaxed);
        (work, Duration::from_nanos(spent))
    })
}
