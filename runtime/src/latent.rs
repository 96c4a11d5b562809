//! Latents: the random numbers an image starts from.
//!
//! A latent component is an `i8` `q` that means `q / 32` ([`SCALE`]), drawn from the discretized
//! standard normal distribution
//!
//! ```text
//! P(q) = Phi((q + 0.5) / 32) - Phi((q - 0.5) / 32),   q in -127..=127, the tails counted with +-127
//! ```
//!
//! The trainer draws its latents with these same functions and every engine is fed exactly
//! `q / 32`, so a seed means the same image on every machine and in every engine: the latents of
//! the image with seed `s` are the first components drawn from [`Rng::new`]`(s)`.

/// What one unit of a latent component is worth: `1 / 32`, exact in binary floating point.
pub const SCALE: f32 = 1.0 / 32.0;

/// The generator xoshiro128++ 1.0 (Blackman & Vigna, *Scrambled Linear Pseudorandom Number
/// Generators*, 2019): 128 bits of state, 32 bits a call, 32-bit arithmetic only.
///
/// Not for cryptography.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng {
    state: [u32; 4],
}

impl Rng {
    /// A generator seeded from `seed` through two outputs of SplitMix64 (Steele, Lea & Flood,
    /// 2014), low halves first. Those two are never both zero, so every seed is a good one.
    pub const fn new(seed: u64) -> Self {
        let mut halves = [0; 4];
        let mut next = seed;
        let mut i = 0;
        while i < halves.len() {
            next = next.wrapping_add(GOLDEN_GAMMA);
            let mixed = split_mix(next);
            halves[i] = mixed as u32;
            halves[i + 1] = (mixed >> 32) as u32;
            i += 2;
        }
        Self { state: halves }
    }

    /// The generator that continues from a saved [`state`](Self::state); `None` for the all-zero
    /// state, which the generator never reaches and would never leave.
    pub const fn from_state(state: [u32; 4]) -> Option<Self> {
        match state {
            [0, 0, 0, 0] => None,
            _ => Some(Self { state }),
        }
    }

    /// The whole state, to be saved in a checkpoint.
    pub const fn state(&self) -> [u32; 4] {
        self.state
    }

    /// The next 32 bits, uniform.
    pub const fn next_u32(&mut self) -> u32 {
        let [mut s0, mut s1, mut s2, mut s3] = self.state;
        let result = s0.wrapping_add(s3).rotate_left(7).wrapping_add(s0);
        let shifted = s1 << 9;
        s2 ^= s0;
        s3 ^= s1;
        s1 ^= s2;
        s0 ^= s3;
        s2 ^= shifted;
        s3 = s3.rotate_left(11);
        self.state = [s0, s1, s2, s3];
        result
    }

    /// A number uniform in `0..n` without bias (Lemire, *Fast Random Integer Generation in an
    /// Interval*, 2019). `n = 0` is taken as 1, so the result is then 0.
    pub const fn below(&mut self, n: u32) -> u32 {
        let n = if n == 0 { 1 } else { n };
        let mut product = self.next_u32() as u64 * n as u64;
        if (product as u32) < n {
            let threshold = n.wrapping_neg() % n;
            while (product as u32) < threshold {
                product = self.next_u32() as u64 * n as u64;
            }
        }
        (product >> 32) as u32
    }
}

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's output function of an already advanced state.
const fn split_mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One latent component in `-127..=127`, from exactly one [`Rng::next_u32`].
///
/// Walker's alias method over the magnitudes: bits 0 to 6 choose a column of the table, bit 7 the
/// sign, and bits 8 to 31 decide between the column and its alias.
pub const fn draw(rng: &mut Rng) -> i8 {
    let bits = rng.next_u32();
    let column = bits & 0x7f;
    let entry = ALIAS[column as usize];
    let magnitude = if bits >> 8 < entry >> 8 {
        column
    } else {
        entry & 0x7f
    } as i8;
    if bits & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// Fills `latents` with independent components in `-127..=127`, in order, one [`draw`] each.
pub fn fill(rng: &mut Rng, latents: &mut [i8]) {
    for latent in latents {
        *latent = draw(rng);
    }
}

/// Pulls latents towards the mean of all, which is 0: each component times `psi / 256`, rounded to the nearest, halves
/// away from 0 (the truncation of Karras et al. 2019, section B, of the latent itself). Images of a smaller `psi` are
/// nearer to the average one: fewer poor ones, less variety. 256 and more leave the latents as they are.
///
/// ```
/// use pocketgan::{Rng, latent};
///
/// let mut latents = [0; 32];
/// latent::fill(&mut Rng::new(7), &mut latents);
/// latent::truncate(&mut latents, 179); // 0.7
/// ```
pub const fn truncate(latents: &mut [i8], psi: u16) {
    let psi = if psi < 256 { psi as i32 } else { 256 };
    let mut left = latents;
    while let Some((latent, rest)) = left.split_first_mut() {
        let product = *latent as i32 * psi;
        // Division rounds towards 0.
        let half = if product < 0 { -128 } else { 128 };
        *latent = ((product + half) / 256) as i8;
        left = rest;
    }
}

/// The alias table of the magnitudes 0 to 127 (Walker 1977, built by Vose's method): the threshold
/// out of 2^24 in bits 8 to 31, the alias in bits 0 to 7. A column that is wholly its own has
/// itself for an alias. The probabilities are the exact ones rounded to multiples of 2^-31.
#[rustfmt::skip]
const ALIAS: [u32; 128] = [
    0xffffff00, 0xea7b7a00, 0xaf3b6101, 0x7b674002, 0xbae0f503, 0xa02afa04, 0xb5c7d105, 0xf5869c06,
    0x80c12807, 0xfcfccb08, 0xb0bc2109, 0x7499660a, 0x4819150b, 0x2ad9b70c, 0x1c91640d, 0x1d0b320e,
    0x2c249f0f, 0x49cb0210, 0x75f91111, 0xb0b48012, 0xfa0bc413, 0x55d4f414, 0xbbf43e15, 0x33d9a816,
    0xb798c417, 0x4ca84818, 0xeebc7a19, 0xa1cd9f1a, 0x640aa31b, 0x35988f1c, 0x16943c1d, 0x0712691e,
    0x071fe41f, 0x16c1b120, 0x35f53c21, 0x64b09322, 0xa2e2a423, 0xf0737d24, 0x4db77325, 0xb996e126,
    0x34ce2027, 0xbe558228, 0x56c3df29, 0xfd1fea2a, 0xb1df402b, 0x74653c2c, 0x446b3a2d, 0x21a6fd2e,
    0x0bcb0d2f, 0xfcfedc00, 0xf10ec000, 0xe5757500, 0xda347700, 0xcf4cec00, 0xc4bfae01, 0xba8d4601,
    0xb0b5f501, 0xa739b901, 0x9e184901, 0x95512201, 0x8ce38302, 0x84ce7602, 0x7d10d302, 0x75a94302,
    0x6e964503, 0x67d63103, 0x61673c03, 0x5b477e03, 0x5574f104, 0x4fed7b04, 0x4aaeec04, 0x45b70505,
    0x41037805, 0x3c91ef05, 0x38600d06, 0x346b6d06, 0x30b1ad06, 0x2d306907, 0x29e53f07, 0x26cdd608,
    0x23e7d708, 0x2130f808, 0x1ea6f509, 0x1c479a09, 0x1a10bc0a, 0x1800400a, 0x16141a0b, 0x144a4d0b,
    0x12a0eb0c, 0x11161a0c, 0x0fa80e0d, 0x0e550e0d, 0x0d1b730e, 0x0bf9a80e, 0x0aee270f, 0x09f7810f,
    0x09145210, 0x08434d10, 0x07833311, 0x06d2d611, 0x06311912, 0x059cef12, 0x05155813, 0x04996613,
    0x04283814, 0x03c0fb15, 0x0362e915, 0x030d4916, 0x02bf6e17, 0x0278b717, 0x02388e18, 0x01fe6619,
    0x01c9bf19, 0x019a201a, 0x016f191b, 0x0148441c, 0x0125411d, 0x0105b91e, 0x00e95a1f, 0x00cfda20,
    0x00b8f621, 0x00a46e22, 0x00920823, 0x00819224, 0x0072d926, 0x0065b428, 0x0059f92a, 0x02871330,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Phi(-x), from libm's erfc in f64.
    fn upper_tail(x: f64) -> f64 {
        0.5 * libm::erfc(x / core::f64::consts::SQRT_2)
    }

    fn magnitude_probability(q: usize) -> f64 {
        let edge = |k: f64| upper_tail(k / 32.0);
        match q {
            0 => edge(-0.5) - edge(0.5),
            127 => 2.0 * edge(126.5),
            _ => 2.0 * (edge(q as f64 - 0.5) - edge(q as f64 + 0.5)),
        }
    }

    #[test]
    fn the_table_holds_the_discretized_normal() {
        let mut weights = [0u32; 128];
        for (column, entry) in ALIAS.iter().enumerate() {
            weights[column] += entry >> 8;
            weights[(entry & 0xff) as usize] += (1 << 24) - (entry >> 8);
        }
        assert_eq!(weights.iter().map(|&w| u64::from(w)).sum::<u64>(), 1 << 31);
        for (q, &weight) in weights.iter().enumerate() {
            let implied = f64::from(weight) / f64::from(1u32 << 31);
            let error = (implied - magnitude_probability(q)).abs();
            assert!(error < 1e-9, "magnitude {q}: off by {error}");
        }
    }

    /// Section 5 of the format, the page itself.
    #[test]
    fn the_table_is_the_formats() {
        let page = include_str!("../../docs/blob-format.md");
        let (_, section) = page.split_once("## 5. ").expect("a section");
        let table = section.split("```").nth(1).expect("a table");
        let words = table.split_whitespace();
        let words = words.map(|word| u32::from_str_radix(word, 16).expect("hexadecimal"));
        assert!(words.eq(ALIAS));
    }

    #[test]
    fn draws_have_the_moments_of_a_standard_normal() {
        let mut rng = Rng::new(1);
        let n = 1 << 20;
        let (mut sum, mut squares, mut fourths) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let x = f64::from(f32::from(draw(&mut rng)) * SCALE);
            sum += x;
            squares += x * x;
            fourths += x * x * x * x;
        }
        let n = f64::from(n);
        assert!((sum / n).abs() < 0.005);
        assert!((squares / n - 1.0).abs() < 0.01);
        assert!((fourths / n - 3.0).abs() < 0.05);
    }

    #[test]
    fn truncated_latents_are_the_rounded_products() {
        let all: [i8; 256] = core::array::from_fn(|i| i as u8 as i8);
        for psi in [0, 1, 128, 179, 255, 256, 257, u16::MAX] {
            let mut latents = all;
            truncate(&mut latents, psi);
            for (q, truncated) in all.into_iter().zip(latents) {
                // `round` takes halves away from 0; the products are exact.
                let expected = (f64::from(q) * f64::from(psi.min(256)) / 256.0).round();
                assert_eq!(f64::from(truncated), expected, "{q} times {psi}");
            }
        }
    }

    #[test]
    fn the_generator_matches_the_published_sequences() {
        // The first outputs of the authors' C code from the state 1, 2, 3, 4.
        let mut rng = Rng::from_state([1, 2, 3, 4]).expect("not all zero");
        let published = [641, 1573767, 3222811527, 3517856514, 836907274, 4247214768];
        assert_eq!(published.map(|_| rng.next_u32()), published);
        // SplitMix64 from 1477776061723855037.
        let rng = Rng::new(1477776061723855037);
        let [a, b, c, d] = rng.state().map(u64::from);
        assert_eq!(a | b << 32, 1985237415132408290);
        assert_eq!(c | d << 32, 2979275885539914483);
    }

    #[test]
    fn a_saved_state_continues_the_sequence() {
        let mut rng = Rng::new(7);
        rng.next_u32();
        let mut resumed = Rng::from_state(rng.state()).expect("never all zero");
        assert_eq!(resumed.next_u32(), rng.next_u32());
        assert_eq!(Rng::from_state([0; 4]), None);
    }

    #[test]
    fn below_is_uniform_and_in_range() {
        let mut rng = Rng::new(3);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[rng.below(7) as usize] += 1;
        }
        assert!(
            counts.iter().all(|&c| (9_600..10_400).contains(&c)),
            "{counts:?}"
        );
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
        // With n just over half the range a biased method would return the lower half too often.
        let n = 3 << 30;
        let low = (0..30_000).filter(|_| rng.below(n) < n / 3).count();
        assert!((9_600..10_400).contains(&low), "{low}");
    }
}
