//! Making pictures with the model that the program was built with, which is all that the smallest firmware does.

use core::hint::black_box;

use pocketgan::{Buffer, Generator, Model, include_model};

const MODEL: Model = include_model!(env!("POCKETGAN_MODEL"));

/// Working memory for the model.
pub type Working = Buffer<{ MODEL.buffer_len() }>;
/// A picture's pixels.
pub type Image = [u8; MODEL.image_len()];

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

/// A picture before it is made.
pub const fn blank() -> Image {
    [0; MODEL.image_len()]
}
