//! Shapes, operators and kinds of numbers: what a layer is, without its parameters.

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
    /// Every output from every input: of a vector to any shape, or of an image to a vector.
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
        /// The second one, counted as [`Layer::source`](crate::Layer::source) is: the input of the layer of this index
        /// in a chain.
        from: usize,
    },
    /// The channels of two tensors of one height and width, one tensor's behind the other's.
    Concat {
        /// The second one, counted as [`Layer::source`](crate::Layer::source) is.
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

    /// Whether the layer has weights and a bias.
    pub const fn has_weights(self) -> bool {
        matches!(
            self,
            Self::Linear | Self::Conv2d(_) | Self::ConvTranspose2d(_)
        )
    }

    /// Whether an int8 output's quanta are worth what those of the input are, and signed as they are.
    pub const fn keeps_quanta(self) -> bool {
        matches!(
            self,
            Self::Upsample { .. } | Self::Concat { .. } | Self::AvgPool2d(_)
        )
    }

    /// Whether only graphs have it, so that it needs the feature `graphs`: a concatenation or average pooling.
    pub const fn is_of_graphs(self) -> bool {
        matches!(self, Self::Concat { .. } | Self::AvgPool2d(_))
    }

    /// Whether a build with convolution has the operator.
    pub(crate) const fn is_in_this_build(self) -> bool {
        cfg!(feature = "graphs") || !self.is_of_graphs()
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

/// What the pixels of an image stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelRange {
    /// A pixel `p` means `(p - 128) / 128`; the last activation is tanh.
    Signed,
    /// A pixel `p` means `p / 256`; the last activation is sigmoid.
    Unsigned,
}

impl PixelRange {
    /// The value that a pixel stands for.
    pub fn value(self, pixel: u8) -> f32 {
        match self {
            Self::Signed => (f32::from(pixel) - 128.0) / 128.0,
            Self::Unsigned => f32::from(pixel) / 256.0,
        }
    }
}

/// The multiply-accumulates of an operator (section 2.3).
pub(crate) const fn macs(operator: Operator, input: Shape, output: Shape) -> u64 {
    let (positions, kernel) = match operator {
        Operator::Linear => return input.len() as u64 * output.len() as u64,
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
