//! The int8 blob against the int8 ONNX model, layer by layer and as a whole.

use super::differences::{Differences, numbers};
use super::floats::Runner;
use super::twin::NetworkTwin;
use super::{
    Batch, Comparison, ExportedModel, LayerTwin, QuantaDifferences, Referee, VerifyError, reference,
};
use crate::engines::{Images, channels_first};
use pocketgan::{Model, PixelRange};
use rayon::prelude::*;

/// The quanta of the pixels of the int8 runtime's images, which are whole numbers.
pub fn quanta_of(images: &Images) -> Vec<i16> {
    let in_one = match images.range {
        PixelRange::Signed => 128.0,
        PixelRange::Unsigned => 256.0,
    };
    images.data.iter().map(|y| (y * in_one) as i16).collect()
}

/// The runtime in int8 and its twins.
pub(super) struct Quanta<'a> {
    referee: Referee,
    blob: Model<'a>,
    fast: Runner,
    layers: Vec<(LayerTwin<'a>, QuantaDifferences)>,
    network: (NetworkTwin, QuantaDifferences),
    /// How far pixels move if each layer is off by what its twin is off.
    carried: Differences,
    /// Differences between the fast and the reference kernels.
    bits: Differences,
}

impl<'a> Quanta<'a> {
    pub fn new(
        model: &ExportedModel,
        blob: Model<'a>,
        referee: Referee,
    ) -> Result<Self, VerifyError> {
        let layers = LayerTwin::all(referee, &model.int8_onnx, &blob)?;
        let network = NetworkTwin::new(referee, &model.int8_onnx, &blob)?;
        Ok(Self {
            referee,
            blob,
            fast: Runner::runtime(&model.int8_blob, &blob)?,
            layers: layers
                .into_iter()
                .map(|twin| (twin, QuantaDifferences::default()))
                .collect(),
            network: (network, QuantaDifferences::default()),
            carried: Differences::default(),
            bits: Differences::default(),
        })
    }

    /// Compares on some more inputs.
    pub fn add(&mut self, batch: &Batch) -> Result<(), VerifyError> {
        let tensors = batch
            .each(&self.blob)?
            .par_iter()
            .map(|(input, blob)| reference::int8(blob, input.quanta(blob)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut twins = Vec::new();
        for (index, (twin, differences)) in self.layers.iter_mut().enumerate() {
            let expected = twin.expected(&tensors, batch.classes())?;
            let outputs = tensors.iter().map(|tensors| tensors[index + 1].as_slice());
            differences.add(&twin.quanta(outputs), &expected)?;
            twins.push(twin.rounded(&expected, tensors.len()));
        }
        let carried = tensors
            .par_iter()
            .zip(batch.each(&self.blob)?)
            .enumerate()
            .map(|(input, (tensors, (_, blob)))| {
                let twins: Vec<_> = twins.iter().map(|layer| &layer[input][..]).collect();
                reference::carried(&blob, tensors, &twins)
            })
            .collect::<Result<Vec<_>, _>>()?;
        for (carried, tensors) in carried.iter().zip(&tensors) {
            let image = tensors.last().map_or(&[][..], Vec::as_slice);
            self.carried.add_all(numbers(carried), numbers(image))?;
        }
        let images = self.fast.images(batch)?;
        let quanta = quanta_of(&images);
        let reference: Vec<i16> = tensors
            .iter()
            .filter_map(|tensors| tensors.last())
            .flat_map(|image| channels_first(images.shape, image))
            .collect();
        self.bits.add_all(numbers(&quanta), numbers(&reference))?;
        let (twin, differences) = &mut self.network;
        differences.add(&quanta, &twin.run(&batch.values(), batch.classes())?)
    }

    /// What was found.
    pub fn comparisons(&self) -> Vec<Comparison> {
        let what = "runtime int8, fast and reference kernels";
        let mut comparisons = vec![self.bits.comparison(what, "quanta").at_most(0.0)];
        let what = |part: &str| format!("runtime int8, {}: {part}", self.referee.name());
        for (twin, differences) in &self.layers {
            comparisons.extend(differences.of_layer(&what(&twin.name())));
        }
        // The differences of a faulty layer do not raise the bound.
        let carried = if comparisons.iter().all(Comparison::passes) {
            self.carried.mean()
        } else {
            0.0
        };
        let (_, differences) = &self.network;
        comparisons.push(differences.of_network(&what("whole network"), carried));
        comparisons
    }
}
