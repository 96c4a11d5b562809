//! How far two ways to compute the same came out apart, and how far they may.

use super::VerifyError;
use super::twin::Expected;

/// How far a layer's quanta may be from what its twin has before it rounds: half a quantum by rounding, and a sixteenth
/// for what the integer arithmetic adds before it. That is 0.04 at most, where tanh is interpolated (section 4.2 of the
/// blob format); the floats of the twin are off by far less.
const UNROUNDED_BOUND: f64 = 0.5 + 1.0 / 16.0;
/// How far a layer's quanta may be from its twin's, which follows.
const LAYER_BOUND: f64 = 1.0;
/// How far the pixels of a network may be from its twin's on average, in quanta and beyond [`UNROUNDED_BOUND`], if no
/// layer but the last differs from its twin.
const NETWORK_BOUND: f64 = 0.05;

const UNIT: &str = "quanta";

/// Two ways to compute the same, and how far apart they came out.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Comparison {
    /// What was compared.
    pub what: String,
    /// What the differences are counted in.
    pub unit: &'static str,
    /// The largest absolute difference.
    pub largest: f64,
    /// What [`largest`](Self::largest) may be, if it is bounded.
    pub largest_bound: Option<f64>,
    /// The mean absolute difference.
    pub mean: f64,
    /// What [`mean`](Self::mean) may be, if it is bounded.
    pub mean_bound: Option<f64>,
}

impl Comparison {
    /// This comparison with a bound on the largest difference.
    pub(super) fn at_most(self, bound: f64) -> Self {
        Self {
            largest_bound: Some(bound),
            ..self
        }
    }

    /// This comparison with a bound on the mean difference.
    pub(super) fn on_average(self, bound: f64) -> Self {
        Self {
            mean_bound: Some(bound),
            ..self
        }
    }

    /// Whether every difference is within its bound.
    pub fn passes(&self) -> bool {
        let within = |value: f64, bound: Option<f64>| bound.is_none_or(|bound| value <= bound);
        within(self.largest, self.largest_bound) && within(self.mean, self.mean_bound)
    }
}

/// Absolute differences, counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Differences {
    largest: f64,
    sum: f64,
    count: u64,
}

impl Differences {
    pub fn add(&mut self, difference: f64) {
        let difference = difference.abs();
        // A NaN must not slip through a comparison.
        self.largest = if difference.is_nan() {
            f64::INFINITY
        } else {
            self.largest.max(difference)
        };
        self.sum += difference;
        self.count += 1;
    }

    /// Adds the differences of two sequences, which must be of one length.
    pub fn add_all(
        &mut self,
        a: impl ExactSizeIterator<Item = f64>,
        b: impl ExactSizeIterator<Item = f64>,
    ) -> Result<(), VerifyError> {
        if a.len() != b.len() {
            return Err(VerifyError::Mismatched);
        }
        a.zip(b).for_each(|(a, b)| self.add(a - b));
        Ok(())
    }

    /// The mean difference.
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }

    /// The comparison, without bounds.
    pub fn comparison(&self, what: impl Into<String>, unit: &'static str) -> Comparison {
        Comparison {
            what: what.into(),
            unit,
            largest: self.largest,
            largest_bound: None,
            mean: self.mean(),
            mean_bound: None,
        }
    }
}

/// Quanta as numbers.
pub(super) fn numbers(quanta: &[i16]) -> impl ExactSizeIterator<Item = f64> {
    quanta.iter().map(|&q| f64::from(q))
}

/// How far quanta are from those that were expected.
#[derive(Clone, Debug, Default)]
pub struct QuantaDifferences {
    /// From the expected quanta.
    rounded: Differences,
    /// From what these were before they were rounded.
    unrounded: Differences,
    /// The part of `unrounded` that is beyond [`UNROUNDED_BOUND`].
    beyond: Differences,
}

impl QuantaDifferences {
    /// Adds quanta and what was expected in their place.
    ///
    /// # Errors
    /// [`VerifyError::Mismatched`] if there are more or fewer than expected.
    pub fn add(&mut self, quanta: &[i16], expected: &Expected) -> Result<(), VerifyError> {
        self.rounded
            .add_all(numbers(quanta), expected.rounded.iter().map(|&q| q.into()))?;
        self.unrounded.add_all(
            numbers(quanta),
            expected.unrounded.iter().map(|&q| q.into()),
        )?;
        for (q, &x) in numbers(quanta).zip(&expected.unrounded) {
            let beyond = (q - f64::from(x)).abs() - UNROUNDED_BOUND;
            // A NaN stays one.
            self.beyond.add(if beyond < 0.0 { 0.0 } else { beyond });
        }
        Ok(())
    }

    /// The comparisons of a layer with its twin, both given the same input: the differences of the quanta, and those
    /// from the numbers that the twin's are rounded from.
    pub fn of_layer(&self, what: &str) -> [Comparison; 2] {
        let unrounded = format!("{what}, before rounding");
        let unrounded = self.unrounded.comparison(unrounded, UNIT);
        [
            self.rounded.comparison(what, UNIT).at_most(LAYER_BOUND),
            unrounded.at_most(UNROUNDED_BOUND),
        ]
    }

    /// The comparison of a whole network with its twin. It bounds the mean alone: a number that rounds to the other
    /// side in an early layer moves a pixel by many quanta. `carried` is how far the pixels move on average by the
    /// differences that the layers before the last have from their twins, given the same inputs.
    pub fn of_network(&self, what: &str, carried: f64) -> Comparison {
        let bound = NETWORK_BOUND + carried;
        self.beyond.comparison(what, UNIT).on_average(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quanta against what was expected, which is rounded to the nearest.
    fn differences(pairs: &[(i16, f32)]) -> QuantaDifferences {
        let (quanta, unrounded): (Vec<i16>, Vec<f32>) = pairs.iter().copied().unzip();
        let expected = Expected {
            rounded: unrounded.iter().map(|x| x.round()).collect(),
            unrounded,
        };
        let mut differences = QuantaDifferences::default();
        differences.add(&quanta, &expected).unwrap();
        differences
    }

    fn layer(pairs: &[(i16, f32)]) -> [bool; 2] {
        let comparisons = differences(pairs).of_layer("layer");
        comparisons.map(|comparison| comparison.passes())
    }

    #[test]
    fn a_layer_may_differ_by_a_quantum_only_where_the_number_is_near_to_both() {
        assert_eq!(layer(&[(1, 0.5), (0, 0.5), (-3, -3.2)]), [true, true]);
        assert_eq!(layer(&[(1, 0.44)]), [true, true]);
        assert_eq!(layer(&[(1, 0.43)]), [true, false]);
        assert_eq!(layer(&[(0, 0.57)]), [true, false]);
        assert_eq!(layer(&[(2, 0.4)]), [false, false]);
        assert_eq!(layer(&[(0, f32::NAN)]), [false, false]);
    }

    #[test]
    fn a_network_may_be_far_off_in_few_pixels_but_not_a_little_in_all() {
        let network = |pairs: &[(i16, f32)]| differences(pairs).of_network("network", 0.0).passes();
        let mut pixels = vec![(0, 0.55); 10_000];
        pixels[7] = (100, 0.0);
        assert!(network(&pixels));
        pixels.fill((0, 0.62));
        assert!(!network(&pixels));
        pixels.fill((0, 0.0));
        pixels[7] = (0, f32::NAN);
        assert!(!network(&pixels));
    }

    #[test]
    fn other_numbers_than_expected_are_of_another_model() {
        let expected = Expected {
            rounded: vec![0.0; 3],
            unrounded: vec![0.0; 3],
        };
        let added = QuantaDifferences::default().add(&[0; 2], &expected);
        assert!(matches!(added, Err(VerifyError::Mismatched)));
    }
}
