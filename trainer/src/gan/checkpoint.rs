//! The whole state of a run in one safetensors file.
//!
//! The file's only metadata is a JSON object with all that is no tensor. Its first key is the SHA-256 of the whole file, taken with
//! zeros in the sum's own place, so that no altered byte goes unseen. Tensors, all f32:
//!
//! | names | what |
//! |---|---|
//! | `generator.*`, `discriminator.*`, `average.*` | networks, by the names of [`Parameters`], PyTorch's order |
//! | `generator_adam.{i}.first`, `.second`, and the discriminator's | moments of the `i`-th trained array, the device's order |
//! | `since` | the losses since the last line of the log, `(steps, 2)`: discriminator, generator |
//!
//! Nothing in it depends on folder, threads or time: equal runs have equal files.

use super::training::{GanState, Losses};
use crate::data::Fingerprint;
use crate::files::sha256;
use crate::optim::AdamState;
use crate::parameters::{HostTensor, Parameters};
use crate::spec::Network;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// The version of the layout above.
const FORMAT: u32 = 3;
/// The oldest that is read: it has no `data`.
const OLDEST: u32 = 2;
/// The metadata key of [`State`], the only one: a map of several has no fixed order.
const KEY: &str = "pocketgan";
/// What stands in the sum's place while it is taken.
const NO_SUM: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where in the data a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Whole passes over the images.
    pub epoch: u32,
    /// Batches that were taken of the epoch's.
    pub batch: u32,
}

/// What a checkpoint holds besides the networks and their optimizers.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    pub gan: GanState,
    pub generator: Network,
    pub discriminator: Network,
    pub position: Position,
    /// How often the learning rate was halved.
    pub rollbacks: u32,
    /// The losses since the last line of the log.
    pub since: Vec<Losses>,
    /// What decides the run's result, TOML.
    pub recipe: String,
    /// The images that are learned, where they are known.
    pub data: Option<Fingerprint>,
}

/// The JSON in the metadata.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    sha256: String,
    format: u32,
    step: u32,
    position: Position,
    rollbacks: u32,
    generator_adam_steps: u32,
    discriminator_adam_steps: u32,
    /// State of the stream of training latents.
    latents: [u32; 4],
    generator: Network,
    discriminator: Network,
    recipe: String,
    #[serde(default)]
    data: Option<Fingerprint>,
}

/// Why a checkpoint was not made.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
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
    #[error("it has the format {found}, and this program reads {OLDEST} to {FORMAT}")]
    Format { found: u64 },
    #[error("it is damaged: its SHA-256 is not the one it was written with")]
    Sum,
    #[error("it lacks the tensor {0}")]
    Missing(String),
}

impl Checkpoint {
    /// Whether every number in it is one.
    pub fn is_finite(&self) -> bool {
        let networks = [
            &self.gan.generator,
            &self.gan.discriminator,
            &self.gan.average,
        ];
        let weights = networks.into_iter().flat_map(|p| p.tensors.values());
        let weights = weights.flat_map(|tensor| &tensor.data);
        let adams = [&self.gan.generator_adam, &self.gan.discriminator_adam];
        let moments = adams.into_iter().flat_map(|adam| &adam.moments);
        let moments = moments.flatten().flatten();
        weights.chain(moments).all(|number| number.is_finite())
            && self.since.iter().all(Losses::is_finite)
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// The encoder's.
    pub fn encode(&self) -> Result<Vec<u8>, CheckpointError> {
        let entries = self.entries();
        let views = entries
            .iter()
            .map(|e| {
                let view = TensorView::new(Dtype::F32, e.shape.clone(), &e.bytes)?;
                Ok((&e.name, view))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        let metadata = HashMap::from([(KEY.to_owned(), serde_json::to_string(&self.state())?)]);
        let mut bytes = safetensors::serialize(views, Some(metadata))?;
        let sum = sha256(&bytes);
        if let Some(place) = find(&bytes, NO_SUM) {
            bytes[place].copy_from_slice(sum.as_bytes());
        }
        Ok(bytes)
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// A file that is damaged, or another program's, or of another format.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let state = read_state(bytes)?;
        check_sum(bytes, &state.sha256)?;
        let mut tensors = Tensors::read(bytes)?;
        Ok(Self {
            gan: GanState {
                steps: state.step,
                latents: state.latents,
                generator: tensors.network("generator."),
                discriminator: tensors.network("discriminator."),
                average: tensors.network("average."),
                generator_adam: tensors.adam("generator_adam", state.generator_adam_steps),
                discriminator_adam: tensors
                    .adam("discriminator_adam", state.discriminator_adam_steps),
            },
            since: tensors.losses("since")?,
            generator: state.generator,
            discriminator: state.discriminator,
            position: state.position,
            rollbacks: state.rollbacks,
            recipe: state.recipe,
            data: state.data,
        })
    }

    fn state(&self) -> State {
        State {
            sha256: NO_SUM.to_owned(),
            format: FORMAT,
            step: self.gan.steps,
            position: self.position,
            rollbacks: self.rollbacks,
            generator_adam_steps: self.gan.generator_adam.steps,
            discriminator_adam_steps: self.gan.discriminator_adam.steps,
            latents: self.gan.latents,
            generator: self.generator.clone(),
            discriminator: self.discriminator.clone(),
            recipe: self.recipe.clone(),
            data: self.data.clone(),
        }
    }

    fn entries(&self) -> Vec<Entry> {
        let gan = &self.gan;
        let mut entries = Vec::new();
        for (prefix, network) in [
            ("generator", &gan.generator),
            ("discriminator", &gan.discriminator),
            ("average", &gan.average),
        ] {
            let named = network.tensors.iter();
            entries.extend(named.map(|(name, tensor)| {
                Entry::new(
                    format!("{prefix}.{name}"),
                    tensor.shape.clone(),
                    &tensor.data,
                )
            }));
        }
        for (prefix, adam) in [
            ("generator_adam", &gan.generator_adam),
            ("discriminator_adam", &gan.discriminator_adam),
        ] {
            for (i, moments) in adam.moments.iter().enumerate() {
                for (which, numbers) in ["first", "second"].into_iter().zip(moments) {
                    let name = format!("{prefix}.{i}.{which}");
                    entries.push(Entry::new(name, vec![numbers.len()], numbers));
                }
            }
        }
        let since: Vec<f32> = self
            .since
            .iter()
            .flat_map(|losses| [losses.discriminator, losses.generator])
            .collect();
        entries.push(Entry::new(
            "since".into(),
            vec![self.since.len(), 2],
            &since,
        ));
        entries
    }
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

/// Where `text` is first in `bytes`.
fn find(bytes: &[u8], text: &str) -> Option<std::ops::Range<usize>> {
    let at = bytes
        .windows(text.len())
        .position(|window| window == text.as_bytes())?;
    Some(at..at + text.len())
}

fn read_state(bytes: &[u8]) -> Result<State, DecodeError> {
    let (_, metadata) = SafeTensors::read_metadata(bytes)?;
    let text = metadata.metadata().as_ref().and_then(|map| map.get(KEY));
    let value: serde_json::Value = text
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or(DecodeError::Foreign)?;
    match value["format"].as_u64() {
        Some(found) if (u64::from(OLDEST)..=u64::from(FORMAT)).contains(&found) => {
            serde_json::from_value(value).map_err(|_| DecodeError::Foreign)
        }
        Some(found) => Err(DecodeError::Format { found }),
        None => Err(DecodeError::Foreign),
    }
}

fn check_sum(bytes: &[u8], sum: &str) -> Result<(), DecodeError> {
    if sum.len() != NO_SUM.len() {
        return Err(DecodeError::Sum);
    }
    let place = find(bytes, sum).ok_or(DecodeError::Sum)?;
    let mut blank = bytes.to_vec();
    blank[place].copy_from_slice(NO_SUM.as_bytes());
    match sha256(&blank) == sum {
        true => Ok(()),
        false => Err(DecodeError::Sum),
    }
}

/// The tensors of a file by name.
struct Tensors(BTreeMap<String, HostTensor>);

impl Tensors {
    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let read = SafeTensors::deserialize(bytes)?;
        let tensors = read.iter().map(|(name, view)| {
            let numbers = view.data().chunks_exact(4);
            let tensor = HostTensor {
                shape: view.shape().to_vec(),
                data: numbers
                    .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                    .collect(),
            };
            (name.to_owned(), tensor)
        });
        Ok(Self(tensors.collect()))
    }

    fn take(&mut self, name: &str) -> Result<HostTensor, DecodeError> {
        let tensor = self.0.remove(name);
        tensor.ok_or_else(|| DecodeError::Missing(name.to_owned()))
    }

    /// Whatever begins with `prefix`, without it; what builds the network checks that all is there.
    fn network(&mut self, prefix: &str) -> Parameters {
        let named = self.0.iter().filter_map(|(name, tensor)| {
            let name = name.strip_prefix(prefix)?;
            Some((name.to_owned(), tensor.clone()))
        });
        Parameters {
            tensors: named.collect(),
        }
    }

    /// The moments that are there, counted from 0; what restores the optimizer checks their number.
    fn adam(&mut self, prefix: &str, steps: u32) -> AdamState {
        let pair = |i: usize| {
            let first = self.take(&format!("{prefix}.{i}.first")).ok()?;
            let second = self.take(&format!("{prefix}.{i}.second")).ok()?;
            Some([first.data, second.data])
        };
        AdamState {
            steps,
            moments: (0..).map_while(pair).collect(),
        }
    }

    fn losses(&mut self, name: &str) -> Result<Vec<Losses>, DecodeError> {
        let numbers = self.take(name)?.data;
        let losses = numbers.chunks_exact(2).map(|pair| Losses {
            discriminator: pair[0],
            generator: pair[1],
        });
        Ok(losses.collect())
    }
}
