//! What the examples do that read pictures: enlarge a picture in flash, row by row, and say whether a picture is unlike
//! the digits that an autoencoder was trained with.

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
type Scored = [u8; DIGITS.picture_len()];

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

/// Enlarges picture `number` into `image`: rows go in and come out one at a time.
///
/// # Errors
/// There is no such picture.
pub fn enlarge(number: usize, image: &mut Enlarged) -> Result<(), Error> {
    const LEN: usize = ENLARGER.picture_len();
    let mut buffer = Buffer::<{ ENLARGER.buffer_len() }>::new();
    let mut translator = Translator::new(&ENLARGER, &mut buffer)?;
    let row_len = ENLARGER.output().row_len();
    let mut source = picture(SMALL, number, LEN)?;
    // Here a row would go to a display.
    let mut sink = |y: usize, pixels: &[u8]| {
        let row = image.iter_mut().skip(y * row_len);
        for (to, &from) in row.zip(pixels) {
            *to = from;
        }
        Ok::<(), Infallible>(())
    };
    match translator.translate_rows(&mut source, &mut sink) {
        Err(TranslateError::Call(error) | TranslateError::Source(error)) => Err(error),
        _ => Ok(()),
    }
}

/// How unlike the digits picture `number` of a kind is: above [`ANOMALY_THRESHOLD`] it is none.
///
/// # Errors
/// There is no such picture.
pub fn score(kind: Kind, number: usize) -> Result<u64, Error> {
    let mut buffer = Buffer::<{ DIGITS.buffer_len() }>::new();
    let mut translator = Translator::new(&DIGITS, &mut buffer)?;
    let mut noise: Scored = [0; DIGITS.picture_len()];
    let mut source = match kind {
        Kind::Digit => picture(HANDWRITTEN, number, DIGITS.picture_len())?,
        Kind::Clothing => picture(CLOTHES, number, DIGITS.picture_len())?,
        Kind::Noise => {
            let mut rng = Rng::new(number as u64);
            for pixel in &mut noise {
                *pixel = (rng.next_u32() >> 24) as u8;
            }
            picture(&noise, 0, DIGITS.picture_len())?
        }
    };
    match translator.score(&mut source) {
        Ok(score) => Ok(score),
        Err(ScoreError::Call(error) | ScoreError::Source(error)) => Err(error),
        Err(_) => Err(Error::SliceLength),
    }
}

/// Picture `number` of some square ones of `len` pixels.
fn picture(pixels: &[u8], number: usize, len: usize) -> Result<Pixels<'_>, Error> {
    let start = number.saturating_mul(len);
    let pixels = pixels.get(start..start.saturating_add(len));
    Ok(Pixels::new(pixels.ok_or(Error::SliceLength)?, len.isqrt()))
}
