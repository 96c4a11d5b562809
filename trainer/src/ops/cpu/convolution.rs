//! Convolution and transposed convolution.
//!
//! Both are one matrix product a part of the batch, over the window's rows ([`Frame`]): a convolution
//! gathers them from its input, a transposed convolution scatters them into its output. Either is
//! the other's gradient.

use super::array::{give, take};
use super::gemm::{Matrix, product};
use super::linear::{fill_rows, sum_rows};
use super::window::Frame;
use super::{Activation, Array, Real, Wants, Weights, Window, part};
use dfdx::prelude::{Cpu, CpuError, Tape};
use rayon::prelude::*;

/// `W` stored `(O, kh, kw, C)`.
pub(super) fn conv2d<E: Real, T: Tape<E, Cpu>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    w: &Weights<Array<E>>,
    window: Window,
    act: Activation,
    wants: Wants,
) -> Result<Array<E>, CpuError> {
    let [n, height, width, channels] = x.dims;
    let outputs = w.weight.dims[0];
    let side = |len: usize| (len + 2 * window.padding - window.kernel) / window.stride + 1;
    let frame = Frame {
        window,
        large: (height, width),
        small: (side(height), side(width)),
        channels,
    };
    let (places, columns) = (frame.places(), frame.columns());
    let samples = part(n);
    let mut data = vec![E::zero(); n * places * outputs];
    data.par_chunks_mut(samples * places * outputs)
        .zip(x.data().par_chunks(samples * frame.large_len()))
        .for_each(|(y, x)| {
            let count = y.len() / outputs;
            E::scratch(count * columns, |rows| {
                gather(&frame, x, rows);
                fill_rows(y, w.bias.as_ref());
                let weight = Matrix::new(w.weight.data(), outputs, columns).transposed();
                product(
                    y,
                    Matrix::new(rows, count, columns),
                    weight,
                    w.bias.is_some(),
                );
            });
            act.apply(y);
        });
    let y = Array::new(cpu, data, [n, frame.small.0, frame.small.1, outputs])?;

    let (x, w, output) = (x.clone(), w.clone(), y.clone());
    tape.add_backward_op(move |gradients| {
        let parts = Parts {
            samples,
            input: frame.large_len(),
            output: places * outputs,
        };
        let backward = |x: &[E], dy: &[E], dx: &mut [E], dw: &mut [E]| {
            let count = dy.len() / outputs;
            let dy = Matrix::new(dy, count, outputs);
            E::scratch(count * columns, |rows| {
                if wants.weights {
                    gather(&frame, x, rows);
                    product(
                        dw,
                        dy.transposed(),
                        Matrix::new(rows, count, columns),
                        false,
                    );
                }
                if wants.input {
                    let weight = Matrix::new(w.weight.data(), outputs, columns);
                    product(rows, dy, weight, false);
                    scatter(&frame, rows, dx);
                }
            });
        };
        parts.backward(gradients, &x, &w, &output, act, wants, backward)
    });
    Ok(y)
}

/// `W` stored `(C, kh, kw, O)`; `output` is the height and width that come out.
#[allow(clippy::too_many_arguments)]
pub(super) fn conv_transpose2d<E: Real, T: Tape<E, Cpu>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    w: &Weights<Array<E>>,
    window: Window,
    output: (usize, usize),
    act: Activation,
    wants: Wants,
) -> Result<Array<E>, CpuError> {
    let [n, height, width, channels] = x.dims;
    let outputs = w.weight.dims[3];
    let frame = Frame {
        window,
        large: output,
        small: (height, width),
        channels: outputs,
    };
    let (places, columns) = (frame.places(), frame.columns());
    let samples = part(n);
    let mut data = vec![E::zero(); n * frame.large_len()];
    data.par_chunks_mut(samples * frame.large_len())
        .zip(x.data().par_chunks(samples * places * channels))
        .for_each(|(y, x)| {
            let count = x.len() / channels;
            E::scratch(count * columns, |rows| {
                let weight = Matrix::new(w.weight.data(), channels, columns);
                product(rows, Matrix::new(x, count, channels), weight, false);
                fill_rows(y, w.bias.as_ref());
                scatter(&frame, rows, y);
            });
            act.apply(y);
        });
    let y = Array::new(cpu, data, [n, output.0, output.1, outputs])?;

    let (x, w, output) = (x.clone(), w.clone(), y.clone());
    tape.add_backward_op(move |gradients| {
        let parts = Parts {
            samples,
            input: places * channels,
            output: frame.large_len(),
        };
        let backward = |x: &[E], dy: &[E], dx: &mut [E], dw: &mut [E]| {
            let count = x.len() / channels;
            E::scratch(count * columns, |rows| {
                gather(&frame, dy, rows);
                let rows = Matrix::new(rows, count, columns);
                if wants.weights {
                    product(
                        dw,
                        Matrix::new(x, count, channels).transposed(),
                        rows,
                        false,
                    );
                }
                if wants.input {
                    let weight = Matrix::new(w.weight.data(), channels, columns);
                    product(dx, rows, weight.transposed(), false);
                }
            });
        };
        parts.backward(gradients, &x, &w, &output, act, wants, backward)
    });
    Ok(y)
}

fn gather<E: Real>(frame: &Frame, large: &[E], rows: &mut [E]) {
    let len = frame.places() * frame.columns();
    for (large, rows) in large
        .chunks_exact(frame.large_len())
        .zip(rows.chunks_exact_mut(len))
    {
        frame.gather(large, rows);
    }
}

fn scatter<E: Real>(frame: &Frame, rows: &[E], large: &mut [E]) {
    let len = frame.places() * frame.columns();
    for (large, rows) in large
        .chunks_exact_mut(frame.large_len())
        .zip(rows.chunks_exact(len))
    {
        frame.scatter(rows, large);
    }
}

/// How a batch is cut for the backward pass: samples a part, numbers a sample going in and out.
struct Parts {
    samples: usize,
    input: usize,
    output: usize,
}

impl Parts {
    /// Runs `part(x, dy, dx, dw)` on every part of the batch and hands the gradients on. `dx` comes
    /// zeroed, and empty where nobody wants it, as does `dw`.
    #[allow(clippy::too_many_arguments)]
    fn backward<E: Real>(
        &self,
        gradients: &mut dfdx::prelude::Gradients<E, Cpu>,
        x: &Array<E>,
        w: &Weights<Array<E>>,
        output: &Array<E>,
        act: Activation,
        wants: Wants,
        part: impl Fn(&[E], &[E], &mut [E], &mut [E]) + Sync,
    ) -> Result<(), CpuError> {
        let mut dy = take(gradients, &output.node)?;
        if dy.is_empty() {
            return Ok(());
        }
        let channels = output.dims[3];
        let weights = if wants.weights {
            w.weight.data().len()
        } else {
            0
        };
        let mut dx = vec![E::zero(); if wants.input { x.data().len() } else { 0 }];
        let mut slices: Vec<&mut [E]> = dx.chunks_mut(self.samples * self.input).collect();
        slices.resize_with(x.dims[0].div_ceil(self.samples), Default::default);
        let sums: Vec<(Vec<E>, Vec<E>)> = dy
            .par_chunks_mut(self.samples * self.output)
            .zip(output.data().par_chunks(self.samples * self.output))
            .zip(x.data().par_chunks(self.samples * self.input))
            .zip(slices)
            .map(|(((dy, y), x), dx)| {
                act.backward(y, dy);
                let mut dw = vec![E::zero(); weights];
                part(x, dy, dx, &mut dw);
                let db = w.bias.as_ref().filter(|_| wants.weights);
                (dw, db.map(|_| sum_rows(dy, channels)).unwrap_or_default())
            })
            .collect();
        if wants.weights {
            let (dw, db) = sums.into_iter().reduce(add).unwrap_or_default();
            give(gradients, &w.weight.node, dw)?;
            if let Some(bias) = &w.bias {
                give(gradients, &bias.node, db)?;
            }
        }
        if wants.input {
            give(gradients, &x.node, dx)?;
        }
        Ok(())
    }
}

/// Adds two parts' sums.
fn add<E: Real>(mut left: (Vec<E>, Vec<E>), right: (Vec<E>, Vec<E>)) -> (Vec<E>, Vec<E>) {
    left.0.iter_mut().zip(right.0).for_each(|(a, b)| *a += b);
    left.1.iter_mut().zip(right.1).for_each(|(a, b)| *a += b);
    left
}
