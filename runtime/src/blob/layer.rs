//! A layer: its operator, shapes and parameters, and what it costs.

use super::order;

/// Height, width and channels of a tensor; its elements are ordered row, column, channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows, 1 to 4096.
    pub height: usize,
    /// Columns, 1 to 4096.
    pub width: usize,
    /// Channels, 1 to 4096.
    pub channels: usize,
}

impl Shape {
    /// A shape from height, width and channels.
    pub const fn new(height: usize, width: usize, channels: usize) -> Self {
        Self {
            height,
            width,
            channels,
        }
    }

    /// The shape of the same elements in the same order with all of a row's as the channels of a single column.
    pub(crate) const fn rows_as_channels(self) -> Self {
        Self::new(self.height, 1, self.row_len())
    }

    /// The number of elements (saturating).
    pub const fn len(self) -> usize {
        self.height
            .saturating_mul(self.width)
            .saturating_mul(self.channels)
    }

    /// Whether there are no elements; never so in a model.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Elements in one row: width times channels (wrapping).
    pub const fn row_len(self) -> usize {
        self.width.wrapping_mul(self.channels)
    }
}

/// The window of a convolution: square, the same in height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Kernel size, 1 to 16.
    pub kernel: usize,
    /// Stride, 1 to 8.
    pub stride: usize,
    /// Zeros added on each side (taken away, for a transposed convolution), below `kernel`.
    pub padding: usize,
    /// Extra output on the far sides of a transposed convolution, below `stride`; else 0.
    pub output_padding: usize,
}

/// What a layer computes before its activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Every output from every input; the input is a vector, the output any shape.
    Linear,
    /// Convolution (cross-correlation, as in PyTorch and ONNX).
    Conv2d(Window),
    /// Transposed convolution, as in PyTorch and ONNX.
    ConvTranspose2d(Window),
    /// Nearest-neighbour upsampling by a whole factor, 1 to 8.
    Upsample {
        /// Output rows and columns per input row and column.
        factor: usize,
    },
    /// The sum of two tensors of one shape: a skip connection.
    Add {
        /// The second one, counted as [`Layer::source`] is: the input of the layer of this index in a chain.
        from: usize,
    },
    /// The channels of two tensors of one height and width, one tensor's behind the other's.
    Concat {
        /// The second one, counted as [`Layer::source`] is.
        from: usize,
    },
    /// The mean over each window: a kernel of 2 to 16, a stride of 1 to 8, no padding.
    AvgPool2d(Window),
}

impl Operator {
    /// The usual name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Conv2d(_) => "conv2d",
            Self::ConvTranspose2d(_) => "conv_transpose2d",
            Self::Upsample { .. } => "upsample",
            Self::Add { .. } => "add",
            Self::Concat { .. } => "concat",
            Self::AvgPool2d(_) => "avg_pool2d",
        }
    }

    /// The second tensor that the layer reads, if it reads two.
    pub const fn other(self) -> Option<usize> {
        match self {
            Self::Add { from } | Self::Concat { from } => Some(from),
            _ => None,
        }
    }

    /// Whether the output's quanta are worth what those of the input are, and signed as they are.
    pub(crate) const fn keeps_quanta(self) -> bool {
        matches!(
            self,
            Self::Upsample { .. } | Self::Concat { .. } | Self::AvgPool2d(_)
        )
    }

    /// As what the layer runs: as linear in a build without convolution, which refuses all others, so that nothing of
    /// them is linked.
    pub(crate) const fn in_this_build(self) -> Self {
        if cfg!(feature = "convolution") {
            self
        } else {
            Self::Linear
        }
    }
}

/// The function fused behind a layer's operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// The identity.
    None,
    /// `max(x, 0)`.
    Relu,
    /// `x` above zero, `slope * x` below.
    LeakyRelu {
        /// In `[0, 1)`.
        slope: f32,
    },
    /// The hyperbolic tangent.
    Tanh,
    /// The logistic function.
    Sigmoid,
}

/// The kind of numbers a model computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// IEEE 754 binary32.
    Float,
    /// 8-bit weights and activations, 32-bit accumulators.
    Int8,
    /// As int8, with weights of 4 bits: those int8 weights that are multiples of 16.
    Int4,
}

impl Numbers {
    /// Whether to compute with f32: never in a build without it, so that nothing of it is linked.
    pub(crate) const fn is_float(self) -> bool {
        cfg!(feature = "f32") && matches!(self, Self::Float)
    }

    /// Whether weights are to be unpacked: never in a build without int4, so that nothing of it is linked.
    pub(crate) const fn is_int4(self) -> bool {
        cfg!(feature = "int4") && matches!(self, Self::Int4)
    }

    /// Bytes of so many weights in the blob (section 3).
    pub(crate) const fn weight_bytes(self, weights: u64) -> u64 {
        match self {
            Self::Float => weights * 4,
            Self::Int8 => weights,
            Self::Int4 => weights.div_ceil(8) * 4,
        }
    }

    /// Bytes of so many multipliers in the blob (section 3).
    pub(crate) const fn multiplier_bytes(self, multipliers: usize) -> usize {
        match self {
            Self::Float => 0,
            Self::Int8 => multipliers * 4,
            Self::Int4 => multipliers.div_ceil(2) * 4,
        }
    }

    /// Bytes of a number in a class's column.
    pub(crate) const fn column_bytes(self) -> u64 {
        match self {
            Self::Float => 4,
            Self::Int8 | Self::Int4 => 1,
        }
    }
}

/// One layer of a parsed model. Everything in it has been checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layer<'a> {
    /// The operator.
    pub operator: Operator,
    /// The activation behind it.
    pub activation: Activation,
    /// The tensor that the layer reads, the first one if it reads two: 0 is the latent, `i + 1` the output of layer `i`.
    pub source: usize,
    /// Shape of the input, the first one if there are two.
    pub input: Shape,
    /// Shape of the output. A linear layer that is the last one can have the elements of each row for the channels of a
    /// single column.
    pub output: Shape,
    /// The kind of numbers.
    pub numbers: Numbers,
    /// int8: whether the quanta of the input are signed, -128 to 127; else they are 0 to 255.
    pub signed_input: bool,
    /// int8: the accumulator is multiplied by `2^shift` before requantization.
    pub shift: u32,
    /// int4: multipliers are multiples of `2^multiplier_shift`.
    pub(crate) multiplier_shift: u32,
    /// int8: what one quantum of the output is worth. f32: 0.
    pub scale: f32,
    /// int8: what one quantum of a class's column is worth, in quanta of the accumulator; 0 where
    /// there are no columns.
    pub class_step: i32,
    /// An int8 addition: what the quanta of the layer's input, and those of the input that is added to it, count in the
    /// accumulator. Otherwise 0.
    pub addends: [i32; 2],
    /// int8: whether the quanta of the second input are signed.
    pub(crate) signed_other: bool,
    /// Whether the output is the image.
    pub(crate) is_last: bool,
    /// What is kept of the input, of the second input and of the output.
    pub(crate) input_ring: RingSize,
    pub(crate) other_ring: RingSize,
    pub(crate) output_ring: RingSize,
    pub(crate) parameters: Parameters<'a>,
}

/// How much of a tensor is in memory while an image is made (sections 9.3 and 9.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RingSize {
    // Where all layers are linear, each reads a vector, which is one row.
    #[cfg(feature = "convolution")]
    rows: u16,
    #[cfg(feature = "convolution")]
    margins: [u8; 2],
}

#[cfg(feature = "convolution")]
impl RingSize {
    pub const fn new(rows: usize, margins: [u8; 2]) -> Self {
        let rows = rows as u16;
        Self { rows, margins }
    }

    /// Rows at once.
    pub const fn rows(self) -> usize {
        self.rows as usize
    }

    /// Columns of zeros in front of the first column, and behind the last one.
    pub const fn margins(self) -> [u8; 2] {
        self.margins
    }
}

#[cfg(not(feature = "convolution"))]
impl RingSize {
    pub const fn new(_: usize, _: [u8; 2]) -> Self {
        Self {}
    }

    pub const fn rows(self) -> usize {
        1
    }

    pub const fn margins(self) -> [u8; 2] {
        [0; 2]
    }
}

/// The parts of a layer's parameters, as they lie in the blob.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Parameters<'a> {
    pub bias: &'a [u8],
    pub multipliers: &'a [u8],
    pub negative_multipliers: &'a [u8],
    pub weights: &'a [u8],
    /// The columns of all classes; empty but in the first layer of a model with classes.
    pub columns: &'a [u8],
    /// The column of the class that was chosen.
    pub column: &'a [u8],
}

impl Parameters<'_> {
    /// No parameters.
    pub const NONE: Self = Self {
        bias: &[],
        multipliers: &[],
        negative_multipliers: &[],
        weights: &[],
        columns: &[],
        column: &[],
    };
}

impl Layer<'_> {
    /// Multiply-accumulates of one image, those on padding included.
    pub const fn macs(&self) -> u64 {
        macs(self.operator, self.input, self.output)
    }

    /// Bytes of the weights in the blob.
    pub const fn weight_bytes(&self) -> usize {
        self.parameters.weights.len()
    }

    /// Bytes of the columns of all classes in the blob: 0 but in the first layer of a model with
    /// classes.
    pub const fn class_bytes(&self) -> usize {
        self.parameters.columns.len()
    }

    /// Bytes of all parameters in the blob: bias, multipliers, weights and class columns.
    pub const fn parameter_bytes(&self) -> usize {
        self.parameters.bias.len()
            + self.parameters.multipliers.len()
            + self.parameters.negative_multipliers.len()
            + self.parameters.weights.len()
            + self.parameters.columns.len()
    }

    /// Whether the layer cannot run before a class is chosen
    /// ([`Model::of_class`](crate::Model::of_class)).
    pub const fn needs_class(&self) -> bool {
        !self.parameters.columns.is_empty() && self.parameters.column.is_empty()
    }

    /// Shape of the second input; that of the first one if there is one only.
    pub const fn other_input(&self) -> Shape {
        let Shape {
            height,
            width,
            channels,
        } = self.input;
        match self.operator {
            Operator::Concat { .. } => {
                Shape::new(height, width, self.output.channels.wrapping_sub(channels))
            }
            _ => self.input,
        }
    }

    /// Bytes of working memory that hold this layer's input rows, of the first input if there are two, while an image is
    /// made. Layers that read one tensor share them.
    pub const fn row_buffer_bytes(&self) -> usize {
        crate::plan::Ring::of_input(self).words() * 4
    }

    /// The operator's usual name.
    pub const fn name(&self) -> &'static str {
        self.operator.name()
    }

    /// Where the weight from input channel `ic` to output `oc` at kernel place (`ky`, `kx`) lies
    /// among the layer's weights, in weights. For linear, `ky` and `kx` are 0 and `oc` counts the
    /// outputs by row, column and channel. Out of range arguments give a meaningless index; huge ones
    /// overflow.
    pub const fn weight_index(&self, oc: usize, ky: usize, kx: usize, ic: usize) -> usize {
        self.weight_places(oc, ky, kx).of_channel(ic)
    }

    /// The [`weight_index`](Self::weight_index) of every input channel.
    pub(crate) const fn weight_places(&self, oc: usize, ky: usize, kx: usize) -> order::Places {
        order::Places::of(
            self.operator,
            self.numbers,
            self.input,
            self.output,
            [oc, ky, kx],
        )
    }

    /// The int8 weight at a [`weight_index`](Self::weight_index), of an int4 model a multiple of 16; 0 out of range.
    pub const fn weight_i8(&self, index: usize) -> i8 {
        if !self.numbers.is_int4() {
            return super::bytes::u8_at(self.parameters.weights, index) as i8;
        }
        let pair = super::bytes::u8_at(self.parameters.weights, index / 8 * 4 + index % 4);
        let high = index % 8 >= 4;
        (if high { pair & 0xf0 } else { pair << 4 }) as i8
    }

    /// The f32 weight at a [`weight_index`](Self::weight_index); 0 out of range.
    pub const fn weight_f32(&self, index: usize) -> f32 {
        super::bytes::f32_at(self.parameters.weights, index.saturating_mul(4))
    }

    /// The int8 model's bias of output `oc`, in units of the accumulator; 0 out of range.
    pub const fn bias_i32(&self, oc: usize) -> i32 {
        super::bytes::word(self.parameters.bias, oc)
    }

    /// The f32 model's bias of output `oc`; 0 out of range.
    pub const fn bias_f32(&self, oc: usize) -> f32 {
        super::bytes::f32_at(self.parameters.bias, oc.saturating_mul(4))
    }

    /// What an accumulator of output `oc` starts as: the bias and, in the first layer of a model with
    /// classes, what the chosen class adds to it. Of the bias alone if out of range.
    pub const fn start_i32(&self, oc: usize) -> i32 {
        let column = super::bytes::u8_at(self.parameters.column, oc) as i8;
        // A checked model keeps the sum in 32 bits.
        self.bias_i32(oc) + self.class_step * column as i32
    }

    /// What the sum of output `oc` starts as in an f32 model: the bias and, in the first layer of a
    /// model with classes, the chosen class's number added to it.
    pub const fn start_f32(&self, oc: usize) -> f32 {
        let bias = self.bias_f32(oc);
        if self.parameters.column.is_empty() {
            bias
        } else {
            bias + self.class_f32(oc)
        }
    }

    /// What the chosen class adds to the bias of output `oc` in an f32 model; 0 where there are no classes, and out of
    /// range.
    pub const fn class_f32(&self, oc: usize) -> f32 {
        super::bytes::f32_at(self.parameters.column, oc.saturating_mul(4))
    }

    /// The requantization multipliers of output `oc` for accumulators from zero up and below zero
    /// (the same but for LeakyReLU).
    pub const fn multipliers(&self, oc: usize) -> [i32; 2] {
        [self.multiplier(oc, false), self.multiplier(oc, true)]
    }

    /// The requantization multiplier of output `oc` for accumulators below zero or for others.
    pub(crate) const fn multiplier(&self, oc: usize, negative: bool) -> i32 {
        let multipliers = match self.activation {
            Activation::LeakyRelu { .. } if negative => self.parameters.negative_multipliers,
            _ => self.parameters.multipliers,
        };
        if self.numbers.is_int4() {
            (super::bytes::u16_at(multipliers, oc.saturating_mul(2)) as i32)
                << self.multiplier_shift
        } else {
            super::bytes::word(multipliers, oc)
        }
    }

    /// Words `index` to `index + 3` of a vector of the parameters; 0 where it does not reach.
    #[cfg(pocketgan_x86_64)]
    #[inline(always)]
    pub(crate) fn four(&self, vector: &[u8], index: usize) -> [i32; 4] {
        let words = vector.as_chunks().0.get(index..).unwrap_or_default();
        if let Some(&[a, b, c, d]) = words.first_chunk::<4>() {
            // Written out, since `map` is a call.
            return [
                i32::from_le_bytes(a),
                i32::from_le_bytes(b),
                i32::from_le_bytes(c),
                i32::from_le_bytes(d),
            ];
        }
        let mut four = [0; 4];
        for (to, &word) in four.iter_mut().zip(words) {
            *to = i32::from_le_bytes(word);
        }
        four
    }

    /// How many biases (and multipliers) the layer has; an addition has one multiplier, but no bias.
    pub const fn outputs(&self) -> usize {
        outputs(self.operator, self.output)
    }
}

/// The multiply-accumulates of an operator (section 2.3).
pub(crate) const fn macs(operator: Operator, input: Shape, output: Shape) -> u64 {
    let (positions, kernel) = match operator {
        Operator::Linear => (output.height as u64 * output.width as u64, 1),
        Operator::Conv2d(w) => (output.height as u64 * output.width as u64, w.kernel as u64),
        Operator::ConvTranspose2d(w) => (input.height as u64 * input.width as u64, w.kernel as u64),
        Operator::Upsample { .. } => (0, 0),
        Operator::Add { .. } => return 2 * output.len() as u64,
        Operator::Concat { .. } => return output.len() as u64,
        Operator::AvgPool2d(w) => return output.len() as u64 * (w.kernel * w.kernel) as u64,
    };
    positions * kernel * kernel * input.channels as u64 * output.channels as u64
}

/// How many biases an operator has (section 3).
pub(crate) const fn outputs(operator: Operator, output: Shape) -> usize {
    match operator {
        Operator::Linear => output.height.wrapping_mul(output.row_len()),
        Operator::Conv2d(_) | Operator::ConvTranspose2d(_) => output.channels,
        Operator::Upsample { .. }
        | Operator::Add { .. }
        | Operator::Concat { .. }
        | Operator::AvgPool2d(_) => 0,
    }
}

/// How many multipliers an operator has (section 3).
pub(crate) const fn multipliers(operator: Operator, output: Shape) -> usize {
    match operator {
        Operator::Add { .. } => 1,
        _ => outputs(operator, output),
    }
}
