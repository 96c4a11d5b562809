//! Verification: an exported model in the runtime against the same model in tract and ONNX Runtime.
//!
//! The float blob must give what the float ONNX model gives. The int8 blob must give what its QDQ twin
//! gives, layer by layer and as a whole, up to the rounding of floats. The runtime's fast kernels must
//! give the bits of its reference kernels.

use crate::engines::{
    Arithmetic, Engine, EngineError, OrtEngine, OrtGraph, RuntimeEngine, TractEngine,
    channels_first, classes_in_turn, latents, read, read_onnx, spec_shape,
};
use crate::export::onnx::{LayerModel, OnnxError, OnnxModel};
use crate::export::{FLOAT_BLOB, FLOAT_ONNX, INT8_BLOB, INT8_ONNX};
use pocketgan::kernels::reference::{run_float, run_int8};
use pocketgan::{Layer, Model, Numbers, Operator, PixelRange, latent};
use rayon::prelude::*;
use std::path::Path;

/// The largest difference between two float engines.
const FLOAT_BOUND: f64 = 1e-5;
/// The largest difference of one int8 layer, given the same input, in quanta.
const LAYER_BOUND: f64 = 1.0;
/// The largest difference of a whole int8 network without additions, in quanta.
const NETWORK_BOUND: f64 = 2.0;
/// The mean difference of a whole int8 network, in quanta.
const NETWORK_MEAN_BOUND: f64 = 0.05;
/// Latents in flight at once.
const BATCH: usize = 32;

/// The four files of an exported model.
#[derive(Clone, Debug)]
pub struct ExportedModel {
    /// The float ONNX model.
    pub float_onnx: OnnxModel,
    /// The int8 ONNX model, in the QDQ form.
    pub int8_onnx: OnnxModel,
    /// The bytes of the f32 blob.
    pub float_blob: Vec<u8>,
    /// The bytes of the int8 blob.
    pub int8_blob: Vec<u8>,
}

impl ExportedModel {
    /// Reads the four files of a run's or a model's folder.
    ///
    /// # Errors
    /// The first file that cannot be read or is not what its name says.
    pub fn read(folder: &Path) -> Result<Self, EngineError> {
        let blob = |name| {
            let path = folder.join(name);
            let bytes = read(&path)?;
            match Model::parse(&bytes) {
                Ok(_) => Ok(bytes),
                Err(error) => Err(EngineError::Blob { path, error }),
            }
        };
        Ok(Self {
            float_onnx: read_onnx(&folder.join(FLOAT_ONNX))?,
            int8_onnx: read_onnx(&folder.join(INT8_ONNX))?,
            float_blob: blob(FLOAT_BLOB)?,
            int8_blob: blob(INT8_BLOB)?,
        })
    }
}

/// Why a model could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// An engine makes no images.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A blob is refused.
    #[error(transparent)]
    Blob(#[from] pocketgan::Error),
    /// The ONNX model lacks a layer.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The files have different sizes of latents, images or networks.
    #[error("the four files are not of one model: export it again")]
    Mismatched,
}

/// Two ways to compute the same, and how far apart they came out.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Comparison {
    /// What was compared.
    pub what: String,
    /// What the differences are counted in.
    pub unit: &'static str,
    /// The largest absolute difference.
    pub largest: f64,
    /// What [`largest`](Self::largest) may be.
    pub largest_bound: f64,
    /// The mean absolute difference.
    pub mean: f64,
    /// What [`mean`](Self::mean) may be, if it is bounded.
    pub mean_bound: Option<f64>,
}

impl Comparison {
    /// Whether every difference is within its bound.
    pub fn passes(&self) -> bool {
        self.largest <= self.largest_bound && self.mean_bound.is_none_or(|bound| self.mean <= bound)
    }
}

/// Absolute differences, counted.
#[derive(Default)]
struct Differences {
    largest: f64,
    sum: f64,
    count: usize,
}

impl Differences {
    fn add(&mut self, difference: f64) {
        let difference = difference.abs();
        // A NaN must not slip through a comparison.
        self.largest = match difference.is_nan() {
            true => f64::INFINITY,
            false => self.largest.max(difference),
        };
        self.sum += difference;
        self.count += 1;
    }

    /// Adds the differences of two sequences, which must be of one length.
    fn add_all(
        &mut self,
        a: impl ExactSizeIterator<Item = f64>,
        b: impl ExactSizeIterator<Item = f64>,
    ) -> Result<(), VerifyError> {
        if a.len() != b.len() {
            return Err(VerifyError::Mismatched);
        }
        a.zip(b).for_each(|(a, b)| self.add(a - b));
        Ok(())
    }

    fn comparison(&self, what: impl Into<String>, unit: &'static str, bound: f64) -> Comparison {
        Comparison {
            what: what.into(),
            unit,
            largest: self.largest,
            largest_bound: bound,
            mean: self.sum / self.count.max(1) as f64,
            mean_bound: None,
        }
    }
}

/// What the engines are compared on: latents, and the class of each if the model has classes.
struct Inputs {
    latent_size: usize,
    latents: Vec<i8>,
    classes: Vec<u32>,
}

impl Inputs {
    /// At most `BATCH` inputs at a time.
    fn batches(&self) -> impl Iterator<Item = (&[i8], &[u32])> {
        let latents = self.latents.chunks(BATCH * self.latent_size);
        let classes = self.classes.chunks(BATCH);
        latents.zip(classes.chain(std::iter::repeat(&[][..])))
    }

    /// The latents, each with the model as it is for its class.
    fn each<'a>(
        &'a self,
        model: &Model<'a>,
    ) -> Result<Vec<(&'a [i8], Model<'a>)>, pocketgan::Error> {
        let latents = self.latents.chunks_exact(self.latent_size).enumerate();
        let each = latents.map(|(i, latent)| Ok((latent, of_class(model, self.classes.get(i))?)));
        each.collect()
    }
}

fn of_class<'a>(model: &Model<'a>, class: Option<&u32>) -> Result<Model<'a>, pocketgan::Error> {
    class.map_or(Ok(*model), |&class| model.of_class(class as usize))
}

/// Compares the engines on `count` latents, those of the seeds `seed`, `seed + 1`, …, each class in turn; on more if
/// there are more classes.
///
/// # Errors
/// Files that are not of one model, and whatever keeps an engine from running.
pub fn verify(
    model: &ExportedModel,
    seed: u64,
    count: usize,
) -> Result<Vec<Comparison>, VerifyError> {
    let float = Model::parse(&model.float_blob)?;
    let int8 = Model::parse(&model.int8_blob)?;
    check_facts(model, &float, &int8)?;
    let count = count.max(int8.classes());
    let inputs = Inputs {
        latent_size: int8.latent_size(),
        latents: latents(seed, count, int8.latent_size()),
        classes: classes_in_turn(int8.classes(), count),
    };
    let mut comparisons = compare_floats(model, &float, &inputs)?;
    comparisons.extend(compare_int8(model, &int8, &inputs)?);
    Ok(comparisons)
}

/// Checks that the four files have the same sizes.
fn check_facts(
    model: &ExportedModel,
    float: &Model<'_>,
    int8: &Model<'_>,
) -> Result<(), VerifyError> {
    let of_blob = |blob: &Model<'_>| {
        let output = spec_shape(blob.output());
        let sizes = [blob.latent_size(), blob.classes(), blob.layer_count()];
        (sizes, output, blob.range())
    };
    let of_onnx = |onnx: &OnnxModel| {
        let sizes = [onnx.latent_size, onnx.classes, onnx.layers];
        (sizes, onnx.output, onnx.range)
    };
    let facts = of_blob(int8);
    let same = of_blob(float) == facts
        && of_onnx(&model.float_onnx) == facts
        && of_onnx(&model.int8_onnx) == facts
        && float.numbers() == pocketgan::Numbers::Float
        && int8.numbers() != pocketgan::Numbers::Float;
    if same {
        Ok(())
    } else {
        Err(VerifyError::Mismatched)
    }
}

fn compare_floats(
    model: &ExportedModel,
    blob: &Model<'_>,
    inputs: &Inputs,
) -> Result<Vec<Comparison>, VerifyError> {
    let Inputs {
        latents, classes, ..
    } = inputs;
    let fast = RuntimeEngine::new(model.float_blob.clone())?.images(latents, classes)?;
    let mut comparisons = Vec::new();
    let onnx = &model.float_onnx;
    let mut others: [(&str, Box<dyn Engine>); 2] = [
        (
            "runtime f32, tract",
            Box::new(TractEngine::new(onnx.clone())?),
        ),
        (
            "runtime f32, ONNX Runtime",
            Box::new(OrtEngine::new(onnx.clone(), Arithmetic::Optimized)?),
        ),
    ];
    for (what, engine) in &mut others {
        let theirs = engine.images(latents, classes)?;
        let mut differences = Differences::default();
        differences.add_all(
            fast.data.iter().map(|&y| y.into()),
            theirs.data.iter().map(|&y| y.into()),
        )?;
        comparisons.push(differences.comparison(*what, "", FLOAT_BOUND));
    }
    let mut bits = Differences::default();
    let reference = inputs
        .each(blob)?
        .par_iter()
        .map(|(latent, blob)| Ok(channels_first(fast.shape, &reference_float(blob, latent)?)))
        .collect::<Result<Vec<_>, VerifyError>>()?;
    let reference: Vec<f32> = reference.into_iter().flatten().collect();
    if reference.len() != fast.data.len() {
        return Err(VerifyError::Mismatched);
    }
    for (a, b) in fast.data.iter().zip(&reference) {
        bits.add(f64::from(u8::from(a.to_bits() != b.to_bits())));
    }
    comparisons.push(bits.comparison("runtime f32, fast and reference kernels", "mismatches", 0.0));
    Ok(comparisons)
}

/// The image of a latent by the reference kernels, ordered row, column, channel.
fn reference_float(model: &Model<'_>, latent: &[i8]) -> Result<Vec<f32>, pocketgan::Error> {
    let latent = latent.iter().map(|&q| f32::from(q) * latent::SCALE);
    let mut tensors: Vec<Vec<f32>> = vec![latent.collect()];
    for (index, layer) in model.layers().enumerate() {
        let mut output = vec![0.0; layer.output.len()];
        let added = added(&layer).map_or(&[][..], |from| &tensors[from]);
        run_float(&layer, &tensors[index], added, &mut output)?;
        tensors.push(output);
    }
    Ok(tensors.pop().unwrap_or_default())
}

/// The layer whose input is added to the layer's.
fn added(layer: &Layer<'_>) -> Option<usize> {
    match layer.operator {
        Operator::Add { from } => Some(from),
        _ => None,
    }
}

/// What every layer gives for a latent by the reference kernels, the latent itself first.
fn reference_int8(model: &Model<'_>, latent: &[i8]) -> Result<Vec<Vec<i16>>, pocketgan::Error> {
    let mut tensors: Vec<Vec<i16>> = vec![latent.iter().map(|&q| q.into()).collect()];
    for (index, layer) in model.layers().enumerate() {
        let mut output = vec![0; layer.output.len()];
        let added = added(&layer).map_or(&[][..], |from| &tensors[from]);
        run_int8(&layer, &tensors[index], added, &mut output)?;
        tensors.push(output);
    }
    Ok(tensors)
}

fn compare_int8(
    model: &ExportedModel,
    blob: &Model<'_>,
    inputs: &Inputs,
) -> Result<Vec<Comparison>, VerifyError> {
    let quantum = match blob.range() {
        PixelRange::Signed => 1.0 / 128.0,
        PixelRange::Unsigned => 1.0 / 256.0,
    };
    let mut fast = RuntimeEngine::new(model.int8_blob.clone())?;
    let mut twin = OrtEngine::new(model.int8_onnx.clone(), Arithmetic::AsWritten)?;
    let mut layers = LayerTwin::all(&model.int8_onnx, blob)?;
    let (mut bits, mut whole) = (Differences::default(), Differences::default());
    let each = inputs.each(blob)?;
    for ((latents, classes), each) in inputs.batches().zip(each.chunks(BATCH)) {
        let tensors = each
            .par_iter()
            .map(|(latent, blob)| reference_int8(blob, latent))
            .collect::<Result<Vec<_>, _>>()?;
        for (index, layer) in layers.iter_mut().enumerate() {
            layer.compare(&tensors, if index == 0 { classes } else { &[] }, index)?;
        }
        let images = fast.images(latents, classes)?;
        let quanta = images.data.iter().map(|&y| f64::from(y) / quantum);
        let reference = tensors.iter().filter_map(|tensors| tensors.last());
        let reference: Vec<i16> = reference
            .flat_map(|image| channels_first(images.shape, image))
            .collect();
        bits.add_all(quanta.clone(), reference.iter().map(|&q| q.into()))?;
        let theirs = twin.images(latents, classes)?;
        whole.add_all(quanta, theirs.data.iter().map(|&y| f64::from(y) / quantum))?;
    }
    let mut comparisons =
        vec![bits.comparison("runtime int8, fast and reference kernels", "quanta", 0.0)];
    comparisons.extend(layers.iter().enumerate().map(|(index, layer)| {
        let what = format!(
            "runtime int8, ONNX Runtime: layer {index} ({})",
            layer.layer.name()
        );
        layer.differences.comparison(what, "quanta", LAYER_BOUND)
    }));
    comparisons.push(Comparison {
        mean_bound: Some(NETWORK_MEAN_BOUND),
        ..whole.comparison(
            "runtime int8, ONNX Runtime: whole network",
            "quanta",
            network_bound(blob),
        )
    });
    Ok(comparisons)
}

/// The largest difference of a whole network, in quanta: one more in int4, where LeakyReLU's slope is rounded to the 16 bits
/// of a multiplier, so that inner layers differ in more places; and one more for each addition, which a difference reaches
/// in two ways.
fn network_bound(blob: &Model<'_>) -> f64 {
    let additions = blob.layers().filter(|layer| added(layer).is_some());
    let int4 = usize::from(blob.numbers() == Numbers::Int4);
    NETWORK_BOUND + (int4 + additions.count()) as f64
}

/// An int8 layer of the runtime and the same layer cut out of the QDQ model.
struct LayerTwin<'a> {
    layer: Layer<'a>,
    /// Shape of the output, the image's for the last layer.
    output: pocketgan::Shape,
    /// Of what it takes, one tensor but for an addition: which these are, by the layers whose inputs they are; what a
    /// quantum is worth; and the extents.
    inputs: Vec<(usize, f32, Vec<usize>)>,
    graph: OrtGraph,
    differences: Differences,
}

impl<'a> LayerTwin<'a> {
    fn all(onnx: &OnnxModel, blob: &Model<'a>) -> Result<Vec<Self>, VerifyError> {
        let layers = blob.layers().enumerate().map(|(index, layer)| {
            let taken: Vec<usize> = std::iter::once(index).chain(added(&layer)).collect();
            let LayerModel {
                bytes, input_dims, ..
            } = onnx.layer(index, &taken)?;
            let scale = |tensor: usize| match tensor.checked_sub(1) {
                Some(before) => blob.layer(before).scale,
                None => latent::SCALE,
            };
            let inputs = taken.iter().zip(input_dims);
            Ok(Self {
                layer,
                output: match index + 1 == blob.layer_count() {
                    true => blob.output(),
                    false => layer.output,
                },
                inputs: inputs
                    .map(|(&tensor, dims)| (tensor, scale(tensor), dims))
                    .collect(),
                graph: OrtGraph::new(&bytes, Arithmetic::AsWritten)?,
                differences: Differences::default(),
            })
        });
        layers.collect()
    }

    /// Gives the twin what the runtime's layer `index` was given, in `tensors` of each latent, and
    /// compares what both make of it; `classes` are what the first layer is told besides.
    fn compare(
        &mut self,
        tensors: &[Vec<Vec<i16>>],
        classes: &[u32],
        index: usize,
    ) -> Result<(), VerifyError> {
        let shape = spec_shape(self.layer.input);
        let values = |tensor: usize, scale: f32| -> Vec<f32> {
            let quanta = tensors
                .iter()
                .flat_map(|t| channels_first(shape, &t[tensor]));
            quanta.map(|q| f32::from(q) * scale).collect()
        };
        let inputs: Vec<_> = self
            .inputs
            .iter()
            .map(|(tensor, scale, dims)| (values(*tensor, *scale), dims.as_slice()))
            .collect();
        let inputs: Vec<_> = inputs
            .iter()
            .map(|(v, dims)| (v.as_slice(), *dims))
            .collect();
        let theirs = self.graph.run_inputs(&inputs, classes)?;
        let shape = spec_shape(self.output);
        let ours: Vec<i16> = tensors
            .iter()
            .flat_map(|t| channels_first(shape, &t[index + 1]))
            .collect();
        let scale = f64::from(self.layer.scale);
        self.differences.add_all(
            ours.iter().map(|&q| q.into()),
            theirs.iter().map(|&y| (f64::from(y) / scale).round()),
        )
    }
}
