//! Blobs written by earlier versions stay readable and make the same images.

mod common;

use pocketgan::{Buffer, Error, Generator, Model, include_model};

const INT8: Model = include_model!("data/v1-int8.pgan");
const FLOAT: Model = include_model!("data/v1-f32.pgan");

const INT8_IMAGE: &str = "\
d0 b7 bc ca d5 d0 cb d0
cc ca cc bf cd d1 cc cf
cf d7 d0 ba ca cf c8 ce
cc d0 cf de ca 9e c4 ce
be c9 d7 e4 a9 73 c5 ce
c8 c7 d0 e5 c1 89 bf ce
cd ca cc e5 db aa bd ce
cf cf cf d5 ce c5 ce d0";
const FLOAT_IMAGE: &str = "\
cc bf c1 c3 c2 c3 c4 ce
d3 bd bb ba be bc b9 cf
d7 c1 bc c3 cd d2 cc d1
d6 b8 bc cc c4 d4 da cf
d6 c7 cf ce b7 b8 ca d8
d5 cd ca c7 cb bd b8 d8
d7 c8 c2 c2 cb c3 ba d2
d3 ba ba b6 b8 b3 b1 cf";

/// The pixels in hexadecimal, a line a row.
fn picture(image: &[u8]) -> String {
    let rows = image.chunks(8).map(|row| {
        row.iter()
            .map(|pixel| format!("{pixel:02x}"))
            .collect::<Vec<_>>()
            .join(" ")
    });
    rows.collect::<Vec<_>>().join("\n")
}

/// Everything in constants, as firmware does it.
#[test]
fn the_first_int8_blob_makes_its_image() -> Result<(), Error> {
    let mut buffer = Buffer::<{ INT8.buffer_len() }>::new();
    let mut image = [0; INT8.image_len()];
    Generator::new(&INT8, &mut buffer)?.sample(1, &mut image)?;
    assert_eq!(picture(&image), INT8_IMAGE);
    let latents = common::latents(&INT8, 1);
    let quanta = common::reference_int8(&INT8, &latents)
        .pop()
        .unwrap_or_default();
    assert!(
        image
            .iter()
            .zip(quanta)
            .all(|(&pixel, q)| i16::from(pixel) == q + 128)
    );
    Ok(())
}

/// One step either way is left to the mathematics library.
#[test]
fn the_first_f32_blob_makes_its_image() -> Result<(), Error> {
    let mut buffer = Buffer::<{ FLOAT.buffer_len() }>::new();
    let mut image = [0; FLOAT.image_len()];
    Generator::new(&FLOAT, &mut buffer)?.sample(1, &mut image)?;
    let golden = FLOAT_IMAGE
        .split_whitespace()
        .map(|pixel| u8::from_str_radix(pixel, 16));
    for (&pixel, golden) in image.iter().zip(golden) {
        let golden = golden.expect("two hexadecimal digits");
        assert!(pixel.abs_diff(golden) <= 1, "{}", picture(&image));
    }
    Ok(())
}

#[test]
fn working_memory_is_what_the_rows_take() {
    let rows: usize = INT8.layers().map(|layer| layer.row_buffer_bytes()).sum();
    // Besides: two words of state for five rings; the output's row of 8 columns, 4 channels of two
    // bytes each; its pixels.
    assert_eq!(INT8.working_memory(), rows + 5 * 8 + 8 * 4 * 2 + 8);
    // The latent; 2 rows of 2 + 2 columns; a row of 4; 3 rows of 8 + 2; all of 4 channels.
    assert_eq!(rows, 8 * (1 + 8 + 4 + 30));
}
