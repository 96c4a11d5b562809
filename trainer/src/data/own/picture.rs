//! One picture: decoded, turned upright, laid on white, cropped and scaled.

use std::borrow::Cow;
use std::cell::Cell;
use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use super::{PictureProblem, jpeg};

/// Pixels of a side, and bytes of a decoded picture: a bomb is refused before it goes off.
pub(super) const LARGEST_SIDE: u32 = 1 << 15;
pub(super) const LARGEST_PICTURE: u64 = 1 << 28;
/// Bytes of a file: an uncompressed picture, and what comes with it.
const LARGEST_FILE: u64 = LARGEST_PICTURE + (1 << 24);

/// The formats that are read.
const FORMATS: [ImageFormat; 7] = [
    ImageFormat::Png,
    ImageFormat::Jpeg,
    ImageFormat::WebP,
    ImageFormat::Bmp,
    ImageFormat::Gif,
    ImageFormat::Tiff,
    ImageFormat::Pnm,
];

/// Reads the picture at `path` as `side` rows and columns: the largest square in its middle, scaled by a triangle
/// filter as wide as the scale asks for. Of an animation, the first picture. Bytes, (H, W, C), red, green, blue.
///
/// # Errors
/// A file that is not a whole picture in one of [`FORMATS`], or too large to be one; whatever goes wrong in a decoder.
pub fn read(path: &Path, side: usize) -> Result<Vec<u8>, PictureProblem> {
    read_as(path, |picture| prepare(picture, side))
}

/// Reads the picture at `path` as it is, over white.
///
/// # Errors
/// As [`read`].
pub fn read_whole(path: &Path) -> Result<RgbImage, PictureProblem> {
    read_as(path, |picture| on_white(&picture))
}

/// Decodes the picture at `path` and makes something of it.
fn read_as<T>(path: &Path, make: impl Fn(DynamicImage) -> T) -> Result<T, PictureProblem> {
    let bytes = bytes(path)?;
    let is_jpeg = matches!(image::guess_format(&bytes), Ok(ImageFormat::Jpeg));
    let bytes = if is_jpeg {
        jpeg::as_libjpeg_reads(&bytes)
    } else {
        Cow::Borrowed(&*bytes)
    };
    guarded(|| Ok(make(decode(&bytes)?))).or_else(|problem| {
        if is_jpeg && matches!(problem, PictureProblem::Decode(_) | PictureProblem::Panic) {
            guarded(|| Ok(jpeg::decode(&bytes).map(&make)))?.ok_or(problem)
        } else {
            Err(problem)
        }
    })
}

/// Whether the picture at `path` can be read.
pub fn is_readable(path: &Path) -> bool {
    read(path, 1).is_ok()
}

/// The bytes of a file, if it is not too large for a picture.
fn bytes(path: &Path) -> Result<Vec<u8>, PictureProblem> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    if len > LARGEST_FILE {
        return Err(PictureProblem::TooLarge(len));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A decoded picture as [`read`] gives it.
fn prepare(picture: DynamicImage, side: usize) -> Vec<u8> {
    let picture = on_white(&square(picture));
    let side = side as u32;
    imageops::resize(&picture, side, side, FilterType::Triangle).into_raw()
}

thread_local! {
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoder. A panic in it is an error like others, and prints nothing.
pub(super) fn guarded<T>(
    decode: impl FnOnce() -> Result<T, PictureProblem>,
) -> Result<T, PictureProblem> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_DECODING.get() {
                usual(info);
            }
        }));
    });
    IS_DECODING.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(decode));
    IS_DECODING.set(false);
    outcome.unwrap_or(Err(PictureProblem::Panic))
}

/// Decodes a file, and turns the picture as its EXIF data says.
fn decode(bytes: &[u8]) -> Result<DynamicImage, PictureProblem> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(LARGEST_PICTURE);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    match reader.format() {
        // The decoder paints what is missing grey.
        Some(ImageFormat::Jpeg) if !jpeg::ends(bytes) => return Err(PictureProblem::CutOff),
        Some(format) if FORMATS.contains(&format) => {}
        _ => return Err(PictureProblem::Format),
    }
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    limits.reserve(decoder.total_bytes())?;
    decoder.set_limits(limits)?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    if picture.width() == 0 || picture.height() == 0 {
        return Err(PictureProblem::Empty);
    }
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// The largest square in the middle; of an odd remainder the smaller half is cut off left and on top.
fn square(picture: DynamicImage) -> DynamicImage {
    let (width, height) = (picture.width(), picture.height());
    let side = width.min(height);
    if width == height {
        picture
    } else {
        picture.crop_imm((width - side) / 2, (height - side) / 2, side, side)
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
