//! The fast kernels against the reference, bit for bit, over whole models.

mod common;

use common::{ACTIVATIONS, Plan, linear, upsample, windowed};
use pocketgan::{
    Activation, Error, Generator, Kept, Model, Numbers, Operator, PixelRange, Pixels, Rng,
    SampleError, ScoreError, Shape, TranslateError, Translator, Turn,
};
use proptest::prelude::*;

/// Makes a model of the plans and checks an image of it both ways; returns how many different
/// pixels it has.
fn check(latent: usize, plans: &[Plan], numbers: Numbers, seed: u64) -> usize {
    let mut rng = Rng::new(seed);
    let blob = common::blob(latent, plans, numbers, &mut rng).expect("a valid model");
    check_model(
        &Model::parse(&blob).expect("written blobs parse"),
        plans,
        seed,
    )
}

/// As [`check`], for every class of a model with classes.
fn check_classes(latent: usize, count: usize, plans: &[Plan], numbers: Numbers, seed: u64) {
    let mut rng = Rng::new(seed);
    let blob = common::conditional_blob(latent, count, plans, numbers, &mut rng);
    let blob = blob.expect("a valid model");
    let model = Model::parse(&blob).expect("written blobs parse");
    for class in 0..count {
        check_model(&model.of_class(class).expect("a class"), plans, seed);
    }
}

/// As [`check`], of a graph.
fn check_graph(graph: &common::Graph, numbers: Numbers, seed: u64) -> Vec<u8> {
    let plans: Vec<Plan> = graph.nodes.iter().map(|node| node.1).collect();
    let latent = graph.input.channels;
    let blob = common::graph_blob(latent, &graph.nodes, numbers, &mut Rng::new(seed));
    let blob = blob.unwrap_or_else(|error| panic!("{error}: {:?}", graph.nodes));
    let model = Model::parse(&blob).expect("written blobs parse");
    check_model(&model, &plans, seed);
    blob
}

fn check_model(model: &Model, plans: &[Plan], seed: u64) -> usize {
    let numbers = model.numbers();
    let latents = common::latents(model, seed);
    // A dirty, oversized buffer: what it holds must not matter.
    let mut buffer = vec![0xdead_beef; model.buffer_len() + 3];
    let mut generator = Generator::new(model, buffer.as_mut_slice()).expect("large enough");
    let mut image = vec![0; model.image_len()];
    let mut values = vec![0.0; model.image_len()];
    // Twice, since nothing may be left over from one image to the next.
    for _ in 0..2 {
        generator
            .sample_into(&latents, &mut image)
            .expect("lengths fit");
        generator
            .values_into(&latents, &mut values)
            .expect("lengths fit");
    }
    assert_eq!(buffer[model.buffer_len()..], [0xdead_beef; 3]);
    match numbers {
        Numbers::Int8 | Numbers::Int4 => {
            let offset = if model.range() == PixelRange::Signed {
                128
            } else {
                0
            };
            let quanta = common::reference_int8(model, &latents)
                .pop()
                .expect("layers");
            let expected: Vec<u8> = quanta.iter().map(|q| (q + offset) as u8).collect();
            assert_eq!(image, expected, "{plans:?}");
            let worth: Vec<f32> = image.iter().map(|&p| model.range().value(p)).collect();
            assert_eq!(values, worth);
        }
        Numbers::Float => {
            let expected = common::reference_float(model, &latents);
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&values), bits(&expected), "{plans:?}");
        }
    }
    image.sort_unstable();
    image.dedup();
    image.len()
}

/// As [`check_graph`], of one that reads pictures.
fn check_translator(graph: &common::Graph, numbers: Numbers, seed: u64) {
    let mut rng = Rng::new(seed);
    let blob = common::translator_blob(graph.input, &graph.nodes, numbers, &mut rng);
    let blob = blob.unwrap_or_else(|error| panic!("{error}: {:?}", graph.nodes));
    check_translator_blob(&blob, seed);
}

/// Checks the image of a random picture both ways; returns how many different pixels it has.
fn check_translator_blob(blob: &[u8], seed: u64) -> usize {
    let model = Model::parse(blob).expect("written blobs parse");
    let picture = common::random_picture(&model, &mut Rng::new(seed));
    let mut buffer = vec![0xdead_beef; model.buffer_len() + 3];
    let mut translator = Translator::new(&model, buffer.as_mut_slice()).expect("large enough");
    let mut image = vec![0; model.image_len()];
    let mut values = vec![0.0; model.image_len()];
    // Twice, since nothing may be left over from one image to the next.
    for _ in 0..2 {
        translator
            .translate(&picture, &mut image)
            .expect("lengths fit");
        translator
            .values_into(&picture, &mut values)
            .expect("lengths fit");
    }
    let worth: Vec<f32> = image.iter().map(|&p| model.range().value(p)).collect();
    if model.numbers() == Numbers::Float {
        let expected = common::reference_float_of_picture(&model, blob, &picture);
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&values), bits(&expected), "seed {seed}");
        assert!(worth.iter().zip(&values).all(|(a, b)| (a - b).abs() < 0.01));
    } else {
        let tensors = common::reference_int8_of_picture(&model, blob, &picture);
        let offset = match model.range() {
            PixelRange::Signed => 128,
            PixelRange::Unsigned => 0,
        };
        let expected = tensors[tensors.len() - 1].iter();
        let expected: Vec<u8> = expected.map(|q| (q + offset) as u8).collect();
        assert_eq!(image, expected, "seed {seed}");
        assert_eq!(values, worth);
    }
    assert_eq!(buffer[model.buffer_len()..], [0xdead_beef; 3]);
    image.sort_unstable();
    image.dedup();
    image.len()
}

const ALL: [Numbers; 3] = [Numbers::Int8, Numbers::Int4, Numbers::Float];

fn all(latent: usize, plans: &[Plan], seed: u64) {
    for numbers in ALL {
        check(latent, plans, numbers, seed);
    }
}

#[test]
fn every_small_window_matches_the_reference() {
    let models = common::every_small_window();
    assert!(models.len() > 1000, "{}", models.len());
    for (plans, seed) in models {
        all(5, &plans, seed);
    }
}

#[test]
fn skip_connections_match_the_reference() {
    for (plans, seed) in common::skips() {
        all(6, &plans, seed);
    }
    // The latent added to features that are made of it.
    let hidden = linear(Activation::Relu, 1, 1, 9);
    let features = linear(Activation::None, 1, 1, 7);
    let mut plans = vec![hidden, features];
    plans.push(common::addition(&plans, 0, ACTIVATIONS[2]));
    plans.push(linear(Activation::Sigmoid, 3, 4, 2));
    all(7, &plans, 1);
}

#[test]
fn translators_match_the_reference() {
    for (picture, nodes) in [common::tiny_translator(), common::tiny_autoencoder()] {
        for numbers in ALL {
            let blob = common::translator_blob(picture, &nodes, numbers, &mut Rng::new(1));
            let different = check_translator_blob(&blob.expect("a valid model"), 2);
            assert!(different > 10, "{different} different pixels");
        }
    }
    let mut vectors = 0;
    for seed in 0..400 {
        let graph = common::Graph::random_of_pictures(&mut Rng::new(seed));
        let of_images = |(_, plan): &&(usize, Plan)| plan.0 == Operator::Linear;
        vectors += graph.nodes.iter().filter(of_images).count() / 2;
        for numbers in ALL {
            check_translator(&graph, numbers, seed);
        }
    }
    assert!((150..250).contains(&vectors), "{vectors}");
}

/// A row of the picture is asked for when a row of the image needs it and no sooner, in order, and once.
#[test]
fn rows_come_in_as_they_are_needed() {
    for (nodes, first, later) in [
        // A 3x3 window, a 3x3 window: two rows ahead.
        (2, 3, 1),
        (5, 6, 1),
    ] {
        let picture = Shape::new(16, 5, 2);
        let window = [3, 1, 1, 0];
        let hidden = |input| windowed(input, false, window, Activation::Relu, 4).expect("fits");
        let mut plans = vec![hidden(picture)];
        while plans.len() < nodes {
            plans.push(hidden(plans[plans.len() - 1].2));
        }
        let last = plans.len() - 1;
        plans[last].1 = Activation::Tanh;
        let nodes = common::chain(&plans);
        let blob = common::translator_blob(picture, &nodes, Numbers::Int8, &mut Rng::new(3));
        let blob = blob.expect("a valid model");
        let model = Model::parse(&blob).expect("written blobs parse");
        let mut buffer = vec![0; model.buffer_len()];
        let mut translator = Translator::new(&model, buffer.as_mut_slice()).expect("large enough");
        assert_eq!(translator.poll(), Turn::Done);
        assert_eq!(translator.give_row(&[0; 10]), Err(Error::NoRowWanted));
        translator.begin();
        let (mut given, mut made) = (0, 0);
        loop {
            match translator.poll() {
                Turn::Picture(y) => {
                    assert_eq!(y, given);
                    assert_eq!(translator.poll(), Turn::Picture(y));
                    assert_eq!(translator.give_row(&[0; 9]), Err(Error::SliceLength));
                    translator
                        .give_row(&[y as u8; 10])
                        .expect("it was asked for");
                    given += 1;
                }
                Turn::Image(row) => {
                    assert_eq!(row.y, made);
                    assert_eq!(given, (first + made * later).min(16));
                    made += 1;
                }
                Turn::Done => break,
            }
        }
        assert_eq!((given, made), (16, 16));
    }
}

/// A row of the picture that the network reads after it made that row of the image, or never, is not compared.
#[test]
fn a_score_needs_the_picture_before_the_image() {
    let picture = Shape::new(8, 8, 1);
    let every_other = common::windowed(picture, false, [1, 2, 0, 0], Activation::Relu, 4);
    let every_other = every_other.expect("fits");
    let large = common::upsample(every_other.2, 2);
    let last = common::windowed(large.2, false, [1, 1, 0, 0], Activation::Tanh, 1).expect("fits");
    let nodes = common::chain(&[every_other, large, last]);
    for numbers in ALL {
        let blob = common::translator_blob(picture, &nodes, numbers, &mut Rng::new(5));
        let blob = blob.expect("a valid model");
        let model = Model::parse(&blob).expect("written blobs parse");
        let mut buffer = vec![0; model.buffer_len()];
        let mut translator = Translator::new(&model, buffer.as_mut_slice()).expect("large enough");
        let picture = common::random_picture(&model, &mut Rng::new(6));
        let ended = translator.score(&mut Pixels::new(&picture, 8));
        assert_eq!(ended, Err(ScoreError::Call(Error::RowNotRead)));
    }
}

/// The score is the squared difference, whoever gives the rows again; errors of the source and of the sink end the
/// call.
#[test]
fn a_score_is_the_squared_difference() {
    let (shape, nodes) = common::tiny_autoencoder();
    for numbers in ALL {
        let blob = common::translator_blob(shape, &nodes, numbers, &mut Rng::new(5));
        let blob = blob.expect("a valid model");
        let model = Model::parse(&blob).expect("written blobs parse");
        let mut buffer = vec![0; model.buffer_len()];
        let mut translator = Translator::new(&model, buffer.as_mut_slice()).expect("large enough");
        let picture = common::random_picture(&model, &mut Rng::new(6));
        let mut image = vec![0; model.image_len()];
        translator
            .translate(&picture, &mut image)
            .expect("lengths fit");
        let squares = picture.iter().zip(&image);
        let squares = squares.map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2));
        let expected = squares.sum::<u64>();
        assert!(expected > 1000);
        let mut pixels = Pixels::new(&picture, 8);
        assert_eq!(translator.score(&mut pixels), Ok(expected));
        let mut kept = vec![0; model.picture_len()];
        let mut once = Kept::new(pixels, &mut kept, 8);
        assert_eq!(translator.score(&mut once), Ok(expected));

        let mut short = Pixels::new(&picture[..20], 8);
        let ended = translator.score(&mut short);
        assert_eq!(ended, Err(ScoreError::Source(Error::SliceLength)));
        let mut narrow = Pixels::new(&picture, 7);
        let ended = translator.score(&mut narrow);
        assert_eq!(ended, Err(ScoreError::Call(Error::SliceLength)));
        for (len, kept_len) in [(7, 8), (8, 7), (9, 8)] {
            let narrow = Pixels::new(&picture, len);
            let ended = translator.score(&mut Kept::new(narrow, &mut kept, kept_len));
            assert_eq!(ended, Err(ScoreError::Call(Error::SliceLength)));
        }
        let mut sink = |y: usize, _: &[u8]| {
            if y < 3 {
                Ok(())
            } else {
                Err("the bus is busy")
            }
        };
        let ended = translator.translate_rows(&mut pixels, &mut sink);
        assert_eq!(ended, Err(TranslateError::Sink("the bus is busy")));
        // And the next picture is whole again.
        assert_eq!(translator.score(&mut pixels), Ok(expected));
    }
}

/// Branches with layers on either side, joined by additions and concatenations, and average pooling.
#[test]
fn random_graphs_match_the_reference() {
    let mut names = std::collections::BTreeSet::new();
    let mut in_concatenations = 0;
    for seed in 0..u64::from(cases()) * 4 {
        let graph = common::Graph::random(&mut Rng::new(seed));
        for numbers in ALL {
            let blob = check_graph(&graph, numbers, seed);
            let model = Model::parse(&blob).expect("written blobs parse");
            names.extend(model.layers().map(|layer| layer.name()));
            let homes = common::homes(&blob);
            in_concatenations += homes.iter().filter(|&&home| home > 0).count();
        }
    }
    assert_eq!(names.len(), 7, "{names:?}");
    assert!(
        in_concatenations as u64 > u64::from(cases()),
        "{in_concatenations}"
    );
}

/// Cuts an image into ranges of rows at three random places, makes each by itself in a dirty buffer, last range first,
/// and holds their rows against the whole image's.
fn check_ranges(model: &Model, seed: u64) {
    let (height, row_len) = (model.output().height, model.output().row_len());
    let mut buffer = vec![0xdead_beef; model.buffer_len()];
    let mut generator = Generator::new(model, buffer.as_mut_slice()).expect("large enough");
    let mut whole = vec![0; model.image_len()];
    generator.sample(seed, &mut whole).expect("lengths fit");
    let mut rng = Rng::new(seed);
    let mut cuts: Vec<usize> = (0..3)
        .map(|_| rng.below(height as u32 + 1) as usize)
        .collect();
    cuts.extend([0, height]);
    cuts.sort_unstable();
    let mut parts = vec![0; whole.len()];
    for rows in cuts.windows(2).rev() {
        let mut expected = rows[0]..rows[1];
        let mut sink = |y: usize, pixels: &[u8]| {
            assert_eq!((Some(y), pixels.len()), (expected.next(), row_len));
            parts[y * row_len..][..row_len].copy_from_slice(pixels);
        };
        generator
            .sample_row_range(seed, rows[0]..rows[1], &mut sink)
            .expect("rows of the image");
        assert!(expected.is_empty(), "{expected:?}");
    }
    assert_eq!(parts, whole, "{cuts:?}");
}

#[test]
fn any_split_into_ranges_of_rows_has_the_bits_of_the_whole_image() {
    let windows = common::every_small_window().into_iter().step_by(5);
    let chains = windows.map(|(plans, seed)| (5, plans, seed));
    let skips = common::skips()
        .into_iter()
        .map(|(plans, seed)| (6, plans, seed));
    for (latent, plans, seed) in chains.chain(skips) {
        for numbers in ALL {
            let blob = common::blob(latent, &plans, numbers, &mut Rng::new(seed)).expect("valid");
            check_ranges(&Model::parse(&blob).expect("written blobs parse"), seed);
        }
    }
    for seed in 0..u64::from(cases()) * 4 {
        let graph = common::Graph::random(&mut Rng::new(seed));
        for numbers in ALL {
            let latent = graph.input.channels;
            let blob = common::graph_blob(latent, &graph.nodes, numbers, &mut Rng::new(seed));
            let blob = blob.expect("a valid model");
            check_ranges(&Model::parse(&blob).expect("written blobs parse"), seed);
        }
    }
}

/// Two branches with windows, behind each of which is a window, over one tensor: making the rows of one branch at once
/// would overwrite rows of the tensor that the other branch still has to read.
#[test]
fn branches_that_are_begun_midway_keep_the_rows_that_they_share() {
    let shaped = linear(Activation::Relu, 24, 5, 4);
    let same =
        |input, activation| windowed(input, false, [3, 1, 1, 0], activation, 4).expect("fits");
    let branch = same(shaped.2, Activation::Relu);
    let none = same(shaped.2, Activation::None);
    let sum = (Operator::Add { from: 5 }, Activation::Tanh, shaped.2);
    let nodes = [
        (0, shaped),
        (1, branch),
        (1, branch),
        (2, none),
        (3, none),
        (4, sum),
    ];
    for numbers in ALL {
        let blob = common::graph_blob(4, &nodes, numbers, &mut Rng::new(1)).expect("a valid model");
        let model = Model::parse(&blob).expect("written blobs parse");
        (0..24).for_each(|seed| check_ranges(&model, seed));
    }
}

#[test]
fn rows_are_made_one_by_one_and_only_on_request() {
    let (latent, plans) = common::benchmark(32);
    let blob = common::blob(latent, &plans, Numbers::Int8, &mut Rng::new(9)).expect("valid");
    let model = Model::parse(&blob).expect("written blobs parse");
    let mut buffer = vec![0; model.buffer_len()];
    let mut generator = Generator::new(&model, buffer.as_mut_slice()).expect("large enough");
    assert_eq!(generator.next_row(), None, "nothing was begun");
    let mut whole = vec![0; 784];
    generator.sample(5, &mut whole).expect("lengths fit");
    assert_eq!(generator.next_row(), None, "the image is complete");
    // An image that is given up leaves no trace.
    generator.begin(6).expect("no classes");
    assert_eq!(generator.next_row().map(|row| row.y), Some(0));
    generator
        .begin_from(&common::latents(&model, 5))
        .expect("the latent's length");
    let mut rows = Vec::new();
    while let Some(row) = generator.next_row() {
        assert_eq!(row.y, rows.len() / 28);
        rows.extend_from_slice(row.pixels);
    }
    assert_eq!(rows, whole);
    assert_eq!(generator.next_row(), None);
    generator.begin_rows(5, 9..11).expect("rows of the image");
    assert_eq!(
        generator.next_row().map(|row| row.pixels.to_vec()),
        Some(whole[252..280].to_vec())
    );
    assert_eq!(generator.next_row().map(|row| row.y), Some(10));
    assert_eq!(generator.next_row(), None);
    generator.begin_rows(5, 7..7).expect("no rows");
    assert_eq!(generator.next_row(), None);
    #[expect(clippy::reversed_empty_ranges)]
    for rows in [3..2, 0..29, 29..29] {
        assert_eq!(generator.begin_rows(5, rows), Err(Error::NoSuchRows));
    }
}

#[test]
fn a_sink_that_fails_stops_the_image_and_tells_why() {
    let (latent, plans) = common::benchmark(32);
    let mut rng = Rng::new(9);
    let blob = common::conditional_blob(latent, 3, &plans, Numbers::Int8, &mut rng).expect("valid");
    let model = Model::parse(&blob).expect("written blobs parse");
    let mut buffer = vec![0; model.buffer_len()];
    let mut generator = Generator::new(&model, buffer.as_mut_slice()).expect("large enough");
    let mut taken = Vec::new();
    let mut sink = |y: usize, _: &[u8]| match y {
        3 => Err("full"),
        _ => {
            taken.push(y);
            Ok(())
        }
    };
    let result = generator.try_sample_rows(1, &mut sink);
    assert_eq!(result, Err(SampleError::Call(Error::ClassMissing)));
    generator.set_class(1).expect("a class");
    assert_eq!(
        generator.try_sample_rows(1, &mut sink),
        Err(SampleError::Sink("full"))
    );
    assert_eq!(taken, [0, 1, 2]);
    generator.begin(1).expect("a class was chosen");
    generator.set_class(2).expect("a class");
    assert_eq!(
        generator.next_row(),
        None,
        "the image of another class is dropped"
    );
}

/// Every kernel and stride of average pooling, over pictures that it fills and does not fill.
#[test]
fn average_pooling_matches_the_reference() {
    for (kernel, stride) in (2..=16).flat_map(|kernel| (1..=8).map(move |s| (kernel, s))) {
        let seed = kernel * 8 + stride;
        let (height, width) = (kernel + seed % 5, kernel + seed % 11);
        let shaped = linear(ACTIVATIONS[seed % 5], height, width, seed % 9 + 1);
        let pooled = common::pooled(shaped.2, kernel, stride).expect("fits");
        let last = windowed(pooled.2, false, [1, 1, 0, 0], Activation::Tanh, 3).expect("fits");
        all(5, &[shaped, pooled, last], seed as u64);
    }
}

/// Rows of more than one vector, and outputs in whole and broken ones.
#[test]
fn wide_rows_match_the_reference() {
    const WINDOWS: [(bool, [usize; 4]); 6] = [
        (true, [4, 2, 1, 0]),
        (true, [5, 2, 2, 1]),
        (true, [3, 3, 0, 0]),
        (false, [3, 1, 1, 0]),
        (false, [3, 2, 1, 0]),
        (false, [7, 1, 3, 0]),
    ];
    for channels in 1..=40 {
        let shaped = linear(
            ACTIVATIONS[channels % 5],
            2,
            channels * 7 % 29 + 9,
            channels * 5 % 23 + 1,
        );
        for (i, (transposed, window)) in WINDOWS.into_iter().enumerate() {
            let seed = channels * 6 + i;
            let wide = windowed(
                shaped.2,
                transposed,
                window,
                ACTIVATIONS[seed % 5],
                channels,
            );
            let wide = wide.expect("fits");
            let last = windowed(wide.2, false, [3, 1, 1, 0], Activation::Tanh, seed % 4 + 1);
            all(5, &[shaped, wide, last.expect("fits")], seed as u64);
        }
    }
}

/// As many input channels as are transposed at once, and one more.
#[test]
fn many_channels_for_few_match_the_reference() {
    for channels in [127, 128, 129] {
        let shaped = linear(Activation::Relu, 3, 18, channels);
        let last = windowed(shaped.2, true, [4, 2, 1, 0], Activation::Tanh, 3);
        all(5, &[shaped, last.expect("fits")], channels as u64);
    }
}

#[test]
fn linear_and_upsample_match_the_reference() {
    for seed in 0..60 {
        let n = |m: u64| (seed * 7 % m) as usize + 1;
        let hidden = linear(ACTIVATIONS[n(5) - 1], 1, 1, n(11));
        let shaped = linear(ACTIVATIONS[n(4)], n(3), n(5), n(7));
        let larger = upsample(shaped.2, n(3));
        let last = windowed(larger.2, false, [3, 1, 1, 0], Activation::Sigmoid, n(4));
        all(n(13), &[hidden, shaped, larger, last.expect("fits")], seed);
        all(n(9), &[linear(Activation::Tanh, n(4), n(3), n(5))], seed);
    }
}

/// Outputs in whole and broken groups of four and of sixteen, in one row and in many.
#[test]
fn every_class_matches_the_reference() {
    for seed in 0..40 {
        let n = |m: u64| (seed * 7 % m) as usize + 1;
        let shaped = linear(ACTIVATIONS[n(5) - 1], n(3), n(5), n(19));
        let hidden = windowed(shaped.2, false, [1, 1, 0, 0], Activation::Tanh, 3).expect("fits");
        let dense = linear(Activation::Sigmoid, n(4), n(3), n(37));
        for numbers in ALL {
            check_classes(n(13), n(4), &[shaped, hidden], numbers, seed);
            check_classes(n(9), n(11), &[dense], numbers, seed);
        }
    }
    let (latent, plans) = common::benchmark(32);
    check_classes(latent, 10, &plans, Numbers::Int8, 3);
}

#[test]
fn the_first_layer_may_be_a_window() {
    let latent = Shape::new(1, 1, 10);
    let first = windowed(latent, true, [4, 1, 0, 0], Activation::Relu, 6).expect("fits");
    let second = windowed(first.2, true, [4, 2, 1, 0], Activation::Tanh, 2).expect("fits");
    all(10, &[first, second], 1);
    let repeated = upsample(latent, 3);
    let last = windowed(repeated.2, false, [3, 1, 1, 0], Activation::Tanh, 2).expect("fits");
    all(10, &[repeated, last], 2);
}

#[test]
fn the_benchmark_models_match_the_reference_and_use_their_range() {
    for channels in [32, 64] {
        let (latent, plans) = common::benchmark(channels);
        assert!(check(latent, &plans, Numbers::Int8, 3) > 100);
        all(latent, &plans, 3);
    }
}

#[test]
fn a_seed_is_its_latent_and_rows_come_in_order() {
    let (latent, plans) = common::benchmark(32);
    let blob = common::blob(latent, &plans, Numbers::Int8, &mut Rng::new(9)).expect("valid");
    let model = Model::parse(&blob).expect("written blobs parse");
    let mut buffer = vec![0; model.buffer_len()];
    let mut generator = Generator::new(&model, buffer.as_mut_slice()).expect("large enough");
    let (mut by_seed, mut by_latent) = (vec![0; 784], vec![0; 784]);
    generator.sample(77, &mut by_seed).expect("lengths fit");
    generator
        .sample_into(&common::latents(&model, 77), &mut by_latent)
        .expect("lengths fit");
    assert_eq!(by_seed, by_latent);
    let mut rows = Vec::new();
    generator
        .sample_rows(77, &mut |y: usize, pixels: &[u8]| {
            assert_eq!((y, pixels.len()), (rows.len() / 28, 28));
            rows.extend_from_slice(pixels);
        })
        .expect("no classes");
    assert_eq!(rows, by_seed);
    generator.sample(78, &mut by_latent).expect("lengths fit");
    assert_ne!(rows, by_latent);
}

/// Small layers with random windows, activations and shapes between two others: as many as `RANDOM_LAYERS` says.
#[test]
fn random_layers_match_the_reference() {
    let cases = std::env::var("RANDOM_LAYERS");
    let cases: u64 = cases.map_or(2000, |cases| cases.parse().expect("a number"));
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let seeds = (thread..cases).step_by(threads as usize);
                seeds.for_each(|case| random_layer(1 << 32 | case));
            });
        }
    });
}

/// Checks the first layer that a seed gives and that is not too large for so many of them.
fn random_layer(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut from = |low: u32, high: u32| (low + rng.below(high - low + 1)) as usize;
    loop {
        let (kernel, stride) = (from(1, 7), from(1, 3));
        let transposed = from(0, 1) == 1;
        let output_padding = if transposed { from(0, 2) % stride } else { 0 };
        let window = [kernel, stride, from(0, 6) % kernel, output_padding];
        let input = Shape::new(from(1, 4), from(1, 10), from(1, 9));
        let [before, behind] = [from(0, 4), from(0, 4)].map(|which| ACTIVATIONS[which]);
        let layer = windowed(input, transposed, window, behind, from(1, 9));
        if let Some(layer) = layer.filter(|layer| layer.2.len() <= 1000) {
            let numbers = match seed % 8 {
                0 => Numbers::Int4,
                1 => Numbers::Float,
                _ => Numbers::Int8,
            };
            let plans = common::surrounded(input, before, layer);
            check(from(1, 9), &plans, numbers, seed);
            return;
        }
    }
}

/// How many random models there are: as many as `PROPTEST_CASES` says.
fn cases() -> u32 {
    let cases = std::env::var("PROPTEST_CASES");
    cases.map_or(64, |cases| cases.parse().expect("a number"))
}

prop_compose! {
    fn window_plan()(
        transposed: bool,
        kernel in 1usize..=7,
        stride in 1usize..=4,
        padding in 0usize..7,
        output_padding in 0usize..4,
        activation in 0usize..5,
        channels in 1usize..=12,
    ) -> (bool, [usize; 4], Activation, usize) {
        let output_padding = if transposed { output_padding % stride } else { 0 };
        let window = [kernel, stride, padding % kernel, output_padding];
        (transposed, window, ACTIVATIONS[activation], channels)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn random_stacks_match_the_reference(
        latent in 1usize..20,
        (height, width, channels) in (1usize..6, 1usize..9, 1usize..12),
        stack in prop::collection::vec(window_plan(), 1..4),
        repeat in 1usize..4,
        seed: u64,
    ) {
        let mut plans = vec![linear(Activation::Relu, height, width, channels)];
        for (transposed, window, activation, channels) in stack {
            let input = plans[plans.len() - 1].2;
            if let Some(plan) = windowed(input, transposed, window, activation, channels)
                && plan.2.len() < 20_000
            {
                plans.push(plan);
            }
        }
        plans.push(upsample(plans[plans.len() - 1].2, repeat));
        let input = plans[plans.len() - 1].2;
        plans.extend(windowed(input, false, [1, 1, 0, 0], Activation::Sigmoid, 2));
        prop_assert!(matches!(plans[plans.len() - 1].0, Operator::Conv2d(_)));
        all(latent, &plans, seed);
    }
}
