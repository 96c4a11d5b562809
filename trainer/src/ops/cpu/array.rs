//! Numbers on the CPU that take part in differentiation without being copied.
//!
//! dfdx does not let other crates read a tensor's storage in place, so an [`Array`] keeps its numbers
//! itself and holds an empty dfdx tensor as its *node* on the tape: the node's identity names the
//! gradient, whose storage dfdx does hand out.

use super::{Buffer, Dims, Real, vectorized};
use dfdx::prelude::{Cpu, CpuError, Gradients, PutTape, Tape, Tensor, TensorFromVec, ZerosTensor};
use std::sync::Arc;

/// An identity on the tape; holds no numbers.
pub(super) type Node<E> = Tensor<(usize,), E, Cpu>;

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
            node: cpu.try_zeros_like(&(0usize,))?,
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
    pub(super) fn gradient(&self, gradients: &mut Gradients<E, Cpu>) -> Result<Vec<E>, CpuError> {
        let slot = gradients.get_or_alloc_mut(&self.node)?;
        Ok(if slot.is_empty() {
            vec![E::zero(); self.data.len()]
        } else {
            slot.to_vec()
        })
    }
}

/// Takes a node's gradient out of the tape, empty where none came.
pub(super) fn take<E: Real>(
    gradients: &mut Gradients<E, Cpu>,
    node: &Node<E>,
) -> Result<Buffer<E>, CpuError> {
    let slot: &mut Vec<E> = gradients.get_or_alloc_mut(node)?;
    Ok(std::mem::take(slot).into())
}

/// Adds to a node's gradient.
pub(super) fn give<E: Real>(
    gradients: &mut Gradients<E, Cpu>,
    node: &Node<E>,
    gradient: Buffer<E>,
) -> Result<(), CpuError> {
    let slot: &mut Vec<E> = gradients.get_or_alloc_mut(node)?;
    if slot.is_empty() {
        *slot = gradient.into_vec();
    } else {
        accumulate(slot, &gradient);
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

/// A dfdx tensor of the array's numbers; its gradient flows back to the array.
pub(super) fn to_tensor<E: Real, T: 'static + Tape<E, Cpu>>(
    cpu: &Cpu,
    mut tape: T,
    x: &Array<E>,
) -> Result<Tensor<(usize,), E, Cpu, T>, CpuError> {
    let len = x.data.len();
    let tensor = cpu.try_tensor_from_vec(x.data.to_vec(), (len,))?;
    let (output, node) = (tensor.clone(), x.node.clone());
    tape.add_backward_op(move |gradients| {
        let gradient = Buffer::of(gradients.get_or_alloc_mut(&output)?);
        give(gradients, &node, gradient)
    });
    Ok(tensor.put_tape(tape))
}
