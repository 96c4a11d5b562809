//! The int8 inner products in safe Rust, for every target without a faster version.

use super::int8::{self, Kernels, Outputs, Phase, Tile, add_products, sign};
use crate::invariant::{Guaranteed, divisor};

/// Safe Rust that compilers turn into vector code where there is any.
pub(crate) struct Portable;

impl Kernels for Portable {
    type Prepared<'a> = Phase<'a>;

    fn prepare(phase: Phase<'_>) -> Phase<'_> {
        phase
    }

    #[inline(never)]
    fn tile(phase: &mut Phase<'_>, tile: &Tile, out: &mut [u8]) {
        let mut acc = int8::biases(phase.layer, tile);
        // A phase can have no taps.
        let weights = phase.weights.chunks(phase.channel_len.max(1));
        let weights = weights.skip(tile.channel).take(tile.channels);
        for (acc, mut weights) in acc.iter_mut().zip(weights) {
            for (&groups, rows) in phase.groups.iter().zip(phase.rows) {
                let split = weights.split_at_checked(groups * phase.count * 4);
                let (these, rest) = split.guaranteed();
                weights = rest;
                let rows = rows.get(tile.column..).guaranteed();
                let acc = acc.get_mut(..tile.outputs).guaranteed();
                add_rows(acc, rows, these, phase);
            }
        }
        int8::store(phase, tile, &acc, out);
    }

    #[inline(never)]
    fn linear(
        outputs: &Outputs<'_>,
        input: &[u32],
        weights: &[i8],
        out: &mut [u8],
        group_step: usize,
    ) {
        let input: &[[u8; 4]] = bytemuck::must_cast_slice(input);
        let sign = sign(outputs.layer.signed_input);
        let tiles = weights.as_chunks::<4>().0.as_chunks::<4>().0;
        let tiles = tiles.chunks_exact(divisor(input.len()));
        for (i, tile) in (0..outputs.count).step_by(4).zip(tiles) {
            let mut acc = [0; 4];
            for (input, weights) in input.iter().zip(tile) {
                for (acc, weights) in acc.iter_mut().zip(weights) {
                    *acc = add_products(*acc, input, weights, sign);
                }
            }
            outputs.finish(i, &acc, out, i / 4 * group_step);
        }
    }
}

/// Adds the products of one channel with some rows.
#[inline(always)]
fn add_rows(acc: &mut [i32], input: &[u32], weights: &[i8], phase: &Phase<'_>) {
    let sign = sign(phase.layer.signed_input);
    let groups = weights.as_chunks().0.chunks_exact(phase.count.max(1));
    for (group, weights) in groups.enumerate() {
        let plane = input.get(group * phase.plane_len..).guaranteed();
        let plane: &[[u8; 4]] = bytemuck::must_cast_slice(plane);
        for (tap, weights) in weights.iter().enumerate() {
            let columns = plane.iter().skip(tap).step_by(divisor(phase.step));
            for (acc, column) in acc.iter_mut().zip(columns) {
                *acc = add_products(*acc, column, weights, sign);
            }
        }
    }
}
