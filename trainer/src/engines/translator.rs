//! Exported models that make images of pictures.

use super::runtime::{failed, spec_shape};
use super::{
    Arithmetic, EngineError, EngineKind, Graph, Images, OrtGraph, TractGraph, channels_first,
    channels_last, read, read_onnx,
};
use crate::export::onnx::OnnxModel;
use crate::samples::from_pixels;
use crate::spec::{Shape, Sides};
use pocketgan::{Model, PixelRange};
use std::path::{Path, PathBuf};

/// The most pixels of a picture: a network has many numbers for each.
const MOST_PIXELS: usize = 1 << 22;

/// A model that makes images of pictures.
pub struct Translator {
    path: PathBuf,
    input: Shape,
    output: Shape,
    /// Other sides that pictures may have; `None` where there are none.
    sides: Option<Sides>,
    range: PixelRange,
    engine: Engine,
}

/// What runs a model.
enum Engine {
    /// tract or ONNX Runtime, with the graph for pictures of one shape.
    Onnx {
        model: Box<OnnxModel>,
        kind: EngineKind,
        graph: Option<(Shape, Box<dyn Graph>)>,
    },
    /// The runtime.
    Blob { blob: Vec<u8>, buffer: Vec<u32> },
}

impl Translator {
    /// Opens a model of ours that reads pictures: a `.pgan` blob with the runtime, an ONNX model with the others.
    ///
    /// # Errors
    /// A file that cannot be read or is not such a model.
    pub fn open(kind: EngineKind, path: &Path) -> Result<Self, EngineError> {
        if kind == EngineKind::Runtime {
            return Self::of_blob(read(path)?, path);
        }
        Self::of_onnx(kind, read_onnx(path)?, path)
    }

    /// The runtime on the bytes of a blob; `path` is named where something is wrong.
    ///
    /// # Errors
    /// Bytes that are no blob of a model which reads pictures.
    pub fn of_blob(blob: Vec<u8>, path: &Path) -> Result<Self, EngineError> {
        let model = Model::parse(&blob).map_err(|error| EngineError::Blob {
            path: path.into(),
            error,
        })?;
        let Some(picture) = model.picture() else {
            return Err(EngineError::ReadsLatents(path.into()));
        };
        Ok(Self {
            path: path.into(),
            input: spec_shape(picture),
            output: spec_shape(model.output()),
            sides: None,
            range: model.range(),
            engine: Engine::Blob {
                buffer: vec![0; model.buffer_len()],
                blob,
            },
        })
    }

    /// tract or ONNX Runtime on a model; `path` is named where something is wrong.
    ///
    /// # Errors
    /// A model that reads latents.
    pub fn of_onnx(kind: EngineKind, model: OnnxModel, path: &Path) -> Result<Self, EngineError> {
        if model.input.is_flat() {
            return Err(EngineError::ReadsLatents(path.into()));
        }
        Ok(Self {
            path: path.into(),
            input: model.input,
            output: model.output,
            sides: model.sides,
            range: model.range,
            engine: Engine::Onnx {
                model: Box::new(model),
                kind,
                graph: None,
            },
        })
    }

    /// The shape of the pictures in training.
    pub const fn input(&self) -> Shape {
        self.input
    }

    /// The shape of the images that are made of pictures of a shape.
    ///
    /// # Errors
    /// A shape that the model cannot read.
    pub fn output(&self, picture: Shape) -> Result<Shape, EngineError> {
        let Self {
            input,
            output,
            sides,
            ..
        } = *self;
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
        let pictures = pictures.chunks_exact(shape.len());
        let mut data = Vec::with_capacity(pictures.len() * output.len());
        match &mut self.engine {
            Engine::Blob { blob, buffer } => {
                let model = Model::parse(blob).map_err(failed)?;
                let translator = pocketgan::Translator::new(&model, buffer.as_mut_slice());
                let mut translator = translator.map_err(failed)?;
                let mut image = vec![0.0; output.len()];
                for picture in pictures {
                    let made = translator.values_into(&channels_last(shape, picture), &mut image);
                    made.map_err(failed)?;
                    data.extend(channels_first(output, &image));
                }
            }
            Engine::Onnx { model, kind, graph } => {
                let dims = [shape.channels, shape.height, shape.width];
                let planned = match graph.take() {
                    Some((known, planned)) if known == shape => planned,
                    _ => plan(*kind, model, &dims)?,
                };
                let (_, graph) = graph.insert((shape, planned));
                for picture in pictures {
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
            }
        }
        Ok(Images {
            shape: output,
            range: self.range,
            data,
        })
    }
}

/// The graph of tract, or of ONNX Runtime, for pictures of these extents.
fn plan(
    kind: EngineKind,
    model: &OnnxModel,
    dims: &[usize; 3],
) -> Result<Box<dyn Graph>, EngineError> {
    Ok(if kind == EngineKind::Ort {
        Box::new(OrtGraph::new(&model.to_bytes(), Arithmetic::Optimized)?)
    } else {
        Box::new(TractGraph::of(&model.proto, &[dims.to_vec()], false)?)
    })
}
