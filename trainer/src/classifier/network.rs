//! The classifier's layers.

use crate::spec::{Layer, Network, Shape};

/// Numbers in front of the last layer: what images are compared by.
pub const FEATURES: usize = 64;

/// The same of a classifier of attributes.
pub const ATTRIBUTE_FEATURES: usize = 256;

/// Image to logits: five convolutions with batch norm and LeakyReLU 0.1, a dense layer of
/// [`FEATURES`] treated alike, and a last dense layer. The sides halve three times.
pub fn network(image: Shape, classes: usize) -> Network {
    chain(
        image,
        &[(16, 3, 1), (32, 4, 2), (32, 3, 1), (32, 4, 2), (24, 3, 2)],
        FEATURES,
        classes,
    )
}

/// Image to the logits of all values of attributes: as [`network`], wider, and halved as often as leaves at least two
/// rows and columns, four times at most; a dense layer of [`ATTRIBUTE_FEATURES`].
pub fn attribute_network(image: Shape, values: usize) -> Network {
    let halvings = image.height.min(image.width).max(4).ilog2() as usize - 1;
    let mut convolutions = vec![(24, 3, 1)];
    convolutions.extend(
        [(48, 4, 2), (64, 4, 2), (64, 4, 2), (96, 4, 2)]
            .iter()
            .take(halvings),
    );
    chain(image, &convolutions, ATTRIBUTE_FEATURES, values)
}

/// Convolutions by channels, kernel and stride, then a dense layer, each with batch norm and LeakyReLU 0.1, and a last
/// dense layer.
fn chain(
    image: Shape,
    convolutions: &[(usize, usize, usize)],
    features: usize,
    outputs: usize,
) -> Network {
    let mut layers = Vec::new();
    for &(channels, kernel, stride) in convolutions {
        // A bias in front of batch norm has no effect.
        layers.push(Layer::Conv2d {
            channels,
            kernel,
            stride,
            padding: 1,
            bias: false,
        });
        layers.extend(normalized());
    }
    layers.extend([
        Layer::Flatten,
        Layer::Linear {
            features,
            bias: false,
        },
    ]);
    layers.extend(normalized());
    layers.push(Layer::Linear {
        features: outputs,
        bias: true,
    });
    Network::chain(image, layers)
}

fn normalized() -> [Layer; 2] {
    [Layer::batch_norm(), Layer::LeakyRelu { slope: 0.1 }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_ends_in_its_features_and_a_logit_a_class() {
        let network = network(Shape::new(1, 28, 28), 10);
        let steps = network.walk().unwrap();
        let [.., features, logits] = steps.as_slice() else {
            panic!("too few layers");
        };
        assert_eq!(features.output, Shape::features(FEATURES));
        assert_eq!(logits.output, Shape::features(10));
        // By hand: the convolutions' 144 + 8192 + 9216 + 16384 + 6912, batch norm's two each for
        // 16 + 3 * 32 + 24 + 64 channels, then 4 * 4 * 24 * 64 and 64 * 10 + 10.
        let by_hand = 40_848 + 2 * 200 + 24_576 + 650;
        assert_eq!(network.parameters().unwrap(), by_hand);
    }
}
