//! Parameter updates in place.

use super::array::take;
use super::{AdamStep, Array, Real};
use dfdx::prelude::{Cpu, CpuError, Gradients};

/// Adam (Kingma & Ba 2015, algorithm 1). A parameter without a gradient is left alone.
pub(super) fn adam<E: Real>(
    parameter: &mut Array<E>,
    gradients: &mut Gradients<E, Cpu>,
    [first, second]: &mut [Array<E>; 2],
    step: &AdamStep,
) -> Result<(), CpuError> {
    let gradient = take(gradients, &parameter.node)?;
    let [b1, b2, c2, epsilon] = [step.beta1, step.beta2, step.correction2, step.epsilon].map(E::of);
    let rate = E::of(step.learning_rate / step.correction1);
    let values = parameter.data_mut().iter_mut().zip(&gradient);
    let moments = first.data_mut().iter_mut().zip(second.data_mut());
    for ((p, &g), (m, v)) in values.zip(moments) {
        *m = b1 * *m + (E::one() - b1) * g;
        *v = b2 * *v + (E::one() - b2) * g * g;
        *p -= rate * *m / ((*v / c2).sqrt() + epsilon);
    }
    Ok(())
}

/// Moves `average` towards `value` by the given part of their distance.
pub(super) fn lerp<E: Real>(average: &mut Array<E>, value: &Array<E>, weight: f64) {
    let weight = E::of(weight);
    for (a, &v) in average.data_mut().iter_mut().zip(value.data()) {
        *a += (v - *a) * weight;
    }
}
