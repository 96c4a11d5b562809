//! Making pictures with the model that the program was built with, which is all that the smallest firmware does.

use core::hint::black_box;

use pocketgan::{Buffer, Model, include_model};

pub use draw::draw;

const MODEL: Model = include_model!(env!("POCKETGAN_MODEL"));

/// Working memory for the model.
pub type Working = Buffer<{ MODEL.buffer_len() }>;
/// A picture's pixels.
pub type Image = [u8; MODEL.image_len()];

#[cfg(not(feature = "images"))]
mod draw {
    use pocketgan::Generator;

    use super::*;

    /// Makes the picture of each seed, a model with classes of each class in turn.
    pub fn draw(buffer: &mut Working, image: &mut Image, seeds: impl Iterator<Item = u64>) {
        if let Ok(mut generator) = Generator::new(&MODEL, buffer) {
            let mut class = 0;
            for seed in seeds {
                // A remainder would be code of its own on cores that cannot divide.
                if class < MODEL.classes() {
                    let _ = generator.set_class(class);
                    class = if class + 1 < MODEL.classes() {
                        class + 1
                    } else {
                        0
                    };
                }
                let _ = generator.sample(seed, image);
                // Here a picture would go to a display.
                black_box(&image);
            }
        }
    }
}

#[cfg(feature = "images")]
mod draw {
    use core::convert::Infallible;

    use pocketgan::{RowSource, Translator};

    use super::*;

    /// Pixels of a row of the picture that the model reads.
    const ROW_LEN: usize = match MODEL.picture() {
        Some(picture) => picture.row_len(),
        None => 0,
    };

    /// A camera whose lines are all the same.
    struct Camera;

    impl RowSource for Camera {
        type Error = Infallible;

        fn next_row(&mut self, _: usize) -> Result<&[u8], Infallible> {
            // Here a line would come from a camera.
            Ok(black_box(&[0; ROW_LEN]))
        }
    }

    /// Makes an image of as many pictures as there are numbers.
    pub fn draw(buffer: &mut Working, image: &mut Image, pictures: impl Iterator<Item = u64>) {
        if let Ok(mut translator) = Translator::new(&MODEL, buffer) {
            for _ in pictures {
                let mut rows = image.chunks_exact_mut(MODEL.output().row_len());
                let mut sink = |_: usize, pixels: &[u8]| {
                    if let Some(row) = rows.next()
                        && row.len() == pixels.len()
                    {
                        row.copy_from_slice(pixels);
                    }
                    Ok::<(), Infallible>(())
                };
                let _ = translator.translate_rows(&mut Camera, &mut sink);
                black_box(&image);
            }
        }
    }
}

/// A picture before it is made.
pub const fn blank() -> Image {
    [0; MODEL.image_len()]
}
