//! Rows that come in and go out.

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

/// Gives a picture's rows as they are needed, top to bottom: a camera, a file, a picture in flash.
pub trait RowSource {
    /// Why a row could not be given.
    type Error;

    /// Gives row `y` (from 0): `width * channels` pixels, ordered column, channel. Rows are asked for in order, each
    /// once, when the network needs them; rows that no pixel of the image depends on are not asked for.
    ///
    /// # Errors
    /// The row could not be given; the picture is given up.
    fn next_row(&mut self, y: usize) -> Result<&[u8], Self::Error>;
}

/// A source that can give rows again, which [`Translator::score`](crate::Translator::score) compares images with.
pub trait Rewind: RowSource {
    /// Gives row `y` again, as [`next_row`](RowSource::next_row) did. Rows are asked for in order, each once.
    ///
    /// # Errors
    /// The row could not be given; the picture is given up.
    fn row_again(&mut self, y: usize) -> Result<&[u8], Self::Error>;
}

/// A picture in memory.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'p> {
    pixels: &'p [u8],
    row_len: usize,
}

impl<'p> Pixels<'p> {
    /// A picture of so many pixels a row (`width * channels`), ordered row, column, channel.
    pub const fn new(pixels: &'p [u8], row_len: usize) -> Self {
        Self { pixels, row_len }
    }
}

impl RowSource for Pixels<'_> {
    type Error = Error;

    /// Fails with [`Error::SliceLength`] where the picture has no such row.
    fn next_row(&mut self, y: usize) -> Result<&[u8], Error> {
        let start = y.saturating_mul(self.row_len);
        let row = self.pixels.get(start..start.saturating_add(self.row_len));
        row.ok_or(Error::SliceLength)
    }
}

impl Rewind for Pixels<'_> {
    fn row_again(&mut self, y: usize) -> Result<&[u8], Error> {
        self.next_row(y)
    }
}

/// A source that keeps the rows of another one, so that it can give them again.
#[derive(Debug)]
pub struct Kept<'b, S> {
    source: S,
    pixels: &'b mut [u8],
    row_len: usize,
}

impl<'b, S: RowSource> Kept<'b, S> {
    /// Keeps the rows of `source`, each of `row_len` pixels (`width * channels`), in `pixels`, which should have room
    /// for a picture: [`Model::picture_len`](crate::Model::picture_len) bytes. Rows beyond, and rows of another length,
    /// are given as empty ones, which a [`Translator`](crate::Translator) refuses.
    pub const fn new(source: S, pixels: &'b mut [u8], row_len: usize) -> Self {
        Self {
            source,
            pixels,
            row_len,
        }
    }
}

fn row_of(pixels: &mut [u8], row_len: usize, y: usize) -> &mut [u8] {
    let start = y.saturating_mul(row_len);
    let row = pixels.get_mut(start..start.saturating_add(row_len));
    row.unwrap_or_default()
}

impl<S: RowSource> RowSource for Kept<'_, S> {
    type Error = S::Error;

    fn next_row(&mut self, y: usize) -> Result<&[u8], S::Error> {
        let row = self.source.next_row(y)?;
        let kept = row_of(self.pixels, self.row_len, y);
        if row.len() != kept.len() {
            // Refused where rows are taken.
            return Ok(&[]);
        }
        for (to, &from) in kept.iter_mut().zip(row) {
            *to = from;
        }
        Ok(kept)
    }
}

impl<S: RowSource> Rewind for Kept<'_, S> {
    fn row_again(&mut self, y: usize) -> Result<&[u8], S::Error> {
        Ok(row_of(self.pixels, self.row_len, y))
    }
}

/// Why [`Translator::translate_rows`](crate::Translator::translate_rows) stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TranslateError<S, K> {
    /// A row of the source has the wrong length.
    Call(Error),
    /// The source could not give a row; no further one was asked for.
    Source(S),
    /// The sink could not take a row; no further one was made.
    Sink(K),
}

impl<S: fmt::Display, K: fmt::Display> fmt::Display for TranslateError<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => error.fmt(f),
            Self::Source(error) => error.fmt(f),
            Self::Sink(error) => error.fmt(f),
        }
    }
}

impl<S: core::error::Error, K: core::error::Error> core::error::Error for TranslateError<S, K> {}

/// Why [`Translator::score`](crate::Translator::score) gave no score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScoreError<E> {
    /// The model's images are not of its pictures' size, or a row of the source has the wrong length.
    Call(Error),
    /// The source could not give a row; no further one was asked for.
    Source(E),
}

impl<E: fmt::Display> fmt::Display for ScoreError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => error.fmt(f),
            Self::Source(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error> core::error::Error for ScoreError<E> {}
