//! Blobs written by earlier versions stay readable and make the same images.

mod common;

use pocketgan::{Buffer, Error, Generator, Model, Numbers, Rng, Translator, include_model};

const INT8: Model = include_model!("data/v1-int8.pgan");
const FLOAT: Model = include_model!("data/v1-f32.pgan");

const INT4: Model = include_model!("data/v3-int4.pgan");

const SKIPS: Model = include_model!("data/v4-int8.pgan");

const GRAPH: Model = include_model!("data/v5-int8.pgan");
const INT4_GRAPH: Model = include_model!("data/v5-int4.pgan");
const FLOAT_GRAPH: Model = include_model!("data/v5-f32.pgan");
const CONCAT: Model = include_model!("data/v5-concat.pgan");

const LINEAR: Model = include_model!("data/v4-linear.pgan");

const TRANSLATORS: [(Model, &[u8]); 4] = [
    (
        include_model!("data/v6-int8.pgan"),
        include_bytes!("data/v6-int8.pgan"),
    ),
    (
        include_model!("data/v6-int4.pgan"),
        include_bytes!("data/v6-int4.pgan"),
    ),
    (
        include_model!("data/v6-auto-int8.pgan"),
        include_bytes!("data/v6-auto-int8.pgan"),
    ),
    (
        include_model!("data/v6-f32.pgan"),
        include_bytes!("data/v6-f32.pgan"),
    ),
];

const INT8_CLASSES: Model = include_model!("data/v2-int8.pgan");
const FLOAT_CLASSES: Model = include_model!("data/v2-f32.pgan");

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

const TRANSLATOR_IMAGE: &str = "\
68 59 6d 56 82 a1 5d 82
23 16 0f 05 1a 75 1f 27
17 1f 07 01 1c c5 46 3a
14 3f 0b 00 11 b1 7f a0
10 2d 0a 01 0c 84 a4 ac
12 20 0e 1a 30 3c 6a b0
13 11 10 4b 50 0b 24 af
21 0e 0b 28 72 1a 11 73";
const INT4_TRANSLATOR_IMAGE: &str = "\
80 6e 66 43 75 a0 68 7d
4d 35 11 04 1b 84 2e 34
33 3f 09 01 1b cc 73 4a
22 5f 0e 01 15 bb 93 99
1e 4b 0e 01 11 96 a0 a5
1f 27 13 1c 34 50 79 9f
19 0d 0e 55 5a 17 34 a5
1e 0a 0a 35 86 2a 1b 78";
const AUTO_IMAGE: &str = "\
75 43 c8 26 52 36 b2 4a
5b 3d 5b 1b 18 0f 13 a0
3a 23 e8 15 b7 36 0e 94
2f 13 06 16 e2 4d 51 18
80 0c 06 30 aa 15 61 1d
14 d4 6b 90 24 78 ec 54
56 10 18 32 2e 18 50 5f
58 8a 1c d2 33 8e 0e 5d";
const FLOAT_TRANSLATOR_IMAGE: &str = "\
37 51 52 57 4f 4c 4a 36
36 38 3b 3f 3d 36 30 26
36 42 46 4b 4b 3d 35 29
32 35 3c 47 46 3e 3a 2f
2f 33 36 3c 40 44 45 35
32 3b 37 34 39 36 35 2a
31 33 31 2f 31 2c 2a 24
43 4a 49 48 4c 4b 4c 3c";

const INT4_IMAGE: &str = "\
cd af bb ce d6 cf cb d0
ca c3 cb c5 cc d0 cc cf
ce d3 d3 c0 c8 ce c7 ce
cb cd cf dd c9 9d c0 ce
bc c5 d3 e1 b1 74 bc ce
c6 c5 d0 e1 b9 87 bc ce
cc cb d0 e1 cf a6 be ce
ce cf cf d5 cd c4 cd cf";

const SKIPS_IMAGE: &str = "\
78 66 5b 7d 87 68 5b 78
af a3 a7 b8 cc ae a8 9e
89 b0 b5 ba c5 ab 9f 97
a6 c3 c0 c8 bc 85 b0 99
51 9d 8f 9d 8f 93 c1 8c
d6 ea a4 b6 dd e0 c3 a4
9d a1 56 a5 c9 b9 9c ad
b9 80 76 92 59 93 81 a2";

const GRAPH_IMAGE: &str = "\
47 07 02 01 01 01 01 02
cf 00 00 00 00 00 00 00
72 00 00 00 00 00 00 00
95 00 01 00 00 00 00 02
4e 00 02 00 00 00 00 0f
23 00 02 00 01 00 01 45
85 22 12 00 05 03 0e 34
b7 e1 f5 90 f9 f6 ff fc";
const INT4_GRAPH_IMAGE: &str = "\
f5 d9 ad 8f b2 af 63 61
ff b7 47 0a 18 17 04 10
ff 7a 27 03 07 07 01 19
ff b7 d5 08 34 10 06 25
fa b5 c0 0a 27 0b 16 4a
ec 90 ce 07 78 06 3c 24
fc fb f8 62 da 4f d3 17
f9 ff ff fe ff ff ff e6";
const CONCAT_IMAGE: &str = "\
61 93 ad 79 c0 f9 be 1f
6b eb aa 31 19 35 10 1f
0c ec ff 59 24 06 11 38
74 fd f0 47 41 fc be 25
fe fe f5 92 e4 fc f6 28
82 8a 5a cd da f5 af 36
a4 3b 29 eb fc cd e2 3e
50 1c 41 e5 c5 7f 85 99";
const FLOAT_GRAPH_IMAGE: &str = "\
30 2b 26 2a 22 28 21 22
2a 25 1d 22 1b 21 1a 22
32 31 2a 39 2d 3a 2a 2a
2f 29 23 2c 27 2f 26 2b
34 36 34 41 3d 45 39 30
30 35 34 3c 3b 3f 3a 35
38 42 45 4b 49 48 40 35
27 20 20 21 20 20 20 1d";

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

/// The pixels of a picture in hexadecimal.
fn pixels(text: &str) -> Vec<u8> {
    let pixels = text.split_whitespace();
    let pixels = pixels.map(|pixel| u8::from_str_radix(pixel, 16));
    pixels
        .collect::<Result<Vec<_>, _>>()
        .expect("two hexadecimal digits each")
}

/// Everything in constants, as firmware does it.
#[test]
fn the_first_int8_blob_makes_its_image() -> Result<(), Error> {
    assert_makes::<{ INT8.buffer_len() }, { INT8.image_len() }>(&INT8, INT8_IMAGE)
}

#[test]
fn the_first_int4_blob_makes_its_image() -> Result<(), Error> {
    assert_makes::<{ INT4.buffer_len() }, { INT4.image_len() }>(&INT4, INT4_IMAGE)
}

#[test]
fn the_first_blob_with_additions_makes_its_image() -> Result<(), Error> {
    assert_makes::<{ SKIPS.buffer_len() }, { SKIPS.image_len() }>(&SKIPS, SKIPS_IMAGE)
}

#[test]
fn the_first_graphs_make_their_images() -> Result<(), Error> {
    assert_makes::<{ GRAPH.buffer_len() }, { GRAPH.image_len() }>(&GRAPH, GRAPH_IMAGE)?;
    assert_makes::<{ INT4_GRAPH.buffer_len() }, { INT4_GRAPH.image_len() }>(
        &INT4_GRAPH,
        INT4_GRAPH_IMAGE,
    )
}

#[test]
fn the_first_concatenations_in_place_make_their_image() -> Result<(), Error> {
    assert_makes::<{ CONCAT.buffer_len() }, { CONCAT.image_len() }>(&CONCAT, CONCAT_IMAGE)
}

#[test]
fn the_first_f32_graph_makes_its_image() -> Result<(), Error> {
    assert_nearly_makes::<{ FLOAT_GRAPH.buffer_len() }, { FLOAT_GRAPH.image_len() }>(
        &FLOAT_GRAPH,
        FLOAT_GRAPH_IMAGE,
    )
}

/// The image of seed 1 is the golden one, and the reference's.
fn assert_makes<const WORDS: usize, const PIXELS: usize>(
    model: &Model,
    golden: &str,
) -> Result<(), Error> {
    let mut buffer = Buffer::<WORDS>::new();
    let mut image = [0; PIXELS];
    Generator::new(model, &mut buffer)?.sample(1, &mut image)?;
    assert_eq!(picture(&image), golden);
    assert_is_the_references(&image, model);
    Ok(())
}

fn assert_is_the_references(image: &[u8], model: &Model) {
    let latents = common::latents(model, 1);
    let quanta = common::reference_int8(model, &latents)
        .pop()
        .unwrap_or_default();
    assert!(
        image
            .iter()
            .zip(quanta)
            .all(|(&pixel, q)| i16::from(pixel) == q + 128)
    );
}

#[test]
fn the_first_f32_blob_makes_its_image() -> Result<(), Error> {
    assert_nearly_makes::<{ FLOAT.buffer_len() }, { FLOAT.image_len() }>(&FLOAT, FLOAT_IMAGE)
}

/// The image of seed 1 is the golden one: one step either way is left to the mathematics library.
fn assert_nearly_makes<const WORDS: usize, const PIXELS: usize>(
    model: &Model,
    golden: &str,
) -> Result<(), Error> {
    let mut buffer = Buffer::<WORDS>::new();
    let mut image = [0; PIXELS];
    Generator::new(model, &mut buffer)?.sample(1, &mut image)?;
    let golden = golden
        .split_whitespace()
        .map(|pixel| u8::from_str_radix(pixel, 16));
    for (&pixel, golden) in image.iter().zip(golden) {
        let golden = golden.expect("two hexadecimal digits");
        assert!(pixel.abs_diff(golden) <= 1, "{}", picture(&image));
    }
    Ok(())
}

/// The images of the classes 0 to 2, side by side.
const INT8_CLASS_IMAGES: &str = "\
ce 80 a2 d3 d3 ab c7 d1  c5 cd d1 cc ba c7 da d1  ce 80 9c df d6 8a b1 ce
c4 ac c0 bb c5 c0 c3 c8  d2 be ca c1 bd d3 ce bd  c5 bf c4 b9 bb a9 b2 c9
cc ca c2 aa c7 c3 a7 be  d4 b0 c3 b7 bf d3 bc ab  cc de c8 97 bd ad 84 c0
c6 cd d6 d8 b8 a8 d2 c6  b9 b9 cf ce be a7 c1 b9  c9 db e8 d4 ba bf d5 c8
ad c4 e6 dc 6e 8e ea cf  a1 c4 dc d9 a2 82 ce c7  ae c7 f2 e5 91 cb f4 d1
c4 ca ca e2 d5 92 bc d1  c9 c6 cb ed ca 6e b7 d0  bd d5 c1 a3 c7 a8 bd d1
d2 d1 c2 ea f0 ac b2 d1  da c5 bf f1 e2 7c af d0  c5 df b9 ae dd 9d aa d1
cf cf cf eb ba 6d c3 d1  ce c9 cf e5 c2 95 ca d0  cc cd ce e8 be 84 c8 d1";
const FLOAT_CLASS_IMAGES: &str = "\
cd c2 c4 c7 c6 c5 c5 cd  d1 c6 c3 c1 c1 c4 c6 d0  c8 b9 bf c3 bf be c1 cd
d4 c1 c0 c2 c4 c1 c0 cf  d7 c2 c3 b9 bb bf bd d1  d0 b4 b2 b3 b9 b2 ad ce
d4 c0 bf c8 cc cb c8 cf  d6 c4 c6 c6 ca cf cb d4  d9 c5 c1 cd d7 d8 d1 d5
d3 bb ba cf cb cb d3 cc  d6 c0 c2 cd c8 d2 d5 d3  d7 c2 c4 db d4 dd e4 d3
da ca c9 c6 b8 b9 cc d9  d7 c8 cd ca bb ba c6 d6  d3 c5 cb cb af ae ca d9
d9 ce ce c1 c3 be bb d8  d6 cb ca c4 c7 bc b9 d7  d3 c7 c4 bd c3 b2 ab da
d4 c3 c3 be c3 c2 bd d7  d8 ca c6 c4 ca c4 bd d3  d9 cc c6 c5 d0 c4 b7 d3
d2 b4 b4 ad af b5 b0 d5  d5 bf be b7 b9 b5 b3 d0  d5 c2 c1 ba be b5 b2 d1";

const LINEAR_CLASS_IMAGES: &str = "\
ff 00 ff ff d8 ff 3e 09  ff 00 ff ff de ff 67 08  ff 00 ff ff e0 ff 5d 02
30 ff 0f 00 a9 00 01 00  28 ff 08 00 81 00 01 00  1e ff 02 00 63 00 02 00
19 ff f9 46 01 ff 39 71  1d ff f8 64 00 ff 47 5a  20 ff fc 4b 00 ff 7f 46
23 25 fb 00 06 00 00 00  43 1a fd 00 05 00 00 00  6a 0b ff 00 03 00 00 00
ea 41 ff 02 14 ff 00 be  ec 2f ff 02 0e ff 00 d8  fe 2a ff 01 05 ff 00 e9
3f 61 34 12 de 75 1a ff  32 5b 4b 21 d1 8e 1a ff  c0 39 33 26 cf a5 1d ff
ff 00 e1 ff ff 5c 1e 00  ff 00 dd ff ff 47 15 00  ff 00 f7 ff ff 37 0a 00
00 19 00 07 00 ff 01 ff  00 18 00 02 00 ff 01 ff  00 06 00 01 00 ff 00 ff";

/// The images of seed 1, each class's beside the one before.
fn class_pictures<const N: usize>(model: &Model) -> Result<String, Error> {
    let mut buffer = Buffer::<N>::new();
    let mut generator = Generator::new(model, &mut buffer)?;
    let mut rows = vec![String::new(); model.output().height];
    for class in 0..model.classes() {
        generator.set_class(class)?;
        let mut image = vec![0; model.image_len()];
        generator.sample(1, &mut image)?;
        for (row, line) in rows.iter_mut().zip(picture(&image).lines()) {
            *row = format!("{row}  {line}").trim_start().to_owned();
        }
    }
    Ok(rows.join("\n"))
}

#[test]
fn the_first_int8_blob_with_classes_makes_its_images() -> Result<(), Error> {
    let pictures = class_pictures::<{ INT8_CLASSES.buffer_len() }>(&INT8_CLASSES)?;
    assert_eq!(pictures, INT8_CLASS_IMAGES);
    Ok(())
}

#[test]
fn the_first_blob_of_linear_layers_makes_its_images() -> Result<(), Error> {
    let pictures = class_pictures::<{ LINEAR.buffer_len() }>(&LINEAR)?;
    assert_eq!(pictures, LINEAR_CLASS_IMAGES);
    Ok(())
}

/// One step either way is left to the mathematics library.
#[test]
fn the_first_f32_blob_with_classes_makes_its_images() -> Result<(), Error> {
    let pictures = class_pictures::<{ FLOAT_CLASSES.buffer_len() }>(&FLOAT_CLASSES)?;
    let (ours, golden) = (pixels(&pictures), pixels(FLOAT_CLASS_IMAGES));
    assert_eq!(ours.len(), golden.len());
    let close = ours.iter().zip(golden).all(|(a, b)| a.abs_diff(b) <= 1);
    assert!(close, "{pictures}");
    Ok(())
}

/// The first blobs that read pictures make the golden images, and the reference's.
#[test]
fn the_first_translators_make_their_images() -> Result<(), Error> {
    let golden = [
        TRANSLATOR_IMAGE,
        INT4_TRANSLATOR_IMAGE,
        AUTO_IMAGE,
        FLOAT_TRANSLATOR_IMAGE,
    ];
    for ((model, blob), golden) in TRANSLATORS.iter().zip(golden) {
        let seen = common::random_picture(model, &mut Rng::new(1));
        let mut buffer = vec![0; model.buffer_len()];
        let mut image = vec![0; model.image_len()];
        Translator::new(model, buffer.as_mut_slice())?.translate(&seen, &mut image)?;
        let expected: Vec<u8> = if model.numbers() == Numbers::Float {
            let values = common::reference_float_of_picture(model, blob, &seen);
            values
                .iter()
                .map(|value| (128.0 * value + 128.5) as u8)
                .collect()
        } else {
            let tensors = common::reference_int8_of_picture(model, blob, &seen);
            let quanta = tensors.last().into_iter().flatten();
            quanta.map(|q| (q + 128) as u8).collect()
        };
        let golden = pixels(golden);
        let most = u8::from(model.numbers() == Numbers::Float);
        for other in [expected, golden] {
            let mut pairs = image.iter().zip(&other);
            assert!(
                pairs.all(|(a, b)| a.abs_diff(*b) <= most),
                "{}",
                picture(&image)
            );
            assert_eq!(image.len(), other.len());
        }
    }
    Ok(())
}

/// All of the working memory is written, and nothing behind it: it is as large as it must be, to the byte.
#[test]
fn working_memory_is_used_to_its_last_word() -> Result<(), Error> {
    for model in [
        INT8,
        FLOAT,
        INT4,
        SKIPS,
        GRAPH,
        INT4_GRAPH,
        FLOAT_GRAPH,
        CONCAT,
    ] {
        assert_used(&model, |seed, buffer, image| {
            Generator::new(&model, buffer)?.sample(seed, image)
        })?;
    }
    for (model, _) in TRANSLATORS {
        assert_used(&model, |seed, buffer, image| {
            let seen = common::random_picture(&model, &mut Rng::new(seed));
            Translator::new(&model, buffer)?.translate(&seen, image)
        })?;
    }
    Ok(())
}

/// Asserts that images of many seeds use all of the working memory.
fn assert_used(
    model: &Model,
    make: impl Fn(u64, &mut [u32], &mut [u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut buffer = vec![0; model.buffer_len() + 1];
    let mut used = 0;
    for seed in 0..64 {
        let mut image = vec![0; model.image_len()];
        make(seed, &mut buffer, &mut image)?;
        let last = buffer.iter().rposition(|&word| word != 0);
        used = used.max(last.map_or(0, |last| last + 1));
    }
    assert_eq!(used, model.buffer_len());
    assert_eq!(used * 4, model.working_memory());
    Ok(())
}

#[test]
fn working_memory_is_what_the_rows_take() {
    let rows: usize = INT8.layers().map(|layer| layer.row_buffer_bytes()).sum();
    // Besides: two words of state for five rings; the output's row of 8 pixels.
    assert_eq!(INT8.working_memory(), rows + 5 * 8 + 8);
    // The latent; 2 rows of 2 + 2 columns; a row of 4; 3 rows of 8 + 2; all of 4 channels.
    assert_eq!(rows, 4 * (1 + 8 + 4 + 30));
}
