//! The run that a generator learns from.

use super::options::{Plan, input};
use super::source::Source;
use crate::cli::Failure;
use crate::export::fold::fold;
use crate::gan::{Adversarial, Distillation, Settings};
use crate::parameters::Parameters;
use crate::spec::{Network, Shape};
use std::path::Path;

/// The teacher's newest checkpoint, in the folder of the run that learns from it.
const FILE: &str = "teacher.safetensors";

/// What is taken from a teacher's run.
pub(super) struct Teacher {
    pub source: Source,
    /// The network that makes images, and the average of its weights.
    generator: (Network, Parameters),
    discriminator: (Network, Parameters),
}

impl Teacher {
    /// The teacher of a run: as it was when the run began, if it has; otherwise as it is now. `None` for a run without
    /// one.
    ///
    /// # Errors
    /// No adversarial run, or one without checkpoints.
    pub fn of(plan: &Plan) -> Result<Option<Self>, Failure> {
        let Some(run) = &plan.options.teacher else {
            return Ok(None);
        };
        let source = Source::of(plan, run, FILE)?;
        let checkpoint = &source.checkpoint;
        let state = &checkpoint.gan.networks;
        let others = &checkpoint.networks.others;
        let discriminator = others
            .iter()
            .find(|named| named.name == Adversarial::DISCRIMINATOR);
        let discriminator = discriminator.and_then(|named| {
            let parameters = state.get(&named.name)?.parameters.clone();
            Some((named.network.clone(), parameters))
        });
        let generator = checkpoint.generator();
        let generator = generator.filter(|(network, _)| !network.reads_pictures());
        let (Some((network, parameters)), Some(discriminator)) = (generator, discriminator) else {
            return input(format!(
                "{} has no generator and discriminator: a teacher is the run of an adversarial recipe",
                run.display()
            ));
        };
        Ok(Some(Self {
            generator: (network.clone(), parameters.clone()),
            discriminator,
            source,
        }))
    }

    /// Numbers of a latent.
    pub fn latent_size(&self) -> usize {
        self.generator.0.input.len()
    }

    /// How many classes it is told, if it is told any.
    pub fn classes(&self) -> Option<usize> {
        self.generator.0.classes()
    }

    /// Checks that it makes images of this shape and, if it is told classes, of so many.
    ///
    /// # Errors
    /// It does not.
    pub fn check(&self, run: &Path, shape: Shape, classes: usize) -> Result<(), Failure> {
        let made = self.generator.0.output().ok();
        let of_others = self.classes().is_some_and(|own| own != classes);
        if made == Some(shape) && self.discriminator.0.input == shape && !of_others {
            return Ok(());
        }
        input(format!(
            "the teacher {} makes images of {} and {} classes, and the data set's are of {shape} and {classes} classes",
            run.display(),
            made.map_or_else(|| "another shape".into(), |shape| shape.to_string()),
            self.classes().unwrap_or(0),
        ))
    }

    /// Gives the networks of a distillation what they begin with; where weights are to be `rounded`, the generator is
    /// the teacher's own, with all that an export folds folded.
    ///
    /// # Errors
    /// A teacher that cannot be exported.
    pub fn settle(&self, settings: &mut Settings, rounded: bool) -> Result<(), Failure> {
        let Settings {
            networks, trained, ..
        } = settings;
        let (network, parameters) = &self.generator;
        let teacher = Distillation::teacher(network.clone());
        let discriminator = &self.discriminator;
        if rounded {
            let folded = fold(network, parameters).map_err(anyhow::Error::from)?;
            let (network, parameters) = folded.unfold().map_err(anyhow::Error::from)?;
            networks.generator.network = network;
            trained.insert(networks.generator.name.clone(), parameters);
        }
        networks.others.truncate(1);
        for other in &mut networks.others {
            other.network = discriminator.0.clone();
            trained.insert(other.name.clone(), discriminator.1.clone());
        }
        trained.insert(teacher.name.clone(), parameters.clone());
        networks.others.push(teacher);
        Ok(())
    }
}
