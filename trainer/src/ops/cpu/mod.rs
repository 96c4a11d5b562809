//! Batched CPU kernels over `gemm`.
//!
//! A batch is cut into eight runs of samples, whatever the number of threads; sums over the batch
//! are made part by part and then added in order. So the same seed gives the same bits on one thread
//! and on many. [`Sums::Tree`] is another such order, in which nothing depends on the size of the whole batch
//! but the parts' sums.

pub mod account;
mod array;
mod buffer;
mod channels;
#[cfg(test)]
mod cluster;
mod convolution;
pub(crate) mod gemm;
mod linear;
mod norm;
mod pointwise;
mod pool;
mod reparameterize;
mod rows;
mod scratch;
mod transcendental;
mod update;
mod window;

pub use array::Array;
pub use buffer::{Buffer, Idle, Pooled};
pub use scratch::Scratch;

use super::{Activation, BatchStatistics, Device, Dims, Sums, Update, Wants, Weights, Window};
/// dfdx's CPU, whose tensors are the nodes of the tape.
pub use dfdx::prelude::Cpu as Nodes;
use dfdx::prelude::{
    Backward, CpuError, Dtype, Gradients, OwnedTape, PutTape, Rank0, Tape, Tensor, ZerosTensor,
};
use std::ops::Range;

/// The CPU.
#[derive(Clone, Debug, Default)]
pub struct Cpu {
    nodes: Nodes,
    sums: Sums,
}

impl Cpu {
    /// The CPU, adding up over a batch in an order.
    pub fn new(sums: Sums) -> Self {
        Self {
            sums,
            ..Self::default()
        }
    }
}

/// A floating-point type that the kernels work in.
pub trait Real: Dtype + num_traits::Float + Pooled + Scratch + Send + Sync {
    /// The nearest value of this type.
    fn of(value: f64) -> Self;

    /// The hyperbolic tangent, for f32 in a form that vectorizes.
    fn fast_tanh(self) -> Self;

    /// The logistic function, for f32 in a form that vectorizes.
    fn fast_sigmoid(self) -> Self;
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn fast_tanh(self) -> Self {
        transcendental::tanh(self)
    }

    #[inline(always)]
    fn fast_sigmoid(self) -> Self {
        transcendental::sigmoid(self)
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }

    fn fast_tanh(self) -> Self {
        self.tanh()
    }

    fn fast_sigmoid(self) -> Self {
        1.0 / (1.0 + (-self).exp())
    }
}

/// Runs a plain loop compiled for the widest vectors that the processor has. The bits are those of
/// any other width: neither are sums reordered nor products fused.
#[inline(always)]
pub(crate) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// Into how many parts a batch is cut.
const PARTS: usize = 8;

/// Samples in each part of a batch of `n` (the last may hold fewer).
fn part(n: usize) -> usize {
    n.div_ceil(PARTS).max(1)
}

impl Sums {
    /// Samples in each part of a batch of `n`.
    fn part(self, n: usize) -> usize {
        match self {
            Self::Fast => part(n),
            Self::Tree(_) => n.div_ceil(self.parts()).max(1),
        }
    }

    /// Samples that a row of a weight's gradient is for: all of them, or a part.
    fn weights_part(self, n: usize) -> usize {
        match self {
            Self::Fast => n.max(1),
            Self::Tree(_) => self.part(n),
        }
    }
}

impl<E: Real> Device<E> for Cpu {
    type Nodes = Nodes;
    type Array = Array<E>;
    type Err = CpuError;

    fn sums(&self) -> Sums {
        self.sums
    }

    fn array(&self, data: &[E], dims: Dims) -> Result<Array<E>, CpuError> {
        Array::new(self, Buffer::of(data), dims)
    }

    fn to_host(&self, array: &Array<E>) -> Vec<E> {
        array.data().to_vec()
    }

    fn dims(&self, array: &Array<E>) -> Dims {
        array.dims
    }

    fn reshape<T: Tape<E, Nodes>>(
        &self,
        _tape: &mut T,
        x: &Array<E>,
        dims: Dims,
    ) -> Result<Array<E>, CpuError> {
        x.reshape(dims)
    }

    fn backward(
        &self,
        mut tape: OwnedTape<E, Nodes>,
        from: Vec<(Array<E>, Vec<E>)>,
    ) -> Result<Gradients<E, Nodes>, CpuError> {
        tape.add_backward_op(move |gradients| {
            from.into_iter()
                .try_for_each(|(y, dy)| array::give(gradients, &y.node, Buffer::of(&dy)))
        });
        let end: Tensor<Rank0, E, Nodes> = self.nodes.try_zeros()?;
        end.put_tape(tape).try_backward()
    }

    fn linear<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        w: &Weights<Array<E>>,
        act: Activation,
        wants: Wants,
    ) -> Result<Array<E>, CpuError> {
        linear::linear(self, tape, x, w, act, wants)
    }

    fn conv2d<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        w: &Weights<Array<E>>,
        window: Window,
        act: Activation,
        wants: Wants,
    ) -> Result<Array<E>, CpuError> {
        convolution::conv2d(self, tape, x, w, window, act, wants)
    }

    fn conv_transpose2d<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        w: &Weights<Array<E>>,
        window: Window,
        output: (usize, usize),
        act: Activation,
        wants: Wants,
    ) -> Result<Array<E>, CpuError> {
        convolution::conv_transpose2d(self, tape, x, w, window, output, act, wants)
    }

    fn batch_norm<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        gamma: &Array<E>,
        beta: &Array<E>,
        epsilon: f64,
        act: Activation,
        wants: Wants,
    ) -> Result<(Array<E>, BatchStatistics<E>), CpuError> {
        norm::batch_norm(self, tape, x, gamma, beta, epsilon, act, wants)
    }

    fn instance_norm<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        gamma: &Array<E>,
        beta: &Array<E>,
        epsilon: f64,
        act: Activation,
        wants: Wants,
    ) -> Result<Array<E>, CpuError> {
        norm::instance_norm(self, tape, x, gamma, beta, epsilon, act, wants)
    }

    fn scale_shift<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        scale: &[E],
        shift: &[E],
        act: Activation,
    ) -> Result<Array<E>, CpuError> {
        norm::scale_shift(self, tape, x, scale, shift, act)
    }

    fn upsample<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        factor: usize,
    ) -> Result<Array<E>, CpuError> {
        pointwise::upsample(self, tape, x, factor)
    }

    fn avg_pool2d<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        window: Window,
    ) -> Result<Array<E>, CpuError> {
        pool::avg_pool2d(self, tape, x, window)
    }

    fn avg_unpool2d<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        window: Window,
        output: (usize, usize),
    ) -> Result<Array<E>, CpuError> {
        pool::avg_unpool2d(self, tape, x, window, output)
    }

    fn max_pool2d<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        window: Window,
    ) -> Result<Array<E>, CpuError> {
        pool::max_pool2d(self, tape, x, window)
    }

    fn max_unpool2d<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        large: &Array<E>,
        window: Window,
    ) -> Result<Array<E>, CpuError> {
        pool::max_unpool2d(self, tape, x, large, window)
    }

    fn add<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        others: &[Array<E>],
    ) -> Result<Array<E>, CpuError> {
        pointwise::add(self, tape, x, others)
    }

    fn concat<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        others: &[Array<E>],
    ) -> Result<Array<E>, CpuError> {
        channels::concat(self, tape, x, others)
    }

    fn join_rows<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        table: &Array<E>,
        classes: &[u32],
    ) -> Result<Array<E>, CpuError> {
        rows::join_rows(self, tape, x, table, classes)
    }

    fn add_rows<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        table: &Array<E>,
        classes: &[u32],
    ) -> Result<Array<E>, CpuError> {
        rows::add_rows(self, tape, x, table, classes)
    }

    fn multiply_rows<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        table: &Array<E>,
        classes: &[u32],
    ) -> Result<Array<E>, CpuError> {
        rows::multiply_rows(self, tape, x, table, classes)
    }

    fn channels<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        channels: Range<usize>,
    ) -> Result<Array<E>, CpuError> {
        channels::channels(self, tape, x, channels)
    }

    fn activation<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        act: Activation,
    ) -> Result<Array<E>, CpuError> {
        pointwise::activation(self, tape, x, act)
    }

    fn slope<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        x: &Array<E>,
        output: &Array<E>,
        act: Activation,
    ) -> Result<Array<E>, CpuError> {
        pointwise::slope(self, tape, x, output, act)
    }

    fn reparameterize<T: Tape<E, Nodes>>(
        &self,
        tape: &mut T,
        moments: &Array<E>,
        noise: &Array<E>,
    ) -> Result<Array<E>, CpuError> {
        reparameterize::reparameterize(self, tape, moments, noise)
    }

    fn gradient(
        &self,
        gradients: &mut Gradients<E, Nodes>,
        x: &Array<E>,
    ) -> Result<Vec<E>, CpuError> {
        x.gradient(gradients)
    }

    fn update(
        &self,
        parameter: &mut Array<E>,
        gradients: &mut Gradients<E, Nodes>,
        moments: &mut [Array<E>; 2],
        step: &Update,
    ) -> Result<(), CpuError> {
        update::update(parameter, gradients, moments, step)
    }

    fn clamp(&self, array: &mut Array<E>, limit: f64) -> Result<(), CpuError> {
        update::clamp(array, limit);
        Ok(())
    }

    fn lerp(&self, average: &mut Array<E>, value: &Array<E>, weight: f64) -> Result<(), CpuError> {
        update::lerp(average, value, weight);
        Ok(())
    }
}
