//! The working memory of a model and what makes the rows in it.
//!
//! Rows are pulled: a layer's next row is made when a layer that reads it asks, each row once, and of each tensor
//! only the rows are kept that are needed at once. The linear layer makes one row of its output at a time.

use crate::blob::needs::FirstRows;
use crate::blob::{Model, memory};
use crate::error::Error;
#[cfg(feature = "images")]
use crate::invariant::divisor;
use crate::invariant::{Guaranteed, unexpected};
use crate::kernels::{backend, float, int8};
use crate::latent;
use crate::layer::Layer;
use crate::ring::Ring;
use crate::shape::{Operator, PixelRange};
use crate::window;
use bytemuck::{must_cast_slice, must_cast_slice_mut};
use core::hint::black_box;

/// Working memory for a model: `N` words, where `N` is [`Model::buffer_len`].
#[derive(Clone, Debug)]
pub struct Buffer<const N: usize> {
    words: [u32; N],
}

impl<const N: usize> Buffer<N> {
    /// A buffer of zeros, so that a static one takes no room in flash.
    pub const fn new() -> Self {
        Self { words: [0; N] }
    }
}

impl<const N: usize> Default for Buffer<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> AsMut<[u32]> for Buffer<N> {
    fn as_mut(&mut self) -> &mut [u32] {
        &mut self.words
    }
}

/// The working memory of a model in a buffer.
///
/// # Errors
/// [`Error::BufferTooSmall`]; [`Error::Unaligned`].
#[inline(always)]
pub(crate) fn working_memory<'b, B>(
    model: &Model<'_>,
    buffer: &'b mut B,
) -> Result<&'b mut [u32], Error>
where
    B: AsMut<[u32]> + ?Sized,
{
    if cfg!(any(pocketgan_asm, pocketgan_mve)) && !model.numbers().is_float() && !model.is_aligned()
    {
        return Err(Error::Unaligned);
    }
    buffer
        .as_mut()
        .get_mut(..model.buffer_len())
        .ok_or(Error::BufferTooSmall)
}

/// A model and its working memory, which is laid out by [`memory`].
#[derive(Debug)]
pub(crate) struct Executor<'m, 'b> {
    pub model: Model<'m>,
    words: &'b mut [u32],
}

impl<'m, 'b> Executor<'m, 'b> {
    /// An executor that works in words from [`working_memory`].
    #[inline(always)]
    pub fn new(model: &Model<'m>, words: &'b mut [u32]) -> Self {
        // The zeros of the padding are never written again.
        for word in words.iter_mut() {
            // Hidden, so that it is no call of memset, which is larger than all of this function.
            *word = black_box(0);
        }
        let mut start = memory::state_len(model);
        for index in 0..model.layer_count() + 1 {
            if let Some(word) = words.get_mut(index * 2 + 1) {
                *word = start as u32;
            }
            start += memory::ring(model, index).words();
        }
        Self {
            model: *model,
            words,
        }
    }

    /// Forgets all rows, but that of a latent.
    fn forget(&mut self) {
        let latents = usize::from(!IMAGES || self.model.picture().is_none());
        for tensor in 0..self.model.layer_count() + 1 {
            self.set_state(tensor * 2, if tensor == 0 { latents } else { 0 });
        }
        for index in 0..self.model.layer_count() {
            let mut decoded = None;
            if IMAGES && layer(&self.model, index, &mut decoded).reads_image {
                self.set_state(self.sums_start(index), 0);
            }
        }
    }

    /// Forgets all rows, so that a picture can be read.
    #[cfg(feature = "images")]
    pub fn start_picture(&mut self) {
        self.forget();
    }

    /// Puts the next row of a picture in the first ring.
    #[cfg(feature = "images")]
    pub fn take_picture_row(&mut self, pixels: &[u8]) {
        let ring = memory::ring(&self.model, 0);
        let table = self.model.table();
        let start = self.ring_start(0);
        let row = ring.row_start(self.rows_made(0));
        let words = self.words.get_mut(start..).guaranteed();
        let channels = divisor(ring.shape.channels);
        if ring.numbers.is_float() {
            let (values, _) = table.as_chunks();
            let row = must_cast_slice_mut::<u32, f32>(words).get_mut(row..);
            for (to, &pixel) in row.guaranteed().iter_mut().zip(pixels) {
                *to = f32::from_le_bytes(values.get(usize::from(pixel)).copied().guaranteed());
            }
        } else {
            let row = must_cast_slice_mut::<u32, u8>(words).get_mut(row..);
            let row = row.guaranteed();
            for c in 0..channels {
                let places = row.get_mut(ring.place(0, c)..).guaranteed();
                let places = places.iter_mut().step_by(ring.column_step());
                let pixels = pixels.iter().skip(c).step_by(channels);
                for (to, &pixel) in places.zip(pixels) {
                    *to = table.get(usize::from(pixel)).copied().guaranteed();
                }
            }
        }
        self.count_row(0);
    }

    /// The pixels of the row of the output that was made last.
    pub fn pixels(&mut self) -> &[u8] {
        let (row_len, range) = (self.model.output().row_len(), self.model.range());
        let is_float = self.model.numbers().is_float();
        let words = self.image_row();
        if is_float {
            values_to_pixels(row_len, range, words)
        } else {
            quanta_to_pixels(row_len, range, words)
        }
    }

    /// What the row of the output that was made last is worth, in `row`.
    pub fn values(&mut self, row: &mut [f32]) {
        let range = self.model.range();
        if self.model.numbers().is_float() {
            return copy(row, must_cast_slice(self.image_row()));
        }
        for (value, &pixel) in row.iter_mut().zip(self.pixels()) {
            *value = range.value(pixel);
        }
    }

    /// Puts the latent in the first ring and forgets all other rows.
    pub fn start(&mut self, mut component: impl FnMut(usize) -> i8) {
        self.forget();
        let ring = memory::ring(&self.model, 0);
        let start = self.ring_start(0);
        let words = self.words.get_mut(start..).guaranteed();
        // Hidden, so that the loop is not written out for a short latent, which takes more code than all of this.
        for i in 0..black_box(self.model.latent_size()) {
            let q = component(i);
            if ring.numbers.is_float() {
                if let Some(to) = must_cast_slice_mut::<u32, f32>(words).get_mut(i) {
                    *to = f32::from(q) * latent::SCALE;
                }
            } else if let Some(to) = must_cast_slice_mut::<u32, i8>(words).get_mut(ring.place(0, i))
            {
                *to = q;
            }
        }
    }

    /// Makes the next row of the output of a model that reads latents; returns the memory that starts with it.
    pub fn make_image_row(&mut self) -> &mut [u32] {
        let mut index = self.model.layer_count() - 1;
        while let Next::Layer(next) = self.step::<false>(index, |_, _| true) {
            index = next;
        }
        self.image_row()
    }

    /// The memory that starts with the row of the output that was made last.
    pub fn image_row(&mut self) -> &mut [u32] {
        let start = self.ring_start(self.model.layer_count());
        self.words.get_mut(start..).guaranteed()
    }

    /// Goes on to row `y` of the image: makes those rows of the other tensors that rows from `y` on need and that a
    /// whole image has by then, and tells `made` each one's tensor and number.
    // In the order of a whole image, since in another one a ring might not be long enough: if a layer made several rows
    // at once to begin with, it could overwrite what another branch still has to read.
    #[inline(never)]
    pub fn skip_to(&mut self, y: usize, mut made: impl FnMut(usize, usize)) {
        let first = FirstRows::of(&self.model, y);
        let image = self.model.layer_count();
        while self.rows_made(image) < y {
            let mut next = Next::Layer(image - 1);
            while let Next::Layer(index) = next {
                next = self.step::<false>(index, |tensor, row| {
                    let is_needed = row >= first.get(tensor);
                    if is_needed {
                        made(tensor, row);
                    }
                    is_needed
                });
            }
        }
        // Rows that no window reads.
        for tensor in 1..image {
            if self.rows_made(tensor) < first.get(tensor) {
                self.set_state(tensor * 2, first.get(tensor));
            }
        }
    }

    /// Makes the next row of layer `index` if `is_wanted` says so of its output's tensor and number, and counts it, or
    /// asks for a row that it needs first. `PICTURES` says whether the model reads pictures.
    #[inline(always)]
    pub fn step<const PICTURES: bool>(
        &mut self,
        index: usize,
        mut is_wanted: impl FnMut(usize, usize) -> bool,
    ) -> Next {
        let y = self.rows_made(index + 1);
        let mut decoded = None;
        let layer = layer(&self.model, index, &mut decoded);
        if let Some(tensor) = self.missing(layer, index, y) {
            match tensor.checked_sub(1) {
                Some(maker) => {
                    self.ask(maker, index);
                    return Next::Layer(maker);
                }
                None if PICTURES => return Next::Picture,
                // A latent is there from the beginning.
                None => {}
            }
        }
        if IMAGES && layer.reads_image {
            if self.rows_added(index) < layer.input.height {
                self.add_image_row(index, layer);
                return Next::Layer(index);
            }
            self.finish_image(index, layer);
        } else if is_wanted(index + 1, y) {
            self.make_row(index, layer, y);
        }
        self.count_row(index + 1);
        if index + 1 < self.model.layer_count() {
            Next::Layer(self.asker(index))
        } else {
            Next::Image
        }
    }

    /// The tensor of which a row has to be made before layer `index` can make row `y`.
    #[inline(always)]
    fn missing(&self, layer: &Layer<'_>, index: usize, y: usize) -> Option<usize> {
        let needed = if IMAGES && layer.reads_image {
            (self.rows_added(index) + 1).min(layer.input.height)
        } else {
            window::rows_needed(layer.operator, layer.input.height, y)
        };
        let source = source(layer, index);
        if self.rows_made(source) < needed {
            return Some(source);
        }
        let other = layer.operator.in_this_build().other();
        other.filter(|&other| self.rows_made(other) <= y)
    }

    /// Adds the next row of its input to the sums of layer `index`, a linear one over an image.
    #[inline(never)]
    fn add_image_row(&mut self, index: usize, layer: &Layer<'_>) {
        let y = self.rows_added(index);
        let rest = memory::sums_start(&self.model) - memory::scratch_len(&self.model);
        let (rings, sums) = self.split_at_sums(index, layer);
        let (rings, scratch) = rings.split_at_mut_checked(rest).guaranteed();
        let ring = Ring::of_input(layer);
        let row = ring.row_start(y)..ring.row_start(y) + ring.row_len();
        let input = rows(rings, layer.source);
        let Some((count, sums)) = sums.split_first_mut() else {
            return unexpected();
        };
        *count += 1;
        if layer.numbers.is_float() {
            let input = must_cast_slice::<u32, f32>(input).get(row);
            float::add_image_row(layer, y, input.guaranteed(), must_cast_slice_mut(sums));
            return;
        }
        let input = input.get(row.start / 4..row.end / 4);
        let sums = must_cast_slice_mut::<u32, i32>(sums);
        if y == 0 {
            sums.fill(0);
        }
        backend::int8_add_image_row(layer, y, input.guaranteed(), sums, scratch);
    }

    /// Makes the output of layer `index`, a linear one over an image, from the sums of all rows.
    #[inline(never)]
    fn finish_image(&mut self, index: usize, layer: &Layer<'_>) {
        let out_ring = Ring::of_output(layer);
        let start = self.ring_start(layer.home.of(index + 1));
        let range = layer.home.offset(&out_ring)..out_ring.row_len();
        let (rings, sums) = self.split_at_sums(index, layer);
        let out = rings.get_mut(start..).guaranteed();
        let sums = sums.get(1..).guaranteed();
        if layer.numbers.is_float() {
            let out = must_cast_slice_mut::<u32, f32>(out).get_mut(range);
            float::finish_image(layer, must_cast_slice(sums), out.guaranteed());
        } else {
            let out = must_cast_slice_mut::<u32, u8>(out).get_mut(range);
            int8::finish_image(layer, must_cast_slice(sums), &out_ring, out.guaranteed());
        }
    }

    /// The words before the sums, and those of layer `index`'s sums, which follow the number of rows added.
    fn split_at_sums(&mut self, index: usize, layer: &Layer<'_>) -> (&mut [u32], &mut [u32]) {
        let first = memory::sums_start(&self.model);
        let before = self.sums_start(index) - first;
        let (rest, sums) = self.words.split_at_mut_checked(first).guaranteed();
        let sums = sums.get_mut(before..before + memory::sums_len(layer));
        (rest, sums.guaranteed())
    }

    fn sums_start(&self, index: usize) -> usize {
        memory::sums_start(&self.model) + memory::sums_before(&self.model, index)
    }

    /// How many rows of its input were added to the sums of layer `index`, a linear one over an image.
    fn rows_added(&self, index: usize) -> usize {
        state(self.words, self.sums_start(index))
    }

    /// Makes row `y` of layer `index`'s output in its ring.
    // Inlined, so that the layer is known if the compiler decoded it.
    #[cfg_attr(feature = "convolution", inline(always))]
    fn make_row(&mut self, index: usize, layer: &Layer<'_>, y: usize) {
        let out_ring = Ring::of_output(layer);
        let end = self.ring_start(layer.home.of(index + 1));
        let Some((before, after)) = self.words.split_at_mut_checked(end) else {
            return unexpected();
        };
        let input = rows(before, source(layer, index));
        let (after, scratch) = if layer.numbers.is_int4() {
            // After the last ring.
            let last = self.model.layer_count();
            let rings_end = state(before, last * 2 + 1) + memory::ring(&self.model, last).words();
            let rings = rings_end.saturating_sub(end);
            after.split_at_mut_checked(rings).guaranteed()
        } else {
            (after, &mut [][..])
        };
        // Asked for first, so that firmware whose layers all have weights has no code for the others.
        let has_weights = !GRAPHS || !layer.parameters.weights.is_empty();
        let row = out_ring.row_start(y);
        let range = row + layer.home.offset(&out_ring)..row + out_ring.row_len();
        let operator = layer.operator;
        // The class's column goes into a copy. The operator is read from the layer itself, which the compiler knows.
        let of_class;
        let layer = if GRAPHS && layer.needs_class() {
            of_class = layer.of_class(self.model.class());
            &of_class
        } else {
            layer
        };
        if layer.numbers.is_float() {
            let out = must_cast_slice_mut(after).get_mut(range);
            let (input, out) = (must_cast_slice(input), out.guaranteed());
            match operator {
                _ if has_weights => backend::float_row(layer, y, input, out),
                Operator::Add { from } => {
                    float::add_row(layer, y, input, must_cast_slice(rows(before, from)), out);
                }
                Operator::Concat { from } if operator.is_in_this_build() => {
                    float::concat_row(layer, y, input, must_cast_slice(rows(before, from)), out);
                }
                _ => backend::float_row(layer, y, input, out),
            }
        } else {
            let out = must_cast_slice_mut(after).get_mut(range);
            let out = out.guaranteed();
            match operator {
                _ if has_weights => backend::int8_row(layer, y, input, &out_ring, out, scratch),
                Operator::Add { from } => {
                    int8::add_row(layer, y, input, rows(before, from), &out_ring, out);
                }
                Operator::Concat { from } if operator.is_in_this_build() => {
                    int8::concat_row(layer, y, input, rows(before, from), &out_ring, out);
                }
                Operator::AvgPool2d(window) if operator.is_in_this_build() => {
                    int8::pool_row(layer, window, y, input, &out_ring, out);
                }
                _ => backend::int8_row(layer, y, input, &out_ring, out, scratch),
            }
        }
    }

    /// Notes that layer `index` asks for the next row of layer `before`.
    fn ask(&mut self, before: usize, index: usize) {
        if !GRAPHS {
            return;
        }
        let rows = self.rows_made(before + 1);
        self.set_state((before + 1) * 2, rows | index << 16);
    }

    /// The layer that asked for a row of layer `index`.
    fn asker(&self, index: usize) -> usize {
        if GRAPHS {
            state(self.words, (index + 1) * 2) >> 16
        } else {
            index + 1
        }
    }

    pub fn rows_made(&self, tensor: usize) -> usize {
        let mask = if GRAPHS { 0xffff } else { usize::MAX };
        state(self.words, tensor * 2) & mask
    }

    /// One after the last row that is to be made of the image that was begun; 0 if none was. It lies in the half of the
    /// latent's state where that of other tensors has who asked for a row.
    pub fn end(&self) -> usize {
        state(self.words, 0) >> 16
    }

    pub fn set_end(&mut self, end: usize) {
        self.set_state(0, 1 | end << 16);
    }

    fn count_row(&mut self, tensor: usize) {
        if let Some(word) = self.words.get_mut(tensor * 2) {
            *word = word.wrapping_add(1);
        }
    }

    fn set_state(&mut self, at: usize, value: usize) {
        if let Some(word) = self.words.get_mut(at) {
            *word = value as u32;
        }
    }

    fn ring_start(&self, tensor: usize) -> usize {
        state(self.words, tensor * 2 + 1)
    }
}

/// Whose turn is next.
pub(crate) enum Next {
    /// A layer's.
    Layer(usize),
    /// The picture's next row is needed before the same layer can go on.
    Picture,
    /// A row of the image was made.
    Image,
}

/// Whether there are models that read pictures, and linear layers over images.
const IMAGES: bool = cfg!(feature = "images");

/// Whether there are models that are no chains: layers that read one tensor each, of which every one is read, make a
/// chain.
const GRAPHS: bool = cfg!(feature = "convolution");

/// The tensor that layer `index` reads first.
#[inline(always)]
fn source(layer: &Layer<'_>, index: usize) -> usize {
    if GRAPHS { layer.source } else { index }
}

/// The ring of a tensor that is not the last, in the words in front of the ring of a layer's output that reads it;
/// empty if it lies in the rows of another tensor.
fn rows(words: &[u32], tensor: usize) -> &[u32] {
    let start = state(words, tensor * 2 + 1);
    let end = if GRAPHS {
        state(words, tensor * 2 + 3)
    } else {
        words.len()
    };
    words.get(start..end).guaranteed()
}

/// A layer of a model: the one it was included with, which has no class's column, or one decoded into `decoded`.
#[inline(always)]
fn layer<'l, 'm>(
    model: &Model<'m>,
    index: usize,
    decoded: &'l mut Option<Layer<'m>>,
) -> &'l Layer<'m> {
    match model.decoded_layer(index) {
        Some(layer) => layer,
        None => decoded.insert(model.layer(index)),
    }
}

/// A word of the state.
fn state(words: &[u32], at: usize) -> usize {
    words.get(at).copied().guaranteed() as usize
}

/// `copy_from_slice` that takes what there is.
pub(crate) fn copy<T: Copy>(to: &mut [T], from: &[T]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = from;
    }
}

/// A row of an f32 model's output as pixels, which lie behind it.
// Not inlined, so that an int8 image is made the same with it and without.
#[inline(never)]
pub(crate) fn values_to_pixels(row_len: usize, range: PixelRange, words: &mut [u32]) -> &[u8] {
    let (values, pixels) = words.split_at_mut_checked(row_len).guaranteed();
    let values: &[f32] = must_cast_slice(values);
    let pixels: &mut [u8] = must_cast_slice_mut(pixels);
    let pixels = pixels.get_mut(..row_len).guaranteed();
    backend::pixels(range, values, pixels);
    pixels
}

/// A row of an int8 model's output as pixels, in its place.
fn quanta_to_pixels(row_len: usize, range: PixelRange, words: &mut [u32]) -> &[u8] {
    let row = words.get_mut(..row_len.div_ceil(4)).guaranteed();
    let offset = u32::from_ne_bytes([pixel_offset(range); 4]);
    for word in row.iter_mut() {
        *word ^= offset;
    }
    must_cast_slice(row).get(..row_len).guaranteed()
}

/// What turns a quantum into a pixel, by exclusive or: for signed quanta that adds 128.
pub(crate) fn pixel_offset(range: PixelRange) -> u8 {
    match range {
        PixelRange::Signed => 0x80,
        PixelRange::Unsigned => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::Rng;
    use core::ops::Range;
    use std::vec;
    use std::vec::Vec;

    /// The rows that an output row needs of each tensor that the layer reads, from the definition of the operator:
    /// tensor, first row, one after the last.
    fn reads(layer: &Layer<'_>, y: usize) -> Vec<(usize, usize, usize)> {
        let height = layer.input.height;
        let taps: Vec<usize> = match layer.operator {
            Operator::Linear => vec![0],
            Operator::Upsample { factor } => vec![y / factor],
            Operator::Add { .. } | Operator::Concat { .. } => vec![y],
            Operator::Conv2d(w) | Operator::AvgPool2d(w) => (0..w.kernel)
                .filter_map(|k| (y * w.stride + k).checked_sub(w.padding))
                .filter(|&row| row < height)
                .collect(),
            Operator::ConvTranspose2d(w) => (0..height)
                .filter(|row| {
                    (row * w.stride..row * w.stride + w.kernel).contains(&(y + w.padding))
                })
                .collect(),
        };
        let tensors = core::iter::once(layer.source).chain(layer.operator.other());
        let range = taps.first().copied().zip(taps.last().copied());
        tensors
            .filter_map(|tensor| range.map(|(first, last)| (tensor, first, last + 1)))
            .collect()
    }

    /// The tensor in whose rows a tensor lies.
    fn home(layers: &[Layer<'_>], tensor: usize) -> usize {
        let maker = tensor.checked_sub(1).and_then(|index| layers.get(index));
        maker.map_or(tensor, |layer| layer.home.of(tensor))
    }

    /// The most rows of each tensor that were made, in part at least, and were still to be read, seen after every step
    /// of the executor.
    fn high_water(model: &Model<'_>) -> Vec<usize> {
        let layers: Vec<_> = model.layers().collect();
        let count = layers.len();
        let mut most = vec![1; count + 1];
        let mut totals = vec![0; count + 1];
        for measured in [false, true] {
            let mut buffer = vec![0; model.buffer_len()];
            let mut executor = Executor::new(model, &mut buffer);
            match model.picture() {
                Some(_) => executor.start_picture(),
                None => executor.start(|_| 1),
            }
            for _ in 0..model.output().height {
                let (mut next, mut layer) = (Next::Layer(count - 1), 0);
                while !matches!(next, Next::Image) {
                    next = match next {
                        Next::Layer(index) => {
                            layer = index;
                            executor.step::<true>(index, |_, _| true)
                        }
                        Next::Picture => {
                            executor.take_picture_row(&[0; 24]);
                            Next::Layer(layer)
                        }
                        Next::Image => Next::Image,
                    };
                    let made: Vec<_> = (0..=count).map(|t| executor.rows_made(t)).collect();
                    if !measured {
                        totals = made;
                        continue;
                    }
                    let mut begun = made.clone();
                    for (tensor, &rows) in made.iter().enumerate() {
                        let home = home(&layers, tensor);
                        begun[home] = begun[home].max(rows);
                    }
                    for (index, layer) in layers.iter().enumerate() {
                        for y in made[index + 1]..totals[index + 1] {
                            for (tensor, first, _) in reads(layer, y) {
                                // What was added to sums is not needed again.
                                let first = if layer.reads_image {
                                    executor.rows_added(index)
                                } else {
                                    first
                                };
                                let rows = begun[tensor].saturating_sub(first);
                                most[tensor] = most[tensor].max(rows);
                            }
                        }
                    }
                }
            }
        }
        most
    }

    /// The rows that rows of the image need of each tensor, by the definitions of the operators; the image's own rows
    /// among them.
    fn needed(model: &Model<'_>, rows: Range<usize>) -> Vec<Vec<usize>> {
        let layers: Vec<_> = model.layers().collect();
        let mut needed = vec![Vec::new(); layers.len() + 1];
        needed[layers.len()] = rows.collect();
        for (index, layer) in layers.iter().enumerate().rev() {
            for y in needed[index + 1].clone() {
                for (tensor, first, end) in reads(layer, y) {
                    needed[tensor].extend(first..end);
                }
            }
            needed[index].sort_unstable();
            needed[index].dedup();
        }
        needed
    }

    /// The rows of each tensor that are made for rows of the image.
    fn made(model: &Model<'_>, rows: Range<usize>) -> Vec<Vec<usize>> {
        let count = model.layer_count();
        let mut buffer = vec![0; model.buffer_len()];
        let mut executor = Executor::new(model, &mut buffer);
        let mut made = vec![Vec::new(); count + 1];
        made[0].push(0);
        executor.start(|_| 1);
        executor.skip_to(rows.start, |tensor, y| made[tensor].push(y));
        for _ in rows {
            let mut next = Next::Layer(count - 1);
            while let Next::Layer(index) = next {
                next = executor.step::<false>(index, |tensor, y| {
                    made[tensor].push(y);
                    true
                });
            }
        }
        made
    }

    #[test]
    fn rows_outside_a_range_are_not_made() {
        let blobs: [&[u8]; 4] = [
            include_bytes!("../tests/data/v1-int8.pgan"),
            include_bytes!("../tests/data/v4-int8.pgan"),
            include_bytes!("../tests/data/v5-int4.pgan"),
            include_bytes!("../tests/data/v5-f32.pgan"),
        ];
        for blob in blobs {
            let model = Model::parse(blob).expect("a valid model");
            let height = model.output().height;
            let mut fewer = 0;
            for start in 0..height {
                for end in start + 1..=height {
                    let made = made(&model, start..end);
                    assert_eq!(made, needed(&model, start..end), "rows {start} to {end}");
                    let rows = |made: &[Vec<usize>]| made.iter().map(Vec::len).sum::<usize>();
                    fewer += usize::from(rows(&made) < rows(&needed(&model, 0..height)));
                }
            }
            assert_eq!(fewer, height * (height + 1) / 2 - 1);
        }
    }

    /// Section 9.3.
    #[test]
    fn a_graph_keeps_the_rows_that_are_needed_at_once() {
        let blobs: &[&[u8]] = &[
            include_bytes!("../tests/data/v5-int8.pgan"),
            include_bytes!("../tests/data/v5-int4.pgan"),
            include_bytes!("../tests/data/v5-f32.pgan"),
            include_bytes!("../tests/data/v5-concat.pgan"),
            #[cfg(feature = "images")]
            include_bytes!("../tests/data/v6-int8.pgan"),
            #[cfg(feature = "images")]
            include_bytes!("../tests/data/v6-f32.pgan"),
            #[cfg(feature = "images")]
            include_bytes!("../tests/data/v6-auto-int8.pgan"),
        ];
        let mut kept = 0;
        for blob in blobs {
            let model = Model::parse(blob).expect("a valid model");
            let layers: Vec<_> = model.layers().collect();
            let measured = high_water(&model);
            for (tensor, rows) in measured.into_iter().enumerate() {
                // A row that lies in another tensor's is read at once.
                let expected = if home(&layers, tensor) == tensor {
                    memory::ring(&model, tensor).rows
                } else {
                    1
                };
                assert_eq!(expected, rows, "tensor {tensor}");
                kept += rows;
            }
        }
        assert!(kept > 3 * 13, "{kept}");
    }

    /// A step that makes a row of a concatenation changes the bytes of the inputs that have rows of their own, and no
    /// others.
    #[test]
    fn what_lies_in_a_concatenation_is_not_copied() {
        let model = Model::parse(include_bytes!("../tests/data/v5-concat.pgan")).expect("valid");
        let layers: Vec<_> = model.layers().collect();
        let mut buffer = vec![0; model.buffer_len()];
        let mut executor = Executor::new(&model, &mut buffer);
        let mut rng = Rng::new(1);
        executor.start(|_| latent::draw(&mut rng));
        let state_len = memory::state_len(&model);
        let mut changed = vec![0; layers.len()];
        for _ in 0..model.output().height {
            let mut next = Next::Layer(layers.len() - 1);
            while let Next::Layer(index) = next {
                let before = executor.words.get(state_len..).guaranteed().to_vec();
                next = executor.step::<false>(index, |_, _| true);
                let after = executor.words.get(state_len..).guaranteed();
                let bytes = |words: &[u32]| must_cast_slice::<u32, u8>(words).to_vec();
                let pairs = bytes(&before).into_iter().zip(bytes(after));
                changed[index] += pairs.filter(|(before, after)| before != after).count();
            }
        }
        // Both inputs of the first two lie there; of the third the upsample's 6 channels of 8x8 do not.
        assert_eq!([changed[3], changed[5]], [0, 0]);
        assert!((1..=6 * 64).contains(&changed[8]), "{}", changed[8]);
        assert!(changed[1] > 0 && changed[6] > 0);
    }
}
