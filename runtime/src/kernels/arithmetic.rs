//! The scalar arithmetic of section 4 of the blob format.

use crate::shape::{Activation, PixelRange};

/// `acc * 2^shift` times `multiplier / 2^32`, rounded to nearest, halves up.
///
/// A checked model keeps `acc * 2^shift` in 32 bits.
#[inline(always)]
pub const fn rescale(acc: i32, shift: u32, multiplier: i32) -> i32 {
    let wide = (acc << shift) as i64 * multiplier as i64;
    ((wide + (1 << 31)) >> 32) as i32
}

/// An accumulator through the activation: the output in quanta, -128 to 255.
///
/// `multipliers` are those for accumulators from zero up and below zero.
#[inline(always)]
pub fn finish(activation: Activation, shift: u32, multipliers: [i32; 2], acc: i32) -> i32 {
    let [positive, negative] = multipliers;
    let multiplier = match activation {
        Activation::LeakyRelu { .. } if acc < 0 => negative,
        _ => positive,
    };
    finish_by(activation, shift, multiplier, acc)
}

/// An accumulator through the activation, by the multiplier for its sign.
#[inline(always)]
pub fn finish_by(activation: Activation, shift: u32, multiplier: i32, acc: i32) -> i32 {
    bound(activation, rescale_fast(acc, shift, multiplier))
}

/// [`rescale`] by the fastest instructions.
#[inline(always)]
pub fn rescale_fast(acc: i32, shift: u32, multiplier: i32) -> i32 {
    #[cfg(pocketgan_dsp)]
    return super::dsp::rescale(acc, shift, multiplier);
    #[cfg(not(pocketgan_dsp))]
    rescale(acc, shift, multiplier)
}

/// A rescaled accumulator through the rest of the activation.
#[inline(always)]
pub(crate) fn bound(activation: Activation, x: i32) -> i32 {
    match activation {
        Activation::None | Activation::LeakyRelu { .. } => x.clamp(-128, 127),
        Activation::Relu => x.clamp(0, 255),
        Activation::Tanh => interpolate(x, 6).min(127),
        Activation::Sigmoid => (128 + interpolate(x, 7)).min(255),
    }
}

/// `128 * tanh(x / 2^(5 + bits))` by linear interpolation, rounded; halves go away from zero. Off by less than 0.52.
#[cfg_attr(not(feature = "convolution"), inline(never))]
fn interpolate(x: i32, bits: u32) -> i32 {
    let magnitude = x.unsigned_abs();
    let fraction = (magnitude & ((1 << bits) - 1)) as i32;
    let mut y = 1 << (15 + bits);
    let entries = TANH.get((magnitude >> bits) as usize..);
    if let Some(&[from, to]) = entries.and_then(<[u16]>::first_chunk) {
        y = (i32::from(from) << bits) + (i32::from(to) - i32::from(from)) * fraction;
    }
    y = (y + (1 << (7 + bits))) >> (8 + bits);
    if x >= 0 { y } else { -y }
}

/// The pixel of a float output, by section 4.1.
#[inline(always)]
pub(crate) fn pixel_of_value(range: PixelRange, y: f32) -> u8 {
    // The cast rounds towards zero and saturates.
    unrounded_pixel(range, y) as u8
}

/// The pixel of a float output before it is rounded towards zero and brought in range.
#[inline(always)]
pub(crate) fn unrounded_pixel(range: PixelRange, y: f32) -> f32 {
    match range {
        PixelRange::Signed => 128.0 * y + 128.5,
        PixelRange::Unsigned => 256.0 * y + 0.5,
    }
}

/// A float through the activation.
///
/// tanh and sigmoid are libm's, good to 1e-6; with feature `micromath` they are made of its `exp`,
/// and off by up to 1.1e-3 and 6e-4 (0.14 and 0.15 of a pixel's step).
#[inline(always)]
pub fn activate(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::None => x,
        Activation::Relu => {
            if x > 0.0 {
                x
            } else {
                0.0
            }
        }
        Activation::LeakyRelu { slope } => {
            if x >= 0.0 {
                x
            } else {
                x * slope
            }
        }
        Activation::Tanh => tanh(x),
        Activation::Sigmoid => 1.0 / (1.0 + exp(-x)),
    }
}

#[cfg(not(feature = "micromath"))]
fn exp(x: f32) -> f32 {
    libm::expf(x)
}

#[cfg(not(feature = "micromath"))]
fn tanh(x: f32) -> f32 {
    libm::tanhf(x)
}

#[cfg(feature = "micromath")]
fn exp(x: f32) -> f32 {
    micromath::F32(x).exp().0
}

#[cfg(feature = "micromath")]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// `round(32768 * tanh(i / 32))`. From its last entry on, what is interpolated is rounded to 128.
#[rustfmt::skip]
pub(crate) static TANH: [u16; 101] = [
    0, 1024, 2045, 3063, 4075, 5079, 6073, 7056, 8025, 8980, 9919, 10840,
    11743, 12625, 13486, 14326, 15143, 15936, 16706, 17452, 18173, 18870, 19542, 20189,
    20813, 21411, 21986, 22538, 23066, 23571, 24054, 24516, 24956, 25376, 25776, 26157,
    26519, 26864, 27191, 27502, 27797, 28076, 28341, 28592, 28830, 29055, 29268, 29470,
    29660, 29840, 30010, 30170, 30322, 30465, 30600, 30727, 30847, 30960, 31067, 31167,
    31262, 31351, 31435, 31515, 31589, 31659, 31726, 31788, 31846, 31901, 31953, 32002,
    32048, 32091, 32132, 32170, 32206, 32240, 32271, 32301, 32329, 32356, 32381, 32404,
    32426, 32447, 32466, 32484, 32501, 32517, 32532, 32547, 32560, 32573, 32584, 32596,
    32606, 32616, 32625, 32634, 32642,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_tanh() {
        for (i, &entry) in TANH.iter().enumerate() {
            assert_eq!(
                f64::from(entry),
                (32768.0 * libm::tanh(i as f64 / 32.0)).round()
            );
        }
    }

    /// Section 4 of the format, word by word.
    #[test]
    fn interpolated_functions_are_the_formats() {
        let t = |i: i32| match i {
            0..=160 => (32768.0 * libm::tanh(f64::from(i) / 32.0)).round() as i32,
            _ => 32768,
        };
        let table: [i32; 514] = core::array::from_fn(|i| t(i as i32));
        for x in i16::MIN..=i16::MAX {
            let a = i32::from(x).abs();
            let v = |bits: u32| {
                let (i, f) = ((a >> bits) as usize, a & ((1 << bits) - 1));
                (table[i] * ((1 << bits) - f) + table[i + 1] * f + (1 << (7 + bits))) >> (8 + bits)
            };
            let sign = if x >= 0 { 1 } else { -1 };
            let (tanh, sigmoid) = (sign * v(6), 128 + sign * v(7));
            assert_eq!(
                bound(Activation::Tanh, x.into()),
                tanh.min(127),
                "tanh of {x}"
            );
            assert_eq!(
                bound(Activation::Sigmoid, x.into()),
                sigmoid.min(255),
                "sigmoid of {x}"
            );
        }
        for x in [i32::MIN, i32::MIN + 1, -65536, 32768, 65535, i32::MAX] {
            let end = x.clamp(i16::MIN.into(), i16::MAX.into());
            for activation in [Activation::Tanh, Activation::Sigmoid] {
                assert_eq!(bound(activation, x), bound(activation, end), "{x}");
            }
        }
    }

    #[test]
    fn interpolated_functions_are_close_over_their_whole_domain() {
        for x in i16::MIN..=i16::MAX {
            let real = f64::from(x) / 2048.0;
            let tanh = 128.0 * libm::tanh(real);
            let error =
                (f64::from(bound(Activation::Tanh, x.into())) - tanh.clamp(-128.0, 127.0)).abs();
            assert!(error < 0.52, "tanh({real}): off by {error}");
            let sigmoid = 256.0 / (1.0 + libm::exp(-real));
            let error =
                (f64::from(bound(Activation::Sigmoid, x.into())) - sigmoid.clamp(0.0, 255.0)).abs();
            assert!(error < 0.52, "sigmoid({real}): off by {error}");
        }
    }

    #[test]
    fn rescaling_rounds_to_nearest_with_halves_up() {
        let quarter = 1 << 30;
        assert_eq!(
            [-3, -2, -1, 0, 1, 2, 3].map(|acc| rescale(acc, 0, quarter)),
            [-1, 0, 0, 0, 0, 1, 1]
        );
        assert_eq!(rescale(6, 1, quarter), 3);
        assert_eq!(rescale(i32::MAX, 0, i32::MAX), (1 << 30) - 1);
        assert_eq!(rescale(-i32::MAX, 0, i32::MAX), -(1 << 30) + 1);
    }

    #[test]
    fn activations_saturate_where_the_format_says() {
        let m = [1 << 30, 1 << 28];
        let at = |activation, acc| finish(activation, 0, m, acc);
        assert_eq!(
            [at(Activation::None, 600), at(Activation::None, -600)],
            [127, -128]
        );
        assert_eq!(
            [at(Activation::Relu, 4000), at(Activation::Relu, -4000)],
            [255, 0]
        );
        let leaky = Activation::LeakyRelu { slope: 0.25 };
        assert_eq!(
            [at(leaky, 400), at(leaky, -400), at(leaky, -40_000)],
            [100, -25, -128]
        );
        assert_eq!(
            [
                at(Activation::Tanh, 1 << 24),
                at(Activation::Tanh, -1 << 24)
            ],
            [127, -128]
        );
        assert_eq!(
            [
                at(Activation::Sigmoid, 1 << 24),
                at(Activation::Sigmoid, -1 << 24)
            ],
            [255, 0]
        );
    }

    #[test]
    fn float_pixels_round_and_saturate() {
        use crate::PixelRange::{Signed, Unsigned};
        let signed = [-1.0, -0.5, 0.0, 0.003, 0.004, 1.0, 9.0, -9.0, f32::NAN];
        let pixels = signed.map(|y| pixel_of_value(Signed, y));
        assert_eq!(pixels, [0, 64, 128, 128, 129, 255, 255, 0, 0]);
        let pixels = [0.0, 0.5, 1.0, -1.0].map(|y| pixel_of_value(Unsigned, y));
        assert_eq!(pixels, [0, 128, 255, 0]);
    }

    /// The stated error of the float activations: libm's, or micromath's exp inside.
    #[test]
    fn float_activations_keep_their_stated_error() {
        let bounds = if cfg!(feature = "micromath") {
            [1.1e-3, 6e-4]
        } else {
            [1e-6; 2]
        };
        let (mut tanh_error, mut sigmoid_error) = (0.0, 0.0);
        for i in -200_000..=200_000 {
            let x = i as f32 / 10_000.0;
            let real = f64::from(x);
            let error = |y: f32, exact: f64| (f64::from(y) - exact).abs();
            tanh_error = error(activate(Activation::Tanh, x), libm::tanh(real)).max(tanh_error);
            let exact = 1.0 / (1.0 + libm::exp(-real));
            sigmoid_error = error(activate(Activation::Sigmoid, x), exact).max(sigmoid_error);
        }
        assert!(
            tanh_error < bounds[0] && sigmoid_error < bounds[1],
            "{tanh_error} {sigmoid_error}"
        );
    }
}
