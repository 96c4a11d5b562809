//! The latent whose image comes closest to a picture.
//!
//! From several starts, latents go down the gradient of the distance of pixels and features, by the float network (Zhu
//! et al. 2016, "Generative Visual Manipulation on the Natural Image Manifold", section 3.1). The best are rounded to
//! the device's own latents, and these are moved a component at a time, as long as the device's image comes closer. So
//! the distance that is told is that of the very image which a device draws.

use crate::engines::{Engine, EngineError, RuntimeEngine};
use crate::export::blob;
use crate::nn::loss::{Recording, constant, sum};
use crate::nn::{Mode, Model, ModelError, device_error};
use crate::ops::{Cpu, Device};
use crate::rng::{Rng, Stream};
use crate::spec::Shape;
use dfdx::prelude::{NoneTape, TryAdd, TryMul, TrySub};
use nalgebra::{DMatrix, DVector};
use pocketgan::{PixelRange, latent};

/// How a latent is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Latents that are drawn to start from; of a model with classes, so many of each.
    pub starts: usize,
    /// Steps down the gradient, of the starts that go all the way.
    pub steps: u32,
    /// Weight of the distance of features beside that of pixels, which alone counts in the end.
    pub feature_weight: f64,
    /// Of the starts.
    pub seed: u64,
}

/// A picture to come close to.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// `(C, H, W)`.
    pub pixels: &'a [u8],
    /// Which of them count; all where there are none.
    pub known: &'a [bool],
    /// The class of the image; any where none is named.
    pub class: Option<u32>,
}

/// A latent and its image.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub latent: Vec<i8>,
    /// Of a model with classes.
    pub class: Option<u32>,
    /// As a device draws it, `(C, H, W)`.
    pub pixels: Vec<u8>,
    /// From the picture: the root of the mean square of the known pixels' difference, in grey levels.
    pub distance: f64,
}

/// Why no latent can be looked for.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("{0}")]
    Blob(#[from] pocketgan::Error),
    #[error("the f32 blob does not compute with f32")]
    NotFloat,
}

/// A model whose latents are searched.
pub struct Search {
    generator: Model<Cpu>,
    /// One after the other, images to what they are compared by; none where there is nothing.
    features: Vec<Model<Cpu>>,
    /// The same network, latents in the device's quanta.
    float: RuntimeEngine,
    engine: RuntimeEngine,
    shape: Shape,
    range: PixelRange,
}

/// Latents that are rounded and moved on the device's grid, at most.
const REFINED: usize = 4;
/// Rounds of moves, at most.
const ROUNDS: usize = 24;
/// How far a component is moved.
const MOVES: [i16; 12] = [-32, -16, -8, -4, -2, -1, 1, 2, 4, 8, 16, 32];
/// Adam's decays.
const DECAYS: [f64; 2] = [0.9, 0.99];

/// A latent on its way.
struct Start {
    latent: Vec<f32>,
    class: Option<u32>,
}

/// A part of the way down the gradient, after which the best go on.
struct Stage {
    /// Of the steps.
    share: f64,
    /// How many go on, at least.
    kept: usize,
    /// Adam's step size at its beginning and at its end.
    rates: [f64; 2],
    /// Whether features count.
    features: bool,
}

/// Many starts go a little way, and few to the end.
const STAGES: [Stage; 3] = [
    Stage {
        share: 0.1,
        kept: 16,
        rates: [0.1, 0.1],
        features: true,
    },
    Stage {
        share: 0.2,
        kept: REFINED,
        rates: [0.1, 0.05],
        features: true,
    },
    Stage {
        share: 0.7,
        kept: REFINED,
        rates: [0.05, 0.0005],
        features: false,
    },
];

impl Search {
    /// Of a model's two blobs, in f32 and as the device has it. `features` reads images as networks do.
    ///
    /// # Errors
    /// Blobs that are not of such a model.
    pub fn new(
        float: Vec<u8>,
        device: Vec<u8>,
        features: Vec<Model<Cpu>>,
    ) -> Result<Self, ProjectionError> {
        let float = RuntimeEngine::new(float)?;
        let model = float.model()?;
        let (output, range) = (model.output(), model.range());
        let folded = blob::folded(&model).ok_or(ProjectionError::NotFloat)?;
        let (network, parameters) = folded.unfold().map_err(ModelError::from)?;
        let shape = Shape::new(output.channels, output.height, output.width);
        Ok(Self {
            generator: Model::new(Cpu::default(), &network, &parameters)?,
            // Features are of images from -1 to 1.
            features: match range {
                PixelRange::Signed => features,
                PixelRange::Unsigned => Vec::new(),
            },
            engine: RuntimeEngine::new(device)?,
            float,
            shape,
            range,
        })
    }

    /// The shape of the images.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// How many classes there are; 0 without.
    pub fn classes(&self) -> usize {
        self.engine.classes()
    }

    /// The latents that come closest to a picture, the best first, from different starts.
    ///
    /// # Errors
    /// The device's, the engine's.
    pub fn find(
        &mut self,
        target: Target<'_>,
        settings: Settings,
    ) -> Result<Vec<Found>, ProjectionError> {
        self.several(target, settings, REFINED)
    }

    /// As [`Search::find`], so many, or one for each start where there are fewer.
    ///
    /// # Errors
    /// The device's, the engine's.
    pub fn several(
        &mut self,
        target: Target<'_>,
        settings: Settings,
        wanted: usize,
    ) -> Result<Vec<Found>, ProjectionError> {
        let classes: Vec<Option<u32>> = match (target.class, self.classes() as u32) {
            (_, 0) => vec![None],
            (Some(class), _) => vec![Some(class)],
            (None, classes) => (0..classes).map(Some).collect(),
        };
        let size = self.engine.latent_size();
        let mut rng = Rng::new(settings.seed, Stream::Latents);
        let starts = classes.iter().flat_map(|&class| {
            let latents = rng.latents(settings.starts, size);
            let latents = latents.chunks_exact(size.max(1));
            let starts = latents.map(|latent| Start {
                latent: latent.to_vec(),
                class,
            });
            starts.collect::<Vec<_>>()
        });
        let mut starts: Vec<Start> = starts.collect();
        for stage in &STAGES {
            starts = self.descend(starts, stage, target, settings)?;
            starts.truncate(stage.kept.max(wanted));
        }
        let mut found = Vec::new();
        for start in starts.into_iter().take(wanted) {
            let rounded = start.latent.iter().map(|&x| (x / latent::SCALE).round());
            let rounded = rounded.map(|q| q.clamp(-127.0, 127.0) as i8).collect();
            found.push(self.refine(rounded, start.class, target)?);
        }
        found.sort_by(|a, b| a.distance.total_cmp(&b.distance));
        Ok(found)
    }

    /// Moves latents down the gradient of their losses, by Adam (Kingma & Ba 2015); the best come first.
    fn descend(
        &self,
        starts: Vec<Start>,
        stage: &Stage,
        target: Target<'_>,
        settings: Settings,
    ) -> Result<Vec<Start>, ProjectionError> {
        let classes: Vec<u32> = starts.iter().filter_map(|start| start.class).collect();
        let mut latents: Vec<f32> = starts
            .iter()
            .flat_map(|start| &start.latent)
            .copied()
            .collect();
        let weight = settings.feature_weight * f64::from(u8::from(stage.features));
        let steps = (f64::from(settings.steps) * stage.share).ceil().max(1.0) as u32;
        let mut moments = vec![[0.0f64; 2]; latents.len()];
        for step in 1..=steps {
            let (_, gradient) = self.gradient(&latents, &classes, target, weight)?;
            let corrections = DECAYS.map(|decay| 1.0 - decay.powi(step as i32));
            let [first, last] = stage.rates;
            let rate = first * (last / first).powf(f64::from(step - 1) / f64::from(steps));
            for ((x, g), moments) in latents.iter_mut().zip(gradient).zip(&mut moments) {
                let g = f64::from(g);
                for ((moment, decay), term) in moments.iter_mut().zip(DECAYS).zip([g, g * g]) {
                    *moment = decay * *moment + (1.0 - decay) * term;
                }
                let [mean, square] = [0, 1].map(|i| moments[i] / corrections[i]);
                let moved = f64::from(*x) - rate * mean / (square.sqrt() + 1e-8);
                let bound = f64::from(127.0 * latent::SCALE);
                *x = moved.clamp(-bound, bound) as f32;
            }
        }
        let (losses, _) = self.gradient(&latents, &classes, target, weight)?;
        let size = latents.len() / starts.len().max(1);
        let latents = latents.chunks_exact(size.max(1));
        let ends = starts.iter().zip(latents).zip(losses);
        let mut ends: Vec<(f64, Start)> = ends
            .map(|((start, latent), loss)| {
                let latent = latent.to_vec();
                (loss, Start { latent, ..*start })
            })
            .collect();
        ends.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        Ok(ends.into_iter().map(|(_, start)| start).collect())
    }

    /// The loss of each latent, and the gradient of their sum.
    fn gradient(
        &self,
        latents: &[f32],
        classes: &[u32],
        target: Target<'_>,
        feature_weight: f64,
    ) -> Result<(Vec<f64>, Vec<f32>), ProjectionError> {
        let device = self.generator.device();
        let order = Device::<f32>::sums(device);
        let count = latents.len() / self.generator.network().input.len();
        let values: Vec<f32> = target.pixels.iter().map(|&p| self.value(p)).collect();
        let weights: Vec<f32> = match target.known {
            [] => vec![1.0; values.len()],
            known => known
                .iter()
                .map(|&known| f32::from(u8::from(known)))
                .collect(),
        };
        let known: f32 = weights.iter().sum::<f32>().max(1.0);
        let wanted = self.generator.target(count, &values.repeat(count))?;
        let weights = weights.repeat(count);
        let weights = self.generator.target(count, &weights)?;
        let mut recording = Recording::new(device);
        let x = self.generator.input(count, latents)?;
        let (images, _) =
            self.generator
                .forward(&mut recording.tape, &x, classes, Mode::Through)?;
        let read = recording.read(&images)?;
        let squares = read
            .try_sub(constant(device, &wanted)?)
            .and_then(|difference| difference.try_square())
            .map_err(device_error)?;
        let squares = squares
            .try_mul(constant(device, &weights)?)
            .map_err(device_error)?;
        let per_image = self.shape.len();
        let terms: Vec<f64> = squares.as_vec().iter().copied().map(f64::from).collect();
        let sums = terms
            .chunks_exact(per_image)
            .map(|own| own.iter().sum::<f64>());
        let mut losses: Vec<f64> = sums.map(|sum| sum / f64::from(known)).collect();
        let mut loss = sum(squares, order)
            .and_then(|sum| sum.try_mul(1.0 / known))
            .map_err(device_error)?;
        if let Some(last) = self.features.last().filter(|_| feature_weight > 0.0) {
            let size = last.output_len();
            let scale = feature_weight as f32 / size as f32;
            let (mut wanted, mut seen) = (wanted, images);
            for part in &self.features {
                (wanted, _) = part.forward(&mut NoneTape, &wanted, &[], Mode::Evaluate)?;
                (seen, _) = part.forward(&mut recording.tape, &seen, &[], Mode::Through)?;
            }
            let squares = recording
                .read(&seen)?
                .try_sub(constant(device, &wanted)?)
                .and_then(|difference| difference.try_square())
                .map_err(device_error)?;
            let terms = squares.as_vec();
            for (loss, own) in losses.iter_mut().zip(terms.chunks_exact(size)) {
                *loss += f64::from(own.iter().sum::<f32>() * scale);
            }
            let more = sum(squares, order).and_then(|sum| sum.try_mul(scale));
            loss = loss
                .try_add(more.map_err(device_error)?)
                .map_err(device_error)?;
        }
        let (_, mut gradients) = recording.backward(loss)?;
        let gradient = device.gradient(&mut gradients, &x).map_err(device_error)?;
        Ok((losses, gradient))
    }

    /// Moves a latent on the device's grid as long as the device's image comes closer: all components at once, to where
    /// the image is nearest if it changes evenly (Levenberg 1944), and one at a time.
    fn refine(
        &mut self,
        latent: Vec<i8>,
        class: Option<u32>,
        target: Target<'_>,
    ) -> Result<Found, ProjectionError> {
        let mut best = self.drawn(vec![latent], class, target)?.remove(0);
        for _ in 0..ROUNDS {
            let before = best.distance;
            while let Some(closer) = self.leap(&best, target)? {
                best = closer;
            }
            for component in 0..best.latent.len() {
                let moved = MOVES
                    .iter()
                    .filter_map(|&by| moved(&best.latent, component, by))
                    .collect();
                if let Some(closer) = closest(self.drawn(moved, class, target)?, &best) {
                    best = closer;
                }
            }
            if best.distance == before || best.distance == 0.0 {
                break;
            }
        }
        self.wander(best, target)
    }

    /// Moves a few components at random, again and again, as long as the image comes closer now and then.
    fn wander(&mut self, mut best: Found, target: Target<'_>) -> Result<Found, ProjectionError> {
        const AT_ONCE: usize = 64;
        /// Tries in a row without an image that is closer.
        const PATIENCE: usize = 16;
        let mut rng = Rng::new(0, Stream::Latents);
        let mut tries = 0;
        while tries < PATIENCE && best.distance > 0.0 {
            let size = best.latent.len();
            let mut below = |n: usize| (rng.uniform() * n as f64) as usize;
            let candidates = (0..AT_ONCE).map(|_| {
                let mut latent = best.latent.clone();
                for _ in 0..2 + below(4) {
                    let by = if below(2) == 0 { -1 } else { 1 };
                    latent = moved(&latent, below(size), by).unwrap_or(latent);
                }
                latent
            });
            let candidates = candidates.collect();
            match closest(self.drawn(candidates, best.class, target)?, &best) {
                Some(closer) => (best, tries) = (closer, 0),
                None => tries += 1,
            }
        }
        Ok(best)
    }

    /// A closer image, if one lies on the way that the slopes of all components say. A device's image is rounded, so
    /// that a latent next to the right one is hardly closer than others: the way is gone on where it is no closer.
    fn leap(&mut self, from: &Found, target: Target<'_>) -> Result<Option<Found>, ProjectionError> {
        const STEPS: usize = 8;
        /// Beside the products of the slopes.
        const DAMPING: f64 = 1e-3;
        let known: Vec<usize> = (0..target.pixels.len())
            .filter(|&at| target.known.get(at).is_none_or(|known| *known))
            .collect();
        let (mut at, mut best) = (from.clone(), from.clone());
        for _ in 0..STEPS {
            let slopes = self.slopes(&at, &known)?;
            let residual = known
                .iter()
                .map(|&pixel| f64::from(target.pixels[pixel]) - f64::from(at.pixels[pixel]));
            let residual = DVector::from_iterator(known.len(), residual);
            let mut products = slopes.transpose() * &slopes;
            for component in 0..at.latent.len() {
                products[(component, component)] *= 1.0 + DAMPING;
                products[(component, component)] += 1e-9;
            }
            let Some(products) = products.cholesky() else {
                break;
            };
            let by = products.solve(&(slopes.transpose() * residual));
            let latent: Vec<i8> = at
                .latent
                .iter()
                .zip(by.iter())
                .map(|(&q, by)| (f64::from(q) + by).round().clamp(-127.0, 127.0) as i8)
                .collect();
            if latent == at.latent {
                break;
            }
            at = self.drawn(vec![latent], from.class, target)?.remove(0);
            if at.distance < best.distance {
                best = at.clone();
            }
        }
        Ok((best.distance < from.distance).then_some(best))
    }

    /// What a quantum more of each component adds to each of some pixels, by the float network.
    fn slopes(&mut self, at: &Found, pixels: &[usize]) -> Result<DMatrix<f64>, ProjectionError> {
        const BY: i16 = 2;
        let size = at.latent.len();
        let ends: Vec<[Vec<i8>; 2]> = (0..size)
            .map(|component| {
                [-BY, BY].map(|by| moved(&at.latent, component, by).unwrap_or(at.latent.clone()))
            })
            .collect();
        let latents: Vec<i8> = ends.iter().flatten().flatten().copied().collect();
        let classes: Vec<u32> = (0..2 * size).filter_map(|_| at.class).collect();
        let images = self.float.images(&latents, &classes)?;
        let scale = match images.range {
            PixelRange::Signed => 128.0,
            PixelRange::Unsigned => 256.0,
        };
        let mut slopes = DMatrix::zeros(pixels.len(), size);
        for (component, both) in images.data.chunks_exact(2 * self.shape.len()).enumerate() {
            let (before, after) = both.split_at(self.shape.len());
            for (row, &pixel) in pixels.iter().enumerate() {
                let change = f64::from(after[pixel]) - f64::from(before[pixel]);
                slopes[(row, component)] = scale * change / f64::from(2 * BY);
            }
        }
        Ok(slopes)
    }

    /// The device's images of latents, and how far they are from a picture.
    fn drawn(
        &mut self,
        latents: Vec<Vec<i8>>,
        class: Option<u32>,
        target: Target<'_>,
    ) -> Result<Vec<Found>, ProjectionError> {
        let classes: Vec<u32> = latents.iter().filter_map(|_| class).collect();
        let images = self.engine.images(&latents.concat(), &classes)?.to_pixels();
        let images = images.chunks_exact(self.shape.len());
        let found = latents
            .into_iter()
            .zip(images)
            .map(|(latent, pixels)| Found {
                latent,
                class,
                distance: distance(pixels, target),
                pixels: pixels.to_vec(),
            });
        Ok(found.collect())
    }

    /// What a network's image has where a device's has this pixel.
    fn value(&self, pixel: u8) -> f32 {
        match self.range {
            PixelRange::Signed => (f32::from(pixel) - 128.0) / 128.0,
            PixelRange::Unsigned => f32::from(pixel) / 256.0,
        }
    }
}

/// A latent with a component moved by so many quanta; `None` beyond the ends.
fn moved(latent: &[i8], component: usize, by: i16) -> Option<Vec<i8>> {
    let q = i8::try_from(i16::from(latent[component]) + by).ok();
    let mut moved = latent.to_vec();
    moved[component] = q.filter(|&q| q != i8::MIN)?;
    Some(moved)
}

/// The closest of some, if it is closer than another.
fn closest(found: Vec<Found>, than: &Found) -> Option<Found> {
    let closest = found
        .into_iter()
        .min_by(|a, b| a.distance.total_cmp(&b.distance));
    closest.filter(|closest| closest.distance < than.distance)
}

/// The root of the mean square of the known pixels' difference.
fn distance(pixels: &[u8], target: Target<'_>) -> f64 {
    let known = |at: usize| target.known.get(at).is_none_or(|known| *known);
    let (mut sum, mut count) = (0.0, 0.0);
    for (at, (&a, &b)) in pixels.iter().zip(target.pixels).enumerate() {
        if known(at) {
            sum += f64::from(a.abs_diff(b)).powi(2);
            count += 1.0;
        }
    }
    (sum / f64::max(count, 1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::Bundle;
    use crate::export::quantize::{Calibration, Weights};
    use crate::gan::{Recipe, Size};
    use crate::nn::Initialization;

    const SETTINGS: Settings = Settings {
        starts: 4,
        steps: 100,
        feature_weight: 0.0,
        seed: 1,
    };

    fn search(classes: usize) -> Search {
        let image = Shape::new(1, 8, 8);
        let mut parts = Recipe::Pocket.parts(Size::Nano, image);
        parts.set_latent_size(8);
        if classes > 0 {
            parts.tell(classes, Default::default()).unwrap();
        }
        let network = parts.networks.generator.network;
        let mut rng = Rng::new(5, Stream::Initialization);
        let parameters = Initialization::Equalized
            .parameters(&network, &mut rng)
            .unwrap();
        let bundle = Bundle::new(&network, &parameters, Weights::Int8, Calibration::default());
        let bundle = bundle.unwrap();
        Search::new(bundle.float_blob, bundle.int8_blob, Vec::new()).unwrap()
    }

    /// What the gradient says is what a small move does.
    #[test]
    fn the_gradient_is_the_numerical_derivative() {
        let search = search(3);
        let pixels: Vec<u8> = (0..64).map(|i| (i * 37 % 251) as u8).collect();
        let known: Vec<bool> = (0..64).map(|i| i % 3 > 0).collect();
        let target = Target {
            pixels: &pixels,
            known: &known,
            class: Some(2),
        };
        let latents = Rng::new(2, Stream::Latents).latents(2, 8);
        let of = |latents: &[f32]| search.gradient(latents, &[2, 2], target, 0.0).unwrap();
        let (_, gradient) = of(&latents);
        for at in 0..latents.len() {
            let moved = |by: f32| {
                let mut latents = latents.clone();
                latents[at] += by;
                of(&latents).0.iter().sum::<f64>()
            };
            let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3;
            let ours = f64::from(gradient[at]);
            assert!(
                (ours - slope).abs() < 0.02 * (0.05 + slope.abs()),
                "{ours} for {slope}"
            );
        }
    }

    #[test]
    fn a_generated_picture_is_found_again() {
        for classes in [0, 3] {
            let mut search = search(classes);
            let classes = classes as u32;
            for number in 0..2u32 {
                let class = number.checked_rem(classes);
                let latent = crate::engines::latents(40 + u64::from(number), 1, 8);
                let own: Vec<u32> = class.into_iter().collect();
                let image = search.engine.images(&latent, &own).unwrap().to_pixels();
                let target = Target {
                    pixels: &image,
                    known: &[],
                    class: None,
                };
                let found = search.find(target, SETTINGS).unwrap();
                assert!(found[0].distance <= 2.0, "{}", found[0].distance);
                assert!(
                    found
                        .windows(2)
                        .all(|two| two[0].distance <= two[1].distance)
                );
                // The distance is that of the latent's own image.
                let own: Vec<u32> = found[0].class.into_iter().collect();
                let drawn = search.engine.images(&found[0].latent, &own).unwrap();
                assert_eq!(drawn.to_pixels(), found[0].pixels);
            }
        }
    }

    #[test]
    fn pixels_that_are_not_known_do_not_count() {
        let target = Target {
            pixels: &[10, 0, 200, 7],
            known: &[true, false, true, false],
            class: None,
        };
        assert_eq!(distance(&[13, 99, 204, 99], target), (12.5f64).sqrt());
        let all = Target {
            known: &[],
            ..target
        };
        assert_eq!(distance(&[10, 0, 200, 7], all), 0.0);
    }
}
