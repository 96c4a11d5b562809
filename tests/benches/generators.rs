//! One image on one thread: the runtime in f32 and int8, tract and ONNX Runtime, on the shipped models.

use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use pocketgan::{Generator, Model};
use pocketgan_trainer::engines::{Arithmetic, Engine, OrtEngine, TractEngine};

const MODELS: [&str; 2] = ["nano", "small"];

fn engines(criterion: &mut Criterion) {
    for model in MODELS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        let folder = folder.join(format!("fashion-{model}"));
        let mut group = criterion.benchmark_group(model);
        for (name, file) in [("f32", "model-f32.pgan"), ("int8", "model.pgan")] {
            let blob = std::fs::read(folder.join(file)).expect("a shipped model");
            let model = Model::parse(&blob).expect("a valid blob");
            let mut buffer = vec![0; model.buffer_len()];
            let mut generator = Generator::new(&model, &mut buffer[..]).expect("a buffer");
            let latent = latent(model.latent_size());
            let mut image = vec![0; model.image_len()];
            group.bench_function(name, |bencher| {
                bencher.iter(|| generator.sample_into(&latent, &mut image))
            });
        }
        let onnx: PathBuf = folder.join("model.onnx");
        let mut engines: [(&str, Box<dyn Engine>); 2] = [
            ("tract", Box::new(TractEngine::open(&onnx).expect("tract"))),
            (
                "onnxruntime",
                Box::new(OrtEngine::open(&onnx, Arithmetic::Optimized).expect("ONNX Runtime")),
            ),
        ];
        for (name, engine) in &mut engines {
            let latent = latent(engine.latent_size());
            group.bench_function(*name, |bencher| {
                bencher.iter(|| engine.images(&latent, &[]).expect("an image"))
            });
        }
    }
}

/// A latent as the runtime draws it.
fn latent(size: usize) -> Vec<i8> {
    let mut rng = pocketgan::Rng::new(1);
    (0..size)
        .map(|_| pocketgan::latent::draw(&mut rng))
        .collect()
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = engines
}
criterion_main!(benches);
