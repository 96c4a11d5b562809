//! Translation with pairs (Isola et al. 2017): a generator makes images of pictures, and learns from the distance to
//! the image that belongs to each, from a discriminator, or from both.
//!
//! With the weights `p` and `a`, the generator lowers
//!
//! ```text
//! p distance(G(x), y) + a objective(D(x, G(x)))
//! ```
//!
//! (their equation 4, with `a` for the first term). Of the same image `x = y` it is an autoencoder.

use super::adversarial::{Adversarial, LEARN, PASS_THROUGH, update_discriminator};
use super::losses::Objective;
use super::networks::{LossName, Losses, Named, Networks};
use super::training::{Batch, Gan};
use crate::nn::loss::{HostLoss, Logits, Recording, constant, mean, value};
use crate::nn::{ModelError, device_error};
use crate::ops::{Device, Sums};
use crate::spec::Network;
use dfdx::prelude::{Cpu, CpuError, NoneTape, Tape, TryAdd, TryMul, TrySub};

/// The rules of a translation with pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Translation {
    pub distance: Distance,
    /// Weight of the distance of pixels, at least 0.
    pub pixels: f64,
    /// Weight of the discriminator's part, at least 0. There is no discriminator if it is 0.
    pub adversarial: f64,
    pub objective: Objective,
    /// Whether the discriminator sees the picture beside the image.
    pub sees_pictures: bool,
}

/// How images are compared, pixel by pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// The mean of absolute differences, L1.
    Absolute,
    /// The mean of squared differences.
    Squared,
}

impl Distance {
    /// The distance of numbers.
    pub(super) fn of<T: Tape<f32, Cpu>>(
        self,
        made: Logits<Cpu, T>,
        wanted: Logits<Cpu, NoneTape>,
        sums: Sums,
    ) -> Result<crate::nn::loss::Loss<Cpu, T>, CpuError> {
        let differences = made.try_sub(wanted)?;
        let differences = match self {
            Self::Absolute => differences.try_abs()?,
            Self::Squared => differences.try_square()?,
        };
        mean(differences, sums)
    }
}

const PIXELS: LossName = LossName {
    key: "pixels",
    title: "distance of pixels",
    short: "pixels",
};

impl Translation {
    /// By the distance of pixels alone.
    pub const PIXELS: Self = Self {
        distance: Distance::Absolute,
        pixels: 1.0,
        adversarial: 0.0,
        objective: Objective::NonSaturating,
        sees_pictures: false,
    };

    /// The losses of a step.
    pub const fn losses(self) -> &'static [LossName] {
        const ALL: [LossName; 3] = [PIXELS, Adversarial::LOSSES[0], Adversarial::LOSSES[1]];
        if self.adversarial > 0.0 {
            &ALL
        } else {
            &[PIXELS]
        }
    }

    /// The networks by name: pictures to images, and images, or images joined with pictures, to logits.
    pub fn networks(generator: Network, discriminator: Option<Network>) -> Networks {
        let named = |network| Named::auxiliary(Adversarial::DISCRIMINATOR, network);
        Networks {
            generator: Named::generator(Adversarial::GENERATOR, generator),
            others: discriminator.map(named).into_iter().collect(),
        }
    }

    /// Updates the discriminator, if there is one, and then the generator.
    ///
    /// # Errors
    /// Other networks than [`Translation::networks`]; the device's.
    pub(super) fn step<D: Device<f32>>(
        self,
        gan: &mut Gan<D>,
        batch: Batch<'_>,
    ) -> Result<Losses, ModelError> {
        let Gan {
            generator, others, ..
        } = gan;
        let n = batch.n;
        let device = generator.model.device().clone();
        let sums = device.sums();
        let pictures = generator.model.input(n, batch.inputs)?;
        let mut recording = Recording::new(&device);
        let (made, statistics) =
            generator
                .model
                .forward(&mut recording.tape, &pictures, &[], LEARN)?;
        let wanted = generator.model.target(n, batch.images)?;
        let read = recording.read(&made)?;
        let distance = self.distance.of(read, constant(&device, &wanted)?, sums);
        let distance = distance.map_err(device_error)?;
        let pixels = value(&distance);
        let mut loss: HostLoss = distance.try_mul(self.pixels as f32).map_err(device_error)?;
        let Some(discriminator) = others.first_mut().filter(|_| self.adversarial > 0.0) else {
            let (_, mut gradients) = recording.backward(loss)?;
            generator.update(&mut gradients)?;
            generator.model.update_statistics(n, &statistics);
            return Ok(Losses::new([(PIXELS, pixels)]));
        };
        let beside = self.beside(&device, &pictures, &wanted)?;
        let [real, fake] =
            [&wanted, &made].map(|images| seen(&device, &mut NoneTape, images, beside.as_ref()));
        let (real, fake) = (real?, fake?);
        let of_discriminator = update_discriminator(discriminator, self.objective, [&real, &fake])?;

        let seen_now = seen(&device, &mut recording.tape, &made, beside.as_ref())?;
        let model = &discriminator.model;
        let (logits, _) = model.forward(&mut recording.tape, &seen_now, &[], PASS_THROUGH)?;
        let logits = recording.read(&logits)?;
        let mut beside_real = None;
        if self.objective.is_relative() {
            let (logits, _) = model.forward(&mut NoneTape, &real, &[], PASS_THROUGH)?;
            beside_real = Some(constant(&device, &logits)?);
        }
        let of_generator = self.objective.generator(logits, beside_real, sums);
        let of_generator = of_generator.map_err(device_error)?;
        let generator_loss = value(&of_generator);
        let weighed = of_generator.try_mul(self.adversarial as f32);
        loss = loss
            .try_add(weighed.map_err(device_error)?)
            .map_err(device_error)?;
        let (_, mut gradients) = recording.backward(loss)?;
        generator.update(&mut gradients)?;
        generator.model.update_statistics(n, &statistics);
        let [of_both, of_it] = Adversarial::LOSSES;
        Ok(Losses::new([
            (PIXELS, pixels),
            (of_both, of_discriminator),
            (of_it, generator_loss),
        ]))
    }

    /// What the discriminator sees beside images of the sizes of `images`: the pictures, as large.
    fn beside<D: Device<f32>>(
        self,
        device: &D,
        pictures: &D::Array,
        images: &D::Array,
    ) -> Result<Option<D::Array>, ModelError> {
        if !self.sees_pictures {
            return Ok(None);
        }
        let factor = device.dims(images)[1] / device.dims(pictures)[1].max(1);
        if factor < 2 {
            return Ok(Some(pictures.clone()));
        }
        let large = device.upsample(&mut NoneTape, pictures, factor);
        large.map(Some).map_err(device_error)
    }
}

/// Images, joined with what the discriminator sees beside them.
fn seen<D: Device<f32>, T: Tape<f32, D::Nodes>>(
    device: &D,
    tape: &mut T,
    images: &D::Array,
    beside: Option<&D::Array>,
) -> Result<D::Array, ModelError> {
    match beside {
        Some(pictures) => device
            .concat(tape, images, std::slice::from_ref(pictures))
            .map_err(device_error),
        None => Ok(images.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gan::numerical::{Models, check, mean, numbers, settings, smooth};
    use crate::spec::Shape;

    const N: usize = 3;
    const PICTURE: Shape = Shape::new(1, 3, 2);
    const IMAGE: Shape = Shape::new(2, 6, 4);

    /// Twice as large, as upsampling tasks are.
    fn networks() -> Networks {
        let mut generator = smooth(PICTURE, IMAGE.channels, true);
        generator.insert(0, crate::spec::Layer::Upsample { factor: 2 });
        let both = Shape::new(3, 6, 4);
        Translation::networks(generator, Some(smooth(both, 1, false)))
    }

    /// Logits of images beside pictures, `(N, C, H, W)`.
    fn logits(models: &Models, images: &[f32], pictures: &[f32]) -> Vec<f32> {
        let mut both = Vec::new();
        let pairs = images
            .chunks(IMAGE.len())
            .zip(pictures.chunks(PICTURE.len()));
        for (image, picture) in pairs {
            both.extend_from_slice(image);
            for y in 0..6 {
                both.extend((0..4).map(|x| picture[y / 2 * 2 + x / 2]));
            }
        }
        models["discriminator"].evaluate(&both, &[]).unwrap()
    }

    fn softplus(x: f64) -> f64 {
        x.exp().ln_1p()
    }

    #[test]
    fn gradients_are_the_numerical_derivatives() {
        let (images, pictures) = (numbers(1, N * IMAGE.len()), numbers(2, N * PICTURE.len()));
        let batch = Batch {
            n: N,
            images: &images,
            classes: &[],
            inputs: &pictures,
        };
        let made = |models: &Models| models["generator"].evaluate(&pictures, &[]).unwrap();
        for (distance, power) in [(Distance::Absolute, 1), (Distance::Squared, 2)] {
            let rules = Translation {
                distance,
                pixels: 1.5,
                adversarial: 0.7,
                sees_pictures: true,
                ..Translation::PIXELS
            };
            let settings = settings(networks(), rules.into());
            let of_discriminator = |models: &Models| {
                let real = logits(models, &images, &pictures);
                let fake = logits(models, &made(models), &pictures);
                mean(&real, &fake, |real, fake| softplus(-real) + softplus(fake))
            };
            check(&settings, batch, "discriminator", &[], of_discriminator);
            let of_generator = |models: &Models| {
                let made = made(models);
                let fake = logits(models, &made, &pictures);
                let adversarial = mean(&fake, &fake, |fake, _| softplus(-fake));
                let pixels = mean(&made, &images, |a, b| (a - b).abs().powi(power));
                1.5 * pixels + 0.7 * adversarial
            };
            check(
                &settings,
                batch,
                "generator",
                &["discriminator"],
                of_generator,
            );
        }
        // Without a discriminator.
        let mut networks = networks();
        networks.others.clear();
        let settings = settings(networks, Translation::PIXELS.into());
        check(&settings, batch, "generator", &[], |models| {
            mean(&made(models), &images, |a, b| (a - b).abs())
        });
    }
}
