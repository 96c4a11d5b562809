//! A network's input gradient as a forward pass.

use super::{ADD_UP, Kind, Model, ModelError, Module, device_error};
use crate::ops::{Activation, Device, Dims, Wants, Weights, Window};
use dfdx::prelude::{NoneTape, Tape};

impl<D: Device<f32>> Model<D> {
    /// The gradient of the sum of the network's outputs with respect to its input, `(N, H, W, C)` of the given classes.
    /// It is a forward pass through the transposed layers that the tape records, so its own gradient with respect
    /// to the weights follows from it. Exact where the network is piecewise linear: the pieces, and the places that a
    /// maximum is taken from, are constants then.
    ///
    /// # Errors
    /// A layer that mixes the batch or is not piecewise linear; the device's.
    pub fn input_gradient<T: Tape<f32, D::Nodes>>(
        &self,
        tape: &mut T,
        x: &D::Array,
        classes: &[u32],
    ) -> Result<D::Array, ModelError> {
        self.check_classes(x, classes)?;
        let none = Wants {
            input: false,
            weights: false,
        };
        // What each module gives, behind the network's input.
        let mut made = vec![x.clone()];
        for module in &self.modules {
            let inputs: Vec<D::Array> = module.reads.iter().map(|&at| made[at].clone()).collect();
            let ran = self.run(&mut NoneTape, module, &inputs, classes, none, false);
            made.push(ran.map_err(device_error)?.0);
        }
        let full = |array: &D::Array, value: f32| {
            let dims = self.device.dims(array);
            let values = vec![value; dims.iter().product()];
            self.device.array(&values, dims).map_err(device_error)
        };
        // The gradient of each so far, and whether it depends on weights that learn.
        let mut gradients: Vec<Option<(D::Array, bool)>> = vec![None; made.len()];
        if let (Some(gradient), Some(output)) = (gradients.last_mut(), made.last()) {
            *gradient = Some((full(output, 1.0)?, false));
        }
        for (at, module) in self.modules.iter().enumerate().rev() {
            let Some((gradient, learns)) = gradients[at + 1].take() else {
                continue;
            };
            let wants = Wants {
                input: learns,
                weights: true,
            };
            let parts = self.passed_back(tape, at, gradient, &made, classes, wants)?;
            let learns = learns || module.kind.learns();
            for (&read, part) in module.reads.iter().zip(parts) {
                gradients[read] = Some(match gradients[read].take() {
                    None => (part, learns),
                    Some((sum, before)) => {
                        let sum = self.device.add(tape, &sum, &[part]);
                        (sum.map_err(device_error)?, before || learns)
                    }
                });
            }
        }
        match gradients.swap_remove(0) {
            Some((gradient, _)) => Ok(gradient),
            None => full(x, 0.0),
        }
    }

    /// The gradient of the output of module `at` as those of what it reads; `made` has both.
    fn passed_back<T: Tape<f32, D::Nodes>>(
        &self,
        tape: &mut T,
        at: usize,
        mut gradient: D::Array,
        made: &[D::Array],
        classes: &[u32],
        wants: Wants,
    ) -> Result<Vec<D::Array>, ModelError> {
        let (module, output) = (&self.modules[at], &made[at + 1]);
        let (device, act) = (&self.device, module.activation);
        if !act.is_piecewise_linear() {
            return Err(ModelError::NoPenalty(self.name_of(module)));
        }
        if act != Activation::Identity {
            let slope = device.slope(tape, &gradient, output, act);
            gradient = slope.map_err(device_error)?;
        }
        let sizes = module.reads.iter().map(|&read| device.dims(&made[read]));
        match module.kind {
            Kind::Add => Ok(vec![gradient; module.reads.len()]),
            Kind::Blend(share) => [1.0 - share, share]
                .map(|factor| self.scaled(tape, &gradient, factor).map_err(device_error))
                .into_iter()
                .collect(),
            Kind::Concat => {
                let mut first = 0;
                let parts = sizes.map(|[.., channels]| {
                    let own = first..first + channels;
                    first = own.end;
                    device.channels(tape, &gradient, own).map_err(device_error)
                });
                parts.collect()
            }
            Kind::MaxPool2d(window) => {
                let x = &made[module.reads[0]];
                let part = device.max_unpool2d(tape, &gradient, x, window);
                Ok(vec![part.map_err(device_error)?])
            }
            _ => sizes
                .map(|input| self.transposed(tape, module, &gradient, input, classes, wants))
                .collect(),
        }
    }

    /// The transposed linear map of a module of one input, which has the given sizes.
    fn transposed<T: Tape<f32, D::Nodes>>(
        &self,
        tape: &mut T,
        module: &Module<D::Array>,
        gradient: &D::Array,
        input: Dims,
        classes: &[u32],
        wants: Wants,
    ) -> Result<D::Array, ModelError> {
        /// A dense layer is a convolution whose window is one pixel.
        const POINT: Window = Window {
            kernel: 1,
            stride: 1,
            padding: 0,
        };
        let bare = |w: &Weights<D::Array>| Weights {
            weight: w.weight.clone(),
            bias: None,
        };
        let (device, act) = (&self.device, Activation::Identity);
        match &module.kind {
            Kind::Linear(w) => device
                .conv_transpose2d(tape, gradient, &bare(w), POINT, (1, 1), act, wants)
                .and_then(|g| device.reshape(tape, &g, input)),
            // Its transposed map has the other half of the window.
            Kind::Conv2d(w, window) if device.dims(&w.weight)[1] != window.kernel => {
                return Err(ModelError::NoPenalty(self.name_of(module)));
            }
            Kind::Conv2d(w, window) => {
                let sides = (input[1], input[2]);
                device.conv_transpose2d(tape, gradient, &bare(w), *window, sides, act, wants)
            }
            Kind::ConvTranspose2d(w, window, _) => {
                device.conv2d(tape, gradient, &bare(w), *window, act, wants)
            }
            Kind::AvgPool2d(window) => {
                let sides = (input[1], input[2]);
                device.avg_unpool2d(tape, gradient, *window, sides)
            }
            Kind::ClassProjection(table, ones) => device
                .conv_transpose2d(tape, gradient, ones, POINT, (1, 1), act, ADD_UP)
                .and_then(|g| device.reshape(tape, &g, input))
                .and_then(|g| device.multiply_rows(tape, &g, table, classes)),
            // The table is no input.
            Kind::ClassEmbedding(_) => device.channels(tape, gradient, 0..input[3]),
            Kind::ClassShift(_)
            | Kind::MaxPool2d(_)
            | Kind::Add
            | Kind::Blend(_)
            | Kind::Concat
            | Kind::Activation => Ok(gradient.clone()),
            Kind::View(_) => device.reshape(tape, gradient, input),
            Kind::BatchNorm(_) | Kind::InstanceNorm(..) | Kind::Upsample(_) => {
                return Err(ModelError::NoPenalty(self.name_of(module)));
            }
        }
        .map_err(device_error)
    }

    fn name_of(&self, module: &Module<D::Array>) -> &'static str {
        self.network.layers[module.index].name()
    }
}
