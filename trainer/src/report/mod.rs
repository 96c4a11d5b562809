//! What a run shows: montages, animations, the loss plot; and the formats of pictures.

mod animation;
mod canvas;
mod format;
mod montage;
mod plot;

pub use animation::{AnimationError, animation};
pub use format::{Format, FormatError};
pub use montage::{labelled, montage, sheet};
pub use plot::{Curve, plot};

use crate::mark::marked;
use image::{DynamicImage, ImageFormat, ImageResult};
use std::io::Cursor;

/// An image as the bytes of a PNG file, with this program's mark.
///
/// # Errors
/// The encoder's.
pub fn png(image: impl Into<DynamicImage>) -> ImageResult<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, ImageFormat::Png)?;
    Ok(marked(bytes.into_inner(), ImageFormat::Png))
}
