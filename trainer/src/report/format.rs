//! The file formats of pictures.

use crate::mark::marked;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageError, ImageFormat, RgbImage};
use std::ffi::OsStr;
use std::io::Cursor;

/// Of JPEG, from 1 to 100.
const JPEG_QUALITY: u8 = 95;

/// A format that pictures are written in. All but JPEG keep grey pictures exactly, and all but JPEG and GIF, which has
/// 256 colours, those in colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Png,
    Jpeg,
    Gif,
    WebP,
    Bmp,
}

/// Why a picture was not encoded.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// More pixels a side than the format holds.
    #[error(
        "a picture of {width}x{height} pixels is too large for this format, which holds {side} a side"
    )]
    TooLarge { width: u32, height: u32, side: u32 },
    #[error(transparent)]
    Encode(#[from] ImageError),
}

impl Format {
    /// The endings of files, for sentences.
    pub const ENDINGS: &str = ".png, .jpg, .jpeg, .gif, .webp and .bmp";

    /// By the ending of a file's name, without its dot, in capitals or not.
    pub fn of_ending(ending: &OsStr) -> Option<Self> {
        match ending.to_str()?.to_ascii_lowercase().as_str() {
            "png" => Some(Self::Png),
            "jpg" | "jpeg" => Some(Self::Jpeg),
            "gif" => Some(Self::Gif),
            "webp" => Some(Self::WebP),
            "bmp" => Some(Self::Bmp),
            _ => None,
        }
    }

    /// Whether a file that begins so is a picture in one of the formats; [`Self::HEAD`] bytes are enough to tell.
    pub fn begins(head: &[u8]) -> bool {
        let has = |at: usize, mark: &[u8]| head.get(at..).is_some_and(|h| h.starts_with(mark));
        has(0, b"\x89PNG\r\n\x1a\n")
            || has(0, b"\xff\xd8\xff")
            || has(0, b"GIF87a")
            || has(0, b"GIF89a")
            || (has(0, b"RIFF") && has(8, b"WEBP"))
            // The length of BMP's second header is below 256, in 32 bits: zeros that no text has.
            || (has(0, b"BM") && has(15, &[0; 3]))
    }

    /// See [`Self::begins`].
    pub const HEAD: u64 = 18;

    /// The most pixels of a side that can be written, and read again.
    fn largest_side(self) -> u32 {
        match self {
            // BMP could hold more, which few programs read.
            Self::Jpeg | Self::Gif | Self::Bmp => u16::MAX.into(),
            // Fourteen bits, as in libwebp.
            Self::WebP => (1 << 14) - 1,
            Self::Png => i32::MAX as u32,
        }
    }

    /// A picture as the bytes of a file, with this program's mark.
    ///
    /// # Errors
    /// A picture too large for the format; the encoder's.
    pub fn encode(self, picture: RgbImage) -> Result<Vec<u8>, FormatError> {
        let (width, height) = picture.dimensions();
        let side = self.largest_side();
        if width.max(height) > side {
            return Err(FormatError::TooLarge {
                width,
                height,
                side,
            });
        }
        let picture = DynamicImage::from(picture);
        let mut bytes = Cursor::new(Vec::new());
        let format = match self {
            Self::Png => ImageFormat::Png,
            Self::Jpeg => ImageFormat::Jpeg,
            Self::Gif => ImageFormat::Gif,
            Self::WebP => ImageFormat::WebP,
            Self::Bmp => ImageFormat::Bmp,
        };
        match self {
            Self::Jpeg => picture
                .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY))?,
            _ => picture.write_to(&mut bytes, format)?,
        }
        Ok(marked(bytes.into_inner(), format))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    const ALL: [(Format, ImageFormat); 5] = [
        (Format::Png, ImageFormat::Png),
        (Format::Jpeg, ImageFormat::Jpeg),
        (Format::Gif, ImageFormat::Gif),
        (Format::WebP, ImageFormat::WebP),
        (Format::Bmp, ImageFormat::Bmp),
    ];

    /// 256 greys.
    fn greys() -> RgbImage {
        RgbImage::from_fn(16, 16, |x, y| Rgb([(16 * y + x) as u8; 3]))
    }

    #[test]
    fn every_format_is_read_as_itself_and_known_by_its_head() {
        for (format, theirs) in ALL {
            let bytes = format.encode(greys()).unwrap();
            assert_eq!(image::guess_format(&bytes).unwrap(), theirs);
            let head = &bytes[..Format::HEAD as usize];
            assert!(Format::begins(head));
            let read = image::load_from_memory(&bytes).unwrap().to_rgb8();
            let written = greys();
            let off = read.iter().zip(written.iter()).map(|(a, b)| a.abs_diff(*b));
            let most = if format == Format::Jpeg { 4 } else { 0 };
            assert!(off.max().unwrap() <= most, "{format:?}");
        }
        for text in [
            "",
            "BM",
            "BMW and other makes of cars",
            "GIF89 notes",
            "RIFF of notes, WEBP",
        ] {
            assert!(!Format::begins(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_a_format_cannot_hold_is_refused() {
        let wide = |width| RgbImage::new(width, 1);
        for (format, theirs) in ALL {
            let fits = format.largest_side().min(1 << 17);
            let bytes = format.encode(wide(fits)).unwrap();
            let read = image::load_from_memory_with_format(&bytes, theirs).unwrap();
            assert_eq!(read.width(), fits, "{format:?}");
            if fits < 1 << 17 {
                let refused = format.encode(wide(fits + 1)).unwrap_err();
                assert!(matches!(refused, FormatError::TooLarge { side, .. } if side == fits));
            }
        }
    }
}
