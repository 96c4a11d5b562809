//! Images made as large as Inception wants them.

use crate::spec::Shape;

/// Rows and columns of what the network sees.
pub const SIDE: usize = 299;

/// An image, pixels `(C, H, W)` of 1 or 3 channels, as the network sees it: `(3, 299, 299)`, a grey image three times
/// over, resized, a pixel `p` as `(p - 128) / 128`.
///
/// The resizing is TensorFlow 1's bilinear one (`align_corners` false), which every published FID goes through: row
/// `y` of the result is read at `y H / 299`, not at the centres of pixels, between two rows of which the last is
/// repeated. Neither are values rounded, nor are images blurred that shrink.
pub fn enlarge(image: &[u8], shape: Shape) -> Vec<f32> {
    let (rows, columns) = (taps(shape.height), taps(shape.width));
    let mut enlarged = Vec::with_capacity(3 * SIDE * SIDE);
    for plane in image.chunks_exact(shape.height * shape.width) {
        let at = |y: usize, x: usize| f32::from(plane[y * shape.width + x]);
        for row in &rows {
            enlarged.extend(columns.iter().map(|column| {
                let along = |y| mix(at(y, column.low), at(y, column.high), column.share);
                (mix(along(row.low), along(row.high), row.share) - 128.0) / 128.0
            }));
        }
    }
    if shape.channels == 1 {
        enlarged = enlarged.repeat(3);
    }
    enlarged
}

fn mix(low: f32, high: f32, share: f32) -> f32 {
    low + (high - low) * share
}

/// Where a row or a column of the result comes from.
struct Tap {
    low: usize,
    high: usize,
    /// Of `high`.
    share: f32,
}

fn taps(len: usize) -> Vec<Tap> {
    let scale = len as f32 / SIDE as f32;
    let tap = |i: usize| {
        let at = i as f32 * scale;
        let low = (at as usize).min(len.saturating_sub(1));
        Tap {
            low,
            high: (low + 1).min(len.saturating_sub(1)),
            share: at - low as f32,
        }
    };
    (0..SIDE).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slope stays one: what is read at `x 28 / 299` is `9 x 28 / 299`, until the last column is repeated.
    #[test]
    fn a_slope_stays_a_slope() {
        let shape = Shape::new(1, 28, 28);
        let image: Vec<u8> = (0..784).map(|i| 9 * (i % 28) as u8).collect();
        let enlarged = enlarge(&image, shape);
        assert_eq!(enlarged.len(), 3 * SIDE * SIDE);
        for (i, value) in enlarged.iter().enumerate() {
            let at = ((i % SIDE) as f64 * 28.0 / 299.0).min(27.0);
            let expected = (9.0 * at - 128.0) / 128.0;
            assert!((f64::from(*value) - expected).abs() < 1e-5, "{i}");
        }
        // The other way as well.
        let turned: Vec<u8> = (0..784).map(|i| 9 * (i / 28) as u8).collect();
        let turned = enlarge(&turned, shape);
        for (y, x) in [(0, 5), (17, 200), (298, 3)] {
            assert_eq!(turned[y * SIDE + x], enlarged[x * SIDE + y]);
        }
    }

    /// Two pixels side by side, 0 and 255: the middle of the mixture is at column 74.75, and from 149.5 on all is 255.
    #[test]
    fn pixels_are_read_at_their_corners() {
        let row = &enlarge(&[0, 255], Shape::new(1, 1, 2))[..SIDE];
        assert_eq!(row[0], -1.0);
        let expected = (255.0 * 100.0 * 2.0 / 299.0 - 128.0) / 128.0;
        assert!((f64::from(row[100]) - expected).abs() < 1e-5);
        assert!(row[149] < 127.0 / 128.0);
        assert!(row[150..].iter().all(|&value| value == 127.0 / 128.0));
    }

    #[test]
    fn what_has_the_right_size_is_left_alone() {
        let shape = Shape::new(3, SIDE, SIDE);
        let image: Vec<u8> = (0..shape.len()).map(|i| (i * 7 % 256) as u8).collect();
        let expected = image.iter().map(|&p| (f32::from(p) - 128.0) / 128.0);
        assert!(enlarge(&image, shape).into_iter().eq(expected));
    }
}
