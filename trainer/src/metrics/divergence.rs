//! How far one distribution over a few outcomes is from another, in nats.

/// Shares of counts; all 0 where nothing was counted.
pub fn shares(counts: &[u32]) -> Vec<f64> {
    let total: f64 = counts.iter().copied().map(f64::from).sum();
    let share = |&count: &u32| f64::from(count) / total.max(1.0);
    counts.iter().map(share).collect()
}

/// Equal shares of `outcomes`.
pub fn uniform(outcomes: usize) -> Vec<f64> {
    vec![1.0 / outcomes as f64; outcomes]
}

/// The divergence of Kullback & Leibler (1951), `sum p ln(p / q)`: 0 for equal shares, infinite where
/// something happens in `p` that never does in `q`. What never happens in `p` adds nothing.
///
/// Both are shares of the same outcomes that add up to 1.
pub fn kullback_leibler(p: &[f64], q: &[f64]) -> f64 {
    let term = |(&p, &q): (&f64, &f64)| match (p > 0.0, q > 0.0) {
        (false, _) => 0.0,
        (true, false) => f64::INFINITY,
        (true, true) => p * (p / q).ln(),
    };
    // Rounding leaves equal shares a little below 0.
    p.iter().zip(q).map(term).sum::<f64>().max(0.0)
}

/// The Jensen-Shannon divergence (Lin 1991): the mean divergence of both from the middle between them; 0
/// for equal shares, `ln 2` where no outcome is shared, never more.
///
/// Both are shares of the same outcomes that add up to 1.
pub fn jensen_shannon(p: &[f64], q: &[f64]) -> f64 {
    let middle: Vec<f64> = p.iter().zip(q).map(|(p, q)| (p + q) / 2.0).collect();
    let mean = (kullback_leibler(p, &middle) + kullback_leibler(q, &middle)) / 2.0;
    mean.min(std::f64::consts::LN_2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::f64::consts::LN_2;

    fn close(x: f64, y: f64) -> bool {
        (x - y).abs() < 1e-12
    }

    #[test]
    fn counts_become_shares() {
        assert_eq!(shares(&[1, 0, 3]), [0.25, 0.0, 0.75]);
        assert_eq!(shares(&[0, 0]), [0.0, 0.0]);
        assert_eq!(uniform(4), [0.25; 4]);
    }

    #[test]
    fn equal_shares_are_at_no_distance() {
        for p in [vec![1.0], vec![0.5, 0.0, 0.5], vec![0.1, 0.2, 0.7]] {
            assert_eq!(kullback_leibler(&p, &p), 0.0);
            assert_eq!(jensen_shannon(&p, &p), 0.0);
        }
    }

    /// `ln n - H(p)` from `n` equal shares: `ln 4 - ln 2` for a half and a half of four.
    #[test]
    fn from_equal_shares_by_hand() {
        let p = [0.5, 0.5, 0.0, 0.0];
        assert!(close(kullback_leibler(&p, &uniform(4)), LN_2));
        // Over (3/8, 3/8, 1/8, 1/8).
        let js = 0.5 * (0.5f64 / 0.375).ln()
            + 0.5 * (0.5 * (0.25f64 / 0.375).ln() + 0.5 * (0.25f64 / 0.125).ln());
        assert!(close(jensen_shannon(&p, &uniform(4)), js));
    }

    #[test]
    fn what_only_one_of_them_knows() {
        let (p, q) = ([0.5, 0.5], [1.0, 0.0]);
        assert_eq!(kullback_leibler(&p, &q), f64::INFINITY);
        assert!(close(kullback_leibler(&q, &p), LN_2));
        let disjoint = ([0.5, 0.5, 0.0], [0.0, 0.0, 1.0]);
        assert_eq!(kullback_leibler(&disjoint.0, &disjoint.1), f64::INFINITY);
        assert!(close(jensen_shannon(&disjoint.0, &disjoint.1), LN_2));
    }

    proptest! {
        #[test]
        fn divergences_keep_their_bounds(
            counts in prop::collection::vec((0u32..50, 0u32..50), 1..20),
        ) {
            let (p, q): (Vec<u32>, Vec<u32>) = counts.into_iter().unzip();
            prop_assume!(p.iter().sum::<u32>() > 0 && q.iter().sum::<u32>() > 0);
            let (p, q) = (shares(&p), shares(&q));
            let js = jensen_shannon(&p, &q);
            prop_assert!((0.0..=LN_2).contains(&js), "{js}");
            prop_assert!(close(js, jensen_shannon(&q, &p)));
            // By the convexity of the divergence, a quarter of Jeffreys' at most (Lin 1991, theorem 1).
            let jeffreys = kullback_leibler(&p, &q) + kullback_leibler(&q, &p);
            prop_assert!(js <= jeffreys / 4.0 + 1e-12, "{js} {jeffreys}");
        }
    }
}
