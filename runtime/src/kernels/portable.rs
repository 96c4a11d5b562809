//! The int8 inner products in safe Rust, for every target without a faster version.

use super::arithmetic::finish;
use super::int8::{self, InnerProducts, Outputs, Phase, Tile};
use crate::blob::order::divisor;

/// Safe Rust that compilers turn into vector code where there is any.
pub(crate) struct Portable;

impl InnerProducts for Portable {
    type Prepared<'a> = Phase<'a>;

    fn prepare(phase: Phase<'_>) -> Phase<'_> {
        phase
    }

    #[inline]
    fn tile(phase: &mut Phase<'_>, tile: &Tile, out: &mut [u8]) {
        let mut acc = int8::biases(phase.layer, tile);
        let weights = phase.weights.chunks(divisor(phase.channel_len));
        let weights = weights.skip(tile.channel).take(tile.channels);
        for (acc, mut weights) in acc.iter_mut().zip(weights) {
            for (&groups, rows) in phase.groups.iter().zip(phase.rows) {
                let split = weights.split_at_checked(groups * phase.count * 4);
                let (these, rest) = split.unwrap_or_default();
                weights = rest;
                let rows = rows.get(tile.column..).unwrap_or_default();
                let acc = acc.get_mut(..tile.outputs).unwrap_or_default();
                match phase.layer.signed_input {
                    true => add_rows(acc, rows, these, phase, signed),
                    false => add_rows(acc, rows, these, phase, i32::from),
                }
            }
        }
        int8::store(phase, tile, &acc, out);
    }

    #[inline]
    fn linear(
        outputs: &Outputs<'_>,
        input: &[u32],
        weights: &[i8],
        out: &mut [u8],
        group_step: usize,
    ) {
        let input: &[[u8; 4]] = bytemuck::must_cast_slice(input);
        match outputs.layer.signed_input {
            true => linear(outputs, input, weights, out, group_step, signed),
            false => linear(outputs, input, weights, out, group_step, i32::from),
        }
    }
}

/// The quantum in a byte of a signed tensor.
#[inline(always)]
fn signed(byte: u8) -> i32 {
    i32::from(byte as i8)
}

/// Adds the products of one channel with some rows.
#[inline(always)]
fn add_rows(
    acc: &mut [i32],
    input: &[u32],
    weights: &[i8],
    phase: &Phase<'_>,
    widen: impl Fn(u8) -> i32 + Copy,
) {
    let groups = weights.as_chunks().0.chunks_exact(divisor(phase.count));
    for (group, weights) in groups.enumerate() {
        let plane = input.get(group * phase.plane_len..).unwrap_or_default();
        let plane: &[[u8; 4]] = bytemuck::must_cast_slice(plane);
        for (tap, weights) in weights.iter().enumerate() {
            let columns = plane.iter().skip(tap).step_by(divisor(phase.step));
            for (acc, column) in acc.iter_mut().zip(columns) {
                *acc = add_products(*acc, column, weights, widen);
            }
        }
    }
}

#[inline(always)]
fn linear(
    outputs: &Outputs<'_>,
    input: &[[u8; 4]],
    weights: &[i8],
    out: &mut [u8],
    group_step: usize,
    widen: impl Fn(u8) -> i32 + Copy,
) {
    let layer = outputs.layer;
    let tiles = weights.as_chunks::<4>().0.as_chunks::<4>().0;
    let tiles = tiles.chunks_exact(divisor(input.len()));
    for ((i, tile), out) in (0..outputs.count)
        .step_by(4)
        .zip(tiles)
        .zip(out.chunks_mut(divisor(group_step)))
    {
        let mut acc = outputs.start(i);
        for (input, weights) in input.iter().zip(tile) {
            for (acc, weights) in acc.iter_mut().zip(weights) {
                *acc = add_products(*acc, input, weights, widen);
            }
        }
        for ((j, acc), to) in acc.into_iter().enumerate().zip(out).take(outputs.count - i) {
            let multipliers = layer.multipliers(outputs.first + i + j);
            *to = finish(layer.activation, layer.shift, multipliers, acc) as u8;
        }
    }
}

/// `acc` plus the products of four channels.
#[inline(always)]
fn add_products(
    acc: i32,
    input: &[u8; 4],
    weights: &[i8; 4],
    widen: impl Fn(u8) -> i32 + Copy,
) -> i32 {
    let ([x0, x1, x2, x3], [w0, w1, w2, w3]) = (input.map(widen), weights.map(i32::from));
    acc.wrapping_add(x0 * w0 + x1 * w1 + x2 * w2 + x3 * w3)
}
