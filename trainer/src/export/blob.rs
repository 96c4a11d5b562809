//! `.pgan` blobs of folded and quantized networks, through the runtime's writer.

use super::fold::Folded;
use super::quantize::Quantized;
use crate::spec::Shape;
use pocketgan::Activation;
use pocketgan::blob::writer::{LayerSpec, Parameters, WriteError, write};

/// The f32 blob of a network.
///
/// # Errors
/// What the format has no room for.
pub fn float_blob(folded: &Folded) -> Result<Vec<u8>, WriteError> {
    let layers = folded.layers.iter().map(|layer| LayerSpec {
        operator: layer.operator,
        activation: layer.activation,
        output: runtime_shape(layer.output),
        parameters: match layer.bias.is_empty() {
            true => Parameters::None,
            false => Parameters::Float {
                weights: layer.weight.clone(),
                bias: layer.bias.clone(),
            },
        },
    });
    write(folded.latent_size, &layers.collect::<Vec<_>>())
}

/// The int8 blob of a network.
///
/// # Errors
/// What the format has no room for.
pub fn int8_blob(quantized: &Quantized) -> Result<Vec<u8>, WriteError> {
    let layers = quantized.layers.iter().map(|layer| {
        let unit = match layer.activation {
            Activation::Tanh | Activation::Sigmoid => 1.0,
            _ => f64::from(layer.scale),
        };
        LayerSpec {
            operator: layer.operator,
            activation: layer.activation,
            output: runtime_shape(layer.output),
            parameters: match layer.bias.is_empty() {
                true => Parameters::None,
                false => Parameters::Int8 {
                    weights: layer.weight.clone(),
                    bias: layer.bias.clone(),
                    multipliers: layer.accumulator_scales().map(|s| s / unit).collect(),
                    scale: layer.scale,
                },
            },
        }
    });
    write(quantized.latent_size, &layers.collect::<Vec<_>>())
}

fn runtime_shape(shape: Shape) -> pocketgan::Shape {
    pocketgan::Shape::new(shape.height, shape.width, shape.channels)
}
