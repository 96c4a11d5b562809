//! Activations and upsampling.

use super::array::{give, take};
use super::{Activation, Array, Real, part};
use dfdx::prelude::{Cpu, CpuError, Tape};
use rayon::prelude::*;

impl Activation {
    /// Applies the activation in place.
    pub(super) fn apply<E: Real>(self, values: &mut [E]) {
        match self {
            Self::Identity => {}
            Self::Relu => values.iter_mut().for_each(|v| *v = v.max(E::zero())),
            Self::LeakyRelu(slope) => {
                let slope = E::of(slope);
                values
                    .iter_mut()
                    .for_each(|v| *v = if *v > E::zero() { *v } else { *v * slope });
            }
            Self::Tanh => values.iter_mut().for_each(|v| *v = v.tanh()),
            Self::Sigmoid => values
                .iter_mut()
                .for_each(|v| *v = E::one() / (E::one() + (-*v).exp())),
        }
    }

    /// Turns the gradient of the output into that of the input, in place, given the output.
    pub(super) fn backward<E: Real>(self, output: &[E], gradient: &mut [E]) {
        let pairs = gradient.iter_mut().zip(output);
        match self {
            Self::Identity => {}
            Self::Relu => pairs.for_each(|(g, &y)| *g = if y > E::zero() { *g } else { E::zero() }),
            Self::LeakyRelu(slope) => {
                let slope = E::of(slope);
                pairs.for_each(|(g, &y)| *g = if y > E::zero() { *g } else { *g * slope });
            }
            Self::Tanh => pairs.for_each(|(g, &y)| *g *= E::one() - y * y),
            Self::Sigmoid => pairs.for_each(|(g, &y)| *g *= y * (E::one() - y)),
        }
    }
}

pub(super) fn activation<E: Real, T: Tape<E, Cpu>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    act: Activation,
) -> Result<Array<E>, CpuError> {
    let mut data = x.data().to_vec();
    let chunk = part(data.len());
    data.par_chunks_mut(chunk).for_each(|v| act.apply(v));
    let y = Array::new(cpu, data, x.dims)?;
    let (output, node) = (y.clone(), x.node.clone());
    tape.add_backward_op(move |gradients| {
        let mut gradient = take(gradients, &output.node)?;
        gradient
            .par_chunks_mut(chunk)
            .zip(output.data().par_chunks(chunk))
            .for_each(|(g, y)| act.backward(y, g));
        give(gradients, &node, gradient)
    });
    Ok(y)
}

/// Nearest-neighbour upsampling; its gradient is the sum over each pixel's copies.
pub(super) fn upsample<E: Real, T: Tape<E, Cpu>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    factor: usize,
) -> Result<Array<E>, CpuError> {
    let [n, h, w, c] = x.dims;
    let row = w * factor * c;
    let mut data = vec![E::zero(); n * h * factor * row];
    data.par_chunks_mut(row).enumerate().for_each(|(r, out)| {
        let source = &x.data()[(r / factor) * w * c..][..w * c];
        for (pixel, copies) in source.chunks_exact(c).zip(out.chunks_exact_mut(factor * c)) {
            copies
                .chunks_exact_mut(c)
                .for_each(|to| to.copy_from_slice(pixel));
        }
    });
    let y = Array::new(cpu, data, [n, h * factor, w * factor, c])?;
    let (output, node) = (y.node.clone(), x.node.clone());
    tape.add_backward_op(move |gradients| {
        let from = take(gradients, &output)?;
        if from.is_empty() {
            return Ok(());
        }
        let mut sum = vec![E::zero(); n * h * w * c];
        sum.par_chunks_mut(w * c).enumerate().for_each(|(r, to)| {
            for line in from[r * factor * row..][..factor * row].chunks_exact(row) {
                for (pixel, copies) in to.chunks_exact_mut(c).zip(line.chunks_exact(factor * c)) {
                    for copy in copies.chunks_exact(c) {
                        pixel.iter_mut().zip(copy).for_each(|(a, &b)| *a += b);
                    }
                }
            }
        });
        give(gradients, &node, sum)
    });
    Ok(y)
}
