//! Row-by-row output.

use core::fmt;

use crate::error::Error;

/// A row of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'g> {
    /// Its number, from 0 at the top to one less than the image's height.
    pub y: usize,
    /// `width * channels` pixels, ordered column, channel.
    pub pixels: &'g [u8],
}

/// Takes an image's rows as they are made, top to bottom: a display, a file, a checksum.
///
/// Any `FnMut(usize, &[u8])` is one.
pub trait RowSink {
    /// Takes row `y` (from 0): `width * channels` pixels, ordered column, channel.
    fn row(&mut self, y: usize, pixels: &[u8]);
}

impl<F: FnMut(usize, &[u8])> RowSink for F {
    fn row(&mut self, y: usize, pixels: &[u8]) {
        self(y, pixels);
    }
}

/// Takes an image's rows as they are made, top to bottom, where that can fail: a display behind a bus, a file, a
/// socket.
///
/// Any `FnMut(usize, &[u8]) -> Result<(), E>` is one.
pub trait TryRowSink {
    /// Why a row could not be taken.
    type Error;

    /// Takes row `y` (from 0): `width * channels` pixels, ordered column, channel.
    ///
    /// # Errors
    /// The row could not be taken; no further one is made.
    fn try_row(&mut self, y: usize, pixels: &[u8]) -> Result<(), Self::Error>;
}

impl<F, E> TryRowSink for F
where
    F: FnMut(usize, &[u8]) -> Result<(), E>,
{
    type Error = E;

    fn try_row(&mut self, y: usize, pixels: &[u8]) -> Result<(), E> {
        self(y, pixels)
    }
}

/// Why [`Generator::try_sample_rows`](crate::Generator::try_sample_rows) stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SampleError<E> {
    /// The call was wrong; no row was made.
    Call(Error),
    /// The sink could not take a row; no further one was made.
    Sink(E),
}

impl<E> From<Error> for SampleError<E> {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl<E: fmt::Display> fmt::Display for SampleError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => error.fmt(f),
            Self::Sink(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error> core::error::Error for SampleError<E> {}
