//! Folding: a trained network as the layers that the runtime runs.
//!
//! Batch normalization goes into the weights before it, an upsampling by 2 and the 3x3
//! convolution after it become one 4x4 stride-2 transposed convolution, activations are attached to
//! their layer, a Reshape becomes the output shape of its Linear layer, and the class embedding of a
//! conditional network becomes a column of numbers for each class beside the first layer's bias. A batch normalization
//! or an activation that can be part of no other layer becomes a 1x1 convolution with one weight for each channel. A
//! vector that a Linear layer and a window with margins both read is copied for the window.
//!
//! A network that reads pictures is folded in the same way. It may have instance normalization, which no device runs.

use crate::parameters::{Parameters, ParametersError};
use crate::spec::{Layer, Network, Shape, SpecError, Step, readers};
use pocketgan::{Activation, Operator, Window};
use std::collections::{BTreeMap, BTreeSet};

/// The window of a 1x1 convolution.
const POINT: Window = Window {
    kernel: 1,
    stride: 1,
    padding: 0,
    output_padding: 0,
};

/// The most channels that the blob's format has room for.
const MOST_CHANNELS: usize = 4096;

/// A network in the runtime's layers, with float parameters. Its tensors are numbered: 0 is its input, `i + 1` what
/// layer `i` gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Folded {
    /// What it reads: a latent, or a picture.
    pub input: Shape,
    /// How many classes there are; 0 without.
    pub classes: usize,
    /// What the class adds to a picture, as more channels behind its own: `[classes][channels * height * width]`, from
    /// a [`Layer::ClassEmbedding`]. Only an encoder has it; empty otherwise.
    pub class_planes: Vec<f32>,
    /// At least one layer; the last one's activation is tanh or sigmoid, but of an encoder.
    pub layers: Vec<FoldedLayer>,
}

impl Folded {
    /// Whether it reads pictures.
    pub const fn reads_pictures(&self) -> bool {
        !self.input.is_flat()
    }
}

/// An operator with everything that was folded into it.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldedLayer {
    /// The runtime's operator, which names the second tensor that the layer reads, if it reads two.
    pub operator: Operator,
    /// The number of the tensor that it reads, the first one if it reads two.
    pub source: usize,
    /// The activation after it: none of an upsampling, a concatenation or average pooling.
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
    /// What normalizes the layer's sums before the activation, if anything does.
    pub instance_norm: Option<InstanceNorm>,
}

/// An instance normalization ([`Layer::InstanceNorm`]) as part of the layer before it.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceNorm {
    /// One for each channel.
    pub gamma: Vec<f32>,
    /// One for each channel.
    pub beta: Vec<f32>,
    pub epsilon: f64,
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
    /// The network has no layers.
    #[error("a network needs at least one layer")]
    Empty,
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
    let folded = fold_encoder(network, parameters)?;
    if !folded.class_planes.is_empty()
        && let Some(first) = network.walk()?.first()
    {
        return Err(refuse(
            first,
            "tells a network that reads pictures the class, which no device does",
        ));
    }
    match folded.layers.last().map(|layer| layer.activation) {
        Some(Activation::Tanh | Activation::Sigmoid) => Ok(folded),
        _ => Err(match network.walk()?.last() {
            Some(last) => refuse(
                last,
                "ends the network, whose last activation must be a Tanh or a Sigmoid",
            ),
            None => FoldError::Empty,
        }),
    }
}

/// As [`fold`], of a network whose output is no image: it may end with any layer.
///
/// # Errors
/// As [`fold`].
pub fn fold_encoder(network: &Network, parameters: &Parameters) -> Result<Folded, FoldError> {
    parameters.check(network)?;
    let steps = network.walk()?;
    if steps.is_empty() {
        return Err(FoldError::Empty);
    }
    let mut folding = Folding {
        parameters,
        input: network.input,
        reads_pictures: network.reads_pictures(),
        read_by_others: read_by_others(&steps),
        readers: readers(&steps),
        end: steps.iter().rposition(|step| !is_identity(step)),
        layers: Vec::new(),
        made: vec![0],
    };
    let mut rest = steps.as_slice();
    if let [embedding, linear, others @ ..] = rest
        && let Layer::ClassEmbedding { channels, .. } = *embedding.layer
        && let Layer::Linear { .. } = linear.layer
        && linear.reads == [1]
        && folding.readers[1] == 1
    {
        folding.made.push(0);
        folding.add(linear)?;
        let table = parameters.get(embedding.index, "embedding");
        fold_embedding(&mut folding.layers, channels, table.unwrap_or_default());
        rest = others;
    }
    let mut class_planes = Vec::new();
    if let [embedding, others @ ..] = rest
        && matches!(embedding.layer, Layer::ClassEmbedding { .. })
        && folding.reads_pictures
        && embedding.reads == [0]
        && folding.readers[0] == 1
    {
        let table = parameters.get(embedding.index, "embedding");
        class_planes = table.unwrap_or_default().to_vec();
        folding.input = embedding.output;
        folding.made.push(0);
        rest = others;
    }
    for step in rest {
        folding.add(step)?;
    }
    Ok(Folded {
        input: network.input,
        classes: network.classes().unwrap_or(0),
        class_planes,
        layers: with_copied_vectors(folding.layers),
    })
}

/// For each tensor of a network, whether another layer than a Linear one reads it.
fn read_by_others(steps: &[Step<'_>]) -> Vec<bool> {
    let mut by_others = vec![false; steps.len() + 1];
    let is_linear = |step: &&Step<'_>| matches!(step.layer, Layer::Linear { .. });
    for step in steps.iter().filter(|step| !is_linear(step)) {
        step.reads.iter().for_each(|&read| by_others[read] = true);
    }
    by_others
}

fn refuse(step: &Step<'_>, reason: &'static str) -> FoldError {
    FoldError::Layer {
        index: step.index,
        name: step.layer.name(),
        reason,
    }
}

/// Whether a step gives what it reads.
fn is_identity(step: &Step<'_>) -> bool {
    match *step.layer {
        // One element is its own mean.
        Layer::AvgPool2d { kernel: 1, .. } | Layer::Reshape(_) | Layer::Flatten => {
            step.input == step.output
        }
        // A slope of 1 is no activation at all.
        Layer::LeakyRelu { slope } => slope as f32 >= 1.0,
        Layer::Upsample { factor } => factor == 1,
        _ => false,
    }
}

/// A network that is folded layer by layer.
struct Folding<'a> {
    parameters: &'a Parameters,
    /// Of the network.
    input: Shape,
    reads_pictures: bool,
    /// Of each tensor of the network, whether another layer than a Linear one reads it.
    read_by_others: Vec<bool>,
    /// How many layers read each tensor of the network.
    readers: Vec<usize>,
    /// The last step that changes what it reads.
    end: Option<usize>,
    layers: Vec<FoldedLayer>,
    /// For each tensor of the network so far, the folded network's.
    made: Vec<usize>,
}

impl Folding<'_> {
    fn add(&mut self, step: &Step<'_>) -> Result<(), FoldError> {
        match *step.layer {
            _ if is_identity(step) => self.same(step),
            Layer::Linear { .. } if !step.input.is_flat() && !self.reads_pictures => {
                return Err(refuse(step, "needs a vector for an input"));
            }
            Layer::Linear { .. } => self.operator(step, Operator::Linear),
            Layer::Conv2d {
                kernel,
                stride,
                padding,
                ..
            } => {
                let window = Window {
                    kernel,
                    stride,
                    padding,
                    output_padding: 0,
                };
                self.operator(step, Operator::Conv2d(window));
            }
            Layer::ConvTranspose2d {
                kernel,
                stride,
                padding,
                output_padding,
                ..
            } => {
                let window = Window {
                    kernel,
                    stride,
                    padding,
                    output_padding,
                };
                self.operator(step, Operator::ConvTranspose2d(window));
            }
            Layer::MaskedConv2d { .. } | Layer::ClassBias { .. } => {
                return Err(refuse(step, "is of pictures that are made pixel by pixel"));
            }
            Layer::Upsample { factor } => self.operator(step, Operator::Upsample { factor }),
            Layer::AvgPool2d { kernel: 1, stride } => {
                self.pointwise(step, Window { stride, ..POINT }, |_| [1.0, 0.0])?;
            }
            Layer::AvgPool2d { kernel, stride } => {
                let window = Window {
                    kernel,
                    stride,
                    ..POINT
                };
                self.operator(step, Operator::AvgPool2d(window));
            }
            Layer::MaxPool2d { .. } | Layer::ClassProjection { .. } | Layer::Blend { .. } => {
                return Err(refuse(
                    step,
                    "is for training only: nothing that runs on a device has it",
                ));
            }
            Layer::InstanceNorm { epsilon } => self.instance_norm(step, epsilon)?,
            Layer::Add => self.sum(step),
            Layer::Concat => self.joined(step),
            Layer::BatchNorm { epsilon, .. } => self.batch_norm(step, epsilon)?,
            Layer::ClassShift { .. } => self.shift(step)?,
            Layer::ClassEmbedding { .. } => {
                return Err(refuse(
                    step,
                    "stands elsewhere than before the first Linear layer",
                ));
            }
            Layer::Relu => self.attach(step, Activation::Relu)?,
            Layer::LeakyRelu { slope } => {
                let slope = slope as f32;
                self.attach(step, Activation::LeakyRelu { slope })?;
            }
            Layer::Tanh => self.attach(step, Activation::Tanh)?,
            Layer::Sigmoid => self.attach(step, Activation::Sigmoid)?,
            Layer::Reshape(_) | Layer::Flatten => self.reshape(step)?,
        }
        Ok(())
    }

    /// Adds a layer with its own weights, if it has some, or makes it part of the layer before.
    fn operator(&mut self, step: &Step<'_>, operator: Operator) {
        let bias_len = match operator {
            Operator::Linear => step.output.len(),
            _ if operator.has_weights() => step.output.channels,
            _ => 0,
        };
        let weight = self.parameters.get(step.index, "weight");
        let bias = self.parameters.get(step.index, "bias");
        let source = self.made[step.reads[0]];
        // The network may have flattened what a Linear layer reads.
        let made = match source.checked_sub(1) {
            Some(index) => self.layers[index].output,
            None => self.input,
        };
        let input = if made.len() == step.input.len() {
            made
        } else {
            step.input
        };
        let layer = FoldedLayer {
            weight: weight.unwrap_or_default().to_vec(),
            bias: bias.map_or_else(|| vec![0.0; bias_len], <[f32]>::to_vec),
            ..FoldedLayer::new(operator, source, input, step.output)
        };
        if self.sole(step).is_some_and(|before| merge(before, &layer)) {
            self.merged(step);
        } else {
            self.layers.push(layer);
            self.made.push(self.layers.len());
        }
    }

    /// A sum as sums of two, beginning with what was made last: where that is the layer before, the oldest blobs with
    /// additions hold the first.
    fn sum(&mut self, step: &Step<'_>) {
        let mut reads: Vec<usize> = step.reads.iter().map(|&tensor| self.made[tensor]).collect();
        reads.sort_unstable();
        let mut sum = reads.pop().unwrap_or_default();
        for &from in reads.iter().rev() {
            let operator = Operator::Add { from };
            let layer = FoldedLayer::new(operator, sum, step.input, step.output);
            self.layers.push(layer);
            sum = self.layers.len();
        }
        self.made.push(sum);
    }

    /// A concatenation as concatenations of two.
    fn joined(&mut self, step: &Step<'_>) {
        let mut joined = (self.made[step.reads[0]], step.input);
        for (&read, shape) in step.reads.iter().zip(&step.inputs).skip(1) {
            let (source, input) = joined;
            let operator = Operator::Concat {
                from: self.made[read],
            };
            let output = Shape::new(input.channels + shape.channels, input.height, input.width);
            let layer = FoldedLayer::new(operator, source, input, output);
            self.layers.push(layer);
            joined = (self.layers.len(), output);
        }
        self.made.push(joined.0);
    }

    /// A 1x1 convolution that multiplies each channel by the first number that `of_channel` gives and adds the second:
    /// for what can be part of no other layer.
    fn pointwise(
        &mut self,
        step: &Step<'_>,
        window: Window,
        of_channel: impl Fn(usize) -> [f64; 2],
    ) -> Result<(), FoldError> {
        let channels = step.input.channels;
        if channels > MOST_CHANNELS {
            return Err(refuse(
                step,
                "can be part of no other layer, and a layer of its own has at most 4096 channels",
            ));
        }
        let mut weight = vec![0.0; channels * channels];
        let mut bias = Vec::with_capacity(channels);
        for channel in 0..channels {
            let [factor, term] = of_channel(channel);
            weight[channel * channels + channel] = factor as f32;
            bias.push(term as f32);
        }
        let source = self.made[step.reads[0]];
        self.layers.push(FoldedLayer {
            weight,
            bias,
            ..FoldedLayer::new(Operator::Conv2d(window), source, step.input, step.output)
        });
        self.made.push(self.layers.len());
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
    fn same(&mut self, step: &Step<'_>) {
        self.readers[step.index + 1] += self.readers[step.reads[0]] - 1;
        self.merged(step);
    }

    /// A batch norm becomes part of the layer that makes what it reads; where others read that too, or that layer has
    /// an activation or no weights, a 1x1 convolution.
    fn batch_norm(&mut self, step: &Step<'_>, epsilon: f64) -> Result<(), FoldError> {
        let norm = BatchNorm::new(step, self.parameters, epsilon);
        match self.sole(step) {
            Some(layer) if layer.can_be_normalized() => {
                norm.fold(layer, step.input);
                self.merged(step);
                Ok(())
            }
            _ => self.pointwise(step, POINT, |c| [norm.factor[c], norm.of(c, 0.0)]),
        }
    }

    /// An instance norm becomes part of the layer that makes what it reads; where others read that too, or that layer
    /// has an activation or no weights, of a 1x1 convolution that changes nothing.
    fn instance_norm(&mut self, step: &Step<'_>, epsilon: f64) -> Result<(), FoldError> {
        if !self.reads_pictures {
            return Err(refuse(
                step,
                "normalizes each image by itself, which no device runs",
            ));
        }
        let numbers = |part| {
            self.parameters
                .get(step.index, part)
                .unwrap_or_default()
                .to_vec()
        };
        let norm = InstanceNorm {
            gamma: numbers("gamma"),
            beta: numbers("beta"),
            epsilon,
        };
        if self
            .sole(step)
            .is_some_and(|layer| layer.can_be_normalized())
        {
            self.merged(step);
        } else {
            self.pointwise(step, POINT, |_| [1.0, 0.0])?;
        }
        if let Some(layer) = self
            .made
            .last()
            .and_then(|made| self.layers.get_mut(made - 1))
        {
            layer.instance_norm = Some(norm);
        }
        Ok(())
    }

    /// Adds the table of a ClassShift, `[classes][features]`, to what the classes add to the bias.
    fn shift(&mut self, step: &Step<'_>) -> Result<(), FoldError> {
        let table = self.parameters.get(step.index, "shift").unwrap_or_default();
        let mut columns: Vec<f64> = table.iter().copied().map(f64::from).collect();
        let is_first = self.made[step.reads[0]] == 1;
        match self.sole(step) {
            Some(layer)
                if is_first
                    && layer.operator == Operator::Linear
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
                "must stand after the first Linear layer, before its activation",
            )),
        }
    }

    /// An activation becomes part of the layer that makes what it reads. After upsampled or joined tensors it becomes
    /// part of the layers that make these. Where that cannot be, it becomes part of a 1x1 convolution that changes
    /// nothing.
    fn attach(&mut self, step: &Step<'_>, activation: Activation) -> Result<(), FoldError> {
        let is_last = self.end == Some(step.index);
        let mut makers = Vec::new();
        let tensor = self.made[step.reads[0]];
        if self.find_makers(tensor, &mut makers) && (!is_last || makers == [tensor - 1]) {
            for maker in makers {
                self.layers[maker].activation = activation;
            }
            self.merged(step);
            return Ok(());
        }
        self.pointwise(step, POINT, |_| [1.0, 0.0])?;
        if let Some(layer) = self.layers.last_mut() {
            layer.activation = activation;
        }
        Ok(())
    }

    /// Finds the layers of which an activation after a tensor can be a part; says whether there are such.
    fn find_makers(&self, tensor: usize, makers: &mut Vec<usize>) -> bool {
        let Some(index) = tensor.checked_sub(1) else {
            return false;
        };
        let layer = &self.layers[index];
        // What no layer of the network gives, one layer reads.
        let last_name = self.made.iter().rposition(|&made| made == tensor);
        if last_name.is_some_and(|name| self.readers[name] > 1)
            || layer.activation != Activation::None
        {
            return false;
        }
        match layer.operator {
            Operator::Upsample { .. } => self.find_makers(layer.source, makers),
            Operator::Concat { from } => {
                self.find_makers(layer.source, makers) && self.find_makers(from, makers)
            }
            Operator::AvgPool2d(_) => false,
            Operator::Linear
            | Operator::Conv2d(_)
            | Operator::ConvTranspose2d(_)
            | Operator::Add { .. } => {
                makers.push(index);
                true
            }
        }
    }

    fn reshape(&mut self, step: &Step<'_>) -> Result<(), FoldError> {
        // Linear layers read pictures in the same order.
        let for_linear = *step.layer == Layer::Flatten
            && self.reads_pictures
            && !self.read_by_others[step.index + 1];
        match self.sole(step) {
            Some(layer) if layer.operator == Operator::Linear => {
                layer.output = step.output;
                self.merged(step);
                Ok(())
            }
            _ if for_linear => {
                self.same(step);
                Ok(())
            }
            _ => Err(refuse(
                step,
                "must stand after a Linear layer that nothing else reads",
            )),
        }
    }
}

/// The layers with a copy, made by an upsampling by 1, of each vector that a linear layer and a window with margins
/// both read: the windows read the copy, since the blob's format has no margins beside a linear layer's input (section
/// 9.4).
fn with_copied_vectors(layers: Vec<FoldedLayer>) -> Vec<FoldedLayer> {
    let read_by_linear = layers
        .iter()
        .filter(|layer| layer.operator == Operator::Linear)
        .map(|layer| layer.source)
        .collect::<BTreeSet<_>>();
    let mut copies = BTreeMap::new();
    let mut numbered = Vec::with_capacity(layers.len());
    // Of each tensor, the new number.
    let mut made = vec![0];
    for mut layer in layers {
        let old = layer.source;
        layer.source = made[old];
        if let Operator::Add { from } | Operator::Concat { from } = &mut layer.operator {
            *from = made[*from];
        }
        if layer.has_margins() && read_by_linear.contains(&old) {
            layer.source = *copies.entry(old).or_insert_with(|| {
                let copy = Operator::Upsample { factor: 1 };
                numbered.push(FoldedLayer::new(copy, made[old], layer.input, layer.input));
                numbered.len()
            });
        }
        numbered.push(layer);
        made.push(numbered.len());
    }
    numbered
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

/// Puts a 3x3 convolution into the upsampling by 2 before it, if these two are such.
fn merge(before: &mut FoldedLayer, layer: &FoldedLayer) -> bool {
    const SAME: Window = Window {
        kernel: 3,
        stride: 1,
        padding: 1,
        output_padding: 0,
    };
    if layer.operator != Operator::Conv2d(SAME)
        || before.operator != (Operator::Upsample { factor: 2 })
    {
        return false;
    }
    let weight = upsampled_kernel(&layer.weight, before.input.channels, layer.output.channels);
    *before = FoldedLayer {
        operator: Operator::ConvTranspose2d(Window {
            kernel: 4,
            stride: 2,
            padding: 1,
            output_padding: 0,
        }),
        source: before.source,
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

/// `gamma * (x - mean) / sqrt(variance + epsilon) + beta` for each channel (Ioffe & Szegedy 2015, algorithm 2).
struct BatchNorm<'a> {
    factor: Vec<f64>,
    mean: &'a [f32],
    beta: &'a [f32],
}

impl<'a> BatchNorm<'a> {
    fn new(step: &Step<'_>, parameters: &'a Parameters, epsilon: f64) -> Self {
        let part = |name| parameters.get(step.index, name).unwrap_or_default();
        let factors = part("gamma").iter().zip(part("variance"));
        let factors = factors
            .map(|(&gamma, &variance)| f64::from(gamma) / (f64::from(variance) + epsilon).sqrt());
        Self {
            factor: factors.collect(),
            mean: part("mean"),
            beta: part("beta"),
        }
    }

    /// What becomes of `x` in a channel.
    fn of(&self, channel: usize, x: f64) -> f64 {
        let centred = x - f64::from(self.mean[channel]);
        centred * self.factor[channel] + f64::from(self.beta[channel])
    }

    /// Goes into the weights, the bias and the columns of the layer before it.
    fn fold(&self, layer: &mut FoldedLayer, input: Shape) {
        // A Linear layer has a bias for each element of a channel.
        let area = match layer.operator {
            Operator::Linear => input.height * input.width,
            _ => 1,
        };
        for (output, bias) in layer.bias.iter_mut().enumerate() {
            *bias = self.of(output / area, f64::from(*bias)) as f32;
        }
        let outputs = layer.bias.len();
        for (i, number) in layer.columns.iter_mut().enumerate() {
            *number = (f64::from(*number) * self.factor[i % outputs / area]) as f32;
        }
        for i in 0..layer.weight.len() {
            let c = layer.output_of_weight(i) / area;
            layer.weight[i] = (f64::from(layer.weight[i]) * self.factor[c]) as f32;
        }
    }
}

impl FoldedLayer {
    /// A layer without weights and activation.
    pub(super) const fn new(
        operator: Operator,
        source: usize,
        input: Shape,
        output: Shape,
    ) -> Self {
        Self {
            operator,
            source,
            activation: Activation::None,
            input,
            output,
            weight: Vec::new(),
            bias: Vec::new(),
            columns: Vec::new(),
            instance_norm: None,
        }
    }

    /// Whether a normalization after the layer can be part of it.
    fn can_be_normalized(&self) -> bool {
        self.activation == Activation::None
            && self.operator.has_weights()
            && self.instance_norm.is_none()
    }

    /// Whether a layer that reads a vector reads columns beside it too.
    const fn has_margins(&self) -> bool {
        match self.operator {
            Operator::Conv2d(window) => window.padding > 0,
            Operator::ConvTranspose2d(window) => {
                let Window {
                    kernel,
                    stride,
                    padding,
                    ..
                } = window;
                kernel > stride + padding || self.output.width + padding > stride
            }
            _ => false,
        }
    }

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
