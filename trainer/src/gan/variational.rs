//! The variational autoencoder (Kingma & Welling 2014): its loss, and the step that lowers it.
//!
//! The encoder turns an image `x` into the means and log-variances of a normal distribution `q(z|x)` over latents. A
//! latent `z` is drawn from it, and the decoder turns that into `p(x|z)`. Both networks are trained by the evidence
//! lower bound (their equation 3), negated, in nats an image. Its second part is weighed by `beta` (Higgins et al.
//! 2017; 1 is the bound itself):
//!
//! ```text
//! -ln p(x|z) + beta KL(q(z|x) || N(0, 1))
//! ```

use super::adversarial::{LEARN, LEARN_THROUGH};
use super::losses::softplus;
use super::networks::{LossName, Losses, Named, Networks};
use super::training::{Batch, Gan, Learner};
use crate::nn::loss::{Logits, Loss, Recording, constant, mean, sum, value};
use crate::nn::{Model, ModelError, Statistics, device_error};
use crate::ops::{Device, Sums};
use crate::parameters::Parameters;
use crate::spec::{Layer, Network};
use clap::ValueEnum;
use dfdx::prelude::{
    CpuError, Gradients, HasShape, NoneTape, OwnedTape, ReshapeTo, Tape, TryAdd, TryMul, TrySub,
};
use serde::{Deserialize, Serialize};

/// The rules of a variational autoencoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variational {
    pub likelihood: Likelihood,
    /// Weight of the divergence from the prior.
    pub beta: f64,
}

/// What a decoder's output `y` says about an image `x`, both in [-1, 1].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Likelihood {
    /// Normal around y, the variance the batch's best (Rybkin et al. 2021).
    Gaussian,
    /// Cross-entropy of the pixels as probabilities (Kingma & Welling 2014, appendix C.1).
    Bernoulli,
}

const DIVERGENCE: LossName = LossName {
    key: "divergence",
    title: "KL divergence",
    short: "KL",
};
const RECONSTRUCTION: LossName = LossName {
    key: "reconstruction",
    title: "reconstruction loss",
    short: "reconstruction",
};

/// Variance of the rounding of a pixel to steps of 1/128: the error is uniform over one step.
const ROUNDING: f64 = 1.0 / (128.0 * 128.0 * 12.0);

/// `KL(q || N(0, 1))` in nats, the mean over `n` images (Kingma & Welling 2014, appendix B), with `L` means `m` and
/// then `L` log-variances `v` an image: the sum over the latent of
///
/// ```text
/// (m^2 + e^v - 1 - v) / 2
/// ```
///
/// # Errors
/// The device's.
pub fn divergence<D: dfdx::tensor_ops::Device<f32>, T: Tape<f32, D>>(
    moments: Logits<D, T>,
    n: usize,
    order: Sums,
) -> Result<Loss<D, T>, D::Err> {
    let size = moments.shape().0 / n / 2;
    let rows = moments.try_reshape_like(&(n, 2 * size))?;
    let means = rows.retaped::<T>().try_slice((.., ..size))?;
    let logs = rows.try_slice((.., size..))?;
    let excess = logs
        .retaped::<T>()
        .try_exp()?
        .try_sub(1.0f32)?
        .try_sub(logs)?;
    let terms = means.try_square()?.try_add(excess)?;
    let terms = terms.try_reshape_like(&(n * size,))?;
    sum(terms, order)?.try_mul(0.5 / n as f32)
}

impl Likelihood {
    /// `-ln p(x|z)` in nats, the mean over `n` images of the values `real`. `decoded` is what the decoder makes,
    /// for [`Likelihood::Bernoulli`] without the tanh at its end.
    ///
    /// # Errors
    /// The device's.
    pub fn reconstruction<D: dfdx::tensor_ops::Device<f32>, T: Tape<f32, D>>(
        self,
        decoded: Logits<D, T>,
        real: Logits<D, NoneTape>,
        n: usize,
        order: Sums,
    ) -> Result<Loss<D, T>, D::Err> {
        let pixels = (real.shape().0 / n) as f64;
        match self {
            Self::Gaussian => gaussian(decoded, real, pixels, order),
            Self::Bernoulli => bernoulli(decoded, real, pixels, order),
        }
    }

    /// Runs the decoder as far as [`Likelihood::reconstruction`] wants it.
    fn decode<D: Device<f32>>(
        self,
        decoder: &Model<D>,
        tape: &mut OwnedTape<f32, D::Nodes>,
        latents: &D::Array,
        classes: &[u32],
    ) -> Result<(D::Array, Statistics), ModelError> {
        match self {
            Self::Gaussian => decoder.forward(tape, latents, classes, LEARN_THROUGH),
            Self::Bernoulli => {
                decoder
                    .without_tanh()?
                    .forward(tape, latents, classes, LEARN_THROUGH)
            }
        }
    }
}

/// A density in the units of the images, so it may fall below 0: with `P` pixels an image and the variance that fits
/// the batch best, `s = mean (x - y)^2 + r`, where `r` is that of the pixels' rounding,
///
/// ```text
/// P / 2 (ln(2 pi s) + 1)
/// ```
///
/// (Rybkin et al. 2021, equation 6).
fn gaussian<D: dfdx::tensor_ops::Device<f32>, T: Tape<f32, D>>(
    decoded: Logits<D, T>,
    real: Logits<D, NoneTape>,
    pixels: f64,
    order: Sums,
) -> Result<Loss<D, T>, D::Err> {
    let constant = (2.0 * std::f64::consts::PI).ln() + 1.0;
    let squares = decoded.try_sub(real)?.try_square()?;
    let variance = mean(squares, order)?.try_add(ROUNDING as f32)?;
    let doubled = variance.try_ln()?.try_add(constant as f32)?;
    doubled.try_mul((pixels / 2.0) as f32)
}

/// With `t = (x + 1) / 2` the pixel and `sigmoid(2 a)` the probability, `a` being what the decoder's tanh is given,
///
/// ```text
/// -t ln sigmoid(2 a) - (1 - t) ln(1 - sigmoid(2 a)) = softplus(2 a) - (x + 1) a
/// ```
///
/// summed over the pixels. `tanh(a) = 2 sigmoid(2 a) - 1`, so the decoder's image is the mean of this distribution.
fn bernoulli<D: dfdx::tensor_ops::Device<f32>, T: Tape<f32, D>>(
    decoded: Logits<D, T>,
    real: Logits<D, NoneTape>,
    pixels: f64,
    order: Sums,
) -> Result<Loss<D, T>, D::Err> {
    let drawn = decoded.retaped::<T>().try_mul(real.try_add(1.0f32)?)?;
    let entropy = softplus(decoded.try_mul(2.0f32)?)?.try_sub(drawn)?;
    mean(entropy, order)?.try_mul(pixels as f32)
}

/// The bound of a batch and all that follows from it.
struct Bound<D: Device<f32>> {
    losses: Losses,
    gradients: Gradients<f32, D::Nodes>,
    /// Batch statistics of the encoder and of the decoder.
    statistics: [Statistics; 2],
}

impl Variational {
    /// The losses of a step: the two parts of the bound, in nats an image.
    pub const LOSSES: [LossName; 2] = [DIVERGENCE, RECONSTRUCTION];

    /// The name of the network that reads images.
    pub const ENCODER: &str = "encoder";

    /// The encoder up to the means of latents, which are the first half of what it gives, and its parameters. `None` if
    /// its last layer is not linear.
    pub fn means(encoder: &Network, parameters: &Parameters) -> Option<(Network, Parameters)> {
        let (mut means, mut kept) = (encoder.clone(), parameters.clone());
        let Some(Layer::Linear { features, .. }) = means.layers.last_mut() else {
            return None;
        };
        *features /= 2;
        let last = means.layers.len() - 1;
        for part in ["weight", "bias"] {
            if let Some(tensor) = kept.tensors.get_mut(&format!("{last}.{part}")) {
                tensor.shape[0] /= 2;
                let half = tensor.data.len() / 2;
                tensor.data.truncate(half);
            }
        }
        Some((means, kept))
    }

    /// The two networks by name: latents to images, images to means and log-variances of latents.
    pub fn networks(decoder: Network, encoder: Network) -> Networks {
        Networks {
            generator: Named::generator("decoder", decoder),
            others: vec![Named::auxiliary(Self::ENCODER, encoder)],
        }
    }

    /// Updates decoder and encoder by one batch of images, one latent drawn for each (Kingma & Welling 2014,
    /// algorithm 1).
    ///
    /// # Errors
    /// Other networks than [`Variational::networks`], a decoder that does not fit the likelihood; the device's.
    pub(super) fn step<D: Device<f32>>(
        self,
        gan: &mut Gan<D>,
        batch: Batch<'_>,
    ) -> Result<Losses, ModelError> {
        let Gan {
            generator: decoder,
            others,
            latents,
            ..
        } = gan;
        let [encoder] = others.as_mut_slice() else {
            return Err(ModelError::Networks {
                expected: 2,
                found: 1 + others.len(),
            });
        };
        let n = batch.n;
        let count = n * decoder.model.network().input.len();
        let noise: Vec<f32> = (0..count).map(|_| latents.normal() as f32).collect();
        let Bound {
            losses,
            mut gradients,
            statistics,
        } = self.bound(decoder, encoder, batch, &noise)?;
        encoder.update(&mut gradients)?;
        decoder.update(&mut gradients)?;
        encoder.model.update_statistics(n, &statistics[0]);
        decoder.model.update_statistics(n, &statistics[1]);
        Ok(losses)
    }

    /// The bound at the latents that `noise`, standard normal, draws.
    fn bound<D: Device<f32>>(
        self,
        decoder: &Learner<D>,
        encoder: &Learner<D>,
        batch: Batch<'_>,
        noise: &[f32],
    ) -> Result<Bound<D>, ModelError> {
        let Self { likelihood, beta } = self;
        let (decoder, encoder) = (&decoder.model, &encoder.model);
        let Batch { n, classes, .. } = batch;
        let device = decoder.device();
        let noise = decoder.input(n, noise)?;
        let real = encoder.input(n, batch.images)?;
        let mut recording = Recording::new(device);
        let tape = &mut recording.tape;
        let (moments, of_encoder) = encoder.forward(tape, &real, classes, LEARN)?;
        let latents = device.reparameterize(tape, &moments, &noise);
        let latents = latents.map_err(device_error)?;
        let (decoded, of_decoder) = likelihood.decode(decoder, tape, &latents, classes)?;
        let (order, real) = (device.sums(), constant(device, &real)?);
        let (moments, decoded) = (recording.read(&moments)?, recording.read(&decoded)?);
        let run = || {
            let divergence = divergence(moments, n, order)?;
            let reconstruction = likelihood.reconstruction(decoded, real, n, order)?;
            let losses = Losses::new([
                (DIVERGENCE, value(&divergence)),
                (RECONSTRUCTION, value(&reconstruction)),
            ]);
            let divergence = divergence.try_mul(beta as f32)?;
            Ok::<_, CpuError>((losses, reconstruction.try_add(divergence)?))
        };
        let (losses, loss) = run().map_err(device_error)?;
        let (_, gradients) = recording.backward(loss)?;
        Ok(Bound {
            losses,
            gradients,
            statistics: [of_encoder, of_decoder],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gan::{Recipe, Settings, Size};
    use crate::nn::loss::backward;
    use crate::ops::cpu::Nodes;
    use crate::ops::{Activation, Cpu, Weights, composed};
    use crate::rng::{Rng, Stream};
    use crate::spec::{Layer, Shape};
    use dfdx::prelude::{TensorFromVec, Trace};

    const IMAGE: Shape = Shape::new(1, 2, 3);
    const LATENT: usize = 2;
    const BATCH: usize = 4;

    /// Means and log-variances of three images, two numbers a latent.
    const MOMENTS: [f64; 12] = [
        0.3, -1.2, 0.0, 0.7, //
        2.0, 0.1, -1.5, -0.2, //
        0.0, -0.4, 1.1, -3.0,
    ];
    /// Two images of three pixels, and what was decoded.
    const REAL: [f64; 6] = [-1.0, 0.25, 0.9921875, 0.5, -0.75, 0.0];
    const DECODED: [f64; 6] = [-0.8, 0.3, 0.1, -0.6, 0.45, 0.05];

    fn numbers(seed: u64, len: usize) -> Vec<f64> {
        let mut rng = Rng::new(seed, Stream::Order(0));
        (0..len).map(|_| rng.normal()).collect()
    }

    fn narrow(numbers: &[f64]) -> Vec<f32> {
        numbers.iter().map(|&v| v as f32).collect()
    }

    fn tensor(numbers: &[f64]) -> Logits<Nodes, NoneTape> {
        Nodes::default().tensor_from_vec(narrow(numbers), (numbers.len(),))
    }

    /// A loss's value and gradient against `truth` and its numerical derivatives, in f64.
    fn check(
        at: &[f64],
        loss: impl Fn(Logits<Nodes, OwnedTape<f32, Nodes>>) -> Loss<Nodes, OwnedTape<f32, Nodes>>,
        truth: impl Fn(&[f64]) -> f64,
    ) {
        let x = tensor(at);
        let (value, gradients) = backward(loss(x.leaky_trace())).unwrap();
        let expected = truth(at);
        assert!(
            (f64::from(value) - expected).abs() < 1e-5 * (1.0 + expected.abs()),
            "{value} against {expected}"
        );
        for (i, gradient) in gradients.get(&x).as_vec().into_iter().enumerate() {
            let moved = |by: f64| {
                let mut at = at.to_vec();
                at[i] += by;
                truth(&at)
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!(
                (f64::from(gradient) - slope).abs() < 1e-4 * (1.0 + slope.abs()),
                "number {i}: {gradient} by the tape, {slope} numerically"
            );
        }
    }

    /// `-ln N(x; y, s)`.
    fn surprise(x: f64, y: f64, s: f64) -> f64 {
        ((2.0 * std::f64::consts::PI * s).ln() + (x - y).powi(2) / s) / 2.0
    }

    /// The divergence of two normal distributions from their standard deviations.
    #[test]
    fn the_divergence_is_the_closed_form() {
        let truth = |moments: &[f64]| {
            let images = moments.chunks_exact(4);
            let sum: f64 = images
                .flat_map(|image| [(image[0], image[2]), (image[1], image[3])])
                .map(|(mean, log)| {
                    let deviation = (log / 2.0).exp();
                    (1.0 / deviation).ln() + (deviation.powi(2) + mean.powi(2)) / 2.0 - 0.5
                })
                .sum();
            sum / 3.0
        };
        check(
            &MOMENTS,
            |moments| divergence(moments, 3, Sums::Fast).unwrap(),
            truth,
        );
        let none = divergence(tensor(&[0.0; 8]), 2, Sums::Fast).unwrap();
        assert_eq!(none.as_vec(), [0.0]);
        // One number, moved by 3: 9 / 2.
        let moved = divergence(tensor(&[3.0, 0.0]), 1, Sums::Fast).unwrap();
        assert_eq!(moved.as_vec(), [4.5]);
    }

    /// What it means: the mean of `ln q(z) - ln p(z)` over draws `z` from `q`.
    #[test]
    fn the_divergence_is_what_draws_say() {
        const DRAWS: usize = 200_000;
        let cpu = Cpu::default();
        for image in MOMENTS.chunks_exact(4) {
            let ours = divergence(tensor(image), 1, Sums::Fast).unwrap().as_vec()[0];
            let noise = narrow(&numbers(7, DRAWS * LATENT));
            let noise = Device::array(&cpu, &noise, [DRAWS, 1, 1, LATENT]).unwrap();
            let moments = narrow(&image.repeat(DRAWS));
            let moments = Device::array(&cpu, &moments, [DRAWS, 1, 1, 2 * LATENT]).unwrap();
            let draws = cpu.reparameterize(&mut NoneTape, &moments, &noise).unwrap();
            let terms = draws.data().chunks_exact(LATENT).map(|z| {
                let terms = z.iter().zip(image).zip(&image[LATENT..]);
                let terms = terms.map(|((&z, &mean), &log)| {
                    surprise(z.into(), 0.0, 1.0) - surprise(z.into(), mean, log.exp())
                });
                terms.sum::<f64>()
            });
            let terms: Vec<f64> = terms.collect();
            let mean = terms.iter().sum::<f64>() / DRAWS as f64;
            let square = terms.iter().map(|t| (t - mean).powi(2)).sum::<f64>();
            let error = square.sqrt() / DRAWS as f64;
            assert!(
                (f64::from(ours) - mean).abs() < 5.0 * error,
                "{ours} against {mean}, standard error {error}"
            );
        }
    }

    /// Pixels spread evenly over their rounding step, by the midpoint rule, at the variance that suits them best.
    #[test]
    fn the_gaussian_is_the_best_for_unrounded_pixels() {
        let at = |decoded: &[f64], variance: f64| {
            const PLACES: i32 = 64;
            let places = (0..PLACES).map(|i| (f64::from(i) + 0.5) / f64::from(PLACES) - 0.5);
            let places = places.map(|place| {
                let pixels = REAL.iter().zip(decoded);
                let pixels = pixels.map(|(x, &y)| surprise(x + place / 128.0, y, variance));
                pixels.sum::<f64>()
            });
            places.sum::<f64>() / f64::from(PLACES) / 2.0
        };
        let best = |decoded: &[f64]| {
            let squares = REAL.iter().zip(decoded).map(|(x, y)| (x - y).powi(2));
            squares.sum::<f64>() / REAL.len() as f64 + 1.0 / 128f64.powi(2) / 12.0
        };
        let gaussian = |decoded: Logits<_, _>| {
            let loss = Likelihood::Gaussian.reconstruction(decoded, tensor(&REAL), 2, Sums::Fast);
            loss.unwrap()
        };
        check(&DECODED, gaussian, |decoded| at(decoded, best(decoded)));
        let found = at(&DECODED, best(&DECODED));
        for factor in [0.9, 1.1] {
            assert!(found < at(&DECODED, best(&DECODED) * factor));
        }
        // Nothing is infinite where not a pixel is missed.
        let exact =
            Likelihood::Gaussian.reconstruction(tensor(&REAL), tensor(&REAL), 2, Sums::Fast);
        assert!(exact.unwrap().as_vec()[0].is_finite());
    }

    /// By the probability that the decoder's tanh stands for.
    #[test]
    fn the_bernoulli_is_the_cross_entropy() {
        let truth = |decoded: &[f64]| {
            let pixels = REAL.iter().zip(decoded).map(|(x, a)| {
                let (t, p) = ((x + 1.0) / 2.0, (a.tanh() + 1.0) / 2.0);
                -t * p.ln() - (1.0 - t) * (1.0 - p).ln()
            });
            pixels.sum::<f64>() / 2.0
        };
        let bernoulli = |decoded: Logits<_, _>| {
            let loss = Likelihood::Bernoulli.reconstruction(decoded, tensor(&REAL), 2, Sums::Fast);
            loss.unwrap()
        };
        check(&DECODED, bernoulli, truth);
        // Sure of black where half is right, and of white where three quarters are: 2e4 / 2 + 2e4 / 4.
        let sure = [-1e4, 1e4];
        let wrong =
            Likelihood::Bernoulli.reconstruction(tensor(&sure), tensor(&[0.0, 0.5]), 1, Sums::Fast);
        assert_eq!(wrong.unwrap().as_vec(), [1.5e4]);
    }

    fn settings(likelihood: Likelihood) -> Settings {
        let linear = |features| Layer::Linear {
            features,
            bias: true,
        };
        let mut settings = Recipe::Vae.parts(Size::Nano, IMAGE).settings(1);
        settings.game = Variational {
            likelihood,
            beta: 0.7,
        }
        .into();
        let encoder = Network::chain(
            IMAGE,
            vec![Layer::Flatten, linear(5), Layer::Tanh, linear(2 * LATENT)],
        );
        let decoder = Network::chain(
            Shape::features(LATENT),
            vec![
                linear(4),
                Layer::Tanh,
                linear(IMAGE.len()),
                Layer::Reshape(IMAGE),
                Layer::Tanh,
            ],
        );
        settings.networks = Variational::networks(decoder, encoder);
        settings
    }

    type Array64 = composed::Array<f64, Nodes>;

    /// The loss of the networks in [`settings`], in f64, made of dfdx's operations; `w` are the encoder's arrays
    /// and then the decoder's.
    fn oracle(rules: Variational, w: &[Array64], real: &[f64], noise: &[f64]) -> f64 {
        let layer = |i: usize, x: &Array64, act| {
            let weights = Weights {
                weight: w[i].clone(),
                bias: Some(w[i + 1].clone()),
            };
            composed::linear(&mut NoneTape, x, &weights, act).unwrap()
        };
        let x = Nodes::default().tensor_from_vec(real.to_vec(), (BATCH, 1, 1, IMAGE.len()));
        let moments = layer(2, &layer(0, &x, Activation::Tanh), Activation::Identity).as_vec();
        let mut latents = Vec::new();
        let mut divergence = 0.0;
        for (row, noise) in moments.chunks_exact(4).zip(noise.chunks_exact(LATENT)) {
            for i in 0..LATENT {
                let (mean, log) = (row[i], row[i + LATENT]);
                latents.push(mean + (log / 2.0).exp() * noise[i]);
                divergence += (mean * mean + log.exp() - log - 1.0) / 2.0;
            }
        }
        let z = Nodes::default().tensor_from_vec(latents, (BATCH, 1, 1, LATENT));
        let decoded = layer(6, &layer(4, &z, Activation::Tanh), Activation::Tanh).as_vec();
        let pairs = || real.iter().zip(&decoded);
        let reconstruction = match rules.likelihood {
            Likelihood::Gaussian => {
                let squares: f64 = pairs().map(|(x, y)| (x - y).powi(2)).sum();
                let s = squares / real.len() as f64 + ROUNDING;
                let constant = 2.0 * std::f64::consts::PI * std::f64::consts::E;
                real.len() as f64 / 2.0 * (constant * s).ln()
            }
            Likelihood::Bernoulli => pairs()
                .map(|(x, y)| {
                    let (t, p) = ((x + 1.0) / 2.0, (y + 1.0) / 2.0);
                    -t * p.ln() - (1.0 - t) * (1.0 - p).ln()
                })
                .sum(),
        };
        (reconstruction + rules.beta * divergence) / BATCH as f64
    }

    #[test]
    fn the_bounds_gradient_is_the_numerical_derivative() {
        let cpu = Cpu::default();
        let real: Vec<f64> = numbers(2, BATCH * IMAGE.len())
            .into_iter()
            .map(f64::tanh)
            .collect();
        let noise = numbers(3, BATCH * LATENT);
        for likelihood in [Likelihood::Gaussian, Likelihood::Bernoulli] {
            let settings = settings(likelihood);
            let rules = Variational {
                likelihood,
                beta: 0.7,
            };
            let mut gan = Gan::new(cpu.clone(), &settings).unwrap();
            // Weights large enough for every gradient to count.
            let mut state = gan.state().unwrap();
            for network in state.networks.values_mut() {
                let tensors = network.parameters.tensors.values_mut();
                for (salt, tensor) in tensors.enumerate() {
                    let drawn = numbers(20 + salt as u64, tensor.data.len());
                    tensor.data = drawn.iter().map(|&v| 0.5 * v as f32).collect();
                }
            }
            gan = Gan::restore(cpu.clone(), &settings, &state).unwrap();
            let images = narrow(&real);
            let batch = Batch::new(BATCH, &images, &[]);
            let bound = rules.bound(&gan.generator, &gan.others[0], batch, &narrow(&noise));
            let mut bound = bound.unwrap();
            let arrays: Vec<_> = [&mut gan.others[0], &mut gan.generator]
                .into_iter()
                .flat_map(|learner| learner.model.trained_mut())
                .map(|array| array.clone())
                .collect();
            let w: Vec<Array64> = arrays
                .iter()
                .map(|array| {
                    let [n, h, w, c] = cpu.dims(array);
                    let numbers: Vec<f64> = array.data().iter().map(|&v| v.into()).collect();
                    Nodes::default().tensor_from_vec(numbers, (n, h, w, c))
                })
                .collect();
            let expected = oracle(rules, &w, &real, &noise);
            let loss = |name: LossName| f64::from(bound.losses.get(name.key).unwrap());
            let ours = loss(RECONSTRUCTION) + 0.7 * loss(DIVERGENCE);
            assert!(
                (ours - expected).abs() < 1e-5 * (1.0 + expected.abs()),
                "{likelihood:?}: {ours} against {expected}"
            );
            for (at, array) in arrays.iter().enumerate() {
                let gradient = cpu.gradient(&mut bound.gradients, array).unwrap();
                for (i, &gradient) in gradient.iter().enumerate() {
                    let moved = |by: f64| {
                        let mut w = w.clone();
                        let mut numbers = w[at].as_vec();
                        numbers[i] += by;
                        w[at] = Nodes::default().tensor_from_vec(numbers, *w[at].shape());
                        oracle(rules, &w, &real, &noise)
                    };
                    let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                    assert!(
                        (f64::from(gradient) - slope).abs() < 1e-4 * (1.0 + slope.abs()),
                        "{likelihood:?}, array {at}, number {i}: {gradient} by the tape, {slope} numerically"
                    );
                }
            }
        }
    }

    #[test]
    fn a_decoder_without_tanh_is_refused() {
        let mut settings = settings(Likelihood::Bernoulli);
        settings.networks.generator.network.layers[4] = Layer::Sigmoid;
        let mut gan = Gan::new(Cpu::default(), &settings).unwrap();
        let error = gan.step(Batch::new(2, &[0.0; 12], &[])).unwrap_err();
        assert!(error.to_string().contains("Sigmoid"), "{error}");
    }
}
