//! A network's input gradient as a forward pass.

use super::{Kind, Model, ModelError, Module, device_error};
use crate::ops::{Activation, Device, Dims, Wants, Weights, Window};
use dfdx::prelude::{NoneTape, Tape};

impl<D: Device<f32>> Model<D> {
    /// The gradient of the sum of the network's outputs with respect to its input, `(N, H, W, C)` of the given classes, as a
    /// forward pass through the transposed layers that the tape records: its own gradient with respect
    /// to the weights follows from it. Exact where the network is piecewise linear: the pieces are
    /// constants then.
    ///
    /// # Errors
    /// A layer that mixes the batch or is not piecewise linear; the device's.
    pub fn input_gradient<T: Tape<f32, D>>(
        &self,
        tape: &mut T,
        x: &D::Array,
        classes: &[u32],
    ) -> Result<D::Array, ModelError> {
        self.check_classes(x, classes)?;
        let mut outputs = Vec::with_capacity(self.modules.len());
        let mut current = x.clone();
        for module in &self.modules {
            let none = Wants {
                input: false,
                weights: false,
            };
            let input = std::slice::from_ref(&current);
            let ran = self.run(&mut NoneTape, module, input, classes, none, false);
            let (next, _) = ran.map_err(device_error)?;
            outputs.push((self.device.dims(&current), next.clone()));
            current = next;
        }
        let dims = self.device.dims(&current);
        let ones = vec![1.0; dims.iter().product()];
        let mut gradient = self.device.array(&ones, dims).map_err(device_error)?;
        let mut wants = Wants {
            input: false,
            weights: true,
        };
        for (module, (input, output)) in self.modules.iter().zip(outputs).rev() {
            if !module.activation.is_piecewise_linear() {
                return Err(ModelError::NoPenalty(self.name_of(module)));
            }
            if module.activation != Activation::Identity {
                let slope = self
                    .device
                    .slope(tape, &gradient, &output, module.activation);
                gradient = slope.map_err(device_error)?;
            }
            gradient = self.transposed(tape, module, &gradient, input, wants)?;
            wants.input |= module.kind.learns();
        }
        Ok(gradient)
    }

    /// The transposed linear map of a module, to an input of the given sizes.
    fn transposed<T: Tape<f32, D>>(
        &self,
        tape: &mut T,
        module: &Module<D::Array>,
        gradient: &D::Array,
        input: Dims,
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
            Kind::Conv2d(w, window) => {
                let sides = (input[1], input[2]);
                device.conv_transpose2d(tape, gradient, &bare(w), *window, sides, act, wants)
            }
            Kind::ConvTranspose2d(w, window, _) => {
                device.conv2d(tape, gradient, &bare(w), *window, act, wants)
            }
            // The table is no input.
            Kind::ClassEmbedding(_) => device.first_channels(tape, gradient, input[3]),
            Kind::ClassShift(_) | Kind::Activation => Ok(gradient.clone()),
            Kind::View(_) => device.reshape(tape, gradient, input),
            Kind::BatchNorm(_) | Kind::Upsample(_) => {
                return Err(ModelError::NoPenalty(self.name_of(module)));
            }
        }
        .map_err(device_error)
    }

    fn name_of(&self, module: &Module<D::Array>) -> &'static str {
        self.network.layers[module.index].name()
    }
}
