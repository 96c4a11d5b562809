//! Whole networks by the reference kernels, with what every layer gives.

use super::twin::range_of;
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

/// The image of a latent by the reference kernels if each layer before the last is off by what its twin is off.
///
/// `tensors` are what [`int8`] gives, `twins` what the twin of each layer makes of the same inputs. A layer that reads
/// other quanta than these is run again, and the difference of its twin is added to its output.
pub(super) fn carried(
    model: &Model<'_>,
    tensors: &[Vec<i16>],
    twins: &[&[i16]],
) -> Result<Vec<i16>, pocketgan::Error> {
    // Of each tensor, what it has become, if that is something else.
    let mut changed: Vec<Option<Vec<i16>>> = vec![None];
    for (index, layer) in model.layers().enumerate() {
        let own = &tensors[index + 1];
        let mut output = own.clone();
        let now = |tensor: usize| changed[tensor].as_ref().unwrap_or(&tensors[tensor]);
        let other = layer.operator.other();
        if [Some(layer.source), other]
            .into_iter()
            .flatten()
            .any(|read| changed[read].is_some())
        {
            let other = other.map_or(&[][..], |other| now(other));
            run_int8(&layer, now(layer.source), other, &mut output)?;
        }
        if index + 1 < model.layer_count() {
            let [least, greatest] = range_of(&layer);
            for ((q, &own), &twin) in output.iter_mut().zip(own).zip(twins[index]) {
                *q = (*q + twin - own).clamp(least, greatest);
            }
        }
        changed.push((output != *own).then_some(output));
    }
    let image = changed.pop().flatten();
    Ok(image.unwrap_or_else(|| tensors[model.layer_count()].clone()))
}
