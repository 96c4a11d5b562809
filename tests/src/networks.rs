//! Networks of many shapes, with random numbers of the size that trained ones have.

use pocketgan::Rng;
use pocketgan_trainer::parameters::{HostTensor, Parameters, Role, TensorSpec, tensors_of};
use pocketgan_trainer::spec::{Layer, Network, Shape};

/// Uniform in -1 to 1.
fn uniform(rng: &mut Rng) -> f32 {
    rng.next_u32() as f32 / (1u64 << 31) as f32 - 1.0
}

/// Random parameters of a network: batch-norm statistics near 0 and 1, embeddings of variance 1, weights of variance 2
/// over the products of an output, and a sixteenth of that in the last layer, so that few pixels saturate.
pub fn random_parameters(network: &Network, seed: u64) -> Parameters {
    let mut rng = Rng::new(seed);
    let mut parameters = Parameters::default();
    let steps = network.walk().expect("a network that fits together");
    let last = steps.iter().rposition(|step| step.macs() > 0);
    for step in steps {
        let products = step.macs() / step.output.len();
        let gain = if Some(step.index) == last { 0.25 } else { 1.0 };
        let spread = gain * (6.0 / products.max(1) as f32).sqrt();
        for TensorSpec { name, role, shape } in tensors_of(&step) {
            let (middle, spread) = match role {
                Role::Weight => (0.0, spread),
                Role::Gain | Role::Variance => (1.0, 0.5),
                Role::Embedding => (0.0, 1.7),
                Role::Bias | Role::Shift | Role::Mean => (0.0, 0.2),
            };
            let count = shape.iter().product();
            let numbers = (0..count).map(|_| middle + spread * uniform(&mut rng));
            let data = numbers.collect();
            parameters.tensors.insert(name, HostTensor { shape, data });
        }
    }
    parameters
}

/// A Linear layer with a bias.
pub fn linear(features: usize) -> Layer {
    Layer::Linear {
        features,
        bias: true,
    }
}

fn conv_transpose(channels: usize) -> Layer {
    Layer::ConvTranspose2d {
        channels,
        kernel: 4,
        stride: 2,
        padding: 1,
        output_padding: 0,
        bias: false,
    }
}

/// A 3x3 convolution that keeps the picture's size.
pub fn conv3(channels: usize) -> Layer {
    Layer::Conv2d {
        channels,
        kernel: 3,
        stride: 1,
        padding: 1,
        bias: true,
    }
}

/// The generator of the sizes `nano` (32 and 16 channels) and `small` (64 and 32).
pub fn dcgan(first: usize, second: usize) -> Network {
    Network::chain(
        Shape::features(64),
        vec![
            linear(first * 7 * 7),
            Layer::Reshape(Shape::new(first, 7, 7)),
            Layer::batch_norm(),
            Layer::Relu,
            conv_transpose(second),
            Layer::batch_norm(),
            Layer::Relu,
            conv_transpose(1),
            Layer::Tanh,
        ],
    )
}

/// Networks that between them have every operator, activation and way to fold, by name.
pub fn all() -> Vec<(&'static str, Network)> {
    vec![
        ("nano", dcgan(32, 16)),
        ("small", dcgan(64, 32)),
        ("upsample folded, LeakyReLU, RGB", upsampling()),
        ("upsample kept, convolutions", convolutions()),
        ("dense, sigmoid", dense()),
        ("latent as a picture, odd windows", odd_windows()),
        ("conditional DCGAN", conditional(dcgan(16, 8), 10, 50)),
        ("conditional dense", conditional(dense(), 7, 3)),
        ("shifted DCGAN", shifted(dcgan(16, 8), 10)),
        (
            "shifted twice, an embedding besides",
            conditional(shifted(shifted(dcgan(8, 4), 3), 3), 3, 5),
        ),
        (
            "conditional LeakyReLU, RGB",
            conditional(upsampling(), 3, 24),
        ),
        (
            "one class, no batch norm",
            conditional(convolutions(), 1, 5),
        ),
    ]
}

/// Networks with an addition, an activation behind it or not: around two convolutions of a picture, of the latent to
/// features that are made of it, and one of three tensors.
pub fn skipping(activation: Option<&Layer>) -> Vec<(&'static str, Network)> {
    let begun = || Network::chain(Shape::features(24), Vec::new());
    let then = |network: &mut Network, layers: Vec<Layer>| {
        let layers = activation.cloned().into_iter().chain(layers);
        layers.for_each(|layer| network.layers.push(layer));
    };
    let leaky = Layer::LeakyRelu { slope: 0.2 };
    let upsampled = vec![Layer::Upsample { factor: 2 }, conv3(3), Layer::Tanh];

    let mut picture = begun();
    let seed = vec![
        linear(6 * 7 * 5),
        Layer::Relu,
        Layer::Reshape(Shape::new(6, 7, 5)),
    ];
    picture.layers.extend(seed);
    let added = picture.layers.len();
    let branch = vec![conv3(10), leaky.clone(), conv3(6), Layer::batch_norm()];
    picture.layers.extend(branch);
    let sum = picture.layers.len();
    let mut three = picture.clone();
    picture.push(Layer::Add, &[sum, added]);
    then(&mut picture, upsampled.clone());

    let wider = three.push(conv3(6), &[sum]);
    three.push(Layer::Add, &[added, sum, wider]);
    then(&mut three, upsampled);

    let mut features = begun();
    let dense = vec![linear(40), Layer::Relu, linear(24)];
    features.layers.extend(dense);
    features.push(Layer::Add, &[0, 3]);
    let rest = vec![
        linear(5 * 5),
        Layer::Sigmoid,
        Layer::Reshape(Shape::new(1, 5, 5)),
    ];
    then(&mut features, rest);
    vec![
        ("picture", picture),
        ("features", features),
        ("three", three),
    ]
}

/// A network that is told one of `classes` classes through an embedding of `channels` numbers.
pub fn conditional(mut network: Network, classes: usize, channels: usize) -> Network {
    network.insert(0, Layer::ClassEmbedding { classes, channels });
    network
}

/// A network that is told one of `classes` classes by a shift behind its first batch norm.
fn shifted(mut network: Network, classes: usize) -> Network {
    let norm = |layer: &Layer| matches!(layer, Layer::BatchNorm { .. });
    let at = network.layers.iter().position(norm).unwrap_or(0);
    network.insert(at + 1, Layer::ClassShift { classes });
    network
}

fn upsampling() -> Network {
    let leaky = Layer::LeakyRelu { slope: 0.2 };
    Network::chain(
        Shape::features(24),
        vec![
            linear(20 * 5 * 4),
            Layer::batch_norm(),
            leaky.clone(),
            Layer::Reshape(Shape::new(20, 5, 4)),
            Layer::Upsample { factor: 2 },
            conv3(10),
            Layer::batch_norm(),
            leaky,
            Layer::Upsample { factor: 2 },
            conv3(3),
            Layer::Tanh,
        ],
    )
}

fn convolutions() -> Network {
    Network::chain(
        Shape::features(16),
        vec![
            linear(6 * 4 * 4),
            Layer::Reshape(Shape::new(6, 4, 4)),
            Layer::Relu,
            Layer::Upsample { factor: 3 },
            conv3(9),
            Layer::batch_norm(),
            Layer::Relu,
            Layer::Conv2d {
                channels: 7,
                kernel: 4,
                stride: 2,
                padding: 1,
                bias: false,
            },
            Layer::Sigmoid,
            Layer::Upsample { factor: 2 },
            Layer::Conv2d {
                channels: 1,
                kernel: 1,
                stride: 1,
                padding: 0,
                bias: true,
            },
            Layer::Tanh,
        ],
    )
}

fn dense() -> Network {
    Network::chain(
        Shape::features(33),
        vec![
            linear(50),
            Layer::batch_norm(),
            Layer::Relu,
            linear(31),
            Layer::LeakyRelu { slope: 0.01 },
            linear(3 * 6 * 5),
            Layer::Reshape(Shape::new(3, 6, 5)),
            Layer::Sigmoid,
        ],
    )
}

fn odd_windows() -> Network {
    Network::chain(
        Shape::features(12),
        vec![
            Layer::ConvTranspose2d {
                channels: 11,
                kernel: 3,
                stride: 1,
                padding: 0,
                output_padding: 0,
                bias: true,
            },
            Layer::batch_norm(),
            Layer::Relu,
            Layer::ConvTranspose2d {
                channels: 5,
                kernel: 5,
                stride: 3,
                padding: 2,
                output_padding: 1,
                bias: true,
            },
            conv3(2),
            Layer::Sigmoid,
        ],
    )
}
