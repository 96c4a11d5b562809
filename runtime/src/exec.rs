//! Making images: the generator and its working memory.
//!
//! Rows are pulled: a layer's next row is made when a layer that reads it asks, each row once, and of each tensor
//! only the rows are kept that are needed at once. The linear layer makes one row of its output at a time.

use crate::blob::{Model, memory};
use crate::error::Error;
use crate::invariant::{Guaranteed, divisor, unexpected};
use crate::kernels::{backend, float, int8};
use crate::latent::{self, Rng};
use crate::layer::Layer;
use crate::ring::Ring;
use crate::rows::RowSink;
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

/// Makes images from a model in a caller's buffer.
///
/// After [`new`](Self::new) the only possible errors are a slice of the wrong length and, for a model
/// with classes, no class chosen or one that there is not.
#[derive(Debug)]
pub struct Generator<'m, 'b> {
    model: Model<'m>,
    /// The working memory, laid out by [`memory`].
    words: &'b mut [u32],
}

impl<'m, 'b> Generator<'m, 'b> {
    /// A generator that works in `buffer`: a [`Buffer`], or any slice of at least
    /// [`Model::buffer_len`] words, whatever it holds.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] if it is smaller; [`Error::Unaligned`] if the kernels are in assembly and the
    /// blob of an int8 or int4 model does not lie at a multiple of four bytes.
    pub fn new<B>(model: &Model<'m>, buffer: &'b mut B) -> Result<Self, Error>
    where
        B: AsMut<[u32]> + ?Sized,
    {
        if cfg!(pocketgan_asm) && !model.numbers().is_float() && !model.is_aligned() {
            return Err(Error::Unaligned);
        }
        let words = buffer
            .as_mut()
            .get_mut(..model.buffer_len())
            .ok_or(Error::BufferTooSmall)?;
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
        Ok(Self {
            model: *model,
            words,
        })
    }

    /// The model.
    pub fn model(&self) -> &Model<'m> {
        &self.model
    }

    /// Makes images of `class` from now on. A model with classes needs one before the first image,
    /// unless it came as [`Model::of_class`].
    ///
    /// ```
    /// use pocketgan::{Buffer, Error, Generator, Model};
    ///
    /// const MODEL: Model = pocketgan::include_model!("../tests/data/v2-int8.pgan");
    ///
    /// let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    /// let mut image = [0; MODEL.image_len()];
    /// let mut generator = Generator::new(&MODEL, &mut buffer)?;
    /// assert_eq!(generator.sample(1, &mut image), Err(Error::ClassMissing));
    /// for class in 0..MODEL.classes() {
    ///     generator.set_class(class)?;
    ///     generator.sample(1, &mut image)?;
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoSuchClass`] if `class` is not below [`Model::classes`], which is 0 for a model
    /// without classes; images are then made as before.
    pub fn set_class(&mut self, class: usize) -> Result<(), Error> {
        self.model = self.model.of_class(class)?;
        Ok(())
    }

    /// Makes the image of `seed`: its pixels in `image`, ordered row, column, channel. What they
    /// mean is [`Model::range`].
    ///
    /// # Errors
    /// [`Error::SliceLength`] if `image` is not [`Model::image_len`] bytes;
    /// [`Error::ClassMissing`] if the model has classes and none was chosen.
    pub fn sample(&mut self, seed: u64, image: &mut [u8]) -> Result<(), Error> {
        self.check(image.len())?;
        self.draw(seed)?;
        self.pixels_into(image);
        Ok(())
    }

    /// Makes the image of `seed` and hands each row to `sink` as soon as it is made.
    ///
    /// # Errors
    /// [`Error::ClassMissing`] if the model has classes and none was chosen.
    pub fn sample_rows(&mut self, seed: u64, sink: &mut impl RowSink) -> Result<(), Error> {
        self.draw(seed)?;
        self.pixel_rows(sink);
        Ok(())
    }

    /// Makes the image of a latent: component `q` is worth `q / 32`.
    ///
    /// # Errors
    /// [`Error::SliceLength`] if `latents` is not [`Model::latent_size`] long or `image` is not
    /// [`Model::image_len`] bytes; [`Error::ClassMissing`] if the model has classes and none was
    /// chosen.
    pub fn sample_into(&mut self, latents: &[i8], image: &mut [u8]) -> Result<(), Error> {
        self.check(image.len())?;
        self.start_from(latents)?;
        self.pixels_into(image);
        Ok(())
    }

    /// Makes the image of a latent and hands each row to `sink` as soon as it is made.
    ///
    /// # Errors
    /// [`Error::SliceLength`] if `latents` is not [`Model::latent_size`] long;
    /// [`Error::ClassMissing`] if the model has classes and none was chosen.
    pub fn rows_into(&mut self, latents: &[i8], sink: &mut impl RowSink) -> Result<(), Error> {
        self.start_from(latents)?;
        self.pixel_rows(sink);
        Ok(())
    }

    /// Makes the output of a latent as numbers, ordered row, column, channel: what an f32 model
    /// gives before it is rounded to pixels, or what an int8 model's quanta are worth.
    ///
    /// # Errors
    /// [`Error::SliceLength`] if `latents` is not [`Model::latent_size`] long or `values` is not
    /// [`Model::image_len`] long; [`Error::ClassMissing`] if the model has classes and none was
    /// chosen.
    pub fn values_into(&mut self, latents: &[i8], values: &mut [f32]) -> Result<(), Error> {
        self.check(values.len())?;
        self.start_from(latents)?;
        let model = self.model;
        for row in values.chunks_exact_mut(divisor(model.output().row_len())) {
            let words = self.next_row();
            if model.numbers().is_float() {
                copy(row, must_cast_slice(words));
                continue;
            }
            for (value, &pixel) in row.iter_mut().zip(quanta_to_pixels(&model, words)) {
                *value = model.range().value(pixel);
            }
        }
        Ok(())
    }

    fn check(&self, len: usize) -> Result<(), Error> {
        if len == self.model.image_len() {
            Ok(())
        } else {
            Err(Error::SliceLength)
        }
    }

    fn draw(&mut self, seed: u64) -> Result<(), Error> {
        self.check_class()?;
        let mut rng = Rng::new(seed);
        self.start(|_| latent::draw(&mut rng));
        Ok(())
    }

    fn start_from(&mut self, latents: &[i8]) -> Result<(), Error> {
        if latents.len() != self.model.latent_size() {
            return Err(Error::SliceLength);
        }
        self.check_class()?;
        self.start(|i| latents.get(i).copied().guaranteed());
        Ok(())
    }

    fn check_class(&self) -> Result<(), Error> {
        if self.model.classes() > 0 && self.model.class().is_none() {
            return Err(Error::ClassMissing);
        }
        Ok(())
    }

    /// Puts the latent in the first ring and forgets all other rows.
    fn start(&mut self, mut component: impl FnMut(usize) -> i8) {
        for tensor in 0..self.model.layer_count() + 1 {
            self.set_state(tensor * 2, usize::from(tensor == 0));
        }
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

    fn pixel_rows(&mut self, sink: &mut impl RowSink) {
        let model = self.model;
        for y in 0..model.output().height {
            let words = self.next_row();
            let pixels = match model.numbers().is_float() {
                true => values_to_pixels(&model, words),
                false => quanta_to_pixels(&model, words),
            };
            sink.row(y, pixels);
        }
    }

    fn pixels_into(&mut self, image: &mut [u8]) {
        let model = self.model;
        for row in image.chunks_mut(divisor(model.output().row_len())) {
            let words = self.next_row();
            if model.numbers().is_float() {
                copy(row, values_to_pixels(&model, words));
                continue;
            }
            // Like this the copy is no call.
            let offset = pixel_offset(model.range());
            for (pixel, &quantum) in row.iter_mut().zip(must_cast_slice::<u32, u8>(words)) {
                *pixel = quantum ^ offset;
            }
        }
    }

    /// Makes the next row of the output; returns the memory that starts with it.
    fn next_row(&mut self) -> &mut [u32] {
        let mut index = self.model.layer_count() - 1;
        while let Some(next) = self.step(index) {
            index = next;
        }
        let start = self.ring_start(self.model.layer_count());
        self.words.get_mut(start..).guaranteed()
    }

    /// Makes the next row of layer `index`, or asks another layer for a row that it needs first; returns the layer whose turn
    /// is next, `None` behind the last one.
    #[inline(always)]
    fn step(&mut self, index: usize) -> Option<usize> {
        let y = self.rows_made(index + 1);
        let mut decoded = None;
        let layer = layer(&self.model, index, &mut decoded);
        if let Some(before) = self.missing(layer, index, y) {
            self.ask(before, index);
            return Some(before);
        }
        self.make_row(index, layer, y);
        self.count_row(index + 1);
        (index + 1 < self.model.layer_count()).then(|| self.asker(index))
    }

    /// The layer that has to make a row before this one can make row `y`.
    #[inline(always)]
    fn missing(&self, layer: &Layer<'_>, index: usize, y: usize) -> Option<usize> {
        let needed = window::rows_needed(layer.operator, layer.input.height, y);
        let source = source(layer, index);
        if self.rows_made(source) < needed && source > 0 {
            return Some(source - 1);
        }
        match layer.operator.in_this_build().other() {
            Some(other) if self.rows_made(other) <= y => other.checked_sub(1),
            _ => None,
        }
    }

    /// Makes row `y` of layer `index`'s output in its ring.
    fn make_row(&mut self, index: usize, layer: &Layer<'_>, y: usize) {
        let out_ring = Ring::of_output(layer);
        let end = self.ring_start(index + 1);
        let Some((before, after)) = self.words.split_at_mut_checked(end) else {
            return unexpected();
        };
        let input = rows(before, source(layer, index));
        let (after, scratch) = match layer.numbers.is_int4() {
            true => {
                // Behind the last ring.
                let last = self.model.layer_count();
                let behind = state(before, last * 2 + 1) + memory::ring(&self.model, last).words();
                let behind = behind.saturating_sub(end);
                after.split_at_mut_checked(behind).guaranteed()
            }
            false => (after, &mut [][..]),
        };
        // Asked for first, so that firmware whose layers all have weights has no code for the others.
        let has_weights = !GRAPHS || !layer.parameters.weights.is_empty();
        let (out_start, out_len) = (out_ring.row_start(y), out_ring.row_len());
        let range = out_start..out_start + out_len;
        if layer.numbers.is_float() {
            let out = must_cast_slice_mut(after).get_mut(range);
            let (input, out) = (must_cast_slice(input), out.guaranteed());
            match layer.operator {
                _ if has_weights => backend::float_row(layer, y, input, out),
                Operator::Add { from } => {
                    float::add_row(layer, y, input, must_cast_slice(rows(before, from)), out);
                }
                Operator::Concat { from } => {
                    float::concat_row(layer, y, input, must_cast_slice(rows(before, from)), out);
                }
                _ => backend::float_row(layer, y, input, out),
            }
        } else {
            let out = must_cast_slice_mut(after).get_mut(range);
            let out = out.guaranteed();
            match layer.operator {
                _ if has_weights => backend::int8_row(layer, y, input, &out_ring, out, scratch),
                Operator::Add { from } => {
                    int8::add_row(layer, y, input, rows(before, from), &out_ring, out);
                }
                Operator::Concat { from } => {
                    int8::concat_row(layer, y, input, rows(before, from), &out_ring, out);
                }
                Operator::AvgPool2d(window) => {
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
        match GRAPHS {
            true => state(self.words, (index + 1) * 2) >> 16,
            false => index + 1,
        }
    }

    fn rows_made(&self, tensor: usize) -> usize {
        let mask = if GRAPHS { 0xffff } else { usize::MAX };
        state(self.words, tensor * 2) & mask
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

/// Whether there are models that are no chains: layers that read one tensor each, of which every one is read, make a chain.
const GRAPHS: bool = cfg!(feature = "convolution");

/// The tensor that layer `index` reads first.
#[inline(always)]
fn source(layer: &Layer<'_>, index: usize) -> usize {
    if GRAPHS { layer.source } else { index }
}

/// The ring of a tensor that is not the last, in the words in front of the ring of a layer's output that reads it.
fn rows(words: &[u32], tensor: usize) -> &[u32] {
    let start = state(words, tensor * 2 + 1);
    let end = match GRAPHS {
        true => state(words, tensor * 2 + 3),
        false => words.len(),
    };
    words.get(start..end).guaranteed()
}

/// A layer of a model: the one it was included with, or one decoded into `decoded`.
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
fn copy<T: Copy>(to: &mut [T], from: &[T]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = from;
    }
}

/// A row of an f32 model's output as pixels, which lie behind it.
// Not inlined, so that an int8 image is made the same with it and without.
#[inline(never)]
fn values_to_pixels<'r>(model: &Model<'_>, words: &'r mut [u32]) -> &'r [u8] {
    let row_len = model.output().row_len();
    let (values, pixels) = words.split_at_mut_checked(row_len).guaranteed();
    let values: &[f32] = must_cast_slice(values);
    let pixels: &mut [u8] = must_cast_slice_mut(pixels);
    let pixels = pixels.get_mut(..row_len).guaranteed();
    backend::pixels(model.range(), values, pixels);
    pixels
}

/// A row of an int8 model's output as pixels, in its place.
fn quanta_to_pixels<'r>(model: &Model<'_>, words: &'r mut [u32]) -> &'r [u8] {
    let row_len = model.output().row_len();
    let row = words.get_mut(..row_len.div_ceil(4)).guaranteed();
    let offset = u32::from_ne_bytes([pixel_offset(model.range()); 4]);
    for word in row.iter_mut() {
        *word ^= offset;
    }
    must_cast_slice(row).get(..row_len).guaranteed()
}

/// What turns a quantum into a pixel, by exclusive or: for signed quanta that adds 128.
fn pixel_offset(range: PixelRange) -> u8 {
    match range {
        PixelRange::Signed => 0x80,
        PixelRange::Unsigned => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// The rows that an output row needs of each tensor that the layer reads, from the definition of the operator: tensor, first
    /// row, one after the last.
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

    /// The most rows of each tensor that were made and were still to be read, seen after every step of the generator.
    fn high_water(model: &Model<'_>) -> Vec<usize> {
        let layers: Vec<_> = model.layers().collect();
        let count = layers.len();
        let mut most = vec![1; count + 1];
        let mut totals = vec![0; count + 1];
        for measured in [false, true] {
            let mut buffer = vec![0; model.buffer_len()];
            let mut generator = Generator::new(model, buffer.as_mut_slice()).expect("large enough");
            generator.start(|_| 1);
            for _ in 0..model.output().height {
                let mut next = Some(count - 1);
                while let Some(index) = next {
                    next = generator.step(index);
                    let made: Vec<_> = (0..=count).map(|t| generator.rows_made(t)).collect();
                    if !measured {
                        totals = made;
                        continue;
                    }
                    for (index, layer) in layers.iter().enumerate() {
                        for y in made[index + 1]..totals[index + 1] {
                            for (tensor, first, _) in reads(layer, y) {
                                most[tensor] = most[tensor].max(made[tensor].saturating_sub(first));
                            }
                        }
                    }
                }
            }
        }
        most
    }

    /// Section 9.3.
    #[test]
    fn a_graph_keeps_the_rows_that_are_needed_at_once() {
        let blobs: [&[u8]; 3] = [
            include_bytes!("../tests/data/v5-int8.pgan"),
            include_bytes!("../tests/data/v5-int4.pgan"),
            include_bytes!("../tests/data/v5-f32.pgan"),
        ];
        let mut kept = 0;
        for blob in blobs {
            let model = Model::parse(blob).expect("a valid model");
            let measured = high_water(&model);
            for (tensor, rows) in measured.into_iter().enumerate() {
                assert_eq!(memory::ring(&model, tensor).rows, rows, "tensor {tensor}");
                kept += rows;
            }
        }
        assert!(kept > 3 * 13, "{kept}");
    }
}
