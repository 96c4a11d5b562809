//! The float blob against the float ONNX model.

use super::differences::Differences;
use super::{Batch, Comparison, ExportedModel, Referee, VerifyError, reference};
use crate::engines::{Arithmetic, Engine, OrtEngine, RuntimeEngine, TractEngine, channels_first};
use pocketgan::Model;
use rayon::prelude::*;

/// How far two float engines may be apart on average. Sums in another order come out otherwise, by an amount that
/// hardly depends on the model.
const MEAN_BOUND: f64 = 2e-6;
/// How far they may be apart at most. A model can make much of a small difference, in one pixel of a million.
const LARGEST_BOUND: f64 = 1e-4;

/// Another engine, and how far the runtime is from it.
type Other = (&'static str, Box<dyn Engine + Send>, Differences);

/// The runtime in floats and the engines it is compared with.
pub(super) struct Floats<'a> {
    blob: Model<'a>,
    fast: RuntimeEngine,
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
        let onnx = || model.float_onnx.clone();
        let mut others: Vec<Other> = vec![(
            "runtime f32, tract",
            Box::new(TractEngine::new(onnx())?),
            Differences::default(),
        )];
        if referee == Referee::OnnxRuntime {
            others.push((
                "runtime f32, ONNX Runtime",
                Box::new(OrtEngine::new(onnx(), Arithmetic::Optimized)?),
                Differences::default(),
            ));
        }
        Ok(Self {
            blob,
            fast: RuntimeEngine::new(model.float_blob.clone())?,
            others,
            bits: Differences::default(),
        })
    }

    /// Compares on some more latents.
    pub fn add(&mut self, batch: &Batch) -> Result<(), VerifyError> {
        let fast = self.fast.images(&batch.latents, &batch.classes)?;
        let values = || fast.data.iter().map(|&y| f64::from(y));
        for (_, engine, differences) in &mut self.others {
            let theirs = engine.images(&batch.latents, &batch.classes)?;
            differences.add_all(values(), theirs.data.iter().map(|&y| y.into()))?;
        }
        let reference = batch
            .each(&self.blob)?
            .par_iter()
            .map(|(latent, blob)| {
                let image = reference::float(blob, latent)?;
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
