//! How usual vectors are among all.

use crate::gaussian::Gaussian;
use nalgebra::{DMatrix, DVector};

/// The numbers, in order, of the `count` vectors of `(N, size)` that are densest under the normal distribution of all
/// (DeVries et al. 2020, section 3): those of the smallest Mahalanobis distances, the first of equals.
pub fn densest(vectors: &[f32], size: usize, count: usize) -> Vec<usize> {
    let distances = distances(vectors, size);
    let mut numbers: Vec<usize> = (0..distances.len()).collect();
    numbers.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]));
    numbers.truncate(count);
    numbers.sort_unstable();
    numbers
}

/// The squared Mahalanobis distance of each vector from the mean of all, by their covariance. A direction in which
/// they hardly differ counts as one with a millionth of the mean variance.
fn distances(vectors: &[f32], size: usize) -> Vec<f64> {
    let Gaussian { mean, covariance } = Gaussian::of(vectors, size);
    let mut covariance = DMatrix::from_vec(size, size, covariance);
    let least = covariance.trace() / size as f64 * 1e-6;
    for i in 0..size {
        covariance[(i, i)] += least;
    }
    let Some(root) = covariance.cholesky() else {
        // All vectors are equal.
        return vec![0.0; vectors.len() / size];
    };
    let distance = |vector: &[f32]| {
        let deviation = vector
            .iter()
            .zip(&mean)
            .map(|(&x, mean)| f64::from(x) - mean);
        let deviation = DVector::from_iterator(size, deviation);
        let solved = root.l_dirty().solve_lower_triangular(&deviation);
        solved.map_or(f64::INFINITY, |solved| solved.norm_squared())
    };
    vectors.chunks_exact(size).map(distance).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On axes whose variances are known: each number's square over its variance, added up.
    #[test]
    fn distances_are_counted_in_standard_deviations() {
        // Means 0; unbiased variances 8 / 3 and 200 / 3, no covariance.
        let vectors = [2.0, 0.0, -2.0, 0.0, 0.0, 10.0, 0.0, -10.0];
        let expected = [1.5; 4];
        for (ours, expected) in distances(&vectors, 2).into_iter().zip(expected) {
            assert!((ours - expected).abs() < 1e-4, "{ours}");
        }
    }

    #[test]
    fn the_most_usual_are_kept_in_their_order() {
        // The second number varies ten times as much as the first: (3, 0) is further out than (0, 9).
        let vectors: Vec<f32> = [
            [3.0, 0.0],
            [0.0, 9.0],
            [0.1, 1.0],
            [-0.1, -10.0],
            [1.0, 10.0],
            [-1.0, -10.0],
            [0.5, 0.0],
        ]
        .concat();
        assert_eq!(densest(&vectors, 2, 6), [1, 2, 3, 4, 5, 6]);
        assert_eq!(densest(&vectors, 2, 2), [2, 6]);
        assert_eq!(densest(&[1.0; 8], 2, 3), [0, 1, 2]);
    }
}
