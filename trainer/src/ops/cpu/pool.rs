//! Pooling under a square window.

use super::array::{give, take};
use super::{Array, Buffer, Cpu, Nodes, Real, Window, vectorized};
use dfdx::prelude::{CpuError, Tape};
use rayon::prelude::*;

/// A window on the pictures of a batch: the *large* ones that it lies on, `(height, width)`, and the *small* ones with
/// a pixel for each of its places.
#[derive(Clone, Copy)]
struct Pool {
    window: Window,
    large: (usize, usize),
    small: (usize, usize),
    channels: usize,
}

impl Pool {
    fn large_len(&self) -> usize {
        self.large.0 * self.large.1 * self.channels
    }

    fn small_len(&self) -> usize {
        self.small.0 * self.small.1 * self.channels
    }

    /// Calls `visit` with where each place's numbers begin in a small picture and each pixel's under it in the large
    /// one.
    #[inline(always)]
    fn each(&self, mut visit: impl FnMut(usize, usize)) {
        let Window { kernel, stride, .. } = self.window;
        let c = self.channels;
        for (place, small) in (0..self.small.0 * self.small.1).zip((0..).step_by(c)) {
            let (y, x) = (place / self.small.1 * stride, place % self.small.1 * stride);
            for large_y in y..y + kernel {
                for large_x in x..x + kernel {
                    visit(small, (large_y * self.large.1 + large_x) * c);
                }
            }
        }
    }

    /// The mean under each place.
    fn means<E: Real>(&self, large: &[E]) -> Buffer<E> {
        let (c, scale) = (self.channels, self.scale::<E>());
        let mut small = Buffer::zeros(large.len() / self.large_len() * self.small_len());
        let samples = small.par_chunks_mut(self.small_len());
        samples
            .zip(large.par_chunks(self.large_len()))
            .for_each(|(small, large)| {
                vectorized(
                    #[inline(always)]
                    || {
                        self.each(|to, from| {
                            let sums = small[to..to + c].iter_mut();
                            sums.zip(&large[from..from + c]).for_each(|(s, &v)| *s += v);
                        });
                        small.iter_mut().for_each(|s| *s *= scale);
                    },
                );
            });
        small
    }

    /// The transposed map of [`means`](Self::means).
    fn spread<E: Real>(&self, small: &[E]) -> Buffer<E> {
        let (c, scale) = (self.channels, self.scale::<E>());
        let mut large = Buffer::zeros(small.len() / self.small_len() * self.large_len());
        let samples = large.par_chunks_mut(self.large_len());
        samples
            .zip(small.par_chunks(self.small_len()))
            .for_each(|(large, small)| {
                vectorized(
                    #[inline(always)]
                    || {
                        self.each(|from, to| {
                            let sums = large[to..to + c].iter_mut();
                            sums.zip(&small[from..from + c]).for_each(|(s, &v)| *s += v);
                        });
                        large.iter_mut().for_each(|s| *s *= scale);
                    },
                );
            });
        large
    }

    /// Where in its sample the first of the greatest numbers under each place is.
    fn greatest<E: Real>(&self, large: &[E]) -> Vec<u32> {
        let c = self.channels;
        let mut places = vec![u32::MAX; large.len() / self.large_len() * self.small_len()];
        let samples = places.par_chunks_mut(self.small_len());
        samples
            .zip(large.par_chunks(self.large_len()))
            .for_each(|(places, large)| {
                self.each(|to, from| {
                    for (place, at) in places[to..to + c].iter_mut().zip(from..from + c) {
                        // The first of all has no other before it.
                        let greater = large.get(*place as usize).is_none_or(|&best| {
                            large[at] > best || large[at].is_nan() && !best.is_nan()
                        });
                        if greater {
                            *place = at as u32;
                        }
                    }
                });
            });
        places
    }

    /// The numbers in these places.
    fn pick<E: Real>(&self, large: &[E], places: &[u32]) -> Buffer<E> {
        let mut small = Buffer::stale(places.len());
        let samples = small.par_chunks_mut(self.small_len());
        samples
            .zip(places.par_chunks(self.small_len()))
            .zip(large.par_chunks(self.large_len()))
            .for_each(|((small, places), large)| {
                for (to, &place) in small.iter_mut().zip(places) {
                    *to = large[place as usize];
                }
            });
        small
    }

    /// The transposed map of [`pick`](Self::pick).
    fn put<E: Real>(&self, small: &[E], places: &[u32]) -> Buffer<E> {
        let mut large = Buffer::zeros(small.len() / self.small_len() * self.large_len());
        let samples = large.par_chunks_mut(self.large_len());
        samples
            .zip(places.par_chunks(self.small_len()))
            .zip(small.par_chunks(self.small_len()))
            .for_each(|((large, places), small)| {
                for (&from, &place) in small.iter().zip(places) {
                    large[place as usize] += from;
                }
            });
        large
    }

    /// One over the pixels under a place.
    fn scale<E: Real>(&self) -> E {
        E::of(1.0 / (self.window.kernel * self.window.kernel) as f64)
    }
}

/// The pool that leaves something of `(N, H, W, C)`, and the sizes of that.
fn over([n, h, w, c]: [usize; 4], window: Window) -> (Pool, [usize; 4]) {
    let side = |len: usize| (len - window.kernel) / window.stride + 1;
    let small = (side(h), side(w));
    let pool = Pool {
        window,
        large: (h, w),
        small,
        channels: c,
    };
    (pool, [n, small.0, small.1, c])
}

/// A linear map's output and its sizes as an array; `back` is the transposed map.
fn recorded<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    (y, dims): (Buffer<E>, [usize; 4]),
    back: impl FnOnce(&[E]) -> Buffer<E> + 'static,
) -> Result<Array<E>, CpuError> {
    let y = Array::new(cpu, y, dims)?;
    let (output, node) = (y.node.clone(), x.node.clone());
    tape.add_backward_op(move |gradients| {
        let from = take(gradients, &output)?;
        if from.is_empty() {
            return Ok(());
        }
        give(gradients, &node, back(&from))
    });
    Ok(y)
}

pub(super) fn avg_pool2d<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    window: Window,
) -> Result<Array<E>, CpuError> {
    let (pool, dims) = over(x.dims, window);
    let y = pool.means(x.data());
    recorded(cpu, tape, x, (y, dims), move |from| pool.spread(from))
}

pub(super) fn avg_unpool2d<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    window: Window,
    output: (usize, usize),
) -> Result<Array<E>, CpuError> {
    let [n, h, w, c] = x.dims;
    let pool = Pool {
        window,
        large: output,
        small: (h, w),
        channels: c,
    };
    let (y, dims) = (pool.spread(x.data()), [n, output.0, output.1, c]);
    recorded(cpu, tape, x, (y, dims), move |from| pool.means(from))
}

pub(super) fn max_pool2d<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    window: Window,
) -> Result<Array<E>, CpuError> {
    let (pool, dims) = over(x.dims, window);
    let places = pool.greatest(x.data());
    let y = pool.pick(x.data(), &places);
    recorded(cpu, tape, x, (y, dims), move |from| pool.put(from, &places))
}

pub(super) fn max_unpool2d<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    large: &Array<E>,
    window: Window,
) -> Result<Array<E>, CpuError> {
    let (pool, _) = over(large.dims, window);
    let places = pool.greatest(large.data());
    let y = pool.put(x.data(), &places);
    recorded(cpu, tape, x, (y, large.dims), move |from| {
        pool.pick(from, &places)
    })
}
