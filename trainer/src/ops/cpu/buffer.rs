//! Blocks of numbers that are used again, so that a steady step asks the system for none.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Idle blocks by length.
pub type Idle<E> = HashMap<usize, Vec<Vec<E>>>;

/// Number types with a store of idle blocks.
pub trait Pooled: Copy + Sized + 'static {
    /// Zero.
    const ZERO: Self;
    /// NaN.
    const NOT_A_NUMBER: Self;

    /// The store.
    fn idle() -> &'static Mutex<Idle<Self>>;
}

macro_rules! pooled {
    ($($number:ty),*) => {$(
        impl Pooled for $number {
            const ZERO: Self = 0.0;
            const NOT_A_NUMBER: Self = <$number>::NAN;

            fn idle() -> &'static Mutex<Idle<Self>> {
                static IDLE: std::sync::LazyLock<Mutex<Idle<$number>>> =
                    std::sync::LazyLock::new(Mutex::default);
                &IDLE
            }
        }
    )*};
}

pooled!(f32, f64);

fn store<E: Pooled>() -> MutexGuard<'static, Idle<E>> {
    // A panic elsewhere leaves whole blocks behind.
    E::idle().lock().unwrap_or_else(PoisonError::into_inner)
}

/// A block of numbers, handed back to the store when dropped.
#[derive(Debug)]
pub struct Buffer<E: Pooled>(Vec<E>);

impl<E: Pooled> Buffer<E> {
    /// `len` numbers of unspecified value.
    pub(super) fn stale(len: usize) -> Self {
        let idle = store().get_mut(&len).and_then(Vec::pop);
        let buffer = Self(idle.unwrap_or_else(|| vec![E::ZERO; len]));
        // So that the tests see whoever reads what was not written.
        #[cfg(test)]
        let buffer = {
            let mut buffer = buffer;
            buffer.fill(E::NOT_A_NUMBER);
            buffer
        };
        buffer
    }

    /// `len` zeros.
    pub(super) fn zeros(len: usize) -> Self {
        let idle = store().get_mut(&len).and_then(Vec::pop);
        Self(match idle {
            Some(mut numbers) => {
                numbers.fill(E::ZERO);
                numbers
            }
            None => vec![E::ZERO; len],
        })
    }

    /// The same numbers in a block of their own.
    pub(super) fn of(numbers: &[E]) -> Self {
        let mut copy = Self::stale(numbers.len());
        copy.copy_from_slice(numbers);
        copy
    }

    /// The numbers, not to be handed back.
    pub(super) fn into_vec(mut self) -> Vec<E> {
        std::mem::take(&mut self.0)
    }
}

/// Numbers that came out of a buffer, on their way back.
impl<E: Pooled> From<Vec<E>> for Buffer<E> {
    fn from(numbers: Vec<E>) -> Self {
        Self(numbers)
    }
}

impl<E: Pooled> Clone for Buffer<E> {
    fn clone(&self) -> Self {
        Self::of(self)
    }
}

impl<E: Pooled> Drop for Buffer<E> {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            let numbers = std::mem::take(&mut self.0);
            store().entry(numbers.len()).or_default().push(numbers);
        }
    }
}

impl<E: Pooled> Deref for Buffer<E> {
    type Target = [E];

    fn deref(&self) -> &[E] {
        &self.0
    }
}

impl<E: Pooled> DerefMut for Buffer<E> {
    fn deref_mut(&mut self) -> &mut [E] {
        &mut self.0
    }
}
