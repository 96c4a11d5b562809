//! `trainer recipes`: what can be trained.

use super::{Failure, name};
use crate::gan::penalties::PenaltyKind;
use crate::gan::{
    Adversarial, Conditioning, Curve, Distillation, Game, Likelihood, Objective, Recipe, Size,
    Sizes, Variational,
};
use crate::optim::{OptimizerKind, Rule};
use crate::spec::{Shape, SpecError};
use clap::ValueEnum;
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// List the recipes with their parts; `trainer fit` has a flag for each part.
#[derive(Debug, clap::Args)]
pub struct RecipesArgs {
    /// Print one JSON object a recipe and size, with the figures of docs/recipes.md where it is measured there.
    #[arg(long)]
    json: bool,
}

/// A recipe's defaults; the parameters are for 28x28 grey images of ten classes.
#[derive(Serialize)]
struct Listed {
    recipe: Recipe,
    size: Option<Size>,
    about: String,
    /// Of each network, as `{name}_parameters`.
    #[serde(flatten, serialize_with = "parameters_by_name")]
    parameters: Vec<(String, usize)>,
    conditional: bool,
    #[serde(flatten)]
    rules: Rules,
    batch: u32,
    /// Where `fit` is told no other number.
    usual_epochs: u32,
    lr: f64,
    optimizer: OptimizerKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    beta1: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beta2: Option<f64>,
    lr_schedule: Curve,
    lr_end: f64,
    ema_decay: f64,
    #[serde(flatten)]
    figures: Figures,
}

fn parameters_by_name<S: Serializer>(
    parameters: &[(String, usize)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let named = parameters.iter();
    serializer.collect_map(named.map(|(name, count)| (format!("{name}_parameters"), count)))
}

/// What `cargo xtask recipes` measured of a recipe at a size, or nothing.
#[derive(Clone, Default, Deserialize, Serialize)]
struct Figures {
    dataset: Option<String>,
    epochs: Option<u32>,
    minutes: Option<f64>,
    blob_bytes: Option<u64>,
    fid_cls: Option<f64>,
    fid_cls_int8: Option<f64>,
    fid_inception: Option<f64>,
    entropy: Option<f64>,
    coverage: Option<f64>,
    class_coverage: Option<f64>,
    js_classes: Option<f64>,
}

/// A line of what it wrote.
#[derive(Deserialize)]
struct Measured {
    recipe: String,
    size: Option<String>,
    #[serde(flatten)]
    figures: Figures,
}

/// The loss and its weights.
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
    Translation {
        /// Where there is a discriminator, as the two after it.
        #[serde(skip_serializing_if = "Option::is_none")]
        pixel_weight: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        adversarial_weight: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        loss: Option<Objective>,
    },
    Cycle {
        loss: Objective,
        cycle_weight: f64,
        identity_weight: f64,
    },
    Autoregressive {
        levels: u16,
    },
}

impl From<Game> for Rules {
    fn from(game: Game) -> Self {
        match game {
            Game::Adversarial(rules) | Game::Distillation(Distillation { finish: rules, .. }) => {
                let Adversarial {
                    objective,
                    penalty,
                    weight_clip,
                    critic_steps,
                    ..
                } = rules;
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
            Game::Translation(rules) => {
                let beside = |weight: f64| Some(weight).filter(|_| rules.adversarial > 0.0);
                Self::Translation {
                    pixel_weight: beside(rules.pixels),
                    adversarial_weight: beside(rules.adversarial),
                    loss: Some(rules.objective).filter(|_| rules.adversarial > 0.0),
                }
            }
            Game::Cycle(rules) => Self::Cycle {
                loss: rules.objective,
                cycle_weight: rules.cycle,
                identity_weight: rules.identity,
            },
            Game::Autoregressive(rules) => Self::Autoregressive {
                levels: rules.levels.into(),
            },
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
            Self::Translation {
                pixel_weight,
                adversarial_weight,
                loss,
            } => match (pixel_weight, adversarial_weight, loss) {
                (Some(pixels), Some(weight), Some(loss)) => write!(
                    f,
                    "weight of pixels {pixels}, of the loss {} {weight}",
                    name(loss)
                ),
                _ => write!(f, "distance of pixels"),
            },
            Self::Cycle {
                loss,
                cycle_weight,
                identity_weight,
            } => write!(
                f,
                "loss {}, weight of the cycle {cycle_weight}, of identity {identity_weight}",
                name(loss)
            ),
            Self::Autoregressive { levels } => write!(f, "likelihood of {levels} grey levels"),
        }
    }
}

pub fn run(args: RecipesArgs) -> Result<(), Failure> {
    let measured = include_str!("../../../docs/recipes.jsonl").lines();
    let measured: Result<Vec<Measured>, _> = measured.map(serde_json::from_str).collect();
    let measured = measured.map_err(anyhow::Error::from)?;
    for &recipe in Recipe::value_variants() {
        let usual = recipe.usual_sizes();
        let sizes = match usual {
            Some(_) => Size::value_variants(),
            None => &[Size::Small],
        };
        for &size in sizes {
            let mut listed = Listed::new(recipe, size).map_err(anyhow::Error::from)?;
            if args.json {
                let size = listed.size.map(name);
                let of = |m: &&Measured| m.recipe == name(recipe) && m.size == size;
                let figures = measured.iter().find(of).map(|m| m.figures.clone());
                listed.figures = figures.unwrap_or_default();
                super::print_json(&listed)?;
            } else if usual.is_none_or(|usual| usual.size == size) {
                listed.print();
            }
        }
    }
    Ok(())
}

impl Listed {
    fn new(recipe: Recipe, size: Size) -> Result<Self, SpecError> {
        let usual = recipe.usual_sizes();
        let sizes = Sizes {
            generator: size,
            discriminator: usual.and_then(|usual| usual.discriminator).unwrap_or(size),
        };
        let mut parts = recipe.parts(sizes, Shape::new(1, 28, 28));
        if parts.conditional {
            parts.tell(10, Conditioning::default())?;
        }
        let help = recipe.to_possible_value();
        let help = help.and_then(|value| Some(value.get_help()?.to_string()));
        let (beta1, beta2) = match parts.optimizer.rule {
            Rule::Adam { beta1, beta2, .. } => (Some(beta1), Some(beta2)),
            Rule::Sgd { .. } => (None, None),
        };
        let networks = parts.networks.iter();
        let parameters =
            networks.map(|named| Ok((named.name.clone(), named.network.parameters()?)));
        Ok(Self {
            recipe,
            size: usual.map(|_| size),
            about: help.unwrap_or_default(),
            parameters: parameters.collect::<Result<_, _>>()?,
            conditional: parts.conditional,
            rules: parts.game.into(),
            batch: parts.batch,
            usual_epochs: parts.epochs,
            lr: parts.optimizer.learning_rate,
            optimizer: parts.optimizer.kind(),
            beta1,
            beta2,
            lr_schedule: parts.schedule.curve,
            lr_end: parts.schedule.end,
            ema_decay: parts.ema_decay,
            figures: Figures::default(),
        })
    }

    fn print(&self) {
        let parameters = self.parameters.iter().map(|(_, count)| count.to_string());
        let parameters: Vec<String> = parameters.collect();
        let betas = self.beta1.zip(self.beta2);
        let betas = betas.map(|(beta1, beta2)| format!(", betas {beta1} and {beta2}"));
        say!("{:<13} {}", name(self.recipe), self.about);
        say!(
            "{:<13} parameters {}{}; {}; {} epochs, batch {}, {}, lr {}{}{}",
            "",
            parameters.join(" and "),
            if self.conditional {
                ", told the class"
            } else {
                ""
            },
            self.rules,
            self.usual_epochs,
            self.batch,
            name(self.optimizer),
            self.lr,
            match self.lr_schedule {
                Curve::Constant => String::new(),
                curve => format!(" ({} to {} of it)", name(curve), self.lr_end),
            },
            betas.unwrap_or_default(),
        );
    }
}
