//! Every recipe: two steps on real images, then its exports in every engine.

use clap::ValueEnum;
use pocketgan_trainer::data::{self, Options, Split};
use pocketgan_trainer::export::quantize::{Calibration, Weights};
use pocketgan_trainer::export::{FLOAT_ONNX, export};
use pocketgan_trainer::gan::fit::Source;
use pocketgan_trainer::gan::{
    Adversarial, Batch, Conditioning, DiscriminatorKind, Game, Gan, GeneratorKind, Recipe, Size,
};
use pocketgan_trainer::ops::Cpu;
use pocketgan_trainer::parameters::Parameters;
use pocketgan_trainer::verify::{ExportedModel, verify, verify_pictures, verify_pixels};

#[test]
fn every_recipe_learns_from_real_images_and_runs_in_every_engine() {
    const BATCH: usize = 16;
    let fashion = "fashion".parse().unwrap();
    let images = data::load(&fashion, Split::Train, &Options::default()).unwrap();
    let shape = images.shape();
    let recipes = Recipe::value_variants().iter();
    let recipes = recipes.map(|recipe| (format!("{recipe:?}"), recipe.parts(Size::Nano, shape)));
    // Each kind of generator and of discriminator, the fewer of the two more than once.
    let generators = GeneratorKind::value_variants().iter();
    let discriminators = DiscriminatorKind::value_variants().iter().cycle();
    let kinds = generators.zip(discriminators);
    let kinds = kinds.filter_map(|(&generator, &discriminator)| {
        let mut parts = Recipe::Pocket.parts(Size::Nano, shape);
        if !parts.set_generator(generator, Size::Nano, shape) {
            return None;
        }
        parts.set_discriminator(discriminator, Size::Nano, shape);
        Some((format!("{generator:?} and {discriminator:?}"), parts))
    });
    assert!(GeneratorKind::value_variants().len() >= DiscriminatorKind::value_variants().len());
    for (what, mut parts) in recipes.chain(kinds) {
        if parts.conditional {
            parts
                .tell(images.classes(), Conditioning::default())
                .unwrap();
        }
        let settings = parts.settings(1);
        let numbers: Vec<u32> = (0..BATCH as u32 * settings.game.batches()).collect();
        let (mut real, mut classes) = (Vec::new(), Vec::new());
        images.assemble(&numbers, &mut real, &mut classes);
        if settings.networks.generator.network.classes().is_none() {
            classes.clear();
        }
        let mut gan = Gan::new(Cpu::default(), &settings).unwrap();
        let parameters = |gan: &Gan<Cpu>| -> Vec<Parameters> {
            let networks = std::iter::once(&gan.generator).chain(&gan.others);
            let parameters = networks.map(|network| network.model.parameters().unwrap());
            parameters.collect()
        };
        // Of the images in another order, where pictures are read.
        let read = settings.networks.generator.network.reads_pictures();
        let mut inputs = Vec::new();
        if read {
            inputs.extend_from_slice(&real[shape.len()..]);
            inputs.extend_from_slice(&real[..shape.len()]);
        }
        let step = |gan: &mut Gan<Cpu>| {
            let batch = Batch {
                inputs: &inputs,
                ..Batch::new(BATCH, &real, &classes)
            };
            let losses = gan.step(batch).unwrap();
            assert!(losses.is_finite(), "{what}: {losses:?}");
        };
        // A step of each phase that networks grow in.
        let growth = settings.growth.as_ref();
        for _ in 0..growth.map_or(0, |growth| growth.phases.len()) {
            step(&mut gan);
        }
        let before = parameters(&gan);
        for _ in 0..2 {
            step(&mut gan);
        }
        let generators = settings.networks.iter().filter(|_| read);
        let pictures = generators.map(|named| (named.name.clone(), real.clone()));
        gan.settle_average_on(&pictures.collect()).unwrap();
        let after = parameters(&gan);
        for (before, after) in before.iter().zip(&after) {
            for (name, tensor) in &before.tensors {
                let moved = &after.tensors[name].data;
                assert!(moved.iter().all(|v| v.is_finite()), "{what}: {name}");
                // A bias that moves all verdicts alike has no gradient where only their differences count.
                let learns = name.ends_with("weight") || name.ends_with("embedding");
                assert!(
                    !learns || moved != &tensor.data,
                    "{what}: {name} has not moved"
                );
            }
        }
        if let Game::Adversarial(Adversarial {
            weight_clip: Some(bound),
            ..
        }) = settings.game
        {
            let weights = after[1].tensors.values().flat_map(|t| &t.data);
            assert!(
                weights
                    .into_iter()
                    .all(|w| f64::from(w.abs()) <= bound + 1e-9)
            );
        }
        let folder = tempfile::tempdir().unwrap();
        let average = gan.average().parameters().unwrap();
        let network = gan.average().network();
        export(
            network,
            &average,
            Weights::Int8,
            Calibration::default(),
            folder.path(),
        )
        .unwrap();
        let found = if network.draws_pixels() {
            let onnx = std::fs::read(folder.path().join(FLOAT_ONNX)).unwrap();
            verify_pixels(&onnx, (network, &average), 1, 8).unwrap()
        } else if read {
            let path = folder.path().join(FLOAT_ONNX);
            verify_pictures(&path, Some((network, &average)), 1, 8).unwrap()
        } else {
            let model = ExportedModel::read(folder.path()).unwrap();
            verify(&model, 1, 256, &mut |_, _| {}).unwrap()
        };
        let failures = found.failures();
        assert!(failures.is_empty(), "{what}: {failures:?}");
    }
}
