//! What a checked model guarantees, so that nothing else has to be done: a debug build panics where it does not hold, a
//! release build goes on with a harmless value and has no code for a panic.

/// `n`, with which something is to be divided, and which is never 0.
#[track_caller]
pub(crate) const fn divisor(n: usize) -> usize {
    debug_assert!(n > 0, "a divisor of a checked model is above 0");
    if n == 0 { 1 } else { n }
}

/// A value that is always there.
pub(crate) trait Guaranteed<T> {
    /// The value; its type's default where it is not there after all.
    fn guaranteed(self) -> T;
}

impl<T: Default> Guaranteed<T> for Option<T> {
    #[inline(always)]
    #[track_caller]
    fn guaranteed(self) -> T {
        debug_assert!(self.is_some(), "a checked model reaches this far");
        self.unwrap_or_default()
    }
}

/// Called where no checked model gets to.
#[inline(always)]
#[track_caller]
pub(crate) fn unexpected() {
    if cfg!(debug_assertions) {
        panic!("no checked model gets here");
    }
}
