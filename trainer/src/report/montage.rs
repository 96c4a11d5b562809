//! Many small images as one.

use super::canvas::Canvas;
use crate::spec::Shape;
use embedded_graphics::mono_font::{MonoTextStyle, iso_8859_1::FONT_6X9};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Baseline, Text};
use image::{ImageResult, Rgb, RgbImage};

/// Pixels of the screen for a pixel of an image.
const ZOOM: usize = 2;
/// Pixels between two images.
const GAP: usize = 2;
const GROUND: Rgb<u8> = Rgb([48, 48, 48]);
const INK: Rgb888 = Rgb888::new(224, 224, 224);

/// A [`sheet`] as a PNG file.
///
/// # Errors
/// The encoder's.
pub fn montage(pixels: &[u8], shape: Shape, columns: usize) -> ImageResult<Vec<u8>> {
    super::png(sheet(pixels, shape, columns))
}

/// Images, `(N, C, H, W)` pixels with C 1 (grey) or 3 (RGB), side by side in rows of `columns`. Other channel counts
/// show their first channel as grey.
pub fn sheet(pixels: &[u8], shape: Shape, columns: usize) -> RgbImage {
    let sheet = Sheet {
        columns: columns.clamp(1, (pixels.len() / shape.len().max(1)).max(1)),
        zoom: ZOOM,
        width: shape.width * ZOOM,
        height: shape.height * ZOOM,
    };
    sheet.draw(pixels, shape)
}

/// The same with a line of text below each image, cut where the image ends; images are at least 72 pixels wide.
pub fn labelled(pixels: &[u8], shape: Shape, labels: &[&str], columns: usize) -> RgbImage {
    const LEAST_WIDTH: usize = 72;
    let font = FONT_6X9;
    let line = font.character_size.height as usize;
    let zoom = LEAST_WIDTH.div_ceil(shape.width.max(1));
    let sheet = Sheet {
        columns: columns.clamp(1, (pixels.len() / shape.len().max(1)).max(1)),
        zoom,
        width: shape.width * zoom,
        height: shape.height * zoom + line,
    };
    let mut canvas = Canvas(sheet.draw(pixels, shape));
    let style = MonoTextStyle::new(&font, INK);
    let fitting = sheet.width / font.character_size.width as usize;
    for (i, label) in labels.iter().enumerate() {
        let text: String = label.chars().take(fitting).collect();
        let (left, top) = sheet.place(i);
        let at = Point::new(left as i32, (top + sheet.height - line) as i32);
        let Ok(_) = Text::with_baseline(&text, at, style, Baseline::Top).draw(&mut canvas);
    }
    canvas.0
}

/// How a montage is laid out.
struct Sheet {
    /// At least 1.
    columns: usize,
    /// Pixels of the sheet for a pixel of an image.
    zoom: usize,
    /// Of an image with what belongs to it, in pixels of the sheet.
    width: usize,
    height: usize,
}

impl Sheet {
    /// The left upper corner of an image.
    fn place(&self, i: usize) -> (usize, usize) {
        (
            GAP + i % self.columns * (self.width + GAP),
            GAP + i / self.columns * (self.height + GAP),
        )
    }

    fn draw(&self, pixels: &[u8], shape: Shape) -> RgbImage {
        let len = shape.len().max(1);
        let rows = (pixels.len() / len).div_ceil(self.columns);
        let width = self.columns * (self.width + GAP) + GAP;
        let height = rows * (self.height + GAP) + GAP;
        let mut sheet = RgbImage::from_pixel(width as u32, height as u32, GROUND);
        for (i, image) in pixels.chunks_exact(len).enumerate() {
            let (left, top) = self.place(i);
            for y in 0..shape.height * self.zoom {
                for x in 0..shape.width * self.zoom {
                    let at = y / self.zoom * shape.width + x / self.zoom;
                    let colour = Rgb(colour(image, shape, at));
                    sheet.put_pixel((left + x) as u32, (top + y) as u32, colour);
                }
            }
        }
        sheet
    }
}

pub(super) fn colour(image: &[u8], shape: Shape, at: usize) -> [u8; 3] {
    let plane = shape.height * shape.width;
    match shape.channels {
        3 => [0, 1, 2].map(|channel| image[channel * plane + at]),
        _ => [image[at]; 3],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_lies_in_its_place() {
        let shape = Shape::new(1, 2, 2);
        let png = montage(&[10, 20, 30, 40, 50, 60, 70, 80, 1, 2, 3, 4], shape, 2).unwrap();
        let sheet = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(sheet.dimensions(), (14, 14));
        assert_eq!(sheet.get_pixel(0, 0), &GROUND);
        assert_eq!(sheet.get_pixel(2, 2), &Rgb([10; 3]));
        assert_eq!(sheet.get_pixel(5, 5), &Rgb([40; 3]));
        assert_eq!(sheet.get_pixel(8, 2), &Rgb([50; 3]));
        assert_eq!(sheet.get_pixel(4, 10), &Rgb([4; 3]));
        assert_eq!(sheet.get_pixel(10, 10), &GROUND);
    }

    #[test]
    fn colours_are_planes() {
        let sheet = sheet(&[1, 2, 3], Shape::new(3, 1, 1), 1);
        assert_eq!(sheet.get_pixel(2, 2), &Rgb([1, 2, 3]));
    }

    #[test]
    fn labels_stand_below_their_images() {
        let shape = Shape::new(1, 36, 36);
        let black = vec![0; 3 * shape.len()];
        let sheet = labelled(&black, shape, &["", "an upright bar", "_"], 2);
        // Images of 72, a line of 9, and gaps.
        assert_eq!(sheet.dimensions(), (2 * 74 + 2, 2 * 83 + 2));
        let ink = Rgb([224; 3]);
        let inked = |x: u32, y: u32| -> Vec<(u32, u32)> {
            let places = (y..y + 9).flat_map(|y| (x..x + 72).map(move |x| (x, y)));
            places
                .filter(|&(x, y)| sheet.get_pixel(x, y) == &ink)
                .collect()
        };
        assert!(inked(2, 74).is_empty());
        // Twelve letters fit.
        let text = inked(76, 74);
        assert!(text.len() > 50, "{}", text.len());
        // An underscore is one line near the bottom.
        let dash = inked(2, 157);
        assert!(
            dash.len() >= 4
                && dash
                    .iter()
                    .all(|&(x, y)| x < 8 && y == dash[0].1 && y > 160)
        );
        let all = sheet.pixels().filter(|&pixel| pixel == &ink).count();
        assert_eq!(all, text.len() + dash.len());
        assert_eq!(sheet.get_pixel(2, 2), &Rgb([0; 3]));
        assert_eq!(sheet.get_pixel(73, 73), &Rgb([0; 3]));
    }
}
