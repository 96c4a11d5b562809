//! Networks with branches: the trainer's own forward pass against ONNX Runtime and tract.

use pocketgan_tests::{graphs, networks, unfolded};
use pocketgan_trainer::engines::{Arithmetic, Engine, OrtEngine, OrtGraph, TractEngine, latents};
use pocketgan_trainer::export::fold::fold;
use pocketgan_trainer::export::onnx::{self, OnnxModel};
use pocketgan_trainer::export::quantize::{Calibration, Weights};
use pocketgan_trainer::export::{Bundle, ExportError};
use pocketgan_trainer::nn::Model;
use pocketgan_trainer::ops::Cpu;
use pocketgan_trainer::parameters::Parameters;
use pocketgan_trainer::spec::{Layer, Network};

const COUNT: usize = 8;

fn assert_close(what: &str, a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len(), "{what}");
    let largest = b.iter().fold(1.0f32, |largest, b| largest.max(b.abs()));
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= 2e-5 * largest, "{what}: {a} against {b}");
    }
}

/// What the trainer's forward pass gives, checked against ONNX Runtime on the network layer for layer.
fn evaluated(what: &str, network: &Network, parameters: &Parameters, x: &[f32]) -> Vec<f32> {
    let model = Model::new(Cpu::default(), network, parameters).unwrap();
    assert_eq!(&model.parameters().unwrap(), parameters, "{what}");
    let ours = model.evaluate(x, &[]).unwrap();
    let whole = unfolded::onnx(network, parameters);
    let mut whole = OrtGraph::new(&whole, Arithmetic::AsWritten).unwrap();
    let expected = whole.run_classes(x, &[network.input.len()], &[]).unwrap();
    assert_close(what, &ours, &expected);
    ours
}

#[test]
fn engines_agree_with_the_trainer_on_random_generators() {
    let (mut seen, mut refused) = (Vec::new(), String::new());
    for seed in 0..40 {
        let network = graphs::generator(seed);
        let parameters = networks::random_parameters(&network, seed);
        let latents = latents(seed, COUNT, network.input.len());
        let x: Vec<f32> = latents.iter().map(|&q| f32::from(q) / 32.0).collect();
        let what = format!("generator {seed}");
        let expected = evaluated(&what, &network, &parameters, &x);
        let folded = fold(&network, &parameters).unwrap();
        seen.extend(folded.layers.iter().map(|layer| layer.operation.name()));
        let onnx = || OnnxModel::read(&onnx::float_model(&folded)).unwrap();
        let mut engines: [Box<dyn Engine>; 2] = [
            Box::new(TractEngine::new(onnx()).unwrap()),
            Box::new(OrtEngine::new(onnx(), Arithmetic::Optimized).unwrap()),
        ];
        for engine in &mut engines {
            let images = engine.images(&latents, &[]).unwrap().data;
            assert_close(&what, &images, &expected);
        }
        let bundle = Bundle::new(&network, &parameters, Weights::Int8, Calibration::default());
        if let Err(error) = bundle {
            assert!(
                matches!(error, ExportError::NotInFormat(_)),
                "{what}: {error}"
            );
            refused = error.to_string();
        }
    }
    assert!(
        refused.contains("cannot be put into a blob"),
        "none was refused"
    );
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
        evaluated(&format!("critic {seed}"), &network, &parameters, &x);
    }
    assert!(pooled > 10, "{pooled}");
}
