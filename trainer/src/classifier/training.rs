//! Training the classifier: Adam on softmax cross-entropy, weights averaged.

use super::{Augmentation, cross_entropy};
use crate::data::Images;
use crate::nn::loss::Recording;
use crate::nn::{Initialization, Mode, Model, ModelError, device_error};
use crate::ops::{Device, Wants};
use crate::optim::{Optimizer, OptimizerConfig};
use crate::rng::{Rng, Stream};
use crate::spec::Network;

/// What is to be told of each image.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// `(N, A)`: for each of `A` attributes, the place of the image's value.
    pub labels: &'a [u8],
    /// How many values each attribute has.
    pub sizes: &'a [usize],
}

/// What a classifier is trained by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Ends in a logit for each value of each attribute, or for each class.
    pub network: Network,
    pub augmentation: Augmentation,
    pub optimizer: OptimizerConfig,
    /// Decay of the average of the weights a step, in [0, 1).
    pub ema_decay: f64,
    /// Images a step.
    pub batch: usize,
    /// Passes over the images.
    pub epochs: u32,
    pub seed: u64,
}

/// How an epoch went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: u32,
    /// Mean loss, nats.
    pub loss: f64,
}

/// Trains a classifier; its weights are the running average. `watch` is called after every epoch.
///
/// # Errors
/// A layer that does not fit the images; the device's.
pub fn train<D: Device<f32>>(
    device: D,
    settings: &Settings,
    images: &Images,
    targets: Targets<'_>,
    watch: &mut dyn FnMut(Epoch),
) -> Result<Model<D>, ModelError> {
    let mut training = Training::new(device, settings)?;
    for epoch in 0..settings.epochs {
        let order = Rng::new(settings.seed, Stream::Order(epoch)).permutation(images.count as u32);
        let mut rng = Rng::new(settings.seed, Stream::Augmentation(epoch));
        let (mut sum, mut steps) = (0.0, 0.0);
        for batch in order.chunks_exact(settings.batch) {
            let samples = assemble(images, batch, settings.augmentation, &mut rng);
            let loss = training.step(
                &samples,
                &targets.of(batch),
                targets.sizes,
                settings.ema_decay,
            );
            sum += f64::from(loss?);
            steps += 1.0;
        }
        watch(Epoch {
            epoch: epoch + 1,
            loss: sum / steps,
        });
    }
    training.settle(settings, images)
}

impl Targets<'_> {
    /// The labels of a batch.
    fn of(&self, batch: &[u32]) -> Vec<u8> {
        let count = self.sizes.len();
        let labels = batch
            .iter()
            .flat_map(|&i| &self.labels[i as usize * count..][..count]);
        labels.copied().collect()
    }
}

struct Training<D: Device<f32>> {
    model: Model<D>,
    average: Model<D>,
    optimizer: Optimizer<D>,
    steps: u32,
}

impl<D: Device<f32>> Training<D> {
    fn new(device: D, settings: &Settings) -> Result<Self, ModelError> {
        let mut rng = Rng::new(settings.seed, Stream::Initialization);
        let parameters = Initialization::Dcgan.parameters(&settings.network, &mut rng)?;
        let mut model = Model::new(device.clone(), &settings.network, &parameters)?;
        Ok(Self {
            average: Model::new(device, &settings.network, &parameters)?,
            optimizer: Optimizer::new(settings.optimizer, &mut model)?,
            model,
            steps: 0,
        })
    }

    /// Updates the weights by a batch; gives its loss.
    fn step(
        &mut self,
        samples: &[f32],
        labels: &[u8],
        sizes: &[usize],
        decay: f64,
    ) -> Result<f32, ModelError> {
        const LEARN: Mode = Mode::Train(Wants {
            input: false,
            weights: true,
        });
        let mut recording = Recording::new(self.model.device());
        let x = self.model.input(labels.len() / sizes.len(), samples)?;
        let (logits, _) = self.model.forward(&mut recording.tape, &x, &[], LEARN)?;
        let logits = recording.read(&logits)?;
        let loss = cross_entropy(logits, labels, sizes).map_err(device_error)?;
        let (value, mut gradients) = recording.backward(loss)?;
        self.optimizer.step(&mut self.model, &mut gradients)?;
        self.steps += 1;
        self.average.follow(&mut self.model, decay, self.steps)?;
        Ok(value)
    }

    /// The averaged model, with batch-norm statistics of its own, from images as they were trained on.
    fn settle(mut self, settings: &Settings, images: &Images) -> Result<Model<D>, ModelError> {
        const BATCHES: usize = 64;
        let n = settings.batch;
        let order = Rng::new(settings.seed, Stream::Order(settings.epochs));
        let order = { order }.permutation(images.count as u32);
        let mut rng = Rng::new(settings.seed, Stream::Augmentation(settings.epochs));
        let batches = order.chunks_exact(n).take(BATCHES).map(|batch| {
            let samples = assemble(images, batch, settings.augmentation, &mut rng);
            (samples, Vec::new())
        });
        self.average.estimate_statistics(n, batches)?;
        Ok(self.average)
    }
}

/// A batch of changed images, `(N, C, H, W)`, pixel `p` as `(p - 128) / 128`.
fn assemble(images: &Images, batch: &[u32], augmentation: Augmentation, rng: &mut Rng) -> Vec<f32> {
    let mut pixels = Vec::with_capacity(batch.len() * images.image_len());
    for image in batch.iter().filter_map(|&i| images.image(i as usize)) {
        augmentation.apply(image, images.height, images.width, rng, &mut pixels);
    }
    super::sight::to_samples(&pixels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::{Classifier, network};
    use crate::ops::Cpu;
    use crate::spec::Shape;

    /// Pictures of a bar each, lying (class 0) or standing (class 1), at every place.
    fn bars() -> Images {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for i in 0..128 {
            let (class, at) = (i % 2, i / 2 % 8);
            let on_bar = |p: usize| at == if class == 0 { p / 8 } else { p % 8 };
            pixels.extend((0..64).map(|p| if on_bar(p) { 255 - i as u8 } else { 0 }));
            labels.push(class as u8);
        }
        Images {
            count: 128,
            channels: 1,
            height: 8,
            width: 8,
            pixels,
            labels,
            classes: vec!["lying".into(), "standing".into()],
            names: Vec::new(),
        }
    }

    fn settings() -> Settings {
        Settings {
            network: network(Shape::new(1, 8, 8), 2),
            augmentation: Augmentation {
                shift: 0,
                mirror: true,
            },
            optimizer: OptimizerConfig::adam(2e-3, 0.9, 0.999),
            ema_decay: 0.9,
            batch: 32,
            epochs: 12,
            seed: 1,
        }
    }

    #[test]
    fn what_can_be_told_apart_is_told_apart_with_any_number_of_threads() {
        let images = bars();
        let trained = [1, 2].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let mut losses = Vec::new();
            let model = pool.build().unwrap().install(|| {
                let watch = &mut |epoch: Epoch| losses.push(epoch.loss);
                let targets = Targets {
                    labels: &images.labels,
                    sizes: &[2],
                };
                train(Cpu::default(), &settings(), &images, targets, watch).unwrap()
            });
            assert_eq!(losses.len(), 12);
            assert!(losses[11] < losses[0] / 4.0, "{losses:?}");
            model.parameters().unwrap()
        });
        assert!(trained[0] == trained[1]);
        let classifier = Classifier::new(&settings().network, &trained[0]).unwrap();
        assert_eq!(
            classifier.judge(&images.pixels).unwrap().classes,
            images.labels
        );
    }
}
