//! The order of numbers: PyTorch's (channels first) on the host, channels last on the device.

use crate::spec::{Layer, Shape, SpecError, Step};

/// For every tensor, by its number, the picture in whose channels-last order it lies on the device. A feature vector
/// that was a picture, or is about to become one, lies in that picture's order; so do all vectors that are added to it.
pub(super) fn layouts(input: Shape, steps: &[Step<'_>]) -> Result<Vec<Shape>, SpecError> {
    let mut orders = Orders::new(steps.len() + 1);
    orders.fixed[0] = Some(input);
    for step in steps {
        let output = step.index + 1;
        match step.layer {
            // Its weights are stored in whatever orders there are.
            Layer::Linear { .. } | Layer::ClassProjection { .. } => {}
            Layer::BatchNorm { .. }
            | Layer::Relu
            | Layer::LeakyRelu { .. }
            | Layer::Tanh
            | Layer::Sigmoid
            | Layer::Flatten
            | Layer::Reshape(_)
            | Layer::Add
            | Layer::Blend { .. } => {
                for &tensor in &step.reads {
                    orders.join(tensor, output).map_err(|[a, b]| {
                        refuse(
                            step,
                            format!("joins vectors in the orders of {a} and {b} pictures"),
                        )
                    })?;
                }
                if !step.output.is_flat() {
                    orders.fix(output, step.output).map_err(|current| {
                        refuse(
                            step,
                            format!(
                                "reads a {current} picture as {}, which would reorder its numbers; only a Linear layer's output can be shaped so",
                                step.output
                            ),
                        )
                    })?;
                }
            }
            Layer::Conv2d { .. }
            | Layer::MaskedConv2d { .. }
            | Layer::ConvTranspose2d { .. }
            | Layer::Upsample { .. }
            | Layer::AvgPool2d { .. }
            | Layer::MaxPool2d { .. }
            | Layer::InstanceNorm { .. }
            | Layer::Concat
            | Layer::ClassEmbedding { .. }
            | Layer::ClassShift { .. }
            | Layer::ClassBias { .. } => {
                for (&tensor, &shape) in step.reads.iter().zip(&step.inputs) {
                    orders.fix(tensor, shape).map_err(|current| {
                        refuse(
                            step,
                            format!("follows a {current} picture that is read as {shape}"),
                        )
                    })?;
                }
                orders.fixed[output] = Some(step.output);
            }
        }
    }
    let shapes = std::iter::once(input).chain(steps.iter().map(|step| step.output));
    let layouts = shapes.enumerate().map(|(tensor, shape)| {
        let root = orders.root(tensor);
        orders.fixed[root].unwrap_or(shape)
    });
    Ok(layouts.collect())
}

fn refuse(step: &Step<'_>, reason: String) -> SpecError {
    SpecError {
        index: step.index,
        name: step.layer.name(),
        reason,
    }
}

/// Sets of tensors that lie in one order, each with the first tensor of its set, and that one's order once it is known.
struct Orders {
    first: Vec<usize>,
    fixed: Vec<Option<Shape>>,
}

impl Orders {
    fn new(tensors: usize) -> Self {
        Self {
            first: (0..tensors).collect(),
            fixed: vec![None; tensors],
        }
    }

    /// The first tensor of a tensor's set.
    fn root(&mut self, mut tensor: usize) -> usize {
        while self.first[tensor] != tensor {
            self.first[tensor] = self.first[self.first[tensor]];
            tensor = self.first[tensor];
        }
        tensor
    }

    /// Makes one set of two; gives their orders back if they differ.
    fn join(&mut self, a: usize, b: usize) -> Result<(), [Shape; 2]> {
        let [a, b] = [self.root(a), self.root(b)];
        let known = match [self.fixed[a], self.fixed[b]] {
            [Some(a), Some(b)] if !same_order(a, b) => return Err([a, b]),
            // Of two that are the same, the one that may be a picture.
            [a, b] => b.filter(|shape| !shape.is_flat()).or(a).or(b),
        };
        self.first[a.max(b)] = a.min(b);
        self.fixed[a.min(b)] = known;
        Ok(())
    }

    /// Gives a tensor's set an order; gives the order back that it has if it is another.
    fn fix(&mut self, tensor: usize, order: Shape) -> Result<(), Shape> {
        let root = self.root(tensor);
        match self.fixed[root] {
            Some(known) if !same_order(known, order) => Err(known),
            _ => {
                self.fixed[root] = Some(order);
                Ok(())
            }
        }
    }
}

/// Whether two pictures of as many numbers have the same channels-last order when they have the same
/// channels-first order.
fn same_order(a: Shape, b: Shape) -> bool {
    let trivial = |s: Shape| s.channels == 1 || s.is_flat();
    a == b || trivial(a) && trivial(b)
}

/// Axes of a host tensor in the device's order, and the host extents they are taken from.
pub(super) struct Order {
    pub extents: Vec<usize>,
    pub axes: Vec<usize>,
}

impl Order {
    /// PyTorch's `(A, B, k, k)` to `(A, k, k, B)`.
    pub fn convolution(extents: &[usize]) -> Self {
        Self {
            extents: extents.to_vec(),
            axes: vec![0, 2, 3, 1],
        }
    }

    /// `(out, in)` with the features of both sides in their pictures' orders.
    pub fn linear(output: Shape, input: Shape) -> Self {
        let [o, i] = [output, input].map(|s| [s.channels, s.height, s.width]);
        Self {
            extents: [o, i].concat(),
            axes: vec![1, 2, 0, 4, 5, 3],
        }
    }

    /// A number for each feature, in their picture's order.
    pub fn features(shape: Shape) -> Self {
        Self {
            extents: vec![shape.channels, shape.height, shape.width],
            axes: vec![1, 2, 0],
        }
    }

    /// Host to device.
    pub fn to_device(&self, host: &[f32]) -> Vec<f32> {
        let mut device = Vec::with_capacity(host.len());
        self.visit(|at| device.push(host[at]));
        device
    }

    /// Device to host.
    pub fn to_host(&self, device: &[f32]) -> Vec<f32> {
        let mut host = vec![0.0; device.len()];
        let mut numbers = device.iter();
        self.visit(|at| host[at] = numbers.next().copied().unwrap_or_default());
        host
    }

    /// Calls `visit` with the host index of each number in the device's order.
    fn visit(&self, mut visit: impl FnMut(usize)) {
        let strides: Vec<usize> = (0..self.extents.len())
            .map(|axis| self.extents[axis + 1..].iter().product())
            .collect();
        let extents: Vec<usize> = self.axes.iter().map(|&axis| self.extents[axis]).collect();
        for count in 0..extents.iter().product() {
            let (mut rest, mut at) = (count, 0);
            for (axis, extent) in self.axes.iter().zip(&extents).rev() {
                at += rest % extent * strides[*axis];
                rest /= extent;
            }
            visit(at);
        }
    }
}
