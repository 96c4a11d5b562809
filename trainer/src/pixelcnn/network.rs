//! The network's layers.

use super::Levels;
use crate::spec::{Layer, Network, Shape};

/// The side of the window of a block.
const BLOCK: usize = 3;

/// How wide and how deep a network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width {
    /// Channels inside of the residual blocks; between them there are twice as many.
    pub channels: usize,
    /// Residual blocks.
    pub blocks: usize,
}

/// Grey pictures, in [-1, 1], to the logits of each pixel's levels, `(levels, H, W)`: a masked convolution of 7x7 (mask
/// A), residual blocks (their figure 5, left: 1x1 to half of the channels, masked 3x3, 1x1 back, each after a ReLU),
/// and two 1x1 convolutions, each after a ReLU.
pub fn network(width: Width, levels: Levels, image: Shape) -> Network {
    let Width { channels, blocks } = width;
    let masked = |channels, kernel, center| Layer::MaskedConv2d {
        channels,
        kernel,
        center,
        bias: true,
    };
    let mut network = Network::chain(image, vec![masked(2 * channels, 7, false)]);
    let mut last = 1;
    for _ in 0..blocks {
        let start = last;
        last = network.push(Layer::Relu, &[last]);
        last = network.push(masked(channels, 1, true), &[last]);
        last = network.push(Layer::Relu, &[last]);
        last = network.push(masked(channels, BLOCK, true), &[last]);
        last = network.push(Layer::Relu, &[last]);
        last = network.push(masked(2 * channels, 1, true), &[last]);
        last = network.push(Layer::Add, &[start, last]);
    }
    for channels in [channels, levels.count()] {
        last = network.push(Layer::Relu, &[last]);
        last = network.push(masked(channels, 1, true), &[last]);
    }
    network
}

/// Tells a network the class of a picture, one of `classes`: it adds to what the masked convolution of each block
/// gives.
pub fn tell(network: &mut Network, classes: usize) {
    let is_of_block = |layer: &Layer| matches!(layer, Layer::MaskedConv2d { kernel: BLOCK, .. });
    let blocks = (0..network.layers.len()).filter(|&at| is_of_block(&network.layers[at]));
    for at in blocks.collect::<Vec<_>>().into_iter().rev() {
        network.insert(at + 1, Layer::ClassBias { classes });
    }
}

/// Gives a network another number of levels.
pub fn set_levels(network: &mut Network, levels: Levels) {
    if let Some(Layer::MaskedConv2d { channels, .. }) = network.layers.last_mut() {
        *channels = levels.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_gives_each_pixel_its_levels() {
        let width = Width {
            channels: 32,
            blocks: 8,
        };
        let levels = Levels::ALL[0];
        let image = Shape::new(1, 28, 28);
        let mut plain = network(width, levels, image);
        assert_eq!(plain.output(), Ok(Shape::new(2, 28, 28)));
        // By hand: 24 taps to 64 channels; blocks of 64 to 32, 5 taps of 32 to 32, 32 to 64; 64 to 32 to 2.
        let block = 64 * 32 + 32 + 5 * 32 * 32 + 32 + 32 * 64 + 64;
        let by_hand = 24 * 64 + 64 + 8 * block + 64 * 32 + 32 + 32 * 2 + 2;
        assert_eq!(plain.parameters(), Ok(by_hand));
        set_levels(&mut plain, Levels::ALL[3]);
        assert_eq!(plain.output(), Ok(Shape::new(256, 28, 28)));
        set_levels(&mut plain, levels);
        tell(&mut plain, 10);
        assert_eq!(plain.parameters(), Ok(by_hand + 8 * 10 * 32));
        assert_eq!(plain.classes(), Some(10));
    }
}
