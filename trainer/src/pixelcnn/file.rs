//! A network that draws pixel by pixel, in one safetensors file.

use super::{Levels, SamplerError};
use crate::parameters::{HostTensor, Parameters};
use crate::spec::Network;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The version of the layout below.
const FORMAT: u32 = 1;
/// The metadata key of [`State`].
const KEY: &str = "pocketgan-pixelcnn";

/// What the file holds besides tensors, as JSON in its metadata.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    format: u32,
    network: Network,
}

/// Why a file was not made.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("the network cannot be encoded: {0}")]
    Tensors(#[from] SafeTensorError),
    #[error("the network cannot be encoded: {0}")]
    State(#[from] serde_json::Error),
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("it is damaged or no safetensors file: {0}")]
    Damaged(#[from] SafeTensorError),
    #[error("it holds no network that draws pixel by pixel")]
    Foreign,
    #[error("it has the format {found}, and this program reads {FORMAT}")]
    Format { found: u64 },
    #[error(transparent)]
    Network(#[from] SamplerError),
}

/// Encodes a network: its tensors by the names of [`Parameters`], f32 in PyTorch's order.
///
/// # Errors
/// The encoder's.
pub fn encode(network: &Network, parameters: &Parameters) -> Result<Vec<u8>, EncodeError> {
    let state = State {
        format: FORMAT,
        network: network.clone(),
    };
    let tensors = parameters.tensors.iter();
    let tensors: Vec<_> = tensors
        .map(|(name, tensor)| (name, &tensor.shape, tensor.to_bytes()))
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes)?;
        Ok::<_, SafeTensorError>((name, view))
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    let metadata = HashMap::from([(KEY.to_owned(), serde_json::to_string(&state)?)]);
    Ok(safetensors::serialize(views, Some(metadata))?)
}

/// Reads a file that [`encode`] made.
///
/// # Errors
/// A file that is damaged, or another program's, or of another format, or whose parts do not fit.
pub fn decode(bytes: &[u8]) -> Result<(Network, Parameters), DecodeError> {
    let (_, metadata) = SafeTensors::read_metadata(bytes)?;
    let text = metadata.metadata().as_ref().and_then(|map| map.get(KEY));
    let value: serde_json::Value = text
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or(DecodeError::Foreign)?;
    match value["format"].as_u64() {
        Some(found) if found == u64::from(FORMAT) => {}
        Some(found) => return Err(DecodeError::Format { found }),
        None => return Err(DecodeError::Foreign),
    }
    let state: State = serde_json::from_value(value).map_err(|_| DecodeError::Foreign)?;
    let mut parameters = Parameters::default();
    for (name, view) in SafeTensors::deserialize(bytes)?.tensors() {
        let tensor = HostTensor::of_bytes(view.shape(), view.data());
        parameters.tensors.insert(name, tensor);
    }
    parameters
        .check(&state.network)
        .map_err(SamplerError::from)?;
    Levels::of(&state.network)?;
    Ok((state.network, parameters))
}

#[cfg(test)]
mod tests {
    use super::super::likelihood::tests::untrained;
    use super::*;
    use crate::spec::Shape;

    #[test]
    fn what_is_written_is_read_again() {
        let (network, parameters) = untrained(Levels::ALL[1], Shape::new(1, 5, 6), Some(3), 1);
        let bytes = encode(&network, &parameters).unwrap();
        assert_eq!(
            decode(&bytes).unwrap(),
            (network.clone(), parameters.clone())
        );
        assert_eq!(encode(&network, &parameters).unwrap(), bytes);
        for cut in [0, 7, 100, bytes.len() - 1] {
            assert!(decode(&bytes[..cut]).is_err());
        }
        let none: [(&str, TensorView<'_>); 0] = [];
        let foreign = safetensors::serialize(none, None).unwrap();
        assert!(matches!(decode(&foreign), Err(DecodeError::Foreign)));
        let mut fewer = parameters;
        fewer.tensors.pop_first();
        let bytes = encode(&network, &fewer).unwrap();
        assert!(matches!(
            decode(&bytes),
            Err(DecodeError::Network(SamplerError::Parameters(_)))
        ));
    }
}
