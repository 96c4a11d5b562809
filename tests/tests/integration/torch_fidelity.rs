//! The scores by Inception against torch-fidelity, which reads, resizes, looks and computes for itself.
//!
//! `cargo xtask fid-check` runs this: it needs PyTorch, some 5 GB.

use image::GrayImage;
use pocketgan_trainer::data::{self, Options, Split};
use pocketgan_trainer::engines::{Engine, RuntimeEngine, latents};
use pocketgan_trainer::gaussian::Gaussian;
use pocketgan_trainer::metrics::inception::FEATURES;
use pocketgan_trainer::metrics::{Inception, frechet, kid, manifold};
use pocketgan_trainer::spec::Shape;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Images of either side. Few: it is the arithmetic that is compared.
const COUNT: usize = 256;
const SHAPE: Shape = Shape::new(1, 28, 28);

fn named_by(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable);
    path.unwrap_or_else(|| panic!("`cargo xtask fid-check` sets {variable}"))
        .into()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Writes each image as a PNG file of its own.
fn write_pngs(folder: &Path, pixels: &[u8]) {
    std::fs::create_dir(folder).unwrap();
    for (i, image) in pixels.chunks(SHAPE.len()).enumerate() {
        let image = GrayImage::from_raw(28, 28, image.to_vec()).unwrap();
        image.save(folder.join(format!("{i:05}.png"))).unwrap();
    }
}

fn generated() -> Vec<u8> {
    let blob = repository().join("models/fashion-nano/model.pgan");
    let mut engine = RuntimeEngine::open(&blob).unwrap();
    let latents = latents(1, COUNT, engine.latent_size());
    engine.images(&latents, &[]).unwrap().to_pixels()
}

fn theirs(generated: &Path, real: &Path) -> serde_json::Value {
    let output = Command::new(named_by("POCKETGAN_FIDELITY_PYTHON"))
        .arg(repository().join("xtask/python/torch_fidelity_scores.py"))
        .arg(named_by("POCKETGAN_INCEPTION_ARCHIVE"))
        .args([generated, real])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
#[ignore = "needs PyTorch: cargo xtask fid-check"]
fn torch_fidelity_gives_the_same_scores() {
    let test = data::load(
        &"fashion".parse().unwrap(),
        Split::Test,
        &Options::default(),
    )
    .unwrap();
    let real = &test.pixels[..COUNT * SHAPE.len()];
    let generated = generated();
    let folder = tempfile::tempdir().unwrap();
    let paths = ["generated", "real"].map(|name| folder.path().join(name));
    write_pngs(&paths[0], &generated);
    write_pngs(&paths[1], real);
    let theirs = theirs(&paths[0], &paths[1]);

    let mut inception = Inception::open(2).unwrap();
    let mut features = |pixels: &[u8]| inception.features(pixels, SHAPE, &mut |_, _| {}).unwrap();
    let (generated, real) = (features(&generated), features(real));
    let [a, b] = [&generated, &real].map(|features| Gaussian::of(features, FEATURES));
    let manifolds = manifold::compare(&real, &generated, FEATURES, 5).unwrap();
    let ours = [
        ("fid", frechet(&a, &b)),
        (
            "kid",
            kid::kernel_distance(&real, &generated, FEATURES)
                .unwrap()
                .mean,
        ),
        ("precision", manifolds.precision),
        ("recall", manifolds.recall),
    ];
    for (name, ours) in ours {
        let theirs = theirs[name].as_f64().unwrap();
        let apart = (ours - theirs).abs() / theirs.abs();
        println!("{name}: ours {ours}, torch-fidelity's {theirs}, {apart:.1e} apart");
        assert!(apart < 1e-3, "{name}: {ours} {theirs}");
    }
}
