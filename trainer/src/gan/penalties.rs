//! Penalties on a critic's gradient.

use crate::nn::loss::{HostLoss, Read, Recording, mean};
use crate::nn::{Model, ModelError, device_error};
use crate::ops::Device;
use clap::ValueEnum;
use dfdx::prelude::{Axis, ReshapeTo, SumTo, TryAdd, TryMul, TrySub};
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

/// Keeps the norm's own gradient finite where the critic is flat.
const FLAT: f32 = 1e-12;

/// `weight * mean((|grad D(x)| - 1)^2)` over a batch of points `x` between real and generated images
/// (Gulrajani et al. 2017, equation 3), exact for a piecewise linear critic. The norm is that with respect to the
/// pixels that the critic sees, each of which is the mean of `pixel` pixels of a point.
///
/// # Errors
/// A critic that is not piecewise linear; the device's.
pub fn gradient_penalty<D: Device<f32>>(
    recording: &mut Recording<D>,
    critic: &Model<D>,
    points: &D::Array,
    classes: &[u32],
    weight: f64,
    pixel: f64,
) -> Result<HostLoss, ModelError> {
    let squares = squares(recording, critic, points, classes)?;
    let sums = critic.device().sums();
    let penalty = || {
        let norms = squares.try_mul(pixel as f32)?.try_add(FLAT)?.try_sqrt()?;
        let distances = norms.try_sub(1.0f32)?.try_square()?;
        mean(distances, sums)?.try_mul(weight as f32)
    };
    penalty().map_err(device_error)
}

/// `weight * mean(|grad D(x)|^2)` over a batch of points `x` (Mescheder et al. 2018, equation 9), exact for a
/// piecewise linear critic.
///
/// # Errors
/// A critic that is not piecewise linear; the device's.
pub fn zero_centred_penalty<D: Device<f32>>(
    recording: &mut Recording<D>,
    critic: &Model<D>,
    points: &D::Array,
    classes: &[u32],
    weight: f64,
) -> Result<HostLoss, ModelError> {
    let squares = squares(recording, critic, points, classes)?;
    let sums = critic.device().sums();
    let penalty = || mean(squares, sums)?.try_mul(weight as f32);
    penalty().map_err(device_error)
}

/// `|grad D(x)|^2` for each point, `(N,)`.
fn squares<D: Device<f32>>(
    recording: &mut Recording<D>,
    critic: &Model<D>,
    points: &D::Array,
    classes: &[u32],
) -> Result<Read, ModelError> {
    let [n, h, w, c] = critic.device().dims(points);
    let gradient = critic.input_gradient(&mut recording.tape, points, classes)?;
    let gradient = recording.read(&gradient)?;
    let squares = || {
        gradient
            .try_reshape_like(&(n, h * w * c))?
            .try_square()?
            .try_sum::<(usize,), Axis<1>>()
    };
    squares().map_err(device_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Initialization, Mode};
    use crate::ops::cpu::Nodes;
    use crate::ops::{Activation, Cpu, Wants, Weights, Window, composed};
    use crate::parameters::{HostTensor, Parameters};
    use crate::rng::{Rng, Stream};
    use crate::spec::{Layer, Network, Shape};
    use dfdx::prelude::{HasShape, NoneTape, OwnedTape, TensorFromVec};

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

    /// A critic with branches, and every layer that has joined and pooled ones.
    fn branched() -> Network {
        let conv = |channels| Layer::Conv2d {
            channels,
            kernel: 3,
            stride: 1,
            padding: 1,
            bias: true,
        };
        let mut network = Network::chain(Shape::new(2, 6, 6), vec![conv(3)]);
        let active = network.push(Layer::LeakyRelu { slope: 0.2 }, &[1]);
        let branch = network.push(conv(3), &[active]);
        let sum = network.push(Layer::Add, &[branch, active]);
        let (kernel, stride) = (2, 2);
        let greatest = network.push(Layer::MaxPool2d { kernel, stride }, &[sum]);
        let mean = network.push(Layer::AvgPool2d { kernel, stride }, &[active]);
        let joined = network.push(Layer::Concat, &[greatest, mean]);
        let (kernel, stride) = (2, 1);
        let pooled = network.push(Layer::MaxPool2d { kernel, stride }, &[joined]);
        let flat = network.push(Layer::Flatten, &[pooled]);
        network.push(linear(1), &[flat]);
        network
    }

    /// A critic that blends two branches.
    fn blended() -> Network {
        let conv = |kernel| Layer::Conv2d {
            channels: 3,
            kernel,
            stride: 2,
            padding: 0,
            bias: true,
        };
        let mut network = Network::chain(Shape::new(2, 6, 6), vec![conv(1)]);
        let small = network.push(Layer::LeakyRelu { slope: 0.2 }, &[1]);
        let large = network.push(conv(2), &[0]);
        let blend = network.push(Layer::Blend { share: 0.3 }, &[small, large]);
        let flat = network.push(Layer::Flatten, &[blend]);
        network.push(linear(1), &[flat]);
        network
    }

    /// [`critic`], told the class by a projection.
    fn projected() -> Network {
        let mut network = critic();
        let last = network.layers.len();
        let projection = network.push(Layer::ClassProjection { classes: 3 }, &[last - 1]);
        network.push(Layer::Add, &[last, projection]);
        network
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
        for (network, classes) in [
            (critic(), [].as_slice()),
            (told, &[0, 2, 1, 1, 0]),
            (projected(), &[0, 2, 1, 1, 0]),
            (branched(), &[]),
            (blended(), &[]),
        ] {
            let cpu = Cpu::default();
            let critic = Model::new(cpu.clone(), &network, &parameters(&network)).unwrap();
            let x = critic.input(5, &points(5, &network)).unwrap();
            let wants = Wants {
                input: true,
                weights: false,
            };
            let mut tape = OwnedTape::default();
            let ran = critic.forward(&mut tape, &x, classes, Mode::Train(wants));
            let mut gradients = cpu
                .backward(tape, vec![(ran.unwrap().0, vec![1.0; 5])])
                .unwrap();
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
        let mut recording = Recording::new(&cpu);
        let loss = gradient_penalty(&mut recording, &critic, &x, &[], 10.0, 1.0).unwrap();
        let (value, mut gradients) = recording.backward(loss).unwrap();
        assert!((value - 10.0 * (norm - 1.0).powi(2)).abs() < 1e-4);
        let weight = &*critic.trained_mut()[0];
        let gradient = cpu.gradient(&mut gradients, weight).unwrap();
        for (g, w) in gradient.iter().zip(w) {
            assert!((g - 20.0 * (norm - 1.0) * w / norm).abs() < 1e-4, "{g}");
        }
        // Around zero it is `3 |w|^2`, its gradient `6 w`.
        let mut recording = Recording::new(&cpu);
        let loss = zero_centred_penalty(&mut recording, &critic, &x, &[], 3.0).unwrap();
        let (value, mut gradients) = recording.backward(loss).unwrap();
        assert!((value - 3.0 * norm * norm).abs() < 1e-4);
        let weight = &*critic.trained_mut()[0];
        let gradient = cpu.gradient(&mut gradients, weight).unwrap();
        for (g, w) in gradient.iter().zip(w) {
            assert!((g - 6.0 * w).abs() < 1e-4, "{g}");
        }
    }

    /// Of a critic that pools its images, with respect to the pixels that it sees: that of the critic without the pool, at
    /// the pooled images.
    #[test]
    fn pixels_are_those_that_the_critic_sees() {
        let cpu = Cpu::default();
        let seen = Network::chain(Shape::new(1, 3, 3), vec![Layer::Flatten, linear(1)]);
        let parameters = parameters(&seen);
        let critic = Model::new(cpu.clone(), &seen, &parameters).unwrap();
        let mut pooling = Network::chain(Shape::new(1, 6, 6), Vec::new());
        let (kernel, stride) = (2, 2);
        pooling.push(Layer::AvgPool2d { kernel, stride }, &[0]);
        let pooled = pooling.then(&seen);
        let behind = Parameters::default().then(&parameters, 1);
        let pooled = Model::new(cpu.clone(), &pooled, &behind).unwrap();
        let penalty = |critic: &Model<Cpu>, pixel| {
            let x = critic.input(3, &points(3, critic.network())).unwrap();
            let mut recording = Recording::new(&cpu);
            let loss = gradient_penalty(&mut recording, critic, &x, &[], 10.0, pixel).unwrap();
            recording.backward(loss).unwrap().0
        };
        let (own, through) = (penalty(&critic, 1.0), penalty(&pooled, 4.0));
        assert!(
            (own - through).abs() < 1e-4 * own,
            "{own} against {through}"
        );
        assert!((own - penalty(&pooled, 1.0)).abs() > 0.1 * own);
    }

    type Array64 = composed::Array<f64, Nodes>;

    /// Where a critic is bent.
    #[derive(Clone, Copy)]
    enum Corner {
        /// `x` where positive, else so many times `x`.
        Leaky(f64),
        MaxPool(Window),
    }

    /// A straight piece of a corner, of one sample: which of the numbers each number that it gives is, and how many
    /// times.
    type Piece = Vec<(usize, f64)>;

    impl Corner {
        /// The piece that a sample of the given sizes lies on.
        fn piece(self, sample: &[f64], [_, h, w, c]: [usize; 4]) -> Piece {
            match self {
                Self::Leaky(slope) => {
                    let slopes = sample.iter().map(|&v| if v > 0.0 { 1.0 } else { slope });
                    slopes.enumerate().collect()
                }
                Self::MaxPool(Window { kernel, stride, .. }) => {
                    let mut piece = Vec::new();
                    for y in (0..=h - kernel).step_by(stride) {
                        for x in (0..=w - kernel).step_by(stride) {
                            piece.extend((0..c).map(|channel| {
                                let taps = (0..kernel * kernel).map(|tap| {
                                    ((y + tap / kernel) * w + x + tap % kernel) * c + channel
                                });
                                let greatest =
                                    taps.max_by(|&a, &b| sample[a].total_cmp(&sample[b]));
                                (greatest.unwrap(), 1.0)
                            }));
                        }
                    }
                    piece
                }
            }
        }

        /// The sizes that come out.
        fn output(self, [n, h, w, c]: [usize; 4]) -> [usize; 4] {
            match self {
                Self::Leaky(_) => [n, h, w, c],
                Self::MaxPool(Window { kernel, stride, .. }) => {
                    let side = |n| (n - kernel) / stride + 1;
                    [n, side(h), side(w), c]
                }
            }
        }
    }

    /// Turns the input of the k-th corner into its output.
    type Fix<'a> = &'a mut dyn FnMut(usize, Array64) -> Array64;

    /// Runs `x` of the given classes, if the critic is told them, through a critic with the arrays `w`.
    type Run = fn(Array64, &[Array64], &[u32], Fix<'_>) -> Array64;

    /// A critic in f64, made of dfdx's operations: for each point of `x`, the pieces that its numbers lie on; and the
    /// gradients, read off the line through the origin that those pieces leave of the critic.
    struct Oracle {
        x: Vec<f64>,
        n: usize,
        /// Of each point, or none.
        classes: &'static [u32],
        corners: &'static [Corner],
        run: Run,
    }

    fn with(w: &[Array64], i: usize, bias: Option<usize>) -> Weights<Array64> {
        Weights {
            weight: w[i].clone(),
            bias: bias.map(|b| w[b].clone()),
        }
    }

    /// What the last layer of [`critic`] reads.
    fn features(x: Array64, w: &[Array64], fix: Fix<'_>) -> Array64 {
        let (tape, act) = (&mut NoneTape, Activation::Identity);
        let window = |kernel| Window {
            kernel,
            stride: 2,
            padding: 1,
        };
        let x = composed::conv2d(tape, &x, &with(w, 0, Some(1)), window(3), act).unwrap();
        let x = fix(0, x);
        let v = with(w, 2, None);
        let x = composed::conv_transpose2d(tape, &x, &v, window(4), (6, 6), act);
        let x = fix(1, x.unwrap());
        let x = composed::linear(tape, &x, &with(w, 3, Some(4)), act);
        fix(2, x.unwrap())
    }

    fn logits(features: &Array64, w: &[Array64]) -> Array64 {
        let w = with(w, 5, Some(6));
        composed::linear(&mut NoneTape, features, &w, Activation::Identity).unwrap()
    }

    const CORNERS: &[Corner] = &[Corner::Leaky(0.2), Corner::Leaky(0.0), Corner::Leaky(0.1)];

    /// [`critic`].
    const CRITIC: (Run, &[Corner]) = (|x, w, _, fix| logits(&features(x, w, fix), w), CORNERS);

    /// [`projected`].
    const PROJECTED: (Run, &[Corner]) = (
        |x, w, classes, fix| {
            let x = features(x, w, fix);
            let (numbers, table) = (x.as_vec(), w[7].as_vec());
            let len = numbers.len() / classes.len();
            let samples = numbers.chunks_exact(len).zip(classes);
            let projections = samples.map(|(sample, &class)| {
                let row = &table[class as usize * len..][..len];
                sample.iter().zip(row).map(|(a, b)| a * b).sum::<f64>()
            });
            let logits = logits(&x, w);
            let sums = logits.as_vec().into_iter().zip(projections);
            let sums = sums.map(|(a, b)| a + b).collect::<Vec<_>>();
            Nodes::default().tensor_from_vec(sums, *logits.shape())
        },
        CORNERS,
    );

    const fn pool(stride: usize) -> Window {
        Window {
            kernel: 2,
            stride,
            padding: 0,
        }
    }

    /// [`branched`].
    const BRANCHED: (Run, &[Corner]) = (
        |x, w, _, fix| {
            let (tape, act) = (&mut NoneTape, Activation::Identity);
            let window = Window {
                kernel: 3,
                stride: 1,
                padding: 1,
            };
            let x = composed::conv2d(tape, &x, &with(w, 0, Some(1)), window, act).unwrap();
            let x = fix(0, x);
            let branch = composed::conv2d(tape, &x, &with(w, 2, Some(3)), window, act).unwrap();
            let sum = composed::add(tape, &branch, std::slice::from_ref(&x)).unwrap();
            let greatest = fix(1, sum);
            let mean = composed::avg_pool2d(tape, &x, pool(2)).unwrap();
            let joined = composed::concat(tape, &greatest, &[mean]).unwrap();
            let pooled = fix(2, joined);
            composed::linear(tape, &pooled, &with(w, 4, Some(5)), act).unwrap()
        },
        &[
            Corner::Leaky(0.2),
            Corner::MaxPool(pool(2)),
            Corner::MaxPool(pool(1)),
        ],
    );

    impl Oracle {
        /// What a corner makes of a batch, by a piece for each sample, or one for all.
        fn bent(&self, k: usize, x: &Array64, pieces: &[Piece]) -> Array64 {
            let &(n, h, w, c) = x.shape();
            let numbers = x.as_vec();
            let samples = numbers.chunks_exact(h * w * c).zip(pieces.iter().cycle());
            let y: Vec<f64> = samples
                .flat_map(|(sample, piece)| piece.iter().map(|&(i, times)| sample[i] * times))
                .collect();
            let [n, h, w, c] = self.corners[k].output([n, h, w, c]);
            Nodes::default().tensor_from_vec(y, (n, h, w, c))
        }

        fn array(&self, numbers: Vec<f64>) -> Array64 {
            let n = numbers.len() / (6 * 6 * 2);
            Nodes::default().tensor_from_vec(numbers, (n, 6, 6, 2))
        }

        /// For each corner, the piece of each point.
        fn pieces(&self, w: &[Array64]) -> Vec<Vec<Piece>> {
            let mut pieces = vec![Vec::new(); self.corners.len()];
            (self.run)(self.array(self.x.clone()), w, self.classes, &mut |k, x| {
                let &(n, h, wide, c) = x.shape();
                let numbers = x.as_vec();
                let samples = numbers.chunks_exact(h * wide * c);
                let dims = [n, h, wide, c];
                pieces[k] = samples.map(|s| self.corners[k].piece(s, dims)).collect();
                self.bent(k, &x, &pieces[k])
            });
            pieces
        }

        fn penalty(&self, w: &[Array64], pieces: &[Vec<Piece>]) -> f64 {
            let len = self.x.len() / self.n;
            let distances = (0..self.n).map(|point| {
                // One unit vector a row, and the origin last.
                let mut rows = vec![0.0; (len + 1) * len];
                (0..len).for_each(|i| rows[i * len + i] = 1.0);
                let class = self.classes.get(point);
                let classes = class.map_or_else(Vec::new, |&class| vec![class; len + 1]);
                let y = (self.run)(self.array(rows), w, &classes, &mut |k, x| {
                    self.bent(k, &x, std::slice::from_ref(&pieces[k][point]))
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
        check_weights_gradient(&critic(), &[], CRITIC);
        check_weights_gradient(&projected(), &[2, 0, 1, 1], PROJECTED);
        check_weights_gradient(&branched(), &[], BRANCHED);
    }

    fn check_weights_gradient(
        network: &Network,
        classes: &'static [u32],
        (run, corners): (Run, &'static [Corner]),
    ) {
        let cpu = Cpu::default();
        let x = points(4, network);
        let mut critic = Model::new(cpu.clone(), network, &parameters(network)).unwrap();
        let batch = critic.input(4, &x).unwrap();
        let oracle = Oracle {
            x: cpu.to_host(&batch).into_iter().map(f64::from).collect(),
            n: 4,
            classes,
            corners,
            run,
        };
        let mut recording = Recording::new(&cpu);
        let loss = gradient_penalty(&mut recording, &critic, &batch, classes, 10.0, 1.0).unwrap();
        let (value, mut gradients) = recording.backward(loss).unwrap();
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
                Nodes::default().tensor_from_vec(numbers, (n, h, w, c))
            })
            .collect();
        let pieces = oracle.pieces(&w);
        let expected = oracle.penalty(&w, &pieces);
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
                    w[at] = Nodes::default().tensor_from_vec(numbers, *w[at].shape());
                    oracle.penalty(&w, &pieces)
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
            gradient_penalty(
                &mut Recording::new(critic.device()),
                &critic,
                &x,
                &[],
                10.0,
                1.0,
            )
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
