//! The whole state of a run in one safetensors file.

use super::Gan;
use crate::nn::{Model, ModelError};
use crate::ops::Device;
use crate::optim::Adam;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The version of the layout below.
const FORMAT: u32 = 1;
/// The metadata key of [`State`], the only one: a map of several has no fixed order.
const KEY: &str = "pocketgan";

/// What a checkpoint holds besides tensors, as JSON in its metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub format: u32,
    pub step: u32,
    pub generator_adam_steps: u32,
    pub discriminator_adam_steps: u32,
    /// State of the stream of training latents.
    pub latents: [u32; 4],
    pub generator: crate::spec::Network,
    pub discriminator: crate::spec::Network,
    /// The run's configuration, TOML.
    pub config: String,
}

/// Why a checkpoint was not made.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("the checkpoint cannot be encoded: {0}")]
    Encode(#[from] safetensors::SafeTensorError),
    #[error("the checkpoint cannot be encoded: {0}")]
    State(#[from] serde_json::Error),
}

/// A tensor on its way into the file.
struct Entry {
    name: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Entry {
    fn new(name: String, shape: Vec<usize>, numbers: &[f32]) -> Self {
        let bytes = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { name, shape, bytes }
    }
}

/// Encodes a GAN in training. Tensors: `generator.*`, `discriminator.*`, `average.*` by the names of
/// [`crate::parameters::Parameters`], in PyTorch's order; Adam's moments, in the device's order, as
/// `generator_adam.{i}.first` and so on, `i` counting the trained arrays.
///
/// # Errors
/// The encoder's.
pub fn encode<D: Device<f32>>(gan: &Gan<D>, config: &str) -> Result<Vec<u8>, CheckpointError> {
    let mut entries = Vec::new();
    network(&mut entries, "generator", &gan.generator)?;
    network(&mut entries, "discriminator", &gan.discriminator)?;
    network(&mut entries, "average", &gan.average)?;
    let device = gan.generator.device();
    moments(&mut entries, "generator_adam", &gan.generator_adam, device);
    moments(
        &mut entries,
        "discriminator_adam",
        &gan.discriminator_adam,
        device,
    );
    let state = State {
        format: FORMAT,
        step: gan.steps(),
        generator_adam_steps: gan.generator_adam.steps(),
        discriminator_adam_steps: gan.discriminator_adam.steps(),
        latents: gan.latents.state(),
        generator: gan.generator.network().clone(),
        discriminator: gan.discriminator.network().clone(),
        config: config.to_owned(),
    };
    let views = entries
        .iter()
        .map(|e| {
            Ok((
                &e.name,
                TensorView::new(Dtype::F32, e.shape.clone(), &e.bytes)?,
            ))
        })
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    let metadata = HashMap::from([(KEY.to_owned(), serde_json::to_string(&state)?)]);
    Ok(safetensors::serialize(views, Some(metadata))?)
}

fn network<D: Device<f32>>(
    entries: &mut Vec<Entry>,
    prefix: &str,
    model: &Model<D>,
) -> Result<(), ModelError> {
    for (name, tensor) in model.parameters()?.tensors {
        entries.push(Entry::new(
            format!("{prefix}.{name}"),
            tensor.shape,
            &tensor.data,
        ));
    }
    Ok(())
}

fn moments<D: Device<f32>>(entries: &mut Vec<Entry>, prefix: &str, adam: &Adam<D>, device: &D) {
    for (i, moments) in adam.moments(device).into_iter().enumerate() {
        for (which, numbers) in ["first", "second"].into_iter().zip(moments) {
            let name = format!("{prefix}.{i}.{which}");
            entries.push(Entry::new(name, vec![numbers.len()], &numbers));
        }
    }
}
