//! Images from latents.

use crate::blob::Model;
use crate::error::Error;
use crate::exec::{Executor, copy, pixel_offset, values_to_pixels, working_memory};
use crate::invariant::{Guaranteed, divisor};
use crate::latent::{self, Rng};
use crate::rows::{Row, RowSink, SampleError, TryRowSink};
use bytemuck::must_cast_slice;
use core::ops::Range;

/// Makes images from a model in a caller's buffer.
///
/// An image is made row by row: [`begin`](Self::begin) begins one, [`next_row`](Self::next_row) makes a row of it. The
/// other methods are loops over these rows.
///
/// After [`new`](Self::new) the only possible errors are a slice of the wrong length, rows outside of the image and,
/// for a model with classes, no class chosen or an unknown one.
#[derive(Debug)]
pub struct Generator<'m, 'b> {
    executor: Executor<'m, 'b>,
}

impl<'m, 'b> Generator<'m, 'b> {
    /// A generator that works in `buffer`: a [`Buffer`](crate::Buffer), or any slice of at least
    /// [`Model::buffer_len`] words, whatever it holds.
    ///
    /// # Errors
    /// [`Error::ReadsPictures`] if the model reads pictures, which a `Translator` is for;
    /// [`Error::BufferTooSmall`] if the buffer is smaller; [`Error::Unaligned`] if the kernels are in assembly and the
    /// blob of an int8 or int4 model does not lie at a multiple of four bytes.
    pub fn new<B>(model: &Model<'m>, buffer: &'b mut B) -> Result<Self, Error>
    where
        B: AsMut<[u32]> + ?Sized,
    {
        if model.picture().is_some() {
            return Err(Error::ReadsPictures);
        }
        let words = working_memory(model, buffer)?;
        Ok(Self {
            executor: Executor::new(model, words),
        })
    }

    /// The model.
    pub fn model(&self) -> &Model<'m> {
        &self.executor.model
    }

    /// Makes images of `class` from now on; an image that was begun is dropped. A model with classes needs one before
    /// the first image, unless it came as [`Model::of_class`].
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
        self.executor.model = self.executor.model.of_class(class)?;
        self.executor.set_end(0);
        Ok(())
    }

    /// Begins the image of `seed`, of which [`next_row`](Self::next_row) makes the rows; an image that was begun before
    /// is dropped. Takes as long as drawing the latent.
    ///
    /// # Errors
    /// [`Error::ClassMissing`] if the model has classes and none was chosen.
    pub fn begin(&mut self, seed: u64) -> Result<(), Error> {
        self.draw(seed)?;
        self.executor.set_end(self.model().output().height);
        Ok(())
    }

    /// Begins the image of a latent as [`begin`](Self::begin) does that of a seed: component `q` is worth `q / 32`.
    ///
    /// # Errors
    /// [`Error::SliceLength`] if `latents` is not [`Model::latent_size`] long;
    /// [`Error::ClassMissing`] if the model has classes and none was chosen.
    pub fn begin_from(&mut self, latents: &[i8]) -> Result<(), Error> {
        self.start_from(latents)?;
        self.executor.set_end(self.model().output().height);
        Ok(())
    }

    /// Begins the image of `seed` of which only `rows` are wanted: [`next_row`](Self::next_row) makes these.
    ///
    /// They have the bits of the whole image. Of the tensors before the image only the rows are made that these rows
    /// need. So two generators, each with a buffer of its own, share an image between two cores, and a display redraws
    /// a part.
    ///
    /// Two parts of an image cost more than the whole. The rows of earlier tensors that both need are made twice: as
    /// many as a window reads at once, for each layer. The rows before `rows` are counted, though not made, which takes
    /// some 300 instructions for each row of each tensor on a Cortex-M4, and 130 bytes of stack. The rows of earlier
    /// tensors that come first are made here and not by the first [`next_row`](Self::next_row).
    ///
    /// # Errors
    /// [`Error::NoSuchRows`] if `rows` is not within 0 to the image's height or ends before it starts;
    /// [`Error::ClassMissing`] if the model has classes and none was chosen.
    pub fn begin_rows(&mut self, seed: u64, rows: Range<usize>) -> Result<(), Error> {
        if rows.start > rows.end || rows.end > self.model().output().height {
            return Err(Error::NoSuchRows);
        }
        self.draw(seed)?;
        if !rows.is_empty() {
            self.executor.set_end(rows.end);
            self.executor.skip_to(rows.start, |_, _| {});
        }
        Ok(())
    }

    /// Makes the next row of the image that was begun; `None` if it is complete, or none was begun. Between two calls
    /// the generator may wait as long as it likes: its buffer holds what it needs.
    ///
    /// ```
    /// use pocketgan::{Buffer, Generator, Model};
    ///
    /// const MODEL: Model = pocketgan::include_model!("../tests/data/v1-int8.pgan");
    ///
    /// let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    /// let mut generator = Generator::new(&MODEL, &mut buffer)?;
    /// let mut image = Vec::new();
    /// generator.begin(1)?;
    /// while let Some(row) = generator.next_row() {
    ///     image.extend_from_slice(row.pixels);
    ///     // An async task yields here.
    /// }
    /// # let mut whole = [0; MODEL.image_len()];
    /// # generator.sample(1, &mut whole)?;
    /// # assert_eq!(image, whole);
    /// # Ok::<(), pocketgan::Error>(())
    /// ```
    pub fn next_row(&mut self) -> Option<Row<'_>> {
        let y = self.executor.rows_made(self.model().layer_count());
        if y >= self.executor.end() {
            return None;
        }
        self.executor.make_image_row();
        let pixels = self.executor.pixels();
        Some(Row { y, pixels })
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
        self.begin(seed)?;
        self.pixel_rows(sink);
        Ok(())
    }

    /// Makes the image of `seed` and hands each row to `sink` as soon as it is made, until `sink` fails.
    ///
    /// ```
    /// use pocketgan::{Buffer, Generator, Model, SampleError};
    ///
    /// const MODEL: Model = pocketgan::include_model!("../tests/data/v1-int8.pgan");
    ///
    /// let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    /// let mut generator = Generator::new(&MODEL, &mut buffer)?;
    /// let mut send = |y: usize, _: &[u8]| if y < 3 { Ok(()) } else { Err("the bus is busy") };
    /// assert_eq!(generator.try_sample_rows(1, &mut send), Err(SampleError::Sink("the bus is busy")));
    /// # Ok::<(), pocketgan::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`SampleError::Call`] with [`Error::ClassMissing`] if the model has classes and none was chosen;
    /// [`SampleError::Sink`] with the sink's error.
    pub fn try_sample_rows<S>(
        &mut self,
        seed: u64,
        sink: &mut S,
    ) -> Result<(), SampleError<S::Error>>
    where
        S: TryRowSink + ?Sized,
    {
        self.begin(seed)?;
        while let Some(row) = self.next_row() {
            sink.try_row(row.y, row.pixels).map_err(SampleError::Sink)?;
        }
        Ok(())
    }

    /// Makes some rows of the image of `seed` and hands each to `sink` as soon as it is made. See
    /// [`begin_rows`](Self::begin_rows) for what that costs.
    ///
    /// ```
    /// use pocketgan::{Buffer, Generator, Model};
    ///
    /// const MODEL: Model = pocketgan::include_model!("../tests/data/v1-int8.pgan");
    /// const HALF: usize = MODEL.output().height / 2;
    /// const LEN: usize = MODEL.output().row_len();
    ///
    /// // Two cores make a half each, with a generator and a buffer of their own.
    /// let mut image = [0; MODEL.image_len()];
    /// let (upper, lower) = image.split_at_mut(HALF * LEN);
    /// std::thread::scope(|scope| {
    ///     for (first, half) in [(0, upper), (HALF, lower)] {
    ///         scope.spawn(move || {
    ///             let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    ///             let mut generator = Generator::new(&MODEL, &mut buffer)?;
    ///             generator.sample_row_range(1, first..first + HALF, &mut |y: usize, pixels: &[u8]| {
    ///                 half[(y - first) * LEN..][..LEN].copy_from_slice(pixels);
    ///             })
    ///         });
    ///     }
    /// });
    /// # let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    /// # let mut whole = [0; MODEL.image_len()];
    /// # Generator::new(&MODEL, &mut buffer)?.sample(1, &mut whole)?;
    /// # assert_eq!(image, whole);
    /// # Ok::<(), pocketgan::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`begin_rows`](Self::begin_rows).
    pub fn sample_row_range(
        &mut self,
        seed: u64,
        rows: Range<usize>,
        sink: &mut impl RowSink,
    ) -> Result<(), Error> {
        self.begin_rows(seed, rows)?;
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
        self.begin_from(latents)?;
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
        for row in values.chunks_exact_mut(divisor(self.model().output().row_len())) {
            self.executor.make_image_row();
            self.executor.values(row);
        }
        Ok(())
    }

    fn check(&self, len: usize) -> Result<(), Error> {
        if len == self.model().image_len() {
            Ok(())
        } else {
            Err(Error::SliceLength)
        }
    }

    fn draw(&mut self, seed: u64) -> Result<(), Error> {
        self.check_class()?;
        let mut rng = Rng::new(seed);
        self.executor.start(|_| latent::draw(&mut rng));
        Ok(())
    }

    fn start_from(&mut self, latents: &[i8]) -> Result<(), Error> {
        if latents.len() != self.model().latent_size() {
            return Err(Error::SliceLength);
        }
        self.check_class()?;
        self.executor
            .start(|i| latents.get(i).copied().guaranteed());
        Ok(())
    }

    fn check_class(&self) -> Result<(), Error> {
        if self.model().classes() > 0 && self.model().class().is_none() {
            return Err(Error::ClassMissing);
        }
        Ok(())
    }

    fn pixel_rows(&mut self, sink: &mut impl RowSink) {
        while let Some(row) = self.next_row() {
            sink.row(row.y, row.pixels);
        }
    }

    fn pixels_into(&mut self, image: &mut [u8]) {
        let model = *self.model();
        for row in image.chunks_mut(divisor(model.output().row_len())) {
            let words = self.executor.make_image_row();
            if model.numbers().is_float() {
                copy(
                    row,
                    values_to_pixels(model.output().row_len(), model.range(), words),
                );
                continue;
            }
            // Like this the copy is no call.
            let offset = pixel_offset(model.range());
            for (pixel, &quantum) in row.iter_mut().zip(must_cast_slice::<u32, u8>(words)) {
                *pixel = quantum ^ offset;
            }
        }
    }
}
