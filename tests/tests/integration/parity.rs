//! The runtime against tract and ONNX Runtime, on networks of every kind.

use pocketgan_tests::networks;
use pocketgan_trainer::export::Bundle;
use pocketgan_trainer::export::onnx::OnnxModel;
use pocketgan_trainer::export::quantize::{Calibration, Weights};
use pocketgan_trainer::spec::{Layer, Network};
use pocketgan_trainer::verify::{ExportedModel, Referee, verify_by};

/// A network's files, with random numbers in it.
fn exported(network: &Network, weights: Weights, seed: u64) -> ExportedModel {
    let parameters = networks::random_parameters(network, seed);
    read(Bundle::new(network, &parameters, weights, Calibration::default()).unwrap())
}

pub(crate) fn read(bundle: Bundle) -> ExportedModel {
    ExportedModel {
        float_onnx: OnnxModel::read(&bundle.float_onnx).unwrap(),
        int8_onnx: OnnxModel::read(&bundle.int8_onnx).unwrap(),
        float_blob: bundle.float_blob,
        int8_blob: bundle.int8_blob,
    }
}

/// Fails unless all engines agree; gives the largest difference of the whole int8 network, beyond rounding.
pub(crate) fn check(name: &str, model: &ExportedModel, referee: Referee) -> f64 {
    let found = verify_by(referee, model, 1, 256, &mut |_, _| {}).unwrap();
    let failures = found.failures();
    assert!(failures.is_empty(), "{name}: {failures:?}");
    let network = found.comparisons.last().unwrap();
    assert_eq!(
        network.what,
        format!("runtime int8, {}: whole network", referee.name())
    );
    network.largest
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
    for activation in [
        None,
        Some(Layer::Relu),
        Some(Layer::LeakyRelu { slope: 0.2 }),
    ] {
        let networks = networks::skipping(activation.as_ref());
        for (seed, (name, network)) in networks.into_iter().enumerate() {
            for weights in [Weights::Int8, Weights::Int4] {
                let name = format!("{name}, {activation:?}");
                let model = exported(&network, weights, seed as u64);
                check(&name, &model, Referee::OnnxRuntime);
                check(&name, &model, Referee::Tract);
            }
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
        check(name, &model, Referee::OnnxRuntime);
    }
}

/// Every kind of network but the two large ones.
#[test]
fn tract_takes_the_place_of_onnx_runtime() {
    for (name, network) in networks::all().into_iter().skip(2) {
        check(name, &exported(&network, Weights::Int8, 1), Referee::Tract);
    }
}

/// Last layers that make four times as much of what is before them as in `networks::all`: a quantum inside is many
/// outside.
#[test]
fn networks_that_magnify_roundings_pass() {
    let mut largest = 0.0f64;
    for (name, network) in networks::all().into_iter().skip(2).take(3) {
        let mut parameters = networks::random_parameters(&network, 2);
        let steps = network.walk().unwrap();
        let last = steps.iter().rfind(|step| step.macs() > 0).unwrap().index;
        let weights = parameters.tensors.get_mut(&format!("{last}.weight"));
        weights.unwrap().data.iter_mut().for_each(|w| *w *= 4.0);
        for weights in [Weights::Int8, Weights::Int4] {
            let bundle = Bundle::new(&network, &parameters, weights, Calibration::default());
            let model = read(bundle.unwrap());
            largest = largest.max(check(name, &model, Referee::OnnxRuntime));
        }
    }
    assert!(largest > 5.0, "{largest}");
}
