//! The dense layer.

use super::account::{Work, book};
use super::array::{give, take};
use super::gemm::{Matrix, parallel_product, product, product_by_rows};
use super::{Activation, Array, Buffer, Cpu, Nodes, Real, Sums, Wants, Weights, vectorized};
use dfdx::prelude::{CpuError, Tape};
use rayon::prelude::*;

/// `y = act(x W^T + b)`, `W` stored `(out, in)`.
pub(super) fn linear<E: Real, T: Tape<E, Nodes>>(
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
    let (sums, samples) = (cpu.sums, cpu.sums.part(n));
    let chunk = samples * outputs;
    let by_samples = move |to: &mut [E], rows: Matrix<'_, E>, right: Matrix<'_, E>| match sums {
        Sums::Fast => parallel_product(to, rows, right, false),
        Sums::Tree(_) => product_by_rows(to, rows, right, samples, false),
    };
    let mut data = Buffer::stale(n * outputs);
    let weight = Matrix::new(w.weight.data(), outputs, inputs).transposed();
    by_samples(&mut data, Matrix::new(x.data(), n, inputs), weight);
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
            by_samples(&mut dx, Matrix::new(dy, n, outputs), weight);
            give(gradients, &x.node, dx)?;
        }
        if wants.weights {
            let rows = sums.weights_part(n);
            let mut dw = Buffer::stale(n.div_ceil(rows) * outputs * inputs);
            match sums {
                Sums::Fast => {
                    let transposed = Matrix::new(dy, n, outputs).transposed();
                    let x = Matrix::new(x.data(), n, inputs);
                    parallel_product(&mut dw, transposed, x, false);
                }
                Sums::Tree(_) => dw
                    .par_chunks_mut(outputs * inputs)
                    .zip(dy.par_chunks(rows * outputs))
                    .zip(x.data().par_chunks(rows * inputs))
                    .for_each(|((dw, dy), x)| {
                        let count = dy.len() / outputs;
                        let transposed = Matrix::new(dy, count, outputs).transposed();
                        product(dw, transposed, Matrix::new(x, count, inputs), false);
                    }),
            }
            give(gradients, &w.weight.node, dw)?;
            if let Some(bias) = &w.bias {
                let parts = dy.chunks(rows * outputs);
                let parts = parts.flat_map(|dy| book(Work::Reduction, || sum_rows(dy, outputs)));
                let parts: Vec<E> = parts.collect();
                give(gradients, &bias.node, Buffer::of(&parts))?;
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
