//! What pictures are made from; their pixels as text, and their checksum.

use core::fmt;

use pocketgan::{Error, Generator, Shape};
use sha2::{Digest, Sha256};

/// A picture to make.
#[derive(Clone, Copy)]
pub struct Picture {
    /// The seed.
    pub seed: u64,
    /// The class, of a model with classes.
    pub class: Option<usize>,
}

impl Picture {
    /// Has the generator make pictures of this one's class.
    ///
    /// # Errors
    ///
    /// The model has no such class.
    pub fn choose_class(self, generator: &mut Generator<'_, '_>) -> Result<(), Error> {
        self.class
            .map_or(Ok(()), |class| generator.set_class(class))
    }
}

/// Dark to light.
const SHADES: &[u8; 10] = b" .:-=+*#%@";

/// A picture as text, two characters a pixel; only the first channel is shown.
pub struct Text<'a> {
    /// The size of the picture.
    pub shape: Shape,
    /// Its pixels, ordered row, column, channel.
    pub pixels: &'a [u8],
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in self.pixels.chunks(self.shape.row_len().max(1)) {
            for pixel in row.iter().step_by(self.shape.channels.max(1)) {
                let shade = char::from(SHADES[usize::from(*pixel) * SHADES.len() / 256]);
                write!(f, "{shade}{shade}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The SHA-256 of the pixels, in hexadecimal.
pub struct Checksum<'a>(pub &'a [u8]);

impl fmt::Display for Checksum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Sha256::digest(self.0)
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
