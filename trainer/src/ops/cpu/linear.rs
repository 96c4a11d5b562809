//! The dense layer.

use super::account::{Work, book};
use super::array::{give, take};
use super::gemm::{Matrix, parallel_product};
use super::{Activation, Array, Buffer, Real, Wants, Weights, part, vectorized};
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
    let chunk = part(n) * outputs;
    let mut data = Buffer::stale(n * outputs);
    let weight = Matrix::new(w.weight.data(), outputs, inputs).transposed();
    parallel_product(&mut data, Matrix::new(x.data(), n, inputs), weight, false);
    data.par_chunks_mut(chunk).for_each(|y| {
        add_bias(y, w.bias.as_ref());
        act.apply(y);
    });
    let y = Array::new(cpu, data, [n, 1, 1, outputs])?;

    let (x, w, output) = (x.clone(), w.clone(), y.clone());
    tape.add_backward_op(move |gradients| {
        let mut dy = take(gradients, &output.node)?;
        if dy.is_empty() {
            return Ok(());
        }
        dy.par_chunks_mut(chunk)
            .zip(output.data().par_chunks(chunk))
            .for_each(|(dy, y)| act.backward(y, dy));
        let dy = &*dy;
        if wants.input {
            let weight = Matrix::new(w.weight.data(), outputs, inputs);
            let mut dx = Buffer::stale(n * inputs);
            parallel_product(&mut dx, Matrix::new(dy, n, outputs), weight, false);
            give(gradients, &x.node, dx)?;
        }
        if wants.weights {
            let mut dw = Buffer::stale(outputs * inputs);
            let transposed = Matrix::new(dy, n, outputs).transposed();
            let x = Matrix::new(x.data(), n, inputs);
            parallel_product(&mut dw, transposed, x, false);
            give(gradients, &w.weight.node, dw)?;
            if let Some(bias) = &w.bias {
                let sum = book(Work::Reduction, || sum_rows(dy, outputs));
                give(gradients, &bias.node, Buffer::of(&sum))?;
            }
        }
        Ok(())
    });
    Ok(y)
}

/// Adds the bias to every row.
pub(super) fn add_bias<E: Real>(rows: &mut [E], bias: Option<&Array<E>>) {
    let Some(bias) = bias else { return };
    let bias = bias.data();
    book(Work::Activation, || {
        vectorized(
            #[inline(always)]
            || {
                for row in rows.chunks_exact_mut(bias.len()) {
                    row.iter_mut().zip(bias).for_each(|(y, &b)| *y += b);
                }
            },
        );
    });
}

/// The sum of all rows of `len` numbers.
pub(super) fn sum_rows<E: Real>(rows: &[E], len: usize) -> Vec<E> {
    let mut sum = vec![E::zero(); len];
    vectorized(
        #[inline(always)]
        || {
            for row in rows.chunks_exact(len) {
                sum.iter_mut().zip(row).for_each(|(s, &v)| *s += v);
            }
        },
    );
    sum
}
