//! Every CPU kernel against the same layer made of dfdx's operations, and against numerical
//! derivatives, in f64.

use super::cpu::Nodes;
use super::{Activation, Cpu, Device, Dims, Sums, Wants, Weights, Window, composed};
use dfdx::prelude::*;
use proptest::prelude::*;

const ALL: Wants = Wants {
    input: true,
    weights: true,
};

/// Numbers in (-1, 1) that differ from each other, the same for the same salt.
fn numbers(len: usize, salt: usize) -> Vec<f64> {
    (0..len)
        .map(|i| ((i * 7919 + salt * 104_729 + 13) % 2003) as f64 / 1001.5 - 1.0)
        .collect()
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Linear,
    Conv2d(Window),
    /// With the first taps of the window, so many.
    MaskedConv2d(Window, usize),
    /// With its output padding.
    ConvTranspose2d(Window, usize),
    BatchNorm,
    InstanceNorm,
    ScaleShift,
    Upsample(usize),
    AvgPool2d(Window),
    /// With more pixels at the far sides than the window reaches.
    AvgUnpool2d(Window, usize),
    MaxPool2d(Window),
    /// To pictures with more pixels at the far sides than the window reaches.
    MaxUnpool2d(Window, usize),
    /// To the input twice: the weight, which learns, and other numbers.
    Add,
    /// A table of so many rows.
    JoinRows(usize),
    AddRows(usize),
    /// A table whose rows are added at each place.
    AddToPlaces(usize),
    MultiplyRows(usize),
    /// The input with the weight and other numbers.
    Concat,
    /// Those in the middle.
    Channels,
    Activation,
    Slope,
    /// The input's numbers are the moments.
    Reparameterize,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    op: Op,
    input: Dims,
    outputs: usize,
    bias: bool,
    act: Activation,
    sums: Sums,
}

impl Case {
    /// Sizes of the weight (or gamma) and of the bias (or beta).
    fn weights(&self) -> (Dims, Dims) {
        let [_, h, w, c] = self.input;
        let o = self.outputs;
        match self.op {
            Op::Linear => ([o, 1, 1, h * w * c], [1, 1, 1, o]),
            Op::Conv2d(Window { kernel, .. }) => ([o, kernel, kernel, c], [1, 1, 1, o]),
            Op::MaskedConv2d(_, taps) => ([o, 1, taps, c], [1, 1, 1, o]),
            Op::ConvTranspose2d(Window { kernel, .. }, _) => ([c, kernel, kernel, o], [1, 1, 1, o]),
            Op::JoinRows(rows) => ([rows, h, w, o], [1, 1, 1, 1]),
            Op::AddRows(rows) | Op::MultiplyRows(rows) => ([rows, h, w, c], [1, 1, 1, 1]),
            Op::AddToPlaces(rows) => ([rows, 1, 1, c], [1, 1, 1, 1]),
            Op::Add => (self.input, [1, 1, 1, 1]),
            Op::Concat => ([self.input[0], h, w, o], [1, 1, 1, 1]),
            _ => ([1, 1, 1, c], [1, 1, 1, c]),
        }
    }

    /// How many of input, weight and bias get a gradient.
    fn learnt(&self) -> usize {
        match self.op {
            Op::Linear
            | Op::Conv2d(_)
            | Op::MaskedConv2d(..)
            | Op::ConvTranspose2d(..)
            | Op::BatchNorm
            | Op::InstanceNorm => 3,
            Op::JoinRows(_)
            | Op::AddRows(_)
            | Op::AddToPlaces(_)
            | Op::MultiplyRows(_)
            | Op::Add
            | Op::Concat => 2,
            _ => 1,
        }
    }

    fn middle(&self) -> std::ops::Range<usize> {
        let channels = self.input[3];
        channels / 4..channels.div_ceil(2)
    }

    /// A class for each sample.
    fn classes(&self, rows: usize) -> Vec<u32> {
        let numbers = (0..self.input[0]).map(|i| (i * i + 1) % rows);
        numbers.map(|class| class as u32).collect()
    }

    /// Sizes of the latents whose moments the input is.
    fn latents(&self) -> Dims {
        let [n, h, w, c] = self.input;
        [n, 1, 1, h * w * c / 2]
    }

    fn noise(&self) -> Vec<f64> {
        numbers(self.latents().iter().product(), 5)
    }

    fn large(&self, window: Window, output_padding: usize) -> (usize, usize) {
        let side = |n: usize| {
            (n - 1) * window.stride + window.kernel + output_padding - 2 * window.padding
        };
        (side(self.input[1]), side(self.input[2]))
    }

    /// Sizes of pictures of which pooling leaves as many pixels as the input has.
    fn pooled(&self, window: Window, extra: usize) -> Dims {
        let [n, .., c] = self.input;
        let (height, width) = self.large(window, extra);
        [n, height, width, c]
    }

    fn fast<T: Tape<f64, Nodes>>(
        &self,
        tape: &mut T,
        x: &super::cpu::Array<f64>,
        w: &Weights<super::cpu::Array<f64>>,
    ) -> super::cpu::Array<f64> {
        let cpu = Cpu::new(self.sums);
        let beta = w.bias.as_ref();
        let w = &Weights {
            weight: w.weight.clone(),
            bias: w.bias.clone().filter(|_| self.bias),
        };
        match self.op {
            Op::Linear => cpu.linear(tape, x, w, self.act, ALL),
            Op::Conv2d(window) | Op::MaskedConv2d(window, _) => {
                cpu.conv2d(tape, x, w, window, self.act, ALL)
            }
            Op::ConvTranspose2d(window, extra) => {
                let output = self.large(window, extra);
                cpu.conv_transpose2d(tape, x, w, window, output, self.act, ALL)
            }
            Op::BatchNorm => cpu
                .batch_norm(tape, x, &w.weight, beta.unwrap(), 1e-5, self.act, ALL)
                .map(|(y, _)| y),
            Op::InstanceNorm => {
                cpu.instance_norm(tape, x, &w.weight, beta.unwrap(), 1e-5, self.act, ALL)
            }
            Op::ScaleShift => {
                let (scale, shift) = (cpu.to_host(&w.weight), cpu.to_host(beta.unwrap()));
                cpu.scale_shift(tape, x, &scale, &shift, self.act)
            }
            Op::Upsample(factor) => cpu.upsample(tape, x, factor),
            Op::AvgPool2d(window) => cpu.avg_pool2d(tape, x, window),
            Op::AvgUnpool2d(window, extra) => {
                cpu.avg_unpool2d(tape, x, window, self.large(window, extra))
            }
            Op::MaxPool2d(window) => cpu.max_pool2d(tape, x, window),
            Op::MaxUnpool2d(window, extra) => {
                let dims = self.pooled(window, extra);
                let large = numbers(dims.iter().product(), 5);
                let large = Device::array(&cpu, &large, dims).unwrap();
                cpu.max_unpool2d(tape, x, &large, window)
            }
            Op::Add => {
                let more = numbers(x.data().len(), 5);
                let more = Device::array(&cpu, &more, self.input).unwrap();
                cpu.add(tape, x, &[w.weight.clone(), more])
            }
            Op::JoinRows(rows) => cpu.join_rows(tape, x, &w.weight, &self.classes(rows)),
            Op::AddRows(rows) | Op::AddToPlaces(rows) => {
                cpu.add_rows(tape, x, &w.weight, &self.classes(rows))
            }
            Op::MultiplyRows(rows) => cpu.multiply_rows(tape, x, &w.weight, &self.classes(rows)),
            Op::Concat => {
                let more = numbers(x.data().len(), 5);
                let more = Device::array(&cpu, &more, self.input).unwrap();
                cpu.concat(tape, x, &[w.weight.clone(), more])
            }
            Op::Channels => cpu.channels(tape, x, self.middle()),
            Op::Activation => cpu.activation(tape, x, self.act),
            Op::Slope => {
                let output = numbers(x.data().len(), 5);
                let output = Device::array(&cpu, &output, self.input).unwrap();
                cpu.slope(tape, x, &output, self.act)
            }
            Op::Reparameterize => {
                let noise = Device::array(&cpu, &self.noise(), self.latents()).unwrap();
                cpu.reparameterize(tape, x, &noise)
            }
        }
        .unwrap()
    }

    fn composed<T: Tape<f64, Nodes>>(
        &self,
        tape: &mut T,
        x: &composed::Array<f64, Nodes>,
        w: &Weights<composed::Array<f64, Nodes>>,
    ) -> composed::Array<f64, Nodes> {
        let beta = w.bias.as_ref();
        let w = &Weights {
            weight: w.weight.clone(),
            bias: w.bias.clone().filter(|_| self.bias),
        };
        match self.op {
            Op::Linear => composed::linear(tape, x, w, self.act),
            Op::Conv2d(window) | Op::MaskedConv2d(window, _) => {
                composed::conv2d(tape, x, w, window, self.act)
            }
            Op::ConvTranspose2d(window, extra) => {
                let output = self.large(window, extra);
                composed::conv_transpose2d(tape, x, w, window, output, self.act)
            }
            Op::BatchNorm => {
                composed::batch_norm(tape, x, &w.weight, beta.unwrap(), 1e-5, self.act)
                    .map(|(y, _)| y)
            }
            Op::InstanceNorm => {
                composed::instance_norm(tape, x, &w.weight, beta.unwrap(), 1e-5, self.act)
            }
            Op::ScaleShift => {
                let (scale, shift) = (w.weight.as_vec(), beta.unwrap().as_vec());
                composed::scale_shift(tape, x, &scale, &shift, self.act)
            }
            Op::Upsample(factor) => composed::upsample(tape, x, factor),
            Op::AvgPool2d(window) => composed::avg_pool2d(tape, x, window),
            Op::AvgUnpool2d(window, extra) => {
                composed::avg_unpool2d(tape, x, window, self.large(window, extra))
            }
            Op::MaxPool2d(window) => composed::max_pool2d(tape, x, window),
            Op::MaxUnpool2d(window, extra) => {
                let [n, h, w, c] = self.pooled(window, extra);
                let large = numbers(n * h * w * c, 5);
                let large = x.device().tensor_from_vec(large, (n, h, w, c));
                composed::max_unpool2d(tape, x, &large, window)
            }
            Op::Add => {
                let more = numbers(self.input.iter().product(), 5);
                let more = x.device().tensor_from_vec(more, *x.shape());
                composed::add(tape, x, &[w.weight.clone(), more])
            }
            Op::AddRows(rows) | Op::AddToPlaces(rows) => {
                composed::add_rows(tape, x, &w.weight, &self.classes(rows))
            }
            Op::MultiplyRows(rows) => {
                composed::multiply_rows(tape, x, &w.weight, &self.classes(rows))
            }
            Op::JoinRows(rows) => composed::join_rows(tape, x, &w.weight, &self.classes(rows)),
            Op::Concat => {
                let more = numbers(self.input.iter().product(), 5);
                let more = x.device().tensor_from_vec(more, *x.shape());
                composed::concat(tape, x, &[w.weight.clone(), more])
            }
            Op::Channels => composed::channels(tape, x, self.middle()),
            Op::Activation => composed::activation(tape, x, self.act),
            Op::Slope => {
                let output = numbers(self.input.iter().product(), 5);
                let output = x.device().tensor_from_vec(output, *x.shape());
                composed::slope(tape, x, &output, self.act)
            }
            Op::Reparameterize => {
                let [n, h, w, c] = self.latents();
                let noise = x.device().tensor_from_vec(self.noise(), (n, h, w, c));
                composed::reparameterize(tape, x, &noise)
            }
        }
        .unwrap()
    }

    /// The loss `sum(y * r)` for a fixed `r`, and the gradients of x, weight and bias.
    fn check(&self) {
        let cpu = Cpu::default();
        let (weight_dims, bias_dims) = self.weights();
        let size = |dims: Dims| dims.iter().product::<usize>();
        let data = [self.input, weight_dims, bias_dims]
            .into_iter()
            .enumerate()
            .map(|(salt, dims)| (numbers(size(dims), salt), dims))
            .collect::<Vec<_>>();

        let fast = |case: &Case, data: &[(Vec<f64>, Dims)]| -> (Vec<f64>, Vec<Vec<f64>>) {
            let [x, weight, bias] = [0, 1, 2].map(|i| {
                let (numbers, dims) = data[i].clone();
                Device::array(&cpu, &numbers, dims).unwrap()
            });
            let w = Weights {
                weight,
                bias: Some(bias),
            };
            let mut tape = OwnedTape::default();
            let y = case.fast(&mut tape, &x, &w);
            let out = cpu.to_host(&y);
            let mut g = cpu
                .backward(tape, vec![(y, numbers(out.len(), 9))])
                .unwrap();
            let grads =
                [&x, &w.weight, w.bias.as_ref().unwrap()].map(|a| cpu.gradient(&mut g, a).unwrap());
            (out, grads.to_vec())
        };
        let (y, gradients) = fast(self, &data);

        let tensor = |i: usize| {
            let (numbers, [n, h, w, c]) = data[i].clone();
            Nodes::default().tensor_from_vec(numbers, (n, h, w, c))
        };
        let (x, w) = (
            tensor(0),
            Weights {
                weight: tensor(1),
                bias: Some(tensor(2)),
            },
        );
        let mut tape = OwnedTape::default();
        let reference = self.composed(&mut tape, &x, &w);
        close("output", &y, &reference.as_vec(), 1e-12);
        let from = vec![(reference, numbers(y.len(), 9))];
        let mut g = composed::backward(&Nodes::default(), tape, from).unwrap();
        let oracle: Vec<Vec<f64>> = [&x, &w.weight, w.bias.as_ref().unwrap()]
            .map(|a| composed::gradient(&mut g, a).unwrap().as_vec())
            .to_vec();
        let names = ["input", "weight", "bias"];
        for i in 0..self.learnt() {
            close(names[i], &gradients[i], &oracle[i], 1e-9);
        }

        // Numerical derivatives at a few places of each, by central differences; where a
        // difference crosses a corner of the activation there is none.
        let loss = |data: &[(Vec<f64>, Dims)]| -> f64 {
            let (y, _) = fast(self, data);
            y.iter().zip(numbers(y.len(), 9)).map(|(y, r)| y * r).sum()
        };
        let linear = Case {
            act: Activation::Identity,
            ..*self
        };
        let signs = |data: &[(Vec<f64>, Dims)]| -> Vec<bool> {
            let (y, _) = fast(&linear, data);
            y.iter().map(|&y| y > 0.0).collect()
        };
        let corner = matches!(self.act, Activation::Relu | Activation::LeakyRelu(_));
        for i in 0..self.learnt() {
            let len = data[i].0.len();
            for at in [0, len / 3, len / 2, len - 1] {
                let (mut up, mut down) = (data.clone(), data.clone());
                up[i].0[at] += 1e-6;
                down[i].0[at] -= 1e-6;
                if corner && signs(&up) != signs(&down) {
                    continue;
                }
                let slope = (loss(&up) - loss(&down)) / 2e-6;
                let error = (slope - gradients[i][at]).abs();
                assert!(
                    error < 1e-6 * (1.0 + slope.abs()),
                    "{}[{at}]: {} by the tape, {slope} numerically",
                    names[i],
                    gradients[i][at]
                );
            }
        }
    }
}

fn close(what: &str, a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * (1.0 + b.abs()),
            "{what}[{i}]: {a} against {b}"
        );
    }
}

fn activations() -> impl Strategy<Value = Activation> {
    prop_oneof![
        Just(Activation::Identity),
        Just(Activation::Relu),
        Just(Activation::LeakyRelu(0.2)),
        Just(Activation::Tanh),
        Just(Activation::Sigmoid),
    ]
}

fn windows() -> impl Strategy<Value = Window> {
    (1usize..=5, 1usize..=3).prop_flat_map(|(kernel, stride)| {
        (0..kernel).prop_map(move |padding| Window {
            kernel,
            stride,
            padding,
        })
    })
}

fn unpadded() -> impl Strategy<Value = Window> {
    windows().prop_map(|window| Window {
        padding: 0,
        ..window
    })
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        Just(Op::Linear),
        windows().prop_map(Op::Conv2d),
        (windows(), 0usize..25).prop_map(|(window, taps)| {
            Op::MaskedConv2d(window, 1 + taps % (window.kernel * window.kernel))
        }),
        (windows(), 0usize..3)
            .prop_map(|(window, extra)| Op::ConvTranspose2d(window, extra % window.stride)),
        Just(Op::BatchNorm),
        Just(Op::InstanceNorm),
        Just(Op::ScaleShift),
        (1usize..4).prop_map(Op::Upsample),
        unpadded().prop_map(Op::AvgPool2d),
        (unpadded(), 0usize..3)
            .prop_map(|(window, extra)| Op::AvgUnpool2d(window, extra % window.stride)),
        unpadded().prop_map(Op::MaxPool2d),
        (unpadded(), 0usize..3)
            .prop_map(|(window, extra)| Op::MaxUnpool2d(window, extra % window.stride)),
        Just(Op::Add),
        (1usize..4).prop_map(Op::JoinRows),
        (1usize..4).prop_map(Op::AddRows),
        (1usize..4).prop_map(Op::AddToPlaces),
        (1usize..4).prop_map(Op::MultiplyRows),
        Just(Op::Concat),
        Just(Op::Channels),
        Just(Op::Activation),
        Just(Op::Slope),
        Just(Op::Reparameterize),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn kernels_agree_with_composed_operations_and_numerical_derivatives(
        op in ops(),
        input in [1usize..18, 1usize..7, 1usize..7, 1usize..5],
        outputs in 1usize..6,
        bias: bool,
        act in activations(),
        sums in prop_oneof![Just(Sums::Fast), (0u8..=3).prop_map(Sums::Tree)],
    ) {
        let case = Case { op, input, outputs, bias, act, sums };
        let [_, h, w, _] = input;
        let legal = match op {
            Op::Conv2d(window)
            | Op::MaskedConv2d(window, _)
            | Op::AvgPool2d(window)
            | Op::MaxPool2d(window) => h.min(w) + 2 * window.padding >= window.kernel,
            Op::ConvTranspose2d(window, extra) => {
                (h.min(w) - 1) * window.stride + window.kernel + extra > 2 * window.padding
            }
            // Two samples or more, or the variance is nothing but epsilon.
            Op::BatchNorm => input[0] * h * w > 8,
            Op::InstanceNorm => h * w > 8,
            Op::Slope => act.is_piecewise_linear(),
            Op::Reparameterize => input[1..].iter().product::<usize>().is_multiple_of(2),
            _ => true,
        };
        prop_assume!(legal);
        case.check();
    }
}

/// One thread or several, the same bits.
#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let run = |threads: usize| -> Vec<Vec<u32>> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let cpu = Cpu::default();
            let array = |dims: Dims, salt| {
                let numbers = numbers(dims.iter().product(), salt);
                let numbers: Vec<f32> = numbers.iter().map(|&v| v as f32).collect();
                Device::array(&cpu, &numbers, dims).unwrap()
            };
            let window = Window {
                kernel: 4,
                stride: 2,
                padding: 1,
            };
            let x = array([27, 14, 14, 16], 0);
            let w = Weights {
                weight: array([32, 4, 4, 16], 1),
                bias: Some(array([1, 1, 1, 32], 2)),
            };
            let (gamma, beta) = (array([1, 1, 1, 32], 3), array([1, 1, 1, 32], 4));
            let v = Weights {
                weight: array([5, 1, 1, 7 * 7 * 32], 5),
                bias: None,
            };
            let mut tape = OwnedTape::default();
            let y = cpu
                .conv2d(&mut tape, &x, &w, window, Activation::Identity, ALL)
                .unwrap();
            let (y, _) = cpu
                .batch_norm(&mut tape, &y, &gamma, &beta, 1e-5, Activation::Relu, ALL)
                .unwrap();
            let y = cpu
                .linear(&mut tape, &y, &v, Activation::Tanh, ALL)
                .unwrap();
            // The gradient of half the sum of squares.
            let mut g = cpu
                .backward(tape, vec![(y.clone(), cpu.to_host(&y))])
                .unwrap();
            [
                &x,
                &w.weight,
                w.bias.as_ref().unwrap(),
                &gamma,
                &beta,
                &v.weight,
            ]
            .map(|a| cpu.gradient(&mut g, a).unwrap())
            .into_iter()
            .chain([cpu.to_host(&y)])
            .map(|v| v.into_iter().map(f32::to_bits).collect())
            .collect()
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
    assert_eq!(one, run(7));
}
