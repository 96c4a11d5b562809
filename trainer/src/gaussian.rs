//! Mean and covariance of feature vectors.

use crate::ops::cpu::gemm::{Matrix, parallel_product};

/// A normal distribution over `F` features.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    /// `(F,)`.
    pub mean: Vec<f64>,
    /// `(F, F)`, symmetric.
    pub covariance: Vec<f64>,
}

impl Gaussian {
    /// Of vectors that are all at hand, `(N, F)`: the mean and the unbiased covariance, as [`Moments`] gives
    /// them but for rounding, and for many features much faster. The deviations are multiplied in f64.
    pub fn of(vectors: &[f32], features: usize) -> Self {
        let features = features.max(1);
        let count = vectors.len() / features;
        let mut mean = vec![0.0; features];
        for vector in vectors.chunks_exact(features) {
            for (sum, &x) in mean.iter_mut().zip(vector) {
                *sum += f64::from(x);
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= count.max(1) as f64);
        let divisor = count.saturating_sub(1).max(1) as f64;
        let mut covariance = vec![0.0; features * features];
        for vectors in vectors.chunks(features * AT_ONCE) {
            let deviations = vectors.chunks_exact(features).flat_map(|vector| {
                let deviation = |(&x, mean): (&f32, &f64)| f64::from(x) - mean;
                vector.iter().zip(&mean).map(deviation)
            });
            let deviations: Vec<f64> = deviations.collect();
            let rows = Matrix::new(&deviations, deviations.len() / features, features);
            parallel_product(&mut covariance, rows.transposed(), rows, true);
        }
        covariance.iter_mut().for_each(|sum| *sum /= divisor);
        Self { mean, covariance }
    }
}

/// Vectors multiplied at a time.
const AT_ONCE: usize = 1024;

/// Adds feature vectors up, one after another, to their [`Gaussian`] (Welford 1962, for vectors).
#[derive(Clone, Debug)]
pub struct Moments {
    count: u64,
    mean: Vec<f64>,
    /// Sums of products of deviations, the lower triangle of `(F, F)`.
    products: Vec<f64>,
    deviation: Vec<f64>,
}

impl Moments {
    /// No vectors of `features` numbers yet.
    pub fn new(features: usize) -> Self {
        Self {
            count: 0,
            mean: vec![0.0; features],
            products: vec![0.0; features * features],
            deviation: vec![0.0; features],
        }
    }

    /// Counts vectors in, `(N, F)`; a rest of a vector is left out.
    pub fn add(&mut self, features: &[f32]) {
        let size = self.mean.len().max(1);
        for vector in features.chunks_exact(size) {
            self.add_one(vector);
        }
    }

    fn add_one(&mut self, vector: &[f32]) {
        self.count += 1;
        let rate = 1.0 / self.count as f64;
        for (i, &x) in vector.iter().enumerate() {
            self.deviation[i] = f64::from(x) - self.mean[i];
            self.mean[i] += self.deviation[i] * rate;
        }
        // The deviation from the old mean times that from the new one.
        let size = vector.len();
        for (i, row) in self.products.chunks_exact_mut(size).enumerate() {
            let new = self.deviation[i] * (1.0 - rate);
            for (sum, old) in row[..=i].iter_mut().zip(&self.deviation) {
                *sum += new * old;
            }
        }
    }

    /// The mean and the unbiased covariance, with divisor `N - 1`; zeros where a single vector or none
    /// was counted.
    pub fn gaussian(&self) -> Gaussian {
        let size = self.mean.len();
        let divisor = self.count.saturating_sub(1).max(1) as f64;
        let place = |i: usize| {
            let (row, column) = (i / size, i % size);
            row.max(column) * size + row.min(column)
        };
        Gaussian {
            mean: self.mean.clone(),
            covariance: (0..size * size)
                .map(|i| self.products[place(i)] / divisor)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_small_case_by_hand() {
        let mut moments = Moments::new(2);
        moments.add(&[1.0, 2.0, 3.0, 2.0]);
        moments.add(&[5.0, 8.0]);
        // Deviations (-2, -2), (0, -2), (2, 4).
        let expected = Gaussian {
            mean: vec![3.0, 4.0],
            covariance: vec![4.0, 6.0, 6.0, 12.0],
        };
        assert_eq!(moments.gaussian(), expected);
        assert_eq!(Gaussian::of(&[1.0, 2.0, 3.0, 2.0, 5.0, 8.0], 2), expected);
        let one = Gaussian::of(&[1.0, 2.0], 2);
        assert_eq!((one.mean, one.covariance), (vec![1.0, 2.0], vec![0.0; 4]));
    }

    proptest! {
        /// Against the textbook's two passes.
        #[test]
        fn streaming_is_the_two_pass_formula(
            vectors in prop::collection::vec(prop::array::uniform3(-100f32..100.0), 2..40),
            offset in -1e4f32..1e4,
        ) {
            let vectors: Vec<[f32; 3]> = vectors.iter().map(|v| v.map(|x| x + offset)).collect();
            let mut moments = Moments::new(3);
            moments.add(vectors.as_flattened());
            let gaussian = moments.gaussian();
            let at_once = Gaussian::of(vectors.as_flattened(), 3);
            for (a, b) in gaussian.covariance.iter().zip(&at_once.covariance) {
                prop_assert!((a - b).abs() < 1e-6, "{a} {b}");
            }
            let n = vectors.len() as f64;
            let mean = [0, 1, 2].map(|i| vectors.iter().map(|v| f64::from(v[i])).sum::<f64>() / n);
            for i in 0..3 {
                prop_assert!((gaussian.mean[i] - mean[i]).abs() < 1e-8);
                for j in 0..3 {
                    let product = |v: &[f32; 3]| (f64::from(v[i]) - mean[i]) * (f64::from(v[j]) - mean[j]);
                    let covariance = vectors.iter().map(product).sum::<f64>() / (n - 1.0);
                    prop_assert!((gaussian.covariance[3 * i + j] - covariance).abs() < 1e-6);
                }
            }
        }
    }
}
