//! The kernel distance of two sets of images.

use crate::ops::cpu::gemm::{Matrix, parallel_product};
use crate::rng::{Rng, Stream};
use rayon::prelude::*;

/// Draws that the figure is the mean of.
pub const SUBSETS: u32 = 100;
/// Images of either side in a draw, where there are as many.
pub const SUBSET_SIZE: usize = 1000;
/// Seed of the draws.
const SEED: u64 = 1;

/// What [`kernel_distance`] finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KernelDistance {
    /// Mean over the draws; 0 on average for two samples of the same images, and then negative as often
    /// as not.
    pub mean: f64,
    /// Standard deviation over the draws, with divisor [`SUBSETS`].
    pub deviation: f64,
}

/// How many images of either side are in a draw.
pub fn subset_size(reals: usize, fakes: usize) -> usize {
    SUBSET_SIZE.min(reals).min(fakes)
}

/// The score of Bińkowski et al. (2018): the unbiased estimate of the squared maximum mean discrepancy
/// (Gretton et al. 2012, equation 3) under the kernel `(x y / size + 1)^3`, averaged over 100 draws without
/// repetition of [`subset_size`] features of each side, `(N, size)`. `None` where a side has fewer than 2.
///
/// Products are in f32, sums in f64.
pub fn kernel_distance(real: &[f32], generated: &[f32], size: usize) -> Option<KernelDistance> {
    let [reals, fakes] = [real, generated].map(|points| points.len() / size.max(1));
    let drawn = subset_size(reals, fakes);
    if drawn < 2 {
        return None;
    }
    let estimates: Vec<f64> = (0..SUBSETS)
        .map(|i| {
            let mut rng = Rng::new(SEED, Stream::Order(i));
            let real = draw(&mut rng, real, size, drawn);
            let generated = draw(&mut rng, generated, size, drawn);
            squared_discrepancy(&real, &generated, size)
        })
        .collect();
    let count = f64::from(SUBSETS);
    let mean = estimates.iter().sum::<f64>() / count;
    let squares: f64 = estimates.iter().map(|x| (x - mean).powi(2)).sum();
    Some(KernelDistance {
        mean,
        deviation: (squares / count).sqrt(),
    })
}

/// `count` of the points, none twice.
fn draw(rng: &mut Rng, points: &[f32], size: usize, count: usize) -> Vec<f32> {
    let order = rng.permutation((points.len() / size) as u32);
    let drawn = order.iter().take(count).map(|&i| i as usize);
    drawn
        .flat_map(|i| &points[i * size..][..size])
        .copied()
        .collect()
}

/// The unbiased estimate from as many points of either side, at least 2.
fn squared_discrepancy(real: &[f32], generated: &[f32], size: usize) -> f64 {
    let count = (real.len() / size) as f64;
    let pairs = count * (count - 1.0);
    let within =
        kernel_sum(real, real, size, false) + kernel_sum(generated, generated, size, false);
    let between = kernel_sum(real, generated, size, true);
    within / pairs - 2.0 * between / (count * count)
}

/// The kernel added up over all pairs, with or without those of the same number.
fn kernel_sum(left: &[f32], right: &[f32], size: usize, diagonal: bool) -> f64 {
    let [rows, columns] = [left, right].map(|points| points.len() / size);
    let mut products = vec![0.0; rows * columns];
    let transposed = Matrix::new(right, columns, size).transposed();
    parallel_product(
        &mut products,
        Matrix::new(left, rows, size),
        transposed,
        false,
    );
    let kernel = |product: f32| (f64::from(product) / size as f64 + 1.0).powi(3);
    let of_row = |(i, products): (usize, &[f32])| {
        let others = products.iter().enumerate();
        let others = others.filter(|&(j, _)| diagonal || i != j);
        others.map(|(_, &product)| kernel(product)).sum::<f64>()
    };
    let rows: Vec<f64> = products
        .par_chunks(columns)
        .enumerate()
        .map(of_row)
        .collect();
    rows.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All images of a side alike: `k(a, a) + k(b, b) - 2 k(a, b)`.
    #[test]
    fn constant_images_by_hand() {
        let found = kernel_distance(&[2.0; 7], &[-1.0; 9], 1).unwrap();
        let expected = 5f64.powi(3) + 2f64.powi(3) - 2.0 * (-1f64).powi(3);
        assert!((found.mean - expected).abs() < 1e-9, "{found:?}");
        assert!(found.deviation < 1e-9);
        assert_eq!(kernel_distance(&[2.0; 7], &[2.0; 9], 1).unwrap().mean, 0.0);
    }

    /// Two images of a side, `k(x, y) = (x y + 1)^3`: `k(0, 1) + k(2, 3)` less half of all four across.
    #[test]
    fn a_pair_against_a_pair_by_hand() {
        let found = kernel_distance(&[0.0, 1.0], &[2.0, 3.0], 1).unwrap();
        let expected = 1.0 + 343.0 - (1.0 + 1.0 + 27.0 + 64.0) / 2.0;
        assert!((found.mean - expected).abs() < 1e-9, "{found:?}");
    }

    /// What `torch-fidelity` 0.4.0 computes (`kernel_poly` and `mmd2` of its `metric_kid`, in f64) of the same
    /// points of a lattice.
    #[test]
    fn a_published_implementation_agrees() {
        let points = |[a, b]: [i64; 2], [scale, shift]: [f64; 2]| -> Vec<f32> {
            let place = |n: i64| {
                let (i, j) = (n / 3, n % 3);
                (i * a + j * b + i * j * 13 + i * i * 7) % 97
            };
            (0..150)
                .map(|n| (place(n) as f64 / 97.0 * scale + shift) as f32)
                .collect()
        };
        let real = points([37, 101], [1.0, 0.0]);
        let generated = points([29, 53], [0.7, 0.25]);
        let found = kernel_distance(&real, &generated, 3).unwrap();
        assert!(
            (found.mean - 0.012771050002704065).abs() < 1e-6,
            "{found:?}"
        );
    }

    /// Two halves of the same noise: nothing but the estimate's own spread.
    #[test]
    fn samples_of_the_same_are_at_no_distance() {
        let mut rng = Rng::new(5, Stream::Latents);
        let noise: Vec<f32> = (0..4000 * 8).map(|_| rng.normal() as f32).collect();
        let found = kernel_distance(&noise[..16_000], &noise[16_000..], 8).unwrap();
        assert!(found.mean.abs() < 2e-3, "{found:?}");
        let shifted: Vec<f32> = noise[16_000..].iter().map(|x| x + 0.5).collect();
        let apart = kernel_distance(&noise[..16_000], &shifted, 8).unwrap();
        assert!(apart.mean > 20.0 * found.deviation, "{apart:?} {found:?}");
    }

    #[test]
    fn one_image_has_no_distance() {
        assert_eq!(kernel_distance(&[1.0], &[1.0, 2.0], 1), None);
        assert_eq!(kernel_distance(&[], &[], 3), None);
    }
}
