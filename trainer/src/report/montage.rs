//! Many small images as one.

use crate::spec::Shape;
use image::{ImageResult, Rgb, RgbImage};

/// Pixels of the screen for a pixel of an image.
const ZOOM: usize = 2;
/// Pixels between two images.
const GAP: usize = 2;
const GROUND: Rgb<u8> = Rgb([48, 48, 48]);

/// Images, `(N, C, H, W)` pixels with C 1 (grey) or 3 (RGB), side by side in rows of `columns`, as a
/// PNG file. Other channel counts show their first channel as grey.
///
/// # Errors
/// The encoder's.
pub fn montage(pixels: &[u8], shape: Shape, columns: usize) -> ImageResult<Vec<u8>> {
    let count = pixels.len() / shape.len().max(1);
    let columns = columns.clamp(1, count.max(1));
    let pitch = |side: usize| side * ZOOM + GAP;
    let width = columns * pitch(shape.width) + GAP;
    let height = count.div_ceil(columns) * pitch(shape.height) + GAP;
    let mut sheet = RgbImage::from_pixel(width as u32, height as u32, GROUND);
    for (i, image) in pixels.chunks_exact(shape.len().max(1)).enumerate() {
        let (left, top) = (
            GAP + i % columns * pitch(shape.width),
            GAP + i / columns * pitch(shape.height),
        );
        for y in 0..shape.height * ZOOM {
            for x in 0..shape.width * ZOOM {
                let at = y / ZOOM * shape.width + x / ZOOM;
                let colour = Rgb(colour(image, shape, at));
                sheet.put_pixel((left + x) as u32, (top + y) as u32, colour);
            }
        }
    }
    super::png(sheet)
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
        let png = montage(&[1, 2, 3], Shape::new(3, 1, 1), 1).unwrap();
        let sheet = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(sheet.get_pixel(2, 2), &Rgb([1, 2, 3]));
    }
}
