//! Small images one after the other.

use crate::mark::marked;
use crate::spec::Shape;
use gif::{Encoder, EncodingError, Frame, Repeat};
use image::ImageFormat;

/// The images are made about so many pixels wide and high.
const SIDE: usize = 256;
/// Hundredths of a second that an image stays.
const DELAY: u16 = 10;

/// Why there is no animation.
#[derive(Debug, thiserror::Error)]
pub enum AnimationError {
    /// The format counts in 16 bits.
    #[error("images of {width}x{height} pixels are too large for a GIF, which holds 65535 a side")]
    TooLarge { width: usize, height: usize },
    #[error(transparent)]
    Encode(#[from] EncodingError),
}

/// Images, `(N, C, H, W)` pixels with C 1 (grey) or 3 (RGB), one after the other and again from the first, as a GIF
/// file. Grey ones are kept exactly; those with more than 256 colours have theirs reduced. Other channel counts
/// show their first channel as grey.
///
/// # Errors
/// Images too large for the format; the encoder's.
pub fn animation(pixels: &[u8], shape: Shape) -> Result<Vec<u8>, AnimationError> {
    let zoom = (SIDE / shape.height.max(shape.width).max(1)).max(1);
    let (width, height) = (shape.width * zoom, shape.height * zoom);
    let (Ok(across), Ok(down)) = (u16::try_from(width), u16::try_from(height)) else {
        return Err(AnimationError::TooLarge { width, height });
    };
    let greys: Vec<u8> = (0..=255u8).flat_map(|grey| [grey; 3]).collect();
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, across, down, &greys)?;
    encoder.set_repeat(Repeat::Infinite)?;
    for image in pixels.chunks_exact(shape.len().max(1)) {
        let places = (0..width * height).map(|i| i / width / zoom * shape.width + i % width / zoom);
        let mut frame = match shape.channels {
            3 => {
                let colours = places.flat_map(|at| super::montage::colour(image, shape, at));
                let colours: Vec<u8> = colours.collect();
                Frame::from_rgb_speed(across, down, &colours, 1)
            }
            // The value is the number of its grey.
            _ => Frame {
                width: across,
                height: down,
                buffer: places.map(|at| image[at]).collect(),
                ..Frame::default()
            },
        };
        frame.delay = DELAY;
        encoder.write_frame(&frame)?;
    }
    drop(encoder);
    Ok(marked(bytes, ImageFormat::Gif))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every frame as RGB, decoded by the format's rules.
    fn decoded(bytes: &[u8]) -> (u16, u16, Repeat, Vec<(u16, Vec<u8>)>) {
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(bytes).unwrap();
        let mut frames = Vec::new();
        while let Some(frame) = decoder.read_next_frame().unwrap() {
            let pixels = frame.buffer.chunks(4).flat_map(|p| p[..3].to_vec());
            frames.push((frame.delay, pixels.collect()));
        }
        (decoder.width(), decoder.height(), decoder.repeat(), frames)
    }

    #[test]
    fn greys_come_back_exactly_and_for_ever() {
        let shape = Shape::new(1, 2, 4);
        let pixels: Vec<u8> = (0..24).map(|i| i * 11).collect();
        let bytes = animation(&pixels, shape).unwrap();
        let (width, height, repeat, frames) = decoded(&bytes);
        assert_eq!((width, height, repeat), (256, 128, Repeat::Infinite));
        assert_eq!(frames.len(), 3);
        for ((delay, frame), image) in frames.iter().zip(pixels.chunks(8)) {
            assert_eq!(*delay, DELAY);
            for (i, pixel) in frame.chunks(3).enumerate() {
                let (x, y) = (i % 256 / 64, i / 256 / 64);
                assert_eq!(pixel, [image[4 * y + x]; 3], "{x} {y}");
            }
        }
    }

    #[test]
    fn few_colours_come_back_exactly() {
        // Planes of red, green and blue.
        let pixels = [10, 20, 30, 40, 50, 60];
        let bytes = animation(&pixels, Shape::new(3, 1, 2)).unwrap();
        let (_, _, _, frames) = decoded(&bytes);
        let row = &frames[0].1[..256 * 3];
        assert_eq!(row[..3], [10, 30, 50]);
        assert_eq!(row[255 * 3..], [20, 40, 60]);
    }

    #[test]
    fn what_no_gif_holds_is_refused() {
        let shape = Shape::new(1, 1, 70_000);
        let refused = animation(&vec![0; 70_000], shape).unwrap_err();
        assert!(matches!(refused, AnimationError::TooLarge { .. }));
    }
}
