//! Translation without pairs (Zhu et al. 2017): a generator `G` makes images of one kind of pictures that a
//! discriminator takes for pictures of another kind, and `F` goes back. With the weights `c` and `i` both lower
//!
//! ```text
//! adversarial(D_B, G(a)) + adversarial(D_A, F(b)) + c (|F(G(a)) - a| + |G(F(b)) - b|) + i c (|G(b) - b| + |F(a) - a|)
//! ```
//!
//! (their equations 1 to 3 and section 5.2), by the least squares of Mao et al. 2017, whose half the generators' part
//! is without, as theirs is. The discriminators are shown earlier images too, from a buffer (their section 4).

use super::adversarial::{LEARN, LEARN_THROUGH, PASS_THROUGH, update_discriminator};
use super::losses::Objective;
use super::networks::{LossName, Losses, Named, Networks};
use super::training::{Batch, Gan, Learner};
use super::translation::Distance;
use crate::nn::loss::{HostLoss, Recording, constant, value};
use crate::nn::{Mode, ModelError, Statistics, device_error};
use crate::ops::Device;
use crate::parameters::HostTensor;
use crate::rng::Rng;
use crate::spec::Network;
use dfdx::prelude::{TryAdd, TryMul};
use std::collections::BTreeMap;

/// The rules of a translation without pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cycle {
    /// Weight of the way there and back, at least 0.
    pub cycle: f64,
    /// Weight of the distance between an image of the wanted kind and what is made of it, at least 0, as a share of
    /// [`Cycle::cycle`]. Pictures and images must have the same channels if it is above 0.
    pub identity: f64,
    pub objective: Objective,
}

const DISCRIMINATORS: LossName = LossName {
    key: "discriminator",
    title: "loss of both discriminators",
    short: "D",
};
const GENERATORS: LossName = LossName {
    key: "generator",
    title: "adversarial loss of both generators",
    short: "G",
};
const CYCLE: LossName = LossName {
    key: "cycle",
    title: "distance there and back",
    short: "cycle",
};
const IDENTITY: LossName = LossName {
    key: "identity",
    title: "distance of images from what is made of them",
    short: "identity",
};

/// Images that a buffer holds.
const HELD: usize = 50;

/// A generator's run on a batch.
struct Made<A> {
    images: A,
    statistics: Statistics,
}

impl Cycle {
    /// The paper's.
    pub const USUAL: Self = Self {
        cycle: 10.0,
        identity: 0.0,
        objective: Objective::LeastSquares,
    };

    /// The names of the generators, there and back.
    pub const GENERATORS: [&str; 2] = ["generator", "back"];
    /// The names of the discriminators, of what each generator makes.
    pub const DISCRIMINATORS: [&str; 2] = ["discriminator", "back-discriminator"];

    /// The networks by name: generators there and back, and the discriminators of what they make.
    pub fn networks(generators: [Network; 2], discriminators: [Network; 2]) -> Networks {
        let ([there, back], [of_there, of_back]) = (generators, discriminators);
        Networks {
            generator: Named::generator(Self::GENERATORS[0], there),
            others: vec![
                Named::generator(Self::GENERATORS[1], back),
                Named::auxiliary(Self::DISCRIMINATORS[0], of_there),
                Named::auxiliary(Self::DISCRIMINATORS[1], of_back),
            ],
        }
    }

    /// What the objective's loss of a generator is multiplied by.
    fn adversarial_weight(self) -> f64 {
        if self.objective == Objective::LeastSquares {
            2.0
        } else {
            1.0
        }
    }

    /// The losses of a step: sums over both directions.
    pub const fn losses(self) -> &'static [LossName] {
        const ALL: [LossName; 4] = [DISCRIMINATORS, GENERATORS, CYCLE, IDENTITY];
        const WITHOUT: [LossName; 3] = [DISCRIMINATORS, GENERATORS, CYCLE];
        if self.identity > 0.0 { &ALL } else { &WITHOUT }
    }

    /// Updates both generators, and then both discriminators.
    ///
    /// # Errors
    /// Other networks than [`Cycle::networks`]; the device's.
    pub(super) fn step<D: Device<f32>>(
        self,
        gan: &mut Gan<D>,
        batch: Batch<'_>,
    ) -> Result<Losses, ModelError> {
        let Gan {
            generator: there,
            others,
            latents,
            extra,
            ..
        } = gan;
        let [back, discriminators @ ..] = others.as_mut_slice() else {
            return Err(ModelError::Networks {
                expected: 4,
                found: 1,
            });
        };
        let [of_there, of_back] = discriminators else {
            return Err(ModelError::Networks {
                expected: 4,
                found: 2 + discriminators.len(),
            });
        };
        let n = batch.n;
        let pictures = there.model.input(n, batch.inputs)?;
        let images = back.model.input(n, batch.images)?;
        let (fakes, mut losses) = self.generators(
            [&mut *there, back],
            [&*of_there, of_back],
            [&pictures, &images],
            n,
        )?;
        let mut of_both = 0.0;
        let pairs = [(of_there, &images), (of_back, &pictures)];
        for ((discriminator, real), fake) in pairs.into_iter().zip(fakes) {
            let shown = shown(discriminator, &fake, extra, latents)?;
            of_both += update_discriminator(discriminator, self.objective, [real, &shown])?;
        }
        losses.0.insert(DISCRIMINATORS.key.to_owned(), of_both);
        Ok(losses)
    }

    /// Updates the generators by what each reads. Gives what each made, and the losses.
    fn generators<D: Device<f32>>(
        self,
        generators: [&mut Learner<D>; 2],
        discriminators: [&Learner<D>; 2],
        reads: [&D::Array; 2],
        n: usize,
    ) -> Result<([D::Array; 2], Losses), ModelError> {
        let device = generators[0].model.device().clone();
        let sums = device.sums();
        let mut recording = Recording::new(&device);
        let run = |generator: usize, read: &D::Array, mode: Mode, recording: &mut Recording<D>| {
            let model = &generators[generator].model;
            let (images, statistics) = model.forward(&mut recording.tape, read, &[], mode)?;
            Ok::<_, ModelError>(Made { images, statistics })
        };
        let fakes = [
            run(0, reads[0], LEARN, &mut recording)?,
            run(1, reads[1], LEARN, &mut recording)?,
        ];
        let again = [
            run(1, &fakes[0].images, LEARN_THROUGH, &mut recording)?,
            run(0, &fakes[1].images, LEARN_THROUGH, &mut recording)?,
        ];
        let adversarial = [0, 1].map(|direction| {
            let images = &fakes[direction].images;
            let model = &discriminators[direction].model;
            let (logits, _) = model.forward(&mut recording.tape, images, &[], PASS_THROUGH)?;
            let logits = recording.read(&logits)?;
            let loss = self.objective.generator(logits, None, sums);
            weighed(loss.map_err(device_error)?, self.adversarial_weight())
        });
        let adversarial = sum(adversarial)?;
        let cycle = [0, 1]
            .map(|direction| distance(&mut recording, &again[direction].images, reads[direction]));
        let cycle = sum(cycle)?;
        let mut losses = Losses::new([(GENERATORS, value(&adversarial)), (CYCLE, value(&cycle))]);
        let mut loss = sum([Ok(adversarial), weighed(cycle, self.cycle)])?;
        let mut seen = Vec::new();
        if self.identity > 0.0 {
            let same = [
                run(0, reads[1], LEARN, &mut recording)?,
                run(1, reads[0], LEARN, &mut recording)?,
            ];
            let distances = [0, 1].map(|direction| {
                distance(
                    &mut recording,
                    &same[direction].images,
                    reads[1 - direction],
                )
            });
            let identity = sum(distances)?;
            losses.0.insert(IDENTITY.key.to_owned(), value(&identity));
            loss = sum([Ok(loss), weighed(identity, self.cycle * self.identity)])?;
            seen.extend([0, 1].into_iter().zip(same));
        }
        let (_, mut gradients) = recording.backward(loss)?;
        let [there, back] = generators;
        there.update(&mut gradients)?;
        back.update(&mut gradients)?;
        let images = [0, 1].map(|direction| fakes[direction].images.clone());
        seen.extend([0, 1].into_iter().zip(fakes));
        seen.extend([1, 0].into_iter().zip(again));
        for (generator, made) in seen {
            let learner = if generator == 0 {
                &mut *there
            } else {
                &mut *back
            };
            learner.model.update_statistics(n, &made.statistics);
        }
        Ok((images, losses))
    }
}

/// What a discriminator is shown of images that were just made: while its buffer fills, these; later half of the time
/// an earlier one in the place of each, which then takes the earlier one's place (Shrivastava et al. 2017, section
/// 2.3).
fn shown<D: Device<f32>>(
    discriminator: &Learner<D>,
    made: &D::Array,
    extra: &mut BTreeMap<String, HostTensor>,
    rng: &mut Rng,
) -> Result<D::Array, ModelError> {
    let device = discriminator.model.device();
    let dims = device.dims(made);
    let sizes = &dims[1..];
    let len = sizes.iter().product::<usize>();
    let empty = || HostTensor {
        shape: [&[0], sizes].concat(),
        data: Vec::new(),
    };
    let key = format!("{}-buffer", discriminator.name);
    let buffer = extra.entry(key).or_insert_with(empty);
    let mut images = device.to_host(made);
    for image in images.chunks_exact_mut(len) {
        if buffer.shape[0] < HELD {
            buffer.data.extend_from_slice(image);
            buffer.shape[0] += 1;
        } else if rng.uniform() < 0.5 {
            let place = (rng.uniform() * HELD as f64) as usize;
            let held = &mut buffer.data[place.min(HELD - 1) * len..][..len];
            held.swap_with_slice(image);
        }
    }
    device.array(&images, dims).map_err(device_error)
}

/// The mean distance of recorded images from given ones.
fn distance<D: Device<f32>>(
    recording: &mut Recording<D>,
    made: &D::Array,
    wanted: &D::Array,
) -> Result<HostLoss, ModelError> {
    let device = recording.device().clone();
    let wanted = constant(&device, wanted)?;
    let distance = Distance::Absolute.of(recording.read(made)?, wanted, device.sums());
    distance.map_err(device_error)
}

fn weighed(loss: HostLoss, weight: f64) -> Result<HostLoss, ModelError> {
    loss.try_mul(weight as f32).map_err(device_error)
}

fn sum([a, b]: [Result<HostLoss, ModelError>; 2]) -> Result<HostLoss, ModelError> {
    a?.try_add(b?).map_err(device_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gan::numerical::{Models, check, mean, numbers, settings, smooth};
    use crate::ops::Cpu;
    use crate::rng::Stream;
    use crate::spec::Shape;

    const N: usize = 3;
    const SHAPE: Shape = Shape::new(1, 4, 3);

    fn networks() -> Networks {
        let generator = || smooth(SHAPE, 1, true);
        let discriminator = || smooth(SHAPE, 1, false);
        Cycle::networks(
            [generator(), generator()],
            [discriminator(), discriminator()],
        )
    }

    #[test]
    fn gradients_are_the_numerical_derivatives() {
        // Far from what the generators make, so that no distance comes near its corner at 0.
        let far = |seed| -> Vec<f32> {
            let numbers = numbers(seed, N * SHAPE.len()).into_iter();
            numbers
                .map(|v| v.signum() * (0.9 + 0.1 * v.abs()))
                .collect()
        };
        let (images, pictures) = (far(1), far(2));
        let batch = Batch {
            n: N,
            images: &images,
            classes: &[],
            inputs: &pictures,
        };
        let run = |models: &Models, name: &str, x: &[f32]| models[name].evaluate(x, &[]).unwrap();
        let rules = Cycle {
            cycle: 3.0,
            identity: 0.5,
            ..Cycle::USUAL
        };
        let settings = settings(networks(), rules.into());
        let l1 = |a: &[f32], b: &[f32]| mean(a, b, |a, b| (a - b).abs());
        let of_generators = |models: &Models| {
            let there = run(models, "generator", &pictures);
            let back = run(models, "back", &images);
            let adversarial = [("discriminator", &there), ("back-discriminator", &back)];
            let adversarial = adversarial.map(|(name, fake)| {
                let logits = run(models, name, fake);
                mean(&logits, &logits, |logit, _| (logit - 1.0).powi(2))
            });
            let cycle = l1(&run(models, "back", &there), &pictures)
                + l1(&run(models, "generator", &back), &images);
            let identity = l1(&run(models, "generator", &images), &images)
                + l1(&run(models, "back", &pictures), &pictures);
            adversarial[0] + adversarial[1] + 3.0 * cycle + 1.5 * identity
        };
        check(&settings, batch, "generator", &[], of_generators);
        check(&settings, batch, "back", &[], of_generators);
        for (name, generator, read, real) in [
            ("discriminator", "generator", &pictures, &images),
            ("back-discriminator", "back", &images, &pictures),
        ] {
            check(&settings, batch, name, &[], |models: &Models| {
                let fake = run(models, name, &run(models, generator, read));
                let real = run(models, name, real);
                mean(&real, &fake, |real, fake| {
                    ((real - 1.0).powi(2) + fake * fake) / 2.0
                })
            });
        }
    }

    /// Fifty images, and then each that is shown or kept: none is lost, none is shown that was not made.
    #[test]
    fn a_buffer_shows_earlier_images() {
        let settings = settings(networks(), Cycle::USUAL.into());
        let gan = Gan::new(Cpu::default(), &settings).unwrap();
        let discriminator = &gan.others[1];
        let (mut extra, mut rng) = (BTreeMap::new(), Rng::new(1, Stream::Latents));
        let (mut old, mut all) = (0, Vec::new());
        for step in 0..40 {
            let numbers: Vec<f32> = (0..N).map(|i| (step * N + i) as f32).collect();
            let pixels: Vec<f32> = numbers.iter().flat_map(|&n| [n; 12]).collect();
            let made = discriminator.model.input(N, &pixels).unwrap();
            let seen = shown(discriminator, &made, &mut extra, &mut rng).unwrap();
            let seen: Vec<f32> = seen.data().chunks(12).map(|image| image[0]).collect();
            all.extend_from_slice(&numbers);
            for (&seen, &made) in seen.iter().zip(&numbers) {
                assert!(all.contains(&seen));
                assert!(all.len() > 50 || seen == made);
                old += usize::from(seen != made);
            }
        }
        let buffer = &extra["discriminator-buffer"];
        assert_eq!(buffer.shape, [50, 4, 3, 1]);
        // Of 70 images that come when it is full, half; five standard deviations are 21.
        assert!((14..57).contains(&old), "{old}");
    }
}
