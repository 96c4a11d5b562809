//! Batch normalization (Ioffe & Szegedy 2015).

use super::account::{Work, book};
use super::array::{give, take};
use super::linear::sum_rows;
use super::{Activation, Array, BatchStatistics, Buffer, Real, Wants, part, vectorized};
use dfdx::prelude::{Cpu, CpuError, Tape};
use rayon::prelude::*;

#[allow(clippy::too_many_arguments)]
pub(super) fn batch_norm<E: Real, T: Tape<E, Cpu>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    gamma: &Array<E>,
    beta: &Array<E>,
    epsilon: f64,
    act: Activation,
    wants: Wants,
) -> Result<(Array<E>, BatchStatistics<E>), CpuError> {
    let c = x.dims[3];
    let count = E::of((x.data().len() / c) as f64);
    let chunk = part(x.data().len() / c) * c;
    let average = |sums: Vec<E>| -> Vec<E> { sums.into_iter().map(|s| s / count).collect() };

    let mean = average(total(
        x.data()
            .par_chunks(chunk)
            .map(|x| book(Work::Normalization, || sum_rows(x, c)))
            .collect(),
    ));
    let variance = average(total(
        x.data()
            .par_chunks(chunk)
            .map(|x| book(Work::Normalization, || sum_squares(x, &mean)))
            .collect(),
    ));
    let scale: Vec<E> = variance
        .iter()
        .map(|&v| E::one() / (v + E::of(epsilon)).sqrt())
        .collect();

    let slope: Vec<E> = zip(&scale, gamma.data(), |s, g| s * g);
    let shift: Vec<E> = beta
        .data()
        .iter()
        .zip(zip(&mean, &slope, |m, s| m * s))
        .map(|(&b, ms)| b - ms)
        .collect();
    let y = Array::new(cpu, normalized(x.data(), &slope, &shift, act), x.dims)?;

    let statistics = BatchStatistics {
        mean: mean.clone(),
        variance,
    };
    let (x, gamma, beta, output) = (x.clone(), gamma.clone(), beta.clone(), y.clone());
    tape.add_backward_op(move |gradients| {
        let mut dy = take(gradients, &output.node)?;
        if dy.is_empty() {
            return Ok(());
        }
        let sums: Vec<Vec<E>> = dy
            .par_chunks_mut(chunk)
            .zip(output.data().par_chunks(chunk))
            .zip(x.data().par_chunks(chunk))
            .map(|((dy, y), x)| {
                act.backward(y, dy);
                book(Work::Normalization, || sum_products(dy, x, &mean))
            })
            .collect();
        let sums = total(sums);
        let (sum_dy, sum_dy_x) = sums.split_at(c);
        let d_gamma = zip(sum_dy_x, &scale, |s, r| s * r);
        if wants.input {
            // dx = slope * (dy - mean(dy) - x_hat * mean(dy * x_hat)), gathered by powers of x.
            let by_x: Vec<E> = zip(
                &zip(&d_gamma, &scale, |g, r| g * r / count),
                &slope,
                |a, s| -a * s,
            );
            let constant: Vec<E> = (0..c)
                .map(|i| -slope[i] * sum_dy[i] / count - by_x[i] * mean[i])
                .collect();
            dy.par_chunks_mut(chunk)
                .zip(x.data().par_chunks(chunk))
                .for_each(|(dy, x)| {
                    book(Work::Normalization, || {
                        blend(dy, x, &slope, &by_x, &constant);
                    });
                });
            give(gradients, &x.node, dy)?;
        }
        if wants.weights {
            give(gradients, &gamma.node, Buffer::of(&d_gamma))?;
            give(gradients, &beta.node, Buffer::of(sum_dy))?;
        }
        Ok(())
    });
    Ok((y, statistics))
}

pub(super) fn scale_shift<E: Real, T: Tape<E, Cpu>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    scale: &[E],
    shift: &[E],
    act: Activation,
) -> Result<Array<E>, CpuError> {
    let y = Array::new(cpu, normalized(x.data(), scale, shift, act), x.dims)?;
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

/// `act(x * scale + shift)`, channel by channel.
fn normalized<E: Real>(x: &[E], scale: &[E], shift: &[E], act: Activation) -> Buffer<E> {
    let chunk = part(x.len() / scale.len()) * scale.len();
    let mut y = Buffer::stale(x.len());
    y.par_chunks_mut(chunk)
        .zip(x.par_chunks(chunk))
        .for_each(|(y, x)| {
            book(Work::Normalization, || affine(y, x, scale, shift));
            act.apply(y);
        });
    y
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

/// Adds the parts' sums in order.
fn total<E: Real>(parts: Vec<Vec<E>>) -> Vec<E> {
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_default();
    for part in parts {
        sum.iter_mut().zip(part).for_each(|(s, v)| *s += v);
    }
    sum
}

fn zip<E: Real>(a: &[E], b: &[E], f: impl Fn(E, E) -> E) -> Vec<E> {
    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
}
