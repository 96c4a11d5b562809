//! `.pgan` blobs of folded and quantized networks, through the runtime's writer.

use super::fold::Folded;
use super::quantize::Quantized;
use crate::spec::Shape;
use pocketgan::Activation;
use pocketgan::blob::writer::{
    Classes, Columns, LayerSpec, Parameters, WriteError, write, write_conditional,
};

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
    let columns = folded.layers.first().map(|layer| layer.columns.clone());
    let columns = Columns::Float(columns.unwrap_or_default());
    encode(
        folded.latent_size,
        folded.classes,
        columns,
        layers.collect(),
    )
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
    let first = quantized.layers.first();
    let columns = Columns::Int8 {
        columns: first.map_or_else(Vec::new, |layer| layer.columns.clone()),
        step: first.map_or(0, |layer| layer.class_step),
    };
    encode(
        quantized.latent_size,
        quantized.classes,
        columns,
        layers.collect(),
    )
}

fn encode(
    latent_size: usize,
    count: usize,
    columns: Columns,
    layers: Vec<LayerSpec>,
) -> Result<Vec<u8>, WriteError> {
    match count {
        0 => write(latent_size, &layers),
        _ => write_conditional(latent_size, &Classes { count, columns }, &layers),
    }
}

fn runtime_shape(shape: Shape) -> pocketgan::Shape {
    pocketgan::Shape::new(shape.height, shape.width, shape.channels)
}
