//! tract as an engine.

use super::{Engine, EngineError, Images, count_of, to_floats};
use crate::export::onnx::OnnxModel;
use std::path::Path;
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
        Self::new(super::read_onnx(path)?)
    }

    /// An engine for a model.
    ///
    /// # Errors
    /// What tract says of the model.
    pub fn new(model: OnnxModel) -> Result<Self, EngineError> {
        let plan = plan(&model).map_err(failed)?;
        Ok(Self { model, plan })
    }
}

fn plan(model: &OnnxModel) -> TractResult<Arc<TypedRunnableModel>> {
    let mut graph = tract_onnx::onnx()
        .with_ignore_value_info(true)
        .model_for_proto_model(&model.proto)?
        .with_input_fact(0, f32::fact([1, model.latent_size]).into())?;
    if model.classes > 0 {
        graph = graph.with_input_fact(1, i64::fact([1]).into())?;
    }
    graph.into_optimized()?.into_runnable()
}

impl Engine for TractEngine {
    fn latent_size(&self) -> usize {
        self.model.latent_size
    }

    fn classes(&self) -> usize {
        self.model.classes
    }

    fn images(&mut self, latents: &[i8], classes: &[u32]) -> Result<Images, EngineError> {
        let size = self.model.latent_size;
        let count = count_of(self, latents, classes)?;
        let mut data = Vec::with_capacity(count * self.model.output.len());
        for (i, latent) in to_floats(latents).chunks_exact(size).enumerate() {
            let class = classes.get(i).copied();
            data.extend(run(&self.plan, latent, class).map_err(failed)?);
        }
        Ok(Images {
            shape: self.model.output,
            range: self.model.range,
            data,
        })
    }
}

fn run(
    plan: &Arc<TypedRunnableModel>,
    latent: &[f32],
    class: Option<u32>,
) -> TractResult<Vec<f32>> {
    let mut inputs: TVec<TValue> = tvec!(Tensor::from_shape(&[1, latent.len()], latent)?.into());
    if let Some(class) = class {
        inputs.push(Tensor::from_shape(&[1], &[i64::from(class)])?.into());
    }
    let outputs = plan.run(inputs)?;
    let Some(image) = outputs.first() else {
        return Ok(Vec::new());
    };
    Ok(image
        .to_plain_array_view::<f32>()?
        .iter()
        .copied()
        .collect())
}

fn failed(error: TractError) -> EngineError {
    EngineError::Failed {
        engine: "tract",
        reason: format!("{error:#}"),
    }
}
