//! Differentiable augmentation: what a discriminator sees of real and generated images alike (Zhao et al. 2020).

use crate::ops::Dims;
use crate::rng::Rng;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What is done to each image that a discriminator sees, real or generated, drawn for each anew (Zhao et al. 2020,
/// section 3.2). Pixels that come from outside of the image are 0, the middle of the range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DiffAugment {
    /// Nothing.
    #[default]
    None,
    /// Moved by up to an eighth of each side.
    Translation,
    /// A square of half of the shorter side set to 0.
    Cutout,
    /// Both, in this order.
    TranslationCutout,
    /// All of the paper: colours changed, then translation and cutout. The brightness by up to a quarter of the range,
    /// the saturation by a factor up to 2, the contrast by one from 0.5 to 1.5.
    #[value(name = "diffaugment")]
    #[serde(rename = "diffaugment")]
    All,
}

/// A change of an image's colours.
#[derive(Clone, Copy, Debug)]
struct Colour {
    /// What is added to each number.
    brightness: f32,
    /// What the distance of a number from the mean of its pixel's channels is multiplied by.
    saturation: f32,
    /// Then, what the distance of a number from the mean of all is multiplied by.
    contrast: f32,
}

impl Colour {
    fn draw(rng: &mut Rng) -> Self {
        let mut uniform = || rng.uniform() as f32;
        Self {
            brightness: uniform() - 0.5,
            saturation: 2.0 * uniform(),
            contrast: uniform() + 0.5,
        }
    }

    /// The linear part, which is its own transpose: both means are symmetric projections, and the second one of the
    /// first one's image. What is added to all numbers alike passes through it unchanged.
    fn apply_linear(self, image: &mut [f32], channels: usize) {
        for pixel in image.chunks_exact_mut(channels) {
            let mean = pixel.iter().sum::<f32>() / channels as f32;
            for number in pixel {
                *number = mean + (*number - mean) * self.saturation;
            }
        }
        let sum: f64 = image.iter().map(|&number| f64::from(number)).sum();
        let mean = (sum / image.len() as f64) as f32;
        for number in image {
            *number = mean + (*number - mean) * self.contrast;
        }
    }
}

/// What was drawn for one image.
#[derive(Clone, Copy, Debug)]
struct Placement {
    colour: Option<Colour>,
    /// Rows and columns from a pixel to the one that it shows.
    shift: [isize; 2],
    /// First row and column of the square, and those after its last.
    cut: [[usize; 2]; 2],
}

/// What was drawn for a batch: an affine map of its images.
#[derive(Clone, Debug)]
pub struct Placements {
    dims: Dims,
    each: Vec<Placement>,
}

impl DiffAugment {
    /// Draws for a batch of images, `(N, H, W, C)`.
    pub fn draw(self, rng: &mut Rng, dims: Dims) -> Placements {
        let [n, height, width, _] = dims;
        let sides = [height, width];
        let translates = !matches!(self, Self::None | Self::Cutout);
        let cuts = !matches!(self, Self::None | Self::Translation);
        // The shorter side and one more if it is odd, halved.
        let square = height.min(width).div_ceil(2);
        let place = |_| {
            let mut placement = Placement {
                colour: (self == Self::All).then(|| Colour::draw(rng)),
                shift: [0; 2],
                cut: [[0; 2]; 2],
            };
            if translates {
                placement.shift = sides.map(|side| {
                    // An eighth, rounded.
                    let most = (side + 4) / 8;
                    below(rng, 2 * most + 1) as isize - most as isize
                });
            }
            if cuts {
                for (axis, &side) in sides.iter().enumerate() {
                    // The centre is anywhere, so that the edge may cut the square.
                    let centre = below(rng, side + 1 - square % 2);
                    let first = centre.saturating_sub(square / 2);
                    placement.cut[0][axis] = first;
                    placement.cut[1][axis] = (centre + square.div_ceil(2)).min(side);
                }
            }
            placement
        };
        Placements {
            dims,
            each: (0..n).map(place).collect(),
        }
    }
}

/// A whole number from 0, below `count`.
fn below(rng: &mut Rng, count: usize) -> usize {
    ((rng.uniform() * count as f64) as usize).min(count.saturating_sub(1))
}

impl Placements {
    /// The images as the discriminator sees them, in the order of the dims.
    pub fn apply(&self, images: &[f32]) -> Vec<f32> {
        let mut coloured = images.to_vec();
        self.change_colours(&mut coloured);
        for (image, placement) in self.images(&mut coloured) {
            if let Some(colour) = placement.colour {
                image
                    .iter_mut()
                    .for_each(|number| *number += colour.brightness);
            }
        }
        self.map(&coloured, |seen, shown| (seen, shown))
    }

    /// The gradient with respect to the images of what has this gradient with respect to [`apply`](Self::apply)'s: the
    /// transpose of its linear part.
    pub fn apply_transposed(&self, gradient: &[f32]) -> Vec<f32> {
        let mut moved = self.map(gradient, |seen, shown| (shown, seen));
        self.change_colours(&mut moved);
        moved
    }

    /// The linear part of all changes of colours.
    fn change_colours(&self, images: &mut [f32]) {
        let [.., channels] = self.dims;
        for (image, placement) in self.images(images) {
            if let Some(colour) = placement.colour {
                colour.apply_linear(image, channels);
            }
        }
    }

    /// Each image with what was drawn for it.
    fn images<'a>(
        &'a self,
        images: &'a mut [f32],
    ) -> impl Iterator<Item = (&'a mut [f32], &'a Placement)> {
        let [_, height, width, channels] = self.dims;
        images
            .chunks_exact_mut(height * width * channels)
            .zip(&self.each)
    }

    /// For each seen pixel that shows another: copies from the second to the first of the places that `direction` makes
    /// of the seen one's and the other's.
    fn map(&self, from: &[f32], direction: impl Fn(usize, usize) -> (usize, usize)) -> Vec<f32> {
        let [_, height, width, channels] = self.dims;
        let len = height * width * channels;
        let mut to = vec![0.0; from.len()];
        let images = to.chunks_exact_mut(len).zip(from.chunks_exact(len));
        for ((to, from), placement) in images.zip(&self.each) {
            let [[top, left], [bottom, right]] = placement.cut;
            for y in 0..height {
                for x in 0..width {
                    let shown = [(y, height), (x, width)].into_iter().zip(placement.shift);
                    let mut shown = shown.map(|((at, side), shift)| {
                        at.checked_add_signed(shift).filter(|&at| at < side)
                    });
                    let (Some(Some(row)), Some(Some(column))) = (shown.next(), shown.next()) else {
                        continue;
                    };
                    if (top..bottom).contains(&y) && (left..right).contains(&x) {
                        continue;
                    }
                    let [seen, shown] =
                        [(y, x), (row, column)].map(|(y, x)| (y * width + x) * channels);
                    let (here, there) = direction(seen, shown);
                    to[here..here + channels].copy_from_slice(&from[there..there + channels]);
                }
            }
        }
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    const DIMS: Dims = [40, 10, 12, 3];

    fn numbers(rng: &mut Rng) -> Vec<f32> {
        let len = DIMS.iter().product();
        (0..len).map(|_| 1.0 + rng.uniform() as f32).collect()
    }

    /// `<A x, y> = <x, A^T y>` for the linear part `A x = f(x) - f(0)`, so the gradient of `<f(x), y>` with respect to
    /// `x` is `A^T y`.
    #[test]
    fn the_gradient_is_the_transposed_map() {
        for kind in DiffAugment::value_variants() {
            let mut rng = Rng::new(1, Stream::Latents);
            let placements = kind.draw(&mut rng, DIMS);
            let (x, y) = (numbers(&mut rng), numbers(&mut rng));
            let inner = |a: &[f32], b: &[f32]| -> f64 {
                let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
                products.sum()
            };
            let (seen, back) = (placements.apply(&x), placements.apply_transposed(&y));
            let of_nothing = placements.apply(&vec![0.0; x.len()]);
            let left = inner(&seen, &y) - inner(&of_nothing, &y);
            let right = inner(&x, &back);
            assert!((left - right).abs() < 1e-6 * left, "{left} against {right}");
            assert_eq!(seen.contains(&0.0) && seen != x, *kind != DiffAugment::None);
        }
    }

    /// By hand, of two pixels of two channels: half brighter, greys twice as far from the mean, colours gone.
    #[test]
    fn colours_are_changed_as_in_the_paper() {
        let placements = |colour| Placements {
            dims: [1, 1, 2, 2],
            each: vec![Placement {
                colour: Some(colour),
                shift: [0; 2],
                cut: [[0; 2]; 2],
            }],
        };
        let image = [0.0, 0.5, -0.5, 0.5];
        for (brightness, saturation, contrast, seen) in [
            (0.5, 1.0, 1.0, [0.5, 1.0, 0.0, 1.0]),
            (0.0, 0.0, 1.0, [0.25, 0.25, 0.0, 0.0]),
            (0.0, 2.0, 1.0, [-0.25, 0.75, -1.0, 1.0]),
            (0.0, 1.0, 1.5, [-0.0625, 0.6875, -0.8125, 0.6875]),
            (0.25, 0.0, 0.5, [0.4375, 0.4375, 0.3125, 0.3125]),
        ] {
            let colour = Colour {
                brightness,
                saturation,
                contrast,
            };
            assert_eq!(placements(colour).apply(&image), seen, "{colour:?}");
        }
        let mut rng = Rng::new(1, Stream::Latents);
        let placements = DiffAugment::All.draw(&mut rng, [2_000, 4, 4, 3]);
        let colours = placements.each.iter().filter_map(|each| each.colour);
        let colours: Vec<Colour> = colours.collect();
        assert_eq!(colours.len(), 2_000);
        for (of, least, most) in [
            (
                (|colour: &Colour| colour.brightness) as fn(&Colour) -> f32,
                -0.5,
                0.5,
            ),
            (|colour: &Colour| colour.saturation, 0.0, 2.0),
            (|colour: &Colour| colour.contrast, 0.5, 1.5),
        ] {
            let drawn = colours.iter().map(of);
            let (low, high) = drawn.fold((f32::MAX, f32::MIN), |(low, high), value| {
                (low.min(value), high.max(value))
            });
            let near = 0.01 * (most - least);
            assert!((least..least + near).contains(&low), "{low}");
            assert!((most - near..=most).contains(&high), "{high}");
        }
    }

    /// Moves are whole and within an eighth, all of them occur, and what is not moved or cut stays.
    #[test]
    fn images_are_moved_by_up_to_an_eighth() {
        let mut rng = Rng::new(1, Stream::Latents);
        let placements = DiffAugment::Translation.draw(&mut rng, [2_000, 16, 16, 1]);
        let mut seen = std::collections::BTreeSet::new();
        for placement in &placements.each {
            assert_eq!(placement.cut, [[0; 2]; 2]);
            seen.insert(placement.shift);
        }
        let all = (-2..=2).flat_map(|y| (-2..=2).map(move |x| [y, x]));
        assert_eq!(seen, all.collect());
        // A picture of 4 x 4 is moved by 4 / 8 rounded, one: pixel (1, 2) shows (1 + dy, 2 + dx).
        let picture: Vec<f32> = (1..=16u8).map(f32::from).collect();
        for _ in 0..20 {
            let placements = DiffAugment::Translation.draw(&mut rng, [1, 4, 4, 1]);
            let [dy, dx] = placements.each[0].shift;
            let seen = placements.apply(&picture);
            let shown = 4 * (1 + dy) + 2 + dx;
            assert_eq!(seen[6], picture[shown as usize]);
        }
    }

    /// Away from the edge the square has a quarter of a square image's pixels; at a corner a quarter of that.
    #[test]
    fn a_square_of_half_of_the_side_is_cut_out() {
        let mut rng = Rng::new(1, Stream::Latents);
        let ones = vec![1.0; 16 * 16];
        let mut areas = std::collections::BTreeSet::new();
        for _ in 0..3_000 {
            let placements = DiffAugment::Cutout.draw(&mut rng, [1, 16, 16, 1]);
            assert_eq!(placements.each[0].shift, [0, 0]);
            let seen = placements.apply(&ones);
            areas.insert(seen.iter().filter(|&&v| v == 0.0).count());
        }
        assert_eq!((areas.first(), areas.last()), (Some(&16), Some(&64)));
    }
}
