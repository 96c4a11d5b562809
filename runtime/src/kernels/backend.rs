//! The one place that chooses the backend: the loops in assembly, those for x86-64, or safe Rust.

#[cfg(pocketgan_asm)]
use super::asm;
use super::int8::Kernels;
#[cfg(pocketgan_mve)]
use super::mve;
#[cfg(not(any(pocketgan_asm, pocketgan_mve, pocketgan_x86_64)))]
use super::portable;
#[cfg(pocketgan_x86_64)]
use super::x86_64;
use super::{float, int4, int8};
use crate::invariant::divisor;
use crate::layer::Layer;
use crate::ring::Ring;
use crate::shape::{Operator, PixelRange};
use crate::window::Axis;

/// Computes row `y` of the output of a layer that has weights, or of an upsample, into `out`, a row of `out_ring`, from
/// the rows of its input's ring.
///
/// `scratch` is for an int4 layer to be unpacked in: [`scratch_len`](crate::scratch::scratch_len) words.
#[cfg_attr(feature = "convolution", inline(never))]
pub(crate) fn int8_row(
    layer: &Layer<'_>,
    y: usize,
    input: &[u32],
    out_ring: &Ring,
    out: &mut [u8],
    scratch: &mut [u32],
) {
    #[cfg(pocketgan_asm)]
    int8_row_by::<asm::Asm>(layer, y, input, out_ring, out, scratch);
    #[cfg(pocketgan_mve)]
    int8_row_by::<mve::Mve>(layer, y, input, out_ring, out, scratch);
    #[cfg(pocketgan_x86_64)]
    if x86_64::has_vnni() {
        int8_row_by::<x86_64::Vnni>(layer, y, input, out_ring, out, scratch);
    } else if x86_64::has_avx2() {
        int8_row_by::<x86_64::Avx2>(layer, y, input, out_ring, out, scratch);
    } else {
        int8_row_by::<x86_64::Sse2>(layer, y, input, out_ring, out, scratch);
    }
    #[cfg(not(any(pocketgan_asm, pocketgan_mve, pocketgan_x86_64)))]
    int8_row_by::<portable::Portable>(layer, y, input, out_ring, out, scratch);
}

/// Adds row `y` of its input, the words of that row, to the sums of a linear layer over an image; `scratch` as in
/// [`int8_row`].
#[inline(never)]
pub(crate) fn int8_add_image_row(
    layer: &Layer<'_>,
    y: usize,
    input: &[u32],
    sums: &mut [i32],
    scratch: &mut [u32],
) {
    #[cfg(pocketgan_asm)]
    use asm::Asm as Fastest;
    #[cfg(pocketgan_mve)]
    use mve::Mve as Fastest;
    #[cfg(not(any(pocketgan_asm, pocketgan_mve, pocketgan_x86_64)))]
    use portable::Portable as Fastest;
    #[cfg(pocketgan_x86_64)]
    use x86_64::Sse2 as Fastest;
    if layer.numbers.is_int4() {
        int4::add_image_row::<Fastest>(layer, y, input, sums, scratch);
    } else {
        int8::add_image_row::<Fastest>(layer, y, input, sums);
    }
}

fn int8_row_by<K: Kernels>(
    layer: &Layer<'_>,
    y: usize,
    input: &[u32],
    out_ring: &Ring,
    out: &mut [u8],
    scratch: &mut [u32],
) {
    match (layer.operator.in_this_build(), Axis::of(layer.operator)) {
        (Operator::Upsample { factor }, _) => {
            let ring = Ring::of_input(layer);
            int8::copy_row(&ring, y / divisor(factor), factor, input, out_ring, 0, out)
        }
        (_, Some(axis)) => {
            let convolution = int8::Convolution::new(layer, axis, y, input);
            if layer.numbers.is_int4() {
                convolution.run_int4::<K>(out_ring, out, scratch)
            } else {
                convolution.run::<K>(out_ring, out)
            }
        }
        (_, None) if layer.numbers.is_int4() => {
            int4::linear_row::<K>(layer, y, input, out_ring, out, scratch)
        }
        (_, None) => int8::linear_row::<K>(layer, y, input, out_ring, out),
    }
}

/// Computes row `y` of the output of an f32 layer that reads one tensor into `out` from the rows of its input's ring.
pub(crate) fn float_row(layer: &Layer<'_>, y: usize, input: &[f32], out: &mut [f32]) {
    match layer.operator.in_this_build() {
        Operator::Upsample { factor } => {
            return float::upsample_row(layer, y / divisor(factor), factor, input, out);
        }
        Operator::AvgPool2d(window) if layer.operator.is_in_this_build() => {
            return float::pool_row(layer, window, y, input, out);
        }
        _ => {}
    }
    #[cfg(pocketgan_x86_64)]
    if x86_64::has_avx2() {
        return x86_64::float::row(layer, y, input, out);
    }
    float::row(layer, y, input, out);
}

/// Rounds values to pixels.
pub(crate) fn pixels(range: PixelRange, values: &[f32], pixels: &mut [u8]) {
    #[cfg(pocketgan_x86_64)]
    if x86_64::has_avx2() {
        return x86_64::pointwise::pixels(range, values, pixels);
    }
    float::pixels(range, values, pixels);
}
