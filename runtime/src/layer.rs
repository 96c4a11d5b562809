//! A layer of a checked blob: its operator, shapes and parameters, the rings that it reads and writes, and what it
//! costs.

use crate::bytes;
use crate::ring::{Home, Ring, RingSize};
use crate::shape::{self, Activation, Numbers, Operator, Shape};
use crate::weights::Places;

/// One layer of a parsed model. Everything in it has been checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layer<'a> {
    /// The operator.
    pub operator: Operator,
    /// The activation behind it.
    pub activation: Activation,
    /// The tensor that the layer reads, the first one if it reads two: 0 is the model's input, `i + 1` the output of
    /// layer `i`.
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
    /// Whether this is a linear layer over an image, whose sums are kept from one row to the next.
    pub(crate) reads_image: bool,
    /// What is kept of the input, of the second input and of the tensor in whose rows the output lies.
    pub(crate) input_ring: RingSize,
    pub(crate) other_ring: RingSize,
    pub(crate) output_ring: RingSize,
    /// In whose rows the output lies.
    pub(crate) home: Home,
    pub(crate) parameters: Parameters<'a>,
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

impl<'a> Parameters<'a> {
    /// No parameters.
    pub const NONE: Self = Self {
        bias: &[],
        multipliers: &[],
        negative_multipliers: &[],
        weights: &[],
        columns: &[],
        column: &[],
    };

    /// The column of `len` bytes of a class.
    #[inline(always)]
    pub const fn column_of(&self, class: usize, len: usize) -> &'a [u8] {
        match bytes::part(self.columns, class * len, len) {
            Some(column) => column,
            None => &[],
        }
    }
}

impl Layer<'_> {
    /// Multiply-accumulates of one image, those on padding included.
    pub const fn macs(&self) -> u64 {
        shape::macs(self.operator, self.input, self.output)
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

    /// This layer with the column of a class, if it has columns and one was chosen.
    #[inline(always)]
    pub(crate) const fn of_class(mut self, class: Option<usize>) -> Self {
        if let Some(class) = class {
            let len = self.outputs() * self.numbers.column_bytes() as usize;
            self.parameters.column = self.parameters.column_of(class, len);
        }
        self
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

    /// Bytes of working memory that hold this layer's input rows, of the first input if there are two, while an image
    /// is made. Layers that read one tensor share them. 0 if the input lies in the rows of a concatenation's output.
    pub const fn row_buffer_bytes(&self) -> usize {
        Ring::of_input(self).words() * 4
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
    pub(crate) const fn weight_places(&self, oc: usize, ky: usize, kx: usize) -> Places {
        Places::of(
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
            return bytes::u8_at(self.parameters.weights, index) as i8;
        }
        let pair = bytes::u8_at(self.parameters.weights, index / 8 * 4 + index % 4);
        let high = index % 8 >= 4;
        (if high { pair & 0xf0 } else { pair << 4 }) as i8
    }

    /// The f32 weight at a [`weight_index`](Self::weight_index); 0 out of range.
    pub const fn weight_f32(&self, index: usize) -> f32 {
        bytes::f32_at(self.parameters.weights, index.saturating_mul(4))
    }

    /// The int8 model's bias of output `oc`, in units of the accumulator; 0 out of range.
    pub const fn bias_i32(&self, oc: usize) -> i32 {
        bytes::word(self.parameters.bias, oc)
    }

    /// The f32 model's bias of output `oc`; 0 out of range.
    pub const fn bias_f32(&self, oc: usize) -> f32 {
        bytes::f32_at(self.parameters.bias, oc.saturating_mul(4))
    }

    /// What an accumulator of output `oc` starts as: the bias and, in the first layer of a model with
    /// classes, what the chosen class adds to it. Of the bias alone if out of range.
    pub const fn start_i32(&self, oc: usize) -> i32 {
        let column = bytes::u8_at(self.parameters.column, oc) as i8;
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
        bytes::f32_at(self.parameters.column, oc.saturating_mul(4))
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
            (bytes::u16_at(multipliers, oc.saturating_mul(2)) as i32) << self.multiplier_shift
        } else {
            bytes::word(multipliers, oc)
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
        shape::outputs(self.operator, self.output)
    }
}

impl Ring {
    /// The ring of a layer's input, of the first one if there are two.
    pub const fn of_input(layer: &Layer<'_>) -> Self {
        Self::new(layer.numbers, layer.input, layer.input_ring, false)
    }

    /// The ring of a layer's second input.
    pub const fn of_other(layer: &Layer<'_>) -> Self {
        Self::new(layer.numbers, layer.other_input(), layer.other_ring, false)
    }

    /// The ring in whose rows a layer's output lies.
    pub const fn of_output(layer: &Layer<'_>) -> Self {
        Self::new(
            layer.numbers,
            layer.home.shape(layer.output),
            layer.output_ring,
            layer.is_last,
        )
    }
}
