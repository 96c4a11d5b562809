//! Networks with branches: the trainer's own forward pass against ONNX Runtime and tract.

use crate::parity;
use pocketgan::{Model as Blob, Operator};
use pocketgan_tests::{graphs, networks, unfolded};
use pocketgan_trainer::engines::{
    Arithmetic, Engine, OrtEngine, OrtGraph, TractEngine, classes_in_turn, latents,
};
use pocketgan_trainer::export::fold::fold;
use pocketgan_trainer::export::onnx::{self, OnnxModel};
use pocketgan_trainer::export::quantize::{Calibration, Weights};
use pocketgan_trainer::export::{self, Bundle, blob};
use pocketgan_trainer::nn::Model;
use pocketgan_trainer::ops::Cpu;
use pocketgan_trainer::parameters::Parameters;
use pocketgan_trainer::spec::{Layer, Network, Shape};
use pocketgan_trainer::verify::{ExportedModel, Referee, verify_by};

const COUNT: usize = 8;

fn assert_close(what: &str, a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len(), "{what}");
    let largest = b.iter().fold(1.0f32, |largest, b| largest.max(b.abs()));
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= 2e-5 * largest, "{what}: {a} against {b}");
    }
}

/// What the trainer's forward pass gives, checked against ONNX Runtime on the network layer for layer.
fn evaluated(
    what: &str,
    network: &Network,
    parameters: &Parameters,
    x: &[f32],
    classes: &[u32],
) -> Vec<f32> {
    let model = Model::new(Cpu::default(), network, parameters).unwrap();
    assert_eq!(&model.parameters().unwrap(), parameters, "{what}");
    let ours = model.evaluate(x, classes).unwrap();
    let whole = unfolded::onnx(network, parameters);
    let mut whole = OrtGraph::new(&whole, Arithmetic::AsWritten).unwrap();
    let expected = whole.run_classes(x, &[network.input.len()], classes);
    let expected = expected.unwrap();
    assert_close(what, &ours, &expected);
    ours
}

#[test]
fn engines_agree_with_the_trainer_on_random_generators() {
    for (what, seed, network) in generators(30) {
        let parameters = networks::random_parameters(&network, seed);
        let latents = latents(seed, COUNT, network.input.len());
        let x: Vec<f32> = latents.iter().map(|&q| f32::from(q) / 32.0).collect();
        let expected = evaluated(&what, &network, &parameters, &x, &[]);
        let folded = fold(&network, &parameters).unwrap();
        let onnx = || OnnxModel::read(&onnx::float_model(&folded)).unwrap();
        let mut engines: [Box<dyn Engine>; 2] = [
            Box::new(TractEngine::new(onnx()).unwrap()),
            Box::new(OrtEngine::new(onnx(), Arithmetic::Optimized).unwrap()),
        ];
        for engine in &mut engines {
            let images = engine.images(&latents, &[]).unwrap().data;
            assert_close(&what, &images, &expected);
        }
    }
}

/// A random generator of every kind, and its name.
fn generators(count: u64) -> impl Iterator<Item = (String, u64, Network)> {
    (0..count).flat_map(|seed| {
        [
            (format!("generator {seed}"), seed, graphs::generator(seed)),
            (format!("residual {seed}"), seed, graphs::residual(seed)),
            (
                format!("shared vector {seed}"),
                seed,
                graphs::shared_vector(seed),
            ),
        ]
    })
}

/// f32, int8 and int4, as `trainer verify` has it.
#[test]
fn every_engine_agrees_on_random_generators() {
    let (mut seen, mut copies, mut copied_vectors) = (Vec::new(), 0, 0);
    for (what, seed, network) in generators(6) {
        let parameters = networks::random_parameters(&network, seed);
        for weights in [Weights::Int8, Weights::Int4] {
            let bundle = Bundle::new(&network, &parameters, weights, Calibration::default());
            let bundle = bundle.unwrap_or_else(|error| panic!("{what}: {error}"));
            let [float, int8] =
                [&bundle.float_blob, &bundle.int8_blob].map(|blob| Blob::parse(blob).unwrap());
            assert_eq!(
                blob::folded(&float).unwrap(),
                fold(&network, &parameters).unwrap()
            );
            copies += int8.layer_count() - float.layer_count();
            let is_copy =
                |layer: &pocketgan::Layer| layer.operator == Operator::Upsample { factor: 1 };
            copied_vectors += int8.layers().filter(is_copy).count();
            seen.extend(int8.layers().map(|layer| layer.name()));
            parity::check(&what, &parity::read(bundle), Referee::OnnxRuntime);
        }
    }
    for name in [
        "linear",
        "conv2d",
        "conv_transpose2d",
        "upsample",
        "avg_pool2d",
        "add",
        "concat",
    ] {
        assert!(seen.contains(&name), "{name}");
    }
    assert!(
        copies > 0,
        "no input of a concatenation was rounded to new quanta"
    );
    assert!(
        copied_vectors > 0,
        "no vector was copied for a window with margins"
    );
}

/// What leaves tanh has the format's scale, and is copied where it is concatenated with what has another one.
#[test]
fn concatenations_of_one_scale_share_copies() {
    let network = |concatenations: &[[usize; 2]]| {
        let mut network = Network::chain(Shape::features(8), Vec::new());
        let dense = network.push(networks::linear(32), &[0]);
        let picture = network.push(Layer::Reshape(Shape::new(2, 4, 4)), &[dense]);
        let inner = network.push(networks::conv3(3), &[picture]);
        let [tanh, sigmoid] = [Layer::Tanh, Layer::Sigmoid].map(|activation| {
            let convolved = network.push(networks::conv3(2), &[picture]);
            network.push(activation, &[convolved])
        });
        let mut tensors = vec![inner, tanh, sigmoid];
        for &[a, b] in concatenations {
            let joined = network.push(Layer::Concat, &[tensors[a], tensors[b]]);
            let convolved = network.push(networks::conv3(2), &[joined]);
            tensors.extend([joined, convolved]);
        }
        let ends = (tensors.iter()).map(|&tensor| network.push(networks::conv3(1), &[tensor]));
        let ends: Vec<usize> = ends.collect();
        let sum = network.push(Layer::Add, &ends);
        network.push(Layer::Tanh, &[sum]);
        network
    };
    let (inner, tanh, sigmoid, joined, convolved) = (0, 1, 2, 3, 4);
    for (what, concatenations, copies) in [
        ("one", &[[inner, tanh]][..], 1),
        ("the same again", &[[inner, tanh], [inner, tanh]], 1),
        ("in another order", &[[tanh, sigmoid], [sigmoid, tanh]], 2),
        ("joined again", &[[inner, tanh], [joined, tanh]], 1),
        ("another scale", &[[inner, tanh], [convolved, tanh]], 2),
        ("another tensor", &[[inner, tanh], [inner, sigmoid]], 2),
    ] {
        let network = network(concatenations);
        let parameters = networks::random_parameters(&network, 3);
        let bundle = Bundle::new(&network, &parameters, Weights::Int8, Calibration::default());
        let bundle = bundle.unwrap_or_else(|error| panic!("{what}: {error}"));
        let [float, int8] =
            [&bundle.float_blob, &bundle.int8_blob].map(|blob| Blob::parse(blob).unwrap());
        assert_eq!(int8.layer_count() - float.layer_count(), copies, "{what}");
        parity::check(what, &parity::read(bundle), Referee::OnnxRuntime);
    }
}

/// Tanh in the middle of a network rounds one quantum in a hundred to the other side, and the layers after it magnify
/// that. The bound takes it in and is no larger than `docs/verification.md` derives from the mean.
#[test]
fn differences_of_inner_layers_count_for_the_whole_network() {
    let network = graphs::generator(10);
    let parameters = networks::random_parameters(&network, 10);
    let bundle = Bundle::new(&network, &parameters, Weights::Int8, Calibration::default());
    let model = parity::read(bundle.unwrap());
    let found = verify_by(Referee::OnnxRuntime, &model, 1, 256, &mut |_, _| {}).unwrap();
    assert!(found.failures().is_empty(), "{:?}", found.failures());
    let whole = found.comparisons.last().unwrap();
    let bound = whole.mean_bound.unwrap();
    assert!(whole.mean > 0.05, "{} of {bound}", whole.mean);
    let derived = 0.05 + 16.0 / 7.0 * whole.mean;
    assert!(bound < derived, "{bound} of {derived}");
}

/// Files of a graph on the disk, and made again from its f32 blob.
#[test]
fn a_graph_is_exported_from_its_blob_again() {
    let network = graphs::residual(1);
    let parameters = networks::random_parameters(&network, 1);
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [first, second] = folders.each_ref().map(|folder| folder.path());
    let (weights, calibration) = (Weights::Int8, Calibration::default());
    let exported =
        export::export(&network, &parameters, weights, calibration.clone(), first).unwrap();
    let float = std::fs::read(first.join(export::FLOAT_BLOB)).unwrap();
    let folded = blob::folded(&Blob::parse(&float).unwrap()).unwrap();
    export::export_folded(&folded, weights, calibration, second).unwrap();
    for (path, _) in &exported.files {
        let again = second.join(path.file_name().unwrap());
        assert!(
            std::fs::read(path).unwrap() == std::fs::read(again).unwrap(),
            "{path:?}"
        );
    }
    parity::check(
        "graph",
        &ExportedModel::read(second).unwrap(),
        Referee::Tract,
    );
}

#[test]
fn onnx_runtime_agrees_with_the_trainer_on_random_critics() {
    let mut pooled = 0;
    for seed in 0..40 {
        let network = graphs::critic(seed);
        pooled += usize::from(
            network
                .layers
                .iter()
                .any(|layer| matches!(layer, Layer::MaxPool2d { .. })),
        );
        let parameters = networks::random_parameters(&network, seed);
        let x: Vec<f32> = latents(seed, COUNT, network.input.len())
            .iter()
            .map(|&q| f32::from(q) / 32.0)
            .collect();
        evaluated(&format!("critic {seed}"), &network, &parameters, &x, &[]);
        // The same with a projection of the class on what lies in a picture's order.
        let mut told = network.clone();
        let is_flat = |layer: &Layer| matches!(layer, Layer::Flatten);
        let flat = told.layers.iter().position(is_flat).unwrap() + 1;
        let last = told.layers.len();
        let projection = told.push(Layer::ClassProjection { classes: 3 }, &[flat]);
        told.push(Layer::Concat, &[last, projection]);
        let parameters = networks::random_parameters(&told, seed);
        let what = format!("critic {seed}, told the class");
        evaluated(&what, &told, &parameters, &x, &classes_in_turn(3, COUNT));
    }
    assert!(pooled > 10, "{pooled}");
}
