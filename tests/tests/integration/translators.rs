//! Networks that read pictures: the trainer's forward pass against ONNX Runtime and tract, on pictures of several
//! sizes.

use crate::parity;
use clap::ValueEnum;
use pocketgan::Model as Blob;
use pocketgan_tests::{networks, unfolded};
use pocketgan_trainer::engines::{self, Arithmetic, EngineKind, OrtGraph, Translator};
use pocketgan_trainer::export::fold::fold;
use pocketgan_trainer::export::quantize::{Calibration, Weights};
use pocketgan_trainer::export::{self, Bundle, FLOAT_ONNX, blob};
use pocketgan_trainer::gan::{
    Conditioning, GeneratorKind, Normalization, Recipe, Size, Translator as Layers,
};
use pocketgan_trainer::nn::Model;
use pocketgan_trainer::ops::Cpu;
use pocketgan_trainer::parameters::Parameters;
use pocketgan_trainer::spec::{Network, Shape, Sides};
use pocketgan_trainer::verify::{Referee, verify_pictures};

const COUNT: usize = 3;

/// Pixels that follow from their place.
fn pixels(shape: Shape) -> Vec<u8> {
    (0..COUNT * shape.len())
        .map(|i| ((i * i / 7 + i * 31) % 256) as u8)
        .collect()
}

fn values(pixels: &[u8]) -> Vec<f32> {
    pixels
        .iter()
        .map(|&p| (f32::from(p) - 128.0) / 128.0)
        .collect()
}

fn assert_close(what: &str, a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= 1e-5, "{what}: {a} against {b}");
    }
}

/// The trainer's images of pictures of a shape.
fn evaluated(network: &Network, parameters: &Parameters, picture: Shape, x: &[f32]) -> Vec<f32> {
    let network = Network {
        input: picture,
        ..network.clone()
    };
    let model = Model::new(Cpu::default(), &network, parameters).unwrap();
    model.evaluate(x, &[]).unwrap()
}

/// Every engine, on pictures of the size in training and, where the network takes them, on others.
fn agree(what: &str, network: &Network, seed: u64) {
    let parameters = networks::random_parameters(network, seed);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FLOAT_ONNX);
    let bytes = export::translator(network, &parameters).unwrap();
    std::fs::write(&path, bytes).unwrap();

    let input = network.input;
    let x = values(&pixels(input));
    let ours = evaluated(network, &parameters, input, &x);
    let whole = unfolded::onnx(network, &parameters);
    let mut whole = OrtGraph::new(&whole, Arithmetic::AsWritten).unwrap();
    assert_close(what, &whole.run(&x, &[input.len()]).unwrap(), &ours);

    let found = verify_pictures(&path, Some((network, &parameters)), 1, 4).unwrap();
    assert_eq!(found.comparisons.len(), 3, "{what}");
    assert!(found.failures().is_empty(), "{what}: {found:?}");
    assert!(found.comparisons[0].mean > 0.0, "{what}");

    let mut wrong = parameters.clone();
    let last = wrong.tensors.values_mut().next_back().unwrap();
    last.data[0] += 0.01;
    let found = verify_pictures(&path, Some((network, &wrong)), 1, 4).unwrap();
    assert_eq!(found.failures().len(), 2, "{what}: {found:?}");

    let mut others = vec![input];
    if let Some(Sides { multiple, least }) = network.sides() {
        others.push(Shape::new(input.channels, least, least + multiple));
        others.push(Shape::new(
            input.channels,
            3 * multiple.max(4),
            5 * multiple.max(4),
        ));
        let uneven = Shape::new(input.channels, 8, 8 * multiple + 1);
        let refused = Translator::open(EngineKind::Tract, &path)
            .unwrap()
            .output(uneven);
        assert_eq!(refused.is_err(), multiple > 1, "{what}");
    } else {
        let twice = Shape::new(input.channels, 2 * input.height, 2 * input.width);
        let refused = Translator::open(EngineKind::Tract, &path)
            .unwrap()
            .output(twice);
        assert!(refused.unwrap_err().to_string().contains("only"), "{what}");
    }
    for picture in others {
        let pixels = pixels(picture);
        let expected = evaluated(network, &parameters, picture, &values(&pixels));
        for engine in [EngineKind::Tract, EngineKind::Ort] {
            let mut translator = Translator::open(engine, &path).unwrap();
            let images = translator.images(&pixels, picture).unwrap();
            assert_eq!(images.shape.len() * COUNT, expected.len(), "{what}");
            assert_close(
                &format!("{what}, {engine:?}, {picture}"),
                &images.data,
                &expected,
            );
        }
    }
}

#[test]
fn engines_agree_on_networks_that_read_pictures() {
    let grey = |side| Shape::new(1, side, side);
    let pairs = [
        (Shape::new(3, 16, 16), Shape::new(3, 16, 16)),
        (grey(8), grey(16)),
        (grey(16), Shape::new(3, 16, 16)),
    ];
    let mut seed = 0;
    for kind in [GeneratorKind::Residual, GeneratorKind::UNet] {
        for &norm in Normalization::value_variants() {
            for (picture, image) in pairs {
                let layers = Layers {
                    kind,
                    size: Size::Nano,
                    norm,
                    latent_size: None,
                };
                let network = layers.network(picture, image).unwrap();
                agree(&format!("{kind:?}, {norm:?}, {picture}"), &network, seed);
                seed += 1;
            }
        }
    }
    for recipe in [Recipe::Encdec, Recipe::Autoencoder] {
        let parts = recipe.parts(Size::Nano, Shape::new(3, 16, 16));
        agree(
            &format!("{recipe:?}"),
            &parts.networks.generator.network,
            seed,
        );
    }
}

/// f32, int8 and int4 in the runtime, against ONNX, as `trainer verify` has it.
#[test]
fn a_device_makes_the_images_of_translators() {
    let grey = |side| Shape::new(1, side, side);
    let mut networks = Vec::new();
    for kind in [GeneratorKind::Residual, GeneratorKind::UNet] {
        for norm in [Normalization::Batch, Normalization::None] {
            for (picture, image) in [
                (Shape::new(3, 16, 16), Shape::new(3, 16, 16)),
                (grey(8), grey(16)),
            ] {
                let layers = Layers {
                    kind,
                    size: Size::Nano,
                    norm,
                    latent_size: None,
                };
                let network = layers.network(picture, image).unwrap();
                networks.push((format!("{kind:?}, {norm:?}, {picture}"), network));
            }
        }
    }
    for recipe in [Recipe::Encdec, Recipe::Autoencoder] {
        let parts = recipe.parts(Size::Nano, Shape::new(1, 16, 16));
        networks.push((format!("{recipe:?}"), parts.networks.generator.network));
    }
    for (seed, (what, network)) in networks.into_iter().enumerate() {
        let parameters = networks::random_parameters(&network, seed as u64);
        let weights = [Weights::Int8, Weights::Int4][seed % 2];
        let calibration = Calibration::Pictures(pixels(network.input));
        let bundle = Bundle::new(&network, &parameters, weights, calibration);
        let bundle = bundle.unwrap_or_else(|error| panic!("{what}: {error}"));
        let float = Blob::parse(&bundle.float_blob).unwrap();
        assert_eq!(
            blob::folded(&float).unwrap(),
            fold(&network, &parameters).unwrap()
        );
        parity::check(&what, &parity::read(bundle), Referee::OnnxRuntime);
    }
}

#[test]
fn an_encoder_is_exported_by_itself() {
    for told in [0, 3] {
        let mut parts = Recipe::Vae.parts(Size::Nano, Shape::new(1, 16, 16));
        if told > 0 {
            parts.tell(told, Conditioning::Concat).unwrap();
        }
        let encoder = &parts.networks.others[0].network;
        let parameters = networks::random_parameters(encoder, 3);
        let bytes = export::encoder(encoder, &parameters).unwrap();
        let mut graph = OrtGraph::new(&bytes, Arithmetic::Optimized).unwrap();
        let x = values(&pixels(encoder.input));
        let classes = engines::classes_in_turn(told, COUNT);
        let latents = graph.run_classes(&x, &[1, 16, 16], &classes).unwrap();
        assert_eq!(latents.len(), COUNT * 32);
        let model = Model::new(Cpu::default(), encoder, &parameters).unwrap();
        let ours = model.evaluate(&x, &classes).unwrap();
        for (a, b) in latents.iter().zip(&ours) {
            assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{a} against {b}");
        }
    }
}

#[test]
fn what_tells_a_reader_of_pictures_the_class_is_for_no_device() {
    let mut parts = Recipe::Vae.parts(Size::Nano, Shape::new(1, 16, 16));
    parts.tell(3, Conditioning::Concat).unwrap();
    let encoder = &parts.networks.others[0].network;
    let parameters = networks::random_parameters(encoder, 3);
    let error = fold(encoder, &parameters).unwrap_err().to_string();
    assert!(error.contains("which no device does"), "{error}");
}
