//! Row-by-row output.

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
