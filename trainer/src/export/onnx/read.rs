//! Reading back the ONNX files that this crate writes, and no others.

use super::graph::{CLASS, input_name};
use super::{
    CLASSES, IMAGE, LATENT_SCALE, LATENT_SIZE, LAYERS, LEAST_SIDE, PICTURE, PIXELS, PRODUCER,
    SIDE_MULTIPLE, SIGNED, UNSIGNED,
};
use crate::spec::{Shape, Sides};
use pocketgan::{PixelRange, latent};
use prost::Message;
use std::collections::HashSet;
use tract_onnx::pb::{
    GraphProto, ModelProto, ValueInfoProto, tensor_shape_proto::dimension::Value, type_proto,
};

/// An ONNX model of ours.
#[derive(Clone, Debug)]
pub struct OnnxModel {
    /// The model itself.
    pub proto: ModelProto,
    /// What the model reads: a latent, or a picture as in training.
    pub input: Shape,
    /// Of a model that reads pictures: the sides that they may have; `None` where all have the same size.
    pub sides: Option<Sides>,
    /// How many classes there are; 0 without.
    pub classes: usize,
    /// How many layers the model has.
    pub layers: usize,
    /// Shape of the image; of a model that reads pictures, that of one of the size in training.
    pub output: Shape,
    /// What the image's pixels stand for.
    pub range: PixelRange,
}

/// Why a file is not an ONNX model of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// The bytes are no ONNX model.
    #[error("this is not an ONNX model")]
    NotOnnx,
    /// Another program wrote the model.
    #[error("this ONNX model was not written by pocketgan (export one with `trainer fit`)")]
    NotOurs,
    /// The model says that we wrote it, but lacks what we write.
    #[error("the ONNX model is damaged: it has no usable {0}")]
    Damaged(String),
}

impl OnnxModel {
    /// Reads a model that [`float_model`](super::float_model) or [`int8_model`](super::int8_model)
    /// wrote.
    ///
    /// # Errors
    /// Anything that is not such a model.
    pub fn read(bytes: &[u8]) -> Result<Self, OnnxError> {
        let proto = ModelProto::decode(bytes).map_err(|_| OnnxError::NotOnnx)?;
        if proto.graph.is_none() || proto.ir_version == 0 {
            return Err(OnnxError::NotOnnx);
        }
        let property = |key: &str| {
            let mut properties = proto.metadata_props.iter();
            let entry = properties.find(|entry| entry.key == key);
            entry.map(|entry| entry.value.as_str())
        };
        let scale = latent::SCALE.to_string();
        let reads_pictures = property(PICTURE).is_some();
        if proto.producer_name != PRODUCER
            || !reads_pictures && property(LATENT_SCALE) != Some(scale.as_str())
        {
            return Err(OnnxError::NotOurs);
        }
        let count = |key: &str| {
            let value = property(key).and_then(|value| value.parse().ok());
            let value = value.filter(|n| (1..=1 << 16).contains(n));
            value.ok_or_else(|| OnnxError::Damaged(key.into()))
        };
        let classes = match property(CLASSES) {
            Some(_) => count(CLASSES)?,
            None => 0,
        };
        if (classes > 0) != tensor(&proto, CLASS).is_ok() {
            return Err(OnnxError::Damaged(CLASSES.into()));
        }
        let range = match property(PIXELS) {
            Some(SIGNED) => PixelRange::Signed,
            Some(UNSIGNED) => PixelRange::Unsigned,
            _ => return Err(OnnxError::Damaged(PIXELS.into())),
        };
        let image = tensor(&proto, "image")?;
        let damaged = |key: &str| OnnxError::Damaged(key.into());
        let shape = |key: &str| property(key).and_then(parsed).ok_or_else(|| damaged(key));
        let (input, output) = if reads_pictures {
            (shape(PICTURE)?, shape(IMAGE)?)
        } else {
            let latent = Shape::features(count(LATENT_SIZE)?);
            (latent, shape_of(image).ok_or_else(|| damaged("image"))?)
        };
        Ok(Self {
            input,
            sides: match property(SIDE_MULTIPLE) {
                Some(_) => Some(Sides {
                    multiple: count(SIDE_MULTIPLE)?,
                    least: count(LEAST_SIDE)?,
                }),
                None => None,
            },
            classes,
            layers: count(LAYERS)?,
            output,
            range,
            proto,
        })
    }

    /// Components of the latent; 0 of a model that reads pictures.
    pub const fn latent_size(&self) -> usize {
        if self.input.is_flat() {
            self.input.len()
        } else {
            0
        }
    }

    /// The bytes of the model's ONNX file.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }

    /// Layer `index` alone, from the tensors that it reads (`[N, features]` or `[N, C, H, W]`, in floats) to what it
    /// gives. `read` are the numbers of these tensors, each once. The first layer of a model with classes takes them
    /// too.
    ///
    /// # Errors
    /// [`OnnxError::Damaged`] if the model has no such layer.
    pub fn layer(&self, index: usize, read: &[usize]) -> Result<Part, OnnxError> {
        let names: Vec<String> = read
            .iter()
            .map(|tensor| match tensor.checked_sub(1) {
                Some(before) => super::layer_output(before, self.layers),
                None => input_name(self.input).into(),
            })
            .collect();
        self.part(&names, index)
    }

    /// The whole model, from its input and the class to the image.
    ///
    /// # Errors
    /// [`OnnxError::Damaged`] if the model lacks a part.
    pub fn whole(&self) -> Result<Part, OnnxError> {
        self.part(&[input_name(self.input).into()], self.layers - 1)
    }

    /// What lies between `inputs` and the output of layer `to`.
    fn part(&self, inputs: &[String], to: usize) -> Result<Part, OnnxError> {
        let output = super::layer_output(to, self.layers);
        let mut outputs = vec![tensor(&self.proto, &output)?.clone()];
        outputs.extend(tensor(&self.proto, &super::unrounded(to)).ok().cloned());
        let mut tensors = Vec::new();
        let mut input_dims = Vec::new();
        for name in inputs {
            let from = tensor(&self.proto, name)?.clone();
            let dims = extents(&from).ok_or_else(|| OnnxError::Damaged(name.clone()))?;
            tensors.push(from);
            input_dims.push(dims);
        }
        let mut graph = self.proto.graph.clone().unwrap_or_default();
        let takes_class = keep_between(&mut graph, inputs, &output);
        if takes_class {
            tensors.push(tensor(&self.proto, CLASS)?.clone());
        }
        graph.input = tensors;
        graph.output = outputs;
        graph.value_info.clear();
        let proto = ModelProto {
            graph: Some(graph),
            ..self.proto.clone()
        };
        Ok(Part {
            proto,
            input_dims,
            takes_class,
        })
    }
}

/// A part of an [`OnnxModel`] as a model of its own. Its first output is that of the part's last layer; if the layer
/// rounds it to quanta, the second is the same before it is rounded.
#[derive(Clone, Debug)]
pub struct Part {
    /// The model.
    pub proto: ModelProto,
    /// Extents of each input behind the first, N.
    pub input_dims: Vec<Vec<usize>>,
    /// Whether there is one more input, the class of each sample.
    pub takes_class: bool,
}

/// Keeps the nodes that `output` needs when the inputs are given, and their constants; says whether they need the
/// classes.
fn keep_between(graph: &mut GraphProto, inputs: &[String], output: &str) -> bool {
    let mut needed = HashSet::from([output.to_owned()]);
    let mut kept = Vec::new();
    // Nodes stand in an order in which each comes after what it needs.
    for node in graph.node.drain(..).rev() {
        if node.output.iter().any(|name| needed.contains(name)) {
            let others = node.input.iter().filter(|name| !inputs.contains(name));
            needed.extend(others.cloned());
            kept.push(node);
        }
    }
    kept.reverse();
    graph.node = kept;
    graph
        .initializer
        .retain(|tensor| needed.contains(&tensor.name));
    needed.contains(CLASS)
}

fn tensor<'a>(proto: &'a ModelProto, name: &str) -> Result<&'a ValueInfoProto, OnnxError> {
    let graph = proto.graph.as_ref();
    let mut all = graph.into_iter().flat_map(|graph| {
        graph
            .input
            .iter()
            .chain(&graph.output)
            .chain(&graph.value_info)
    });
    all.find(|value| value.name == name)
        .ok_or_else(|| OnnxError::Damaged(name.into()))
}

/// The extents behind the first.
fn extents(value: &ValueInfoProto) -> Option<Vec<usize>> {
    let type_proto::Value::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    let dims = &tensor.shape.as_ref()?.dim;
    let sizes = dims.iter().skip(1).map(|dim| match dim.value {
        Some(Value::DimValue(n)) => usize::try_from(n)
            .ok()
            .filter(|n| (1..=1 << 22).contains(n)),
        _ => None,
    });
    sizes.collect()
}

/// The shape of a picture, grey or in colour, from its text, CxHxW.
fn parsed(text: &str) -> Option<Shape> {
    let extents = text.split('x').map(|extent| extent.parse().ok());
    let extents = extents.collect::<Option<Vec<usize>>>()?;
    match extents[..] {
        [channels @ (1 | 3), height, width]
            if [height, width].iter().all(|n| (1..=1 << 13).contains(n)) =>
        {
            Some(Shape::new(channels, height, width))
        }
        _ => None,
    }
}

fn shape_of(value: &ValueInfoProto) -> Option<Shape> {
    match extents(value)?[..] {
        [channels, height, width] => Some(Shape::new(channels, height, width)),
        _ => None,
    }
}
