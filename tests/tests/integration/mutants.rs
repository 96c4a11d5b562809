//! `trainer verify` finds faulty models: a sample of what `cargo xtask mutants` does on the shipped models.

use pocketgan::Rng;
use pocketgan_tests::mutants::{Experiment, Fault, Mutant, Tally};
use pocketgan_tests::networks;
use pocketgan_trainer::export::Bundle;
use pocketgan_trainer::export::onnx::OnnxModel;
use pocketgan_trainer::export::quantize::{Calibration, Weights};
use pocketgan_trainer::spec::Network;
use pocketgan_trainer::verify::{ExportedModel, verify};
use std::path::Path;

fn exported(network: &Network) -> ExportedModel {
    let parameters = networks::random_parameters(network, 7);
    let bundle = Bundle::new(network, &parameters, Weights::Int8, Calibration::default()).unwrap();
    ExportedModel {
        float_onnx: OnnxModel::read(&bundle.float_onnx).unwrap(),
        int8_onnx: OnnxModel::read(&bundle.int8_onnx).unwrap(),
        float_blob: bundle.float_blob,
        int8_blob: bundle.int8_blob,
    }
}

/// Counts some mutants of each fault.
fn tally(model: &ExportedModel, wide: usize, each: usize, rng: &mut Rng) -> Tally {
    let experiment = Experiment::new(model, wide).unwrap();
    let mut sum = Tally::default();
    for fault in Fault::ALL {
        sum += experiment.tally(fault, each, rng).unwrap();
    }
    sum
}

#[test]
fn mutants_that_break_a_layers_bound_are_found() {
    let mut rng = Rng::new(1);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/mnist-nano");
    let shipped = ExportedModel::read(&shipped).unwrap();
    let mut sum = tally(&shipped, 512, 8, &mut rng);
    // LeakyReLU and RGB; convolutions; LeakyReLU and a sigmoid; odd windows.
    for at in 2..6 {
        let (_, network) = networks::all().remove(at);
        sum += tally(&exported(&network), 1024, 4, &mut rng);
    }
    assert_eq!(sum.found, sum.beyond, "{sum:?}");
    assert!(sum.made > 100 && sum.beyond > sum.made / 3, "{sum:?}");
}

/// The experiment compares as the whole of `verify` does.
#[test]
fn the_whole_verification_says_the_same_of_mutants() {
    let network = networks::conditional(networks::dcgan(8, 4), 3, 5);
    let model = exported(&network);
    let experiment = Experiment::new(&model, 1).unwrap();
    let mut rng = Rng::new(2);
    for fault in Fault::ALL {
        let mutant = Mutant::draw(&model.int8_blob, fault, &mut rng).unwrap();
        let ours = experiment.comparisons(&mutant).unwrap();
        let mutated = ExportedModel {
            int8_blob: mutant.blob,
            ..model.clone()
        };
        let found = verify(&mutated, 1, 256, &mut |_, _| {}).unwrap();
        for comparison in &ours {
            assert!(
                found.comparisons.contains(comparison),
                "{fault:?}: {ours:?}"
            );
        }
        let of_layer = ours.iter().any(|c| !c.passes());
        assert_eq!(of_layer, !found.failures().is_empty(), "{fault:?}");
        assert_eq!(of_layer, fault != Fault::Multiplier, "{fault:?}");
    }
}
