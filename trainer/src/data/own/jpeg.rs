//! JPEG files that the decoder of `image` gives up on: some CMYK ones, and colour transforms that do not fit.

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};

use super::picture::{LARGEST_PICTURE, LARGEST_SIDE};

/// Decodes a file, and turns the picture as its EXIF data says; `None` where this decoder cannot read it either.
pub fn decode(bytes: &[u8]) -> Option<DynamicImage> {
    let mut decoder = Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(LARGEST_PICTURE as usize);
    decoder.read_info().ok()?;
    let info = decoder.info()?;
    let [width, height] = [info.width, info.height].map(u32::from);
    if width.max(height) > LARGEST_SIDE {
        return None;
    }
    let pixels = decoder.decode().or_else(|_| {
        // Where the Adobe segment names a transform of another number of components, libjpeg takes the usual one.
        decoder = Decoder::new(bytes);
        decoder.set_max_decoding_buffer_size(LARGEST_PICTURE as usize);
        decoder.set_color_transform(match info.pixel_format {
            PixelFormat::L8 | PixelFormat::L16 => ColorTransform::Grayscale,
            PixelFormat::RGB24 => ColorTransform::YCbCr,
            PixelFormat::CMYK32 => ColorTransform::YCCK,
        });
        decoder.decode()
    });
    let pixels = pixels.ok()?;
    let rgb = |pixels| RgbImage::from_raw(width, height, pixels).map(DynamicImage::from);
    let mut picture = match info.pixel_format {
        PixelFormat::L8 => GrayImage::from_raw(width, height, pixels)?.into(),
        PixelFormat::RGB24 => rgb(pixels)?,
        PixelFormat::CMYK32 => rgb(to_rgb(&pixels))?,
        PixelFormat::L16 => return None,
    };
    let orientation = decoder.exif_data().and_then(Orientation::from_exif_chunk);
    picture.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
    Some(picture)
}

/// (N, CMYK), 255 being full ink, to (N, RGB).
fn to_rgb(cmyk: &[u8]) -> Vec<u8> {
    let pixels = cmyk.chunks_exact(4);
    let rgb = pixels.flat_map(|cmyk| {
        let paper = |ink: u8| 255 - u32::from(ink);
        [0, 1, 2].map(|ink| ((paper(cmyk[ink]) * paper(cmyk[3]) + 127) / 255) as u8)
    });
    rgb.collect()
}
