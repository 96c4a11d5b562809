//! Runs a model in every way there is and compares the images.

use pocketgan::{Generator, Model, Numbers, PixelRange, Pixels, Rng, Translator};
use std::convert::Infallible;

use crate::common;

/// Products and outputs of one image, times the classes, above which a model is not run.
const MAX_WORK: u64 = 1 << 22;
/// Words of working memory above which a model is not run.
const MAX_WORDS: usize = 1 << 22;
/// Steps of the reference for one image above which only the fast kernels run.
const MAX_REFERENCE: u64 = 1 << 18;

/// Makes images of every class of a model that is not too large, and compares them; of one that reads pictures, of a
/// picture. `blob` is the model's.
///
/// # Panics
/// Where two ways to make an image differ.
pub fn check_images(model: &Model<'_>, blob: &[u8]) {
    let outputs: u64 = model.layers().map(|layer| layer.output.len() as u64).sum();
    let images = model.classes().max(1) as u64;
    let work = (model.macs() + outputs).saturating_mul(images);
    if work > MAX_WORK || model.buffer_len() > MAX_WORDS {
        return;
    }
    let referee = reference_steps(model) <= MAX_REFERENCE;
    // Exactly the memory that it says it takes, and dirty.
    let mut buffer = vec![0xdead_beef; model.buffer_len()];
    if model.picture().is_some() {
        return check_picture(model, blob, &mut buffer, referee);
    }
    let mut generator =
        Generator::new(model, buffer.as_mut_slice()).expect("as large as asked for");
    if model.classes() == 0 {
        check_image(&mut generator, referee);
    }
    for class in 0..model.classes() {
        generator.set_class(class).expect("a class of the model");
        check_image(&mut generator, referee);
    }
}

/// One image of a picture, twice, as values, row by row and by the reference.
fn check_picture(model: &Model<'_>, blob: &[u8], buffer: &mut [u32], referee: bool) {
    let mut translator = Translator::new(model, buffer).expect("as large as asked for");
    let picture = common::random_picture(model, &mut Rng::new(u64::from(model.blob_len() as u32)));
    let mut image = vec![1; model.image_len()];
    let mut values = vec![0.0; model.image_len()];
    for _ in 0..2 {
        translator
            .translate(&picture, &mut image)
            .expect("lengths fit");
    }
    translator
        .values_into(&picture, &mut values)
        .expect("lengths fit");
    let row_len = model.picture().map_or(0, |picture| picture.row_len());
    let mut rows = Vec::new();
    let mut sink = |_: usize, pixels: &[u8]| {
        rows.extend_from_slice(pixels);
        Ok::<(), Infallible>(())
    };
    let ended = translator.translate_rows(&mut Pixels::new(&picture, row_len), &mut sink);
    assert_eq!(ended, Ok(()));
    assert_eq!(rows, image);
    if model.numbers() != Numbers::Float {
        let worth: Vec<f32> = image.iter().map(|&p| model.range().value(p)).collect();
        assert_eq!(values, worth);
    }
    if !referee {
        return;
    }
    if model.numbers() == Numbers::Float {
        let expected = common::reference_float_of_picture(model, blob, &picture);
        assert_same_values(&values, &expected);
    } else {
        let tensors = common::reference_int8_of_picture(model, blob, &picture);
        assert_same_pixels(model, &image, tensors.last().expect("layers"));
    }
}

/// What the reference takes: for each output a look at each input place, and the products.
fn reference_steps(model: &Model<'_>) -> u64 {
    let looks = |layer: pocketgan::Layer<'_>| {
        let places = layer.input.height * layer.input.width;
        (layer.output.len() as u64).saturating_mul(places as u64)
    };
    let looks = model.layers().map(looks).fold(0, u64::saturating_add);
    looks.saturating_add(model.macs())
}

/// One image from a seed, from its latent, as values and by the reference.
fn check_image(generator: &mut Generator<'_, '_>, referee: bool) {
    let model = *generator.model();
    let seed = u64::from(model.blob_len() as u32);
    let latents = common::latents(&model, seed);
    let mut by_seed = vec![0; model.image_len()];
    let mut image = vec![1; model.image_len()];
    let mut values = vec![0.0; model.image_len()];
    generator.sample(seed, &mut by_seed).expect("lengths fit");
    generator
        .sample_into(&latents, &mut image)
        .expect("lengths fit");
    generator
        .values_into(&latents, &mut values)
        .expect("lengths fit");
    assert_eq!(by_seed, image);
    if model.numbers() != Numbers::Float {
        let worth: Vec<f32> = image.iter().map(|&p| model.range().value(p)).collect();
        assert_eq!(values, worth);
    }
    if referee {
        compare_with_reference(&model, &latents, &image, &values);
    }
}

fn compare_with_reference(model: &Model<'_>, latents: &[i8], image: &[u8], values: &[f32]) {
    match model.numbers() {
        Numbers::Int8 | Numbers::Int4 => {
            let tensors = common::reference_int8(model, latents);
            assert_same_pixels(model, image, tensors.last().expect("layers"));
        }
        Numbers::Float => assert_same_values(values, &common::reference_float(model, latents)),
    }
}

/// The pixels of an int8 or int4 model are those of the quanta.
fn assert_same_pixels(model: &Model<'_>, image: &[u8], quanta: &[i16]) {
    let offset = match model.range() {
        PixelRange::Signed => 128,
        PixelRange::Unsigned => 0,
    };
    let expected: Vec<u8> = quanta.iter().map(|q| (q + offset) as u8).collect();
    assert_eq!(image, expected);
}

/// Values have the same bits; a NaN, which overflow can give, has no bits of its own.
fn assert_same_values(values: &[f32], expected: &[f32]) {
    let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
    assert!(
        values.iter().zip(expected).all(same),
        "{values:?} {expected:?}"
    );
}
