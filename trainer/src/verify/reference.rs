//! Whole networks by the reference kernels, with what every layer gives.

use pocketgan::internals::reference::{run_float, run_int8};
use pocketgan::{Model, latent};

/// The image of a latent by the reference kernels, ordered row, column, channel.
pub(super) fn float(model: &Model<'_>, latent: &[i8]) -> Result<Vec<f32>, pocketgan::Error> {
    let latent = latent.iter().map(|&q| f32::from(q) * latent::SCALE);
    let mut tensors: Vec<Vec<f32>> = vec![latent.collect()];
    for layer in model.layers() {
        let mut output = vec![0.0; layer.output.len()];
        let other = layer
            .operator
            .other()
            .map_or(&[][..], |other| &tensors[other]);
        run_float(&layer, &tensors[layer.source], other, &mut output)?;
        tensors.push(output);
    }
    Ok(tensors.pop().unwrap_or_default())
}

/// What every layer gives for a latent by the reference kernels, ordered row, column, channel; the latent itself first.
///
/// # Errors
/// A float model, a latent of another length, or a model with classes of which none is chosen.
pub fn int8(model: &Model<'_>, latent: &[i8]) -> Result<Vec<Vec<i16>>, pocketgan::Error> {
    let mut tensors: Vec<Vec<i16>> = vec![latent.iter().map(|&q| q.into()).collect()];
    for layer in model.layers() {
        let mut output = vec![0; layer.output.len()];
        let other = layer
            .operator
            .other()
            .map_or(&[][..], |other| &tensors[other]);
        run_int8(&layer, &tensors[layer.source], other, &mut output)?;
        tensors.push(output);
    }
    Ok(tensors)
}
