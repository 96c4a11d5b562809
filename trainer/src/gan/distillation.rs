//! Distillation: a generator learns the images that a trained one, its teacher, makes of the same latents (Aguinaldo et
//! al. 2019), and is then trained against the teacher's discriminator.

use super::adversarial::{Adversarial, LEARN, PASS_THROUGH};
use super::networks::{LossName, Losses, Named};
use super::training::{Batch, Gan};
use crate::export::fold::fold;
use crate::export::quantize::Weights;
use crate::nn::loss::{HostLoss, Logits, Read, Recording, constant, mean, value};
use crate::nn::{Mode, Model, ModelError, Statistics, device_error};
use crate::ops::{Device, Sums};
use crate::spec::Network;
use dfdx::prelude::{Cpu, CpuError, Gradients, NoneTape, OwnedTape, TryAdd, TryMul, TrySub};

/// The rules of a distillation. Its networks are those of an adversarial one, whose discriminator begins as the
/// teacher's, and the teacher.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distillation {
    /// Weight of the distance of features beside that of pixels, at least 0.
    pub features: f64,
    /// Steps that the generator learns from the teacher. The steps after them are those of `finish`.
    pub steps: u32,
    pub finish: Adversarial,
    /// How fine the weights are that images are made with while the teacher is imitated: those that an export would
    /// round the generator's to. Their gradient counts as that of the weights themselves (Bengio et al. 2013, the
    /// straight-through estimator). `None` to leave weights as they are.
    pub weights: Option<Weights>,
}

const PIXELS: LossName = LossName {
    key: "pixels",
    title: "distance of pixels",
    short: "pixels",
};
const FEATURES: LossName = LossName {
    key: "features",
    title: "distance of features",
    short: "features",
};

/// What a step of imitation gives.
struct Imitation<D: Device<f32>> {
    losses: Losses,
    gradients: Gradients<f32, D::Nodes>,
    statistics: Statistics,
}

impl Distillation {
    /// The losses of its steps: of those that imitate the teacher, then those of an adversarial network.
    pub const LOSSES: [LossName; 4] = [
        PIXELS,
        FEATURES,
        Adversarial::LOSSES[0],
        Adversarial::LOSSES[1],
    ];

    /// The name of the network that is imitated.
    pub const TEACHER: &str = "teacher";

    /// The network that is imitated, by its name.
    pub fn teacher(network: Network) -> Named {
        Named::auxiliary(Self::TEACHER, network)
    }

    /// Updates the generator by the teacher's images, or both networks by the finish.
    ///
    /// # Errors
    /// Other networks; the device's.
    pub(super) fn step<D: Device<f32>>(
        self,
        gan: &mut Gan<D>,
        batch: Batch<'_>,
    ) -> Result<Losses, ModelError> {
        if gan.steps >= self.steps {
            return self.finish.step(gan, batch);
        }
        let Gan {
            generator,
            others,
            latents,
            ..
        } = gan;
        let [discriminator, teacher] = others.as_slice() else {
            return Err(ModelError::Networks {
                expected: 3,
                found: 1 + others.len(),
            });
        };
        let critic = discriminator.model.features()?;
        let latents = latents.latents(batch.n, teacher.model.network().input.len());
        let imitation =
            |student: &Model<D>| self.imitation(student, &teacher.model, &critic, &latents, batch);
        let mut imitation = match self.weights {
            None => imitation(&generator.model)?,
            Some(weights) => {
                let mut rounded = rounded(&generator.model, weights)?;
                let imitation = imitation(&rounded)?;
                let gradients =
                    straight_through(imitation.gradients, &mut rounded, &mut generator.model)?;
                Imitation {
                    gradients,
                    ..imitation
                }
            }
        };
        generator.update(&mut imitation.gradients)?;
        generator
            .model
            .update_statistics(batch.n, &imitation.statistics);
        Ok(imitation.losses)
    }

    /// The losses of a student's images of some latents, and their gradients with respect to its weights.
    fn imitation<D: Device<f32>>(
        self,
        student: &Model<D>,
        teacher: &Model<D>,
        critic: &Model<D>,
        latents: &[f32],
        batch: Batch<'_>,
    ) -> Result<Imitation<D>, ModelError> {
        let n = batch.n;
        // Of the first of several batches.
        let classes = &batch.classes[..n.min(batch.classes.len())];
        let device = student.device();
        let latents = student.input(n, latents)?;
        let (shown, _) = teacher.forward(&mut NoneTape, &latents, classes, Mode::Evaluate)?;
        let mut recording = Recording::new(device);
        let tape = &mut recording.tape;
        let (made, statistics) = student.forward(tape, &latents, classes, LEARN)?;
        let known = match critic.network().classes() {
            Some(_) => classes,
            None => &[],
        };
        let (wanted, _) = critic.forward(&mut NoneTape, &shown, known, Mode::Evaluate)?;
        let (seen, _) = critic.forward(tape, &made, known, PASS_THROUGH)?;
        let pairs = [(&made, &shown), (&seen, &wanted)].map(|(made, wanted)| {
            let wanted = constant(device, wanted)?;
            Ok::<_, ModelError>((recording.read(made)?, wanted))
        });
        let [pixels, features] = pairs;
        let (pixels, features) = (pixels?, features?);
        let run = || {
            let scale = 1.0 / spread(&features.1);
            let pixels = distance(pixels.0, pixels.1, device.sums())?;
            let features = distance(features.0, features.1, device.sums())?.try_mul(scale)?;
            let losses = Losses::new([(PIXELS, value(&pixels)), (FEATURES, value(&features))]);
            let features = features.try_mul(self.features as f32)?;
            Ok::<_, CpuError>((losses, pixels.try_add(features)?))
        };
        let (losses, loss) = run().map_err(device_error)?;
        let (_, gradients) = recording.backward(loss)?;
        Ok(Imitation {
            losses,
            gradients,
            statistics,
        })
    }
}

/// The mean distance of numbers.
fn distance(made: Read, wanted: Logits<Cpu, NoneTape>, sums: Sums) -> Result<HostLoss, CpuError> {
    mean(made.try_sub(wanted)?.try_abs()?, sums)
}

/// The mean distance of numbers from 0; 1 if all are 0.
fn spread(numbers: &Logits<Cpu, NoneTape>) -> f32 {
    let numbers = numbers.as_vec();
    let sum: f64 = numbers.iter().map(|v| f64::from(v.abs())).sum();
    let spread = (sum / numbers.len() as f64) as f32;
    if spread > 0.0 { spread } else { 1.0 }
}

/// A model of folded layers with the weights that an export would round a model's to.
///
/// # Errors
/// A network that cannot be exported; the device's.
pub fn rounded<D: Device<f32>>(model: &Model<D>, weights: Weights) -> Result<Model<D>, ModelError> {
    let folded = fold(model.network(), &model.parameters()?);
    let mut folded = folded.map_err(|error| ModelError::Rounding(error.to_string()))?;
    weights.round(&mut folded.layers);
    let (network, parameters) = folded.unfold()?;
    Model::new(model.device().clone(), &network, &parameters)
}

/// Gradients with respect to the weights of `from` as those of `to`, a model of the same network.
fn straight_through<D: Device<f32>>(
    mut gradients: Gradients<f32, D::Nodes>,
    from: &mut Model<D>,
    to: &mut Model<D>,
) -> Result<Gradients<f32, D::Nodes>, ModelError> {
    let device = to.device().clone();
    let mut run = || {
        // On a tape that only hands gradients on.
        let mut tape = OwnedTape::default();
        let mut starts = Vec::new();
        for (from, to) in from.trained_mut().into_iter().zip(to.trained_mut()) {
            let gradient = device.gradient(&mut gradients, from)?;
            starts.push((device.reshape(&mut tape, to, device.dims(to))?, gradient));
        }
        device.backward(tape, starts)
    };
    run().map_err(device_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::quantize::{Calibration, quantize};
    use crate::gan::{Conditioning, Game, GeneratorKind, Objective, Recipe, Settings, Size};
    use crate::nn::Initialization;
    use crate::ops;
    use crate::parameters::Parameters;
    use crate::rng::{Rng, Stream};
    use crate::spec::Shape;

    const IMAGE: Shape = Shape::new(1, 8, 8);
    const BATCH: usize = 6;
    /// Of imitation.
    const STEPS: u32 = 80;

    /// Networks whose weights are large enough for images that differ.
    fn settings(classes: usize) -> Settings {
        let mut parts = Recipe::Pocket.parts(Size::Nano, IMAGE);
        if classes > 0 {
            parts.tell(classes, Conditioning::Projection).unwrap();
        }
        let teacher = parts.networks.generator.network.clone();
        parts.networks.others.push(Distillation::teacher(teacher));
        let finish = Adversarial::new(Objective::NonSaturating);
        let game = Distillation {
            features: 0.7,
            steps: STEPS,
            finish,
            weights: None,
        };
        parts.game = game.into();
        let mut settings = parts.settings(1);
        settings.optimizer.learning_rate = 1e-2;
        let mut rng = Rng::new(9, Stream::Initialization);
        for named in settings.networks.iter() {
            let drawn = Initialization::Dcgan.parameters(&named.network, &mut rng);
            let mut drawn: Parameters = drawn.unwrap();
            for (name, tensor) in &mut drawn.tensors {
                if name.ends_with("weight") {
                    tensor.data.iter_mut().for_each(|weight| *weight *= 5.0);
                }
            }
            settings.trained.insert(named.name.clone(), drawn);
        }
        settings
    }

    fn batch(classes: &[u32]) -> Batch<'_> {
        Batch::new(BATCH, &[], classes)
    }

    fn model(settings: &Settings, name: &str) -> Model<ops::Cpu> {
        let named = settings.networks.iter().find(|named| named.name == name);
        let parameters = &settings.trained[name];
        Model::new(ops::Cpu::default(), &named.unwrap().network, parameters).unwrap()
    }

    fn rules(settings: &Settings) -> Distillation {
        match settings.game {
            Game::Distillation(rules) => rules,
            _ => unreachable!(),
        }
    }

    /// The imitation of a student with these numbers.
    fn imitation(
        settings: &Settings,
        student: &Model<ops::Cpu>,
        classes: &[u32],
    ) -> Imitation<ops::Cpu> {
        let teacher = model(settings, Distillation::TEACHER);
        let critic = model(settings, Adversarial::DISCRIMINATOR)
            .features()
            .unwrap();
        let latents = Rng::new(2, Stream::Latents).latents(BATCH, teacher.network().input.len());
        let rules = rules(settings);
        rules
            .imitation(student, &teacher, &critic, &latents, batch(classes))
            .unwrap()
    }

    fn weighted(rules: Distillation, losses: &Losses) -> f64 {
        let [pixels, features] =
            ["pixels", "features"].map(|key| f64::from(losses.get(key).unwrap()));
        pixels + rules.features * features
    }

    #[test]
    fn gradients_are_the_numerical_derivatives() {
        for classes in [&[][..], &[0, 2, 1, 1, 0, 2]] {
            let settings = settings(if classes.is_empty() { 0 } else { 3 });
            let mut student = model(&settings, Adversarial::GENERATOR);
            let mut gradients = imitation(&settings, &student, classes).gradients;
            let arrays = student.trained_mut();
            // The last convolution's bias, which one number is.
            let bias: &_ = &**arrays.last().unwrap();
            let gradient = ops::Cpu::default().gradient(&mut gradients, bias).unwrap();
            let moved = |by: f32| {
                let mut parameters = settings.trained[Adversarial::GENERATOR].clone();
                let bias = parameters
                    .tensors
                    .iter_mut()
                    .rfind(|(name, _)| name.ends_with("bias"));
                bias.unwrap().1.data[0] += by;
                let network = &settings.networks.generator.network;
                let student = Model::new(ops::Cpu::default(), network, &parameters).unwrap();
                weighted(
                    rules(&settings),
                    &imitation(&settings, &student, classes).losses,
                )
            };
            let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3;
            assert!(gradient[0].abs() > 0.01, "{gradient:?}");
            assert!(
                (f64::from(gradient[0]) - slope).abs() < 0.02 * slope.abs(),
                "{gradient:?}, {slope}"
            );
        }
    }

    #[test]
    fn a_student_learns_the_teachers_images_and_then_those_of_the_data() {
        let mut settings = settings(0);
        // Narrower than its teacher.
        let student = GeneratorKind::Dcgan.network(Size::Nano, 32, IMAGE).unwrap();
        settings.networks.generator.network = student;
        settings.trained.remove(Adversarial::GENERATOR);
        let mut gan = Gan::new(ops::Cpu::default(), &settings).unwrap();
        let real = vec![0.1; BATCH * IMAGE.len()];
        let before = gan.state().unwrap();
        let steps: Vec<Losses> = (0..=STEPS)
            .map(|_| gan.step(Batch::new(BATCH, &real, &[])).unwrap())
            .collect();
        let loss = |step: &Losses| weighted(rules(&settings), step);
        let [.., imitated, played] = &steps[..] else {
            panic!("too few steps")
        };
        assert!(
            loss(imitated) < 0.8 * loss(&steps[0]),
            "{imitated:?} after {:?}",
            steps[0]
        );
        assert_eq!(imitated.get("discriminator"), None);
        assert_eq!(played.get("pixels"), None);
        assert!(played.get("discriminator").is_some());
        let after = gan.state().unwrap();
        let of = |state: &crate::gan::GanState, name: &str| state.networks[name].parameters.clone();
        assert_eq!(
            of(&after, Distillation::TEACHER),
            of(&before, Distillation::TEACHER)
        );
        let [then, now] = [&before, &after].map(|state| of(state, Adversarial::DISCRIMINATOR));
        assert_ne!(then, now);
    }

    /// A step of two batches for the discriminator has the classes of both.
    #[test]
    fn a_student_is_told_the_classes_of_its_batch() {
        let mut settings = settings(3);
        let Game::Distillation(rules) = &mut settings.game else {
            unreachable!()
        };
        rules.finish.critic_steps = 2;
        rules.steps = 1;
        let mut gan = Gan::new(ops::Cpu::default(), &settings).unwrap();
        let real = vec![0.1; 2 * BATCH * IMAGE.len()];
        let classes: Vec<u32> = (0..3).cycle().take(2 * BATCH).collect();
        for key in ["pixels", "discriminator"] {
            let losses = gan.step(Batch::new(BATCH, &real, &classes)).unwrap();
            assert!(losses.get(key).is_some(), "{losses:?}");
        }
    }

    /// The quanta of an export times their scales: nearly all of them, and next to none of the weights as they were.
    #[test]
    fn rounded_weights_are_those_of_an_export() {
        let settings = settings(0);
        let teacher = model(&settings, Distillation::TEACHER);
        let folded = fold(teacher.network(), &teacher.parameters().unwrap()).unwrap();
        // int8 scales are the same; those of int4 are rounded up a little.
        for (weights, near) in [(Weights::Int8, 1e-5), (Weights::Int4, 2e-3)] {
            let rounded = rounded(&teacher, weights).unwrap();
            let rounded = fold(rounded.network(), &rounded.parameters().unwrap()).unwrap();
            let quantized = quantize(&folded, weights, Calibration::default());
            let layers = rounded.layers.iter().zip(&folded.layers);
            for ((ours, before), exported) in layers.zip(&quantized.layers) {
                let largest = ours.weight.iter().fold(0f32, |a, b| a.max(b.abs()));
                let share = |weights: &[f32]| {
                    let pairs = weights.iter().zip(&exported.weight).enumerate();
                    let same = pairs.filter(|&(i, (&weight, &quanta))| {
                        let scale = exported.weight_scale[before.output_of_weight(i)];
                        (weight - f32::from(quanta) * scale).abs() < near * largest
                    });
                    same.count() as f64 / weights.len() as f64
                };
                let (rounded, as_it_was) = (share(&ours.weight), share(&before.weight));
                assert!(rounded > 0.97, "{weights:?}: {rounded} of {}", ours.output);
                assert!(
                    as_it_was < 0.2,
                    "{weights:?}: {as_it_was} of {}",
                    ours.output
                );
            }
        }
    }
}
