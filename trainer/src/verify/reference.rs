//! Whole networks by the reference kernels, with what every layer gives.

use super::twin::range_of;
use pocketgan::Model;
use pocketgan::internals::reference::{run_float, run_int8};

/// The image of what a model reads by the reference kernels; both ordered row, column, channel.
pub(super) fn float(model: &Model<'_>, input: Vec<f32>) -> Result<Vec<f32>, pocketgan::Error> {
    let mut tensors = vec![input];
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

/// What every layer gives for the quanta of what a model reads by the reference kernels, ordered row, column, channel;
/// these quanta first.
///
/// # Errors
/// A float model, an input of another length, or a model with classes of which none is chosen.
pub fn int8(model: &Model<'_>, input: Vec<i16>) -> Result<Vec<Vec<i16>>, pocketgan::Error> {
    let mut tensors = vec![input];
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
                let moved = i32::from(*q) + i32::from(twin) - i32::from(own);
                *q = moved.clamp(least.into(), greatest.into()) as i16;
            }
        }
        changed.push((output != *own).then_some(output));
    }
    let image = changed.pop().flatten();
    Ok(image.unwrap_or_else(|| tensors[model.layer_count()].clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::{blob, fold::fold, quantize};
    use crate::nn::Initialization;
    use crate::rng::{Rng, Stream};
    use crate::spec::{Layer, Network, Shape};
    use quantize::{Calibration, Weights};

    #[test]
    fn a_difference_is_carried_to_the_image() {
        let conv = |channels| Layer::Conv2d {
            channels,
            kernel: 3,
            stride: 1,
            padding: 1,
            bias: true,
        };
        let dense = Layer::Linear {
            features: 2 * 4 * 4,
            bias: true,
        };
        let seed = Layer::Reshape(Shape::new(2, 4, 4));
        let mut network = Network::chain(Shape::features(5), vec![dense, seed]);
        let branch = network.push(conv(2), &[2]);
        let sum = network.push(Layer::Add, &[2, branch]);
        let last = network.push(conv(1), &[sum]);
        network.push(Layer::Tanh, &[last]);
        let mut rng = Rng::new(1, Stream::Initialization);
        let drawn = Initialization::Dcgan.parameters(&network, &mut rng);
        let mut parameters = drawn.unwrap();
        for tensor in parameters.tensors.values_mut() {
            tensor.data.iter_mut().for_each(|value| *value *= 20.0);
        }
        let folded = fold(&network, &parameters).unwrap();
        let quantized = quantize::quantize(&folded, Weights::Int8, Calibration::default());
        let blob = blob::int8_blob(&quantized).unwrap();
        let model = Model::parse(&blob).unwrap();

        let tensors = int8(&model, vec![30, -40, 25, 0, 17]).unwrap();
        let same: Vec<&[i16]> = tensors[1..].iter().map(Vec::as_slice).collect();
        assert_eq!(carried(&model, &tensors, &same).unwrap(), tensors[4]);
        // The twin of the first layer differs in one place, and that of the last, which does not count.
        let (mut first, mut last) = (tensors[1].clone(), tensors[4].clone());
        first[7] = if first[7] > 0 { -50 } else { 50 };
        last[3] += 9;
        let twins = [&first[..], same[1], same[2], &last];
        let mut expected = vec![tensors[0].clone(), first.clone()];
        for layer in model.layers().skip(1) {
            let other = layer.operator.other();
            let other = other.map_or(&[][..], |other| &expected[other]);
            let mut output = vec![0; layer.output.len()];
            run_int8(&layer, &expected[layer.source], other, &mut output).unwrap();
            expected.push(output);
        }
        assert_ne!(expected[4], tensors[4]);
        assert_eq!(carried(&model, &tensors, &twins).unwrap(), expected[4]);
    }
}
