//! The runtime against tract and ONNX Runtime, on networks of every kind.

use pocketgan::{Activation, Operator};
use pocketgan_tests::networks;
use pocketgan_trainer::export::Bundle;
use pocketgan_trainer::export::fold::{Folded, FoldedLayer, fold};
use pocketgan_trainer::export::onnx::OnnxModel;
use pocketgan_trainer::export::quantize::{Calibration, Weights};
use pocketgan_trainer::spec::Network;
use pocketgan_trainer::verify::{Comparison, ExportedModel, verify};

/// A network's files, with random numbers in it.
fn exported(network: &Network, weights: Weights, seed: u64) -> ExportedModel {
    let parameters = networks::random_parameters(network, seed);
    let bundle = Bundle::new(network, &parameters, weights, Calibration::default()).unwrap();
    read(bundle)
}

fn read(bundle: Bundle) -> ExportedModel {
    ExportedModel {
        float_onnx: OnnxModel::read(&bundle.float_onnx).unwrap(),
        int8_onnx: OnnxModel::read(&bundle.int8_onnx).unwrap(),
        float_blob: bundle.float_blob,
        int8_blob: bundle.int8_blob,
    }
}

fn failures(comparisons: Vec<Comparison>) -> Vec<Comparison> {
    comparisons.into_iter().filter(|c| !c.passes()).collect()
}

#[test]
fn every_engine_agrees_on_every_network() {
    every_engine_agrees(Weights::Int8);
}

#[test]
fn every_engine_agrees_on_every_network_in_int4() {
    every_engine_agrees(Weights::Int4);
}

/// A convolution's input added to its output, and the latent to features that are made of it.
#[test]
fn every_engine_agrees_on_skip_connections() {
    let addition = |folded: &Folded, at: usize, from: usize, activation| FoldedLayer {
        operator: Operator::Add { from },
        activation,
        input: folded.layers[at - 1].output,
        output: folded.layers[at - 1].output,
        weight: Vec::new(),
        bias: Vec::new(),
        columns: Vec::new(),
    };
    for (seed, (name, network)) in networks::to_be_skipped().into_iter().enumerate() {
        let parameters = networks::random_parameters(&network, seed as u64);
        let mut folded = fold(&network, &parameters).unwrap();
        let (at, from) = match name {
            "features" => (2, 0),
            _ => (3, 1),
        };
        for activation in [
            Activation::None,
            Activation::Relu,
            Activation::LeakyRelu { slope: 0.2 },
        ] {
            let layer = addition(&folded, at, from, activation);
            folded.layers.insert(at, layer);
            for weights in [Weights::Int8, Weights::Int4] {
                let bundle = Bundle::of_folded(&folded, weights, Calibration::default());
                let comparisons = verify(&read(bundle.unwrap()), 1, 256).unwrap();
                assert_eq!(failures(comparisons), [], "{name}, {activation:?}");
            }
            folded.layers.remove(at);
        }
    }
}

/// The networks of `models/`.
#[test]
fn an_int4_blob_is_about_half_as_large() {
    for channels in [32, 64] {
        let network = networks::dcgan(channels, channels / 2);
        let [int8, int4] = [Weights::Int8, Weights::Int4]
            .map(|weights| exported(&network, weights, 1).int8_blob.len() as f64);
        assert!(int4 <= 0.55 * int8, "{int4} of {int8} bytes");
    }
}

fn every_engine_agrees(weights: Weights) {
    for (index, (name, network)) in networks::all().into_iter().enumerate() {
        let model = exported(&network, weights, index as u64);
        let comparisons = verify(&model, 1, 256).unwrap();
        for c in &comparisons {
            eprintln!("{name}: {} {:.3e} {:.4}", c.what, c.largest, c.mean);
        }
        assert_eq!(failures(comparisons), [], "{name}");
    }
}
