//! Precision and recall, density and coverage: which of the images lie where the others do.

use super::neighbours::{Row, scan, squared_radii};

/// How two sets of images cover each other in the eyes of features. A set's *balls* are those around its
/// images that reach to the `k`th nearest of the others in the set, the rim included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Manifolds {
    /// Share of the generated images that lie in a ball of the real ones (Kynkäänniemi et al. 2019,
    /// equation 2): how many look real.
    pub precision: f64,
    /// Share of the real images that lie in a ball of the generated ones (as there): how much of the
    /// data is made.
    pub recall: f64,
    /// Balls of the real images that a generated one lies in, on average, over `k` (Naeem et al. 2020,
    /// equation 2): precision that one outlier among the real images cannot raise. May exceed 1.
    pub density: f64,
    /// Share of the real images with a generated one in their own ball (as there, equation 3).
    pub coverage: f64,
}

/// Compares generated with real images by their features, `(N, size)` each; `None` where either has `k`
/// images or fewer, for then a ball has no rim, and where `k` is 0.
pub fn compare(real: &[f32], generated: &[f32], size: usize, k: usize) -> Option<Manifolds> {
    let [reals, fakes] = [real, generated].map(|points| points.len() / size.max(1));
    if k == 0 || reals.min(fakes) <= k {
        return None;
    }
    let (real_balls, fake_balls) = (
        squared_radii(real, size, k),
        squared_radii(generated, size, k),
    );
    // Of each generated image: in how many of the real balls it lies.
    let mut within = vec![0usize; fakes];
    scan(
        generated,
        real,
        size,
        &mut within,
        |within, row: Row<'_, f64>| {
            let balls = row.squared.iter().zip(&real_balls[row.first..]);
            *within += balls.filter(|(distance, ball)| distance <= ball).count();
        },
    );
    // Of each real image: whether a generated ball holds it, and whether its own holds a generated image.
    let mut held = vec![(false, false); reals];
    scan(
        real,
        generated,
        size,
        &mut held,
        |held, row: Row<'_, f64>| {
            let own = real_balls[row.query];
            for (distance, ball) in row.squared.iter().zip(&fake_balls[row.first..]) {
                held.0 |= distance <= ball;
                held.1 |= *distance <= own;
            }
        },
    );
    let share = |count: usize, of: usize| count as f64 / of as f64;
    Some(Manifolds {
        precision: share(within.iter().filter(|&&n| n > 0).count(), fakes),
        recall: share(held.iter().filter(|held| held.0).count(), reals),
        density: share(within.iter().sum(), k * fakes),
        coverage: share(held.iter().filter(|held| held.1).count(), reals),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points of a lattice, all exact in f32 but for the last rounding.
    fn points(count: i64, [a, b]: [i64; 2], [scale, shift]: [f64; 2]) -> Vec<f32> {
        (0..count * 3)
            .map(|n| {
                let (i, j) = (n / 3, n % 3);
                let place = (i * a + j * b + i * j * 13 + i * i * 7) % 97;
                (place as f64 / 97.0 * scale + shift) as f32
            })
            .collect()
    }

    /// What the authors' own package gives (`prdc` 0.2, Naeem et al.) for the same points; `torch-fidelity`
    /// 0.4.0 gives the same precision and recall.
    #[test]
    fn published_implementations_agree() {
        let real = points(60, [37, 101], [1.0, 0.0]);
        let generated = points(50, [29, 53], [0.7, 0.25]);
        let published = [
            (1, [0.28, 0.45, 0.4, 0.2]),
            (3, [0.96, 0.7333333333333333, 0.8533333333333333, 0.75]),
            (5, [1.0, 0.9166666666666666, 1.18, 0.9]),
        ];
        for (k, expected) in published {
            let m = compare(&real, &generated, 3, k).unwrap();
            let ours = [m.precision, m.recall, m.density, m.coverage];
            for (ours, expected) in ours.into_iter().zip(expected) {
                assert!((ours - expected).abs() < 1e-12, "k = {k}: {m:?}");
            }
        }
    }

    /// On a line, `k` = 1: real 0, 1, 3, 7 have the radii 1, 1, 2, 4; generated 4, 5 have 1 and 1.
    #[test]
    fn a_line_by_hand() {
        let m = compare(&[0.0, 1.0, 3.0, 7.0], &[4.0, 5.0], 1, 1).unwrap();
        // 4 and 5 lie within 2 of 3 and within 4 of 7.
        assert_eq!((m.precision, m.density), (1.0, 2.0));
        // Of the real ones, only 3 is within 1 of a generated one.
        assert_eq!(m.recall, 0.25);
        assert_eq!(m.coverage, 0.5);
    }

    #[test]
    fn the_same_images_cover_themselves_and_others_nothing() {
        let real = points(60, [37, 101], [1.0, 0.0]);
        let same = compare(&real, &real, 3, 5).unwrap();
        assert_eq!(
            (same.precision, same.recall, same.coverage),
            (1.0, 1.0, 1.0)
        );
        let far: Vec<f32> = real.iter().map(|x| x + 100.0).collect();
        let none = compare(&real, &far, 3, 5).unwrap();
        let all = [none.precision, none.recall, none.density, none.coverage];
        assert_eq!(all, [0.0; 4]);
    }

    /// A generator that has collapsed onto one real image is precise, and covers what is around that.
    #[test]
    fn a_collapsed_generator_is_seen() {
        let real = points(60, [37, 101], [1.0, 0.0]);
        let collapsed = real[30..33].repeat(50);
        let m = compare(&real, &collapsed, 3, 5).unwrap();
        assert_eq!(m.precision, 1.0);
        assert!(m.recall < 0.05 && m.coverage < 0.5, "{m:?}");
    }

    #[test]
    fn too_few_images_have_no_manifold() {
        assert_eq!(compare(&[0.0, 1.0, 2.0], &[0.0, 1.0], 1, 2), None);
        assert_eq!(compare(&[0.0], &[], 1, 1), None);
        assert_eq!(compare(&[0.0, 1.0], &[0.0, 1.0], 1, 0), None);
    }
}
