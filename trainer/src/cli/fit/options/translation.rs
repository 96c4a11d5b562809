//! Recipes whose generators read pictures: which flags they have, and what these come to.

use super::{
    ADVERSARIAL, AUTOREGRESSIVE, Options, PROGRESSIVE, Plan, VARIATIONAL, defaults, input, keys,
};
use crate::cli::{Failure, name};
use crate::data::{Dataset, Task};
use crate::gan::recipes::{Parts, Translators};
use crate::gan::{Cycle, Game, Size, Translation, Translator};
use crate::spec::Shape;

/// Flags of adversarial recipes that recipes which read pictures have too, if they have a discriminator.
const SHARED: [&str; 4] = [
    "discriminator-size",
    "loss",
    "lr-generator",
    "lr-discriminator",
];

/// The flags that such a recipe does not have.
pub(super) fn foreign(defaults: &Parts, translators: &Translators) -> Vec<String> {
    let has_discriminator = !defaults.networks.others.is_empty();
    let is_cycle = matches!(defaults.game, Game::Cycle(_));
    let of_others = [ADVERSARIAL, AUTOREGRESSIVE, VARIATIONAL, PROGRESSIVE]
        .into_iter()
        .flat_map(keys);
    let of_others = of_others.filter(|key| !has_discriminator || !SHARED.contains(&key.as_str()));
    let own = [
        ("conditional", false),
        ("instance-selection", false),
        ("target-dataset", translators.takes_target),
        ("task", !is_cycle),
        ("norm", translators.takes_norm),
        ("pixel-weight", has_discriminator && !is_cycle),
        ("adversarial-weight", has_discriminator && !is_cycle),
        ("cycle-weight", is_cycle),
        ("identity-weight", is_cycle),
        ("latent-size", translators.latent_size.is_some()),
    ];
    let own = own.iter().filter(|(_, is_there)| !is_there);
    of_others
        .chain(own.map(|(flag, _)| (*flag).to_owned()))
        .collect()
}

impl Options {
    /// The data set of the images that are to be made, if it is another than that of the pictures that are read.
    ///
    /// # Errors
    /// A recipe that is told both or neither of a target and a task.
    pub(super) fn target(
        &mut self,
        defaults: &Parts,
        target: Option<Dataset>,
    ) -> Result<Option<Dataset>, Failure> {
        let Some(translators) = &defaults.translators else {
            return Ok(None);
        };
        self.target_dataset = target.as_ref().map(ToString::to_string);
        let is_cycle = matches!(defaults.game, Game::Cycle(_));
        if target.is_some() {
            return match self.task {
                Some(_) => input("give --task or --target-dataset, not both"),
                None => Ok(target),
            };
        }
        let recipe = name(self.recipe);
        self.task = self.task.or(translators.task);
        match self.task {
            None if is_cycle => input(format!(
                "{recipe} needs the pictures that are to be made: add --target-dataset"
            )),
            None => input(format!(
                "{recipe} needs to know what it learns: add --task, or --target-dataset for folders of pairs"
            )),
            Some(task)
                if translators.keeps_shape && (task.factor() > 1 || task == Task::Colorize) =>
            {
                input(format!(
                    "{recipe} makes images of the pictures' own shape: the task {} is for pix2pix",
                    name(task)
                ))
            }
            Some(_) => Ok(None),
        }
    }

    /// The rules of a translation with pairs, filled in.
    pub(super) fn translation(&mut self, defaults: Translation) -> Result<Translation, Failure> {
        if defaults.adversarial == 0.0 {
            // Without a discriminator, the pixels' weight is a scale.
            return Ok(defaults);
        }
        let pixels = *self.pixel_weight.get_or_insert(defaults.pixels);
        let adversarial = *self.adversarial_weight.get_or_insert(defaults.adversarial);
        for (flag, weight) in [
            ("pixel-weight", pixels),
            ("adversarial-weight", adversarial),
        ] {
            if !(0.0..=1e6).contains(&weight) {
                return input(format!("--{flag} must be from 0 to 1000000"));
            }
        }
        if pixels + adversarial == 0.0 {
            return input(
                "--pixel-weight and --adversarial-weight are both 0: there is nothing to learn from",
            );
        }
        let of_discriminator = [
            ("loss", self.loss.is_some()),
            ("discriminator-size", self.discriminator_size.is_some()),
            ("lr-discriminator", self.lr_discriminator.is_some()),
        ];
        let given = of_discriminator.iter().find(|(_, given)| *given);
        let objective = match given {
            Some((flag, _)) if adversarial == 0.0 => {
                return input(format!(
                    "--{flag} is about the discriminator, and there is none with --adversarial-weight 0"
                ));
            }
            _ if adversarial == 0.0 => defaults.objective,
            _ => *self.loss.get_or_insert(defaults.objective),
        };
        Ok(Translation {
            pixels,
            adversarial,
            objective,
            ..defaults
        })
    }

    /// The rules of a translation without pairs, filled in.
    pub(super) fn cycle(&mut self, defaults: Cycle) -> Result<Cycle, Failure> {
        let cycle = *self.cycle_weight.get_or_insert(defaults.cycle);
        let identity = *self.identity_weight.get_or_insert(defaults.identity);
        if !(cycle > 0.0 && cycle <= 1e6) {
            return input("--cycle-weight must be above 0 and at most 1000000");
        }
        if !(0.0..=1e6).contains(&identity) {
            return input("--identity-weight must be from 0 to 1000000");
        }
        let objective = *self.loss.get_or_insert(defaults.objective);
        if objective.is_relative() {
            return input(
                "cyclegan compares no image with a real one of its own: choose another --loss",
            );
        }
        Ok(Cycle {
            cycle,
            identity,
            objective,
        })
    }
}

impl Plan {
    /// The network of a recipe that reads pictures.
    pub(super) fn translator(&self, translators: &Translators, size: Size) -> Translator {
        let options = &self.options;
        Translator {
            kind: options.generator.unwrap_or(translators.kind),
            size,
            norm: options.norm.unwrap_or_default(),
            latent_size: self.latent_size(),
        }
    }

    /// Numbers of the latent in the middle of a network that reads pictures; `None` where there is none.
    pub fn latent_size(&self) -> Option<usize> {
        let has_latent = defaults(self.options.recipe)
            .translators?
            .latent_size
            .is_some();
        let size = self.options.latent_size.filter(|_| has_latent);
        size.map(|size| size as usize)
    }

    /// The shape of the pictures that generators read of which images of `image` are made; `inputs` is that of a data
    /// set of such pictures. `None` where generators read latents.
    ///
    /// # Errors
    /// Images that the task cannot be made of; pictures that are larger than the images or of other proportions.
    pub fn picture(&self, image: Shape, inputs: Option<Shape>) -> Result<Option<Shape>, Failure> {
        if let Some(task) = self.options.task {
            let picture = task.input(image);
            return match picture {
                Ok(picture) => Ok(Some(picture)),
                Err(reason) => input(format!(
                    "the task {} {reason}, and these images are {image}",
                    name(task)
                )),
            };
        }
        match inputs {
            Some(picture) if (picture.height, picture.width) != (image.height, image.width) => {
                input(format!(
                    "pictures that are read and images that are made must have one size, and these have {picture} and \
                     {image}: add --image-size"
                ))
            }
            picture => Ok(picture),
        }
    }
}
