//! The int8 inner products in safe Rust, for every target without a faster version.

use crate::blob::order::divisor;

use super::int8::{InnerProducts, LINEAR_TILE, TILE, Taps};

/// Safe Rust that compilers turn into vector code where there is any.
pub(crate) struct Portable;

impl InnerProducts for Portable {
    #[inline]
    fn row(acc: &mut [i32; TILE], outputs: usize, input: &[i16], weights: &[i8], taps: Taps) {
        let mut weights = weights.as_chunks().0.iter();
        for group in 0..taps.groups {
            let (even, odd) = (
                plane(input, group * 2, taps),
                plane(input, group * 2 + 1, taps),
            );
            for (tap, weights) in (&mut weights).take(taps.count).enumerate() {
                let columns = even.iter().zip(odd).skip(tap).step_by(divisor(taps.step));
                for (acc, (even, odd)) in acc.iter_mut().take(outputs).zip(columns) {
                    *acc = add_products(*acc, even, odd, weights);
                }
            }
        }
    }

    #[inline]
    fn linear(acc: &mut [i32; LINEAR_TILE], input: &[i16], weights: &[i8]) {
        let input = input.as_chunks::<2>().0.as_chunks().0;
        let tiles = weights.as_chunks::<4>().0.as_chunks::<LINEAR_TILE>().0;
        for ([even, odd], weights) in input.iter().zip(tiles) {
            for (acc, weights) in acc.iter_mut().zip(weights) {
                *acc = add_products(*acc, even, odd, weights);
            }
        }
    }
}

/// The pairs of a plane, column after column.
fn plane(input: &[i16], index: usize, taps: Taps) -> &[[i16; 2]] {
    input
        .as_chunks()
        .0
        .get(index * taps.plane_len / 2..)
        .unwrap_or_default()
}

/// `acc` plus four products: of the channels 0 and 2, and 1 and 3.
#[inline(always)]
fn add_products(acc: i32, even: &[i16; 2], odd: &[i16; 2], weights: &[i8; 4]) -> i32 {
    let ([x0, x2], [x1, x3]) = (even.map(i32::from), odd.map(i32::from));
    let [w0, w1, w2, w3] = weights.map(i32::from);
    acc.wrapping_add(x0 * w0 + x1 * w1 + x2 * w2 + x3 * w3)
}
