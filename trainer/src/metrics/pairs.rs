//! How near images come to the images that they should be, pair by pair.

use super::neighbours::nearest;
use crate::gaussian::Gaussian;
use crate::spec::Shape;
use image::imageops::{self, FilterType};
use image::{ImageBuffer, Luma};
use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

/// The mean distances of pairs of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairScore {
    /// The mean absolute difference of pixels, in grey levels.
    pub l1: f64,
    /// The mean over the pairs of the peak signal-to-noise ratio, `10 lg (255^2 / mean squared difference)`, in dB. The
    /// difference counts as 1/12 at least, what rounding to pixels does: 58.9 dB.
    pub psnr: f64,
}

impl PairScore {
    /// Of pixels `(N, C, H, W)`, `len` an image; the lower of `l1` the better.
    pub fn new(made: &[u8], wanted: &[u8], len: usize) -> Self {
        let pairs = made
            .chunks_exact(len.max(1))
            .zip(wanted.chunks_exact(len.max(1)));
        let count = pairs.len().max(1) as f64;
        let (mut l1, mut psnr) = (0.0, 0.0);
        for (made, wanted) in pairs {
            let differences = made
                .iter()
                .zip(wanted)
                .map(|(&a, &b)| f64::from(a.abs_diff(b)));
            l1 += differences.clone().sum::<f64>() / len as f64;
            psnr += peak_ratio(differences.map(|d| d * d).sum::<f64>() / len as f64);
        }
        Self {
            l1: l1 / count,
            psnr: psnr / count,
        }
    }
}

/// The peak signal-to-noise ratio of a mean squared difference of pixels, in dB.
fn peak_ratio(squared: f64) -> f64 {
    10.0 * (255.0 * 255.0 / squared.max(1.0 / 12.0)).log10()
}

/// The mean squared difference of pixels, in squares of grey levels.
pub fn mean_squared(made: &[u8], wanted: &[u8]) -> f64 {
    let pairs = made.iter().zip(wanted);
    let squares = pairs.map(|(&a, &b)| f64::from(a.abs_diff(b)).powi(2));
    squares.sum::<f64>() / made.len().max(1) as f64
}

/// The mean absolute difference of pixels, in grey levels, where the picture that was read or the image that should be
/// made is not white: over the union of their shapes on white. All are `(N, C, H, W)` of `shape`. `None` where all is
/// white.
pub fn union_l1(read: &[u8], made: &[u8], wanted: &[u8], shape: Shape) -> Option<f64> {
    let plane = shape.height * shape.width;
    let (mut sum, mut count) = (0u64, 0u64);
    let images = read.chunks_exact(shape.len());
    let images = images.zip(made.chunks_exact(shape.len()));
    for ((read, made), wanted) in images.zip(wanted.chunks_exact(shape.len())) {
        for at in 0..plane {
            let places = || (at..shape.len()).step_by(plane);
            if places().any(|i| read[i] < 255 || wanted[i] < 255) {
                sum += places()
                    .map(|i| u64::from(made[i].abs_diff(wanted[i])))
                    .sum::<u64>();
                count += shape.channels as u64;
            }
        }
    }
    (count > 0).then(|| sum as f64 / count as f64)
}

/// The share of images that are nearer to the one that they should be than to those of all others, by the squared
/// differences of pixels; `len` numbers an image.
pub fn retrieval(made: &[u8], wanted: &[u8], len: usize) -> f64 {
    let centred = |pixels: &[u8]| {
        pixels
            .iter()
            .map(|&p| f32::from(p) - 128.0)
            .collect::<Vec<_>>()
    };
    let found = nearest(&centred(made), &centred(wanted), len);
    let own = found
        .iter()
        .enumerate()
        .filter(|(i, near)| near.index == *i);
    own.count() as f64 / found.len().max(1) as f64
}

/// Planes of pixels, `(N, H, W)`, under a normal distribution with a deviation of `sigma` pixels.
pub fn blurred_planes(pixels: &[u8], height: usize, width: usize, sigma: f32) -> Vec<u8> {
    each_plane(pixels, height, width, |plane| imageops::blur(plane, sigma))
}

/// Planes of pixels, `(N, H, W)`, made larger by a whole factor by Catmull and Rom's cubic filter.
pub fn bicubic(pixels: &[u8], height: usize, width: usize, factor: usize) -> Vec<u8> {
    let [rows, columns] = [height, width].map(|side| (side * factor) as u32);
    each_plane(pixels, height, width, |plane| {
        imageops::resize(plane, columns, rows, FilterType::CatmullRom)
    })
}

type Plane = ImageBuffer<Luma<u8>, Vec<u8>>;

fn each_plane(
    pixels: &[u8],
    height: usize,
    width: usize,
    make: impl Fn(&Plane) -> Plane,
) -> Vec<u8> {
    let planes = pixels.chunks_exact(height * width).filter_map(|plane| {
        let plane = Plane::from_raw(width as u32, height as u32, plane.to_vec());
        plane.map(|plane| make(&plane).into_raw())
    });
    planes.flatten().collect()
}

/// The mean squared difference of pixels between images and what so many principal components of the training images
/// make of them (Pearson 1901), in squares of grey levels: what a linear autoencoder could do best. `len` numbers an
/// image.
pub fn by_components(train: &[u8], test: &[u8], len: usize, components: usize) -> f64 {
    let numbers = |pixels: &[u8]| pixels.iter().map(|&p| f32::from(p)).collect::<Vec<_>>();
    let Gaussian { mean, covariance } = Gaussian::of(&numbers(train), len);
    let eigen = DMatrix::from_vec(len, len, covariance).symmetric_eigen();
    let mut order: Vec<usize> = (0..len).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let kept = &order[..components.min(len)];
    let mut sum = 0.0;
    for image in test.chunks_exact(len) {
        let deviations: Vec<f64> = image
            .iter()
            .zip(&mean)
            .map(|(&p, m)| f64::from(p) - m)
            .collect();
        // What is left of a vector is orthogonal to its part in the components.
        let mut left: f64 = deviations.iter().map(|d| d * d).sum();
        for &component in kept {
            let axis = eigen.eigenvectors.column(component);
            let along: f64 = axis.iter().zip(&deviations).map(|(a, d)| a * d).sum();
            left -= along * along;
        }
        sum += left;
    }
    sum / test.len().max(1) as f64
}

/// The side of the window of [`ssim`].
pub const WINDOW: usize = 11;

/// The mean structural similarity of pairs of images (Wang et al. 2004, equation 13, with their constants and their
/// window of 11x11 pixels, normal with a deviation of 1.5), channel by channel, over all places where the window lies
/// inside. Pixels are `(N, H, W)`, a plane a channel; `None` for planes smaller than the window.
pub fn ssim(made: &[u8], wanted: &[u8], height: usize, width: usize) -> Option<f64> {
    const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
    const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);
    if height < WINDOW || width < WINDOW {
        return None;
    }
    let plane = height * width;
    let (mut sum, mut count) = (0.0, 0u64);
    for (a, b) in made.chunks_exact(plane).zip(wanted.chunks_exact(plane)) {
        let numbers = |pixels: &[u8]| pixels.iter().map(|&p| f64::from(p)).collect::<Vec<_>>();
        let (a, b) = (numbers(a), numbers(b));
        let product =
            |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).collect::<Vec<_>>();
        let mean = |x: &[f64]| blurred(x, width);
        let (mean_a, mean_b) = (mean(&a), mean(&b));
        let (aa, bb, ab) = (
            mean(&product(&a, &a)),
            mean(&product(&b, &b)),
            mean(&product(&a, &b)),
        );
        for i in 0..mean_a.len() {
            let (ma, mb) = (mean_a[i], mean_b[i]);
            let (va, vb, cov) = (aa[i] - ma * ma, bb[i] - mb * mb, ab[i] - ma * mb);
            let light = (2.0 * ma * mb + C1) / (ma * ma + mb * mb + C1);
            sum += light * (2.0 * cov + C2) / (va + vb + C2);
            count += 1;
        }
    }
    Some(sum / count as f64)
}

/// The weighed means under the window, wherever it lies inside.
fn blurred(x: &[f64], width: usize) -> Vec<f64> {
    let kernel = window();
    let inside = width - WINDOW + 1;
    let weighed = |values: &mut dyn Iterator<Item = f64>| -> f64 {
        values.zip(&kernel).map(|(v, weight)| v * weight).sum()
    };
    let rows = x.chunks_exact(width);
    let rows = rows.flat_map(|row| row.windows(WINDOW));
    let across: Vec<f64> = rows.map(|row| weighed(&mut row.iter().copied())).collect();
    let places = across.len() - (WINDOW - 1) * inside;
    let down = (0..places).map(|i| weighed(&mut across[i..].iter().step_by(inside).copied()));
    down.collect()
}

/// A normal distribution with a deviation of 1.5 over the window, its sum 1.
fn window() -> [f64; WINDOW] {
    let weights: [f64; WINDOW] = std::array::from_fn(|i| {
        let distance = i as f64 - (WINDOW / 2) as f64;
        (-distance * distance / (2.0 * 1.5 * 1.5)).exp()
    });
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| weight / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_the_closed_forms() {
        // Differences of 3 and 4 in one pair; of 10 and 0 in the other.
        let score = PairScore::new(&[13, 6, 110, 7], &[10, 10, 100, 7], 2);
        assert_eq!(score.l1, (3.5 + 5.0) / 2.0);
        let expected = [12.5f64, 50.0].map(|squared| 48.130_803_608_679_1 - 10.0 * squared.log10());
        assert!((score.psnr - (expected[0] + expected[1]) / 2.0).abs() < 1e-9);
        let same = PairScore::new(&[1, 2], &[1, 2], 2).psnr;
        assert!((same - 58.922_616).abs() < 1e-6, "{same}");
    }

    #[test]
    fn only_shapes_on_white_count() {
        let shape = Shape::new(2, 1, 3);
        // The second place is white in both, the first in one channel of one of them.
        let read = [255, 255, 7, 255, 255, 255];
        let wanted = [255, 255, 255, 250, 255, 255];
        let made = [245, 0, 255, 252, 0, 251];
        let union = union_l1(&read, &made, &wanted, shape).unwrap();
        assert_eq!(union, f64::from(10 + 2 + 4) / 4.0);
        assert_eq!(union_l1(&[255; 6], &made, &[255; 6], shape), None);
        assert_eq!(mean_squared(&[1, 5], &[4, 5]), 4.5);
    }

    #[test]
    fn an_image_finds_its_own() {
        let wanted = [0, 0, 100, 100, 200, 200];
        assert_eq!(retrieval(&wanted, &wanted, 2), 1.0);
        assert_eq!(
            retrieval(&[10, 0, 190, 190, 210, 200], &wanted, 2),
            2.0 / 3.0
        );
    }

    /// What lies in a plane through the mean needs two components; what is beside it is lost.
    #[test]
    fn components_keep_what_lies_along_them() {
        let at = |a: i32, b: i32| [100 + a, 100 + b, 100 + a, 100 - b].map(|v| v as u8);
        let train: Vec<u8> = [(40, 0), (-40, 0), (0, 30), (0, -30), (20, 10), (-20, -10)]
            .into_iter()
            .flat_map(|(a, b)| at(a, b))
            .collect();
        assert!(by_components(&train, &train, 4, 2) < 1e-9);
        // Across both directions: (4, 0, -4, 0).
        let test = [104, 100, 96, 100];
        assert!((by_components(&train, &test, 4, 2) - 32.0 / 4.0).abs() < 1e-9);
        let one = by_components(&train, &at(0, 30), 4, 1);
        assert!(one > 1.0, "{one}");
    }

    #[test]
    fn planes_are_blurred_and_made_larger() {
        let flat = [90; 2 * 4 * 5];
        assert_eq!(blurred_planes(&flat, 4, 5, 1.0), flat);
        assert_eq!(bicubic(&flat, 4, 5, 2), [90; 2 * 8 * 10]);
        let mut point = [0; 49];
        point[24] = 255;
        let blurred = blurred_planes(&point, 7, 7, 1.0);
        // The peak of a normal distribution in two dimensions: 255 / (2 pi).
        assert!(
            (f64::from(blurred[24]) - 40.6).abs() < 2.0,
            "{}",
            blurred[24]
        );
    }

    /// By the definition, window by window.
    #[test]
    fn similarity_is_that_of_the_definition() {
        let (height, width) = (13, 14);
        let pixel = |i: usize, k: usize| ((i * i * 31 + i * k + 17 * k) % 256) as u8;
        let a: Vec<u8> = (0..height * width).map(|i| pixel(i, 3)).collect();
        let b: Vec<u8> = (0..height * width)
            .map(|i| a[i] / 2 + pixel(i, 8) / 4)
            .collect();
        let mut weights = vec![vec![0.0; 11]; 11];
        for (y, row) in weights.iter_mut().enumerate() {
            for (x, weight) in row.iter_mut().enumerate() {
                let (dy, dx) = (y as f64 - 5.0, x as f64 - 5.0);
                *weight = f64::exp(-(dy * dy + dx * dx) / 4.5);
            }
        }
        let all: f64 = weights.iter().flatten().sum();
        let mut sum = 0.0;
        for (top, left) in (0..3).flat_map(|top| (0..4).map(move |left| (top, left))) {
            let mean = |f: &dyn Fn(f64, f64) -> f64| {
                let mut total = 0.0;
                for (y, x) in (0..11).flat_map(|y| (0..11).map(move |x| (y, x))) {
                    let at = (top + y) * width + left + x;
                    total += weights[y][x] / all * f(a[at].into(), b[at].into());
                }
                total
            };
            let (ma, mb) = (mean(&|a, _| a), mean(&|_, b| b));
            let va = mean(&|a, _| (a - ma).powi(2));
            let vb = mean(&|_, b| (b - mb).powi(2));
            let cov = mean(&|a, b| (a - ma) * (b - mb));
            let (c1, c2) = (6.5025, 58.5225);
            sum += (2.0 * ma * mb + c1) * (2.0 * cov + c2)
                / ((ma * ma + mb * mb + c1) * (va + vb + c2));
        }
        let found = ssim(&a, &b, height, width).unwrap();
        assert!(
            (found - sum / 12.0).abs() < 1e-9,
            "{found} against {}",
            sum / 12.0
        );
        assert!((ssim(&a, &a, height, width).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(ssim(&a[..140], &b[..140], 10, 14), None);
    }
}
