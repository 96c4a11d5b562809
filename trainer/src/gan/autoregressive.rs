//! A network that tells each pixel of a picture from those before it: the rules of its training, and its step.

use super::adversarial::LEARN;
use super::networks::{LossName, Losses, Named, Networks};
use super::training::{Batch, Gan};
use crate::nn::ModelError;
use crate::nn::loss::Recording;
use crate::ops::Device;
use crate::pixelcnn::{Levels, negative_log_likelihood};
use crate::samples::to_pixels;
use crate::spec::Network;

/// The rules of a PixelCNN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Autoregressive {
    pub levels: Levels,
}

const LIKELIHOOD: LossName = LossName {
    key: "likelihood",
    title: "negative log-likelihood (nats an image)",
    short: "nats",
};

impl Autoregressive {
    /// The loss of a step, in nats an image.
    pub const LOSSES: [LossName; 1] = [LIKELIHOOD];

    /// The network, by its name.
    pub fn networks(network: Network) -> Networks {
        Networks {
            generator: Named::generator("generator", network),
            others: Vec::new(),
        }
    }

    /// Raises the likelihood of a batch's images.
    ///
    /// # Errors
    /// The device's.
    pub(super) fn step<D: Device<f32>>(
        self,
        gan: &mut Gan<D>,
        batch: Batch<'_>,
    ) -> Result<Losses, ModelError> {
        let levels = self
            .levels
            .of_pixels(&to_pixels(batch.images), &mut gan.latents);
        let values: Vec<f32> = levels
            .iter()
            .map(|&level| self.levels.value(level))
            .collect();
        let learner = &mut gan.generator;
        let device = learner.model.device();
        let order = device.sums();
        let mut recording = Recording::new(device);
        let x = learner.model.input(batch.n, &values)?;
        let tape = &mut recording.tape;
        let (logits, _) = learner.model.forward(tape, &x, batch.classes, LEARN)?;
        let logits = recording.read(&logits)?;
        let loss = negative_log_likelihood(logits, &levels, self.levels, batch.n, order)
            .map_err(crate::nn::device_error)?;
        let (value, mut gradients) = recording.backward(loss)?;
        learner.update(&mut gradients)?;
        Ok(Losses::new([(LIKELIHOOD, value)]))
    }
}
