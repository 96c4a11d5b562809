//! The Fréchet distance of two Gaussians.

use super::Gaussian;
use crate::ops::cpu::gemm::{Matrix, parallel_product};
use nalgebra::{DMatrix, SymmetricEigen};

/// The squared distance of Dowson & Landau (1982), as Heusel et al. (2017, equation 6) score images by:
/// `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`, at least 0. Covariances may be singular. Both must
/// have as many features, and all numbers must be finite.
///
/// The trace of `(C1 C2)^(1/2)` is that of `(S C2 S)^(1/2)` with `S = C1^(1/2)`: the two products have
/// the same eigenvalues, and the second is symmetric.
pub fn frechet(a: &Gaussian, b: &Gaussian) -> f64 {
    let shift: f64 = a
        .mean
        .iter()
        .zip(&b.mean)
        .map(|(x, y)| (x - y).powi(2))
        .sum();
    let size = a.mean.len();
    let [first, second] =
        [a, b].map(|gaussian| DMatrix::from_row_slice(size, size, &gaussian.covariance));
    let root = square_root(first.clone());
    let mixed = symmetric(product(&product(&root, &second), &root));
    let cross: f64 = roots(&mixed.symmetric_eigenvalues()).sum();
    (shift + first.trace() + second.trace() - 2.0 * cross).max(0.0)
}

/// The symmetric square root of a symmetric, positive semidefinite matrix.
fn square_root(matrix: DMatrix<f64>) -> DMatrix<f64> {
    let SymmetricEigen {
        eigenvectors,
        eigenvalues,
    } = matrix.symmetric_eigen();
    let mut scaled = eigenvectors.clone();
    for (mut column, root) in scaled.column_iter_mut().zip(roots(&eigenvalues)) {
        column *= root;
    }
    product(&scaled, &eigenvectors.transpose())
}

/// The product of two square matrices, by the training kernels: for thousands of features nalgebra's own
/// would take half a minute.
fn product(left: &DMatrix<f64>, right: &DMatrix<f64>) -> DMatrix<f64> {
    let size = left.nrows();
    let mut result = DMatrix::zeros(size, size);
    // nalgebra keeps columns together: read row by row, each is its own transpose, and `(A B)' = B' A'`.
    let [right, left] = [right, left].map(|matrix| Matrix::new(matrix.as_slice(), size, size));
    parallel_product(result.as_mut_slice(), right, left, false);
    result
}

/// Square roots; rounding leaves eigenvalues of 0 a little below.
fn roots(eigenvalues: &nalgebra::DVector<f64>) -> impl Iterator<Item = f64> {
    eigenvalues.iter().map(|value| value.max(0.0).sqrt())
}

/// The symmetric part: products are symmetric but for rounding.
fn symmetric(matrix: DMatrix<f64>) -> DMatrix<f64> {
    (&matrix + matrix.transpose()) * 0.5
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gaussian(mean: &[f64], covariance: &[f64]) -> Gaussian {
        Gaussian {
            mean: mean.to_vec(),
            covariance: covariance.to_vec(),
        }
    }

    fn diagonal(variances: &[f64]) -> Gaussian {
        let n = variances.len();
        let entry = |i: usize| {
            if i / n == i % n {
                variances[i % n]
            } else {
                0.0
            }
        };
        gaussian(&vec![0.0; n], &(0..n * n).map(entry).collect::<Vec<_>>())
    }

    #[test]
    fn equal_gaussians_are_at_no_distance() {
        let a = gaussian(&[1.0, -2.0], &[2.0, 0.5, 0.5, 1.0]);
        assert!(frechet(&a, &a) < 1e-14);
    }

    #[test]
    fn a_shift_counts_squared() {
        let a = gaussian(&[1.0, -2.0], &[2.0, 0.5, 0.5, 1.0]);
        let b = gaussian(&[4.0, 2.0], &[2.0, 0.5, 0.5, 1.0]);
        assert!((frechet(&a, &b) - 25.0).abs() < 1e-12);
    }

    /// Covariances that commute: the sum over axes of `(sqrt a - sqrt b)^2`.
    #[test]
    fn commuting_covariances_compare_axis_by_axis() {
        let (a, b) = (diagonal(&[1.0, 4.0, 9.0]), diagonal(&[4.0, 4.0, 0.25]));
        let expected = 1.0 + 0.0 + 2.5 * 2.5;
        assert!((frechet(&a, &b) - expected).abs() < 1e-12);
    }

    /// For 2x2, `tr sqrt(M) = sqrt(tr M + 2 sqrt(det M))`. Here `C1 C2 = [[4, 1], [1, 1]] [[1, 0], [0, 9]]`
    /// has trace 13 and determinant 27.
    #[test]
    fn covariances_that_do_not_commute_by_hand() {
        let a = gaussian(&[0.0, 0.0], &[4.0, 1.0, 1.0, 1.0]);
        let b = gaussian(&[0.0, 0.0], &[1.0, 0.0, 0.0, 9.0]);
        let expected = 5.0 + 10.0 - 2.0 * (13.0 + 2.0 * 27f64.sqrt()).sqrt();
        assert!((frechet(&a, &b) - expected).abs() < 1e-12);
        assert!((frechet(&b, &a) - expected).abs() < 1e-12);
    }

    /// Ranks 1 and 1 along different lines: `C1 C2` has the one eigenvalue `(u . v)^2` with `C1 = u u'`,
    /// `C2 = v v'`.
    #[test]
    fn singular_covariances_have_a_distance() {
        let a = gaussian(&[0.0; 3], &[1.0, 2.0, 0.0, 2.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
        let b = gaussian(&[0.0; 3], &[9.0, 0.0, 3.0, 0.0, 0.0, 0.0, 3.0, 0.0, 1.0]);
        let expected = 5.0 + 10.0 - 2.0 * 3.0;
        assert!((frechet(&a, &b) - expected).abs() < 1e-7);
        assert!((frechet(&a, &diagonal(&[0.0; 3])) - 5.0).abs() < 1e-7);
        assert_eq!(frechet(&diagonal(&[0.0; 3]), &diagonal(&[0.0; 3])), 0.0);
    }

    proptest! {
        /// Turning both distributions by the same rotation, mean and all, leaves the distance.
        #[test]
        fn a_common_rotation_changes_nothing(
            spread in prop::collection::vec(-2f64..2.0, 2 * 16),
            shift in prop::collection::vec(-2f64..2.0, 4),
            angles in prop::array::uniform4(0f64..6.0),
        ) {
            let [a, b] = [0, 1].map(|i| {
                let root = DMatrix::from_row_slice(4, 4, &spread[16 * i..][..16]);
                let covariance = &root * root.transpose();
                (DMatrix::from_column_slice(4, 1, &shift) * i as f64, covariance)
            });
            let mut turn = DMatrix::identity(4, 4);
            for (i, angle) in angles.into_iter().enumerate() {
                let (sin, cos) = angle.sin_cos();
                let mut plane = DMatrix::identity(4, 4);
                let j = (i + 1) % 4;
                (plane[(i, i)], plane[(j, j)]) = (cos, cos);
                (plane[(i, j)], plane[(j, i)]) = (-sin, sin);
                turn = plane * turn;
            }
            let plain = [&a, &b].map(|(m, c)| gaussian(m.as_slice(), c.as_slice()));
            let turned = [&a, &b].map(|(m, c)| {
                gaussian((&turn * m).as_slice(), (&turn * c * turn.transpose()).as_slice())
            });
            let (before, after) = (frechet(&plain[0], &plain[1]), frechet(&turned[0], &turned[1]));
            prop_assert!((before - after).abs() < 1e-6 * (1.0 + before), "{before} {after}");
        }
    }
}
