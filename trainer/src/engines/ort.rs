//! ONNX Runtime as an engine, its library loaded when it is first needed.

use super::{Engine, EngineError, Graph, Images, count_of, to_floats};
use crate::export::onnx::OnnxModel;
use ort::environment::Environment;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionInputValue};
use ort::value::TensorRef;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// How ONNX Runtime computes a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// Node by node, as the graph stands: a QDQ graph is computed in floats.
    AsWritten,
    /// With ONNX Runtime's own rewriting of the graph.
    Optimized,
}

/// Images made at once.
const BATCH: usize = 32;

/// Runs an ONNX model of ours with ONNX Runtime.
#[derive(Debug)]
pub struct OrtEngine {
    model: OnnxModel,
    graph: OrtGraph,
}

impl OrtEngine {
    /// Opens an ONNX model of ours.
    ///
    /// # Errors
    /// A file that cannot be read or is not ours; a library that is not there; what ONNX Runtime says
    /// of the model.
    pub fn open(path: &Path, arithmetic: Arithmetic) -> Result<Self, EngineError> {
        Self::new(super::read_generator(path)?, arithmetic)
    }

    /// An engine for a model.
    ///
    /// # Errors
    /// A library that is not there; what ONNX Runtime says of the model.
    pub fn new(model: OnnxModel, arithmetic: Arithmetic) -> Result<Self, EngineError> {
        let graph = OrtGraph::new(&model.to_bytes(), arithmetic)?;
        Ok(Self { model, graph })
    }
}

impl Engine for OrtEngine {
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
        for (i, batch) in to_floats(latents).chunks(BATCH * size).enumerate() {
            let classes = classes.chunks(BATCH).nth(i).unwrap_or_default();
            data.extend(self.graph.run_classes(batch, &[size], classes)?);
        }
        Ok(Images {
            shape: self.model.output,
            range: self.model.range,
            data,
        })
    }
}

/// An ONNX graph in ONNX Runtime.
#[derive(Debug)]
pub struct OrtGraph {
    session: Session,
}

impl OrtGraph {
    /// A graph from the bytes of an ONNX file, to run on one thread.
    ///
    /// # Errors
    /// A library that is not there; what ONNX Runtime says of the graph.
    pub fn new(onnx: &[u8], arithmetic: Arithmetic) -> Result<Self, EngineError> {
        Self::with_threads(onnx, arithmetic, 1)
    }

    /// A graph from the bytes of an ONNX file, to run on as many threads as said.
    ///
    /// # Errors
    /// As [`OrtGraph::new`].
    pub fn with_threads(
        onnx: &[u8],
        arithmetic: Arithmetic,
        threads: usize,
    ) -> Result<Self, EngineError> {
        let environment = environment()?;
        let level = match arithmetic {
            Arithmetic::AsWritten => GraphOptimizationLevel::Disable,
            Arithmetic::Optimized => GraphOptimizationLevel::All,
        };
        let session = Session::builder(environment)
            .and_then(|builder| Ok(builder.with_intra_threads(threads)?))
            .and_then(|builder| Ok(builder.with_optimization_level(level)?))
            .and_then(|mut builder| builder.commit_from_memory(onnx))
            .map_err(failed)?;
        Ok(Self { session })
    }

    /// Runs the samples in `input`, each of the extents `dims`; gives the first output of each, one after another.
    ///
    /// # Errors
    /// What ONNX Runtime says.
    pub fn run(&mut self, input: &[f32], dims: &[usize]) -> Result<Vec<f32>, EngineError> {
        self.run_classes(input, dims, &[])
    }

    /// As [`run`](Self::run), with the class of each sample for a graph that takes classes as its second input, and
    /// none for another.
    ///
    /// # Errors
    /// What ONNX Runtime says.
    pub fn run_classes(
        &mut self,
        input: &[f32],
        dims: &[usize],
        classes: &[u32],
    ) -> Result<Vec<f32>, EngineError> {
        let outputs = self.outputs(&[(input, dims)], classes)?;
        Ok(outputs.into_iter().next().unwrap_or_default())
    }
}

impl Graph for OrtGraph {
    fn outputs(
        &mut self,
        inputs: &[(&[f32], &[usize])],
        classes: &[u32],
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        let mut values: Vec<SessionInputValue<'_>> = Vec::new();
        for &(input, dims) in inputs {
            let size: usize = dims.iter().product();
            let count = input.len() / size.max(1);
            let shape: Vec<usize> = std::iter::once(count).chain(dims.iter().copied()).collect();
            let tensor = TensorRef::from_array_view((shape, input));
            values.push(tensor.map_err(failed)?.into());
        }
        let classes: Vec<i64> = classes.iter().map(|&class| class.into()).collect();
        if !classes.is_empty() {
            let classes = TensorRef::from_array_view(([classes.len()], classes.as_slice()));
            values.push(classes.map_err(failed)?.into());
        }
        let outputs = self.session.run(values.as_slice()).map_err(failed)?;
        let values = outputs.values().map(|output| {
            let (_, values) = output.try_extract_tensor::<f32>().map_err(failed)?;
            Ok(values.to_vec())
        });
        values.collect()
    }
}

fn failed(error: ort::Error) -> EngineError {
    EngineError::Failed {
        engine: "ONNX Runtime",
        reason: error.to_string(),
    }
}

/// Whether ONNX Runtime is there; its library is loaded if it is.
///
/// # Errors
/// [`EngineError::Library`] says what is missing.
pub fn find_onnx_runtime() -> Result<(), EngineError> {
    environment().map(drop)
}

/// The one environment of the process.
fn environment() -> Result<&'static Environment, EngineError> {
    static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();
    let environment = ENVIRONMENT.get_or_init(|| {
        let library = library()?;
        let builder = ort::init_from(&library)
            .map_err(|error| format!("cannot load ONNX Runtime: {error}"))?;
        let environment = builder.with_name("pocketgan").with_telemetry(false).build();
        environment.map_err(|error| format!("cannot start ONNX Runtime: {error}"))
    });
    environment
        .as_ref()
        .map_err(|reason| EngineError::Library(reason.clone()))
}

/// The library that `ORT_DYLIB_PATH` names, else the first `onnxruntime/` library beside the
/// executable, in the build folder that it lies in, or in the `target` of a folder we are in.
fn library() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(format!(
                "ORT_DYLIB_PATH names {}, which is no file",
                path.display()
            ))
        };
    }
    let name = format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}");
    let executable = std::env::current_exe().unwrap_or_default();
    let current = std::env::current_dir().unwrap_or_default();
    let beside = executable.ancestors().skip(1).take(3);
    let folders = beside
        .map(Path::to_path_buf)
        .chain(current.ancestors().map(|folder| folder.join("target")));
    let mut candidates =
        folders.flat_map(|folder| [folder.join("onnxruntime").join(&name), folder.join(&name)]);
    candidates
        .find(|path| path.is_file())
        .ok_or_else(|| format!("{name} of ONNX Runtime is not installed"))
}
