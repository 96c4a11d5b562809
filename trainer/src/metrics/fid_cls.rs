//! `fid-cls`: how far a generator's images are from real ones, in the eyes of a small classifier.

use super::frechet;
use super::selection::{self, Selection};
use crate::classifier::{self, Classifier, DecodeError, Frozen, Judged};
use crate::data::{Dataset, Images, Published, spread};
use crate::gaussian::{Gaussian, Moments};
use crate::nn::{Model, ModelError};
use crate::ops::{Cpu, Device};
use crate::samples;
use serde::{Deserialize, Serialize};

/// The name of the protocol: 5,000 samples against all test images.
pub const PROTOCOL: &str = "fid-cls-5k-test";
/// Samples of a score.
pub const SAMPLES: usize = 5_000;
/// Seed of the first sample; the others follow.
const FIRST_SEED: u64 = 1;
/// Images made and judged at a time.
const AT_ONCE: usize = 512;

/// The frozen classifiers, by data set.
static CLASSIFIERS: [(&str, &[u8]); 2] = [
    (
        "fashion",
        include_bytes!("../../../models/classifier-fashion/classifier.safetensors"),
    ),
    (
        "mnist",
        include_bytes!("../../../models/classifier-mnist/classifier.safetensors"),
    ),
];

/// Scores generators by the features of a frozen classifier: the Fréchet distance (Heusel et al. 2017)
/// between Gaussians of the 64 features in front of its last layer, those of the images and those of
/// the data set's test images.
///
/// A figure compares with others of the same classifier only, and never with FID by Inception features.
/// What does not help to tell the classes apart, the classifier may overlook.
///
/// It takes the score of [`selection`] too, once it has seen training images.
pub struct FidCls {
    eye: Classifier,
    reference: Gaussian,
    selection: Option<Selection>,
}

/// What a set of images scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The distance, at least 0; the lower the better.
    pub fid_cls: f64,
    /// What the best checkpoint is chosen by: the distance from training images by [`selection`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fid_channels: Option<f64>,
    /// Images that were taken for each class.
    pub class_counts: Vec<u32>,
    /// Shannon's entropy of the classes over its greatest value: 0 where all images are of one class, 1
    /// where all classes are equally frequent.
    pub class_entropy: f64,
}

impl FidCls {
    /// Whether the trainer carries a classifier for a data set.
    pub fn is_for(dataset: &Dataset) -> bool {
        classifier_of(dataset).is_some()
    }

    /// The scorer of a data set; `None` where the trainer carries no classifier for it.
    ///
    /// # Errors
    /// None with the files that are built in.
    pub fn new(dataset: &Dataset) -> Result<Option<Self>, DecodeError> {
        let Some(bytes) = classifier_of(dataset) else {
            return Ok(None);
        };
        let Frozen {
            classifier: eye,
            reference,
            ..
        } = classifier::decode(bytes)?;
        Ok(Some(Self {
            eye,
            reference,
            selection: None,
        }))
    }

    /// Looks at training images, for scores to be taken against them.
    ///
    /// # Errors
    /// The device's.
    pub fn see_training(&mut self, images: &Images) -> Result<(), ModelError> {
        let pixels = spread(&images.pixels, images.image_len(), selection::IMAGES);
        let Judged { statistics, .. } = self.judge(&pixels)?;
        self.selection = Some(Selection::new(&statistics, self.eye.statistics()));
        Ok(())
    }

    /// Scores 5,000 images of a generator with values in [-1, 1], those of the seeds 1 to 5,000 as the
    /// runtime draws them, rounded to pixels; of a conditional one, each class in turn. The bits do not depend on the
    /// number of threads.
    ///
    /// # Errors
    /// The device's.
    pub fn score<D: Device<f32>>(&self, generator: &Model<D>) -> Result<Score, ModelError> {
        let classes = samples::classes_in_turn(generator.network(), SAMPLES);
        let mut tally = self.tally();
        for first in (0..SAMPLES).step_by(AT_ONCE) {
            let count = AT_ONCE.min(SAMPLES - first);
            let classes = classes.get(first..first + count).unwrap_or_default();
            let seed = FIRST_SEED + first as u64;
            tally.add(&samples::draw(generator, seed, count, classes)?)?;
        }
        Ok(tally.score())
    }

    /// The classifier's parts up to its features, one after the other.
    pub fn into_body(self) -> Vec<Model<Cpu>> {
        self.eye.into_body()
    }

    /// How many features it judges by.
    pub fn features(&self) -> usize {
        self.eye.features()
    }

    /// How many classes it tells apart.
    pub fn classes(&self) -> usize {
        self.eye.classes()
    }

    /// What the classifier sees in images of any origin, pixels `(N, C, H, W)`.
    ///
    /// # Errors
    /// The device's.
    pub fn judge(&self, pixels: &[u8]) -> Result<Judged, ModelError> {
        let mut all = Judged {
            features: Vec::new(),
            statistics: Vec::new(),
            classes: Vec::new(),
        };
        for pixels in pixels.chunks(AT_ONCE * self.eye.image().len()) {
            let judged = self.eye.judge(pixels)?;
            all.features.extend(judged.features);
            all.statistics.extend(judged.statistics);
            all.classes.extend(judged.classes);
        }
        Ok(all)
    }

    /// Counts images of any origin.
    pub fn tally(&self) -> Tally<'_> {
        Tally {
            judge: self,
            moments: Moments::new(self.eye.features()),
            statistics: Vec::new(),
            class_counts: vec![0; self.eye.classes()],
        }
    }
}

/// The file of a data set's classifier.
fn classifier_of(dataset: &Dataset) -> Option<&'static [u8]> {
    let name = dataset.published().map(Published::name);
    let entry = CLASSIFIERS.iter().find(|entry| Some(entry.0) == name);
    entry.map(|(_, bytes)| *bytes)
}

/// Images on their way to a [`Score`].
pub struct Tally<'a> {
    judge: &'a FidCls,
    moments: Moments,
    statistics: Vec<f32>,
    class_counts: Vec<u32>,
}

impl Tally<'_> {
    /// Counts images in, pixels `(N, C, H, W)`.
    ///
    /// # Errors
    /// The device's.
    pub fn add(&mut self, pixels: &[u8]) -> Result<(), ModelError> {
        let eye = &self.judge.eye;
        for pixels in pixels.chunks(AT_ONCE * eye.image().len()) {
            self.count(&eye.judge(pixels)?);
        }
        Ok(())
    }

    /// Counts images in that the classifier has seen.
    pub fn count(&mut self, judged: &Judged) {
        self.moments.add(&judged.features);
        if self.judge.selection.is_some() {
            self.statistics.extend(&judged.statistics);
        }
        for &class in &judged.classes {
            self.class_counts[usize::from(class)] += 1;
        }
    }

    /// The score of all images so far.
    pub fn score(self) -> Score {
        let selection = self.judge.selection.as_ref();
        Score {
            fid_channels: selection.map(|selection| selection.distance(&self.statistics)),
            fid_cls: frechet(&self.moments.gaussian(), &self.judge.reference),
            class_entropy: entropy(&self.class_counts),
            class_counts: self.class_counts,
        }
    }
}

/// Shannon's entropy of counts over its greatest value; 0 where there are none.
pub fn entropy(counts: &[u32]) -> f64 {
    let total: f64 = counts.iter().copied().map(f64::from).sum();
    let shares = counts
        .iter()
        .filter(|&&n| n > 0)
        .map(|&n| f64::from(n) / total);
    let nats = shares.fold(0.0, |sum, share| sum - share * share.ln());
    nats / (counts.len().max(2) as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;

    #[test]
    fn entropy_has_its_closed_forms() {
        assert_eq!(entropy(&[0, 7, 0, 0]), 0.0);
        assert_eq!(entropy(&[0, 0]), 0.0);
        assert!((entropy(&[5, 5, 5, 5]) - 1.0).abs() < 1e-12);
        // Two of four classes: ln 2 / ln 4.
        assert!((entropy(&[0, 3, 3, 0]) - 0.5).abs() < 1e-12);
    }

    /// What is built in is what `data::load` checks.
    #[test]
    fn every_classifier_is_of_its_own_data_sets_test_images() {
        for (name, bytes) in &CLASSIFIERS {
            let published = Published::named(name).unwrap();
            let Frozen {
                state, classifier, ..
            } = classifier::decode(bytes).unwrap();
            assert_eq!(state.dataset, *name);
            let test = published.files(Split::Test);
            let sums = test.iter().map(|file| file.sum.to_string());
            assert!({ sums }.any(|sum| sum == format!("sha256 {}", state.reference_sha256)));
            assert_eq!(state.reference_images, published.count(Split::Test));
            assert_eq!(classifier.classes(), published.classes().len());
            let image = classifier.image();
            assert_eq!(
                (image.channels, image.height, image.width),
                published.image_shape()
            );
            assert!(FidCls::new(&published.into()).unwrap().is_some());
        }
        assert!(
            FidCls::new(&"folder:fashion".parse().unwrap())
                .unwrap()
                .is_none()
        );
    }
}
