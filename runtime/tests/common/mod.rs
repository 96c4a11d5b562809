//! Models with random parameters, and whole images by the reference kernels.

#![allow(dead_code, reason = "each test file uses its own part")]

use pocketgan::blob::writer::{
    Classes, Columns, LayerSpec, Parameters, Pictures, Table, WriteError, write, write_conditional,
    write_int4, write_translator,
};
use pocketgan::internals::reference;
use pocketgan::{Activation, Layer, Model, Numbers, Operator, Rng, Shape, Window, latent};

/// Operator, activation and output shape of a layer.
pub type Plan = (Operator, Activation, Shape);

/// A layer of a graph: the tensor that it reads first, and what it is.
pub type Node = (usize, Plan);

/// The nodes of a chain.
pub fn chain(plans: &[Plan]) -> Vec<Node> {
    plans.iter().copied().enumerate().collect()
}

pub fn linear(activation: Activation, h: usize, w: usize, c: usize) -> Plan {
    (Operator::Linear, activation, Shape::new(h, w, c))
}

/// A layer behind `input`, its output shape by the formulas of section 2.3; `None` if there is none.
pub fn windowed(
    input: Shape,
    transposed: bool,
    [kernel, stride, padding, output_padding]: [usize; 4],
    activation: Activation,
    channels: usize,
) -> Option<Plan> {
    let window = Window {
        kernel,
        stride,
        padding,
        output_padding,
    };
    let extent = |len: usize| {
        if transposed {
            ((len - 1) * stride + kernel + output_padding).checked_sub(2 * padding)
        } else {
            (len + 2 * padding)
                .checked_sub(kernel)
                .map(|room| room / stride + 1)
        }
    };
    let output = Shape::new(extent(input.height)?, extent(input.width)?, channels);
    let operator = if transposed {
        Operator::ConvTranspose2d(window)
    } else {
        Operator::Conv2d(window)
    };
    (!output.is_empty()).then_some((operator, activation, output))
}

pub fn upsample(input: Shape, factor: usize) -> Plan {
    let output = Shape::new(input.height * factor, input.width * factor, input.channels);
    (Operator::Upsample { factor }, Activation::None, output)
}

/// An addition of the input of layer `from` behind the plans.
pub fn addition(plans: &[Plan], from: usize, activation: Activation) -> Plan {
    (Operator::Add { from }, activation, plans[plans.len() - 1].2)
}

/// The generators of the project's benchmark: latent 64, dense to 7x7, two 4x4 stride-2 transposed
/// convolutions, tanh.
pub fn benchmark(channels: usize) -> (usize, Vec<Plan>) {
    let first = linear(Activation::Relu, 7, 7, channels);
    let window = [4, 2, 1, 0];
    let second = windowed(first.2, true, window, Activation::Relu, channels / 2).expect("fits");
    let third = windowed(second.2, true, window, Activation::Tanh, 1).expect("fits");
    (64, vec![first, second, third])
}

pub const ACTIVATIONS: [Activation; 5] = [
    Activation::None,
    Activation::Relu,
    Activation::LeakyRelu { slope: 0.2 },
    Activation::Tanh,
    Activation::Sigmoid,
];

/// A layer between a dense layer of shape `input` and a small tanh layer that shows its output.
pub fn surrounded(input: Shape, before: Activation, layer: Plan) -> Vec<Plan> {
    let first = linear(before, input.height, input.width, input.channels);
    let last = windowed(layer.2, false, [1, 1, 0, 0], Activation::Tanh, 3).expect("fits");
    vec![first, layer, last]
}

/// Models with every legal window up to a kernel of 7 and a stride of 3 between two other layers, in
/// turn with one activation or another before and behind it, over pictures of several sizes, and with one
/// number of channels or another. Each with a seed of its own.
pub fn every_small_window() -> Vec<(Vec<Plan>, u64)> {
    const SIZES: [(usize, usize); 6] = [(1, 1), (2, 3), (5, 6), (3, 7), (2, 8), (2, 15)];
    let mut models = Vec::new();
    for (kernel, stride) in (1..=7).flat_map(|k| (1..=3).map(move |s| (k, s))) {
        for padding in 0..kernel {
            for (transposed, output_padding) in [(false, 0), (true, 0), (true, 1), (true, 2)]
                .into_iter()
                .filter(|w| w.1 < stride)
            {
                for (height, width) in SIZES {
                    let seed = models.len();
                    let input = Shape::new(height, width, seed % 9 + 1);
                    let window = [kernel, stride, padding, output_padding];
                    let (before, behind) = (ACTIVATIONS[seed / 2 % 5], ACTIVATIONS[seed % 5]);
                    let layer = windowed(input, transposed, window, behind, seed / 9 % 6 + 1);
                    if let Some(layer) = layer {
                        models.push((surrounded(input, before, layer), seed as u64));
                    }
                }
            }
        }
    }
    models
}

/// Generators of four layers and more as they are in use: one dense layer or two, and windows behind one another that
/// double the picture twice or leave it as it is, some behind an upsample. Each with a seed of its own.
pub fn larger() -> Vec<(Vec<Plan>, u64)> {
    const WINDOWS: [(bool, [usize; 4]); 4] = [
        (true, [4, 2, 1, 0]),
        (true, [5, 2, 2, 1]),
        (false, [3, 1, 1, 0]),
        (true, [3, 2, 1, 1]),
    ];
    let models = (0..128).map(|i| {
        let side = 3 + i % 5;
        let channels = match i % 8 {
            5 => 9 + i % 17,
            _ => 8 + i * 5 % 7 * 4,
        };
        let hidden = ACTIVATIONS[[1, 1, 1, 1, 1, 2, 0, 3][i / 16]];
        let mut plans = Vec::new();
        if i % 3 == 2 {
            plans.push(linear(hidden, 1, 1, 16 + i % 5 * 8));
        }
        plans.push(linear(hidden, side, side, channels));
        if i % 8 == 7 {
            plans.push(upsample(plans[plans.len() - 1].2, 2));
        }
        let mut input = plans[plans.len() - 1].2;
        for (depth, channels) in [(0, channels / 2), (1, channels / 2)] {
            let (transposed, window) = WINDOWS[(i / (1 + depth * 3)) % 4];
            let plan = windowed(input, transposed, window, hidden, channels).expect("fits");
            plans.push(plan);
            input = plan.2;
        }
        let last = windowed(input, false, [3, 1, 1, 0], Activation::Tanh, 1 + i % 2 * 2);
        plans.push(last.expect("fits"));
        (plans, 5000 + i as u64)
    });
    // More channels under a window than any loop reads at once.
    let wide = [Activation::Relu, Activation::Tanh].map(|hidden| {
        let first = linear(hidden, 3, 3, 68);
        let second = windowed(first.2, false, [3, 1, 1, 0], hidden, 16).expect("fits");
        let last = windowed(second.2, false, [3, 1, 1, 0], Activation::Tanh, 1);
        vec![first, second, last.expect("fits")]
    });
    models.chain(wide.into_iter().zip(5128..)).collect()
}

/// Models with one or two skip connections, one behind the other or the second around both, over windows that leave the
/// picture as it is, or enlarge it and make it small again. Each with a seed of its own.
pub fn skips() -> Vec<(Vec<Plan>, u64)> {
    let models = (0..96).map(|i| {
        let at = |n: usize| ACTIVATIONS[n % 5];
        let mut plans = vec![linear(at(i), 1 + i % 5, 1 + i * 3 % 8, 1 + i * 5 % 9)];
        let shape = plans[0].2;
        for depth in 0..1 + i % 2 {
            let from = plans.len();
            // The channels between.
            let (wide, kept) = (1 + i * 7 % 10, shape.channels);
            let windows: &[_] = match i / 2 % 4 {
                0 => &[(false, [3, 1, 1, 0], kept)],
                1 => &[(false, [5, 1, 2, 0], wide), (false, [3, 1, 1, 0], kept)],
                2 => &[(true, [4, 2, 1, 0], wide), (false, [4, 2, 1, 0], kept)],
                _ => &[(true, [3, 1, 1, 0], wide), (false, [1, 1, 0, 0], kept)],
            };
            for (n, &(transposed, window, channels)) in windows.iter().enumerate() {
                let input = plans[plans.len() - 1].2;
                let plan = windowed(input, transposed, window, at(i / 3 + n), channels);
                plans.push(plan.expect("fits"));
            }
            let from = if depth == 1 && i % 3 == 0 { 1 } else { from };
            plans.push(addition(&plans, from, at(i / 5 + depth)));
        }
        if i % 3 == 2 {
            let last = plans.len() - 1;
            plans[last].1 = [Activation::Tanh, Activation::Sigmoid][i % 2];
        } else {
            let last = windowed(shape, false, [1, 1, 0, 0], Activation::Tanh, 3);
            plans.push(last.expect("fits"));
        }
        (plans, 6000 + i as u64)
    });
    models.collect()
}

/// A layer that takes means over windows; `None` if the window does not fit.
pub fn pooled(input: Shape, kernel: usize, stride: usize) -> Option<Plan> {
    let none = Activation::None;
    let window = [kernel, stride, 0, 0];
    let (operator, _, output) = windowed(input, false, window, none, input.channels)?;
    match operator {
        Operator::Conv2d(window) => Some((Operator::AvgPool2d(window), none, output)),
        _ => None,
    }
}

/// A graph of random layers: branches that are joined again by additions and concatenations, over pictures of `2^level`
/// times a size.
pub struct Graph {
    /// The shape of a latent, or of the pictures that are read.
    pub input: Shape,
    pub nodes: Vec<Node>,
    /// The shape of each tensor; what its quanta are: of no activation, of tanh, of sigmoid or of ReLU; whether it is
    /// read.
    tensors: Vec<(Shape, usize, bool)>,
}

impl Graph {
    /// A graph of up to some 20 layers.
    pub fn random(rng: &mut Rng) -> Self {
        let mut graph = Self::new(Shape::new(1, 1, 1 + below(rng, 9)));
        let mut vector = 0;
        for _ in 0..below(rng, 3) {
            let shape = Shape::new(1, 1, 1 + below(rng, 12));
            let one = graph.put(vector, (Operator::Linear, activation(rng), shape));
            let two = graph.put(vector, (Operator::Linear, graph.nodes[one - 1].1.1, shape));
            vector = graph.join(one, two, rng);
        }
        let size = [1 + below(rng, 5), 2 + below(rng, 5)];
        let shape = Shape::new(size[0], size[1], 1 + below(rng, 9));
        graph.put(vector, (Operator::Linear, activation(rng), shape));
        for _ in 0..1 + below(rng, 8) {
            graph.grow(size, rng);
        }
        graph.end(rng);
        graph
    }

    /// As [`random`](Self::random), of a graph that reads pictures; some make a vector of them on the way.
    pub fn random_of_pictures(rng: &mut Rng) -> Self {
        let side = |rng: &mut Rng| [8, 12, 16][below(rng, 3)];
        let [height, width] = [side(rng), side(rng)];
        let mut graph = Self::new(Shape::new(height, width, 1 + below(rng, 4)));
        let size = [height / 4, width / 4];
        let same = |input, channels, rng: &mut Rng| {
            let window = [[3, 1, 1, 0], [1, 1, 0, 0], [5, 1, 2, 0]][below(rng, 3)];
            windowed(input, false, window, activation(rng), channels).expect("fits")
        };
        let first = same(graph.input, 1 + below(rng, 7), rng);
        graph.put(0, first);
        if below(rng, 3) == 0 {
            // The picture itself, beside what was made of it.
            let second = same(graph.input, first.2.channels, rng);
            let second = graph.put(0, second);
            graph.join(1, second, rng);
        }
        for _ in 0..below(rng, 5) {
            graph.grow(size, rng);
        }
        if below(rng, 2) == 0 {
            // Everything else is joined to the images behind the vector.
            let shape = Shape::new(1, 1, 1 + below(rng, 12));
            let source = 1 + below(rng, graph.nodes.len());
            let copy = graph.put(source, upsample(graph.tensors[source].0, 1));
            let vector = graph.put(copy, (Operator::Linear, activation(rng), shape));
            // No convolution with padding may read it too: it is to be no picture for others.
            graph.tensors[copy].0 = Shape::new(0, 0, 0);
            let shape = Shape::new(size[0] * 4, size[1] * 4, 1 + below(rng, 6));
            graph.put(vector, (Operator::Linear, activation(rng), shape));
            for _ in 0..below(rng, 3) {
                graph.grow(size, rng);
            }
        }
        graph.end(rng);
        graph
    }

    fn new(input: Shape) -> Self {
        Self {
            input,
            nodes: Vec::new(),
            tensors: vec![(input, usize::MAX, false)],
        }
    }

    /// Joins what is not read yet, and makes an image of it.
    fn end(&mut self, rng: &mut Rng) {
        let graph = self;
        let pictures = graph.nodes.len();
        let unread: Vec<usize> = (1..=pictures).filter(|&t| !graph.tensors[t].2).collect();
        let height = unread.iter().map(|&t| graph.tensors[t].0.height).max();
        let (height, hidden) = (height.expect("the newest"), activation(rng));
        let mut joined: Option<usize> = None;
        for tensor in unread {
            let input = graph.tensors[tensor].0;
            let mut tensor = tensor;
            if input.height < height {
                tensor = graph.put(tensor, upsample(input, height / input.height));
            }
            let input = graph.tensors[tensor].0;
            let channels = joined.map_or(1 + below(rng, 5), |t| graph.tensors[t].0.channels);
            let same = windowed(input, false, [1, 1, 0, 0], hidden, channels);
            tensor = graph.put(tensor, same.expect("fits"));
            joined = Some(joined.map_or(tensor, |before| graph.join(before, tensor, rng)));
        }
        let last = joined.expect("the newest");
        let end = [Activation::Tanh, Activation::Sigmoid][below(rng, 2)];
        let window = [[3, 1, 1, 0], [4, 2, 1, 0]][below(rng, 2)];
        let transposed = below(rng, 2) == 1;
        let input = graph.tensors[last].0;
        let plan = windowed(input, transposed, window, end, 1 + below(rng, 3));
        let plan = plan.or_else(|| windowed(input, false, [1, 1, 0, 0], end, 2));
        graph.put(last, plan.expect("fits"));
    }

    /// Puts in a layer; gives the number of its output.
    fn put(&mut self, source: usize, plan: Plan) -> usize {
        let quanta = match plan {
            (Operator::Upsample { .. } | Operator::Concat { .. } | Operator::AvgPool2d(_), ..) => {
                self.tensors[source].1
            }
            (_, Activation::Tanh, _) => 1,
            (_, Activation::Sigmoid, _) => 2,
            (_, Activation::Relu, _) => 3,
            _ => 0,
        };
        self.tensors[source].2 = true;
        if let Some(other) = plan.0.other() {
            self.tensors[other].2 = true;
        }
        self.nodes.push((source, plan));
        self.tensors.push((plan.2, quanta, false));
        self.nodes.len()
    }

    /// Joins two tensors of one height and width by an addition or a concatenation, whichever there can be.
    fn join(&mut self, one: usize, two: usize, rng: &mut Rng) -> usize {
        let ((a, quanta, _), (b, other, _)) = (self.tensors[one], self.tensors[two]);
        let add = a == b && (quanta != other || a.channels > 12 || below(rng, 2) == 0);
        let plan = if add {
            (Operator::Add { from: two }, activation(rng), a)
        } else {
            let joined = Shape::new(a.height, a.width, a.channels + b.channels);
            (Operator::Concat { from: two }, Activation::None, joined)
        };
        if !add && quanta != other {
            // Some quanta like the others'.
            let hidden = [
                Activation::None,
                Activation::Tanh,
                Activation::Sigmoid,
                Activation::Relu,
            ];
            let same = windowed(b, false, [1, 1, 0, 0], hidden[quanta % 4], b.channels);
            let two = self.put(two, same.expect("fits"));
            return self.put(one, (Operator::Concat { from: two }, plan.1, plan.2));
        }
        self.put(one, plan)
    }

    /// Puts in a layer or two behind a picture, mostly one of the newest.
    fn grow(&mut self, size: [usize; 2], rng: &mut Rng) {
        let is_multiple = |shape: Shape| {
            let times =
                |factor| shape.height == size[0] * factor && shape.width == size[1] * factor;
            times(1) || times(2) || times(4)
        };
        let all: Vec<usize> = (1..self.tensors.len())
            .filter(|&tensor| is_multiple(self.tensors[tensor].0))
            .collect();
        let back = below(rng, 4).min(below(rng, 4)).min(all.len() - 1);
        let source = all[all.len() - 1 - back];
        let input = self.tensors[source].0;
        let (hidden, channels) = (activation(rng), 1 + below(rng, 9));
        let is_largest = input.height >= 4 * size[0];
        let is_smallest = input.height == size[0];
        let window = |transposed, window| windowed(input, transposed, window, hidden, channels);
        let plan = match below(rng, 9) {
            0 if !is_largest => Some(upsample(input, 2)),
            1 if !is_largest => window(true, [4, 2, 1, 0]),
            2 if !is_smallest => window(false, [4, 2, 1, 0]),
            3 if !is_smallest => pooled(input, 2, 2),
            4 => {
                let wider = window(true, [[3, 1, 0, 0], [2, 1, 0, 0]][below(rng, 2)]);
                let (operator, activation, output) = wider.expect("fits");
                let kernel = output.height - input.height + 1;
                let wider = self.put(source, (operator, activation, output));
                self.put(wider, pooled(output, kernel, 1).expect("fits"));
                return;
            }
            5 | 6 => {
                let like = |&&other: &&usize| {
                    let shape = self.tensors[other].0;
                    shape.height == input.height && shape.width == input.width
                };
                let likes: Vec<usize> = all.iter().filter(like).copied().collect();
                let other = likes[below(rng, likes.len())];
                if input.channels + self.tensors[other].0.channels <= 20 {
                    self.join(source, other, rng);
                }
                return;
            }
            7 => window(true, [3, 1, 1, 0]),
            _ => window(
                false,
                [[3, 1, 1, 0], [5, 1, 2, 0], [1, 1, 0, 0]][below(rng, 3)],
            ),
        };
        if let Some(plan) = plan {
            self.put(source, plan);
        }
    }
}

fn activation(rng: &mut Rng) -> Activation {
    ACTIVATIONS[below(rng, ACTIVATIONS.len())]
}

fn below(rng: &mut Rng, n: usize) -> usize {
    rng.below(n as u32) as usize
}

/// The layers with random parameters that keep the outputs spread over their range.
pub fn layers(latent: usize, plans: &[Plan], numbers: Numbers, rng: &mut Rng) -> Vec<LayerSpec> {
    graph_layers(latent, &chain(plans), numbers, rng)
}

/// As [`layers`], of a graph.
pub fn graph_layers(
    latent: usize,
    nodes: &[Node],
    numbers: Numbers,
    rng: &mut Rng,
) -> Vec<LayerSpec> {
    layers_behind(
        (Shape::new(1, 1, latent), latent::SCALE),
        nodes,
        numbers,
        rng,
    )
}

/// As [`graph_layers`], behind an input of a shape whose quanta are worth so much.
fn layers_behind(
    input: (Shape, f32),
    nodes: &[Node],
    numbers: Numbers,
    rng: &mut Rng,
) -> Vec<LayerSpec> {
    let mut layers = Vec::new();
    // Of each tensor: its shape and what a quantum is worth.
    let mut tensors = vec![input];
    for &(source, (operator, activation, output)) in nodes {
        let (input, input_scale) = tensors[source];
        let (taps, outputs) = match operator {
            Operator::Linear => (input.height * input.width, output.len()),
            Operator::Conv2d(w) | Operator::ConvTranspose2d(w) => {
                (w.kernel * w.kernel, output.channels)
            }
            _ => (0, 0),
        };
        let count = taps * input.channels * outputs;
        let scale = match (operator, activation) {
            (_, Activation::Tanh) => 1.0 / 128.0,
            (_, Activation::Sigmoid) => 1.0 / 256.0,
            (Operator::Upsample { .. } | Operator::Concat { .. } | Operator::AvgPool2d(_), _) => {
                input_scale
            }
            _ => 0.02,
        };
        let spread = 1.0 / f64::from((taps * input.channels) as u32).sqrt();
        let parameters =
            if let (Operator::Add { from }, false) = (operator, numbers == Numbers::Float) {
                let unit = match activation {
                    Activation::Tanh | Activation::Sigmoid => 1.0,
                    _ => scale,
                };
                let worth = |scale: f32| f64::from(scale) / f64::from(unit);
                Parameters::Add {
                    multipliers: [input_scale, tensors[from].1].map(worth),
                    scale,
                }
            } else if taps == 0 {
                Parameters::None
            } else if numbers == Numbers::Float {
                let mut unit = |_| below(rng, 20_001) as f32 / 10_000.0 - 1.0;
                let weights = (0..count)
                    .map(&mut unit)
                    .map(|w| w * spread as f32 * 1.7)
                    .collect();
                Parameters::Float {
                    weights,
                    bias: (0..outputs).map(&mut unit).collect(),
                }
            } else {
                let unit = match activation {
                    Activation::Tanh | Activation::Sigmoid => 0.06,
                    _ => 1.0,
                };
                Parameters::Int8 {
                    weights: (0..count)
                        .map(|_| below(rng, 255) as i8 ^ i8::MIN)
                        .map(|w| match numbers {
                            Numbers::Int4 => (w & -16).max(-112),
                            _ => w.max(-127),
                        })
                        .collect(),
                    bias: (0..outputs)
                        .map(|_| below(rng, 8001) as i32 - 4000)
                        .collect(),
                    multipliers: (0..outputs)
                        .map(|_| unit * spread * (0.5 + below(rng, 1000) as f64 / 1000.0) / 73.0)
                        .collect(),
                    scale,
                }
            };
        layers.push(LayerSpec {
            operator,
            activation,
            source,
            output,
            parameters,
        });
        tensors.push((output, scale));
    }
    layers
}

pub fn blob(
    latent: usize,
    plans: &[Plan],
    numbers: Numbers,
    rng: &mut Rng,
) -> Result<Vec<u8>, WriteError> {
    graph_blob(latent, &chain(plans), numbers, rng)
}

/// As [`blob`], of a graph.
pub fn graph_blob(
    latent: usize,
    nodes: &[Node],
    numbers: Numbers,
    rng: &mut Rng,
) -> Result<Vec<u8>, WriteError> {
    let layers = graph_layers(latent, nodes, numbers, rng);
    match numbers {
        Numbers::Int4 => write_int4(latent, None, &layers),
        _ => write(latent, &layers),
    }
}

/// As [`graph_blob`], of a graph that reads pictures, with a random table.
pub fn translator_blob(
    picture: Shape,
    nodes: &[Node],
    numbers: Numbers,
    rng: &mut Rng,
) -> Result<Vec<u8>, WriteError> {
    let scale = 1.0 / 128.0;
    let layers = layers_behind((picture, scale), nodes, numbers, rng);
    let quanta = (0..256).map(|_| below(rng, 256) as u8 as i8);
    let quanta: Vec<i8> = quanta.collect();
    let table = match numbers {
        Numbers::Float => Table::Float(quanta.iter().map(|&q| f32::from(q) * scale).collect()),
        _ => Table::Int8 { quanta, scale },
    };
    let pictures = Pictures {
        shape: picture,
        table,
    };
    write_translator(&pictures, &layers, numbers == Numbers::Int4)
}

/// What the pixels of a picture are to a model: the table lies behind the records.
fn table(blob: &[u8]) -> &[u8] {
    let layers = usize::from(u16::from_le_bytes([blob[16], blob[17]]));
    &blob[64 * (layers + 1)..]
}

/// `count` classes with random columns that change the first layer's sums about as much as its
/// products do.
pub fn classes(count: usize, first: &Plan, numbers: Numbers, rng: &mut Rng) -> Classes {
    let len = count * first.2.len();
    let columns = match numbers {
        Numbers::Float => {
            let unit = |_| below(rng, 20_001) as f32 / 10_000.0 - 1.0;
            Columns::Float((0..len).map(unit).collect())
        }
        Numbers::Int8 | Numbers::Int4 => Columns::Int8 {
            columns: (0..len)
                .map(|_| below(rng, 255) as i8 ^ i8::MIN)
                .map(|q| q.max(-127))
                .collect(),
            step: 1 + below(rng, 60) as u16,
        },
    };
    Classes { count, columns }
}

/// As [`blob`], with classes.
pub fn conditional_blob(
    latent: usize,
    count: usize,
    plans: &[Plan],
    numbers: Numbers,
    rng: &mut Rng,
) -> Result<Vec<u8>, WriteError> {
    conditional_graph_blob(latent, count, &chain(plans), numbers, rng)
}

/// As [`graph_blob`], with classes.
pub fn conditional_graph_blob(
    latent: usize,
    count: usize,
    nodes: &[Node],
    numbers: Numbers,
    rng: &mut Rng,
) -> Result<Vec<u8>, WriteError> {
    let layers = graph_layers(latent, nodes, numbers, rng);
    let classes = classes(count, &nodes[0].1, numbers, rng);
    match numbers {
        Numbers::Int4 => write_int4(latent, Some(&classes), &layers),
        _ => write_conditional(latent, &classes, &layers),
    }
}

pub fn latents(model: &Model, seed: u64) -> Vec<i8> {
    let mut latents = vec![0; model.latent_size()];
    latent::fill(&mut Rng::new(seed), &mut latents);
    latents
}

/// The output of every int8 or int4 layer by the reference kernels, in quanta.
pub fn reference_int8(model: &Model, latents: &[i8]) -> Vec<Vec<i16>> {
    tensors_int8(model, latents.iter().copied().map(i16::from).collect())
}

/// As [`reference_int8`], of a picture; `blob` is the model's.
pub fn reference_int8_of_picture(model: &Model, blob: &[u8], picture: &[u8]) -> Vec<Vec<i16>> {
    let quanta = picture.iter().map(|&p| table(blob)[usize::from(p)] as i8);
    tensors_int8(model, quanta.map(i16::from).collect())
}

fn tensors_int8(model: &Model, input: Vec<i16>) -> Vec<Vec<i16>> {
    let mut tensors = vec![input];
    for layer in model.layers() {
        let mut output = vec![0; layer.output.len()];
        reference::run_int8(
            &layer,
            &tensors[layer.source],
            other(&layer, &tensors),
            &mut output,
        )
        .expect("lengths fit");
        tensors.push(output);
    }
    tensors.split_off(1)
}

/// The second tensor that a layer reads.
fn other<'t, T>(layer: &Layer, tensors: &'t [Vec<T>]) -> &'t [T] {
    layer.operator.other().map_or(&[], |other| &tensors[other])
}

/// The output of the model by the reference kernels.
pub fn reference_float(model: &Model, latents: &[i8]) -> Vec<f32> {
    let latents = latents.iter().map(|&q| f32::from(q) * latent::SCALE);
    output_float(model, latents.collect())
}

/// As [`reference_float`], of a picture; `blob` is the model's.
pub fn reference_float_of_picture(model: &Model, blob: &[u8], picture: &[u8]) -> Vec<f32> {
    let (values, _) = table(blob).as_chunks();
    let values = picture
        .iter()
        .map(|&p| f32::from_le_bytes(values[usize::from(p)]));
    output_float(model, values.collect())
}

fn output_float(model: &Model, input: Vec<f32>) -> Vec<f32> {
    let mut tensors = vec![input];
    for layer in model.layers() {
        let mut output = vec![0.0; layer.output.len()];
        reference::run_float(
            &layer,
            &tensors[layer.source],
            other(&layer, &tensors),
            &mut output,
        )
        .expect("lengths fit");
        tensors.push(output);
    }
    tensors.pop().expect("the latent")
}

/// A model of every operator and activation, with two skip connections, one in the other, and 8x8 pixels.
pub fn tiny_skips() -> (usize, Vec<Plan>) {
    let leaky = Activation::LeakyRelu { slope: 0.2 };
    let same = |input, activation, channels| {
        windowed(input, false, [3, 1, 1, 0], activation, channels).expect("fits")
    };
    let mut plans = vec![linear(leaky, 2, 2, 4)];
    let second = windowed(plans[0].2, true, [4, 2, 1, 0], Activation::Relu, 4);
    plans.push(second.expect("fits"));
    plans.push(same(plans[1].2, Activation::Sigmoid, 6));
    plans.push(same(plans[2].2, Activation::None, 6));
    plans.push(addition(&plans, 3, Activation::Relu));
    plans.push(same(plans[4].2, Activation::None, 4));
    plans.push(addition(&plans, 2, leaky));
    plans.push(upsample(plans[6].2, 2));
    plans.push(same(plans[7].2, Activation::Tanh, 1));
    (4, plans)
}

/// A graph of every operator, with a branch that has layers of its own and 8x8 pixels.
pub fn tiny_graph() -> (usize, Vec<Node>) {
    let leaky = Activation::LeakyRelu { slope: 0.2 };
    let (none, relu) = (Activation::None, Activation::Relu);
    let layer = |input, transposed, window, activation, channels| {
        windowed(input, transposed, window, activation, channels).expect("fits")
    };
    let first = linear(leaky, 2, 2, 4);
    let larger = upsample(first.2, 2);
    let skipped = layer(larger.2, false, [1, 1, 0, 0], none, 6);
    let second = layer(first.2, true, [4, 2, 1, 0], Activation::Sigmoid, 5);
    let third = layer(second.2, false, [3, 1, 1, 0], none, 6);
    let added = (Operator::Add { from: 3 }, relu, third.2);
    let fine = layer(added.2, true, [4, 2, 1, 0], relu, 5);
    let coarse = upsample(added.2, 2);
    let shape = Shape::new(8, 8, 11);
    let joined = (Operator::Concat { from: 8 }, none, shape);
    let wider = layer(shape, true, [3, 1, 0, 0], Activation::Tanh, 4);
    let blurred = pooled(wider.2, 3, 1).expect("fits");
    let last = layer(blurred.2, false, [3, 1, 1, 0], Activation::Tanh, 1);
    let nodes = vec![
        (0, first),
        (1, larger),
        (2, skipped),
        (1, second),
        (4, third),
        (5, added),
        (6, fine),
        (6, coarse),
        (7, joined),
        (9, wider),
        (10, blurred),
        (11, last),
    ];
    (4, nodes)
}

/// A graph of three concatenations and 8x8 pixels: one of which is an input of the second, and a third whose second
/// input begins inside a group of four channels.
pub fn tiny_concat() -> (usize, Vec<Node>) {
    let relu = Activation::Relu;
    let layer = |input, transposed, window, channels| {
        windowed(input, transposed, window, relu, channels).expect("fits")
    };
    let concat = |from, height, channels| {
        let shape = Shape::new(height, height, channels);
        (Operator::Concat { from }, Activation::None, shape)
    };
    let first = linear(relu, 4, 4, 6);
    let inner = concat(3, 4, 13);
    let outer = concat(4, 4, 17);
    let fine = layer(outer.2, true, [4, 2, 1, 0], 3);
    let third = concat(8, 8, 9);
    let last = windowed(third.2, false, [3, 1, 1, 0], Activation::Tanh, 1).expect("fits");
    let nodes = vec![
        (0, first),
        (1, layer(first.2, false, [3, 1, 1, 0], 8)),
        (1, layer(first.2, false, [1, 1, 0, 0], 5)),
        (2, inner),
        (1, layer(first.2, true, [3, 1, 1, 0], 4)),
        (5, outer),
        (6, fine),
        (1, upsample(first.2, 2)),
        (7, third),
        (9, last),
    ];
    (4, nodes)
}

/// For each layer of a graph's blob the tensor in whose rows its output lies, 0 if in its own.
pub fn homes(blob: &[u8]) -> Vec<usize> {
    let layers = usize::from(u16::from_le_bytes([blob[16], blob[17]]));
    let home = |index: usize| [52, 53].map(|at| blob[64 * (index + 1) + at]);
    (0..layers)
        .map(|index| u16::from_le_bytes(home(index)).into())
        .collect()
}

/// A model of linear layers alone, with every activation, and 8x8 pixels.
pub fn tiny_linear() -> (usize, Vec<Plan>) {
    let leaky = Activation::LeakyRelu { slope: 0.2 };
    let plans = vec![
        linear(leaky, 1, 1, 13),
        linear(Activation::Sigmoid, 1, 1, 14),
        linear(Activation::None, 1, 1, 9),
        linear(Activation::Relu, 1, 1, 16),
        linear(Activation::Tanh, 8, 8, 1),
    ];
    (6, plans)
}

/// A model of every operator but addition and a few hundred bytes, 8x8 pixels.
pub fn tiny() -> (usize, Vec<Plan>) {
    let first = linear(Activation::LeakyRelu { slope: 0.2 }, 2, 2, 4);
    let second = windowed(first.2, true, [4, 2, 1, 0], Activation::Relu, 3).expect("fits");
    let third = upsample(second.2, 2);
    let last = windowed(third.2, false, [3, 1, 1, 0], Activation::Tanh, 1).expect("fits");
    (4, vec![first, second, third, last])
}

/// A translator of every operator, 8x8 pixels of three channels to as many of one: a skip connection from the picture,
/// a branch at half the size, a mean.
pub fn tiny_translator() -> (Shape, Vec<Node>) {
    let leaky = Activation::LeakyRelu { slope: 0.2 };
    let (none, relu) = (Activation::None, Activation::Relu);
    let layer = |input, transposed, window, activation, channels| {
        windowed(input, transposed, window, activation, channels).expect("fits")
    };
    let picture = Shape::new(8, 8, 3);
    let first = layer(picture, false, [3, 1, 1, 0], relu, 5);
    let down = layer(first.2, false, [4, 2, 1, 0], leaky, 6);
    let same = layer(down.2, false, [3, 1, 1, 0], none, 6);
    let added = (Operator::Add { from: 2 }, relu, down.2);
    let up = layer(added.2, true, [4, 2, 1, 0], relu, 3);
    let joined = (Operator::Concat { from: 1 }, none, Shape::new(8, 8, 8));
    let wider = layer(joined.2, true, [2, 1, 0, 0], leaky, 4);
    let mean = pooled(wider.2, 2, 1).expect("fits");
    let last = layer(mean.2, false, [3, 1, 1, 0], Activation::Tanh, 1);
    let nodes = vec![
        (0, first),
        (1, down),
        (2, same),
        (3, added),
        (4, up),
        (5, joined),
        (6, wider),
        (7, mean),
        (8, last),
    ];
    (picture, nodes)
}

/// An autoencoder of 8x8 pixels around a vector of eight numbers.
pub fn tiny_autoencoder() -> (Shape, Vec<Node>) {
    let relu = Activation::Relu;
    let picture = Shape::new(8, 8, 1);
    let down = windowed(picture, false, [4, 2, 1, 0], relu, 6).expect("fits");
    let vector = linear(Activation::None, 1, 1, 8);
    let image = linear(Activation::LeakyRelu { slope: 0.2 }, 4, 4, 4);
    let last = windowed(image.2, true, [4, 2, 1, 0], Activation::Tanh, 1).expect("fits");
    let plans = [down, vector, image, last];
    (picture, chain(&plans))
}

/// A picture of random pixels.
pub fn random_picture(model: &Model, rng: &mut Rng) -> Vec<u8> {
    let len = model.picture_len();
    (0..len).map(|_| below(rng, 256) as u8).collect()
}

/// A network as people translate pictures with, or an autoencoder around a vector, of another size for each number.
pub fn translator(i: usize) -> (Shape, Vec<Node>) {
    let layer = |input, transposed, window, activation, channels| {
        windowed(input, transposed, window, activation, channels).expect("fits")
    };
    let side = match i % 2 {
        0 => [16, 28, 32][i / 2 % 3],
        _ => [8, 12, 16][i / 2 % 3],
    };
    let picture = Shape::new(side, side, 1 + i / 4 % 2 * 2);
    let wide = 4 + i % 5 * 4;
    let hidden = ACTIVATIONS[[1, 1, 2][i % 3]];
    let (shrink, grow, same) = ([4, 2, 1, 0], [4, 2, 1, 0], [3, 1, 1, 0]);
    let end = Activation::Tanh;
    let mut plans = vec![layer(picture, false, same, hidden, wide)];
    if i.is_multiple_of(2) {
        plans.push(layer(plans[0].2, false, shrink, hidden, 2 * wide));
        let from = plans.len();
        for _ in 0..2 {
            let input = plans[plans.len() - 1].2;
            plans.push(layer(input, false, same, hidden, 2 * wide));
        }
        plans.push(addition(&plans, from, Activation::None));
        let input = plans[plans.len() - 1].2;
        plans.push(layer(input, true, grow, hidden, wide));
    } else {
        plans.push(layer(plans[0].2, false, shrink, hidden, wide));
        let small = plans[1].2;
        plans.push(linear(Activation::None, 1, 1, 8 + i % 7));
        plans.push(linear(hidden, small.height, small.width, wide));
        plans.push(layer(plans[3].2, true, grow, hidden, wide));
    }
    let input = plans[plans.len() - 1].2;
    plans.push(layer(input, false, same, end, picture.channels));
    (picture, chain(&plans))
}
