//! The whole state of a run in one safetensors file.
//!
//! The file's only metadata is a JSON object with all that is no tensor. Its first key is the SHA-256 of the whole
//! file, taken with zeros in the sum's own place, so that no altered byte goes unseen. Tensors, all f32:
//!
//! | names | what |
//! |---|---|
//! | `networks.{name}.*` | a network, by the names of [`Parameters`], PyTorch's order |
//! | `averages.{name}.*` | the average of its weights, if it is a generator |
//! | `adam.{name}.{i}.first`, `.second` | moments of its `i`-th trained array, the device's order |
//! | `extra.{name}` | what the kind of training keeps besides |
//! | `since` | the losses since the last line of the log, `(steps, losses)`; the metadata have their names |
//!
//! What a step does not have of `since` is NaN. Formats 2 and 3 know a `generator` and a `discriminator` only. They are
//! read, and a run goes on from them.
//!
//! Nothing in it depends on folder, threads or time: equal runs have equal files.

use super::adversarial::Adversarial;
use super::networks::{Losses, Networks, Role};
use super::training::{GanState, LATENTS, NetworkState};
use super::variational::Variational;
use crate::data::Fingerprint;
use crate::files::sha256;
use crate::optim::OptimizerState;
use crate::parameters::{HostTensor, Parameters};
use crate::spec::{Network, Shape};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// The version of the layout above.
const FORMAT: u32 = 4;
/// The oldest that is read.
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
    pub networks: Networks,
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
    /// States of the streams of random numbers.
    streams: BTreeMap<String, [u32; 4]>,
    networks: Networks,
    /// Steps of each network's optimizer.
    adam_steps: BTreeMap<String, u32>,
    /// The names of the columns of `since`.
    losses: Vec<String>,
    recipe: String,
    data: Option<Fingerprint>,
}

/// The same in the formats 2, which has no `data`, and 3.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OldState {
    sha256: String,
    #[serde(rename = "format")]
    _format: u32,
    step: u32,
    position: Position,
    rollbacks: u32,
    generator_adam_steps: u32,
    discriminator_adam_steps: u32,
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
    /// The network that makes images and the average of its weights; `None` in a state without one.
    pub fn generator(&self) -> Option<(&Network, &Parameters)> {
        let generator = &self.networks.generator;
        let state = self.gan.networks.get(&generator.name)?;
        Some((&generator.network, state.average.as_ref()?))
    }

    /// Whether every number in it is one.
    pub fn is_finite(&self) -> bool {
        let networks = self.gan.networks.values();
        let extra = self.gan.extra.values().flat_map(|tensor| &tensor.data);
        let mut numbers = networks
            .flat_map(NetworkState::numbers)
            .chain(extra.copied());
        numbers.all(f32::is_finite) && self.since.iter().all(Losses::is_finite)
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
        match read_state(bytes)? {
            Read::State(state) => state.decode(bytes),
            Read::Old(state) => state.decode(bytes),
        }
    }

    fn state(&self) -> State {
        let adam = |(name, state): (&String, &NetworkState)| (name.clone(), state.optimizer.steps);
        State {
            sha256: NO_SUM.to_owned(),
            format: FORMAT,
            step: self.gan.steps,
            position: self.position,
            rollbacks: self.rollbacks,
            streams: self.gan.streams.clone(),
            networks: self.networks.clone(),
            adam_steps: self.gan.networks.iter().map(adam).collect(),
            losses: self.losses(),
            recipe: self.recipe.clone(),
            data: self.data.clone(),
        }
    }

    /// The names of the losses in `since`.
    fn losses(&self) -> Vec<String> {
        Losses::keys(&self.since).into_iter().collect()
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (name, state) in &self.gan.networks {
            let average = state.average.iter().map(|average| ("averages", average));
            for (kind, parameters) in average.chain([("networks", &state.parameters)]) {
                let tensors = parameters.tensors.iter();
                entries.extend(tensors.map(|(tensor, numbers)| {
                    let name = format!("{kind}.{name}.{tensor}");
                    Entry::new(name, numbers.shape.clone(), &numbers.data)
                }));
            }
            for (i, moments) in state.optimizer.moments.iter().enumerate() {
                for (which, numbers) in ["first", "second"].into_iter().zip(moments) {
                    let name = format!("adam.{name}.{i}.{which}");
                    entries.push(Entry::new(name, vec![numbers.len()], numbers));
                }
            }
        }
        for (name, tensor) in &self.gan.extra {
            let name = format!("extra.{name}");
            entries.push(Entry::new(name, tensor.shape.clone(), &tensor.data));
        }
        let columns = self.losses();
        let rows = self.since.iter();
        let of = |losses: &Losses| {
            let row = columns.iter().map(|column| losses.get(column));
            row.map(|loss| loss.unwrap_or(f32::NAN)).collect::<Vec<_>>()
        };
        let since: Vec<f32> = rows.flat_map(of).collect();
        let shape = vec![self.since.len(), columns.len()];
        entries.push(Entry::new("since".into(), shape, &since));
        entries
    }
}

impl State {
    fn decode(self, bytes: &[u8]) -> Result<Checkpoint, DecodeError> {
        check_sum(bytes, &self.sha256)?;
        let mut tensors = Tensors::read(bytes)?;
        let mut networks = BTreeMap::new();
        for named in self.networks.iter() {
            let name = &named.name;
            let average = || tensors.network(&format!("averages.{name}."));
            let average = (named.role == Role::Generator).then(average);
            let steps = self.adam_steps.get(name).ok_or(DecodeError::Foreign)?;
            let state = NetworkState {
                average,
                parameters: tensors.network(&format!("networks.{name}.")),
                optimizer: tensors.adam(&format!("adam.{name}"), *steps),
            };
            networks.insert(name.clone(), state);
        }
        Ok(Checkpoint {
            gan: GanState {
                steps: self.step,
                streams: self.streams,
                networks,
                extra: tensors.network("extra.").tensors,
            },
            since: tensors.losses("since", &self.losses)?,
            networks: self.networks,
            position: self.position,
            rollbacks: self.rollbacks,
            recipe: self.recipe,
            data: self.data,
        })
    }
}

impl OldState {
    /// A variational autoencoder had its encoder in the discriminator's place and its divergence in that of the
    /// discriminator's loss.
    fn decode(self, bytes: &[u8]) -> Result<Checkpoint, DecodeError> {
        check_sum(bytes, &self.sha256)?;
        let mut tensors = Tensors::read(bytes)?;
        let generator = NetworkState {
            parameters: tensors.network("generator."),
            optimizer: tensors.adam("generator_adam", self.generator_adam_steps),
            average: Some(tensors.network("average.")),
        };
        let discriminator = NetworkState {
            parameters: tensors.network("discriminator."),
            optimizer: tensors.adam("discriminator_adam", self.discriminator_adam_steps),
            average: None,
        };
        // An encoder has two numbers for each of a latent, a discriminator one in all.
        let moments = Shape::features(2 * self.generator.input.len());
        let is_variational = self.discriminator.output() == Ok(moments);
        let (networks, losses) = if is_variational {
            (
                Variational::networks(self.generator, self.discriminator),
                Variational::LOSSES,
            )
        } else {
            (
                Adversarial::networks(self.generator, self.discriminator),
                Adversarial::LOSSES,
            )
        };
        let names = networks.iter().map(|named| named.name.clone());
        let losses = losses.map(|loss| loss.key.to_owned());
        Ok(Checkpoint {
            gan: GanState {
                steps: self.step,
                streams: BTreeMap::from([(LATENTS.to_owned(), self.latents)]),
                networks: names.zip([generator, discriminator]).collect(),
                extra: BTreeMap::new(),
            },
            since: tensors.losses("since", &losses)?,
            networks,
            position: self.position,
            rollbacks: self.rollbacks,
            recipe: self.recipe,
            data: self.data,
        })
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

/// The metadata of a file, of this format or of an old one.
enum Read {
    State(State),
    Old(OldState),
}

fn read_state(bytes: &[u8]) -> Result<Read, DecodeError> {
    let (_, metadata) = SafeTensors::read_metadata(bytes)?;
    let text = metadata.metadata().as_ref().and_then(|map| map.get(KEY));
    let value: serde_json::Value = text
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or(DecodeError::Foreign)?;
    let read = match value["format"].as_u64() {
        Some(found) if found == u64::from(FORMAT) => serde_json::from_value(value).map(Read::State),
        Some(found) if (u64::from(OLDEST)..u64::from(FORMAT)).contains(&found) => {
            serde_json::from_value(value).map(Read::Old)
        }
        Some(found) => return Err(DecodeError::Format { found }),
        None => return Err(DecodeError::Foreign),
    };
    read.map_err(|_| DecodeError::Foreign)
}

fn check_sum(bytes: &[u8], sum: &str) -> Result<(), DecodeError> {
    if sum.len() != NO_SUM.len() {
        return Err(DecodeError::Sum);
    }
    let place = find(bytes, sum).ok_or(DecodeError::Sum)?;
    let mut blank = bytes.to_vec();
    blank[place].copy_from_slice(NO_SUM.as_bytes());
    if sha256(&blank) == sum {
        Ok(())
    } else {
        Err(DecodeError::Sum)
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
    fn adam(&mut self, prefix: &str, steps: u32) -> OptimizerState {
        let pair = |i: usize| {
            let first = self.take(&format!("{prefix}.{i}.first")).ok()?;
            let second = self.take(&format!("{prefix}.{i}.second")).ok()?;
            Some([first.data, second.data])
        };
        OptimizerState {
            steps,
            moments: (0..).map_while(pair).collect(),
        }
    }

    /// Rows of losses with these columns; what a step does not have is NaN.
    fn losses(&mut self, name: &str, columns: &[String]) -> Result<Vec<Losses>, DecodeError> {
        let numbers = self.take(name)?.data;
        let rows = numbers.chunks_exact(columns.len().max(1));
        let losses = rows.map(|row| {
            let losses = columns.iter().cloned().zip(row.iter().copied());
            Losses(losses.filter(|(_, loss)| !loss.is_nan()).collect())
        });
        Ok(losses.collect())
    }
}
