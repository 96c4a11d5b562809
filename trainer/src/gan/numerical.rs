//! For tests: the gradients of a step against numerical derivatives of the loss as its paper has it.

use super::training::{Batch, Gan};
use super::{Game, Networks, Schedule, Settings};
use crate::nn::{Initialization, Model};
use crate::ops::Cpu;
use crate::optim::{OptimizerConfig, Rule};
use crate::parameters::Parameters;
use crate::rng::{Rng, Stream};
use crate::spec::{Layer, Network, Shape};
use std::collections::BTreeMap;

/// Models by the names of the networks.
pub(super) type Models = BTreeMap<String, Model<Cpu>>;

/// A smooth network of two convolutions: tanh between, and at the end if `ends` says so.
pub(super) fn smooth(input: Shape, channels: usize, ends: bool) -> Network {
    let conv = |channels| Layer::Conv2d {
        channels,
        kernel: 3,
        stride: 1,
        padding: 1,
        bias: true,
    };
    let mut layers = vec![conv(2), Layer::Tanh, conv(channels)];
    layers.extend(ends.then_some(Layer::Tanh));
    Network::chain(input, layers)
}

/// Weights that are large enough for derivatives to be seen, and gradient descent by the gradient itself.
pub(super) fn settings(networks: Networks, game: Game) -> Settings {
    let mut rng = Rng::new(5, Stream::Initialization);
    let mut trained = BTreeMap::new();
    for named in networks.iter() {
        let drawn = Initialization::Dcgan.parameters(&named.network, &mut rng);
        let mut drawn: Parameters = drawn.unwrap();
        for tensor in drawn.tensors.values_mut() {
            let numbers = tensor.data.iter_mut();
            numbers.for_each(|number| *number = 0.35 * rng.normal() as f32);
        }
        trained.insert(named.name.clone(), drawn);
    }
    Settings {
        networks,
        game,
        initialization: Initialization::Dcgan,
        trained,
        optimizer: OptimizerConfig {
            learning_rate: 1.0,
            rule: Rule::Sgd { momentum: 0.0 },
        },
        optimizers: BTreeMap::new(),
        rates: BTreeMap::new(),
        schedule: Schedule::CONSTANT,
        ema_decay: 0.5,
        growth: None,
        seed: 1,
    }
}

/// Holds what a step does to a network's weights against the derivatives of `loss`. Other networks are as before the
/// step, but for those in `updated`, which the loss sees as they are after it.
pub(super) fn check(
    settings: &Settings,
    batch: Batch<'_>,
    name: &str,
    updated: &[&str],
    loss: impl Fn(&Models) -> f64,
) {
    let mut gan = Gan::new(Cpu::default(), settings).unwrap();
    let before = &settings.trained;
    gan.step(batch).unwrap();
    let after: BTreeMap<String, Parameters> = gan
        .state()
        .unwrap()
        .networks
        .into_iter()
        .map(|(name, state)| (name, state.parameters))
        .collect();
    let value = |moved: &Parameters| {
        let models = settings.networks.iter().map(|named| {
            let parameters = match &named.name {
                own if own == name => moved,
                other if updated.contains(&other.as_str()) => &after[other],
                other => &before[other],
            };
            let model = Model::new(Cpu::default(), &named.network, parameters).unwrap();
            (named.name.clone(), model)
        });
        loss(&models.collect())
    };
    let mut largest = 0.0f64;
    for (tensor, numbers) in &before[name].tensors {
        let len = numbers.data.len();
        for at in [0, len / 3, len / 2, len - 1] {
            let moved = |by: f32| {
                let mut moved = before[name].clone();
                moved.tensors.get_mut(tensor).unwrap().data[at] += by;
                value(&moved)
            };
            let slope = (moved(5e-3) - moved(-5e-3)) / 1e-2;
            let gradient = numbers.data[at] - after[name].tensors[tensor].data[at];
            let error = (f64::from(gradient) - slope).abs();
            assert!(
                error < 2e-3 * (0.1 + slope.abs()),
                "{name}, {tensor}[{at}]: {gradient} by the step, {slope} numerically"
            );
            largest = largest.max(slope.abs());
        }
    }
    assert!(largest > 0.02, "{name}: no derivative to see");
}

/// Numbers from -1 to 1.
pub(super) fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed, Stream::Order(0));
    (0..len)
        .map(|_| (2.0 * rng.uniform() - 1.0) as f32)
        .collect()
}

/// The mean over pairs of numbers.
pub(super) fn mean(a: &[f32], b: &[f32], f: impl Fn(f64, f64) -> f64) -> f64 {
    assert_eq!(a.len(), b.len());
    let terms = a.iter().zip(b).map(|(&a, &b)| f(a.into(), b.into()));
    terms.sum::<f64>() / a.len() as f64
}
