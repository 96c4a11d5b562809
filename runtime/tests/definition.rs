//! The reference kernels against PyTorch's definitions of the operators, written out here in 64-bit
//! numbers from parameters in PyTorch's order: gathering for convolutions, scattering for transposed
//! ones.

mod common;

use common::{linear, upsample, windowed};
use pocketgan::blob::writer::{
    Classes, Columns, LayerSpec, Parameters, write, write_conditional, write_int4,
};
use pocketgan::{Activation, Model, Numbers, Operator, Rng, Shape, Window};

/// A tensor in PyTorch's order: channel, row, column.
struct Tensor {
    shape: Shape,
    values: Vec<f64>,
}

impl Tensor {
    fn zeros(shape: Shape) -> Self {
        let values = vec![0.0; shape.len()];
        Self { shape, values }
    }

    fn at(&mut self, c: usize, y: usize, x: usize) -> &mut f64 {
        &mut self.values[(c * self.shape.height + y) * self.shape.width + x]
    }

    /// The values in the runtime's order: row, column, channel.
    fn channels_last(&mut self) -> Vec<f64> {
        let Shape {
            height,
            width,
            channels,
        } = self.shape;
        let places = (0..height * width * channels)
            .map(|i| (i % channels, i / channels / width, i / channels % width));
        places.map(|(c, y, x)| *self.at(c, y, x)).collect()
    }
}

/// The sums of a layer before its activation.
fn sums(spec: &LayerSpec, input: &mut Tensor, weights: &[f64], bias: &[f64]) -> Tensor {
    let mut output = Tensor::zeros(spec.output);
    let (inside, outside) = (input.shape, spec.output);
    if let Operator::Linear = spec.operator {
        for (o, value) in output.values.iter_mut().enumerate() {
            let row = &weights[o * inside.channels..];
            *value = bias[o]
                + row
                    .iter()
                    .zip(&input.values)
                    .map(|(w, x)| w * x)
                    .sum::<f64>();
        }
        return output;
    }
    let (window, transposed) = match spec.operator {
        Operator::Conv2d(window) => (window, false),
        Operator::ConvTranspose2d(window) => (window, true),
        other => panic!("{other:?} has no sums"),
    };
    let pixels = outside.height * outside.width;
    for (plane, bias) in output.values.chunks_mut(pixels).zip(bias) {
        plane.fill(*bias);
    }
    let k = window.kernel;
    // The smaller picture is stepped through; the larger one is met at stride * step + tap - padding.
    let (steps, met) = if transposed {
        (inside, outside)
    } else {
        (outside, inside)
    };
    let meet = |step: usize, tap: usize, len: usize| {
        (step * window.stride + tap)
            .checked_sub(window.padding)
            .filter(|&at| at < len)
    };
    for (oc, ic) in (0..outside.channels).flat_map(|o| (0..inside.channels).map(move |i| (o, i))) {
        let row = if transposed {
            ic * outside.channels + oc
        } else {
            oc * inside.channels + ic
        };
        for (sy, sx) in (0..steps.height).flat_map(|y| (0..steps.width).map(move |x| (y, x))) {
            for (ky, kx) in (0..k).flat_map(|y| (0..k).map(move |x| (y, x))) {
                let (Some(my), Some(mx)) = (meet(sy, ky, met.height), meet(sx, kx, met.width))
                else {
                    continue;
                };
                let weight = weights[(row * k + ky) * k + kx];
                let ((iy, ix), (oy, ox)) = if transposed {
                    ((sy, sx), (my, mx))
                } else {
                    ((my, mx), (sy, sx))
                };
                *output.at(oc, oy, ox) += weight * *input.at(ic, iy, ix);
            }
        }
    }
    output
}

fn activated(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::LeakyRelu { slope } => {
            if x < 0.0 {
                x * f64::from(slope)
            } else {
                x
            }
        }
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
    }
}

fn stack(seed: u64) -> Vec<common::Plan> {
    let n = |m: u64| (seed % m) as usize;
    let leaky = Activation::LeakyRelu { slope: 0.3 };
    let first = linear(
        [Activation::Relu, leaky, Activation::Tanh][n(3)],
        3,
        2,
        3 + n(4),
    );
    let window = [
        [4, 2, 1, 0],
        [3, 2, 1, 1],
        [5, 3, 2, 0],
        [2, 3, 0, 1],
        [3, 1, 1, 0],
    ][n(5)];
    let second = windowed(first.2, true, window, [leaky, Activation::None][n(2)], 5).expect("fits");
    let third = upsample(second.2, 1 + n(3));
    let window = [[3, 1, 1, 0], [2, 2, 0, 0], [4, 1, 3, 0]][n(3)];
    let last = [Activation::Tanh, Activation::Sigmoid][n(2)];
    let mut plans = vec![first, second, third];
    if n(4) == 0 {
        let skipped = windowed(third.2, false, [3, 1, 1, 0], Activation::None, 5);
        plans.push(skipped.expect("fits"));
        plans.push(common::addition(&plans, 3, common::ACTIVATIONS[n(5)]));
    }
    if n(7) == 3 {
        // A dense network: its grey rows have the parameters of whole groups.
        return vec![linear(leaky, 1, 1, 9), linear(last, 5, 6, 1 + n(2))];
    }
    plans.push(windowed(third.2, false, window, last, 2).expect("fits"));
    plans
}

fn repeated(input: &mut Tensor, spec: &LayerSpec, factor: usize) -> Tensor {
    let mut output = Tensor::zeros(spec.output);
    let Shape {
        height,
        width,
        channels,
    } = spec.output;
    for c in 0..channels {
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            *output.at(c, y, x) = *input.at(c, y / factor, x / factor);
        }
    }
    output
}

/// The channels of two tensors; in PyTorch's order they lie one behind the other.
fn joined([a, b]: [&Tensor; 2], spec: &LayerSpec) -> Tensor {
    Tensor {
        shape: spec.output,
        values: [a.values.as_slice(), &b.values].concat(),
    }
}

/// The means over windows.
fn pooled(input: &mut Tensor, spec: &LayerSpec, window: Window) -> Tensor {
    let mut output = Tensor::zeros(spec.output);
    let Shape {
        height,
        width,
        channels,
    } = spec.output;
    let Window { kernel, stride, .. } = window;
    for (c, y, x) in
        (0..channels * height * width).map(|i| (i / height / width, i / width % height, i % width))
    {
        for (ky, kx) in (0..kernel).flat_map(|ky| (0..kernel).map(move |kx| (ky, kx))) {
            *output.at(c, y, x) += *input.at(c, y * stride + ky, x * stride + kx);
        }
        *output.at(c, y, x) /= (kernel * kernel) as f64;
    }
    output
}

/// The sum of two tensors, each times its worth, through the activation.
fn added([a, b]: [&Tensor; 2], worths: [f64; 2], finish: impl Fn(f64) -> f64) -> Tensor {
    let values = a.values.iter().zip(&b.values);
    Tensor {
        shape: a.shape,
        values: values
            .map(|(a, b)| finish(a * worths[0] + b * worths[1]))
            .collect(),
    }
}

fn latent(model: &Model, latents: &[i8], unit: f64) -> Tensor {
    let values = latents.iter().map(|&q| f64::from(q) * unit).collect();
    Tensor {
        shape: Shape::new(1, 1, model.latent_size()),
        values,
    }
}

/// The layers of a model of one class: what the class adds, added to the first layer's biases.
fn of_class(layers: &[LayerSpec], classes: &Classes, class: usize) -> Vec<LayerSpec> {
    let mut layers = layers.to_vec();
    match (&mut layers[0].parameters, &classes.columns) {
        (Parameters::Float { bias, .. }, Columns::Float(columns)) => {
            let column = &columns[class * bias.len()..];
            bias.iter_mut().zip(column).for_each(|(b, c)| *b += c);
        }
        (Parameters::Int8 { bias, .. }, Columns::Int8 { columns, step }) => {
            let column = &columns[class * bias.len()..];
            let added = column.iter().map(|&q| i32::from(q) * i32::from(*step));
            bias.iter_mut().zip(added).for_each(|(b, c)| *b += c);
        }
        other => panic!("{other:?}"),
    }
    layers
}

/// Calls `check` with random models: a blob, the class to ask it for, the layers that it then has, and
/// a seed for latents.
fn each_model(numbers: Numbers, mut check: impl FnMut(&[u8], Option<usize>, &[LayerSpec], u64)) {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let (latent, nodes) = match seed {
            0..30 => (7, common::chain(&stack(seed))),
            _ => {
                let graph = common::Graph::random(&mut rng);
                (graph.input.channels, graph.nodes)
            }
        };
        let layers = common::graph_layers(latent, &nodes, numbers, &mut rng);
        let blob = match numbers {
            Numbers::Int4 => write_int4(latent, None, &layers),
            _ => write(latent, &layers),
        };
        check(&blob.expect("a valid model"), None, &layers, seed);
        let classes = common::classes(3, &nodes[0].1, numbers, &mut rng);
        let blob = match numbers {
            Numbers::Int4 => write_int4(latent, Some(&classes), &layers),
            _ => write_conditional(latent, &classes, &layers),
        };
        let blob = blob.expect("a valid model");
        let class = seed as usize % 3;
        check(
            &blob,
            Some(class),
            &of_class(&layers, &classes, class),
            seed,
        );
    }
}

fn parsed(blob: &[u8], class: Option<usize>) -> Model<'_> {
    let model = Model::parse(blob).expect("written blobs parse");
    class.map_or(model, |class| model.of_class(class).expect("a class"))
}

/// With micromath the stated error of each tanh goes through the layers behind it.
#[test]
fn float_layers_compute_pytorchs_operators() {
    each_model(Numbers::Float, |blob, class, layers, seed| {
        let model = parsed(blob, class);
        let latents = common::latents(&model, seed);
        let mut inputs = vec![latent(&model, &latents, 1.0 / 32.0)];
        for spec in layers {
            let tensor = match (&spec.parameters, spec.operator) {
                (Parameters::Float { weights, bias }, _) => {
                    let [weights, bias] = [weights, bias]
                        .map(|v| v.iter().copied().map(f64::from).collect::<Vec<_>>());
                    let mut sums = sums(spec, &mut inputs[spec.source], &weights, &bias);
                    sums.values
                        .iter_mut()
                        .for_each(|x| *x = activated(spec.activation, *x));
                    sums
                }
                (_, Operator::Upsample { factor }) => {
                    repeated(&mut inputs[spec.source], spec, factor)
                }
                (_, Operator::AvgPool2d(window)) => pooled(&mut inputs[spec.source], spec, window),
                (_, Operator::Concat { from }) => {
                    joined([&inputs[spec.source], &inputs[from]], spec)
                }
                (_, Operator::Add { from }) => {
                    let finish = |x| activated(spec.activation, x);
                    added([&inputs[spec.source], &inputs[from]], [1.0; 2], finish)
                }
                other => panic!("{other:?}"),
            };
            inputs.push(tensor);
        }
        let output = common::reference_float(&model, &latents);
        let last = inputs.last_mut().expect("the latent");
        for (&ours, theirs) in output.iter().zip(last.channels_last()) {
            let tolerance = if cfg!(feature = "micromath") {
                5e-3
            } else {
                1e-5
            };
            assert!(
                (f64::from(ours) - theirs).abs() < tolerance,
                "{ours} {theirs}"
            );
        }
    });
}

/// In quanta, each layer given the runtime's own input: the definition's real number, rounded, may
/// differ by one where the fixed-point multiplier tips a half, and not by more.
#[test]
fn int8_layers_compute_pytorchs_operators_to_a_quantum() {
    quantized_layers_compute_pytorchs_operators(Numbers::Int8);
}

#[test]
fn int4_layers_compute_pytorchs_operators_to_a_quantum() {
    quantized_layers_compute_pytorchs_operators(Numbers::Int4);
}

fn quantized_layers_compute_pytorchs_operators(numbers: Numbers) {
    let (mut outputs, mut different) = (0, 0);
    each_model(numbers, |blob, class, layers, seed| {
        let model = parsed(blob, class);
        let latents = common::latents(&model, seed);
        let mut inputs = vec![latent(&model, &latents, 1.0)];
        let ours = common::reference_int8(&model, &latents);
        for (spec, ours) in layers.iter().zip(ours) {
            // From real quanta, or before tanh and sigmoid from a real number, to the output's quanta.
            let to_quanta = |real: f64, scale: f32| {
                let unit = match spec.activation {
                    Activation::Tanh | Activation::Sigmoid => f64::from(scale),
                    _ => 1.0,
                };
                let low = match spec.activation {
                    Activation::Relu | Activation::Sigmoid => 0.0,
                    _ => -128.0,
                };
                let quanta = activated(spec.activation, real) / unit;
                quanta.round().clamp(low, low + 255.0)
            };
            let mut tensor = match (&spec.parameters, spec.operator) {
                (
                    Parameters::Int8 {
                        weights,
                        bias,
                        multipliers,
                        scale,
                    },
                    _,
                ) => {
                    let weights: Vec<_> = weights.iter().copied().map(f64::from).collect();
                    let bias: Vec<_> = bias.iter().copied().map(f64::from).collect();
                    let mut sums = sums(spec, &mut inputs[spec.source], &weights, &bias);
                    let per_channel = spec.output.len() / multipliers.len();
                    for (i, sum) in sums.values.iter_mut().enumerate() {
                        *sum = to_quanta(*sum * multipliers[i / per_channel], *scale);
                    }
                    sums
                }
                (Parameters::Add { multipliers, scale }, Operator::Add { from }) => {
                    let addends = [&inputs[spec.source], &inputs[from]];
                    added(addends, *multipliers, |real| to_quanta(real, *scale))
                }
                (_, Operator::Upsample { factor }) => {
                    repeated(&mut inputs[spec.source], spec, factor)
                }
                (_, Operator::Concat { from }) => {
                    joined([&inputs[spec.source], &inputs[from]], spec)
                }
                (_, Operator::AvgPool2d(window)) => {
                    let mut means = pooled(&mut inputs[spec.source], spec, window);
                    // Halves go up.
                    let means_up = |mean: &mut f64| *mean = (*mean + 0.5).floor();
                    means.values.iter_mut().for_each(means_up);
                    means
                }
                other => panic!("{other:?}"),
            };
            let shape = spec.output;
            for (i, (&q, theirs)) in ours.iter().zip(tensor.channels_last()).enumerate() {
                let difference = (f64::from(q) - theirs).abs();
                assert!(difference <= 1.0, "{:?} {i}: {q} {theirs}", spec.operator);
                different += usize::from(difference > 0.0);
                outputs += 1;
                let (c, pixel) = (i % shape.channels, i / shape.channels);
                *tensor.at(c, pixel / shape.width, pixel % shape.width) = f64::from(q);
            }
            inputs.push(tensor);
        }
    });
    assert!(
        outputs > 5_000 && different * 100 < outputs,
        "{different} of {outputs}"
    );
}
