//! ONNX files of folded and quantized networks (opset 17).
//!
//! They take `latent`, float `[N, latent size]` of multiples of 1/32, or `picture`, float `[N, C, H, W]` of pixels `p`
//! as `(p - 128) / 128`, and give `image`, float `[N, C, H, W]`, in [-1, 1] behind tanh and in [0, 1] behind sigmoid.
//! With classes there is a second input, `class`, int64 `[N]`, whose rows of a table of columns are added to the first
//! layer's sums. The tensor `layer{i}` is what layer `i` gives, activation included; the last layer gives `image`. An
//! encoder's gives `latent`, `[N, features]`; one with classes joins a plane of numbers for the class to the picture. Where nothing in a network depends on the size of the pictures, their
//! height and width are left open.
//!
//! The int8 twin is in the QDQ form: weights are int8 behind a DequantizeLinear per output channel,
//! biases int32, and every activation passes a QuantizeLinear and a DequantizeLinear with the scale
//! that the `.pgan` blob's integer arithmetic realizes; all zero points are 0.

mod graph;
mod pixels;
mod read;

pub use pixels::pixel_model;
pub use read::{OnnxError, OnnxModel, Part};

use super::fold::Folded;
use super::quantize::{Quantized, QuantizedLayer};
use crate::samples;
use crate::spec::{Shape, Sides};
use graph::{Graph, LayerFacts, Numbers, loosen};
use pocketgan::{Activation, Operator, latent};
use prost::Message;
use tract_onnx::pb::{
    GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto, tensor_proto::DataType,
};

const PRODUCER: &str = "pocketgan";
const LATENT_SIZE: &str = "pocketgan.latent_size";
/// The shapes of a picture and of what is made of it, CxHxW, in training; and the sides that others may have, as in
/// [`Sides`]: the number that they are multiples of, and the least. Both are left out where there are none.
const PICTURE: &str = "pocketgan.picture";
const IMAGE: &str = "pocketgan.image";
const SIDE_MULTIPLE: &str = "pocketgan.side_multiple";
const LEAST_SIDE: &str = "pocketgan.least_side";
const CLASSES: &str = "pocketgan.classes";
const LATENT_SCALE: &str = "pocketgan.latent_scale";
const PIXELS: &str = "pocketgan.pixels";
const LAYERS: &str = "pocketgan.layers";
/// What [`PIXELS`] says behind tanh and behind sigmoid.
const SIGNED: &str = "pixel = clamp(floor(128 * y + 128.5), 0, 255)";
const UNSIGNED: &str = "pixel = clamp(floor(256 * y + 0.5), 0, 255)";

/// The name of what layer `index` of `layers` gives.
fn layer_output(index: usize, layers: usize) -> String {
    if index + 1 == layers {
        "image".into()
    } else {
        format!("layer{index}")
    }
}

/// The name of what layer `index` of an int8 model gives before it is rounded to quanta.
fn unrounded(index: usize) -> String {
    format!("layer{index}.float")
}

/// The float model of a network that makes images of latents, as bytes of an ONNX file.
pub fn float_model(folded: &Folded) -> Vec<u8> {
    translator_model(folded, None)
}

/// The float model of a network that makes images of pictures, as bytes of an ONNX file. `sides` are those that
/// [`Network::sides`](crate::spec::Network::sides) says of the network.
pub fn translator_model(folded: &Folded, sides: Option<Sides>) -> Vec<u8> {
    let mut graph = float_graph(folded, "image");
    if sides.is_some() {
        graph.input.iter_mut().for_each(loosen);
        graph.output.iter_mut().for_each(loosen);
    }
    let facts = Facts {
        input: folded.input,
        classes: folded.classes,
        layers: folded.layers.len(),
        output: folded.layers.last().map(|layer| layer.output),
        activation: folded.layers.last().map(|layer| layer.activation),
        sides,
    };
    model(graph, &facts)
}

/// The float model of an encoder, as bytes of an ONNX file.
pub fn encoder_model(folded: &Folded) -> Vec<u8> {
    ModelProto {
        doc_string: "Makes a latent of a picture whose values are (pixel - 128) / 128.".into(),
        ..bare_model(float_graph(folded, "latent"))
    }
    .encode_to_vec()
}

/// The graph of a network whose last layer gives `output`.
fn float_graph(folded: &Folded, output: &str) -> GraphProto {
    let mut graph = Graph::new(folded.input, folded.classes);
    if let Some(first) = folded.layers.first()
        && !folded.class_planes.is_empty()
    {
        graph.join_class(folded.classes, &folded.class_planes, first.input);
    }
    let count = folded.layers.len();
    for (index, layer) in folded.layers.iter().enumerate() {
        let is_last = index + 1 == count;
        let name = format!("layer{index}");
        let instance_norm = layer.instance_norm.as_ref().map(|norm| {
            let numbers = [("scale", &norm.gamma), ("shift", &norm.beta)].map(|(part, numbers)| {
                let constant = Numbers::floats(numbers);
                graph.constant(format!("{name}.{part}"), &[numbers.len()], constant)
            });
            (numbers, norm.epsilon as f32)
        });
        let facts = LayerFacts {
            operator: layer.operator,
            source: layer.source,
            activation: layer.activation,
            input: layer.input,
            output: layer.output,
            name,
            last: is_last && output == "image",
            instance_norm,
        };
        let mut parameters = Vec::new();
        if !layer.bias.is_empty() {
            let dims = facts.weight_dims();
            let weight = Numbers::floats(&layer.weight);
            parameters.push(graph.constant(facts.part("weight"), &dims, weight));
            let bias = Numbers::floats(&layer.bias);
            parameters.push(graph.constant(facts.part("bias"), &[layer.bias.len()], bias));
        }
        if !layer.columns.is_empty() {
            let dims = [folded.classes, layer.bias.len()];
            let columns = Numbers::floats(&layer.columns);
            parameters.push(graph.constant(facts.part("columns"), &dims, columns));
        }
        let given = if is_last {
            output.to_owned()
        } else {
            layer_output(index, count)
        };
        graph.layer(&facts, &parameters, &given);
    }
    let mut graph = graph.finish();
    // Without them tract takes any N, or a fixed one.
    graph.value_info.clear();
    graph
}

/// The int8 twin of a network in the QDQ form, as bytes of an ONNX file.
pub fn int8_model(quantized: &Quantized) -> Vec<u8> {
    let input = quantized.input;
    let mut graph = Graph::new(input, quantized.classes);
    let count = quantized.layers.len();
    let read = if input.is_flat() {
        graph.quantized("latent", "latent.dequantized", latent::SCALE, false)
    } else {
        graph.quantized("picture", "picture.dequantized", samples::PIXEL, false)
    };
    graph.continue_from(read);
    for (index, layer) in quantized.layers.iter().enumerate() {
        int8_layer(&mut graph, layer, index, &layer_output(index, count));
    }
    let facts = Facts {
        input,
        classes: quantized.classes,
        layers: count,
        output: quantized.layers.last().map(|layer| layer.output),
        activation: quantized.layers.last().map(|layer| layer.activation),
        sides: None,
    };
    model(graph.finish(), &facts)
}

fn int8_layer(graph: &mut Graph, layer: &QuantizedLayer, index: usize, output: &str) {
    let facts = LayerFacts {
        // What is rounded to other quanta stands for the same numbers.
        operator: if layer.is_copy() {
            Operator::Upsample { factor: 1 }
        } else {
            layer.operator
        },
        source: layer.source,
        activation: layer.activation,
        input: layer.input,
        output: layer.output,
        name: format!("layer{index}"),
        last: output == "image",
        instance_norm: None,
    };
    let parameters = match layer.operator {
        // Quanta are copied; there is nothing to round.
        Operator::Upsample { .. } | Operator::Concat { .. } => {
            return graph.layer(&facts, &[], output);
        }
        Operator::Add { .. } | Operator::AvgPool2d(_) => Vec::new(),
        Operator::Linear | Operator::Conv2d(_) | Operator::ConvTranspose2d(_) => {
            int8_parameters(graph, layer, &facts)
        }
    };
    let float = unrounded(index);
    if let Operator::AvgPool2d(window) = layer.operator {
        // The runtime rounds halves up, QuantizeLinear to even. A quarter of the least distance between two means
        // makes both the same.
        let elements = (window.kernel * window.kernel) as f32;
        let mean = facts.part("mean");
        graph.layer(&facts, &[], &mean);
        let raised = graph.raised(&mean, &float, layer.scale / (4.0 * elements));
        graph.continue_from(raised);
    } else {
        graph.layer(&facts, &parameters, &float);
    }
    let quantized = graph.quantized(&float, output, layer.scale, layer.unsigned);
    graph.continue_from(quantized);
}

/// Adds the parameters of a layer that has some; gives their names.
fn int8_parameters(graph: &mut Graph, layer: &QuantizedLayer, facts: &LayerFacts) -> Vec<String> {
    let outputs = layer.bias.len();
    let weight = Numbers {
        data_type: DataType::Int8,
        bytes: layer.weight.iter().map(|&weight| weight as u8).collect(),
    };
    let bias = Numbers {
        data_type: DataType::Int32,
        bytes: layer.bias.iter().flat_map(|b| b.to_le_bytes()).collect(),
    };
    let bias_scale: Vec<f32> = layer.accumulator_scales().map(|s| s as f32).collect();
    let mut parameters = vec![
        graph.dequantized_constant(
            facts.part("weight"),
            &facts.weight_dims(),
            weight,
            &layer.weight_scale,
            facts.weight_output_axis(),
        ),
        graph.dequantized_constant(facts.part("bias"), &[outputs], bias, &bias_scale, 0),
    ];
    if !layer.columns.is_empty() {
        let columns = Numbers {
            data_type: DataType::Int8,
            bytes: layer.columns.iter().map(|&q| q as u8).collect(),
        };
        let step = f64::from(layer.class_step);
        let scales: Vec<f32> = layer
            .accumulator_scales()
            .map(|s| (s * step) as f32)
            .collect();
        let dims = [layer.columns.len() / outputs, outputs];
        let columns = graph.dequantized_constant(facts.part("columns"), &dims, columns, &scales, 1);
        parameters.push(columns);
    }
    parameters
}

/// What a model's metadata say.
struct Facts {
    input: Shape,
    classes: usize,
    layers: usize,
    output: Option<Shape>,
    /// After the last layer.
    activation: Option<Activation>,
    sides: Option<Sides>,
}

fn model(graph: GraphProto, facts: &Facts) -> Vec<u8> {
    let pixels = match facts.activation {
        Some(Activation::Sigmoid) => UNSIGNED,
        _ => SIGNED,
    };
    let (doc_string, mut properties) = if facts.input.is_flat() {
        let properties = vec![
            (LATENT_SIZE, facts.input.len().to_string()),
            (LATENT_SCALE, latent::SCALE.to_string()),
        ];
        let text = "Makes an image from a latent whose components are multiples of 1/32.";
        (text, properties)
    } else {
        let mut properties = vec![(PICTURE, facts.input.to_string())];
        properties.extend(facts.output.map(|shape| (IMAGE, shape.to_string())));
        if let Some(Sides { multiple, least }) = facts.sides {
            let sides = [(SIDE_MULTIPLE, multiple), (LEAST_SIDE, least)];
            properties.extend(sides.map(|(key, side)| (key, side.to_string())));
        }
        let text = "Makes an image from a picture whose values are (pixel - 128) / 128.";
        (text, properties)
    };
    properties.extend([
        (LAYERS, facts.layers.to_string()),
        (PIXELS, pixels.to_string()),
    ]);
    if facts.classes > 0 {
        properties.push((CLASSES, facts.classes.to_string()));
    }
    ModelProto {
        doc_string: doc_string.into(),
        metadata_props: properties
            .into_iter()
            .map(|(key, value)| StringStringEntryProto {
                key: key.into(),
                value,
            })
            .collect(),
        ..bare_model(graph)
    }
    .encode_to_vec()
}

fn bare_model(graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 17,
        }],
        producer_name: PRODUCER.into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        ..ModelProto::default()
    }
}
