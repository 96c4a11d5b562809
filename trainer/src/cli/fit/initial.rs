//! The run whose weights a run begins with.

use super::options::{Plan, input};
use super::source::Source;
use crate::cli::Failure;
use crate::gan::{Named, Settings};
use crate::parameters::{HostTensor, Parameters, tensors_of};
use crate::spec::Step;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The other run's newest checkpoint, in the folder of the run that begins with it.
const FILE: &str = "initial.safetensors";

/// What a run begins with.
pub(super) struct Initial {
    pub source: Source,
    run: PathBuf,
}

impl Initial {
    /// `None` for a run that begins with fresh weights.
    ///
    /// # Errors
    /// A run without a checkpoint that can be read.
    pub fn of(plan: &Plan) -> Result<Option<Self>, Failure> {
        let Some(run) = &plan.options.init_from else {
            return Ok(None);
        };
        let run = run.clone();
        let source = Source::of(plan, &run, FILE)?;
        Ok(Some(Self { source, run }))
    }

    /// Gives the networks the tensors that they have in common with those of the same names, and returns a sentence for
    /// each network that says which layers have none.
    ///
    /// # Errors
    /// Nothing in common; networks that do not fit their images.
    pub fn settle(&self, settings: &mut Settings) -> Result<Vec<String>, Failure> {
        let states = &self.source.checkpoint.gan.networks;
        let mut said = Vec::new();
        let mut trained = BTreeMap::new();
        for named in settings.networks.iter() {
            let state = states.get(&named.name);
            // What samples are drawn from is the better generator.
            let found = state.map(|state| state.average.as_ref().unwrap_or(&state.parameters));
            let (common, sentence) = common(named, found)?;
            said.push(sentence);
            trained.insert(named.name.clone(), common);
        }
        if trained.values().all(|common| common.tensors.is_empty()) {
            return input(format!(
                "{} has no network with a tensor of the same name and shape as this run's: nothing can be taken from it",
                self.run.display()
            ));
        }
        settings.trained = trained;
        Ok(said)
    }
}

/// The tensors of a network that are found with the same shapes, and what is to be said of the others.
fn common(named: &Named, found: Option<&Parameters>) -> Result<(Parameters, String), Failure> {
    let mut taken = Parameters::default();
    let mut fresh: Vec<String> = Vec::new();
    let steps = named.network.walk().map_err(anyhow::Error::from)?;
    let mut layers = 0;
    for step in &steps {
        let tensors = tensors_of(step);
        if tensors.is_empty() {
            continue;
        }
        layers += 1;
        let pairs = tensors.iter().map(|tensor| {
            let of = found.and_then(|found| found.tensors.get(&tensor.name));
            (tensor, of)
        });
        // A layer is taken whole: its bias is of use with its weight alone.
        let whole: Option<Vec<(String, HostTensor)>> = pairs
            .map(|(tensor, of)| {
                let of = of.filter(|of| of.shape == tensor.shape)?;
                Some((tensor.name.clone(), of.clone()))
            })
            .collect();
        match whole {
            Some(whole) => taken.tensors.extend(whole),
            None => fresh.push(layer(step)),
        }
    }
    let name = &named.name;
    let sentence = if fresh.is_empty() {
        format!("{name}: all layers begin with its weights")
    } else {
        format!(
            "{name}: {} of {layers} layers begin with its weights; fresh, because they are not there or have another \
             shape: {}",
            layers - fresh.len(),
            fresh.join(", ")
        )
    };
    Ok((taken, sentence))
}

/// A layer as messages name it.
fn layer(step: &Step<'_>) -> String {
    format!("{} ({})", step.index, step.layer.name())
}
