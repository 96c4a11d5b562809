//! The way from one latent to another.
//!
//! Normal latents of many components all lie near a sphere, and a straight line between two of them passes through its
//! inside, where no latent was in training. So the way is an arc (Shoemake 1985; for latents White 2016).

/// Below this share of its length, what of a vector is not along another is taken for rounding.
const PARALLEL: f64 = 1e-9;

/// Spherical interpolation of `a` and `b`, which have as many components, at `t` from 0 (`a`) to 1 (`b`): the direction
/// turns at an even pace in the plane of the two, and the length goes evenly from one's to the other's. (For equal
/// lengths that is Shoemake's formula.)
///
/// A plane that the two do not give is chosen. For opposite vectors it is that of `a` and the axis on which it has
/// least, the first of several. Parallel vectors need none. Where a vector is 0, and in one dimension, the way is
/// straight.
pub fn slerp(a: &[f64], b: &[f64], t: f64) -> Vec<f64> {
    let straight = || mix(a, b, 1.0 - t, t);
    let (of_a, of_b) = (length(a), length(b));
    if of_a == 0.0 || of_b == 0.0 {
        return straight();
    }
    let first = mix(a, a, 1.0 / of_a, 0.0);
    let along = dot(&first, b);
    let mut across = mix(b, &first, 1.0, -along);
    let mut height = length(&across);
    if height <= PARALLEL * of_b {
        if along > 0.0 || a.len() == 1 {
            return straight();
        }
        across = perpendicular(&first);
        height = 0.0;
    }
    let angle = height.atan2(along) * t;
    let length = (1.0 - t) * of_a + t * of_b;
    let second = 1.0 / self::length(&across);
    mix(
        &first,
        &across,
        length * angle.cos(),
        length * angle.sin() * second,
    )
}

/// [`slerp`] of latents as the engines take them, each component rounded to the nearest and held within ±127.
pub fn between(a: &[i8], b: &[i8], t: f64) -> Vec<i8> {
    let [a, b] = [a, b].map(|latent| latent.iter().copied().map(f64::from).collect::<Vec<_>>());
    let way = slerp(&a, &b, t).into_iter();
    way.map(|q| q.round().clamp(-127.0, 127.0) as i8).collect()
}

/// A vector that is perpendicular to a unit vector of at least two components.
fn perpendicular(unit: &[f64]) -> Vec<f64> {
    let least = unit.iter().map(|x| x.abs()).enumerate();
    let least = least.min_by(|(_, a), (_, b)| a.total_cmp(b));
    let axis = least.map_or(0, |(axis, _)| axis);
    let mut across = mix(unit, unit, -unit[axis], 0.0);
    across[axis] += 1.0;
    across
}

/// `p a + q b`.
fn mix(a: &[f64], b: &[f64], p: f64, q: f64) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| p * a + q * b).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn length(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines;
    use proptest::prelude::*;

    fn near(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9)
    }

    /// Angle of two vectors by the half-angle formula of Kahan, another one than the code's.
    fn angle(a: &[f64], b: &[f64]) -> f64 {
        let (p, q) = (mix(a, a, length(b), 0.0), mix(b, b, length(a), 0.0));
        2.0 * length(&mix(&p, &q, 1.0, -1.0)).atan2(length(&mix(&p, &q, 1.0, 1.0)))
    }

    #[test]
    fn a_quarter_turn_by_hand() {
        let half = 0.5f64.sqrt();
        let there = slerp(&[2.0, 0.0, 0.0], &[0.0, 2.0, 0.0], 0.5);
        assert!(near(&there, &[2.0 * half, 2.0 * half, 0.0]), "{there:?}");
        // A third of the way, 30 degrees; and the length, from 1 to 4, is 2.
        let there = slerp(&[1.0, 0.0], &[0.0, 4.0], 1.0 / 3.0);
        assert!(near(&there, &[3f64.sqrt(), 1.0]), "{there:?}");
    }

    #[test]
    fn a_half_turn_goes_through_a_plane_of_its_own() {
        let (a, b) = ([0.0, 3.0, -4.0], [0.0, -3.0, 4.0]);
        let middle = slerp(&a, &b, 0.5);
        assert!(near(&middle, &[5.0, 0.0, 0.0]), "{middle:?}");
        assert!(near(&slerp(&a, &b, 0.0), &a) && near(&slerp(&a, &b, 1.0), &b));
        assert!((angle(&a, &slerp(&a, &b, 0.25)) - std::f64::consts::FRAC_PI_4).abs() < 1e-9);
    }

    #[test]
    fn what_has_no_arc_is_straight() {
        assert!(near(&slerp(&[1.0, 2.0], &[1.0, 2.0], 0.3), &[1.0, 2.0]));
        assert!(near(&slerp(&[1.0, 2.0], &[3.0, 6.0], 0.5), &[2.0, 4.0]));
        assert!(near(&slerp(&[0.0, 0.0], &[4.0, 8.0], 0.25), &[1.0, 2.0]));
        assert!(near(&slerp(&[4.0, 8.0], &[0.0, 0.0], 0.25), &[3.0, 6.0]));
        assert!(near(&slerp(&[0.0, 0.0], &[0.0, 0.0], 0.5), &[0.0, 0.0]));
        assert!(near(&slerp(&[3.0], &[-1.0], 0.5), &[1.0]));
        assert!(slerp(&[], &[], 0.5).is_empty());
    }

    proptest! {
        /// The angle from `a` and the length grow evenly, and the way stays in the plane of the two.
        #[test]
        fn the_pace_is_even(
            a in prop::collection::vec(-4f64..4.0, 8),
            b in prop::collection::vec(-4f64..4.0, 8),
            t in 0f64..=1.0,
        ) {
            prop_assume!(length(&a) > 0.1 && length(&b) > 0.1);
            let whole = angle(&a, &b);
            prop_assume!(whole > 0.01 && whole < 3.13);
            let there = slerp(&a, &b, t);
            prop_assert!((angle(&a, &there) - t * whole).abs() < 1e-6);
            prop_assert!((angle(&there, &b) - (1.0 - t) * whole).abs() < 1e-6);
            let expected = (1.0 - t) * length(&a) + t * length(&b);
            prop_assert!((length(&there) - expected).abs() < 1e-9);
        }

        /// Shoemake's own formula, for equal lengths.
        #[test]
        fn equal_lengths_give_the_formula_of_shoemake(
            a in prop::collection::vec(-4f64..4.0, 8),
            b in prop::collection::vec(-4f64..4.0, 8),
            t in 0f64..=1.0,
        ) {
            prop_assume!(length(&a) > 0.1 && length(&b) > 0.1);
            let b = mix(&b, &b, length(&a) / length(&b), 0.0);
            let whole = angle(&a, &b);
            prop_assume!(whole > 0.01 && whole < 3.13);
            let part = |t: f64| (t * whole).sin() / whole.sin();
            let expected = mix(&a, &b, part(1.0 - t), part(t));
            let there = slerp(&a, &b, t);
            let apart = length(&mix(&there, &expected, 1.0, -1.0));
            prop_assert!(apart < 1e-6, "{there:?} {expected:?}");
        }

        /// The ends are the latents themselves, whatever they are.
        #[test]
        fn the_ends_are_exact(
            a in prop::collection::vec(-127i8..=127, 1..9),
            b in prop::collection::vec(-127i8..=127, 9),
        ) {
            let b = &b[..a.len()];
            prop_assert_eq!(&between(&a, b, 0.0), &a);
            prop_assert_eq!(&between(&a, b, 1.0)[..], b);
            let opposite: Vec<i8> = a.iter().map(|q| -q).collect();
            prop_assert_eq!(&between(&a, &opposite, 1.0), &opposite);
        }
    }

    /// Rounding moves a component by half a quantum at most.
    #[test]
    fn real_latents_stay_near_the_sphere() {
        let latents = engines::latents(1, 2, 64);
        let (a, b) = latents.split_at(64);
        let floats = |q: &[i8]| q.iter().copied().map(f64::from).collect::<Vec<_>>();
        for i in 0..=10 {
            let t = f64::from(i) / 10.0;
            let there = floats(&between(a, b, t));
            let exact = slerp(&floats(a), &floats(b), t);
            assert!(there.iter().zip(&exact).all(|(q, x)| (q - x).abs() <= 0.5));
        }
    }
}
