//! Optimizers that own their state, so that a run can be saved and taken up again exactly.

use crate::nn::{Model, ModelError};
use crate::ops::{AdamStep, Device};
use crate::parameters::ParametersError;
use dfdx::prelude::Gradients;
use serde::{Deserialize, Serialize};

/// Adam's hyperparameters (Kingma & Ba 2015). Without a first moment and without bias correction it is RMSprop
/// (Hinton 2012, lecture 6e).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamConfig {
    /// Step size, above 0.
    pub learning_rate: f64,
    /// Decay of the first moment, in [0, 1).
    pub beta1: f64,
    /// Decay of the second moment, in [0, 1).
    pub beta2: f64,
    /// Keeps the division finite, above 0.
    pub epsilon: f64,
    /// Whether moments that began at zero are made up for.
    pub bias_correction: bool,
}

impl AdamConfig {
    /// Adam with the usual epsilon.
    pub const fn adam(learning_rate: f64, beta1: f64, beta2: f64) -> Self {
        Self {
            learning_rate,
            beta1,
            beta2,
            epsilon: 1e-8,
            bias_correction: true,
        }
    }

    /// RMSprop with the usual decay, 0.99.
    pub const fn rmsprop(learning_rate: f64) -> Self {
        Self {
            learning_rate,
            beta1: 0.0,
            beta2: 0.99,
            epsilon: 1e-8,
            bias_correction: false,
        }
    }
}

/// What [`Adam`] knows besides its hyperparameters, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamState {
    /// How many steps were taken.
    pub steps: u32,
    /// First and second moment of each trained array, the device's order.
    pub moments: Vec<[Vec<f32>; 2]>,
}

/// Adam over a model's trained arrays.
pub struct Adam<D: Device<f32>> {
    config: AdamConfig,
    steps: u32,
    moments: Vec<[D::Array; 2]>,
}

impl<D: Device<f32>> Adam<D> {
    /// Fresh moments for `model`.
    ///
    /// # Errors
    /// The device's.
    pub fn new(config: AdamConfig, model: &mut Model<D>) -> Result<Self, ModelError> {
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
            .collect::<Result<_, ModelError>>()?;
        Ok(Self {
            config,
            steps: 0,
            moments,
        })
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
        let AdamConfig {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            bias_correction,
        } = self.config;
        let correction = |beta: f64| {
            if bias_correction {
                1.0 - beta.powf(f64::from(self.steps))
            } else {
                1.0
            }
        };
        let step = AdamStep {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            correction1: correction(beta1),
            correction2: correction(beta2),
        };
        let device = model.device().clone();
        for (array, moments) in model.trained_mut().into_iter().zip(&mut self.moments) {
            device
                .adam(array, gradients, moments, &step)
                .map_err(crate::nn::device_error)?;
        }
        Ok(())
    }

    /// The step size.
    pub fn learning_rate(&self) -> f64 {
        self.config.learning_rate
    }

    /// The state on the host.
    pub fn state(&self, device: &D) -> AdamState {
        let host = |array: &D::Array| device.to_host(array);
        let moments = self.moments.iter();
        AdamState {
            steps: self.steps,
            moments: moments.map(|[m, v]| [host(m), host(v)]).collect(),
        }
    }

    /// The optimizer of `model` at a saved state.
    ///
    /// # Errors
    /// Moments that are not the model's; the device's.
    pub fn restore(
        config: AdamConfig,
        model: &mut Model<D>,
        state: &AdamState,
    ) -> Result<Self, ModelError> {
        let mut adam = Self::new(config, model)?;
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
        count("of moments", state.moments.len(), adam.moments.len())?;
        let device = model.device();
        for (arrays, saved) in adam.moments.iter_mut().zip(&state.moments) {
            for (array, numbers) in arrays.iter_mut().zip(saved) {
                let dims = device.dims(array);
                count("of a moment", numbers.len(), dims.iter().product())?;
                *array = device
                    .array(numbers, dims)
                    .map_err(crate::nn::device_error)?;
            }
        }
        adam.steps = state.steps;
        Ok(adam)
    }
}
