//! One training step, and all the state that it changes.

use super::game::{Adversarial, Game};
use super::losses::Logits;
use super::penalties::{Penalty, Recorded};
use super::{losses, penalties};
use crate::engines;
use crate::nn::{Initialization, Mode, Model, ModelError, device_error};
use crate::ops::{Device, Wants};
use crate::optim::{Adam, AdamConfig, AdamState};
use crate::parameters::Parameters;
use crate::rng::{Rng, Stream};
use crate::spec::Network;
use dfdx::prelude::{NoneTape, OwnedTape, TryAdd};

/// What a GAN is made of, or what takes its place: a variational autoencoder has its decoder for the generator and
/// its encoder, from images to means and log-variances of latents, for the discriminator.
#[derive(Clone, Debug)]
pub struct Settings {
    pub generator: Network,
    pub discriminator: Network,
    pub game: Game,
    pub initialization: Initialization,
    pub adam: AdamConfig,
    /// Decay of the average of the generator's weights a step, in [0, 1).
    pub ema_decay: f64,
    pub seed: u64,
}

/// The losses of a step. Those of a variational autoencoder are the two parts of the bound, in nats an image: the
/// divergence of the latents from the prior stands in the discriminator's place, the reconstruction's loss in the
/// generator's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Losses {
    pub discriminator: f32,
    pub generator: f32,
}

impl Losses {
    /// Whether both are numbers.
    pub fn is_finite(&self) -> bool {
        self.discriminator.is_finite() && self.generator.is_finite()
    }
}

/// All that the steps change, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct GanState {
    /// How many steps were taken.
    pub steps: u32,
    /// State of the stream of training latents.
    pub latents: [u32; 4],
    pub generator: Parameters,
    pub discriminator: Parameters,
    pub average: Parameters,
    pub generator_adam: AdamState,
    pub discriminator_adam: AdamState,
}

/// A generator and a discriminator in training, or a decoder and an encoder in their places.
pub struct Gan<D: Device<f32>> {
    pub generator: Model<D>,
    pub discriminator: Model<D>,
    /// Running average of the generator's weights (Yazıcı et al. 2019): what samples are drawn from.
    pub average: Model<D>,
    pub generator_adam: Adam<D>,
    pub discriminator_adam: Adam<D>,
    /// The stream that training latents come from, the points of the gradient penalty, and the noise of an encoder's
    /// latents.
    pub latents: Rng,
    settings: Settings,
    steps: u32,
}

/// Real images to learn from.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    /// How many; of an adversarial step, for each update of the discriminator.
    pub n: usize,
    /// `(N, C, H, W)`, in [-1, 1].
    pub images: &'a [f32],
    /// The class of each, or none.
    pub classes: &'a [u32],
}

/// The classes of `count` images of a network, each class in turn; none where it is told none.
pub fn classes_in_turn(network: &Network, count: usize) -> Vec<u32> {
    engines::classes_in_turn(network.classes().unwrap_or(0), count)
}

/// Gradients for the weights, none for the batch itself.
const LEARN: Mode = Mode::Train(Wants {
    input: false,
    weights: true,
});
/// No gradient at all.
const OBSERVE: Mode = Mode::Train(Wants {
    input: false,
    weights: false,
});
/// Gradients through the network, none for its weights.
const PASS_THROUGH: Mode = Mode::Train(Wants {
    input: true,
    weights: false,
});

impl<D: Device<f32>> Gan<D> {
    /// Fresh networks on `device`.
    ///
    /// # Errors
    /// A layer that does not fit; the device's.
    pub fn new(device: D, settings: &Settings) -> Result<Self, ModelError> {
        let mut rng = Rng::new(settings.seed, Stream::Initialization);
        let mut model = |network: &Network| {
            let parameters = settings.initialization.parameters(network, &mut rng)?;
            Ok::<_, ModelError>((
                Model::new(device.clone(), network, &parameters)?,
                parameters,
            ))
        };
        let (mut generator, parameters) = model(&settings.generator)?;
        let (mut discriminator, _) = model(&settings.discriminator)?;
        Ok(Self {
            average: Model::new(device, &settings.generator, &parameters)?,
            generator_adam: Adam::new(settings.adam, &mut generator)?,
            discriminator_adam: Adam::new(settings.adam, &mut discriminator)?,
            generator,
            discriminator,
            latents: Rng::new(settings.seed, Stream::Latents),
            settings: settings.clone(),
            steps: 0,
        })
    }

    /// The generator's learning rate.
    pub fn learning_rate(&self) -> f64 {
        self.generator_adam.learning_rate()
    }

    /// All that the steps have changed.
    ///
    /// # Errors
    /// None for networks that were built; the walk's otherwise.
    pub fn state(&self) -> Result<GanState, ModelError> {
        let device = self.generator.device();
        Ok(GanState {
            steps: self.steps,
            latents: self.latents.state(),
            generator: self.generator.parameters()?,
            discriminator: self.discriminator.parameters()?,
            average: self.average.parameters()?,
            generator_adam: self.generator_adam.state(device),
            discriminator_adam: self.discriminator_adam.state(device),
        })
    }

    /// The networks of `settings` at a saved state; its next steps are those that would have followed.
    ///
    /// # Errors
    /// Numbers that are not those of the networks; the device's.
    pub fn restore(device: D, settings: &Settings, state: &GanState) -> Result<Self, ModelError> {
        let (generator, discriminator) = (&settings.generator, &settings.discriminator);
        let mut generator = Model::new(device.clone(), generator, &state.generator)?;
        let mut discriminator = Model::new(device.clone(), discriminator, &state.discriminator)?;
        Ok(Self {
            average: Model::new(device, &settings.generator, &state.average)?,
            generator_adam: Adam::restore(settings.adam, &mut generator, &state.generator_adam)?,
            discriminator_adam: Adam::restore(
                settings.adam,
                &mut discriminator,
                &state.discriminator_adam,
            )?,
            generator,
            discriminator,
            latents: Rng::from_state(state.latents).ok_or(ModelError::Latents)?,
            settings: settings.clone(),
            steps: state.steps,
        })
    }

    /// Updates both networks by batches of `n` real images, `(N, C, H, W)` in [-1, 1], [`Game::batches`] of
    /// them one after the other in `real`; then the average. `classes` has the class of each image if the networks are
    /// told them; generated images are of the classes of the real ones.
    ///
    /// # Errors
    /// Networks that do not fit the game, classes that they do not know; the device's.
    pub fn step(&mut self, n: usize, real: &[f32], classes: &[u32]) -> Result<Losses, ModelError> {
        let batch = Batch {
            n,
            images: real,
            classes,
        };
        let losses = match self.settings.game {
            Game::Adversarial(rules) => self.adversarial_step(rules, batch)?,
            Game::Variational(rules) => self.variational_step(rules, batch)?,
        };
        self.steps += 1;
        let decay = self.settings.ema_decay;
        self.average
            .follow(&mut self.generator, decay, self.steps)?;
        Ok(losses)
    }

    /// Updates the discriminator by each of its batches, then the generator.
    fn adversarial_step(
        &mut self,
        rules: Adversarial,
        all: Batch<'_>,
    ) -> Result<Losses, ModelError> {
        let (mut sum, mut batches) = (0.0, 0u8);
        let mut last = all;
        let mut rest = all.classes;
        for images in all
            .images
            .chunks(all.n * self.settings.discriminator.input.len())
        {
            let (classes, after) = rest.split_at(all.n.min(rest.len()));
            rest = after;
            last = Batch {
                images,
                classes,
                ..all
            };
            sum += self.discriminator_step(rules, last)?;
            batches = batches.saturating_add(1);
        }
        Ok(Losses {
            discriminator: sum / f32::from(batches),
            generator: self.generator_step(rules, last)?,
        })
    }

    /// How many steps were taken.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    fn discriminator_step(
        &mut self,
        rules: Adversarial,
        batch: Batch<'_>,
    ) -> Result<f32, ModelError> {
        let device = self.discriminator.device().clone();
        let classes = batch.classes;
        let latents = self.draw(batch.n)?;
        let generator = &self.generator;
        let (fake, _) = generator.forward(&mut NoneTape, &latents, classes, OBSERVE)?;
        let real = self.discriminator.input(batch.n, batch.images)?;
        let between = match rules.penalty {
            Some(Penalty::Gradient(_)) => Some(self.between(&real, &fake)?),
            _ => None,
        };
        let penalty = self.penalty(rules, &real, &fake, between.as_ref(), classes)?;
        let judge = |images: &D::Array| {
            let mut tape = OwnedTape::default();
            let (verdict, _) = self
                .discriminator
                .forward(&mut tape, images, classes, LEARN)?;
            device.to_tensor(tape, &verdict).map_err(device_error)
        };
        let objective = rules.objective;
        let mut loss = objective
            .discriminator(judge(&real)?, judge(&fake)?)
            .map_err(device_error)?;
        if let Some(penalty) = penalty {
            loss = loss.try_add(penalty).map_err(device_error)?;
        }
        let (value, mut gradients) = losses::backward(loss).map_err(device_error)?;
        self.discriminator_adam
            .step(&mut self.discriminator, &mut gradients)?;
        if let Some(limit) = rules.weight_clip {
            for array in self.discriminator.trained_mut() {
                device.clamp(array, limit).map_err(device_error)?;
            }
        }
        Ok(value)
    }

    /// The penalty that is due at this step; `between` are the points of a gradient penalty.
    fn penalty(
        &self,
        rules: Adversarial,
        real: &D::Array,
        fake: &D::Array,
        between: Option<&D::Array>,
        classes: &[u32],
    ) -> Result<Option<Recorded<D>>, ModelError> {
        let critic = &self.discriminator;
        match (rules.penalty, between) {
            (Some(Penalty::Gradient(weight)), Some(points)) => {
                penalties::gradient_penalty(critic, points, classes, weight).map(Some)
            }
            (Some(Penalty::ZeroCentred { weight, every }), _)
                if self.steps.is_multiple_of(every) =>
            {
                let weight = weight / 2.0 * f64::from(every);
                let r1 = penalties::zero_centred_penalty(critic, real, classes, weight)?;
                let r2 = penalties::zero_centred_penalty(critic, fake, classes, weight)?;
                r1.try_add(r2).map(Some).map_err(device_error)
            }
            _ => Ok(None),
        }
    }

    fn generator_step(&mut self, rules: Adversarial, batch: Batch<'_>) -> Result<f32, ModelError> {
        let device = self.generator.device().clone();
        let Batch { n, classes, .. } = batch;
        let latents = self.draw(n)?;
        let mut tape = OwnedTape::default();
        let generator = &self.generator;
        let (fake, statistics) = generator.forward(&mut tape, &latents, classes, LEARN)?;
        let discriminator = &self.discriminator;
        let (verdict, _) = discriminator.forward(&mut tape, &fake, classes, PASS_THROUGH)?;
        let verdict = device.to_tensor(tape, &verdict).map_err(device_error)?;
        let objective = rules.objective;
        let real = match objective.is_relative() {
            true => Some(self.verdict(batch)?),
            false => None,
        };
        let loss = objective.generator(verdict, real).map_err(device_error)?;
        let (value, mut gradients) = losses::backward(loss).map_err(device_error)?;
        self.generator_adam
            .step(&mut self.generator, &mut gradients)?;
        self.generator.update_statistics(n, &statistics);
        Ok(value)
    }

    /// What the discriminator says of real images, nothing recorded.
    fn verdict(&self, batch: Batch<'_>) -> Result<Logits<D, NoneTape>, ModelError> {
        let (device, discriminator) = (self.discriminator.device(), &self.discriminator);
        let real = discriminator.input(batch.n, batch.images)?;
        let (verdict, _) = discriminator.forward(&mut NoneTape, &real, batch.classes, OBSERVE)?;
        device.to_tensor(NoneTape, &verdict).map_err(device_error)
    }

    /// A point between each real image and a generated one, uniform on the line.
    fn between(&mut self, real: &D::Array, fake: &D::Array) -> Result<D::Array, ModelError> {
        let device = self.discriminator.device().clone();
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
        let size = self.generator.network().input.len();
        self.generator.input(n, &self.latents.latents(n, size))
    }

    /// Estimates the averaged generator's batch-norm statistics afresh, from latents that are the same
    /// at every call: they belong to its own weights, not to those of the steps on the way.
    ///
    /// # Errors
    /// The device's.
    pub fn settle_average(&mut self) -> Result<(), ModelError> {
        const BATCHES: usize = 32;
        const BATCH: usize = 128;
        let size = self.average.network().input.len();
        let mut rng = Rng::new(0, Stream::Latents);
        let classes = classes_in_turn(self.average.network(), BATCH);
        let batches = (0..BATCHES).map(|_| (rng.latents(BATCH, size), classes.clone()));
        self.average.estimate_statistics(BATCH, batches)
    }
}
