//! Parameter updates in place.

use super::account::{Work, book};
use super::array::{add_parts, take};
use super::{AdamStep, Array, Nodes, Real, vectorized};
use dfdx::prelude::{CpuError, Gradients};
use rayon::prelude::*;

/// Numbers that a thread takes at a time.
const CHUNK: usize = 16_384;

/// Adam (Kingma & Ba 2015, algorithm 1). A parameter without a gradient is left alone.
pub(super) fn adam<E: Real>(
    parameter: &mut Array<E>,
    gradients: &mut Gradients<E, Nodes>,
    [first, second]: &mut [Array<E>; 2],
    step: &AdamStep,
) -> Result<(), CpuError> {
    let mut gradient = take(gradients, &parameter.node)?;
    book(Work::Reduction, || {
        add_parts(&mut gradient, parameter.data().len());
    });
    let [b1, b2, c2, epsilon] = [step.beta1, step.beta2, step.correction2, step.epsilon].map(E::of);
    let rate = E::of(step.learning_rate / step.correction1);
    // A weight that gets no gradient any more would leave its moments among the denormals, which are slow.
    let (tiny, least) = (E::of(1e-30), E::min_positive_value());
    let update = |p: &mut [E], m: &mut [E], v: &mut [E], g: &[E]| {
        vectorized(
            #[inline(always)]
            || {
                for (((p, m), v), &g) in p.iter_mut().zip(m).zip(v).zip(g) {
                    let mean = b1 * *m + (E::one() - b1) * g;
                    *m = if mean.abs() < tiny { E::zero() } else { mean };
                    let square = b2 * *v + (E::one() - b2) * g * g;
                    *v = if square < least { E::zero() } else { square };
                    *p -= rate * *m / ((*v / c2).sqrt() + epsilon);
                }
            },
        );
    };
    let values = parameter.data_mut().par_chunks_mut(CHUNK);
    let moments = (
        first.data_mut().par_chunks_mut(CHUNK),
        second.data_mut().par_chunks_mut(CHUNK),
    );
    values
        .zip(moments.0)
        .zip(moments.1)
        .zip(gradient.par_chunks(CHUNK))
        .for_each(|(((p, m), v), g)| book(Work::Optimizer, || update(p, m, v, g)));
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
