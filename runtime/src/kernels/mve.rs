//! The int8 kernels with Arm's Helium (MVE): sixteen products an instruction.
//!
//! VMLADAVA multiplies sixteen bytes by sixteen others and adds all products to one register. The bytes of an output's
//! inputs lie in words of four channels, some of them side by side: a vector of their addresses is made once for each
//! phase of a row, and a gathering load reads four words by it. A block of four channels and two neighbouring columns
//! has eight accumulators, all that there are: 21 instructions for 128 products. Weights are signed, and so must the
//! inputs be: unsigned ones lose 128, which the accumulators start with, times the sum of the weights.
#![allow(unsafe_code)]

use core::arch::asm;
use core::mem::{MaybeUninit, offset_of};

use super::arithmetic::TANH;
use super::int8::{self, Kernels, Outputs, Phase, Tile};
use crate::invariant::{Guaranteed, divisor, unexpected};
use crate::layer::Layer;
use crate::shape::Activation;

/// Names a core with the extension, which the compiler need not be told of.
macro_rules! cpu {
    () => {
        ".cpu cortex-m55"
    };
}

/// Words that an output's inputs are read from in one pass, at most: 64 channels under a window of 3x3. A multiple of
/// the taps that [`read_taps`] takes.
const WORDS: usize = 144;
/// Neighbouring outputs of one channel that are computed together.
const EIGHT: usize = 8;
/// Words of a vector.
const LANES: usize = 4;

/// The kernels.
pub(crate) struct Mve;

/// A phase, checked, with the addresses of the words that its first output reads.
pub(crate) struct Prepared<'a> {
    phase: Phase<'a>,
    /// Columns that the rows hold for each group; none if the loop cannot take them.
    columns: usize,
    /// Words that an output reads.
    words: usize,
    table: Table,
}

/// Addresses of words. The loops read as many as were written.
type Table = [MaybeUninit<*const u32>; WORDS];

/// Pairs of neighbouring outputs of up to four channels. Fields that are loaded together lie side by side.
#[repr(C)]
struct Job {
    /// Of each channel.
    weights: [*const i8; 4],
    table: *const *const u32,
    /// Whole vectors.
    vectors: usize,
    /// What the accumulators of each channel start as, for the first column and for the second.
    starts: [[i32; 2]; 4],
    /// Words of one more vector.
    rest: usize,
    /// What the outputs are rescaled by; null to leave the sums of one pair.
    multipliers: *const i32,
    /// Where the outputs of each column go.
    out: [*mut u8; 2],
    channels: usize,
    shift: u32,
    /// The range of the outputs.
    range: [i32; 2],
    /// How many pairs there are, and bytes from the outputs of one to those of the next.
    pairs: usize,
    stride: usize,
    /// Bytes from the table's addresses to those of the first column, and from there to the second.
    column: usize,
    step: usize,
    /// What changes the sign of each byte of a word.
    flip: u32,
    /// The sums of both columns.
    sums: [[i32; 4]; 2],
}

impl<'a> Prepared<'a> {
    #[inline(always)]
    fn new(phase: Phase<'a>) -> Self {
        let parameters = &phase.layer.parameters;
        let words = (phase.groups[0] + phase.groups[1]) * phase.count;
        let mut columns = usize::MAX;
        for (rows, &groups) in phase.rows.iter().zip(&phase.groups) {
            if groups > 0 {
                let before = (groups - 1) * phase.plane_len;
                columns = columns.min(rows.len().saturating_sub(before));
            }
        }
        let fits = phase.groups[0] > 0
            && words > 0
            && words * 4 <= phase.channel_len
            && aligned(phase.weights)
            && aligned(parameters.bias)
            && parameters.multipliers.len() == parameters.bias.len();
        let mut prepared = Self {
            phase,
            columns: if fits { columns } else { 0 },
            words,
            table: [const { MaybeUninit::uninit() }; WORDS],
        };
        read_from(&prepared.phase, &mut prepared.table, 0);
        prepared
    }
}

/// Makes the table of a phase's words from `first` on.
fn read_from(phase: &Phase<'_>, table: &mut Table, first: usize) {
    match phase.count {
        1 if first == 0 => read_taps::<1>(phase, table),
        2 if first == 0 => read_taps::<2>(phase, table),
        3 if first == 0 => read_taps::<3>(phase, table),
        4 if first == 0 => read_taps::<4>(phase, table),
        _ => read_any(phase, table, first),
    }
}

/// Makes the table of a phase's words from the first one on, of so many taps in each group.
#[inline(never)]
fn read_taps<const COUNT: usize>(phase: &Phase<'_>, table: &mut Table) {
    let mut groups = table.as_chunks_mut::<COUNT>().0.iter_mut();
    let mut left = WORDS / COUNT;
    for (rows, &count) in phase.rows.iter().zip(&phase.groups) {
        let mut plane = rows.as_ptr();
        for places in groups.by_ref().take(count) {
            for (tap, place) in places.iter_mut().enumerate() {
                place.write(plane.wrapping_add(tap));
            }
            plane = plane.wrapping_add(phase.plane_len);
        }
        left = left.saturating_sub(count);
    }
    // What a vector reads beyond the words, whose weights are taken for 0.
    let words = (WORDS / COUNT - left) * COUNT;
    for place in table.iter_mut().skip(words).take(LANES) {
        place.write(phase.rows[0].as_ptr());
    }
}

/// As [`read_taps`], of any taps and from any word on.
#[inline(never)]
fn read_any(phase: &Phase<'_>, table: &mut Table, first: usize) {
    let words = phase
        .rows
        .iter()
        .zip(&phase.groups)
        .flat_map(|(rows, &groups)| {
            let planes =
                (0..groups).map(|group| rows.as_ptr().wrapping_add(group * phase.plane_len));
            planes.flat_map(|plane| (0..phase.count).map(move |tap| plane.wrapping_add(tap)))
        });
    let beyond = core::iter::repeat(phase.rows[0].as_ptr());
    for (place, word) in table.iter_mut().zip(words.skip(first).chain(beyond)) {
        place.write(word);
    }
}

impl Kernels for Mve {
    type Prepared<'a> = Prepared<'a>;

    #[inline(always)]
    fn prepare(phase: Phase<'_>) -> Prepared<'_> {
        Prepared::new(phase)
    }

    fn neighbours(prepared: &Prepared<'_>, outputs: usize) -> usize {
        if prepared.columns > 0 {
            outputs
        } else {
            int8::neighbours(outputs)
        }
    }

    fn channels(prepared: &Prepared<'_>) -> usize {
        if prepared.columns > 0 {
            usize::MAX
        } else {
            LANES
        }
    }

    #[inline(never)]
    fn tile(prepared: &mut Prepared<'_>, tile: &Tile, out: &mut [u8]) {
        let phase = &prepared.phase;
        let layer = phase.layer;
        let before = tile.outputs.saturating_sub(1);
        let last = (tile.channel + tile.channels).saturating_sub(1);
        let reach = tile.column + before * phase.step + phase.count;
        let parameters = &layer.parameters;
        let used = prepared.words * 4;
        let of_channels = tile.channels.saturating_sub(1);
        let out_reach = of_channels / LANES * phase.group_step + of_channels % LANES + 1;
        let fits = (1..=prepared.columns).contains(&reach)
            && tile.outputs > 0
            && tile.channels > 0
            && out.len() >= before * phase.stride + out_reach
            && phase.weights.len() >= last * phase.channel_len + used
            && parameters.bias.len() / 4 > last;
        if !fits {
            // All rows are outside the picture: a tile has no more outputs than accumulators.
            return int8::store(phase, tile, &int8::biases(layer, tile), out);
        }
        let range = range(layer.activation);
        let flip = if layer.signed_input { 0 } else { 0x8080_8080 };
        let passes = prepared.words.div_ceil(WORDS);
        let multipliers = parameters.multipliers.as_ptr().cast::<i32>();
        let pair = usize::from(tile.outputs > 1);
        let in_turn = range.is_some() && passes == 1 && pair > 0;
        let mut job = Job {
            table: prepared.table.as_ptr().cast(),
            vectors: prepared.words.min(WORDS) / LANES,
            rest: prepared.words.min(WORDS) % LANES,
            weights: [core::ptr::null(); 4],
            column: 0,
            step: pair * phase.step * 4,
            pairs: 0,
            stride: 2 * phase.stride,
            flip,
            multipliers: core::ptr::null(),
            shift: layer.shift,
            range: range.unwrap_or_default(),
            out: [core::ptr::null_mut(); 2],
            channels: 0,
            starts: [[0; 2]; 4],
            sums: [[0; 4]; 2],
        };
        if tile.channels == 1 && tile.outputs >= EIGHT && phase.step == 1 && passes == 1 {
            let start = layer.bias_i32(tile.channel);
            job.weights[0] = phase
                .weights
                .as_ptr()
                .wrapping_add(tile.channel * phase.channel_len);
            // SAFETY: the weights reach so far.
            let sum = if flip == 0 {
                0
            } else {
                unsafe { sums_of_bytes([job.weights[0]; 4], used)[0] }
            };
            job.starts[0][0] = start.wrapping_add(sum << 7);
            for x in (0..tile.outputs).step_by(EIGHT) {
                // The last eight may be computed in part once more.
                let x = x.min(tile.outputs - EIGHT);
                job.column = (tile.column + x) * 4;
                // SAFETY: as below.
                unsafe { sums_of_eight(&mut job) };
                for (half, sums) in job.sums.iter().enumerate() {
                    let quanta = finished(layer, tile.channel, 0, sums);
                    let place = (x + half * LANES) * phase.stride;
                    let out = out.get_mut(place..).unwrap_or_default();
                    for (to, from) in out.iter_mut().step_by(divisor(phase.stride)).zip(quanta) {
                        *to = from;
                    }
                }
            }
            return;
        }
        for block in (0..tile.channels).step_by(LANES) {
            let channel = tile.channel + block;
            job.channels = (tile.channels - block).min(LANES);
            // Those that are missing are computed as the last one is, and go nowhere.
            let channels = [0, 1, 2, 3].map(|i| channel + i.min(job.channels - 1));
            let weights = channels.map(|channel| {
                let weights = phase.weights.as_ptr();
                weights.wrapping_add(channel * phase.channel_len)
            });
            let mut starts = channels.map(|channel| layer.bias_i32(channel));
            if flip != 0 {
                // SAFETY: the weights of each channel reach so far.
                let sums = unsafe { sums_of_bytes(weights, used) };
                for (start, sum) in starts.iter_mut().zip(sums) {
                    *start = start.wrapping_add(sum << 7);
                }
            }
            let to = block / LANES * phase.group_step;
            let mut x = 0;
            while x < tile.outputs {
                // An odd last column is computed with the one before, once more.
                let at = x.min(tile.outputs - 1 - pair);
                job.pairs = if in_turn {
                    ((tile.outputs - at) / 2).max(1)
                } else {
                    1
                };
                x = at + 2 * job.pairs;
                job.column = (tile.column + at * phase.step) * 4;
                let places = [at, at + pair].map(|x| to + x * phase.stride);
                job.out = places.map(|place| out.as_mut_ptr().wrapping_add(place));
                job.starts = starts.map(|start| [start; 2]);
                job.weights = weights;
                for pass in 0..passes {
                    if pass > 0 {
                        let [first, second] = job.sums;
                        let sums = first.into_iter().zip(second);
                        for (start, (first, second)) in job.starts.iter_mut().zip(sums) {
                            *start = [first, second];
                        }
                    }
                    if passes > 1 {
                        read_from(phase, &mut prepared.table, pass * WORDS);
                        let words = (prepared.words - pass * WORDS).min(WORDS);
                        (job.vectors, job.rest) = (words / LANES, words % LANES);
                    }
                    job.multipliers = if range.is_some() && pass + 1 == passes {
                        multipliers.wrapping_add(channel)
                    } else {
                        core::ptr::null()
                    };
                    // SAFETY: the pointers are aligned to words, and reach as far as is checked above and by
                    // `Prepared`.
                    unsafe {
                        if job.step == 4 {
                            sums_of_neighbours(&mut job);
                        } else {
                            sums_of_any(&mut job);
                        }
                    }
                    job.weights = job.weights.map(|weights| weights.wrapping_add(WORDS * 4));
                }
                if range.is_none() {
                    for (place, sums) in places.into_iter().zip(&job.sums) {
                        let quanta = finished(layer, channel, 1, sums);
                        let out = out.get_mut(place..).unwrap_or_default();
                        for (to, from) in out.iter_mut().zip(quanta).take(job.channels) {
                            *to = from;
                        }
                    }
                }
            }
        }
    }

    fn linear(
        outputs: &Outputs<'_>,
        input: &[u32],
        weights: &[i8],
        out: &mut [u8],
        group_step: usize,
    ) {
        let tiles = outputs.count.div_ceil(4);
        let tile_len = input.len() * 16;
        if input.is_empty() || weights.len() < tiles * tile_len || !aligned(weights) {
            return;
        }
        let layer = outputs.layer;
        let signed = layer.signed_input;
        let parameters = &layer.parameters;
        let last = outputs.first + outputs.count;
        if let Some(range) = range(layer.activation)
            && signed
            && input.len().is_multiple_of(LANES)
            && outputs.count.is_multiple_of(4)
            && tiles > 0
            && parameters.column.is_empty()
            && parameters.bias.len() / 4 >= last
            && parameters.multipliers.len() == parameters.bias.len()
            && aligned(parameters.bias)
            && out.len() >= (tiles - 1) * group_step + 4
        {
            let mut job = Linear {
                weights: weights.as_ptr(),
                bias: parameters
                    .bias
                    .as_ptr()
                    .cast::<i32>()
                    .wrapping_add(outputs.first),
                multipliers: parameters
                    .multipliers
                    .as_ptr()
                    .cast::<i32>()
                    .wrapping_add(outputs.first),
                vectors: input.len() / LANES,
                input: input.as_ptr(),
                tiles,
                shift: layer.shift,
                range,
                out: out.as_mut_ptr(),
                group_step,
            };
            // SAFETY: the pointers are aligned to words, and reach as far as is checked above.
            return unsafe { linear_tiles(&mut job) };
        }
        for (tile, weights) in weights
            .chunks_exact(divisor(tile_len))
            .take(tiles)
            .enumerate()
        {
            let first = outputs.first + tile * 4;
            let mut sums = [0, 1, 2, 3].map(|i| outputs.layer.start_i32(first + i));
            add_four(signed, input, weights, &mut sums);
            let quanta = finished(outputs.layer, first, 1, &sums);
            let out = out.get_mut(tile * group_step..).unwrap_or_default();
            for (to, from) in out.iter_mut().zip(quanta).take(outputs.count - tile * 4) {
                *to = from;
            }
        }
    }

    fn add(signed: bool, input: &[u32], weights: &[i8], sums: &mut [i32]) {
        let tile_len = input.len() * 16;
        if input.is_empty() || !aligned(weights) {
            return unexpected();
        }
        let tiles = weights.chunks_exact(divisor(tile_len));
        for (sums, weights) in sums.as_chunks_mut::<4>().0.iter_mut().zip(tiles) {
            add_four(signed, input, weights, sums);
        }
    }
}

/// The range of an activation that does nothing else.
fn range(activation: Activation) -> Option<[i32; 2]> {
    match activation {
        Activation::Relu => Some([0, 255]),
        Activation::None => Some([-128, 127]),
        _ => None,
    }
}

/// Outputs of a linear layer, four at a time.
#[repr(C)]
struct Linear {
    weights: *const i8,
    bias: *const i32,
    multipliers: *const i32,
    /// Vectors of the input.
    vectors: usize,
    input: *const u32,
    tiles: usize,
    shift: u32,
    range: [i32; 2],
    out: *mut u8,
    group_step: usize,
}

/// Does a job.
///
/// # Safety
/// The pointers must be aligned to words, but for `out`, and reach as far as the job does. There is at least one vector
/// and one tile.
unsafe fn linear_tiles(job: &mut Linear) {
    // SAFETY: reads only what the caller vouches for, writes outputs, and restores r6, r7 and sp.
    unsafe {
        asm!(
            cpu!(),
            "push {{r6, r7}}",
            "ldrd r1, r2, [r12, #{range}]",
            "vdup.32 q6, r1",
            "vdup.32 q7, r2",
            "ldr lr, [r12, #{shift}]",
            "ldrd r7, r11, [r12, #{input}]",
            "ldrd r1, r9, [r12, #{weights}]",
            "ldrd r10, r6, [r12, #{multipliers}]",
            "ldrd r5, r12, [r12, #{out}]",
            "1:",
            "mov r3, r7",
            "push {{r5}}",
            "mov r5, r6",
            "mov r0, #0",
            "mov r2, #0",
            "mov r4, #0",
            "mov r8, #0",
            "2:",
            "vldrw.32 q4, [r3], #16",
            "vld40.32 {{q0, q1, q2, q3}}, [r1]",
            "vld41.32 {{q0, q1, q2, q3}}, [r1]",
            "vld42.32 {{q0, q1, q2, q3}}, [r1]",
            "vld43.32 {{q0, q1, q2, q3}}, [r1]!",
            "subs r5, #1",
            "vmladava.s8 r0, q0, q4",
            "vmladava.s8 r2, q1, q4",
            "vmladava.s8 r4, q2, q4",
            "vmladava.s8 r8, q3, q4",
            "bne 2b",
            "pop {{r5}}",
            "vldrw.32 q1, [r9], #16",
            "vmov q0[2], q0[0], r0, r4",
            "vmov q0[3], q0[1], r2, r8",
            "vadd.i32 q0, q0, q1",
            "vldrw.32 q1, [r10], #16",
            "vshl.s32 q0, lr",
            "vrmulh.s32 q0, q0, q1",
            "vmax.s32 q0, q0, q6",
            "vmin.s32 q0, q0, q7",
            "vstrb.32 q0, [r5]",
            "add r5, r12",
            "subs r11, #1",
            "bne 1b",
            "pop {{r6, r7}}",
            range = const offset_of!(Linear, range),
            shift = const offset_of!(Linear, shift),
            input = const offset_of!(Linear, input),
            weights = const offset_of!(Linear, weights),
            multipliers = const offset_of!(Linear, multipliers),
            out = const offset_of!(Linear, out),
            inout("r12") core::ptr::from_mut(job) => _,
            out("r0") _, out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("lr") _,
            out("q0") _, out("q1") _, out("q2") _, out("q3") _, out("q4") _, out("q6") _, out("q7") _,
        );
    }
}

/// Whether the slice starts at a whole word.
#[inline(always)]
fn aligned<T>(slice: &[T]) -> bool {
    slice.as_ptr().addr().is_multiple_of(4)
}

/// The sums of so many bytes from each pointer on, in fours.
///
/// # Safety
/// The pointers must be aligned to words and reach so far.
unsafe fn sums_of_bytes([mut p0, mut p1, mut p2, mut p3]: [*const i8; 4], len: usize) -> [i32; 4] {
    let mut sums = [0; 4];
    // SAFETY: reads no further than the caller vouches for.
    unsafe {
        let [s0, s1, s2, s3] = &mut sums;
        asm!(
            cpu!(),
            "wlstp.8 lr, {len}, 3f",
            "2:",
            "vldrb.8 q0, [{p0}], #16",
            "vldrb.8 q1, [{p1}], #16",
            "vldrb.8 q2, [{p2}], #16",
            "vldrb.8 q3, [{p3}], #16",
            "vaddva.s8 r0, q0",
            "vaddva.s8 r2, q1",
            "vaddva.s8 r4, q2",
            "vaddva.s8 r8, q3",
            "letp lr, 2b",
            "3:",
            len = in(reg) len,
            p0 = inout(reg) p0, p1 = inout(reg) p1, p2 = inout(reg) p2, p3 = inout(reg) p3,
            inout("r0") *s0, inout("r2") *s1, inout("r4") *s2, inout("r8") *s3,
            out("lr") _,
            out("q0") _, out("q1") _, out("q2") _, out("q3") _,
            options(readonly, nostack),
        );
        let _ = (p0, p1, p2, p3);
    }
    sums
}

/// Adds the products of an input with the weights of four outputs.
fn add_four(signed: bool, input: &[u32], weights: &[i8], sums: &mut [i32; 4]) {
    let (vectors, rest) = input.as_chunks::<LANES>();
    let split = weights.split_at_checked(input.len() / LANES * LANES * 16);
    let (weights, of_rest) = split.guaranteed();
    if !vectors.is_empty() {
        let flip: u32 = if signed { 0 } else { 0x8080_8080 };
        let [s0, s1, s2, s3] = sums;
        // SAFETY: reads as many vectors, and four times as many of weights, as there are.
        unsafe {
            asm!(
                cpu!(),
                "vdup.32 q5, {flip}",
                "2:",
                "vldrw.32 q4, [{input}], #16",
                "vld40.32 {{q0, q1, q2, q3}}, [{weights}]",
                "vld41.32 {{q0, q1, q2, q3}}, [{weights}]",
                "vld42.32 {{q0, q1, q2, q3}}, [{weights}]",
                "vld43.32 {{q0, q1, q2, q3}}, [{weights}]!",
                "veor q4, q4, q5",
                "vmladava.s8 r0, q0, q4",
                "vmladava.s8 r2, q1, q4",
                "vmladava.s8 r4, q2, q4",
                "vmladava.s8 r8, q3, q4",
                "subs {count}, #1",
                "bne 2b",
                flip = in(reg) flip,
                input = inout(reg) vectors.as_ptr() => _,
                weights = inout(reg) weights.as_ptr() => _,
                count = inout(reg) vectors.len() => _,
                inout("r0") *s0,
                inout("r2") *s1,
                inout("r4") *s2,
                inout("r8") *s3,
                out("q0") _, out("q1") _, out("q2") _, out("q3") _, out("q4") _, out("q5") _,
                options(readonly, nostack),
            );
        }
        if !signed {
            for (i, sum) in sums.iter_mut().enumerate() {
                let of_output = weights.chunks_exact(4).skip(i).step_by(4).flatten();
                let all: i32 = of_output.map(|&weight| i32::from(weight)).sum();
                *sum = sum.wrapping_add(all << 7);
            }
        }
    }
    let input: &[[u8; 4]] = bytemuck::must_cast_slice(rest);
    let sign = int8::sign(signed);
    let of_rest = of_rest.as_chunks::<4>().0.as_chunks::<4>().0;
    for (input, weights) in input.iter().zip(of_rest) {
        for (sum, weights) in sums.iter_mut().zip(weights) {
            *sum = int8::add_products(*sum, input, weights, sign);
        }
    }
}

/// The products of a vector of words with the weights of four channels: `$t` is `t` where those are loaded under a
/// predicate.
macro_rules! products {
    ($second:expr, $w0:literal, $w1:literal, $w2:literal, $w3:literal) => {
        concat!(
            "vadd.i32 q7, q7, q4\n",
            "vldrw.u32 q0, [q7]\n",
            $second,
            "veor q0, q0, q6\n",
            "veor q1, q1, q6\n",
            $w0,
            "vmladava.s8 r0, q2, q0\n",
            "vmladava.s8 r2, q2, q1\n",
            $w1,
            "vmladava.s8 r4, q3, q0\n",
            "vmladava.s8 r6, q3, q1\n",
            $w2,
            "vmladava.s8 r8, q2, q0\n",
            "vmladava.s8 r10, q2, q1\n",
            $w3,
            "vmladava.s8 r12, q3, q0\n",
            "vmladava.s8 lr, q3, q1\n",
        )
    };
}

/// Loads the words of the second column: those next to the first one's.
macro_rules! next_words {
    () => {
        "vldrw.u32 q1, [q7, #4]\n"
    };
}

/// Loads the words of the second column, wherever it is.
macro_rules! other_words {
    () => {
        "vadd.i32 q3, q7, q5\nvldrw.u32 q1, [q3]\n"
    };
}

/// Defines a function that does a job; `$second` loads the words of the second column.
macro_rules! sums {
    ($name:ident, $second:ident) => {
        /// Does a job.
        ///
        /// # Safety
        /// The pointers must be aligned to words, but for `out`. The table must have `vectors` vectors, and one more if
        /// there is a `rest`, of addresses that are in bounds with `column` and `step` added; the weights must reach as
        /// far. `multipliers`, if they are there, and `out` must reach for each channel.
        unsafe fn $name(job: &mut Job) {
            // SAFETY: reads only what the caller vouches for, writes outputs or sums, and restores r6, r7 and sp.
            unsafe {
                asm!(
                    cpu!(),
                    "push {{r0, r6, r7}}",
                    "ldrd r1, r2, [r0, #{column}]",
                    "ldr r3, [r0, #{flip}]",
                    "vdup.32 q4, r1",
                    "vdup.32 q5, r2",
                    "vdup.32 q6, r3",
                    "1:",
                    "ldm r0!, {{r1, r3, r5, r7, r9, r11}}",
                    "ldm r0, {{r0, r2, r4, r6, r8, r10, r12, lr}}",
                    "cmp r11, #0",
                    "beq 3f",
                    "2:",
                    "vldrw.32 q7, [r9], #16",
                    "subs r11, #1",
                    products!($second!(), "vldrw.32 q2, [r1], #16\n", "vldrw.32 q3, [r3], #16\n", "vldrw.32 q2, [r5], #16\n", "vldrw.32 q3, [r7], #16\n"),
                    "bne 2b",
                    "3:",
                    "ldr r11, [sp]",
                    "ldr r11, [r11, #{rest}]",
                    "cmp r11, #0",
                    "beq 4f",
                    "vctp.32 r11",
                    "vldrw.32 q7, [r9]",
                    products!($second!(), "vpst\nvldrwt.32 q2, [r1]\n", "vpst\nvldrwt.32 q3, [r3]\n", "vpst\nvldrwt.32 q2, [r5]\n", "vpst\nvldrwt.32 q3, [r7]\n"),
                    "4:",
                    "ldr r1, [sp]",
                    "vmov q0[2], q0[0], r0, r8",
                    "vmov q0[3], q0[1], r4, r12",
                    "vmov q1[2], q1[0], r2, r10",
                    "vmov q1[3], q1[1], r6, lr",
                    "ldr r3, [r1, #{multipliers}]",
                    "cmp r3, #0",
                    "beq 5f",
                    "add r2, r1, #{out}",
                    "ldm r2, {{r2, r4, r5, r6, r7, r8, r9, r10}}",
                    "vctp.32 r5",
                    "vpst",
                    "vldrwt.32 q2, [r3]",
                    "vshl.s32 q0, r6",
                    "vshl.s32 q1, r6",
                    "vrmulh.s32 q0, q0, q2",
                    "vrmulh.s32 q1, q1, q2",
                    "vdup.32 q2, r7",
                    "vdup.32 q3, r8",
                    "vmax.s32 q0, q0, q2",
                    "vmax.s32 q1, q1, q2",
                    "vmin.s32 q0, q0, q3",
                    "vmin.s32 q1, q1, q3",
                    "vpstt",
                    "vstrbt.32 q0, [r2]",
                    "vstrbt.32 q1, [r4]",
                    "subs r9, #1",
                    "beq 6f",
                    "add r2, r10",
                    "add r4, r10",
                    "strd r2, r4, [r1, #{out}]",
                    "str r9, [r1, #{pairs}]",
                    "vadd.i32 q4, q4, q5",
                    "vadd.i32 q4, q4, q5",
                    "mov r0, r1",
                    "b 1b",
                    "5:",
                    "add r1, #{sums}",
                    "vstrw.32 q0, [r1]",
                    "vstrw.32 q1, [r1, #16]",
                    "6:",
                    "add sp, #4",
                    "pop {{r6, r7}}",
                    pairs = const offset_of!(Job, pairs),
                    column = const offset_of!(Job, column),
                    flip = const offset_of!(Job, flip),
                    rest = const offset_of!(Job, rest),
                    sums = const offset_of!(Job, sums),
                    multipliers = const offset_of!(Job, multipliers),
                    out = const offset_of!(Job, out),
                    inout("r0") core::ptr::from_mut(job) => _,
                    out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _,
                    out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _, out("lr") _,
                    out("q0") _, out("q1") _, out("q2") _, out("q3") _,
                    out("q4") _, out("q5") _, out("q6") _, out("q7") _,
                );
            }
        }
    };
}

sums!(sums_of_neighbours, next_words);
sums!(sums_of_any, other_words);

/// The products of a vector of words for each of eight neighbours with the weights of one channel, in q2.
macro_rules! eight_products {
    () => {
        concat!(
            "vldrw.u32 q0, [q7]\nveor q0, q0, q6\nvmladava.s8 r0, q2, q0\n",
            "vldrw.u32 q1, [q7, #4]\nveor q1, q1, q6\nvmladava.s8 r2, q2, q1\n",
            "vldrw.u32 q0, [q7, #8]\nveor q0, q0, q6\nvmladava.s8 r4, q2, q0\n",
            "vldrw.u32 q1, [q7, #12]\nveor q1, q1, q6\nvmladava.s8 r6, q2, q1\n",
            "vldrw.u32 q0, [q7, #16]\nveor q0, q0, q6\nvmladava.s8 r8, q2, q0\n",
            "vldrw.u32 q1, [q7, #20]\nveor q1, q1, q6\nvmladava.s8 r10, q2, q1\n",
            "vldrw.u32 q0, [q7, #24]\nveor q0, q0, q6\nvmladava.s8 r12, q2, q0\n",
            "vldrw.u32 q1, [q7, #28]\nveor q1, q1, q6\nvmladava.s8 lr, q2, q1\n",
        )
    };
}

/// Leaves the sums of eight neighbours of the first channel.
///
/// # Safety
/// As for the jobs of pairs.
unsafe fn sums_of_eight(job: &mut Job) {
    // SAFETY: reads only what the caller vouches for, writes sums, and restores r6, r7 and sp.
    unsafe {
        asm!(
            cpu!(),
            "push {{r0, r6, r7}}",
            "ldr r1, [r0, #{column}]",
            "ldr r3, [r0, #{flip}]",
            "vdup.32 q4, r1",
            "vdup.32 q6, r3",
            "ldr r1, [r0]",
            "ldr r9, [r0, #{table}]",
            "ldr r11, [r0, #{vectors}]",
            "ldr r0, [r0, #{starts}]",
            "mov r2, r0", "mov r4, r0", "mov r6, r0", "mov r8, r0", "mov r10, r0", "mov r12, r0", "mov lr, r0",
            "cmp r11, #0",
            "beq 3f",
            "2:",
            "vldrw.32 q7, [r9], #16",
            "subs r11, #1",
            "vadd.i32 q7, q7, q4",
            "vldrw.32 q2, [r1], #16",
            eight_products!(),
            "bne 2b",
            "3:",
            "ldr r11, [sp]",
            "ldr r11, [r11, #{rest}]",
            "cmp r11, #0",
            "beq 4f",
            "vctp.32 r11",
            "vldrw.32 q7, [r9]",
            "vadd.i32 q7, q7, q4",
            "vpst",
            "vldrwt.32 q2, [r1]",
            eight_products!(),
            "4:",
            "ldr r1, [sp]",
            "vmov q0[2], q0[0], r0, r4",
            "vmov q0[3], q0[1], r2, r6",
            "vmov q1[2], q1[0], r8, r12",
            "vmov q1[3], q1[1], r10, lr",
            "add r1, #{sums}",
            "vstrw.32 q0, [r1]",
            "vstrw.32 q1, [r1, #16]",
            "add sp, #4",
            "pop {{r6, r7}}",
            column = const offset_of!(Job, column),
            flip = const offset_of!(Job, flip),
            table = const offset_of!(Job, table),
            vectors = const offset_of!(Job, vectors),
            starts = const offset_of!(Job, starts),
            rest = const offset_of!(Job, rest),
            sums = const offset_of!(Job, sums),
            inout("r0") core::ptr::from_mut(job) => _,
            out("r1") _, out("r2") _, out("r3") _, out("r4") _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _, out("lr") _,
            out("q0") _, out("q1") _, out("q2") _, out("q4") _, out("q6") _, out("q7") _,
        );
    }
}

/// The quanta of four outputs of channels from `first` on, each `step` from the one before, whose accumulators these
/// are; those beyond the last channel are anything.
#[inline(never)]
fn finished(layer: &Layer<'_>, first: usize, step: usize, acc: &[i32; 4]) -> [u8; 4] {
    let multipliers = [0, 1, 2, 3].map(|i| layer.multiplier(first + i * step, false));
    let mut below = multipliers;
    if let Activation::LeakyRelu { .. } = layer.activation {
        below = [0, 1, 2, 3].map(|i| layer.multiplier(first + i * step, true));
    }
    let mut x = [0i32; 4];
    // SAFETY: reads and writes four words of each.
    unsafe {
        asm!(
            cpu!(),
            "vldrw.32 q0, [{acc}]",
            "vldrw.32 q1, [{above}]",
            "vldrw.32 q2, [{below}]",
            "vpt.s32 lt, q0, zr",
            "vmovt q1, q2",
            "vshl.s32 q0, {shift}",
            "vrmulh.s32 q0, q0, q1",
            "vstrw.32 q0, [{x}]",
            acc = in(reg) acc.as_ptr(),
            above = in(reg) multipliers.as_ptr(),
            below = in(reg) below.as_ptr(),
            shift = in(reg) layer.shift,
            x = in(reg) x.as_mut_ptr(),
            out("q0") _, out("q1") _, out("q2") _,
            options(nostack),
        );
    }
    let bits = match layer.activation {
        Activation::Tanh => 6,
        Activation::Sigmoid => 7,
        activation => return x.map(|x| super::arithmetic::bound(activation, x) as u8),
    };
    let mut y = [0i32; 4];
    // SAFETY: reads four words and the table's entries up to the last one, and writes four words.
    unsafe {
        asm!(
            cpu!(),
            "vldrw.32 q0, [{x}]",
            "vabs.s32 q1, q0",
            // The entry, at most the last but one, and the way from it.
            "vmov q2, q1",
            "rsb {t}, {bits}, #0",
            "vshl.u32 q2, {t}",
            "vdup.32 q3, {last}",
            "vmin.u32 q4, q2, q3",
            "vldrh.u32 q5, [{table}, q4, uxtw #1]",
            "add {table}, #2",
            "vldrh.u32 q6, [{table}, q4, uxtw #1]",
            "vsub.i32 q6, q6, q5",
            "vdup.32 q4, {mask}",
            "vand q1, q1, q4",
            "vmul.i32 q6, q6, q1",
            "vshl.u32 q5, {bits}",
            "vadd.i32 q5, q5, q6",
            // Beyond the table it is 1.
            "vdup.32 q6, {one}",
            "vpt.u32 hi, q2, q3",
            "vmovt q5, q6",
            "vdup.32 q6, {half}",
            "vadd.i32 q5, q5, q6",
            "subs {t}, #8",
            "vshl.s32 q5, {t}",
            "vpt.s32 lt, q0, zr",
            "vnegt.s32 q5, q5",
            "vstrw.32 q5, [{y}]",
            x = in(reg) x.as_ptr(),
            y = in(reg) y.as_mut_ptr(),
            t = out(reg) _,
            bits = in(reg) bits,
            last = in(reg) TANH.len() - 2,
            table = inout(reg) TANH.as_ptr() => _,
            mask = in(reg) (1u32 << bits) - 1,
            one = in(reg) 1u32 << (15 + bits),
            half = in(reg) 1u32 << (7 + bits),
            out("q0") _, out("q1") _, out("q2") _, out("q3") _, out("q4") _, out("q5") _, out("q6") _,
            options(nostack),
        );
    }
    y.map(|y| match layer.activation {
        Activation::Tanh => y.min(127) as u8,
        _ => (128 + y).min(255) as u8,
    })
}
