//! A row of a table for each sample, joined or added to it, or multiplied by it.

use super::array::{give, take};
use super::channels::cut;
use super::{Array, Buffer, Cpu, Nodes, Real};
use dfdx::prelude::{CpuError, Tape};
use rayon::prelude::*;
use std::slice::Chunks;

pub(super) fn join_rows<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    table: &Array<E>,
    classes: &[u32],
) -> Result<Array<E>, CpuError> {
    let [n, h, w, c] = x.dims;
    let [_, .., more] = table.dims;
    let (pixels, wide) = (h * w, c + more);
    let mut data = Buffer::stale(n * pixels * wide);
    let samples = data.par_chunks_mut(pixels * wide);
    let samples = samples.zip(x.data().par_chunks(pixels * c)).zip(classes);
    samples.for_each(|((to, from), &class)| {
        let row = &table.data()[class as usize * pixels * more..][..pixels * more];
        let pixels = from.chunks_exact(c).zip(row.chunks_exact(more));
        for (to, (own, joined)) in to.chunks_exact_mut(wide).zip(pixels) {
            to[..c].copy_from_slice(own);
            to[c..].copy_from_slice(joined);
        }
    });
    let y = Array::new(cpu, data, [n, h, w, wide])?;
    let (output, input, rows) = (y.node.clone(), x.node.clone(), table.node.clone());
    let (classes, len) = (classes.to_vec(), table.data().len());
    let samples = cpu.sums.weights_part(n);
    tape.add_backward_op(move |gradients| {
        let from = take(gradients, &output)?;
        if from.is_empty() {
            return Ok(());
        }
        let joined = from.chunks_exact(wide).map(|pixel| &pixel[c..]);
        let sums = row_sums(joined, classes.chunks(samples), [len, pixels, more]);
        give(gradients, &rows, sums)?;
        give(gradients, &input, cut(&from, wide, 0..c))
    });
    Ok(y)
}

pub(super) fn add_rows<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    table: &Array<E>,
    classes: &[u32],
) -> Result<Array<E>, CpuError> {
    let len: usize = x.dims[1..].iter().product();
    let row_len: usize = table.dims[1..].iter().product();
    let mut data = Buffer::of(x.data());
    let samples = data.par_chunks_mut(len).zip(classes);
    samples.for_each(|(sample, &class)| {
        let row = &table.data()[class as usize * row_len..][..row_len];
        for places in sample.chunks_exact_mut(row_len) {
            places.iter_mut().zip(row).for_each(|(v, &r)| *v += r);
        }
    });
    let y = Array::new(cpu, data, x.dims)?;
    let (output, input, rows) = (y.node.clone(), x.node.clone(), table.node.clone());
    let (classes, all) = (classes.to_vec(), table.data().len());
    let samples = cpu.sums.weights_part(x.dims[0]);
    tape.add_backward_op(move |gradients| {
        let from = take(gradients, &output)?;
        if from.is_empty() {
            return Ok(());
        }
        let mut of_rows = Buffer::zeros(classes.len() * row_len);
        let sums = of_rows.par_chunks_mut(row_len).zip(from.par_chunks(len));
        sums.for_each(|(sum, sample)| {
            for places in sample.chunks_exact(row_len) {
                sum.iter_mut().zip(places).for_each(|(s, &g)| *s += g);
            }
        });
        let added = of_rows.chunks_exact(row_len);
        let sums = row_sums(added, classes.chunks(samples), [all, 1, row_len]);
        give(gradients, &rows, sums)?;
        give(gradients, &input, from)
    });
    Ok(y)
}

pub(super) fn multiply_rows<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    x: &Array<E>,
    table: &Array<E>,
    classes: &[u32],
) -> Result<Array<E>, CpuError> {
    let len = x.dims[1..].iter().product();
    let mut data = Buffer::of(x.data());
    scale(&mut data, table, classes);
    let y = Array::new(cpu, data, x.dims)?;
    let output = y.node.clone();
    let (x, table, classes) = (x.clone(), table.clone(), classes.to_vec());
    let samples = cpu.sums.weights_part(x.dims[0]);
    tape.add_backward_op(move |gradients| {
        let mut from = take(gradients, &output)?;
        if from.is_empty() {
            return Ok(());
        }
        let mut products = Buffer::of(&from);
        let numbers = products.par_chunks_mut(len).zip(x.data().par_chunks(len));
        numbers.for_each(|(to, x)| to.iter_mut().zip(x).for_each(|(v, &x)| *v *= x));
        let added = products.chunks_exact(len);
        let sums = row_sums(added, classes.chunks(samples), [table.data().len(), 1, len]);
        give(gradients, &table.node, sums)?;
        scale(&mut from, &table, &classes);
        give(gradients, &x.node, from)
    });
    Ok(y)
}

/// Multiplies samples by their classes' rows of a table.
fn scale<E: Real>(samples: &mut [E], table: &Array<E>, classes: &[u32]) {
    let len = table.dims[1..].iter().product();
    let samples = samples.par_chunks_mut(len).zip(classes);
    samples.for_each(|(sample, &class)| {
        let row = &table.data()[class as usize * len..][..len];
        sample.iter_mut().zip(row).for_each(|(v, &r)| *v *= r);
    });
}

/// The gradients of a table of `len` numbers, one for each part of the batch, from those of the pixels that its rows
/// went to, `more` numbers each and so many a sample. They are added up sample after sample, so that the sums do not
/// depend on the threads.
fn row_sums<'a, E: Real>(
    mut from: impl Iterator<Item = &'a [E]>,
    parts: Chunks<'_, u32>,
    [len, pixels, more]: [usize; 3],
) -> Buffer<E> {
    let mut sums = Buffer::zeros(parts.len() * len);
    for (sums, classes) in sums.chunks_exact_mut(len).zip(parts) {
        for &class in classes {
            let row = &mut sums[class as usize * pixels * more..][..pixels * more];
            for (sums, from) in row.chunks_exact_mut(more).zip(from.by_ref()) {
                sums.iter_mut().zip(from).for_each(|(s, &g)| *s += g);
            }
        }
    }
    sums
}
