//! How likely pictures are.

use super::Levels;
use crate::nn::loss::{Logits, Loss, sum};
use crate::nn::{Model, ModelError};
use crate::ops::{Device, Sums};
use dfdx::prelude::{Axis, ReshapeTo, Tape, TryMul};

/// `-ln p(x)` in nats, the mean over pictures: the cross-entropy of each pixel's level, summed over the pixels.
/// `logits` are those of each pixel of each of `n` pictures in turn, `(n * pixels * levels,)`; `levels` are
/// `(n, pixels)`.
///
/// # Errors
/// The device's.
pub fn negative_log_likelihood<D: dfdx::tensor_ops::Device<f32>, T: Tape<f32, D>>(
    logits: Logits<D, T>,
    levels: &[u8],
    count: Levels,
    n: usize,
    order: Sums,
) -> Result<Loss<D, T>, D::Err> {
    let shape = (levels.len(), count.count());
    let mut one_hot = vec![0.0; levels.len() * count.count()];
    for (row, &level) in one_hot.chunks_exact_mut(count.count()).zip(levels) {
        row[usize::from(level)] = 1.0;
    }
    let one_hot = logits.device().try_tensor_from_vec(one_hot, shape)?;
    let terms = logits
        .try_reshape_like(&shape)?
        .try_log_softmax::<Axis<1>>()?
        .try_mul(one_hot)?;
    let terms = terms.try_reshape_like(&(shape.0 * shape.1,))?;
    sum(terms, order)?.try_mul(-1.0 / n as f32)
}

/// `-ln p(x)` of each picture in nats, `levels` being `(N, H, W)` and `classes` as [`Model::evaluate`] takes them.
/// Divided by the pixels and ln 2 it is in bits a dimension.
///
/// # Errors
/// The device's.
pub fn nats<D: Device<f32>>(
    model: &Model<D>,
    count: Levels,
    levels: &[u8],
    classes: &[u32],
) -> Result<Vec<f64>, ModelError> {
    let pixels = model.network().input.len();
    let values: Vec<f32> = levels.iter().map(|&level| count.value(level)).collect();
    let logits = model.evaluate(&values, classes)?;
    let pictures = logits.chunks_exact(pixels * count.count());
    let all = pictures.zip(levels.chunks_exact(pixels));
    Ok(all
        .map(|(logits, levels)| of_picture(logits, levels))
        .collect())
}

/// Of a picture's logits, `(levels, H, W)`.
fn of_picture(logits: &[f32], levels: &[u8]) -> f64 {
    let pixels = levels.len();
    let of_pixel = |(pixel, &level): (usize, &u8)| {
        let own = logits.iter().skip(pixel).step_by(pixels);
        let own: Vec<f64> = own.copied().map(f64::from).collect();
        log_sum_exp(&own) - own[usize::from(level)]
    };
    levels.iter().enumerate().map(of_pixel).sum()
}

/// `ln(sum exp(x))`.
pub(super) fn log_sum_exp(numbers: &[f64]) -> f64 {
    let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers = numbers.iter().map(|x| (x - most).exp());
    most + powers.sum::<f64>().ln()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{Width, network, tell};
    use super::*;
    use crate::nn::Initialization;
    use crate::nn::loss::Recording;
    use crate::ops::{Cpu, Wants};
    use crate::parameters::Parameters;
    use crate::rng::{Rng, Stream};
    use crate::spec::{Network, Shape};

    pub const NARROW: Width = Width {
        channels: 4,
        blocks: 2,
    };

    /// An untrained network whose pixels depend on each other.
    pub fn untrained(
        levels: Levels,
        image: Shape,
        classes: Option<usize>,
        seed: u64,
    ) -> (Network, Parameters) {
        let mut network = network(NARROW, levels, image);
        if let Some(classes) = classes {
            tell(&mut network, classes);
        }
        let mut rng = Rng::new(seed, Stream::Initialization);
        let parameters = Initialization::Equalized.parameters(&network, &mut rng);
        (network, parameters.unwrap())
    }

    /// All pictures of two levels with so many pixels.
    fn all_pictures(pixels: usize) -> Vec<u8> {
        let pictures = 0..1usize << pixels;
        let picture = |bits: usize| (0..pixels).map(move |pixel| (bits >> pixel & 1) as u8);
        pictures.flat_map(picture).collect()
    }

    /// The probabilities of all pictures add up to 1, with and without a class.
    #[test]
    fn it_is_a_distribution() {
        let (levels, image) = (Levels::ALL[0], Shape::new(1, 3, 3));
        let pictures = all_pictures(9);
        for seed in 1..=5 {
            for classes in [None, Some(3)] {
                let (network, parameters) = untrained(levels, image, classes, seed);
                let model = Model::new(Cpu::default(), &network, &parameters).unwrap();
                for class in 0..classes.unwrap_or(1) {
                    let told = vec![class as u32; classes.map_or(0, |_| 512)];
                    let nats = nats(&model, levels, &pictures, &told).unwrap();
                    let sum: f64 = nats.iter().map(|nats| (-nats).exp()).sum();
                    assert!((sum - 1.0).abs() < 1e-6, "{sum}");
                    let different = nats.iter().any(|other| (other - nats[0]).abs() > 0.1);
                    assert!(different, "the pixels tell nothing of each other");
                }
            }
        }
    }

    /// What is trained is the mean of what is reported.
    #[test]
    fn the_loss_is_the_mean_of_the_pictures() {
        let (levels, image) = (Levels::ALL[1], Shape::new(1, 4, 5));
        let (network, parameters) = untrained(levels, image, None, 3);
        let model = Model::new(Cpu::default(), &network, &parameters).unwrap();
        let mut rng = Rng::new(1, Stream::Latents);
        let pictures: Vec<u8> = (0..6 * 20).map(|_| (4.0 * rng.uniform()) as u8).collect();
        let reported = nats(&model, levels, &pictures, &[]).unwrap();
        let mean = reported.iter().sum::<f64>() / 6.0;
        let values: Vec<f32> = pictures.iter().map(|&level| levels.value(level)).collect();
        let x = model.input(6, &values).unwrap();
        let mut recording = Recording::new(model.device());
        let wants = crate::nn::Mode::Train(Wants {
            input: false,
            weights: true,
        });
        let (logits, _) = model.forward(&mut recording.tape, &x, &[], wants).unwrap();
        let logits = recording.read(&logits).unwrap();
        let loss = negative_log_likelihood(logits, &pictures, levels, 6, Sums::Fast).unwrap();
        let (loss, _) = recording.backward(loss).unwrap();
        assert!((f64::from(loss) - mean).abs() < 1e-4, "{loss} for {mean}");
    }

    /// Against the definition.
    #[test]
    fn sums_of_powers_do_not_overflow() {
        assert!(
            (log_sum_exp(&[0.0, 1.0, -2.0]) - (1.0 + 1f64.exp() + (-2f64).exp()).ln()).abs()
                < 1e-12
        );
        assert_eq!(log_sum_exp(&[1e5, 0.0]), 1e5);
    }
}
