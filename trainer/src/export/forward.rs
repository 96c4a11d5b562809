//! The float forward pass of a folded network, layer by layer, for calibration.

use super::fold::{Folded, FoldedLayer};
use pocketgan::internals::arithmetic::activate;
use pocketgan::{Operator, Window};

/// A folded network with its weights laid out for the forward pass.
pub struct Forward<'a> {
    layers: Vec<(&'a FoldedLayer, Vec<f32>)>,
}

impl<'a> Forward<'a> {
    /// Lays out the weights of `folded`.
    pub fn new(folded: &'a Folded) -> Self {
        let layers = folded.layers.iter();
        Self {
            layers: layers.map(|layer| (layer, outputs_last(layer))).collect(),
        }
    }

    /// Runs one latent, or one picture, of `class` if the network has classes, and hands each tensor's number and
    /// numbers, activation included and ordered row, column, channel, to `visit`: the input, then what each layer
    /// gives.
    ///
    /// `input` must have the input's size, and is ordered row, column, channel. `class` must be one of the network's;
    /// without classes it does not matter.
    pub fn run(&self, input: Vec<f32>, class: usize, mut visit: impl FnMut(usize, &[f32])) {
        let mut tensors = vec![input];
        visit(0, &tensors[0]);
        for (layer, weights) in &self.layers {
            let input = &tensors[layer.source];
            let values = match layer.operator {
                Operator::Add { from } => {
                    let sums = input.iter().zip(&tensors[from]);
                    sums.map(|(a, b)| activate(layer.activation, a + b))
                        .collect()
                }
                Operator::Concat { from } => concat(layer, input, &tensors[from]),
                _ => run_layer(layer, weights, input, class),
            };
            visit(tensors.len(), &values);
            tensors.push(values);
        }
    }
}

/// The weights ordered kernel row, kernel column, input channel, or row, column, channel of a linear layer's input;
/// then output. A linear layer's outputs are ordered row, column, channel.
fn outputs_last(layer: &FoldedLayer) -> Vec<f32> {
    let (inputs, outputs) = (layer.input.channels, layer.bias.len());
    let area = match layer.operator {
        Operator::Conv2d(window) | Operator::ConvTranspose2d(window) => {
            window.kernel * window.kernel
        }
        _ => layer.input.height * layer.input.width,
    };
    let mut weights = Vec::with_capacity(layer.weight.len());
    for place in 0..area {
        for i in 0..inputs {
            weights.extend((0..outputs).map(|o| {
                let at = match layer.operator {
                    Operator::ConvTranspose2d(_) => i * outputs + o,
                    Operator::Linear => channels_first(layer, o) * inputs + i,
                    _ => o * inputs + i,
                };
                layer.weight[at * area + place]
            }));
        }
    }
    weights
}

/// Where element `place`, counted by row, column and channel, stands in channel, row, column order.
fn channels_first(layer: &FoldedLayer, place: usize) -> usize {
    let channels = layer.output.channels;
    place % channels * layer.output.height * layer.output.width + place / channels
}

fn run_layer(layer: &FoldedLayer, weights: &[f32], input: &[f32], class: usize) -> Vec<f32> {
    let pixels = layer.output.height * layer.output.width;
    let mut output = match layer.operator {
        Operator::Upsample { factor } => return upsample(layer, factor, input),
        Operator::AvgPool2d(_) => vec![0.0; layer.output.len()],
        Operator::Linear => {
            let column = layer.columns.chunks_exact(layer.bias.len()).nth(class);
            let starts = (0..layer.bias.len()).map(|o| channels_first(layer, o));
            starts
                .map(|o| layer.bias[o] + column.map_or(0.0, |column| column[o]))
                .collect()
        }
        _ => layer.bias.repeat(pixels),
    };
    match layer.operator {
        Operator::Conv2d(window) => {
            each_tap(window, layer.input, layer.output, |tap, inside, outside| {
                accumulate(layer, weights, tap, input, inside, &mut output, outside);
            });
        }
        Operator::AvgPool2d(window) => {
            let share = 1.0 / (window.kernel * window.kernel) as f32;
            let channels = layer.input.channels;
            each_tap(window, layer.input, layer.output, |_, inside, outside| {
                let values = &input[inside * channels..][..channels];
                axpy(share, values, &mut output[outside * channels..][..channels]);
            });
        }
        Operator::ConvTranspose2d(window) => {
            each_tap(window, layer.output, layer.input, |tap, outside, inside| {
                accumulate(layer, weights, tap, input, inside, &mut output, outside);
            });
        }
        _ => {
            let rows = weights.chunks_exact(output.len());
            for (&x, row) in input.iter().zip(rows) {
                axpy(x, row, &mut output);
            }
        }
    }
    for value in &mut output {
        *value = activate(layer.activation, *value);
    }
    output
}

/// Calls `f` with the kernel place, the pixel of the wide side and the pixel of the strided side for
/// every tap of a convolution from `wide` to `strided` that lies inside the picture.
fn each_tap(
    window: Window,
    wide: crate::spec::Shape,
    strided: crate::spec::Shape,
    mut f: impl FnMut(usize, usize, usize),
) {
    let inside = |at: usize, k: usize, len: usize| {
        (at * window.stride + k)
            .checked_sub(window.padding)
            .filter(|&place| place < len)
    };
    for y in 0..strided.height {
        for ky in 0..window.kernel {
            let Some(wide_y) = inside(y, ky, wide.height) else {
                continue;
            };
            for x in 0..strided.width {
                for kx in 0..window.kernel {
                    if let Some(wide_x) = inside(x, kx, wide.width) {
                        let tap = ky * window.kernel + kx;
                        f(tap, wide_y * wide.width + wide_x, y * strided.width + x);
                    }
                }
            }
        }
    }
}

/// Adds what input pixel `from` gives output pixel `to` through kernel place `tap`.
fn accumulate(
    layer: &FoldedLayer,
    weights: &[f32],
    tap: usize,
    input: &[f32],
    from: usize,
    output: &mut [f32],
    to: usize,
) {
    let (inputs, outputs) = (layer.input.channels, layer.output.channels);
    let weights = &weights[tap * inputs * outputs..][..inputs * outputs];
    let output = &mut output[to * outputs..][..outputs];
    let input = &input[from * inputs..][..inputs];
    for (&x, row) in input.iter().zip(weights.chunks_exact(outputs)) {
        axpy(x, row, output);
    }
}

fn axpy(x: f32, row: &[f32], output: &mut [f32]) {
    for (sum, weight) in output.iter_mut().zip(row) {
        *sum += x * weight;
    }
}

fn concat(layer: &FoldedLayer, first: &[f32], second: &[f32]) -> Vec<f32> {
    let channels = layer.input.channels;
    let pixels = first.chunks_exact(channels);
    let pixels = pixels.zip(second.chunks_exact(layer.output.channels - channels));
    pixels.flat_map(|(a, b)| [a, b].concat()).collect()
}

fn upsample(layer: &FoldedLayer, factor: usize, input: &[f32]) -> Vec<f32> {
    let channels = layer.input.channels;
    let mut output = Vec::with_capacity(layer.output.len());
    for y in 0..layer.output.height {
        for x in 0..layer.output.width {
            let pixel = y / factor * layer.input.width + x / factor;
            output.extend_from_slice(&input[pixel * channels..][..channels]);
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fold::fold;
    use crate::nn::{Initialization, Model};
    use crate::ops::Cpu;
    use crate::rng::{Rng, Stream};
    use crate::spec::{Layer, Network, Shape};

    /// Sums, joined channels and means are those of the trained model.
    #[test]
    fn branches_give_what_the_model_gives() {
        let conv = |channels| Layer::Conv2d {
            channels,
            kernel: 3,
            stride: 1,
            padding: 1,
            bias: true,
        };
        let dense = Layer::Linear {
            features: 2 * 5 * 6,
            bias: true,
        };
        let seed = Layer::Reshape(Shape::new(2, 5, 6));
        let mut network = Network::chain(Shape::features(7), vec![dense, seed]);
        let branch = network.push(conv(2), &[2]);
        let sum = network.push(Layer::Add, &[2, branch]);
        let active = network.push(Layer::LeakyRelu { slope: 0.2 }, &[sum]);
        let wide = network.push(conv(3), &[active]);
        let joined = network.push(Layer::Concat, &[wide, 2, active]);
        let (kernel, stride) = (3, 2);
        let pooled = network.push(Layer::AvgPool2d { kernel, stride }, &[joined]);
        let last = network.push(conv(1), &[pooled]);
        network.push(Layer::Tanh, &[last]);

        let mut rng = Rng::new(1, Stream::Initialization);
        let drawn = Initialization::Dcgan.parameters(&network, &mut rng);
        let mut parameters = drawn.unwrap();
        for tensor in parameters.tensors.values_mut() {
            tensor.data.iter_mut().for_each(|value| *value *= 20.0);
        }
        let model = Model::new(Cpu::default(), &network, &parameters).unwrap();
        let folded = fold(&network, &parameters).unwrap();
        let latent = [3, -40, 25, 0, 17, -8, 60];
        let mut image = Vec::new();
        let x = latent.map(|q: i8| f32::from(q) / 32.0);
        Forward::new(&folded).run(x.to_vec(), 0, |_, values| image = values.to_vec());
        let expected = model.evaluate(&x, &[]).unwrap();
        assert_eq!(image.len(), expected.len());
        assert!(expected.iter().any(|value| value.abs() > 0.1));
        for (a, b) in image.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-5, "{a} against {b}");
        }
    }
}
