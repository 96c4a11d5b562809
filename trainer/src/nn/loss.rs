//! Losses on the host, and the backward pass from them.
//!
//! A loss is computed on the host by dfdx's operations, whatever the device. The device's backward pass begins at its
//! gradient with respect to what was read of the device.

use super::{ModelError, device_error};
use crate::ops::{Device, Sums};
use dfdx::prelude::{
    Axis, Backward, Cpu, CpuError, Gradients, HasShape, NoneTape, OwnedTape, Rank0, ReshapeTo,
    SumTo, Tape, Tensor, TensorFromVec, Trace, TryMul,
};

/// What a network says of a batch, `(N,)` or more numbers in a row, before any squashing.
pub type Logits<D, T> = Tensor<(usize,), f32, D, T>;
/// A loss to run backward from.
pub type Loss<D, T> = Tensor<Rank0, f32, D, T>;
/// On the host, to make a loss of.
pub type Read = Logits<Cpu, OwnedTape<f32, Cpu>>;
/// A loss on the host.
pub type HostLoss = Loss<Cpu, OwnedTape<f32, Cpu>>;

/// What a device has recorded, and what was read of it for a loss.
pub struct Recording<D: Device<f32>> {
    device: D,
    /// To record on.
    pub tape: OwnedTape<f32, D::Nodes>,
    read: Vec<(D::Array, Logits<Cpu, NoneTape>)>,
}

impl<D: Device<f32>> Recording<D> {
    /// Nothing yet.
    pub fn new(device: &D) -> Self {
        Self {
            device: device.clone(),
            tape: OwnedTape::default(),
            read: Vec::new(),
        }
    }

    /// What it is recorded on.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// The numbers of a recorded array on the host, in the order of its dims. A loss that is made of them passes its
    /// gradient on to the array.
    ///
    /// # Errors
    /// The host's.
    pub fn read(&mut self, array: &D::Array) -> Result<Read, ModelError> {
        let numbers = constant(&self.device, array)?;
        self.read.push((array.clone(), numbers.clone()));
        Ok(numbers.leaky_trace())
    }

    /// Runs a loss backward; its value comes with the gradients.
    ///
    /// # Errors
    /// The device's.
    pub fn backward(self, loss: HostLoss) -> Result<(f32, Gradients<f32, D::Nodes>), ModelError> {
        let (value, mut gradients) = backward(loss).map_err(device_error)?;
        let mut from = Vec::with_capacity(self.read.len());
        for (array, numbers) in self.read {
            let gradient = gradients.get_or_alloc_mut(&numbers).map_err(device_error)?;
            from.push((array, gradient.to_vec()));
        }
        let gradients = self.device.backward(self.tape, from);
        Ok((value, gradients.map_err(device_error)?))
    }
}

/// The numbers of an array on the host, in the order of its dims, as a constant.
///
/// # Errors
/// The host's.
pub fn constant<D: Device<f32>>(
    device: &D,
    array: &D::Array,
) -> Result<Logits<Cpu, NoneTape>, ModelError> {
    let numbers = device.to_host(array);
    let len = numbers.len();
    let tensor = Cpu::default().try_tensor_from_vec(numbers, (len,));
    tensor.map_err(device_error)
}

/// A loss as a number.
pub fn value<T>(loss: &Loss<Cpu, T>) -> f32 {
    loss.as_vec().into_iter().sum()
}

/// Runs a loss backward on the host; its value comes with the gradients.
///
/// # Errors
/// dfdx's.
pub fn backward(loss: HostLoss) -> Result<(f32, Gradients<f32, Cpu>), CpuError> {
    Ok((value(&loss), loss.try_backward()?))
}

/// The sum of numbers of a batch, those of each sample in turn, in an order. The number of samples is a multiple of
/// [`Sums::parts`].
///
/// # Errors
/// dfdx's.
pub fn sum<D: dfdx::tensor_ops::Device<f32>, T: Tape<f32, D>>(
    x: Logits<D, T>,
    order: Sums,
) -> Result<Loss<D, T>, D::Err> {
    let (len, mut parts) = (x.shape().0, order.parts());
    debug_assert!(len.is_multiple_of(parts), "{len} numbers in {parts} parts");
    if order == Sums::Fast || !len.is_multiple_of(parts) {
        return x.try_sum();
    }
    let rows = x.try_reshape_like(&(parts, len / parts))?;
    let mut sums: Logits<D, T> = rows.try_sum::<_, Axis<1>>()?;
    while parts > 1 {
        parts /= 2;
        sums = sums
            .try_reshape_like(&(parts, 2))?
            .try_sum::<_, Axis<1>>()?;
    }
    sums.try_sum()
}

/// The mean of such numbers.
///
/// # Errors
/// dfdx's.
pub fn mean<D: dfdx::tensor_ops::Device<f32>, T: Tape<f32, D>>(
    x: Logits<D, T>,
    order: Sums,
) -> Result<Loss<D, T>, D::Err> {
    let share = (1.0 / x.shape().0 as f64) as f32;
    sum(x, order)?.try_mul(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers whose sum depends on the order.
    fn numbers(len: usize) -> Vec<f32> {
        (0..len)
            .map(|i| (i as f32 + 0.7).sin() * 10f32.powi((i % 7) as i32 - 3))
            .collect()
    }

    #[test]
    fn the_mean_of_parts_is_the_tree_of_theirs() {
        const N: usize = 64;
        let numbers = numbers(N);
        let part: Vec<f32> = numbers
            .chunks(N / 8)
            .map(|part| part.iter().sum())
            .collect();
        let [a, b, c, d, e, f, g, h] = part[..] else {
            unreachable!()
        };
        let expected = (((a + b) + (c + d)) + ((e + f) + (g + h))) / N as f32;
        let x = Cpu::default().tensor_from_vec(numbers.clone(), (N,));
        let (value, gradients) = backward(mean(x.leaky_trace(), Sums::Tree(3)).unwrap()).unwrap();
        assert_eq!(value, expected);
        assert_eq!(gradients.get(&x).as_vec(), [1.0 / N as f32; N]);
        // In order it is another number: what the trees are for.
        let (in_order, gradients) = backward(mean(x.leaky_trace(), Sums::Fast).unwrap()).unwrap();
        assert_eq!(in_order, numbers.iter().sum::<f32>() / N as f32);
        assert_ne!(in_order, value);
        assert_eq!(gradients.get(&x).as_vec(), [1.0 / N as f32; N]);
    }
}
