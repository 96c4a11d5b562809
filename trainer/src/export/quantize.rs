//! Post-training quantization to int8, or to int8 with weights of 4 bits: symmetric weights per output channel,
//! calibrated activations.
//!
//! Every scale in a [`Quantized`] network is the one that the integer path realizes (section 4.2 of
//! the blob format): a quantum of an accumulator is worth `input_scale * weight_scale[output]`.

use super::fold::{Folded, FoldedLayer};
use super::forward::Forward;
use super::scales::Plan;
use crate::engines::channels_last;
use crate::samples;
use crate::spec::Shape;
use pocketgan::{Activation, Operator, Rng, latent};

/// What activations are calibrated on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Calibration {
    /// Latents.
    Latents {
        /// Seed of the first one; the others follow.
        seed: u64,
        /// How many, each class in turn; raised to [`Calibration::LEAST`], and to the number of classes.
        count: usize,
    },
    /// Pictures: pixels, `(N, C, H, W)`, as the network reads them. Of a network that reads latents they are nothing.
    Pictures(Vec<u8>),
}

impl Calibration {
    /// The fewest latents that are used.
    pub const LEAST: usize = 512;
}

/// The usual latents.
impl Default for Calibration {
    fn default() -> Self {
        Self::Latents {
            seed: 1 << 32,
            count: 1024,
        }
    }
}

/// How fine weights are.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Weights {
    /// -127 to 127.
    #[default]
    Int8,
    /// Multiples of 16, -112 to 112: what 4 bits hold.
    Int4,
}

impl Weights {
    /// `x` as the nearest weight.
    fn nearest(self, x: f32) -> f32 {
        let [step, largest] = self.grid();
        ((x / step).round() * step).clamp(-largest, largest)
    }

    /// The scale for an output's weights: the largest weight takes the last quantum in int8; in int4, where a rounding
    /// costs more than a few weights cut off, whatever gives the least squared error.
    fn best_scale(self, weights: &[f32]) -> f32 {
        /// Scales that are tried, down to a half of the largest.
        const TRIES: u8 = 64;
        let [_, last] = self.grid();
        let largest = weights.iter().fold(0.0f32, |a, b| a.max(b.abs())) / last;
        if self == Self::Int8 || largest == 0.0 {
            return largest;
        }
        let error = |scale: f32| -> f32 {
            let errors = weights.iter().map(|w| w - scale * self.nearest(w / scale));
            errors.map(|error| error * error).sum()
        };
        let scales = (TRIES / 2..=TRIES).map(|i| largest * f32::from(i) / f32::from(TRIES));
        scales
            .min_by(|&a, &b| error(a).total_cmp(&error(b)))
            .unwrap_or(largest)
    }

    /// Rounds the weights of folded layers to what an export makes of them, but for outputs of next to no weights,
    /// which get coarser scales there, and for what int4 multipliers of 16 bits cost.
    pub fn round(self, layers: &mut [FoldedLayer]) {
        for layer in layers {
            let scales = each_output(layer).into_iter().map(|own| {
                let scale = self.best_scale(&own);
                match self {
                    Self::Int8 if scale > 0.0 => short(scale.into()),
                    _ => scale,
                }
            });
            let scales: Vec<f32> = scales.collect();
            for i in 0..layer.weight.len() {
                let scale = scales[layer.output_of_weight(i)];
                if scale > 0.0 {
                    layer.weight[i] = scale * self.nearest(layer.weight[i] / scale);
                }
            }
        }
    }

    /// The quanta from one weight to the next, and the largest weight.
    fn grid(self) -> [f32; 2] {
        match self {
            Self::Int8 => [1.0, 127.0],
            Self::Int4 => [16.0, 112.0],
        }
    }
}

/// A network in int8.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// How fine the weights are.
    pub weights: Weights,
    /// What it reads: a latent, whose components are worth 1/32 each, or a picture, whose pixels `p` are `p - 128`
    /// quanta of [`samples::PIXEL`].
    pub input: Shape,
    /// How many classes there are; 0 without.
    pub classes: usize,
    /// The layers, first to last.
    pub layers: Vec<QuantizedLayer>,
}

/// An int8 layer.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedLayer {
    /// The runtime's operator.
    pub operator: Operator,
    /// The number of the tensor that it reads, the first one if it reads two: 0 is the latent, `i + 1` what layer `i`
    /// gives.
    pub source: usize,
    /// The activation behind it.
    pub activation: Activation,
    /// Shape of its input, the first one if it has two.
    pub input: Shape,
    /// Shape of its output.
    pub output: Shape,
    /// In PyTorch's order, as fine as the network's weights are; empty for an upsample.
    pub weight: Vec<i8>,
    /// What a quantum of the weights is worth, for each output or output channel.
    pub weight_scale: Vec<f32>,
    /// For each output or output channel, in quanta of the accumulator.
    pub bias: Vec<i32>,
    /// The first layer of a network with classes: what each class adds to the bias, `[classes][features]`, -127 to
    /// 127. Empty otherwise.
    pub columns: Vec<i8>,
    /// What a quantum of the columns is worth, in quanta of the accumulator; 0 where there are none.
    pub class_step: u16,
    /// What a quantum of the input is worth.
    pub input_scale: f32,
    /// Of an addition: what a quantum of what is added to the input is worth. `None` of one that adds nothing, and
    /// rounds its input to other quanta, and of other layers.
    pub added_scale: Option<f32>,
    /// What a quantum of the output is worth.
    pub scale: f32,
    /// Whether the output's quanta are 0 to 255 (else -128 to 127).
    pub unsigned: bool,
}

impl QuantizedLayer {
    /// Whether the layer is an addition that adds nothing.
    pub fn is_copy(&self) -> bool {
        matches!(self.operator, Operator::Add { .. }) && self.added_scale.is_none()
    }

    /// What a quantum of the accumulator is worth, for each output or output channel.
    pub fn accumulator_scales(&self) -> impl Iterator<Item = f64> {
        let input_scale = f64::from(self.input_scale);
        let scales = self.weight_scale.iter();
        scales.map(move |&scale| f64::from(scale) * input_scale)
    }
}

/// Quantizes a folded network.
///
/// `calibration` must be of what it reads: without any pictures, the scales of a network that reads some are arbitrary.
pub fn quantize(folded: &Folded, weights: Weights, calibration: Calibration) -> Quantized {
    let plan = Plan::new(folded);
    let scales = calibrate(folded, &plan, &calibration);
    with_scales(folded, weights, &plan, &scales)
}

/// A network in int8 with the shapes of a folded one and any weights: for the limits of the blob's format alone.
pub fn blank(folded: &Folded) -> Quantized {
    let plan = Plan::new(folded);
    let scales = plan
        .kinds()
        .map(|(kind, _)| kind.fixed.unwrap_or(latent::SCALE));
    with_scales(folded, Weights::Int8, &plan, &scales.collect::<Vec<_>>())
}

/// A network in int8 whose tensors have the scale of their kind.
fn with_scales(folded: &Folded, weights: Weights, plan: &Plan, scales: &[f32]) -> Quantized {
    let scale_of = |tensor: usize| scales[plan.kind(tensor).0];
    let layers = plan.layers.iter().enumerate().map(|(index, planned)| {
        let layer = &planned.layer;
        let quantized = quantize_layer(layer, weights, scale_of(layer.source), scale_of(index + 1));
        QuantizedLayer {
            added_scale: match layer.operator {
                Operator::Add { from } if !planned.is_copy => Some(scale_of(from)),
                _ => None,
            },
            unsigned: plan.kind(index + 1).1.unsigned,
            ..quantized
        }
    });
    Quantized {
        weights,
        input: folded.input,
        classes: folded.classes,
        layers: layers.collect(),
    }
}

/// The largest bias in quanta: it leaves the accumulator room for the products.
const MAX_BIAS: f64 = (1 << 27) as f64;
/// The least multiplier: with 16 bits its rounding stays far below a quantum of the output, and so do
/// weights that are rounded to quanta as coarse as it asks for.
const MIN_MULTIPLIER: f64 = 1.0 / (1 << 16) as f64;

fn quantize_layer(
    layer: &FoldedLayer,
    weights: Weights,
    input_scale: f32,
    scale: f32,
) -> QuantizedLayer {
    let weight_scale = weight_scales(layer, weights, input_scale, scale);
    let weight = layer.weight.iter().enumerate().map(|(i, &weight)| {
        weights.nearest(weight / weight_scale[layer.output_of_weight(i)]) as i8
    });
    let bias = layer.bias.iter().zip(&weight_scale).map(|(&bias, &scale)| {
        (f64::from(bias) / (f64::from(scale) * f64::from(input_scale))).round() as i32
    });
    let (columns, class_step) = quantize_columns(layer, &weight_scale, input_scale);
    QuantizedLayer {
        operator: layer.operator,
        source: layer.source,
        activation: layer.activation,
        input: layer.input,
        output: layer.output,
        weight: weight.collect(),
        bias: bias.collect(),
        columns,
        class_step,
        weight_scale,
        input_scale,
        added_scale: None,
        scale,
        unsigned: false,
    }
}

/// The columns and their step, the least that all of them fit with.
fn quantize_columns(layer: &FoldedLayer, weight_scale: &[f32], input_scale: f32) -> (Vec<i8>, u16) {
    if layer.columns.is_empty() {
        return (Vec::new(), 0);
    }
    let scales = weight_scale.iter().cycle();
    let columns =
        layer.columns.iter().zip(scales).map(|(&number, &scale)| {
            f64::from(number) / (f64::from(scale) * f64::from(input_scale))
        });
    let columns: Vec<f64> = columns.collect();
    let largest = columns.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    let step = (largest / 127.0).ceil().max(1.0);
    let quanta = columns
        .iter()
        .map(|column| (column / step).round().clamp(-127.0, 127.0) as i8);
    (quanta.collect(), step as u16)
}

/// The largest step of the columns of a layer with `inputs` inputs: beyond it, rounding a column to steps would cost
/// more than rounding the weights does. These weigh latents, which are 32 quanta from 0 in the root mean square.
fn largest_step(inputs: usize) -> f64 {
    32.0 * (inputs as f64).sqrt()
}

/// The weights of each output or output channel.
fn each_output(layer: &FoldedLayer) -> Vec<Vec<f32>> {
    let mut each_output = vec![Vec::new(); layer.bias.len()];
    for (i, &weight) in layer.weight.iter().enumerate() {
        each_output[layer.output_of_weight(i)].push(weight);
    }
    each_output
}

/// Per output channel the scale that rounds the weights best, made coarser where the multiplier, the bias or a class's
/// column would otherwise leave its range (a channel of next to no weights).
fn weight_scales(layer: &FoldedLayer, weights: Weights, input_scale: f32, scale: f32) -> Vec<f32> {
    let unit = match layer.activation {
        Activation::Tanh | Activation::Sigmoid => 1.0 / 2048.0,
        _ => f64::from(scale),
    };
    let finest = MIN_MULTIPLIER * unit / f64::from(input_scale);
    let each_output = each_output(layer);
    let mut columns = vec![0.0f32; layer.bias.len()];
    for column in layer.columns.chunks_exact(columns.len().max(1)) {
        for (largest, number) in columns.iter_mut().zip(column) {
            *largest = largest.max(number.abs());
        }
    }
    let column_range = 127.0 * largest_step(layer.input.len()) * f64::from(input_scale);
    let scales = each_output.iter().zip(&layer.bias).zip(&columns);
    let scales = scales.map(|((own, &bias), &column)| {
        let for_bias = f64::from(bias).abs() / (f64::from(input_scale) * MAX_BIAS);
        let for_columns = f64::from(column) / column_range;
        f64::from(weights.best_scale(own))
            .max(finest)
            .max(for_bias)
            .max(for_columns)
    });
    let scales: Vec<f64> = scales.collect();
    match weights {
        Weights::Int8 => scales.into_iter().map(short).collect(),
        Weights::Int4 => with_short_multipliers(&scales, unit / f64::from(input_scale)),
    }
}

/// `scales` rounded up so that each is a number of 16 bits times `unit` and a power of two, the same for all of them.
/// The multipliers of an int4 blob then say them exactly.
fn with_short_multipliers(scales: &[f64], unit: f64) -> Vec<f32> {
    let largest = scales.iter().fold(0.0, |a: f64, &b| a.max(b));
    let quantum = 2f64.powi((largest / unit / 65_535.0).log2().ceil() as i32) * unit;
    let short = scales
        .iter()
        .map(|scale| (scale / quantum).ceil() * quantum);
    short.map(|scale| scale as f32).collect()
}

/// `scale` rounded up to 7 significant bits. Latents being multiples of 1/32, a float engine then sums
/// the first layer without rounding, and its quanta differ from the integer ones by next to nothing.
fn short(scale: f64) -> f32 {
    let unit = 2f64.powi(scale.log2().floor() as i32 - 6);
    ((scale / unit).ceil() * unit) as f32
}

/// The scale of each kind of quanta.
fn calibrate(folded: &Folded, plan: &Plan, calibration: &Calibration) -> Vec<f32> {
    let forward = Forward::new(folded);
    let each_input = |visit: &mut dyn FnMut(usize, &[f32])| match calibration {
        Calibration::Latents { seed, count } if !folded.reads_pictures() => {
            let mut latent = vec![0; folded.input.len()];
            let count = (*count).max(Calibration::LEAST).max(folded.classes);
            for i in 0..count {
                latent::fill(&mut Rng::new(seed.wrapping_add(i as u64)), &mut latent);
                let values = latent.iter().map(|&q| f32::from(q) * latent::SCALE);
                forward.run(values.collect(), i % folded.classes.max(1), &mut *visit);
            }
        }
        Calibration::Pictures(pixels) if folded.reads_pictures() => {
            for picture in pixels.chunks_exact(folded.input.len()) {
                let values = samples::from_pixels(&channels_last(folded.input, picture));
                forward.run(values, 0, &mut *visit);
            }
        }
        _ => {}
    };
    let mut largest = vec![0.0f32; folded.layers.len() + 1];
    each_input(&mut |tensor, values| {
        let values = values.iter().map(|value| value.abs());
        largest[tensor] = values.fold(largest[tensor], f32::max);
    });
    let mut histograms: Vec<Histogram> = plan
        .kinds()
        .map(|(_, rounded)| Histogram::new(rounded.iter().map(|&t| largest[t]).fold(0.0, f32::max)))
        .collect();
    // Of each tensor of the folded network, the kinds of quanta that its values are rounded to.
    let mut kinds_of = vec![Vec::new(); largest.len()];
    for (place, (kind, rounded)) in plan.kinds().enumerate() {
        for tensor in rounded {
            if kind.fixed.is_none() {
                kinds_of[tensor].push(place);
            }
        }
    }
    each_input(&mut |tensor, values| {
        for &place in &kinds_of[tensor] {
            histograms[place].add(values);
        }
    });
    let kinds = plan.kinds().zip(&histograms);
    kinds
        .map(|((kind, _), histogram)| match (kind.fixed, kind.unsigned) {
            (Some(scale), _) => scale,
            (None, true) => histogram.best_scale(0.0, 255.0),
            (None, false) => histogram.best_scale(-128.0, 127.0),
        })
        .collect()
}

/// How often values fall where between `-largest` and `largest`.
struct Histogram {
    largest: f32,
    counts: Vec<u64>,
}

impl Histogram {
    /// Bins on each side of zero: 32 a quantum of an unsigned scale without clipping.
    const BINS: usize = 8192;

    fn new(largest: f32) -> Self {
        Self {
            largest,
            counts: vec![0; 2 * Self::BINS],
        }
    }

    fn add(&mut self, values: &[f32]) {
        if self.largest == 0.0 {
            return;
        }
        let bins = Self::BINS as f32;
        for value in values {
            let bin = (value / self.largest * bins + bins) as usize;
            // Exact zeros, which a ReLU makes many of, cost nothing at any scale.
            if *value != 0.0 {
                self.counts[bin.min(2 * Self::BINS - 1)] += 1;
            }
        }
    }

    /// The scale whose quanta from `low` to `high` give the least mean squared error, over a grid
    /// of clipping points.
    fn best_scale(&self, low: f64, high: f64) -> f32 {
        const GRID: usize = 100;
        if self.largest == 0.0 {
            return (1.0 / high) as f32;
        }
        let scales = (GRID / 5..=GRID)
            .map(|i| f64::from(self.largest) * i as f64 / GRID as f64 / high)
            .map(|scale| (self.squared_error(scale, low, high), scale));
        let best = scales.min_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or(self.largest, |(_, scale)| scale as f32)
    }

    fn squared_error(&self, scale: f64, low: f64, high: f64) -> f64 {
        let width = f64::from(self.largest) / Self::BINS as f64;
        let bins = self.counts.iter().enumerate().filter(|(_, n)| **n > 0);
        bins.map(|(bin, &count)| {
            let value = (bin as f64 + 0.5 - Self::BINS as f64) * width;
            let error = value - (value / scale).round().clamp(low, high) * scale;
            count as f64 * error * error
        })
        .sum()
    }
}
