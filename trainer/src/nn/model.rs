//! The builder: a specification's layers as modules on a device.

mod input_gradient;

use super::layout::{Order, layouts};
use crate::ops::{Activation, BatchStatistics, Device, Dims, Wants, Weights, Window};
use crate::parameters::{HostTensor, Parameters, ParametersError, Role, TensorSpec, tensors_of};
use crate::rng::Rng;
use crate::spec::{Layer, Network, Shape, SpecError, Step, masked_taps, readers};
use dfdx::prelude::{NoneTape, Tape};
use std::collections::BTreeMap;

/// A network on a device, in f32.
#[derive(Clone)]
pub struct Model<D: Device<f32>> {
    device: D,
    network: Network,
    output: Shape,
    modules: Vec<Module<D::Array>>,
}

/// What happens in one or two of the specification's layers: an activation is joined to the layer
/// before it.
#[derive(Clone)]
struct Module<A> {
    /// Index of the (first) layer in the specification.
    index: usize,
    /// What it reads: 0 is the network's input, `i + 1` what module `i` gives.
    reads: Vec<usize>,
    /// What no module reads after this one.
    done: Vec<usize>,
    kind: Kind<A>,
    activation: Activation,
}

#[derive(Clone)]
enum Kind<A> {
    Linear(Weights<A>),
    Conv2d(Weights<A>, Window),
    ConvTranspose2d(Weights<A>, Window, (usize, usize)),
    BatchNorm(Norm<A>),
    /// Gamma, beta and epsilon.
    InstanceNorm([A; 2], f64),
    /// The table, `(classes, H, W, channels)`.
    ClassEmbedding(A),
    /// The table, `(classes, H, W, C)`, or `(classes, 1, 1, C)` for all places.
    ClassShift(A),
    /// The table, `(classes, H, W, C)`, and ones, `(1, 1, 1, H * W * C)`, which add up the products.
    ClassProjection(A, Weights<A>),
    Upsample(usize),
    AvgPool2d(Window),
    MaxPool2d(Window),
    Add,
    /// The share of the second tensor.
    Blend(f64),
    Concat,
    Activation,
    View(Shape),
}

#[derive(Clone)]
struct Norm<A> {
    gamma: A,
    beta: A,
    mean: Vec<f32>,
    variance: Vec<f32>,
    /// Values that a sample gives each channel.
    places: usize,
    epsilon: f64,
    momentum: f64,
}

/// How a network is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Batch norm by the batch's statistics; the tape owes these gradients.
    Train(Wants),
    /// Batch norm by the running statistics.
    Evaluate,
    /// As [`Mode::Evaluate`]; the tape owes the gradient with respect to the input.
    Through,
}

/// Gradients through the ones that add up the products of a projection.
const ADD_UP: Wants = Wants {
    input: true,
    weights: false,
};

/// Batch statistics of a run, by module.
pub type Statistics = Vec<(usize, BatchStatistics<f32>)>;

/// What a module hands on, and its batch's statistics if it normalizes.
type Ran<D> =
    Result<(<D as Device<f32>>::Array, Option<BatchStatistics<f32>>), <D as Device<f32>>::Err>;

/// How weights begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initialization {
    /// Weights normal(0, 0.02), batch-norm gains normal(1, 0.02), biases 0 (Radford et al. 2016); class
    /// embeddings normal(0, 1), as PyTorch's, but those of a projection as weights.
    Dcgan,
    /// Weights and biases uniform within one over the root of the inputs of an output, as those of PyTorch's layers
    /// (LeCun et al. 1998, section 4.6, but for a factor); the rest as above.
    FanIn,
    /// The equalized learning rate (Karras et al. 2018, section 4.1): weights normal(0, c) with c the root of 2 over the
    /// inputs of an output, or of 1 where no rectifier follows, and learning rates of weights multiplied by c; biases
    /// 0. Weights of variance 1 that are multiplied by c in each pass would come to the same by Adam.
    Equalized,
}

/// Why a model cannot be built or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The specification is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The numbers are not the network's.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// An exact gradient penalty needs a network of straight pieces that leaves batches unmixed.
    #[error("the gradient penalty cannot pass through a layer of type {0}")]
    NoPenalty(&'static str),
    /// Classes where the network is told none, or not one of its own for each sample.
    #[error("{found} classes were given for {samples} images of a network that knows {known}")]
    Classes {
        /// How many classes were given.
        found: usize,
        /// How many samples there are.
        samples: usize,
        /// How many classes the network knows.
        known: usize,
    },
    /// The numbers in front of the tanh were asked for.
    #[error("a Bernoulli likelihood needs a decoder whose last layer is Tanh, not {0}")]
    NoTanh(&'static str),
    /// The features in front of the last layer were asked for.
    #[error("the network has no features: no Linear layer reads what the layer before it gives")]
    NoFeatures,
    /// The network does not draw pictures pixel by pixel.
    #[error("no pictures can be drawn: {0}")]
    Pixels(String),
    /// The network's weights cannot be rounded as those of an exported one.
    #[error("the weights cannot be rounded: {0}")]
    Rounding(String),
    /// A stream of random numbers has a state that no stream comes to.
    #[error("the saved state of the random numbers is none")]
    Latents,
    /// A kind of training has another number of networks.
    #[error("this kind of training has {expected} networks, and {found} were given")]
    Networks {
        /// How many it has.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// A saved state lacks a network, or the average of its weights.
    #[error("the saved state lacks the {0} or its average")]
    NoState(String),
    /// A batch that cannot be cut into the parts that sums are made by.
    #[error("a batch of {batch} images cannot be cut into {parts} equal parts")]
    Parts {
        /// How many images it has.
        batch: usize,
        /// How many parts there are.
        parts: usize,
    },
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
}

/// Turns a device's error, which dfdx leaves without bounds, into ours.
pub(crate) fn device_error(error: impl std::fmt::Debug) -> ModelError {
    ModelError::Device(format!("{error:?}"))
}

impl Initialization {
    /// Fresh numbers for a network, host order.
    ///
    /// # Errors
    /// The layer that does not fit.
    pub fn parameters(self, network: &Network, rng: &mut Rng) -> Result<Parameters, SpecError> {
        let mut parameters = Parameters::default();
        for step in network.walk()? {
            let tensors = tensors_of(&step);
            let weight = tensors.iter().find(|tensor| tensor.role == Role::Weight);
            let inputs = weight.map(|tensor| tensor.shape[1..].iter().product::<usize>());
            let bound = inputs.map(|inputs| 1.0 / (inputs as f64).sqrt());
            for TensorSpec { name, role, shape } in tensors {
                let len = shape.iter().product();
                let data = match role {
                    Role::Weight | Role::Bias if self == Self::FanIn && bound.is_some() => {
                        let bound = bound.unwrap_or_default();
                        let mut draw = || (bound * (2.0 * rng.uniform() - 1.0)) as f32;
                        (0..len).map(|_| draw()).collect()
                    }
                    Role::Weight | Role::Shift => {
                        let scale = match self {
                            Self::Equalized => equalized(network, &step).unwrap_or(0.02) as f32,
                            Self::Dcgan | Self::FanIn => 0.02,
                        };
                        (0..len).map(|_| scale * rng.normal() as f32).collect()
                    }
                    Role::Embedding => (0..len).map(|_| rng.normal() as f32).collect(),
                    Role::Gain => (0..len).map(|_| 1.0 + 0.02 * rng.normal() as f32).collect(),
                    Role::Variance => vec![1.0; len],
                    Role::Bias | Role::Mean => vec![0.0; len],
                };
                parameters.tensors.insert(name, HostTensor { shape, data });
            }
        }
        Ok(parameters)
    }
}

/// The constant of a layer's weight for the equalized learning rate; `None` of a layer without one.
fn equalized(network: &Network, step: &Step<'_>) -> Option<f64> {
    let inputs = match *step.layer {
        Layer::Linear { .. } => step.input.len(),
        Layer::Conv2d { kernel, .. } => step.input.channels * kernel * kernel,
        Layer::MaskedConv2d { kernel, center, .. } => {
            step.input.channels * masked_taps(kernel, center)
        }
        Layer::ConvTranspose2d { kernel, stride, .. } => {
            // Of the window's places, one in each stride reaches an output.
            (step.input.channels * kernel * kernel) / (stride * stride).max(1)
        }
        _ => return None,
    };
    let next = network.layers[step.index + 1..]
        .iter()
        .find(|layer| !matches!(layer, Layer::BatchNorm { .. } | Layer::Reshape(_)));
    let gain = match next {
        Some(Layer::Relu | Layer::LeakyRelu { .. }) => 2.0,
        _ => 1.0,
    };
    Some((gain / inputs.max(1) as f64).sqrt())
}

impl<D: Device<f32>> Model<D> {
    /// What the learning rates of the trained arrays are multiplied by, in the order of
    /// [`trained_mut`](Self::trained_mut).
    ///
    /// # Errors
    /// None for a model that was built; the walk's otherwise.
    pub fn rate_factors(&mut self, initialization: Initialization) -> Result<Vec<f64>, ModelError> {
        let network = self.network.clone();
        let steps = network.walk()?;
        let mut factors = Vec::new();
        for module in &mut self.modules {
            let constant = match initialization {
                Initialization::Equalized => equalized(&network, &steps[module.index]),
                Initialization::Dcgan | Initialization::FanIn => None,
            };
            let arrays = module.kind.trained_mut().len();
            let weight = constant.unwrap_or(1.0);
            factors.extend((0..arrays).map(|array| if array == 0 { weight } else { 1.0 }));
        }
        Ok(factors)
    }

    /// Builds `network` with the given numbers.
    ///
    /// # Errors
    /// A layer or a tensor that does not fit; the device's.
    pub fn new(device: D, network: &Network, parameters: &Parameters) -> Result<Self, ModelError> {
        parameters.check(network)?;
        let steps = network.walk()?;
        let orders = layouts(network.input, &steps)?;
        let readers = readers(&steps);
        let mut modules: Vec<Module<D::Array>> = Vec::new();
        // The module that gives each tensor, numbered as what modules read.
        let mut made_by = vec![0];
        for step in &steps {
            let activation = activation(step.layer);
            let reads: Vec<usize> = step.reads.iter().map(|&tensor| made_by[tensor]).collect();
            let before = reads[0].checked_sub(1).and_then(|at| modules.get_mut(at));
            match (activation, before) {
                (Some(activation), Some(before))
                    if before.takes_activation() && readers[step.reads[0]] == 1 =>
                {
                    before.activation = activation;
                    made_by.push(reads[0]);
                }
                _ => {
                    let kind = match activation {
                        Some(_) => Kind::Activation,
                        None => build(&device, step, &orders, parameters)?,
                    };
                    modules.push(Module {
                        index: step.index,
                        reads,
                        done: Vec::new(),
                        kind,
                        activation: activation.unwrap_or(Activation::Identity),
                    });
                    made_by.push(modules.len());
                }
            }
        }
        let mut last_readers = BTreeMap::new();
        for (at, module) in modules.iter().enumerate() {
            last_readers.extend(module.reads.iter().map(|&read| (read, at)));
        }
        for (read, at) in last_readers {
            modules[at].done.push(read);
        }
        Ok(Self {
            device,
            output: network.output()?,
            network: network.clone(),
            modules,
        })
    }

    /// The specification that the model was built from.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The device that the model lives on.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// The same network, with the same arrays, without the tanh that it ends with.
    ///
    /// # Errors
    /// Another layer at its end.
    pub fn without_tanh(&self) -> Result<Self, ModelError> {
        let mut bare = self.clone();
        match (bare.network.layers.pop(), bare.modules.last_mut()) {
            (Some(Layer::Tanh), Some(last)) => {
                last.activation = Activation::Identity;
                bare.network.inputs.remove(&bare.network.layers.len());
                Ok(bare)
            }
            (last, _) => Err(ModelError::NoTanh(last.map_or("none", |last| last.name()))),
        }
    }

    /// The same network, with the same arrays, up to what its last Linear layer reads.
    ///
    /// # Errors
    /// A network without one, or whose last Linear layer does not read what the layer before gives.
    pub fn features(&self) -> Result<Self, ModelError> {
        let is_linear = |module: &Module<D::Array>| matches!(module.kind, Kind::Linear(_));
        let last = self.modules.iter().rposition(is_linear);
        let last = last.filter(|&at| at > 0 && self.modules[at].reads == [at]);
        let at = last.ok_or(ModelError::NoFeatures)?;
        let mut body = self.clone();
        let index = body.modules[at].index;
        body.modules.truncate(at);
        body.network.layers.truncate(index);
        body.network.inputs.retain(|&layer, _| layer < index);
        body.output = body.network.output()?;
        Ok(body)
    }

    /// Numbers of a sample of the output.
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Puts a batch of `n` samples, each in C, H, W order, on the device.
    ///
    /// # Errors
    /// The device's.
    pub fn input(&self, n: usize, samples: &[f32]) -> Result<D::Array, ModelError> {
        self.batch(self.network.input, n, samples)
    }

    /// As [`Model::input`], of samples that have the shape of the network's output.
    ///
    /// # Errors
    /// The device's.
    pub fn target(&self, n: usize, samples: &[f32]) -> Result<D::Array, ModelError> {
        self.batch(self.output, n, samples)
    }

    fn batch(&self, shape: Shape, n: usize, samples: &[f32]) -> Result<D::Array, ModelError> {
        let len = shape.len();
        let order = Order::features(shape);
        let dims = [n, shape.height, shape.width, shape.channels];
        if shape.is_flat() || shape.channels == 1 {
            return self.device.array(samples, dims).map_err(device_error);
        }
        let data: Vec<f32> = samples
            .chunks_exact(len)
            .flat_map(|s| order.to_device(s))
            .collect();
        self.device.array(&data, dims).map_err(device_error)
    }

    /// Runs a batch `(N, H, W, C)`; `classes` has the class of each sample if the network is told them, and none
    /// otherwise. In [`Mode::Train`] the batch statistics come back for
    /// [`Model::update_statistics`].
    ///
    /// # Errors
    /// The device's.
    pub fn forward<T: Tape<f32, D::Nodes>>(
        &self,
        tape: &mut T,
        x: &D::Array,
        classes: &[u32],
        mode: Mode,
    ) -> Result<(D::Array, Statistics), ModelError> {
        self.check_classes(x, classes)?;
        let mut wants = match mode {
            Mode::Train(wants) => wants,
            Mode::Evaluate | Mode::Through => Wants {
                input: mode == Mode::Through,
                weights: false,
            },
        };
        let mut statistics = Vec::new();
        let mut made = vec![Some(x.clone())];
        // Whatever has been computed with weights that learn must pass its gradient on.
        let mut passes = vec![wants.input];
        let mut last = x.clone();
        for (at, module) in self.modules.iter().enumerate() {
            let inputs = module.reads.iter().filter_map(|&read| made[read].clone());
            let inputs: Vec<D::Array> = inputs.collect();
            module.done.iter().for_each(|&read| made[read] = None);
            wants.input = module.reads.iter().any(|&read| passes[read]);
            let (y, batch) = self
                .run(
                    tape,
                    module,
                    &inputs,
                    classes,
                    wants,
                    matches!(mode, Mode::Evaluate | Mode::Through),
                )
                .map_err(device_error)?;
            statistics.extend(batch.map(|batch| (at, batch)));
            passes.push(wants.input || wants.weights && module.kind.learns());
            last = y.clone();
            made.push(Some(y));
        }
        Ok((last, statistics))
    }

    /// A class of the network's for each sample, or none where it is told none.
    fn check_classes(&self, x: &D::Array, classes: &[u32]) -> Result<(), ModelError> {
        let known = self.network.classes();
        let samples = self.device.dims(x)[0];
        let needed = known.map_or(0, |_| samples);
        let known = known.unwrap_or(0);
        if classes.len() == needed && classes.iter().all(|&class| (class as usize) < known) {
            Ok(())
        } else {
            Err(ModelError::Classes {
                found: classes.len(),
                samples,
                known,
            })
        }
    }

    fn run<T: Tape<f32, D::Nodes>>(
        &self,
        tape: &mut T,
        module: &Module<D::Array>,
        inputs: &[D::Array],
        classes: &[u32],
        wants: Wants,
        evaluate: bool,
    ) -> Ran<D> {
        let act = module.activation;
        let x = &inputs[0];
        let n = self.device.dims(x)[0];
        let y = match &module.kind {
            Kind::Linear(w) => self.device.linear(tape, x, w, act, wants)?,
            Kind::Conv2d(w, window) => self.device.conv2d(tape, x, w, *window, act, wants)?,
            Kind::ConvTranspose2d(w, window, output) => self
                .device
                .conv_transpose2d(tape, x, w, *window, *output, act, wants)?,
            Kind::BatchNorm(norm) if evaluate => {
                let (scale, shift) = norm.affine(&self.device);
                self.device.scale_shift(tape, x, &scale, &shift, act)?
            }
            Kind::BatchNorm(norm) => {
                let (y, batch) = self.device.batch_norm(
                    tape,
                    x,
                    &norm.gamma,
                    &norm.beta,
                    norm.epsilon,
                    act,
                    wants,
                )?;
                return Ok((y, Some(batch)));
            }
            Kind::InstanceNorm([gamma, beta], epsilon) => self
                .device
                .instance_norm(tape, x, gamma, beta, *epsilon, act, wants)?,
            Kind::ClassEmbedding(table) => self.device.join_rows(tape, x, table, classes)?,
            Kind::ClassShift(table) => self.device.add_rows(tape, x, table, classes)?,
            Kind::ClassProjection(table, ones) => {
                let products = self.device.multiply_rows(tape, x, table, classes)?;
                self.device.linear(tape, &products, ones, act, ADD_UP)?
            }
            Kind::Upsample(factor) => self.device.upsample(tape, x, *factor)?,
            Kind::AvgPool2d(window) => self.device.avg_pool2d(tape, x, *window)?,
            Kind::MaxPool2d(window) => self.device.max_pool2d(tape, x, *window)?,
            Kind::Add => self.device.add(tape, x, &inputs[1..])?,
            Kind::Blend(share) => {
                let first = self.scaled(tape, x, 1.0 - share)?;
                let second = self.scaled(tape, &inputs[1], *share)?;
                self.device.add(tape, &first, &[second])?
            }
            Kind::Concat => self.device.concat(tape, x, &inputs[1..])?,
            Kind::Activation => self.device.activation(tape, x, act)?,
            Kind::View(shape) => {
                let dims = [n, shape.height, shape.width, shape.channels];
                self.device.reshape(tape, x, dims)?
            }
        };
        Ok((y, None))
    }

    /// An array times a constant.
    fn scaled<T: Tape<f32, D::Nodes>>(
        &self,
        tape: &mut T,
        x: &D::Array,
        factor: f64,
    ) -> Result<D::Array, D::Err> {
        let [.., channels] = self.device.dims(x);
        let (scale, shift) = (vec![factor as f32; channels], vec![0.0; channels]);
        self.device
            .scale_shift(tape, x, &scale, &shift, Activation::Identity)
    }

    /// Sets the share of the second tensor in all blends.
    pub fn set_share(&mut self, share: f64) {
        self.network.set_share(share);
        for module in &mut self.modules {
            if let Kind::Blend(own) = &mut module.kind {
                *own = share;
            }
        }
    }

    /// Moves the running statistics towards a batch's by the layers' momentum; the variance is the
    /// unbiased one, as PyTorch's.
    pub fn update_statistics(&mut self, n: usize, statistics: &Statistics) {
        for (at, batch) in statistics {
            if let Kind::BatchNorm(norm) = &mut self.modules[*at].kind {
                norm.move_to(batch, n, norm.momentum as f32);
            }
        }
    }

    /// Whether a layer normalizes by running statistics.
    pub fn has_statistics(&self) -> bool {
        let is_norm = |module: &Module<D::Array>| matches!(module.kind, Kind::BatchNorm(_));
        self.modules.iter().any(is_norm)
    }

    /// Sets the running statistics to the mean over batches of `n` inputs that `batch` hands out, with the class
    /// of each as [`Model::forward`] takes them.
    ///
    /// # Errors
    /// The device's.
    pub fn estimate_statistics(
        &mut self,
        n: usize,
        batches: impl IntoIterator<Item = (Vec<f32>, Vec<u32>)>,
    ) -> Result<(), ModelError> {
        let mode = Mode::Train(Wants {
            input: false,
            weights: false,
        });
        // So that the outcome does not depend, in its last bit, on what was there.
        self.forget_statistics();
        for (seen, (samples, classes)) in batches.into_iter().enumerate() {
            let x = self.input(n, &samples)?;
            let (_, statistics) = self.forward(&mut NoneTape, &x, &classes, mode)?;
            for (at, batch) in &statistics {
                if let Kind::BatchNorm(norm) = &mut self.modules[*at].kind {
                    norm.move_to(batch, n, 1.0 / (seen + 1) as f32);
                }
            }
        }
        Ok(())
    }

    /// Running statistics from which a step by the rate 1 arrives exactly.
    fn forget_statistics(&mut self) {
        for module in &mut self.modules {
            if let Kind::BatchNorm(norm) = &mut module.kind {
                norm.mean.fill(0.0);
                norm.variance.fill(0.0);
            }
        }
    }

    /// Moves the trained arrays towards `model`'s, the model after `steps` steps: an exponential average of its
    /// weights with the given decay, and of the first steps over as many as there were.
    ///
    /// # Errors
    /// The device's.
    pub fn follow(&mut self, model: &mut Self, decay: f64, steps: u32) -> Result<(), ModelError> {
        let steps = f64::from(steps);
        let decay = decay.min(steps / (steps + 9.0));
        let device = self.device.clone();
        for (average, now) in self.trained_mut().into_iter().zip(model.trained_mut()) {
            device
                .lerp(average, now, 1.0 - decay)
                .map_err(device_error)?;
        }
        Ok(())
    }

    /// The trained arrays, in a fixed order.
    pub fn trained_mut(&mut self) -> Vec<&mut D::Array> {
        let modules = self.modules.iter_mut();
        modules
            .flat_map(|module| module.kind.trained_mut())
            .collect()
    }

    /// Every number of the network, host order.
    ///
    /// # Errors
    /// None for a model that was built; the walk's otherwise.
    pub fn parameters(&self) -> Result<Parameters, ModelError> {
        let steps = self.network.walk()?;
        let orders = layouts(self.network.input, &steps)?;
        let mut parameters = Parameters::default();
        for module in &self.modules {
            let step = &steps[module.index];
            let named = tensors_of(step).into_iter();
            let numbers = self.numbers(&module.kind, step, &orders);
            for (TensorSpec { name, shape, .. }, data) in named.zip(numbers) {
                parameters.tensors.insert(name, HostTensor { shape, data });
            }
        }
        Ok(parameters)
    }

    /// A module's tensors in the order of [`tensors_of`].
    fn numbers(&self, kind: &Kind<D::Array>, step: &Step<'_>, layouts: &[Shape]) -> Vec<Vec<f32>> {
        let (weight, rest) = orders(step, layouts);
        let host = |array: &D::Array| self.device.to_host(array);
        match kind {
            Kind::Linear(w) | Kind::Conv2d(w, _) | Kind::ConvTranspose2d(w, ..) => {
                let bias = w.bias.as_ref().map(|bias| rest.to_host(&host(bias)));
                let weight = weight.map(|order| order.to_host(&host(&w.weight)));
                weight.into_iter().chain(bias).collect()
            }
            Kind::BatchNorm(norm) => [
                &host(&norm.gamma),
                &host(&norm.beta),
                &norm.mean,
                &norm.variance,
            ]
            .map(|numbers| rest.to_host(numbers))
            .to_vec(),
            Kind::InstanceNorm(numbers, _) => {
                numbers.iter().map(|n| rest.to_host(&host(n))).collect()
            }
            Kind::ClassEmbedding(table)
            | Kind::ClassShift(table)
            | Kind::ClassProjection(table, _) => weight
                .map(|order| order.to_host(&host(table)))
                .into_iter()
                .collect(),
            Kind::Upsample(_)
            | Kind::AvgPool2d(_)
            | Kind::MaxPool2d(_)
            | Kind::Add
            | Kind::Blend(_)
            | Kind::Concat
            | Kind::Activation
            | Kind::View(_) => Vec::new(),
        }
    }

    /// Runs samples through the network, a batch at a time, by the running statistics. Samples are
    /// in C, H, W order, going in and coming out; `classes` are as [`Model::forward`] takes them.
    ///
    /// # Errors
    /// The device's.
    pub fn evaluate(&self, samples: &[f32], classes: &[u32]) -> Result<Vec<f32>, ModelError> {
        const BATCH: usize = 64;
        let len = self.network.input.len();
        let order = Order::features(self.output);
        let mut outputs = Vec::with_capacity(samples.len() / len * self.output.len());
        let mut rest = classes;
        for batch in samples.chunks(BATCH * len) {
            let n = batch.len() / len;
            let x = self.input(n, batch)?;
            let (classes, after) = rest.split_at(n.min(rest.len()));
            let (y, _) = self.forward(&mut NoneTape, &x, classes, Mode::Evaluate)?;
            rest = after;
            for sample in self.device.to_host(&y).chunks_exact(self.output.len()) {
                outputs.extend(order.to_host(sample));
            }
        }
        Ok(outputs)
    }
}

impl<A> Module<A> {
    fn takes_activation(&self) -> bool {
        self.activation == Activation::Identity
            && matches!(
                self.kind,
                Kind::Linear(_)
                    | Kind::Conv2d(..)
                    | Kind::ConvTranspose2d(..)
                    | Kind::BatchNorm(_)
                    | Kind::InstanceNorm(..)
            )
    }
}

impl<A> Kind<A> {
    /// The trained arrays, weights first.
    fn trained_mut(&mut self) -> Vec<&mut A> {
        match self {
            Self::Linear(w) | Self::Conv2d(w, _) | Self::ConvTranspose2d(w, ..) => {
                let mut arrays = vec![&mut w.weight];
                arrays.extend(w.bias.as_mut());
                arrays
            }
            Self::BatchNorm(norm) => vec![&mut norm.gamma, &mut norm.beta],
            Self::InstanceNorm(numbers, _) => numbers.iter_mut().collect(),
            Self::ClassEmbedding(table)
            | Self::ClassShift(table)
            | Self::ClassProjection(table, _) => vec![table],
            Self::Upsample(_)
            | Self::AvgPool2d(_)
            | Self::MaxPool2d(_)
            | Self::Add
            | Self::Blend(_)
            | Self::Concat
            | Self::Activation
            | Self::View(_) => Vec::new(),
        }
    }

    fn learns(&self) -> bool {
        !matches!(
            self,
            Self::Upsample(_)
                | Self::AvgPool2d(_)
                | Self::MaxPool2d(_)
                | Self::Add
                | Self::Blend(_)
                | Self::Concat
                | Self::Activation
                | Self::View(_)
        )
    }
}

impl<A> Norm<A> {
    /// Batch normalization by the running statistics, as a scale and a shift.
    fn affine<D: Device<f32, Array = A>>(&self, device: &D) -> (Vec<f32>, Vec<f32>) {
        let (gamma, beta) = (device.to_host(&self.gamma), device.to_host(&self.beta));
        let scale: Vec<f32> = gamma
            .iter()
            .zip(&self.variance)
            .map(|(g, v)| g / (v + self.epsilon as f32).sqrt())
            .collect();
        let shift = (0..scale.len())
            .map(|i| beta[i] - self.mean[i] * scale[i])
            .collect();
        (scale, shift)
    }

    /// Moves the running statistics towards those of a batch of `n` by a part of their distance.
    fn move_to(&mut self, batch: &BatchStatistics<f32>, n: usize, rate: f32) {
        let count = n * self.places;
        let unbiased = count as f32 / count.saturating_sub(1).max(1) as f32;
        for (running, &now) in self.mean.iter_mut().zip(&batch.mean) {
            *running += (now - *running) * rate;
        }
        for (running, &now) in self.variance.iter_mut().zip(&batch.variance) {
            *running += (now * unbiased - *running) * rate;
        }
    }
}

fn activation(layer: &Layer) -> Option<Activation> {
    match *layer {
        Layer::Relu => Some(Activation::Relu),
        Layer::LeakyRelu { slope } => Some(Activation::LeakyRelu(slope)),
        Layer::Tanh => Some(Activation::Tanh),
        Layer::Sigmoid => Some(Activation::Sigmoid),
        _ => None,
    }
}

/// The orders of a layer's weight, if it has one, and of its other tensors.
fn orders(step: &Step<'_>, layouts: &[Shape]) -> (Option<Order>, Order) {
    let (before, after) = (layouts[step.reads[0]], layouts[step.index + 1]);
    match step.layer {
        Layer::Linear { .. } => (Some(Order::linear(after, before)), Order::features(after)),
        Layer::ClassProjection { classes } => {
            let rows = Order::linear(Shape::features(*classes), before);
            (Some(rows), Order::features(after))
        }
        Layer::ClassEmbedding { .. }
        | Layer::ClassShift { .. }
        | Layer::ClassBias { .. }
        | Layer::Conv2d { .. }
        | Layer::MaskedConv2d { .. }
        | Layer::ConvTranspose2d { .. } => {
            let extents = &tensors_of(step)[0].shape;
            let channels = Shape::features(step.output.channels);
            (Some(Order::convolution(extents)), Order::features(channels))
        }
        _ if step.input.is_flat() => (None, Order::features(before)),
        _ => (None, Order::features(Shape::features(step.input.channels))),
    }
}

fn unpadded(kernel: usize, stride: usize) -> Window {
    Window {
        kernel,
        stride,
        padding: 0,
    }
}

/// The module of a layer that is no activation.
fn build<D: Device<f32>>(
    device: &D,
    step: &Step<'_>,
    layouts: &[Shape],
    parameters: &Parameters,
) -> Result<Kind<D::Array>, ModelError> {
    let (weight_order, order) = orders(step, layouts);
    let host = |name: &str| -> Option<&[f32]> {
        let tensor = parameters.tensors.get(&format!("{}.{name}", step.index))?;
        Some(&tensor.data)
    };
    let row = |name: &str| host(name).map(|data| order.to_device(data));
    let array = |data: Vec<f32>, dims: Dims| device.array(&data, dims).map_err(device_error);
    let row_array = |name: &str| -> Result<Option<D::Array>, ModelError> {
        row(name)
            .map(|data| {
                let len = data.len();
                array(data, [1, 1, 1, len])
            })
            .transpose()
    };
    let missing = |name: &str| ParametersError::Missing {
        name: format!("{}.{name}", step.index),
    };
    let weights = |dims: Dims| -> Result<Weights<D::Array>, ModelError> {
        let data = host("weight").zip(weight_order.as_ref());
        let data = data.map(|(data, order)| order.to_device(data));
        Ok(Weights {
            weight: array(data.ok_or_else(|| missing("weight"))?, dims)?,
            bias: row_array("bias")?,
        })
    };
    let table = |name: &str, dims: Dims| -> Result<D::Array, ModelError> {
        let data = host(name).zip(weight_order.as_ref());
        let data = data.map(|(data, order)| order.to_device(data));
        array(data.ok_or_else(|| missing(name))?, dims)
    };
    let Shape { height, width, .. } = step.input;
    let inputs = step.input.channels;
    Ok(match *step.layer {
        Layer::Linear { features, .. } => {
            Kind::Linear(weights([features, 1, 1, step.input.len()])?)
        }
        Layer::Conv2d {
            channels,
            kernel,
            stride,
            padding,
            ..
        } => Kind::Conv2d(
            weights([channels, kernel, kernel, inputs])?,
            Window {
                kernel,
                stride,
                padding,
            },
        ),
        Layer::MaskedConv2d {
            channels,
            kernel,
            center,
            ..
        } => Kind::Conv2d(
            weights([channels, 1, masked_taps(kernel, center), inputs])?,
            Window {
                kernel,
                stride: 1,
                padding: kernel / 2,
            },
        ),
        Layer::ConvTranspose2d {
            channels,
            kernel,
            stride,
            padding,
            ..
        } => Kind::ConvTranspose2d(
            weights([inputs, kernel, kernel, channels])?,
            Window {
                kernel,
                stride,
                padding,
            },
            (step.output.height, step.output.width),
        ),
        Layer::BatchNorm { epsilon, momentum } => Kind::BatchNorm(Norm {
            gamma: row_array("gamma")?.ok_or_else(|| missing("gamma"))?,
            beta: row_array("beta")?.ok_or_else(|| missing("beta"))?,
            mean: row("mean").ok_or_else(|| missing("mean"))?,
            variance: row("variance").ok_or_else(|| missing("variance"))?,
            places: step.input.height * step.input.width,
            epsilon,
            momentum,
        }),
        Layer::InstanceNorm { epsilon } => {
            let gamma = row_array("gamma")?.ok_or_else(|| missing("gamma"))?;
            let beta = row_array("beta")?.ok_or_else(|| missing("beta"))?;
            Kind::InstanceNorm([gamma, beta], epsilon)
        }
        Layer::ClassEmbedding { classes, channels } => {
            Kind::ClassEmbedding(table("embedding", [classes, height, width, channels])?)
        }
        Layer::ClassShift { classes } => {
            Kind::ClassShift(table("shift", [classes, height, width, inputs])?)
        }
        Layer::ClassBias { classes } => Kind::ClassShift(table("shift", [classes, 1, 1, inputs])?),
        Layer::ClassProjection { classes } => {
            let len = step.input.len();
            let ones = Weights {
                weight: array(vec![1.0; len], [1, 1, 1, len])?,
                bias: None,
            };
            Kind::ClassProjection(table("embedding", [classes, height, width, inputs])?, ones)
        }
        Layer::Upsample { factor } => Kind::Upsample(factor),
        Layer::AvgPool2d { kernel, stride } => Kind::AvgPool2d(unpadded(kernel, stride)),
        Layer::MaxPool2d { kernel, stride } => Kind::MaxPool2d(unpadded(kernel, stride)),
        Layer::Add => Kind::Add,
        Layer::Blend { share } => Kind::Blend(share),
        Layer::Concat => Kind::Concat,
        _ => Kind::View(step.output),
    })
}
