//! JPEG files: whether they are whole, their colours as libjpeg takes them, and a second decoder.

use std::borrow::Cow;

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::{Decoder, PixelFormat};

use super::picture::{LARGEST_PICTURE, LARGEST_SIDE};

/// The end-of-image marker.
const END: u8 = 0xd9;
/// The start-of-scan marker.
const SCAN: u8 = 0xda;
/// Those of JFIF's and Adobe's segments.
const APP0: u8 = 0xe0;
const APP14: u8 = 0xee;

/// The marker segments of a file (ITU-T T.81, B.1), each its code and where its contents begin. Coded data and what
/// stands between segments is passed over, as decoders do.
struct Segments<'a> {
    jpeg: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    fn of(jpeg: &'a [u8]) -> Self {
        // After the start-of-image marker.
        Self { jpeg, at: 2 }
    }
}

impl Iterator for Segments<'_> {
    type Item = (u8, usize);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(&[mark, code]) = self.jpeg.get(self.at..self.at + 2) {
            match (mark, code) {
                (0xff, END) => {
                    self.at = self.jpeg.len();
                    return Some((END, self.at));
                }
                // Fill, and markers without a segment: restarts, and the start of an image.
                (0xff, 0xff) => self.at += 1,
                (0xff, 0x01 | 0xd0..=0xd8) => self.at += 2,
                (0xff, code) => {
                    let contents = self.at + 4;
                    let &[high, low] = self.jpeg.get(self.at + 2..contents)? else {
                        return None;
                    };
                    self.at += 2 + usize::from(u16::from_be_bytes([high, low]));
                    if code == SCAN {
                        self.at += scan_len(&self.jpeg[self.at.min(self.jpeg.len())..]);
                    }
                    return Some((code, contents));
                }
                // No marker where one should be: the decoder looks for the next one too.
                _ => self.at += 1,
            }
        }
        None
    }
}

/// Bytes of a scan's coded data, up to a marker that is neither a stuffed byte nor a restart.
fn scan_len(data: &[u8]) -> usize {
    let is_end = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xd0..=0xd7);
    data.windows(2).position(is_end).unwrap_or(data.len())
}

/// Whether a file has its end-of-image marker, where the markers lead to.
pub fn ends(jpeg: &[u8]) -> bool {
    Segments::of(jpeg).any(|(code, _)| code == END)
}

/// The file with the colour transform of its Adobe segment as libjpeg takes it (`jdapimin.c`): of three components
/// YCbCr where there is a JFIF segment too, or the transform is none of 0 and 1; of four YCCK where it is none of 0 and
/// 2; and of one component none at all.
pub fn as_libjpeg_reads(jpeg: &[u8]) -> Cow<'_, [u8]> {
    let mut jfif = false;
    let mut adobe = None;
    let mut components = 0;
    for (code, at) in Segments::of(jpeg).take_while(|&(code, _)| code != SCAN) {
        let contents = jpeg.get(at..).unwrap_or_default();
        match code {
            APP0 => jfif |= contents.starts_with(b"JFIF\0"),
            APP14 if contents.starts_with(b"Adobe") => adobe = Some(at),
            // Frames; among these codes are those of tables too.
            0xc0..=0xcf if ![0xc4, 0xc8, 0xcc].contains(&code) => {
                components = contents.get(5).copied().unwrap_or(0);
            }
            _ => {}
        }
    }
    let Some((adobe, transform)) = adobe.and_then(|at| Some((at, *jpeg.get(at + 11)?))) else {
        return Cow::Borrowed(jpeg);
    };
    let mut file = jpeg.to_vec();
    match (components, transform) {
        // Without its name the segment means nothing.
        (1, _) => file[adobe..adobe + 5].fill(0),
        (3, 0) if jfif => file[adobe + 11] = 1,
        (3, 2..) => file[adobe + 11] = 1,
        (4, 1 | 3..) => file[adobe + 11] = 2,
        _ => return Cow::Borrowed(jpeg),
    }
    Cow::Owned(file)
}

/// Decodes a file that the decoder of `image` gives up on, and turns the picture as its EXIF data says; `None` where
/// this decoder cannot read it either.
pub fn decode(jpeg: &[u8]) -> Option<DynamicImage> {
    let mut decoder = Decoder::new(jpeg);
    decoder.set_max_decoding_buffer_size(LARGEST_PICTURE as usize);
    let pixels = decoder.decode().ok()?;
    let info = decoder.info()?;
    let [width, height] = [info.width, info.height].map(u32::from);
    if width.max(height) > LARGEST_SIDE {
        return None;
    }
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
