//! The images of a run, and the pictures that generators read of them.

use super::options::{Plan, input};
use crate::cli::Failure;
use crate::data::{self, ClassList, Draw, Fingerprint, Images, Split, spread};
use crate::export::quantize::Calibration;
use crate::gan::Game;
use crate::gan::fit::{EpochScore, Inputs, LikelihoodScore, Shown, Source, Translated};
use crate::metrics::PairScore;
use crate::nn::{Model, ModelError};
use crate::ops::Device;
use crate::pixelcnn::{self, Levels};
use crate::samples::{from_pixels, to_pixels};
use crate::spec::Shape;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// Held-out pictures that grids show, at most, and the numbers that their images have together.
const SHOWN: usize = 64;
const SHOWN_NUMBERS: usize = 1 << 18;
/// Held-out pictures that scores are taken of, at most.
const SCORED: usize = 512;
/// Pictures that int8 networks are calibrated on: as many as have so many numbers together, within a range.
const CALIBRATED_NUMBERS: usize = 1 << 20;
const CALIBRATED: RangeInclusive<usize> = 16..=256;
/// Numbers that held-out pictures have together, for large ones.
const NUMBERS: usize = 1 << 24;

/// The images of a split that are to be made, and the pictures that are read.
pub(in crate::cli) struct Loaded {
    pub images: Images,
    /// Where they come from a data set of their own.
    inputs: Option<Images>,
    /// Whether they are in pairs.
    paired: bool,
    task: Option<data::Task>,
}

/// What a run needs to know of its images.
pub(in crate::cli) struct Facts {
    /// Images that are learned.
    pub count: usize,
    pub image: Shape,
    pub classes: usize,
    /// The shape of the pictures that generators read; `None` where they read latents.
    pub picture: Option<Shape>,
    /// How many there are, where they come from a data set of their own and in no pairs.
    pub inputs: Option<usize>,
}

impl Loaded {
    /// Loads a split of the data sets of a run.
    ///
    /// # Errors
    /// What the data sets report; folders of pairs in which a picture is alone.
    pub fn new(plan: &Plan, split: Split) -> Result<Self, Failure> {
        let options = plan.data_options();
        let mut images = data::load(
            plan.target.as_ref().unwrap_or(&plan.dataset),
            split,
            &options,
        )?;
        let mut inputs = match plan.target {
            Some(_) => Some(data::load(&plan.dataset, split, &options)?),
            None => None,
        };
        let classes = plan.options.only_classes.as_ref();
        if let Some(classes) = classes {
            for images in [&mut images].into_iter().chain(inputs.as_mut()) {
                only(classes, images)?;
            }
        }
        let paired = matches!(plan.game, Game::Translation(_));
        if let Some(inputs) = inputs.as_mut().filter(|_| paired) {
            pair(plan, split, inputs, &mut images)?;
        }
        Ok(Self {
            images,
            inputs,
            paired,
            task: plan.options.task,
        })
    }

    /// Whether generators read pictures.
    pub const fn reads_pictures(&self) -> bool {
        self.task.is_some() || self.inputs.is_some()
    }

    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.images).reading(self.inputs.as_ref().map(Fingerprint::of))
    }

    /// # Errors
    /// Pictures and images that do not go together.
    pub fn facts(&self, plan: &Plan) -> Result<Facts, Failure> {
        let image = self.images.shape();
        let own = self.inputs.as_ref();
        Ok(Facts {
            count: plan.selected(self.images.count),
            image,
            classes: self.images.classes.len(),
            picture: plan.picture(image, own.map(Source::shape))?,
            inputs: own.filter(|_| !self.paired).map(|inputs| inputs.count),
        })
    }

    /// The data set that is read, and that of the images that are to be made.
    pub fn both(&self) -> (&Images, &Images) {
        (self.inputs.as_ref().unwrap_or(&self.images), &self.images)
    }

    /// The pixels of at most `most` pictures, at even distances, as the networks of a run read them when they are held
    /// out; and those of the images that should be made of them, none where nothing tells which these are.
    pub fn held_out(&self, plan: &Plan, facts: &Facts, most: usize) -> (Vec<u8>, Vec<u8>) {
        let (read, targets) = self.both();
        let partners = self.partners();
        let count = read.count.min(most);
        let (mut pictures, mut wanted) = (Vec::new(), Vec::new());
        for number in (0..count).map(|i| i * read.count / count) {
            let pixels = read.image(number).unwrap_or_default();
            match self.task {
                Some(task) => {
                    let draw = Draw::held_out(plan.options.seed, number as u32);
                    pictures.extend(task.of_pixels(draw, facts.image, pixels));
                }
                None => pictures.extend_from_slice(pixels),
            }
            let partner = partners.as_ref().map(|partners| partners[number]);
            let partner = partner.and_then(|number| targets.image(number));
            wanted.extend_from_slice(partner.unwrap_or_default());
        }
        (pictures, wanted)
    }

    /// As [`calibration`](Self::calibration), on the images themselves, for a network that makes them of themselves.
    pub fn calibration_on(&self) -> Calibration {
        let shape = self.images.shape();
        let most = calibrated(shape);
        Calibration::Pictures(spread(&self.images.pixels, shape.len(), most))
    }

    /// What a run's generator is calibrated on: some of the pictures that it read in training, or the usual latents.
    pub fn calibration(&self, plan: &Plan, facts: &Facts) -> Calibration {
        let Some(picture) = facts.picture else {
            return Calibration::default();
        };
        let most = calibrated(picture);
        Calibration::Pictures(self.held_out(plan, facts, most).0)
    }

    /// The number of the image that belongs to each picture that is read, where something tells: the task, or the names
    /// of all of them.
    fn partners(&self) -> Option<Vec<usize>> {
        let Some(inputs) = self.inputs.as_ref().filter(|_| !self.paired) else {
            return Some((0..self.images.count).collect());
        };
        let places = by_name(&self.images);
        let partners = inputs.names.iter();
        let partners = partners.map(|name| places.get(name.as_str()).copied());
        let partners: Vec<usize> = partners.collect::<Option<_>>()?;
        (partners.len() == inputs.count).then_some(partners)
    }

    /// What the training loop draws batches from.
    pub fn source(&self) -> Translated<'_> {
        let inputs = match (self.task, &self.inputs) {
            (Some(task), _) => Some(Inputs::Task(task)),
            (None, Some(pictures)) if self.paired => Some(Inputs::Paired(pictures)),
            (None, Some(pictures)) => Some(Inputs::Unpaired(pictures)),
            (None, None) => None,
        };
        Translated {
            images: &self.images,
            inputs,
        }
    }
}

/// Held-out images that a network which draws pixel by pixel is scored on.
pub(super) struct Likely {
    levels: Levels,
    /// `(N, H, W)`.
    images: Vec<u8>,
    classes: Vec<u32>,
}

impl Likely {
    /// Those of a run; `None` where its networks make images in one go.
    ///
    /// # Errors
    /// What the data set reports.
    pub fn load(plan: &Plan) -> Result<Option<Self>, Failure> {
        /// At most.
        const IMAGES: usize = 1000;
        let Game::Autoregressive(rules) = plan.game else {
            return Ok(None);
        };
        let images = Loaded::new(plan, Split::Test)?.images;
        let pixels = spread(&images.pixels, images.image_len(), IMAGES);
        let labels = spread(&images.labels, 1, IMAGES);
        let classes = labels.into_iter().filter(|_| plan.conditional);
        Ok(Some(Self {
            levels: rules.levels,
            images: rules.levels.of_test_pixels(&pixels),
            classes: classes.map(u32::from).collect(),
        }))
    }

    /// # Errors
    /// The device's.
    pub fn score<D: Device<f32>>(&self, network: &Model<D>) -> Result<EpochScore, ModelError> {
        let nats = pixelcnn::nats(network, self.levels, &self.images, &self.classes)?;
        let mean = nats.iter().sum::<f64>() / nats.len() as f64;
        let pixels = network.network().input.len() as f64;
        Ok(EpochScore::Likelihood(LikelihoodScore {
            nats: mean,
            bits_per_dimension: mean / pixels / std::f64::consts::LN_2,
        }))
    }
}

/// How many pictures of a shape int8 networks are calibrated on.
fn calibrated(shape: Shape) -> usize {
    (CALIBRATED_NUMBERS / shape.len()).clamp(*CALIBRATED.start(), *CALIBRATED.end())
}

/// Leaves the images of some classes.
///
/// # Errors
/// Images without classes; an unknown class; no image of any.
fn only(classes: &ClassList, images: &mut Images) -> Result<(), Failure> {
    let last = images.classes.len().saturating_sub(1);
    if images.labels.is_empty() {
        return input("--only-classes needs images that have classes");
    }
    if usize::from(classes.last()) > last {
        return input(format!(
            "--only-classes names the class {}, and the images have the classes 0 to {last}",
            classes.last()
        ));
    }
    let labels = images.labels.iter().enumerate();
    let kept = labels.filter(|&(_, &label)| classes.contains(label));
    let kept: Vec<usize> = kept.map(|(number, _)| number).collect();
    if kept.is_empty() {
        return input(format!("there are no images of the classes {classes}"));
    }
    images.retain(&kept);
    Ok(())
}

/// Brings pictures into the order of the images of the same names.
///
/// # Errors
/// A picture or an image that is alone; data sets whose images have no names.
fn pair(
    plan: &Plan,
    split: Split,
    inputs: &mut Images,
    images: &mut Images,
) -> Result<(), Failure> {
    let target = plan.target.as_ref().unwrap_or(&plan.dataset);
    if images.names.is_empty() || inputs.names.is_empty() {
        return input("pairs are found by the names of pictures: both data sets must be folders");
    }
    if plan.options.skips_broken() {
        // What was skipped on one side has no partner on the other.
        let known = [by_name(inputs), by_name(images)].map(|places| {
            places
                .into_keys()
                .map(str::to_owned)
                .collect::<BTreeSet<_>>()
        });
        for (side, others) in [(&mut *inputs, &known[1]), (&mut *images, &known[0])] {
            let kept = side
                .names
                .iter()
                .enumerate()
                .filter(|(_, name)| others.contains(*name));
            let kept: Vec<usize> = kept.map(|(place, _)| place).collect();
            side.retain(&kept);
        }
    }
    for (side, dataset) in [(&*inputs, &plan.dataset), (&*images, target)] {
        let mut seen = BTreeSet::new();
        if let Some(twice) = side.names.iter().find(|name| !seen.insert(*name)) {
            return input(format!("two pictures of {dataset} are called {twice}"));
        }
    }
    let places = by_name(inputs);
    let alone = |name: &str, other: &data::Dataset| {
        input(format!(
            "{name} has no partner: there is no picture of this name among the {} pictures of {other} (without folders \
             train and test, the two must have one ending to be in one split)",
            split.name()
        ))
    };
    let mut order = Vec::with_capacity(images.count);
    for name in &images.names {
        match places.get(name.as_str()) {
            Some(&place) => order.push(place),
            None => return alone(name, &plan.dataset),
        }
    }
    let mut unread = vec![true; inputs.count];
    order.iter().for_each(|&place| unread[place] = false);
    if let Some(place) = unread.iter().position(|&unread| unread) {
        return alone(&inputs.names[place], target);
    }
    inputs.retain(&order);
    Ok(())
}

/// How many held-out pictures grids show of images of a shape: whole rows, and of large ones fewer.
pub(super) fn shown(image: Shape) -> usize {
    let fit = SHOWN_NUMBERS / image.len().max(1);
    fit.clamp(8, SHOWN) / 4 * 4
}

/// The places of images by their names.
fn by_name(images: &Images) -> BTreeMap<&str, usize> {
    let names = images.names.iter().enumerate();
    names.map(|(place, name)| (name.as_str(), place)).collect()
}

/// Held-out pictures of a run.
#[derive(Default)]
pub(super) struct HeldOut {
    /// Those that the generator reads, and the images that should be made of them; `None` where it reads latents.
    pub there: Option<Shown>,
    /// Those that the generator reads which goes back, of a translation without pairs.
    pub back: Option<Shown>,
}

impl HeldOut {
    /// Some held-out pictures of a run whose generators read pictures, at even distances; of large ones fewer.
    ///
    /// # Errors
    /// As [`Loaded::new`].
    pub fn load(plan: &Plan, facts: &Facts) -> Result<Self, Failure> {
        let Some(picture) = facts.picture else {
            return Ok(Self::default());
        };
        let loaded = Loaded::new(plan, Split::Test)?;
        let image = facts.image;
        let as_shown = |pixels: &[u8], picture, images| Shown {
            pictures: from_pixels(pixels),
            picture,
            images,
        };
        if !matches!(plan.game, Game::Cycle(_)) {
            let most = NUMBERS / picture.len().max(image.len());
            let (pictures, images) = loaded.held_out(plan, facts, most.clamp(4, SCORED));
            return Ok(Self {
                there: Some(as_shown(&pictures, picture, images)),
                back: None,
            });
        }
        // A cycle is trained without pairs, so its checkpoints are not chosen by them, even where names tell the pairs.
        let (pictures, targets) = loaded.both();
        let [there, back] =
            [(pictures, picture, image), (targets, image, picture)].map(|(images, shape, made)| {
                let pixels = spread(&images.pixels, shape.len(), shown(made));
                as_shown(&pixels, shape, Vec::new())
            });
        Ok(Self {
            there: Some(there),
            back: Some(back),
        })
    }
}

/// How near a generator comes to the images that belong to held-out pictures; `None` where there are none.
///
/// # Errors
/// The device's.
pub(super) fn score<D: Device<f32>>(
    generator: &Model<D>,
    held_out: &Shown,
) -> Result<Option<EpochScore>, ModelError> {
    if held_out.images.is_empty() {
        return Ok(None);
    }
    let made = to_pixels(&generator.evaluate(&held_out.pictures, &[])?);
    let len = generator.network().output()?.len();
    Ok(Some(EpochScore::Pairs(PairScore::new(
        &made,
        &held_out.images,
        len,
    ))))
}
