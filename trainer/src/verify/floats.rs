//! The float blob against the float ONNX model.

use super::differences::Differences;
use super::{Batch, Comparison, ExportedModel, Referee, VerifyError, reference};
use crate::engines::{
    Arithmetic, Engine, EngineKind, Images, OrtEngine, RuntimeEngine, TractEngine, Translator,
    channels_first,
};
use crate::export::onnx::OnnxModel;
use crate::export::{FLOAT_BLOB, FLOAT_ONNX};
use pocketgan::Model;
use rayon::prelude::*;

/// How far two float engines may be apart on average. Sums in another order come out otherwise, by an amount that
/// hardly depends on the model.
const MEAN_BOUND: f64 = 2e-6;
/// How far they may be apart at most. A model can make much of a small difference, in one pixel of a million.
const LARGEST_BOUND: f64 = 1e-4;

/// Another engine, and how far the runtime is from it.
type Other = (&'static str, Runner, Differences);

/// An engine for either kind of input.
pub(super) enum Runner {
    Latents(Box<dyn Engine + Send>),
    Pictures(Box<Translator>),
}

impl Runner {
    /// The runtime on a blob of `model`.
    pub fn runtime(blob: &[u8], model: &Model<'_>) -> Result<Self, VerifyError> {
        Ok(if model.picture().is_some() {
            let translator = Translator::of_blob(blob.to_vec(), FLOAT_BLOB.as_ref())?;
            Self::Pictures(Box::new(translator))
        } else {
            Self::Latents(Box::new(RuntimeEngine::new(blob.to_vec())?))
        })
    }

    /// tract, or ONNX Runtime.
    fn onnx(kind: EngineKind, model: &OnnxModel) -> Result<Self, VerifyError> {
        let model = model.clone();
        Ok(match kind {
            _ if !model.input.is_flat() => {
                let translator = Translator::of_onnx(kind, model, FLOAT_ONNX.as_ref())?;
                Self::Pictures(Box::new(translator))
            }
            EngineKind::Ort => {
                Self::Latents(Box::new(OrtEngine::new(model, Arithmetic::Optimized)?))
            }
            _ => Self::Latents(Box::new(TractEngine::new(model)?)),
        })
    }

    pub fn images(&mut self, batch: &Batch) -> Result<Images, VerifyError> {
        match (self, batch) {
            (
                Self::Latents(engine),
                Batch::Latents {
                    latents, classes, ..
                },
            ) => Ok(engine.images(latents, classes)?),
            (Self::Pictures(translator), Batch::Pictures { shape, pixels }) => {
                Ok(translator.images(pixels, *shape)?)
            }
            _ => Err(VerifyError::Mismatched),
        }
    }
}

/// The runtime in floats and the engines it is compared with.
pub(super) struct Floats<'a> {
    blob: Model<'a>,
    fast: Runner,
    others: Vec<Other>,
    /// 1 for each number whose bits differ between the fast and the reference kernels.
    bits: Differences,
}

impl<'a> Floats<'a> {
    /// tract, and ONNX Runtime if it is the referee.
    pub fn new(
        model: &ExportedModel,
        blob: Model<'a>,
        referee: Referee,
    ) -> Result<Self, VerifyError> {
        let other = |what, kind| {
            let runner = Runner::onnx(kind, &model.float_onnx)?;
            Ok::<_, VerifyError>((what, runner, Differences::default()))
        };
        let mut others = vec![other("runtime f32, tract", EngineKind::Tract)?];
        if referee == Referee::OnnxRuntime {
            others.push(other("runtime f32, ONNX Runtime", EngineKind::Ort)?);
        }
        Ok(Self {
            blob,
            fast: Runner::runtime(&model.float_blob, &blob)?,
            others,
            bits: Differences::default(),
        })
    }

    /// Compares on some more inputs.
    pub fn add(&mut self, batch: &Batch) -> Result<(), VerifyError> {
        let fast = self.fast.images(batch)?;
        let values = || fast.data.iter().map(|&y| f64::from(y));
        for (_, engine, differences) in &mut self.others {
            let theirs = engine.images(batch)?;
            differences.add_all(values(), theirs.data.iter().map(|&y| y.into()))?;
        }
        let reference = batch
            .each(&self.blob)?
            .par_iter()
            .map(|(input, blob)| {
                let image = reference::float(blob, input.values(blob))?;
                Ok(channels_first(fast.shape, &image))
            })
            .collect::<Result<Vec<_>, VerifyError>>()?;
        let reference = reference.concat();
        if reference.len() != fast.data.len() {
            return Err(VerifyError::Mismatched);
        }
        for (a, b) in fast.data.iter().zip(&reference) {
            self.bits
                .add(f64::from(u8::from(a.to_bits() != b.to_bits())));
        }
        Ok(())
    }

    /// What was found.
    pub fn comparisons(&self) -> Vec<Comparison> {
        let others = self.others.iter();
        let mut comparisons: Vec<_> = others
            .map(|(what, _, differences)| {
                let comparison = differences.comparison(*what, "");
                comparison.at_most(LARGEST_BOUND).on_average(MEAN_BOUND)
            })
            .collect();
        let what = "runtime f32, fast and reference kernels";
        comparisons.push(self.bits.comparison(what, "mismatches").at_most(0.0));
        comparisons
    }
}
