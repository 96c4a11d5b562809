//! Folding and quantization against ONNX Runtime and against their definitions.

use pocketgan::Operator;
use pocketgan_tests::{networks, unfolded};
use pocketgan_trainer::engines::{
    Arithmetic, Engine, OrtEngine, OrtGraph, RuntimeEngine, TractEngine, classes_in_turn, latents,
};
use pocketgan_trainer::export::fold::{FoldError, Folded, fold};
use pocketgan_trainer::export::onnx::{self, OnnxModel};
use pocketgan_trainer::export::quantize::{Calibration, Weights, quantize};
use pocketgan_trainer::export::{Bundle, blob};
use pocketgan_trainer::parameters::Parameters;
use pocketgan_trainer::spec::{Layer, Network, Shape};
use pocketgan_trainer::verify::{self, ExportedModel, Verification, VerifyError};

fn verify(model: &ExportedModel) -> Result<Verification, VerifyError> {
    verify::verify(model, 1, 256, &mut |_, _| {})
}

/// The images of a folded network, from ONNX Runtime.
fn images(folded: &Folded, latents: &[i8], classes: &[u32]) -> Vec<f32> {
    let model = OnnxModel::read(&onnx::float_model(folded)).unwrap();
    let mut engine = OrtEngine::new(model, Arithmetic::Optimized).unwrap();
    engine.images(latents, classes).unwrap().data
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

#[test]
fn a_folded_network_computes_what_the_unfolded_one_does() {
    for (name, network) in networks::all() {
        folded(name, &network);
    }
}

/// The folded form of a network with random parameters, checked against ONNX Runtime on the network layer for layer.
fn folded(name: &str, network: &Network) -> Folded {
    let parameters = networks::random_parameters(network, 5);
    let latents = latents(1, 16, network.input.len());
    let x: Vec<f32> = latents.iter().map(|&q| f32::from(q) / 32.0).collect();
    let whole = unfolded::onnx(network, &parameters);
    let mut whole = OrtGraph::new(&whole, Arithmetic::AsWritten).unwrap();
    let classes = classes_in_turn(network.classes().unwrap_or(0), 16);
    let expected = whole.run_classes(&x, &[network.input.len()], &classes);
    let folded = fold(network, &parameters).unwrap();
    assert_eq!(folded.input, network.input);
    let images = images(&folded, &latents, &classes);
    let difference = largest_difference(&expected.unwrap(), &images);
    assert!(difference < 2e-5, "{name}: {difference}");
    folded
}

/// The copy is an upsampling by 1. Without margins there is none, and the writer refuses a blob where one is missing.
#[test]
fn a_vector_is_copied_for_windows_with_margins() {
    for (window, copies) in [
        ([4, 2, 1, 0], 1),
        ([4, 1, 0, 0], 1),
        ([5, 4, 0, 0], 1),
        ([2, 2, 0, 1], 1),
        ([4, 4, 0, 0], 0),
        ([2, 4, 0, 2], 0),
    ] {
        let [kernel, stride, padding, output_padding] = window;
        let side = kernel + output_padding - 2 * padding;
        let shape = Shape::new(3, side, side);
        let transposed = Layer::ConvTranspose2d {
            channels: 3,
            kernel,
            stride,
            padding,
            output_padding,
            bias: true,
        };
        let linear = |features| Layer::Linear {
            features,
            bias: true,
        };
        let mut network = Network::chain(Shape::features(4), vec![linear(5), Layer::Relu]);
        let grown = network.push(transposed.clone(), &[2]);
        let again = network.push(transposed, &[2]);
        let dense = network.push(linear(shape.len()), &[2]);
        let picture = network.push(Layer::Reshape(shape), &[dense]);
        let sum = network.push(Layer::Add, &[grown, again, picture]);
        network.push(Layer::Tanh, &[sum]);
        let folded = folded(&format!("{window:?}"), &network);
        let is_copy = |operator| operator == Operator::Upsample { factor: 1 };
        let found = folded.layers.iter().filter(|l| is_copy(l.operator)).count();
        assert_eq!(found, copies, "{window:?}");
        blob::float_blob(&folded).unwrap();
    }
}

/// Each is a 1x1 convolution of its own.
#[test]
fn batch_norm_and_activations_may_follow_an_activation() {
    let linear = Layer::Linear {
        features: 16,
        bias: true,
    };
    let conv = Layer::Conv2d {
        channels: 4,
        kernel: 1,
        stride: 1,
        padding: 0,
        bias: true,
    };
    let leaky = Layer::LeakyRelu { slope: 0.2 };
    let picture = Layer::Reshape(Shape::new(4, 2, 2));
    for (name, layers, count) in [
        (
            "vectors",
            vec![
                linear.clone(),
                Layer::Relu,
                Layer::batch_norm(),
                Layer::Tanh,
            ],
            2,
        ),
        (
            "pictures",
            vec![
                linear.clone(),
                picture.clone(),
                conv,
                Layer::Relu,
                Layer::batch_norm(),
                leaky.clone(),
                Layer::batch_norm(),
                Layer::Sigmoid,
            ],
            4,
        ),
        ("two", vec![linear, leaky, picture, Layer::Tanh], 2),
    ] {
        let folded = folded(name, &Network::chain(Shape::features(4), layers));
        assert_eq!(folded.layers.len(), count, "{name}");
        blob::float_blob(&folded).unwrap();
    }
}

/// The Tanh is the last layer that changes something: it cannot be part of the layers that are joined.
#[test]
fn layers_that_change_nothing_may_end_a_network() {
    let shape = Shape::new(8, 2, 2);
    let mean = Layer::AvgPool2d {
        kernel: 1,
        stride: 1,
    };
    let identities = [
        mean,
        Layer::Reshape(shape),
        Layer::LeakyRelu { slope: 1.0 },
        Layer::Upsample { factor: 1 },
    ];
    let network = |end: &[Layer]| {
        let dense = Layer::Linear {
            features: 16,
            bias: true,
        };
        let mut network = Network::chain(Shape::features(4), Vec::new());
        let parts = [(); 2].map(|()| {
            let features = network.push(dense.clone(), &[0]);
            network.push(Layer::Reshape(Shape::new(4, 2, 2)), &[features])
        });
        let mut output = network.push(Layer::Concat, &parts);
        output = network.push(Layer::Tanh, &[output]);
        for layer in end {
            output = network.push(layer.clone(), &[output]);
        }
        network
    };
    let plain = folded("plain", &network(&[]));
    for identity in &identities {
        assert_eq!(
            folded(identity.name(), &network(std::slice::from_ref(identity))),
            plain
        );
    }
    assert_eq!(folded("all", &network(&identities)), plain);
}

/// The 1x1 convolution that such a layer becomes would not fit into memory.
#[test]
fn a_layer_of_too_many_channels_is_refused() {
    let linear = Layer::Linear {
        features: 1 << 20,
        bias: false,
    };
    for (layer, name) in [(Layer::batch_norm(), "BatchNorm"), (Layer::Relu, "ReLU")] {
        let mut network = Network::chain(Shape::features(1), vec![linear.clone(), layer]);
        let sum = network.push(Layer::Add, &[1, 2]);
        network.push(Layer::Tanh, &[sum]);
        let error = fold(&network, &Parameters::zeros(&network).unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "layer 1 ({name}) can be part of no other layer, and a layer of its own has at most 4096 channels"
            )
        );
    }
}

#[test]
fn folding_leaves_only_what_a_device_must_compute() {
    for (name, network, layers) in [
        ("nano", networks::dcgan(32, 16), 3),
        ("upsampling", networks::all().remove(2).1, 3),
        (
            "conditional",
            networks::conditional(networks::dcgan(32, 16), 10, 50),
            3,
        ),
    ] {
        let parameters = networks::random_parameters(&network, 5);
        let folded = fold(&network, &parameters).unwrap();
        assert_eq!(folded.layers.len(), layers, "{name}");
    }
}

/// The comparisons that fail when the int8 or float files of a network are other than they should be.
fn failures(network: &Network, change: impl Fn(&mut ExportedModel, &Parameters)) -> Vec<String> {
    let parameters = networks::random_parameters(network, 7);
    let bundle = Bundle::new(network, &parameters, Weights::Int8, Calibration::default()).unwrap();
    let mut model = ExportedModel {
        float_onnx: OnnxModel::read(&bundle.float_onnx).unwrap(),
        int8_onnx: OnnxModel::read(&bundle.int8_onnx).unwrap(),
        float_blob: bundle.float_blob,
        int8_blob: bundle.int8_blob,
    };
    change(&mut model, &parameters);
    let found = verify(&model).unwrap();
    let failures = found.failures().into_iter();
    failures.map(|failure| failure.what.clone()).collect()
}

#[test]
fn a_planted_error_is_found_and_its_layer_named() {
    let network = networks::dcgan(8, 4);
    let found = failures(&network, |model, parameters| {
        let folded = fold(&network, parameters).unwrap();
        let mut quantized = quantize(&folded, Weights::Int8, Calibration::default());
        // One wrong column of one kernel.
        for weight in &mut quantized.layers[1].weight[..4] {
            *weight = if *weight > 0 { -90 } else { 90 };
        }
        model.int8_blob = blob::int8_blob(&quantized).unwrap();
    });
    assert_eq!(
        found,
        [
            "runtime int8, ONNX Runtime: layer 1 (conv_transpose2d)",
            "runtime int8, ONNX Runtime: layer 1 (conv_transpose2d), before rounding",
            "runtime int8, ONNX Runtime: whole network"
        ]
    );
    let found = failures(&network, |model, parameters| {
        let mut folded = fold(&network, parameters).unwrap();
        folded.layers[2].bias[0] += 1e-3;
        model.float_blob = blob::float_blob(&folded).unwrap();
    });
    assert_eq!(found, ["runtime f32, tract", "runtime f32, ONNX Runtime"]);
}

/// A class that is drawn wrong is found, in whichever file: one column of the table, of the last class.
#[test]
fn a_planted_error_in_one_class_is_found() {
    let network = networks::conditional(networks::dcgan(8, 4), 6, 5);
    let last = |columns: usize| columns * 5 / 6;
    let found = failures(&network, |model, parameters| {
        let folded = fold(&network, parameters).unwrap();
        let mut quantized = quantize(&folded, Weights::Int8, Calibration::default());
        let columns = &mut quantized.layers[0].columns;
        let start = last(columns.len());
        columns[start..].reverse();
        model.int8_blob = blob::int8_blob(&quantized).unwrap();
    });
    assert_eq!(
        found,
        [
            "runtime int8, ONNX Runtime: layer 0 (linear)",
            "runtime int8, ONNX Runtime: layer 0 (linear), before rounding",
            "runtime int8, ONNX Runtime: whole network"
        ]
    );
    let found = failures(&network, |model, parameters| {
        let mut folded = fold(&network, parameters).unwrap();
        let columns = &mut folded.layers[0].columns;
        let start = last(columns.len());
        columns[start..].reverse();
        model.float_onnx = OnnxModel::read(&onnx::float_model(&folded)).unwrap();
    });
    assert_eq!(found, ["runtime f32, tract", "runtime f32, ONNX Runtime"]);
}

/// The same network with and without classes is not the same model.
#[test]
fn files_with_and_without_classes_are_told_apart() {
    let network = networks::dcgan(8, 4);
    let export = |network: &Network| {
        let parameters = networks::random_parameters(network, 7);
        Bundle::new(network, &parameters, Weights::Int8, Calibration::default()).unwrap()
    };
    let plain = export(&network);
    for (count, classes) in [(3, 4), (4, 3)] {
        let conditional = export(&networks::conditional(network.clone(), count, 5));
        let other = export(&networks::conditional(network.clone(), classes, 5));
        for int8_onnx in [&plain.int8_onnx, &other.int8_onnx] {
            let model = ExportedModel {
                float_onnx: OnnxModel::read(&conditional.float_onnx).unwrap(),
                int8_onnx: OnnxModel::read(int8_onnx).unwrap(),
                float_blob: conditional.float_blob.clone(),
                int8_blob: conditional.int8_blob.clone(),
            };
            assert!(matches!(verify(&model), Err(VerifyError::Mismatched)));
        }
    }
}

/// All engines refuse classes that do not fit, with the same sentence.
#[test]
fn engines_refuse_classes_that_do_not_fit() {
    let engines = |network: &Network| -> Vec<Box<dyn Engine>> {
        let parameters = networks::random_parameters(network, 7);
        let bundle =
            Bundle::new(network, &parameters, Weights::Int8, Calibration::default()).unwrap();
        let onnx = || OnnxModel::read(&bundle.float_onnx).unwrap();
        vec![
            Box::new(RuntimeEngine::new(bundle.int8_blob.clone()).unwrap()),
            Box::new(TractEngine::new(onnx()).unwrap()),
            Box::new(OrtEngine::new(onnx(), Arithmetic::Optimized).unwrap()),
        ]
    };
    let network = networks::dcgan(8, 4);
    let two = latents(1, 2, 64);
    let refusal = |engine: &mut dyn Engine, classes: &[u32]| {
        engine.images(&two, classes).unwrap_err().to_string()
    };
    for mut engine in engines(&network) {
        assert_eq!(engine.classes(), 0);
        assert_eq!(
            refusal(engine.as_mut(), &[0, 0]),
            "2 classes were given where the model takes 0"
        );
    }
    for mut engine in engines(&networks::conditional(network, 3, 5)) {
        assert_eq!(engine.classes(), 3);
        for (classes, sentence) in [
            (&[][..], "0 classes were given where the model takes 2"),
            (&[1], "1 classes were given where the model takes 2"),
            (
                &[1, 3],
                "there is no class 3: the model has 3 classes, counted from 0",
            ),
        ] {
            assert_eq!(refusal(engine.as_mut(), classes), sentence);
        }
        let images = engine.images(&two, &[2, 0]).unwrap();
        assert_eq!(images.count(), 2);
    }
}

#[test]
fn files_of_different_models_are_told_apart() {
    let export = |network: &Network| {
        let parameters = networks::random_parameters(network, 7);
        Bundle::new(network, &parameters, Weights::Int8, Calibration::default()).unwrap()
    };
    let (one, other) = (
        export(&networks::dcgan(8, 4)),
        export(&networks::all().remove(4).1),
    );
    let model = ExportedModel {
        float_onnx: OnnxModel::read(&one.float_onnx).unwrap(),
        int8_onnx: OnnxModel::read(&one.int8_onnx).unwrap(),
        float_blob: other.float_blob,
        int8_blob: one.int8_blob,
    };
    let error = verify(&model).unwrap_err().to_string();
    assert_eq!(
        error,
        "the four files are not of one model: export it again"
    );
}

#[test]
fn quantized_weights_and_biases_are_within_half_a_quantum() {
    for (name, network) in networks::all() {
        let parameters = networks::random_parameters(&network, 3);
        let folded = fold(&network, &parameters).unwrap();
        let quantized = quantize(&folded, Weights::Int8, Calibration::default());
        let mut input_scale = 1.0 / 32.0;
        for (float, int8) in folded.layers.iter().zip(&quantized.layers) {
            assert_eq!(int8.input_scale, input_scale, "{name}");
            for (i, (&w, &q)) in float.weight.iter().zip(&int8.weight).enumerate() {
                let scale = int8.weight_scale[float.output_of_weight(i)];
                let error = (w - f32::from(q) * scale).abs();
                assert!(error <= 0.5001 * scale, "{name}: {w} became {q} x {scale}");
            }
            for (o, (&b, &q)) in float.bias.iter().zip(&int8.bias).enumerate() {
                let scale = f64::from(int8.weight_scale[o]) * f64::from(input_scale);
                let error = (f64::from(b) - f64::from(q) * scale).abs();
                assert!(error <= 0.5001 * scale, "{name}: {b} became {q} x {scale}");
            }
            let step = f64::from(int8.class_step);
            assert_eq!(int8.columns.len(), float.columns.len(), "{name}");
            for (i, (&c, &q)) in float.columns.iter().zip(&int8.columns).enumerate() {
                let output = i % float.bias.len();
                let scale = f64::from(int8.weight_scale[output]) * f64::from(input_scale) * step;
                let error = (f64::from(c) - f64::from(q) * scale).abs();
                assert!(error <= 0.5001 * scale, "{name}: {c} became {q} x {scale}");
            }
            input_scale = int8.scale;
        }
    }
}

/// int8 pictures look like the float ones: more than 30 dB apart would be a mistake, not rounding.
#[test]
fn int8_images_are_close_to_float_ones() {
    let network = networks::dcgan(32, 16);
    let parameters = networks::random_parameters(&network, 3);
    let bundle = Bundle::new(&network, &parameters, Weights::Int8, Calibration::default()).unwrap();
    let latents = latents(99, 64, 64);
    let run = |onnx: &[u8]| {
        let model = OnnxModel::read(onnx).unwrap();
        let mut engine = OrtEngine::new(model, Arithmetic::AsWritten).unwrap();
        engine.images(&latents, &[]).unwrap().data
    };
    let (float, int8) = (run(&bundle.float_onnx), run(&bundle.int8_onnx));
    let power = |a: &mut dyn Iterator<Item = f32>| a.map(|x| f64::from(x * x)).sum::<f64>();
    let signal = power(&mut float.iter().copied());
    let noise = power(&mut float.iter().zip(&int8).map(|(a, b)| a - b));
    let decibels = 10.0 * (signal / noise).log10();
    assert!(decibels > 30.0, "{decibels}");
}

/// A channel without weights, a dead ReLU and a large bias are no reason to fail.
#[test]
fn channels_without_weights_are_exported() {
    let network = networks::dcgan(8, 4);
    let mut parameters = networks::random_parameters(&network, 3);
    let mut set = |name: &str, at: usize, value: f32| {
        parameters.tensors.get_mut(name).unwrap().data[at] = value;
    };
    set("5.gamma", 0, 0.0);
    set("5.beta", 0, -3.0);
    set("5.gamma", 1, 1e-9);
    set("5.beta", 1, 8.0);
    let bundle = Bundle::new(&network, &parameters, Weights::Int8, Calibration::default()).unwrap();
    let model = ExportedModel {
        float_onnx: OnnxModel::read(&bundle.float_onnx).unwrap(),
        int8_onnx: OnnxModel::read(&bundle.int8_onnx).unwrap(),
        float_blob: bundle.float_blob,
        int8_blob: bundle.int8_blob,
    };
    let found = verify(&model).unwrap();
    let failures = found.failures();
    assert!(failures.is_empty(), "{failures:?}");
}

fn linear2() -> Layer {
    Layer::Linear {
        features: 2,
        bias: false,
    }
}

fn refusal(layers: Vec<Layer>) -> String {
    let network = Network::chain(Shape::features(4), layers);
    let parameters = networks::random_parameters(&network, 1);
    match fold(&network, &parameters) {
        Err(error @ FoldError::Layer { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_network_that_the_runtime_cannot_run_is_refused_by_layer() {
    let linear = Layer::Linear {
        features: 16,
        bias: true,
    };
    let picture = Layer::Reshape(Shape::new(4, 2, 2));
    let conv = Layer::Conv2d {
        channels: 4,
        kernel: 1,
        stride: 1,
        padding: 0,
        bias: true,
    };
    assert_eq!(
        refusal(vec![linear.clone(), Layer::Relu]),
        "layer 1 (ReLU) ends the network, whose last activation must be a Tanh or a Sigmoid"
    );
    assert_eq!(
        refusal(vec![
            linear.clone(),
            picture.clone(),
            conv.clone(),
            Layer::Flatten
        ]),
        "layer 3 (Flatten) must stand after a Linear layer that nothing else reads"
    );
    assert_eq!(
        refusal(vec![linear.clone(), picture, conv, linear]),
        "layer 3 (Linear) needs a vector for an input"
    );
    let shift = Layer::ClassShift { classes: 3 };
    assert_eq!(
        refusal(vec![linear2(), Layer::Relu, shift]),
        "layer 2 (ClassShift) must stand after the first Linear layer, before its activation"
    );
    let projection = Layer::ClassProjection { classes: 3 };
    assert_eq!(
        refusal(vec![linear2(), projection, Layer::Tanh]),
        "layer 1 (ClassProjection) is for training only: nothing that runs on a device has it"
    );
    let embedding = Layer::ClassEmbedding {
        classes: 3,
        channels: 2,
    };
    let reason = "(ClassEmbedding) stands elsewhere than before the first Linear layer";
    for (at, layers) in [
        (0, vec![embedding.clone()]),
        (0, vec![embedding.clone(), embedding.clone(), linear2()]),
        (0, vec![embedding.clone(), Layer::Relu, linear2()]),
        (
            1,
            vec![linear2(), embedding.clone(), linear2(), Layer::Tanh],
        ),
        (
            2,
            vec![embedding.clone(), linear2(), embedding, Layer::Tanh],
        ),
    ] {
        assert_eq!(refusal(layers), format!("layer {at} {reason}"));
    }
}

/// Exporting replaces the files that are there, leaves no others, and none when it cannot.
#[test]
fn files_are_written_whole_or_not_at_all() {
    use pocketgan_trainer::export::export;
    let network = networks::dcgan(8, 4);
    let parameters = networks::random_parameters(&network, 3);
    let folder = tempfile::tempdir().unwrap();
    let names = |folder: &std::path::Path| {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    std::fs::write(folder.path().join("model.pgan"), "old").unwrap();
    let exported = export(
        &network,
        &parameters,
        Weights::Int8,
        Calibration::default(),
        folder.path(),
    )
    .unwrap();
    let all = [
        "model-f32.pgan",
        "model-int8.onnx",
        "model.onnx",
        "model.pgan",
    ];
    assert_eq!(names(folder.path()), all);
    for (path, bytes) in &exported.files {
        assert_eq!(std::fs::metadata(path).unwrap().len(), *bytes as u64);
    }
    assert!(ExportedModel::read(folder.path()).is_ok());
    let below_a_file = folder.path().join("model.pgan").join("below");
    let error = export(
        &network,
        &parameters,
        Weights::Int8,
        Calibration::default(),
        &below_a_file,
    )
    .unwrap_err();
    assert!(error.to_string().starts_with("cannot write "), "{error}");
    // A folder in the place of a file: the others must not be left half replaced under odd names.
    let blocked = tempfile::tempdir().unwrap();
    std::fs::create_dir(blocked.path().join("model.onnx")).unwrap();
    assert!(
        export(
            &network,
            &parameters,
            Weights::Int8,
            Calibration::default(),
            blocked.path()
        )
        .is_err()
    );
    assert_eq!(names(blocked.path()), ["model.onnx"]);
}
