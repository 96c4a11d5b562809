//! The classifier's loss.

use crate::nn::loss::{Logits, Loss};
use dfdx::prelude::{Axis, ReshapeTo, SumTo, Tape, TryDiv, TryMul};
use dfdx::tensor_ops::Device;

/// Softmax cross-entropy, the mean over a batch: `-ln softmax(x)[label]`. `logits` are those of
/// each image in turn, `(N * classes,)`; `labels` are `(N,)`, each below `classes`.
///
/// # Errors
/// The device's.
pub fn cross_entropy<D: Device<f32>, T: Tape<f32, D>>(
    logits: Logits<D, T>,
    labels: &[u8],
    classes: usize,
) -> Result<Loss<D, T>, D::Err> {
    let shape = (labels.len(), classes);
    let mut one_hot = vec![0.0; labels.len() * classes];
    for (row, &label) in one_hot.chunks_exact_mut(classes).zip(labels) {
        row[usize::from(label)] = 1.0;
    }
    let one_hot = logits.device().try_tensor_from_vec(one_hot, shape)?;
    logits
        .try_reshape_like(&shape)?
        .try_log_softmax::<Axis<1>>()?
        .try_mul(one_hot)?
        .try_sum()?
        .try_div(-(labels.len() as f32))
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
        let loss = cross_entropy(x.leaky_trace(), &labels, 3).unwrap();
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

    #[test]
    fn extreme_logits_stay_finite() {
        let cpu = Cpu::default();
        let x = cpu.tensor_from_vec(vec![1e4f32, -1e4], (2,));
        let loss = cross_entropy(x.leaky_trace(), &[1], 2).unwrap();
        let (value, gradients) = backward(loss).unwrap();
        assert_eq!(value, 2e4);
        assert_eq!(gradients.get(&x).as_vec(), [1.0, -1.0]);
    }
}
