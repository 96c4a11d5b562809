//! Curves over the steps of a run.

use super::canvas::Canvas;
use embedded_graphics::mono_font::{MonoTextStyle, ascii::FONT_9X15};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{Line, PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};
use image::{ImageResult, Rgb, RgbImage};
use std::convert::Infallible;

const WIDTH: i32 = 900;
const HEIGHT: i32 = 480;
/// The frame: left, top, right, bottom.
const FRAME: [i32; 4] = [72, 40, WIDTH - 24, HEIGHT - 48];
const INK: Rgb888 = Rgb888::new(40, 40, 40);
const RULE: Rgb888 = Rgb888::new(224, 224, 224);
const COLOURS: [Rgb888; 4] = [
    Rgb888::new(31, 119, 180),
    Rgb888::new(214, 96, 20),
    Rgb888::new(44, 140, 44),
    Rgb888::new(140, 86, 160),
];

/// A named curve of `(step, value)` points.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve<'a> {
    pub name: &'a str,
    pub points: Vec<(f64, f64)>,
}

/// Curves in one frame, as a PNG file. Points that are not finite are left out.
///
/// # Errors
/// The encoder's.
pub fn plot(curves: &[Curve<'_>]) -> ImageResult<Vec<u8>> {
    let mut canvas = Canvas(RgbImage::from_pixel(
        WIDTH as u32,
        HEIGHT as u32,
        Rgb([255; 3]),
    ));
    let Ok(()) = draw(&mut canvas, curves);
    super::png(canvas.0)
}

fn draw(canvas: &mut Canvas, curves: &[Curve<'_>]) -> Result<(), Infallible> {
    let finite = |curve: &Curve<'_>| -> Vec<(f64, f64)> {
        let points = curve.points.iter().copied();
        points
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .collect()
    };
    let drawn: Vec<Vec<(f64, f64)>> = curves.iter().map(finite).collect();
    let all = || drawn.iter().flatten();
    let x = Axis::over(all().map(|p| p.0), FRAME[0], FRAME[2]);
    let y = Axis::over(all().map(|p| p.1), FRAME[3], FRAME[1]);
    let [left, top, right, bottom] = FRAME;
    let style = MonoTextStyle::new(&FONT_9X15, INK);
    let anchor = |alignment, baseline| {
        let style = TextStyleBuilder::new();
        style.alignment(alignment).baseline(baseline).build()
    };
    for tick in x.ticks() {
        let at = Point::new(x.place(tick), bottom + 8);
        let text = anchor(Alignment::Center, Baseline::Top);
        Text::with_text_style(&x.label(tick), at, style, text).draw(canvas)?;
    }
    for tick in y.ticks() {
        let at = y.place(tick);
        Line::new(Point::new(left, at), Point::new(right, at))
            .into_styled(PrimitiveStyle::with_stroke(RULE, 1))
            .draw(canvas)?;
        let text = anchor(Alignment::Right, Baseline::Middle);
        let at = Point::new(left - 8, at);
        Text::with_text_style(&y.label(tick), at, style, text).draw(canvas)?;
    }
    Rectangle::with_corners(Point::new(left, top), Point::new(right, bottom))
        .into_styled(PrimitiveStyle::with_stroke(INK, 1))
        .draw(canvas)?;
    let mut legend = left;
    for ((curve, points), colour) in curves.iter().zip(&drawn).zip(COLOURS.iter().cycle()) {
        let stroke = PrimitiveStyle::with_stroke(*colour, 2);
        for pair in points.windows(2) {
            let [from, to] =
                [pair[0], pair[1]].map(|(px, py)| Point::new(x.place(px), y.place(py)));
            Line::new(from, to).into_styled(stroke).draw(canvas)?;
        }
        let style = MonoTextStyle::new(&FONT_9X15, *colour);
        let text = anchor(Alignment::Left, Baseline::Middle);
        let end = Text::with_text_style(curve.name, Point::new(legend, top / 2), style, text)
            .draw(canvas)?;
        legend = end.x + 24;
    }
    let text = anchor(Alignment::Right, Baseline::Middle);
    Text::with_text_style("step", Point::new(right, HEIGHT - 12), style, text).draw(canvas)?;
    Ok(())
}

/// A linear scale from values to places on the canvas, with round ticks.
struct Axis {
    low: f64,
    high: f64,
    start: i32,
    end: i32,
    spacing: f64,
}

impl Axis {
    /// From the least to the greatest value, rounded outwards to ticks.
    fn over(values: impl Iterator<Item = f64>, start: i32, end: i32) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(v), high.max(v))
        });
        let (low, high) = if !low.is_finite() {
            (0.0, 1.0)
        } else if high > low {
            (low, high)
        } else {
            (low - 0.5, low + 0.5)
        };
        // About five ticks, a power of ten times 1, 2 or 5 apart.
        let rough = (high - low) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
        let spacing = steps.into_iter().find(|&s| s >= rough).unwrap_or(rough);
        Self {
            low: (low / spacing).floor() * spacing,
            high: (high / spacing).ceil() * spacing,
            start,
            end,
            spacing,
        }
    }

    fn place(&self, value: f64) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        self.start + (share * f64::from(self.end - self.start)).round() as i32
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = ((self.high - self.low) / self.spacing).round() as i32;
        (0..=count).map(|i| self.low + f64::from(i) * self.spacing)
    }

    fn label(&self, tick: f64) -> String {
        let decimals = (-self.spacing.log10().floor()).clamp(0.0, 6.0) as usize;
        format!("{tick:.decimals$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_the_values() {
        let axis = Axis::over([0.31, 2.74].into_iter(), 0, 100);
        let labels: Vec<String> = axis.ticks().map(|tick| axis.label(tick)).collect();
        assert_eq!(labels, ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"]);
        assert_eq!((axis.place(0.0), axis.place(3.0)), (0, 100));
    }

    #[test]
    fn a_curve_is_drawn_where_its_values_are() {
        let curve = Curve {
            name: "d",
            points: vec![(0.0, 1.0), (10.0, 2.0), (20.0, f64::NAN)],
        };
        let png = plot(&[curve]).unwrap();
        let image = image::load_from_memory(&png).unwrap().to_rgb8();
        let blue = Rgb([31, 119, 180]);
        let [left, top, right, bottom] = FRAME.map(|v| v as u32);
        assert_eq!(image.get_pixel(left, bottom), &blue);
        assert_eq!(image.get_pixel(right, top), &blue);
        assert_eq!(image.get_pixel(left + 5, top + 5), &Rgb([255; 3]));
    }

    #[test]
    fn nothing_to_draw_is_no_error() {
        assert!(plot(&[]).is_ok());
        let flat = Curve {
            name: "flat",
            points: vec![(1.0, 4.0)],
        };
        assert!(plot(&[flat]).is_ok());
    }
}
