//! Optimizers that own their state, so that a run can be saved and resumed exactly.

use crate::nn::{Model, ModelError};
use crate::ops::{Device, Update};
use crate::parameters::ParametersError;
use dfdx::prelude::Gradients;
use serde::{Deserialize, Serialize};

/// How weights follow their gradients.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Rule {
    /// Kingma & Ba 2015. Without a first moment and without bias correction it is RMSprop (Hinton 2012, lecture 6e).
    Adam {
        /// Decay of the first moment, in [0, 1).
        beta1: f64,
        /// Decay of the second moment, in [0, 1).
        beta2: f64,
        /// Keeps the division finite, above 0.
        epsilon: f64,
        /// Whether the bias of moments that began at zero is corrected.
        bias_correction: bool,
    },
    /// Stochastic gradient descent: the velocity becomes `momentum * velocity + gradient`, and the weight is lowered by
    /// the learning rate times the velocity (Sutskever et al. 2013, equation 1, with the rate as PyTorch has it).
    Sgd {
        /// In [0, 1).
        momentum: f64,
    },
}

/// An optimizer by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Kingma & Ba 2015.
    Adam,
    /// Hinton 2012, lecture 6e.
    Rmsprop,
    /// Stochastic gradient descent with momentum.
    Sgd,
}

impl OptimizerKind {
    /// With its usual hyperparameters.
    pub const fn with_rate(self, learning_rate: f64) -> OptimizerConfig {
        match self {
            Self::Adam => OptimizerConfig::adam(learning_rate, 0.9, 0.999),
            Self::Rmsprop => OptimizerConfig::rmsprop(learning_rate),
            Self::Sgd => OptimizerConfig {
                learning_rate,
                rule: Rule::Sgd { momentum: 0.9 },
            },
        }
    }
}

/// An optimizer's hyperparameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Step size, above 0.
    pub learning_rate: f64,
    pub rule: Rule,
}

impl OptimizerConfig {
    /// Its name.
    pub const fn kind(&self) -> OptimizerKind {
        match self.rule {
            Rule::Adam {
                bias_correction: true,
                ..
            } => OptimizerKind::Adam,
            Rule::Adam { .. } => OptimizerKind::Rmsprop,
            Rule::Sgd { .. } => OptimizerKind::Sgd,
        }
    }

    /// Adam with the usual epsilon.
    pub const fn adam(learning_rate: f64, beta1: f64, beta2: f64) -> Self {
        Self {
            learning_rate,
            rule: Rule::Adam {
                beta1,
                beta2,
                epsilon: 1e-8,
                bias_correction: true,
            },
        }
    }

    /// RMSprop with the usual decay, 0.99.
    pub const fn rmsprop(learning_rate: f64) -> Self {
        Self {
            learning_rate,
            rule: Rule::Adam {
                beta1: 0.0,
                beta2: 0.99,
                epsilon: 1e-8,
                bias_correction: false,
            },
        }
    }
}

/// What an [`Optimizer`] knows besides its hyperparameters, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerState {
    /// How many steps were taken.
    pub steps: u32,
    /// First and second moment of each trained array, in the device's order. Gradient descent keeps its velocity in the
    /// first, and zeros in the second.
    pub moments: Vec<[Vec<f32>; 2]>,
}

/// An optimizer of a model's trained arrays.
pub struct Optimizer<D: Device<f32>> {
    config: OptimizerConfig,
    /// Of the configured learning rate, what is used.
    share: f64,
    steps: u32,
    /// Of each trained array, what its learning rate is multiplied by.
    factors: Vec<f64>,
    moments: Vec<[D::Array; 2]>,
}

impl<D: Device<f32>> Optimizer<D> {
    /// Fresh moments for `model`.
    ///
    /// # Errors
    /// The device's.
    pub fn new(config: OptimizerConfig, model: &mut Model<D>) -> Result<Self, ModelError> {
        let device = model.device().clone();
        let zeros = |array: &D::Array| {
            let dims = device.dims(array);
            device
                .array(&vec![0.0; dims.iter().product()], dims)
                .map_err(crate::nn::device_error)
        };
        let moments = model
            .trained_mut()
            .into_iter()
            .map(|array| Ok([zeros(array)?, zeros(array)?]))
            .collect::<Result<Vec<_>, ModelError>>()?;
        Ok(Self {
            config,
            share: 1.0,
            steps: 0,
            factors: vec![1.0; moments.len()],
            moments,
        })
    }

    /// Multiplies the learning rate of each trained array by a factor of its own.
    pub fn with_factors(mut self, factors: Vec<f64>) -> Self {
        self.factors = factors;
        self
    }

    /// Updates `model` by the gradients of a backward pass.
    ///
    /// # Errors
    /// The device's.
    pub fn step(
        &mut self,
        model: &mut Model<D>,
        gradients: &mut Gradients<f32, D::Nodes>,
    ) -> Result<(), ModelError> {
        self.steps += 1;
        let learning_rate = self.learning_rate();
        let mut step = match self.config.rule {
            Rule::Adam {
                beta1,
                beta2,
                epsilon,
                bias_correction,
            } => {
                let correction = |beta: f64| {
                    if bias_correction {
                        1.0 - beta.powf(f64::from(self.steps))
                    } else {
                        1.0
                    }
                };
                Update::Adam {
                    learning_rate,
                    beta1,
                    beta2,
                    epsilon,
                    correction1: correction(beta1),
                    correction2: correction(beta2),
                }
            }
            Rule::Sgd { momentum } => Update::Sgd {
                learning_rate,
                momentum,
            },
        };
        let device = model.device().clone();
        let arrays = model.trained_mut().into_iter().zip(&mut self.moments);
        for ((array, moments), factor) in arrays.zip(&self.factors) {
            *step.learning_rate_mut() = learning_rate * factor;
            device
                .update(array, gradients, moments, &step)
                .map_err(crate::nn::device_error)?;
        }
        Ok(())
    }

    /// The hyperparameters.
    pub fn config(&self) -> OptimizerConfig {
        self.config
    }

    /// The step size.
    pub fn learning_rate(&self) -> f64 {
        self.config.learning_rate * self.share
    }

    /// Uses a share of the configured learning rate from now on.
    pub fn set_share(&mut self, share: f64) {
        self.share = share;
    }

    /// The state on the host.
    pub fn state(&self, device: &D) -> OptimizerState {
        let host = |array: &D::Array| device.to_host(array);
        let moments = self.moments.iter();
        OptimizerState {
            steps: self.steps,
            moments: moments.map(|[m, v]| [host(m), host(v)]).collect(),
        }
    }

    /// The optimizer of `model` at a saved state.
    ///
    /// # Errors
    /// Moments that are not the model's; the device's.
    pub fn restore(
        config: OptimizerConfig,
        model: &mut Model<D>,
        state: &OptimizerState,
    ) -> Result<Self, ModelError> {
        let mut optimizer = Self::new(config, model)?;
        let count = |what: &str, found, expected| {
            if found == expected {
                Ok(())
            } else {
                Err(ParametersError::Length {
                    name: what.to_owned(),
                    found,
                    expected,
                })
            }
        };
        count("of moments", state.moments.len(), optimizer.moments.len())?;
        let device = model.device();
        for (arrays, saved) in optimizer.moments.iter_mut().zip(&state.moments) {
            for (array, numbers) in arrays.iter_mut().zip(saved) {
                let dims = device.dims(array);
                count("of a moment", numbers.len(), dims.iter().product())?;
                *array = device
                    .array(numbers, dims)
                    .map_err(crate::nn::device_error)?;
            }
        }
        optimizer.steps = state.steps;
        Ok(optimizer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::loss::Recording;
    use crate::nn::{Initialization, Mode};
    use crate::ops::{Cpu, Wants};
    use crate::rng::{Rng, Stream};
    use crate::spec::{Layer, Network, Shape};
    use dfdx::prelude::{SumTo, TryMul};

    /// How far a weight has come after so many steps whose gradient is `slope`.
    fn way(config: OptimizerConfig, steps: u32, slope: f32, share: impl Fn(u32) -> f64) -> f64 {
        let linear = Layer::Linear {
            features: 1,
            bias: false,
        };
        let network = Network::chain(Shape::features(1), vec![linear]);
        let mut rng = Rng::new(1, Stream::Initialization);
        let parameters = Initialization::Dcgan
            .parameters(&network, &mut rng)
            .unwrap();
        let mut model = Model::new(Cpu::default(), &network, &parameters).unwrap();
        let weight = |model: &Model<Cpu>| {
            let parameters = model.parameters().unwrap();
            f64::from(parameters.tensors.values().next().unwrap().data[0])
        };
        let start = weight(&model);
        let mut optimizer = Optimizer::new(config, &mut model).unwrap();
        for step in 0..steps {
            // Every second state is restored.
            if step % 2 == 1 {
                let state = optimizer.state(model.device());
                optimizer = Optimizer::restore(config, &mut model, &state).unwrap();
            }
            optimizer.set_share(share(step));
            let mut recording = Recording::new(model.device());
            let x = model.input(1, &[1.0]).unwrap();
            let wants = Mode::Train(Wants {
                input: false,
                weights: true,
            });
            let (y, _) = model.forward(&mut recording.tape, &x, &[], wants).unwrap();
            let loss = recording.read(&y).unwrap().try_mul(slope).unwrap().sum();
            let (_, mut gradients) = recording.backward(loss).unwrap();
            optimizer.step(&mut model, &mut gradients).unwrap();
        }
        start - weight(&model)
    }

    /// The equalized learning rate by its definition: weights of variance 1, multiplied by c in each pass, that Adam
    /// moves. Its first step without a first moment is the rate, whatever the gradient.
    #[test]
    fn an_equalized_weight_moves_by_its_constant() {
        let linear = Layer::Linear {
            features: 200,
            bias: true,
        };
        let relu = Layer::Relu;
        let network = Network::chain(Shape::features(50), vec![linear.clone(), relu, linear]);
        let mut rng = Rng::new(1, Stream::Initialization);
        let equalized = Initialization::Equalized;
        let before = equalized.parameters(&network, &mut rng).unwrap();
        let mut model = Model::new(Cpu::default(), &network, &before).unwrap();
        let factors = model.rate_factors(equalized).unwrap();
        let config = OptimizerConfig::adam(1e-3, 0.0, 0.99);
        let mut optimizer = Optimizer::new(config, &mut model)
            .unwrap()
            .with_factors(factors);
        let mut recording = Recording::new(model.device());
        let x: Vec<f32> = (0..50).map(|_| rng.normal() as f32).collect();
        let x = model.input(1, &x).unwrap();
        let wants = Mode::Train(Wants {
            input: false,
            weights: true,
        });
        let (y, _) = model.forward(&mut recording.tape, &x, &[], wants).unwrap();
        let loss = recording.read(&y).unwrap().sum();
        let (_, mut gradients) = recording.backward(loss).unwrap();
        optimizer.step(&mut model, &mut gradients).unwrap();
        let after = model.parameters().unwrap();
        // A rectifier follows the first layer, and none the second.
        for (layer, constant) in [(0, (2.0f64 / 50.0).sqrt()), (2, (1.0f64 / 200.0).sqrt())] {
            let weights = before.get(layer, "weight").unwrap();
            let squares = weights.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>();
            let deviation = (squares / weights.len() as f64).sqrt();
            assert!((deviation / constant - 1.0).abs() < 0.03, "{deviation}");
            for (part, rate) in [("weight", 1e-3 * constant), ("bias", 1e-3)] {
                let [before, after] = [&before, &after].map(|of| of.get(layer, part).unwrap());
                let moved = before
                    .iter()
                    .zip(after)
                    .map(|(b, a)| f64::from((b - a).abs()));
                let moved: Vec<f64> = moved.filter(|&moved| moved > 0.0).collect();
                assert!(moved.len() > before.len() / 4);
                assert!(moved.iter().all(|moved| (moved / rate - 1.0).abs() < 0.01));
            }
        }
    }

    /// A gradient that stays has closed forms.
    #[test]
    fn a_constant_gradient_moves_a_weight_as_the_closed_form_says() {
        let constant = |_| 1.0;
        let near = |found: f64, expected: f64| {
            assert!((found - expected).abs() < 2e-6, "{found} {expected}");
        };
        for steps in [1u32, 2, 7] {
            let n = f64::from(steps);
            // Adam's corrected moments are the gradient and its square: a step is the rate, whatever the slope.
            let adam = OptimizerConfig::adam(1e-2, 0.5, 0.9);
            near(way(adam, steps, 3.0, constant), 1e-2 * n);
            // The velocity after k steps is g (1 - m^k) / (1 - m).
            let (rate, m, slope) = (1e-2, 0.75, -2.0);
            let sgd = OptimizerConfig {
                learning_rate: rate,
                rule: Rule::Sgd { momentum: m },
            };
            let sum = (n - m * (1.0 - m.powf(n)) / (1.0 - m)) / (1.0 - m);
            near(way(sgd, steps, slope as f32, constant), rate * slope * sum);
            // The uncorrected second moment after k steps is g^2 (1 - 0.99^k).
            let terms = (1..=steps).map(|k| 1.0 / (1.0 - 0.99f64.powf(f64::from(k))).sqrt());
            let rmsprop = OptimizerConfig::rmsprop(1e-3);
            near(
                way(rmsprop, steps, 0.5, constant),
                1e-3 * terms.sum::<f64>(),
            );
        }
        // Each step has its own share of the rate.
        let adam = OptimizerConfig::adam(1e-2, 0.0, 0.9);
        let halved = |step: u32| 0.5f64.powf(f64::from(step));
        near(
            way(adam, 4, -1.0, halved),
            -1e-2 * (1.0 + 0.5 + 0.25 + 0.125),
        );
    }
}
