//! Channels of pictures, joined and taken apart.

use super::array::{give, take};
use super::{Array, Buffer, Cpu, Nodes, Real, part};
use dfdx::prelude::{CpuError, Tape};
use rayon::prelude::*;
use std::ops::Range;

pub(super) fn concat<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    others: &[Array<E>],
) -> Result<Array<E>, CpuError> {
    let [n, h, w, _] = x.dims;
    let mut wide = 0;
    let parts = std::iter::once(x).chain(others).map(|array| {
        let first = wide;
        wide += array.dims[3];
        (array, first..wide)
    });
    let parts: Vec<(&Array<E>, Range<usize>)> = parts.collect();
    let mut data = Buffer::stale(n * h * w * wide);
    for (array, channels) in &parts {
        paste(array.data(), &mut data, wide, channels.clone());
    }
    let y = Array::new(cpu, data, [n, h, w, wide])?;
    let output = y.node.clone();
    let parts = parts.into_iter();
    let parts: Vec<_> = parts
        .map(|(array, own)| (array.node.clone(), own))
        .collect();
    tape.add_backward_op(move |gradients| {
        let from = take(gradients, &output)?;
        if from.is_empty() {
            return Ok(());
        }
        for (node, channels) in &parts {
            give(gradients, node, cut(&from, wide, channels.clone()))?;
        }
        Ok(())
    });
    Ok(y)
}

pub(super) fn channels<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    channels: Range<usize>,
) -> Result<Array<E>, CpuError> {
    let [n, h, w, c] = x.dims;
    let data = cut(x.data(), c, channels.clone());
    let y = Array::new(cpu, data, [n, h, w, channels.len()])?;
    let (output, input) = (y.node.clone(), x.node.clone());
    tape.add_backward_op(move |gradients| {
        let from = take(gradients, &output)?;
        if from.is_empty() {
            return Ok(());
        }
        let mut sum = Buffer::zeros(n * h * w * c);
        paste(&from, &mut sum, c, channels.clone());
        give(gradients, &input, sum)
    });
    Ok(y)
}

/// Some of the `wide` channels of each pixel.
pub(super) fn cut<E: Real>(x: &[E], wide: usize, channels: Range<usize>) -> Buffer<E> {
    let pixels = x.len() / wide;
    let mut some = Buffer::stale(pixels * channels.len());
    let run = part(pixels);
    some.par_chunks_mut(run * channels.len())
        .zip(x.par_chunks(run * wide))
        .for_each(|(to, from)| {
            for (to, from) in to
                .chunks_exact_mut(channels.len())
                .zip(from.chunks_exact(wide))
            {
                to.copy_from_slice(&from[channels.clone()]);
            }
        });
    some
}

/// Puts pixels in place of some of the `wide` channels of others.
fn paste<E: Real>(from: &[E], to: &mut [E], wide: usize, channels: Range<usize>) {
    let run = part(to.len() / wide);
    to.par_chunks_mut(run * wide)
        .zip(from.par_chunks(run * channels.len()))
        .for_each(|(to, from)| {
            for (to, from) in to
                .chunks_exact_mut(wide)
                .zip(from.chunks_exact(channels.len()))
            {
                to[channels.clone()].copy_from_slice(from);
            }
        });
}
