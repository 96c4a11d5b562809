//! Adversarial losses on logits, `(N,)`; each is a mean over the batch.

use dfdx::prelude::{Backward, Gradients, MeanTo, OwnedTape, Rank0, Tape, Tensor, TryAdd};
use dfdx::tensor_ops::Device;

/// A discriminator's verdicts on a batch, before any squashing.
pub type Logits<D, T> = Tensor<(usize,), f32, D, T>;
/// A loss to run backward from.
pub type Loss<D, T> = Tensor<Rank0, f32, D, T>;

/// `ln(1 + e^x)`, written so that neither a large nor a small `x` overflows.
fn softplus<D: Device<f32>, T: Tape<f32, D>>(x: Logits<D, T>) -> Result<Logits<D, T>, D::Err> {
    let tail = x
        .retaped::<T>()
        .try_abs()?
        .try_negate()?
        .try_exp()?
        .try_add(1.0)?
        .try_ln()?;
    x.try_relu()?.try_add(tail)
}

/// The discriminator's part of the minimax game (Goodfellow et al. 2014, equation 1), negated:
/// `softplus(-D(x)) + softplus(D(G(z)))`.
///
/// # Errors
/// The device's.
pub fn minimax_discriminator<D: Device<f32>, T: Tape<f32, D>>(
    real: Logits<D, T>,
    fake: Logits<D, T>,
) -> Result<Loss<D, T>, D::Err> {
    let real = softplus(real.try_negate()?)?.try_mean()?;
    let fake = softplus(fake)?.try_mean()?;
    real.try_add(fake)
}

/// The generator's non-saturating loss (Goodfellow et al. 2014, section 3): `softplus(-D(G(z)))`.
///
/// # Errors
/// The device's.
pub fn non_saturating_generator<D: Device<f32>, T: Tape<f32, D>>(
    fake: Logits<D, T>,
) -> Result<Loss<D, T>, D::Err> {
    softplus(fake.try_negate()?)?.try_mean()
}

/// The critic's estimate of the Wasserstein distance (Arjovsky et al. 2017, equation 2), negated:
/// `mean D(G(z)) - mean D(x)`.
///
/// # Errors
/// The device's.
pub fn wasserstein_critic<D: Device<f32>, T: Tape<f32, D>>(
    real: Logits<D, T>,
    fake: Logits<D, T>,
) -> Result<Loss<D, T>, D::Err> {
    fake.try_mean()?.try_add(real.try_negate()?.try_mean()?)
}

/// The generator's part of it: `-mean D(G(z))`.
///
/// # Errors
/// The device's.
pub fn wasserstein_generator<D: Device<f32>, T: Tape<f32, D>>(
    fake: Logits<D, T>,
) -> Result<Loss<D, T>, D::Err> {
    fake.try_negate()?.try_mean()
}

/// Runs a loss backward; its value comes with the gradients.
///
/// # Errors
/// The device's.
pub fn backward<D: Device<f32>>(
    loss: Loss<D, OwnedTape<f32, D>>,
) -> Result<(f32, Gradients<f32, D>), D::Err> {
    let value = loss.as_vec().into_iter().sum();
    Ok((value, loss.try_backward()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfdx::prelude::*;

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    /// Against the textbook's form, with logarithms of probabilities, and its derivative.
    #[test]
    fn losses_and_gradients_are_the_closed_forms() {
        let cpu = Cpu::default();
        let real = [0.3f32, -2.0, 5.0];
        let fake = [-1.5f32, 0.7, 4.0];
        let r = cpu.tensor_from_vec(real.to_vec(), (3,));
        let f = cpu.tensor_from_vec(fake.to_vec(), (3,));
        let loss = minimax_discriminator(r.leaky_trace(), f.leaky_trace()).unwrap();
        let (value, gradients) = backward(loss).unwrap();
        let expected: f64 = (0..3)
            .map(|i| -sigmoid(f64::from(real[i])).ln() - (1.0 - sigmoid(f64::from(fake[i]))).ln())
            .sum::<f64>()
            / 3.0;
        assert!((f64::from(value) - expected).abs() < 1e-6);
        for (i, g) in gradients.get(&r).as_vec().into_iter().enumerate() {
            assert!((f64::from(g) - (sigmoid(f64::from(real[i])) - 1.0) / 3.0).abs() < 1e-6);
        }
        for (i, g) in gradients.get(&f).as_vec().into_iter().enumerate() {
            assert!((f64::from(g) - sigmoid(f64::from(fake[i])) / 3.0).abs() < 1e-6);
        }
        let (value, gradients) =
            backward(non_saturating_generator(f.leaky_trace()).unwrap()).unwrap();
        let expected: f64 = fake
            .iter()
            .map(|&x| -sigmoid(f64::from(x)).ln())
            .sum::<f64>()
            / 3.0;
        assert!((f64::from(value) - expected).abs() < 1e-6);
        for (i, g) in gradients.get(&f).as_vec().into_iter().enumerate() {
            assert!((f64::from(g) - (sigmoid(f64::from(fake[i])) - 1.0) / 3.0).abs() < 1e-6);
        }
    }

    #[test]
    fn extreme_logits_stay_finite() {
        let cpu = Cpu::default();
        let x = cpu.tensor_from_vec(vec![1e4f32, -1e4], (2,));
        let (value, gradients) =
            backward(non_saturating_generator(x.leaky_trace()).unwrap()).unwrap();
        assert_eq!(value, 5e3);
        assert_eq!(gradients.get(&x).as_vec(), [0.0, -0.5]);
    }
}
