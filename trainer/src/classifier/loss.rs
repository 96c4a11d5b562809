//! The classifier's loss.

use crate::nn::loss::{Logits, Loss};
use dfdx::prelude::{Axis, PutTape, ReshapeTo, SplitTape, SumTo, Tape, TryAdd, TryDiv, TryMul};
use dfdx::tensor_ops::Device;

/// Softmax cross-entropy, the mean over a batch and the sum over groups of logits: `-ln softmax(x)[label]`. `logits`
/// are those of each image in turn, and of an image each group's: `(N * S,)`, where the `sizes` of the groups add up to
/// `S`. `labels` are `(N, A)`, each below the size of its group.
///
/// # Errors
/// The device's.
pub fn cross_entropy<D: Device<f32>, T: Tape<f32, D>>(
    logits: Logits<D, T>,
    labels: &[u8],
    sizes: &[usize],
) -> Result<Loss<D, T>, D::Err> {
    let images = labels.len() / sizes.len();
    let all: usize = sizes.iter().sum();
    let device = logits.device().clone();
    let (logits, mut tape) = logits.try_reshape_like(&(images, all))?.split_tape();
    let mut sum = device.try_zeros()?;
    let mut first = 0;
    for (group, &size) in sizes.iter().enumerate() {
        let mut one_hot = vec![0.0; images * size];
        let labels = labels.iter().skip(group).step_by(sizes.len());
        for (row, &label) in one_hot.chunks_exact_mut(size).zip(labels) {
            row[usize::from(label)] = 1.0;
        }
        let one_hot = device.try_tensor_from_vec(one_hot, (images, size))?;
        let own = logits
            .clone()
            .put_tape(tape)
            .try_slice((.., first..first + size))?;
        let own: Loss<D, T> = own
            .try_log_softmax::<Axis<1>>()?
            .try_mul(one_hot)?
            .try_sum()?
            .try_add(sum)?;
        (sum, tape) = own.split_tape();
        first += size;
    }
    sum.put_tape(tape).try_div(-(images as f32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::loss::backward;
    use dfdx::prelude::*;

    /// Against the definition in f64, and its derivative `(softmax - one hot) / N`.
    #[test]
    fn the_loss_and_its_gradient_are_the_closed_forms() {
        let cpu = Cpu::default();
        let logits = [0.3f32, -2.0, 5.0, 1.5, 0.7, -4.0];
        let labels = [0u8, 1];
        let x = cpu.tensor_from_vec(logits.to_vec(), (6,));
        let loss = cross_entropy(x.leaky_trace(), &labels, &[3]).unwrap();
        let (value, gradients) = backward(loss).unwrap();
        let softmax: Vec<Vec<f64>> = logits
            .chunks(3)
            .map(|row| {
                let powers = row.iter().map(|&x| f64::from(x).exp());
                let sum: f64 = powers.clone().sum();
                powers.map(|power| power / sum).collect()
            })
            .collect();
        let expected = -(softmax[0][0].ln() + softmax[1][1].ln()) / 2.0;
        assert!((f64::from(value) - expected).abs() < 1e-6);
        let gradient = gradients.get(&x).as_vec();
        for (i, g) in gradient.into_iter().enumerate() {
            let hit = f64::from(u8::from(usize::from(labels[i / 3]) == i % 3));
            assert!((f64::from(g) - (softmax[i / 3][i % 3] - hit) / 2.0).abs() < 1e-6);
        }
    }

    /// Groups are as so many losses of their own.
    #[test]
    fn groups_of_logits_add_up() {
        let cpu = Cpu::default();
        let of = |logits: &[f32], labels: &[u8], sizes: &[usize]| {
            let x = cpu.tensor_from_vec(logits.to_vec(), (logits.len(),));
            let loss = cross_entropy(x.leaky_trace(), labels, sizes).unwrap();
            let (value, gradients) = backward(loss).unwrap();
            (value, gradients.get(&x).as_vec())
        };
        let (all, gradient) = of(&[0.3, -2.0, 5.0, 1.5, 0.7, -4.0], &[1, 2], &[2, 4]);
        let (first, of_first) = of(&[0.3, -2.0], &[1], &[2]);
        let (second, of_second) = of(&[5.0, 1.5, 0.7, -4.0], &[2], &[4]);
        assert!((all - first - second).abs() < 1e-6);
        assert_eq!(gradient, [of_first, of_second].concat());
    }

    #[test]
    fn extreme_logits_stay_finite() {
        let cpu = Cpu::default();
        let x = cpu.tensor_from_vec(vec![1e4f32, -1e4], (2,));
        let loss = cross_entropy(x.leaky_trace(), &[1], &[2]).unwrap();
        let (value, gradients) = backward(loss).unwrap();
        assert_eq!(value, 2e4);
        assert_eq!(gradients.get(&x).as_vec(), [1.0, -1.0]);
    }
}
