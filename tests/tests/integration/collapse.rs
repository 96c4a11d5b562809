//! Planted mode collapses, made of real images: each is seen by the figure that is there for it, and none is seen
//! where there is none.

use pocketgan::Rng;
use pocketgan_trainer::data::{self, Images, Options, Split};
use pocketgan_trainer::engines::{self, Engine, RuntimeEngine};
use pocketgan_trainer::metrics::FidCls;
use pocketgan_trainer::metrics::collapse::{AT_ONCE, COMPARED, Figure, Limits, Reference};
use std::path::Path;

const LEN: usize = 784;

fn load(dataset: &str, split: Split) -> Images {
    data::load(&dataset.parse().unwrap(), split, &Options::default()).unwrap()
}

/// A data set with its training images at even distances.
struct Case {
    dataset: &'static str,
    train: Images,
    reference: Reference,
}

impl Case {
    fn new(dataset: &'static str) -> Self {
        let train = load(dataset, Split::Train);
        let compared = (0..COMPARED).map(|i| train.image(i * train.count / COMPARED).unwrap());
        let pixels = compared.collect::<Vec<_>>().concat();
        Self {
            dataset,
            reference: Reference::new(pixels, LEN),
            train,
        }
    }

    fn all() -> [Self; 2] {
        [Self::new("fashion"), Self::new("mnist")]
    }

    /// What speaks of collapse in the pixels of images.
    fn signs(&self, pixels: &[u8]) -> Vec<Figure> {
        let figures = self.reference.diversity(pixels);
        println!("{} {figures:?}", self.dataset);
        let signs = Limits::default().judge(&figures, self.reference.entropy());
        signs.iter().map(|sign| sign.figure).collect()
    }

    /// Whether classes are missing, in the eyes of the frozen classifier.
    fn lacks_classes(&self, pixels: &[u8]) -> bool {
        let scorer = FidCls::new(&self.dataset.parse().unwrap())
            .unwrap()
            .unwrap();
        let mut tally = scorer.tally();
        tally.add(pixels).unwrap();
        let score = tally.score();
        println!("{} {:?}", self.dataset, score.class_counts);
        Limits::default()
            .judge_classes(&score.class_counts)
            .is_some()
    }
}

#[test]
fn real_images_are_no_collapse() {
    for case in Case::all() {
        let test = load(case.dataset, Split::Test).pixels;
        for images in test.chunks_exact(AT_ONCE * LEN).take(20) {
            assert_eq!(case.signs(images), []);
        }
        assert!(!case.lacks_classes(&test[..2000 * LEN]));
    }
}

#[test]
fn a_healthy_model_is_no_collapse() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let mut engine = RuntimeEngine::open(&models.join("fashion-nano/model.pgan")).unwrap();
    let latents = engines::latents(1, 1000, engine.latent_size());
    let pixels = engine.images(&latents, &[]).unwrap().to_pixels();
    let case = Case::new("fashion");
    for images in pixels.chunks_exact(AT_ONCE * LEN) {
        assert_eq!(case.signs(images), []);
    }
    assert!(!case.lacks_classes(&pixels));
}

#[test]
fn one_image_for_all_latents_is_alike() {
    for case in Case::all() {
        let test = load(case.dataset, Split::Test);
        let mut random = Rng::new(1);
        for number in 0..5 {
            let image = test.image(number).unwrap();
            let signs = case.signs(&image.repeat(AT_ONCE));
            assert!(signs.contains(&Figure::NearestGenerated), "{signs:?}");
            assert!(!signs.contains(&Figure::NearestTraining), "{signs:?}");
            // Hardly any two of them the same, and yet no more than one image.
            let shaken = image.repeat(AT_ONCE).into_iter();
            let shaken = shaken.map(|pixel| pixel.saturating_add(random.below(3) as u8));
            let signs = case.signs(&shaken.collect::<Vec<_>>());
            assert!(signs.contains(&Figure::NearestGenerated), "{signs:?}");
        }
    }
}

#[test]
fn constant_grey_has_no_entropy() {
    for case in Case::all() {
        for grey in [0, 1, 128, 255] {
            let signs = case.signs(&vec![grey; AT_ONCE * LEN]);
            assert!(signs.contains(&Figure::Entropy), "{grey}: {signs:?}");
        }
    }
}

#[test]
fn copies_of_training_images_are_seen_however_many_they_are() {
    for case in Case::all() {
        let copy = |i: usize| case.train.image(i * 60_000 / COMPARED).unwrap();
        let different: Vec<u8> = (0..AT_ONCE).flat_map(copy).copied().collect();
        assert_eq!(case.signs(&different), [Figure::NearestTraining]);
        let signs = case.signs(&copy(500).repeat(AT_ONCE));
        assert!(signs.contains(&Figure::NearestTraining), "{signs:?}");
        assert!(signs.contains(&Figure::NearestGenerated), "{signs:?}");
    }
}

/// Real images of two classes only: varied, of good contrast, no copies; but eight classes are missing.
#[test]
fn two_of_ten_classes_are_seen_by_the_classifier_alone() {
    for (case, classes) in Case::all().iter().zip([[1, 8], [3, 7]]) {
        let test = load(case.dataset, Split::Test);
        let labelled = test.labels.iter().zip(test.pixels.chunks_exact(LEN));
        let two = labelled.filter(|(label, _)| classes.contains(*label));
        let pixels = two.map(|(_, image)| image).collect::<Vec<_>>().concat();
        assert_eq!(case.signs(&pixels[..AT_ONCE * LEN]), []);
        assert!(case.lacks_classes(&pixels));
    }
}
