//! Layer records: decoding one.

use super::field::{GRAPH_VERSION, HEADER_LEN, PIXELS, RECORD_LEN, header, record as field};
use super::model::Model;
use crate::bytes::{f32_at, part, u8_at, u16_at, u32_at};
use crate::latent;
use crate::layer::{Layer, Parameters};
use crate::ring::{Home, RingSize};
use crate::shape::{self, Activation, Numbers, Operator, Shape, Window};
use crate::window;

/// Decodes record `index` of a checked model.
#[inline(always)]
pub(super) const fn decode<'a>(model: &Model<'a>, index: usize) -> Layer<'a> {
    let record = record(model.blob, index);
    let operator = match operator(record) {
        Some(operator) => operator.in_this_build(),
        None => Operator::Linear,
    };
    let activation = match activation(record) {
        Some(activation) => activation,
        None => Activation::None,
    };
    let (input, output) = shapes(record);
    let numbers = model.numbers;
    let source = source(model.blob, index);
    let other = match operator.other() {
        Some(other) => other,
        None => source,
    };
    let home = home_of(model, index);
    Layer {
        operator,
        activation,
        source,
        input,
        output,
        numbers,
        signed_input: is_signed(model.blob, source),
        signed_other: is_signed(model.blob, other),
        is_last: index + 1 == model.layers,
        reads_image: reads_image(record, operator),
        shift: u8_at(record, field::SHIFT) as u32,
        multiplier_shift: u8_at(record, field::MULTIPLIER_SHIFT) as u32,
        scale: f32_at(record, field::SCALE),
        class_step: class_step(record) as i32,
        addends: addends(record),
        input_ring: own_ring_size(model, source),
        other_ring: own_ring_size(model, other),
        output_ring: ring_size(model, home.of(index + 1)),
        home,
        parameters: with_columns(
            split(
                parameters(model, record),
                numbers,
                activation,
                operator,
                output,
            ),
            column_len(model, index, operator, output) as usize,
            model,
        ),
    }
}

/// The bytes of a checked record's parameters.
#[inline(always)]
const fn parameters<'a>(model: &Model<'a>, record: &[u8]) -> &'a [u8] {
    match part(model.blob, start(record), length(record)) {
        Some(bytes) => bytes,
        None => &[],
    }
}

/// The tensor that layer `index` reads, the first one if it reads two.
#[inline(always)]
pub(super) const fn source(blob: &[u8], index: usize) -> usize {
    if version(blob) < GRAPH_VERSION {
        return index;
    }
    u16_at(record(blob, index), field::SOURCE) as usize
}

/// The layer that makes a tensor; `None` for the latent.
const fn maker(blob: &[u8], tensor: usize) -> Option<&[u8; RECORD_LEN]> {
    match tensor.checked_sub(1) {
        Some(index) => Some(record(blob, index)),
        None => None,
    }
}

/// The shape of a tensor.
pub(super) const fn shape_of(model: &Model<'_>, tensor: usize) -> Shape {
    match maker(model.blob, tensor) {
        Some(record) => shapes(record).1,
        None => model.input(),
    }
}

/// What a quantum of a tensor is worth.
pub(super) const fn scale_of(blob: &[u8], tensor: usize) -> f32 {
    match maker(blob, tensor) {
        Some(record) => f32_at(record, field::SCALE),
        None if reads_pictures(blob) => f32_at(blob, header::INPUT_SCALE),
        None => latent::SCALE,
    }
}

/// Whether the input is an image, in a header that was checked.
const fn reads_pictures(blob: &[u8]) -> bool {
    cfg!(feature = "images") && u8_at(blob, header::INPUT_KIND) == 1
}

/// The concatenation in whose rows a tensor lies by its record; 0 if it has rows of its own.
pub(super) const fn home(blob: &[u8], tensor: usize) -> usize {
    match maker(blob, tensor) {
        Some(record) if version(blob) >= GRAPH_VERSION => u16_at(record, field::HOME) as usize,
        _ => 0,
    }
}

/// In whose rows the output of layer `index` lies: a concatenation can lie in another one itself.
const fn home_of(model: &Model<'_>, index: usize) -> Home {
    let (mut tensor, mut first) = (index + 1, 0);
    while cfg!(feature = "convolution") {
        let home = home(model.blob, tensor);
        // Before it has been checked it may be anything: even past the last tensor, where no records are.
        if home <= tensor || home > model.layers {
            break;
        }
        if source(model.blob, home - 1) != tensor {
            first += shapes(record(model.blob, home - 1)).0.channels / 4;
        }
        tensor = home;
    }
    Home::new(tensor, shape_of(model, tensor).channels, first)
}

/// What is kept of a tensor in rows of its own.
const fn own_ring_size(model: &Model<'_>, tensor: usize) -> RingSize {
    if home(model.blob, tensor) > 0 {
        RingSize::new(0, [0; 2])
    } else {
        ring_size(model, tensor)
    }
}

/// What is kept of a tensor: before version 5 by the one layer that reads it and by the rows that additions need.
const fn ring_size(model: &Model<'_>, tensor: usize) -> RingSize {
    if version(model.blob) >= GRAPH_VERSION {
        let (rows, margins) = kept_of_graph(model.blob, tensor);
        return RingSize::new(rows, margins);
    }
    let record = record(model.blob, tensor);
    let (input, output) = shapes(record);
    match operator(record) {
        Some(operator) if tensor < model.layers => {
            let own = window::most_rows(operator, input.height);
            let kept = kept_rows(record);
            let rows = if kept > own { kept } else { own };
            RingSize::new(rows, window::margins(operator, input.width, output.width))
        }
        _ => RingSize::new(1, [0; 2]),
    }
}

/// The rows and margins that a blob of version 5 says of a tensor.
pub(super) const fn kept_of_graph(blob: &[u8], tensor: usize) -> (usize, [u8; 2]) {
    let (rows, bytes, at) = match maker(blob, tensor) {
        Some(record) => (u16_at(record, field::ROWS), record, field::MARGINS),
        None => {
            let rows = if reads_pictures(blob) {
                u16_at(blob, header::INPUT_ROWS)
            } else {
                1
            };
            (rows, record_of_header(blob), header::MARGINS)
        }
    };
    (rows as usize, [u8_at(bytes, at), u8_at(bytes, at + 1)])
}

/// Which tensors a layer reads, and how rows of its output follow from theirs.
#[derive(Clone, Copy)]
pub(crate) struct Links {
    pub operator: Operator,
    pub source: usize,
    pub other: Option<usize>,
    pub input: Shape,
    pub output: Shape,
    /// Whether it is a linear layer over an image.
    pub reads_image: bool,
}

/// The links of layer `index`.
pub(crate) const fn links(model: &Model<'_>, index: usize) -> Links {
    let record = record(model.blob, index);
    let operator = match operator(record) {
        Some(operator) => operator.in_this_build(),
        None => Operator::Linear,
    };
    let (input, output) = shapes(record);
    Links {
        operator,
        source: source(model.blob, index),
        other: operator.other(),
        input,
        output,
        reads_image: reads_image(record, operator),
    }
}

/// Whether a layer is a linear one over an image.
const fn reads_image(record: &[u8], operator: Operator) -> bool {
    cfg!(feature = "images")
        && matches!(operator, Operator::Linear)
        && u8_at(record, field::INPUT_ORDER) == 1
}

/// Whether a tensor is signed: what leaves ReLU or sigmoid is not.
const fn is_signed(blob: &[u8], mut tensor: usize) -> bool {
    while let Some(index) = tensor.checked_sub(1) {
        let before = record(blob, index);
        if cfg!(feature = "convolution")
            && matches!(operator(before), Some(operator) if operator.keeps_quanta())
        {
            tensor = source(blob, index);
            continue;
        }
        return !matches!(
            activation(before),
            Some(Activation::Relu | Activation::Sigmoid)
        );
    }
    true
}

/// Bytes of a class's column of layer `index`; 0 if it has none.
pub(super) const fn column_len(
    model: &Model<'_>,
    index: usize,
    operator: Operator,
    output: Shape,
) -> u64 {
    if index > 0 || model.classes == 0 {
        return 0;
    }
    shape::outputs(operator, output) as u64 * model.numbers.column_bytes()
}

/// The parameters with the last bytes of the weights taken for what they are: the columns of `len` bytes for each
/// class, among which is that of the model's class.
const fn with_columns<'a>(
    mut parameters: Parameters<'a>,
    len: usize,
    model: &Model<'a>,
) -> Parameters<'a> {
    if len == 0 {
        return parameters;
    }
    let columns = model.classes.wrapping_mul(len);
    let weights = parameters.weights.len().saturating_sub(columns);
    (parameters.weights, parameters.columns) = split_at(parameters.weights, weights);
    if let Some(class) = model.class {
        parameters.column = parameters.column_of(class, len);
    }
    parameters
}

/// The version of the oldest reader.
#[inline(always)]
pub(super) const fn version(blob: &[u8]) -> u16 {
    u16_at(blob, header::READER)
}

/// Splits a layer's parameters into their parts (section 3); columns stay with the weights.
pub(super) const fn split(
    bytes: &[u8],
    numbers: Numbers,
    activation: Activation,
    operator: Operator,
    output: Shape,
) -> Parameters<'_> {
    let (bias, rest) = split_at(bytes, shape::outputs(operator, output) * 4);
    let len = numbers.multiplier_bytes(shape::multipliers(operator, output));
    let (multipliers, rest) = split_at(rest, len);
    let (negative_multipliers, weights) = match activation {
        Activation::LeakyRelu { .. } => split_at(rest, len),
        _ => split_at(rest, 0),
    };
    Parameters {
        bias,
        multipliers,
        negative_multipliers,
        weights,
        columns: &[],
        column: &[],
    }
}

/// `split_at` that takes what there is.
const fn split_at(bytes: &[u8], at: usize) -> (&[u8], &[u8]) {
    match bytes.split_at_checked(at) {
        Some(parts) => parts,
        None => (bytes, &[]),
    }
}

pub(super) const fn record(blob: &[u8], index: usize) -> &[u8; RECORD_LEN] {
    if let Some((_, records)) = blob.split_at_checked(HEADER_LEN + index * RECORD_LEN)
        && let Some(record) = records.first_chunk()
    {
        return record;
    }
    &[0; RECORD_LEN]
}

/// The header, which is as long as a record.
const fn record_of_header(blob: &[u8]) -> &[u8; RECORD_LEN] {
    match blob.first_chunk() {
        Some(header) => header,
        None => &[0; RECORD_LEN],
    }
}

#[inline(always)]
pub(super) const fn start(record: &[u8]) -> usize {
    u32_at(record, field::START) as usize
}

#[inline(always)]
pub(super) const fn length(record: &[u8]) -> usize {
    u32_at(record, field::LENGTH) as usize
}

#[inline(always)]
pub(super) const fn class_step(record: &[u8]) -> u16 {
    u16_at(record, field::CLASS_STEP)
}

/// The rows of the input that additions need, in version 4.
pub(super) const fn kept_rows(record: &[u8]) -> usize {
    u16_at(record, field::ROWS) as usize
}

pub(super) const fn addends(record: &[u8]) -> [i32; 2] {
    [
        u16_at(record, field::ADDENDS) as i32,
        u16_at(record, field::ADDENDS + 2) as i32,
    ]
}

// Inlined where the length of the record is known, so that nothing is checked again.
#[inline(always)]
pub(super) const fn operator(record: &[u8]) -> Option<Operator> {
    let stride = u8_at(record, field::STRIDE) as usize;
    let window = Window {
        kernel: u8_at(record, field::KERNEL) as usize,
        stride,
        padding: u8_at(record, field::PADDING) as usize,
        output_padding: u8_at(record, field::OUTPUT_PADDING) as usize,
    };
    let from = u16_at(record, field::OTHER) as usize;
    match u8_at(record, field::OPERATOR) {
        1 => Some(Operator::Linear),
        2 => Some(Operator::Conv2d(window)),
        3 => Some(Operator::ConvTranspose2d(window)),
        4 => Some(Operator::Upsample { factor: stride }),
        5 => Some(Operator::Add { from }),
        6 => Some(Operator::Concat { from }),
        7 => Some(Operator::AvgPool2d(window)),
        _ => None,
    }
}

#[inline(always)]
pub(super) const fn activation(record: &[u8]) -> Option<Activation> {
    match u8_at(record, field::ACTIVATION) {
        0 => Some(Activation::None),
        1 => Some(Activation::Relu),
        2 => Some(Activation::LeakyRelu {
            slope: f32_at(record, field::SLOPE),
        }),
        3 => Some(Activation::Tanh),
        4 => Some(Activation::Sigmoid),
        _ => None,
    }
}

#[inline(always)]
pub(super) const fn shapes(record: &[u8]) -> (Shape, Shape) {
    (
        shape_at(record, field::INPUT),
        shape_at(record, field::OUTPUT),
    )
}

#[inline(always)]
pub(super) const fn shape_at(bytes: &[u8], at: usize) -> Shape {
    Shape::new(
        u16_at(bytes, at) as usize,
        u16_at(bytes, at + 2) as usize,
        u16_at(bytes, at + 4) as usize,
    )
}

impl<'a> Model<'a> {
    /// Size of the pictures that the model reads; `None` of one that reads latents.
    pub const fn picture(&self) -> Option<Shape> {
        if cfg!(feature = "images") && self.latent_size == 0 {
            Some(self.input())
        } else {
            None
        }
    }

    /// The shape of what the model reads: a picture, or a latent.
    pub(super) const fn input(&self) -> Shape {
        if cfg!(feature = "images") && self.latent_size == 0 {
            shape_at(self.blob, header::INPUT)
        } else {
            Shape::new(1, 1, self.latent_size)
        }
    }

    /// What the values of a pixel are to the model (section 10): an i8 or, of an f32 model, an f32 for each. Empty of a
    /// model that reads latents.
    #[cfg(feature = "images")]
    pub(crate) const fn table(&self) -> &'a [u8] {
        match part(
            self.blob,
            HEADER_LEN + RECORD_LEN * self.layers,
            self.table_len(),
        ) {
            Some(table) => table,
            None => &[],
        }
    }

    /// What a pixel is worth to a model that reads pictures; 0 to one that reads latents.
    #[cfg(feature = "images")]
    pub fn pixel_value(&self, pixel: u8) -> f32 {
        let table = self.table();
        match self.numbers {
            Numbers::Float => f32_at(table, usize::from(pixel) * 4),
            Numbers::Int8 | Numbers::Int4 => {
                let quantum = u8_at(table, usize::from(pixel)) as i8;
                f32::from(quantum) * self.input_scale()
            }
        }
    }

    /// What a quantum of an int8 or int4 model's input is worth: of a latent's component 1/32. 0 of an f32 model that
    /// reads pictures.
    pub const fn input_scale(&self) -> f32 {
        scale_of(self.blob, 0)
    }

    /// Bytes of the table.
    pub(super) const fn table_len(&self) -> usize {
        match (self.picture(), self.numbers) {
            (None, _) => 0,
            (Some(_), Numbers::Float) => PIXELS * 4,
            (Some(_), Numbers::Int8 | Numbers::Int4) => PIXELS,
        }
    }

    /// Bytes of a picture that the model reads, one a channel; 0 of one that reads latents.
    pub const fn picture_len(&self) -> usize {
        match self.picture() {
            Some(shape) => shape.len(),
            None => 0,
        }
    }

    /// Whether the blob is of the version that has graphs.
    #[cfg(feature = "writer")]
    pub(crate) const fn is_graph(&self) -> bool {
        version(self.blob) >= GRAPH_VERSION
    }

    /// Layer `index`, or the last one if there is none of that index.
    pub const fn layer(&self, index: usize) -> Layer<'a> {
        let last = self.layers - 1;
        decode(self, if index < last { index } else { last })
    }

    /// All layers, decoded without the column of a class.
    #[doc(hidden)]
    pub const fn decode_layers<const N: usize>(&self) -> [Layer<'a>; N] {
        let model = Self {
            class: None,
            ..*self
        };
        let mut layers = [model.layer(0); N];
        let mut index = 0;
        while index < N {
            layers[index] = model.layer(index);
            index += 1;
        }
        layers
    }

    /// The layers, first to last.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = Layer<'a>> + use<'a> {
        let model = *self;
        (0..self.layers).map(move |index| model.layer(index))
    }
}

#[cfg(test)]
#[cfg(feature = "convolution")]
mod tests {
    use super::*;

    /// Section 9.3: a concatenation comes after the tensor that lies in it, and is a layer of the model.
    #[test]
    fn no_tensor_lies_where_there_is_no_record() {
        let blob = include_bytes!("../../tests/data/v5-concat.pgan");
        let parsed = Model::parse(blob).expect("a valid model");
        let layers = parsed.layers;
        for index in 0..layers {
            for home in (0..=100).chain([255, 256, u16::MAX]) {
                let mut changed = *blob;
                let at = HEADER_LEN + index * RECORD_LEN + field::HOME;
                changed[at..at + 2].copy_from_slice(&home.to_le_bytes());
                let model = Model {
                    blob: &changed,
                    ..parsed
                };
                let of = decode(&model, index).home.of(index + 1);
                let home = usize::from(home);
                if (index + 2..=layers).contains(&home) {
                    assert!((home..=layers).contains(&of), "layer {index} in {home}");
                } else {
                    assert_eq!(of, index + 1, "layer {index} in {home}");
                }
            }
        }
    }
}
