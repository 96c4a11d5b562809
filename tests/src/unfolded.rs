//! A network as ONNX just as it stands, layer for layer, batch normalization included: what folding is
//! held against. Written apart from the trainer's own ONNX code on purpose.

use pocketgan_trainer::parameters::Parameters;
use pocketgan_trainer::spec::{Layer, Network, Step};
use prost::Message;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto::AttributeType,
    tensor_proto::DataType, tensor_shape_proto::Dimension,
    tensor_shape_proto::dimension::Value as Extent, type_proto,
};

/// The ONNX file of a network: `x` of the network's input, and its `class` if it is told one, to `y` of
/// its output, `N` at once.
pub fn onnx(network: &Network, parameters: &Parameters) -> Vec<u8> {
    let steps = network.walk().expect("a network that fits together");
    let mut graph = GraphProto {
        name: "unfolded".into(),
        ..GraphProto::default()
    };
    for (name, tensor) in &parameters.tensors {
        let dims: Vec<i64> = tensor.shape.iter().map(|&n| n as i64).collect();
        let bytes = tensor.data.iter().flat_map(|x| x.to_le_bytes()).collect();
        push_constant(&mut graph, name, &dims, DataType::Float, bytes);
    }
    let mut tensors = vec!["x".to_owned()];
    let mut extents = vec![network.input.len()];
    graph.input = vec![value("x", DataType::Float, &extents)];
    if network.classes().is_some() {
        graph.input.push(value("class", DataType::Int64, &[]));
    }
    for step in &steps {
        let inputs = step.reads.iter().zip(&step.inputs).enumerate();
        let inputs = inputs.map(|(at, (&read, shape))| {
            let wanted = match step.layer {
                Layer::Linear { .. } | Layer::ClassProjection { .. } => vec![shape.len()],
                _ => vec![shape.channels, shape.height, shape.width],
            };
            let name = format!("{}.in{at}", step.index);
            reshaped(&mut graph, tensors[read].clone(), &wanted, &name)
        });
        let inputs = inputs.collect();
        tensors.push(layer(&mut graph, step, inputs, parameters));
        extents = match step.layer {
            Layer::Linear { .. } => vec![step.output.len()],
            _ => vec![step.output.channels, step.output.height, step.output.width],
        };
    }
    let last = tensors.pop().unwrap_or_default();
    let last = reshaped(&mut graph, last, &extents, "last");
    graph.node.push(node("Identity", vec![last], "y"));
    graph.output = vec![value("y", DataType::Float, &extents)];
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 17,
        }],
        graph: Some(graph),
        ..ModelProto::default()
    }
    .encode_to_vec()
}

fn layer(
    graph: &mut GraphProto,
    step: &Step<'_>,
    mut inputs: Vec<String>,
    numbers: &Parameters,
) -> String {
    let part = |part: &str| format!("{}.{part}", step.index);
    let parts = |names: &[&str]| names.iter().map(|name| part(name)).collect::<Vec<_>>();
    let output = part("out");
    let (op, attributes) = match *step.layer {
        Layer::Linear { .. } => ("Gemm", vec![ints("transB", &[1])]),
        Layer::Conv2d {
            kernel,
            stride,
            padding,
            ..
        } => ("Conv", window(kernel, stride, padding, 0)),
        Layer::MaskedConv2d { kernel, .. } => {
            // The window with zeros where nothing is read.
            let own = numbers.get(step.index, "weight").unwrap_or_default();
            let taps = kernel * kernel;
            let windows =
                own.chunks_exact(own.len() / (step.output.channels * step.input.channels));
            let bytes = windows.flat_map(|own| {
                let zeros = std::iter::repeat_n(&0.0, taps - own.len());
                own.iter().chain(zeros).flat_map(|x| x.to_le_bytes())
            });
            let dims = [step.output.channels, step.input.channels, kernel, kernel];
            let dims = dims.map(|n| n as i64);
            push_constant(
                graph,
                &part("window"),
                &dims,
                DataType::Float,
                bytes.collect(),
            );
            inputs.push(part("window"));
            inputs.extend(numbers.get(step.index, "bias").map(|_| part("bias")));
            let mut node = node("Conv", inputs, &output);
            node.attribute = window(kernel, 1, kernel / 2, 0);
            graph.node.push(node);
            return output;
        }
        Layer::ConvTranspose2d {
            kernel,
            stride,
            padding,
            output_padding,
            ..
        } => (
            "ConvTranspose",
            window(kernel, stride, padding, output_padding),
        ),
        Layer::Upsample { factor } => {
            let scales = [1.0, 1.0, factor as f32, factor as f32];
            let bytes = scales.iter().flat_map(|x: &f32| x.to_le_bytes()).collect();
            push_constant(graph, &part("scales"), &[4], DataType::Float, bytes);
            inputs.push(part("scales"));
            ("Upsample", Vec::new())
        }
        Layer::BatchNorm { epsilon, .. } => {
            inputs.extend(parts(&["gamma", "beta", "mean", "variance"]));
            ("BatchNormalization", vec![float("epsilon", epsilon)])
        }
        Layer::InstanceNorm { epsilon } => {
            return instance_norm(graph, step, &inputs[0], numbers, epsilon);
        }
        Layer::ClassShift { .. } | Layer::ClassBias { .. } => {
            let rows = vec![part("shift"), "class".to_owned()];
            graph.node.push(node("Gather", rows, &part("row")));
            inputs.push(part("row"));
            ("Add", Vec::new())
        }
        Layer::ClassEmbedding { .. } => {
            let rows = vec![part("embedding"), "class".to_owned()];
            graph.node.push(node("Gather", rows, &part("row")));
            inputs.push(part("row"));
            ("Concat", vec![ints("axis", &[1])])
        }
        Layer::ClassProjection { .. } => {
            let rows = vec![part("embedding"), "class".to_owned()];
            graph.node.push(node("Gather", rows, &part("row")));
            inputs.push(part("row"));
            graph.node.push(node("Mul", inputs, &part("products")));
            let axis = 1i64.to_le_bytes().to_vec();
            push_constant(graph, &part("axis"), &[1], DataType::Int64, axis);
            inputs = parts(&["products", "axis"]);
            ("ReduceSum", Vec::new())
        }
        Layer::AvgPool2d { kernel, stride } => ("AveragePool", window(kernel, stride, 0, 0)),
        Layer::MaxPool2d { kernel, stride } => ("MaxPool", window(kernel, stride, 0, 0)),
        Layer::Add => ("Sum", Vec::new()),
        Layer::Blend { share } => {
            let factors = [("first", 1.0 - share), ("second", share)];
            for (input, (name, factor)) in inputs.iter_mut().zip(factors) {
                let bytes = (factor as f32).to_le_bytes().to_vec();
                push_constant(graph, &part(name), &[], DataType::Float, bytes);
                let scaled = part(&format!("{name}-scaled"));
                let read = vec![std::mem::take(input), part(name)];
                graph.node.push(node("Mul", read, &scaled));
                *input = scaled;
            }
            ("Sum", Vec::new())
        }
        Layer::Concat => ("Concat", vec![ints("axis", &[1])]),
        Layer::Relu => ("Relu", Vec::new()),
        Layer::LeakyRelu { slope } => ("LeakyRelu", vec![float("alpha", slope)]),
        Layer::Tanh => ("Tanh", Vec::new()),
        Layer::Sigmoid => ("Sigmoid", Vec::new()),
        Layer::Reshape(shape) => {
            let extents = [shape.channels, shape.height, shape.width];
            return reshaped(graph, inputs.remove(0), &extents, &output);
        }
        Layer::Flatten => {
            return reshaped(graph, inputs.remove(0), &[step.output.len(), 1, 1], &output);
        }
    };
    if matches!(op, "Gemm" | "Conv" | "ConvTranspose") {
        inputs.push(part("weight"));
        inputs.extend(numbers.get(step.index, "bias").map(|_| part("bias")));
    }
    let mut node = node(op, inputs, &output);
    node.attribute = attributes;
    if op == "Upsample" {
        // Nearest neighbours, by an operator that the trainer does not write.
        node.op_type = "Resize".into();
        node.input.insert(1, String::new());
        node.attribute = vec![
            text("mode", "nearest"),
            text("coordinate_transformation_mode", "half_pixel"),
            text("nearest_mode", "round_prefer_floor"),
        ];
    }
    graph.node.push(node);
    output
}

/// Instance normalization from means and products; gives the name of what comes out.
fn instance_norm(
    graph: &mut GraphProto,
    step: &Step<'_>,
    input: &str,
    numbers: &Parameters,
    epsilon: f64,
) -> String {
    let part = |part: &str| format!("{}.{part}", step.index);
    let mut add = |op: &str, inputs: &[&str], output: &str| {
        let mut node = node(
            op,
            inputs.iter().map(|&name| name.to_owned()).collect(),
            output,
        );
        if op == "ReduceMean" {
            node.attribute = vec![ints("axes", &[2, 3])];
        }
        graph.node.push(node);
    };
    let names = [
        "mean",
        "centred",
        "squares",
        "variance",
        "raised",
        "deviation",
        "unit",
        "scaled",
    ];
    let [
        mean,
        centred,
        squares,
        variance,
        raised,
        deviation,
        unit,
        scaled,
    ] = names.map(part);
    let [small, gamma, beta, output] = ["epsilon", "gamma.plane", "beta.plane", "out"].map(part);
    add("ReduceMean", &[input], &mean);
    add("Sub", &[input, &mean], &centred);
    add("Mul", &[&centred, &centred], &squares);
    add("ReduceMean", &[&squares], &variance);
    add("Add", &[&variance, &small], &raised);
    add("Sqrt", &[&raised], &deviation);
    add("Div", &[&centred, &deviation], &unit);
    add("Mul", &[&unit, &gamma], &scaled);
    add("Add", &[&scaled, &beta], &output);
    let epsilon = (epsilon as f32).to_le_bytes().to_vec();
    push_constant(graph, &small, &[], DataType::Float, epsilon);
    for (from, to) in [("gamma", &gamma), ("beta", &beta)] {
        let own = numbers.get(step.index, from).unwrap_or_default();
        let bytes = own.iter().flat_map(|x| x.to_le_bytes()).collect();
        push_constant(graph, to, &[own.len() as i64, 1, 1], DataType::Float, bytes);
    }
    output
}

fn reshaped(graph: &mut GraphProto, input: String, extents: &[usize], name: &str) -> String {
    let target: Vec<i64> = std::iter::once(-1)
        .chain(extents.iter().map(|&n| n as i64))
        .collect();
    let bytes = target.iter().flat_map(|n| n.to_le_bytes()).collect();
    let shape = format!("{name}.shape");
    push_constant(
        graph,
        &shape,
        &[target.len() as i64],
        DataType::Int64,
        bytes,
    );
    graph.node.push(node("Reshape", vec![input, shape], name));
    name.to_owned()
}

fn push_constant(graph: &mut GraphProto, name: &str, dims: &[i64], kind: DataType, raw: Vec<u8>) {
    graph.initializer.push(TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: kind.into(),
        raw_data: raw,
        ..TensorProto::default()
    });
}

fn node(op: &str, input: Vec<String>, output: &str) -> NodeProto {
    NodeProto {
        op_type: op.into(),
        input,
        output: vec![output.into()],
        ..NodeProto::default()
    }
}

fn value(name: &str, kind: DataType, extents: &[usize]) -> ValueInfoProto {
    let sizes = extents.iter().map(|&n| Extent::DimValue(n as i64));
    let dims = std::iter::once(Extent::DimParam("N".into())).chain(sizes);
    let dim = dims.map(|value| Dimension {
        value: Some(value),
        ..Dimension::default()
    });
    let tensor = type_proto::Tensor {
        elem_type: kind.into(),
        shape: Some(TensorShapeProto { dim: dim.collect() }),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

fn window(
    kernel: usize,
    stride: usize,
    padding: usize,
    output_padding: usize,
) -> Vec<AttributeProto> {
    vec![
        ints("kernel_shape", &[kernel; 2]),
        ints("strides", &[stride; 2]),
        ints("pads", &[padding; 4]),
        ints("output_padding", &[output_padding; 2]),
    ]
    .into_iter()
    .filter(|attribute| attribute.name != "output_padding" || output_padding > 0)
    .collect()
}

fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let mut attribute = AttributeProto {
        name: name.into(),
        ..AttributeProto::default()
    };
    match values {
        [one] => {
            attribute.r#type = AttributeType::Int.into();
            attribute.i = *one as i64;
        }
        _ => {
            attribute.r#type = AttributeType::Ints.into();
            attribute.ints = values.iter().map(|&n| n as i64).collect();
        }
    }
    attribute
}

fn float(name: &str, value: f64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Float.into(),
        f: value as f32,
        ..AttributeProto::default()
    }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::String.into(),
        s: value.into(),
        ..AttributeProto::default()
    }
}
