//! A trained classifier and what it sees in the test images, in one safetensors file.

use super::{Attribute, Classifier, ClassifierError};
use crate::data::{Dataset, Images};
use crate::gaussian::Gaussian;
use crate::parameters::{HostTensor, Parameters};
use crate::spec::Network;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The version of the layout below.
const FORMAT: u32 = 1;
/// The metadata key of [`State`], the only one: a map of several has no fixed order.
const KEY: &str = "pocketgan-classifier";
/// Names of the tensors that hold the reference statistics.
const MEAN: &str = "reference.mean";
const COVARIANCE: &str = "reference.covariance";

/// What the file holds besides tensors, as JSON in its metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub format: u32,
    /// Name of the data set.
    pub dataset: String,
    pub network: Network,
    pub seed: u64,
    pub epochs: u32,
    /// What it tells of a picture: nothing but its class where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Attribute>,
    /// Share of the test images whose class it tells; of attributes the mean of their shares.
    pub test_accuracy: f64,
    /// Images that the reference statistics were computed from: all test images.
    pub reference_images: usize,
    /// SHA-256 of them as an idx file, unpacked.
    pub reference_sha256: String,
}

impl State {
    /// Of a classifier trained in this version.
    pub fn new(dataset: &Dataset, test: &Images, network: Network, seed: u64, epochs: u32) -> Self {
        Self {
            format: FORMAT,
            dataset: dataset.to_string(),
            network,
            seed,
            epochs,
            attributes: Vec::new(),
            test_accuracy: 0.0,
            reference_images: test.count,
            reference_sha256: test.sha256(),
        }
    }
}

/// The contents of a file.
pub struct Frozen {
    pub state: State,
    pub parameters: Parameters,
    pub classifier: Classifier,
    /// Of the features of the test images.
    pub reference: Gaussian,
}

/// Why a file was not made.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("the classifier cannot be encoded: {0}")]
    Tensors(#[from] safetensors::SafeTensorError),
    #[error("the classifier cannot be encoded: {0}")]
    State(#[from] serde_json::Error),
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("it is damaged or no safetensors file: {0}")]
    Damaged(#[from] safetensors::SafeTensorError),
    #[error("it is no classifier of this program")]
    Foreign,
    #[error("it has the format {found}, and this program reads {FORMAT}")]
    Format { found: u64 },
    #[error("its reference statistics are not those of {features} features")]
    Reference { features: usize },
    #[error(transparent)]
    Classifier(#[from] ClassifierError),
}

/// Encodes a classifier. Tensors: the network's by the names of [`Parameters`], f32 in PyTorch's order;
/// `reference.mean`, `(F,)`, and `reference.covariance`, `(F, F)`, f64.
///
/// # Errors
/// The encoder's.
pub fn encode(
    state: &State,
    parameters: &Parameters,
    reference: &Gaussian,
) -> Result<Vec<u8>, EncodeError> {
    let features = reference.mean.len();
    let doubles = |numbers: &[f64]| numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut entries: Vec<(&str, Dtype, Vec<usize>, Vec<u8>)> = vec![
        (MEAN, Dtype::F64, vec![features], doubles(&reference.mean)),
        (
            COVARIANCE,
            Dtype::F64,
            vec![features, features],
            doubles(&reference.covariance),
        ),
    ];
    for (name, tensor) in &parameters.tensors {
        entries.push((name, Dtype::F32, tensor.shape.clone(), tensor.to_bytes()));
    }
    let views = entries
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?))
        })
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    let metadata = HashMap::from([(KEY.to_owned(), serde_json::to_string(state)?)]);
    Ok(safetensors::serialize(views, Some(metadata))?)
}

/// Reads a file that [`encode`] made.
///
/// # Errors
/// A file that is damaged, or another program's, or of another format, or whose parts do not fit.
pub fn decode(bytes: &[u8]) -> Result<Frozen, DecodeError> {
    let state = read_state(bytes)?;
    let (mut parameters, mut doubles) = (Parameters::default(), HashMap::new());
    for (name, view) in SafeTensors::deserialize(bytes)?.tensors() {
        let data = view.data();
        if view.dtype() == Dtype::F64 {
            let (numbers, _) = data.as_chunks::<8>();
            let numbers: Vec<f64> = numbers.iter().map(|&b| f64::from_le_bytes(b)).collect();
            doubles.insert(name, numbers);
        } else {
            let tensor = HostTensor::of_bytes(view.shape(), data);
            parameters.tensors.insert(name, tensor);
        }
    }
    let classifier = Classifier::new(&state.network, &parameters)?;
    let features = classifier.features();
    let mut take = |name: &str, len: usize| {
        doubles
            .remove(name)
            .filter(|numbers| numbers.len() == len && numbers.iter().all(|v| v.is_finite()))
            .ok_or(DecodeError::Reference { features })
    };
    Ok(Frozen {
        reference: Gaussian {
            mean: take(MEAN, features)?,
            covariance: take(COVARIANCE, features * features)?,
        },
        classifier,
        parameters,
        state,
    })
}

fn read_state(bytes: &[u8]) -> Result<State, DecodeError> {
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
    serde_json::from_value(value).map_err(|_| DecodeError::Foreign)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::network;
    use crate::nn::Initialization;
    use crate::rng::{Rng, Stream};
    use crate::spec::Shape;

    /// An untrained classifier with made-up statistics of `features` features.
    fn made_up(features: usize) -> (State, Parameters, Gaussian) {
        let network = network(Shape::new(1, 28, 28), 10);
        let mut rng = Rng::new(1, Stream::Initialization);
        let parameters = Initialization::Dcgan
            .parameters(&network, &mut rng)
            .unwrap();
        let mut number = || rng.normal();
        let reference = Gaussian {
            mean: (0..features).map(|_| number()).collect(),
            covariance: (0..features * features).map(|_| number()).collect(),
        };
        let test = Images {
            count: 1,
            channels: 1,
            height: 28,
            width: 28,
            pixels: vec![7; 784],
            labels: vec![3],
            classes: vec!["3".into()],
            names: Vec::new(),
        };
        let state = State::new(&"mnist".parse().unwrap(), &test, network, 7, 3);
        (state, parameters, reference)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let (state, parameters, reference) = made_up(64);
        let bytes = encode(&state, &parameters, &reference).unwrap();
        let frozen = decode(&bytes).unwrap();
        assert_eq!(frozen.state, state);
        assert_eq!(frozen.parameters, parameters);
        assert_eq!(frozen.reference, reference);
        assert_eq!(
            (frozen.classifier.features(), frozen.classifier.classes()),
            (64, 10)
        );
        // The order of the file's parts is fixed.
        assert_eq!(encode(&state, &parameters, &reference).unwrap(), bytes);
    }

    #[test]
    fn files_that_are_not_whole_or_not_ours_are_refused() {
        let (state, parameters, reference) = made_up(64);
        let bytes = encode(&state, &parameters, &reference).unwrap();
        for cut in [0, 7, 100, bytes.len() - 1] {
            assert!(decode(&bytes[..cut]).is_err());
        }
        let newer = State {
            format: 2,
            ..state.clone()
        };
        let refused = decode(&encode(&newer, &parameters, &reference).unwrap());
        assert!(matches!(refused, Err(DecodeError::Format { found: 2 })));
        let none: [(&str, TensorView<'_>); 0] = [];
        let foreign = safetensors::serialize(none, None).unwrap();
        assert!(matches!(decode(&foreign), Err(DecodeError::Foreign)));
        let (_, _, narrow) = made_up(63);
        let refused = decode(&encode(&state, &parameters, &narrow).unwrap());
        assert!(matches!(
            refused,
            Err(DecodeError::Reference { features: 64 })
        ));
    }
}
