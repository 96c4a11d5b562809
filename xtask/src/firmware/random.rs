//! Small random models of every kind that the smallest firmware differs by: those that its code and stack are fitted
//! to, and others that the fit is checked on.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use pocketgan::{Activation, Numbers, Rng, Shape};

use common::{Plan, addition, linear, upsample, windowed};

use super::machines;

#[path = "../../../runtime/tests/common/mod.rs"]
mod common;

/// Layers of the models that are fitted to, without additions and with.
const FITTED: [(&[usize], bool); 2] = [(&[1, 2, 3, 4, 5, 6, 7, 9, 12], false), (&[4, 7], true)];
/// More layers for int8 models of linear layers, whose code is small and differs most.
const FITTED_LINEAR: &[usize] = &[1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 5, 6, 6];
/// And more, with seeds of their own: what the compiler makes of such a model spreads by some 6 %.
const FITTED_MORE: &[usize] = &[
    2, 2, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7,
];
/// Layers of the models that are not fitted to, and whether there is an addition.
const HELD_OUT: [(usize, bool); 3] = [(2, false), (5, false), (8, true)];

/// A model that is made from nothing but this.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    convolution: bool,
    int4: bool,
    classes: bool,
    additions: bool,
    layers: usize,
    seed: u64,
}

/// The models that are fitted to.
pub fn fitted() -> Vec<Recipe> {
    let mut fitted = recipes(1, |linear_int8| {
        let all = FITTED
            .iter()
            .flat_map(|&(layers, additions)| layers.iter().map(move |&layers| (layers, additions)));
        let more = if linear_int8 { FITTED_LINEAR } else { &[] };
        let more = more.iter().map(|&layers| (layers, false));
        let mut layers: Vec<_> = all.chain(more).collect();
        layers.sort();
        layers
    });
    fitted.extend(recipes(1001, |linear_int8| {
        let more = if linear_int8 { FITTED_MORE } else { &[] };
        more.iter().map(|&layers| (layers, false)).collect()
    }));
    fitted
}

/// Models that no fit has seen.
pub fn held_out() -> Vec<Recipe> {
    recipes(3001, |_| HELD_OUT.to_vec())
}

/// Models of every kind with seeds of their own from the first one on. `layers` says how many layers they have, and
/// whether an addition, by whether they are int8 models of linear layers.
fn recipes(first_seed: u64, layers: impl Fn(bool) -> Vec<(usize, bool)>) -> Vec<Recipe> {
    let mut recipes = Vec::new();
    for kind in 0..8 {
        let [convolution, int4, classes] = [4, 2, 1].map(|bit| kind & bit != 0);
        for (layers, additions) in layers(!convolution && !int4) {
            let recipe = Recipe {
                convolution,
                int4,
                classes,
                additions,
                layers,
                seed: first_seed + recipes.len() as u64,
            };
            // Linear layers alone have no rows to add, and only a linear layer has classes.
            let possible = if convolution {
                layers > 1 || !classes
            } else {
                !additions
            };
            if possible {
                recipes.push(recipe);
            }
        }
    }
    recipes
}

impl Recipe {
    /// What the model is called.
    pub fn name(&self) -> String {
        let traits = [
            (self.convolution, "convolution"),
            (self.int4, "int4"),
            (self.classes, "classes"),
            (self.additions, "addition"),
        ];
        let traits = traits.iter().filter(|(is, _)| *is);
        let traits: String = traits.map(|(_, name)| format!("-{name}")).collect();
        format!("random-{}{traits}-{}", self.layers, self.seed)
    }

    /// The model's blob.
    ///
    /// # Errors
    ///
    /// The format has no room for the model.
    pub fn blob(&self) -> Result<Vec<u8>> {
        let mut rng = Rng::new(self.seed);
        let latent = 8 + below(&mut rng, 41);
        let plans = if self.convolution {
            self.convolutions(latent, &mut rng)
        } else {
            self.linear(&mut rng)
        };
        let plans =
            plans.with_context(|| format!("{} has a layer that does not fit", self.name()))?;
        let numbers = if self.int4 {
            Numbers::Int4
        } else {
            Numbers::Int8
        };
        let blob = if self.classes {
            let classes = 2 + below(&mut rng, 11);
            common::conditional_blob(latent, classes, &plans, numbers, &mut rng)
        } else {
            common::blob(latent, &plans, numbers, &mut rng)
        };
        blob.with_context(|| self.name())
    }

    /// Writes the blob and returns the file's path.
    ///
    /// # Errors
    ///
    /// The same, or the file cannot be written.
    pub fn write(&self) -> Result<PathBuf> {
        let folder = machines::build_folder();
        fs::create_dir_all(&folder)?;
        let path = folder.join(self.name() + ".pgan");
        fs::write(&path, self.blob()?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// In turn with whole groups of four channels or without, and with short rows of pixels or long ones.
    fn linear(&self, rng: &mut Rng) -> Option<Vec<Plan>> {
        let mut plans = Vec::new();
        while plans.len() + 1 < self.layers {
            let channels = match self.seed % 2 {
                0 => 4 * (1 + below(rng, 10)),
                _ => 4 * below(rng, 10) + 3,
            };
            plans.push(linear(hidden(rng), 1, 1, channels));
        }
        let width = match self.seed / 2 % 2 {
            0 => 4 + below(rng, 25),
            _ => 29 + below(rng, 20),
        };
        plans.push(linear(last(rng), 4 + below(rng, 9), width, 1));
        Some(plans)
    }

    /// The first layer makes rows; the last one is a convolution, behind the addition if there is one.
    fn convolutions(&self, latent: usize, rng: &mut Rng) -> Option<Vec<Plan>> {
        let vector = Shape::new(1, 1, latent);
        let from_vector = [4, 1, 0, 0];
        if self.layers == 1 {
            return Some(vec![windowed(vector, true, from_vector, last(rng), 1)?]);
        }
        let (side, channels) = (3 + below(rng, 4), 3 + below(rng, 12));
        let first = if !self.classes && below(rng, 3) == 0 {
            windowed(vector, true, from_vector, hidden(rng), channels)?
        } else {
            linear(hidden(rng), side, side, channels)
        };
        let mut plans = vec![first];
        let before_last = self.layers - 1 - usize::from(self.additions) * 2;
        while plans.len() < before_last {
            let input = plans.last()?.2;
            plans.push(between(input, rng)?);
        }
        if self.additions {
            let (from, shape) = (plans.len(), plans.last()?.2);
            plans.push(windowed(
                shape,
                false,
                [3, 1, 1, 0],
                hidden(rng),
                shape.channels,
            )?);
            plans.push(addition(&plans, from, hidden(rng)));
        }
        let colours = 1 + below(rng, 2) * 2;
        plans.push(windowed(
            plans.last()?.2,
            false,
            [3, 1, 1, 0],
            last(rng),
            colours,
        )?);
        Some(plans)
    }
}

/// A layer between the first and the last.
fn between(input: Shape, rng: &mut Rng) -> Option<Plan> {
    let small = input.height <= 12;
    let (transposed, window) = match below(rng, 6) {
        0 if small => return Some(upsample(input, 2)),
        1 | 2 if small => (true, [4, 2, 1, 0]),
        3 if small => (true, [5, 2, 2, 1]),
        4 => (false, [5, 1, 2, 0]),
        5 => (false, [1, 1, 0, 0]),
        _ => (false, [3, 1, 1, 0]),
    };
    windowed(input, transposed, window, hidden(rng), 3 + below(rng, 10))
}

/// ReLU half of the time.
fn hidden(rng: &mut Rng) -> Activation {
    let of_all = common::ACTIVATIONS[below(rng, common::ACTIVATIONS.len())];
    match below(rng, 2) {
        0 => Activation::Relu,
        _ => of_all,
    }
}

/// What gives an image.
fn last(rng: &mut Rng) -> Activation {
    [Activation::Tanh, Activation::Sigmoid][below(rng, 2)]
}

fn below(rng: &mut Rng, n: usize) -> usize {
    rng.below(n as u32) as usize
}
