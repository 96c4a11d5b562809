//! The int8 ONNX model as the runtime's twin, whole and layer by layer.

use super::VerifyError;
use crate::engines::{
    Arithmetic, EngineError, Graph, OrtGraph, TractGraph, channels_first, channels_last, spec_shape,
};
use crate::export::onnx::{OnnxModel, Part};
use pocketgan::{Activation, Layer, Model, Shape};
use prost::Message;

/// Who runs the int8 ONNX model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Referee {
    /// ONNX Runtime, node by node as the graph stands.
    OnnxRuntime,
    /// tract.
    Tract,
}

impl Referee {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "ONNX Runtime",
            Self::Tract => "tract",
        }
    }

    fn graph(self, part: &Part) -> Result<Box<dyn Graph>, EngineError> {
        Ok(match self {
            Self::OnnxRuntime => {
                let bytes = part.proto.encode_to_vec();
                Box::new(OrtGraph::new(&bytes, Arithmetic::AsWritten)?)
            }
            Self::Tract => Box::new(TractGraph::new(part)?),
        })
    }
}

/// What quanta are expected to be; `[N, C, H, W]` or `[N, features]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// Whole numbers.
    pub rounded: Vec<f32>,
    /// The same before they are rounded, within the quanta's range.
    pub unrounded: Vec<f32>,
}

/// A part of the int8 ONNX model that ends in quanta.
struct Twin {
    graph: Box<dyn Graph>,
    /// What a quantum of the output is worth.
    scale: f64,
    /// The least and the greatest quantum.
    range: [f64; 2],
}

impl Twin {
    /// The twin of what ends in layer `index` of `blob`.
    fn new(
        referee: Referee,
        part: &Part,
        blob: &Model<'_>,
        index: usize,
    ) -> Result<Self, VerifyError> {
        let layer = blob.layer(index);
        Ok(Self {
            graph: referee.graph(part)?,
            scale: layer.scale.into(),
            range: range_of(&layer).map(f64::from),
        })
    }

    fn run(
        &mut self,
        inputs: &[(&[f32], &[usize])],
        classes: &[u32],
    ) -> Result<Expected, VerifyError> {
        let mut outputs = self.graph.outputs(inputs, classes)?.into_iter();
        let values = outputs.next().unwrap_or_default();
        // An upsample rounds nothing.
        let unrounded = outputs.next().unwrap_or_else(|| values.clone());
        let quanta = |y: f32| f64::from(y) / self.scale;
        let [least, greatest] = self.range;
        Ok(Expected {
            rounded: values
                .into_iter()
                .map(|y| quanta(y).round() as f32)
                .collect(),
            unrounded: unrounded
                .into_iter()
                .map(|y| quanta(y).clamp(least, greatest) as f32)
                .collect(),
        })
    }
}

/// The least and the greatest quantum that a layer gives (sections 4.2 and 9.2 of the blob format).
pub(super) fn range_of(layer: &Layer<'_>) -> [i16; 2] {
    let is_signed = if layer.operator.keeps_quanta() {
        layer.signed_input
    } else {
        !matches!(layer.activation, Activation::Relu | Activation::Sigmoid)
    };
    if is_signed { [-128, 127] } else { [0, 255] }
}

/// The whole int8 model.
pub struct NetworkTwin {
    twin: Twin,
    /// Extents of what it reads.
    dims: Vec<usize>,
}

impl NetworkTwin {
    /// The twin of `blob`.
    ///
    /// # Errors
    /// What the ONNX model lacks, and what the referee says of it.
    pub fn new(referee: Referee, onnx: &OnnxModel, blob: &Model<'_>) -> Result<Self, VerifyError> {
        Ok(Self {
            twin: Twin::new(referee, &onnx.whole()?, blob, blob.layer_count() - 1)?,
            dims: match blob.picture().map(spec_shape) {
                Some(picture) => vec![picture.channels, picture.height, picture.width],
                None => vec![blob.latent_size()],
            },
        })
    }

    /// The pixels' quanta for the numbers that it reads, as ONNX models read them, each of its class.
    ///
    /// # Errors
    /// What the referee says.
    pub fn run(&mut self, values: &[f32], classes: &[u32]) -> Result<Expected, VerifyError> {
        self.twin.run(&[(values, &self.dims)], classes)
    }
}

/// A tensor that a layer reads.
struct Input {
    /// Its number: 0 is the model's input, `i + 1` what layer `i` gives.
    tensor: usize,
    shape: Shape,
    /// What a quantum is worth.
    scale: f32,
    /// Extents in the ONNX model.
    dims: Vec<usize>,
}

/// An int8 layer of the runtime and the same layer cut out of the QDQ model.
pub struct LayerTwin<'a> {
    index: usize,
    layer: Layer<'a>,
    /// Shape of the output, the image's for the last layer.
    output: Shape,
    /// The tensors that it reads, each once.
    inputs: Vec<Input>,
    twin: Twin,
}

impl<'a> LayerTwin<'a> {
    /// The twins of all layers of `blob`.
    ///
    /// # Errors
    /// A layer that the ONNX model lacks, and what the referee says of one.
    pub fn all(
        referee: Referee,
        onnx: &OnnxModel,
        blob: &Model<'a>,
    ) -> Result<Vec<Self>, VerifyError> {
        let layers = blob.layers().enumerate().map(|(index, layer)| {
            let mut reads = vec![(layer.source, layer.input)];
            let other = layer
                .operator
                .other()
                .filter(|&other| other != layer.source);
            reads.extend(other.map(|other| (other, layer.other_input())));
            let tensors: Vec<usize> = reads.iter().map(|&(tensor, _)| tensor).collect();
            let part = onnx.layer(index, &tensors)?;
            let scale = |tensor: usize| match tensor.checked_sub(1) {
                Some(before) => blob.layer(before).scale,
                None => blob.input_scale(),
            };
            let inputs = reads.iter().zip(&part.input_dims);
            Ok(Self {
                index,
                layer,
                output: if index + 1 == blob.layer_count() {
                    blob.output()
                } else {
                    layer.output
                },
                inputs: inputs
                    .map(|(&(tensor, shape), dims)| Input {
                        tensor,
                        shape,
                        scale: scale(tensor),
                        dims: dims.clone(),
                    })
                    .collect(),
                twin: Twin::new(referee, &part, blob, index)?,
            })
        });
        layers.collect()
    }

    /// The layer's name, with its index.
    pub fn name(&self) -> String {
        format!("layer {} ({})", self.index, self.layer.name())
    }

    /// What the twin makes of what the layer was given, in the tensors of each input ([`super::reference::int8`]),
    /// each of its class.
    ///
    /// # Errors
    /// What the referee says.
    pub fn expected(
        &mut self,
        tensors: &[Vec<Vec<i16>>],
        classes: &[u32],
    ) -> Result<Expected, VerifyError> {
        let values = |input: &Input| -> Vec<f32> {
            let shape = spec_shape(input.shape);
            let quanta = tensors
                .iter()
                .flat_map(|tensors| channels_first(shape, &tensors[input.tensor]));
            quanta.map(|q| f32::from(q) * input.scale).collect()
        };
        let inputs: Vec<_> = self
            .inputs
            .iter()
            .map(|input| (values(input), input.dims.as_slice()))
            .collect();
        let inputs: Vec<_> = inputs
            .iter()
            .map(|(v, dims)| (v.as_slice(), *dims))
            .collect();
        // Only the first layer is told the class.
        let classes = if self.index == 0 { classes } else { &[] };
        self.twin.run(&inputs, classes)
    }

    /// What the twin made of each of `count` inputs, ordered row, column, channel.
    pub(super) fn rounded(&self, expected: &Expected, count: usize) -> Vec<Vec<i16>> {
        let shape = spec_shape(self.output);
        let outputs = expected
            .rounded
            .chunks(expected.rounded.len() / count.max(1));
        outputs
            .map(|output| {
                channels_last(shape, output)
                    .iter()
                    .map(|&q| q as i16)
                    .collect()
            })
            .collect()
    }

    /// What the layer itself gave for some inputs, ordered row, column, channel, in the twin's order.
    pub fn quanta<'t>(&self, outputs: impl Iterator<Item = &'t [i16]>) -> Vec<i16> {
        let shape = spec_shape(self.output);
        outputs
            .flat_map(|output| channels_first(shape, output))
            .collect()
    }
}
