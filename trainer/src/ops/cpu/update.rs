//! Parameter updates in place.

use super::account::{Work, book};
use super::array::{add_parts, take};
use super::{Array, Nodes, Real, Update, vectorized};
use dfdx::prelude::{CpuError, Gradients};
use rayon::prelude::*;

/// Numbers that a thread takes at a time.
const CHUNK: usize = 16_384;

/// A step of an optimizer. A parameter without a gradient is left alone.
pub(super) fn update<E: Real>(
    parameter: &mut Array<E>,
    gradients: &mut Gradients<E, Nodes>,
    [first, second]: &mut [Array<E>; 2],
    step: &Update,
) -> Result<(), CpuError> {
    let mut gradient = take(gradients, &parameter.node)?;
    book(Work::Reduction, || {
        add_parts(&mut gradient, parameter.data().len());
    });
    let values = parameter.data_mut().par_chunks_mut(CHUNK);
    let chunks = values
        .zip(first.data_mut().par_chunks_mut(CHUNK))
        .zip(second.data_mut().par_chunks_mut(CHUNK))
        .zip(gradient.par_chunks(CHUNK));
    // A weight that gets no gradient any more would leave its moments among the denormals, which are slow.
    let tiny = E::of(1e-30);
    let faded = |moment: E| {
        if moment.abs() < tiny {
            E::zero()
        } else {
            moment
        }
    };
    match *step {
        Update::Adam {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            correction1,
            correction2,
        } => {
            let [b1, b2, c2, epsilon] = [beta1, beta2, correction2, epsilon].map(E::of);
            let rate = E::of(learning_rate / correction1);
            let least = E::min_positive_value();
            let update = |p: &mut [E], m: &mut [E], v: &mut [E], g: &[E]| {
                vectorized(
                    #[inline(always)]
                    || {
                        for (((p, m), v), &g) in p.iter_mut().zip(m).zip(v).zip(g) {
                            *m = faded(b1 * *m + (E::one() - b1) * g);
                            let square = b2 * *v + (E::one() - b2) * g * g;
                            *v = if square < least { E::zero() } else { square };
                            *p -= rate * *m / ((*v / c2).sqrt() + epsilon);
                        }
                    },
                );
            };
            chunks.for_each(|(((p, m), v), g)| book(Work::Optimizer, || update(p, m, v, g)));
        }
        Update::Sgd {
            learning_rate,
            momentum,
        } => {
            let (rate, momentum) = (E::of(learning_rate), E::of(momentum));
            let update = |p: &mut [E], m: &mut [E], g: &[E]| {
                vectorized(
                    #[inline(always)]
                    || {
                        for ((p, m), &g) in p.iter_mut().zip(m).zip(g) {
                            *m = faded(momentum * *m + g);
                            *p -= rate * *m;
                        }
                    },
                );
            };
            chunks.for_each(|(((p, m), _), g)| book(Work::Optimizer, || update(p, m, g)));
        }
    }
    Ok(())
}

/// Brings every number into `[-limit, limit]`.
pub(super) fn clamp<E: Real>(array: &mut Array<E>, limit: f64) {
    let limit = E::of(limit);
    book(Work::Optimizer, || {
        vectorized(
            #[inline(always)]
            || {
                let numbers = array.data_mut().iter_mut();
                // Written so that NaN stays.
                numbers.for_each(|v| {
                    *v = if *v > limit {
                        limit
                    } else if *v < -limit {
                        -limit
                    } else {
                        *v
                    }
                });
            },
        );
    });
}

/// Moves `average` towards `value` by the given part of their distance.
pub(super) fn lerp<E: Real>(average: &mut Array<E>, value: &Array<E>, weight: f64) {
    let weight = E::of(weight);
    let averages = average.data_mut().par_chunks_mut(CHUNK);
    averages
        .zip(value.data().par_chunks(CHUNK))
        .for_each(|(a, v)| {
            book(Work::Optimizer, || {
                vectorized(
                    #[inline(always)]
                    || {
                        a.iter_mut()
                            .zip(v)
                            .for_each(|(a, &v)| *a += (v - *a) * weight)
                    },
                );
            });
        });
}
