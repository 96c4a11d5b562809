//! The latent whose image comes closest to a picture.
//!
//! From several starts, latents go down the gradient of the distance of pixels and features, by the float network (Zhu et
//! al. 2016, "Generative Visual Manipulation on the Natural Image Manifold", section 3.1). The best are rounded to the
//! device's own latents, and these are moved a component at a time, as long as the device's image comes closer. So the
//! distance that is told is that of the very image which a device draws.

use crate::engines::{Engine, EngineError, RuntimeEngine};
use crate::export::blob;
use crate::nn::loss::{Recording, constant, sum};
use crate::nn::{Mode, Model, ModelError, device_error};
use crate::ops::{Cpu, Device};
use crate::rng::{Rng, Stream};
use crate::spec::Shape;
use dfdx::prelude::{NoneTape, TryAdd, TryMul, TrySub};
use pocketgan::{PixelRange, latent};

/// How a latent is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Latents that are drawn to start from; of a model with classes, so many of each.
    pub starts: usize,
    /// Steps down the gradient.
    pub steps: u32,
    /// Weight of the distance of features beside that of pixels.
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
/// Adam's step size and decays.
const RATE: f64 = 0.05;
const DECAYS: [f64; 2] = [0.9, 0.99];

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
        Ok(Self {
            generator: Model::new(Cpu::default(), &network, &parameters)?,
            // Features are of images from -1 to 1.
            features: match range {
                PixelRange::Signed => features,
                PixelRange::Unsigned => Vec::new(),
            },
            engine: RuntimeEngine::new(device)?,
            shape: Shape::new(output.channels, output.height, output.width),
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
        let classes: Vec<u32> = match (target.class, self.classes() as u32) {
            (_, 0) => Vec::new(),
            (Some(class), _) => vec![class; settings.starts],
            (None, classes) => (0..classes)
                .flat_map(|class| std::iter::repeat_n(class, settings.starts))
                .collect(),
        };
        let count = settings.starts.max(classes.len());
        let size = self.engine.latent_size();
        let mut latents = Rng::new(settings.seed, Stream::Latents).latents(count, size);
        let losses = self.descend(&mut latents, &classes, target, settings)?;
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        let mut found = Vec::new();
        for start in order.into_iter().take(wanted) {
            let own = &latents[start * size..(start + 1) * size];
            let rounded = own.iter().map(|&x| (x / latent::SCALE).round());
            let rounded = rounded.map(|q| q.clamp(-127.0, 127.0) as i8).collect();
            found.push(self.refine(rounded, classes.get(start).copied(), target)?);
        }
        found.sort_by(|a, b| a.distance.total_cmp(&b.distance));
        Ok(found)
    }

    /// Moves latents down the gradient of their losses, which are given back.
    fn descend(
        &self,
        latents: &mut [f32],
        classes: &[u32],
        target: Target<'_>,
        settings: Settings,
    ) -> Result<Vec<f64>, ProjectionError> {
        let count = latents.len() / self.generator.network().input.len();
        let mut moments = vec![[0.0f64; 2]; latents.len()];
        let mut losses = vec![f64::INFINITY; count];
        for step in 1..=settings.steps {
            let (own, gradient) = self.gradient(latents, classes, target, settings)?;
            losses = own;
            let corrections = DECAYS.map(|decay| 1.0 - decay.powi(step as i32));
            for ((x, g), moments) in latents.iter_mut().zip(gradient).zip(&mut moments) {
                let g = f64::from(g);
                for ((moment, decay), term) in moments.iter_mut().zip(DECAYS).zip([g, g * g]) {
                    *moment = decay * *moment + (1.0 - decay) * term;
                }
                let [mean, square] = [0, 1].map(|i| moments[i] / corrections[i]);
                let moved = f64::from(*x) - RATE * mean / (square.sqrt() + 1e-8);
                let bound = f64::from(127.0 * latent::SCALE);
                *x = moved.clamp(-bound, bound) as f32;
            }
        }
        Ok(losses)
    }

    /// The loss of each latent, and the gradient of their sum.
    fn gradient(
        &self,
        latents: &[f32],
        classes: &[u32],
        target: Target<'_>,
        settings: Settings,
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
        if let Some(last) = self
            .features
            .last()
            .filter(|_| settings.feature_weight > 0.0)
        {
            let size = last.output_len();
            let scale = settings.feature_weight as f32 / size as f32;
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

    /// Moves a latent's components, one at a time, as long as the device's image comes closer.
    fn refine(
        &mut self,
        latent: Vec<i8>,
        class: Option<u32>,
        target: Target<'_>,
    ) -> Result<Found, ProjectionError> {
        let mut best = self.drawn(vec![latent], class, target)?.remove(0);
        for _ in 0..ROUNDS {
            let before = best.distance;
            for component in 0..best.latent.len() {
                let moved = MOVES.iter().filter_map(|by| {
                    let mut latent = best.latent.clone();
                    let q = i16::from(latent[component]) + by;
                    latent[component] = i8::try_from(q).ok().filter(|&q| q != i8::MIN)?;
                    Some(latent)
                });
                let moved = self.drawn(moved.collect(), class, target)?;
                let closest = moved
                    .into_iter()
                    .min_by(|a, b| a.distance.total_cmp(&b.distance));
                if let Some(closest) = closest.filter(|closest| closest.distance < best.distance) {
                    best = closest;
                }
            }
            if best.distance == before || best.distance == 0.0 {
                break;
            }
        }
        Ok(best)
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
        steps: 40,
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
        let of = |latents: &[f32]| search.gradient(latents, &[2, 2], target, SETTINGS).unwrap();
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
