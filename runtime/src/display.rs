//! Pictures on any display that `embedded-graphics` knows, row by row, so that no picture is ever in memory.

use crate::rgb565;
use crate::rows::{RowSink, TryRowSink};
use embedded_graphics_core::pixelcolor::raw::RawU16;
use embedded_graphics_core::pixelcolor::{BinaryColor, Rgb565};
use embedded_graphics_core::prelude::*;
use embedded_graphics_core::primitives::Rectangle;

/// Draws each row of a picture as it is made.
///
/// The rows come from [`Generator::try_sample_rows`](crate::Generator::try_sample_rows), which stops at the display's
/// first failure and gives it back, or from [`Generator::sample_rows`](crate::Generator::sample_rows), which makes all
/// rows; how the drawing went is then [`result`](Self::result).
///
/// ```
/// use embedded_graphics::{mock_display::MockDisplay, pixelcolor::Gray8, prelude::*};
/// use pocketgan::{Buffer, Generator, Model, display::Rows};
///
/// const MODEL: Model = pocketgan::include_model!("../tests/data/v1-int8.pgan");
///
/// let mut display = MockDisplay::new();
/// let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
/// let mut generator = Generator::new(&MODEL, &mut buffer)?;
/// let grey = |_, pixel: &[u8]| Gray8::new(pixel[0]);
/// let mut rows = Rows::new(&mut display, Point::new(4, 4), 2, 1, grey);
/// generator.try_sample_rows(1, &mut rows).expect("a mock display draws");
/// assert_eq!(display.affected_area().size, Size::new(16, 16));
/// # Ok::<(), pocketgan::Error>(())
/// ```
#[derive(Debug)]
pub struct Rows<'a, D, S>
where
    D: DrawTarget,
{
    display: &'a mut D,
    top_left: Point,
    scale: u32,
    channels: usize,
    shade: S,
    result: Result<(), D::Error>,
}

impl<'a, D, S> Rows<'a, D, S>
where
    D: DrawTarget,
    S: FnMut(Point, &[u8]) -> D::Color,
{
    /// Draws pictures of `channels` channels at `top_left`, each pixel a square of `scale` by `scale`
    /// points. `shade` gives the colour of a point of the display from the pixel's channels, 0 to 255.
    pub fn new(display: &'a mut D, top_left: Point, scale: u32, channels: usize, shade: S) -> Self {
        Self {
            display,
            top_left,
            scale,
            channels: channels.max(1),
            shade,
            result: Ok(()),
        }
    }

    /// How the drawing went.
    ///
    /// # Errors
    ///
    /// The display's first failure, after which nothing was drawn.
    pub fn result(self) -> Result<(), D::Error> {
        self.result
    }

    fn draw(&mut self, y: usize, pixels: &[u8]) -> Result<(), D::Error> {
        let columns = pixels.len() / self.channels;
        let size = Size::new(columns as u32 * self.scale, self.scale);
        let top = self.top_left + Point::new(0, y as i32 * self.scale as i32);
        let area = Rectangle::new(top, size);
        let (scale, left, channels) = (self.scale as i32, top.x, self.channels);
        let shade = &mut self.shade;
        let colours = area.points().map(|point| {
            let column = ((point.x - left) / scale) as usize;
            let pixel = pixels.chunks_exact(channels).nth(column);
            shade(point, pixel.unwrap_or_default())
        });
        self.display.fill_contiguous(&area, colours)
    }
}

impl<D, S> TryRowSink for Rows<'_, D, S>
where
    D: DrawTarget,
    S: FnMut(Point, &[u8]) -> D::Color,
{
    type Error = D::Error;

    fn try_row(&mut self, y: usize, pixels: &[u8]) -> Result<(), D::Error> {
        self.draw(y, pixels)
    }
}

impl<D, S> RowSink for Rows<'_, D, S>
where
    D: DrawTarget,
    S: FnMut(Point, &[u8]) -> D::Color,
{
    fn row(&mut self, y: usize, pixels: &[u8]) {
        if self.result.is_ok() {
            self.result = self.draw(y, pixels);
        }
    }
}

/// Greys for a display of two colours: the brighter the pixel, the more of its points are on (Bayer's
/// matrix of 4 by 4 thresholds).
pub fn dither(point: Point, pixel: &[u8]) -> BinaryColor {
    const THRESHOLDS: [[u8; 4]; 4] = [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]];
    let [x, y] = [point.x, point.y].map(|at| at.rem_euclid(4) as usize);
    let threshold = THRESHOLDS[y][x] * 16 + 8;
    BinaryColor::from(pixel.first().is_some_and(|&level| level >= threshold))
}

/// Colours for a display of 65,536 of them. Three channels are red, green and blue (further ones are left out); fewer
/// are a grey, the first. Levels of 0 to 255 are rounded to the nearest of the display's: 0 to 31 of red and blue, 0 to
/// 63 of green. [`rgb565_row`](crate::rgb565_row) gives the same colours as bytes.
///
/// ```
/// use embedded_graphics::{mock_display::MockDisplay, pixelcolor::Rgb565, prelude::*};
/// use pocketgan::RowSink;
/// use pocketgan::display::{Rows, rgb565};
///
/// let mut display = MockDisplay::new();
/// let mut rows = Rows::new(&mut display, Point::zero(), 1, 3, rgb565);
/// rows.row(0, &[255, 0, 0, 255, 255, 255]);
/// rows.result().expect("a mock display draws");
/// assert_eq!(display.get_pixel(Point::new(1, 0)), Some(Rgb565::WHITE));
/// display.assert_pattern(&["RW"]);
/// ```
pub fn rgb565(_: Point, pixel: &[u8]) -> Rgb565 {
    RawU16::new(rgb565::rgb565(pixel)).into()
}
