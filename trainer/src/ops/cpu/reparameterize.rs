//! Draws from normal distributions whose moments are trained.

use super::array::{give, take};
use super::{Array, Buffer, Cpu, Nodes, Real};
use dfdx::prelude::{CpuError, Tape};

pub(super) fn reparameterize<E: Real, T: Tape<E, Nodes>>(
    cpu: &Cpu,
    tape: &mut T,
    moments: &Array<E>,
    noise: &Array<E>,
) -> Result<Array<E>, CpuError> {
    let [n, h, w, c] = moments.dims;
    let size = h * w * c / 2;
    if size == 0 || 2 * noise.data().len() != moments.data().len() {
        return Err(CpuError::WrongNumElements);
    }
    // What the noise moves each number by.
    let mut offsets = Buffer::of(noise.data());
    let mut drawn = Buffer::stale(n * size);
    let samples = offsets.chunks_exact_mut(size);
    let rows = moments.data().chunks_exact(2 * size);
    for ((offsets, row), drawn) in samples.zip(rows).zip(drawn.chunks_exact_mut(size)) {
        let (means, logs) = row.split_at(size);
        let numbers = drawn.iter_mut().zip(offsets).zip(means).zip(logs);
        for (((drawn, offset), &mean), &log) in numbers {
            *offset *= (log * E::of(0.5)).exp();
            *drawn = mean + *offset;
        }
    }
    let drawn = Array::new(cpu, drawn, [n, 1, 1, size])?;
    let (output, node) = (drawn.node.clone(), moments.node.clone());
    tape.add_backward_op(move |gradients| {
        let from = take(gradients, &output)?;
        let mut gradient = Buffer::zeros(2 * offsets.len());
        let samples = from.chunks_exact(size).zip(offsets.chunks_exact(size));
        for (row, (from, offsets)) in gradient.chunks_exact_mut(2 * size).zip(samples) {
            let (means, logs) = row.split_at_mut(size);
            means.copy_from_slice(from);
            for ((log, &from), &offset) in logs.iter_mut().zip(from).zip(offsets) {
                *log = from * offset * E::of(0.5);
            }
        }
        give(gradients, &node, gradient)
    });
    Ok(drawn)
}
