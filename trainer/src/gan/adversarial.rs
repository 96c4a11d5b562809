//! Generative adversarial networks (Goodfellow et al. 2014): a generator and a discriminator, trained against each
//! other.

use super::diff_augment::{DiffAugment, Placements};
use super::losses::Objective;
use super::networks::{LossName, Losses, Named, Networks};
use super::penalties::{self, Penalty};
use super::top_k::{self, TopK};
use super::training::{Batch, Gan, Learner};
use crate::nn::loss::{HostLoss, Logits, Recording, constant};
use crate::nn::{Mode, ModelError, device_error};
use crate::ops::{Device, Wants};
use crate::rng::Rng;
use crate::spec::Network;
use dfdx::prelude::{Cpu, NoneTape, OwnedTape, TryAdd};

/// The rules of a generative adversarial network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adversarial {
    pub objective: Objective,
    pub penalty: Option<Penalty>,
    /// Bound on each weight of the critic (Arjovsky et al. 2017, algorithm 1), if there is one.
    pub weight_clip: Option<f64>,
    /// Updates of the discriminator for one of the generator, at least 1.
    pub critic_steps: u32,
    /// What is done to all that the discriminator sees.
    pub diff_augment: DiffAugment,
    /// Which generated images the generator learns from; `None` for all.
    pub top_k: Option<TopK>,
}

const DISCRIMINATOR: LossName = LossName {
    key: "discriminator",
    title: "discriminator loss",
    short: "D",
};
const GENERATOR: LossName = LossName {
    key: "generator",
    title: "generator loss",
    short: "G",
};

/// Gradients for the weights, none for the batch itself.
pub(super) const LEARN: Mode = Mode::Train(Wants {
    input: false,
    weights: true,
});
/// Gradients for the weights, and through them for the network before.
pub(super) const LEARN_THROUGH: Mode = Mode::Train(Wants {
    input: true,
    weights: true,
});
/// No gradient at all.
const OBSERVE: Mode = Mode::Train(Wants {
    input: false,
    weights: false,
});
/// Gradients through the network, none for its weights.
pub(super) const PASS_THROUGH: Mode = Mode::Train(Wants {
    input: true,
    weights: false,
});

impl Adversarial {
    /// The losses of a step.
    pub const LOSSES: [LossName; 2] = [DISCRIMINATOR, GENERATOR];

    /// The names of the networks.
    pub const GENERATOR: &str = "generator";
    pub const DISCRIMINATOR: &str = "discriminator";

    /// An objective by itself: no penalty, no bound, the networks in turns.
    pub const fn new(objective: Objective) -> Self {
        Self {
            objective,
            penalty: None,
            weight_clip: None,
            critic_steps: 1,
            diff_augment: DiffAugment::None,
            top_k: None,
        }
    }

    /// The two networks by name: latents to images, images to logits.
    pub fn networks(generator: Network, discriminator: Network) -> Networks {
        Networks {
            generator: Named::generator(Self::GENERATOR, generator),
            others: vec![Named::auxiliary(Self::DISCRIMINATOR, discriminator)],
        }
    }

    /// Updates the discriminator by each of its batches, then the generator.
    ///
    /// # Errors
    /// Other networks than [`Adversarial::networks`]; the device's.
    pub(super) fn step<D: Device<f32>>(
        self,
        gan: &mut Gan<D>,
        all: Batch<'_>,
    ) -> Result<Losses, ModelError> {
        let factor = gan.factor(gan.steps + 1) as f64;
        let Gan {
            generator,
            others,
            latents,
            steps,
            ..
        } = gan;
        // A distillation has a teacher besides.
        let [discriminator, ..] = others.as_mut_slice() else {
            return Err(ModelError::Networks {
                expected: 2,
                found: 1 + others.len(),
            });
        };
        let mut step = Step {
            rules: self,
            generator,
            discriminator,
            latents,
            steps: *steps,
            pixel: factor * factor,
        };
        step.run(all)
    }
}

/// Updates a discriminator by a batch of real images and one of generated ones, and gives the loss.
pub(super) fn update_discriminator<D: Device<f32>>(
    discriminator: &mut Learner<D>,
    objective: Objective,
    shown: [&D::Array; 2],
) -> Result<f32, ModelError> {
    let device = discriminator.model.device().clone();
    let mut recording = Recording::new(&device);
    let [real, fake] = shown.map(|images| {
        let model = &discriminator.model;
        let (logits, batch) = model.forward(&mut recording.tape, images, &[], LEARN)?;
        Ok::<_, ModelError>((recording.read(&logits)?, batch))
    });
    let ((real, of_real), (fake, of_fake)) = (real?, fake?);
    let loss = objective.discriminator(real, fake, device.sums());
    let (value, mut gradients) = recording.backward(loss.map_err(device_error)?)?;
    discriminator.update(&mut gradients)?;
    let n = device.dims(shown[0])[0];
    discriminator.model.update_statistics(n, &of_real);
    discriminator.model.update_statistics(n, &of_fake);
    Ok(value)
}

/// A step with what it changes.
struct Step<'a, D: Device<f32>> {
    rules: Adversarial,
    generator: &'a mut Learner<D>,
    discriminator: &'a mut Learner<D>,
    latents: &'a mut Rng,
    /// Steps before this one.
    steps: u32,
    /// Pixels of an image that the networks see as one. The penalties are of the gradient with respect to such pixels,
    /// whose square is so many times that with respect to the image's own.
    pixel: f64,
}

impl<D: Device<f32>> Step<'_, D> {
    fn run(&mut self, all: Batch<'_>) -> Result<Losses, ModelError> {
        let (mut sum, mut batches) = (0.0, 0u8);
        let mut last = all;
        let mut rest = all.classes;
        let image = self.discriminator.model.network().input.len();
        for images in all.images.chunks(all.n * image) {
            let (classes, after) = rest.split_at(all.n.min(rest.len()));
            rest = after;
            last = Batch {
                images,
                classes,
                ..all
            };
            sum += self.discriminator_step(last)?;
            batches = batches.saturating_add(1);
        }
        let discriminator = sum / f32::from(batches);
        let generator = self.generator_step(last)?;
        Ok(Losses::new([
            (DISCRIMINATOR, discriminator),
            (GENERATOR, generator),
        ]))
    }

    fn discriminator_step(&mut self, batch: Batch<'_>) -> Result<f32, ModelError> {
        let rules = self.rules;
        let device = self.discriminator.model.device().clone();
        let classes = batch.classes;
        let latents = self.draw(batch.n)?;
        let generator = &self.generator.model;
        let (fake, _) = generator.forward(&mut NoneTape, &latents, classes, OBSERVE)?;
        let real = self.discriminator.model.input(batch.n, batch.images)?;
        let (real, _) = self.show(&real)?;
        let (fake, _) = self.show(&fake)?;
        let between = match rules.penalty {
            Some(Penalty::Gradient(_)) => Some(self.between(&real, &fake)?),
            _ => None,
        };
        let mut recording = Recording::new(&device);
        let penalty = self.penalty(&mut recording, &real, &fake, between.as_ref(), classes)?;
        let critic = &self.discriminator.model;
        let [real, fake] = [&real, &fake].map(|images| {
            let (verdict, _) = critic.forward(&mut recording.tape, images, classes, LEARN)?;
            recording.read(&verdict)
        });
        let objective = rules.objective;
        let mut loss = objective
            .discriminator(real?, fake?, device.sums())
            .map_err(device_error)?;
        if let Some(penalty) = penalty {
            loss = loss.try_add(penalty).map_err(device_error)?;
        }
        let (value, mut gradients) = recording.backward(loss)?;
        self.discriminator.update(&mut gradients)?;
        if let Some(limit) = rules.weight_clip {
            for array in self.discriminator.model.trained_mut() {
                device.clamp(array, limit).map_err(device_error)?;
            }
        }
        Ok(value)
    }

    /// The penalty that is due at this step; `between` are the points of a gradient penalty.
    fn penalty(
        &self,
        recording: &mut Recording<D>,
        real: &D::Array,
        fake: &D::Array,
        between: Option<&D::Array>,
        classes: &[u32],
    ) -> Result<Option<HostLoss>, ModelError> {
        let critic = &self.discriminator.model;
        match (self.rules.penalty, between) {
            (Some(Penalty::Gradient(weight)), Some(points)) => {
                let pixel = self.pixel;
                penalties::gradient_penalty(recording, critic, points, classes, weight, pixel)
                    .map(Some)
            }
            (Some(Penalty::ZeroCentred { weight, every }), _)
                if self.steps.is_multiple_of(every) =>
            {
                let weight = weight / 2.0 * f64::from(every) * self.pixel;
                let mut penalty = |images| {
                    penalties::zero_centred_penalty(recording, critic, images, classes, weight)
                };
                let (r1, r2) = (penalty(real)?, penalty(fake)?);
                r1.try_add(r2).map(Some).map_err(device_error)
            }
            _ => Ok(None),
        }
    }

    fn generator_step(&mut self, batch: Batch<'_>) -> Result<f32, ModelError> {
        let device = self.generator.model.device().clone();
        let Batch { n, classes, .. } = batch;
        let latents = self.draw(n)?;
        // The generator's recording ends where the discriminator's begins, so that what is between them can be undone.
        let mut drawing = OwnedTape::default();
        let generator = &self.generator.model;
        let (fake, statistics) = generator.forward(&mut drawing, &latents, classes, LEARN)?;
        let (seen, placements) = self.show(&fake)?;
        let mut recording = Recording::new(&device);
        let discriminator = &self.discriminator.model;
        let tape = &mut recording.tape;
        let (verdict, _) = discriminator.forward(tape, &seen, classes, PASS_THROUGH)?;
        let verdict = recording.read(&verdict)?;
        let objective = self.rules.objective;
        let mut real = None;
        if objective.is_relative() {
            real = Some(self.verdict(batch)?);
        }
        let sums = device.sums();
        let count = self
            .rules
            .top_k
            .map_or(n, |top| top.count(self.steps, n, sums));
        let (verdict, real) = top_k::keep(verdict, real, count)?;
        let loss = objective.generator(verdict, real, sums);
        let (value, mut gradients) = recording.backward(loss.map_err(device_error)?)?;
        let gradient = device
            .gradient(&mut gradients, &seen)
            .map_err(device_error)?;
        let gradient = match placements {
            Some(placements) => placements.apply_transposed(&gradient),
            None => gradient,
        };
        let gradients = device.backward(drawing, vec![(fake, gradient)]);
        self.generator
            .update(&mut gradients.map_err(device_error)?)?;
        self.generator.model.update_statistics(n, &statistics);
        Ok(value)
    }

    /// Images as the discriminator sees them, and what was done to them.
    fn show(&mut self, images: &D::Array) -> Result<(D::Array, Option<Placements>), ModelError> {
        let augment = self.rules.diff_augment;
        if augment == DiffAugment::None {
            return Ok((images.clone(), None));
        }
        let device = self.discriminator.model.device();
        let dims = device.dims(images);
        let placements = augment.draw(self.latents, dims);
        let seen = placements.apply(&device.to_host(images));
        let seen = device.array(&seen, dims).map_err(device_error)?;
        Ok((seen, Some(placements)))
    }

    /// What the discriminator says of real images, nothing recorded.
    fn verdict(&mut self, batch: Batch<'_>) -> Result<Logits<Cpu, NoneTape>, ModelError> {
        let real = self.discriminator.model.input(batch.n, batch.images)?;
        let (real, _) = self.show(&real)?;
        let discriminator = &self.discriminator.model;
        let (verdict, _) = discriminator.forward(&mut NoneTape, &real, batch.classes, OBSERVE)?;
        constant(discriminator.device(), &verdict)
    }

    /// A point between each real image and a generated one, uniform on the line.
    fn between(&mut self, real: &D::Array, fake: &D::Array) -> Result<D::Array, ModelError> {
        let device = self.discriminator.model.device().clone();
        let dims = device.dims(real);
        let (mut points, fake) = (device.to_host(real), device.to_host(fake));
        let len = points.len() / dims[0];
        for (points, fake) in points.chunks_exact_mut(len).zip(fake.chunks_exact(len)) {
            let share = self.latents.uniform() as f32;
            for (point, &fake) in points.iter_mut().zip(fake) {
                *point += (fake - *point) * share;
            }
        }
        device.array(&points, dims).map_err(device_error)
    }

    fn draw(&mut self, n: usize) -> Result<D::Array, ModelError> {
        let size = self.generator.model.network().input.len();
        let generator = &self.generator.model;
        generator.input(n, &self.latents.latents(n, size))
    }
}
