//! A folded network as a specification and its parameters, to be trained further.

use super::fold::{Folded, FoldedLayer};
use crate::parameters::{HostTensor, Parameters, ParametersError, tensors_of};
use crate::spec::{Layer, Network};
use pocketgan::{Activation, Operator, Window};
use std::collections::BTreeMap;

impl Folded {
    /// A network of trainable layers that folds to this one.
    ///
    /// # Errors
    /// None for what [`fold`](super::fold::fold) made of a network that reads latents.
    pub fn unfold(&self) -> Result<(Network, Parameters), ParametersError> {
        let mut network = Network::chain(self.input, Vec::new());
        // Of each tensor of the folded network, the specification's; and the numbers of the layers.
        let (mut made, mut numbers) = (vec![0], BTreeMap::new());
        for layer in &self.layers {
            let source = made[layer.source];
            let reads = match layer.operator {
                Operator::Add { from } | Operator::Concat { from } => vec![source, made[from]],
                _ => vec![source],
            };
            let index = network.layers.len();
            let mut tensor = network.push(operator(layer), &reads);
            if layer.operator.has_weights() {
                numbers.insert(format!("{index}.weight"), &layer.weight);
                numbers.insert(format!("{index}.bias"), &layer.bias);
            }
            if layer.operator == Operator::Linear && !layer.output.is_flat() {
                tensor = network.push(Layer::Reshape(layer.output), &[tensor]);
            }
            // A vector that is shifted lies in its own order, and could not be read as a picture.
            if !layer.columns.is_empty() {
                let classes = self.classes;
                numbers.insert(format!("{}.shift", network.layers.len()), &layer.columns);
                tensor = network.push(Layer::ClassShift { classes }, &[tensor]);
            }
            if let Some(activation) = activation(layer.activation) {
                tensor = network.push(activation, &[tensor]);
            }
            made.push(tensor);
        }
        let mut parameters = Parameters::default();
        for step in network.walk()? {
            for tensor in tensors_of(&step) {
                let data = numbers.get(&tensor.name).copied().cloned();
                let shape = tensor.shape;
                let data = data.unwrap_or_default();
                let tensors = &mut parameters.tensors;
                tensors.insert(tensor.name, HostTensor { shape, data });
            }
        }
        parameters.check(&network)?;
        Ok((network, parameters))
    }
}

fn operator(layer: &FoldedLayer) -> Layer {
    let channels = layer.output.channels;
    let bias = true;
    match layer.operator {
        Operator::Linear => Layer::Linear {
            features: layer.output.len(),
            bias,
        },
        Operator::Conv2d(Window {
            kernel,
            stride,
            padding,
            ..
        }) => Layer::Conv2d {
            channels,
            kernel,
            stride,
            padding,
            bias,
        },
        Operator::ConvTranspose2d(Window {
            kernel,
            stride,
            padding,
            output_padding,
        }) => Layer::ConvTranspose2d {
            channels,
            kernel,
            stride,
            padding,
            output_padding,
            bias,
        },
        Operator::Upsample { factor } => Layer::Upsample { factor },
        Operator::Add { .. } => Layer::Add,
        Operator::Concat { .. } => Layer::Concat,
        Operator::AvgPool2d(Window { kernel, stride, .. }) => Layer::AvgPool2d { kernel, stride },
    }
}

fn activation(activation: Activation) -> Option<Layer> {
    match activation {
        Activation::None => None,
        Activation::Relu => Some(Layer::Relu),
        Activation::LeakyRelu { slope } => Some(Layer::LeakyRelu {
            slope: slope.into(),
        }),
        Activation::Tanh => Some(Layer::Tanh),
        Activation::Sigmoid => Some(Layer::Sigmoid),
    }
}

#[cfg(test)]
mod tests {
    use crate::export::fold::fold;
    use crate::gan::{GeneratorKind, Recipe, Size};
    use crate::nn::{Initialization, Model};
    use crate::ops::Cpu;
    use crate::rng::{Rng, Stream};
    use crate::spec::Shape;
    use clap::ValueEnum;

    /// To the bit, but for the middles of what the classes add, which are taken out again.
    #[test]
    fn what_is_unfolded_folds_to_itself() {
        let image = Shape::new(1, 28, 28);
        let mut rng = Rng::new(3, Stream::Initialization);
        for classes in [0, 10] {
            for recipe in Recipe::value_variants() {
                for kind in GeneratorKind::value_variants() {
                    let mut parts = recipe.parts(Size::Nano, image);
                    let fits = recipe.usual_sizes().is_none()
                        || parts.set_generator(*kind, Size::Nano, image);
                    if !fits || parts.translators.is_some() {
                        continue;
                    }
                    if classes > 0 {
                        parts.tell(classes, Default::default()).unwrap();
                    }
                    let network = parts.networks.generator.network;
                    let drawn = Initialization::Dcgan.parameters(&network, &mut rng);
                    let folded = fold(&network, &drawn.unwrap()).unwrap();
                    let (unfolded, parameters) = folded.unfold().unwrap();
                    Model::new(Cpu::default(), &unfolded, &parameters).unwrap();
                    let again = fold(&unfolded, &parameters).unwrap();
                    let (again_unfolded, _) = again.unfold().unwrap();
                    assert_eq!(again_unfolded, unfolded);
                    assert_eq!(again.layers.len(), folded.layers.len());
                    for (a, b) in again.layers.iter().zip(&folded.layers) {
                        let numbers = |layer: &crate::export::fold::FoldedLayer| {
                            let all = [&layer.weight, &layer.bias, &layer.columns];
                            all.map(Clone::clone).concat()
                        };
                        let (ours, theirs) = (numbers(a), numbers(b));
                        assert_eq!(ours.len(), theirs.len());
                        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
                        assert!(ours.iter().zip(&theirs).all(near), "{recipe:?} {kind:?}");
                        assert_eq!((a.operator, a.activation), (b.operator, b.activation));
                        assert_eq!((a.source, a.input, a.output), (b.source, b.input, b.output));
                        if classes == 0 {
                            assert_eq!(a, b);
                        }
                    }
                }
            }
        }
    }
}
