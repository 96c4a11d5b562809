//! Images of pictures.

use crate::blob::Model;
use crate::error::Error;
use crate::exec::{Executor, Next, copy, working_memory};
use crate::invariant::{Guaranteed, divisor};
use crate::rows::{Rewind, Row, RowSource, ScoreError, TranslateError, TryRowSink};

/// Makes images of pictures by a model that reads pictures, in a caller's buffer.
///
/// Rows go in and come out: [`poll`](Self::poll) says whether the next row of the picture is needed, which
/// [`give_row`](Self::give_row) takes, or gives a row of the image. Only the rows that the network needs at once are in
/// memory, so a camera's lines go through it to a display. The other methods are loops over these two.
///
/// ```
/// use pocketgan::{Buffer, Model, Translator, Turn};
///
/// const MODEL: Model = pocketgan::include_model!("../tests/data/v6-int8.pgan");
///
/// let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
/// let mut translator = Translator::new(&MODEL, &mut buffer)?;
/// let line = [100; 8 * 3];
/// let mut image = Vec::new();
/// translator.begin();
/// loop {
///     match translator.poll() {
///         // An async task waits for the camera here.
///         Turn::Picture(_) => translator.give_row(&line)?,
///         Turn::Image(row) => image.extend_from_slice(row.pixels),
///         Turn::Done => break,
///     }
/// }
/// assert_eq!(image.len(), MODEL.image_len());
/// # Ok::<(), pocketgan::Error>(())
/// ```
#[derive(Debug)]
pub struct Translator<'m, 'b> {
    executor: Executor<'m, 'b>,
    /// The layer whose turn is next.
    layer: usize,
    /// Whether an image was begun and is not complete.
    is_begun: bool,
    /// Whether the next row of the picture is needed.
    is_asked: bool,
}

/// What has to be done for an image to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn<'t> {
    /// The picture's row of this number, from 0, is needed: [`Translator::give_row`] takes it.
    Picture(usize),
    /// A row of the image is made.
    Image(Row<'t>),
    /// The image is complete, or none was begun.
    Done,
}

impl<'m, 'b> Translator<'m, 'b> {
    /// A translator that works in `buffer`: a [`Buffer`](crate::Buffer), or any slice of at least [`Model::buffer_len`]
    /// words, whatever it holds.
    ///
    /// # Errors
    /// [`Error::ReadsLatents`] if the model reads latents, which a [`Generator`](crate::Generator) is for;
    /// [`Error::BufferTooSmall`] if the buffer is smaller; [`Error::Unaligned`] if the kernels are in assembly and the
    /// blob of an int8 or int4 model does not lie at a multiple of four bytes.
    pub fn new<B>(model: &Model<'m>, buffer: &'b mut B) -> Result<Self, Error>
    where
        B: AsMut<[u32]> + ?Sized,
    {
        if model.picture().is_none() {
            return Err(Error::ReadsLatents);
        }
        let words = working_memory(model, buffer)?;
        Ok(Self {
            executor: Executor::new(model, words),
            layer: 0,
            is_begun: false,
            is_asked: false,
        })
    }

    /// The model.
    pub fn model(&self) -> &Model<'m> {
        &self.executor.model
    }

    /// Begins the image of a picture; one that was begun before is dropped.
    pub fn begin(&mut self) {
        self.executor.start_picture();
        self.layer = self.model().layer_count() - 1;
        self.is_begun = true;
        self.is_asked = false;
    }

    /// Goes on with the image that was begun until a row of the picture is needed or one of the image is made. Between
    /// two calls the translator may wait as long as it likes: its buffer holds what it needs.
    pub fn poll(&mut self) -> Turn<'_> {
        match self.advance() {
            Need::Row => Turn::Picture(self.executor.rows_made(0)),
            Need::Taken(y) => Turn::Image(Row {
                y,
                pixels: self.executor.pixels(),
            }),
            Need::Nothing => Turn::Done,
        }
    }

    fn advance(&mut self) -> Need {
        let last = self.model().layer_count() - 1;
        while self.is_begun && !self.is_asked {
            match self.executor.step::<true>(self.layer, |_, _| true) {
                Next::Layer(layer) => self.layer = layer,
                Next::Picture => self.is_asked = true,
                Next::Image => {
                    self.layer = last;
                    let made = self.executor.rows_made(last + 1);
                    self.is_begun = made < self.model().output().height;
                    return Need::Taken(made - 1);
                }
            }
        }
        if self.is_asked {
            Need::Row
        } else {
            Need::Nothing
        }
    }

    /// Takes the row of the picture that [`poll`](Self::poll) asked for: `width * channels` pixels, ordered column,
    /// channel.
    ///
    /// # Errors
    /// [`Error::NoRowWanted`] if none was asked for; [`Error::SliceLength`] if the row is not of the picture's width and
    /// channels. Nothing is changed then.
    pub fn give_row(&mut self, pixels: &[u8]) -> Result<(), Error> {
        if !self.is_asked {
            return Err(Error::NoRowWanted);
        }
        if self.model().picture().map(|picture| picture.row_len()) != Some(pixels.len()) {
            return Err(Error::SliceLength);
        }
        self.executor.take_picture_row(pixels);
        self.is_asked = false;
        Ok(())
    }

    /// Makes the image of a picture; both are ordered row, column, channel. What the image's pixels mean is
    /// [`Model::range`].
    ///
    /// # Errors
    /// [`Error::SliceLength`] if `picture` is not [`Model::picture_len`] or `image` not [`Model::image_len`] bytes.
    pub fn translate(&mut self, picture: &[u8], image: &mut [u8]) -> Result<(), Error> {
        self.each_row(picture, image, |executor, row| copy(row, executor.pixels()))
    }

    /// Makes the output of a picture as numbers, ordered row, column, channel: what an f32 model gives before it is
    /// rounded to pixels, or what an int8 model's quanta are worth.
    ///
    /// # Errors
    /// [`Error::SliceLength`] if `picture` is not [`Model::picture_len`] or `values` not [`Model::image_len`] long.
    pub fn values_into(&mut self, picture: &[u8], values: &mut [f32]) -> Result<(), Error> {
        self.each_row(picture, values, Executor::values)
    }

    /// Makes the image of a picture in memory, and has each row put into its place.
    fn each_row<T>(
        &mut self,
        picture: &[u8],
        image: &mut [T],
        put: impl Fn(&mut Executor<'m, 'b>, &mut [T]),
    ) -> Result<(), Error> {
        if picture.len() != self.model().picture_len() || image.len() != self.model().image_len() {
            return Err(Error::SliceLength);
        }
        let [picture_row, image_row] = self.row_lens();
        let mut rows = picture.chunks_exact(divisor(picture_row));
        let mut images = image.chunks_exact_mut(divisor(image_row));
        self.begin();
        loop {
            match self.advance() {
                Need::Row => self.give_row(rows.next().guaranteed())?,
                Need::Taken(_) => put(&mut self.executor, images.next().guaranteed()),
                Need::Nothing => return Ok(()),
            }
        }
    }

    /// The pixels of a row of the picture and of the image.
    fn row_lens(&self) -> [usize; 2] {
        let picture = self.model().picture();
        let picture = picture.map_or(0, |picture| picture.row_len());
        [picture, self.model().output().row_len()]
    }

    /// Makes the image of the picture that `source` gives, and hands each row to `sink` as soon as it is made.
    ///
    /// # Errors
    /// [`TranslateError::Source`] and [`TranslateError::Sink`] with what the two report; [`TranslateError::Call`] with
    /// [`Error::SliceLength`] if a row is not of the picture's width and channels.
    pub fn translate_rows<S, K>(
        &mut self,
        source: &mut S,
        sink: &mut K,
    ) -> Result<(), TranslateError<S::Error, K::Error>>
    where
        S: RowSource + ?Sized,
        K: TryRowSink + ?Sized,
    {
        self.begin();
        loop {
            match self.poll() {
                Turn::Picture(y) => {
                    let row = source.next_row(y).map_err(TranslateError::Source)?;
                    self.give_row(row).map_err(TranslateError::Call)?;
                }
                Turn::Image(row) => sink
                    .try_row(row.y, row.pixels)
                    .map_err(TranslateError::Sink)?,
                Turn::Done => return Ok(()),
            }
        }
    }

    /// The reconstruction error: the sum of the squared differences between the picture's pixels and the image's. An
    /// autoencoder makes it large for pictures that are unlike its training pictures. The images of an autoencoder
    /// begin after the last row of the picture, so the source has to give its rows again: a picture in memory
    /// ([`Pixels`]) does, and
    /// [`Kept`] keeps those of a camera.
    ///
    /// ```
    /// use pocketgan::{Buffer, Model, Pixels, Translator};
    ///
    /// const MODEL: Model = pocketgan::include_model!("../tests/data/v6-auto-int8.pgan");
    /// const ROW: usize = MODEL.output().row_len();
    ///
    /// let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    /// let mut translator = Translator::new(&MODEL, &mut buffer).unwrap();
    /// let picture = [100; MODEL.picture_len()];
    /// let score = translator.score(&mut Pixels::new(&picture, ROW)).unwrap();
    /// # let mut image = [0; MODEL.image_len()];
    /// # translator.translate(&picture, &mut image).unwrap();
    /// # let squares = image.iter().map(|&pixel| u64::from(pixel.abs_diff(100)).pow(2));
    /// # assert_eq!(score, squares.sum());
    /// ```
    ///
    /// [`Pixels`]: crate::Pixels
    /// [`Kept`]: crate::Kept
    ///
    /// # Errors
    /// [`ScoreError::Source`] with what the source reports; [`ScoreError::Call`] with [`Error::OtherSize`] if the
    /// model's images are not of its pictures' size, with [`Error::RowNotRead`] if it makes a row of the image before
    /// it reads the picture's, as no autoencoder does, or with [`Error::SliceLength`] if a row is not of the picture's
    /// width and channels.
    pub fn score<S>(&mut self, source: &mut S) -> Result<u64, ScoreError<S::Error>>
    where
        S: Rewind + ?Sized,
    {
        if self.model().picture() != Some(self.model().output()) {
            return Err(ScoreError::Call(Error::OtherSize));
        }
        let (mut sum, mut given) = (0, 0);
        self.begin();
        loop {
            match self.poll() {
                Turn::Picture(y) => {
                    given = y + 1;
                    let row = source.next_row(y).map_err(ScoreError::Source)?;
                    self.give_row(row).map_err(ScoreError::Call)?;
                }
                Turn::Image(row) if row.y >= given => {
                    return Err(ScoreError::Call(Error::RowNotRead));
                }
                Turn::Image(row) => {
                    let picture = source.row_again(row.y).map_err(ScoreError::Source)?;
                    if picture.len() != row.pixels.len() {
                        return Err(ScoreError::Call(Error::SliceLength));
                    }
                    for (&a, &b) in row.pixels.iter().zip(picture) {
                        let difference = u32::from(a.abs_diff(b));
                        sum += u64::from(difference * difference);
                    }
                }
                Turn::Done => return Ok(sum),
            }
        }
    }
}

/// What an image needs to go on.
enum Need {
    /// The next row of the picture.
    Row,
    /// That this row of the image is taken.
    Taken(usize),
    Nothing,
}
