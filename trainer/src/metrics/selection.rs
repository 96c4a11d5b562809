//! `fid-channels`: the score that the best checkpoint is chosen by.

use super::frechet;
use crate::gaussian::Gaussian;

/// Training images that a score is taken against.
pub const IMAGES: usize = 10_000;

/// What training images are by the mean and the standard deviation of each channel over its places, in every layer of a
/// classifier that gives pictures (the statistics of Huang & Belongie 2017). Those of early layers tell apart what does
/// not help to tell the classes apart: strokes, noise, stripes.
pub struct Selection {
    /// The standard deviation of each statistic over the images.
    deviations: Vec<f32>,
    /// Of statistics divided by these.
    reference: Gaussian,
}

impl Selection {
    /// Of the statistics of training images, `(N, size)`.
    pub fn new(statistics: &[f32], size: usize) -> Self {
        let Gaussian { covariance, .. } = Gaussian::of(statistics, size);
        let variances = covariance.iter().step_by(size + 1);
        // What does not vary among them counts as what hardly does.
        let deviations = variances.map(|variance| variance.sqrt().max(1e-6) as f32);
        let deviations: Vec<f32> = deviations.collect();
        Self {
            reference: Gaussian::of(&divided(statistics, &deviations), size),
            deviations,
        }
    }

    /// The Fréchet distance (Heusel et al. 2017) from them of images with these statistics, `(N, size)`, in units of
    /// the training images' variances; at least 0.
    pub fn distance(&self, statistics: &[f32]) -> f64 {
        let divided = divided(statistics, &self.deviations);
        frechet(
            &Gaussian::of(&divided, self.deviations.len()),
            &self.reference,
        )
    }
}

fn divided(statistics: &[f32], by: &[f32]) -> Vec<f32> {
    let pairs = statistics.iter().zip(by.iter().cycle());
    pairs.map(|(number, by)| number / by).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two statistics whose deviations differ by a thousand count alike: moved by a deviation each, images are at the
    /// distance 2; with half of the deviation in one, at the distance 1 / 4.
    #[test]
    fn distances_are_in_the_training_images_variances() {
        let train = [1.0, 5000.0, 3.0, 5000.0, 2.0, 4000.0, 2.0, 6000.0];
        let selection = Selection::new(&train, 2);
        let deviation = (2f32 / 3.0).sqrt();
        let moved = |by: [f32; 2]| -> Vec<f32> {
            let pairs = train.iter().zip(by.iter().cycle());
            pairs.map(|(number, by)| number + by).collect()
        };
        let close = |a: f64, b: f64| (a - b).abs() < 1e-3;
        assert!(close(selection.distance(&train), 0.0));
        let both = selection.distance(&moved([deviation, 1000.0 * deviation]));
        assert!(close(both, 2.0), "{both}");
        let narrow = [1.5, 5000.0, 2.5, 5000.0, 2.0, 4000.0, 2.0, 6000.0];
        let narrow = selection.distance(&narrow);
        assert!(close(narrow, 0.25), "{narrow}");
    }
}
