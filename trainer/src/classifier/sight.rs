//! A trained classifier at work: from pixels to features and classes.

use crate::nn::{Model, ModelError};
use crate::ops::Cpu;
use crate::parameters::Parameters;
use crate::spec::{Layer, Network, Shape};

/// A trained classifier on the CPU, cut in front of each convolution but the first, where pictures become vectors, and
/// in front of its last layer.
pub struct Classifier {
    /// All but the last part, first to last; at least one.
    body: Vec<Model<Cpu>>,
    head: Model<Cpu>,
}

/// What a classifier sees in `N` images.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// `(N, F)`.
    pub features: Vec<f32>,
    /// For each channel of the pictures between the parts, the mean and the standard deviation over its places:
    /// `(N, S)`, [`Classifier::statistics`] numbers an image.
    pub statistics: Vec<f32>,
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
        let cut = |index: &usize| {
            matches!(
                network.layers[*index],
                Layer::Conv2d { .. } | Layer::Flatten
            ) || *index == last
        };
        let cuts: Vec<usize> = (1..=last)
            .filter(cut)
            .chain([network.layers.len()])
            .collect();
        let (mut first, mut input) = (0, network.input);
        let mut parts = Vec::new();
        for end in cuts {
            let layers = network.layers[first..end].to_vec();
            let part = Network::chain(input, layers);
            let mut own = Parameters::default();
            for (name, tensor) in &parameters.tensors {
                if let Some((index, name)) = name.split_once('.')
                    && let Ok(index) = index.parse::<usize>()
                    && (first..end).contains(&index)
                {
                    let name = format!("{}.{name}", index - first);
                    own.tensors.insert(name, tensor.clone());
                }
            }
            (first, input) = (end, part.output().map_err(ModelError::from)?);
            parts.push(Model::new(Cpu::default(), &part, &own)?);
        }
        let head = parts.pop().filter(|_| !parts.is_empty());
        Ok(Self {
            head: head.ok_or(ClassifierError::NoHead)?,
            body: parts,
        })
    }

    /// Its parts up to the features, one after the other.
    pub fn into_body(self) -> Vec<Model<Cpu>> {
        self.body
    }

    /// The shape of the images it looks at.
    pub fn image(&self) -> Shape {
        self.body[0].network().input
    }

    /// How many features an image has.
    pub fn features(&self) -> usize {
        self.head.network().input.len()
    }

    /// How many statistics of channels an image has.
    pub fn statistics(&self) -> usize {
        let shapes = self
            .body
            .iter()
            .filter_map(|part| part.network().output().ok());
        let pictures = shapes.filter(|shape| !shape.is_flat());
        pictures.map(|shape| 2 * shape.channels).sum()
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
        let n = pixels.len() / self.image().len().max(1);
        let mut features = to_samples(pixels);
        let mut statistics = vec![Vec::with_capacity(self.statistics()); n];
        for part in &self.body {
            features = part.evaluate(&features, &[])?;
            let shape = part.network().output()?;
            if !shape.is_flat() {
                let images = features.chunks_exact(shape.len());
                for (image, statistics) in images.zip(&mut statistics) {
                    let places = image.chunks_exact(shape.height * shape.width);
                    statistics.extend(places.flat_map(mean_and_deviation));
                }
            }
        }
        let logits = self.head.evaluate(&features, &[])?;
        let classes = logits.chunks_exact(self.classes().max(1));
        let classes = classes.map(|logits| most_likely(logits) as u8);
        Ok(Judged {
            classes: classes.collect(),
            statistics: statistics.concat(),
            features,
        })
    }

    /// The logits of images, `(N, C, H, W)`: [`Classifier::classes`] an image.
    ///
    /// # Errors
    /// The device's.
    pub fn logits(&self, pixels: &[u8]) -> Result<Vec<f32>, ModelError> {
        let mut features = to_samples(pixels);
        for part in self.body.iter().chain([&self.head]) {
            features = part.evaluate(&features, &[])?;
        }
        Ok(features)
    }
}

/// The mean of numbers and their standard deviation from it.
fn mean_and_deviation(numbers: &[f32]) -> [f32; 2] {
    let count = numbers.len() as f64;
    let mean = numbers.iter().copied().map(f64::from).sum::<f64>() / count;
    let squares = numbers.iter().map(|&x| (f64::from(x) - mean).powi(2));
    [mean as f32, (squares.sum::<f64>() / count).sqrt() as f32]
}

/// Pixel `p` as `(p - 128) / 128`.
pub(super) fn to_samples(pixels: &[u8]) -> Vec<f32> {
    let sample = |&p: &u8| (f32::from(p) - 128.0) / 128.0;
    pixels.iter().map(sample).collect()
}

/// The place of the greatest logit, the first of several.
pub(super) fn most_likely(logits: &[f32]) -> usize {
    let mut best = 0;
    for (i, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::network;
    use crate::nn::Initialization;
    use crate::rng::{Rng, Stream};

    /// The parts, one after the other, are the whole network, to the bit.
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
        // Two for each of the convolutions' channels.
        assert_eq!(classifier.statistics(), 2 * (16 + 3 * 32 + 24));
        assert_eq!(judged.statistics.len(), 70 * classifier.statistics());
        let mut first = network.clone();
        first.layers.truncate(3);
        let mut own = parameters.clone();
        own.tensors
            .retain(|name, _| ["0.", "1."].iter().any(|layer| name.starts_with(layer)));
        let first = Model::new(Cpu::default(), &first, &own).unwrap();
        let pictures = first.evaluate(&to_samples(&pixels[..784]), &[]).unwrap();
        for (channel, places) in pictures.chunks_exact(784).enumerate() {
            let mean = places.iter().sum::<f32>() / 784.0;
            let square = places.iter().map(|x| x * x).sum::<f32>() / 784.0;
            let [ours, deviation] = [0, 1].map(|i| judged.statistics[2 * channel + i]);
            assert!((ours - mean).abs() < 1e-4, "{ours} against {mean}");
            let variance = square - mean * mean;
            assert!(
                (deviation * deviation - variance).abs() < 1e-3,
                "{deviation}"
            );
        }
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
