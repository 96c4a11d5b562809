//! Numbers on the CPU that take part in differentiation without being copied.
//!
//! dfdx does not let other crates read a tensor's storage in place, so an [`Array`] keeps its numbers
//! itself and holds an empty dfdx tensor as its *node* on the tape: the node's identity names the
//! gradient, whose storage dfdx does hand out.

use super::{Buffer, Cpu, Dims, Nodes, Real, vectorized};
use dfdx::prelude::{CpuError, Gradients, Tensor, ZerosTensor};
use rayon::prelude::*;
use std::sync::Arc;

/// An identity on the tape; holds no numbers.
pub(super) type Node<E> = Tensor<(usize,), E, Nodes>;

/// Numbers in the order of `dims`, `(N, H, W, C)`.
#[derive(Clone, Debug)]
pub struct Array<E: Real> {
    data: Arc<Buffer<E>>,
    pub(super) dims: Dims,
    pub(super) node: Node<E>,
}

impl<E: Real> Array<E> {
    pub(super) fn new(cpu: &Cpu, data: Buffer<E>, dims: Dims) -> Result<Self, CpuError> {
        if data.len() != dims.iter().product::<usize>() {
            return Err(CpuError::WrongNumElements);
        }
        Ok(Self {
            data: Arc::new(data),
            dims,
            node: cpu.nodes.try_zeros_like(&(0usize,))?,
        })
    }

    /// The numbers, in the order of the dims.
    pub fn data(&self) -> &[E] {
        &self.data
    }

    pub(super) fn data_mut(&mut self) -> &mut [E] {
        let data: &mut Buffer<E> = Arc::make_mut(&mut self.data);
        data
    }

    /// The same numbers and the same node under other sizes.
    pub(super) fn reshape(&self, dims: Dims) -> Result<Self, CpuError> {
        if self.data.len() != dims.iter().product::<usize>() {
            return Err(CpuError::WrongNumElements);
        }
        Ok(Self {
            dims,
            ..self.clone()
        })
    }

    /// The gradient so far; zeros where none came.
    pub(super) fn gradient(&self, gradients: &mut Gradients<E, Nodes>) -> Result<Vec<E>, CpuError> {
        let len = self.data.len();
        let mut gradient = gradients.get_or_alloc_mut(&self.node)?.to_vec();
        add_parts(&mut gradient, len);
        gradient.resize(len, E::zero());
        Ok(gradient)
    }
}

/// Takes a node's gradient out of the tape, empty where none came.
pub(super) fn take<E: Real>(
    gradients: &mut Gradients<E, Nodes>,
    node: &Node<E>,
) -> Result<Buffer<E>, CpuError> {
    let slot: &mut Vec<E> = gradients.get_or_alloc_mut(node)?;
    Ok(std::mem::take(slot).into())
}

/// Adds to a node's gradient. That of a weight has a row for each part of the batch while sums are trees.
///
/// # Errors
/// Another number of rows than before.
pub(super) fn give<E: Real>(
    gradients: &mut Gradients<E, Nodes>,
    node: &Node<E>,
    gradient: Buffer<E>,
) -> Result<(), CpuError> {
    let slot: &mut Vec<E> = gradients.get_or_alloc_mut(node)?;
    if slot.is_empty() {
        *slot = gradient.into_vec();
    } else if slot.len() == gradient.len() {
        accumulate(slot, &gradient);
    } else {
        return Err(CpuError::WrongNumElements);
    }
    Ok(())
}

/// `s = s + v`.
pub(super) fn accumulate<E: Real>(sums: &mut [E], values: &[E]) {
    vectorized(
        #[inline(always)]
        || sums.iter_mut().zip(values).for_each(|(s, &v)| *s += v),
    );
}

/// Adds up rows of `len` numbers, one for each part of a batch, neighbours first: `((0 + 1) + (2 + 3)) + ...`. The sum
/// is left in the first row.
pub(super) fn add_parts<E: Real>(rows: &mut [E], len: usize) {
    let mut apart = len;
    while 0 < apart && apart < rows.len() {
        rows.par_chunks_mut(2 * apart).for_each(|pair| {
            if let Some((sums, others)) = pair.split_at_mut_checked(apart) {
                accumulate(sums, &others[..len.min(others.len())]);
            }
        });
        apart *= 2;
    }
}
