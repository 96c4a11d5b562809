//! `trainer recipes`: what can be trained.

use super::Failure;
use crate::gan::penalties::PenaltyKind;
use crate::gan::{Objective, Recipe, Size};
use crate::spec::{Shape, SpecError};
use clap::ValueEnum;
use serde::Serialize;

/// List the recipes with their parts; `trainer fit` has a flag for each part.
#[derive(Debug, clap::Args)]
pub struct RecipesArgs {
    /// Print one JSON object a recipe.
    #[arg(long)]
    json: bool,
}

/// A recipe's defaults; the parameters are for 28x28 grey images of ten classes, size small.
#[derive(Serialize)]
struct Listed {
    recipe: Recipe,
    about: String,
    generator_parameters: usize,
    discriminator_parameters: usize,
    sizes: Vec<Size>,
    conditional: bool,
    loss: Objective,
    penalty: PenaltyKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    penalty_weight: Option<f64>,
    weight_clip: f64,
    critic_steps: u32,
    batch: u32,
    lr: f64,
    beta1: f64,
    beta2: f64,
}

pub fn run(args: RecipesArgs) -> Result<(), Failure> {
    for &recipe in Recipe::value_variants() {
        let listed = Listed::new(recipe).map_err(anyhow::Error::from)?;
        if args.json {
            super::print_json(&listed)?;
        } else {
            listed.print();
        }
    }
    Ok(())
}

impl Listed {
    fn new(recipe: Recipe) -> Result<Self, SpecError> {
        let mut parts = recipe.parts(Size::Small, Shape::new(1, 28, 28));
        if parts.conditional {
            parts.tell(10);
        }
        let (penalty, penalty_weight) = PenaltyKind::of(parts.penalty);
        let help = recipe.to_possible_value();
        let help = help.and_then(|value| Some(value.get_help()?.to_string()));
        Ok(Self {
            recipe,
            about: help.unwrap_or_default(),
            generator_parameters: parts.generator.parameters()?,
            discriminator_parameters: parts.discriminator.parameters()?,
            sizes: match recipe.is_sized() {
                true => Size::value_variants().to_vec(),
                false => Vec::new(),
            },
            conditional: parts.conditional,
            loss: parts.objective,
            penalty,
            penalty_weight,
            weight_clip: parts.weight_clip.unwrap_or(0.0),
            critic_steps: parts.critic_steps,
            batch: parts.batch,
            lr: parts.optimizer.learning_rate,
            beta1: parts.optimizer.beta1,
            beta2: parts.optimizer.beta2,
        })
    }

    fn print(&self) {
        say!("{:<13} {}", self.recipe.name(), self.about);
        say!(
            "{:<13} parameters {} and {}{}; loss {}, penalty {}{}; batch {}, lr {}, betas {} and {}, critic steps {}{}",
            "",
            self.generator_parameters,
            self.discriminator_parameters,
            match self.conditional {
                true => ", told the class",
                false => "",
            },
            name(self.loss),
            name(self.penalty),
            self.penalty_weight
                .map_or_else(String::new, |weight| format!(" {weight}")),
            self.batch,
            self.lr,
            self.beta1,
            self.beta2,
            self.critic_steps,
            match self.weight_clip {
                0.0 => String::new(),
                bound => format!(", weights within {bound}"),
            }
        );
    }
}

/// A value's name on the command line.
fn name(value: impl ValueEnum) -> String {
    let named = value.to_possible_value();
    named.map_or_else(String::new, |named| named.get_name().to_owned())
}
