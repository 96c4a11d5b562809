//! The layers' arithmetic, forward and backward, recorded on dfdx's public tape.
//!
//! Every operation exists twice. On the CPU ([`cpu`]) it is a batched kernel over `gemm`, split into
//! a fixed number of parts so that the bits do not depend on the number of threads. Elsewhere
//! ([`composed`]) it is made of dfdx's own tensor operations, which serve CUDA and are the oracle
//! that the CPU kernels are tested against.
//!
//! Activations are channels-last: `(N, H, W, C)`. A feature vector is `(N, 1, 1, F)`. Weights are
//! the channels-last kin of PyTorch's: Linear `(out, in)`, convolution `(O, kh, kw, C)`, transposed
//! convolution `(C, kh, kw, O)`.

pub mod composed;
pub mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(test)]
mod tests;

pub use cpu::Cpu;

use dfdx::prelude::{Dtype, Gradients, OwnedTape, Storage, Tape};
use std::ops::Range;

/// `(N, H, W, C)`.
pub type Dims = [usize; 4];

/// What follows a layer's sum, applied while its result is still in the cache. The derivative of
/// each can be told from its output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    Identity,
    Relu,
    /// Slope on the negative side, in (0, 1].
    LeakyRelu(f64),
    Tanh,
    Sigmoid,
}

impl Activation {
    /// Whether it is made of straight lines through the origin, so that its second derivative is zero
    /// and the sign of its output tells the line.
    pub fn is_piecewise_linear(self) -> bool {
        matches!(self, Self::Identity | Self::Relu | Self::LeakyRelu(_))
    }
}

/// A square window: kernel side, stride and symmetric zero padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

/// Which gradients a layer owes when the tape is run backward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// The gradient with respect to the layer's input.
    pub input: bool,
    /// The gradient with respect to its weights and bias.
    pub weights: bool,
}

/// A layer's trained numbers.
#[derive(Clone, Debug)]
pub struct Weights<A> {
    pub weight: A,
    pub bias: Option<A>,
}

/// In what order a device adds up over a batch. Each order gives the same bits for any number of threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sums {
    /// The order that is fast on one machine.
    #[default]
    Fast,
    /// A batch is cut into two to this power equal parts. A part's sum is what a machine computes that has nothing else
    /// of the batch. The parts' sums are added in a balanced tree, neighbours first: `((0 + 1) + (2 + 3)) + ((4 + 5) +
    /// (6 + 7))`. So machines that have some of the parts each can come to the bits of one.
    Tree(u8),
}

impl Sums {
    /// The order that a user asks for by a number of parts, 1 or 8.
    pub fn of_parts(parts: u8) -> Option<Self> {
        match parts {
            1 => Some(Self::Fast),
            8 => Some(Self::Tree(3)),
            _ => None,
        }
    }

    /// What the size of a batch in training is a multiple of.
    pub fn parts(self) -> usize {
        match self {
            Self::Fast => 1,
            Self::Tree(exponent) => 1 << exponent,
        }
    }
}

/// One step of an optimizer.
#[derive(Clone, Copy, Debug)]
pub enum Update {
    /// Adam (Kingma & Ba 2015, algorithm 1), its bias corrections `1 - beta^t` worked out.
    Adam {
        learning_rate: f64,
        beta1: f64,
        beta2: f64,
        epsilon: f64,
        correction1: f64,
        correction2: f64,
    },
    /// Gradient descent with momentum: the first moment becomes `momentum * moment + gradient`, and the parameter is
    /// lowered by `learning_rate` times it. The second moment stays.
    Sgd { learning_rate: f64, momentum: f64 },
}

impl Update {
    /// The step size.
    pub fn learning_rate_mut(&mut self) -> &mut f64 {
        match self {
            Self::Adam { learning_rate, .. } | Self::Sgd { learning_rate, .. } => learning_rate,
        }
    }
}

/// Per-channel mean and biased variance of a batch.
#[derive(Clone, Debug)]
pub struct BatchStatistics<E> {
    pub mean: Vec<E>,
    pub variance: Vec<E>,
}

/// A normalized batch and the statistics that it was normalized by.
pub type Normalized<A, E> = (A, BatchStatistics<E>);

/// A device that networks can be trained on: the arithmetic of their layers, and storage for its numbers.
///
/// It records what it computes on dfdx's tape, whose nodes are tensors of [`Device::Nodes`], a device of dfdx's. It
/// needs none of dfdx's operations, and may keep its numbers elsewhere: on the CPU the nodes are empty. Losses are
/// computed on the host ([`crate::nn::loss`]).
///
/// Layers take the tape by reference: dfdx's `OwnedTape` records, its `NoneTape` does not. All of them
/// return the device's error (out of memory, a failed launch); shapes are the caller's duty and are
/// checked once, by the network's specification.
pub trait Device<E: Dtype>: Clone + std::fmt::Debug + 'static {
    /// dfdx's device whose tensors are the nodes of the tape.
    type Nodes: Storage<E>;

    /// A block of numbers on the device that takes part in differentiation.
    type Array: Clone + std::fmt::Debug;

    /// Why it could not compute something.
    type Err: std::fmt::Debug;

    /// The order in which sums over a batch are made.
    fn sums(&self) -> Sums;

    /// Copies `data`, in the order of `dims`, to the device.
    fn array(&self, data: &[E], dims: Dims) -> Result<Self::Array, Self::Err>;

    /// The numbers, in the order of their dims.
    fn to_host(&self, array: &Self::Array) -> Vec<E>;

    /// The sizes `(N, H, W, C)`.
    fn dims(&self, array: &Self::Array) -> Dims;

    /// The same numbers under other sizes.
    fn reshape<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        dims: Dims,
    ) -> Result<Self::Array, Self::Err>;

    /// Runs what the tape has recorded backward from some arrays. Each comes with the gradient of a loss with respect
    /// to it, in the order of its dims.
    fn backward(
        &self,
        tape: OwnedTape<E, Self::Nodes>,
        from: Vec<(Self::Array, Vec<E>)>,
    ) -> Result<Gradients<E, Self::Nodes>, Self::Err>;

    /// `act(x W^T + b)`: `(N, 1, 1, in)` to `(N, 1, 1, out)`; a picture counts as its numbers in order.
    fn linear<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        w: &Weights<Self::Array>,
        act: Activation,
        wants: Wants,
    ) -> Result<Self::Array, Self::Err>;

    /// `act(w * x + b)`, the cross-correlation: `(N, H, W, C)` to `(N, OH, OW, O)`. A weight `(O, 1, taps, C)` has the
    /// first taps of the window, in raster order; the others count as zeros.
    fn conv2d<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        w: &Weights<Self::Array>,
        window: Window,
        act: Activation,
        wants: Wants,
    ) -> Result<Self::Array, Self::Err>;

    /// The transposed convolution, `output` its `(height, width)`: `(N, H, W, C)` to `(N, OH, OW, O)`.
    #[allow(clippy::too_many_arguments)]
    fn conv_transpose2d<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        w: &Weights<Self::Array>,
        window: Window,
        output: (usize, usize),
        act: Activation,
        wants: Wants,
    ) -> Result<Self::Array, Self::Err>;

    /// Batch normalization over N, H, W by the batch's own statistics, which are returned.
    /// `gamma` and `beta` are `(1, 1, 1, C)`.
    #[allow(clippy::too_many_arguments)]
    fn batch_norm<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        gamma: &Self::Array,
        beta: &Self::Array,
        epsilon: f64,
        act: Activation,
        wants: Wants,
    ) -> Result<Normalized<Self::Array, E>, Self::Err>;

    /// Normalization over H, W of each sample by itself (Ulyanov et al. 2016). `gamma` and `beta` are `(1, 1, 1, C)`.
    #[allow(clippy::too_many_arguments)]
    fn instance_norm<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        gamma: &Self::Array,
        beta: &Self::Array,
        epsilon: f64,
        act: Activation,
        wants: Wants,
    ) -> Result<Self::Array, Self::Err>;

    /// `act(x * scale + shift)` per channel, constants: batch normalization by running statistics.
    fn scale_shift<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        scale: &[E],
        shift: &[E],
        act: Activation,
    ) -> Result<Self::Array, Self::Err>;

    /// Nearest-neighbour upsampling by a whole factor.
    fn upsample<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        factor: usize,
    ) -> Result<Self::Array, Self::Err>;

    /// The mean under each place of a window without padding: `(N, H, W, C)` to `(N, OH, OW, C)`.
    fn avg_pool2d<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        window: Window,
    ) -> Result<Self::Array, Self::Err>;

    /// The transposed map of [`avg_pool2d`](Self::avg_pool2d), to pictures of `output`, a height and width that the
    /// window has the places for that `x` has pixels.
    fn avg_unpool2d<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        window: Window,
        output: (usize, usize),
    ) -> Result<Self::Array, Self::Err>;

    /// The greatest number under each place of a window without padding, the first of equals: `(N, H, W, C)` to
    /// `(N, OH, OW, C)`. NaN is greater than any.
    fn max_pool2d<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        window: Window,
    ) -> Result<Self::Array, Self::Err>;

    /// Adds each number of `x` to where [`max_pool2d`](Self::max_pool2d) of `large`, a constant, has it from: the
    /// pool's own backward pass, recorded. What comes out has the sizes of `large`.
    fn max_unpool2d<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        large: &Self::Array,
        window: Window,
    ) -> Result<Self::Array, Self::Err>;

    /// The sum of arrays of the same sizes, in order.
    fn add<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        others: &[Self::Array],
    ) -> Result<Self::Array, Self::Err>;

    /// Joins the channels of pictures of the same height and width, in order: `(N, H, W, C)` each to
    /// `(N, H, W, sum of C)`.
    fn concat<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        others: &[Self::Array],
    ) -> Result<Self::Array, Self::Err>;

    /// Joins to each pixel of sample `i` those of the row `classes[i]` of `table`, as more channels: `(N, H, W, C)`
    /// and `(classes, H, W, E)` to `(N, H, W, C + E)`. There is a class for each sample, and a row for each class.
    fn join_rows<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        table: &Self::Array,
        classes: &[u32],
    ) -> Result<Self::Array, Self::Err>;

    /// Adds the row `classes[i]` of `table` to sample `i`: `(N, H, W, C)` and `(classes, H, W, C)` to `(N, H, W, C)`. A
    /// row `(1, 1, C)` is added at each place.
    fn add_rows<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        table: &Self::Array,
        classes: &[u32],
    ) -> Result<Self::Array, Self::Err>;

    /// Multiplies sample `i` by the row `classes[i]` of `table`, number by number: `(N, H, W, C)` and
    /// `(classes, H, W, C)` to `(N, H, W, C)`.
    fn multiply_rows<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        table: &Self::Array,
        classes: &[u32],
    ) -> Result<Self::Array, Self::Err>;

    /// Some of the channels of each pixel: `(N, H, W, C)` to `(N, H, W, length of channels)`.
    fn channels<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        channels: Range<usize>,
    ) -> Result<Self::Array, Self::Err>;

    /// An activation by itself.
    fn activation<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        act: Activation,
    ) -> Result<Self::Array, Self::Err>;

    /// `x` times the derivative of a piecewise linear activation where that gave `output`, which counts
    /// as a constant: the activation's own backward pass, recorded.
    fn slope<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        x: &Self::Array,
        output: &Self::Array,
        act: Activation,
    ) -> Result<Self::Array, Self::Err>;

    /// A draw from each of a batch of normal distributions, `mean + exp(log_variance / 2) * noise` (Kingma & Welling
    /// 2014, section 2.4). Each sample of `moments` holds, in order, `L` means and then `L` log-variances; `noise`, a
    /// constant, and what comes out are `(N, 1, 1, L)`.
    fn reparameterize<T: Tape<E, Self::Nodes>>(
        &self,
        tape: &mut T,
        moments: &Self::Array,
        noise: &Self::Array,
    ) -> Result<Self::Array, Self::Err>;

    /// The gradient of an array after the backward pass, in the order of its dims; zeros where none came.
    fn gradient(
        &self,
        gradients: &mut Gradients<E, Self::Nodes>,
        x: &Self::Array,
    ) -> Result<Vec<E>, Self::Err>;

    /// Updates a parameter and its two moments in place by its gradient.
    fn update(
        &self,
        parameter: &mut Self::Array,
        gradients: &mut Gradients<E, Self::Nodes>,
        moments: &mut [Self::Array; 2],
        step: &Update,
    ) -> Result<(), Self::Err>;

    /// Brings every number into `[-limit, limit]`, in place.
    fn clamp(&self, array: &mut Self::Array, limit: f64) -> Result<(), Self::Err>;

    /// `average = average + (value - average) * weight`, in place.
    fn lerp(
        &self,
        average: &mut Self::Array,
        value: &Self::Array,
        weight: f64,
    ) -> Result<(), Self::Err>;
}
