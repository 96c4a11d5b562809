//! Schedules of the learning rate.

use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// How the learning rate changes from its beginning to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Curve {
    /// It stays.
    #[default]
    Constant,
    /// In a straight line.
    Linear,
    /// It stays for half of the time, and then changes in a straight line.
    ConstantThenLinear,
    /// By half a period of a cosine (Loshchilov & Hutter 2017, equation 5, without restarts).
    Cosine,
}

/// A learning rate over a run. It depends on the step alone, so a resumed run has the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    pub curve: Curve,
    /// Steps until the end is reached, above 0; the rate stays there.
    pub steps: u32,
    /// The rate at the end as a share of that at the beginning, from 0 to 1.
    pub end: f64,
}

impl Schedule {
    /// The rate that stays.
    pub const CONSTANT: Self = Self {
        curve: Curve::Constant,
        steps: 1,
        end: 1.0,
    };

    /// The rate of the step that follows so many, as a share of that at the beginning.
    pub fn share(&self, steps: u32) -> f64 {
        let progress = f64::from(steps.min(self.steps)) / f64::from(self.steps);
        let left = match self.curve {
            Curve::Constant => return 1.0,
            Curve::Linear => 1.0 - progress,
            Curve::ConstantThenLinear => (2.0 - 2.0 * progress).min(1.0),
            Curve::Cosine => (1.0 + (PI * progress).cos()) / 2.0,
        };
        self.end + (1.0 - self.end) * left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_their_curves() {
        let share = |curve, end, steps| {
            let schedule = Schedule {
                curve,
                steps: 8,
                end,
            };
            schedule.share(steps)
        };
        for steps in [0, 3, 8, 100] {
            assert_eq!(share(Curve::Constant, 0.0, steps), 1.0);
        }
        let linear = [0, 2, 4, 8, 9].map(|steps| share(Curve::Linear, 0.2, steps));
        let expected = [1.0, 0.8, 0.6, 0.2, 0.2];
        for (linear, expected) in linear.into_iter().zip(expected) {
            assert!((linear - expected).abs() < 1e-12, "{linear} {expected}");
        }
        let later = [0, 2, 4, 6, 8, 9].map(|steps| share(Curve::ConstantThenLinear, 0.0, steps));
        assert_eq!(later, [1.0, 1.0, 1.0, 0.5, 0.0, 0.0]);
        let half = (1.0 + 0.5f64.sqrt()) / 2.0;
        let cosine = [0, 2, 4, 6, 8, 9].map(|steps| share(Curve::Cosine, 0.0, steps));
        let expected = [1.0, half, 0.5, 1.0 - half, 0.0, 0.0];
        for (cosine, expected) in cosine.into_iter().zip(expected) {
            assert!((cosine - expected).abs() < 1e-12, "{cosine} {expected}");
        }
    }
}
