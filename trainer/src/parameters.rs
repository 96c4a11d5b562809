//! A host copy of a network's numbers, in PyTorch's order, named by layer index.

use crate::spec::{Layer, Network, Shape, Step, masked_taps};
use std::collections::BTreeMap;

/// A tensor in row-major order on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// As many numbers as the extents multiply to.
    pub data: Vec<f32>,
}

impl HostTensor {
    /// Of little-endian f32.
    pub fn of_bytes(shape: &[usize], bytes: &[u8]) -> Self {
        let (numbers, _) = bytes.as_chunks::<4>();
        Self {
            shape: shape.to_vec(),
            data: numbers.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        }
    }

    /// The numbers as little-endian f32.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.data.iter().flat_map(|v| v.to_le_bytes()).collect()
    }
}

/// Every number of a network, batch-norm statistics included.
///
/// | layer | names | shape |
/// |---|---|---|
/// | Linear | `{i}.weight`, `{i}.bias` | `[out, in]`, `[out]` |
/// | Conv2d | `{i}.weight`, `{i}.bias` | `[out, in, k, k]`, `[out]` |
/// | MaskedConv2d | `{i}.weight`, `{i}.bias` | `[out, in, 1, taps]`, the taps in raster order; `[out]` |
/// | ConvTranspose2d | `{i}.weight`, `{i}.bias` | `[in, out, k, k]`, `[out]` |
/// | ClassEmbedding | `{i}.embedding` | `[classes, channels, height, width]` |
/// | ClassShift | `{i}.shift` | `[classes, channels, height, width]` |
/// | ClassBias | `{i}.shift` | `[classes, channels, 1, 1]` |
/// | ClassProjection | `{i}.embedding` | `[classes, in]` |
/// | InstanceNorm | `{i}.gamma`, `{i}.beta` | `[channels]` |
/// | BatchNorm | `{i}.gamma`, `{i}.beta`, `{i}.mean`, `{i}.variance` | `[channels]` |
///
/// `i` counts the layers of [`Network::layers`] from 0; there is a bias where the layer has one. The
/// features of a Linear layer in front of a Reshape are in C, H, W order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    /// The tensors by name.
    pub tensors: BTreeMap<String, HostTensor>,
}

/// Why [`Parameters`] are not those of a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParametersError {
    /// The network itself is wrong.
    #[error(transparent)]
    Spec(#[from] crate::spec::SpecError),
    /// A tensor that the network needs is not there.
    #[error("there is no tensor {name}")]
    Missing {
        /// The tensor.
        name: String,
    },
    /// A tensor has another shape than the network gives it.
    #[error("tensor {name} has the shape {found:?} where the network has {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its extents.
        found: Vec<usize>,
        /// The extents that the network gives it.
        expected: Vec<usize>,
    },
    /// A tensor holds more or fewer numbers than its shape says.
    #[error("tensor {name} holds {found} numbers, its shape {expected}")]
    Length {
        /// The tensor.
        name: String,
        /// How many numbers it holds.
        found: usize,
        /// The product of its extents.
        expected: usize,
    },
    /// A tensor holds a NaN or an infinity.
    #[error("tensor {name} holds a number that is not finite")]
    NotFinite {
        /// The tensor.
        name: String,
    },
    /// A tensor belongs to no layer of the network.
    #[error("tensor {name} belongs to no layer")]
    Unknown {
        /// The tensor.
        name: String,
    },
}

/// A tensor's name as its layer and its part.
fn split(name: &str) -> Option<(usize, &str)> {
    let (layer, part) = name.split_once('.')?;
    Some((layer.parse().ok()?, part))
}

/// What a tensor's numbers do in their layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// They multiply the layer's inputs.
    Weight,
    /// They multiply normalized numbers.
    Gain,
    /// They are added.
    Bias,
    /// They are joined to the layer's inputs, by class.
    Embedding,
    /// They are added, by class.
    Shift,
    /// The running mean of a normalization.
    Mean,
    /// The running variance of a normalization.
    Variance,
}

/// A tensor of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// The name, `{layer}.{part}`.
    pub name: String,
    /// What its numbers do.
    pub role: Role,
    /// Extents, outermost first.
    pub shape: Vec<usize>,
}

/// A layer's tensors, in the order weight, bias or gamma, beta, mean, variance.
pub fn tensors_of(step: &Step<'_>) -> Vec<TensorSpec> {
    let tensor = |part: &str, role, shape| TensorSpec {
        name: format!("{}.{part}", step.index),
        role,
        shape,
    };
    let Shape {
        channels: inputs,
        height,
        width,
    } = step.input;
    let with_bias = |weight: Vec<usize>, outputs: usize, bias: bool| {
        let mut tensors = vec![tensor("weight", Role::Weight, weight)];
        if bias {
            tensors.push(tensor("bias", Role::Bias, vec![outputs]));
        }
        tensors
    };
    match *step.layer {
        Layer::Linear { features, bias } => {
            with_bias(vec![features, step.input.len()], features, bias)
        }
        Layer::Conv2d {
            channels,
            kernel,
            bias,
            ..
        } => with_bias(vec![channels, inputs, kernel, kernel], channels, bias),
        Layer::MaskedConv2d {
            channels,
            kernel,
            center,
            bias,
        } => {
            let taps = masked_taps(kernel, center);
            with_bias(vec![channels, inputs, 1, taps], channels, bias)
        }
        Layer::ConvTranspose2d {
            channels,
            kernel,
            bias,
            ..
        } => with_bias(vec![inputs, channels, kernel, kernel], channels, bias),
        Layer::ClassEmbedding { classes, channels } => {
            let shape = vec![classes, channels, height, width];
            vec![tensor("embedding", Role::Embedding, shape)]
        }
        Layer::ClassShift { classes } => {
            let shape = vec![classes, inputs, height, width];
            vec![tensor("shift", Role::Shift, shape)]
        }
        Layer::ClassBias { classes } => {
            vec![tensor("shift", Role::Shift, vec![classes, inputs, 1, 1])]
        }
        Layer::ClassProjection { classes } => {
            let shape = vec![classes, step.input.len()];
            vec![tensor("embedding", Role::Weight, shape)]
        }
        Layer::BatchNorm { .. } => [
            ("gamma", Role::Gain),
            ("beta", Role::Bias),
            ("mean", Role::Mean),
            ("variance", Role::Variance),
        ]
        .map(|(part, role)| tensor(part, role, vec![inputs]))
        .to_vec(),
        Layer::InstanceNorm { .. } => [("gamma", Role::Gain), ("beta", Role::Bias)]
            .map(|(part, role)| tensor(part, role, vec![inputs]))
            .to_vec(),
        Layer::Upsample { .. }
        | Layer::AvgPool2d { .. }
        | Layer::MaxPool2d { .. }
        | Layer::Relu
        | Layer::LeakyRelu { .. }
        | Layer::Tanh
        | Layer::Sigmoid
        | Layer::Reshape(_)
        | Layer::Flatten
        | Layer::Add
        | Layer::Blend { .. }
        | Layer::Concat => Vec::new(),
    }
}

impl Parameters {
    /// Those of the first layers of the network.
    pub fn up_to(&self, layers: usize) -> Self {
        let tensors = self.tensors.iter();
        let tensors = tensors.filter(|(name, _)| split(name).is_some_and(|(i, _)| i < layers));
        Self {
            tensors: tensors
                .map(|(name, tensor)| (name.clone(), tensor.clone()))
                .collect(),
        }
    }

    /// Those of a network of `layers` layers, and of the network that follows it.
    pub fn then(&self, next: &Self, layers: usize) -> Self {
        let mut both = self.clone();
        let moved = next.tensors.iter().filter_map(|(name, tensor)| {
            let (i, part) = split(name)?;
            Some((format!("{}.{part}", i + layers), tensor.clone()))
        });
        both.tensors.extend(moved);
        both
    }

    /// All tensors of `network`, every number 0.
    ///
    /// # Errors
    /// The first layer that is wrong.
    pub fn zeros(network: &Network) -> Result<Self, crate::spec::SpecError> {
        let steps = network.walk()?;
        let tensors = steps.iter().flat_map(tensors_of);
        Ok(Self {
            tensors: tensors
                .map(|TensorSpec { name, shape, .. }| {
                    let data = vec![0.0; shape.iter().product()];
                    (name, HostTensor { shape, data })
                })
                .collect(),
        })
    }

    /// Checks that exactly the tensors of `network` are there, in the right shapes, all finite.
    ///
    /// # Errors
    /// The first tensor that is missing, misshapen, not finite or not the network's; or the first
    /// layer that is wrong.
    pub fn check(&self, network: &Network) -> Result<(), ParametersError> {
        let mut known = std::collections::BTreeSet::new();
        for step in network.walk()? {
            for TensorSpec { name, shape, .. } in tensors_of(&step) {
                self.check_tensor(&name, &shape)?;
                known.insert(name);
            }
        }
        match self.tensors.keys().find(|name| !known.contains(*name)) {
            Some(name) => Err(ParametersError::Unknown { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// The numbers of the tensor `{layer}.{part}`, if it is there.
    pub fn get(&self, layer: usize, part: &str) -> Option<&[f32]> {
        let tensor = self.tensors.get(&format!("{layer}.{part}"))?;
        Some(&tensor.data)
    }

    fn check_tensor(&self, name: &str, shape: &[usize]) -> Result<(), ParametersError> {
        let name = name.to_owned();
        let Some(tensor) = self.tensors.get(&name) else {
            return Err(ParametersError::Missing { name });
        };
        if tensor.shape != shape {
            return Err(ParametersError::Shape {
                name,
                found: tensor.shape.clone(),
                expected: shape.to_vec(),
            });
        }
        let expected = shape.iter().product();
        if tensor.data.len() != expected {
            return Err(ParametersError::Length {
                name,
                found: tensor.data.len(),
                expected,
            });
        }
        if tensor.data.iter().any(|number| !number.is_finite()) {
            return Err(ParametersError::NotFinite { name });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        Network::chain(
            Shape::features(3),
            vec![
                Layer::Linear {
                    features: 8,
                    bias: false,
                },
                Layer::Reshape(Shape::new(2, 2, 2)),
                Layer::batch_norm(),
                Layer::ConvTranspose2d {
                    channels: 5,
                    kernel: 4,
                    stride: 2,
                    padding: 1,
                    output_padding: 0,
                    bias: true,
                },
            ],
        )
    }

    fn zeros() -> Parameters {
        let network = network();
        let mut parameters = Parameters::default();
        let steps = network.walk().unwrap();
        for TensorSpec { name, shape, .. } in steps.iter().flat_map(tensors_of) {
            let data = vec![0.0; shape.iter().product()];
            parameters.tensors.insert(name, HostTensor { shape, data });
        }
        parameters
    }

    #[test]
    fn names_and_shapes_are_pytorchs() {
        let parameters = zeros();
        let shapes: Vec<_> = parameters
            .tensors
            .iter()
            .map(|(name, tensor)| format!("{name} {:?}", tensor.shape))
            .collect();
        assert_eq!(
            shapes,
            [
                "0.weight [8, 3]",
                "2.beta [2]",
                "2.gamma [2]",
                "2.mean [2]",
                "2.variance [2]",
                "3.bias [5]",
                "3.weight [2, 5, 4, 4]"
            ]
        );
        assert_eq!(parameters.check(&network()), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let broken = |change: fn(&mut Parameters)| {
            let mut parameters = zeros();
            change(&mut parameters);
            parameters.check(&network()).unwrap_err().to_string()
        };
        assert_eq!(
            broken(|p| drop(p.tensors.remove("2.mean"))),
            "there is no tensor 2.mean"
        );
        assert_eq!(
            broken(|p| p.tensors.get_mut("0.weight").unwrap().shape.reverse()),
            "tensor 0.weight has the shape [3, 8] where the network has [8, 3]"
        );
        assert_eq!(
            broken(|p| p.tensors.get_mut("3.bias").unwrap().data[1] = f32::NAN),
            "tensor 3.bias holds a number that is not finite"
        );
        assert_eq!(
            broken(|p| p.tensors.get_mut("3.bias").unwrap().data.truncate(4)),
            "tensor 3.bias holds 4 numbers, its shape 5"
        );
        assert_eq!(
            broken(|p| {
                let spare = p.tensors["3.bias"].clone();
                p.tensors.insert("0.bias".into(), spare);
            }),
            "tensor 0.bias belongs to no layer"
        );
    }
}
