//! One picture: decoded, turned upright, laid on white, cropped and scaled.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use super::PictureProblem;

/// Pixels of a side, and bytes of a decoded picture: a bomb is refused before it goes off.
const LARGEST_SIDE: u32 = 1 << 15;
const LARGEST_PICTURE: u64 = 1 << 28;

/// Reads the picture at `path` as `side` rows and columns: the largest square in its middle, scaled by a triangle
/// filter as wide as the scale asks for. Bytes, (H, W, C), red, green, blue.
///
/// # Errors
/// A file that is not a whole PNG or JPEG, or too large to be one.
pub fn read(path: &Path, side: usize) -> Result<Vec<u8>, PictureProblem> {
    let picture = square(decode(&fs::read(path)?)?);
    let picture = on_white(&picture);
    let side = side as u32;
    Ok(imageops::resize(&picture, side, side, FilterType::Triangle).into_raw())
}

/// Decodes a file, and turns the picture as its EXIF data says.
fn decode(bytes: &[u8]) -> Result<DynamicImage, PictureProblem> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(LARGEST_PICTURE);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    match reader.format() {
        Some(ImageFormat::Png) => {}
        // The decoder paints what is missing grey.
        Some(ImageFormat::Jpeg) if !ends(bytes) => return Err(PictureProblem::CutOff),
        Some(ImageFormat::Jpeg) => {}
        _ => return Err(PictureProblem::Format),
    }
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    limits.reserve(decoder.total_bytes())?;
    decoder.set_limits(limits)?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Whether a JPEG file has its end-of-image marker, where the markers lead to (ITU-T T.81, B.1).
fn ends(jpeg: &[u8]) -> bool {
    const END: u8 = 0xd9;
    const SCAN: u8 = 0xda;
    // Behind the start-of-image marker.
    let mut at = 2;
    while let Some(&[mark, code]) = jpeg.get(at..at + 2) {
        match (mark, code) {
            (0xff, END) => return true,
            // Fill, and markers without a segment: restarts, and the start of an image.
            (0xff, 0xff) => at += 1,
            (0xff, 0x01 | 0xd0..=0xd8) => at += 2,
            (0xff, code) => {
                let Some(&[high, low]) = jpeg.get(at + 2..at + 4) else {
                    return false;
                };
                at += 2 + usize::from(u16::from_be_bytes([high, low]));
                if code == SCAN {
                    at += scan_len(&jpeg[at.min(jpeg.len())..]);
                }
            }
            // No marker where one should be: the decoder looks for the next one too.
            _ => at += 1,
        }
    }
    false
}

/// Bytes of a scan's coded data, up to a marker that is neither a stuffed byte nor a restart.
fn scan_len(data: &[u8]) -> usize {
    let is_end = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xd0..=0xd7);
    data.windows(2).position(is_end).unwrap_or(data.len())
}

/// The largest square in the middle; of an odd remainder the smaller half is cut off left and on top.
fn square(picture: DynamicImage) -> DynamicImage {
    let (width, height) = (picture.width(), picture.height());
    let side = width.min(height);
    match width == height {
        true => picture,
        false => picture.crop_imm((width - side) / 2, (height - side) / 2, side, side),
    }
}

/// A picture over white, of 8 bits a channel.
fn on_white(picture: &DynamicImage) -> RgbImage {
    match picture {
        DynamicImage::ImageLumaA16(_) | DynamicImage::ImageRgba16(_) => {
            let deep = picture.to_rgba16();
            RgbImage::from_fn(deep.width(), deep.height(), |x, y| {
                let [r, g, b, a] = deep.get_pixel(x, y).0.map(u64::from);
                let laid = [r, g, b].map(|c| over_white(c, a, 65_535));
                image::Rgb(laid.map(|c| ((c + 128) / 257) as u8))
            })
        }
        _ if picture.color().has_alpha() => {
            let picture = picture.to_rgba8();
            RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
                let [r, g, b, a] = picture.get_pixel(x, y).0.map(u64::from);
                image::Rgb([r, g, b].map(|c| over_white(c, a, 255) as u8))
            })
        }
        _ => picture.to_rgb8(),
    }
}

/// `c` of opacity `a`, both up to `most`, over white; rounded.
fn over_white(c: u64, a: u64, most: u64) -> u64 {
    (c * a + most * (most - a) + most / 2) / most
}
