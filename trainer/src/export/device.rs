//! What a network takes of a device, before it is trained and after.

use super::fold::{self, FoldError};
use super::{ExportError, QuantizeError, blob, on_device, quantize};
use crate::engines::spec_shape;
use crate::parameters::Parameters;
use crate::spec::Network;
use pocketgan::Model;
use pocketgan::blob::writer::WriteError;
use serde::Serialize;

/// What an int8 blob takes of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceCost {
    /// Bytes of the blob: the flash that the model takes.
    pub blob_bytes: usize,
    /// Bytes of RAM that making an image takes.
    pub working_memory: usize,
}

impl DeviceCost {
    /// What a blob takes.
    pub(super) fn of(blob: &[u8]) -> Result<Self, WriteError> {
        let model = Model::parse(blob)?;
        Ok(Self {
            blob_bytes: blob.len(),
            working_memory: model.working_memory(),
        })
    }
}

/// Why an export has no int8 blob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDevice {
    /// A layer cannot be quantized: the float files were written.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// No device runs the network, which reads pictures: [`FLOAT_ONNX`](super::FLOAT_ONNX) alone was written.
    #[error("no device runs this network: {0}")]
    Network(String),
    /// The network draws pixel by pixel: [`FLOAT_ONNX`](super::FLOAT_ONNX) has its full pass, and
    /// [`PIXEL_MODEL`](super::PIXEL_MODEL) draws.
    #[error(
        "no device runs a network that draws pixel by pixel: a blob makes an image in one pass"
    )]
    Pixels,
    /// There were no pictures to calibrate the network on: [`FLOAT_ONNX`](super::FLOAT_ONNX) alone was written.
    #[error("there are no pictures to calibrate it on")]
    Pictures,
}

/// What a network will take of a device in int8, by its shapes alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DevicePlan {
    #[serde(flatten)]
    pub cost: DeviceCost,
    /// The tensors of the runtime's layers: the input, then what each layer gives.
    pub tensors: Vec<Kept>,
}

/// The rows of a tensor that are in memory at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The operator that makes it, or `input`.
    pub layer: &'static str,
    pub shape: String,
    /// 0 of one that lies in the rows of a concatenation's output.
    pub rows: usize,
    pub bytes: usize,
    /// The numbers of the layers that skip to it: those that join it, as their second input, with what was made of it.
    pub skips: Vec<usize>,
}

/// What a network will take of a device; or why no device runs it.
///
/// # Errors
/// A network that cannot be exported at all.
pub fn device_plan(network: &Network) -> Result<Result<DevicePlan, NoDevice>, FoldError> {
    if network.draws_pixels() {
        return Ok(Err(NoDevice::Pixels));
    }
    let folded = fold::fold(network, &Parameters::zeros(network)?)?;
    let plan = || {
        on_device(&folded)?;
        let blob = blob::int8_blob(&quantize::blank(&folded))?;
        Ok::<_, ExportError>(DevicePlan::of(&blob)?)
    };
    Ok(plan().map_err(|error| NoDevice::Network(error.to_string())))
}

impl DevicePlan {
    fn of(blob: &[u8]) -> Result<Self, WriteError> {
        let model = Model::parse(blob)?;
        let layers: Vec<_> = model.layers().collect();
        let tensors = (0..=layers.len()).map(|tensor| {
            let maker = tensor.checked_sub(1).and_then(|index| layers.get(index));
            let reader = layers.iter().find(|layer| layer.source == tensor);
            let shape = match (maker, reader) {
                (Some(maker), _) => maker.output,
                (None, Some(reader)) => reader.input,
                (None, None) => model.output(),
            };
            let skips = layers.iter().enumerate();
            let skips = skips.filter(|(_, layer)| layer.operator.other() == Some(tensor));
            Kept {
                layer: maker.map_or("input", |layer| layer.name()),
                shape: spec_shape(shape).to_string(),
                rows: model.rows_kept(tensor),
                bytes: model.rows_bytes(tensor),
                skips: skips.map(|(index, _)| index).collect(),
            }
        });
        Ok(Self {
            tensors: tensors.collect(),
            cost: DeviceCost::of(blob)?,
        })
    }
}
