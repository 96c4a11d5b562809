//! A blob taken apart into its header and layers, and put together again: the offsets and lengths of sections 1, 3, 6
//! and 7 of the blob format.

pub const HEADER_LEN: usize = 64;
pub const RECORD_LEN: usize = 64;
const CRC_LEN: usize = 4;
/// One more layer than there can be.
pub const MAX_LAYERS: usize = 65;
/// The version that brought graphs.
pub const GRAPH_VERSION: u16 = 5;
/// The version that brought pictures.
pub const IMAGES_VERSION: u16 = 6;
/// Values of a pixel.
const PIXELS: usize = 256;

/// Offsets in the header.
pub mod header {
    pub const WRITTEN: usize = 8;
    pub const READER: usize = 10;
    pub const LAYERS: usize = 16;
    pub const LATENT_SIZE: usize = 18;
    pub const CLASSES: usize = 20;
    pub const OUTPUT: usize = 22;
    pub const NUMBERS: usize = 28;
    pub const RANGE: usize = 29;
    pub const INPUT_KIND: usize = 30;
    pub const WORK: usize = 32;
    pub const MARGINS: usize = 40;
    pub const INPUT: usize = 42;
    pub const INPUT_ROWS: usize = 48;
    pub const INPUT_SCALE: usize = 50;
}

/// Offsets in a record.
pub mod field {
    pub const OPERATOR: usize = 0;
    pub const ACTIVATION: usize = 1;
    pub const KERNEL: usize = 2;
    pub const STRIDE: usize = 3;
    pub const PADDING: usize = 4;
    pub const OUTPUT_PADDING: usize = 5;
    pub const SHIFT: usize = 6;
    pub const MULTIPLIER_SHIFT: usize = 7;
    pub const INPUT: usize = 8;
    pub const OUTPUT: usize = 14;
    pub const SLOPE: usize = 20;
    pub const SCALE: usize = 24;
    pub const START: usize = 28;
    pub const LENGTH: usize = 32;
    pub const CLASS_STEP: usize = 36;
    pub const ROWS: usize = 38;
    pub const OTHER: usize = 40;
    pub const ADDENDS: usize = 42;
    pub const SOURCE: usize = 46;
    pub const MARGINS: usize = 48;
    pub const INPUT_ORDER: usize = 50;
    pub const HOME: usize = 52;
}

/// The numbers of the operators.
pub mod operator {
    pub const LINEAR: u8 = 1;
    pub const CONVOLUTION: u8 = 2;
    pub const TRANSPOSED: u8 = 3;
    pub const UPSAMPLE: u8 = 4;
    pub const ADDITION: u8 = 5;
    pub const CONCATENATION: u8 = 6;
    pub const POOLING: u8 = 7;
}

/// The numbers of the activations that more than one place knows.
pub mod activation {
    pub const RELU: u8 = 1;
    pub const LEAKY_RELU: u8 = 2;
    pub const TANH: u8 = 3;
    pub const SIGMOID: u8 = 4;
}

/// Kinds of numbers.
pub const FLOAT: u8 = 1;
const INT8: u8 = 2;
pub const INT4: u8 = 3;

/// Height, width and channels.
pub type Extents = [u64; 3];

/// Parts of a layer's parameters: bias, multipliers, what fills their last word, the same two for negative
/// accumulators, weights and class columns.
const PARTS: usize = 7;
const WEIGHTS: usize = 5;
/// The byte that a part is filled with where it grows: numbers that every field can hold.
const FILLINGS: [u8; PARTS] = [0, 1, 0, 1, 0, 1, 1];

/// A header and layers. The layers of a chain name the tensors that they read as those of a graph do.
pub struct Blob {
    pub header: [u8; HEADER_LEN],
    /// What the values of pixels are (10.1), of a model that reads pictures.
    table: Vec<u8>,
    pub layers: Vec<Layer>,
}

#[derive(Clone)]
pub struct Layer {
    pub record: [u8; RECORD_LEN],
    parts: [Vec<u8>; PARTS],
}

impl Blob {
    /// What the bytes say; `None` if they are too short for a layer.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let header: [u8; HEADER_LEN] = *bytes.first_chunk()?;
        let count = usize::from(get(&header, header::LAYERS)).clamp(1, MAX_LAYERS);
        let records = bytes.get(HEADER_LEN..)?.as_chunks().0.iter().take(count);
        let is_chain = get(&header, header::READER) < GRAPH_VERSION;
        let mut classes = get(&header, header::CLASSES).into();
        let layer = |(index, &record): (usize, &[u8; RECORD_LEN])| {
            let start = get_u32(&record, field::START) as usize;
            let rest = bytes.get(start..).unwrap_or_default();
            let len = rest.len().min(get_u32(&record, field::LENGTH) as usize);
            let mut parameters = &rest[..len];
            let mut layer = Layer::new(record);
            let lengths = layer.part_lengths(header[header::NUMBERS], classes);
            for (part, len) in layer.parts.iter_mut().zip(lengths) {
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let (own, rest) = parameters.split_at(len.min(parameters.len()));
                (*part, parameters) = (own.to_vec(), rest);
            }
            if is_chain {
                layer.put(field::SOURCE, index);
            }
            classes = 0;
            layer
        };
        let layers: Vec<Layer> = records.enumerate().map(layer).collect();
        let start = HEADER_LEN + RECORD_LEN * layers.len();
        let mut blob = Self {
            header,
            table: Vec::new(),
            layers,
        };
        let table = bytes.get(start..).unwrap_or_default().iter();
        blob.table = table.take(blob.table_len()).copied().collect();
        (!blob.layers.is_empty()).then_some(blob)
    }

    /// Whether the model reads pictures.
    pub fn reads_pictures(&self) -> bool {
        self.header[header::INPUT_KIND] == 1
    }

    fn table_len(&self) -> usize {
        match self.header[header::NUMBERS] {
            _ if !self.reads_pictures() => 0,
            FLOAT => 4 * PIXELS,
            _ => PIXELS,
        }
    }

    /// The bytes, not yet sealed; `None` if there are more than `max_len`.
    pub fn assemble(&self, max_len: usize) -> Option<Vec<u8>> {
        let mut bytes = self.header.to_vec();
        put(&mut bytes, header::LAYERS, self.layers.len() as u16);
        bytes.resize(HEADER_LEN + RECORD_LEN * self.layers.len(), 0);
        bytes.extend(&self.table);
        bytes.resize(
            HEADER_LEN + RECORD_LEN * self.layers.len() + self.table_len(),
            0,
        );
        for (index, layer) in self.layers.iter().enumerate() {
            bytes.resize(bytes.len().next_multiple_of(16), 0);
            let start = bytes.len();
            layer.parts.iter().for_each(|part| bytes.extend(part));
            let len = bytes.len() - start;
            let record = &mut bytes[HEADER_LEN + RECORD_LEN * index..][..RECORD_LEN];
            record.copy_from_slice(&layer.record);
            for (at, value) in [(field::START, start), (field::LENGTH, len)] {
                record[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
            }
        }
        bytes.resize(bytes.len() + CRC_LEN, 0);
        (bytes.len() <= max_len).then_some(bytes)
    }

    pub fn has_additions(&self) -> bool {
        let is_addition = |layer: &Layer| layer.operator() == operator::ADDITION;
        self.layers.iter().any(is_addition)
    }

    pub fn is_float(&self) -> bool {
        self.header[header::NUMBERS] == FLOAT
    }
}

impl Layer {
    /// A layer without parameters.
    pub fn new(record: [u8; RECORD_LEN]) -> Self {
        let parts = Default::default();
        Self { record, parts }
    }

    pub fn byte(&self, at: usize) -> u64 {
        self.record[at].into()
    }

    pub fn get(&self, at: usize) -> usize {
        get(&self.record, at).into()
    }

    pub fn put(&mut self, at: usize, value: usize) {
        put(&mut self.record, at, value as u16);
    }

    pub fn extents(&self, at: usize) -> Extents {
        [0, 2, 4].map(|axis| get(&self.record, at + axis).into())
    }

    pub fn put_extents(&mut self, at: usize, extents: Extents) {
        put_extents(&mut self.record, at, extents);
    }

    pub fn operator(&self) -> u8 {
        self.record[field::OPERATOR]
    }

    /// Whether the layer reads two tensors.
    pub fn joins(&self) -> bool {
        matches!(
            self.operator(),
            operator::ADDITION | operator::CONCATENATION
        )
    }

    /// Whether it is a linear layer over an image (10.2).
    pub fn reads_image(&self) -> bool {
        self.operator() == operator::LINEAR && self.record[field::INPUT_ORDER] == 1
    }

    /// The tensors that the layer reads.
    pub fn reads(&self) -> impl Iterator<Item = usize> {
        let other = self.joins().then(|| self.get(field::OTHER));
        std::iter::once(self.get(field::SOURCE)).chain(other)
    }

    /// Whether quanta stay what they are.
    pub fn keeps_quanta(&self) -> bool {
        matches!(
            self.operator(),
            operator::UPSAMPLE | operator::CONCATENATION | operator::POOLING
        )
    }

    /// The multiply-accumulates (2.3).
    pub fn work(&self) -> u64 {
        let [input, output] = [field::INPUT, field::OUTPUT].map(|at| self.extents(at));
        let taps = self.byte(field::KERNEL).pow(2);
        let elements = product(&output);
        match self.operator() {
            operator::LINEAR => elements.saturating_mul(product(&input)),
            operator::CONVOLUTION => elements.saturating_mul(taps).saturating_mul(input[2]),
            operator::TRANSPOSED => product(&input)
                .saturating_mul(taps)
                .saturating_mul(output[2]),
            operator::ADDITION => elements.saturating_mul(2),
            operator::CONCATENATION => elements,
            operator::POOLING => elements.saturating_mul(taps),
            _ => 0,
        }
    }

    /// Makes the parameters as long as they must be; `None` if that is more than `max_len`.
    pub fn resize(&mut self, numbers: u8, classes: u64, max_len: usize) -> Option<()> {
        let lengths = self.part_lengths(numbers, classes);
        let all = lengths
            .iter()
            .fold(0, |sum: u64, &len| sum.saturating_add(len));
        if all > max_len as u64 {
            return None;
        }
        for ((part, len), filling) in self.parts.iter_mut().zip(lengths).zip(FILLINGS) {
            part.resize(len as usize, filling);
        }
        if numbers == INT4
            && self.weights(numbers) % 8 == 4
            && let Some(last) = self.parts[WEIGHTS].last_chunk_mut::<4>()
        {
            *last = last.map(|byte| byte & 0x0f);
        }
        Some(())
    }

    /// How many weights there are, those that fill groups of four with them (3.2).
    fn weights(&self, numbers: u8) -> u64 {
        let [input, output] = [field::INPUT, field::OUTPUT].map(|at| self.extents(at));
        let full = |channels: u64| match numbers {
            INT8 | INT4 => channels.next_multiple_of(4),
            _ => channels,
        };
        match self.operator() {
            operator::LINEAR => product(&[
                input[0],
                input[1],
                output[0],
                output[1],
                full(output[2]),
                full(input[2]),
            ]),
            operator::CONVOLUTION | operator::TRANSPOSED => {
                self.byte(field::KERNEL).pow(2) * output[2] * full(input[2])
            }
            _ => 0,
        }
    }

    /// The lengths of the parts in bytes (3, 6, 7).
    fn part_lengths(&self, numbers: u8, classes: u64) -> [u64; PARTS] {
        let output = self.extents(field::OUTPUT);
        let outputs = match self.operator() {
            operator::LINEAR => product(&output),
            operator::CONVOLUTION | operator::TRANSPOSED => output[2],
            _ => 0,
        };
        let multipliers = match self.operator() {
            operator::ADDITION => 1,
            _ => outputs,
        };
        let negative = match self.record[field::ACTIVATION] {
            activation::LEAKY_RELU => multipliers,
            _ => 0,
        };
        let bias = outputs.saturating_mul(4);
        let (weights, columns) = (self.weights(numbers), outputs.saturating_mul(classes));
        match numbers {
            INT8 => [
                bias,
                multipliers.saturating_mul(4),
                0,
                negative.saturating_mul(4),
                0,
                weights,
                columns,
            ],
            INT4 => [
                bias,
                multipliers.saturating_mul(2),
                multipliers % 2 * 2,
                negative.saturating_mul(2),
                negative % 2 * 2,
                weights.div_ceil(8).saturating_mul(4),
                columns,
            ],
            _ => {
                let [weights, columns] = [weights, columns].map(|count| count.saturating_mul(4));
                [bias, 0, 0, 0, 0, weights, columns]
            }
        }
    }
}

fn product(factors: &[u64]) -> u64 {
    factors
        .iter()
        .fold(1, |product, &factor| product.saturating_mul(factor))
}

pub fn get(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |&bytes| u16::from_le_bytes(bytes))
}

fn get_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from(get(bytes, at)) | u32::from(get(bytes, at + 2)) << 16
}

pub fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

pub fn put_extents(bytes: &mut [u8], at: usize, extents: Extents) {
    for (axis, extent) in extents.into_iter().enumerate() {
        put(bytes, at + 2 * axis, extent as u16);
    }
}
