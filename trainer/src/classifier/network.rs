//! The classifier's layers.

use crate::spec::{Layer, Network, Shape};

/// Numbers in front of the last layer: what images are compared by.
pub const FEATURES: usize = 64;

/// Image to logits: five convolutions with batch norm and LeakyReLU 0.1, a dense layer of
/// [`FEATURES`] treated alike, and a last dense layer. The sides halve three times.
pub fn network(image: Shape, classes: usize) -> Network {
    let convolutions = [
        // Channels, kernel, stride.
        (16, 3, 1),
        (32, 4, 2),
        (32, 3, 1),
        (32, 4, 2),
        (24, 3, 2),
    ];
    let mut layers = Vec::new();
    for (channels, kernel, stride) in convolutions {
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
            features: FEATURES,
            bias: false,
        },
    ]);
    layers.extend(normalized());
    layers.push(Layer::Linear {
        features: classes,
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
