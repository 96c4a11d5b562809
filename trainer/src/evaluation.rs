//! Evaluation: every figure of merit of a set of images, each by the name of its protocol.
//!
//! `docs/scores.md` defines the protocols.

use crate::classifier::{Attribute, AttributeClassifier, DecodeError, Judged, Tally};
use crate::data::{Dataset, Images, spread};
use crate::gaussian::Gaussian;
use crate::metrics::divergence::{jensen_shannon, kullback_leibler, shares, uniform};
use crate::metrics::inception::{self, InceptionError};
use crate::metrics::neighbours::{Neighbour, nearest, nearest_other};
use crate::metrics::{FidCls, Histogram, Inception, fid_cls, frechet, kid, manifold};
use crate::nn::ModelError;
use crate::spec::Shape;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::borrow::Cow;

/// Images of the scores by Inception.
const INCEPTION_SAMPLES: usize = 10_000;
/// Images whose nearest neighbours are looked for.
const NEAREST_SAMPLES: usize = 2_000;
/// The neighbour that a ball reaches to.
const BALL: usize = 5;
/// A class counts as covered from this share of its frequency among the test images on.
const COVERED: f64 = 0.1;
/// What is added to a pixel before distances are told, so that products of centred pixels are exact in f32.
const CENTRE: f32 = -128.0;

/// Why images cannot be scored.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// The images do not have the data set's shape.
    #[error("the model makes images of {found}, and the data set's are {expected}")]
    Shape {
        /// The data set's.
        expected: Shape,
        /// The model's.
        found: Shape,
    },
    /// The classifier of attributes was trained on images of another shape.
    #[error(
        "the classifier of attributes looks at images of {expected}, and the data set's are {found}"
    )]
    Attributes {
        /// The classifier's.
        expected: Shape,
        /// The data set's.
        found: Shape,
    },
    /// There are too few test or training images to hold anything against.
    #[error("the data set has too few images: scores take at least {0} of either split")]
    Few(usize),
    /// The built-in classifier cannot be read.
    #[error(transparent)]
    Classifier(#[from] DecodeError),
    /// Inception is not there, or fails.
    #[error(transparent)]
    Inception(#[from] InceptionError),
    /// The device failed.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// How many images each protocol takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Samples {
    /// All but those below.
    pub plain: usize,
    /// Scores by Inception.
    pub inception: usize,
    /// Distances to nearest neighbours.
    pub nearest: usize,
}

impl Samples {
    /// The protocols' own numbers, or `count` for all of them, the most expensive one aside.
    pub fn new(count: Option<usize>) -> Self {
        Self {
            plain: count.unwrap_or(fid_cls::SAMPLES),
            inception: count.unwrap_or(INCEPTION_SAMPLES),
            nearest: count.map_or(NEAREST_SAMPLES, |count| count.min(NEAREST_SAMPLES)),
        }
    }

    /// How many images have to be made.
    pub fn most(self, with_inception: bool) -> usize {
        if with_inception {
            self.plain.max(self.inception)
        } else {
            self.plain
        }
    }
}

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Its key in JSON.
    pub key: Cow<'static, str>,
    /// The name of its protocol, with the number of images in it.
    pub protocol: String,
    /// `None` where it was not asked for or does not exist.
    pub value: Option<f64>,
}

/// Figures in the order of the table. In JSON an object by key; a figure that does not exist is `null`, an infinite
/// one the string `"Infinity"`, since JSON has no number for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures(pub Vec<Figure>);

impl Figures {
    /// Adds a figure.
    pub fn add(&mut self, key: impl Into<Cow<'static, str>>, protocol: String, value: Option<f64>) {
        let figure = Figure {
            key: key.into(),
            protocol,
            value,
        };
        self.0.push(figure);
    }

    /// The value of a figure, where there is one.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.0.iter().find(|figure| figure.key == key)?.value
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for figure in &self.0 {
            match figure.value {
                Some(value) if value.is_infinite() => {
                    map.serialize_entry(&figure.key, "Infinity")?
                }
                value => map.serialize_entry(&figure.key, &value)?,
            }
        }
        map.end()
    }
}

/// What a set of images scored.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    pub figures: Figures,
    /// Images that were taken for each class, where the data set has a classifier.
    pub class_counts: Option<Vec<u32>>,
}

/// What images are held against: a data set, and the eyes that look at them.
pub struct Judge {
    shape: Shape,
    samples: Samples,
    test: Histogram,
    classes: Option<Classes>,
    inception: Option<(Inception, Vec<f32>)>,
    attributes: Option<Attributes>,
    /// The training images, centred.
    train: Vec<f32>,
    /// Of test images from the nearest training image.
    test_nearest: Vec<f64>,
    /// Figures of the test images themselves, where those are worth a look.
    data: Figures,
}

/// A classifier of attributes, and what it sees in the test images.
struct Attributes {
    eye: AttributeClassifier,
    test: Vec<Tally>,
}

/// The classifier, and what it sees in the test images.
struct Classes {
    eye: FidCls,
    test: Judged,
    shares: Vec<f64>,
}

impl Judge {
    /// Looks at a data set's images, both splits of one shape; with Inception too, if it is given. `tell` is told what
    /// takes long.
    ///
    /// # Errors
    /// Splits with too few images; a classifier or an Inception that cannot be used.
    pub fn new(
        dataset: &Dataset,
        [train, test]: [&Images; 2],
        samples: Samples,
        inception: Option<Inception>,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Self, EvaluationError> {
        if train.count.min(test.count) <= BALL {
            return Err(EvaluationError::Few(BALL + 1));
        }
        let shape = Shape::new(test.channels, test.height, test.width);
        let classes = match FidCls::new(dataset)? {
            Some(mut eye) => {
                eye.see_training(train)?;
                Some(Classes::new(eye, test)?)
            }
            None => None,
        };
        let inception = match inception {
            Some(mut inception) => {
                let features = see_test(&mut inception, test, shape, tell)?;
                Some((inception, features))
            }
            None => None,
        };
        let train = centred(&train.pixels);
        let some = centred(&spread(&test.pixels, shape.len(), samples.nearest));
        let mut judge = Self {
            test_nearest: distances(nearest(&some, &train, shape.len())),
            test: Histogram::of(&test.pixels),
            shape,
            samples,
            classes,
            inception,
            attributes: None,
            train,
            data: Figures::default(),
        };
        judge.data = judge.of_test_images(&some);
        Ok(judge)
    }

    /// Has a classifier of attributes look at images too, and at the test images first.
    ///
    /// # Errors
    /// A classifier of images of another shape; the device's.
    pub fn with_attributes(
        mut self,
        eye: AttributeClassifier,
        test: &Images,
    ) -> Result<Self, EvaluationError> {
        let expected = eye.classifier().image();
        if self.shape != expected {
            return Err(EvaluationError::Attributes {
                expected,
                found: self.shape,
            });
        }
        let test = eye.tally(&test.pixels)?;
        attribute_figures(&mut self.data, eye.attributes(), [&test, &test], "test");
        self.attributes = Some(Attributes { eye, test });
        Ok(self)
    }

    /// The figures of the test images that show what is usual, by the same keys and protocols.
    pub fn data(&self) -> &Figures {
        &self.data
    }

    fn of_test_images(&self, some: &[f32]) -> Figures {
        let mut figures = Figures::default();
        figures.add(
            "entropy",
            "pixel-entropy-test".into(),
            Some(self.test.entropy()),
        );
        if let Some(classes) = &self.classes {
            let entropy = fid_cls::entropy(&classes.counts(&classes.test.classes));
            figures.add("class_entropy", "class-entropy-test".into(), Some(entropy));
        }
        let count = some.len() / self.shape.len().max(1);
        let others = distances(nearest_other(some, self.shape.len()));
        let pairs = [
            ("nearest_train", &self.test_nearest),
            ("nearest_generated", &others),
        ];
        for (key, distances) in pairs {
            let protocol = format!("{}-pixel-{}-test", key.replace('_', "-"), label(count));
            figures.add(key, protocol, self.pixel_distance(distances));
        }
        figures
    }

    /// Scores images, pixels `(N, C, H, W)`, the first of them where a protocol takes fewer than there are. `tell` is
    /// told what takes long.
    ///
    /// # Errors
    /// Images of another shape than the data set's; what the eyes report.
    pub fn score(
        &mut self,
        pixels: &[u8],
        shape: Shape,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Scored, EvaluationError> {
        if shape != self.shape {
            return Err(EvaluationError::Shape {
                expected: self.shape,
                found: shape,
            });
        }
        let plain = self.first(pixels, self.samples.plain);
        let judged = match &self.classes {
            Some(classes) => Some(classes.eye.judge(plain)?),
            None => None,
        };
        let mut figures = Figures::default();
        let class_counts = self.by_classifier(&mut figures, plain, judged.as_ref());
        self.by_features(&mut figures, pixels, judged.as_ref(), tell)?;
        self.by_pixels(&mut figures, plain);
        self.by_neighbours(&mut figures, self.first(pixels, self.samples.nearest));
        if let Some(Attributes { eye, test }) = &self.attributes {
            let (tallies, n) = (eye.tally(plain)?, label(self.count(plain)));
            attribute_figures(&mut figures, eye.attributes(), [&tallies, test], &n);
        }
        Ok(Scored {
            figures,
            class_counts,
        })
    }

    fn first<'a>(&self, pixels: &'a [u8], count: usize) -> &'a [u8] {
        &pixels[..pixels.len().min(count * self.shape.len())]
    }

    fn count(&self, pixels: &[u8]) -> usize {
        pixels.len() / self.shape.len().max(1)
    }

    /// The distance of features, and the figures of the classes.
    fn by_classifier(
        &self,
        figures: &mut Figures,
        pixels: &[u8],
        judged: Option<&Judged>,
    ) -> Option<Vec<u32>> {
        let n = label(self.count(pixels));
        let seen = self.classes.as_ref().zip(judged);
        let score = seen.map(|(classes, judged)| {
            let mut tally = classes.eye.tally();
            tally.count(judged);
            tally.score()
        });
        let fid = score.as_ref().map(|score| score.fid_cls);
        figures.add("fid_cls", format!("fid-cls-{n}-test"), fid);
        let channels = score.as_ref().and_then(|score| score.fid_channels);
        figures.add("fid_channels", format!("fid-channels-{n}-train"), channels);
        let entropy = score.as_ref().map(|score| score.class_entropy);
        let counts = score.map(|score| score.class_counts);
        let test = self.classes.as_ref().map(|classes| &classes.shares);
        let pair = counts.as_ref().map(|counts| shares(counts)).zip(test);
        let of = |figure: &dyn Fn(&[f64], &[f64]) -> f64| pair.as_ref().map(|(p, q)| figure(p, q));
        let even = |p: &[f64]| uniform(p.len());
        figures.add("class_entropy", format!("class-entropy-{n}"), entropy);
        let covered = of(&class_coverage);
        figures.add(
            "class_coverage",
            format!("class-coverage-{n}-test"),
            covered,
        );
        let kl = of(&kullback_leibler);
        figures.add("kl_classes", format!("kl-classes-{n}-test"), kl);
        let js = of(&jensen_shannon);
        figures.add("js_classes", format!("js-classes-{n}-test"), js);
        let kl = of(&|p, _| kullback_leibler(p, &even(p)));
        figures.add("kl_classes_uniform", format!("kl-classes-{n}-uniform"), kl);
        let js = of(&|p, _| jensen_shannon(p, &even(p)));
        figures.add("js_classes_uniform", format!("js-classes-{n}-uniform"), js);
        counts
    }

    /// The scores that any features serve for: Inception's where there are any, else the classifier's.
    fn by_features(
        &mut self,
        figures: &mut Figures,
        pixels: &[u8],
        judged: Option<&Judged>,
        tell: &mut dyn FnMut(&str),
    ) -> Result<(), EvaluationError> {
        let pixels = self.first(pixels, self.samples.inception);
        let count = self.count(pixels);
        let fid_protocol = format!("fid-inception-{}-test", label(count));
        let Some((inception, test)) = &mut self.inception else {
            figures.add("fid_inception", fid_protocol, None);
            let of_classes = self.classes.as_ref().zip(judged);
            let features = of_classes.map(|(classes, judged)| {
                let size = classes.eye.features();
                (&*classes.test.features, &*judged.features, size)
            });
            let count = features.map_or(self.samples.plain, |(_, fake, size)| fake.len() / size);
            feature_figures(figures, "cls", count, features);
            return Ok(());
        };
        let mut watch = progress("the generated images", tell);
        let features = inception.features(pixels, self.shape, &mut watch)?;
        let size = inception::FEATURES;
        let [real, generated] = [&*test, &features].map(|features| Gaussian::of(features, size));
        let distance = Some(frechet(&generated, &real));
        figures.add("fid_inception", fid_protocol, distance);
        feature_figures(figures, "inception", count, Some((test, &features, size)));
        Ok(())
    }

    fn by_pixels(&self, figures: &mut Figures, pixels: &[u8]) {
        let n = label(self.count(pixels));
        let ours = Histogram::of(pixels);
        figures.add(
            "entropy",
            format!("pixel-entropy-{n}"),
            Some(ours.entropy()),
        );
        let kl = Some(ours.kullback_leibler(&self.test));
        figures.add("kl_pixels", format!("kl-pixels-{n}-test"), kl);
        let js = Some(ours.jensen_shannon(&self.test));
        figures.add("js_pixels", format!("js-pixels-{n}-test"), js);
    }

    fn by_neighbours(&self, figures: &mut Figures, pixels: &[u8]) {
        let n = label(self.count(pixels));
        let (images, size) = (centred(pixels), self.shape.len());
        let from_train = distances(nearest(&images, &self.train, size));
        let from_others = distances(nearest_other(&images, size));
        let train = self.pixel_distance(&from_train);
        figures.add("nearest_train", format!("nearest-train-pixel-{n}"), train);
        let others = self.pixel_distance(&from_others);
        figures.add(
            "nearest_generated",
            format!("nearest-generated-pixel-{n}"),
            others,
        );
        let nearer = nearer(&from_train, &self.test_nearest);
        figures.add("copying", format!("copying-pixel-{n}"), nearer);
    }

    /// The mean of distances between images as the root of the mean square of a pixel's difference.
    fn pixel_distance(&self, distances: &[f64]) -> Option<f64> {
        let mean = distances.iter().sum::<f64>() / distances.len() as f64;
        let figure = mean / (self.shape.len() as f64).sqrt();
        figure.is_finite().then_some(figure)
    }
}

/// Of each attribute: of how many images of these tallies the classifier is sure, and the divergence of its values from
/// those of the test images. The mean share of all attributes comes first, and the largest divergence.
fn attribute_figures(
    figures: &mut Figures,
    attributes: &[Attribute],
    [tallies, test]: [&[Tally]; 2],
    n: &str,
) {
    let all = attributes.iter().zip(tallies).zip(test);
    let each: Vec<(&str, [f64; 2])> = all
        .map(|((attribute, tally), test)| {
            let images = tally.values.len().max(1) as f64;
            let [ours, test] = [tally, test].map(|it| shares(&it.counts));
            let own = [f64::from(tally.sure) / images, jensen_shannon(&ours, &test)];
            (&*attribute.name, own)
        })
        .collect();
    let sure = each.iter().map(|(_, own)| own[0]).sum::<f64>() / each.len().max(1) as f64;
    let js = each.iter().map(|(_, own)| own[1]).fold(0.0, f64::max);
    for (name, [sure, js]) in [("attributes", [sure, js])].iter().chain(&each) {
        figures.add(
            format!("sure_{name}"),
            format!("sure-{name}-{n}"),
            Some(*sure),
        );
        figures.add(
            format!("js_{name}"),
            format!("js-{name}-{n}-test"),
            Some(*js),
        );
    }
}

impl Classes {
    fn new(eye: FidCls, test: &Images) -> Result<Self, ModelError> {
        let seen = eye.judge(&test.pixels)?;
        let mut classes = Self {
            eye,
            test: seen,
            shares: Vec::new(),
        };
        classes.shares = shares(&classes.counts(&classes.test.classes));
        Ok(classes)
    }

    fn counts(&self, classes: &[u8]) -> Vec<u32> {
        let mut counts = vec![0; self.eye.classes()];
        for &class in classes {
            counts[usize::from(class)] += 1;
        }
        counts
    }
}

/// The features of the test images, by Inception.
fn see_test(
    inception: &mut Inception,
    test: &Images,
    shape: Shape,
    tell: &mut dyn FnMut(&str),
) -> Result<Vec<f32>, InceptionError> {
    let mut notes = Vec::new();
    let mut note = |text: &str| notes.push(text.to_owned());
    let mut watch = progress("the test images", tell);
    let features = inception.features_once(&test.pixels, shape, &mut watch, &mut note)?;
    drop(watch);
    notes.iter().for_each(|text| tell(text));
    Ok(features)
}

/// Adds what is told from the features of the test images and of the images, where there are any, of so many numbers
/// an image. Precision and its kin take as many of either.
fn feature_figures(
    figures: &mut Figures,
    eye: &str,
    count: usize,
    features: Option<(&[f32], &[f32], usize)>,
) {
    let n = label(count);
    let reals = features.map_or(count, |(real, _, size)| real.len() / size);
    let kernel = features.and_then(|(real, fake, size)| kid::kernel_distance(real, fake, size));
    let draws = format!("{}x{}", kid::SUBSETS, kid::subset_size(reals, count));
    let protocol = format!("kid-{eye}-{n}-test-{draws}");
    figures.add("kid", protocol.clone(), kernel.map(|kernel| kernel.mean));
    let deviation = kernel.map(|kernel| kernel.deviation);
    figures.add("kid_deviation", format!("{protocol}-deviation"), deviation);
    let manifolds = features.and_then(|(real, fake, size)| {
        let real = spread(real, size, count);
        manifold::compare(&real, fake, size, BALL)
    });
    let values: [(&str, Option<f64>); 4] = [
        ("precision", manifolds.map(|m| m.precision)),
        ("recall", manifolds.map(|m| m.recall)),
        ("density", manifolds.map(|m| m.density)),
        ("coverage", manifolds.map(|m| m.coverage)),
    ];
    for (key, value) in values {
        figures.add(key, format!("{key}-k{BALL}-{eye}-{n}-test"), value);
    }
}

/// Share of the data's classes that get at least a tenth of their share there.
fn class_coverage(ours: &[f64], data: &[f64]) -> f64 {
    let classes = ours.iter().zip(data).filter(|(_, data)| **data > 0.0);
    let covered = classes
        .clone()
        .filter(|(ours, data)| **ours >= COVERED * **data);
    covered.count() as f64 / classes.count().max(1) as f64
}

/// How often a number of the first is below one of the second, of all pairs, equal ones half (the statistic of Mann &
/// Whitney 1947 over the number of pairs).
fn nearer(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    let mut theirs = theirs.to_vec();
    theirs.sort_by(f64::total_cmp);
    let wins = ours.iter().map(|&own| {
        let above = theirs.len() - theirs.partition_point(|&other| other <= own);
        let equal = theirs.len() - above - theirs.partition_point(|&other| other < own);
        above as f64 + equal as f64 / 2.0
    });
    let pairs = ours.len() * theirs.len();
    (pairs > 0).then(|| wins.sum::<f64>() / pairs as f64)
}

fn centred(pixels: &[u8]) -> Vec<f32> {
    pixels.iter().map(|&p| f32::from(p) + CENTRE).collect()
}

fn distances(neighbours: Vec<Neighbour>) -> Vec<f64> {
    neighbours.into_iter().map(|near| near.distance).collect()
}

/// A number of images in the name of a protocol: `5k`, `300`.
pub(crate) fn label(count: usize) -> String {
    match count {
        0 => "0".to_owned(),
        count if count.is_multiple_of(1000) => format!("{}k", count / 1000),
        count => count.to_string(),
    }
}

/// Tells of long work, a line every 500 images.
fn progress<'a>(what: &'a str, tell: &'a mut dyn FnMut(&str)) -> impl FnMut(usize, usize) + 'a {
    let start = std::time::Instant::now();
    let mut told = 0;
    move |done, all| {
        if done / 500 > told || done == all {
            told = done / 500;
            let left = start.elapsed().as_secs_f64() * (all - done) as f64 / done as f64;
            tell(&format!(
                "Inception looks at {what}: {done} of {all}, {:.1} minutes left",
                left / 60.0
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_images_is_in_the_name() {
        let names = [5000, 10_000, 300, 1500, 0].map(label);
        assert_eq!(names, ["5k", "10k", "300", "1500", "0"]);
        let counts = |samples: Samples| [samples.plain, samples.inception, samples.nearest];
        assert_eq!(counts(Samples::new(None)), [5000, 10_000, 2000]);
        assert_eq!(counts(Samples::new(Some(100))), [100, 100, 100]);
        assert_eq!(counts(Samples::new(Some(3000))), [3000, 3000, 2000]);
        assert_eq!(Samples::new(None).most(false), 5000);
        assert_eq!(Samples::new(None).most(true), 10_000);
    }

    #[test]
    fn what_json_has_no_number_for_is_said_in_words() {
        let mut figures = Figures::default();
        figures.add("a", "a-5k".into(), Some(1.5));
        figures.add("b", "b-5k".into(), Some(f64::INFINITY));
        figures.add("c", "c-5k".into(), None);
        let json = serde_json::to_string(&figures).unwrap();
        assert_eq!(json, r#"{"a":1.5,"b":"Infinity","c":null}"#);
        assert_eq!(figures.get("b"), Some(f64::INFINITY));
        assert_eq!((figures.get("c"), figures.get("d")), (None, None));
    }

    /// All of one value against halves: from the middle, 1/4 and 3/4, they are `ln(4/3)` and `ln 2 / 2 - ln(3/2) / 2`
    /// away.
    #[test]
    fn attributes_are_counted() {
        let attribute = |name: &str| Attribute {
            name: name.into(),
            values: vec!["no".into(), "yes".into()],
        };
        let tally = |sure, counts: [u32; 2]| Tally {
            sure,
            counts: counts.to_vec(),
            values: vec![0; 4],
        };
        let attributes = [attribute("hat"), attribute("beard")];
        let ours = [tally(3, [4, 0]), tally(4, [1, 3])];
        let test = [tally(4, [2, 2]), tally(4, [1, 3])];
        let mut figures = Figures::default();
        attribute_figures(&mut figures, &attributes, [&ours, &test], "4");
        let js = ((4.0f64 / 3.0).ln() + (2f64.ln() - 1.5f64.ln()) / 2.0) / 2.0;
        for (key, expected) in [
            ("sure_attributes", 0.875),
            ("js_attributes", js),
            ("sure_hat", 0.75),
            ("js_hat", js),
            ("sure_beard", 1.0),
            ("js_beard", 0.0),
        ] {
            let figure = figures.get(key).unwrap();
            assert!((figure - expected).abs() < 1e-12, "{key}: {figure}");
        }
    }

    /// A tenth of the data's share is enough; a class that the data lacks does not count.
    #[test]
    fn a_class_is_covered_from_a_tenth_of_its_share_on() {
        let data = [0.5, 0.25, 0.25, 0.0];
        assert_eq!(class_coverage(&data, &data), 1.0);
        assert_eq!(
            class_coverage(&[0.9, 0.025, 0.024, 0.051], &data),
            2.0 / 3.0
        );
        assert_eq!(class_coverage(&[0.0, 0.0, 0.0, 1.0], &data), 0.0);
    }

    #[test]
    fn pairs_are_counted_by_hand() {
        assert_eq!(nearer(&[0.0, 0.0], &[1.0, 2.0, 3.0]), Some(1.0));
        assert_eq!(nearer(&[4.0], &[1.0, 2.0]), Some(0.0));
        // 2 is below 3, equal to 2, above 1; 0 is below all three.
        assert_eq!(nearer(&[2.0, 0.0], &[3.0, 1.0, 2.0]), Some(4.5 / 6.0));
        assert_eq!(nearer(&[1.0], &[]), None);
    }

    #[test]
    fn rows_are_taken_at_equal_steps() {
        let rows = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4];
        assert_eq!(spread(&rows, 2, 2), [0, 0, 2, 2]);
        assert_eq!(spread(&rows, 2, 4), [0, 0, 1, 1, 2, 2, 3, 3]);
        assert_eq!(spread(&rows, 2, 9), rows);
    }
}
