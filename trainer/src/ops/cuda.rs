//! CUDA, by way of the composed operations.

use super::{
    Activation, BatchStatistics, Device, Dims, Sums, Update, Wants, Weights, Window, composed,
};
use dfdx::prelude::*;
use std::ops::Range;

type Array = composed::Array<f32, Cuda>;
type Outcome<T> = Result<T, CudaError>;

impl Device<f32> for Cuda {
    type Nodes = Self;
    type Array = Array;
    type Err = CudaError;

    fn sums(&self) -> Sums {
        Sums::Fast
    }

    fn array(&self, data: &[f32], [n, h, w, c]: Dims) -> Outcome<Array> {
        self.try_tensor_from_vec(data.to_vec(), (n, h, w, c))
    }

    fn to_host(&self, array: &Array) -> Vec<f32> {
        array.as_vec()
    }

    fn dims(&self, array: &Array) -> Dims {
        composed::dims(array)
    }

    fn reshape<T: Tape<f32, Self>>(&self, tape: &mut T, x: &Array, dims: Dims) -> Outcome<Array> {
        composed::reshape(tape, x, dims)
    }

    fn backward(
        &self,
        tape: OwnedTape<f32, Self>,
        from: Vec<(Array, Vec<f32>)>,
    ) -> Outcome<Gradients<f32, Self>> {
        composed::backward(self, tape, from)
    }

    fn linear<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        w: &Weights<Array>,
        act: Activation,
        _wants: Wants,
    ) -> Outcome<Array> {
        composed::linear(tape, x, w, act)
    }

    fn conv2d<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        w: &Weights<Array>,
        window: Window,
        act: Activation,
        _wants: Wants,
    ) -> Outcome<Array> {
        composed::conv2d(tape, x, w, window, act)
    }

    fn conv_transpose2d<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        w: &Weights<Array>,
        window: Window,
        output: (usize, usize),
        act: Activation,
        _wants: Wants,
    ) -> Outcome<Array> {
        composed::conv_transpose2d(tape, x, w, window, output, act)
    }

    fn batch_norm<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        gamma: &Array,
        beta: &Array,
        epsilon: f64,
        act: Activation,
        _wants: Wants,
    ) -> Outcome<(Array, BatchStatistics<f32>)> {
        composed::batch_norm(tape, x, gamma, beta, epsilon, act)
    }

    fn instance_norm<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        gamma: &Array,
        beta: &Array,
        epsilon: f64,
        act: Activation,
        _wants: Wants,
    ) -> Outcome<Array> {
        composed::instance_norm(tape, x, gamma, beta, epsilon, act)
    }

    fn scale_shift<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        scale: &[f32],
        shift: &[f32],
        act: Activation,
    ) -> Outcome<Array> {
        composed::scale_shift(tape, x, scale, shift, act)
    }

    fn upsample<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        factor: usize,
    ) -> Outcome<Array> {
        composed::upsample(tape, x, factor)
    }

    fn avg_pool2d<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        window: Window,
    ) -> Outcome<Array> {
        composed::avg_pool2d(tape, x, window)
    }

    fn avg_unpool2d<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        window: Window,
        output: (usize, usize),
    ) -> Outcome<Array> {
        composed::avg_unpool2d(tape, x, window, output)
    }

    fn max_pool2d<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        window: Window,
    ) -> Outcome<Array> {
        composed::max_pool2d(tape, x, window)
    }

    fn max_unpool2d<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        large: &Array,
        window: Window,
    ) -> Outcome<Array> {
        composed::max_unpool2d(tape, x, large, window)
    }

    fn add<T: Tape<f32, Self>>(&self, tape: &mut T, x: &Array, others: &[Array]) -> Outcome<Array> {
        composed::add(tape, x, others)
    }

    fn concat<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        others: &[Array],
    ) -> Outcome<Array> {
        composed::concat(tape, x, others)
    }

    fn join_rows<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        table: &Array,
        classes: &[u32],
    ) -> Outcome<Array> {
        composed::join_rows(tape, x, table, classes)
    }

    fn add_rows<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        table: &Array,
        classes: &[u32],
    ) -> Outcome<Array> {
        composed::add_rows(tape, x, table, classes)
    }

    fn multiply_rows<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        table: &Array,
        classes: &[u32],
    ) -> Outcome<Array> {
        composed::multiply_rows(tape, x, table, classes)
    }

    fn channels<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        channels: Range<usize>,
    ) -> Outcome<Array> {
        composed::channels(tape, x, channels)
    }

    fn activation<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        act: Activation,
    ) -> Outcome<Array> {
        composed::activation(tape, x, act)
    }

    fn slope<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        x: &Array,
        output: &Array,
        act: Activation,
    ) -> Outcome<Array> {
        composed::slope(tape, x, output, act)
    }

    fn reparameterize<T: Tape<f32, Self>>(
        &self,
        tape: &mut T,
        moments: &Array,
        noise: &Array,
    ) -> Outcome<Array> {
        composed::reparameterize(tape, moments, noise)
    }

    fn gradient(&self, gradients: &mut Gradients<f32, Self>, x: &Array) -> Outcome<Vec<f32>> {
        Ok(composed::gradient(gradients, x)?.as_vec())
    }

    fn update(
        &self,
        parameter: &mut Array,
        gradients: &mut Gradients<f32, Self>,
        moments: &mut [Array; 2],
        step: &Update,
    ) -> Outcome<()> {
        let gradient = composed::gradient(gradients, parameter)?;
        composed::update(parameter, gradient, moments, step)
    }

    fn clamp(&self, array: &mut Array, limit: f64) -> Outcome<()> {
        composed::clamp(array, limit)
    }

    fn lerp(&self, average: &mut Array, value: &Array, weight: f64) -> Outcome<()> {
        composed::lerp(average, value, weight)
    }
}
