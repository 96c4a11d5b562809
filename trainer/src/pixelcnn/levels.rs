//! Grey levels that pixels are rounded to.

use super::SamplerError;
use crate::rng::{Rng, Stream};
use crate::spec::Network;
use serde::{Deserialize, Serialize};

/// How many grey levels there are: 2, 4, 16 or 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Levels(u16);

impl Levels {
    /// Sixteen.
    pub const SIXTEEN: Self = Self(16);

    /// Those that there can be.
    pub const ALL: [Self; 4] = [Self(2), Self(4), Self(16), Self(256)];

    /// Of a network that gives each pixel as many logits.
    ///
    /// # Errors
    /// A network that does not fit together, or gives another number.
    pub fn of(network: &Network) -> Result<Self, SamplerError> {
        let (input, output) = (network.input, network.output()?);
        let levels = u16::try_from(output.channels).map(Self::try_from);
        levels
            .unwrap_or_else(|error| Err(error.to_string()))
            .map_err(|_| SamplerError::Levels {
                input,
                output,
                levels: output.channels,
            })
    }

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

    /// The levels of pixels: drawn if there are two, or else the nearest ones.
    pub fn of_pixels(self, pixels: &[u8], rng: &mut Rng) -> Vec<u8> {
        let level = |&pixel: &u8| {
            if self.0 == 2 {
                self.draw(pixel, rng)
            } else {
                self.of_pixel(pixel)
            }
        };
        pixels.iter().map(level).collect()
    }

    /// The levels of pictures to score by: those of [`Levels::of_pixels`], always the same draws.
    pub fn of_test_pixels(self, pixels: &[u8]) -> Vec<u8> {
        self.of_pixels(pixels, &mut Rng::new(1, Stream::Pixels))
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
