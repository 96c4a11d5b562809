//! tract as an engine.

use super::{Engine, EngineError, Graph, Images, count_of, to_floats};
use crate::export::onnx::{OnnxModel, Part};
use prost::Message;
use std::path::Path;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

/// Runs an ONNX model of ours with tract, one image at a time.
pub struct TractEngine {
    model: OnnxModel,
    plan: Arc<TypedRunnableModel>,
}

impl TractEngine {
    /// Opens an ONNX model of ours.
    ///
    /// # Errors
    /// A file that cannot be read, is not ours, or that tract refuses.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        Self::new(super::read_generator(path)?)
    }

    /// An engine for a model.
    ///
    /// # Errors
    /// What tract says of the model.
    pub fn new(model: OnnxModel) -> Result<Self, EngineError> {
        let dims = [vec![model.latent_size()]];
        let plan = plan(&model.proto, &dims, model.classes > 0).map_err(failed)?;
        Ok(Self { model, plan })
    }
}

/// A plan for one sample of each input.
fn plan(
    proto: &ModelProto,
    input_dims: &[Vec<usize>],
    takes_class: bool,
) -> TractResult<Arc<TypedRunnableModel>> {
    let mut graph = tract_onnx::onnx()
        .with_ignore_value_info(true)
        .model_for_proto_model(proto)?;
    for (index, dims) in input_dims.iter().enumerate() {
        graph = graph.with_input_fact(index, f32::fact(of_one(dims)).into())?;
    }
    if takes_class {
        graph = graph.with_input_fact(input_dims.len(), i64::fact([1]).into())?;
    }
    graph.into_optimized()?.into_runnable()
}

/// The extents of a tensor that holds one sample.
fn of_one(dims: &[usize]) -> TVec<usize> {
    std::iter::once(1).chain(dims.iter().copied()).collect()
}

impl Engine for TractEngine {
    fn latent_size(&self) -> usize {
        self.model.latent_size()
    }

    fn classes(&self) -> usize {
        self.model.classes
    }

    fn images(&mut self, latents: &[i8], classes: &[u32]) -> Result<Images, EngineError> {
        let size = self.model.latent_size();
        let count = count_of(self, latents, classes)?;
        let mut data = Vec::with_capacity(count * self.model.output.len());
        for (i, latent) in to_floats(latents).chunks_exact(size).enumerate() {
            let class = classes.get(i).copied();
            let outputs = run(&self.plan, &[(latent, &[size])], class).map_err(failed)?;
            data.extend(outputs.into_iter().next().unwrap_or_default());
        }
        Ok(Images {
            shape: self.model.output,
            range: self.model.range,
            data,
        })
    }
}

/// A part of an ONNX model of ours in tract, which runs it sample by sample.
pub struct TractGraph {
    plan: Arc<TypedRunnableModel>,
}

impl TractGraph {
    /// A graph for a part of a model.
    ///
    /// # Errors
    /// What tract says of the part.
    pub fn new(part: &Part) -> Result<Self, EngineError> {
        Self::of(&part.proto, &part.input_dims, part.takes_class)
    }

    /// A graph from the bytes of an ONNX file that reads pictures of these extents, and classes if it takes some.
    ///
    /// # Errors
    /// Bytes that are no ONNX file; what tract says of the model.
    pub fn of_pictures(
        onnx: &[u8],
        dims: [usize; 3],
        takes_class: bool,
    ) -> Result<Self, EngineError> {
        let proto = ModelProto::decode(onnx).map_err(|error| failed(error.into()))?;
        Self::of(&proto, &[dims.to_vec()], takes_class)
    }

    /// A graph for samples whose inputs have these extents.
    ///
    /// # Errors
    /// What tract says of the model.
    pub(super) fn of(
        proto: &ModelProto,
        input_dims: &[Vec<usize>],
        takes_class: bool,
    ) -> Result<Self, EngineError> {
        let plan = plan(proto, input_dims, takes_class).map_err(failed)?;
        Ok(Self { plan })
    }
}

impl Graph for TractGraph {
    fn outputs(
        &mut self,
        inputs: &[(&[f32], &[usize])],
        classes: &[u32],
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        let size = |dims: &[usize]| dims.iter().product::<usize>().max(1);
        let counts = inputs
            .iter()
            .map(|(numbers, dims)| numbers.len() / size(dims));
        let count = counts.min().unwrap_or(0);
        let mut all: Vec<Vec<f32>> = Vec::new();
        for sample in 0..count {
            let inputs: Vec<_> = inputs
                .iter()
                .map(|&(numbers, dims)| (&numbers[sample * size(dims)..][..size(dims)], dims))
                .collect();
            let outputs = run(&self.plan, &inputs, classes.get(sample).copied()).map_err(failed)?;
            all.resize_with(outputs.len(), Vec::new);
            for (all, output) in all.iter_mut().zip(outputs) {
                all.extend(output);
            }
        }
        Ok(all)
    }
}

/// Runs one sample; gives every output.
fn run(
    plan: &Arc<TypedRunnableModel>,
    inputs: &[(&[f32], &[usize])],
    class: Option<u32>,
) -> TractResult<Vec<Vec<f32>>> {
    let mut values: TVec<TValue> = tvec!();
    for &(numbers, dims) in inputs {
        values.push(Tensor::from_shape(&of_one(dims), numbers)?.into());
    }
    if let Some(class) = class {
        values.push(Tensor::from_shape(&[1], &[i64::from(class)])?.into());
    }
    let outputs = plan.run(values)?;
    let outputs = outputs.iter().map(|output| {
        let numbers = output.to_plain_array_view::<f32>()?;
        Ok(numbers.iter().copied().collect())
    });
    outputs.collect()
}

fn failed(error: TractError) -> EngineError {
    EngineError::Failed {
        engine: "tract",
        reason: format!("{error:#}"),
    }
}
