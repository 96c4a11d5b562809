//! `trainer recipes`: what can be trained.

use super::Failure;
use crate::gan::penalties::PenaltyKind;
use crate::gan::{Adversarial, Game, Likelihood, Objective, Recipe, Size, Variational};
use crate::spec::{Shape, SpecError};
use clap::ValueEnum;
use serde::Serialize;
use std::fmt;

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
    #[serde(flatten)]
    rules: Rules,
    batch: u32,
    lr: f64,
    beta1: f64,
    beta2: f64,
}

/// What the networks play for.
#[derive(Serialize)]
#[serde(untagged)]
enum Rules {
    Adversarial {
        loss: Objective,
        penalty: PenaltyKind,
        #[serde(skip_serializing_if = "Option::is_none")]
        penalty_weight: Option<f64>,
        weight_clip: f64,
        critic_steps: u32,
    },
    Variational {
        likelihood: Likelihood,
        beta: f64,
    },
}

impl From<Game> for Rules {
    fn from(game: Game) -> Self {
        match game {
            Game::Adversarial(Adversarial {
                objective,
                penalty,
                weight_clip,
                critic_steps,
            }) => {
                let (penalty, penalty_weight) = PenaltyKind::of(penalty);
                Self::Adversarial {
                    loss: objective,
                    penalty,
                    penalty_weight,
                    weight_clip: weight_clip.unwrap_or(0.0),
                    critic_steps,
                }
            }
            Game::Variational(Variational { likelihood, beta }) => {
                Self::Variational { likelihood, beta }
            }
        }
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Adversarial {
                loss,
                penalty,
                penalty_weight,
                weight_clip,
                critic_steps,
            } => {
                write!(f, "loss {}, penalty {}", name(loss), name(penalty))?;
                if let Some(weight) = penalty_weight {
                    write!(f, " {weight}")?;
                }
                write!(f, ", critic steps {critic_steps}")?;
                if weight_clip > 0.0 {
                    write!(f, ", weights within {weight_clip}")?;
                }
                Ok(())
            }
            Self::Variational { likelihood, beta } => {
                write!(f, "likelihood {}, beta {beta}", name(likelihood))
            }
        }
    }
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
            rules: parts.game.into(),
            batch: parts.batch,
            lr: parts.optimizer.learning_rate,
            beta1: parts.optimizer.beta1,
            beta2: parts.optimizer.beta2,
        })
    }

    fn print(&self) {
        say!("{:<13} {}", self.recipe.name(), self.about);
        say!(
            "{:<13} parameters {} and {}{}; {}; batch {}, lr {}, betas {} and {}",
            "",
            self.generator_parameters,
            self.discriminator_parameters,
            match self.conditional {
                true => ", told the class",
                false => "",
            },
            self.rules,
            self.batch,
            self.lr,
            self.beta1,
            self.beta2,
        );
    }
}

/// A value's name on the command line.
fn name(value: impl ValueEnum) -> String {
    let named = value.to_possible_value();
    named.map_or_else(String::new, |named| named.get_name().to_owned())
}
