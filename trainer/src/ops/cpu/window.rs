//! Windows of a picture as the rows of a matrix, and back.

use super::{Real, Window};

/// The two pictures that a strided window lies between, for one sample: the *large* one that it
/// reads, `(height, width, channels)`, and the *small* one with a pixel for each of its places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub window: Window,
    pub large: (usize, usize),
    pub small: (usize, usize),
    pub channels: usize,
    /// The taps of the window that are read, the first ones in raster order.
    pub taps: usize,
}

impl Frame {
    /// Numbers in the large picture.
    pub fn large_len(&self) -> usize {
        self.large.0 * self.large.1 * self.channels
    }

    /// Places of the window.
    pub fn places(&self) -> usize {
        self.small.0 * self.small.1
    }

    /// Numbers under the window.
    pub fn columns(&self) -> usize {
        self.taps * self.channels
    }

    /// How many taps of a row of the window are read.
    fn row_taps(&self, ky: usize) -> usize {
        let before = ky * self.window.kernel;
        self.taps.saturating_sub(before).min(self.window.kernel)
    }

    /// Copies what lies under the window at each place into a row of `rows`; zeros outside the picture.
    pub fn gather<E: Real>(&self, large: &[E], rows: &mut [E]) {
        match self.channels {
            1 => self.gather_narrow::<1, E>(large, rows),
            2 => self.gather_narrow::<2, E>(large, rows),
            3 => self.gather_narrow::<3, E>(large, rows),
            _ => self.runs(|row, run| match run {
                Run::Inside { at, picture, len } => {
                    rows[row + at..row + at + len].copy_from_slice(&large[picture..picture + len]);
                }
                Run::Outside { at, len } => rows[row + at..row + at + len].fill(E::zero()),
            }),
        }
    }

    /// Adds each row of `rows` to what lies under the window at its place: the adjoint of `gather`.
    pub fn scatter<E: Real>(&self, rows: &[E], large: &mut [E]) {
        match self.channels {
            1 => self.scatter_narrow::<1, E>(rows, large),
            2 => self.scatter_narrow::<2, E>(rows, large),
            3 => self.scatter_narrow::<3, E>(rows, large),
            _ => self.runs(|row, run| {
                if let Run::Inside { at, picture, len } = run {
                    let from = &rows[row + at..row + at + len];
                    for (to, &from) in large[picture..picture + len].iter_mut().zip(from) {
                        *to += from;
                    }
                }
            }),
        }
    }

    /// Runs of few numbers cost more to set up than to copy: one tap of the window at a time instead,
    /// over all places in a line.
    fn gather_narrow<const C: usize, E: Real>(&self, large: &[E], rows: &mut [E]) {
        rows.fill(E::zero());
        self.taps(|tap| {
            let to = rows[tap.row..].chunks_mut(self.columns());
            let from = large[tap.picture..].chunks(self.window.stride * C);
            for (to, from) in to.zip(from).take(tap.places) {
                to[..C].copy_from_slice(&from[..C]);
            }
        });
    }

    fn scatter_narrow<const C: usize, E: Real>(&self, rows: &[E], large: &mut [E]) {
        self.taps(|tap| {
            let from = rows[tap.row..].chunks(self.columns());
            let to = large[tap.picture..].chunks_mut(self.window.stride * C);
            for (to, from) in to.zip(from).take(tap.places) {
                for i in 0..C {
                    to[i] += from[i];
                }
            }
        });
    }

    /// Calls `visit` with each tap of the window in each line of places, as far as it lies in the picture.
    #[inline(always)]
    fn taps(&self, mut visit: impl FnMut(Tap)) {
        let Window {
            kernel,
            stride,
            padding,
        } = self.window;
        let (height, width) = self.large;
        for sy in 0..self.small.0 {
            for ky in 0..kernel {
                let inside = (sy * stride + ky).checked_sub(padding);
                let Some(y) = inside.filter(|&y| y < height) else {
                    continue;
                };
                for kx in 0..self.row_taps(ky) {
                    // Places [first, last) of the line have this tap inside the picture.
                    let first = padding.saturating_sub(kx).div_ceil(stride);
                    let last = (width + padding).saturating_sub(kx).div_ceil(stride);
                    let last = last.min(self.small.1);
                    if first < last {
                        let place = sy * self.small.1 + first;
                        visit(Tap {
                            row: place * self.columns() + (ky * kernel + kx) * self.channels,
                            picture: (y * width + first * stride + kx - padding) * self.channels,
                            places: last - first,
                        });
                    }
                }
            }
        }
    }

    /// Calls `visit` with the start of a place's row and each contiguous run of it.
    #[inline(always)]
    fn runs(&self, mut visit: impl FnMut(usize, Run)) {
        let Window {
            kernel,
            stride,
            padding,
        } = self.window;
        let (height, width) = self.large;
        let c = self.channels;
        let mut row = 0;
        for sy in 0..self.small.0 {
            for sx in 0..self.small.1 {
                // Taps [first, last) of a kernel row lie inside the picture.
                let first = padding.saturating_sub(sx * stride).min(kernel);
                let last = (width + padding)
                    .saturating_sub(sx * stride)
                    .clamp(first, kernel);
                for ky in 0..self.taps.div_ceil(kernel) {
                    let at = ky * kernel * c;
                    let taps = self.row_taps(ky);
                    let (first, last) = (first.min(taps), last.min(taps));
                    let inside = (sy * stride + ky)
                        .checked_sub(padding)
                        .filter(|&y| y < height && last > first);
                    let Some(y) = inside else {
                        visit(row, Run::Outside { at, len: taps * c });
                        continue;
                    };
                    if first > 0 {
                        visit(row, Run::Outside { at, len: first * c });
                    }
                    let x = sx * stride + first - padding;
                    visit(
                        row,
                        Run::Inside {
                            at: at + first * c,
                            picture: (y * width + x) * c,
                            len: (last - first) * c,
                        },
                    );
                    if last < taps {
                        visit(
                            row,
                            Run::Outside {
                                at: at + last * c,
                                len: (taps - last) * c,
                            },
                        );
                    }
                }
                row += self.columns();
            }
        }
    }
}

/// A run of a window's row: where in the row, and where in the picture if it lies in it.
enum Run {
    Inside {
        at: usize,
        picture: usize,
        len: usize,
    },
    Outside {
        at: usize,
        len: usize,
    },
}

/// A tap of the window along a line of places: where its first numbers are in the rows and in the
/// picture, and at how many places it lies in the picture.
struct Tap {
    row: usize,
    picture: usize,
    places: usize,
}
