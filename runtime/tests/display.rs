//! Drawing on embedded-graphics' mock display.

use embedded_graphics::mock_display::MockDisplay;
use embedded_graphics::pixelcolor::raw::ToBytes;
use embedded_graphics::pixelcolor::{BinaryColor, Gray8, Rgb565, Rgb888};
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;
use pocketgan::display::{Rows, dither, rgb565};
use pocketgan::{Buffer, Error, Generator, Model, RowSink, SampleError, include_model, rgb565_row};

const MODEL: Model = include_model!("../../models/mnist-nano/model.pgan");

/// Draws the seven of seed 1 and returns its pixels, made at once.
fn draw_seven<D: DrawTarget>(
    rows: &mut Rows<'_, D, impl FnMut(Point, &[u8]) -> D::Color>,
) -> Vec<u8> {
    let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    let mut generator = Generator::new(&MODEL, &mut buffer).expect("the buffer is the model's");
    generator.set_class(7).expect("there are ten classes");
    generator.sample_rows(1, rows).expect("a class was chosen");
    let mut image = [0; MODEL.image_len()];
    generator
        .sample(1, &mut image)
        .expect("the image is the model's");
    image.to_vec()
}

#[test]
fn a_seven_is_a_seven() {
    let mut display = MockDisplay::new();
    let bright = |_, pixel: &[u8]| BinaryColor::from(pixel[0] >= 128);
    let mut rows = Rows::new(&mut display, Point::zero(), 1, 1, bright);
    draw_seven(&mut rows);
    rows.result().expect("a mock display draws");
    display.assert_pattern(&[
        "............................",
        "............................",
        "............................",
        "............................",
        "............................",
        "............................",
        "............................",
        "...........###########......",
        ".......################.....",
        ".......########....####.....",
        ".......#####.......####.....",
        "........###........####.....",
        "...................###......",
        ".................#####......",
        "................#####.......",
        "........#############.......",
        ".......#############........",
        "...........########.........",
        "............####............",
        "............####............",
        "............###.............",
        "...........###..............",
        "..........####..............",
        ".........####...............",
        ".........###................",
        ".........###................",
        "..........#.................",
        "............................",
    ]);
}

#[test]
fn every_point_has_its_pixels_colour() {
    let (corner, scale) = (Point::new(3, 5), 2);
    let mut display = MockDisplay::new();
    let mut rows = Rows::new(&mut display, corner, scale, 1, |_, pixel: &[u8]| {
        Gray8::new(pixel[0])
    });
    let image = draw_seven(&mut rows);
    rows.result().expect("a mock display draws");
    let shape = MODEL.output();
    let area = Rectangle::new(
        corner,
        Size::new(shape.width as u32, shape.height as u32) * scale,
    );
    for point in display.bounding_box().points() {
        let from_corner = (point - corner) / scale as i32;
        let index = from_corner.y * shape.width as i32 + from_corner.x;
        let pixel = area
            .contains(point)
            .then(|| Gray8::new(image[index as usize]));
        assert_eq!(display.get_pixel(point), pixel, "{point}");
    }
}

#[test]
fn a_coloured_pixel_keeps_its_channels() {
    let mut display = MockDisplay::new();
    let colour = |_, pixel: &[u8]| Rgb888::new(pixel[0], pixel[1], pixel[2]);
    let mut rows = Rows::new(&mut display, Point::zero(), 1, 3, colour);
    rows.row(0, &[255, 0, 0, 0, 255, 0]);
    rows.row(1, &[0, 0, 255, 255, 255, 255]);
    rows.result().expect("a mock display draws");
    display.assert_pattern(&["RG", "BW"]);
}

#[test]
fn dithering_lights_as_many_points_as_the_level_asks_for() {
    let block = Rectangle::new(Point::new(-4, 4), Size::new(4, 4));
    let lit = |level| {
        block
            .points()
            .filter(|&point| dither(point, &[level]).is_on())
            .count()
    };
    assert_eq!(
        [0, 7, 8, 128, 247, 248, 255].map(lit),
        [0, 0, 1, 8, 15, 16, 16]
    );
}

/// `embedded-graphics`' own conversion of a pixel of three channels.
fn converted(&[r, g, b]: &[u8; 3]) -> Rgb565 {
    Rgb888::new(r, g, b).into()
}

#[test]
fn each_level_becomes_the_nearest_of_a_colour_display() {
    for level in 0..=255 {
        for pixel in [[level, 0, 0], [0, level, 0], [255, 255, level], [level; 3]] {
            assert_eq!(
                rgb565(Point::zero(), &pixel),
                converted(&pixel),
                "{pixel:?}"
            );
        }
        let grey = Rgb565::from(Gray8::new(level));
        assert_eq!(rgb565(Point::zero(), &[level]), grey, "{level}");
    }
}

#[test]
fn a_row_becomes_a_colour_displays_bytes() {
    // Of each channel all levels, in another order.
    let pixels: Vec<[u8; 3]> = (0..=255u8)
        .map(|i| [i, i.wrapping_mul(7), i.wrapping_mul(77)])
        .collect();
    let expected: Vec<[u8; 2]> = pixels
        .iter()
        .map(|pixel| converted(pixel).to_be_bytes())
        .collect();
    let mut bytes = [0; 512];
    assert_eq!(rgb565_row(pixels.as_flattened(), 3, &mut bytes), Ok(()));
    assert_eq!(bytes, *expected.as_flattened());

    let greys: Vec<u8> = pixels.iter().map(|pixel| pixel[1]).collect();
    let expected: Vec<[u8; 2]> = greys
        .iter()
        .map(|&grey| Rgb565::from(Gray8::new(grey)).to_be_bytes())
        .collect();
    assert_eq!(rgb565_row(&greys, 1, &mut bytes), Ok(()));
    assert_eq!(bytes, *expected.as_flattened());
}

#[test]
fn a_row_of_another_length_is_refused() {
    let pixels = [255; 12];
    for (len, channels, width) in [
        (12, 3, 3),
        (12, 3, 5),
        (12, 1, 4),
        (11, 3, 4),
        (0, 1, 1),
        (1, 1, 0),
        (0, 0, 0),
        (12, 0, 4),
        (12, usize::MAX, 4),
    ] {
        let mut bytes = vec![7; 2 * width];
        let refused = rgb565_row(&pixels[..len], channels, &mut bytes);
        assert_eq!(
            refused,
            Err(Error::SliceLength),
            "{len}, {channels}, {width}"
        );
        assert!(bytes.iter().all(|&byte| byte == 7));
    }
    // Half a pixel of bytes.
    assert_eq!(rgb565_row(&pixels, 3, &mut [0; 9]), Err(Error::SliceLength));
    assert_eq!(rgb565_row(&[], 3, &mut []), Ok(()));
}

/// A display that takes one row and then fails.
struct Broken(usize);

impl OriginDimensions for Broken {
    fn size(&self) -> Size {
        Size::new(64, 64)
    }
}

impl DrawTarget for Broken {
    type Color = Gray8;
    type Error = usize;

    fn draw_iter<I: IntoIterator<Item = Pixel<Gray8>>>(&mut self, _: I) -> Result<(), usize> {
        self.0 += 1;
        if self.0 == 1 { Ok(()) } else { Err(self.0) }
    }
}

#[test]
fn a_failure_of_the_display_is_told_and_ends_the_drawing() {
    let mut display = Broken(0);
    let mut rows = Rows::new(&mut display, Point::zero(), 1, 1, |_, pixel: &[u8]| {
        Gray8::new(pixel[0])
    });
    draw_seven(&mut rows);
    assert_eq!(rows.result(), Err(2));
    assert_eq!(display.0, 2);

    let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    let mut generator = Generator::new(&MODEL, &mut buffer).expect("the buffer is the model's");
    generator.set_class(7).expect("there are ten classes");
    let mut display = Broken(0);
    let mut rows = Rows::new(&mut display, Point::zero(), 1, 1, |_, pixel: &[u8]| {
        Gray8::new(pixel[0])
    });
    let result = generator.try_sample_rows(1, &mut rows);
    assert_eq!(result, Err(SampleError::Sink(2)));
    assert_eq!(
        generator.next_row().map(|row| row.y),
        Some(2),
        "no row was made behind the failure"
    );
}
