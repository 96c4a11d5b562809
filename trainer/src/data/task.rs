//! Tasks: what is left of an image, for a network that makes the image of it again.

use crate::rng::{Rng, Stream};
use crate::samples::{from_pixels, to_pixels};
use crate::spec::Shape;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What a generator is to undo. The pictures that it reads are made of the images that it is to make, and are rounded
/// to pixels, as a device reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Normal noise with a deviation of 50 grey levels.
    Denoise,
    /// Half of the side: each pixel is the mean of 2x2.
    #[value(name = "upscale-2x")]
    #[serde(rename = "upscale-2x")]
    Upscale2x,
    /// A quarter of the side: each pixel is the mean of 4x4.
    #[value(name = "upscale-4x")]
    #[serde(rename = "upscale-4x")]
    Upscale4x,
    /// Colour taken away: the luminance (Rec. 709) of each pixel.
    Colorize,
    /// A square of half of the side, at a place drawn for each image, is grey.
    Inpaint,
    /// Nothing: the image itself.
    Reconstruct,
}

/// The deviation of [`Task::Denoise`], of values in [-1, 1].
const NOISE: f64 = 50.0 / 128.0;
/// Weights of red, green and blue in the luminance.
const LUMINANCE: [f32; 3] = [0.2126, 0.7152, 0.0722];

/// Where the random numbers of a task come from: a picture's own stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    pub seed: u64,
    /// The epoch in training; [`Draw::HELD_OUT`] of pictures that are not learned from.
    pub epoch: u32,
    /// The number of the image in its split.
    pub image: u32,
}

impl Draw {
    /// No run has so many epochs.
    pub const HELD_OUT: u32 = u32::MAX >> 1;

    /// Of a picture that is not learned from.
    pub const fn held_out(seed: u64, image: u32) -> Self {
        Self {
            seed,
            epoch: Self::HELD_OUT,
            image,
        }
    }
}

impl Task {
    /// The shape of the pictures that are read, for images of `image`.
    ///
    /// # Errors
    /// Images that the task cannot be made of, the rest of a sentence.
    pub fn input(self, image: Shape) -> Result<Shape, String> {
        /// The least side of a picture that is read.
        const LEAST: usize = 4;
        let factor = self.factor();
        let Shape { height, width, .. } = image;
        if !height.is_multiple_of(factor) || !width.is_multiple_of(factor) {
            return Err(format!("needs sides that are multiples of {factor}"));
        }
        if height.min(width) < factor * LEAST {
            return Err(format!("needs sides of at least {}", factor * LEAST));
        }
        match (self, image.channels) {
            (Self::Upscale2x | Self::Upscale4x, channels) => {
                Ok(Shape::new(channels, height / factor, width / factor))
            }
            (Self::Colorize, 3) => Ok(Shape::new(1, image.height, image.width)),
            (Self::Colorize, _) => Err("needs images in colour".into()),
            _ => Ok(image),
        }
    }

    /// How many times larger an image is than the picture that is read.
    pub const fn factor(self) -> usize {
        match self {
            Self::Upscale2x => 2,
            Self::Upscale4x => 4,
            Self::Denoise | Self::Colorize | Self::Inpaint | Self::Reconstruct => 1,
        }
    }

    /// What the task leaves of an image of `shape`, pixels `(C, H, W)`.
    pub fn of_pixels(self, draw: Draw, shape: Shape, image: &[u8]) -> Vec<u8> {
        let mut left = Vec::new();
        self.apply(draw, shape, &from_pixels(image), &mut left);
        to_pixels(&left)
    }

    /// Adds to `inputs` what the task leaves of an image, `(C, H, W)` of `shape` with values in [-1, 1].
    pub fn apply(self, draw: Draw, shape: Shape, image: &[f32], inputs: &mut Vec<f32>) {
        let Draw {
            seed,
            epoch,
            image: number,
        } = draw;
        let mut rng = Rng::new(seed, Stream::Picture(epoch, number));
        let start = inputs.len();
        match self {
            Self::Denoise => {
                inputs.extend(image.iter().map(|&v| v + (NOISE * rng.normal()) as f32));
            }
            Self::Upscale2x | Self::Upscale4x => means(shape, self.factor(), image, inputs),
            Self::Colorize => {
                let plane = shape.height * shape.width;
                inputs.extend((0..plane).map(|at| {
                    let channels = image.iter().skip(at).step_by(plane);
                    let weighed = channels.zip(LUMINANCE).map(|(v, weight)| v * weight);
                    weighed.sum::<f32>()
                }));
            }
            Self::Inpaint => {
                inputs.extend(image);
                let sides = [shape.height, shape.width];
                let [top, left] = sides.map(|side| below(&mut rng, side - side / 2 + 1));
                for channel in inputs[start..].chunks_exact_mut(shape.height * shape.width) {
                    let rows = channel.chunks_exact_mut(shape.width).skip(top);
                    for row in rows.take(shape.height / 2) {
                        row[left..left + shape.width / 2].fill(0.0);
                    }
                }
            }
            Self::Reconstruct => inputs.extend(image),
        }
        for value in &mut inputs[start..] {
            *value = (*value * 128.0).round().clamp(-128.0, 127.0) / 128.0;
        }
    }
}

/// A number below `n`, at least 1.
fn below(rng: &mut Rng, n: usize) -> usize {
    ((rng.uniform() * n as f64) as usize).min(n - 1)
}

/// The mean of each square of pixels.
fn means(shape: Shape, factor: usize, image: &[f32], inputs: &mut Vec<f32>) {
    let (height, width) = (shape.height / factor, shape.width / factor);
    let share = 1.0 / (factor * factor) as f32;
    for plane in image.chunks_exact(shape.height * shape.width) {
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let rows = plane
                .chunks_exact(shape.width)
                .skip(y * factor)
                .take(factor);
            let sum: f32 = rows.flat_map(|row| &row[x * factor..][..factor]).sum();
            inputs.push(sum * share);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAW: Draw = Draw {
        seed: 7,
        epoch: 2,
        image: 5,
    };

    fn left(task: Task, shape: Shape, image: &[f32]) -> Vec<f32> {
        left_by(DRAW, task, shape, image)
    }

    fn left_by(draw: Draw, task: Task, shape: Shape, image: &[f32]) -> Vec<f32> {
        let mut inputs = vec![9.0];
        task.apply(draw, shape, image, &mut inputs);
        assert_eq!(inputs.remove(0), 9.0);
        assert_eq!(inputs.len(), task.input(shape).unwrap().len());
        let pixel = |v: f32| (v * 128.0).fract() == 0.0 && (-1.0..1.0).contains(&v);
        assert!(inputs.iter().all(|&v| pixel(v)));
        inputs
    }

    fn pixels(len: usize) -> Vec<f32> {
        (0..len)
            .map(|i| (i * 37 % 256) as f32 / 128.0 - 1.0)
            .collect()
    }

    #[test]
    fn a_smaller_picture_has_the_means() {
        let image: Vec<f32> = (0..32).map(|i| (i * 4) as f32 / 128.0).collect();
        let mut halved = Vec::new();
        means(Shape::new(2, 4, 4), 2, &image, &mut halved);
        // (0 + 4 + 16 + 20) / 4, and so on.
        let expected = [10, 18, 42, 50, 74, 82, 106, 114].map(|v| v as f32 / 128.0);
        assert_eq!(halved, expected);
        let shape = Shape::new(2, 16, 16);
        let image = pixels(shape.len());
        for (task, factor) in [(Task::Upscale2x, 2), (Task::Upscale4x, 4)] {
            let mut smaller = Vec::new();
            means(shape, factor, &image, &mut smaller);
            let rounded = smaller.iter().map(|v| (v * 128.0).round() / 128.0);
            assert_eq!(left(task, shape, &image), rounded.collect::<Vec<_>>());
        }
        for refused in [Shape::new(1, 28, 30), Shape::new(1, 12, 16)] {
            assert!(Task::Upscale4x.input(refused).is_err());
        }
    }

    #[test]
    fn grey_is_the_luminance() {
        let image = [
            [0.5, -1.0].repeat(8),
            [0.25, 0.0].repeat(8),
            [-0.5, 0.5].repeat(8),
        ];
        let grey = left(Task::Colorize, Shape::new(3, 4, 4), &image.concat());
        let expected = [(0.5, 0.25, -0.5), (-1.0, 0.0, 0.5)].map(|(r, g, b)| {
            let sum: f64 = 0.2126 * r + 0.7152 * g + 0.0722 * b;
            ((sum * 128.0).round() / 128.0) as f32
        });
        assert_eq!(grey, expected.repeat(8));
        assert!(Task::Colorize.input(Shape::new(1, 4, 4)).is_err());
    }

    #[test]
    fn a_quarter_of_the_picture_is_missing() {
        let shape = Shape::new(2, 6, 8);
        let image = vec![0.5; shape.len()];
        let mut places = std::collections::BTreeSet::new();
        for image_number in 0..40 {
            let draw = Draw {
                image: image_number,
                ..DRAW
            };
            let holed = left_by(draw, Task::Inpaint, shape, &image);
            let (first, second) = holed.split_at(48);
            assert_eq!(first, second);
            let holes: Vec<usize> = (0..48).filter(|&i| first[i] == 0.0).collect();
            assert_eq!(holes.len(), 12);
            let (top, left) = (holes[0] / 8, holes[0] % 8);
            let square = (0..12).map(|i| (top + i / 4) * 8 + left + i % 4);
            assert_eq!(holes, square.collect::<Vec<_>>());
            places.insert((top, left));
        }
        // Four rows and five columns that it can begin in; 40 draws see most of the 20.
        assert!(places.len() > 12, "{places:?}");
        assert!(places.iter().all(|&(top, left)| top <= 3 && left <= 4));
    }

    #[test]
    fn noise_is_normal_and_an_image_s_own() {
        let shape = Shape::new(1, 100, 100);
        let image = vec![0.0; shape.len()];
        let noisy = left(Task::Denoise, shape, &image);
        let n = noisy.len() as f64;
        let mean = noisy.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let square = noisy.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / n;
        // Clipped at 2.56 deviations, a normal variable has 0.990 of its own.
        assert!(mean.abs() < 5.0 * NOISE / n.sqrt(), "{mean}");
        assert!((square.sqrt() / NOISE - 0.990).abs() < 0.03, "{square}");
        assert_eq!(left(Task::Denoise, shape, &image), noisy);
        for other in [
            Draw { seed: 8, ..DRAW },
            Draw { epoch: 3, ..DRAW },
            Draw { image: 6, ..DRAW },
        ] {
            assert_ne!(left_by(other, Task::Denoise, shape, &image), noisy);
        }
    }

    #[test]
    fn nothing_is_taken_of_what_is_reconstructed() {
        let image = pixels(3 * 4 * 4);
        assert_eq!(left(Task::Reconstruct, Shape::new(3, 4, 4), &image), image);
    }
}
