//! Grey levels that pixels are rounded to.

use crate::rng::Rng;
use serde::{Deserialize, Serialize};

/// How many grey levels there are: 2, 4, 16 or 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Levels(u16);

impl Levels {
    /// Those that there can be.
    pub const ALL: [Self; 4] = [Self(2), Self(4), Self(16), Self(256)];

    /// How many there are.
    pub fn count(self) -> usize {
        self.0.into()
    }

    /// The level nearest to a pixel of 0 to 255.
    pub fn of_pixel(self, pixel: u8) -> u8 {
        let last = u32::from(self.0) - 1;
        ((u32::from(pixel) * last + 127) / 255) as u8
    }

    /// A level below or above a pixel of 0 to 255, drawn so that the mean of many draws is the pixel: of two levels,
    /// black or white with the pixel as the probability of white (Salakhutdinov & Murray 2008, section 6.1).
    pub fn draw(self, pixel: u8, rng: &mut Rng) -> u8 {
        let last = f64::from(self.0 - 1);
        (f64::from(pixel) / 255.0 * last + rng.uniform())
            .floor()
            .min(last) as u8
    }

    /// A level as a pixel of 0 to 255.
    pub fn pixel(self, level: u8) -> u8 {
        let last = u32::from(self.0) - 1;
        ((u32::from(level) * 255 + last / 2) / last).min(255) as u8
    }

    /// A level as networks take it, in [-1, 1].
    pub fn value(self, level: u8) -> f32 {
        2.0 * f32::from(level) / f32::from(self.0 - 1) - 1.0
    }
}

impl TryFrom<u16> for Levels {
    type Error = String;

    fn try_from(count: u16) -> Result<Self, String> {
        let levels = Self(count);
        Self::ALL
            .contains(&levels)
            .then_some(levels)
            .ok_or_else(|| format!("there are 2, 4, 16 or 256 levels, not {count}"))
    }
}

impl From<Levels> for u16 {
    fn from(levels: Levels) -> Self {
        levels.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn levels_are_at_equal_steps_from_black_to_white() {
        for levels in Levels::ALL {
            let last = (levels.count() - 1) as u8;
            let ends = [0, last];
            assert_eq!(ends.map(|level| levels.pixel(level)), [0, 255]);
            assert_eq!(ends.map(|level| levels.value(level)), [-1.0, 1.0]);
            for level in 0..=last {
                assert_eq!(levels.of_pixel(levels.pixel(level)), level);
            }
            for pixel in 0..=255u8 {
                let nearest = (0..=last).min_by_key(|&level| levels.pixel(level).abs_diff(pixel));
                let ours = levels.of_pixel(pixel);
                let distance = |level: u8| levels.pixel(level).abs_diff(pixel);
                assert_eq!(
                    Some(distance(ours)),
                    nearest.map(distance),
                    "{pixel} of {levels:?}"
                );
            }
        }
        assert!(Levels::try_from(3).is_err());
    }

    #[test]
    fn draws_have_the_pixel_for_a_mean() {
        let mut rng = Rng::new(1, Stream::Latents);
        for levels in Levels::ALL {
            for pixel in [0, 1, 77, 128, 254, 255] {
                const DRAWS: u32 = 40_000;
                let draws = (0..DRAWS).map(|_| f64::from(levels.draw(pixel, &mut rng)));
                let mean = draws.sum::<f64>() / f64::from(DRAWS);
                let expected = f64::from(pixel) / 255.0 * (levels.count() - 1) as f64;
                // Five standard errors of a draw between two levels, at most.
                let bound = 2.5 / f64::from(DRAWS).sqrt();
                assert!(
                    (mean - expected).abs() < bound,
                    "{pixel}: {mean} for {expected}"
                );
            }
        }
    }
}
