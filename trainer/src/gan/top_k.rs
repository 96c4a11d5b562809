//! Top-k updates of a generator (Sinha et al. 2020).

use crate::nn::loss::{Logits, Read};
use crate::nn::{ModelError, device_error};
use crate::ops::Sums;
use dfdx::prelude::{Cpu, GatherTo, HasShape, NoneTape, TensorFromVec};

/// A generator learns only from those images of a batch that the discriminator takes for the most real. At first these
/// are all; their share is multiplied by `decay` after each epoch until it is `share` (Sinha et al. 2020, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopK {
    /// In (0, 1].
    pub share: f64,
    /// In (0, 1].
    pub decay: f64,
    /// Steps that come before.
    pub first_step: u32,
    /// Steps of an epoch, at least 1.
    pub steps_an_epoch: u32,
}

impl TopK {
    /// The decay that its authors use.
    pub const DECAY: f64 = 0.99;

    /// How many of `n` images the step takes that follows so many, a multiple of what [`Sums::parts`] asks for.
    pub(super) fn count(&self, steps: u32, n: usize, sums: Sums) -> usize {
        let steps = steps.saturating_sub(self.first_step);
        let epochs = (steps / self.steps_an_epoch).min(i32::MAX as u32);
        let share = self.decay.powi(epochs as i32).max(self.share);
        let parts = sums.parts();
        let of_a_part = (share * (n / parts) as f64).ceil() as usize;
        of_a_part.clamp(1, n / parts) * parts
    }
}

/// The `count` largest verdicts on generated images, in their order in the batch, and the verdicts on real images of
/// the same numbers.
///
/// # Errors
/// The host's.
pub(super) fn keep(
    fake: Read,
    real: Option<Logits<Cpu, NoneTape>>,
    count: usize,
) -> Result<(Read, Option<Logits<Cpu, NoneTape>>), ModelError> {
    let n = fake.shape().0;
    if count >= n {
        return Ok((fake, real));
    }
    let verdicts = fake.as_vec();
    let mut kept: Vec<usize> = (0..n).collect();
    kept.sort_by(|&a, &b| verdicts[b].total_cmp(&verdicts[a]));
    kept.truncate(count);
    kept.sort_unstable();
    let kept = Cpu::default().try_tensor_from_vec(kept, (count,));
    let kept = kept.map_err(device_error)?;
    let real = real.map(|real| real.try_gather(kept.clone())).transpose();
    let fake = fake.try_gather(kept).map_err(device_error)?;
    Ok((fake, real.map_err(device_error)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gan::Objective;
    use crate::nn::loss::backward;
    use dfdx::prelude::Trace;

    #[test]
    fn the_share_falls_epoch_by_epoch() {
        let top = TopK {
            share: 0.5,
            decay: 0.9,
            first_step: 0,
            steps_an_epoch: 10,
        };
        let later = TopK {
            first_step: 1000,
            ..top
        };
        assert_eq!(later.count(1009, 64, Sums::Fast), 64);
        assert_eq!(later.count(1010, 64, Sums::Fast), 58);
        // 64 times 1, 0.9, 0.81, 0.6561 and 0.5, rounded up.
        for (steps, count) in [(0, 64), (9, 64), (10, 58), (29, 52), (40, 42), (70, 32)] {
            assert_eq!(top.count(steps, 64, Sums::Fast), count, "{steps}");
        }
        assert_eq!(top.count(u32::MAX, 64, Sums::Fast), 32);
        assert_eq!(top.count(10, 64, Sums::Tree(3)), 64);
        assert_eq!(top.count(20, 64, Sums::Tree(3)), 56);
        let none = TopK { share: 1e-9, ..top };
        assert_eq!(none.count(u32::MAX, 64, Sums::Fast), 1);
    }

    /// The loss is that of the kept pairs alone, and the others have no gradient.
    #[test]
    fn what_is_not_kept_teaches_nothing() {
        let cpu = Cpu::default();
        let tensor = |numbers: &[f32]| cpu.tensor_from_vec(numbers.to_vec(), (numbers.len(),));
        let (fake, real) = (
            tensor(&[0.5, -1.0, 2.0, 0.0]),
            tensor(&[1.0, 9.0, 3.0, -4.0]),
        );
        let (kept, beside) = keep(fake.leaky_trace(), Some(real), 2).unwrap();
        let objective = Objective::Relativistic;
        let loss = objective.generator(kept, beside, Sums::Fast).unwrap();
        let (value, gradients) = backward(loss).unwrap();
        // softplus(1 - 0.5) and softplus(3 - 2), and minus the sigmoids of those, halved.
        let softplus = |x: f32| x.exp().ln_1p();
        let slope = |x: f32| -1.0 / (1.0 + (-x).exp()) / 2.0;
        assert!((value - (softplus(0.5) + softplus(1.0)) / 2.0).abs() < 1e-6);
        let expected = [slope(0.5), 0.0, slope(1.0), 0.0];
        for (ours, expected) in gradients.get(&fake).as_vec().into_iter().zip(expected) {
            assert!((ours - expected).abs() < 1e-6, "{ours} against {expected}");
        }
    }
}
