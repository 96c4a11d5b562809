//! The whole state of a run in one safetensors file.

use super::Gan;
use crate::nn::{Model, ModelError};
use crate::ops::Device;
use crate::optim::Adam;
use crate::parameters::{HostTensor, Parameters};
use safetensors::SafeTensors;
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

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("it is damaged or no safetensors file: {0}")]
    Damaged(#[from] safetensors::SafeTensorError),
    #[error("it is no checkpoint of this program")]
    Foreign,
    #[error("it has the format {found}, and this program reads {FORMAT}")]
    Format { found: u32 },
}

/// The averaged generator of a checkpoint, with the rest of what it says.
///
/// # Errors
/// A file that is damaged, or another program's, or of another format.
pub fn decode_average(bytes: &[u8]) -> Result<(State, Parameters), DecodeError> {
    let (_, metadata) = SafeTensors::read_metadata(bytes)?;
    let text = metadata.metadata().as_ref().and_then(|map| map.get(KEY));
    let value: serde_json::Value = text
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or(DecodeError::Foreign)?;
    match value["format"].as_u64().map(u32::try_from) {
        Some(Ok(FORMAT)) => {}
        Some(Ok(found)) => return Err(DecodeError::Format { found }),
        _ => return Err(DecodeError::Foreign),
    }
    let state: State = serde_json::from_value(value).map_err(|_| DecodeError::Foreign)?;
    let mut parameters = Parameters::default();
    for (name, view) in SafeTensors::deserialize(bytes)?.tensors() {
        if let Some(name) = name.strip_prefix("average.") {
            let numbers = view.data().chunks_exact(4);
            let tensor = HostTensor {
                shape: view.shape().to_vec(),
                data: numbers
                    .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                    .collect(),
            };
            parameters.tensors.insert(name.to_owned(), tensor);
        }
    }
    Ok((state, parameters))
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
