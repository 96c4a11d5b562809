//! How well a score tells anomalous pictures from normal ones (Fawcett 2006, "An introduction to ROC analysis").

/// The share of anomalous pictures and the share of normal ones that are above a score, for each score that there is:
/// (false alarms, found), from (0, 0) to (1, 1). Empty where either side has no scores.
pub fn roc(normal: &[u64], anomalous: &[u64]) -> Vec<(f64, f64)> {
    if normal.is_empty() || anomalous.is_empty() {
        return Vec::new();
    }
    let sides = [normal, anomalous];
    let mut all: Vec<(u64, usize)> = sides
        .iter()
        .enumerate()
        .flat_map(|(side, scores)| scores.iter().map(move |&score| (score, side)))
        .collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    let mut above = [0usize; 2];
    let mut points = vec![(0.0, 0.0)];
    for (place, &(score, side)) in all.iter().enumerate() {
        above[side] += 1;
        // Pictures of one score are taken together.
        if all.get(place + 1).is_none_or(|next| next.0 != score) {
            let share = |side: usize| above[side] as f64 / sides[side].len() as f64;
            points.push((share(0), share(1)));
        }
    }
    points
}

/// The area under that curve: the probability that an anomalous picture has a greater score than a normal one, where a
/// tie counts half. `None` where either side has no scores.
pub fn auroc(normal: &[u64], anomalous: &[u64]) -> Option<f64> {
    let points = roc(normal, anomalous);
    let pairs = points.windows(2);
    let area = pairs.map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0);
    (!points.is_empty()).then(|| area.sum())
}

/// The least score that at least the share `quantile`, from 0 to 1, of the scores do not exceed; 0 of none.
pub fn quantile(scores: &[u64], quantile: f64) -> u64 {
    let mut sorted = scores.to_vec();
    sorted.sort_unstable();
    let count = sorted.len() as f64;
    let mut shares = (1u32..)
        .zip(&sorted)
        .map(|(k, score)| (f64::from(k) / count, score));
    let found = shares.find(|&(share, _)| share >= quantile);
    found.map_or(0, |(_, &score)| score)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_the_share_of_pairs_in_order() {
        let mut state = 1u64;
        let mut draw = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        };
        for (least, below) in [(0, 20), (5, 20), (30, 3), (0, 1)] {
            let normal: Vec<u64> = (0..50).map(|_| draw(20)).collect();
            let anomalous: Vec<u64> = (0..70).map(|_| least + draw(below)).collect();
            let pairs = normal
                .iter()
                .flat_map(|n| anomalous.iter().map(move |a| n.cmp(a)));
            let wins = pairs.map(|order| match order {
                std::cmp::Ordering::Less => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Greater => 0.0,
            });
            let expected = wins.sum::<f64>() / (50.0 * 70.0);
            let area = auroc(&normal, &anomalous).unwrap();
            assert!((area - expected).abs() < 1e-12, "{area} against {expected}");
            assert_eq!(roc(&normal, &anomalous).last(), Some(&(1.0, 1.0)));
        }
        assert_eq!(auroc(&[], &[1]), None);
        assert_eq!(auroc(&[1], &[]), None);
    }

    #[test]
    fn a_quantile_is_exceeded_by_the_rest() {
        let scores: Vec<u64> = (1..=100).rev().collect();
        for (share, expected) in [
            (0.99, 99),
            (1.0, 100),
            (0.5, 50),
            (0.001, 1),
            (0.0, 1),
            (0.55, 55),
            (0.07, 7),
        ] {
            assert_eq!(quantile(&scores, share), expected);
        }
        assert_eq!(quantile(&[7, 7, 7], 0.5), 7);
        assert_eq!(quantile(&[], 0.5), 0);
    }
}
