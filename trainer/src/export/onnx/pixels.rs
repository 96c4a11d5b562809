//! The full pass of a network that draws pixel by pixel.

use super::graph::{CLASS, Graph, Numbers, float_info, int, ints};
use super::{CLASSES, PICTURE, bare_model};
use crate::parameters::Parameters;
use crate::pixelcnn::SamplerError;
use crate::spec::{Layer, Network, Step, masked_taps};
use prost::Message;
use tract_onnx::pb::StringStringEntryProto;

const LEVELS: &str = "pocketgan.levels";
const VALUES: &str = "pocketgan.values";

/// The float model of a network of masked convolutions: `picture`, float `[N, 1, H, W]` of levels from -1 to 1 at equal
/// steps, to `logits`, float `[N, levels, H, W]`; with classes `class`, int64 `[N]`, too.
///
/// # Errors
/// Numbers that are not the network's; a layer that such a network does not have.
pub fn pixel_model(network: &Network, parameters: &Parameters) -> Result<Vec<u8>, SamplerError> {
    parameters.check(network)?;
    let output = network.output()?;
    let mut graph = Graph::new(network.input, network.classes().unwrap_or(0));
    let steps = network.walk()?;
    let name = |tensor: usize| match tensor {
        0 => "picture".to_owned(),
        tensor if tensor == steps.len() => "logits".to_owned(),
        tensor => format!("layer{}", tensor - 1),
    };
    for step in &steps {
        let inputs = step.reads.iter().map(|&tensor| name(tensor)).collect();
        add(&mut graph, step, parameters, inputs, &name(step.index + 1))?;
    }
    let mut graph = graph.into_proto();
    graph.output = vec![float_info("logits", output)];
    let properties = [
        (PICTURE, network.input.to_string()),
        (LEVELS, output.channels.to_string()),
        (VALUES, "value = 2 level / (levels - 1) - 1".to_owned()),
    ];
    let classes = network.classes().map(|count| (CLASSES, count.to_string()));
    let model = tract_onnx::pb::ModelProto {
        doc_string: "Gives the logits of each pixel's level, told from the pixels before it."
            .into(),
        metadata_props: properties
            .into_iter()
            .chain(classes)
            .map(|(key, value)| StringStringEntryProto {
                key: key.into(),
                value,
            })
            .collect(),
        ..bare_model(graph)
    };
    Ok(model.encode_to_vec())
}

fn add(
    graph: &mut Graph,
    step: &Step<'_>,
    parameters: &Parameters,
    mut inputs: Vec<String>,
    output: &str,
) -> Result<(), SamplerError> {
    let part = |part: &str| format!("{output}.{part}");
    let numbers = |name| parameters.get(step.index, name).unwrap_or_default();
    let (op, attributes) = match *step.layer {
        Layer::MaskedConv2d { kernel, center, .. } => {
            let (outputs, from) = (step.output.channels, step.input.channels);
            let taps = masked_taps(kernel, center);
            // The other places of the window count nothing.
            let mut weight = vec![0.0; outputs * from * kernel * kernel];
            let windows = weight.chunks_exact_mut(kernel * kernel);
            for (window, own) in windows.zip(numbers("weight").chunks_exact(taps)) {
                window[..taps].copy_from_slice(own);
            }
            let dims = [outputs, from, kernel, kernel];
            inputs.push(graph.constant(part("weight"), &dims, Numbers::floats(&weight)));
            let bias = numbers("bias");
            if !bias.is_empty() {
                inputs.push(graph.constant(part("bias"), &[bias.len()], Numbers::floats(bias)));
            }
            let attributes = vec![
                ints("kernel_shape", &[kernel; 2]),
                ints("strides", &[1; 2]),
                ints("pads", &[kernel / 2; 4]),
            ];
            ("Conv", attributes)
        }
        Layer::ClassBias { classes } => {
            let dims = [classes, step.output.channels, 1, 1];
            let table = Numbers::floats(numbers("shift"));
            let table = graph.constant(part("shift"), &dims, table);
            let row = part("row");
            graph.node(
                "Gather",
                vec![table, CLASS.into()],
                &row,
                vec![int("axis", 0)],
            );
            // Wider than a bias: tract would make one of it, of a shape that its convolution then refuses.
            let zeros = vec![0.0; step.output.width];
            let dims = [1, 1, 1, step.output.width];
            let zeros = graph.constant(part("zeros"), &dims, Numbers::floats(&zeros));
            let wide = part("wide");
            graph.node("Add", vec![row, zeros], &wide, Vec::new());
            inputs.push(wide);
            ("Add", Vec::new())
        }
        Layer::Relu => ("Relu", Vec::new()),
        Layer::Add => ("Sum", Vec::new()),
        _ => {
            return Err(SamplerError::Layer {
                index: step.index,
                name: step.layer.name(),
            });
        }
    };
    graph.node(op, inputs, output, attributes);
    Ok(())
}
