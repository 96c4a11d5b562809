//! The order of numbers: PyTorch's (channels first) on the host, channels last on the device.

use crate::spec::{Layer, Shape, SpecError, Step};

/// For every step, the picture in whose channels-last order its output lies on the device. A feature
/// vector that was a picture, or is about to become one, lies in that picture's order.
pub(super) fn layouts(input: Shape, steps: &[Step<'_>]) -> Result<Vec<Shape>, SpecError> {
    let mut current = input;
    steps
        .iter()
        .enumerate()
        .map(|(at, step)| {
            current = match step.layer {
                Layer::Linear { .. } => becomes(&steps[at + 1..]).unwrap_or(step.output),
                Layer::Conv2d { .. }
                | Layer::ConvTranspose2d { .. }
                | Layer::Upsample { .. } => step.output,
                Layer::ClassEmbedding { .. } | Layer::ClassShift { .. }
                    if same_order(current, step.input) =>
                {
                    step.output
                }
                Layer::ClassEmbedding { .. } | Layer::ClassShift { .. } => {
                    return Err(SpecError {
                        index: step.index,
                        name: step.layer.name(),
                        reason: format!("follows a {current} picture that is read as {}", step.input),
                    });
                }
                Layer::Reshape(shape) if !shape.is_flat() && !same_order(current, *shape) => {
                    return Err(SpecError {
                        index: step.index,
                        name: step.layer.name(),
                        reason: format!(
                            "reads a {current} picture as {shape}, which would reorder its numbers; only a Linear layer's output can be shaped so"
                        ),
                    });
                }
                Layer::Reshape(shape) if !shape.is_flat() => *shape,
                _ => current,
            };
            Ok(current)
        })
        .collect()
}

/// The picture that a Linear layer's output is reshaped to, if it is.
fn becomes(after: &[Step<'_>]) -> Option<Shape> {
    for step in after {
        match step.layer {
            Layer::Reshape(shape) if !shape.is_flat() => return Some(*shape),
            Layer::Linear { .. }
            | Layer::Conv2d { .. }
            | Layer::ConvTranspose2d { .. }
            | Layer::ClassEmbedding { .. }
            | Layer::ClassShift { .. } => break,
            _ => {}
        }
    }
    None
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
