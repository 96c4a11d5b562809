//! The Fréchet distance of two Gaussians.

use crate::gaussian::Gaussian;
use crate::ops::cpu::gemm::{Matrix, parallel_product};
use nalgebra::DMatrix;
use rayon::prelude::*;

/// The squared distance of Dowson & Landau (1982), as Heusel et al. (2017, equation 6) score images by:
/// `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`, at least 0. Covariances may be singular. Both must
/// have as many features, and all numbers must be finite.
///
/// The trace of `(C1 C2)^(1/2)` is that of `(R C2 R')^(1/2)` with `R' R = C1`: the two products have the same
/// eigenvalues but for zeros, and the second is symmetric. No eigenvectors are needed, which would take minutes for
/// Inception's 2,048 features.
pub fn frechet(a: &Gaussian, b: &Gaussian) -> f64 {
    let shift: f64 = a
        .mean
        .iter()
        .zip(&b.mean)
        .map(|(x, y)| (x - y).powi(2))
        .sum();
    let size = a.mean.len();
    let trace = |matrix: &[f64]| matrix.iter().step_by(size + 1).sum::<f64>();
    let spread = trace(&a.covariance) + trace(&b.covariance);
    let cross = cross_term(&a.covariance, &b.covariance, size);
    (shift + spread - 2.0 * cross).max(0.0)
}

/// The trace of the root of the product of two covariances, row by row.
fn cross_term(first: &[f64], second: &[f64], size: usize) -> f64 {
    let factor = factor(first, size);
    let rank = factor.len() / size.max(1);
    if rank == 0 {
        return 0.0;
    }
    let factor = Matrix::new(&factor, rank, size);
    let mut half = vec![0.0; rank * size];
    parallel_product(&mut half, factor, Matrix::new(second, size, size), false);
    let mut mixed = vec![0.0; rank * rank];
    let half = Matrix::new(&half, rank, size);
    parallel_product(&mut mixed, half, factor.transposed(), false);
    let mixed = symmetric(DMatrix::from_vec(rank, rank, mixed));
    roots(&mixed.symmetric_eigenvalues()).sum()
}

/// Rows `R` with `R' R` the matrix, as many as its rank: the Cholesky decomposition with complete pivoting, which is
/// stable for singular matrices too (Higham 2002, section 10.3). It ends where what is left is rounding.
fn factor(matrix: &[f64], size: usize) -> Vec<f64> {
    /// Columns computed by one thread.
    const RUN: usize = 128;
    let mut left: Vec<f64> = matrix.iter().step_by(size + 1).copied().collect();
    let greatest = left.iter().copied().fold(0.0, f64::max);
    let mut rows: Vec<f64> = Vec::new();
    for _ in 0..size {
        let pivot = (0..size).fold(0, |best, i| if left[i] > left[best] { i } else { best });
        if left[pivot] <= greatest * size as f64 * f64::EPSILON {
            break;
        }
        let mut row = matrix[pivot * size..][..size].to_vec();
        row.par_chunks_mut(RUN).enumerate().for_each(|(i, run)| {
            for other in rows.chunks_exact(size) {
                let weight = other[pivot];
                for (sum, x) in run.iter_mut().zip(&other[i * RUN..]) {
                    *sum -= weight * x;
                }
            }
        });
        let root = left[pivot].sqrt();
        for (x, left) in row.iter_mut().zip(&mut left) {
            *x /= root;
            *left -= *x * *x;
        }
        left[pivot] = 0.0;
        rows.extend(row);
    }
    rows
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
    use crate::rng::{Rng, Stream};
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

    /// By the symmetric root of one covariance, from its eigenvectors.
    fn by_eigenvectors(a: &DMatrix<f64>, b: &DMatrix<f64>) -> f64 {
        let eigen = a.clone().symmetric_eigen();
        let roots = DMatrix::from_diagonal(&eigen.eigenvalues.map(|x| x.max(0.0).sqrt()));
        let root = &eigen.eigenvectors * roots * eigen.eigenvectors.transpose();
        let mixed = symmetric(&root * b * &root).symmetric_eigenvalues();
        a.trace() + b.trace() - 2.0 * mixed.map(|x| x.max(0.0).sqrt()).sum()
    }

    /// More features than one run of columns, variances over ten powers of ten, of full rank and of less.
    #[test]
    fn another_way_to_the_root_gives_the_same() {
        let size = 150;
        let mut rng = Rng::new(2, Stream::Latents);
        let mut covariance = |rank: usize| {
            let spread = DMatrix::from_fn(size, rank, |i, _| {
                rng.normal() * 10f64.powf(-5.0 * i as f64 / size as f64)
            });
            &spread * spread.transpose()
        };
        let (full, wide, thin) = (covariance(200), covariance(150), covariance(40));
        for (a, b) in [
            (&full, &wide),
            (&full, &thin),
            (&thin, &full),
            (&thin, &thin),
        ] {
            let of = |matrix: &DMatrix<f64>| gaussian(&vec![0.0; size], matrix.as_slice());
            let (ours, expected) = (frechet(&of(a), &of(b)), by_eigenvectors(a, b));
            assert!(
                (ours - expected).abs() < 1e-6 * a.trace(),
                "{ours} {expected}"
            );
        }
        assert_eq!(factor(thin.as_slice(), size).len() / size, 40);
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
