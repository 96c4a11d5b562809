//! What a run shows: montages, animations, the loss plot.

mod animation;
mod canvas;
mod montage;
mod plot;

pub use animation::{AnimationError, animation};
pub use montage::{labelled, montage};
pub use plot::{Curve, plot};

use crate::mark::marked;
use image::{DynamicImage, ImageFormat, ImageResult};
use std::io::Cursor;

/// An image as the bytes of a PNG file, with this program's mark.
fn png(image: impl Into<DynamicImage>) -> ImageResult<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, ImageFormat::Png)?;
    Ok(marked(bytes.into_inner(), ImageFormat::Png))
}
