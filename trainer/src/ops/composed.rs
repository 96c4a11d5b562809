//! The layers made of dfdx's own tensor operations, for any dfdx device.
//!
//! Convolutions gather the numbers under each window and multiply matrices; a transposed convolution
//! gathers, for each output pixel, the inputs that reach it, and zeros for the rest. Slower than the
//! CPU kernels by design: these serve CUDA and are the oracle for [`super::cpu`].

use super::{Activation, BatchStatistics, Dims, Normalized, Update, Weights, Window};
use dfdx::prelude::*;
use dfdx::tensor_ops::Device;
use std::ops::Range;

/// `(N, H, W, C)` numbers on the device.
pub type Array<E, D> = Tensor<(usize, usize, usize, usize), E, D>;

type Matrix<E, D, T = NoneTape> = Tensor<(usize, usize), E, D, T>;

/// Runs dfdx operations on a tensor under a tape that is passed by reference.
fn on<E: Dtype, D: Device<E>, T: Tape<E, D>, S: Shape, U: Shape>(
    tape: &mut T,
    x: &Tensor<S, E, D>,
    run: impl FnOnce(Tensor<S, E, D, T>) -> Result<Tensor<U, E, D, T>, D::Err>,
) -> Result<Tensor<U, E, D>, D::Err> {
    let (y, after) = run(x.clone().put_tape(std::mem::take(tape)))?.split_tape();
    *tape = after;
    Ok(y)
}

/// A value of the tensors' type.
fn number<E: Dtype>(value: f64) -> E {
    E::from_f64(value).unwrap_or_default()
}

/// `(N, H, W, C)`.
pub fn dims<E: Dtype, D: Device<E>>(x: &Array<E, D>) -> Dims {
    let &(n, h, w, c) = x.shape();
    [n, h, w, c]
}

/// The same numbers under other sizes.
pub fn reshape<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    [n, h, w, c]: Dims,
) -> Result<Array<E, D>, D::Err> {
    on(tape, x, |x| x.try_reshape_like(&(n, h, w, c)))
}

/// An activation by itself.
pub fn activation<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    act: Activation,
) -> Result<Array<E, D>, D::Err> {
    on(tape, x, |x| match act {
        Activation::Identity => Ok(x),
        Activation::Relu => x.try_relu(),
        Activation::LeakyRelu(slope) => {
            let line = x.retaped::<T>().try_mul(number::<E>(slope))?;
            x.try_relu()?
                .try_mul(number::<E>(1.0 - slope))?
                .try_add(line)
        }
        Activation::Tanh => x.try_tanh(),
        Activation::Sigmoid => x.try_sigmoid(),
    })
}

/// `x` times the derivative of a piecewise linear activation where that gave `output`, a constant.
pub fn slope<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    output: &Array<E, D>,
    act: Activation,
) -> Result<Array<E, D>, D::Err> {
    // The output lies on the same line as the input did.
    let mut trace = OwnedTape::default();
    let again = activation(&mut trace, output, act)?.put_tape(trace);
    let slopes = again.try_sum::<Rank0, _>()?.try_backward()?.get(output);
    on(tape, x, |x| x.try_mul(slopes))
}

/// `act(rows W + b)` as `(N, H, W, O)`, the weight `(K, O)` already in the product's order.
fn affine<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    rows: &Matrix<E, D>,
    weight: Matrix<E, D>,
    bias: Option<&Array<E, D>>,
    [n, h, w, c]: Dims,
    act: Activation,
) -> Result<Array<E, D>, D::Err> {
    let mut sum = on(tape, rows, |rows| rows.try_matmul(weight))?;
    if let Some(bias) = bias {
        let row = on(tape, bias, |b| b.try_reshape_like(&(c,)))?;
        let shape = *sum.shape();
        let rows = on(tape, &row, |b| b.try_broadcast_like::<_, Axis<0>>(&shape))?;
        sum = on(tape, &sum, |sum| sum.try_add(rows))?;
    }
    let y = on(tape, &sum, |sum| sum.try_reshape_like(&(n, h, w, c)))?;
    activation(tape, &y, act)
}

/// `act(x W^T + b)`, `W` stored `(out, in)`.
pub fn linear<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    w: &Weights<Array<E, D>>,
    act: Activation,
) -> Result<Array<E, D>, D::Err> {
    let [n, h, wide, c] = dims(x);
    let (outputs, inputs) = (w.weight.shape().0, h * wide * c);
    let rows = on(tape, x, |x| x.try_reshape_like(&(n, inputs)))?;
    let weight = on(tape, &w.weight, |w| {
        w.try_reshape_like(&(outputs, inputs))?
            .try_permute::<_, Axes2<1, 0>>()
    })?;
    affine(
        tape,
        &rows,
        weight,
        w.bias.as_ref(),
        [n, 1, 1, outputs],
        act,
    )
}

/// Where each of an output picture's pixels reads: `taps` indices into the input's pixels, the index
/// past the last for a zero.
struct Reads {
    height: usize,
    width: usize,
    taps: usize,
    pixels: Vec<usize>,
}

impl Reads {
    /// Asks `source` for the input pixel `(y, x)` behind each output pixel and tap.
    fn new(
        (height, width): (usize, usize),
        kernel: usize,
        input: (usize, usize),
        source: impl Fn(usize, usize) -> Option<usize>,
    ) -> Self {
        let mut pixels = Vec::with_capacity(height * width * kernel * kernel);
        for (oy, ox) in (0..height * width).map(|i| (i / width, i % width)) {
            for (ky, kx) in (0..kernel * kernel).map(|i| (i / kernel, i % kernel)) {
                let inside = source(oy, ky)
                    .zip(source(ox, kx))
                    .filter(|&(y, x)| y < input.0 && x < input.1);
                pixels.push(inside.map_or(input.0 * input.1, |(y, x)| y * input.1 + x));
            }
        }
        Self {
            height,
            width,
            taps: kernel * kernel,
            pixels,
        }
    }

    /// Leaves the first taps of each pixel, so many.
    fn keep(&mut self, taps: usize) {
        let kept = self.pixels.chunks_exact(self.taps);
        self.pixels = kept.flat_map(|all| &all[..taps]).copied().collect();
        self.taps = taps;
    }

    /// The rows `(N * height * width, taps * C)` that are read from `(N, H, W, C)`.
    fn rows<E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        tape: &mut T,
        x: &Array<E, D>,
    ) -> Result<Matrix<E, D>, D::Err> {
        let [n, h, w, c] = dims(x);
        let zero = n * h * w;
        let indices = (0..n)
            .flat_map(|i| {
                self.pixels
                    .iter()
                    .map(move |&p| if p == h * w { zero } else { i * h * w + p })
            })
            .collect();
        let count = n * self.height * self.width;
        let device = x.device();
        let indices = device.try_tensor_from_vec(indices, (count, self.taps))?;
        let nothing: Matrix<E, D> = device.try_zeros_like(&(1, c))?;
        let pixels = on(tape, x, |x| x.try_reshape_like(&(n * h * w, c)))?;
        let padded = on(tape, &pixels, |x| (x, nothing).try_concat_along(Axis::<0>))?;
        let rows: Tensor<(usize, usize, usize), E, D> =
            on(tape, &padded, |x| x.try_gather(indices))?;
        on(tape, &rows, |x| x.try_reshape_like(&(count, self.taps * c)))
    }

    /// The sums of what is read, over the number of taps: `(N, height, width, C)`.
    fn means<E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        tape: &mut T,
        x: &Array<E, D>,
    ) -> Result<Array<E, D>, D::Err> {
        let [n, _, _, c] = dims(x);
        let rows = self.rows(tape, x)?;
        let count = n * self.height * self.width;
        on(tape, &rows, |rows| {
            rows.try_reshape_like(&(count, self.taps, c))?
                .try_sum::<(usize, usize), Axis<1>>()?
                .try_mul(number::<E>(1.0 / self.taps as f64))?
                .try_reshape_like(&(n, self.height, self.width, c))
        })
    }
}

/// `W` stored `(O, kh, kw, C)`, or `(O, 1, taps, C)`: the first taps of the window.
pub fn conv2d<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    w: &Weights<Array<E, D>>,
    window: Window,
    act: Activation,
) -> Result<Array<E, D>, D::Err> {
    let Window {
        kernel,
        stride,
        padding,
    } = window;
    let [n, height, width, c] = dims(x);
    let side = |len: usize| (len + 2 * padding - kernel) / stride + 1;
    let &(outputs, rows, columns, _) = w.weight.shape();
    let taps = rows * columns;
    let mut reads = Reads::new(
        (side(height), side(width)),
        kernel,
        (height, width),
        |place, tap| (place * stride + tap).checked_sub(padding),
    );
    reads.keep(taps);
    let rows = reads.rows(tape, x)?;
    let weight = on(tape, &w.weight, |w| {
        w.try_reshape_like(&(outputs, taps * c))?
            .try_permute::<_, Axes2<1, 0>>()
    })?;
    let dims = [n, reads.height, reads.width, outputs];
    affine(tape, &rows, weight, w.bias.as_ref(), dims, act)
}

/// `W` stored `(C, kh, kw, O)`; `output` is the height and width that come out.
pub fn conv_transpose2d<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    w: &Weights<Array<E, D>>,
    window: Window,
    output: (usize, usize),
    act: Activation,
) -> Result<Array<E, D>, D::Err> {
    let Window {
        kernel,
        stride,
        padding,
    } = window;
    let [n, height, width, c] = dims(x);
    let outputs = w.weight.shape().3;
    let reads = Reads::new(output, kernel, (height, width), |place, tap| {
        let reached = (place + padding).checked_sub(tap)?;
        (reached % stride == 0).then_some(reached / stride)
    });
    let rows = reads.rows(tape, x)?;
    let taps = kernel * kernel;
    let weight = on(tape, &w.weight, |w| {
        w.try_reshape_like(&(c, taps, outputs))?
            .try_permute::<_, Axes3<1, 0, 2>>()?
            .try_reshape_like(&(taps * c, outputs))
    })?;
    let dims = [n, reads.height, reads.width, outputs];
    affine(tape, &rows, weight, w.bias.as_ref(), dims, act)
}

/// The mean under each place of a window without padding.
pub fn avg_pool2d<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    window: Window,
) -> Result<Array<E, D>, D::Err> {
    let Window { kernel, stride, .. } = window;
    let [_, height, width, _] = dims(x);
    let side = |len: usize| (len - kernel) / stride + 1;
    let reads = Reads::new(
        (side(height), side(width)),
        kernel,
        (height, width),
        |place, tap| Some(place * stride + tap),
    );
    reads.means(tape, x)
}

/// The transposed map of [`avg_pool2d`]; `output` is the height and width that come out.
pub fn avg_unpool2d<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    window: Window,
    output: (usize, usize),
) -> Result<Array<E, D>, D::Err> {
    let Window { kernel, stride, .. } = window;
    let [_, height, width, _] = dims(x);
    let reads = Reads::new(output, kernel, (height, width), |place, tap| {
        let reached = place.checked_sub(tap)?;
        (reached % stride == 0).then_some(reached / stride)
    });
    reads.means(tape, x)
}

/// The greatest number under each place of a window without padding.
pub fn max_pool2d<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    window: Window,
) -> Result<Array<E, D>, D::Err> {
    let (places, dims) = greatest(x, window);
    sums(tape, x, places, dims)
}

/// Adds each number of `x` to where [`max_pool2d`] of `large` has it from.
pub fn max_unpool2d<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    large: &Array<E, D>,
    window: Window,
) -> Result<Array<E, D>, D::Err> {
    let (places, _) = greatest(large, window);
    let dims = dims(large);
    let mut takers = vec![Vec::new(); dims.iter().product()];
    for (small, &place) in places.iter().enumerate() {
        takers[place].push(small);
    }
    let most = takers.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let zero = places.len();
    takers.iter_mut().for_each(|small| small.resize(most, zero));
    sums(tape, x, takers.concat(), dims)
}

/// For each number that a maximum under a window gives, the index of the first of the greatest; and the sizes of what
/// it gives. Found on the host.
fn greatest<E: Dtype, D: Device<E>>(x: &Array<E, D>, window: Window) -> (Vec<usize>, Dims) {
    let Window { kernel, stride, .. } = window;
    let ([n, h, w, c], numbers) = (dims(x), x.as_vec());
    let side = |len: usize| (len - kernel) / stride + 1;
    let dims = [n, side(h), side(w), c];
    let places = (0..dims.iter().product()).map(|at: usize| {
        let (pixel, channel) = (at / c, at % c);
        let (row, left) = (pixel / dims[2], pixel % dims[2] * stride);
        let (sample, top) = (row / dims[1], row % dims[1] * stride);
        let taps = (0..kernel * kernel).map(|tap| {
            let (y, x) = (top + tap / kernel, left + tap % kernel);
            ((sample * h + y) * w + x) * c + channel
        });
        let greater = |best: usize, at: usize| {
            let (a, b) = (numbers[best], numbers[at]);
            // NaN is equal to nothing, itself not either.
            let not_a_number = |v: E| v.partial_cmp(&v).is_none();
            if b > a || not_a_number(b) && !not_a_number(a) {
                at
            } else {
                best
            }
        };
        taps.reduce(greater).unwrap_or_default()
    });
    (places.collect(), dims)
}

/// For each number of an array of sizes `dims` the sum of as many numbers of `x`, by their indices in order; the index
/// past the last is a zero.
fn sums<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    indices: Vec<usize>,
    [n, h, w, c]: Dims,
) -> Result<Array<E, D>, D::Err> {
    let (len, count) = (dims(x).iter().product::<usize>(), n * h * w * c);
    let each = indices.len() / count;
    let device = x.device();
    let indices = device.try_tensor_from_vec(indices, (count, each))?;
    let nothing: Matrix<E, D> = device.try_zeros_like(&(1, 1))?;
    let column = on(tape, x, |x| x.try_reshape_like(&(len, 1)))?;
    let padded = on(tape, &column, |x| (x, nothing).try_concat_along(Axis::<0>))?;
    let rows: Tensor<(usize, usize, usize), E, D> = on(tape, &padded, |x| x.try_gather(indices))?;
    on(tape, &rows, |rows| {
        rows.try_sum::<(usize, usize), Axis<1>>()?
            .try_reshape_like(&(n, h, w, c))
    })
}

/// The sum of arrays of the same sizes.
pub fn add<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    others: &[Array<E, D>],
) -> Result<Array<E, D>, D::Err> {
    let shape = *x.shape();
    others.iter().try_fold(x.clone(), |sum, other| {
        // dfdx cannot pass a gradient back from a sum of a tensor and itself.
        let other = on(tape, other, |other| other.try_reshape_like(&shape))?;
        on(tape, &sum, |sum| sum.try_add(other))
    })
}

/// The pixels as `(C, N * H * W)`.
fn planes<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
) -> Result<Matrix<E, D>, D::Err> {
    let [n, h, w, c] = dims(x);
    on(tape, x, |x| {
        x.try_reshape_like(&(n * h * w, c))?
            .try_permute::<_, Axes2<1, 0>>()
    })
}

/// `(C, N * H * W)` as `(N, H, W, C)`.
fn pixels<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    planes: &Matrix<E, D>,
    [n, h, w, c]: Dims,
) -> Result<Array<E, D>, D::Err> {
    on(tape, planes, |planes| {
        planes
            .try_permute::<_, Axes2<1, 0>>()?
            .try_reshape_like(&(n, h, w, c))
    })
}

/// The rows `(H, W, E)` of `table` that `classes` names.
fn rows<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    table: &Array<E, D>,
    classes: &[u32],
) -> Result<Array<E, D>, D::Err> {
    let [count, h, w, c] = dims(table);
    let n = classes.len();
    let indices = classes.iter().map(|&class| class as usize).collect();
    let indices = table.device().try_tensor_from_vec(indices, (n,))?;
    let flat = on(tape, table, |t| t.try_reshape_like(&(count, h * w * c)))?;
    let rows: Matrix<E, D> = on(tape, &flat, |t| t.try_gather(indices))?;
    on(tape, &rows, |r| r.try_reshape_like(&(n, h, w, c)))
}

/// Joins the channels of pictures of the same height and width.
pub fn concat<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    others: &[Array<E, D>],
) -> Result<Array<E, D>, D::Err> {
    let [n, h, w, mut c] = dims(x);
    let mut joined = planes(tape, x)?;
    for other in others {
        c += other.shape().3;
        let more = planes(tape, other)?;
        joined = on(tape, &joined, |joined| {
            (joined, more).try_concat_along(Axis::<0>)
        })?;
    }
    pixels(tape, &joined, [n, h, w, c])
}

/// Joins the rows `(H, W, E)` of `table` that `classes` names to the samples `(H, W, C)` of `x`.
pub fn join_rows<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    table: &Array<E, D>,
    classes: &[u32],
) -> Result<Array<E, D>, D::Err> {
    let [n, h, w, c] = dims(x);
    let more = table.shape().3;
    let rows = rows(tape, table, classes)?;
    let rows = planes(tape, &rows)?;
    let own = planes(tape, x)?;
    let joined = on(tape, &own, |own| (own, rows).try_concat_along(Axis::<0>))?;
    pixels(tape, &joined, [n, h, w, c + more])
}

/// Adds the rows `(H, W, C)` of `table` that `classes` names to the samples of `x`, or `(1, 1, C)` at each place.
pub fn add_rows<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    table: &Array<E, D>,
    classes: &[u32],
) -> Result<Array<E, D>, D::Err> {
    let [n, h, w, c] = dims(x);
    let mut rows = rows(tape, table, classes)?;
    if rows.shape() != x.shape() {
        rows = on(tape, &rows, |rows| {
            rows.try_reshape_like(&(n, c))?
                .try_broadcast_like::<_, Axes2<1, 2>>(&(n, h, w, c))
        })?;
    }
    on(tape, x, |x| x.try_add(rows))
}

/// Multiplies the samples of `x` by the rows `(H, W, C)` of `table` that `classes` names.
pub fn multiply_rows<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    table: &Array<E, D>,
    classes: &[u32],
) -> Result<Array<E, D>, D::Err> {
    let rows = rows(tape, table, classes)?;
    on(tape, x, |x| x.try_mul(rows))
}

/// Some of the channels of each pixel.
pub fn channels<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    channels: Range<usize>,
) -> Result<Array<E, D>, D::Err> {
    let [n, h, w, _] = dims(x);
    let indices = x
        .device()
        .try_tensor_from_vec(channels.clone().collect(), (channels.len(),))?;
    let all = planes(tape, x)?;
    let some = on(tape, &all, |all| all.try_gather(indices))?;
    pixels(tape, &some, [n, h, w, channels.len()])
}

/// Nearest-neighbour upsampling by a whole factor.
pub fn upsample<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    factor: usize,
) -> Result<Array<E, D>, D::Err> {
    let [n, h, w, c] = dims(x);
    let reads = Reads::new((h * factor, w * factor), 1, (h, w), |place, _| {
        Some(place / factor)
    });
    let rows = reads.rows(tape, x)?;
    on(tape, &rows, |rows| {
        rows.try_reshape_like(&(n, h * factor, w * factor, c))
    })
}

/// Batch normalization by the batch's own statistics, which are returned.
pub fn batch_norm<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    gamma: &Array<E, D>,
    beta: &Array<E, D>,
    epsilon: f64,
    act: Activation,
) -> Result<Normalized<Array<E, D>, E>, D::Err> {
    let [n, h, w, c] = dims(x);
    let shape = (n * h * w, c);
    let rows = on(tape, x, |x| x.try_reshape_like(&shape))?;
    let mean = on(tape, &rows, |x| x.try_mean::<(usize,), Axis<0>>())?;
    let means = spread(tape, &mean, shape)?;
    let centred = on(tape, &rows, |x| x.try_sub(means))?;
    let variance = on(tape, &centred, |x| {
        x.try_square()?.try_mean::<(usize,), Axis<0>>()
    })?;
    let deviation = on(tape, &variance, |v| {
        v.try_add(number::<E>(epsilon))?.try_sqrt()
    })?;
    let deviations = spread(tape, &deviation, shape)?;
    let mut y = on(tape, &centred, |x| x.try_div(deviations))?;
    let gamma = on(tape, gamma, |g| g.try_reshape_like(&(c,)))?;
    let gammas = spread(tape, &gamma, shape)?;
    y = on(tape, &y, |y| y.try_mul(gammas))?;
    let beta = on(tape, beta, |b| b.try_reshape_like(&(c,)))?;
    let betas = spread(tape, &beta, shape)?;
    y = on(tape, &y, |y| y.try_add(betas))?;
    let y = on(tape, &y, |y| y.try_reshape_like(&(n, h, w, c)))?;
    let statistics = BatchStatistics {
        mean: mean.as_vec(),
        variance: variance.as_vec(),
    };
    Ok((activation(tape, &y, act)?, statistics))
}

/// Normalization of each sample by itself.
pub fn instance_norm<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    gamma: &Array<E, D>,
    beta: &Array<E, D>,
    epsilon: f64,
    act: Activation,
) -> Result<Array<E, D>, D::Err> {
    let [n, h, w, c] = dims(x);
    let shape = (n, h * w, c);
    let pixels = on(tape, x, |x| x.try_reshape_like(&shape))?;
    let mean = on(tape, &pixels, |x| x.try_mean::<_, Axis<1>>())?;
    let means = on(tape, &mean, |m| m.try_broadcast_like::<_, Axis<1>>(&shape))?;
    let centred = on(tape, &pixels, |x| x.try_sub(means))?;
    let variance = on(tape, &centred, |x| x.try_square()?.try_mean::<_, Axis<1>>())?;
    let deviation = on(tape, &variance, |v| {
        v.try_add(number::<E>(epsilon))?.try_sqrt()
    })?;
    let deviations = on(tape, &deviation, |d| {
        d.try_broadcast_like::<_, Axis<1>>(&shape)
    })?;
    let y = on(tape, &centred, |x| x.try_div(deviations))?;
    let shape = (n * h * w, c);
    let mut y = on(tape, &y, |y| y.try_reshape_like(&shape))?;
    let gamma = on(tape, gamma, |g| g.try_reshape_like(&(c,)))?;
    let gammas = spread(tape, &gamma, shape)?;
    y = on(tape, &y, |y| y.try_mul(gammas))?;
    let beta = on(tape, beta, |b| b.try_reshape_like(&(c,)))?;
    let betas = spread(tape, &beta, shape)?;
    y = on(tape, &y, |y| y.try_add(betas))?;
    let y = on(tape, &y, |y| y.try_reshape_like(&(n, h, w, c)))?;
    activation(tape, &y, act)
}

/// `act(x * scale + shift)` per channel.
pub fn scale_shift<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    x: &Array<E, D>,
    scale: &[E],
    shift: &[E],
    act: Activation,
) -> Result<Array<E, D>, D::Err> {
    let [n, h, w, c] = dims(x);
    let shape = (n * h * w, c);
    let device = x.device();
    let scale = device.try_tensor_from_vec(scale.to_vec(), (c,))?;
    let shift = device.try_tensor_from_vec(shift.to_vec(), (c,))?;
    let scales = scale.try_broadcast_like::<_, Axis<0>>(&shape)?;
    let shifts = shift.try_broadcast_like::<_, Axis<0>>(&shape)?;
    let y = on(tape, x, |x| {
        x.try_reshape_like(&shape)?
            .try_mul(scales)?
            .try_add(shifts)?
            .try_reshape_like(&(n, h, w, c))
    })?;
    activation(tape, &y, act)
}

/// A row repeated for every row of `shape`.
fn spread<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    row: &Tensor<(usize,), E, D>,
    shape: (usize, usize),
) -> Result<Matrix<E, D>, D::Err> {
    on(tape, row, |row| {
        row.try_broadcast_like::<_, Axis<0>>(&shape)
    })
}

/// A draw from each of a batch of normal distributions.
pub fn reparameterize<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: &mut T,
    moments: &Array<E, D>,
    noise: &Array<E, D>,
) -> Result<Array<E, D>, D::Err> {
    let [n, h, w, c] = dims(moments);
    let size = h * w * c / 2;
    let rows = on(tape, moments, |m| m.try_reshape_like(&(n, 2 * size)))?;
    let means = on(tape, &rows, |m| m.try_slice((.., ..size)))?;
    let noise = noise.clone().try_reshape_like(&(n, size))?;
    let offsets = on(tape, &rows, |m| {
        m.try_slice((.., size..))?
            .try_mul(number::<E>(0.5))?
            .try_exp()?
            .try_mul(noise)
    })?;
    let drawn = on(tape, &means, |m| m.try_add(offsets))?;
    on(tape, &drawn, |z| z.try_reshape_like(&(n, 1, 1, size)))
}

/// Runs what the tape has recorded backward from some tensors, each with the gradient of a loss with respect to it.
pub fn backward<E: Dtype, D: Device<E>>(
    device: &D,
    tape: OwnedTape<E, D>,
    from: Vec<(Array<E, D>, Vec<E>)>,
) -> Result<Gradients<E, D>, D::Err> {
    let nothing: Tensor<Rank0, E, D> = device.try_zeros()?;
    let mut loss = nothing.put_tape(tape);
    for (y, gradient) in from {
        // Of this product's sum it is the gradient.
        let gradient = device.try_tensor_from_vec(gradient, *y.shape())?;
        let product = y.put_tape(OwnedTape::default()).try_mul(gradient)?;
        loss = loss.try_add(product.try_sum()?)?;
    }
    loss.try_backward()
}

/// The gradient of a tensor; zeros where none came.
pub fn gradient<E: Dtype, D: Device<E>>(
    gradients: &mut Gradients<E, D>,
    x: &Array<E, D>,
) -> Result<Array<E, D>, D::Err> {
    gradients.get_or_alloc_mut(x)?;
    Ok(gradients.get(x))
}

/// A step of an optimizer.
pub fn update<E: Dtype, D: Device<E>>(
    parameter: &mut Array<E, D>,
    gradient: Array<E, D>,
    [first, second]: &mut [Array<E, D>; 2],
    step: &Update,
) -> Result<(), D::Err> {
    let update = match *step {
        Update::Adam {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            correction1,
            correction2,
        } => {
            lerp(first, &gradient, 1.0 - beta1)?;
            lerp(second, &gradient.try_square()?, 1.0 - beta2)?;
            let deviation = second
                .clone()
                .try_mul(number::<E>(1.0 / correction2))?
                .try_sqrt()?
                .try_add(number::<E>(epsilon))?;
            first
                .clone()
                .try_mul(number::<E>(learning_rate / correction1))?
                .try_div(deviation)?
        }
        Update::Sgd {
            learning_rate,
            momentum,
        } => {
            let before = first.clone().try_mul(number::<E>(momentum))?;
            *first = before.try_add(gradient)?;
            first.clone().try_mul(number::<E>(learning_rate))?
        }
    };
    *parameter = parameter.clone().try_sub(update)?;
    Ok(())
}

/// Brings every number into `[-limit, limit]`.
pub fn clamp<E: Dtype, D: Device<E>>(array: &mut Array<E, D>, limit: f64) -> Result<(), D::Err> {
    *array = array.clone().try_clamp(-limit, limit)?;
    Ok(())
}

/// Moves `average` towards `value` by the given part of their distance.
pub fn lerp<E: Dtype, D: Device<E>>(
    average: &mut Array<E, D>,
    value: &Array<E, D>,
    weight: f64,
) -> Result<(), D::Err> {
    let step = value
        .clone()
        .try_sub(average.clone())?
        .try_mul(number::<E>(weight))?;
    *average = average.clone().try_add(step)?;
    Ok(())
}
