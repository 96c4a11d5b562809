//! The int8 inner products in safe Rust, for every target without a faster version.

use super::int8::{InnerProducts, TILE, Taps};

/// Safe Rust that compilers turn into vector code where there is any.
pub(crate) struct Portable;

impl InnerProducts for Portable {
    #[inline]
    fn row<const P: usize>(
        mut acc: [i32; P],
        input: &[i16],
        weights: &[i8],
        taps: Taps,
    ) -> [i32; P] {
        if taps.taps == 0 {
            return acc;
        }
        let groups = input
            .chunks(taps.group_stride)
            .zip(weights.chunks_exact(taps.taps * 4));
        for (columns, weights) in groups.take(taps.groups) {
            for (tap, weights) in weights.as_chunks().0.iter().enumerate() {
                let columns = columns.as_chunks().0.get(tap..).unwrap_or_default();
                for (acc, input) in acc.iter_mut().zip(columns.iter().step_by(taps.step)) {
                    *acc = add_products(*acc, input, weights);
                }
            }
        }
        acc
    }

    #[inline]
    fn linear(mut acc: [i32; TILE], input: &[i16], weights: &[i8]) -> [i32; TILE] {
        let tiles = weights.as_chunks::<4>().0.as_chunks::<TILE>().0;
        for (input, weights) in input.as_chunks().0.iter().zip(tiles) {
            for (acc, weights) in acc.iter_mut().zip(weights) {
                *acc = add_products(*acc, input, weights);
            }
        }
        acc
    }
}

/// `acc` plus four products; the input's places are in the order 0, 2, 1, 3.
#[inline(always)]
fn add_products(acc: i32, input: &[i16; 4], weights: &[i8; 4]) -> i32 {
    let [x0, x2, x1, x3] = input.map(i32::from);
    let [w0, w1, w2, w3] = weights.map(i32::from);
    acc.wrapping_add(x0 * w0 + x1 * w1 + x2 * w2 + x3 * w3)
}
