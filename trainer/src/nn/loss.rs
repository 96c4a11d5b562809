//! A loss on the tape.

use dfdx::prelude::{Backward, Gradients, OwnedTape, Rank0, Tensor};
use dfdx::tensor_ops::Device;

/// What a network says of a batch, `(N,)` or more numbers in a row, before any squashing.
pub type Logits<D, T> = Tensor<(usize,), f32, D, T>;
/// A loss to run backward from.
pub type Loss<D, T> = Tensor<Rank0, f32, D, T>;

/// Runs a loss backward; its value comes with the gradients.
///
/// # Errors
/// The device's.
pub fn backward<D: Device<f32>>(
    loss: Loss<D, OwnedTape<f32, D>>,
) -> Result<(f32, Gradients<f32, D>), D::Err> {
    let value = loss.as_vec().into_iter().sum();
    Ok((value, loss.try_backward()?))
}
