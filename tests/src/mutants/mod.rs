//! Mutants: int8 blobs with one small fault each, to see which of them `trainer verify` finds.

mod experiment;

pub use experiment::{Experiment, Tally};

use pocketgan::{Activation, Layer, Model, Operator, Rng};

/// What is wrong with a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A requantization multiplier is off by one unit of its last place.
    Multiplier,
    /// A bias is off by what moves the output by one quantum (behind tanh and sigmoid, where they are steepest).
    Bias,
    /// A weight is off by 8.
    Weight,
    /// Two taps of an output channel are swapped, in all its input channels.
    Taps,
    /// Two phases of an output channel of a transposed convolution are swapped, in all its input channels.
    Phases,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Multiplier,
        Self::Bias,
        Self::Weight,
        Self::Taps,
        Self::Phases,
    ];
}

/// An int8 blob with a fault in one output (linear) or output channel of one layer.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// The layer.
    pub layer: usize,
    /// The output or output channel.
    pub output: usize,
    /// The blob's bytes; the reader takes them.
    pub blob: Vec<u8>,
}

impl Mutant {
    /// A mutant of the int8 blob `original`, drawn by `rng`; none if its layers do not have what is to be faulty.
    pub fn draw(original: &[u8], fault: Fault, rng: &mut Rng) -> Option<Self> {
        let model = Model::parse(original).expect("a blob of ours");
        let layers = (0..model.layer_count()).filter(|&i| has(&model.layer(i), fault));
        let layers: Vec<usize> = layers.collect();
        // A fault that the format refuses is drawn again.
        for _ in 0..100 {
            let layer = *layers.get(below(rng, layers.len().max(1)))?;
            let mut blob = original.to_vec();
            let output = Spot::new(original, layer).spoil(&mut blob, fault, rng);
            seal(&mut blob);
            if Model::parse(&blob).is_ok() {
                return Some(Self {
                    layer,
                    output,
                    blob,
                });
            }
        }
        None
    }
}

/// Whether a layer has what a fault needs.
fn has(layer: &Layer<'_>, fault: Fault) -> bool {
    match (fault, layer.operator) {
        (_, operator) if !operator.has_weights() => false,
        (Fault::Multiplier | Fault::Bias | Fault::Weight, _) => true,
        (Fault::Taps, Operator::Conv2d(window)) => window.kernel > 1,
        (Fault::Taps, Operator::ConvTranspose2d(window)) => window.kernel > window.stride,
        (Fault::Phases, Operator::ConvTranspose2d(window)) => window.stride > 1,
        (Fault::Taps | Fault::Phases, _) => false,
    }
}

fn below(rng: &mut Rng, n: usize) -> usize {
    rng.next_u32() as usize % n
}

/// Where a layer's parameters lie in the blob (sections 1.2 and 3 of its format).
struct Spot<'a> {
    layer: Layer<'a>,
    bias: usize,
    multipliers: usize,
    weights: usize,
}

impl<'a> Spot<'a> {
    fn new(blob: &'a [u8], index: usize) -> Self {
        let layer = Model::parse(blob).expect("a blob of ours").layer(index);
        let bias = word(blob, 64 + 64 * index + 28) as usize;
        let vector = 4 * layer.outputs();
        let vectors = match layer.activation {
            Activation::LeakyRelu { .. } => 3,
            _ => 2,
        };
        Self {
            layer,
            bias,
            multipliers: bias + vector,
            weights: bias + vectors * vector,
        }
    }

    /// Puts a fault into `blob`; says in which output or output channel.
    fn spoil(&self, blob: &mut [u8], fault: Fault, rng: &mut Rng) -> usize {
        let output = below(rng, self.layer.outputs());
        let sign = [-1, 1][below(rng, 2)];
        match fault {
            Fault::Multiplier => add(blob, self.multipliers + 4 * output, sign),
            Fault::Bias => add(blob, self.bias + 4 * output, sign * self.quantum(output)),
            Fault::Weight => {
                let [ky, kx] = [0; 2].map(|_: i32| below(rng, kernel_of(&self.layer)));
                let ic = below(rng, self.layer.input.channels);
                let at = self.weight(output, [ky, kx], ic);
                let weight = i32::from(blob[at] as i8);
                // To the other side where this one has no room.
                let step = if (weight + 8 * sign).abs() > 127 {
                    -8 * sign
                } else {
                    8 * sign
                };
                blob[at] = (weight + step) as u8;
            }
            Fault::Taps | Fault::Phases => {
                for (a, b) in self.places_to_swap(fault, rng) {
                    for ic in 0..self.layer.input.channels {
                        blob.swap(self.weight(output, a, ic), self.weight(output, b, ic));
                    }
                }
            }
        }
        output
    }

    /// Where a weight lies.
    fn weight(&self, output: usize, [ky, kx]: [usize; 2], ic: usize) -> usize {
        self.weights + self.layer.weight_index(output, ky, kx, ic)
    }

    /// How many units of an output's accumulator make a quantum of the output.
    fn quantum(&self, output: usize) -> i32 {
        let units = match self.layer.activation {
            Activation::Tanh => 2048.0 / 128.0,
            Activation::Sigmoid => 4.0 * 2048.0 / 256.0,
            _ => 1.0,
        };
        let [multiplier, _] = self.layer.multipliers(output);
        let factor = f64::from(multiplier) * f64::from(1 << self.layer.shift) / 2f64.powi(32);
        (units / factor).round().max(1.0) as i32
    }

    /// Pairs of kernel places: two taps of one phase, or all of two phases.
    fn places_to_swap(&self, fault: Fault, rng: &mut Rng) -> Vec<([usize; 2], [usize; 2])> {
        let kernel = kernel_of(&self.layer);
        // Kernel places of one remainder modulo this make up a phase.
        let stride = match self.layer.operator {
            Operator::ConvTranspose2d(window) => window.stride,
            _ => 1,
        };
        let mut place = || [below(rng, kernel), below(rng, kernel)];
        let phase = |[y, x]: [usize; 2]| [y % stride, x % stride];
        loop {
            let (a, b) = (place(), place());
            match fault {
                Fault::Taps if a != b && phase(a) == phase(b) => return vec![(a, b)],
                Fault::Phases if phase(a) != phase(b) => {
                    let places = |start: usize| (start..kernel).step_by(stride);
                    let ([ay, ax], [by, bx]) = (phase(a), phase(b));
                    let rows = places(ay).zip(places(by));
                    return rows
                        .flat_map(|(ay, by)| {
                            let columns = places(ax).zip(places(bx));
                            columns.map(move |(ax, bx)| ([ay, ax], [by, bx]))
                        })
                        .collect();
                }
                _ => {}
            }
        }
    }
}

/// Rows and columns of a layer's kernel.
fn kernel_of(layer: &Layer<'_>) -> usize {
    match layer.operator {
        Operator::Conv2d(window) | Operator::ConvTranspose2d(window) => window.kernel,
        _ => 1,
    }
}

fn word(bytes: &[u8], at: usize) -> i32 {
    i32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn add(bytes: &mut [u8], at: usize, number: i32) {
    let sum = word(bytes, at).wrapping_add(number);
    bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
}

/// Writes the checksum that a blob ends in: the CRC-32 of zlib.
fn seal(blob: &mut [u8]) {
    let end = blob.len() - 4;
    let crc = !blob[..end].iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    blob[end..].copy_from_slice(&crc.to_le_bytes());
}
