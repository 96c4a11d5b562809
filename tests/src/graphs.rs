//! Random networks with branches, sums, concatenations and pooling.

use crate::networks::{conv3, linear};
use pocketgan::Rng;
use pocketgan_trainer::spec::{Layer, Network, Shape};

/// A random generator that can be folded.
pub fn generator(seed: u64) -> Network {
    let mut graph = Graph::new(seed, Shape::features(12));
    let latent = graph.features();
    graph.pictures(latent)
}

/// A random generator of residual blocks: those of SNGAN (Miyato et al. 2018), with batch norm and ReLU in front of
/// each convolution, or those of ResNet (He et al. 2015), with ReLU behind the sum.
pub fn residual(seed: u64) -> Network {
    let mut graph = Graph::new(seed, Shape::features(12));
    let is_sngan = graph.between(0, 1) == 1;
    let shape = Shape::new(graph.between(3, 6), 3, 3);
    let dense = graph.push(linear(shape.len()), &[0]);
    let mut picture = graph.push(Layer::Reshape(shape), &[dense]);
    for _ in 0..2 {
        let channels = graph.between(3, 6);
        picture = if is_sngan {
            graph.sngan_block(picture, channels)
        } else {
            graph.resnet_block(picture, channels)
        };
    }
    if is_sngan {
        picture = graph.normalized(picture);
    }
    let channels = graph.between(1, 3);
    let last = graph.push(conv3(channels), &[picture]);
    graph.push(Layer::Tanh, &[last]);
    graph.network
}

/// A random generator with a vector that a linear layer and a window both read, and a batch norm after an activation.
pub fn shared_vector(seed: u64) -> Network {
    let mut graph = Graph::new(seed, Shape::features(12));
    let mut vector = 0;
    if graph.between(0, 1) == 1 {
        let dense = graph.push(linear(10), &[0]);
        vector = graph.maybe_active(dense);
    }
    let channels = graph.between(2, 4);
    let (grown, side) = graph.grown(vector, channels);
    let shape = Shape::new(channels, side, side);
    let dense = graph.push(linear(shape.len()), &[vector]);
    let picture = graph.push(Layer::Reshape(shape), &[dense]);
    let joint = graph.one_of(&[Layer::Add, Layer::Concat]);
    let joined = graph.push(joint, &[picture, grown]);
    let wide = graph.push(conv1(channels), &[joined]);
    let active = graph.maybe_active(wide);
    let normalized = graph.normalized(active);
    let last = graph.push(conv3(2), &[normalized]);
    let end = graph.one_of(&[Layer::Tanh, Layer::Sigmoid]);
    graph.push(end, &[last]);
    graph.network
}

/// A random critic of pictures, with layers that only training has, and some of the others where no device has them.
pub fn critic(seed: u64) -> Network {
    let shape = Shape::new(2, 9, 8);
    let mut graph = Graph::new(seed, shape);
    let (mut picture, mut shape) = (0, shape);
    for _ in 0..graph.between(2, 6) {
        (picture, shape) = match graph.between(0, 9) {
            7 => graph.pool(picture, shape, |kernel, stride| Layer::MaxPool2d {
                kernel,
                stride,
            }),
            8 => (graph.push(Layer::batch_norm(), &[picture]), shape),
            9 => (graph.maybe_active(picture), shape),
            kind => graph.block(kind, picture, shape),
        };
    }
    let flat = graph.push(Layer::Flatten, &[picture]);
    let wide = graph.push(linear(6), &[flat]);
    let active = graph.maybe_active(wide);
    let narrow = graph.push(linear(3), &[flat]);
    let joined = graph.push(Layer::Concat, &[active, narrow]);
    graph.push(linear(2), &[joined]);
    graph.network
}

fn conv1(channels: usize) -> Layer {
    Layer::Conv2d {
        channels,
        kernel: 1,
        stride: 1,
        padding: 0,
        bias: false,
    }
}

struct Graph {
    rng: Rng,
    network: Network,
}

impl Graph {
    fn new(seed: u64, input: Shape) -> Self {
        Self {
            rng: Rng::new(seed),
            network: Network::chain(input, Vec::new()),
        }
    }

    fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.rng.next_u32() as usize % (most - least + 1)
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        let at = self.between(0, all.len() - 1);
        all[at].clone()
    }

    fn push(&mut self, layer: Layer, reads: &[usize]) -> usize {
        self.network.push(layer, reads)
    }

    /// A network from a vector to a picture.
    fn pictures(mut self, features: usize) -> Network {
        let mut shape = Shape::new(self.between(2, 5), self.between(4, 7), self.between(4, 7));
        let dense = self.push(linear(shape.len()), &[features]);
        let dense = self.maybe_active(dense);
        let mut picture = self.push(Layer::Reshape(shape), &[dense]);
        for _ in 0..self.between(2, 5) {
            let kind = self.between(0, 6);
            (picture, shape) = self.block(kind, picture, shape);
        }
        let channels = self.between(1, 3);
        let last = self.push(conv3(channels), &[picture]);
        let end = self.one_of(&[Layer::Tanh, Layer::Sigmoid]);
        self.push(end, &[last]);
        self.network
    }

    /// An activation behind a tensor, or none.
    fn maybe_active(&mut self, tensor: usize) -> usize {
        match self.between(0, 3) {
            0 => tensor,
            1 => self.push(Layer::Relu, &[tensor]),
            2 => self.push(Layer::LeakyRelu { slope: 0.2 }, &[tensor]),
            _ => self.push(Layer::Tanh, &[tensor]),
        }
    }

    /// A convolution of the same size, normalized and activated or not.
    fn convolved(&mut self, tensor: usize, channels: usize) -> usize {
        let convolution = self.one_of(&[conv3(channels), conv1(channels)]);
        let mut output = self.push(convolution, &[tensor]);
        if self.between(0, 1) == 1 {
            output = self.push(Layer::batch_norm(), &[output]);
        }
        self.maybe_active(output)
    }

    /// Batch norm and ReLU.
    fn normalized(&mut self, tensor: usize) -> usize {
        let normalized = self.push(Layer::batch_norm(), &[tensor]);
        self.push(Layer::Relu, &[normalized])
    }

    /// A picture made of a vector by a window, and the picture's height and width.
    fn grown(&mut self, vector: usize, channels: usize) -> (usize, usize) {
        let transposed = |[kernel, stride, padding, output_padding]: [usize; 4]| {
            let layer = Layer::ConvTranspose2d {
                channels,
                kernel,
                stride,
                padding,
                output_padding,
                bias: true,
            };
            (layer, kernel + output_padding - 2 * padding)
        };
        let wide = Layer::Conv2d {
            channels,
            kernel: 3,
            stride: 1,
            padding: 2,
            bias: true,
        };
        let windows = [
            transposed([4, 2, 1, 0]),
            transposed([4, 1, 0, 0]),
            transposed([4, 4, 0, 0]),
            transposed([2, 2, 0, 1]),
            (wide, 3),
        ];
        if self.between(0, windows.len()) == 0 {
            return (self.upsampled(vector, conv3(channels)), 2);
        }
        let (window, side) = self.one_of(&windows);
        (self.push(window, &[vector]), side)
    }

    /// A picture upsampled by 2, and one convolution of it.
    fn upsampled(&mut self, picture: usize, convolution: Layer) -> usize {
        let upsampled = self.push(Layer::Upsample { factor: 2 }, &[picture]);
        self.push(convolution, &[upsampled])
    }

    fn sngan_block(&mut self, picture: usize, channels: usize) -> usize {
        let active = self.normalized(picture);
        let inner = self.upsampled(active, conv3(channels));
        let inner = self.normalized(inner);
        let branch = self.push(conv3(channels), &[inner]);
        let skip = self.upsampled(picture, conv1(channels));
        self.push(Layer::Add, &[skip, branch])
    }

    fn resnet_block(&mut self, picture: usize, channels: usize) -> usize {
        let inner = self.upsampled(picture, conv3(channels));
        let inner = self.normalized(inner);
        let branch = self.push(conv3(channels), &[inner]);
        let branch = self.push(Layer::batch_norm(), &[branch]);
        let skip = self.upsampled(picture, conv1(channels));
        let sum = self.push(Layer::Add, &[skip, branch]);
        self.push(Layer::Relu, &[sum])
    }

    /// The latent itself, or features made of it by two ways.
    fn features(&mut self) -> usize {
        let joined = match self.between(0, 2) {
            0 => return 0,
            1 => {
                let [a, b] = [0, 0].map(|latent| self.push(linear(12), &[latent]));
                let a = self.maybe_active(a);
                self.push(Layer::Add, &[a, b, 0])
            }
            _ => {
                let features = self.push(linear(9), &[0]);
                let active = self.maybe_active(features);
                self.push(Layer::Concat, &[0, active])
            }
        };
        self.maybe_active(joined)
    }

    /// One of seven pieces of a network, from a picture to a picture.
    fn block(&mut self, kind: usize, picture: usize, shape: Shape) -> (usize, Shape) {
        let Shape {
            channels,
            height,
            width,
        } = shape;
        match kind {
            0 => {
                let channels = self.between(1, 5);
                let output = self.convolved(picture, channels);
                (output, Shape::new(channels, height, width))
            }
            1 => {
                let wide = self.between(1, 5);
                let inner = self.convolved(picture, wide);
                let branch = self.convolved(inner, channels);
                let reads = self.one_of(&[[picture, branch], [branch, picture]]);
                let sum = self.push(Layer::Add, &reads);
                (self.maybe_active(sum), shape)
            }
            2 => {
                let [a, b] = [0, 0].map(|_| self.convolved(picture, channels));
                let sum = self.push(Layer::Add, &[a, picture, b]);
                (self.maybe_active(sum), shape)
            }
            3 => {
                let [more, most] = [0, 0].map(|_| self.between(1, 4));
                let a = self.convolved(picture, more);
                let b = self.convolved(a, most);
                let joined = self.push(Layer::Concat, &[b, picture, a]);
                let channels = channels + more + most;
                (
                    self.maybe_active(joined),
                    Shape::new(channels, height, width),
                )
            }
            4 => {
                let pool = |kernel, stride| Layer::AvgPool2d { kernel, stride };
                self.pool(picture, shape, pool)
            }
            5 if height.max(width) < 12 => {
                let upsampled = self.push(Layer::Upsample { factor: 2 }, &[picture]);
                let channels = self.between(1, 4);
                let output = self.convolved(upsampled, channels);
                (output, Shape::new(channels, 2 * height, 2 * width))
            }
            _ if height.max(width) < 12 => {
                let upsampled = self.push(Layer::Upsample { factor: 2 }, &[picture]);
                let [a, b] = [0, 0].map(|_| self.between(1, 3));
                let parts = [a, b].map(|channels| self.convolved(upsampled, channels));
                let joined = self.push(Layer::Concat, &parts);
                (joined, Shape::new(a + b, 2 * height, 2 * width))
            }
            _ => (picture, shape),
        }
    }

    fn pool(
        &mut self,
        picture: usize,
        shape: Shape,
        layer: impl Fn(usize, usize) -> Layer,
    ) -> (usize, Shape) {
        let kernel = self.between(1, shape.height.min(shape.width).min(3));
        let stride = self.between(1, 3);
        let side = |n: usize| (n - kernel) / stride + 1;
        let output = Shape::new(shape.channels, side(shape.height), side(shape.width));
        (self.push(layer(kernel, stride), &[picture]), output)
    }
}
