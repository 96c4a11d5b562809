//! Folding: a trained network as the layers that the runtime runs.
//!
//! Batch normalization goes into the weights in front of it, an upsampling by 2 and the 3x3
//! convolution behind it become one 4x4 stride-2 transposed convolution, activations are attached to
//! their layer, a Reshape becomes the output shape of its Linear layer, and the class embedding of a
//! conditional network becomes a column of numbers for each class beside the first layer's bias.

use crate::parameters::{Parameters, ParametersError};
use crate::spec::{Layer, Network, Shape, SpecError, Step, readers};
use pocketgan::{Activation, Operator, Window};

/// What a folded layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A matrix product.
    Linear,
    /// A convolution.
    Conv2d(Window),
    /// A transposed convolution.
    ConvTranspose2d(Window),
    /// Nearest-neighbour upsampling.
    Upsample {
        /// By how much.
        factor: usize,
    },
    /// The mean of each channel under a window without padding.
    AvgPool2d {
        /// The side of the window.
        kernel: usize,
        /// From one place of it to the next.
        stride: usize,
    },
    /// The sum of two tensors of one shape.
    Add,
    /// The channels of tensors of one height and width.
    Concat,
}

impl Operation {
    /// What a blob's operator computes, and the tensors that it reads: `source` and what the operator names.
    pub fn of(operator: Operator, source: usize) -> (Self, Vec<usize>) {
        match operator {
            Operator::Linear => (Self::Linear, vec![source]),
            Operator::Conv2d(window) => (Self::Conv2d(window), vec![source]),
            Operator::ConvTranspose2d(window) => (Self::ConvTranspose2d(window), vec![source]),
            Operator::Upsample { factor } => (Self::Upsample { factor }, vec![source]),
            Operator::AvgPool2d(Window { kernel, stride, .. }) => {
                (Self::AvgPool2d { kernel, stride }, vec![source])
            }
            Operator::Add { from } => (Self::Add, vec![source, from]),
            Operator::Concat { from } => (Self::Concat, vec![source, from]),
        }
    }

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Conv2d(_) => "conv2d",
            Self::ConvTranspose2d(_) => "conv_transpose2d",
            Self::Upsample { .. } => "upsample",
            Self::AvgPool2d { .. } => "avg_pool2d",
            Self::Add => "add",
            Self::Concat => "concat",
        }
    }

    /// Whether it has weights and a bias.
    const fn has_weights(self) -> bool {
        matches!(
            self,
            Self::Linear | Self::Conv2d(_) | Self::ConvTranspose2d(_)
        )
    }
}

/// A network in the runtime's layers, with float parameters. Its tensors are numbered: 0 is the latent, `i + 1` what
/// layer `i` gives.
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
    /// What it computes.
    pub operation: Operation,
    /// The numbers of the tensors that it reads: two for an addition, two or more for a concatenation, one for any
    /// other layer.
    pub reads: Vec<usize>,
    /// The activation behind it.
    pub activation: Activation,
    /// Shape of the first tensor that it reads.
    pub input: Shape,
    /// Shape of its output.
    pub output: Shape,
    /// In PyTorch's order, as in [`Parameters`]; empty for a layer without weights.
    pub weight: Vec<f32>,
    /// One for each feature or output channel; empty for a layer without weights.
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

/// A layer of a folded network that blobs have no form for yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("layer {layer} of the folded network ({name}) {reason}")]
pub struct NotInFormat {
    /// Which layer, from 0.
    pub layer: usize,
    /// What it computes.
    pub name: &'static str,
    /// What is wrong with it, as the rest of a sentence.
    pub reason: &'static str,
}

impl Folded {
    /// The runtime's operator for each layer: every layer reads what the layer before it gives, and an addition an
    /// earlier tensor besides.
    ///
    /// # Errors
    /// The first layer of which this is not true.
    pub fn operators(&self) -> Result<Vec<Operator>, NotInFormat> {
        let operators = self.layers.iter().enumerate().map(|(index, layer)| {
            let before = layer.reads.contains(&index);
            let from = layer.reads.iter().copied().find(|&tensor| tensor != index);
            match (layer.operation, before, from) {
                (Operation::Linear, true, None) => Ok(Operator::Linear),
                (Operation::Conv2d(window), true, None) => Ok(Operator::Conv2d(window)),
                (Operation::ConvTranspose2d(window), true, None) => {
                    Ok(Operator::ConvTranspose2d(window))
                }
                (Operation::Upsample { factor }, true, None) => Ok(Operator::Upsample { factor }),
                (Operation::Add, true, Some(from)) => Ok(Operator::Add { from }),
                _ => Err(NotInFormat {
                    layer: index,
                    name: layer.operation.name(),
                    reason: "cannot be put into a blob: there each layer reads what the layer before it gives, and an addition an earlier tensor besides",
                }),
            }
        });
        operators.collect()
    }
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
    let mut folding = Folding {
        parameters,
        readers: readers(&steps),
        layers: Vec::new(),
        made: vec![0],
    };
    let mut rest = steps.as_slice();
    if let [embedding, linear, behind @ ..] = rest
        && let Layer::ClassEmbedding { channels, .. } = *embedding.layer
        && let Layer::Linear { .. } = linear.layer
        && linear.reads == [1]
        && folding.readers[1] == 1
    {
        folding.made.push(0);
        folding.add(linear)?;
        let table = parameters.get(embedding.index, "embedding");
        fold_embedding(&mut folding.layers, channels, table.unwrap_or_default());
        rest = behind;
    }
    for step in rest {
        folding.add(step)?;
    }
    let layers = folding.layers;
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

/// A network that is folded layer by layer.
struct Folding<'a> {
    parameters: &'a Parameters,
    /// How many layers read each tensor of the network.
    readers: Vec<usize>,
    layers: Vec<FoldedLayer>,
    /// For each tensor of the network so far, the folded network's.
    made: Vec<usize>,
}

impl Folding<'_> {
    fn add(&mut self, step: &Step<'_>) -> Result<(), FoldError> {
        let window = |kernel, stride, padding, output_padding| Window {
            kernel,
            stride,
            padding,
            output_padding,
        };
        let operation = match *step.layer {
            Layer::Linear { .. } if !step.input.is_flat() => {
                return Err(refuse(step, "needs a vector for an input"));
            }
            Layer::Linear { .. } => Operation::Linear,
            Layer::Conv2d {
                kernel,
                stride,
                padding,
                ..
            } => Operation::Conv2d(window(kernel, stride, padding, 0)),
            Layer::ConvTranspose2d {
                kernel,
                stride,
                padding,
                output_padding,
                ..
            } => Operation::ConvTranspose2d(window(kernel, stride, padding, output_padding)),
            Layer::Upsample { factor } => Operation::Upsample { factor },
            Layer::AvgPool2d { kernel, stride } => Operation::AvgPool2d { kernel, stride },
            Layer::MaxPool2d { .. } => {
                return Err(refuse(
                    step,
                    "is for training only: nothing that runs on a device has it",
                ));
            }
            Layer::Add => return self.sum(step),
            Layer::Concat => Operation::Concat,
            Layer::BatchNorm { epsilon, .. } => return self.batch_norm(step, epsilon),
            Layer::ClassShift { .. } => return self.shift(step),
            Layer::ClassEmbedding { .. } => {
                return Err(refuse(
                    step,
                    "stands elsewhere than in front of the first Linear layer",
                ));
            }
            // A slope of 1 is no activation at all.
            Layer::LeakyRelu { slope } if slope as f32 >= 1.0 => return self.same(step),
            Layer::Relu => return self.attach(step, Activation::Relu),
            Layer::LeakyRelu { slope } => {
                let slope = slope as f32;
                return self.attach(step, Activation::LeakyRelu { slope });
            }
            Layer::Tanh => return self.attach(step, Activation::Tanh),
            Layer::Sigmoid => return self.attach(step, Activation::Sigmoid),
            Layer::Reshape(_) | Layer::Flatten if step.input == step.output => {
                return self.same(step);
            }
            Layer::Reshape(_) | Layer::Flatten => return self.reshape(step),
        };
        let bias_len = match operation {
            Operation::Linear => step.output.len(),
            _ if operation.has_weights() => step.output.channels,
            _ => 0,
        };
        let weight = self.parameters.get(step.index, "weight");
        let bias = self.parameters.get(step.index, "bias");
        let layer = FoldedLayer {
            operation,
            reads: step.reads.iter().map(|&tensor| self.made[tensor]).collect(),
            activation: Activation::None,
            input: step.input,
            output: step.output,
            weight: weight.unwrap_or_default().to_vec(),
            bias: bias.map_or_else(|| vec![0.0; bias_len], <[f32]>::to_vec),
            columns: Vec::new(),
        };
        if self.sole(step).is_some_and(|before| merge(before, &layer)) {
            self.merged(step);
        } else {
            self.layers.push(layer);
            self.made.push(self.layers.len());
        }
        Ok(())
    }

    /// A sum as sums of two, beginning with what was made last: where that is the layer before, a blob can hold the
    /// first.
    fn sum(&mut self, step: &Step<'_>) -> Result<(), FoldError> {
        let mut reads: Vec<usize> = step.reads.iter().map(|&tensor| self.made[tensor]).collect();
        reads.sort_unstable();
        let mut sum = reads.pop().unwrap_or_default();
        for &other in reads.iter().rev() {
            self.layers.push(FoldedLayer {
                operation: Operation::Add,
                reads: vec![sum, other],
                activation: Activation::None,
                input: step.input,
                output: step.output,
                weight: Vec::new(),
                bias: Vec::new(),
                columns: Vec::new(),
            });
            sum = self.layers.len();
        }
        self.made.push(sum);
        Ok(())
    }

    /// The folded layer that makes what a step reads, if nothing else reads that.
    fn sole(&mut self, step: &Step<'_>) -> Option<&mut FoldedLayer> {
        let tensor = step.reads[0];
        let at = self.made[tensor].checked_sub(1)?;
        match self.readers[tensor] {
            1 => self.layers.get_mut(at),
            _ => None,
        }
    }

    /// Goes on after a step that has become a part of the layer that makes what it reads.
    fn merged(&mut self, step: &Step<'_>) {
        self.made.push(self.made[step.reads[0]]);
    }

    /// A step that gives what it reads: whoever reads the one reads the other.
    fn same(&mut self, step: &Step<'_>) -> Result<(), FoldError> {
        self.readers[step.index + 1] += self.readers[step.reads[0]] - 1;
        self.merged(step);
        Ok(())
    }

    /// `gamma * (x - mean) / sqrt(variance + epsilon) + beta` (Ioffe & Szegedy 2015, algorithm 2), put
    /// into the weights and bias that make `x`.
    fn batch_norm(&mut self, step: &Step<'_>, epsilon: f64) -> Result<(), FoldError> {
        let parameters = self.parameters;
        match self.sole(step) {
            Some(layer)
                if layer.activation == Activation::None && layer.operation.has_weights() =>
            {
                fold_batch_norm(layer, step, parameters, epsilon);
                self.merged(step);
                Ok(())
            }
            _ => Err(refuse(
                step,
                "must stand behind a Linear, Conv2d or ConvTranspose2d layer, in front of its activation",
            )),
        }
    }

    /// Adds the table of a ClassShift, `[classes][features]`, to what the classes add to the bias.
    fn shift(&mut self, step: &Step<'_>) -> Result<(), FoldError> {
        let table = self.parameters.get(step.index, "shift").unwrap_or_default();
        let mut columns: Vec<f64> = table.iter().copied().map(f64::from).collect();
        let is_first = self.made[step.reads[0]] == 1;
        match self.sole(step) {
            Some(layer)
                if is_first
                    && layer.operation == Operation::Linear
                    && layer.activation == Activation::None =>
            {
                for (number, &before) in columns.iter_mut().zip(&layer.columns) {
                    *number += f64::from(before);
                }
                layer.set_columns(columns);
                self.merged(step);
                Ok(())
            }
            _ => Err(refuse(
                step,
                "must stand behind the first Linear layer, in front of its activation",
            )),
        }
    }

    fn attach(&mut self, step: &Step<'_>, activation: Activation) -> Result<(), FoldError> {
        match self.sole(step) {
            Some(layer)
                if layer.activation == Activation::None
                    && !matches!(layer.operation, Operation::Upsample { .. }) =>
            {
                layer.activation = activation;
                self.merged(step);
                Ok(())
            }
            _ => Err(refuse(
                step,
                "must stand behind a Linear, Conv2d, ConvTranspose2d or Add layer that has no activation yet and that nothing else reads",
            )),
        }
    }

    fn reshape(&mut self, step: &Step<'_>) -> Result<(), FoldError> {
        match self.sole(step) {
            Some(layer) if layer.operation == Operation::Linear => {
                layer.output = step.output;
                self.merged(step);
                Ok(())
            }
            _ => Err(refuse(
                step,
                "must stand behind a Linear layer that nothing else reads",
            )),
        }
    }
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

/// Puts a 3x3 convolution into the upsampling by 2 in front of it, if these two are such.
fn merge(before: &mut FoldedLayer, layer: &FoldedLayer) -> bool {
    const SAME: Window = Window {
        kernel: 3,
        stride: 1,
        padding: 1,
        output_padding: 0,
    };
    if layer.operation != Operation::Conv2d(SAME)
        || before.operation != (Operation::Upsample { factor: 2 })
    {
        return false;
    }
    let weight = upsampled_kernel(&layer.weight, before.input.channels, layer.output.channels);
    *before = FoldedLayer {
        operation: Operation::ConvTranspose2d(Window {
            kernel: 4,
            stride: 2,
            padding: 1,
            output_padding: 0,
        }),
        reads: std::mem::take(&mut before.reads),
        input: before.input,
        weight,
        ..layer.clone()
    };
    true
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

fn fold_batch_norm(
    layer: &mut FoldedLayer,
    step: &Step<'_>,
    parameters: &Parameters,
    epsilon: f64,
) {
    let part = |name| parameters.get(step.index, name).unwrap_or_default();
    let (gamma, beta) = (part("gamma"), part("beta"));
    let (mean, variance) = (part("mean"), part("variance"));
    let scale: Vec<f64> = gamma
        .iter()
        .zip(variance)
        .map(|(&gamma, &variance)| f64::from(gamma) / (f64::from(variance) + epsilon).sqrt())
        .collect();
    // A Linear layer has a bias for each element of a channel.
    let area = match layer.operation {
        Operation::Linear => step.input.height * step.input.width,
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
        match self.operation {
            Operation::ConvTranspose2d(window) => {
                index / (window.kernel * window.kernel) % self.bias.len().max(1)
            }
            _ => index * self.bias.len() / self.weight.len().max(1),
        }
    }
}
