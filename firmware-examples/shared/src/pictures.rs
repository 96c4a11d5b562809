//! What the examples do that read pictures: enlarge a picture row by row, and say whether one is unlike the digits that
//! an autoencoder was trained with. Some pictures are in flash.

use core::convert::Infallible;
use core::fmt;

use pocketgan::{
    Buffer, Error, Model, Pixels, Rng, ScoreError, TranslateError, Translator, include_model,
};

/// Makes pictures twice as large.
pub const ENLARGER: Model = include_model!("../../../models/fashion-upscale/model.pgan");
/// Makes digits of digits.
pub const DIGITS: Model = include_model!("../../../models/mnist-autoencoder/model.pgan");

include!("../../../models/mnist-autoencoder/threshold.rs");

/// Ten pictures each: small ones to enlarge, and those that are scored.
static SMALL: &[u8] = include_bytes!("../pictures/small.bin");
static HANDWRITTEN: &[u8] = include_bytes!("../pictures/digits.bin");
static CLOTHES: &[u8] = include_bytes!("../pictures/clothes.bin");

/// How many pictures there are of each kind.
pub const EACH: usize = 10;

/// The pixels of an enlarged picture.
pub type Enlarged = [u8; ENLARGER.image_len()];
/// The pixels of a picture that is scored.
pub type Scored = [u8; DIGITS.picture_len()];

/// A kind of picture that is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Handwritten, as those in training.
    Digit,
    /// Clothing.
    Clothing,
    /// Random pixels.
    Noise,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Digit, Self::Clothing, Self::Noise];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Digit => "digit",
            Self::Clothing => "clothing",
            Self::Noise => "noise",
        })
    }
}

/// Enlarges a picture into `image`: rows go in and come out one at a time.
///
/// # Errors
/// The picture has too few pixels.
pub fn enlarge(picture: &[u8], image: &mut Enlarged) -> Result<(), Error> {
    let mut buffer = Buffer::<{ ENLARGER.buffer_len() }>::new();
    let mut translator = Translator::new(&ENLARGER, &mut buffer)?;
    // Here a camera would give rows, and a display take them.
    let mut source = Pixels::new(picture, row_len(&ENLARGER));
    let mut sink = |y: usize, pixels: &[u8]| {
        let row = image.iter_mut().skip(y * pixels.len());
        for (to, &from) in row.zip(pixels) {
            *to = from;
        }
        Ok::<(), Infallible>(())
    };
    match translator.translate_rows(&mut source, &mut sink) {
        Ok(()) => Ok(()),
        Err(TranslateError::Call(error) | TranslateError::Source(error)) => Err(error),
        Err(_) => Err(Error::SliceLength),
    }
}

/// How unlike the digits a picture is. A score above [`ANOMALY_THRESHOLD`] means that it is no digit.
///
/// # Errors
/// The picture has too few pixels.
pub fn score(picture: &[u8]) -> Result<u64, Error> {
    let mut buffer = Buffer::<{ DIGITS.buffer_len() }>::new();
    let mut translator = Translator::new(&DIGITS, &mut buffer)?;
    let mut source = Pixels::new(picture, row_len(&DIGITS));
    match translator.score(&mut source) {
        Ok(score) => Ok(score),
        Err(ScoreError::Call(error) | ScoreError::Source(error)) => Err(error),
        Err(_) => Err(Error::SliceLength),
    }
}

/// Small picture `number`, for [`enlarge`].
///
/// # Errors
/// There is no such picture.
pub fn small(number: usize) -> Result<&'static [u8], Error> {
    of_file(SMALL, number, ENLARGER.picture_len())
}

impl Kind {
    /// Picture `number` of the kind, for [`score`]; `noise` is where random pixels go.
    ///
    /// # Errors
    /// There is no such picture.
    pub fn picture(self, number: usize, noise: &mut Scored) -> Result<&[u8], Error> {
        match self {
            Self::Digit => of_file(HANDWRITTEN, number, DIGITS.picture_len()),
            Self::Clothing => of_file(CLOTHES, number, DIGITS.picture_len()),
            Self::Noise => {
                let mut rng = Rng::new(number as u64);
                for pixel in &mut *noise {
                    *pixel = (rng.next_u32() >> 24) as u8;
                }
                Ok(noise)
            }
        }
    }
}

/// Pixels of a row of the pictures that a model reads.
const fn row_len(model: &Model<'_>) -> usize {
    match model.picture() {
        Some(picture) => picture.row_len(),
        None => 0,
    }
}

/// Picture `number` of some of `len` pixels each.
fn of_file(pixels: &[u8], number: usize, len: usize) -> Result<&[u8], Error> {
    let start = number.saturating_mul(len);
    let pixels = pixels.get(start..start.saturating_add(len));
    pixels.ok_or(Error::SliceLength)
}
