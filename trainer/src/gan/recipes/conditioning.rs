//! How a discriminator is told the class of an image.

use crate::spec::{Layer, Network, SpecError};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How a discriminator is told the class of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Conditioning {
    /// A trained embedding of the class, as large as a plane, is joined to the image (Mirza & Osindero 2014).
    #[default]
    Concat,
    /// The inner product of the last layer's input and a trained embedding of the class is added to the logit (Miyato &
    /// Koyama 2018).
    Projection,
}

impl Conditioning {
    /// Tells a network that sees images the class of an image, one of `classes`.
    ///
    /// # Errors
    /// For a projection, a network whose last layer is no Linear layer to one logit.
    pub(super) fn tell(self, network: &mut Network, classes: usize) -> Result<(), SpecError> {
        match self {
            Self::Concat => {
                let channels = 1;
                network.insert(0, Layer::ClassEmbedding { classes, channels });
                Ok(())
            }
            Self::Projection => project(network, classes),
        }
    }
}

/// Adds a projection of the class (Miyato & Koyama 2018, equation 3) to a network's logit.
fn project(network: &mut Network, classes: usize) -> Result<(), SpecError> {
    let logit = network.layers.len();
    let index = logit.saturating_sub(1);
    let last = network.layers.last();
    if !matches!(last, Some(Layer::Linear { features: 1, .. })) {
        return Err(SpecError {
            index,
            name: last.map_or("none", Layer::name),
            reason: "is the last, which must be a Linear layer to one logit for a projection of the class".into(),
        });
    }
    let reads = network.inputs.get(&index).and_then(|reads| reads.first());
    let features = reads.copied().unwrap_or(index);
    let projection = network.push(Layer::ClassProjection { classes }, &[features]);
    network.push(Layer::Add, &[logit, projection]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{DiscriminatorKind, Recipe, Size};
    use super::*;
    use crate::gan::Game;
    use crate::nn::Model;
    use crate::ops::Cpu;
    use crate::parameters::{HostTensor, Parameters};
    use crate::spec::Shape;

    /// The logit of a network of one Linear layer is `(w + e[y]) x + b`.
    #[test]
    fn a_projection_adds_the_class_weights_to_the_last_layers() {
        let linear = Layer::Linear {
            features: 1,
            bias: true,
        };
        // A picture, whose numbers the device has in another order.
        let image = Shape::new(2, 1, 2);
        let mut network = Network::chain(image, vec![Layer::Flatten, linear]);
        Conditioning::Projection.tell(&mut network, 3).unwrap();
        let mut parameters = Parameters::default();
        for (name, shape, data) in [
            ("1.weight", vec![1, 4], vec![1.0, -2.0, 3.0, 0.5]),
            ("1.bias", vec![1], vec![0.25]),
            (
                "2.embedding",
                vec![3, 4],
                vec![
                    0.0, 0.0, 0.0, 0.0, 1.0, 10.0, 100.0, 1000.0, -1.0, 2.0, -3.0, -0.5,
                ],
            ),
        ] {
            let tensor = HostTensor { shape, data };
            parameters.tensors.insert(name.into(), tensor);
        }
        let model = Model::new(Cpu::default(), &network, &parameters).unwrap();
        assert_eq!(model.parameters().unwrap(), parameters);
        let x = [1.0, 2.0, 3.0, 4.0];
        // 1 - 4 + 9 + 2 and the bias; then with 1 + 20 + 300 + 4000, and with the weights but for the bias undone.
        let logits = model.evaluate(&x.repeat(3), &[0, 1, 2]).unwrap();
        assert_eq!(logits, [8.25, 4329.25, 0.25]);
    }

    #[test]
    fn every_discriminator_can_be_told_by_a_projection() {
        let image = Shape::new(1, 28, 28);
        let size = Size::Nano;
        let kinds = DiscriminatorKind::value_variants().iter();
        let mut networks: Vec<Network> = kinds.map(|kind| kind.network(size, image)).collect();
        for recipe in Recipe::value_variants() {
            let parts = recipe.parts(size, image);
            if let Game::Adversarial(_) = parts.game {
                networks.extend(parts.networks.others.into_iter().map(|other| other.network));
            }
        }
        for mut network in networks {
            let features = network.walk().unwrap().last().unwrap().input.len();
            let before = network.parameters().unwrap();
            Conditioning::Projection.tell(&mut network, 10).unwrap();
            assert_eq!(network.output(), Ok(Shape::features(1)));
            assert_eq!(network.parameters(), Ok(before + 10 * features));
            assert_eq!(network.classes(), Some(10));
        }
    }

    #[test]
    fn a_projection_needs_a_logit_of_a_linear_layer() {
        let linear = |features| Layer::Linear {
            features,
            bias: true,
        };
        for layers in [vec![], vec![linear(2)], vec![linear(1), Layer::Sigmoid]] {
            let mut network = Network::chain(Shape::features(4), layers);
            let before = network.clone();
            let error = Conditioning::Projection.tell(&mut network, 3).unwrap_err();
            assert!(error.to_string().contains("to one logit"), "{error}");
            assert_eq!(network, before);
        }
    }
}
