//! Exported models that make images of pictures.

use super::{Arithmetic, EngineError, EngineKind, Graph, Images, OrtGraph, TractGraph, read_onnx};
use crate::export::onnx::OnnxModel;
use crate::samples::from_pixels;
use crate::spec::{Shape, Sides};
use std::path::{Path, PathBuf};

/// The most pixels of a picture: a network has many numbers for each.
const MOST_PIXELS: usize = 1 << 22;

/// A model that makes images of pictures, in tract or ONNX Runtime.
pub struct Translator {
    path: PathBuf,
    model: OnnxModel,
    kind: EngineKind,
    /// For pictures of one shape.
    graph: Option<(Shape, Box<dyn Graph>)>,
}

impl Translator {
    /// Opens an ONNX model of ours that reads pictures.
    ///
    /// # Errors
    /// A file that cannot be read or is not such a model; the runtime, which runs no such models yet.
    pub fn open(kind: EngineKind, path: &Path) -> Result<Self, EngineError> {
        if kind == EngineKind::Runtime {
            return Err(EngineError::NoPictures);
        }
        let model = read_onnx(path)?;
        if model.input.is_flat() {
            return Err(EngineError::ReadsLatents(path.into()));
        }
        Ok(Self {
            path: path.into(),
            model,
            kind,
            graph: None,
        })
    }

    /// The shape of the pictures in training.
    pub const fn input(&self) -> Shape {
        self.model.input
    }

    /// The shape of the images that are made of pictures of a shape.
    ///
    /// # Errors
    /// A shape that the model cannot read.
    pub fn output(&self, picture: Shape) -> Result<Shape, EngineError> {
        let OnnxModel {
            input,
            output,
            sides,
            ..
        } = self.model;
        if picture == input {
            return Ok(output);
        }
        let refused = |reason: String| EngineError::Picture {
            path: self.path.clone(),
            picture,
            reason,
        };
        if picture.channels != input.channels {
            return Err(refused(format!("it reads pictures of {input}")));
        }
        let Some(sides) = sides else {
            return Err(refused(format!("it reads pictures of {input} only")));
        };
        if !sides.allow(picture.height) || !sides.allow(picture.width) {
            let Sides { multiple, least } = sides;
            return Err(refused(format!(
                "both sides must be multiples of {multiple}, from {least} on"
            )));
        }
        if picture.height * picture.width > MOST_PIXELS {
            return Err(refused(format!(
                "it has more than {MOST_PIXELS} pixels: cut it into parts"
            )));
        }
        Ok(Shape::new(
            output.channels,
            picture.height * output.height / input.height,
            picture.width * output.width / input.width,
        ))
    }

    /// Makes an image of each picture, pixels `[N, C, H, W]` of `shape`.
    ///
    /// # Errors
    /// As [`Translator::output`]; the engine's.
    pub fn images(&mut self, pictures: &[u8], shape: Shape) -> Result<Images, EngineError> {
        let output = self.output(shape)?;
        let dims = [shape.channels, shape.height, shape.width];
        let graph = match self.graph.take() {
            Some((known, graph)) if known == shape => graph,
            _ => self.plan(&dims)?,
        };
        let (_, graph) = self.graph.insert((shape, graph));
        let mut data = Vec::new();
        for picture in pictures.chunks_exact(shape.len()) {
            let outputs = graph.outputs(&[(&from_pixels(picture), &dims)], &[])?;
            let made = outputs.into_iter().next().unwrap_or_default();
            if made.len() != output.len() {
                return Err(EngineError::Failed {
                    engine: "the model",
                    reason: format!("it makes {} numbers and says {output}", made.len()),
                });
            }
            data.extend(made);
        }
        Ok(Images {
            shape: output,
            range: self.model.range,
            data,
        })
    }

    /// The graph for pictures of these extents.
    fn plan(&self, dims: &[usize; 3]) -> Result<Box<dyn Graph>, EngineError> {
        Ok(match self.kind {
            EngineKind::Runtime => return Err(EngineError::NoPictures),
            EngineKind::Tract => {
                Box::new(TractGraph::of(&self.model.proto, &[dims.to_vec()], false)?)
            }
            EngineKind::Ort => Box::new(OrtGraph::new(
                &self.model.to_bytes(),
                Arithmetic::Optimized,
            )?),
        })
    }
}
