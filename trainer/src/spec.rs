//! The network specification: a network is a *value*, walked by the dfdx builder, the ONNX writer,
//! the quantizer, the blob writer and the cost report alike.
//!
//! Shapes are per sample, `(C, H, W)`; a feature vector of `F` numbers is `(F, 1, 1)`. The tensors of a network are
//! numbered: 0 is its input, `i + 1` the output of layer `i`. The output of the last layer is the network's.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The shape of one sample: channels, height, width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Shape {
    /// A picture of `(channels, height, width)`.
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self {
            channels,
            height,
            width,
        }
    }

    /// A feature vector: `(features, 1, 1)`.
    pub const fn features(features: usize) -> Self {
        Self::new(features, 1, 1)
    }

    /// How many numbers one sample holds.
    pub const fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether a sample holds no number at all.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this is a feature vector.
    pub const fn is_flat(&self) -> bool {
        self.height == 1 && self.width == 1
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

/// One layer and its sizes. Input sizes follow from the tensors that it reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// `y = W x + b` over the flattened sample; `(F, 1, 1)` out.
    Linear { features: usize, bias: bool },
    /// Cross-correlation with a square kernel and symmetric zero padding.
    Conv2d {
        channels: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        bias: bool,
    },
    /// Cross-correlation with a square kernel of an odd side, stride 1 and zero padding that keeps the picture's size,
    /// over the pixels before each pixel in raster order alone: those above it and those to its left (van den Oord et
    /// al. 2016, section 3.2). With `center` the pixel itself too: mask B; without it, mask A. Nothing that runs on a
    /// device has it.
    MaskedConv2d {
        channels: usize,
        kernel: usize,
        center: bool,
        bias: bool,
    },
    /// Transposed convolution (the gradient of [`Layer::Conv2d`] with respect to its input);
    /// output side `(H - 1) * stride - 2 * padding + kernel + output_padding`.
    ConvTranspose2d {
        channels: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        output_padding: usize,
        bias: bool,
    },
    /// Nearest-neighbour upsampling by a whole factor.
    Upsample { factor: usize },
    /// The mean of each channel under a square window, without padding.
    AvgPool2d { kernel: usize, stride: usize },
    /// Batch normalization per channel (Ioffe & Szegedy 2015).
    BatchNorm { epsilon: f64, momentum: f64 },
    /// Normalization per channel of each sample by itself (Ulyanov et al. 2016). It folds into no other layer: nothing
    /// that runs on a device has it.
    InstanceNorm { epsilon: f64 },
    /// Joins a trained embedding of the sample's class to its numbers, as more channels (Mirza & Osindero 2014).
    ClassEmbedding { classes: usize, channels: usize },
    /// Adds a trained number for the sample's class to each of its numbers: the shift of conditional batch
    /// normalization (Dumoulin et al. 2017), place by place.
    ClassShift { classes: usize },
    /// Adds a trained number for the sample's class to each channel, the same at every place (van den Oord et al. 2016,
    /// "Conditional Image Generation with PixelCNN Decoders", section 2.3, without its gates). Nothing that runs on a
    /// device has it.
    ClassBias { classes: usize },
    /// The inner product of the flattened sample and a trained embedding of its class: the part of a discriminator's
    /// logit that knows the class (Miyato & Koyama 2018, equation 3); `(1, 1, 1)` out. For training only: nothing that
    /// runs on a device has it.
    ClassProjection { classes: usize },
    /// `max(x, 0)`.
    Relu,
    /// `x` where positive, else `slope * x`.
    LeakyRelu { slope: f64 },
    /// Hyperbolic tangent.
    Tanh,
    /// Logistic function.
    Sigmoid,
    /// Reads the sample's numbers, in C, H, W order, as another shape.
    Reshape(Shape),
    /// Reads the sample's numbers, in C, H, W order, as a feature vector.
    Flatten,
    /// The greatest number of each channel under a square window, without padding. For training only: nothing that runs
    /// on a device has it.
    MaxPool2d { kernel: usize, stride: usize },
    /// The sum of two or more tensors of one shape, number by number.
    Add,
    /// `(1 - share) * first + share * second` of two tensors of one shape. For training only: nothing that runs on a
    /// device has it.
    Blend { share: f64 },
    /// The channels of two or more tensors of one height and width, in order.
    Concat,
}

impl Layer {
    /// A batch normalization with PyTorch's defaults: epsilon 1e-5, momentum 0.1.
    pub const fn batch_norm() -> Self {
        Self::BatchNorm {
            epsilon: 1e-5,
            momentum: 0.1,
        }
    }

    /// The layer's name in messages and reports.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Linear { .. } => "Linear",
            Self::Conv2d { .. } => "Conv2d",
            Self::MaskedConv2d { .. } => "MaskedConv2d",
            Self::ConvTranspose2d { .. } => "ConvTranspose2d",
            Self::Upsample { .. } => "Upsample",
            Self::AvgPool2d { .. } => "AvgPool2d",
            Self::BatchNorm { .. } => "BatchNorm",
            Self::InstanceNorm { .. } => "InstanceNorm",
            Self::ClassEmbedding { .. } => "ClassEmbedding",
            Self::ClassShift { .. } => "ClassShift",
            Self::ClassBias { .. } => "ClassBias",
            Self::ClassProjection { .. } => "ClassProjection",
            Self::Relu => "ReLU",
            Self::LeakyRelu { .. } => "LeakyReLU",
            Self::Tanh => "Tanh",
            Self::Sigmoid => "Sigmoid",
            Self::Reshape(_) => "Reshape",
            Self::Flatten => "Flatten",
            Self::MaxPool2d { .. } => "MaxPool2d",
            Self::Add => "Add",
            Self::Blend { .. } => "Blend",
            Self::Concat => "Concat",
        }
    }

    /// The shape that comes out for `inputs`, or what is wrong with the layer.
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = match (self, inputs) {
            (Self::Add | Self::Concat, &[first, _, ..]) | (Self::Blend { .. }, &[first, _]) => {
                first
            }
            (Self::Blend { .. }, _) => {
                return Err(format!("reads {} tensors, and takes two", inputs.len()));
            }
            (Self::Add | Self::Concat, _) => {
                return Err(format!(
                    "reads {} tensors, and takes two or more",
                    inputs.len()
                ));
            }
            (_, &[input]) => input,
            _ => return Err(format!("reads {} tensors, and takes one", inputs.len())),
        };
        match *self {
            Self::Linear { features: 0, .. }
            | Self::Conv2d { channels: 0, .. }
            | Self::MaskedConv2d { channels: 0, .. }
            | Self::ConvTranspose2d { channels: 0, .. } => Err("has no outputs".into()),
            Self::Linear { features, .. } => Ok(Shape::features(features)),
            Self::Conv2d {
                channels,
                kernel,
                stride,
                padding,
                ..
            } => {
                let (height, width) = places(input, kernel, stride, padding)?;
                Ok(Shape::new(channels, height, width))
            }
            Self::MaskedConv2d {
                channels,
                kernel,
                center,
                ..
            } => {
                if kernel.is_multiple_of(2) || kernel > LARGEST || (kernel == 1 && !center) {
                    return Err(format!(
                        "has a kernel of {kernel}, and takes an odd one that is not huge, with mask A of at least 3"
                    ));
                }
                Ok(Shape::new(channels, input.height, input.width))
            }
            Self::AvgPool2d { kernel, stride } | Self::MaxPool2d { kernel, stride } => {
                let (height, width) = places(input, kernel, stride, 0)?;
                Ok(Shape::new(input.channels, height, width))
            }
            Self::ConvTranspose2d {
                channels,
                kernel,
                stride,
                padding,
                output_padding,
                ..
            } => {
                check_window(kernel, stride, padding)?;
                if output_padding >= stride {
                    return Err(format!(
                        "has an output padding of {output_padding}, which must be less than its stride of {stride}"
                    ));
                }
                let side = |n: usize| {
                    ((n - 1) * stride + kernel + output_padding)
                        .checked_sub(2 * padding)
                        .filter(|&n| n > 0)
                        .ok_or_else(|| format!("leaves nothing of an input of {input}"))
                };
                Ok(Shape::new(
                    channels,
                    side(input.height)?,
                    side(input.width)?,
                ))
            }
            Self::Upsample { factor: 0 } => Err("has a factor of 0".into()),
            Self::Upsample { factor } => Ok(Shape::new(
                input.channels,
                input.height.saturating_mul(factor),
                input.width.saturating_mul(factor),
            )),
            Self::ClassShift { classes }
            | Self::ClassBias { classes }
            | Self::ClassProjection { classes }
                if !(1..=MOST_CLASSES).contains(&classes) =>
            {
                Err(format!(
                    "has {classes} classes, and there are from 1 to {MOST_CLASSES}"
                ))
            }
            Self::ClassProjection { .. } => Ok(Shape::features(1)),
            Self::ClassEmbedding { classes, channels } => {
                if !(1..=MOST_CLASSES).contains(&classes) || !(1..=LARGEST).contains(&channels) {
                    return Err(format!(
                        "has {classes} classes and {channels} channels: at least 1 of each, and at most {MOST_CLASSES} classes"
                    ));
                }
                Ok(Shape::new(
                    input.channels + channels,
                    input.height,
                    input.width,
                ))
            }
            Self::Reshape(shape) if shape.len() == input.len() => Ok(shape),
            Self::Reshape(shape) => Err(format!(
                "turns {} numbers ({input}) into {} ({shape})",
                input.len(),
                shape.len()
            )),
            Self::Flatten => Ok(Shape::features(input.len())),
            Self::Blend { share } if !(0.0..=1.0).contains(&share) => {
                Err(format!("has a share of {share}, outside 0 to 1"))
            }
            Self::Add | Self::Blend { .. } => match inputs.iter().find(|&&other| other != input) {
                Some(other) => Err(format!(
                    "adds tensors of different shapes, {input} and {other}"
                )),
                None => Ok(input),
            },
            Self::Concat => {
                let side = |shape: Shape| [shape.height, shape.width];
                if let Some(other) = inputs.iter().find(|&&other| side(other) != side(input)) {
                    return Err(format!(
                        "joins pictures of different sizes, {input} and {other}"
                    ));
                }
                let channels = inputs.iter().map(|input| input.channels).sum();
                Ok(Shape::new(channels, input.height, input.width))
            }
            Self::LeakyRelu { slope } if !(0.0..=1.0).contains(&slope) => {
                Err(format!("has a slope of {slope}, outside 0 to 1"))
            }
            Self::BatchNorm { epsilon, momentum }
                if epsilon.is_nan() || epsilon <= 0.0 || !(0.0..=1.0).contains(&momentum) =>
            {
                Err(format!("has epsilon {epsilon} and momentum {momentum}"))
            }
            Self::InstanceNorm { epsilon } if epsilon.is_nan() || epsilon <= 0.0 => {
                Err(format!("has epsilon {epsilon}"))
            }
            Self::BatchNorm { .. }
            | Self::InstanceNorm { .. }
            | Self::ClassShift { .. }
            | Self::ClassBias { .. }
            | Self::Relu
            | Self::LeakyRelu { .. }
            | Self::Tanh
            | Self::Sigmoid => Ok(input),
        }
    }

    /// Trained parameters, given the layer's input shape.
    fn parameters(&self, input: Shape) -> usize {
        let with_bias =
            |weights: usize, outputs: usize, bias: bool| weights + if bias { outputs } else { 0 };
        match *self {
            Self::Linear { features, bias } => with_bias(input.len() * features, features, bias),
            Self::Conv2d {
                channels,
                kernel,
                bias,
                ..
            }
            | Self::ConvTranspose2d {
                channels,
                kernel,
                bias,
                ..
            } => with_bias(input.channels * channels * kernel * kernel, channels, bias),
            Self::MaskedConv2d {
                channels,
                kernel,
                center,
                bias,
            } => {
                let weights = input.channels * channels * masked_taps(kernel, center);
                with_bias(weights, channels, bias)
            }
            Self::BatchNorm { .. } | Self::InstanceNorm { .. } => 2 * input.channels,
            Self::ClassBias { classes } => classes * input.channels,
            Self::ClassEmbedding { classes, channels } => {
                classes * channels * input.height * input.width
            }
            Self::ClassShift { classes } | Self::ClassProjection { classes } => {
                classes * input.len()
            }
            _ => 0,
        }
    }

    /// Multiply-accumulates of one sample, products with padding counted, none for zero insertion.
    fn macs(&self, input: Shape, output: Shape) -> usize {
        match *self {
            Self::Linear { features, .. } => input.len() * features,
            Self::Conv2d { kernel, .. } => output.len() * input.channels * kernel * kernel,
            Self::MaskedConv2d { kernel, center, .. } => {
                output.len() * input.channels * masked_taps(kernel, center)
            }
            Self::ConvTranspose2d {
                channels, kernel, ..
            } => input.len() * channels * kernel * kernel,
            Self::ClassProjection { .. } => input.len(),
            _ => 0,
        }
    }
}

/// The taps of a [`Layer::MaskedConv2d`]: the first ones of its window, in raster order.
pub(crate) const fn masked_taps(kernel: usize, center: bool) -> usize {
    kernel * kernel / 2 + center as usize
}

/// The largest side of a picture, number of channels, kernel or stride; no network here comes near it.
const LARGEST: usize = 1 << 20;
/// The most classes that images can be of.
const MOST_CLASSES: usize = 1 << 12;
/// The most numbers in a picture.
const MOST: usize = 1 << 28;

/// Refuses shapes that hold nothing, or more than there is memory for.
fn check_size(shape: Shape) -> Result<Shape, String> {
    let Shape {
        channels,
        height,
        width,
    } = shape;
    let small = [channels, height, width].map(|n| (1..=LARGEST).contains(&n));
    // Three factors of 20 bits each do not overflow.
    if small == [true; 3] && shape.len() <= MOST {
        Ok(shape)
    } else {
        Err(format!(
            "has the shape {shape}, of which each extent may be from 1 to {LARGEST} and all elements {MOST}"
        ))
    }
}

/// In how many places, down and across, a window lies on a padded picture.
fn places(
    input: Shape,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Result<(usize, usize), String> {
    check_window(kernel, stride, padding)?;
    let side = |n: usize| {
        (n + 2 * padding)
            .checked_sub(kernel)
            .map(|free| free / stride + 1)
            .ok_or_else(|| format!("has a kernel of {kernel} over a padded input of {input}"))
    };
    Ok((side(input.height)?, side(input.width)?))
}

fn check_window(kernel: usize, stride: usize, padding: usize) -> Result<(), String> {
    if kernel == 0 || stride == 0 || padding >= kernel || kernel.max(stride) > LARGEST {
        return Err(format!(
            "has kernel {kernel}, stride {stride}, padding {padding}: the first two must be at least 1 and not huge, the padding less than the kernel"
        ));
    }
    Ok(())
}

/// Which sides a picture may have: any multiple of a number, from a least one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    pub multiple: usize,
    pub least: usize,
}

impl Sides {
    /// Whether a side is one of them.
    pub const fn allow(self, side: usize) -> bool {
        side >= self.least && side.is_multiple_of(self.multiple)
    }
}

/// A network: the shape it takes and its layers in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    pub input: Shape,
    pub layers: Vec<Layer>,
    /// By a layer's index, the numbers of the tensors that it reads, in order; a layer `i` that is not here reads
    /// tensor `i` alone, the output of the layer before it. A layer reads only tensors that come before its own output.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<usize, Vec<usize>>,
}

/// Why a [`Network`] cannot be built: the layer that is wrong, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("layer {index} ({name}) {reason}")]
pub struct SpecError {
    pub index: usize,
    pub name: &'static str,
    pub reason: String,
}

/// One step of a walk over a network: a layer with the tensors that it reads and the shapes around it.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    pub index: usize,
    pub layer: &'a Layer,
    /// The numbers of the tensors that the layer reads: at least one, each at most [`index`](Self::index).
    pub reads: Vec<usize>,
    /// The shape of each of these tensors.
    pub inputs: Vec<Shape>,
    /// The shape of the first of them.
    pub input: Shape,
    pub output: Shape,
}

impl Step<'_> {
    /// Trained parameters of this layer.
    pub fn parameters(&self) -> usize {
        self.layer.parameters(self.input)
    }

    /// Multiply-accumulates of this layer for one sample.
    pub fn macs(&self) -> usize {
        self.layer.macs(self.input, self.output)
    }
}

impl Network {
    /// A network whose layers each read what the layer before gives.
    pub const fn chain(input: Shape, layers: Vec<Layer>) -> Self {
        Self {
            input,
            layers,
            inputs: BTreeMap::new(),
        }
    }

    /// Adds a layer that reads the tensors of these numbers; gives the number of its output.
    pub fn push(&mut self, layer: Layer, reads: &[usize]) -> usize {
        let index = self.layers.len();
        if reads != [index] {
            self.inputs.insert(index, reads.to_vec());
        }
        self.layers.push(layer);
        index + 1
    }

    /// Whether a layer blends two tensors.
    pub fn blends(&self) -> bool {
        let is_blend = |layer: &Layer| matches!(layer, Layer::Blend { .. });
        self.layers.iter().any(is_blend)
    }

    /// The network without an upsampling at its end.
    pub fn without_enlarging(&self) -> Self {
        let mut network = self.clone();
        if let Some(Layer::Upsample { .. }) = network.layers.last() {
            network.layers.pop();
            network.inputs.remove(&network.layers.len());
        }
        network
    }

    /// Sets the share of the second tensor in all blends.
    pub fn set_share(&mut self, share: f64) {
        for layer in &mut self.layers {
            if let Layer::Blend { share: own } = layer {
                *own = share;
            }
        }
    }

    /// Puts a layer of one input behind the tensor `at`, as layer `at`: whatever read the tensor reads the layer's
    /// output instead. `at` is at most the number of layers.
    pub fn insert(&mut self, at: usize, layer: Layer) {
        self.layers.insert(at, layer);
        let moved = |n: usize| if n < at { n } else { n + 1 };
        self.inputs = std::mem::take(&mut self.inputs)
            .into_iter()
            .map(|(index, reads)| (moved(index), reads.into_iter().map(moved).collect()))
            .collect();
    }

    /// This network and, reading its output, another.
    pub fn then(&self, next: &Self) -> Self {
        let mut both = self.clone();
        let before = self.layers.len();
        both.layers.extend_from_slice(&next.layers);
        let moved = next.inputs.iter().map(|(&index, reads)| {
            let reads = reads.iter().map(|read| read + before).collect();
            (index + before, reads)
        });
        both.inputs.extend(moved);
        both
    }

    /// The other sides of pictures that the network can be run on, and then makes images of, which are to them what its
    /// output is to its input. `None` for a network that runs on one size only, or reads vectors.
    pub fn sides(&self) -> Option<Sides> {
        /// Strides in a row come to no more.
        const MOST: usize = 64;
        let is_local = |layer: &Layer| {
            !matches!(
                layer,
                Layer::Linear { .. }
                    | Layer::Reshape(_)
                    | Layer::Flatten
                    | Layer::ClassEmbedding { .. }
                    | Layer::ClassShift { .. }
                    | Layer::ClassProjection { .. }
            )
        };
        let input = self.input;
        let output = self.output().ok()?;
        if !self.reads_pictures() || !self.layers.iter().all(is_local) {
            return None;
        }
        let fits = |side: usize| {
            let other = Self {
                input: Shape::new(input.channels, side, side),
                ..self.clone()
            };
            other.output().is_ok_and(|found| {
                found.height * input.height == output.height * side
                    && found.width * input.width == output.width * side
            })
        };
        let powers = (0..).map(|exponent| 1 << exponent);
        let mut multiples = powers.take_while(|&multiple| multiple <= MOST);
        // Sides that repeat themselves after as many pixels as the strides come to.
        let multiple = multiples.find(|&multiple| {
            let whole = |side: usize| side.is_multiple_of(multiple);
            let mut sides = (MOST..=2 * MOST).step_by(multiple);
            whole(input.height) && whole(input.width) && sides.all(fits)
        })?;
        let sides = (1..=MOST / multiple).rev().map(|times| times * multiple);
        let least = sides.take_while(|&side| fits(side)).last()?;
        Some(Sides { multiple, least })
    }

    /// The number of the tensor that a picture is squeezed into, of a network that makes pictures again of a vector:
    /// the one of the fewest numbers. `None` where that is no vector, or the network's input or output.
    ///
    /// # Errors
    /// As [`Network::walk`].
    pub fn bottleneck(&self) -> Result<Option<usize>, SpecError> {
        let steps = self.walk()?;
        let least = steps.iter().min_by_key(|step| step.output.len());
        let inner = least.filter(|step| {
            step.output.is_flat()
                && step.output.len() < self.input.len()
                && step.index + 1 < steps.len()
        });
        Ok(inner.map(|step| step.index + 1))
    }

    /// The layers that make a tensor of the network's chain, as a network.
    pub fn up_to(&self, tensor: usize) -> Self {
        let mut first = self.clone();
        first.layers.truncate(tensor);
        first.inputs.retain(|&index, _| index < tensor);
        first
    }

    /// Whether the network makes images of pictures, and not of vectors as a latent is one.
    pub fn reads_pictures(&self) -> bool {
        !self.input.is_flat() && !self.draws_pixels()
    }

    /// Whether the network tells a picture's pixels from those before them, so that pictures are drawn pixel by pixel.
    pub fn draws_pixels(&self) -> bool {
        let is_masked = |layer: &Layer| matches!(layer, Layer::MaskedConv2d { .. });
        self.layers.iter().any(is_masked)
    }

    /// How many classes the network is told, if it is told any: those of the first layer that wants them.
    pub fn classes(&self) -> Option<usize> {
        self.layers.iter().find_map(|layer| match *layer {
            Layer::ClassEmbedding { classes, .. }
            | Layer::ClassShift { classes }
            | Layer::ClassBias { classes }
            | Layer::ClassProjection { classes } => Some(classes),
            _ => None,
        })
    }

    /// Every layer with the tensors that it reads, and their and its output's shapes.
    ///
    /// # Errors
    /// The first layer that does not fit what it reads, or whose output no layer reads.
    pub fn walk(&self) -> Result<Vec<Step<'_>>, SpecError> {
        let mut shapes = vec![self.input];
        let mut steps = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let reads = self.inputs.get(&index).cloned();
            let reads = reads.unwrap_or_else(|| vec![index]);
            let (inputs, output) =
                check_layer(layer, &reads, &shapes).map_err(|reason| SpecError {
                    index,
                    name: layer.name(),
                    reason,
                })?;
            shapes.push(output);
            steps.push(Step {
                index,
                layer,
                input: inputs[0],
                reads,
                inputs,
                output,
            });
        }
        self.check_readers(&steps)?;
        Ok(steps)
    }

    /// Refuses tensors that nothing reads, and inputs of layers that do not exist.
    fn check_readers(&self, steps: &[Step<'_>]) -> Result<(), SpecError> {
        let readers = readers(steps);
        let unread = steps.iter().find(|step| readers[step.index] == 0);
        if let Some(step) = unread {
            let (index, reason) = match step.index.checked_sub(1) {
                Some(before) => (before, "has an output that no layer reads"),
                None => (
                    0,
                    "does not read the network's input, nor does another layer",
                ),
            };
            return Err(SpecError {
                index,
                name: steps[index].layer.name(),
                reason: reason.into(),
            });
        }
        match self.inputs.keys().find(|&&index| index >= steps.len()) {
            Some(&index) => Err(SpecError {
                index,
                name: "none",
                reason: format!("has inputs, but the network has {} layers", steps.len()),
            }),
            None => Ok(()),
        }
    }

    /// The shape of the network's output.
    ///
    /// # Errors
    /// As [`Network::walk`].
    pub fn output(&self) -> Result<Shape, SpecError> {
        Ok(self.walk()?.last().map_or(self.input, |step| step.output))
    }

    /// The number of trained parameters.
    ///
    /// # Errors
    /// As [`Network::walk`].
    pub fn parameters(&self) -> Result<usize, SpecError> {
        Ok(self.walk()?.iter().map(Step::parameters).sum())
    }
}

/// How many times each tensor of a network is read, by its number; the last, the network's output, by no layer.
pub fn readers(steps: &[Step<'_>]) -> Vec<usize> {
    let mut readers = vec![0; steps.len() + 1];
    for &tensor in steps.iter().flat_map(|step| &step.reads) {
        readers[tensor] += 1;
    }
    readers
}

/// The shapes of the tensors that a layer reads and of its output, given those of the tensors before it.
fn check_layer(
    layer: &Layer,
    reads: &[usize],
    shapes: &[Shape],
) -> Result<(Vec<Shape>, Shape), String> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = reads.iter().find(|&&tensor| !seen.insert(tensor)) {
        return Err(format!("reads tensor {twice} twice"));
    }
    let inputs = reads.iter().map(|&tensor| {
        let shape = shapes.get(tensor).copied().ok_or_else(|| {
            format!(
                "reads tensor {tensor}, and tensors 0 to {} come before it",
                shapes.len() - 1
            )
        })?;
        check_size(shape)
    });
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    let output = check_size(layer.output(&inputs)?)?;
    Ok((inputs, output))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conv_transpose(channels: usize) -> Layer {
        Layer::ConvTranspose2d {
            channels,
            kernel: 4,
            stride: 2,
            padding: 1,
            output_padding: 0,
            bias: true,
        }
    }

    #[test]
    fn shapes_follow_the_formulas() {
        let network = Network::chain(
            Shape::features(64),
            vec![
                Layer::Linear {
                    features: 7 * 7 * 32,
                    bias: true,
                },
                Layer::Reshape(Shape::new(32, 7, 7)),
                conv_transpose(16),
                conv_transpose(1),
                Layer::Conv2d {
                    channels: 3,
                    kernel: 3,
                    stride: 2,
                    padding: 1,
                    bias: false,
                },
                Layer::Upsample { factor: 2 },
                Layer::AvgPool2d {
                    kernel: 3,
                    stride: 2,
                },
                Layer::Flatten,
            ],
        );
        let steps = network.walk().unwrap();
        let shapes: Vec<String> = steps.iter().map(|s| s.output.to_string()).collect();
        assert_eq!(
            shapes,
            [
                "1568x1x1", "32x7x7", "16x14x14", "1x28x28", "3x14x14", "3x28x28", "3x13x13",
                "507x1x1"
            ]
        );
        // The generator part is the `nano` of the design: 551,936 products.
        assert_eq!(steps[..4].iter().map(Step::macs).sum::<usize>(), 551_936);
    }

    #[test]
    fn shapes_beyond_reason_are_refused() {
        let factor = |factor| Network::chain(Shape::new(1, 4, 4), vec![Layer::Upsample { factor }]);
        assert!(factor(1 << 10).walk().is_ok());
        for huge in [1 << 19, 1 << 40, usize::MAX / 4] {
            assert!(factor(huge).walk().is_err());
        }
        let mut empty = Network::chain(Shape::new(1, 0, 4), vec![conv_transpose(3)]);
        assert!(empty.walk().is_err());
        empty.input = Shape::new(usize::MAX, usize::MAX, 2);
        assert!(empty.walk().is_err());
    }

    #[test]
    fn an_error_names_the_layer() {
        let network = Network::chain(
            Shape::features(10),
            vec![Layer::Relu, Layer::Reshape(Shape::new(3, 2, 2))],
        );
        assert_eq!(
            network.walk().unwrap_err().to_string(),
            "layer 1 (Reshape) turns 10 numbers (10x1x1) into 12 (3x2x2)"
        );
        let wide = Network::chain(
            Shape::new(1, 2, 2),
            vec![Layer::Conv2d {
                channels: 1,
                kernel: 5,
                stride: 1,
                padding: 1,
                bias: false,
            }],
        );
        assert_eq!(wide.walk().unwrap_err().index, 0);
    }

    #[test]
    fn branches_join_and_are_serialized() {
        let mut network = Network::chain(Shape::features(3), Vec::new());
        let linear = |features| Layer::Linear {
            features,
            bias: false,
        };
        let a = network.push(linear(4), &[0]);
        let b = network.push(linear(4), &[0]);
        network.push(Layer::Add, &[b, a]);
        let text = serde_json::to_string(&network).unwrap();
        assert!(text.ends_with(r#"{"op":"add"}],"inputs":{"1":[0],"2":[2,1]}}"#));
        assert_eq!(serde_json::from_str::<Network>(&text).unwrap(), network);
        assert_eq!(network.output().unwrap(), Shape::features(4));
        assert_eq!(network.parameters().unwrap(), 24);
        // Whatever read the input reads what was put behind it.
        network.insert(0, Layer::Relu);
        assert_eq!(network.inputs, [(2, vec![1]), (3, vec![3, 2])].into());
        network.layers[1] = linear(5);
        assert_eq!(
            network.walk().unwrap_err().to_string(),
            "layer 3 (Add) adds tensors of different shapes, 4x1x1 and 5x1x1"
        );
        network.layers[3] = Layer::Concat;
        assert_eq!(network.output().unwrap(), Shape::features(9));
        network.inputs.remove(&3);
        assert_eq!(
            network.walk().unwrap_err().to_string(),
            "layer 3 (Concat) reads 1 tensors, and takes two or more"
        );
    }

    #[test]
    fn networks_of_local_layers_run_on_other_sizes() {
        let conv = |kernel, stride, padding| Layer::Conv2d {
            channels: 2,
            kernel,
            stride,
            padding,
            bias: true,
        };
        let multiple = |layers: Vec<Layer>| {
            let network = Network::chain(Shape::new(2, 24, 32), layers);
            network.output().unwrap();
            network.sides().map(|sides| sides.multiple)
        };
        let up = || conv_transpose(2);
        assert_eq!(multiple(vec![conv(3, 1, 1)]), Some(1));
        assert_eq!(multiple(vec![conv(4, 2, 1), up()]), Some(2));
        assert_eq!(
            multiple(vec![conv(4, 2, 1), conv(4, 2, 1), up(), up()]),
            Some(4)
        );
        assert_eq!(multiple(vec![conv(4, 2, 1), conv(4, 2, 1), up()]), Some(4));
        // It reads the same for pictures that it makes larger.
        assert_eq!(multiple(vec![conv(3, 1, 1), up()]), Some(1));
        let wide = Network::chain(Shape::new(2, 64, 64), vec![conv(7, 2, 0), up()]);
        assert_eq!(wide.sides(), None);
        let pooled = Layer::AvgPool2d {
            kernel: 3,
            stride: 1,
        };
        let back = Layer::ConvTranspose2d {
            channels: 2,
            kernel: 3,
            stride: 1,
            padding: 0,
            output_padding: 0,
            bias: true,
        };
        let pools = Network::chain(Shape::new(2, 24, 32), vec![pooled, back]);
        let expected = Sides {
            multiple: 1,
            least: 3,
        };
        assert_eq!(pools.sides(), Some(expected));
        // Two pixels fewer are no share of a picture.
        assert_eq!(multiple(vec![conv(3, 1, 0)]), None);
        let dense = Layer::Linear {
            features: 3,
            bias: true,
        };
        assert_eq!(multiple(vec![dense]), None);
        let vector = Network::chain(Shape::features(4), vec![Layer::Relu]);
        assert_eq!(vector.sides(), None);
        // Branches that meet again must have the same sizes.
        let mut branches = Network::chain(Shape::new(2, 24, 32), vec![conv(4, 2, 1), up()]);
        branches.push(Layer::Add, &[0, 2]);
        let sides = branches.sides().unwrap();
        assert!(sides.allow(2) && sides.allow(24) && !sides.allow(9) && !sides.allow(0));
    }

    #[test]
    fn a_network_goes_on_with_another() {
        let mut first = Network::chain(Shape::features(3), vec![Layer::Relu]);
        first.push(Layer::Add, &[0, 1]);
        let mut second = Network::chain(Shape::features(3), vec![Layer::Tanh, Layer::Relu]);
        second.push(Layer::Concat, &[2, 0]);
        let both = first.then(&second);
        assert_eq!(both.inputs, [(1, vec![0, 1]), (4, vec![4, 2])].into());
        assert_eq!(both.output(), Ok(Shape::features(6)));
        // The first of the tensors with three numbers would do; it is no picture's.
        assert_eq!(both.bottleneck(), Ok(None));
        let dense = |features| Layer::Linear {
            features,
            bias: true,
        };
        let layers = vec![
            dense(5),
            Layer::Relu,
            dense(2),
            dense(9),
            Layer::Reshape(Shape::new(1, 3, 3)),
        ];
        let through = Network::chain(Shape::new(1, 3, 3), layers);
        assert_eq!(through.bottleneck(), Ok(Some(3)));
        let encoder = through.up_to(3);
        assert_eq!(encoder.output(), Ok(Shape::features(2)));
        assert_eq!(encoder.bottleneck(), Ok(None));
    }

    /// The text that networks had in checkpoints before layers could read other tensors.
    #[test]
    fn a_chain_is_written_as_before() {
        let text = r#"{"input":{"channels":3,"height":1,"width":1},"layers":[{"op":"relu"},{"op":"tanh"}]}"#;
        let network = Network::chain(Shape::features(3), vec![Layer::Relu, Layer::Tanh]);
        assert_eq!(serde_json::to_string(&network).unwrap(), text);
        assert_eq!(serde_json::from_str::<Network>(text).unwrap(), network);
    }

    #[test]
    fn what_a_layer_reads_is_checked() {
        let reading = |inputs: &[(usize, &[usize])]| {
            let mut network = Network::chain(Shape::features(3), vec![Layer::Relu, Layer::Tanh]);
            network.inputs = inputs
                .iter()
                .map(|&(index, reads)| (index, reads.to_vec()))
                .collect();
            network.walk().unwrap_err().to_string()
        };
        for (inputs, error) in [
            (
                &[(1, &[2][..])][..],
                "layer 1 (Tanh) reads tensor 2, and tensors 0 to 1 come before it",
            ),
            (
                &[(1, &[0])],
                "layer 0 (ReLU) has an output that no layer reads",
            ),
            (
                &[(1, &[1, 0])],
                "layer 1 (Tanh) reads 2 tensors, and takes one",
            ),
            (&[(1, &[])], "layer 1 (Tanh) reads 0 tensors, and takes one"),
            (&[(1, &[1, 1])], "layer 1 (Tanh) reads tensor 1 twice"),
            (
                &[(2, &[0])],
                "layer 2 (none) has inputs, but the network has 2 layers",
            ),
        ] {
            assert_eq!(reading(inputs), error);
        }
    }

    #[test]
    fn survives_serialization_and_refuses_unknown_keys() {
        let network = Network::chain(
            Shape::features(4),
            vec![
                Layer::batch_norm(),
                Layer::LeakyRelu { slope: 0.2 },
                Layer::Reshape(Shape::new(1, 2, 2)),
                Layer::Flatten,
            ],
        );
        let text = serde_json::to_string(&network).unwrap();
        assert_eq!(serde_json::from_str::<Network>(&text).unwrap(), network);
        assert!(serde_json::from_str::<Layer>(r#"{"op":"upsample","factor":2,"by":3}"#).is_err());
    }
}
