//! Convolution and transposed convolution.
//!
//! Both are one matrix product a part of the batch, over the window's rows ([`Frame`]): a convolution
//! gathers them from its input, a transposed convolution scatters them into its output. Either is
//! the other's gradient.

use super::account::{Work, book};
use super::array::{give, take};
use super::gemm::{Matrix, product};
use super::linear::{add_bias, sum_rows};
use super::window::Frame;
use super::{
    Activation, Array, Buffer, Cpu, Nodes, Real, Sums, Wants, Weights, Window, vectorized,
};
use dfdx::prelude::{CpuError, Gradients, Tape};
use rayon::prelude::*;

/// `W` stored `(O, kh, kw, C)`, or `(O, 1, taps, C)`.
pub(super) fn conv2d<E: Real, T: Tape<E, Nodes>>(
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
        taps: w.weight.dims[1] * w.weight.dims[2],
    };
    let (places, columns) = (frame.places(), frame.columns());
    let (sums, samples) = (cpu.sums, cpu.sums.part(n));
    let mut data = Buffer::stale(n * places * outputs);
    data.par_chunks_mut(samples * places * outputs)
        .zip(x.data().par_chunks(samples * frame.large_len()))
        .for_each(|(y, x)| {
            let count = y.len() / outputs;
            E::scratch(count * columns, |rows| {
                gather(&frame, x, rows);
                let weight = Matrix::new(w.weight.data(), outputs, columns).transposed();
                product(y, Matrix::new(rows, count, columns), weight, false);
            });
            add_bias(y, w.bias.as_ref());
            act.apply(y);
        });
    let y = Array::new(cpu, data, [n, frame.small.0, frame.small.1, outputs])?;

    let (x, w, output) = (x.clone(), w.clone(), y.clone());
    tape.add_backward_op(move |gradients| {
        let parts = Parts {
            sums,
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
                    let rows = Matrix::new(rows, count, columns);
                    product(dw, dy.transposed(), rows, false);
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
pub(super) fn conv_transpose2d<E: Real, T: Tape<E, Nodes>>(
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
        taps: window.kernel * window.kernel,
    };
    let (places, columns) = (frame.places(), frame.columns());
    let (sums, samples) = (cpu.sums, cpu.sums.part(n));
    let mut data = Buffer::stale(n * frame.large_len());
    data.par_chunks_mut(samples * frame.large_len())
        .zip(x.data().par_chunks(samples * places * channels))
        .for_each(|(y, x)| {
            let count = x.len() / channels;
            E::scratch(count * columns, |rows| {
                let weight = Matrix::new(w.weight.data(), channels, columns);
                product(rows, Matrix::new(x, count, channels), weight, false);
                scatter(&frame, rows, y);
            });
            add_bias(y, w.bias.as_ref());
            act.apply(y);
        });
    let y = Array::new(cpu, data, [n, output.0, output.1, outputs])?;

    let (x, w, output) = (x.clone(), w.clone(), y.clone());
    tape.add_backward_op(move |gradients| {
        let parts = Parts {
            sums,
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
                    let x = Matrix::new(x, count, channels);
                    product(dw, x.transposed(), rows, false);
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
    book(Work::Windows, || {
        for (large, rows) in large
            .chunks_exact(frame.large_len())
            .zip(rows.chunks_exact_mut(len))
        {
            frame.gather(large, rows);
        }
    });
}

/// The numbers of `large` are overwritten.
fn scatter<E: Real>(frame: &Frame, rows: &[E], large: &mut [E]) {
    let len = frame.places() * frame.columns();
    book(Work::Windows, || {
        large.fill(E::zero());
        for (large, rows) in large
            .chunks_exact_mut(frame.large_len())
            .zip(rows.chunks_exact(len))
        {
            frame.scatter(rows, large);
        }
    });
}

/// How a batch is cut for the backward pass: samples a part, numbers a sample going in and out.
struct Parts {
    sums: Sums,
    samples: usize,
    input: usize,
    output: usize,
}

impl Parts {
    /// Runs `part(x, dy, dx, dw)` on every part of the batch and hands the gradients on. `dx` and `dw`
    /// are to be overwritten; they are empty where nobody wants them.
    #[allow(clippy::too_many_arguments)]
    fn backward<E: Real>(
        &self,
        gradients: &mut Gradients<E, Nodes>,
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
        let count = x.dims[0].div_ceil(self.samples);
        let weights = if wants.weights {
            w.weight.data().len()
        } else {
            0
        };
        let mut dx = Buffer::stale(if wants.input { x.data().len() } else { 0 });
        let mut dw = Buffer::stale(count * weights);
        let mut slices: Vec<&mut [E]> = dx.chunks_mut(self.samples * self.input).collect();
        slices.resize_with(count, Default::default);
        let mut rows: Vec<&mut [E]> = dw.chunks_mut(weights.max(1)).collect();
        rows.resize_with(count, Default::default);
        let biases: Vec<Vec<E>> = dy
            .par_chunks_mut(self.samples * self.output)
            .zip(output.data().par_chunks(self.samples * self.output))
            .zip(x.data().par_chunks(self.samples * self.input))
            .zip(slices)
            .zip(rows)
            .map(|((((dy, y), x), dx), dw)| {
                act.backward(y, dy);
                part(x, dy, dx, dw);
                match w.bias {
                    Some(_) if wants.weights => book(Work::Reduction, || sum_rows(dy, channels)),
                    _ => Vec::new(),
                }
            })
            .collect();
        if wants.weights {
            let mut biases: Vec<E> = biases.concat();
            if self.sums == Sums::Fast {
                dw = sum_parts(&dw, weights);
                biases = sum_rows(&biases, channels);
            }
            give(gradients, &w.weight.node, dw)?;
            if let Some(bias) = &w.bias {
                give(gradients, &bias.node, Buffer::of(&biases))?;
            }
        }
        if wants.input {
            give(gradients, &x.node, dx)?;
        }
        Ok(())
    }
}

/// Adds up the parts, `len` numbers each, in their order.
fn sum_parts<E: Real>(parts: &[E], len: usize) -> Buffer<E> {
    const CHUNK: usize = 4096;
    let mut sum = Buffer::of(&parts[..len]);
    sum.par_chunks_mut(CHUNK).enumerate().for_each(|(i, sum)| {
        book(Work::Reduction, || {
            for part in parts.chunks_exact(len).skip(1) {
                let part = &part[i * CHUNK..][..sum.len()];
                vectorized(
                    #[inline(always)]
                    || sum.iter_mut().zip(part).for_each(|(s, &v)| *s += v),
                );
            }
        });
    });
    sum
}
