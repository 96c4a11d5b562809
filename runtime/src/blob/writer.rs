//! Writes `.pgan` blobs. Needs feature `writer`, and with it the standard library.
//!
//! Parameters are given in PyTorch's order and put in the blob's; whatever
//! [`Model::parse`] would refuse is refused here, by parsing the result.

use std::error;
use std::fmt;
use std::vec;
use std::vec::Vec;

use super::check;
use super::field::{
    ADD_VERSION, CLASSES_VERSION, CRC_LEN, GRAPH_VERSION, HEADER_LEN, IMAGES_VERSION, INT4_VERSION,
    MAGIC, MAX_ELEMENTS, MAX_EXTENT, MAX_LAYERS, PIXELS, RECORD_LEN, header, record as field,
};
use super::model::{Decoded, Model};
use super::needs::Needs;
use crate::error::Error;
use crate::shape::{self, Activation, Numbers, Operator, PixelRange, Shape, Window};
use crate::{bytes, latent, weights};

/// A layer to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSpec {
    /// The operator.
    pub operator: Operator,
    /// The activation behind it.
    pub activation: Activation,
    /// The tensor that the layer reads, the first one if it reads two: 0 is the latent, `i + 1` the output of layer
    /// `i`. In a chain it is the layer's own index.
    pub source: usize,
    /// Shape of the output.
    pub output: Shape,
    /// The parameters.
    pub parameters: Parameters,
}

/// A layer's parameters in PyTorch's order.
///
/// Weights are `[out][in]` for linear, `[out][in][kh][kw]` for a convolution and
/// `[in][out][kh][kw]` for a transposed convolution. The inputs and outputs of a linear layer, in its weights
/// as in its vectors, are ordered channel, row, column of the input's and the output's shape.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameters {
    /// Of an upsample, a concatenation, average pooling, and an addition of f32.
    None,
    /// Of an f32 layer.
    Float {
        /// In PyTorch's order.
        weights: Vec<f32>,
        /// One for each output (linear) or output channel.
        bias: Vec<f32>,
    },
    /// Of an int8 layer.
    Int8 {
        /// In PyTorch's order, -127 to 127; to be written as int4, multiples of 16.
        weights: Vec<i8>,
        /// One for each output or output channel, in units of `s_in * s_w[output]`.
        bias: Vec<i32>,
        /// One for each output or output channel, above 0: `s_in * s_w[output] / s_out`, the worth
        /// of an accumulator's unit in output quanta; before tanh and sigmoid `s_in * s_w[output]`,
        /// its worth itself. The writer finds the shift and the fixed-point numbers, those of
        /// LeakyReLU's slope too.
        multipliers: Vec<f64>,
        /// `s_out`: 1/128 behind tanh, 1/256 behind sigmoid.
        scale: f32,
    },
    /// Of an int8 addition; one of f32 has none.
    Add {
        /// What a quantum of the layer's first input, and one of its second, is worth in output quanta; before
        /// tanh and sigmoid, its worth itself. At least 0, one of them above 0.
        multipliers: [f64; 2],
        /// `s_out`, as for the other layers.
        scale: f32,
    },
}

/// The class columns of a model's first layer (section 6): for each class in turn, a number for each
/// output, ordered channel, row, column of the output's shape like the layer's bias.
#[derive(Clone, Debug, PartialEq)]
pub enum Columns {
    /// Of an f32 model: what the class adds to the bias.
    Float(Vec<f32>),
    /// Of an int8 model.
    Int8 {
        /// -127 to 127.
        columns: Vec<i8>,
        /// What one of them is worth, in quanta of its output's accumulator; at least 1.
        step: u16,
    },
}

/// The classes of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Classes {
    /// How many there are: 1 to 4096.
    pub count: usize,
    /// What they add to the first layer, which must be linear.
    pub columns: Columns,
}

/// The pictures that a model reads (section 10).
#[derive(Clone, Debug, PartialEq)]
pub struct Pictures {
    /// Their size.
    pub shape: Shape,
    /// What each value of a pixel is to the model.
    pub table: Table,
}

/// What the values of a pixel are to a model, 256 of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Table {
    /// To an f32 model.
    Float(Vec<f32>),
    /// To an int8 or int4 model: quanta.
    Int8 {
        /// One for each value.
        quanta: Vec<i8>,
        /// What a quantum is worth, finite and above 0.
        scale: f32,
    },
}

/// What a model reads.
enum Input<'a> {
    Latent(usize),
    Pictures(&'a Pictures),
}

impl Input<'_> {
    const fn shape(&self) -> Shape {
        match self {
            Self::Latent(size) => Shape::new(1, 1, *size),
            Self::Pictures(pictures) => pictures.shape,
        }
    }

    /// What a quantum of it is worth.
    const fn scale(&self) -> f32 {
        match self {
            Self::Latent(_) => latent::SCALE,
            Self::Pictures(pictures) => match pictures.table {
                Table::Float(_) => 0.0,
                Table::Int8 { scale, .. } => scale,
            },
        }
    }

    /// The table as it stands in the blob.
    fn table(&self, numbers: Numbers) -> Result<Vec<u8>, WriteError> {
        let Self::Pictures(pictures) = self else {
            return Ok(Vec::new());
        };
        let (bytes, found): (Vec<u8>, _) = match (&pictures.table, numbers) {
            (Table::Float(values), Numbers::Float) => {
                let bytes = values.iter().flat_map(|x| x.to_le_bytes());
                (bytes.collect(), values.len())
            }
            (Table::Int8 { quanta, .. }, Numbers::Int8 | Numbers::Int4) => {
                (quanta.iter().map(|&q| q as u8).collect(), quanta.len())
            }
            _ => return Err(WriteError::Mixed),
        };
        if found == PIXELS {
            Ok(bytes)
        } else {
            Err(Error::BadPictures.into())
        }
    }
}

/// Why a model cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// A list of parameters does not have the length that the layer's shapes ask for.
    Length {
        /// The layer, from 0.
        layer: usize,
        /// Which list.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length it must have.
        expected: usize,
    },
    /// A layer has more rows, columns, channels or elements than the format allows, or a window over 255.
    TooLarge {
        /// The layer, from 0.
        layer: usize,
    },
    /// The model as a whole has more of something than the format allows.
    TooMany {
        /// What: layers, components of the latent, classes, or bytes.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// A weight or a class's column has a -128, or a weight that is to be written as int4 is no multiple of 16.
    Weight {
        /// The layer, from 0.
        layer: usize,
    },
    /// A multiplier is not above 0, or so large or so small that its fixed-point form does not
    /// exist.
    Multiplier {
        /// The layer, from 0.
        layer: usize,
        /// The output or output channel, from 0.
        output: usize,
    },
    /// f32 and int8 layers are mixed, or there is no layer with parameters.
    Mixed,
    /// The reader would refuse a layer.
    Layer {
        /// The layer, from 0.
        layer: usize,
        /// The reader's reason.
        error: Error,
    },
    /// The reader would refuse the blob.
    Refused(Error),
}

impl WriteError {
    /// The layer that is wrong, from 0, where it is one.
    pub fn layer(&self) -> Option<usize> {
        match *self {
            Self::Length { layer, .. }
            | Self::TooLarge { layer }
            | Self::Weight { layer }
            | Self::Multiplier { layer, .. }
            | Self::Layer { layer, .. } => Some(layer),
            Self::TooMany { .. } | Self::Mixed | Self::Refused(_) => None,
        }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length {
                layer,
                what,
                found,
                expected,
            } => {
                write!(
                    f,
                    "layer {layer} has {found} {what} where its shapes ask for {expected}"
                )
            }
            Self::TooLarge { layer } => write!(
                f,
                "layer {layer} is too large for the format, in which a layer has at most {MAX_EXTENT} rows, columns and \
                 channels, {MAX_ELEMENTS} elements, and windows of 255"
            ),
            Self::TooMany { what, found, most } => write!(
                f,
                "the model has {found} {what}, and the format allows at most {most}"
            ),
            Self::Layer { layer, error } => write!(f, "layer {layer}: {error}"),
            Self::Weight { layer } => {
                write!(f, "layer {layer} has a weight that its numbers do not have")
            }
            Self::Multiplier { layer, output } => {
                write!(
                    f,
                    "layer {layer} has no fixed-point multiplier for output {output}"
                )
            }
            Self::Mixed => f.write_str("the layers are not all f32 or all int8"),
            Self::Refused(error) => write!(f, "the model does not fit the format: {error}"),
        }
    }
}

impl error::Error for WriteError {}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// Writes the blob of a model. The output's range follows from the last layer's activation.
///
/// # Errors
/// [`WriteError`] for parameters that do not fit their layer, and for any model that
/// [`Model::parse`] would refuse.
pub fn write(latent_size: usize, layers: &[LayerSpec]) -> Result<Vec<u8>, WriteError> {
    encode(
        &Input::Latent(latent_size),
        None,
        layers,
        numbers_of(layers)?,
    )
}

/// Writes the blob of a model with classes.
///
/// # Errors
/// As [`write()`], [`WriteError::Mixed`] also for columns of the other kind of numbers.
pub fn write_conditional(
    latent_size: usize,
    classes: &Classes,
    layers: &[LayerSpec],
) -> Result<Vec<u8>, WriteError> {
    if classes.count == 0 {
        return Err(Error::BadClasses.into());
    }
    encode(
        &Input::Latent(latent_size),
        Some(classes),
        layers,
        numbers_of(layers)?,
    )
}

/// Writes the blob of a model, with classes or without, with the weights of its int8 layers in 4 bits. Multipliers are
/// rounded to 16 bits.
///
/// # Errors
/// As [`write()`] and [`write_conditional`]; [`WriteError::Weight`] also for a weight that is no multiple of 16, and
/// [`WriteError::Mixed`] for f32 layers.
pub fn write_int4(
    latent_size: usize,
    classes: Option<&Classes>,
    layers: &[LayerSpec],
) -> Result<Vec<u8>, WriteError> {
    match (numbers_of(layers)?, classes) {
        (_, Some(Classes { count: 0, .. })) => Err(Error::BadClasses.into()),
        (Numbers::Int8, _) => encode(&Input::Latent(latent_size), classes, layers, Numbers::Int4),
        _ => Err(WriteError::Mixed),
    }
}

/// Writes the blob of a model that reads pictures; in 4 bits, if that is asked for, as [`write_int4`] does.
///
/// # Errors
/// As [`write()`], [`WriteError::Mixed`] also for a table of the other kind of numbers, and for f32 layers in 4 bits.
pub fn write_translator(
    pictures: &Pictures,
    layers: &[LayerSpec],
    int4: bool,
) -> Result<Vec<u8>, WriteError> {
    let numbers = match (numbers_of(layers)?, int4) {
        (Numbers::Int8, true) => Numbers::Int4,
        (Numbers::Float, true) => return Err(WriteError::Mixed),
        (numbers, _) => numbers,
    };
    encode(&Input::Pictures(pictures), None, layers, numbers)
}

fn encode(
    input: &Input<'_>,
    classes: Option<&Classes>,
    layers: &[LayerSpec],
    numbers: Numbers,
) -> Result<Vec<u8>, WriteError> {
    let class_count = classes.map_or(0, |classes| classes.count);
    at_most("layers", layers.len(), MAX_LAYERS)?;
    if let Input::Latent(size) = *input {
        at_most("components of the latent", size, MAX_EXTENT)?;
    }
    at_most("classes", class_count, MAX_EXTENT)?;
    let mut blob = vec![0; HEADER_LEN + RECORD_LEN * layers.len()];
    blob.extend(input.table(numbers)?);
    // Of each tensor: its shape and what a quantum is worth.
    let mut tensors = vec![(input.shape(), input.scale())];
    let mut macs = 0u64;
    for (index, spec) in layers.iter().enumerate() {
        let later = WriteError::Layer {
            layer: index,
            error: Error::ReadsLater,
        };
        let &(shape, scale) = tensors.get(spec.source).ok_or(later)?;
        if spec.operator.other().is_some_and(|other| other > index) {
            return Err(later);
        }
        let layer = Encoder {
            index,
            spec,
            stored: if index + 1 == layers.len() {
                as_stored(spec, numbers)
            } else {
                spec.output
            },
            numbers,
            input: shape,
            classes: classes.filter(|_| index == 0),
        };
        if !check::in_range(layer.stored) {
            return Err(WriteError::TooLarge { layer: index });
        }
        let parameters = layer.parameters()?;
        blob.resize(blob.len().next_multiple_of(16), 0);
        let start = blob.len();
        blob.extend_from_slice(&parameters.bytes);
        let scale = match spec.parameters {
            _ if numbers == Numbers::Float => 0.0,
            Parameters::Int8 { scale, .. } | Parameters::Add { scale, .. } => scale,
            Parameters::None | Parameters::Float { .. } => scale,
        };
        let record = layer.record(&parameters, scale, start)?;
        record_mut(&mut blob, index).copy_from_slice(&record);
        macs = macs.saturating_add(shape::macs(spec.operator, shape, spec.output));
        tensors.push((spec.output, scale));
    }
    let model = Model {
        blob: &[],
        numbers,
        layers: layers.len(),
        latent_size: match input {
            Input::Latent(size) => *size,
            Input::Pictures(_) => 0,
        },
        classes: class_count,
        class: None,
        output: tensors[layers.len()].0,
        range: match layers.last().map(|layer| layer.activation) {
            Some(Activation::Sigmoid) => PixelRange::Unsigned,
            _ => PixelRange::Signed,
        },
        macs,
        buffer_len: 0,
        decoded: Decoded(&[]),
    };
    at_most("bytes", blob.len() + CRC_LEN, u32::MAX as usize)?;
    let header =
        header(blob.len() + CRC_LEN, &model, input).ok_or(WriteError::TooLarge { layer: 0 })?;
    blob[..HEADER_LEN].copy_from_slice(&header);
    let is_add = |layer: &LayerSpec| matches!(layer.operator, Operator::Add { .. });
    let is_stored_otherwise = |last: &LayerSpec| as_stored(last, numbers) != last.output;
    let unversioned = Model {
        blob: &blob,
        ..model
    };
    let needs = Needs::of(&unversioned);
    let is_graph = check::needs_graph(&unversioned, &needs);
    let version = match numbers {
        // What needs no newer reader is not said to.
        _ if check::needs_images(&unversioned) => IMAGES_VERSION,
        _ if is_graph => GRAPH_VERSION,
        _ if layers.iter().any(is_add) || layers.last().is_some_and(is_stored_otherwise) => {
            ADD_VERSION
        }
        Numbers::Int4 => INT4_VERSION,
        _ if classes.is_some() => CLASSES_VERSION,
        _ => 1,
    };
    let homes = homes(&unversioned);
    put_needs(&mut blob, version, &needs, &homes);
    blob.extend_from_slice(&bytes::crc32(&blob).to_le_bytes());
    match Model::parse(&blob) {
        Ok(_) => Ok(blob),
        Err(error) => {
            let model = Model {
                blob: &blob,
                ..model
            };
            Err(match check::first_refused(&model) {
                Some(layer) => WriteError::Layer { layer, error },
                None => error.into(),
            })
        }
    }
}

fn at_most(what: &'static str, found: usize, most: usize) -> Result<(), WriteError> {
    if found <= most {
        Ok(())
    } else {
        Err(WriteError::TooMany { what, found, most })
    }
}

fn numbers_of(layers: &[LayerSpec]) -> Result<Numbers, WriteError> {
    let mut all = layers.iter().filter_map(|layer| match layer.parameters {
        Parameters::None => None,
        Parameters::Float { .. } => Some(Numbers::Float),
        Parameters::Int8 { .. } | Parameters::Add { .. } => Some(Numbers::Int8),
    });
    let first = all.next().ok_or(WriteError::Mixed)?;
    if all.all(|numbers| numbers == first) {
        Ok(first)
    } else {
        Err(WriteError::Mixed)
    }
}

/// A header or a record; what is not put in is 0.
struct Fields<const LEN: usize>([u8; LEN]);

impl<const LEN: usize> Fields<LEN> {
    fn put<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        self.0[at..at + N].copy_from_slice(&bytes);
    }

    fn put_u8(&mut self, at: usize, value: usize) -> Option<()> {
        self.put(at, [u8::try_from(value).ok()?]);
        Some(())
    }

    fn put_u16(&mut self, at: usize, value: usize) -> Option<()> {
        self.put(at, u16::try_from(value).ok()?.to_le_bytes());
        Some(())
    }

    fn put_u32(&mut self, at: usize, value: usize) -> Option<()> {
        self.put(at, u32::try_from(value).ok()?.to_le_bytes());
        Some(())
    }

    fn put_shape(&mut self, at: usize, shape: Shape) -> Option<()> {
        self.put_u16(at, shape.height)?;
        self.put_u16(at + 2, shape.width)?;
        self.put_u16(at + 4, shape.channels)
    }
}

/// The shape that the last layer's record has: of a linear layer, the one with fewer places left over in groups of
/// four.
fn as_stored(last: &LayerSpec, numbers: Numbers) -> Shape {
    let (own, rows) = (last.output, last.output.rows_as_channels());
    let places = |shape: Shape| shape.width.saturating_mul(weights::ceil4(shape.channels));
    let is_grouped = last.operator == Operator::Linear && numbers != Numbers::Float;
    if is_grouped && places(rows) < places(own) && rows.channels <= MAX_EXTENT {
        rows
    } else {
        own
    }
}

fn record_mut(blob: &mut [u8], index: usize) -> &mut [u8] {
    let at = HEADER_LEN + index * RECORD_LEN;
    &mut blob[at..at + RECORD_LEN]
}

/// For each layer the concatenation in whose rows its output can lie; 0 if there is none.
fn homes(model: &Model<'_>) -> Vec<u16> {
    let home_of = |tensor: usize| {
        let mut later = tensor + 1..=model.layers;
        later.find(|&home| check::can_lie_in(model, tensor, home))
    };
    (1..=model.layers)
        .map(|tensor| home_of(tensor).unwrap_or_default() as u16)
        .collect()
}

/// Writes the version, and into header and records what the layers need of the tensors and where their outputs lie.
/// What a model needs that cannot be read does not matter: the reader will refuse it.
fn put_needs(blob: &mut [u8], version: u16, needs: &Needs, homes: &[u16]) {
    for at in [header::WRITTEN, header::READER] {
        blob[at..at + 2].copy_from_slice(&version.to_le_bytes());
    }
    if version >= GRAPH_VERSION {
        blob[header::MARGINS..header::INPUT].copy_from_slice(&needs.margins(0));
    }
    if blob[header::INPUT_KIND] == 1 {
        let rows = needs.rows(0) as u16;
        blob[header::INPUT_ROWS..header::INPUT_SCALE].copy_from_slice(&rows.to_le_bytes());
    }
    for (index, home) in homes.iter().enumerate() {
        let record = record_mut(blob, index);
        let rows = if version >= GRAPH_VERSION {
            record[field::MARGINS..field::INPUT_ORDER].copy_from_slice(&needs.margins(index + 1));
            record[field::HOME..field::UNUSED].copy_from_slice(&home.to_le_bytes());
            needs.rows(index + 1) as u16
        } else {
            record[field::SOURCE..field::MARGINS].fill(0);
            needs.rows_of_additions(index) as u16
        };
        record[field::ROWS..field::OTHER].copy_from_slice(&rows.to_le_bytes());
    }
}

/// The header, of a graph until it is known what the model needs.
fn header(blob_len: usize, model: &Model<'_>, input: &Input<'_>) -> Option<[u8; HEADER_LEN]> {
    let mut fields = Fields([0; HEADER_LEN]);
    fields.put(header::MAGIC, MAGIC);
    fields.put(header::READER, IMAGES_VERSION.to_le_bytes());
    fields.put_u32(header::BLOB_LEN, blob_len)?;
    fields.put_u16(header::LAYERS, model.layers)?;
    fields.put_u16(header::LATENT_SIZE, model.latent_size)?;
    if let Input::Pictures(pictures) = input {
        fields.put(header::INPUT_KIND, [1]);
        fields.put_shape(header::INPUT, pictures.shape)?;
        fields.put(header::INPUT_SCALE, input.scale().to_le_bytes());
    }
    fields.put_u16(header::CLASSES, model.classes)?;
    fields.put_shape(header::OUTPUT, model.output)?;
    let numbers = match model.numbers {
        Numbers::Float => 1,
        Numbers::Int8 => 2,
        Numbers::Int4 => 3,
    };
    let range = match model.range {
        PixelRange::Signed => 1,
        PixelRange::Unsigned => 2,
    };
    fields.put(header::NUMBERS, [numbers, range]);
    fields.put(header::WORK, model.macs.to_le_bytes());
    Some(fields.0)
}

/// A layer's parameters as they stand in the blob.
#[derive(Default)]
struct Encoded {
    bytes: Vec<u8>,
    /// The shifts of the accumulator and of the multipliers.
    shifts: [u8; 2],
    /// What the quanta of an addition's inputs count.
    addends: [u16; 2],
}

struct Encoder<'a> {
    index: usize,
    spec: &'a LayerSpec,
    /// The output's shape in the blob.
    stored: Shape,
    numbers: Numbers,
    input: Shape,
    /// The model's, if this is its first layer.
    classes: Option<&'a Classes>,
}

impl Encoder<'_> {
    fn record(
        &self,
        parameters: &Encoded,
        scale: f32,
        start: usize,
    ) -> Result<[u8; RECORD_LEN], WriteError> {
        self.fields(parameters, scale, start)
            .map(|fields| fields.0)
            .ok_or(WriteError::TooLarge { layer: self.index })
    }

    fn fields(&self, parameters: &Encoded, scale: f32, start: usize) -> Option<Fields<RECORD_LEN>> {
        let none = Window {
            kernel: 0,
            stride: 0,
            padding: 0,
            output_padding: 0,
        };
        let (operator, window) = match self.spec.operator {
            Operator::Linear => (1, none),
            Operator::Conv2d(window) => (2, window),
            Operator::ConvTranspose2d(window) => (3, window),
            Operator::Upsample { factor } => (
                4,
                Window {
                    stride: factor,
                    ..none
                },
            ),
            Operator::Add { .. } => (5, none),
            Operator::Concat { .. } => (6, none),
            Operator::AvgPool2d(window) => (7, window),
        };
        let (activation, slope) = match self.spec.activation {
            Activation::None => (0, 0.0),
            Activation::Relu => (1, 0.0),
            Activation::LeakyRelu { slope } => (2, slope),
            Activation::Tanh => (3, 0.0),
            Activation::Sigmoid => (4, 0.0),
        };
        let mut fields = Fields([0; RECORD_LEN]);
        fields.put(field::OPERATOR, [operator]);
        fields.put(field::ACTIVATION, [activation]);
        fields.put_u8(field::KERNEL, window.kernel)?;
        fields.put_u8(field::STRIDE, window.stride)?;
        fields.put_u8(field::PADDING, window.padding)?;
        fields.put_u8(field::OUTPUT_PADDING, window.output_padding)?;
        fields.put(field::SHIFT, parameters.shifts);
        fields.put_shape(field::INPUT, self.input)?;
        fields.put_shape(field::OUTPUT, self.stored)?;
        if self.spec.operator == Operator::Linear && !check::is_vector(self.input) {
            fields.put(field::INPUT_ORDER, [1]);
        }
        fields.put(field::SLOPE, slope.to_le_bytes());
        fields.put(field::SCALE, scale.to_le_bytes());
        fields.put_u32(field::START, start)?;
        fields.put_u32(field::LENGTH, parameters.bytes.len())?;
        fields.put(field::CLASS_STEP, self.class_step().to_le_bytes());
        fields.put_u16(field::SOURCE, self.spec.source)?;
        fields.put_u16(field::OTHER, self.spec.operator.other().unwrap_or_default())?;
        let [own, other] = parameters.addends;
        fields.put(field::ADDENDS, own.to_le_bytes());
        fields.put(field::ADDENDS + 2, other.to_le_bytes());
        Some(fields)
    }

    fn class_step(&self) -> u16 {
        match self.classes.map(|classes| &classes.columns) {
            Some(Columns::Int8 { step, .. }) => *step,
            Some(Columns::Float(_)) | None => 0,
        }
    }

    fn parameters(&self) -> Result<Encoded, WriteError> {
        let mut encoded = self.own_parameters()?;
        if let Some(classes) = self.classes {
            encoded.bytes.extend(self.columns(classes)?);
        }
        Ok(encoded)
    }

    /// The class columns as they stand in the blob.
    fn columns(&self, classes: &Classes) -> Result<Vec<u8>, WriteError> {
        match (&classes.columns, self.numbers) {
            (Columns::Float(columns), Numbers::Float) => {
                let columns = self.each_class(classes.count, columns)?;
                Ok(columns.iter().flat_map(|x| x.to_le_bytes()).collect())
            }
            (Columns::Int8 { columns, .. }, Numbers::Int8 | Numbers::Int4) => {
                if columns.contains(&-128) {
                    return Err(WriteError::Weight { layer: self.index });
                }
                let columns = self.each_class(classes.count, columns)?;
                Ok(columns.iter().map(|&q| q as u8).collect())
            }
            _ => Err(WriteError::Mixed),
        }
    }

    /// `count` vectors over the outputs, from PyTorch's order to the blob's.
    fn each_class<T: Copy>(&self, count: usize, values: &[T]) -> Result<Vec<T>, WriteError> {
        let outputs = shape::outputs(self.spec.operator, self.spec.output);
        let expected = count.saturating_mul(outputs);
        self.check_len("numbers in class columns", values.len(), expected)?;
        let mut ordered = Vec::with_capacity(values.len());
        for column in values.chunks_exact(outputs.max(1)) {
            ordered.extend(self.vector("numbers in a class column", column)?);
        }
        Ok(ordered)
    }

    fn own_parameters(&self) -> Result<Encoded, WriteError> {
        match &self.spec.parameters {
            Parameters::None => {
                let outputs = shape::outputs(self.spec.operator, self.spec.output);
                self.check_len("parameters", 0, outputs)?;
                Ok(Encoded::default())
            }
            Parameters::Float { weights, bias } => {
                let bias = self.vector("biases", bias)?;
                let weights = self.weights(weights)?;
                let bytes = bias
                    .iter()
                    .chain(&weights)
                    .flat_map(|x| x.to_le_bytes())
                    .collect();
                Ok(Encoded {
                    bytes,
                    ..Encoded::default()
                })
            }
            Parameters::Int8 {
                weights,
                bias,
                multipliers,
                ..
            } => {
                let bias = self.vector("biases", bias)?;
                let multipliers = self.vector("multipliers", multipliers)?;
                let weights = self.weights(weights)?;
                let int4 = self.numbers == Numbers::Int4;
                if weights.iter().any(|&w| w == -128 || int4 && w % 16 != 0) {
                    return Err(WriteError::Weight { layer: self.index });
                }
                let mut bytes: Vec<u8> = bias.iter().flat_map(|x| x.to_le_bytes()).collect();
                let shifts = self.put_multipliers(&mut bytes, &multipliers)?;
                if int4 {
                    bytes.extend(weights.chunks(8).flat_map(pairs));
                } else {
                    bytes.extend(weights.iter().map(|&weight| weight as u8));
                }
                Ok(Encoded {
                    bytes,
                    shifts,
                    ..Encoded::default()
                })
            }
            Parameters::Add { multipliers, .. } => {
                let largest = multipliers[0].max(multipliers[1]);
                let unit = largest / MAX_HALF;
                let mut bytes = Vec::new();
                let shifts = self.put_multipliers(&mut bytes, &[unit])?;
                // A quotient is at most the largest; the cast makes 0 of what is below.
                let addends = multipliers.map(|multiplier| (multiplier / unit).round() as u16);
                Ok(Encoded {
                    bytes,
                    shifts,
                    addends,
                })
            }
        }
    }

    /// Puts the multipliers, LeakyReLU's behind them, and says their shifts.
    fn put_multipliers(
        &self,
        bytes: &mut Vec<u8>,
        multipliers: &[f64],
    ) -> Result<[u8; 2], WriteError> {
        let (shift, fixed) = self.fixed_point(multipliers)?;
        if self.numbers != Numbers::Int4 {
            bytes.extend(fixed.iter().flat_map(|x| x.to_le_bytes()));
            return Ok([shift, 0]);
        }
        let short = multiplier_shift(&fixed);
        for vector in fixed.chunks(multipliers.len().max(1)) {
            let halves = vector.iter().map(|m| (m >> short) as u16);
            bytes.extend(halves.flat_map(u16::to_le_bytes));
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        Ok([shift, short])
    }

    fn check_len(
        &self,
        what: &'static str,
        found: usize,
        expected: usize,
    ) -> Result<(), WriteError> {
        if found == expected {
            Ok(())
        } else {
            Err(WriteError::Length {
                layer: self.index,
                what,
                found,
                expected,
            })
        }
    }

    /// A vector over the outputs, from PyTorch's order to the blob's.
    fn vector<T: Copy>(&self, what: &'static str, values: &[T]) -> Result<Vec<T>, WriteError> {
        let LayerSpec {
            operator, output, ..
        } = *self.spec;
        self.check_len(what, values.len(), shape::outputs(operator, output))?;
        Ok(match operator {
            Operator::Linear => (0..values.len())
                .map(|o| values[channels_first(output, o)])
                .collect(),
            _ => values.to_vec(),
        })
    }

    /// The weights, from PyTorch's order to the blob's.
    fn weights<T: Copy + Default>(&self, values: &[T]) -> Result<Vec<T>, WriteError> {
        let (
            Self {
                numbers,
                input,
                stored,
                ..
            },
            LayerSpec {
                operator, output, ..
            },
        ) = (self, self.spec);
        let (inputs, outputs) = (input.channels, shape::outputs(*operator, *output));
        // What an output has a weight for, of each channel.
        let [rows, columns] = match operator {
            Operator::Conv2d(window) | Operator::ConvTranspose2d(window) => [window.kernel; 2],
            Operator::Linear => [input.height, input.width],
            _ => [1; 2],
        };
        let count = [inputs, rows, columns]
            .iter()
            .try_fold(outputs, |n, &m| n.checked_mul(m));
        let too_large = WriteError::TooLarge { layer: self.index };
        self.check_len("weights", values.len(), count.ok_or(too_large)?)?;
        let len = weights::weights(*operator, *numbers, *input, *stored);
        let mut ordered = vec![T::default(); usize::try_from(len).map_err(|_| too_large)?];
        for oc in 0..outputs {
            for ic in 0..inputs {
                let row = match operator {
                    Operator::Linear => channels_first(*output, oc) * inputs + ic,
                    Operator::ConvTranspose2d(_) => ic * outputs + oc,
                    _ => oc * inputs + ic,
                };
                for place in 0..rows * columns {
                    let at = [oc, place / columns, place % columns];
                    let to = weights::Places::of(*operator, *numbers, *input, *stored, at);
                    *ordered.get_mut(to.of_channel(ic)).ok_or(too_large)? =
                        values[row * rows * columns + place];
                }
            }
        }
        Ok(ordered)
    }

    /// The shift and the fixed-point multipliers, followed by LeakyReLU's for negative
    /// accumulators.
    fn fixed_point(&self, multipliers: &[f64]) -> Result<(u8, Vec<i32>), WriteError> {
        let unit = match self.spec.activation {
            Activation::Tanh | Activation::Sigmoid => 2048.0,
            _ => 1.0,
        };
        let largest = multipliers.iter().fold(0.0, |a: f64, &b| a.max(b)) * unit;
        // The most there can be, and the units that the fixed-point numbers are rounded to.
        let places = |shift| match self.numbers {
            Numbers::Int4 => {
                let unit = (to_fixed(largest, shift, 1.0) / MAX_HALF).log2().ceil();
                let unit = 2f64.powf(unit.clamp(0.0, 15.0));
                (MAX_HALF * unit, unit)
            }
            _ => (MAX_MULTIPLIER, 1.0),
        };
        let shift = (0..15)
            .find(|&s| to_fixed(largest, s, places(s).1) <= places(s).0)
            .unwrap_or(15);
        let (most, least) = places(shift);
        let mut fixed = Vec::new();
        let slopes: &[f64] = match self.spec.activation {
            Activation::LeakyRelu { slope } => &[1.0, f64::from(slope)],
            _ => &[1.0],
        };
        for (i, &slope) in slopes.iter().enumerate() {
            for (output, &multiplier) in multipliers.iter().enumerate() {
                let value = to_fixed(multiplier * unit * slope, shift, least);
                // A slope of zero still needs a multiplier: the least one gives 0 for every
                // accumulator that can occur.
                let value = if i == 1 { value.max(least) } else { value };
                if !(least..=most).contains(&value) {
                    return Err(WriteError::Multiplier {
                        layer: self.index,
                        output,
                    });
                }
                fixed.push(value as i32);
            }
        }
        Ok((shift, fixed))
    }
}

const MAX_MULTIPLIER: f64 = i32::MAX as f64;
/// The largest multiplier of an int4 layer, before its shift, and the largest addend of an addition.
const MAX_HALF: f64 = u16::MAX as f64;

/// The shift that an int4 layer's multipliers share.
fn multiplier_shift(multipliers: &[i32]) -> u8 {
    let all = multipliers.iter().fold(0, |all, m| all | m);
    let shift = 32u32.saturating_sub(all.leading_zeros()).saturating_sub(16);
    shift as u8
}

/// `multiplier * 2^(32 - shift)`, rounded to a multiple of `unit`.
fn to_fixed(multiplier: f64, shift: u8, unit: f64) -> f64 {
    (multiplier * (1u64 << (32 - u32::from(shift))) as f64 / unit).round() * unit
}

/// Up to eight int4 weights as they stand in the blob: the first four in low halves, the others in high ones.
fn pairs(weights: &[i8]) -> [u8; 4] {
    let bits = |i: usize| weights.get(i).map_or(0, |&weight| weight as u8 >> 4);
    core::array::from_fn(|i| bits(i) | bits(i + 4) << 4)
}

/// The place in channel-row-column order of what is at `place` in row-column-channel order.
fn channels_first(shape: Shape, place: usize) -> usize {
    let (pixel, channel) = (place / shape.channels.max(1), place % shape.channels.max(1));
    channel * shape.height * shape.width + pixel
}
