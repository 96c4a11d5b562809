//! What the parser takes and refuses, and what the writer refuses.

mod common;

use common::{linear, upsample, windowed};
use pocketgan::blob::writer::{
    Classes, Columns, LayerSpec, Parameters, WriteError, write, write_conditional, write_int4,
};
use pocketgan::internals::reference::run_int8;
use pocketgan::{Activation, Error, Generator, Model, Numbers, Operator, Rng, Shape, Translator};
use proptest::prelude::*;

fn plans() -> Vec<common::Plan> {
    let first = linear(Activation::LeakyRelu { slope: 0.1 }, 2, 3, 5);
    let second = windowed(first.2, true, [4, 2, 1, 0], Activation::Relu, 3).expect("fits");
    let third = upsample(second.2, 2);
    let fourth = windowed(third.2, false, [3, 1, 1, 0], Activation::Tanh, 2).expect("fits");
    vec![first, second, third, fourth]
}

fn blob(numbers: Numbers) -> Vec<u8> {
    common::blob(6, &plans(), numbers, &mut Rng::new(1)).expect("a valid model")
}

const CLASSES: usize = 3;

fn conditional(numbers: Numbers) -> Vec<u8> {
    common::conditional_blob(6, CLASSES, &plans(), numbers, &mut Rng::new(1))
        .expect("a valid model")
}

fn every_kind() -> [Vec<u8>; 4] {
    let [int8, float] = [Numbers::Int8, Numbers::Float];
    [
        blob(int8),
        blob(float),
        conditional(int8),
        conditional(float),
    ]
}

/// The blob with the change, its checksum made right again.
fn changed(mut blob: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    blob[at..at + bytes.len()].copy_from_slice(bytes);
    sealed(blob)
}

/// The blob with the right checksum: bitwise, by the polynomial, independent of the crate's table.
fn sealed(mut blob: Vec<u8>) -> Vec<u8> {
    let end = blob.len() - 4;
    let crc = !blob[..end].iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    });
    blob[end..].copy_from_slice(&crc.to_le_bytes());
    blob
}

const RECORD: usize = 64;

/// Where layer `index`'s parameters start.
fn parameters(blob: &[u8], index: usize) -> usize {
    let at = RECORD * (index + 1) + 28;
    u32::from_le_bytes(blob[at..at + 4].try_into().expect("four bytes")) as usize
}

#[test]
fn a_model_is_read_back_as_it_was_written() {
    for numbers in [Numbers::Int8, Numbers::Int4, Numbers::Float] {
        let blob = blob(numbers);
        let model = Model::parse(&blob).expect("written blobs parse");
        assert_eq!(model.latent_size(), 6);
        assert_eq!(model.output(), Shape::new(8, 12, 2));
        assert_eq!(model.image_len(), 192);
        assert_eq!(model.numbers(), numbers);
        // 6 x 30, 6 x 16 x 5 x 3, 96 x 9 x 3 x 2
        assert_eq!(model.macs(), 180 + 1_440 + 5_184);
        let read: Vec<_> = model
            .layers()
            .map(|l| (l.operator, l.activation, l.output))
            .collect();
        assert_eq!(read, plans());
        let weights: Vec<_> = model.layers().map(|l| l.weight_bytes()).collect();
        match numbers {
            // Channels in groups of four: 8 in, 6 x 8 out; 16 x 8 x 3; 9 x 4 x 2.
            Numbers::Int8 => assert_eq!(weights, [384, 384, 0, 72]),
            Numbers::Int4 => assert_eq!(weights, [192, 192, 0, 36]),
            Numbers::Float => assert_eq!(weights, [720, 960, 0, 216]),
        }
    }
}

#[test]
fn weights_lie_where_the_format_says() {
    // A 1x1 picture of 5 channels, and a 4x4 stride-2 transposed convolution of it: output pixel
    // (y, x) is the tap (y + 1, x + 1), whose phase is (y, x), tap 1 of 2 each way if y or x is 0.
    let first = linear(Activation::Relu, 1, 1, 5);
    let second = windowed(first.2, true, [4, 2, 1, 0], Activation::Tanh, 3).expect("fits");
    let mut rng = Rng::new(1);
    let mut layers = common::layers(2, &[first, second], Numbers::Int8, &mut rng);
    // PyTorch's order is [in][out][ky][kx]: in 4, out 2, ky 1, kx 2 is the 5 * 48 - 10th.
    let Parameters::Int8 { weights, .. } = &mut layers[1].parameters else {
        panic!("int8")
    };
    weights.fill(0);
    weights[((4 * 3 + 2) * 4 + 1) * 4 + 2] = 77;
    let blob = write(2, &layers).expect("a valid model");
    let model = Model::parse(&blob).expect("written blobs parse");
    let layer = model.layer(1);
    // ky 1: phase 0, remainder 1, taps 3 and 1, so tap 1. kx 2: phase 1, remainder 0, taps 2 and 0,
    // so tap 0. Phase (0, 1) is the second of four, each of 3 channels x 2 taps x 2 groups x 2 taps
    // x 4; then channel 2, tap 1, group 1, tap 0, place 0.
    let expected = 96 + ((2 * 2 + 1) * 2 + 1) * 2 * 4;
    assert_eq!(layer.weight_index(2, 1, 2, 4), expected);
    let start = parameters(&blob, 1) + 3 * 4 * 2;
    let nonzero: Vec<_> = (0..layer.weight_bytes())
        .filter(|&at| blob[start + at] != 0)
        .collect();
    assert_eq!(nonzero, [expected]);
    assert_eq!(layer.weight_i8(expected), 77);
}

/// Without classes a blob says that version 1 can read it; with classes, that version 1 cannot.
#[test]
fn a_model_with_classes_is_read_back_as_it_was_written() {
    for numbers in [Numbers::Int8, Numbers::Float] {
        let (plain, blob) = (blob(numbers), conditional(numbers));
        assert_eq!(plain[8..12], [1, 0, 1, 0]);
        assert_eq!(blob[8..12], [2, 0, 2, 0]);
        let plain = Model::parse(&plain).expect("written blobs parse");
        let model = Model::parse(&blob).expect("written blobs parse");
        assert_eq!((plain.classes(), model.classes()), (0, CLASSES));
        assert_eq!(model.macs(), plain.macs());
        assert_eq!(model.buffer_len(), plain.buffer_len());
        let bytes = if numbers == Numbers::Int8 { 1 } else { 4 };
        let class_bytes: Vec<_> = model.layers().map(|l| l.class_bytes()).collect();
        assert_eq!(class_bytes, [30 * CLASSES * bytes, 0, 0, 0]);
        let (layer, plain) = (model.layer(0), plain.layer(0));
        assert_eq!(layer.weight_bytes(), plain.weight_bytes());
        assert_eq!(
            layer.parameter_bytes(),
            plain.parameter_bytes() + class_bytes[0]
        );
    }
}

/// The columns are the last of the first layer's parameters, class after class, and their outputs are
/// ordered row, column, channel.
#[test]
fn columns_lie_where_the_format_says() {
    let plans = plans();
    let mut rng = Rng::new(1);
    let layers = common::layers(6, &plans, Numbers::Int8, &mut rng);
    // PyTorch's order is [class][channel][row][column] of 5 x 2 x 3.
    let mut columns = vec![0; 2 * 30];
    columns[30 + (4 * 2 + 1) * 3 + 2] = -77;
    let columns = Columns::Int8 { columns, step: 300 };
    let classes = Classes { count: 2, columns };
    let blob = write_conditional(6, &classes, &layers).expect("a valid model");
    assert_eq!(blob[20..22], [2, 0]);
    assert_eq!(blob[RECORD + 36..RECORD + 38], 300u16.to_le_bytes());
    let length = RECORD + 32;
    let length = u32::from_le_bytes(blob[length..length + 4].try_into().expect("four bytes"));
    let end = parameters(&blob, 0) + length as usize;
    let nonzero: Vec<_> = (0..60).filter(|i| blob[end - 60 + i] != 0).collect();
    // The last of the second class: row 1, column 2, channel 4.
    assert_eq!(nonzero, [59]);
    let model = Model::parse(&blob).expect("written blobs parse");
    for (class, added) in [(0, 0), (1, -77 * 300)] {
        let layer = model.of_class(class).expect("two classes").layer(0);
        assert_eq!(layer.start_i32(29), layer.bias_i32(29) + added);
        assert_eq!(layer.start_i32(28), layer.bias_i32(28));
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    for blob in every_kind() {
        for at in 0..blob.len() {
            let mut damaged = blob.clone();
            for bit in 0..8 {
                damaged[at] ^= 1 << bit;
                assert!(Model::parse(&damaged).is_err(), "byte {at}, bit {bit}");
                damaged[at] = blob[at];
            }
            assert!(Model::parse(&blob[..at]).is_err(), "cut at {at}");
        }
        let longer = [blob.as_slice(), &[0]].concat();
        assert_eq!(Model::parse(&longer), Err(Error::WrongLength));
    }
}

#[test]
fn each_rule_has_its_error() {
    let blob = blob(Numbers::Int8);
    let weights = parameters(&blob, 1);
    let cases: &[(usize, &[u8], Error)] = &[
        (0, b"\x88", Error::NotABlob),
        (10, &[7, 0], Error::TooNew),
        (8, &[2, 0], Error::BadHeader),
        (8, &[0, 0], Error::BadHeader),
        (16, &[0, 0], Error::BadHeader),
        (16, &[33, 0], Error::BadHeader),
        (18, &[0, 0], Error::BadHeader),
        (18, &[7, 0], Error::Disconnected),
        // Version 1 has no classes.
        (20, &[10, 0], Error::BadHeader),
        (22, &[9, 0], Error::Disconnected),
        // Versions 1 and 2 have no int4.
        (28, &[3], Error::BadHeader),
        (28, &[0], Error::BadHeader),
        (29, &[2], Error::WrongRange),
        (29, &[3], Error::BadHeader),
        (30, &[1], Error::Reserved),
        (32, &[1], Error::WrongWork),
        (63, &[1], Error::Reserved),
        (RECORD, &[9], Error::UnknownOperator),
        (RECORD + 1, &[9], Error::BadActivation),
        (3 * RECORD + 1, &[1], Error::BadActivation),
        (2 * RECORD + 2, &[17], Error::BadGeometry),
        (2 * RECORD + 3, &[0], Error::BadGeometry),
        (2 * RECORD + 4, &[4], Error::BadGeometry),
        (2 * RECORD + 5, &[2], Error::BadGeometry),
        (RECORD + 6, &[16], Error::BadGeometry),
        (RECORD + 6, &[15], Error::Overflow),
        (RECORD + 7, &[1], Error::Reserved),
        (RECORD + 36, &[1], Error::Reserved),
        (2 * RECORD + 63, &[1], Error::Reserved),
        (RECORD + 8, &[2, 0], Error::LinearOverImage),
        (RECORD + 50, &[1], Error::Reserved),
        (30, &[1], Error::Reserved),
        (40, &[1], Error::Reserved),
        (2 * RECORD + 14, &[5, 0], Error::BadShape),
        (3 * RECORD + 14, &[0, 0], Error::BadShape),
        (RECORD + 20, &[0, 0, 0xc0, 0x7f], Error::BadNumber),
        (RECORD + 24, &[0, 0, 0, 0], Error::BadNumber),
        (3 * RECORD + 24, &[0, 0, 0, 0x3f], Error::BadNumber),
        (4 * RECORD + 24, &[0, 0, 0, 0x3f], Error::BadNumber),
        (
            2 * RECORD + 28,
            &[0xff, 0xff, 0xff, 0xff],
            Error::BadParameters,
        ),
        (
            2 * RECORD + 32,
            &[0xff, 0xff, 0xff, 0xff],
            Error::BadParameters,
        ),
        (weights, &[0xff, 0xff, 0xff, 0x7f], Error::Overflow),
        (weights, &[0, 0, 0, 0x80], Error::Overflow),
        (weights + 12, &[0, 0, 0, 0], Error::BadMultiplier),
        (weights + 12, &[0, 0, 0, 0x80], Error::BadMultiplier),
    ];
    for (at, bytes, error) in cases {
        let refused = Model::parse(&changed(blob.clone(), *at, bytes)).err();
        assert_eq!(refused, Some(*error), "{bytes:?} at {at}");
    }
    // Behind the last parameters of layer 1: 3 x 8 bytes of vectors, 384 weights.
    let gap = weights + 3 * 8 + 384;
    assert_eq!(gap % 16, 8);
    let filled = Model::parse(&changed(blob.clone(), gap, &[1])).err();
    assert_eq!(filled, Some(Error::Reserved));
    let conditional = self::conditional(Numbers::Int8);
    let cases: &[(usize, &[u8], Error)] = &[
        (10, &[1, 0], Error::BadHeader),
        (20, &[0, 0], Error::Reserved),
        (20, &[1, 16], Error::BadHeader),
        (20, &[2, 0], Error::BadParameters),
        (20, &[4, 0], Error::BadParameters),
        (20, &[0, 16], Error::BadParameters),
        (RECORD, &[4, 0, 0, 1], Error::BadClasses),
        (RECORD + 36, &[0, 0], Error::BadClasses),
        (RECORD + 38, &[1], Error::Reserved),
        (2 * RECORD + 36, &[1], Error::Reserved),
    ];
    for (at, bytes, error) in cases {
        let refused = Model::parse(&changed(conditional.clone(), *at, bytes)).err();
        assert_eq!(refused, Some(*error), "{bytes:?} at {at}");
    }
    let floats = self::conditional(Numbers::Float);
    let stepped = changed(floats.clone(), RECORD + 36, &[1]);
    assert_eq!(Model::parse(&stepped), Err(Error::BadClasses));
    // The last column's last number, in front of the next layer's parameters.
    let at = parameters(&floats, 1) / 4 * 4 - 16;
    let at = (at..at + 16)
        .rev()
        .find(|&at| floats[at] != 0)
        .expect("a number")
        / 4
        * 4;
    let infinite = changed(floats, at, &f32::INFINITY.to_le_bytes());
    assert_eq!(Model::parse(&infinite), Err(Error::BadNumber));
    let floats = self::blob(Numbers::Float);
    let at = parameters(&floats, 1) + 40;
    let infinite = changed(floats, at, &f32::INFINITY.to_le_bytes());
    assert_eq!(Model::parse(&infinite), Err(Error::BadNumber));
}

/// Sections 3 and 3.3.
#[test]
fn int4_parameters_lie_where_the_format_says() {
    // 3 outputs of 4 inputs: one group of four outputs, 16 weights; 3 multipliers of 2 bytes and 2 bytes of 0.
    // Then a 1x1 convolution of one channel: one group of 4 weights, and 4 places of 0.
    let first = linear(Activation::Relu, 1, 3, 1);
    let last = windowed(first.2, false, [1, 1, 0, 0], Activation::Tanh, 1).expect("fits");
    let mut layers = common::layers(4, &[first, last], Numbers::Int4, &mut Rng::new(1));
    let Parameters::Int8 { weights, .. } = &mut layers[0].parameters else {
        panic!("int8")
    };
    weights.fill(0);
    // Output 1: inputs 0 to 3.
    weights[4..8].copy_from_slice(&[16, -16, 112, -112]);
    let written = write_int4(4, None, &layers).expect("a valid model");
    let model = Model::parse(&written).expect("written blobs parse");
    let layer = model.layer(0);
    // A group of four outputs for each pixel, of which one is there: 3 x 16 weights, the second pixel's first
    // output's at 16.
    assert_eq!(
        (layer.weight_bytes(), layer.parameter_bytes()),
        (24, 24 + 12 + 8)
    );
    let read: Vec<_> = (0..4)
        .map(|ic| layer.weight_i8(layer.weight_index(1, 0, 0, ic)))
        .collect();
    assert_eq!(read, [16, -16, 112, -112]);
    let start = parameters(&written, 0);
    let packed = &written[start + 12 + 8..][..24];
    assert_eq!(packed[8..12], [1, 15, 7, 9]);
    assert_eq!(packed.iter().filter(|&&byte| byte != 0).count(), 4);
    let halves = &written[start + 12..][..8];
    for output in 0..3 {
        let half = u16::from_le_bytes([halves[output * 2], halves[output * 2 + 1]]);
        let shift = written[RECORD + 7];
        assert_eq!(layer.multipliers(output), [i32::from(half) << shift; 2]);
    }
    let last = parameters(&written, 1);
    let cases: &[(usize, u8, Error)] = &[
        (start + 12 + 6, 1, Error::BadMultiplier),
        (last + 4, 0, Error::BadMultiplier),
        (last + 4 + 2, 1, Error::BadMultiplier),
        (last + 4 + 4, 0xf0, Error::Reserved),
        (RECORD + 7, 16, Error::BadGeometry),
        (10, 2, Error::BadHeader),
    ];
    for &(at, byte, error) in cases {
        let bytes = if error == Error::BadMultiplier {
            vec![byte, 0]
        } else {
            vec![byte]
        };
        let refused = Model::parse(&changed(written.clone(), at, &bytes)).err();
        assert_eq!(refused, Some(error), "{byte} at {at}");
    }
}

#[test]
fn what_int4_cannot_say_is_not_written() {
    let good = common::layers(6, &plans(), Numbers::Int4, &mut Rng::new(1));
    assert!(write_int4(6, None, &good).is_ok());
    let mut layers = good.clone();
    if let Parameters::Int8 { weights, .. } = &mut layers[1].parameters {
        weights[7] = 17;
    }
    let refused = write_int4(6, None, &layers);
    assert_eq!(refused, Err(WriteError::Weight { layer: 1 }));
    assert!(write(6, &layers).is_ok());
    let mut layers = good;
    if let Parameters::Int8 { multipliers, .. } = &mut layers[0].parameters {
        // One that is 2^17 times another's has no place beside it.
        multipliers[0] = multipliers[1] * f64::from(1 << 18);
    }
    let refused = write_int4(6, None, &layers);
    assert_eq!(
        refused,
        Err(WriteError::Multiplier {
            layer: 0,
            output: 1
        })
    );
    let floats = common::layers(6, &plans(), Numbers::Float, &mut Rng::new(1));
    assert_eq!(write_int4(6, None, &floats), Err(WriteError::Mixed));
}

/// The class's part of an accumulator's bound: step * 128 (4.2).
#[test]
fn a_column_that_could_overflow_is_refused() {
    let plan = [linear(Activation::Tanh, 1, 1, 1)];
    let mut layers = common::layers(4, &plan, Numbers::Int8, &mut Rng::new(1));
    let columns = Columns::Int8 {
        columns: vec![0],
        step: u16::MAX,
    };
    let classes = Classes { count: 1, columns };
    let most = i32::MAX - 4 * 255 * 128 - 65_535 * 128;
    let mut written = |bias: i32| {
        let (_, biases, multipliers) = int8(&mut layers[0]);
        *biases = vec![bias];
        *multipliers = vec![1e-5];
        write_conditional(4, &classes, &layers).map(drop)
    };
    let overflow = Err(WriteError::Layer {
        layer: 0,
        error: Error::Overflow,
    });
    assert_eq!([most, -most].map(&mut written), [Ok(()), Ok(())]);
    assert_eq!(
        [most + 1, -most - 1].map(&mut written),
        [overflow, overflow]
    );
}

#[test]
fn a_later_version_that_this_reader_can_read_is_read() {
    let newer = changed(blob(Numbers::Int8), 8, &[9, 0]);
    assert!(Model::parse(&newer).is_ok());
}

/// An int8 layer's weights, biases and multipliers.
fn int8(layer: &mut LayerSpec) -> (&mut Vec<i8>, &mut Vec<i32>, &mut Vec<f64>) {
    match &mut layer.parameters {
        Parameters::Int8 {
            weights,
            bias,
            multipliers,
            ..
        } => (weights, bias, multipliers),
        other => panic!("{other:?} is not int8"),
    }
}

#[test]
fn the_writer_refuses_what_does_not_fit() {
    let good = || common::layers(6, &plans(), Numbers::Int8, &mut Rng::new(1));
    let refused = |change: &dyn Fn(&mut Vec<LayerSpec>)| {
        let mut layers = good();
        change(&mut layers);
        write(6, &layers).expect_err("must be refused")
    };
    let length = |layer, what, found, expected| WriteError::Length {
        layer,
        what,
        found,
        expected,
    };
    assert_eq!(
        refused(&|l| int8(&mut l[1]).0.truncate(239)),
        length(1, "weights", 239, 240)
    );
    assert_eq!(
        refused(&|l| int8(&mut l[0]).1.push(0)),
        length(0, "biases", 31, 30)
    );
    assert_eq!(
        refused(&|l| int8(&mut l[3]).2.clear()),
        length(3, "multipliers", 0, 2)
    );
    assert_eq!(
        refused(&|l| int8(&mut l[1]).0[3] = -128),
        WriteError::Weight { layer: 1 }
    );
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-12, 1e9] {
        assert_eq!(
            refused(&|l| int8(&mut l[1]).2[2] = bad),
            WriteError::Multiplier {
                layer: 1,
                output: 2
            },
            "{bad}"
        );
    }
    assert_eq!(
        refused(&|l| int8(&mut l[1]).1[0] = i32::MIN),
        WriteError::Layer {
            layer: 1,
            error: Error::Overflow
        }
    );
    assert_eq!(
        refused(&|l| l[3].activation = Activation::Relu),
        WriteError::Refused(Error::WrongRange)
    );
    assert_eq!(
        refused(&|l| l[1].output.height = 5),
        WriteError::Layer {
            layer: 1,
            error: Error::BadShape
        }
    );
    assert_eq!(
        refused(&|l| l[2].operator = Operator::Upsample { factor: 300 }),
        WriteError::TooLarge { layer: 2 }
    );
    assert_eq!(refused(&Vec::clear), WriteError::Mixed);
    assert_eq!(
        refused(&|l| l[3].parameters = Parameters::Float {
            weights: vec![],
            bias: vec![]
        }),
        WriteError::Mixed
    );
}

/// The last layer's outputs are grouped by rows where that takes less room.
#[test]
fn a_linear_last_layer_leaves_no_places_empty() {
    let dense = |c, activation, numbers| {
        let plans = [
            common::linear(Activation::Relu, 1, 1, 8),
            common::linear(activation, 5, 8, c),
        ];
        common::blob(6, &plans, numbers, &mut Rng::new(1)).expect("a valid model")
    };
    let shape_at = |blob: &[u8], at: usize| [0, 2, 4].map(|i| blob[at + i]);
    let last = 64 + 64;
    let weights = |blob: &[u8]| Model::parse(blob).map(|model| model.layer(1).weight_bytes());
    let grey = dense(1, Activation::Sigmoid, Numbers::Int8);
    assert_eq!(grey[8..12], [4, 0, 4, 0]);
    assert_eq!(shape_at(&grey, 22), [5, 8, 1]);
    assert_eq!(shape_at(&grey, last + 14), [5, 1, 8]);
    assert_eq!(weights(&grey), Ok(5 * 8 * 8));
    assert_eq!(
        weights(&dense(3, Activation::Tanh, Numbers::Int8)),
        Ok(5 * 24 * 8)
    );
    assert_eq!(
        weights(&dense(1, Activation::Tanh, Numbers::Int4)),
        Ok(5 * 8 * 8 / 2)
    );
    // Of four channels, and in f32, none were empty.
    for blob in [
        dense(4, Activation::Tanh, Numbers::Int8),
        dense(1, Activation::Tanh, Numbers::Float),
    ] {
        assert_eq!(blob[8..12], [1, 0, 1, 0]);
        assert_eq!(shape_at(&blob, 22), shape_at(&blob, last + 14));
    }
    let other = changed(grey.clone(), 26, &[2]);
    assert_eq!(Model::parse(&other), Err(Error::Disconnected));
    let older = changed(grey, 8, &[3, 0, 3, 0]);
    assert_eq!(Model::parse(&older), Err(Error::Disconnected));
}

/// A model of 4x4 pixels that adds the input of its second layer to the output of its third.
fn with_addition() -> Vec<common::Plan> {
    let first = common::linear(Activation::Relu, 4, 4, 3);
    let window = |input, window, channels| {
        common::windowed(input, false, window, Activation::Tanh, channels).expect("fits")
    };
    let mut plans = vec![first];
    plans.push(window(first.2, [3, 1, 1, 0], 5));
    plans.push(window(plans[1].2, [5, 1, 2, 0], 3));
    plans.push(common::addition(&plans, 1, Activation::Tanh));
    plans
}

#[test]
fn additions_keep_to_their_rules() {
    let blob = |plans: &[common::Plan], numbers| {
        common::blob(6, plans, numbers, &mut Rng::new(1)).expect("a valid model")
    };
    let plans = with_addition();
    let int8 = blob(&plans, Numbers::Int8);
    assert_eq!(&int8[8..12], &[4, 0, 4, 0]);
    // Row 0 of the sum asks for rows 0 to 2 of the third layer's input, and they for 0 to 3 of the second's.
    let record = |index: usize| 64 + 64 * index;
    assert_eq!(int8[record(1) + 38], 4);
    let bad = [
        // Three versions before have no additions.
        (8, vec![3, 0, 3, 0], Error::Reserved),
        (record(1) + 38, vec![3], Error::BadAddition),
        (record(1) + 38, vec![5], Error::BadAddition),
        (record(2) + 38, vec![1], Error::BadAddition),
        (record(3) + 40, vec![3], Error::BadAddition),
        (record(3) + 40, vec![2], Error::BadAddition),
        (record(3) + 40, vec![0], Error::BadAddition),
        (record(2) + 40, vec![1], Error::Reserved),
        (record(3) + 46, vec![1], Error::Reserved),
        (record(1) + 52, vec![4], Error::Reserved),
        (record(3) + 2, vec![1], Error::BadGeometry),
        (record(3) + 6, vec![8], Error::Overflow),
    ];
    for (at, bytes, error) in bad {
        let changed = changed(int8.clone(), at, &bytes);
        assert_eq!(Model::parse(&changed), Err(error), "{at}");
    }
    let float = blob(&plans, Numbers::Float);
    let changed = changed(float, record(3) + 42, &[1]);
    assert_eq!(Model::parse(&changed), Err(Error::Reserved));
    let halved = blob(&halved(), Numbers::Int8);
    assert_eq!(&halved[8..12], &[5, 0, 5, 0]);
}

/// A graph of every operator.
fn graph(numbers: Numbers) -> Vec<u8> {
    let (latent, nodes) = common::tiny_graph();
    common::graph_blob(latent, &nodes, numbers, &mut Rng::new(1)).expect("a valid model")
}

#[test]
fn graphs_keep_to_their_rules() {
    let record = |index: usize| RECORD * (index + 1);
    let int8 = graph(Numbers::Int8);
    assert_eq!(int8[8..12], [5, 0, 5, 0]);
    let model = Model::parse(&int8).expect("written blobs parse");
    let sources: Vec<_> = model.layers().map(|layer| layer.source).collect();
    assert_eq!(sources, [0, 1, 2, 1, 4, 5, 6, 6, 7, 9, 10, 11]);
    // 4 x 16, 0, 16 x 4 x 6, 4 x 16 x 4 x 5, 16 x 9 x 5 x 6, 2 x 16 x 6, 16 x 16 x 6 x 5, 0, 64 x 11, 64 x 9 x 11 x 4,
    // 64 x 4 x 9, 64 x 9 x 4
    let macs = [
        64, 0, 384, 1280, 4320, 192, 7680, 0, 704, 25_344, 2304, 2304,
    ];
    assert!(model.layers().map(|layer| layer.macs()).eq(macs));
    // What is kept of each output, and the columns beside it: of the addition's, what the transposed convolution and
    // the upsample need.
    assert_eq!(int8[record(5) + 38], 2);
    assert_eq!(int8[record(5) + 48..record(5) + 50], [1, 1]);
    assert_eq!(int8[record(9) + 38], 3);
    let quanta = 0.03f32.to_le_bytes();
    let bad: &[(usize, &[u8], Error)] = &[
        // Older versions have none of this.
        (8, &[4, 0, 4, 0], Error::Reserved),
        (10, &[4, 0], Error::BadHeader),
        (8, &[4, 0], Error::BadHeader),
        (16, &[65, 0], Error::BadHeader),
        (30, &[1], Error::Reserved),
        (31, &[1], Error::UnknownDistribution),
        (40, &[1], Error::BadRows),
        (41, &[1], Error::BadRows),
        (42, &[1], Error::Reserved),
        (record(0) + 46, &[1], Error::ReadsLater),
        (record(3) + 46, &[5], Error::ReadsLater),
        (record(3) + 46, &[0], Error::Disconnected),
        (record(6) + 46, &[4], Error::Disconnected),
        (record(6) + 46, &[5], Error::BadRows),
        (record(5) + 40, &[7], Error::ReadsLater),
        (record(5) + 40, &[4], Error::Disconnected),
        // The addition's second input is its first again, and what was the second is not read.
        (record(5) + 40, &[5], Error::Unread),
        (record(5) + 38, &[3], Error::BadRows),
        (record(5) + 38, &[1], Error::BadRows),
        (record(5) + 48, &[0], Error::BadRows),
        (record(5) + 49, &[2], Error::BadRows),
        (record(11) + 38, &[2], Error::BadRows),
        (record(0) + 50, &[1], Error::Reserved),
        (record(2) + 50, &[1], Error::Reserved),
        (record(2) + 51, &[1], Error::ActivationForm),
        (record(2) + 54, &[1], Error::Reserved),
        // The addition that reads it is no place for its rows.
        (record(2) + 52, &[6], Error::BadHome),
        (record(2) + 40, &[1], Error::Reserved),
        (record(8) + 42, &[1], Error::Reserved),
        (record(8), &[8], Error::UnknownOperator),
        (record(8) + 1, &[1], Error::BadActivation),
        (record(8) + 3, &[1], Error::BadGeometry),
        (record(8) + 6, &[1], Error::BadGeometry),
        (record(8) + 18, &[5, 0], Error::BadShape),
        (record(8) + 18, &[12, 0], Error::Disconnected),
        (record(8) + 24, &quanta, Error::UnlikeQuanta),
        (record(10) + 1, &[1], Error::BadActivation),
        (record(10) + 2, &[1], Error::BadGeometry),
        (record(10) + 2, &[17], Error::BadGeometry),
        (record(10) + 4, &[1], Error::BadGeometry),
        (record(10) + 14, &[7, 0], Error::BadShape),
        (record(10) + 24, &quanta, Error::BadNumber),
        (record(9) + 24, &quanta, Error::BadNumber),
    ];
    for (at, bytes, error) in bad {
        let refused = Model::parse(&changed(int8.clone(), *at, bytes)).err();
        assert_eq!(refused, Some(*error), "{bytes:?} at {at}");
    }
    // Signed and unsigned quanta of one scale, and two scales, are not joined.
    for activation in [Activation::None, Activation::Tanh] {
        let (latent, mut nodes) = common::tiny_graph();
        nodes[6].1.1 = activation;
        let written = common::graph_blob(latent, &nodes, Numbers::Int8, &mut Rng::new(1));
        let error = WriteError::Refused(Error::UnlikeQuanta);
        assert_eq!(written, Err(error));
        let float = common::graph_blob(latent, &nodes, Numbers::Float, &mut Rng::new(1));
        assert!(float.is_ok());
    }
}

/// A graph's blob, and the same one with rows of its own for every tensor.
fn in_place_and_apart(latent: usize, nodes: &[common::Node], numbers: Numbers) -> [Vec<u8>; 2] {
    let blob = common::graph_blob(latent, nodes, numbers, &mut Rng::new(1)).expect("a valid model");
    let mut apart = blob.clone();
    for index in 0..nodes.len() {
        apart[RECORD * (index + 1) + 52..][..2].fill(0);
    }
    [blob, sealed(apart)]
}

/// The image of seed 1, and the words of working memory.
fn image_of(blob: &[u8]) -> (Vec<u8>, usize) {
    let model = Model::parse(blob).expect("a valid model");
    let mut buffer = vec![0; model.buffer_len()];
    let mut image = vec![0; model.image_len()];
    let mut generator = Generator::new(&model, buffer.as_mut_slice()).expect("large enough");
    generator.sample(1, &mut image).expect("lengths fit");
    (image, model.buffer_len())
}

/// Such an input needs one row at once, without margins: a word for each column and group of four channels.
#[test]
fn inputs_in_a_concatenations_rows_take_no_memory_and_change_no_pixel() {
    let (latent, nodes) = common::tiny_concat();
    let [blob, apart] = in_place_and_apart(latent, &nodes, Numbers::Int8);
    assert_eq!(common::homes(&blob), [0, 4, 4, 6, 6, 0, 9, 0, 0, 0]);
    let ((image, words), (expected, words_apart)) = (image_of(&blob), image_of(&apart));
    assert_eq!(image, expected);
    assert_eq!(words + 4 * (2 + 2 + 4 + 1) + 8, words_apart);
    let model = Model::parse(&blob).expect("a valid model");
    let model_apart = Model::parse(&apart).expect("a valid model");
    let bytes = [&model, &model_apart].map(|model| model.layer(3).row_buffer_bytes());
    assert_eq!(bytes, [0, 4 * 2 * 4]);

    let mut placed = 0;
    for seed in 0..200 {
        let graph = common::Graph::random(&mut Rng::new(seed));
        for numbers in [Numbers::Int8, Numbers::Int4] {
            let [blob, apart] = in_place_and_apart(graph.input.channels, &graph.nodes, numbers);
            let ((image, words), (expected, words_apart)) = (image_of(&blob), image_of(&apart));
            assert_eq!(image, expected, "{seed}");
            let homes = common::homes(&blob);
            let in_homes = graph.nodes.iter().zip(homes).filter(|&(_, home)| home > 0);
            let saved = in_homes.map(|((_, plan), _)| plan.2.width * plan.2.channels.div_ceil(4));
            let saved: Vec<usize> = saved.collect();
            assert_eq!(words + saved.iter().sum::<usize>(), words_apart, "{seed}");
            placed += saved.len();
        }
    }
    assert!(placed > 100, "{placed}");
}

#[test]
fn a_tensor_lies_only_in_the_rows_of_its_own_concatenation() {
    let record = |index: usize| RECORD * (index + 1);
    let (latent, mut nodes) = common::tiny_concat();
    let [blob, _] = in_place_and_apart(latent, &nodes, Numbers::Int8);
    let bad: &[(usize, u16)] = &[
        // The second input of the last concatenation begins at channel 3.
        (7, 9),
        // Read by four layers, none of them a concatenation.
        (0, 4),
        // A convolution reads it.
        (5, 7),
        (8, 10),
        // Not later, not its own reader, and not there.
        (1, 1),
        (1, 2),
        (1, 3),
        (1, 6),
        (3, 9),
        (1, 11),
        (1, u16::MAX),
        (9, 10),
        (9, 11),
    ];
    for &(index, home) in bad {
        let changed = changed(blob.clone(), record(index) + 52, &home.to_le_bytes());
        let refused = Model::parse(&changed).err();
        assert_eq!(refused, Some(Error::BadHome), "layer {index} in {home}");
    }
    let float = common::graph_blob(latent, &nodes, Numbers::Float, &mut Rng::new(1));
    let float = float.expect("a valid model");
    assert_eq!(common::homes(&float), [0; 10]);
    let changed_float = changed(float, record(1) + 52, &[4]);
    assert_eq!(Model::parse(&changed_float), Err(Error::BadHome));
    // With a second reader, and as both inputs at once.
    nodes[4].0 = 2;
    let [blob, _] = in_place_and_apart(latent, &nodes, Numbers::Int8);
    assert_eq!(common::homes(&blob), [0, 0, 4, 6, 6, 0, 9, 0, 0, 0]);
    let shared = changed(blob, record(1) + 52, &[4]);
    assert_eq!(Model::parse(&shared), Err(Error::BadHome));
    let first = linear(Activation::Relu, 2, 2, 4);
    let twice = (
        Operator::Concat { from: 1 },
        Activation::None,
        Shape::new(2, 2, 8),
    );
    let last = windowed(twice.2, false, [1, 1, 0, 0], Activation::Tanh, 1).expect("fits");
    let [blob, _] = in_place_and_apart(3, &[(0, first), (1, twice), (2, last)], Numbers::Int8);
    assert_eq!(common::homes(&blob), [0; 3]);
    let doubled = changed(blob, record(0) + 52, &[2]);
    assert_eq!(Model::parse(&doubled), Err(Error::BadHome));
}

/// What an older version could hold is not written as a graph, and not read as one.
#[test]
fn a_graph_is_one_because_it_must_be() {
    let chain = blob(Numbers::Float);
    let mut graph = changed(chain, 8, &[5, 0, 5, 0]);
    let needed = [(2, [0, 0]), (2, [1, 1]), (1, [0, 0]), (1, [0, 0])];
    for (index, (rows, margins)) in needed.into_iter().enumerate() {
        let record = RECORD * (index + 1);
        graph[record + 38] = rows;
        graph[record + 46] = index as u8;
        graph[record + 48..record + 50].copy_from_slice(&margins);
    }
    assert_eq!(Model::parse(&sealed(graph)), Err(Error::BadHeader));
    // 33 layers, and an addition of a tensor to itself.
    let long: Vec<_> = (0..33).map(|_| linear(Activation::Tanh, 1, 1, 3)).collect();
    let mut double = vec![linear(Activation::Relu, 1, 1, 3)];
    double.push(common::addition(&double, 1, Activation::Tanh));
    for (plans, version) in [(&long[..32], 1), (&long[..], 5), (&double[..], 5)] {
        let blob = common::blob(2, plans, Numbers::Int8, &mut Rng::new(1)).expect("valid");
        assert_eq!(blob[8..12], [version, 0, version, 0]);
    }
    let many: Vec<_> = (0..65).map(|_| linear(Activation::Tanh, 1, 1, 3)).collect();
    let refused = common::blob(2, &many, Numbers::Int8, &mut Rng::new(1));
    let error = WriteError::TooMany {
        what: "layers",
        found: 65,
        most: 64,
    };
    assert_eq!(refused, Err(error));
}

#[test]
fn what_graphs_cannot_read_is_not_written() {
    let refused = |nodes: &[common::Node]| {
        let written = common::graph_blob(3, nodes, Numbers::Int8, &mut Rng::new(1));
        written.expect_err("must be refused")
    };
    let first = linear(Activation::Relu, 1, 1, 4);
    let picture = linear(Activation::Tanh, 4, 4, 4);
    let window = windowed(first.2, true, [4, 1, 0, 0], Activation::Tanh, 4).expect("fits");
    let sum = (Operator::Add { from: 2 }, Activation::Tanh, window.2);
    // The convolution's taps lie beside the vector that the linear layer reads.
    let padded = [(0, first), (1, picture), (1, window), (3, sum)];
    assert_eq!(refused(&padded), WriteError::Refused(Error::PaddedVector));
    let copied = [
        (0, first),
        (1, picture),
        (1, upsample(first.2, 1)),
        (3, window),
        (4, sum),
    ];
    let copied = common::graph_blob(3, &copied, Numbers::Int8, &mut Rng::new(1));
    assert!(copied.is_ok());
    let last = windowed(picture.2, false, [1, 1, 0, 0], Activation::Tanh, 1).expect("fits");
    let unread = [(0, first), (1, picture), (1, picture), (3, last)];
    assert_eq!(refused(&unread), WriteError::Refused(Error::Unread));
    let over_image = [(0, picture), (1, picture)];
    let error = WriteError::Layer {
        layer: 1,
        error: Error::LinearOverImage,
    };
    assert_eq!(refused(&over_image), error);
}

/// What version 6 brings: pictures that are read, and a linear layer over an image.
#[test]
fn translators_keep_to_their_rules() {
    let record = |index: usize| RECORD * (index + 1);
    let (shape, nodes) = common::tiny_autoencoder();
    let write = |numbers| common::translator_blob(shape, &nodes, numbers, &mut Rng::new(1));
    let int8 = write(Numbers::Int8).expect("a valid model");
    assert_eq!(int8[8..12], [6, 0, 6, 0]);
    let model = Model::parse(&int8).expect("written blobs parse");
    assert_eq!(model.picture(), Some(shape));
    assert_eq!((model.picture_len(), model.latent_size()), (64, 0));
    // 4x4 windows of one channel to 4x4 pixels of six; 96 numbers to 8; 8 to 64; 16 windows of 4x4 and four channels.
    let macs = [16 * 16 * 6, 96 * 8, 8 * 64, 16 * 16 * 4];
    assert!(model.layers().map(|layer| layer.macs()).eq(macs));
    // The linear layer reads a row at a time: no more of its input is kept. Four rows are kept of the picture.
    assert_eq!(int8[48..50], [4, 0]);
    assert_eq!(int8[record(0) + 38], 1);
    let row = model.layer(1).row_buffer_bytes();
    assert_eq!(
        row,
        2 * 4 * 4,
        "a row of two groups of channels and four columns"
    );
    let inf = f32::INFINITY.to_le_bytes();
    let bad: &[(usize, &[u8], Error)] = &[
        (8, &[5, 0, 5, 0], Error::Reserved),
        (18, &[4, 0], Error::Reserved),
        (20, &[2, 0], Error::BadPictures),
        (30, &[0], Error::Reserved),
        (30, &[2], Error::Reserved),
        (31, &[1], Error::UnknownDistribution),
        (40, &[2], Error::BadRows),
        (42, &[9, 0], Error::Disconnected),
        (42, &[0, 0], Error::BadPictures),
        (48, &[3, 0], Error::BadRows),
        (48, &[5, 0], Error::BadRows),
        (50, &inf, Error::BadPictures),
        (50, &[0, 0, 0, 0], Error::BadPictures),
        (54, &[1], Error::Reserved),
        (record(0) + 50, &[1], Error::Reserved),
        (record(1) + 50, &[0], Error::LinearOverImage),
        (record(1) + 50, &[2], Error::Reserved),
        (record(2) + 50, &[1], Error::LinearOverImage),
        (record(1) + 14, &[2, 0], Error::LinearOverImage),
        (record(1) + 38, &[2], Error::BadRows),
    ];
    for &(at, bytes, error) in bad {
        let changed = changed(int8.clone(), at, bytes);
        assert_eq!(Model::parse(&changed).err(), Some(error), "{at}: {bytes:?}");
    }
    let float = write(Numbers::Float).expect("a valid model");
    let table = record(nodes.len());
    let bad: &[(usize, &[u8], Error)] = &[
        (50, &[1], Error::BadPictures),
        (table + 40, &inf, Error::BadNumber),
    ];
    for &(at, bytes, error) in bad {
        let changed = changed(float.clone(), at, bytes);
        assert_eq!(Model::parse(&changed).err(), Some(error), "{at}: {bytes:?}");
    }
    let mut buffer = vec![0; model.buffer_len()];
    let refused = Generator::new(&model, buffer.as_mut_slice());
    assert_eq!(refused.err(), Some(Error::ReadsPictures));
    let latents = graph(Numbers::Int8);
    let latents = Model::parse(&latents).expect("written blobs parse");
    let refused = Translator::new(&latents, buffer.as_mut_slice());
    assert_eq!(refused.err(), Some(Error::ReadsLatents));
}

#[test]
fn a_model_is_shown_in_few_words() {
    let blob = graph(Numbers::Float);
    let shown = format!("{:?}", Model::parse(&blob).expect("written blobs parse"));
    assert!(
        shown.starts_with(
            "Model { numbers: Float, layers: 12, input: Shape { height: 1, width: 1, channels: 4 },"
        ),
        "{shown}"
    );
    assert!(shown.len() < 300, "{shown}");
}

/// Every byte of a graph's header and records, changed in some ways, and some of its parameters, with the checksum made
/// right: whatever still parses runs.
#[test]
fn changed_graphs_are_refused_or_run() {
    let mut ran = 0;
    let (latent, nodes) = common::tiny_concat();
    let [concat, _] = in_place_and_apart(latent, &nodes, Numbers::Int8);
    let [int8, int4, float] = [Numbers::Int8, Numbers::Int4, Numbers::Float].map(graph);
    for blob in [int8, int4, float, concat] {
        let records = RECORD * (1 + usize::from(blob[16]));
        let parameters = (records..blob.len() - 4).step_by(7);
        for at in (8..records).chain(parameters) {
            let byte = blob[at];
            for value in [byte ^ 1, byte ^ 2, byte ^ 0x80, byte.wrapping_sub(1), 0] {
                let changed = changed(blob.clone(), at, &[value]);
                if let Ok(model) = Model::parse(&changed) {
                    let mut buffer = vec![0; model.buffer_len()];
                    let generator = Generator::new(&model, buffer.as_mut_slice());
                    let mut image = vec![0; model.image_len()];
                    let made = generator.expect("large enough").sample(1, &mut image);
                    made.expect("lengths fit");
                    ran += 1;
                }
            }
        }
    }
    assert!(ran > 1000, "{ran}");
}

/// As [`with_addition`], of a picture that is made small and large again: its second row is made from the first one
/// alone, and is not there when version 4 would add it.
fn halved() -> Vec<common::Plan> {
    let mut plans = with_addition();
    let half = windowed(plans[0].2, false, [1, 2, 0, 0], Activation::Relu, 3);
    plans[1] = half.expect("fits");
    let double = windowed(plans[1].2, true, [2, 2, 0, 0], Activation::Relu, 3);
    plans[2] = double.expect("fits");
    plans
}

#[test]
fn the_writer_refuses_classes_that_do_not_fit() {
    let refused = |numbers, change: &dyn Fn(&mut Classes, &mut Vec<LayerSpec>)| {
        let mut rng = Rng::new(1);
        let mut layers = common::layers(6, &plans(), numbers, &mut rng);
        let mut classes = common::classes(CLASSES, &plans()[0], numbers, &mut rng);
        change(&mut classes, &mut layers);
        write_conditional(6, &classes, &layers).expect_err("must be refused")
    };
    let columns = |columns, step| Columns::Int8 { columns, step };
    let int8 = Numbers::Int8;
    assert_eq!(
        refused(int8, &|c, _| c.count = 4),
        WriteError::Length {
            layer: 0,
            what: "numbers in class columns",
            found: 90,
            expected: 120,
        }
    );
    assert_eq!(
        refused(int8, &|c, _| c.columns = columns(vec![-128; 90], 1)),
        WriteError::Weight { layer: 0 }
    );
    assert_eq!(
        refused(int8, &|c, _| c.columns = columns(vec![1; 90], 0)),
        WriteError::Layer {
            layer: 0,
            error: Error::BadClasses
        }
    );
    let floats =
        |c: &mut Classes, _: &mut Vec<LayerSpec>| c.columns = Columns::Float(vec![0.0; 90]);
    assert_eq!(refused(int8, &floats), WriteError::Mixed);
    for numbers in [int8, Numbers::Float] {
        let none = refused(numbers, &|c, _| c.count = 0);
        assert_eq!(none, WriteError::Refused(Error::BadClasses));
    }
    let window = windowed(Shape::new(1, 1, 6), true, [4, 1, 0, 0], Activation::Tanh, 2);
    let layers = common::layers(6, &[window.expect("fits")], int8, &mut Rng::new(1));
    let columns = columns(vec![0; 2], 1);
    let first_is_a_window = write_conditional(6, &Classes { count: 1, columns }, &layers);
    assert_eq!(
        first_is_a_window,
        Err(WriteError::Layer {
            layer: 0,
            error: Error::BadClasses
        })
    );
}

#[test]
fn multipliers_above_a_half_take_a_shift() {
    let plan = [
        linear(Activation::None, 1, 1, 3),
        linear(Activation::Tanh, 1, 1, 1),
    ];
    let mut layers = common::layers(4, &plan, Numbers::Int8, &mut Rng::new(1));
    if let Parameters::Int8 { multipliers, .. } = &mut layers[0].parameters {
        *multipliers = vec![3.0, 0.25, 1.5];
    }
    let blob = write(4, &layers).expect("a valid model");
    let model = Model::parse(&blob).expect("written blobs parse");
    let layer = model.layer(0);
    assert_eq!(layer.shift, 3);
    let real = |output| {
        let [positive, _] = layer.multipliers(output);
        f64::from(positive) * f64::from(1 << layer.shift) / (1u64 << 32) as f64
    };
    assert_eq!([real(0), real(1), real(2)], [3.0, 0.25, 1.5]);
}

#[test]
fn calls_with_the_wrong_lengths_are_errors() {
    let blob = blob(Numbers::Int8);
    let model = Model::parse(&blob).expect("written blobs parse");
    let mut small = vec![0; model.buffer_len() - 1];
    assert_eq!(
        Generator::new(&model, small.as_mut_slice()).err(),
        Some(Error::BufferTooSmall)
    );
    let mut buffer = vec![0; model.buffer_len()];
    let mut generator = Generator::new(&model, buffer.as_mut_slice()).expect("large enough");
    assert_eq!(generator.sample(1, &mut [0; 191]), Err(Error::SliceLength));
    assert_eq!(
        generator.sample_into(&[0; 5], &mut [0; 192]),
        Err(Error::SliceLength)
    );
    assert_eq!(
        generator.sample_into(&[0; 6], &mut [0; 193]),
        Err(Error::SliceLength)
    );
    assert_eq!(
        generator.values_into(&[0; 7], &mut [0.0; 192]),
        Err(Error::SliceLength)
    );
    assert_eq!(
        generator.rows_into(&[], &mut |_: usize, _: &[u8]| ()),
        Err(Error::SliceLength)
    );
}

#[test]
fn calls_with_the_wrong_class_are_errors() {
    let (plain, blob) = (blob(Numbers::Int8), conditional(Numbers::Int8));
    let model = Model::parse(&plain).expect("written blobs parse");
    let mut buffer = vec![0; model.buffer_len()];
    let mut image = [0; 192];
    let mut generator = Generator::new(&model, buffer.as_mut_slice()).expect("large enough");
    assert_eq!(generator.set_class(0), Err(Error::NoSuchClass));
    assert_eq!(generator.sample(1, &mut image), Ok(()));

    let model = Model::parse(&blob).expect("written blobs parse");
    let mut generator = Generator::new(&model, buffer.as_mut_slice()).expect("large enough");
    let missing = Err(Error::ClassMissing);
    let mut rows = 0;
    let mut count = |_: usize, _: &[u8]| rows += 1;
    assert_eq!(generator.sample(1, &mut image), missing);
    assert_eq!(generator.sample_rows(1, &mut count), missing);
    assert_eq!(generator.sample_into(&[0; 6], &mut image), missing);
    assert_eq!(generator.rows_into(&[0; 6], &mut count), missing);
    assert_eq!(generator.values_into(&[0; 6], &mut [0.0; 192]), missing);
    assert_eq!(rows, 0);
    for class in [CLASSES, usize::MAX] {
        assert_eq!(generator.set_class(class), Err(Error::NoSuchClass));
        assert_eq!(model.of_class(class), Err(Error::NoSuchClass));
    }
    assert_eq!(generator.sample(1, &mut image), missing);
    let layer = model.layer(0);
    let refused = run_int8(&layer, &[0; 6], &[], &mut [0; 30]);
    assert_eq!(refused, missing);

    let mut images = Vec::new();
    for class in 0..CLASSES {
        assert_eq!(generator.set_class(class), Ok(()));
        assert_eq!(generator.model().class(), Some(class));
        // A class that there is not changes nothing.
        assert_eq!(generator.set_class(CLASSES), Err(Error::NoSuchClass));
        assert_eq!(generator.sample(1, &mut image), Ok(()));
        images.push(image);
        let mut buffer = vec![0; model.buffer_len()];
        let model = model.of_class(class).expect("a class of the model");
        let mut other = Generator::new(&model, buffer.as_mut_slice()).expect("large enough");
        assert_eq!(other.sample(1, &mut image), Ok(()));
        assert_eq!(images.last(), Some(&image));
    }
    assert!(images[0] != images[1] && images[1] != images[2] && images[0] != images[2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Any few bytes of header and records changed, with the checksum made right: whatever still
    /// parses runs.
    #[test]
    fn forged_blobs_are_refused_or_run(
        numbers in 0usize..3,
        classes: bool,
        changes in prop::collection::vec((8usize..RECORD * 5, any::<u8>()), 1..6),
        latents: [i8; 6],
    ) {
        let numbers = [Numbers::Float, Numbers::Int8, Numbers::Int4][numbers];
        let mut blob = if classes { conditional(numbers) } else { blob(numbers) };
        for (at, byte) in changes {
            blob[at] = byte;
        }
        let blob = sealed(blob);
        if let Ok(model) = Model::parse(&blob) {
            let mut buffer = vec![0; model.buffer_len()];
            let mut generator = Generator::new(&model, buffer.as_mut_slice()).expect("large enough");
            let mut image = vec![0; model.image_len()];
            let latents = latents.get(..model.latent_size()).unwrap_or(&latents);
            if model.classes() > 0 {
                generator.set_class(model.classes() - 1).expect("the last class");
            }
            generator.sample_into(latents, &mut image).expect("lengths fit");
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Model::parse(&bytes).is_err());
    }
}
