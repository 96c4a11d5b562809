//! Folding: a trained network as the layers that the runtime runs.
//!
//! Batch normalization goes into the weights in front of it, an upsampling by 2 and the 3x3
//! convolution behind it become one 4x4 stride-2 transposed convolution, activations are attached to
//! their layer, a Reshape becomes the output shape of its Linear layer, and the class embedding of a
//! conditional network becomes a column of numbers for each class beside the first layer's bias.

use crate::parameters::{Parameters, ParametersError};
use crate::spec::{Layer, Network, Shape, SpecError, Step};
use pocketgan::{Activation, Operator, Window};

/// A network in the runtime's layers, with float parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Folded {
    /// Components of the latent.
    pub latent_size: usize,
    /// How many classes there are; 0 without.
    pub classes: usize,
    /// At least one layer; the last one's activation is tanh or sigmoid.
    pub layers: Vec<FoldedLayer>,
}

/// An operator with everything that was folded into it.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldedLayer {
    /// The runtime's operator.
    pub operator: Operator,
    /// The activation behind it.
    pub activation: Activation,
    /// Shape of its input.
    pub input: Shape,
    /// Shape of its output.
    pub output: Shape,
    /// In PyTorch's order, as in [`Parameters`]; empty for an upsample.
    pub weight: Vec<f32>,
    /// One for each feature or output channel; empty for an upsample.
    pub bias: Vec<f32>,
    /// The first layer of a network with classes: what each class adds to the bias, `[classes][features]`, the middle
    /// of the least and the greatest being part of the bias. Empty otherwise.
    pub columns: Vec<f32>,
}

/// Why a network cannot be exported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The parameters are not those of the network.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// The runtime has no place for a layer where it stands.
    #[error("layer {index} ({name}) {reason}")]
    Layer {
        /// Which layer of the network, from 0.
        index: usize,
        /// The layer's name.
        name: &'static str,
        /// What is wrong with it, as the rest of a sentence.
        reason: &'static str,
    },
    /// The network takes a picture, or has no layers.
    #[error("a generator needs a latent vector for an input and at least one layer")]
    NotAGenerator,
}

impl From<SpecError> for FoldError {
    fn from(error: SpecError) -> Self {
        Self::Parameters(error.into())
    }
}

/// Folds a network.
///
/// # Errors
/// Parameters that are not the network's, or the first layer that the runtime cannot run where it
/// stands.
pub fn fold(network: &Network, parameters: &Parameters) -> Result<Folded, FoldError> {
    parameters.check(network)?;
    let steps = network.walk()?;
    let last = steps.last().ok_or(FoldError::NotAGenerator)?;
    if !network.input.is_flat() {
        return Err(FoldError::NotAGenerator);
    }
    let mut layers: Vec<FoldedLayer> = Vec::new();
    let mut rest = steps.as_slice();
    if let [embedding, linear, behind @ ..] = rest
        && let Layer::ClassEmbedding { channels, .. } = *embedding.layer
        && let Layer::Linear { .. } = linear.layer
    {
        add(&mut layers, linear, parameters)?;
        let table = parameters.get(embedding.index, "embedding");
        fold_embedding(&mut layers, channels, table.unwrap_or_default());
        rest = behind;
    }
    for step in rest {
        add(&mut layers, step, parameters)?;
    }
    match layers.last().map(|layer| layer.activation) {
        Some(Activation::Tanh | Activation::Sigmoid) => Ok(Folded {
            latent_size: network.input.len(),
            classes: network.classes().unwrap_or(0),
            layers,
        }),
        _ => Err(refuse(
            last,
            "ends the network, whose last activation must be a Tanh or a Sigmoid",
        )),
    }
}

fn refuse(step: &Step<'_>, reason: &'static str) -> FoldError {
    FoldError::Layer {
        index: step.index,
        name: step.layer.name(),
        reason,
    }
}

fn add(
    layers: &mut Vec<FoldedLayer>,
    step: &Step<'_>,
    parameters: &Parameters,
) -> Result<(), FoldError> {
    let window = |kernel, stride, padding, output_padding| Window {
        kernel,
        stride,
        padding,
        output_padding,
    };
    let operator = match *step.layer {
        Layer::Linear { .. } if !step.input.is_flat() => {
            return Err(refuse(step, "needs a vector for an input"));
        }
        Layer::Linear { .. } => Operator::Linear,
        Layer::Conv2d {
            kernel,
            stride,
            padding,
            ..
        } => Operator::Conv2d(window(kernel, stride, padding, 0)),
        Layer::ConvTranspose2d {
            kernel,
            stride,
            padding,
            output_padding,
            ..
        } => Operator::ConvTranspose2d(window(kernel, stride, padding, output_padding)),
        Layer::Upsample { factor } => Operator::Upsample { factor },
        Layer::BatchNorm { epsilon, .. } => {
            return fold_batch_norm(layers, step, parameters, epsilon);
        }
        Layer::ClassShift { .. } => return fold_shift(layers, step, parameters),
        Layer::ClassEmbedding { .. } => {
            return Err(refuse(
                step,
                "stands elsewhere than in front of the first Linear layer",
            ));
        }
        Layer::Relu => return attach(layers, step, Activation::Relu),
        // A slope of 1 is no activation at all.
        Layer::LeakyRelu { slope } if slope as f32 >= 1.0 => return Ok(()),
        Layer::LeakyRelu { slope } => {
            let slope = slope as f32;
            return attach(layers, step, Activation::LeakyRelu { slope });
        }
        Layer::Tanh => return attach(layers, step, Activation::Tanh),
        Layer::Sigmoid => return attach(layers, step, Activation::Sigmoid),
        Layer::Reshape(_) | Layer::Flatten => return reshape(layers, step),
    };
    let bias_len = match operator {
        Operator::Linear => step.output.len(),
        Operator::Upsample { .. } => 0,
        _ => step.output.channels,
    };
    let weight = parameters.get(step.index, "weight").unwrap_or_default();
    let bias = parameters.get(step.index, "bias");
    push(
        layers,
        FoldedLayer {
            operator,
            activation: Activation::None,
            input: step.input,
            output: step.output,
            weight: weight.to_vec(),
            bias: bias.map_or_else(|| vec![0.0; bias_len], <[f32]>::to_vec),
            columns: Vec::new(),
        },
    );
    Ok(())
}

/// Takes the embedding `table`, `[classes, channels]`, out of the inputs of the first layer, the last of which it
/// makes: `W [z; e] + b = W_z z + (W_e e + b)`.
fn fold_embedding(layers: &mut [FoldedLayer], channels: usize, table: &[f32]) {
    let Some(layer) = layers.first_mut() else {
        return;
    };
    let inputs = layer.input.len();
    let latent_size = inputs - channels;
    let mut columns = Vec::new();
    for embedding in table.chunks_exact(channels) {
        columns.extend(layer.weight.chunks_exact(inputs).map(|row| {
            let products = row[latent_size..].iter().zip(embedding);
            products
                .map(|(&w, &e)| f64::from(w) * f64::from(e))
                .sum::<f64>()
        }));
    }
    layer.set_columns(columns);
    let rows = layer.weight.chunks_exact(inputs);
    layer.weight = rows.flat_map(|row| &row[..latent_size]).copied().collect();
    layer.input = Shape::features(latent_size);
}

/// Adds the table of a ClassShift, `[classes][features]`, to what the classes add to the bias.
fn fold_shift(
    layers: &mut [FoldedLayer],
    step: &Step<'_>,
    parameters: &Parameters,
) -> Result<(), FoldError> {
    let table = parameters.get(step.index, "shift").unwrap_or_default();
    let mut columns: Vec<f64> = table.iter().copied().map(f64::from).collect();
    match layers {
        [layer] if layer.operator == Operator::Linear && layer.activation == Activation::None => {
            for (number, &before) in columns.iter_mut().zip(&layer.columns) {
                *number += f64::from(before);
            }
            layer.set_columns(columns);
            Ok(())
        }
        _ => Err(refuse(
            step,
            "must stand behind the first Linear layer, in front of its activation",
        )),
    }
}

/// Adds a layer, or puts it in place of the upsampling in front of it.
fn push(layers: &mut Vec<FoldedLayer>, layer: FoldedLayer) {
    const SAME: Window = Window {
        kernel: 3,
        stride: 1,
        padding: 1,
        output_padding: 0,
    };
    if layer.operator == Operator::Conv2d(SAME)
        && let Some(upsample) =
            layers.pop_if(|before| before.operator == Operator::Upsample { factor: 2 })
    {
        layers.push(FoldedLayer {
            operator: Operator::ConvTranspose2d(Window {
                kernel: 4,
                stride: 2,
                padding: 1,
                output_padding: 0,
            }),
            input: upsample.input,
            weight: upsampled_kernel(
                &layer.weight,
                upsample.input.channels,
                layer.output.channels,
            ),
            ..layer
        });
    } else {
        layers.push(layer);
    }
}

/// The `[C, O, 4, 4]` kernel of the stride-2, padding-1 transposed convolution that does what an
/// upsampling by 2 and a padding-1 convolution with the `[O, C, 3, 3]` kernel `weight` do.
///
/// Both copies of an input that a 3-wide window covers share one weight, the sum: along one axis, the
/// taps `a, b, c` become `c, b + c, a + b, a`. The zeros around the enlarged picture are those around
/// the small one, so the borders are exact too.
fn upsampled_kernel(weight: &[f32], channels: usize, outputs: usize) -> Vec<f32> {
    const TAPS: [&[usize]; 4] = [&[2], &[1, 2], &[0, 1], &[0]];
    let mut kernel = Vec::with_capacity(channels * outputs * 16);
    for c in 0..channels {
        for o in 0..outputs {
            for rows in TAPS {
                for columns in TAPS {
                    let window = &weight[(o * channels + c) * 9..][..9];
                    let taps = rows
                        .iter()
                        .flat_map(|y| columns.iter().map(move |x| window[y * 3 + x]));
                    kernel.push(taps.map(f64::from).sum::<f64>() as f32);
                }
            }
        }
    }
    kernel
}

/// `gamma * (x - mean) / sqrt(variance + epsilon) + beta` (Ioffe & Szegedy 2015, algorithm 2), put
/// into the weights and bias that make `x`.
fn fold_batch_norm(
    layers: &mut [FoldedLayer],
    step: &Step<'_>,
    parameters: &Parameters,
    epsilon: f64,
) -> Result<(), FoldError> {
    let layer = match layers.last_mut() {
        Some(layer)
            if layer.activation == Activation::None
                && !matches!(layer.operator, Operator::Upsample { .. }) =>
        {
            layer
        }
        _ => {
            return Err(refuse(
                step,
                "must stand behind a Linear, Conv2d or ConvTranspose2d layer, in front of its activation",
            ));
        }
    };
    let part = |name| parameters.get(step.index, name).unwrap_or_default();
    let (gamma, beta) = (part("gamma"), part("beta"));
    let (mean, variance) = (part("mean"), part("variance"));
    let scale: Vec<f64> = gamma
        .iter()
        .zip(variance)
        .map(|(&gamma, &variance)| f64::from(gamma) / (f64::from(variance) + epsilon).sqrt())
        .collect();
    // A Linear layer has a bias for each element of a channel.
    let area = match layer.operator {
        Operator::Linear => step.input.height * step.input.width,
        _ => 1,
    };
    for (output, bias) in layer.bias.iter_mut().enumerate() {
        let c = output / area;
        let centred = f64::from(*bias) - f64::from(mean[c]);
        *bias = (centred * scale[c] + f64::from(beta[c])) as f32;
    }
    let outputs = layer.bias.len();
    for (i, number) in layer.columns.iter_mut().enumerate() {
        *number = (f64::from(*number) * scale[i % outputs / area]) as f32;
    }
    for i in 0..layer.weight.len() {
        let c = layer.output_of_weight(i) / area;
        layer.weight[i] = (f64::from(layer.weight[i]) * scale[c]) as f32;
    }
    Ok(())
}

impl FoldedLayer {
    /// Takes what each class adds to the bias, `[classes][features]`, the middle of each feature's range into the bias.
    fn set_columns(&mut self, mut columns: Vec<f64>) {
        let outputs = self.bias.len();
        for (output, bias) in self.bias.iter_mut().enumerate() {
            let mine = || columns.iter().skip(output).step_by(outputs).copied();
            let least = mine().fold(f64::INFINITY, f64::min);
            let most = mine().fold(f64::NEG_INFINITY, f64::max);
            let middle = (least + most) / 2.0;
            *bias = (f64::from(*bias) + middle) as f32;
            for column in columns.iter_mut().skip(output).step_by(outputs) {
                *column -= middle;
            }
        }
        self.columns = columns.into_iter().map(|number| number as f32).collect();
    }

    /// The output (for linear: feature) or output channel of each weight.
    pub fn output_of_weight(&self, index: usize) -> usize {
        match self.operator {
            Operator::ConvTranspose2d(window) => {
                index / (window.kernel * window.kernel) % self.bias.len().max(1)
            }
            _ => index * self.bias.len() / self.weight.len().max(1),
        }
    }
}

fn attach(
    layers: &mut [FoldedLayer],
    step: &Step<'_>,
    activation: Activation,
) -> Result<(), FoldError> {
    match layers.last_mut() {
        Some(layer)
            if layer.activation == Activation::None
                && !matches!(layer.operator, Operator::Upsample { .. }) =>
        {
            layer.activation = activation;
            Ok(())
        }
        _ => Err(refuse(
            step,
            "must stand behind a Linear, Conv2d or ConvTranspose2d layer that has no activation yet",
        )),
    }
}

fn reshape(layers: &mut [FoldedLayer], step: &Step<'_>) -> Result<(), FoldError> {
    if step.input == step.output {
        return Ok(());
    }
    match layers.last_mut() {
        Some(layer) if layer.operator == Operator::Linear => {
            layer.output = step.output;
            Ok(())
        }
        _ => Err(refuse(step, "must stand behind a Linear layer")),
    }
}
