//! Penalties on a critic's gradient.

use super::losses::{Logits, Loss};
use crate::nn::{Model, ModelError, device_error};
use crate::ops::Device;
use clap::ValueEnum;
use dfdx::prelude::{Axis, MeanTo, OwnedTape, ReshapeTo, SumTo, TryAdd, TryMul, TrySub};
use serde::{Deserialize, Serialize};

/// The kinds of [`Penalty`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PenaltyKind {
    None,
    /// The norm of the gradient between real and generated images should be 1 (Gulrajani et al. 2017).
    Gradient,
    /// The gradient at real and at generated images should be 0: R1 and R2 (Mescheder et al. 2018), on every 8th step.
    ZeroCentred,
}

impl PenaltyKind {
    /// The penalty with a weight, 0.3 or 10 by default.
    pub fn with(self, weight: Option<f64>) -> Option<Penalty> {
        match self {
            Self::None => None,
            Self::Gradient => Some(Penalty::Gradient(weight.unwrap_or(10.0))),
            Self::ZeroCentred => Some(Penalty::ZeroCentred {
                weight: weight.unwrap_or(0.3),
                every: 8,
            }),
        }
    }

    /// The kind of a penalty, and its weight if there is one.
    pub fn of(penalty: Option<Penalty>) -> (Self, Option<f64>) {
        match penalty {
            None => (Self::None, None),
            Some(Penalty::Gradient(weight)) => (Self::Gradient, Some(weight)),
            Some(Penalty::ZeroCentred { weight, .. }) => (Self::ZeroCentred, Some(weight)),
        }
    }
}

/// What keeps a critic's gradient in bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Penalty {
    /// [`gradient_penalty`] between real and generated images, with this weight.
    Gradient(f64),
    /// [`zero_centred_penalty`] on real images (R1, Mescheder et al. 2018) and on generated ones (R2), each with half
    /// this weight, on every so many-th step only and as many times as heavy there (Karras et al. 2020, section 3.2).
    ZeroCentred { weight: f64, every: u32 },
}

/// A penalty to run backward from.
pub type Recorded<D> = Loss<D, OwnedTape<f32, D>>;

/// Keeps the norm's own gradient finite where the critic is flat.
const FLAT: f32 = 1e-12;

/// `weight * mean((|grad D(x)| - 1)^2)` over a batch of points `x` between real and generated images
/// (Gulrajani et al. 2017, equation 3), exact for a piecewise linear critic.
///
/// # Errors
/// A critic that is not piecewise linear; the device's.
pub fn gradient_penalty<D: Device<f32>>(
    critic: &Model<D>,
    points: &D::Array,
    classes: &[u32],
    weight: f64,
) -> Result<Recorded<D>, ModelError> {
    let squares = squares(critic, points, classes)?;
    let penalty = || {
        squares
            .try_add(FLAT)?
            .try_sqrt()?
            .try_sub(1.0f32)?
            .try_square()?
            .try_mean()?
            .try_mul(weight as f32)
    };
    penalty().map_err(device_error)
}

/// `weight * mean(|grad D(x)|^2)` over a batch of points `x` (Mescheder et al. 2018, equation 9), exact for a
/// piecewise linear critic.
///
/// # Errors
/// A critic that is not piecewise linear; the device's.
pub fn zero_centred_penalty<D: Device<f32>>(
    critic: &Model<D>,
    points: &D::Array,
    classes: &[u32],
    weight: f64,
) -> Result<Recorded<D>, ModelError> {
    let squares = squares(critic, points, classes)?;
    let penalty = || squares.try_mean()?.try_mul(weight as f32);
    penalty().map_err(device_error)
}

/// `|grad D(x)|^2` for each point, `(N,)`.
fn squares<D: Device<f32>>(
    critic: &Model<D>,
    points: &D::Array,
    classes: &[u32],
) -> Result<Logits<D, OwnedTape<f32, D>>, ModelError> {
    let device = critic.device();
    let [n, h, w, c] = device.dims(points);
    let mut tape = OwnedTape::default();
    let gradient = critic.input_gradient(&mut tape, points, classes)?;
    let squares = || {
        device
            .to_tensor(tape, &gradient)?
            .try_reshape_like(&(n, h * w * c))?
            .try_square()?
            .try_sum::<(usize,), Axis<1>>()
    };
    squares().map_err(device_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gan::losses;
    use crate::nn::{Initialization, Mode};
    use crate::ops::{Activation, Wants, Weights, Window, composed};
    use crate::parameters::{HostTensor, Parameters};
    use crate::rng::{Rng, Stream};
    use crate::spec::{Layer, Network, Shape};
    use dfdx::prelude::{Cpu, HasShape, NoneTape, SumTo, TensorFromVec};

    fn linear(features: usize) -> Layer {
        Layer::Linear {
            features,
            bias: true,
        }
    }

    /// A critic with every kind of layer that the penalty passes through.
    fn critic() -> Network {
        Network::chain(
            Shape::new(2, 6, 6),
            vec![
                Layer::Conv2d {
                    channels: 5,
                    kernel: 3,
                    stride: 2,
                    padding: 1,
                    bias: true,
                },
                Layer::LeakyRelu { slope: 0.2 },
                Layer::ConvTranspose2d {
                    channels: 3,
                    kernel: 4,
                    stride: 2,
                    padding: 1,
                    output_padding: 0,
                    bias: false,
                },
                Layer::Relu,
                Layer::Flatten,
                linear(7),
                Layer::LeakyRelu { slope: 0.1 },
                linear(1),
            ],
        )
    }

    fn points(n: usize, network: &Network) -> Vec<f32> {
        let mut rng = Rng::new(4, Stream::Order(0));
        let len = n * network.input.len();
        (0..len).map(|_| rng.normal() as f32).collect()
    }

    /// Weights large enough for gradients of the order of one.
    fn parameters(network: &Network) -> Parameters {
        let mut rng = Rng::new(2, Stream::Initialization);
        let mut drawn = Initialization::Dcgan.parameters(network, &mut rng).unwrap();
        for tensor in drawn.tensors.values_mut() {
            tensor.data.iter_mut().for_each(|v| *v *= 12.0);
        }
        drawn
    }

    #[test]
    fn the_input_gradient_is_the_tapes() {
        let mut told = critic();
        let (classes, channels) = (3, 2);
        let embedding = Layer::ClassEmbedding { classes, channels };
        told.insert(0, embedding);
        for (network, classes) in [(critic(), [].as_slice()), (told, &[0, 2, 1, 1, 0])] {
            let cpu = Cpu::default();
            let critic = Model::new(cpu.clone(), &network, &parameters(&network)).unwrap();
            let x = critic.input(5, &points(5, &network)).unwrap();
            let wants = Wants {
                input: true,
                weights: false,
            };
            let mut tape = OwnedTape::default();
            let ran = critic.forward(&mut tape, &x, classes, Mode::Train(wants));
            let sum = cpu.to_tensor(tape, &ran.unwrap().0).unwrap();
            let (_, mut gradients) = losses::backward(sum.try_sum().unwrap()).unwrap();
            let expected = cpu.gradient(&mut gradients, &x).unwrap();
            let ours = critic.input_gradient(&mut OwnedTape::default(), &x, classes);
            assert!(expected.iter().any(|g| g.abs() > 0.1));
            let ours = cpu.to_host(&ours.unwrap());
            assert_eq!(ours.len(), expected.len());
            for (a, b) in ours.iter().zip(&expected) {
                assert!((a - b).abs() < 1e-5, "{a} against {b}");
            }
        }
    }

    /// For `D(x) = w x + b` the penalty is `10 (|w| - 1)^2` and its gradient `20 (|w| - 1) w / |w|`.
    #[test]
    fn a_linear_critic_has_the_closed_form() {
        let network = Network::chain(Shape::features(3), vec![linear(1)]);
        let w = [0.5f32, -1.5, 2.0];
        let norm = w.iter().map(|w| w * w).sum::<f32>().sqrt();
        let mut parameters = Parameters::default();
        for (name, shape, data) in [
            ("0.weight", vec![1, 3], w.to_vec()),
            ("0.bias", vec![1], vec![0.7]),
        ] {
            let tensor = HostTensor { shape, data };
            parameters.tensors.insert(name.into(), tensor);
        }
        let cpu = Cpu::default();
        let mut critic = Model::new(cpu.clone(), &network, &parameters).unwrap();
        let x = critic.input(4, &points(4, &network)).unwrap();
        let (value, mut gradients) =
            losses::backward(gradient_penalty(&critic, &x, &[], 10.0).unwrap()).unwrap();
        assert!((value - 10.0 * (norm - 1.0).powi(2)).abs() < 1e-4);
        let weight = &*critic.trained_mut()[0];
        let gradient = cpu.gradient(&mut gradients, weight).unwrap();
        for (g, w) in gradient.iter().zip(w) {
            assert!((g - 20.0 * (norm - 1.0) * w / norm).abs() < 1e-4, "{g}");
        }
        // Around zero it is `3 |w|^2`, its gradient `6 w`.
        let (value, mut gradients) =
            losses::backward(zero_centred_penalty(&critic, &x, &[], 3.0).unwrap()).unwrap();
        assert!((value - 3.0 * norm * norm).abs() < 1e-4);
        let weight = &*critic.trained_mut()[0];
        let gradient = cpu.gradient(&mut gradients, weight).unwrap();
        for (g, w) in gradient.iter().zip(w) {
            assert!((g - 6.0 * w).abs() < 1e-4, "{g}");
        }
    }

    /// The critic in f64, made of dfdx's operations: for each point of `x`, the sides of the corners that
    /// its numbers lie on; and the gradients, read off the line through the origin that those sides
    /// leave of the critic.
    struct Oracle {
        x: Vec<f64>,
        n: usize,
    }

    type Array64 = composed::Array<f64, Cpu>;

    impl Oracle {
        /// Runs `x` through the critic with the arrays `w`; `fix` turns the k-th activation's input into
        /// its output.
        fn run(
            &self,
            x: Array64,
            w: &[Array64],
            fix: &mut dyn FnMut(usize, Array64) -> Array64,
        ) -> Array64 {
            let (tape, act) = (&mut NoneTape, Activation::Identity);
            let with = |i: usize, bias: Option<usize>| Weights {
                weight: w[i].clone(),
                bias: bias.map(|b| w[b].clone()),
            };
            let window = |kernel| Window {
                kernel,
                stride: 2,
                padding: 1,
            };
            let x = composed::conv2d(tape, &x, &with(0, Some(1)), window(3), act).unwrap();
            let x = fix(0, x);
            let x = composed::conv_transpose2d(tape, &x, &with(2, None), window(4), (6, 6), act);
            let x = fix(1, x.unwrap());
            let x = fix(
                2,
                composed::linear(tape, &x, &with(3, Some(4)), act).unwrap(),
            );
            composed::linear(tape, &x, &with(5, Some(6)), act).unwrap()
        }

        /// For each activation, the slope at each number of each point.
        fn slopes(&self, w: &[Array64]) -> [Vec<f64>; 3] {
            let cpu = Cpu::default();
            let mut slopes = [const { Vec::new() }; 3];
            let x = cpu.tensor_from_vec(self.x.clone(), (self.n, 6, 6, 2));
            self.run(x, w, &mut |k, x| {
                let negative = [0.2, 0.0, 0.1][k];
                let slope: Vec<f64> = x
                    .as_vec()
                    .iter()
                    .map(|&v| if v > 0.0 { 1.0 } else { negative })
                    .collect();
                let y = x
                    .as_vec()
                    .iter()
                    .zip(&slope)
                    .map(|(x, s)| x * s)
                    .collect::<Vec<_>>();
                slopes[k] = slope;
                cpu.tensor_from_vec(y, *x.shape())
            });
            slopes
        }

        fn penalty(&self, w: &[Array64], slopes: &[Vec<f64>; 3]) -> f64 {
            let cpu = Cpu::default();
            let len = self.x.len() / self.n;
            let distances = (0..self.n).map(|point| {
                // One unit vector a row, and the origin last.
                let mut rows = vec![0.0; (len + 1) * len];
                (0..len).for_each(|i| rows[i * len + i] = 1.0);
                let rows = cpu.tensor_from_vec(rows, (len + 1, 6, 6, 2));
                let y = self.run(rows, w, &mut |k, x| {
                    let own = &slopes[k][point * slopes[k].len() / self.n..];
                    let own = &own[..slopes[k].len() / self.n];
                    let y = x
                        .as_vec()
                        .iter()
                        .zip(own.iter().cycle())
                        .map(|(x, s)| x * s)
                        .collect::<Vec<_>>();
                    cpu.tensor_from_vec(y, *x.shape())
                });
                let y = y.as_vec();
                let square: f64 = y[..len].iter().map(|v| (v - y[len]).powi(2)).sum();
                (square.sqrt() - 1.0).powi(2)
            });
            10.0 * distances.sum::<f64>() / self.n as f64
        }
    }

    #[test]
    fn the_weights_gradient_is_the_numerical_derivative() {
        let (network, cpu) = (critic(), Cpu::default());
        let x = points(4, &network);
        let mut critic = Model::new(cpu.clone(), &network, &parameters(&network)).unwrap();
        let batch = critic.input(4, &x).unwrap();
        let oracle = Oracle {
            x: cpu.to_host(&batch).into_iter().map(f64::from).collect(),
            n: 4,
        };
        let loss = gradient_penalty(&critic, &batch, &[], 10.0).unwrap();
        let (value, mut gradients) = losses::backward(loss).unwrap();
        let arrays: Vec<_> = critic
            .trained_mut()
            .into_iter()
            .map(|a| a.clone())
            .collect();
        let w: Vec<Array64> = arrays
            .iter()
            .map(|a| {
                let [n, h, w, c] = cpu.dims(a);
                let numbers = cpu
                    .to_host(a)
                    .into_iter()
                    .map(f64::from)
                    .collect::<Vec<_>>();
                cpu.tensor_from_vec(numbers, (n, h, w, c))
            })
            .collect();
        let slopes = oracle.slopes(&w);
        let expected = oracle.penalty(&w, &slopes);
        assert!(
            (f64::from(value) / expected - 1.0).abs() < 1e-5,
            "{value} against {expected}"
        );
        for (at, array) in arrays.iter().enumerate() {
            let gradient = cpu.gradient(&mut gradients, array).unwrap();
            for i in [0, gradient.len() / 2, gradient.len() - 1] {
                let moved = |by: f64| {
                    let mut w = w.clone();
                    let mut numbers = w[at].as_vec();
                    numbers[i] += by;
                    w[at] = cpu.tensor_from_vec(numbers, *w[at].shape());
                    oracle.penalty(&w, &slopes)
                };
                let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                let ours = f64::from(gradient[i]);
                assert!(
                    (ours - slope).abs() < 1e-4 * (1.0 + slope.abs()),
                    "array {at}, number {i}: {ours} by the tape, {slope} numerically"
                );
            }
        }
    }

    #[test]
    fn what_it_cannot_pass_through_is_named() {
        let mut network = critic();
        network.layers[1] = Layer::Tanh;
        let model =
            |network: &Network| Model::new(Cpu::default(), network, &parameters(network)).unwrap();
        let refused = |network: &Network| {
            let critic = model(network);
            let x = critic.input(2, &points(2, network)).unwrap();
            gradient_penalty(&critic, &x, &[], 10.0)
                .unwrap_err()
                .to_string()
        };
        assert!(
            refused(&network).contains("Conv2d"),
            "{}",
            refused(&network)
        );
        network.layers[1] = Layer::batch_norm();
        assert!(
            refused(&network).contains("BatchNorm"),
            "{}",
            refused(&network)
        );
    }
}
