//! Changes of the layers of a blob after which shapes, lengths, places, work, rows, margins and homes agree again: what
//! is still wrong then is one number out of its range, or nothing.

use pocketgan::Rng;

use crate::forge::between;
use crate::layers::{
    Blob, FLOAT, Layer, MAX_LAYERS, RECORD_LEN, activation, field, header, operator, put,
};

/// Numbers at and just beyond the edges of their ranges.
const EDGES: [u16; 12] = [0, 1, 2, 3, 4, 7, 8, 9, 16, 17, 4096, 4097];
/// What a quantum of a new layer's output is worth, where the format does not say it.
const SCALE: f32 = 0.02;

/// The blob with so many changes of its layers, not yet sealed; `None` if it is none, would be longer than `max_len` or
/// cannot be made to agree.
pub fn restructure(blob: &[u8], changes: usize, max_len: usize, rng: &mut Rng) -> Option<Vec<u8>> {
    let mut blob = Blob::read(blob)?;
    for _ in 0..changes {
        change(&mut blob, rng);
    }
    blob.connect(max_len, rng)?;
    blob.assemble(max_len)
}

fn change(blob: &mut Blob, rng: &mut Rng) {
    let numbers = blob.header[header::NUMBERS];
    let count = blob.layers.len();
    let index = between(rng, 0, count - 1);
    let layer = &mut blob.layers[index];
    match rng.below(16) {
        0 => layer.set_operator(between(rng, 1, 7) as u8),
        1 => layer.set_activation(between(rng, 0, 4) as u8, numbers),
        2..=5 => {
            let fields = [
                field::KERNEL,
                field::STRIDE,
                field::PADDING,
                field::OUTPUT_PADDING,
            ];
            layer.record[fields[between(rng, 0, 3)]] = number(rng) as u8;
        }
        6 => layer.put(field::OUTPUT + 2 * between(rng, 0, 2), number(rng).into()),
        7 => {
            let at = if blob.reads_pictures() {
                header::INPUT + 2 * between(rng, 0, 2)
            } else {
                [header::LATENT_SIZE, header::CLASSES][between(rng, 0, 1)]
            };
            put(&mut blob.header, at, number(rng));
        }
        8 if count > 1 => remove(&mut blob.layers, index),
        8..=9 => {
            let copy = layer.clone();
            insert(&mut blob.layers, index, copy);
        }
        10..=11 => layer.put(field::SOURCE, between(rng, 0, index)),
        12 => layer.put(field::OTHER, between(rng, 0, index)),
        13 => {
            let addend = [number(rng), rng.next_u32() as u16][between(rng, 0, 1)];
            layer.put(field::ADDENDS + 2 * between(rng, 0, 1), addend.into());
        }
        // Any home but 0 stands for the one that there can be.
        14 => layer.put(field::HOME, between(rng, 0, 1)),
        _ => {
            let join = joined(between(rng, 0, index + 1), numbers, rng);
            insert(&mut blob.layers, index, join);
        }
    }
}

fn number(rng: &mut Rng) -> u16 {
    match rng.below(3) {
        0 => EDGES[between(rng, 0, EDGES.len() - 1)],
        _ => between(rng, 1, 9) as u16,
    }
}

/// An addition or a concatenation with a tensor.
fn joined(other: usize, numbers: u8, rng: &mut Rng) -> Layer {
    let mut layer = Layer::new([0; RECORD_LEN]);
    layer.record[field::OPERATOR] =
        [operator::ADDITION, operator::CONCATENATION][between(rng, 0, 1)];
    layer.put(field::OTHER, other);
    layer.set_activation(0, numbers);
    layer.put(field::ADDENDS, number(rng).into());
    layer.put(field::ADDENDS + 2, number(rng).into());
    layer
}

/// Puts a layer after another one, whose output it reads in place of all that read it.
fn insert(layers: &mut Vec<Layer>, index: usize, mut layer: Layer) {
    if layers.len() >= MAX_LAYERS {
        return;
    }
    let made = index + 1;
    layer.put(field::SOURCE, made);
    for (at, later) in layers.iter_mut().enumerate() {
        // The layers before name no later tensor but a home.
        let fields: &[usize] = if at > index {
            &[field::SOURCE, field::OTHER, field::HOME]
        } else {
            &[field::HOME]
        };
        for &field in fields {
            let tensor = later.get(field);
            if tensor >= made {
                later.put(field, tensor + 1);
            }
        }
    }
    layers.insert(made, layer);
}

/// Takes out a layer; what read its output reads its input.
fn remove(layers: &mut Vec<Layer>, index: usize) {
    let (made, source) = (index + 1, layers[index].get(field::SOURCE));
    layers.remove(index);
    for layer in layers {
        for field in [field::SOURCE, field::OTHER] {
            let tensor = layer.get(field);
            if tensor == made {
                layer.put(field, source);
            } else if tensor > made {
                layer.put(field, tensor - 1);
            }
        }
    }
}

impl Layer {
    /// Makes it another operator, with fields that it can have.
    fn set_operator(&mut self, operator: u8) {
        let record = &mut self.record;
        record[field::OPERATOR] = operator;
        let (least_kernel, least_stride) = match operator {
            operator::CONVOLUTION | operator::TRANSPOSED => (1, 1),
            operator::POOLING => (2, 1),
            operator::UPSAMPLE => (0, 1),
            _ => (0, 0),
        };
        for (field, least) in [(field::KERNEL, least_kernel), (field::STRIDE, least_stride)] {
            record[field] = match least {
                0 => 0,
                _ => record[field].max(least),
            };
        }
        if !matches!(operator, operator::CONVOLUTION | operator::TRANSPOSED) {
            record[field::PADDING] = 0;
        }
        if operator != operator::TRANSPOSED {
            record[field::OUTPUT_PADDING] = 0;
        }
        if self.keeps_quanta() {
            self.record[field::SHIFT..=field::MULTIPLIER_SHIFT].fill(0);
            self.record[field::ACTIVATION] = 0;
            self.record[field::SLOPE..field::SCALE].fill(0);
        }
    }

    /// Gives it another activation, with the slope and the scale that it can have.
    fn set_activation(&mut self, activation: u8, numbers: u8) {
        self.record[field::ACTIVATION] = activation;
        let slope: f32 = match activation {
            activation::LEAKY_RELU => 0.2,
            _ => 0.0,
        };
        let scale = match activation {
            _ if numbers == FLOAT => 0.0,
            activation::TANH => 1.0 / 128.0,
            activation::SIGMOID => 1.0 / 256.0,
            _ => SCALE,
        };
        for (at, number) in [(field::SLOPE, slope), (field::SCALE, scale)] {
            self.record[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
    }
}
