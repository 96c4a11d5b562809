//! Pixels as colour displays take them: 5 bits of red, 6 of green, 5 of blue.

use crate::error::Error;

/// Writes a row of pixels as displays of 65,536 colours (RGB565) take them, for a driver that sends bytes by SPI or
/// DMA: two bytes a pixel, the upper one first.
///
/// `pixels` is a row as a [`RowSink`](crate::RowSink) gets it: `width * channels` levels of 0 to 255, ordered column,
/// channel. `bytes` is `2 * width` long. Three channels are red, green and blue (further ones are left out); fewer are
/// a grey, the first. Levels are rounded to the nearest, as `embedded-graphics` does. Nothing here can panic.
///
/// ```
/// use pocketgan::{Error, rgb565_row};
///
/// let mut bytes = [0; 4];
/// // A red pixel and a white one.
/// rgb565_row(&[255, 0, 0, 255, 255, 255], 3, &mut bytes)?;
/// assert_eq!(bytes, [0xf8, 0x00, 0xff, 0xff]);
/// // Two greys.
/// rgb565_row(&[0, 128], 1, &mut bytes)?;
/// assert_eq!(bytes, [0x00, 0x00, 0x84, 0x10]);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// [`Error::SliceLength`] if `pixels` is not `width * channels` long, where `width` is half the length of `bytes`, or
/// `channels` is 0; `bytes` is then as before.
pub fn rgb565_row(pixels: &[u8], channels: usize, bytes: &mut [u8]) -> Result<(), Error> {
    let (pairs, rest) = bytes.as_chunks_mut::<2>();
    let expected = pairs.len().checked_mul(channels);
    if channels == 0 || !rest.is_empty() || expected != Some(pixels.len()) {
        return Err(Error::SliceLength);
    }
    for (pair, pixel) in pairs.iter_mut().zip(pixels.chunks_exact(channels)) {
        *pair = rgb565(pixel).to_be_bytes();
    }
    Ok(())
}

/// A pixel's colour: red in the upper 5 bits, green in the next 6, blue in the lower 5. Black if it has no channels.
pub(crate) fn rgb565(pixel: &[u8]) -> u16 {
    let [r, g, b] = match *pixel {
        [r, g, b, ..] => [r, g, b],
        [grey, ..] => [grey; 3],
        [] => [0; 3],
    };
    (rounded(r, 31) << 11) | (rounded(g, 63) << 5) | rounded(b, 31)
}

/// A level of 0 to 255 as one of 0 to `most`, the nearest.
fn rounded(level: u8, most: u16) -> u16 {
    (u16::from(level) * most + 127) / 255
}
