//! The networks of a run in training, and all the state that its steps change.

use super::game::Game;
use super::growth::{Growth, grown};
use super::networks::{Losses, Named, Networks, Role};
use super::schedule::Schedule;
use crate::nn::{Initialization, Model, ModelError};
use crate::ops::Device;
use crate::optim::{Optimizer, OptimizerConfig, OptimizerState};
use crate::parameters::{HostTensor, Parameters};
use crate::rng::{Rng, Stream};
use crate::samples::classes_in_turn;
use dfdx::prelude::Gradients;
use std::collections::BTreeMap;

/// What is trained, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    pub networks: Networks,
    pub game: Game,
    pub initialization: Initialization,
    /// What networks begin with that are trained already, in whole or in part, by name.
    pub trained: BTreeMap<String, Parameters>,
    /// Of each network that [`Settings::optimizers`] does not name.
    pub optimizer: OptimizerConfig,
    /// Of networks that have another, by name.
    pub optimizers: BTreeMap<String, OptimizerConfig>,
    /// Learning rates of networks of their own, by name.
    pub rates: BTreeMap<String, f64>,
    /// Of all learning rates.
    pub schedule: Schedule,
    /// Decay of the average of a generator's weights a step, in [0, 1).
    pub ema_decay: f64,
    /// How the networks come to be [`Settings::networks`]; `None` of those that are so from the start.
    pub growth: Option<Growth>,
    pub seed: u64,
}

impl Settings {
    /// The networks after so many steps.
    pub fn networks_after(&self, steps: u32) -> Networks {
        match &self.growth {
            Some(growth) => growth.networks(steps),
            None => self.networks.clone(),
        }
    }

    /// A network's optimizer.
    fn optimizer(&self, name: &str) -> OptimizerConfig {
        let own = *self.optimizers.get(name).unwrap_or(&self.optimizer);
        let learning_rate = self.rates.get(name).copied();
        OptimizerConfig {
            learning_rate: learning_rate.unwrap_or(own.learning_rate),
            ..own
        }
    }

    /// Multiplies all learning rates.
    pub(super) fn scale_rates(&mut self, factor: f64) {
        let own = self.optimizers.values_mut();
        own.chain([&mut self.optimizer])
            .for_each(|optimizer| optimizer.learning_rate *= factor);
        self.rates.values_mut().for_each(|rate| *rate *= factor);
    }
}

/// The name of the stream of training latents in [`GanState::streams`].
pub(super) const LATENTS: &str = "latents";

/// All that the steps change, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct GanState {
    /// How many steps were taken.
    pub steps: u32,
    /// States of the streams of random numbers by name.
    pub streams: BTreeMap<String, [u32; 4]>,
    /// By the names in [`Networks`].
    pub networks: BTreeMap<String, NetworkState>,
    /// What a kind of training keeps besides, by name.
    pub extra: BTreeMap<String, HostTensor>,
}

/// All that the steps change of a network, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkState {
    pub parameters: Parameters,
    pub optimizer: OptimizerState,
    /// Of a generator.
    pub average: Option<Parameters>,
}

impl NetworkState {
    /// Every number.
    pub fn numbers(&self) -> impl Iterator<Item = f32> {
        let weights = [Some(&self.parameters), self.average.as_ref()];
        let weights = weights.into_iter().flatten();
        let tensors = weights.flat_map(|parameters| parameters.tensors.values());
        let moments = self.optimizer.moments.iter().flatten().flatten();
        tensors
            .flat_map(|tensor| &tensor.data)
            .chain(moments)
            .copied()
    }
}

/// A network in training.
pub struct Learner<D: Device<f32>> {
    /// As in [`Networks`].
    pub name: String,
    pub model: Model<D>,
    pub optimizer: Optimizer<D>,
    /// Running average of a generator's weights (Yazıcı et al. 2019): what samples are drawn from.
    average: Option<Model<D>>,
}

impl<D: Device<f32>> Learner<D> {
    pub(super) fn new(
        device: &D,
        named: &Named,
        optimizer: OptimizerConfig,
        initialization: Initialization,
        parameters: &Parameters,
    ) -> Result<Self, ModelError> {
        let model = || Model::new(device.clone(), &named.network, parameters);
        let average = match named.role {
            Role::Generator => Some(model()?),
            Role::Auxiliary => None,
        };
        let mut model = model()?;
        Ok(Self {
            name: named.name.clone(),
            optimizer: Optimizer::new(optimizer, &mut model)?
                .with_factors(model.rate_factors(initialization)?),
            model,
            average,
        })
    }

    fn restore(
        device: &D,
        named: &Named,
        optimizer: OptimizerConfig,
        initialization: Initialization,
        state: &GanState,
    ) -> Result<Self, ModelError> {
        let missing = || ModelError::NoState(named.name.clone());
        let state = state.networks.get(&named.name).ok_or_else(missing)?;
        let model = |parameters| Model::new(device.clone(), &named.network, parameters);
        let average = match named.role {
            Role::Generator => Some(model(state.average.as_ref().ok_or_else(missing)?)?),
            Role::Auxiliary => None,
        };
        let mut model = model(&state.parameters)?;
        Ok(Self {
            name: named.name.clone(),
            optimizer: Optimizer::restore(optimizer, &mut model, &state.optimizer)?
                .with_factors(model.rate_factors(initialization)?),
            model,
            average,
        })
    }

    /// Updates the weights by the gradients of a backward pass.
    ///
    /// # Errors
    /// The device's.
    pub(super) fn update(
        &mut self,
        gradients: &mut Gradients<f32, D::Nodes>,
    ) -> Result<(), ModelError> {
        self.optimizer.step(&mut self.model, gradients)
    }

    /// Replaces the average of a generator's weights.
    ///
    /// # Errors
    /// Numbers of another network; the device's.
    pub(super) fn set_average(&mut self, parameters: &Parameters) -> Result<(), ModelError> {
        let device = self.model.device().clone();
        self.average = Some(Model::new(device, self.model.network(), parameters)?);
        Ok(())
    }

    /// Sets the share of the second tensor in all blends.
    fn set_share(&mut self, share: f64) {
        let models = [Some(&mut self.model), self.average.as_mut()];
        models
            .into_iter()
            .flatten()
            .for_each(|model| model.set_share(share));
    }

    pub(super) fn state(&self) -> Result<NetworkState, ModelError> {
        let average = self.average.as_ref().map(Model::parameters).transpose()?;
        Ok(NetworkState {
            parameters: self.model.parameters()?,
            optimizer: self.optimizer.state(self.model.device()),
            average,
        })
    }
}

/// The networks of a run in training.
pub struct Gan<D: Device<f32>> {
    pub generator: Learner<D>,
    /// In the order of [`Networks::others`].
    pub others: Vec<Learner<D>>,
    /// The stream that training latents come from, the points of the gradient penalty, what DiffAugment draws, the
    /// noise of an encoder's latents, and which images of a buffer are shown.
    pub latents: Rng,
    /// As in [`GanState`].
    pub extra: BTreeMap<String, HostTensor>,
    settings: Settings,
    pub(super) steps: u32,
}

/// What a step learns from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Batch<'a> {
    /// How many images; of an adversarial step, for each update of the discriminator.
    pub n: usize,
    /// Real images, `(N, C, H, W)`, in [-1, 1]; [`Game::batches`] of these one after the other.
    pub images: &'a [f32],
    /// The class of each, or none where the networks are told none; generated images are of the classes of the real
    /// ones.
    pub classes: &'a [u32],
    /// The pictures that the generator reads, `(N, C, H, W)`, in [-1, 1]; none where it reads latents.
    pub inputs: &'a [f32],
}

impl<'a> Batch<'a> {
    /// For generators that read latents.
    pub const fn new(n: usize, images: &'a [f32], classes: &'a [u32]) -> Self {
        Self {
            n,
            images,
            classes,
            inputs: &[],
        }
    }
}

impl<D: Device<f32>> Gan<D> {
    /// Fresh networks on `device`.
    ///
    /// # Errors
    /// A layer that does not fit; the device's.
    pub fn new(device: D, settings: &Settings) -> Result<Self, ModelError> {
        let mut rng = Rng::new(settings.seed, Stream::Initialization);
        let learner = |named: &Named| {
            let trained = settings.trained.get(&named.name);
            let parameters = match trained {
                Some(trained) if trained.check(&named.network).is_ok() => trained.clone(),
                _ => {
                    let initialization = settings.initialization;
                    let mut fresh = initialization.parameters(&named.network, &mut rng)?;
                    let trained = trained.into_iter().flat_map(|trained| &trained.tensors);
                    let trained = trained.map(|(name, tensor)| (name.clone(), tensor.clone()));
                    fresh.tensors.extend(trained);
                    fresh
                }
            };
            let optimizer = settings.optimizer(&named.name);
            let initialization = settings.initialization;
            Learner::new(&device, named, optimizer, initialization, &parameters)
        };
        let latents = Rng::new(settings.seed, Stream::Latents);
        Self::of(settings, 0, learner, latents)
    }

    /// The networks of `settings` at a saved state; its next steps are those that would have followed.
    ///
    /// # Errors
    /// A state of other networks; the device's.
    pub fn restore(device: D, settings: &Settings, state: &GanState) -> Result<Self, ModelError> {
        let learner = |named: &Named| {
            let optimizer = settings.optimizer(&named.name);
            Learner::restore(&device, named, optimizer, settings.initialization, state)
        };
        let latents = state.streams.get(LATENTS).copied();
        let latents = latents
            .and_then(Rng::from_state)
            .ok_or(ModelError::Latents)?;
        let mut gan = Self {
            extra: state.extra.clone(),
            steps: state.steps,
            ..Self::of(settings, state.steps, learner, latents)?
        };
        gan.follow_schedule();
        Ok(gan)
    }

    /// Gives the networks the layers and the shares of the next step.
    fn grow(&mut self) -> Result<(), ModelError> {
        let Some(growth) = self.settings.growth.take() else {
            return Ok(());
        };
        let (phase, share) = growth.next(self.steps);
        if let Some((number, phase)) = phase {
            let networks = phase.networks.clone();
            let learners = self.learners().zip(networks.iter());
            let grown = learners.map(|(l, named)| grown(l, named, &self.settings, number));
            let mut grown = grown.collect::<Result<Vec<_>, _>>()?;
            self.others = grown.split_off(1);
            self.generator = grown.remove(0);
            self.settings.networks = networks;
        }
        for learner in self.learners_mut() {
            learner.set_share(share);
        }
        self.settings.growth = Some(growth);
        Ok(())
    }

    /// The networks as they are.
    pub fn networks(&self) -> Networks {
        self.settings.networks_after(self.steps)
    }

    /// Rows of an image that the networks see as one after so many steps.
    pub(super) fn factor(&self, steps: u32) -> usize {
        let growth = self.settings.growth.as_ref();
        growth.map_or(1, |growth| growth.phase(steps).factor)
    }

    /// Gives all networks the learning rates of the next step.
    fn follow_schedule(&mut self) {
        let share = self.settings.schedule.share(self.steps);
        for learner in self.learners_mut() {
            learner.optimizer.set_share(share);
        }
    }

    fn of(
        settings: &Settings,
        steps: u32,
        mut learner: impl FnMut(&Named) -> Result<Learner<D>, ModelError>,
        latents: Rng,
    ) -> Result<Self, ModelError> {
        let settings = Settings {
            networks: settings.networks_after(steps),
            ..settings.clone()
        };
        Ok(Self {
            generator: learner(&settings.networks.generator)?,
            others: settings
                .networks
                .others
                .iter()
                .map(learner)
                .collect::<Result<_, _>>()?,
            latents,
            extra: BTreeMap::new(),
            settings,
            steps: 0,
        })
    }

    fn learners(&self) -> impl Iterator<Item = &Learner<D>> {
        std::iter::once(&self.generator).chain(&self.others)
    }

    fn learners_mut(&mut self) -> impl Iterator<Item = &mut Learner<D>> {
        std::iter::once(&mut self.generator).chain(&mut self.others)
    }

    /// The average of the generator's weights, which is scored and exported; the generator itself where none is kept.
    pub fn average(&self) -> &Model<D> {
        self.generator
            .average
            .as_ref()
            .unwrap_or(&self.generator.model)
    }

    /// As [`Gan::average`], of another network; `None` where there is none of the name.
    pub fn average_of(&self, name: &str) -> Option<&Model<D>> {
        let learner = self.others.iter().find(|learner| learner.name == name)?;
        Some(learner.average.as_ref().unwrap_or(&learner.model))
    }

    /// As [`Gan::average`], for good.
    pub fn into_average(self) -> Model<D> {
        self.generator.average.unwrap_or(self.generator.model)
    }

    /// The generator's learning rate.
    pub fn learning_rate(&self) -> f64 {
        self.generator.optimizer.learning_rate()
    }

    /// How many steps were taken.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// All that the steps have changed.
    ///
    /// # Errors
    /// None for networks that were built; the walk's otherwise.
    pub fn state(&self) -> Result<GanState, ModelError> {
        let networks = self.learners().map(|l| Ok((l.name.clone(), l.state()?)));
        Ok(GanState {
            steps: self.steps,
            streams: BTreeMap::from([(LATENTS.to_owned(), self.latents.state())]),
            networks: networks.collect::<Result<_, ModelError>>()?,
            extra: self.extra.clone(),
        })
    }

    /// Updates all networks by a batch, then the averages.
    ///
    /// # Errors
    /// Networks that do not fit the game, classes that they do not know, a batch that the device's
    /// [sums](crate::ops::Sums) cannot cut into equal parts; the device's.
    pub fn step(&mut self, batch: Batch<'_>) -> Result<Losses, ModelError> {
        let parts = self.generator.model.device().sums().parts();
        if !batch.n.is_multiple_of(parts) {
            return Err(ModelError::Parts {
                batch: batch.n,
                parts,
            });
        }
        self.grow()?;
        self.follow_schedule();
        let losses = self.settings.game.step(self, batch)?;
        self.steps += 1;
        let (decay, steps) = (self.settings.ema_decay, self.steps);
        for learner in self.learners_mut() {
            if let Some(average) = &mut learner.average {
                average.follow(&mut learner.model, decay, steps)?;
            }
        }
        Ok(losses)
    }

    /// Estimates the averages' batch-norm statistics afresh, from latents that are the same at every call: they belong
    /// to the average's own weights, not to those of the steps on the way.
    ///
    /// # Errors
    /// The device's.
    pub fn settle_average(&mut self) -> Result<(), ModelError> {
        self.settle_average_on(&BTreeMap::new())
    }

    /// As [`Gan::settle_average`]; `pictures` has some for each generator that reads pictures, by its name.
    ///
    /// # Errors
    /// The device's.
    pub fn settle_average_on(
        &mut self,
        pictures: &BTreeMap<String, Vec<f32>>,
    ) -> Result<(), ModelError> {
        const BATCHES: usize = 32;
        const BATCH: usize = 128;
        /// Pictures at a time: their tensors are larger.
        const PICTURES: usize = 32;
        for learner in self.learners_mut() {
            let average = learner.average.as_mut();
            let Some(average) = average.filter(|average| average.has_statistics()) else {
                continue;
            };
            let size = average.network().input.len();
            if let Some(pictures) = pictures.get(&learner.name) {
                let n = PICTURES.min(pictures.len() / size).max(1);
                let batches = pictures.chunks_exact(n * size);
                average
                    .estimate_statistics(n, batches.map(|batch| (batch.to_vec(), Vec::new())))?;
            } else {
                let mut rng = Rng::new(0, Stream::Latents);
                let classes = classes_in_turn(average.network(), BATCH);
                let batches = (0..BATCHES).map(|_| (rng.latents(BATCH, size), classes.clone()));
                average.estimate_statistics(BATCH, batches)?;
            }
        }
        Ok(())
    }
}
