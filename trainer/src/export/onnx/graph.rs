//! A graph in the making: nodes and constants added one after another.

use crate::spec::Shape;
use pocketgan::{Activation, Operator, Window};
use tract_onnx::pb::{
    AttributeProto, GraphProto, NodeProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType,
    tensor_shape_proto::Dimension, tensor_shape_proto::dimension::Value as Extent, type_proto,
};

/// What both kinds of layers have.
pub struct LayerFacts {
    pub operator: Operator,
    /// The number of the tensor that the layer reads, the first one if it reads two: 0 is the input, `i + 1` what layer
    /// `i` gives.
    pub source: usize,
    pub activation: Activation,
    pub input: Shape,
    pub output: Shape,
    pub name: String,
    /// Whether the layer gives the image.
    pub last: bool,
    /// What normalizes its sums before the activation: the names of scale and shift, and epsilon.
    pub instance_norm: Option<([String; 2], f32)>,
}

impl LayerFacts {
    /// The name of one of the layer's tensors.
    pub fn part(&self, part: &str) -> String {
        format!("{}.{part}", self.name)
    }

    /// The weights' extents in PyTorch's (and ONNX's) order.
    pub fn weight_dims(&self) -> Vec<usize> {
        let (inputs, outputs) = (self.input.channels, self.output.channels);
        match self.operator {
            Operator::Linear => vec![self.output.len(), self.input.len()],
            Operator::Conv2d(w) => vec![outputs, inputs, w.kernel, w.kernel],
            Operator::ConvTranspose2d(w) => vec![inputs, outputs, w.kernel, w.kernel],
            Operator::Upsample { .. }
            | Operator::AvgPool2d(_)
            | Operator::Add { .. }
            | Operator::Concat { .. } => Vec::new(),
        }
    }

    /// Which of [`weight_dims`](Self::weight_dims) counts the outputs.
    pub fn weight_output_axis(&self) -> i64 {
        match self.operator {
            Operator::ConvTranspose2d(_) => 1,
            _ => 0,
        }
    }
}

/// The little-endian numbers of a constant.
pub struct Numbers {
    pub data_type: DataType,
    pub bytes: Vec<u8>,
}

impl Numbers {
    pub fn floats(values: &[f32]) -> Self {
        Self {
            data_type: DataType::Float,
            bytes: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        }
    }

    fn integers(values: &[i64]) -> Self {
        Self {
            data_type: DataType::Int64,
            bytes: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        }
    }
}

/// The name of the classes, a second input of the graph.
pub const CLASS: &str = "class";

/// The name of a network's input.
pub const fn input_name(input: Shape) -> &'static str {
    if input.is_flat() { "latent" } else { "picture" }
}

/// A graph from its input to `image`, layer by layer.
pub struct Graph {
    proto: GraphProto,
    /// The input, then what each layer so far gives.
    tensors: Vec<Tensor>,
}

struct Tensor {
    name: String,
    shape: Shape,
    /// Whether it is `[N, C, H, W]`; else it is `[N, features]`.
    picture: bool,
}

impl Graph {
    /// The beginning: the input, and [`CLASS`] if there are classes.
    pub fn new(shape: Shape, classes: usize) -> Self {
        let given = Tensor {
            name: input_name(shape).into(),
            shape,
            picture: !shape.is_flat(),
        };
        let mut input = vec![value_info(&given)];
        if classes > 0 {
            input.push(tensor_info(CLASS, DataType::Int64, Vec::new()));
        }
        Self {
            proto: GraphProto {
                name: "generator".into(),
                input,
                ..GraphProto::default()
            },
            tensors: vec![given],
        }
    }

    /// Joins numbers of the class, `[classes][numbers]`, to the input as more channels; `joined` is then its shape.
    pub fn join_class(&mut self, classes: usize, numbers: &[f32], joined: Shape) {
        let Some(input) = self.tensors.first_mut() else {
            return;
        };
        let channels = joined.channels - input.shape.channels;
        let dims = [classes, channels, joined.height, joined.width];
        let [own, name] = [input.name.clone(), format!("{}.joined", input.name)];
        (input.name, input.shape) = (name.clone(), joined);
        let planes = self.constant("class.planes".into(), &dims, Numbers::floats(numbers));
        let plane = "class.plane";
        let inputs = vec![planes, CLASS.into()];
        self.node("Gather", inputs, plane, vec![int("axis", 0)]);
        let inputs = vec![own, plane.into()];
        self.node("Concat", inputs, &name, vec![int("axis", 1)]);
    }

    /// Closes the graph with what the last layer gives, `image`.
    pub fn finish(mut self) -> GraphProto {
        self.proto.value_info.retain(|value| value.name != "image");
        self.proto
            .output
            .extend(self.tensors.last().map(value_info));
        self.proto
    }

    /// The graph as it is, without outputs.
    pub fn into_proto(self) -> GraphProto {
        self.proto
    }

    /// Puts `name`, which is of the same shape, in place of the last tensor.
    pub fn continue_from(&mut self, name: String) {
        if let Some(last) = self.tensors.last_mut() {
            last.name = name;
            self.proto.value_info.push(value_info(last));
        }
    }

    /// Adds a layer; `parameters` are the names of weight, bias and, in the first layer of a network with classes,
    /// class columns.
    pub fn layer(&mut self, facts: &LayerFacts, parameters: &[String], output: &str) {
        let linear = facts.operator == Operator::Linear;
        let mut inputs = vec![self.arranged(facts.source, !linear, facts.part("input"))];
        if let Some(other) = facts.operator.other() {
            inputs.push(self.arranged(other, !linear, facts.part("input1")));
        }
        let reshaped = linear && (facts.last || !facts.output.is_flat());
        let has_activation = facts.activation != Activation::None;
        let end = if reshaped {
            facts.part("features")
        } else {
            output.into()
        };
        let sum = if has_activation {
            facts.part("sum")
        } else {
            end.clone()
        };
        match parameters {
            [weight, bias, columns] => {
                let own = facts.part("own_sum");
                self.operation(facts, inputs, &[weight.clone(), bias.clone()], &own);
                self.add_column(facts, columns, own, &sum);
            }
            _ => match &facts.instance_norm {
                None => self.operation(facts, inputs, parameters, &sum),
                Some((numbers, epsilon)) => {
                    let own = facts.part("own_sum");
                    self.operation(facts, inputs, parameters, &own);
                    let inputs = [&[own], &numbers[..]].concat();
                    let attributes = vec![float("epsilon", *epsilon)];
                    self.node("InstanceNormalization", inputs, &sum, attributes);
                }
            },
        }
        if has_activation {
            self.activation(facts, &sum, &end);
        }
        if reshaped {
            self.reshape(end, true, facts.output, output.into());
        }
        let tensor = Tensor {
            name: output.into(),
            shape: facts.output,
            picture: reshaped || !linear,
        };
        self.proto.value_info.push(value_info(&tensor));
        self.tensors.push(tensor);
    }

    fn operation(
        &mut self,
        facts: &LayerFacts,
        mut inputs: Vec<String>,
        parameters: &[String],
        output: &str,
    ) {
        inputs.extend_from_slice(parameters);
        let (op, attributes) = match facts.operator {
            Operator::Linear => ("Gemm", vec![int("transB", 1)]),
            Operator::Conv2d(window) => ("Conv", window_attributes(window)),
            Operator::ConvTranspose2d(window) => ("ConvTranspose", window_attributes(window)),
            Operator::Upsample { factor } => {
                let factor = factor as f32;
                let scales = Numbers::floats(&[1.0, 1.0, factor, factor]);
                let scales = self.constant(facts.part("factors"), &[4], scales);
                inputs.extend([String::new(), scales]);
                let attributes = vec![
                    string("mode", "nearest"),
                    string("coordinate_transformation_mode", "asymmetric"),
                    string("nearest_mode", "floor"),
                ];
                ("Resize", attributes)
            }
            Operator::AvgPool2d(window) => ("AveragePool", window_attributes(window)),
            Operator::Add { .. } => ("Add", Vec::new()),
            Operator::Concat { .. } => ("Concat", vec![int("axis", 1)]),
        };
        self.node(op, inputs, output, attributes);
    }

    /// Adds the column of each sample's class to `own`.
    fn add_column(&mut self, facts: &LayerFacts, columns: &str, own: String, output: &str) {
        let column = facts.part("column");
        let inputs = vec![columns.to_owned(), CLASS.to_owned()];
        self.node("Gather", inputs, &column, vec![int("axis", 0)]);
        self.node("Add", vec![own, column], output, Vec::new());
    }

    fn activation(&mut self, facts: &LayerFacts, input: &str, output: &str) {
        let (op, attributes) = match facts.activation {
            Activation::None => ("Identity", Vec::new()),
            Activation::Relu => ("Relu", Vec::new()),
            Activation::LeakyRelu { slope } => ("LeakyRelu", vec![float("alpha", slope)]),
            Activation::Tanh => ("Tanh", Vec::new()),
            Activation::Sigmoid => ("Sigmoid", Vec::new()),
        };
        self.node(op, vec![input.into()], output, attributes);
    }

    /// A tensor in the form `[N, C, H, W]` or `[N, features]`: its own name, or `output` if it had to be reshaped.
    fn arranged(&mut self, tensor: usize, picture: bool, output: String) -> String {
        let tensor = &self.tensors[tensor];
        let (name, shape) = (tensor.name.clone(), tensor.shape);
        if tensor.picture == picture {
            name
        } else {
            self.reshape(name, picture, shape, output)
        }
    }

    /// Brings `input` into that form; gives `output` back.
    fn reshape(&mut self, input: String, picture: bool, shape: Shape, output: String) -> String {
        let sizes = [shape.channels, shape.height, shape.width].map(|n| n as i64);
        let mut target = vec![0];
        if picture {
            target.extend(sizes)
        } else {
            target.push(shape.len() as i64)
        }
        let numbers = Numbers::integers(&target);
        let target = self.constant(format!("{output}.shape"), &[target.len()], numbers);
        self.node("Reshape", vec![input, target], &output, Vec::new());
        output
    }

    /// Adds `term` to each number of `input`; gives `output` back.
    pub fn raised(&mut self, input: &str, output: &str, term: f32) -> String {
        let term = self.constant(format!("{output}.term"), &[], Numbers::floats(&[term]));
        self.node("Add", vec![input.into(), term], output, Vec::new());
        output.into()
    }

    /// Rounds `input` to quanta worth `scale`; `output` is what they are worth.
    pub fn quantized(&mut self, input: &str, output: &str, scale: f32, unsigned: bool) -> String {
        let scale = Numbers::floats(&[scale]);
        let scale = self.constant(format!("{output}.scale"), &[], scale);
        let zero = Numbers {
            data_type: if unsigned {
                DataType::Uint8
            } else {
                DataType::Int8
            },
            bytes: vec![0],
        };
        let zero = self.constant(format!("{output}.zero_point"), &[], zero);
        let quanta = format!("{output}.quanta");
        let parameters = [scale, zero];
        let inputs = |from: &str| [&[from.into()], &parameters[..]].concat();
        self.node("QuantizeLinear", inputs(input), &quanta, Vec::new());
        self.node("DequantizeLinear", inputs(&quanta), output, Vec::new());
        output.into()
    }

    /// Adds a constant of quanta, each slice along `axis` worth its own `scales`.
    pub fn dequantized_constant(
        &mut self,
        name: String,
        dims: &[usize],
        quanta: Numbers,
        scales: &[f32],
        axis: i64,
    ) -> String {
        let scales = (Numbers::floats(scales), scales.len());
        let scale = self.constant(format!("{name}.scale"), &[scales.1], scales.0);
        let quanta = self.constant(format!("{name}.quanta"), dims, quanta);
        let attributes = vec![int("axis", axis)];
        self.node("DequantizeLinear", vec![quanta, scale], &name, attributes);
        name
    }

    /// Adds a constant of extents `dims` (none for a scalar); gives its name back.
    pub fn constant(&mut self, name: String, dims: &[usize], numbers: Numbers) -> String {
        self.proto.initializer.push(TensorProto {
            name: name.clone(),
            dims: dims.iter().map(|&n| n as i64).collect(),
            data_type: numbers.data_type.into(),
            raw_data: numbers.bytes,
            ..TensorProto::default()
        });
        name
    }

    /// Adds a node that gives `output`.
    pub fn node(
        &mut self,
        op: &str,
        input: Vec<String>,
        output: &str,
        attribute: Vec<AttributeProto>,
    ) {
        self.proto.node.push(NodeProto {
            name: format!("{output}/{op}"),
            op_type: op.into(),
            input,
            output: vec![output.into()],
            attribute,
            ..NodeProto::default()
        });
    }
}

fn value_info(tensor: &Tensor) -> ValueInfoProto {
    let shape = tensor.shape;
    let sizes = if tensor.picture {
        vec![shape.channels, shape.height, shape.width]
    } else {
        vec![shape.len()]
    };
    tensor_info(&tensor.name, DataType::Float, sizes)
}

/// A tensor of floats, `[N, C, H, W]`.
pub fn float_info(name: &str, shape: Shape) -> ValueInfoProto {
    let sizes = vec![shape.channels, shape.height, shape.width];
    tensor_info(name, DataType::Float, sizes)
}

/// A tensor `[N, sizes…]`.
fn tensor_info(name: &str, data_type: DataType, sizes: Vec<usize>) -> ValueInfoProto {
    let sizes = sizes.into_iter().map(|n| Extent::DimValue(n as i64));
    let extents = std::iter::once(Extent::DimParam("N".into())).chain(sizes);
    let dim = extents.map(|value| Dimension {
        value: Some(value),
        ..Dimension::default()
    });
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: data_type.into(),
                shape: Some(TensorShapeProto { dim: dim.collect() }),
            })),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// Lets the height and width of a tensor `[N, C, H, W]` be any.
pub fn loosen(value: &mut ValueInfoProto) {
    let name = value.name.clone();
    let Some(type_proto::Value::TensorType(tensor)) =
        value.r#type.as_mut().and_then(|kind| kind.value.as_mut())
    else {
        return;
    };
    let extents = tensor.shape.iter_mut().flat_map(|shape| &mut shape.dim);
    for (extent, side) in extents.skip(2).zip(["height", "width"]) {
        extent.value = Some(Extent::DimParam(format!("{name}_{side}")));
    }
}

fn window_attributes(window: Window) -> Vec<AttributeProto> {
    let mut attributes = vec![
        ints("kernel_shape", &[window.kernel; 2]),
        ints("strides", &[window.stride; 2]),
        ints("pads", &[window.padding; 4]),
    ];
    if window.output_padding > 0 {
        attributes.push(ints("output_padding", &[window.output_padding; 2]));
    }
    attributes
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: kind.into(),
        ..AttributeProto::default()
    }
}

pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        i,
        ..attribute(name, AttributeType::Int)
    }
}

pub fn ints(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto {
        ints: values.iter().map(|&n| n as i64).collect(),
        ..attribute(name, AttributeType::Ints)
    }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto {
        f,
        ..attribute(name, AttributeType::Float)
    }
}

fn string(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        s: value.into(),
        ..attribute(name, AttributeType::String)
    }
}
