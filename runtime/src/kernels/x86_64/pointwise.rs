//! What is done to each number of a row: activations, and rounding to pixels. The compiler makes the vectors, since
//! nothing here branches.
#![allow(unsafe_code)]

use super::vector::Vector;
use crate::kernels::arithmetic;
use crate::shape::{Activation, PixelRange};

/// Numbers that are taken at once.
const LANES: usize = 16;

/// Puts sums through the activation.
#[inline(always)]
pub(super) fn activate<W: Vector>(activation: Activation, sums: &mut [f32]) {
    match activation {
        Activation::None => {}
        Activation::Relu => {
            let mut vectors = sums.chunks_exact_mut(W::LANES);
            for vector in &mut vectors {
                // SAFETY: these are as many as a vector's.
                unsafe {
                    W::load(vector.as_ptr())
                        .positive()
                        .store(vector.as_mut_ptr())
                }
            }
            each(vectors.into_remainder(), activation);
        }
        Activation::Tanh if cfg!(not(feature = "micromath")) => {
            let last = sums.last_chunk::<LANES>().copied();
            let before = sums.len().saturating_sub(1) / LANES;
            for lanes in sums.as_chunks_mut().0.iter_mut().take(before) {
                *lanes = tanh_lanes(*lanes);
            }
            match (sums.last_chunk_mut(), last) {
                // The last ones go back over some that are done, rather than be fewer.
                (Some(lanes), Some(last)) => *lanes = tanh_lanes(last),
                _ => each(sums, activation),
            }
        }
        Activation::LeakyRelu { .. } | Activation::Tanh | Activation::Sigmoid => {
            each(sums, activation)
        }
    }
}

#[inline(always)]
fn each(sums: &mut [f32], activation: Activation) {
    for sum in sums {
        *sum = arithmetic::activate(activation, *sum);
    }
}

/// Rounds values to as many pixels: to be called only where there is AVX2.
pub(crate) fn pixels(range: PixelRange, values: &[f32], pixels: &mut [u8]) {
    // SAFETY: this machine has AVX2.
    unsafe { pixels_avx2(range, values, pixels) }
}

#[target_feature(enable = "avx2")]
fn pixels_avx2(range: PixelRange, values: &[f32], pixels: &mut [u8]) {
    let lanes = values.as_chunks().0.iter().zip(pixels.as_chunks_mut().0);
    for (values, pixels) in lanes {
        *pixels = pixels_of_lanes(range, values);
    }
    // Once more over some that are done, rather than be fewer.
    if let (Some(values), Some(pixels)) = (values.last_chunk(), pixels.last_chunk_mut()) {
        *pixels = pixels_of_lanes(range, values);
        return;
    }
    for (pixel, &value) in pixels.iter_mut().zip(values) {
        *pixel = arithmetic::pixel_of_value(range, value);
    }
}

#[inline(always)]
fn pixels_of_lanes(range: PixelRange, values: &[f32; LANES]) -> [u8; LANES] {
    let mut pixels = [0; LANES];
    for (pixel, &value) in pixels.iter_mut().zip(values) {
        // What is no number becomes 0.
        let value = arithmetic::unrounded_pixel(range, value).max(0.0);
        // SAFETY: it is 0 to 255.
        *pixel = unsafe { value.min(255.0).to_int_unchecked::<i32>() } as u8;
    }
    pixels
}

#[inline(always)]
fn tanh_lanes(mut lanes: [f32; LANES]) -> [f32; LANES] {
    for x in &mut lanes {
        *x = tanh(*x);
    }
    lanes
}

/// libm's `tanhf`, to the bit: its steps, without its branches.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    const LOG3_HALF: f32 = f32::from_bits(0x3f0c_9f54);
    const LOG5_3_HALF: f32 = f32::from_bits(0x3e82_c578);
    let magnitude = x.abs();
    // From 10 on it is 1.
    let magnitude = if magnitude > 10.0 { 10.0 } else { magnitude };
    let small = magnitude <= LOG5_3_HALF;
    let t = expm1(if small { -2.0 } else { 2.0 } * magnitude);
    let large = magnitude > LOG3_HALF;
    let quotient = if large { 2.0 } else { t.abs() } / (t + 2.0);
    let tanh = if large { 1.0 - quotient } else { quotient };
    tanh.copysign(x)
}

/// libm's `expm1f` of -0.52 to 20.
#[inline(always)]
fn expm1(x: f32) -> f32 {
    const LN2_HIGH: f32 = f32::from_bits(0x3f31_7180);
    const LN2_LOW: f32 = f32::from_bits(0x3717_f7d1);
    const HALF_LN2: f32 = f32::from_bits(0x3eb1_7218);
    // x = k ln 2 + r, and c is what r lacks.
    let k = if x > HALF_LN2 {
        core::f32::consts::LOG2_E * x + 0.5
    } else if x < -HALF_LN2 {
        -1.0
    } else {
        0.0
    };
    // SAFETY: it is -1 to 30.
    let exponent: i32 = unsafe { k.to_int_unchecked() };
    let k = exponent as f32;
    let (high, low) = (x - k * LN2_HIGH, k * LN2_LOW);
    let r = high - low;
    let c = (high - r) - low;
    let half = 0.5 * r;
    let square = r * half;
    let r1 = 1.0 + square * (-3.333_321_2e-2 + square * 1.580_717e-3);
    let t = 3.0 - r1 * half;
    let e = square * ((r1 - t) / (6.0 - r * t));
    let e = r * (e - c) - c - square;
    let power = |exponent: i32| f32::from_bits(((127 + exponent) << 23) as u32);
    let y = if exponent == 1 && r < -0.25 {
        r + 0.5 - e
    } else {
        r - e + (1.0 - power(-exponent))
    };
    y * power(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_has_the_bits_of_libm() {
        // Every 4099th number up to infinity, and what is none.
        for bits in (0..=0x7f80_0000)
            .step_by(4099)
            .chain([0x7f80_0000, 0x7fc0_0000])
        {
            for bits in [bits, bits | 1 << 31] {
                let x = f32::from_bits(bits);
                assert_eq!(tanh(x).to_bits(), libm::tanhf(x).to_bits(), "{x}");
            }
        }
    }
}
