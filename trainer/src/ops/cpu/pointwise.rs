//! Activations, sums and upsampling.

use super::account::{Work, book};
use super::array::{accumulate, give, take};
use super::{Activation, Array, Buffer, Cpu, Nodes, Real, part, vectorized};
use dfdx::prelude::{CpuError, Tape};
use rayon::prelude::*;

impl Activation {
    /// Applies the activation in place.
    pub(super) fn apply<E: Real>(self, values: &mut [E]) {
        match self {
            Self::Identity => {}
            // Written so that NaN stays.
            Self::Relu => map(values, |v| if v < E::zero() { E::zero() } else { v }),
            Self::LeakyRelu(slope) => {
                let slope = E::of(slope);
                map(values, |v| if v > E::zero() { v } else { v * slope });
            }
            Self::Tanh => map(values, E::fast_tanh),
            Self::Sigmoid => map(values, E::fast_sigmoid),
        }
    }

    /// Turns the gradient of the output into that of the input, in place, given the output.
    pub(super) fn backward<E: Real>(self, output: &[E], gradient: &mut [E]) {
        match self {
            Self::Identity => {}
            Self::Relu => merge(
                gradient,
                output,
                |g, y| {
                    if y > E::zero() { g } else { E::zero() }
                },
            ),
            Self::LeakyRelu(slope) => {
                let slope = E::of(slope);
                merge(
                    gradient,
                    output,
                    |g, y| {
                        if y > E::zero() { g } else { g * slope }
                    },
                );
            }
            Self::Tanh => merge(gradient, output, |g, y| g * (E::one() - y * y)),
            Self::Sigmoid => merge(gradient, output, |g, y| g * (y * (E::one() - y))),
        }
    }
}

/// `v = f(v)`.
fn map<E: Real>(values: &mut [E], f: impl Fn(E) -> E) {
    book(Work::Activation, || {
        vectorized(
            #[inline(always)]
            || values.iter_mut().for_each(|v| *v = f(*v)),
        );
    });
}

/// `g = f(g, y)`.
fn merge<E: Real>(gradient: &mut [E], output: &[E], f: impl Fn(E, E) -> E) {
    book(Work::Activation, || {
        vectorized(
            #[inline(always)]
            || {
                gradient
                    .iter_mut()
                    .zip(output)
                    .for_each(|(g, &y)| *g = f(*g, y))
            },
        );
    });
}

pub(super) fn activation<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    act: Activation,
) -> Result<Array<E>, CpuError> {
    let mut data = Buffer::of(x.data());
    let chunk = part(data.len());
    data.par_chunks_mut(chunk).for_each(|v| act.apply(v));
    let y = Array::new(cpu, data, x.dims)?;
    let (output, node) = (y.clone(), x.node.clone());
    tape.add_backward_op(move |gradients| {
        let mut gradient = take(gradients, &output.node)?;
        backward(act, &output, &mut gradient);
        give(gradients, &node, gradient)
    });
    Ok(y)
}

pub(super) fn slope<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    output: &Array<E>,
    act: Activation,
) -> Result<Array<E>, CpuError> {
    let mut data = Buffer::of(x.data());
    backward(act, output, &mut data);
    let y = Array::new(cpu, data, x.dims)?;
    let (product, output, node) = (y.node.clone(), output.clone(), x.node.clone());
    tape.add_backward_op(move |gradients| {
        let mut gradient = take(gradients, &product)?;
        backward(act, &output, &mut gradient);
        give(gradients, &node, gradient)
    });
    Ok(y)
}

/// [`Activation::backward`], in parts.
fn backward<E: Real>(act: Activation, output: &Array<E>, gradient: &mut [E]) {
    let chunk = part(gradient.len());
    gradient
        .par_chunks_mut(chunk)
        .zip(output.data().par_chunks(chunk))
        .for_each(|(g, y)| act.backward(y, g));
}

/// The sum of arrays of the same sizes; its gradient is that of each.
pub(super) fn add<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    others: &[Array<E>],
) -> Result<Array<E>, CpuError> {
    let mut data = Buffer::of(x.data());
    let chunk = part(data.len());
    for other in others {
        data.par_chunks_mut(chunk)
            .zip(other.data().par_chunks(chunk))
            .for_each(|(sums, values)| accumulate(sums, values));
    }
    let y = Array::new(cpu, data, x.dims)?;
    let (output, node) = (y.node.clone(), x.node.clone());
    let others: Vec<_> = others.iter().map(|other| other.node.clone()).collect();
    tape.add_backward_op(move |gradients| {
        let gradient = take(gradients, &output)?;
        if gradient.is_empty() {
            return Ok(());
        }
        for other in &others {
            give(gradients, other, Buffer::of(&gradient))?;
        }
        give(gradients, &node, gradient)
    });
    Ok(y)
}

/// Nearest-neighbour upsampling; its gradient is the sum over each pixel's copies.
pub(super) fn upsample<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    factor: usize,
) -> Result<Array<E>, CpuError> {
    let [n, h, w, c] = x.dims;
    let row = w * factor * c;
    let mut data = Buffer::stale(n * h * factor * row);
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
        let mut sum = Buffer::zeros(n * h * w * c);
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
