//! `.pgan` blobs of folded and quantized networks, through the runtime's writer, and folded networks of f32 blobs.

use super::fold::{Folded, FoldedLayer};
use super::quantize::{Quantized, Weights};
use crate::samples;
use crate::spec::Shape;
use pocketgan::blob::writer::{
    Classes, Columns, LayerSpec, Parameters, Pictures, Table, WriteError, write, write_conditional,
    write_int4, write_translator,
};
use pocketgan::{Activation, Layer, Model, Numbers, Operator};

/// The f32 blob of a network.
///
/// # Errors
/// What the format has no room for.
pub fn float_blob(folded: &Folded) -> Result<Vec<u8>, WriteError> {
    let layers = folded.layers.iter().map(|layer| LayerSpec {
        operator: layer.operator,
        activation: layer.activation,
        source: layer.source,
        output: runtime_shape(layer.output),
        parameters: if layer.operator.has_weights() {
            Parameters::Float {
                weights: layer.weight.clone(),
                bias: layer.bias.clone(),
            }
        } else {
            Parameters::None
        },
    });
    if folded.reads_pictures() {
        let pixels: Vec<u8> = (0..=u8::MAX).collect();
        let pictures = Pictures {
            shape: runtime_shape(folded.input),
            table: Table::Float(samples::from_pixels(&pixels)),
        };
        return write_translator(&pictures, &layers.collect::<Vec<_>>(), false);
    }
    let columns = folded.layers.first().map(|layer| layer.columns.clone());
    let columns = Columns::Float(columns.unwrap_or_default());
    let layers: Vec<_> = layers.collect();
    match classes(folded.classes, columns) {
        None => write(folded.input.len(), &layers),
        Some(classes) => write_conditional(folded.input.len(), &classes, &layers),
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
            source: layer.source,
            output: runtime_shape(layer.output),
            parameters: match layer.operator {
                operator if operator.keeps_quanta() => Parameters::None,
                Operator::Add { .. } => Parameters::Add {
                    multipliers: [layer.input_scale, layer.added_scale.unwrap_or(0.0)]
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
    if !quantized.input.is_flat() {
        let pictures = Pictures {
            shape: runtime_shape(quantized.input),
            table: Table::Int8 {
                quanta: (i8::MIN..=i8::MAX).collect(),
                scale: samples::PIXEL,
            },
        };
        let is_int4 = quantized.weights == Weights::Int4;
        return write_translator(&pictures, &layers.collect::<Vec<_>>(), is_int4);
    }
    let first = quantized.layers.first();
    let columns = Columns::Int8 {
        columns: first.map_or_else(Vec::new, |layer| layer.columns.clone()),
        step: first.map_or(0, |layer| layer.class_step),
    };
    let (latent_size, layers) = (quantized.input.len(), layers.collect::<Vec<_>>());
    match (classes(quantized.classes, columns), quantized.weights) {
        (classes, Weights::Int4) => write_int4(latent_size, classes.as_ref(), &layers),
        (None, Weights::Int8) => write(latent_size, &layers),
        (Some(classes), Weights::Int8) => write_conditional(latent_size, &classes, &layers),
    }
}

/// The folded network that an f32 blob was written from. `None` for another blob.
pub fn folded(model: &Model<'_>) -> Option<Folded> {
    if model.numbers() != Numbers::Float {
        return None;
    }
    let mut layers: Vec<FoldedLayer> = model.layers().map(|layer| folded_layer(&layer)).collect();
    for class in 0..model.classes() {
        let of_class = model.of_class(class).ok()?.layer(0);
        let outputs = 0..of_class.outputs();
        let column = outputs.map(|o| of_class.class_f32(runtime_output(&of_class, o)));
        layers.first_mut()?.columns.extend(column);
    }
    Some(Folded {
        input: match model.picture() {
            Some(picture) => own_shape(picture),
            None => Shape::features(model.latent_size()),
        },
        classes: model.classes(),
        class_planes: Vec::new(),
        layers,
    })
}

fn folded_layer(layer: &Layer<'_>) -> FoldedLayer {
    let (inputs, outputs) = (layer.input.channels, layer.outputs());
    let [rows, columns] = match layer.operator {
        Operator::Conv2d(window) | Operator::ConvTranspose2d(window) => [window.kernel; 2],
        _ => [layer.input.height, layer.input.width],
    };
    let mut weight = Vec::new();
    // The outer of the two is the input of a transposed convolution.
    let (outer, inner) = match layer.operator {
        Operator::ConvTranspose2d(_) => (inputs, outputs),
        _ => (outputs, inputs),
    };
    for (a, b) in (0..outer).flat_map(|a| (0..inner).map(move |b| (a, b))) {
        let (input, output) = match layer.operator {
            Operator::ConvTranspose2d(_) => (a, b),
            _ => (b, a),
        };
        let output = runtime_output(layer, output);
        for (ky, kx) in (0..rows).flat_map(|ky| (0..columns).map(move |kx| (ky, kx))) {
            weight.push(layer.weight_f32(layer.weight_index(output, ky, kx, input)));
        }
    }
    let bias = (0..outputs).map(|o| layer.bias_f32(runtime_output(layer, o)));
    FoldedLayer {
        operator: layer.operator,
        source: layer.source,
        activation: layer.activation,
        input: own_shape(layer.input),
        output: own_shape(layer.output),
        weight,
        bias: bias.collect(),
        columns: Vec::new(),
        instance_norm: None,
    }
}

/// The place in the blob's order of output `o` in PyTorch's: those of a linear layer are ordered channel, row, column
/// there, and row, column, channel in the blob.
fn runtime_output(layer: &Layer<'_>, o: usize) -> usize {
    let pocketgan::Shape {
        height,
        width,
        channels,
    } = layer.output;
    match layer.operator {
        Operator::Linear => o % (height * width) * channels + o / (height * width),
        _ => o,
    }
}

fn own_shape(shape: pocketgan::Shape) -> Shape {
    Shape::new(shape.channels, shape.height, shape.width)
}

fn classes(count: usize, columns: Columns) -> Option<Classes> {
    (count > 0).then_some(Classes { count, columns })
}

fn runtime_shape(shape: Shape) -> pocketgan::Shape {
    pocketgan::Shape::new(shape.height, shape.width, shape.channels)
}
