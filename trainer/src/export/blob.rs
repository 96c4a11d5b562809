//! `.pgan` blobs of folded and quantized networks, through the runtime's writer.

use super::fold::Folded;
use super::quantize::{Quantized, Weights};
use crate::spec::Shape;
use pocketgan::blob::writer::{
    Classes, Columns, LayerSpec, Parameters, WriteError, write, write_conditional, write_int4,
};
use pocketgan::{Activation, Operator};

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
    let layers: Vec<_> = layers.collect();
    match classes(folded.classes, columns) {
        None => write(folded.latent_size, &layers),
        Some(classes) => write_conditional(folded.latent_size, &classes, &layers),
    }
}

/// The int8 blob of a network, or the int4 one.
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
            parameters: match layer.operator {
                Operator::Upsample { .. } => Parameters::None,
                Operator::Add { .. } => Parameters::Add {
                    multipliers: [layer.input_scale, layer.added_scale]
                        .map(|scale| f64::from(scale) / unit),
                    scale: layer.scale,
                },
                _ => Parameters::Int8 {
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
    let (latent_size, layers) = (quantized.latent_size, layers.collect::<Vec<_>>());
    match (classes(quantized.classes, columns), quantized.weights) {
        (classes, Weights::Int4) => write_int4(latent_size, classes.as_ref(), &layers),
        (None, Weights::Int8) => write(latent_size, &layers),
        (Some(classes), Weights::Int8) => write_conditional(latent_size, &classes, &layers),
    }
}

fn classes(count: usize, columns: Columns) -> Option<Classes> {
    (count > 0).then_some(Classes { count, columns })
}

fn runtime_shape(shape: Shape) -> pocketgan::Shape {
    pocketgan::Shape::new(shape.height, shape.width, shape.channels)
}
