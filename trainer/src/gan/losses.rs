//! Adversarial losses on logits, `(N,)`; each is a mean over the batch, added up in a given order.

use crate::nn::loss::{Logits, Loss, mean};
use crate::ops::Sums;
use clap::ValueEnum;
use dfdx::prelude::{NoneTape, Tape, TryAdd, TryMul, TrySub};
use dfdx::tensor_ops::Device;
use serde::{Deserialize, Serialize};

/// The loss of an adversarial recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// The minimax game as first written; the generator learns little while it loses (Goodfellow et al.
    /// 2014, equation 1).
    Minimax,
    /// The minimax game with the generator's other loss (Goodfellow et al. 2014, section 3).
    NonSaturating,
    /// Least squares: 1 for real, 0 for generated (Mao et al. 2017).
    LeastSquares,
    /// Margins of 1 on either side (Lim & Ye 2017).
    Hinge,
    /// The Wasserstein distance; needs a bounded critic (Arjovsky et al. 2017).
    Wasserstein,
    /// Each generated image against a real one (Jolicoeur-Martineau 2019; Huang et al. 2024).
    Relativistic,
}

impl Objective {
    /// The discriminator's loss.
    ///
    /// # Errors
    /// The device's.
    pub fn discriminator<D: Device<f32>, T: Tape<f32, D>>(
        self,
        real: Logits<D, T>,
        fake: Logits<D, T>,
        sums: Sums,
    ) -> Result<Loss<D, T>, D::Err> {
        match self {
            Self::Minimax | Self::NonSaturating => minimax_discriminator(real, fake, sums),
            Self::LeastSquares => least_squares_discriminator(real, fake, sums),
            Self::Hinge => hinge_discriminator(real, fake, sums),
            Self::Wasserstein => wasserstein_critic(real, fake, sums),
            Self::Relativistic => relativistic(real, fake, sums),
        }
    }

    /// The generator's loss; `real` are verdicts on real images, which only
    /// [`Objective::is_relative`] ones look at.
    ///
    /// # Errors
    /// The device's.
    pub fn generator<D: Device<f32>, T: Tape<f32, D>>(
        self,
        fake: Logits<D, T>,
        real: Option<Logits<D, NoneTape>>,
        sums: Sums,
    ) -> Result<Loss<D, T>, D::Err> {
        match (self, real) {
            (Self::Minimax, _) => saturating_generator(fake, sums),
            (Self::LeastSquares, _) => least_squares_generator(fake, sums),
            (Self::Hinge | Self::Wasserstein, _) => wasserstein_generator(fake, sums),
            (Self::Relativistic, Some(real)) => relativistic(fake, real.retaped(), sums),
            (Self::NonSaturating | Self::Relativistic, _) => non_saturating_generator(fake, sums),
        }
    }

    /// Whether the generator's loss compares with real images.
    pub fn is_relative(self) -> bool {
        self == Self::Relativistic
    }
}

/// `ln(1 + e^x)`, written so that neither a large nor a small `x` overflows.
pub(super) fn softplus<D: Device<f32>, T: Tape<f32, D>>(
    x: Logits<D, T>,
) -> Result<Logits<D, T>, D::Err> {
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
    sums: Sums,
) -> Result<Loss<D, T>, D::Err> {
    let real = mean(softplus(real.try_negate()?)?, sums)?;
    let fake = mean(softplus(fake)?, sums)?;
    real.try_add(fake)
}

/// The generator's non-saturating loss (Goodfellow et al. 2014, section 3): `softplus(-D(G(z)))`.
///
/// # Errors
/// The device's.
pub fn non_saturating_generator<D: Device<f32>, T: Tape<f32, D>>(
    fake: Logits<D, T>,
    sums: Sums,
) -> Result<Loss<D, T>, D::Err> {
    mean(softplus(fake.try_negate()?)?, sums)
}

/// The generator's part of the minimax game itself (Goodfellow et al. 2014, equation 1): `ln(1 - sigmoid(D(G(z))))`,
/// that is `-softplus(D(G(z)))`.
///
/// # Errors
/// The device's.
pub fn saturating_generator<D: Device<f32>, T: Tape<f32, D>>(
    fake: Logits<D, T>,
    sums: Sums,
) -> Result<Loss<D, T>, D::Err> {
    mean(softplus(fake)?.try_negate()?, sums)
}

/// `((D(x) - 1)^2 + D(G(z))^2) / 2` (Mao et al. 2017, equation 9).
///
/// # Errors
/// The device's.
pub fn least_squares_discriminator<D: Device<f32>, T: Tape<f32, D>>(
    real: Logits<D, T>,
    fake: Logits<D, T>,
    sums: Sums,
) -> Result<Loss<D, T>, D::Err> {
    let real = mean(real.try_sub(1.0f32)?.try_square()?, sums)?;
    let fake = mean(fake.try_square()?, sums)?;
    real.try_add(fake)?.try_mul(0.5f32)
}

/// `(D(G(z)) - 1)^2 / 2` (Mao et al. 2017, equation 9).
///
/// # Errors
/// The device's.
pub fn least_squares_generator<D: Device<f32>, T: Tape<f32, D>>(
    fake: Logits<D, T>,
    sums: Sums,
) -> Result<Loss<D, T>, D::Err> {
    let distance = fake.try_sub(1.0f32)?.try_square()?;
    mean(distance, sums)?.try_mul(0.5f32)
}

/// `max(0, 1 - D(x)) + max(0, 1 + D(G(z)))` (Lim & Ye 2017; Miyato et al. 2018, equation 16).
///
/// # Errors
/// The device's.
pub fn hinge_discriminator<D: Device<f32>, T: Tape<f32, D>>(
    real: Logits<D, T>,
    fake: Logits<D, T>,
    sums: Sums,
) -> Result<Loss<D, T>, D::Err> {
    let real = mean(real.try_negate()?.try_add(1.0f32)?.try_relu()?, sums)?;
    let fake = mean(fake.try_add(1.0f32)?.try_relu()?, sums)?;
    real.try_add(fake)
}

/// `softplus(-(D(a) - D(b)))`, pair by pair: how little `a` is taken for more real than `b` (Jolicoeur-Martineau 2019,
/// the relativistic pairing; Huang et al. 2024, equation 2).
///
/// # Errors
/// The device's.
pub fn relativistic<D: Device<f32>, T: Tape<f32, D>>(
    a: Logits<D, T>,
    b: Logits<D, T>,
    sums: Sums,
) -> Result<Loss<D, T>, D::Err> {
    mean(softplus(b.try_sub(a)?)?, sums)
}

/// The critic's estimate of the Wasserstein distance (Arjovsky et al. 2017, equation 2), negated:
/// `mean D(G(z)) - mean D(x)`.
///
/// # Errors
/// The device's.
pub fn wasserstein_critic<D: Device<f32>, T: Tape<f32, D>>(
    real: Logits<D, T>,
    fake: Logits<D, T>,
    sums: Sums,
) -> Result<Loss<D, T>, D::Err> {
    mean(fake, sums)?.try_add(mean(real.try_negate()?, sums)?)
}

/// The generator's part of it: `-mean D(G(z))`.
///
/// # Errors
/// The device's.
pub fn wasserstein_generator<D: Device<f32>, T: Tape<f32, D>>(
    fake: Logits<D, T>,
    sums: Sums,
) -> Result<Loss<D, T>, D::Err> {
    mean(fake.try_negate()?, sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::loss::backward;
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
        let loss = minimax_discriminator(r.leaky_trace(), f.leaky_trace(), Sums::Fast).unwrap();
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
            backward(non_saturating_generator(f.leaky_trace(), Sums::Fast).unwrap()).unwrap();
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

    /// Value and gradients of each loss against formulas written out in f64.
    #[test]
    fn every_objective_is_its_formula() {
        let cpu = Cpu::default();
        let real = [0.3f32, -2.0, 5.0];
        let fake = [-1.5f32, 0.7, 4.0];
        /// A loss of a real and a generated verdict.
        type Pair = fn(f64, f64) -> f64;
        fn softplus(x: f64) -> f64 {
            x.exp().ln_1p()
        }
        let minimax: Pair = |r, f| softplus(-r) + softplus(f);
        let formulas: [(Objective, Pair, Pair); 6] = [
            (Objective::Minimax, minimax, |_, f| (1.0 - sigmoid(f)).ln()),
            (Objective::NonSaturating, minimax, |_, f| -sigmoid(f).ln()),
            (
                Objective::LeastSquares,
                |r, f| ((r - 1.0).powi(2) + f * f) / 2.0,
                |_, f| (f - 1.0).powi(2) / 2.0,
            ),
            (
                Objective::Hinge,
                |r, f| (1.0 - r).max(0.0) + (1.0 + f).max(0.0),
                |_, f| -f,
            ),
            (Objective::Wasserstein, |r, f| f - r, |_, f| -f),
            (
                Objective::Relativistic,
                |r, f| -sigmoid(r - f).ln(),
                |r, f| -sigmoid(f - r).ln(),
            ),
        ];
        let slope = |f: &dyn Fn(f64) -> f64, x: f64| (f(x + 1e-5) - f(x - 1e-5)) / 2e-5;
        for (objective, discriminator, generator) in formulas {
            let pairs: Vec<(f64, f64)> = real
                .iter()
                .zip(fake)
                .map(|(&r, f)| (f64::from(r), f64::from(f)))
                .collect();
            let mean = |f: Pair| pairs.iter().map(|&(r, g)| f(r, g)).sum::<f64>() / 3.0;
            let r = cpu.tensor_from_vec(real.to_vec(), (3,));
            let f = cpu.tensor_from_vec(fake.to_vec(), (3,));
            let loss = objective
                .discriminator(r.leaky_trace(), f.leaky_trace(), Sums::Fast)
                .unwrap();
            let (value, gradients) = backward(loss).unwrap();
            assert!(
                (f64::from(value) - mean(discriminator)).abs() < 1e-5,
                "{objective:?}"
            );
            let [by_real, by_fake] = [&r, &f].map(|x| gradients.get(x).as_vec());
            for (i, &(r, f)) in pairs.iter().enumerate() {
                let real = slope(&|r| discriminator(r, f), r) / 3.0;
                let fake = slope(&|f| discriminator(r, f), f) / 3.0;
                assert!(
                    (f64::from(by_real[i]) - real).abs() < 1e-5,
                    "{objective:?}, real {i}"
                );
                assert!(
                    (f64::from(by_fake[i]) - fake).abs() < 1e-5,
                    "{objective:?}, fake {i}"
                );
            }
            let loss = objective
                .generator(f.leaky_trace(), Some(r.clone()), Sums::Fast)
                .unwrap();
            let (value, gradients) = backward(loss).unwrap();
            assert!(
                (f64::from(value) - mean(generator)).abs() < 1e-5,
                "{objective:?}"
            );
            let by_fake = gradients.get(&f).as_vec();
            for (i, &(r, f)) in pairs.iter().enumerate() {
                let fake = slope(&|f| generator(r, f), f) / 3.0;
                assert!(
                    (f64::from(by_fake[i]) - fake).abs() < 1e-5,
                    "{objective:?}, generator {i}"
                );
            }
        }
    }

    #[test]
    fn extreme_logits_stay_finite() {
        let cpu = Cpu::default();
        let x = cpu.tensor_from_vec(vec![1e4f32, -1e4], (2,));
        let (value, gradients) =
            backward(non_saturating_generator(x.leaky_trace(), Sums::Fast).unwrap()).unwrap();
        assert_eq!(value, 5e3);
        assert_eq!(gradients.get(&x).as_vec(), [0.0, -0.5]);
    }
}
