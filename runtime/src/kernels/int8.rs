//! int8 layers, one output row at a time, over rows in the layout of [`Ring`].
//!
//! A transposed convolution is taken apart into its phases: each is an ordinary convolution with
//! the few taps that really meet an input, so no zeros are inserted and nothing is scattered. Rows
//! outside the picture are skipped; columns outside are zeros in the ring.

#[cfg(feature = "images")]
use super::arithmetic::rescale_fast;
use super::arithmetic::{finish, rescale};
use crate::invariant::{Guaranteed, divisor, unexpected};
use crate::layer::Layer;
use crate::ring::Ring;
use crate::scratch::BLOCK;
#[cfg(feature = "images")]
use crate::shape::Activation;
use crate::shape::{Shape, Window};
use crate::window::Axis;

/// Neighbours of a phase that are computed together, at most.
pub(crate) const TILE: usize = 7;
/// The accumulators of a tile's neighbours for each channel of a block.
pub(crate) type Accumulators = [[i32; TILE]; BLOCK];

/// A horizontal phase of an output row.
#[derive(Clone, Copy)]
pub(crate) struct Phase<'a> {
    pub layer: &'a Layer<'a>,
    /// Input rows that lie one behind the other, from the column on that the first output's first tap
    /// reads; two runs of them, since a ring has an end.
    pub rows: [&'a [u32]; 2],
    /// Groups of four channels in each run, one row's after another's.
    pub groups: [usize; 2],
    /// Words of a plane.
    pub plane_len: usize,
    /// Horizontal taps.
    pub count: usize,
    /// Columns from one output's taps to the next output's.
    pub step: usize,
    /// The weights of all channels, from the first one that takes part, and how many from one channel's
    /// first to the next one's.
    pub weights: &'a [i8],
    pub channel_len: usize,
    /// Bytes from one output to the next one of the phase.
    pub stride: usize,
    /// Bytes from an output's group of four channels to its next one.
    #[cfg(any(pocketgan_wide, pocketgan_mve))]
    pub group_step: usize,
}

/// A part of a phase's outputs.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    /// The first neighbour's first tap, in columns.
    pub column: usize,
    /// How many neighbours there are, as [`Kernels::neighbours`] says.
    pub outputs: usize,
    /// Whether the first tap of the first neighbour, and the last tap of the last one, are outside the
    /// picture, where the columns are zeros.
    #[cfg_attr(
        not(pocketgan_asm),
        expect(dead_code, reason = "only some kernels gain by it")
    )]
    pub edges: [bool; 2],
    /// The first channel.
    pub channel: usize,
    /// How many channels, 1 to what [`Kernels::channels`] says.
    pub channels: usize,
}

/// What differs from one target to another.
pub(crate) trait Kernels {
    /// A phase as [`tile`](Self::tile) takes it.
    type Prepared<'a>;

    fn prepare(phase: Phase<'_>) -> Self::Prepared<'_>;

    /// How many of `outputs` neighbours are computed together first.
    #[inline(always)]
    fn neighbours(_: &Self::Prepared<'_>, outputs: usize) -> usize {
        neighbours(outputs)
    }

    /// How many channels of a tile are computed together, at most.
    #[inline(always)]
    fn channels(_: &Self::Prepared<'_>) -> usize {
        BLOCK
    }

    /// Computes the outputs of a tile: neighbour `i` of each channel sums over groups and taps the products
    /// of the channel's weights, in order, with the columns `column + i * step + tap` of the rows, whose
    /// planes are laid out as in [`Ring`], and goes into every `stride`th place of `out`; four channels lie
    /// side by side.
    ///
    /// A channel has `count * 4` weights for each group, and the rows reach that far.
    fn tile(phase: &mut Self::Prepared<'_>, tile: &Tile, out: &mut [u8]);

    /// Computes some outputs of a linear layer from `input`, a vector: `weights` has four for each of
    /// four outputs in turn, for group after group of the input, and so on for the next four outputs, which
    /// go into `out` `group_step` places behind the four before them.
    fn linear(
        outputs: &Outputs<'_>,
        input: &[u32],
        weights: &[i8],
        out: &mut [u8],
        group_step: usize,
    );

    /// Adds the products of `input` to the sums of a linear layer's outputs, four of which have their weights together
    /// as in [`linear`](Self::linear).
    #[inline(never)]
    fn add(signed: bool, input: &[u32], weights: &[i8], sums: &mut [i32]) {
        let input: &[[u8; 4]] = bytemuck::must_cast_slice(input);
        let sign = sign(signed);
        let tiles = weights.as_chunks::<4>().0.as_chunks::<4>().0;
        let tiles = tiles.chunks_exact(divisor(input.len()));
        for (sums, tile) in sums.as_chunks_mut::<4>().0.iter_mut().zip(tiles) {
            for (input, weights) in input.iter().zip(tile) {
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    *sum = add_products(*sum, input, weights, sign);
                }
            }
        }
    }
}

/// The bit of a byte that is worth -128: none if quanta are not signed.
#[inline(always)]
pub(crate) fn sign(signed: bool) -> u8 {
    if signed { 0x80 } else { 0 }
}

/// `acc` plus the products of four channels.
#[inline(always)]
pub(crate) fn add_products(acc: i32, input: &[u8; 4], weights: &[i8; 4], sign: u8) -> i32 {
    let [x0, x1, x2, x3] = input.map(|x| i32::from(x ^ sign) - i32::from(sign));
    let [w0, w1, w2, w3] = weights.map(i32::from);
    acc.wrapping_add(x0 * w0 + x1 * w1 + x2 * w2 + x3 * w3)
}

/// See [`Kernels::neighbours`]: the sizes that the loops in assembly for three taps have. Tiles of 5 are the best, those
/// of less than 4 slow.
#[cfg(any(pocketgan_wide, feature = "writer"))]
pub(crate) fn neighbours_of_three(outputs: usize) -> usize {
    let fours = (5 - outputs % 5) % 5;
    match outputs {
        7 | 11 => 5,
        _ if outputs >= 4 * fours + 5 => 5,
        _ => neighbours(outputs).min(4),
    }
}

/// See [`Kernels::neighbours`]: the sizes that the loops in assembly have.
#[inline(always)]
pub(crate) fn neighbours(outputs: usize) -> usize {
    match outputs {
        0..=1 => 1,
        2..=3 => 2,
        4..=6 | 8 => 4,
        _ => TILE,
    }
}

/// Copies row `y` of a ring into the channels of `out` from `channel` on, each column `factor` times.
#[inline(always)]
pub(crate) fn copy_row(
    ring: &Ring,
    y: usize,
    factor: usize,
    input: &[u32],
    out_ring: &Ring,
    channel: usize,
    out: &mut [u8],
) {
    let input: &[u8] = bytemuck::must_cast_slice(input);
    let input = input.get(ring.row_start(y)..).guaranteed();
    for c in 0..ring.shape.channels {
        for x in 0..out_ring.shape.width {
            if let (Some(&from), Some(to)) = (
                input.get(ring.place(x / divisor(factor), c)),
                out.get_mut(out_ring.place(x, channel + c)),
            ) {
                *to = from;
            }
        }
    }
}

/// Computes row `y` of a concatenation's output into `out`, a row of `out_ring`, from the rows of its inputs' rings. An
/// input that has no rows of its own is in `out` already.
#[inline(never)]
pub(crate) fn concat_row(
    layer: &Layer<'_>,
    y: usize,
    input: &[u32],
    other: &[u32],
    out_ring: &Ring,
    out: &mut [u8],
) {
    let first = (Ring::of_input(layer), input, 0);
    let second = (Ring::of_other(layer), other, layer.input.channels);
    for (ring, input, channel) in [first, second] {
        if ring.rows > 0 {
            copy_row(&ring, y, 1, input, out_ring, channel, out);
        }
    }
}

/// The multipliers `2^32 / K^2`, rounded, of average pooling with a kernel of `K`.
static MEANS: [i32; 17] = {
    let mut means = [0; 17];
    let mut kernel = 2;
    while kernel < means.len() {
        let elements = (kernel * kernel) as u64;
        means[kernel] = (((1 << 32) + elements / 2) / elements) as i32;
        kernel += 1;
    }
    means
};

/// Computes row `y` of average pooling's output into `out`, a row of `out_ring`, from the rows of its input's ring.
#[inline(never)]
pub(crate) fn pool_row(
    layer: &Layer<'_>,
    window: Window,
    y: usize,
    input: &[u32],
    out_ring: &Ring,
    out: &mut [u8],
) {
    let Window { kernel, stride, .. } = window;
    let mean = MEANS.get(kernel).copied().guaranteed();
    let ring = Ring::of_input(layer);
    // In words, of which a column of four channels is one.
    let mut starts = [0; 16];
    for (row, start) in starts.iter_mut().enumerate().take(kernel) {
        *start = ring.row_start(y * stride + row) / 4;
    }
    let starts = starts.get(..kernel).guaranteed();
    for c in (0..layer.output.channels).step_by(4) {
        let count = (layer.output.channels - c).min(4);
        for x in 0..layer.output.width {
            let mut sums = [0; 4];
            for start in starts {
                let first = start + ring.place(x * stride, c) / 4;
                let columns = input.get(first..first + kernel).guaranteed();
                for &column in columns {
                    let mut four = u32::from_le(column);
                    for sum in &mut sums {
                        *sum += first_of(four, layer.signed_input);
                        four >>= 8;
                    }
                }
            }
            let out = out.get_mut(out_ring.place(x, c)..).guaranteed();
            for (to, &sum) in out.iter_mut().zip(&sums).take(count) {
                *to = rescale(sum, 0, mean) as u8;
            }
        }
    }
}

/// Computes row `y` of an addition's output into `out`, a row of `out_ring`, from the rows of its inputs' rings.
#[inline(never)]
pub(crate) fn add_row(
    layer: &Layer<'_>,
    y: usize,
    input: &[u32],
    added: &[u32],
    out_ring: &Ring,
    out: &mut [u8],
) {
    // Where there are pictures there is room for more code.
    #[cfg(feature = "images")]
    match layer.activation {
        Activation::None => {
            return add_row_by(layer, y, [input, added], out_ring, out, |x| {
                x.clamp(-128, 127)
            });
        }
        Activation::Relu => {
            return add_row_by(layer, y, [input, added], out_ring, out, |x| x.clamp(0, 255));
        }
        _ => {}
    }
    let [own, other] = layer.addends;
    let (ring, other_ring) = (Ring::of_input(layer), Ring::of_other(layer));
    // In words, of which a column of four channels is one.
    let mut at = ring.row_start(y) / 4 + ring.pad_left;
    let mut other_at = other_ring.row_start(y) / 4 + other_ring.pad_left;
    for c in (0..layer.output.channels).step_by(4) {
        let count = (layer.output.channels - c).min(4);
        for x in 0..layer.output.width {
            let (Some(&a), Some(&b)) = (input.get(at + x), added.get(other_at + x)) else {
                return unexpected();
            };
            let (mut a, mut b) = (u32::from_le(a), u32::from_le(b));
            let mut sums = [0; 4];
            for sum in &mut sums {
                *sum =
                    own * first_of(a, layer.signed_input) + other * first_of(b, layer.signed_other);
                (a, b) = (a >> 8, b >> 8);
            }
            let sums = sums.get(..count).guaranteed();
            let out = out.get_mut(out_ring.place(x, c)..).guaranteed();
            store_channel(layer, 0, sums, out, 1);
        }
        at += ring.columns;
        other_at += other_ring.columns;
    }
}

/// [`add_row`] for an activation that has one multiplier and brings its outputs in range by `bound`.
#[cfg(feature = "images")]
#[inline(never)]
fn add_row_by(
    layer: &Layer<'_>,
    y: usize,
    [input, added]: [&[u32]; 2],
    out_ring: &Ring,
    out: &mut [u8],
    bound: impl Fn(i32) -> i32,
) {
    let (ring, other_ring) = (Ring::of_input(layer), Ring::of_other(layer));
    let mut at = ring.row_start(y) / 4 + ring.pad_left;
    let mut other_at = other_ring.row_start(y) / 4 + other_ring.pad_left;
    let (shift, [multiplier, _]) = (layer.shift, layer.multipliers(0));
    let ([own, other], signs) = (layer.addends, [layer.signed_input, layer.signed_other]);
    let [sign, other_sign] = signs.map(sign);
    // A quantum is its byte without the sign, less the sign.
    let of_signs = own
        .wrapping_mul(sign.into())
        .wrapping_add(other.wrapping_mul(other_sign.into()));
    let start = of_signs.wrapping_neg();
    let [signs, other_signs] = [sign, other_sign].map(|sign| u32::from_ne_bytes([sign; 4]));
    let (width, step) = (layer.output.width, divisor(out_ring.column_step()));
    for c in (0..layer.output.channels).step_by(4) {
        let a = input.get(at..at + width).guaranteed();
        let b = added.get(other_at..other_at + width).guaranteed();
        let out = out.get_mut(out_ring.place(0, c)..).guaranteed();
        let count = (layer.output.channels - c).min(4);
        for ((&a, &b), out) in a.iter().zip(b).zip(out.chunks_mut(step)) {
            let four = (a ^ signs)
                .to_le_bytes()
                .into_iter()
                .zip((b ^ other_signs).to_le_bytes());
            for (to, (a, b)) in out.iter_mut().take(count).zip(four) {
                let sum = start
                    .wrapping_add(own.wrapping_mul(a.into()))
                    .wrapping_add(other.wrapping_mul(b.into()));
                *to = bound(rescale_fast(sum, shift, multiplier)) as u8;
            }
        }
        at += ring.columns;
        other_at += other_ring.columns;
    }
}

/// The first of four quanta of a tensor that is signed or not.
#[inline(always)]
fn first_of(four: u32, signed: bool) -> i32 {
    let sign = if signed { 0x80 } else { 0 };
    i32::from(four as u8 ^ sign) - i32::from(sign)
}

#[cfg_attr(feature = "convolution", inline(never))]
pub(crate) fn linear_row<K: Kernels>(
    layer: &Layer<'_>,
    y: usize,
    input: &[u32],
    out_ring: &Ring,
    out: &mut [u8],
) {
    let Shape {
        width, channels, ..
    } = layer.output;
    let groups = channels.div_ceil(4);
    let weights: &[i8] = bytemuck::must_cast_slice(layer.parameters.weights);
    let pixel_len = groups * input.len() * 16;
    for x in 0..width {
        let pixel = y * width + x;
        let outputs = Outputs {
            layer,
            first: pixel * channels,
            count: channels,
        };
        let weights = weights.get(pixel * pixel_len..).guaranteed();
        let out = out.get_mut(out_ring.place(x, 0)..).guaranteed();
        linear_pixel::<K>(&outputs, input, weights, out_ring, out);
    }
}

/// Computes outputs of a linear layer that are channels of one pixel, from the place of the first one on.
#[inline(always)]
pub(crate) fn linear_pixel<K: Kernels>(
    outputs: &Outputs<'_>,
    input: &[u32],
    weights: &[i8],
    out_ring: &Ring,
    out: &mut [u8],
) {
    let group_step = out_ring.place(0, 4) - out_ring.place(0, 0);
    K::linear(outputs, input, weights, out, group_step);
}

/// Outputs of a linear layer that lie one behind the other.
#[derive(Clone, Copy)]
pub(crate) struct Outputs<'a> {
    pub layer: &'a Layer<'a>,
    pub first: usize,
    pub count: usize,
}

impl Outputs<'_> {
    /// What the accumulators of four outputs from `i` on start as: the bias and what the class adds to it.
    #[cfg(pocketgan_x86_64)]
    #[inline(always)]
    pub fn start(&self, i: usize) -> [i32; 4] {
        let mut start = self.layer.four(self.layer.parameters.bias, self.first + i);
        let column = self.layer.parameters.column.get(self.first + i..);
        // There is no column without classes.
        for (start, &q) in start.iter_mut().zip(column.unwrap_or_default()) {
            *start = start.wrapping_add(self.layer.class_step * i32::from(q as i8));
        }
        start
    }

    /// Requantizes four outputs from `i` on, whose products have these sums, into their places from `at` on.
    #[cfg(not(any(pocketgan_mve, pocketgan_x86_64)))]
    #[inline(always)]
    pub fn finish(&self, i: usize, sums: &[i32; 4], out: &mut [u8], at: usize) {
        for (j, sum) in (i..self.count).zip(sums) {
            if let Some(to) = out.get_mut(at + j - i) {
                *to = requantize(self.layer, self.first + j, *sum);
            }
        }
    }
}

/// Adds row `y` of its input, from the row's first plane on, to the sums of a linear layer over an image.
pub(crate) fn add_image_row<K: Kernels>(
    layer: &Layer<'_>,
    y: usize,
    input: &[u32],
    sums: &mut [i32],
) {
    let weights: &[i8] = bytemuck::must_cast_slice(layer.parameters.weights);
    let row_len = sums.len() * input.len() * 4;
    let weights = weights.get(y * row_len..(y + 1) * row_len).guaranteed();
    K::add(layer.signed_input, input, weights, sums);
}

/// Computes the vector that a linear layer makes of an image from the sums of all rows into `out`, a row of `out_ring`.
pub(crate) fn finish_image(layer: &Layer<'_>, sums: &[i32], out_ring: &Ring, out: &mut [u8]) {
    for (i, &sum) in sums.iter().enumerate().take(layer.outputs()) {
        if let Some(to) = out.get_mut(out_ring.place(0, i)) {
            *to = requantize(layer, i, sum);
        }
    }
}

/// Output `i` of a linear layer, whose products have this sum.
#[inline(never)]
fn requantize(layer: &Layer<'_>, i: usize, sum: i32) -> u8 {
    let acc = layer.start_i32(i).wrapping_add(sum);
    let multiplier = layer.multiplier(i, acc < 0);
    super::arithmetic::finish_by(layer.activation, layer.shift, multiplier, acc) as u8
}

/// One output row of a convolution or transposed convolution.
pub(crate) struct Convolution<'a> {
    pub layer: &'a Layer<'a>,
    pub axis: Axis,
    ring: Ring,
    /// The vertical phase, its taps, and the first one that is inside the picture.
    phase: usize,
    taps: usize,
    first_tap: usize,
    /// The input rows of the taps inside the picture: how many up to the ring's end, and how many from its
    /// start on.
    counts: [usize; 2],
    rows: [&'a [u32]; 2],
}

impl<'a> Convolution<'a> {
    pub fn new(layer: &'a Layer<'a>, axis: Axis, y: usize, input: &'a [u32]) -> Self {
        let (start, end) = axis.inside(y, layer.input.height);
        let ring = Ring::of_input(layer);
        let first = (axis.first_input(y) + start as isize).max(0) as usize % divisor(ring.rows);
        let count = (ring.rows - first).min(end - start);
        let from_first = input.get(first * (ring.row_len() / 4)..);
        Self {
            layer,
            axis,
            ring,
            phase: y % axis.phases(),
            taps: axis.taps(y % axis.phases()),
            first_tap: start,
            counts: [count, end - start - count],
            rows: [from_first.guaranteed(), input],
        }
    }

    /// Weights of a channel for the horizontal phase `px`.
    pub fn channel_len(&self, px: usize) -> usize {
        self.taps * self.ring.groups() * self.axis.taps(px) * 4
    }

    /// The same with a part of the layer's channels.
    pub fn of_part<'p>(&'p self, layer: &'p Layer<'p>) -> Convolution<'p> {
        Convolution { layer, ..*self }
    }

    #[inline(never)]
    pub fn run<K: Kernels>(&self, out_ring: &Ring, out: &mut [u8]) {
        let weights: &[i8] = bytemuck::must_cast_slice(self.layer.parameters.weights);
        let mut weights = weights.get(self.first_weight()..).guaranteed();
        for px in 0..self.axis.phases().min(self.layer.output.width) {
            let len = self.run_phase::<K>(px, weights, out_ring, out);
            let behind = self.layer.output.channels * len;
            weights = weights.get(behind..).guaranteed();
        }
    }

    /// Where the weights of the vertical phase start.
    pub fn first_weight(&self) -> usize {
        let taps = self.axis.taps_before(self.phase) * self.axis.kernel();
        taps * self.ring.groups() * 4 * self.layer.output.channels
    }

    /// Computes the outputs of the horizontal phase `px` by its weights, and says how many of these a channel has.
    #[inline(always)]
    pub fn run_phase<K: Kernels>(
        &self,
        px: usize,
        weights: &'a [i8],
        out_ring: &Ring,
        out: &mut [u8],
    ) -> usize {
        let Layer { input, output, .. } = *self.layer;
        let (axis, phases) = (self.axis, self.axis.phases());
        let (phase, outside) = self.horizontal_phase(px, weights, out_ring);
        let mut prepared = K::prepare(phase);
        let outputs = (output.width - px).div_ceil(divisor(phases));
        let mut done = 0;
        while done < outputs {
            let column = done * phase.step;
            let count = K::neighbours(&prepared, outputs - done);
            let reach = column + (count - 1) * phase.step + phase.count;
            let tile = Tile {
                column,
                outputs: count,
                edges: [
                    outside && done == 0,
                    axis.first_input(px) + reach as isize == input.width as isize + 1,
                ],
                channel: 0,
                channels: 0,
            };
            self.channels::<K>(&mut prepared, tile, px + done * phases, out_ring, out);
            done += count;
        }
        phase.channel_len
    }

    /// The horizontal phase `px`, and whether its very first tap is outside the picture, but no second one.
    fn horizontal_phase(&self, px: usize, weights: &'a [i8], out_ring: &Ring) -> (Phase<'a>, bool) {
        let (axis, layer) = (self.axis, self.layer);
        let first = axis.first_input(px);
        let start = (self.ring.pad_left as isize + first).max(0) as usize;
        let (groups, count) = (self.ring.groups(), axis.taps(px));
        let tap_len = groups * count * 4;
        let phase = Phase {
            layer,
            rows: self.rows.map(|rows| rows.get(start..).guaranteed()),
            groups: self.counts.map(|rows| rows * groups),
            plane_len: self.ring.columns,
            count,
            step: axis.step(),
            weights: weights.get(self.first_tap * tap_len..).guaranteed(),
            channel_len: self.taps * tap_len,
            stride: axis.phases() * out_ring.column_step(),
            #[cfg(any(pocketgan_wide, pocketgan_mve))]
            group_step: out_ring.place(0, 4) - out_ring.place(0, 0),
        };
        (phase, first == -1)
    }

    /// Computes a tile's outputs of all channels, from column `x` of the output on.
    fn channels<K: Kernels>(
        &self,
        phase: &mut K::Prepared<'_>,
        mut tile: Tile,
        x: usize,
        out_ring: &Ring,
        out: &mut [u8],
    ) {
        let channels = self.layer.output.channels;
        while tile.channel < channels {
            tile.channels = (channels - tile.channel).min(K::channels(phase));
            let out = out.get_mut(out_ring.place(x, tile.channel)..);
            K::tile(phase, &tile, out.guaranteed());
            tile.channel += tile.channels;
        }
    }
}

/// What the accumulators of a tile start as.
#[inline(never)]
pub(crate) fn biases(layer: &Layer<'_>, tile: &Tile) -> Accumulators {
    let bias = |i| [layer.bias_i32(tile.channel + i); TILE];
    [bias(0), bias(1), bias(2), bias(3)]
}

/// Requantizes the accumulators of a tile into their places.
pub(crate) fn store(phase: &Phase<'_>, tile: &Tile, acc: &Accumulators, mut out: &mut [u8]) {
    for (i, acc) in acc.iter().take(tile.channels).enumerate() {
        let acc = acc.get(..tile.outputs).guaranteed();
        store_channel(phase.layer, tile.channel + i, acc, out, phase.stride);
        out = out.get_mut(1..).guaranteed();
    }
}

// Not inlined, so that its loop has the registers for itself.
#[inline(never)]
fn store_channel(layer: &Layer<'_>, channel: usize, acc: &[i32], out: &mut [u8], stride: usize) {
    let multipliers = layer.multipliers(channel);
    let mut at = 0;
    for &acc in acc {
        let Some(to) = out.get_mut(at) else {
            return unexpected();
        };
        *to = finish(layer.activation, layer.shift, multipliers, acc) as u8;
        at += stride;
    }
}
