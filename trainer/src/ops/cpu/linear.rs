//! The dense layer.

use super::array::{give, take};
use super::gemm::{Matrix, product};
use super::{Activation, Array, Real, Wants, Weights, part};
use dfdx::prelude::{Cpu, CpuError, Tape};
use rayon::prelude::*;

/// `y = act(x W^T + b)`, `W` stored `(out, in)`.
pub(super) fn linear<E: Real, T: Tape<E, Cpu>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    w: &Weights<Array<E>>,
    act: Activation,
    wants: Wants,
) -> Result<Array<E>, CpuError> {
    let n = x.dims[0];
    let inputs = x.dims[1..].iter().product::<usize>();
    let outputs = w.weight.dims[0];
    let rows = part(n);
    let mut data = vec![E::zero(); n * outputs];
    data.par_chunks_mut(rows * outputs)
        .zip(x.data().par_chunks(rows * inputs))
        .for_each(|(y, x)| {
            fill_rows(y, w.bias.as_ref());
            let count = x.len() / inputs;
            let weight = Matrix::new(w.weight.data(), outputs, inputs).transposed();
            product(y, Matrix::new(x, count, inputs), weight, w.bias.is_some());
            act.apply(y);
        });
    let y = Array::new(cpu, data, [n, 1, 1, outputs])?;

    let (x, w, output) = (x.clone(), w.clone(), y.clone());
    tape.add_backward_op(move |gradients| {
        let mut dy = take(gradients, &output.node)?;
        if dy.is_empty() {
            return Ok(());
        }
        act.backward(output.data(), &mut dy);
        if wants.input {
            let mut dx = vec![E::zero(); n * inputs];
            dx.par_chunks_mut(rows * inputs)
                .zip(dy.par_chunks(rows * outputs))
                .for_each(|(dx, dy)| {
                    let weight = Matrix::new(w.weight.data(), outputs, inputs);
                    let dy = Matrix::new(dy, dy.len() / outputs, outputs);
                    product(dx, dy, weight, false);
                });
            give(gradients, &x.node, dx)?;
        }
        if wants.weights {
            // Cut along the outputs: each part sums over the whole batch, so nothing is left to add.
            let columns = part(outputs);
            let mut dw = vec![E::zero(); outputs * inputs];
            dw.par_chunks_mut(columns * inputs)
                .enumerate()
                .for_each(|(i, dw)| {
                    let dy = Matrix::new(&dy, n, outputs);
                    let dy = dy.columns(i * columns, dw.len() / inputs);
                    product(dw, dy.transposed(), Matrix::new(x.data(), n, inputs), false);
                });
            give(gradients, &w.weight.node, dw)?;
            if let Some(bias) = &w.bias {
                give(gradients, &bias.node, sum_rows(&dy, outputs))?;
            }
        }
        Ok(())
    });
    Ok(y)
}

/// Writes the bias into every row.
pub(super) fn fill_rows<E: Real>(rows: &mut [E], bias: Option<&Array<E>>) {
    if let Some(bias) = bias {
        for row in rows.chunks_exact_mut(bias.data().len()) {
            row.copy_from_slice(bias.data());
        }
    }
}

/// The sum of all rows of `len` numbers.
pub(super) fn sum_rows<E: Real>(rows: &[E], len: usize) -> Vec<E> {
    let mut sum = vec![E::zero(); len];
    for row in rows.chunks_exact(len) {
        sum.iter_mut().zip(row).for_each(|(s, &v)| *s += v);
    }
    sum
}
