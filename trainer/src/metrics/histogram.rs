//! How often each pixel value occurs: a cheap watch on diversity.

use super::divergence;

/// Shares of the 256 pixel values in a set of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram([f64; 256]);

impl Histogram {
    /// Counts `pixels`; without any, every share is zero.
    pub fn of(pixels: &[u8]) -> Self {
        let mut counts = [0u64; 256];
        for &pixel in pixels {
            counts[usize::from(pixel)] += 1;
        }
        let total = pixels.len().max(1) as f64;
        Self(counts.map(|count| count as f64 / total))
    }

    /// Shannon's entropy over its greatest value, `ln 256`: 0 where all pixels are alike, 1 where all
    /// values are equally frequent.
    pub fn entropy(&self) -> f64 {
        self.0.iter().map(|&p| surprise(p)).sum::<f64>() / 256f64.ln()
    }

    /// The Jensen-Shannon divergence (Lin 1991) in nats: 0 for equal histograms, `ln 2` for disjoint
    /// ones.
    pub fn jensen_shannon(&self, other: &Self) -> f64 {
        divergence::jensen_shannon(&self.0, &other.0)
    }

    /// The divergence of Kullback & Leibler in nats: 0 for equal histograms, infinite where a value
    /// occurs here that does not in the other.
    pub fn kullback_leibler(&self, other: &Self) -> f64 {
        divergence::kullback_leibler(&self.0, &other.0)
    }
}

/// `-p ln p`, 0 by continuity where `p` is 0.
fn surprise(p: f64) -> f64 {
    if p == 0.0 { 0.0 } else { -p * p.ln() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_has_its_closed_forms() {
        let all: Vec<u8> = (0..=255).collect();
        assert!((Histogram::of(&all).entropy() - 1.0).abs() < 1e-12);
        assert_eq!(Histogram::of(&[7; 100]).entropy(), 0.0);
        // Two values equally often: ln 2 / ln 256 = 1/8.
        assert!((Histogram::of(&[0, 255]).entropy() - 0.125).abs() < 1e-12);
        assert_eq!(Histogram::of(&[]).entropy(), 0.0);
    }

    #[test]
    fn divergence_has_its_closed_forms() {
        let [a, b] = [[0u8, 0, 1, 1], [2, 2, 3, 3]].map(|p| Histogram::of(&p));
        assert_eq!(a.jensen_shannon(&a), 0.0);
        assert!((a.jensen_shannon(&b) - 2f64.ln()).abs() < 1e-12);
        // p = (1/2, 1/2), q = (1, 0): ln 2 / 2 over the mixture (3/4, 1/4), by hand.
        let (p, q) = (Histogram::of(&[0, 1]), Histogram::of(&[0]));
        let by_hand = 0.5 * (0.5 * (0.5f64 / 0.75).ln() + 0.5 * (0.5f64 / 0.25).ln())
            + 0.5 * (1.0f64 / 0.75).ln();
        assert!((p.jensen_shannon(&q) - by_hand).abs() < 1e-12);
        assert_eq!(p.jensen_shannon(&q), q.jensen_shannon(&p));
        assert_eq!(p.kullback_leibler(&q), f64::INFINITY);
        assert!((q.kullback_leibler(&p) - 2f64.ln()).abs() < 1e-12);
    }
}
