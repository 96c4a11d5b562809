//! Pictures, pixel by pixel.
//!
//! A pixel's logits take one column of each layer, from what earlier pixels left: all pixels together come to one
//! forward pass.

use super::Levels;
use super::likelihood::log_sum_exp;
use crate::ops::cpu::vectorized;
use crate::parameters::{Parameters, ParametersError};
use crate::rng::{Rng, Stream};
use crate::spec::{Layer, Network, Shape, SpecError, Step, masked_taps};
use rayon::prelude::*;

/// Outputs that are added up together: as many as registers hold twice.
const BLOCK: usize = 32;

/// Draws pictures.
pub struct Sampler {
    levels: Levels,
    image: Shape,
    layers: Vec<Column>,
    /// Of each tensor, the channels, and how far the windows that read it reach from a pixel.
    tensors: Vec<(usize, usize)>,
}

/// Why a network draws no pictures.
#[derive(Debug, thiserror::Error)]
pub enum SamplerError {
    /// The specification is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The numbers are not the network's.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// A layer cannot be computed pixel by pixel.
    #[error("layer {index} ({name}) cannot be computed pixel by pixel")]
    Layer { index: usize, name: &'static str },
    /// The network does not tell the levels of grey pictures.
    #[error(
        "the network turns {input} into {output}, and not grey pictures into the logits of {levels} levels"
    )]
    Levels {
        input: Shape,
        output: Shape,
        levels: usize,
    },
}

/// A layer, and the tensors that it reads.
struct Column {
    work: Work,
    reads: Vec<usize>,
}

enum Work {
    Convolution(Convolution),
    Relu,
    Add,
    /// A row for each class.
    ClassBias(Vec<f32>),
}

/// A masked convolution.
struct Convolution {
    kernel: usize,
    taps: usize,
    /// For each block of outputs, a row of them for each tap and channel of the input; zeros fill up the last block.
    weights: Vec<[f32; BLOCK]>,
    /// As many as the blocks have outputs.
    bias: Vec<[f32; BLOCK]>,
}

/// A tensor of the picture in work: all places that windows still read, with zeros around them, or one place.
struct Map {
    channels: usize,
    reach: usize,
    width: usize,
    numbers: Vec<f32>,
}

impl Sampler {
    /// Of a network of masked convolutions, of as many levels as it gives each pixel logits.
    ///
    /// # Errors
    /// As [`Sampler::new`].
    pub fn of(network: &Network, parameters: &Parameters) -> Result<Self, SamplerError> {
        let levels = Levels::of(network)?;
        Self::new(network, parameters, levels)
    }

    /// The pixels, 0 to 255, of the pictures of the seeds `seed`, `seed + 1`, …, `(count, H, W)`, each of its own class
    /// if the network is told one. The bits do not depend on the number of threads.
    pub fn draw(&self, seed: u64, count: usize, classes: &[u32]) -> Vec<u8> {
        let pictures = (0..count).into_par_iter().flat_map_iter(|picture| {
            let class = classes.get(picture).copied();
            self.pixels(seed.wrapping_add(picture as u64), class)
        });
        pictures.collect()
    }

    fn pixels(&self, seed: u64, class: Option<u32>) -> Vec<u8> {
        let levels = self.sample(seed, class, &[]);
        levels
            .iter()
            .map(|&level| self.levels.pixel(level))
            .collect()
    }

    /// Of a network of masked convolutions.
    ///
    /// # Errors
    /// A network that is no PixelCNN of so many levels, or numbers that are not its.
    pub fn new(
        network: &Network,
        parameters: &Parameters,
        levels: Levels,
    ) -> Result<Self, SamplerError> {
        parameters.check(network)?;
        let (input, output) = (network.input, network.output()?);
        let logits = Shape::new(levels.count(), input.height, input.width);
        if input.channels != 1 || output != logits {
            return Err(SamplerError::Levels {
                input,
                output,
                levels: levels.count(),
            });
        }
        let mut tensors = vec![(input.channels, 0)];
        let mut layers = Vec::new();
        for step in network.walk()? {
            let work = Work::of(&step, parameters)?;
            if let Work::Convolution(convolution) = &work {
                let (_, reach) = &mut tensors[step.reads[0]];
                *reach = convolution.kernel.div_euclid(2).max(*reach);
            }
            layers.push(Column {
                work,
                reads: step.reads.clone(),
            });
            tensors.push((step.output.channels, 0));
        }
        Ok(Self {
            levels,
            image: input,
            layers,
            tensors,
        })
    }

    /// Draws the levels of the picture of a seed, `(H, W)`, of a class if the network is told one. Pixels that are
    /// `known` keep their levels: what is drawn after them is drawn given them. `known` has each pixel, or none.
    pub fn sample(&self, seed: u64, class: Option<u32>, known: &[Option<u8>]) -> Vec<u8> {
        let mut rng = Rng::new(seed, Stream::Pixels);
        self.run(class, |pixel, logits| {
            // One number a pixel, so that a picture does not depend on how much of another was known.
            let share = rng.uniform();
            let known = known.get(pixel).copied().flatten();
            known.unwrap_or_else(|| draw(logits, share))
        })
    }

    /// The logits of each pixel of a picture of levels, `(H, W, levels)`.
    pub fn logits(&self, picture: &[u8], class: Option<u32>) -> Vec<f32> {
        let mut all = Vec::with_capacity(picture.len() * self.levels.count());
        self.run(class, |pixel, logits| {
            all.extend_from_slice(logits);
            picture[pixel]
        });
        all
    }

    /// Asks for the level of each pixel, given its logits, in raster order; gives the picture.
    fn run(&self, class: Option<u32>, mut level: impl FnMut(usize, &[f32]) -> u8) -> Vec<u8> {
        let Shape { height, width, .. } = self.image;
        let map = |&(channels, reach): &(usize, usize)| Map::new(channels, reach, height, width);
        let mut maps: Vec<Map> = self.tensors.iter().map(map).collect();
        let mut picture = Vec::with_capacity(height * width);
        for (y, x) in (0..height * width).map(|pixel| (pixel / width, pixel % width)) {
            for (index, layer) in self.layers.iter().enumerate() {
                let (before, rest) = maps.split_at_mut(index + 1);
                layer.compute(before, &mut rest[0], (y, x), class);
            }
            let logits = maps[self.layers.len()].place((y, x));
            let own = level(picture.len(), logits);
            maps[0].place_mut((y, x))[0] = self.levels.value(own);
            picture.push(own);
        }
        picture
    }
}

/// The level whose share of the probabilities, in order, a number in (0, 1) falls into.
fn draw(logits: &[f32], share: f64) -> u8 {
    let logits: Vec<f64> = logits.iter().copied().map(f64::from).collect();
    let all = log_sum_exp(&logits);
    let mut sum = 0.0;
    for (level, logit) in logits.iter().enumerate() {
        sum += (logit - all).exp();
        if share < sum {
            return level as u8;
        }
    }
    // The sum may come to a little less than 1.
    (logits.len() - 1) as u8
}

impl Map {
    fn new(channels: usize, reach: usize, height: usize, width: usize) -> Self {
        let places = match reach {
            0 => 1,
            _ => (height + reach) * (width + 2 * reach),
        };
        Self {
            channels,
            reach,
            width: width + 2 * reach,
            numbers: vec![0.0; places * channels],
        }
    }

    /// Where a place begins that lies so far from the upper left corner of the zeros.
    fn start(&self, y: usize, x: usize) -> usize {
        match self.reach {
            0 => 0,
            _ => (y * self.width + x) * self.channels,
        }
    }

    fn place(&self, (y, x): (usize, usize)) -> &[f32] {
        let start = self.start(y + self.reach, x + self.reach);
        &self.numbers[start..start + self.channels]
    }

    fn place_mut(&mut self, (y, x): (usize, usize)) -> &mut [f32] {
        let start = self.start(y + self.reach, x + self.reach);
        &mut self.numbers[start..start + self.channels]
    }

    /// The numbers under a row of a window around a place: so many taps from its left on.
    fn row(&self, (y, x): (usize, usize), kernel: usize, ky: usize, taps: usize) -> &[f32] {
        let margin = self.reach - kernel / 2;
        let start = self.start(y + margin + ky, x + margin);
        &self.numbers[start..start + taps * self.channels]
    }
}

impl Column {
    fn compute(&self, before: &[Map], to: &mut Map, place: (usize, usize), class: Option<u32>) {
        let from = &before[self.reads[0]];
        let to = to.place_mut(place);
        match &self.work {
            Work::Convolution(convolution) => {
                vectorized(
                    #[inline(always)]
                    || convolution.compute(from, place, to),
                );
            }
            Work::Relu => {
                let from = from.place(place);
                to.iter_mut().zip(from).for_each(|(to, x)| *to = x.max(0.0));
            }
            Work::Add => {
                to.copy_from_slice(from.place(place));
                for other in &self.reads[1..] {
                    let other = before[*other].place(place);
                    to.iter_mut().zip(other).for_each(|(to, x)| *to += x);
                }
            }
            Work::ClassBias(table) => {
                let class = class.unwrap_or_default() as usize;
                let row = table.chunks_exact(to.len()).nth(class);
                let row = row.unwrap_or_default();
                let sums = from.place(place).iter().zip(row);
                to.iter_mut().zip(sums).for_each(|(to, (x, b))| *to = x + b);
            }
        }
    }
}

impl Convolution {
    #[inline(always)]
    fn compute(&self, from: &Map, place: (usize, usize), to: &mut [f32]) {
        let columns = self.taps * from.channels;
        let blocks = self.weights.chunks_exact(columns).zip(&self.bias);
        for (to, (weights, bias)) in to.chunks_mut(BLOCK).zip(blocks) {
            // Two sums, so that one is not waited for.
            let (mut even, mut odd) = (*bias, [0.0; BLOCK]);
            let mut rest = weights;
            for ky in 0..self.taps.div_ceil(self.kernel) {
                let taps = (self.taps - ky * self.kernel).min(self.kernel);
                let row = from.row(place, self.kernel, ky, taps);
                let (own, after) = rest.split_at(row.len());
                rest = after;
                let (pairs, last) = own.as_chunks::<2>();
                let (inputs, last_input) = row.as_chunks::<2>();
                for (weights, inputs) in pairs.iter().zip(inputs) {
                    add(&mut even, &weights[0], inputs[0]);
                    add(&mut odd, &weights[1], inputs[1]);
                }
                for (weights, input) in last.iter().zip(last_input) {
                    add(&mut even, weights, *input);
                }
            }
            let sums = even.iter().zip(&odd);
            to.iter_mut().zip(sums).for_each(|(to, (a, b))| *to = a + b);
        }
    }
}

#[inline(always)]
fn add(sums: &mut [f32; BLOCK], weights: &[f32; BLOCK], input: f32) {
    for (sum, weight) in sums.iter_mut().zip(weights) {
        *sum += weight * input;
    }
}

impl Work {
    fn of(step: &Step<'_>, parameters: &Parameters) -> Result<Self, SamplerError> {
        let numbers = |part| parameters.get(step.index, part).unwrap_or_default();
        let [inputs, outputs] = [step.input.channels, step.output.channels];
        Ok(match *step.layer {
            Layer::MaskedConv2d { kernel, center, .. } => {
                let taps = masked_taps(kernel, center);
                let blocks = outputs.div_ceil(BLOCK);
                let mut weights = vec![[0.0; BLOCK]; blocks * taps * inputs];
                let mut bias = vec![[0.0; BLOCK]; blocks];
                // From `[out, in, taps]`.
                for (at, &weight) in numbers("weight").iter().enumerate() {
                    let (output, input, tap) = (at / taps / inputs, at / taps % inputs, at % taps);
                    let row = (output / BLOCK * taps + tap) * inputs + input;
                    weights[row][output % BLOCK] = weight;
                }
                for (output, &number) in numbers("bias").iter().enumerate() {
                    bias[output / BLOCK][output % BLOCK] = number;
                }
                Self::Convolution(Convolution {
                    kernel,
                    taps,
                    weights,
                    bias,
                })
            }
            Layer::Relu => Self::Relu,
            Layer::Add => Self::Add,
            Layer::ClassBias { .. } => Self::ClassBias(numbers("shift").to_vec()),
            _ => {
                return Err(SamplerError::Layer {
                    index: step.index,
                    name: step.layer.name(),
                });
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::likelihood::tests::untrained;
    use super::super::nats;
    use super::*;
    use crate::nn::Model;
    use crate::ops::Cpu;

    fn levels_of(rng: &mut Rng, levels: Levels, count: usize) -> Vec<u8> {
        let draw = |_| (levels.count() as f64 * rng.uniform()) as u8;
        (0..count).map(draw).collect()
    }

    /// Column by column as all at once, and a pixel's logits know nothing of it and of those after it.
    #[test]
    fn columns_are_the_whole_pass() {
        let image = Shape::new(1, 6, 9);
        for (levels, classes) in Levels::ALL.into_iter().zip([None, Some(3), None, Some(2)]) {
            let (network, parameters) = untrained(levels, image, classes, 1);
            let sampler = Sampler::new(&network, &parameters, levels).unwrap();
            let model = Model::new(Cpu::default(), &network, &parameters).unwrap();
            let mut rng = Rng::new(2, Stream::Latents);
            let picture = levels_of(&mut rng, levels, 54);
            let class = classes.map(|_| 1);
            let told: Vec<u32> = class.into_iter().collect();
            let values: Vec<f32> = picture.iter().map(|&level| levels.value(level)).collect();
            let whole = model.evaluate(&values, &told).unwrap();
            let columns = sampler.logits(&picture, class);
            for (at, column) in columns.iter().enumerate() {
                let (pixel, level) = (at / levels.count(), at % levels.count());
                let expected = whole[level * 54 + pixel];
                assert!((column - expected).abs() < 1e-4, "{column} for {expected}");
            }
            let mut other = picture.clone();
            other[30] = ((usize::from(other[30]) + 1) % levels.count()) as u8;
            let changed = sampler.logits(&other, class);
            let (before, after) = columns.split_at(31 * levels.count());
            assert_eq!(&changed[..before.len()], before);
            assert_ne!(&changed[before.len()..], after);
        }
    }

    /// As often as the likelihood says: the chi-squared statistic of all 16 pictures of 2x2 pixels.
    #[test]
    fn pictures_come_as_often_as_they_are_likely() {
        const DRAWS: u64 = 20_000;
        let (levels, image) = (Levels::ALL[0], Shape::new(1, 2, 2));
        let (network, parameters) = untrained(levels, image, None, 4);
        let sampler = Sampler::new(&network, &parameters, levels).unwrap();
        let model = Model::new(Cpu::default(), &network, &parameters).unwrap();
        let mut counts = [0u32; 16];
        for seed in 0..DRAWS {
            let picture = sampler.sample(seed, None, &[]);
            let bits = picture
                .iter()
                .fold(0, |bits, &level| bits * 2 + usize::from(level));
            counts[bits] += 1;
        }
        let all: Vec<u8> = (0..64)
            .map(|at| ((at / 4) >> (3 - at % 4) & 1) as u8)
            .collect();
        let nats = nats(&model, levels, &all, &[]).unwrap();
        let expected = nats.iter().map(|nats| (-nats).exp() * DRAWS as f64);
        let terms = counts
            .iter()
            .zip(expected)
            .map(|(&count, expected)| (f64::from(count) - expected).powi(2) / expected);
        // 15 degrees of freedom: above 37.7 one time in a thousand.
        let statistic: f64 = terms.sum();
        assert!(statistic < 37.7, "{statistic}: {counts:?}");
    }

    #[test]
    fn what_is_known_is_kept() {
        let (levels, image) = (Levels::ALL[2], Shape::new(1, 5, 5));
        let (network, parameters) = untrained(levels, image, None, 5);
        let sampler = Sampler::new(&network, &parameters, levels).unwrap();
        let whole = sampler.sample(9, None, &[]);
        assert_eq!(sampler.sample(9, None, &[None; 25]), whole);
        assert_ne!(sampler.sample(10, None, &[]), whole);
        // What it would draw anyway changes nothing; what it would not is there and tells on the rest.
        let known: Vec<Option<u8>> = whole.iter().take(12).copied().map(Some).collect();
        assert_eq!(sampler.sample(9, None, &known), whole);
        let others: Vec<Option<u8>> = whole.iter().map(|&level| Some(15 - level)).collect();
        let completed = sampler.sample(9, None, &others[..12]);
        assert_eq!(
            completed[..12],
            others[..12].iter().copied().flatten().collect::<Vec<_>>()
        );
    }

    #[test]
    fn other_networks_are_refused() {
        let image = Shape::new(1, 4, 4);
        let levels = Levels::ALL[0];
        let (network, parameters) = untrained(levels, image, None, 1);
        let refused = Sampler::new(&network, &parameters, Levels::ALL[1]);
        assert!(matches!(
            refused,
            Err(SamplerError::Levels { levels: 4, .. })
        ));
        let refused = Sampler::new(&network, &Parameters::default(), levels);
        assert!(matches!(refused, Err(SamplerError::Parameters(_))));
        let other = Network::chain(image, vec![Layer::Upsample { factor: 1 }, Layer::Tanh]);
        let two = Network {
            input: Shape::new(1, 4, 4),
            ..other
        };
        let refused = Sampler::new(&two, &Parameters::default(), levels);
        assert!(refused.is_err());
    }
}
