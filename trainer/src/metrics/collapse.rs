//! Signs of mode collapse: a generator that makes the same few images for every latent.
//!
//! Four figures, each blind to what another sees. The *pixel entropy* falls where images lose their greys. The distance
//! to the *nearest generated* image falls where images are alike, the distance to the *nearest training* image where
//! they are copies, and the *class coverage* where whole classes are missing.

use super::Histogram;
use rayon::prelude::*;
use std::fmt;

/// Training images that generated ones are compared with, at most.
pub const COMPARED: usize = 1024;
/// Generated images that are compared with each other.
pub const AT_ONCE: usize = 64;
/// Pixels after which a comparison may end early.
const STRIDE: usize = 128;

/// Training images, and what generated ones have to be held against: the figures that the training images have
/// themselves.
pub struct Reference {
    /// `(N, C, H, W)`.
    pixels: Vec<u8>,
    /// Numbers of an image.
    len: usize,
    entropy: f64,
    /// Mean distance to the nearest other image of the same [`AT_ONCE`].
    among: f64,
    /// Mean distance to the nearest other image of all.
    within: f64,
}

/// The figures of a set of generated images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Diversity {
    /// Normalized entropy of the pixel values, from 0 to 1.
    pub entropy: f64,
    /// Mean distance of an image to the nearest other one of the set, over the same figure of training images: 0 where
    /// each has a twin, about 1 where they are as varied as training images. `None` where that figure is 0.
    pub nearest_generated: Option<f64>,
    /// Mean distance of an image to the nearest of the training images compared with, over the mean distance
    /// of one of those to the nearest other: 0 for copies, about 1 for images that might be further ones of the data.
    /// `None` where that figure is 0.
    pub nearest_training: Option<f64>,
}

impl Reference {
    /// For images of `len` numbers, pixels `(N, C, H, W)` with N at most [`COMPARED`].
    ///
    /// The distance of two images is the root of the mean square of the differences of their pixels.
    pub fn new(pixels: Vec<u8>, len: usize) -> Self {
        let mut reference = Self {
            entropy: Histogram::of(&pixels).entropy(),
            pixels,
            len: len.max(1),
            among: 0.0,
            within: 0.0,
        };
        let groups = reference.pixels.chunks(AT_ONCE * reference.len);
        // A rest of a group would be more scattered than a whole one.
        let whole = groups
            .clone()
            .filter(|group| group.len() == AT_ONCE * reference.len);
        let groups: Vec<&[u8]> = if reference.count() < AT_ONCE {
            groups.collect()
        } else {
            whole.collect()
        };
        let among = groups.iter().map(|group| reference.spread(group));
        reference.among = among.sum::<f64>() / groups.len().max(1) as f64;
        let probes = (0..reference.count()).step_by((reference.count() / AT_ONCE).max(1));
        let probes: Vec<usize> = probes.collect();
        let len = reference.len;
        let nearest = probes.par_iter().map(|&i| {
            let image = &reference.pixels[i * len..][..len];
            nearest(image, others(&reference.pixels, len, i))
        });
        reference.within = mean(&nearest.collect::<Vec<_>>());
        reference
    }

    /// How many training images there are.
    fn count(&self) -> usize {
        self.pixels.len() / self.len
    }

    /// Normalized entropy of the training images' pixel values.
    pub fn entropy(&self) -> f64 {
        self.entropy
    }

    /// The figures of generated images, pixels `(N, C, H, W)`. The distances are those of the first [`AT_ONCE`], or of
    /// as many as there are training images. All are rounded to six decimals, so that a figure that is read back from a
    /// log is the one that was compared with the limits. The bits do not depend on the number of threads.
    pub fn diversity(&self, pixels: &[u8]) -> Diversity {
        let count = AT_ONCE.min(self.count()).min(pixels.len() / self.len);
        let compared = &pixels[..count * self.len];
        let images = compared.par_chunks_exact(self.len);
        let training = images.map(|image| nearest(image, self.pixels.chunks_exact(self.len)));
        let training = mean(&training.collect::<Vec<_>>());
        Diversity {
            entropy: rounded(Histogram::of(pixels).entropy()),
            nearest_generated: if count > 1 {
                share(self.spread(compared), self.among)
            } else {
                None
            },
            nearest_training: share(training, self.within),
        }
    }

    /// Mean distance of an image to the nearest other one.
    fn spread(&self, pixels: &[u8]) -> f64 {
        let images = pixels.par_chunks_exact(self.len).enumerate();
        let nearest = images.map(|(i, image)| nearest(image, others(pixels, self.len, i)));
        mean(&nearest.collect::<Vec<_>>())
    }
}

/// All images but one.
fn others(pixels: &[u8], len: usize, but: usize) -> impl Iterator<Item = &[u8]> {
    let images = pixels.chunks_exact(len).enumerate();
    images.filter_map(move |(i, image)| (i != but).then_some(image))
}

/// The distance to the nearest of some images, in units of a pixel's range; 0 where there is none.
fn nearest<'a>(image: &[u8], others: impl Iterator<Item = &'a [u8]>) -> f64 {
    let mut least = None;
    for other in others {
        least = closer(image, other, least).or(least);
    }
    (least.unwrap_or(0) as f64 / image.len() as f64).sqrt() / 255.0
}

/// The sum of squared differences, if it is below `least`.
fn closer(a: &[u8], b: &[u8], least: Option<u64>) -> Option<u64> {
    let mut sum = 0u64;
    for (a, b) in a.chunks(STRIDE).zip(b.chunks(STRIDE)) {
        let squares = a.iter().zip(b).map(|(&a, &b)| {
            let difference = i32::from(i16::from(a) - i16::from(b));
            difference * difference
        });
        sum += squares.sum::<i32>() as u64;
        if least.is_some_and(|least| sum >= least) {
            return None;
        }
    }
    Some(sum)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn share(value: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| rounded(value / whole))
}

fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// The share of the classes that are seen in a set of images: those with at least a tenth of the images that they would
/// have if all were equally frequent. A class with fewer may be there by the classifier's errors alone.
pub fn class_coverage(counts: &[u32]) -> f64 {
    let total: u64 = counts.iter().copied().map(u64::from).sum();
    let seen = |&&n: &&u32| n > 0 && u64::from(n) * 10 * counts.len() as u64 >= total;
    counts.iter().filter(seen).count() as f64 / counts.len().max(1) as f64
}

/// When figures speak of collapse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Steps at a run's beginning that are not judged: every generator begins with one grey for all, or with noise.
    pub warm_up: u32,
    /// Steps after which a generator is judged whose figures have never been well.
    pub patience: u32,
    /// Lines of the log that the mean is taken of.
    pub window: usize,
    /// The pixel entropy is low below this,
    pub entropy: f64,
    /// and below this share of the training images' own, whichever is less: pictures with much black and
    /// white have little.
    pub entropy_share: f64,
    /// [`Diversity::nearest_generated`] is low below this.
    pub nearest_generated: f64,
    /// [`Diversity::nearest_training`] is low below this.
    pub nearest_training: f64,
    /// The class coverage is low below this.
    pub class_coverage: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            warm_up: 1000,
            patience: 6000,
            window: 4,
            entropy: 0.6,
            entropy_share: 0.7,
            nearest_generated: 0.05,
            nearest_training: 0.05,
            class_coverage: 1.0 / 3.0,
        }
    }
}

/// A figure that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    Entropy,
    NearestGenerated,
    NearestTraining,
    ClassCoverage,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Entropy => "pixel entropy",
            Self::NearestGenerated => "distance to the nearest generated image",
            Self::NearestTraining => "distance to the nearest training image",
            Self::ClassCoverage => "share of the classes that are seen",
        })
    }
}

/// A figure that is too low.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sign {
    pub figure: Figure,
    pub value: f64,
    /// What it is below.
    pub limit: f64,
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            figure,
            value,
            limit,
        } = self;
        write!(f, "{figure} {value:.3}, below {limit:.3}")
    }
}

impl Limits {
    /// What figures must reach to be clearly healthy: a quarter more, so that one near its limit is not now one and now
    /// the other.
    pub fn clear(self) -> Self {
        const MORE: f64 = 1.25;
        Self {
            entropy: MORE * self.entropy,
            entropy_share: MORE * self.entropy_share,
            nearest_generated: MORE * self.nearest_generated,
            nearest_training: MORE * self.nearest_training,
            class_coverage: MORE * self.class_coverage,
            ..self
        }
    }

    /// What speaks of collapse in the figures of images; `own` is the entropy of the training images.
    pub fn judge(&self, figures: &Diversity, own: f64) -> Vec<Sign> {
        let entropy = self.entropy.min(self.entropy_share * own);
        let judged = [
            low(Figure::Entropy, Some(figures.entropy), entropy),
            low(
                Figure::NearestGenerated,
                figures.nearest_generated,
                self.nearest_generated,
            ),
            low(
                Figure::NearestTraining,
                figures.nearest_training,
                self.nearest_training,
            ),
        ];
        judged.into_iter().flatten().collect()
    }

    /// What speaks of collapse in the numbers of images of each class.
    pub fn judge_classes(&self, counts: &[u32]) -> Option<Sign> {
        let coverage = class_coverage(counts);
        low(Figure::ClassCoverage, Some(coverage), self.class_coverage)
    }
}

fn low(figure: Figure, value: Option<f64>, limit: f64) -> Option<Sign> {
    let value = value.filter(|&value| value < limit)?;
    Some(Sign {
        figure,
        value,
        limit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Stream};
    use proptest::prelude::*;

    /// Noise: images of 16 pixels.
    fn noise(count: usize, stream: Stream) -> Vec<u8> {
        let mut rng = Rng::new(1, stream);
        (0..count * 16)
            .map(|_| (256.0 * rng.uniform()) as u8)
            .collect()
    }

    fn near(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a - b).abs() < 1e-6)
    }

    /// Four training images of two pixels at the corners of a rectangle of 30 by 40: the nearest other is at 30,
    /// which is a distance of `sqrt(900 / 2) / 255`.
    #[test]
    fn distances_by_hand() {
        let reference = Reference::new(vec![0, 0, 30, 0, 0, 40, 30, 40], 2);
        // Two at the same corner, one 10 beside another, one in the middle, 25 from every corner and 18 from the third.
        let generated = [0, 0, 0, 0, 30, 10, 15, 20];
        let figures = reference.diversity(&generated);
        let third = 325f64.sqrt();
        assert!(
            near(figures.nearest_generated, 2.0 * third / 4.0 / 30.0),
            "{figures:?}"
        );
        assert!(
            near(figures.nearest_training, (10.0 + 25.0) / 4.0 / 30.0),
            "{figures:?}"
        );
        // The pixel values 0 (four times), 30, 10, 15, 20.
        let entropy = (0.5 * 2f64.ln() + 0.5 * 8f64.ln()) / 256f64.ln();
        assert!(near(Some(figures.entropy), entropy), "{figures:?}");
    }

    #[test]
    fn further_images_of_the_same_kind_are_like_the_data() {
        let reference = Reference::new(noise(COMPARED, Stream::Latents), 16);
        let figures = reference.diversity(&noise(AT_ONCE, Stream::Initialization));
        let (generated, training) = (figures.nearest_generated, figures.nearest_training);
        assert!((generated.unwrap() - 1.0).abs() < 0.1, "{figures:?}");
        assert!((training.unwrap() - 1.0).abs() < 0.1, "{figures:?}");
        assert!(
            Limits::default()
                .judge(&figures, reference.entropy())
                .is_empty()
        );
    }

    /// Fewer training images than are generated at once, and more by a rest.
    #[test]
    fn any_number_of_training_images_will_do() {
        for count in [2, 63, 64, 65, 100, 200] {
            let reference = Reference::new(noise(count, Stream::Latents), 16);
            let figures = reference.diversity(&noise(AT_ONCE, Stream::Initialization));
            let generated = figures.nearest_generated.unwrap();
            assert!((0.6..1.6).contains(&generated), "{count}: {figures:?}");
        }
        for count in [0, 1] {
            let reference = Reference::new(noise(count, Stream::Latents), 16);
            let figures = reference.diversity(&noise(AT_ONCE, Stream::Initialization));
            assert_eq!(
                (figures.nearest_generated, figures.nearest_training),
                (None, None)
            );
        }
    }

    /// Data that are all alike have nothing to be collapsed from.
    #[test]
    fn alike_data_are_no_measure() {
        let reference = Reference::new(vec![7; 100 * 16], 16);
        let figures = reference.diversity(&[7; AT_ONCE * 16]);
        assert_eq!(
            (figures.nearest_generated, figures.nearest_training),
            (None, None)
        );
        assert!(
            Limits::default()
                .judge(&figures, reference.entropy())
                .is_empty()
        );
    }

    #[test]
    fn a_log_gives_the_figures_back_exactly() {
        let reference = Reference::new(noise(200, Stream::Latents), 16);
        let figures = reference.diversity(&noise(AT_ONCE, Stream::Initialization));
        for figure in [figures.entropy, figures.nearest_generated.unwrap()] {
            let text = serde_json::to_string(&figure).unwrap();
            assert_eq!(serde_json::from_str::<f64>(&text).unwrap(), figure);
            assert!(text.len() <= "0.123456".len(), "{text}");
        }
    }

    #[test]
    fn coverage_leaves_out_what_may_be_errors() {
        assert_eq!(class_coverage(&[500; 10]), 1.0);
        assert_eq!(class_coverage(&[5000, 0, 0, 0]), 0.25);
        // A tenth of a fair share is 50 of 5,000 images.
        assert_eq!(class_coverage(&[2451, 2450, 50, 49, 0, 0, 0, 0, 0, 0]), 0.3);
        assert_eq!(class_coverage(&[0, 0]), 0.0);
        assert_eq!(class_coverage(&[]), 0.0);
    }

    /// Pictures of many greys keep the figure of 0.6; those of few, which have less themselves, do not.
    #[test]
    fn the_entropys_limit_is_within_the_datas_own() {
        let limits = Limits::default();
        let limit = |own| {
            let figures = Diversity {
                entropy: 0.0,
                nearest_generated: None,
                nearest_training: None,
            };
            limits.judge(&figures, own)[0].limit
        };
        assert_eq!(limit(1.0), 0.6);
        assert!(limit(0.25) < 0.25);
    }

    proptest! {
        /// Against the definition, every pair in full.
        #[test]
        fn nearest_is_the_nearest(
            pixels in prop::collection::vec(any::<u8>(), 3 * 300),
            image in prop::collection::vec(any::<u8>(), 300),
        ) {
            let distance = |other: &[u8]| {
                let squares = image.iter().zip(other).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
                (squares.sum::<f64>() / 300.0).sqrt() / 255.0
            };
            let expected = pixels.chunks(300).map(distance).fold(f64::MAX, f64::min);
            prop_assert!((nearest(&image, pixels.chunks(300)) - expected).abs() < 1e-12);
        }
    }
}
