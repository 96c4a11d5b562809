//! Machines that share a batch, simulated in one process: [`Sums::Tree`] over the whole batch gives their bits.
//!
//! Each machine has some of the samples and a copy of the weights. The machines exchange only sums: those of batch
//! norm, and those of the weights' gradients before an update. Losses are computed on the host from all samples.

use super::array::{Node, add_parts, give, take};
use super::norm::{Batch, Norm, total};
use super::{
    Activation, Array, BatchStatistics, Buffer, Cpu, Device, Dims, Nodes, Sums, Update, Wants,
    Weights, Window,
};
use dfdx::prelude::{CpuError, Gradients, OwnedTape, Tape};
use std::ops::Range;

type Outcome<T> = Result<T, CpuError>;

/// The machines; each has as many parts of a batch.
#[derive(Clone, Debug)]
struct Cluster {
    machines: Vec<Cpu>,
    /// Of one machine.
    order: Sums,
}

/// Numbers on all machines.
#[derive(Clone, Debug)]
struct Spread {
    dims: Dims,
    /// Of a batch, each machine's samples.
    shares: Vec<Array<f32>>,
    /// Of what the user made, all of it on each machine.
    copies: Vec<Array<f32>>,
}

/// `(a + b) + (c + d)` and so on.
fn tree(parts: &[Vec<f32>]) -> Vec<f32> {
    if let [part] = parts {
        return part.clone();
    }
    let (left, right) = parts.split_at(parts.len() / 2);
    let sums = tree(left).into_iter().zip(tree(right));
    sums.map(|(a, b)| a + b).collect()
}

impl Cluster {
    /// `2^exponent` machines, 8 at most.
    fn new(exponent: u8) -> Self {
        let order = Sums::Tree(3 - exponent);
        Self {
            machines: vec![Cpu::new(order); 1 << exponent],
            order,
        }
    }

    /// What each machine makes of its samples.
    fn each(
        &self,
        x: &Spread,
        run: impl FnMut((usize, &Array<f32>)) -> Outcome<Array<f32>>,
    ) -> Outcome<Spread> {
        assert_eq!(x.shares.len(), self.machines.len(), "{:?}", x.dims);
        let shares = x.shares.iter().enumerate().map(run);
        let shares: Vec<_> = shares.collect::<Outcome<_>>()?;
        let [n, h, w, c] = shares[0].dims;
        Ok(Spread {
            dims: [n * shares.len(), h, w, c],
            shares,
            copies: Vec::new(),
        })
    }

    /// A machine's sum of a gradient's parts; nothing where none came.
    fn own(&self, gradients: &mut Gradients<f32, Nodes>, x: &Array<f32>) -> Outcome<Vec<f32>> {
        let mut gradient = take(gradients, &x.node)?.to_vec();
        let len = x.data().len();
        add_parts(&mut gradient, len);
        gradient.truncate(len);
        Ok(gradient)
    }
}

impl Spread {
    fn on(arrays: &[Self], machine: usize) -> Vec<Array<f32>> {
        let shares = arrays.iter().map(|array| array.shares[machine].clone());
        shares.collect()
    }
}

fn copy(w: &Weights<Spread>, machine: usize) -> Weights<Array<f32>> {
    Weights {
        weight: w.weight.copies[machine].clone(),
        bias: w.bias.as_ref().map(|bias| bias.copies[machine].clone()),
    }
}

impl Device<f32> for Cluster {
    type Nodes = Nodes;
    type Array = Spread;
    type Err = CpuError;

    fn sums(&self) -> Sums {
        Sums::Tree(3)
    }

    fn array(&self, data: &[f32], dims: Dims) -> Outcome<Spread> {
        let [n, h, w, c] = dims;
        let machines = self.machines.iter();
        let copies = machines.clone().map(|machine| machine.array(data, dims));
        let count = self.machines.len();
        let shares = if n.is_multiple_of(count) {
            let dims = [n / count, h, w, c];
            let shares = data.chunks(data.len() / count).zip(machines);
            let shares = shares.map(|(data, machine)| machine.array(data, dims));
            shares.collect::<Outcome<_>>()?
        } else {
            Vec::new()
        };
        Ok(Spread {
            dims,
            shares,
            copies: copies.collect::<Outcome<_>>()?,
        })
    }

    fn to_host(&self, array: &Spread) -> Vec<f32> {
        let all = match array.copies.first() {
            Some(copy) => std::slice::from_ref(copy),
            None => &array.shares,
        };
        all.iter().flat_map(|array| array.data().to_vec()).collect()
    }

    fn dims(&self, array: &Spread) -> Dims {
        array.dims
    }

    fn reshape<T: Tape<f32, Nodes>>(&self, _: &mut T, x: &Spread, to: Dims) -> Outcome<Spread> {
        let [n, h, w, c] = to;
        self.each(x, |(_, x)| x.reshape([n / self.machines.len(), h, w, c]))
    }

    fn backward(
        &self,
        tape: OwnedTape<f32, Nodes>,
        from: Vec<(Spread, Vec<f32>)>,
    ) -> Outcome<Gradients<f32, Nodes>> {
        let from = from.into_iter().flat_map(|(y, dy)| {
            let len = dy.len() / y.shares.len();
            let parts: Vec<Vec<f32>> = dy.chunks(len).map(<[f32]>::to_vec).collect();
            y.shares.into_iter().zip(parts)
        });
        self.machines[0].backward(tape, from.collect())
    }

    fn linear<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        w: &Weights<Spread>,
        act: Activation,
        wants: Wants,
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| {
            self.machines[i].linear(tape, x, &copy(w, i), act, wants)
        })
    }

    fn conv2d<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        w: &Weights<Spread>,
        window: Window,
        act: Activation,
        wants: Wants,
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| {
            self.machines[i].conv2d(tape, x, &copy(w, i), window, act, wants)
        })
    }

    fn conv_transpose2d<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        w: &Weights<Spread>,
        window: Window,
        output: (usize, usize),
        act: Activation,
        wants: Wants,
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| {
            let w = copy(w, i);
            self.machines[i].conv_transpose2d(tape, x, &w, window, output, act, wants)
        })
    }

    fn batch_norm<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        gamma: &Spread,
        beta: &Spread,
        epsilon: f64,
        act: Activation,
        wants: Wants,
    ) -> Outcome<(Spread, BatchStatistics<f32>)> {
        let order = self.order;
        let mut batch = Batch::new(order, x.shares[0].dims);
        batch.count *= self.machines.len();
        let exchanged = |sums: &dyn Fn(&[f32]) -> Vec<Vec<f32>>| {
            let own = x.shares.iter().map(|x| total(order, sums(x.data())));
            tree(&own.collect::<Vec<_>>())
        };
        let mean = batch.average(exchanged(&|x| batch.sums(x)));
        let variance = batch.average(exchanged(&|x| batch.sums_of_squares(x, &mean)));
        let statistics = BatchStatistics { mean, variance };
        let norms = gamma.copies.iter();
        let norms = norms.map(|gamma| Norm::new(&statistics, gamma.data(), epsilon));
        let norms: Vec<Norm<f32>> = norms.collect();
        let y = self.each(x, |(i, x)| {
            let y = norms[i].apply(x.data(), beta.copies[i].data(), act);
            Array::new(&self.machines[i], y, x.dims)
        })?;
        let (xs, ys) = (x.shares.clone(), y.shares.clone());
        let nodes = gamma.copies.iter().zip(&beta.copies);
        let nodes = nodes.map(|(gamma, beta)| (gamma.node.clone(), beta.node.clone()));
        let nodes: Vec<(Node<f32>, Node<f32>)> = nodes.collect();
        tape.add_backward_op(move |gradients| {
            let (mut dys, mut sums) = (Vec::new(), Vec::new());
            for ((x, y), norm) in xs.iter().zip(&ys).zip(&norms) {
                let mut dy = take(gradients, &y.node)?;
                sums.push(batch.sums_of_gradients(&mut dy, y.data(), x.data(), act, norm));
                dys.push(dy);
            }
            let own = sums.iter().map(|sums| total(order, sums.clone()));
            let all = tree(&own.collect::<Vec<_>>());
            for (i, mut dy) in dys.into_iter().enumerate() {
                let [d_gamma, d_beta] = norms[i].gradients(&sums[i]);
                if wants.input {
                    batch.pass_back(&mut dy, xs[i].data(), &all, &norms[i]);
                    give(gradients, &xs[i].node, dy)?;
                }
                if wants.weights {
                    give(gradients, &nodes[i].0, Buffer::of(&d_gamma))?;
                    give(gradients, &nodes[i].1, Buffer::of(&d_beta))?;
                }
            }
            Ok(())
        });
        Ok((y, statistics))
    }

    fn instance_norm<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        gamma: &Spread,
        beta: &Spread,
        epsilon: f64,
        act: Activation,
        wants: Wants,
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| {
            let (gamma, beta) = (&gamma.copies[i], &beta.copies[i]);
            self.machines[i].instance_norm(tape, x, gamma, beta, epsilon, act, wants)
        })
    }

    fn scale_shift<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        scale: &[f32],
        shift: &[f32],
        act: Activation,
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| {
            self.machines[i].scale_shift(tape, x, scale, shift, act)
        })
    }

    fn upsample<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        factor: usize,
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| self.machines[i].upsample(tape, x, factor))
    }

    fn avg_pool2d<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        window: Window,
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| self.machines[i].avg_pool2d(tape, x, window))
    }

    fn avg_unpool2d<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        window: Window,
        output: (usize, usize),
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| {
            self.machines[i].avg_unpool2d(tape, x, window, output)
        })
    }

    fn max_pool2d<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        window: Window,
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| self.machines[i].max_pool2d(tape, x, window))
    }

    fn max_unpool2d<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        large: &Spread,
        window: Window,
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| {
            self.machines[i].max_unpool2d(tape, x, &large.shares[i], window)
        })
    }

    fn add<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        others: &[Spread],
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| {
            self.machines[i].add(tape, x, &Spread::on(others, i))
        })
    }

    fn concat<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        others: &[Spread],
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| {
            self.machines[i].concat(tape, x, &Spread::on(others, i))
        })
    }

    fn join_rows<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        table: &Spread,
        classes: &[u32],
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| {
            let n = x.dims[0];
            let classes = &classes[i * n..][..n];
            self.machines[i].join_rows(tape, x, &table.copies[i], classes)
        })
    }

    fn add_rows<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        table: &Spread,
        classes: &[u32],
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| {
            let n = x.dims[0];
            let classes = &classes[i * n..][..n];
            self.machines[i].add_rows(tape, x, &table.copies[i], classes)
        })
    }

    fn multiply_rows<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        table: &Spread,
        classes: &[u32],
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| {
            let n = x.dims[0];
            let classes = &classes[i * n..][..n];
            self.machines[i].multiply_rows(tape, x, &table.copies[i], classes)
        })
    }

    fn channels<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        channels: Range<usize>,
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| {
            self.machines[i].channels(tape, x, channels.clone())
        })
    }

    fn activation<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        act: Activation,
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| self.machines[i].activation(tape, x, act))
    }

    fn slope<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        x: &Spread,
        output: &Spread,
        act: Activation,
    ) -> Outcome<Spread> {
        self.each(x, |(i, x)| {
            self.machines[i].slope(tape, x, &output.shares[i], act)
        })
    }

    fn reparameterize<T: Tape<f32, Nodes>>(
        &self,
        tape: &mut T,
        moments: &Spread,
        noise: &Spread,
    ) -> Outcome<Spread> {
        self.each(moments, |(i, moments)| {
            self.machines[i].reparameterize(tape, moments, &noise.shares[i])
        })
    }

    /// Of weights.
    fn gradient(&self, gradients: &mut Gradients<f32, Nodes>, x: &Spread) -> Outcome<Vec<f32>> {
        if x.copies.is_empty() {
            // What a layer has made of a batch: each machine has its samples' gradient.
            let own = x.shares.iter().map(|share| self.own(gradients, share));
            return Ok(own.collect::<Outcome<Vec<_>>>()?.concat());
        }
        let own = x.copies.iter().map(|copy| self.own(gradients, copy));
        Ok(tree(&own.collect::<Outcome<Vec<_>>>()?))
    }

    fn update(
        &self,
        parameter: &mut Spread,
        gradients: &mut Gradients<f32, Nodes>,
        moments: &mut [Spread; 2],
        step: &Update,
    ) -> Outcome<()> {
        let gradient = self.gradient(gradients, parameter)?;
        for (i, copy) in parameter.copies.iter_mut().enumerate() {
            give(gradients, &copy.node, Buffer::of(&gradient))?;
            let mut own = [0, 1].map(|moment: usize| moments[moment].copies[i].clone());
            self.machines[i].update(copy, gradients, &mut own, step)?;
            for (moment, own) in moments.iter_mut().zip(own) {
                moment.copies[i] = own;
            }
        }
        Ok(())
    }

    fn clamp(&self, array: &mut Spread, limit: f64) -> Outcome<()> {
        let mut copies = array.copies.iter_mut().zip(&self.machines);
        copies.try_for_each(|(copy, machine)| machine.clamp(copy, limit))
    }

    fn lerp(&self, average: &mut Spread, value: &Spread, weight: f64) -> Outcome<()> {
        let copies = average.copies.iter_mut().zip(&value.copies);
        let mut copies = copies.zip(&self.machines);
        copies.try_for_each(|((average, value), machine)| machine.lerp(average, value, weight))
    }
}

mod tests {
    use super::*;
    use crate::gan::recipes::Parts;
    use crate::gan::{self, Conditioning, Game, Gan, Likelihood, Recipe, Size};
    use crate::nn::{Initialization, Mode, Model};
    use crate::rng::{Rng, Stream};
    use crate::spec::{Layer, Network, Shape};

    fn normals(seed: u64, len: usize) -> Vec<f32> {
        let mut rng = Rng::new(seed, Stream::Order(0));
        (0..len).map(|_| rng.normal() as f32).collect()
    }

    fn bits(numbers: &[f32]) -> Vec<u32> {
        numbers.iter().map(|v| v.to_bits()).collect()
    }

    fn on_threads<R: Send>(threads: usize, run: impl FnOnce() -> R + Send) -> R {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(run)
    }

    /// Every layer that there is.
    fn layers() -> Network {
        let conv = |channels| Layer::Conv2d {
            channels,
            kernel: 3,
            stride: 1,
            padding: 1,
            bias: true,
        };
        let (classes, channels) = (3, 2);
        let mut network = Network::chain(
            Shape::new(2, 6, 6),
            vec![
                Layer::ClassEmbedding { classes, channels },
                conv(5),
                Layer::batch_norm(),
                Layer::LeakyRelu { slope: 0.2 },
                Layer::ClassShift { classes },
            ],
        );
        let before = network.layers.len();
        let base = network.push(Layer::InstanceNorm { epsilon: 1e-5 }, &[before]);
        let branch = network.push(conv(5), &[base]);
        let sum = network.push(Layer::Add, &[branch, base]);
        let (kernel, stride) = (2, 2);
        let greatest = network.push(Layer::MaxPool2d { kernel, stride }, &[sum]);
        let mean = network.push(Layer::AvgPool2d { kernel, stride }, &[base]);
        let mut last = network.push(Layer::Concat, &[greatest, mean]);
        for layer in [
            Layer::Upsample { factor: 2 },
            Layer::ConvTranspose2d {
                channels: 3,
                kernel: 4,
                stride: 2,
                padding: 1,
                output_padding: 0,
                bias: true,
            },
            Layer::batch_norm(),
            Layer::Tanh,
            Layer::Flatten,
            Layer::Linear {
                features: 4,
                bias: true,
            },
            Layer::Sigmoid,
        ] {
            last = network.push(layer, &[last]);
        }
        let projection = network.push(Layer::ClassProjection { classes }, &[last]);
        network.push(Layer::Concat, &[last, projection]);
        network
    }

    /// What a batch gives, its statistics, and the gradients of all weights.
    fn run<D: Device<f32>>(device: &D, n: usize) -> Vec<Vec<u32>> {
        let network = layers();
        let mut rng = Rng::new(2, Stream::Initialization);
        let mut parameters = Initialization::Dcgan
            .parameters(&network, &mut rng)
            .unwrap();
        for (seed, tensor) in (10..).zip(parameters.tensors.values_mut()) {
            let drawn = normals(seed, tensor.data.len());
            tensor
                .data
                .iter_mut()
                .zip(drawn)
                .for_each(|(v, d)| *v += 0.3 * d);
        }
        let mut model = Model::new(device.clone(), &network, &parameters).unwrap();
        let x = model
            .input(n, &normals(1, n * network.input.len()))
            .unwrap();
        let classes: Vec<u32> = (0..n as u32).map(|i| (i * i + 1) % 3).collect();
        let mut tape = OwnedTape::default();
        let mode = Mode::Train(Wants {
            input: false,
            weights: true,
        });
        let (y, statistics) = model.forward(&mut tape, &x, &classes, mode).unwrap();
        let mut seen = vec![bits(&device.to_host(&y))];
        for (_, BatchStatistics { mean, variance }) in &statistics {
            seen.extend([bits(mean), bits(variance)]);
        }
        let len = device.to_host(&y).len();
        let mut gradients = device.backward(tape, vec![(y, normals(3, len))]).unwrap();
        for weight in model.trained_mut() {
            let gradient = device.gradient(&mut gradients, weight).unwrap();
            assert!(gradient.iter().any(|&g| g != 0.0));
            seen.push(bits(&gradient));
        }
        seen
    }

    #[test]
    fn every_layer_of_a_batch_in_parts_is_that_of_machines_which_share_it() {
        let cpu = Cpu::new(Sums::Tree(3));
        for n in [8, 24] {
            let whole = run(&cpu, n);
            for threads in [1, 2, 5] {
                assert_eq!(
                    whole,
                    on_threads(threads, || run(&cpu, n)),
                    "{threads} threads"
                );
            }
            for exponent in 0..=3 {
                let shared = run(&Cluster::new(exponent), n);
                assert_eq!(whole, shared, "2^{exponent} machines, batch {n}");
            }
        }
        // The order matters, or this says nothing.
        assert_ne!(run(&cpu, 24), run(&Cpu::default(), 24));
    }

    /// The gradients of a batch are the tree of those of its eighths, where no layer mixes them.
    #[test]
    fn a_weights_gradient_is_the_tree_of_the_eighths() {
        const N: usize = 32;
        let x = normals(1, N * 11);
        let dy = normals(2, N * 7);
        let gradients = |cpu: &Cpu, x: &[f32], dy: &[f32]| {
            let w = Weights {
                weight: cpu.array(&normals(3, 7 * 11), [7, 1, 1, 11]).unwrap(),
                bias: Some(cpu.array(&normals(4, 7), [1, 1, 1, 7]).unwrap()),
            };
            let x = cpu.array(x, [dy.len() / 7, 1, 1, 11]).unwrap();
            let wants = Wants {
                input: false,
                weights: true,
            };
            let mut tape = OwnedTape::default();
            let y = cpu.linear(&mut tape, &x, &w, Activation::Tanh, wants);
            let from = vec![(y.unwrap(), dy.to_vec())];
            let mut gradients = cpu.backward(tape, from).unwrap();
            [&w.weight, w.bias.as_ref().unwrap()].map(|w| cpu.gradient(&mut gradients, w).unwrap())
        };
        let whole = gradients(&Cpu::new(Sums::Tree(3)), &x, &dy);
        let eighths = x.chunks(N / 8 * 11).zip(dy.chunks(N / 8 * 7));
        // A machine's own sums in one go.
        let eighths = eighths.map(|(x, dy)| gradients(&Cpu::new(Sums::Tree(0)), x, dy));
        let eighths: Vec<[Vec<f32>; 2]> = eighths.collect();
        for (i, whole) in whole.iter().enumerate() {
            let own: Vec<Vec<f32>> = eighths.iter().map(|own| own[i].clone()).collect();
            assert_eq!(bits(whole), bits(&tree(&own)));
        }
    }

    /// A change of a recipe.
    type Change = fn(&mut Parts);

    fn as_it_is(_: &mut Parts) {}

    fn gaussian(parts: &mut Parts) {
        if let Game::Variational(rules) = &mut parts.game {
            rules.likelihood = Likelihood::Gaussian;
        }
    }

    fn by_instances(parts: &mut Parts) {
        for named in parts.networks.iter_mut() {
            for layer in &mut named.network.layers {
                if let Layer::BatchNorm { epsilon, .. } = *layer {
                    *layer = Layer::InstanceNorm { epsilon };
                }
            }
        }
    }

    fn told(parts: &mut Parts) {
        parts.tell(3, Conditioning::Concat).unwrap();
    }

    fn projected(parts: &mut Parts) {
        parts.tell(3, Conditioning::Projection).unwrap();
    }

    /// Every number of a run after two steps, and its losses.
    fn train<D: Device<f32>>(device: D, recipe: Recipe, change: Change) -> Vec<u32> {
        const N: usize = 16;
        let image = Shape::new(1, 8, 8);
        let mut parts = recipe.parts(Size::Nano, image);
        change(&mut parts);
        if let Game::Adversarial(rules) = &mut parts.game {
            rules.critic_steps = rules.critic_steps.min(2);
        }
        let settings = parts.settings(1);
        let count = N * settings.game.batches() as usize;
        let real: Vec<f32> = normals(3, count * image.len());
        let real: Vec<f32> = real.into_iter().map(f32::tanh).collect();
        let read = settings.networks.generator.network.reads_pictures();
        let inputs: Vec<f32> = normals(5, count * image.len());
        let inputs: Vec<f32> = inputs.into_iter().filter(|_| read).map(f32::tanh).collect();
        let told = settings.networks.generator.network.classes().is_some();
        let classes = (0..count as u32).map(|i| (i * i + 1) % 3);
        let classes: Vec<u32> = classes.filter(|_| told).collect();
        let mut gan = Gan::new(device, &settings).unwrap();
        let mut seen = Vec::new();
        for _ in 0..2 {
            let losses = gan
                .step(gan::Batch {
                    inputs: &inputs,
                    ..gan::Batch::new(N, &real, &classes)
                })
                .unwrap();
            assert!(losses.is_finite());
            seen.extend(losses.0.values().map(|loss| loss.to_bits()));
        }
        let state = gan.state().unwrap();
        let networks = state.networks.values();
        seen.extend(
            networks
                .flat_map(|network| network.numbers())
                .map(f32::to_bits),
        );
        seen
    }

    #[test]
    fn steps_on_a_batch_in_parts_are_those_of_machines_which_share_it() {
        let changes: [(Recipe, Change); 12] = [
            (Recipe::Dcgan, as_it_is),
            (Recipe::DenseBn, as_it_is),
            (Recipe::Cdcgan, told),
            (Recipe::Wgan, as_it_is),
            (Recipe::WganGp, as_it_is),
            (Recipe::Relativistic, as_it_is),
            (Recipe::Relativistic, projected),
            (Recipe::Vae, as_it_is),
            (Recipe::Vae, gaussian),
            (Recipe::Pix2pix, as_it_is),
            (Recipe::Cyclegan, as_it_is),
            (Recipe::Cyclegan, by_instances),
        ];
        for (recipe, change) in changes {
            let one = on_threads(1, || train(Cpu::new(Sums::Tree(3)), recipe, change));
            let two = on_threads(2, || train(Cpu::new(Sums::Tree(3)), recipe, change));
            assert!(one == two, "{recipe:?}: threads matter");
            let shared = train(Cluster::new(3), recipe, change);
            assert!(one == shared, "{recipe:?} on 8 machines");
        }
    }

    #[test]
    fn a_batch_that_cannot_be_cut_is_refused() {
        let parts = Recipe::Mlp.parts(Size::Nano, Shape::new(1, 8, 8));
        let mut gan = Gan::new(Cpu::new(Sums::Tree(3)), &parts.settings(1)).unwrap();
        let error = gan
            .step(gan::Batch::new(12, &[0.0; 12 * 64], &[]))
            .unwrap_err();
        assert!(error.to_string().contains("12 images"), "{error}");
    }
}
