//! The experiment: how many mutants break a layer's bound, and how many of these verification finds.

use super::{Fault, Mutant};
use pocketgan::{Layer, Model, Operator, Rng, internals::arithmetic};
use pocketgan_trainer::engines::{classes_in_turn, latents};
use pocketgan_trainer::verify::{
    Comparison, Expected, ExportedModel, LayerTwin, QuantaDifferences, Referee, VerifyError,
    reference,
};
use rayon::prelude::*;

/// What became of some mutants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many there were.
    pub made: usize,
    /// How many have an output that is further from the twin's than the layer's bound, one quantum.
    pub beyond: usize,
    /// How many of `beyond` verification finds.
    pub found: usize,
    /// How many of the others it finds.
    pub found_within: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.made += other.made;
        self.beyond += other.beyond;
        self.found += other.found;
        self.found_within += other.found_within;
    }
}

/// An exported model, and what its layers and its twin's give: of a mutant, only the faulty output has to be computed.
pub struct Experiment<'a> {
    model: &'a ExportedModel,
    twins: Vec<LayerTwin<'a>>,
    /// On which it is decided whether mutants break a bound.
    wide: Sample,
    /// On which they are verified.
    narrow: Sample,
}

/// Latents, with what every layer of the model and of its twin makes of them.
struct Sample {
    /// For each latent, as [`reference::int8`] gives them.
    tensors: Vec<Vec<Vec<i16>>>,
    /// For each layer.
    expected: Vec<Expected>,
}

impl<'a> Experiment<'a> {
    /// A model whose mutants are verified on the 256 latents that `trainer verify` takes; whether they break a bound is
    /// decided on `wide` other latents.
    ///
    /// # Errors
    /// What ONNX Runtime says of the model.
    pub fn new(model: &'a ExportedModel, wide: usize) -> Result<Self, VerifyError> {
        let blob = Model::parse(&model.int8_blob)?;
        let mut twins = LayerTwin::all(Referee::OnnxRuntime, &model.int8_onnx, &blob)?;
        Ok(Self {
            model,
            wide: Sample::new(&blob, &mut twins, 1 << 40, wide)?,
            narrow: Sample::new(&blob, &mut twins, 1, 256)?,
            twins,
        })
    }

    /// Draws at most `count` mutants with a fault, fewer if the model has no place for it, and counts them.
    ///
    /// # Errors
    /// None, for an exported model.
    pub fn tally(&self, fault: Fault, count: usize, rng: &mut Rng) -> Result<Tally, VerifyError> {
        let mut tally = Tally::default();
        let drawn = (0..count).map_while(|_| Mutant::draw(&self.model.int8_blob, fault, rng));
        for mutant in drawn {
            let found = self.comparisons(&mutant)?.iter().any(|c| !c.passes());
            let beyond = self.is_beyond(&mutant)?;
            tally += Tally {
                made: 1,
                beyond: beyond.into(),
                found: (beyond && found).into(),
                found_within: (!beyond && found).into(),
            };
        }
        Ok(tally)
    }

    /// What `trainer verify` says of a mutant's faulty layer: the same comparisons of the same latents.
    ///
    /// # Errors
    /// None, for a mutant of this model.
    pub fn comparisons(&self, mutant: &Mutant) -> Result<[Comparison; 2], VerifyError> {
        let Sample { tensors, expected } = &self.narrow;
        let faulty = Faulty::new(mutant)?;
        let outputs = tensors.iter().enumerate();
        let outputs: Vec<_> = outputs.map(|(i, t)| faulty.output(i, t)).collect();
        let twin = &self.twins[mutant.layer];
        let mut differences = QuantaDifferences::default();
        let quanta = twin.quanta(outputs.iter().map(Vec::as_slice));
        differences.add(&quanta, &expected[mutant.layer])?;
        Ok(differences.of_layer(&format!("runtime int8, ONNX Runtime: {}", twin.name())))
    }

    /// Whether an output of the mutant's is more than one quantum from the twin's.
    fn is_beyond(&self, mutant: &Mutant) -> Result<bool, VerifyError> {
        let Sample { tensors, expected } = &self.wide;
        let expected = &expected[mutant.layer].rounded;
        let expected = expected.chunks(expected.len() / tensors.len());
        let faulty = Faulty::new(mutant)?;
        let mut latents = tensors.iter().zip(expected).enumerate();
        Ok(latents.any(|(i, (tensors, expected))| {
            let output = faulty.output(i, tensors);
            let quanta = self.twins[mutant.layer].quanta(std::iter::once(&output[..]));
            let mut both = quanta.iter().zip(expected);
            both.any(|(&q, &expected)| (f32::from(q) - expected).abs() > 1.0)
        }))
    }
}

impl Sample {
    /// `count` latents from seed `seed` on, each class in turn.
    fn new(
        blob: &Model<'_>,
        twins: &mut [LayerTwin<'_>],
        seed: u64,
        count: usize,
    ) -> Result<Self, VerifyError> {
        let classes = classes_in_turn(blob.classes(), count);
        let latents = latents(seed, count, blob.latent_size());
        let each_class = of_each_class(blob)?;
        let tensors = latents.par_chunks_exact(blob.latent_size()).enumerate();
        let tensors = tensors
            .map(|(i, latent)| {
                let quanta = latent.iter().map(|&q| q.into());
                reference::int8(&each_class[i % each_class.len()], quanta.collect())
            })
            .collect::<Result<Vec<_>, _>>()?;
        let expected = twins
            .iter_mut()
            .map(|twin| twin.expected(&tensors, &classes));
        Ok(Self {
            expected: expected.collect::<Result<_, _>>()?,
            tensors,
        })
    }
}

/// A model as it is for each of its classes in turn.
fn of_each_class<'a>(model: &Model<'a>) -> Result<Vec<Model<'a>>, pocketgan::Error> {
    match model.classes() {
        0 => Ok(vec![*model]),
        classes => (0..classes).map(|class| model.of_class(class)).collect(),
    }
}

/// The faulty layer of a mutant, for each class.
struct Faulty<'a> {
    index: usize,
    layers: Vec<Layer<'a>>,
    channel: usize,
    /// Of the faulty output: for each row and column of the kernel and each input channel.
    weights: Vec<i32>,
}

impl<'a> Faulty<'a> {
    fn new(mutant: &'a Mutant) -> Result<Self, pocketgan::Error> {
        let models = of_each_class(&Model::parse(&mutant.blob)?)?;
        let layers: Vec<_> = models.iter().map(|m| m.layer(mutant.layer)).collect();
        let layer = layers[0];
        let (kernel, channel) = (super::kernel_of(&layer), mutant.output);
        let places = (0..kernel).flat_map(|ky| (0..kernel).map(move |kx| (ky, kx)));
        let channels = 0..layer.input.channels;
        let places = places.flat_map(|(ky, kx)| channels.clone().map(move |ic| (ky, kx, ic)));
        let weights = places.map(|(ky, kx, ic)| {
            let index = layer.weight_index(channel, ky, kx, ic);
            i32::from(layer.weight_i8(index))
        });
        Ok(Self {
            index: mutant.layer,
            channel,
            weights: weights.collect(),
            layers,
        })
    }

    /// What the layer gives for latent `i`, from `tensors` of the original: the same as there but for the faulty
    /// output.
    fn output(&self, i: usize, tensors: &[Vec<i16>]) -> Vec<i16> {
        let layer = &self.layers[i % self.layers.len()];
        let (input, shape) = (&tensors[layer.source], layer.output);
        let mut output = tensors[self.index + 1].clone();
        let finish = |products: i32| {
            let acc = layer.start_i32(self.channel) + products;
            let multipliers = layer.multipliers(self.channel);
            arithmetic::finish(layer.activation, layer.shift, multipliers, acc) as i16
        };
        if layer.operator == Operator::Linear {
            output[self.channel] = finish(dot(&self.weights, input));
            return output;
        }
        for y in 0..shape.height {
            for x in 0..shape.width {
                let at = (y * shape.width + x) * shape.channels + self.channel;
                output[at] = finish(self.window(layer, input, y, x));
            }
        }
        output
    }

    /// The products of the output in row `y` and column `x`.
    fn window(&self, layer: &Layer<'_>, input: &[i16], y: usize, x: usize) -> i32 {
        let (kernel, channels) = (super::kernel_of(layer), layer.input.channels);
        let mut sum = 0;
        for ky in 0..kernel {
            let iy = source(layer.operator, y, ky).filter(|&iy| iy < layer.input.height);
            for kx in 0..kernel {
                let ix = source(layer.operator, x, kx).filter(|&ix| ix < layer.input.width);
                if let (Some(iy), Some(ix)) = (iy, ix) {
                    let weights = &self.weights[(ky * kernel + kx) * channels..][..channels];
                    let at = (iy * layer.input.width + ix) * channels;
                    sum += dot(weights, &input[at..][..channels]);
                }
            }
        }
        sum
    }
}

fn dot(weights: &[i32], input: &[i16]) -> i32 {
    let products = weights.iter().zip(input).map(|(w, &x)| w * i32::from(x));
    products.sum()
}

/// The input coordinate that an output coordinate reads through a kernel coordinate (section 2.3 of the blob format).
fn source(operator: Operator, output: usize, kernel: usize) -> Option<usize> {
    match operator {
        Operator::Conv2d(w) => (output * w.stride + kernel).checked_sub(w.padding),
        Operator::ConvTranspose2d(w) => {
            let place = (output + w.padding).checked_sub(kernel)?;
            place.is_multiple_of(w.stride).then_some(place / w.stride)
        }
        _ => None,
    }
}
