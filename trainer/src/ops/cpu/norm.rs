//! Batch normalization (Ioffe & Szegedy 2015), and instance normalization (Ulyanov et al. 2016).

use super::account::{Work, book};
use super::array::{add_parts, give, take};
use super::linear::sum_rows;
use super::{
    Activation, Array, BatchStatistics, Buffer, Cpu, Dims, Nodes, Real, Sums, Wants, part,
    vectorized,
};
use dfdx::prelude::{CpuError, Tape};
use rayon::prelude::*;

#[allow(clippy::too_many_arguments)]
pub(super) fn batch_norm<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    gamma: &Array<E>,
    beta: &Array<E>,
    epsilon: f64,
    act: Activation,
    wants: Wants,
) -> Result<(Array<E>, BatchStatistics<E>), CpuError> {
    let (sums, batch) = (cpu.sums, Batch::new(cpu.sums, x.dims));
    let average = |parts: Vec<Vec<E>>| batch.average(total(sums, parts));
    let mean = average(batch.sums(x.data()));
    let variance = average(batch.sums_of_squares(x.data(), &mean));
    let statistics = BatchStatistics { mean, variance };
    let norm = Norm::new(&statistics, gamma.data(), epsilon);
    let data = norm.apply(x.data(), beta.data(), act);
    let y = Array::new(cpu, data, x.dims)?;

    let (x, gamma, beta, output) = (x.clone(), gamma.clone(), beta.clone(), y.clone());
    tape.add_backward_op(move |gradients| {
        let mut dy = take(gradients, &output.node)?;
        if dy.is_empty() {
            return Ok(());
        }
        let parts = batch.sums_of_gradients(&mut dy, output.data(), x.data(), act, &norm);
        let all = vec![total(sums, parts.clone())];
        let [d_gamma, d_beta] = norm.gradients(match sums {
            Sums::Fast => &all,
            Sums::Tree(_) => &parts,
        });
        if wants.input {
            batch.pass_back(&mut dy, x.data(), &all[0], &norm);
            give(gradients, &x.node, dy)?;
        }
        if wants.weights {
            give(gradients, &gamma.node, Buffer::of(&d_gamma))?;
            give(gradients, &beta.node, Buffer::of(&d_beta))?;
        }
        Ok(())
    });
    Ok((y, statistics))
}

#[allow(clippy::too_many_arguments)]
pub(super) fn instance_norm<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    gamma: &Array<E>,
    beta: &Array<E>,
    epsilon: f64,
    act: Activation,
    wants: Wants,
) -> Result<Array<E>, CpuError> {
    let [n, h, w, c] = x.dims;
    let len = h * w * c;
    // A sample is a batch of its own.
    let sample = Batch::new(Sums::Fast, [1, h, w, c]);
    let norm = |x: &[E]| {
        let average = |parts| sample.average(total(Sums::Fast, parts));
        let mean = average(sample.sums(x));
        let variance = average(sample.sums_of_squares(x, &mean));
        Norm::new(&BatchStatistics { mean, variance }, gamma.data(), epsilon)
    };
    let norms: Vec<Norm<E>> = x.data().par_chunks(len).map(norm).collect();
    let mut data = Buffer::stale(n * len);
    data.par_chunks_mut(len)
        .zip(x.data().par_chunks(len))
        .zip(&norms)
        .for_each(|((y, x), norm)| norm.apply_to(y, x, beta.data(), act));
    let y = Array::new(cpu, data, x.dims)?;

    let samples = match cpu.sums {
        Sums::Fast => n,
        Sums::Tree(_) => cpu.sums.part(n),
    };
    let (x, gamma, beta, output) = (x.clone(), gamma.clone(), beta.clone(), y.clone());
    tape.add_backward_op(move |gradients| {
        let mut dy = take(gradients, &output.node)?;
        if dy.is_empty() {
            return Ok(());
        }
        let own = dy
            .par_chunks_mut(len)
            .zip(output.data().par_chunks(len))
            .zip(x.data().par_chunks(len))
            .zip(&norms);
        let own = own.map(|(((dy, y), x), norm)| {
            let parts = sample.sums_of_gradients(dy, y, x, act, norm);
            let sums = total(Sums::Fast, parts);
            if wants.input {
                sample.pass_back(dy, x, &sums, norm);
            }
            norm.gradients(&[sums])
        });
        let own: Vec<[Vec<E>; 2]> = own.collect();
        if wants.input {
            give(gradients, &x.node, dy)?;
        }
        if wants.weights {
            for (i, node) in [&gamma.node, &beta.node].into_iter().enumerate() {
                let parts = own.chunks(samples.max(1)).flat_map(|part| {
                    let rows = part.iter().map(|rows| rows[i].clone());
                    total(Sums::Fast, rows.collect())
                });
                give(gradients, node, Buffer::of(&parts.collect::<Vec<E>>()))?;
            }
        }
        Ok(())
    });
    Ok(y)
}

/// The pixels of a batch, and how they are cut into parts.
#[derive(Clone, Copy)]
pub(super) struct Batch {
    channels: usize,
    /// Numbers in a part.
    part: usize,
    /// Pixels that the statistics are of.
    pub(super) count: usize,
}

impl Batch {
    pub(super) fn new(sums: Sums, [n, h, w, c]: Dims) -> Self {
        let pixels = match sums {
            Sums::Fast => part(n * h * w),
            Sums::Tree(_) => sums.part(n) * h * w,
        };
        Self {
            channels: c,
            part: pixels * c,
            count: n * h * w,
        }
    }

    /// Sums over all pixels as means.
    pub(super) fn average<E: Real>(&self, sums: Vec<E>) -> Vec<E> {
        let count = E::of(self.count as f64);
        sums.into_iter().map(|s| s / count).collect()
    }

    /// Each part's sums, channel by channel.
    pub(super) fn sums<E: Real>(&self, x: &[E]) -> Vec<Vec<E>> {
        x.par_chunks(self.part)
            .map(|x| book(Work::Normalization, || sum_rows(x, self.channels)))
            .collect()
    }

    /// Each part's sums of squared distances from the mean.
    pub(super) fn sums_of_squares<E: Real>(&self, x: &[E], mean: &[E]) -> Vec<Vec<E>> {
        x.par_chunks(self.part)
            .map(|x| book(Work::Normalization, || sum_squares(x, mean)))
            .collect()
    }

    /// Turns the gradient of the output `y` into that of the activation's input. Gives each part's sums of it, and then
    /// those of its products with the distances from the mean.
    pub(super) fn sums_of_gradients<E: Real>(
        &self,
        dy: &mut [E],
        y: &[E],
        x: &[E],
        act: Activation,
        norm: &Norm<E>,
    ) -> Vec<Vec<E>> {
        dy.par_chunks_mut(self.part)
            .zip(y.par_chunks(self.part))
            .zip(x.par_chunks(self.part))
            .map(|((dy, y), x)| {
                act.backward(y, dy);
                book(Work::Normalization, || sum_products(dy, x, &norm.mean))
            })
            .collect()
    }

    /// Turns that gradient into that of `x`, by its sums over all pixels.
    pub(super) fn pass_back<E: Real>(&self, dy: &mut [E], x: &[E], sums: &[E], norm: &Norm<E>) {
        // dx = slope * (dy - mean(dy) - x_hat * mean(dy * x_hat)), gathered by powers of x.
        let Norm {
            mean, scale, slope, ..
        } = norm;
        let count = E::of(self.count as f64);
        let (sum_dy, sum_dy_x) = sums.split_at(self.channels);
        let d_gamma = zip(sum_dy_x, scale, |s, r| s * r);
        let by_x: Vec<E> = zip(
            &zip(&d_gamma, scale, |g, r| g * r / count),
            slope,
            |a, s| -a * s,
        );
        let constant: Vec<E> = (0..self.channels)
            .map(|i| -slope[i] * sum_dy[i] / count - by_x[i] * mean[i])
            .collect();
        dy.par_chunks_mut(self.part)
            .zip(x.par_chunks(self.part))
            .for_each(|(dy, x)| {
                book(Work::Normalization, || {
                    blend(dy, x, slope, &by_x, &constant)
                });
            });
    }
}

/// Normalization by statistics, channel by channel.
pub(super) struct Norm<E> {
    mean: Vec<E>,
    /// One over the standard deviation.
    scale: Vec<E>,
    /// That times gamma.
    slope: Vec<E>,
}

impl<E: Real> Norm<E> {
    pub(super) fn new(statistics: &BatchStatistics<E>, gamma: &[E], epsilon: f64) -> Self {
        let scale: Vec<E> = statistics
            .variance
            .iter()
            .map(|&v| E::one() / (v + E::of(epsilon)).sqrt())
            .collect();
        Self {
            mean: statistics.mean.clone(),
            slope: zip(&scale, gamma, |s, g| s * g),
            scale,
        }
    }

    pub(super) fn apply(&self, x: &[E], beta: &[E], act: Activation) -> Buffer<E> {
        let mut y = Buffer::stale(x.len());
        self.apply_to(&mut y, x, beta, act);
        y
    }

    fn apply_to(&self, y: &mut [E], x: &[E], beta: &[E], act: Activation) {
        let shift: Vec<E> = beta
            .iter()
            .zip(zip(&self.mean, &self.slope, |m, s| m * s))
            .map(|(&b, ms)| b - ms)
            .collect();
        normalized(y, x, &self.slope, &shift, act);
    }

    /// The gradients of gamma and beta, a row for each of the sums that [`Batch::sums_of_gradients`] gives.
    pub(super) fn gradients(&self, sums: &[Vec<E>]) -> [Vec<E>; 2] {
        let halves = sums.iter().map(|sums| sums.split_at(self.scale.len()));
        let gamma = halves
            .clone()
            .flat_map(|(_, s)| zip(s, &self.scale, |s, r| s * r));
        [
            gamma.collect(),
            halves.flat_map(|(s, _)| s.iter().copied()).collect(),
        ]
    }
}

pub(super) fn scale_shift<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    scale: &[E],
    shift: &[E],
    act: Activation,
) -> Result<Array<E>, CpuError> {
    let mut data = Buffer::stale(x.data().len());
    normalized(&mut data, x.data(), scale, shift, act);
    let y = Array::new(cpu, data, x.dims)?;
    let (node, output, scale) = (x.node.clone(), y.clone(), scale.to_vec());
    tape.add_backward_op(move |gradients| {
        let mut dy = take(gradients, &output.node)?;
        act.backward(output.data(), &mut dy);
        for row in dy.chunks_exact_mut(scale.len()) {
            row.iter_mut().zip(&scale).for_each(|(g, &s)| *g *= s);
        }
        give(gradients, &node, dy)
    });
    Ok(y)
}

/// `y = act(x * scale + shift)`, channel by channel.
fn normalized<E: Real>(y: &mut [E], x: &[E], scale: &[E], shift: &[E], act: Activation) {
    let chunk = part(x.len() / scale.len()) * scale.len();
    y.par_chunks_mut(chunk)
        .zip(x.par_chunks(chunk))
        .for_each(|(y, x)| {
            book(Work::Normalization, || affine(y, x, scale, shift));
            act.apply(y);
        });
}

/// `y = x * scale + shift`, channel by channel.
fn affine<E: Real>(y: &mut [E], x: &[E], scale: &[E], shift: &[E]) {
    let c = scale.len();
    let shift = &shift[..c];
    vectorized(
        #[inline(always)]
        || {
            for (y, x) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                for i in 0..c {
                    y[i] = x[i] * scale[i] + shift[i];
                }
            }
        },
    );
}

/// `dy = dy * slope + x * by_x + constant`, channel by channel.
fn blend<E: Real>(dy: &mut [E], x: &[E], slope: &[E], by_x: &[E], constant: &[E]) {
    let c = slope.len();
    let (by_x, constant) = (&by_x[..c], &constant[..c]);
    vectorized(
        #[inline(always)]
        || {
            for (dy, x) in dy.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                for i in 0..c {
                    dy[i] = dy[i] * slope[i] + x[i] * by_x[i] + constant[i];
                }
            }
        },
    );
}

/// Per channel, the sum of squared distances from the mean.
fn sum_squares<E: Real>(x: &[E], mean: &[E]) -> Vec<E> {
    let c = mean.len();
    let mut sum = vec![E::zero(); c];
    vectorized(
        #[inline(always)]
        || {
            for row in x.chunks_exact(c) {
                for ((sum, &x), &mean) in sum.iter_mut().zip(row).zip(mean) {
                    *sum += (x - mean) * (x - mean);
                }
            }
        },
    );
    sum
}

/// Per channel, the sums of `dy` and then of `dy * (x - mean)`.
fn sum_products<E: Real>(dy: &[E], x: &[E], mean: &[E]) -> Vec<E> {
    let c = mean.len();
    let mut sums = vec![E::zero(); 2 * c];
    let (first, second) = sums.split_at_mut(c);
    vectorized(
        #[inline(always)]
        || {
            for (dy, x) in dy.chunks_exact(c).zip(x.chunks_exact(c)) {
                for i in 0..c {
                    first[i] += dy[i];
                    second[i] += dy[i] * (x[i] - mean[i]);
                }
            }
        },
    );
    sums
}

/// Adds up the parts' sums.
pub(super) fn total<E: Real>(order: Sums, parts: Vec<Vec<E>>) -> Vec<E> {
    let len = parts.first().map_or(0, Vec::len);
    match order {
        Sums::Fast => {
            let mut parts = parts.into_iter();
            let mut sum = parts.next().unwrap_or_default();
            for part in parts {
                sum.iter_mut().zip(part).for_each(|(s, v)| *s += v);
            }
            sum
        }
        Sums::Tree(_) => {
            let mut rows = parts.concat();
            add_parts(&mut rows, len);
            rows.truncate(len);
            rows
        }
    }
}

fn zip<E: Real>(a: &[E], b: &[E], f: impl Fn(E, E) -> E) -> Vec<E> {
    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
}
