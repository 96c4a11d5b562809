//! A trained classifier at work: from pixels to features and classes.

use crate::nn::{Model, ModelError};
use crate::ops::Cpu;
use crate::parameters::Parameters;
use crate::spec::{Layer, Network, Shape};

/// A trained classifier on the CPU, cut in two in front of its last layer.
pub struct Classifier {
    body: Model<Cpu>,
    head: Model<Cpu>,
}

/// What a classifier sees in `N` images.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// `(N, F)`.
    pub features: Vec<f32>,
    /// The most likely class of each, `(N,)`.
    pub classes: Vec<u8>,
}

/// Why there is no classifier.
#[derive(Debug, thiserror::Error)]
pub enum ClassifierError {
    /// The network or its numbers are wrong.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// There is nothing to cut off.
    #[error("the network does not end in a Linear layer of at most 256 outputs")]
    NoHead,
}

impl Classifier {
    /// A classifier of a network that ends in a Linear layer.
    ///
    /// # Errors
    /// [`ClassifierError::NoHead`], or numbers that are not the network's.
    pub fn new(network: &Network, parameters: &Parameters) -> Result<Self, ClassifierError> {
        parameters.check(network).map_err(ModelError::from)?;
        let last = match network.layers.split_last() {
            Some((Layer::Linear { features, .. }, body)) if *features <= 256 => body.len(),
            _ => return Err(ClassifierError::NoHead),
        };
        let mut body = network.clone();
        let linear = body.layers.split_off(last);
        body.inputs.remove(&last);
        let head = Network::chain(body.output().map_err(ModelError::from)?, linear);
        let (mut of_body, mut of_head) = (parameters.clone(), Parameters::default());
        let prefix = format!("{last}.");
        of_body.tensors.retain(|name, tensor| {
            let part = name.strip_prefix(&prefix);
            if let Some(part) = part {
                of_head.tensors.insert(format!("0.{part}"), tensor.clone());
            }
            part.is_none()
        });
        Ok(Self {
            body: Model::new(Cpu::default(), &body, &of_body)?,
            head: Model::new(Cpu::default(), &head, &of_head)?,
        })
    }

    /// The shape of the images it looks at.
    pub fn image(&self) -> Shape {
        self.body.network().input
    }

    /// How many features an image has.
    pub fn features(&self) -> usize {
        self.head.network().input.len()
    }

    /// How many classes it tells apart.
    pub fn classes(&self) -> usize {
        match self.head.network().layers.as_slice() {
            [Layer::Linear { features, .. }] => *features,
            _ => 0,
        }
    }

    /// Looks at images, `(N, C, H, W)`. The bits do not depend on the number of threads.
    ///
    /// # Errors
    /// The device's.
    pub fn judge(&self, pixels: &[u8]) -> Result<Judged, ModelError> {
        let features = self.body.evaluate(&to_samples(pixels), &[])?;
        let logits = self.head.evaluate(&features, &[])?;
        let classes = logits.chunks_exact(self.classes().max(1)).map(most_likely);
        Ok(Judged {
            classes: classes.collect(),
            features,
        })
    }
}

/// Pixel `p` as `(p - 128) / 128`.
pub(super) fn to_samples(pixels: &[u8]) -> Vec<f32> {
    let sample = |&p: &u8| (f32::from(p) - 128.0) / 128.0;
    pixels.iter().map(sample).collect()
}

/// The place of the greatest logit, the first of several.
fn most_likely(logits: &[f32]) -> u8 {
    let mut best = 0;
    for (i, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = i;
        }
    }
    best as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::network;
    use crate::nn::Initialization;
    use crate::rng::{Rng, Stream};

    /// The two halves, one after the other, are the whole network.
    #[test]
    fn cutting_changes_nothing() {
        let network = network(Shape::new(1, 28, 28), 10);
        let mut rng = Rng::new(1, Stream::Initialization);
        let parameters = Initialization::Dcgan
            .parameters(&network, &mut rng)
            .unwrap();
        let whole = Model::new(Cpu::default(), &network, &parameters).unwrap();
        let classifier = Classifier::new(&network, &parameters).unwrap();
        let pixels: Vec<u8> = (0..70 * 784)
            .map(|_| (256.0 * rng.uniform()) as u8)
            .collect();
        let judged = classifier.judge(&pixels).unwrap();
        assert_eq!(judged.features.len(), 70 * 64);
        let logits = whole.evaluate(&to_samples(&pixels), &[]).unwrap();
        let expected: Vec<u8> = logits
            .chunks(10)
            .map(|row| {
                let best = row.iter().copied().fold(f32::MIN, f32::max);
                row.iter().position(|&x| x == best).unwrap() as u8
            })
            .collect();
        assert_eq!(judged.classes, expected);
    }

    #[test]
    fn a_network_without_a_last_layer_is_refused() {
        let network = Network::chain(Shape::features(3), vec![Layer::Relu]);
        let refused = Classifier::new(&network, &Parameters::default());
        assert!(matches!(refused, Err(ClassifierError::NoHead)));
    }
}
