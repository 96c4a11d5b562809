//! A variational autoencoder on a few real images, which it must come to know by heart.

use dfdx::prelude::NoneTape;
use pocketgan_trainer::data::{self, Dataset, Options, Split};
use pocketgan_trainer::gan::fit::Source;
use pocketgan_trainer::gan::{Batch, Gan, Losses, Recipe, Size};
use pocketgan_trainer::nn::Mode;
use pocketgan_trainer::ops::{Cpu, Device};
use pocketgan_trainer::rng::{Rng, Stream};

const IMAGES: usize = 16;

/// A latent drawn for each image from what the encoder makes of it, on the host.
fn posterior(gan: &Gan<Cpu>, real: &[f32], rng: &mut Rng) -> Vec<f32> {
    let encoder = &gan.others[0].model;
    let x = encoder.input(IMAGES, real).unwrap();
    let (moments, _) = encoder
        .forward(&mut NoneTape, &x, &[], Mode::Evaluate)
        .unwrap();
    let moments = encoder.device().to_host(&moments);
    let size = gan.generator.model.network().input.len();
    let draws = moments.chunks_exact(2 * size).flat_map(|row| {
        let (means, logs) = row.split_at(size);
        let pairs = means.iter().zip(logs);
        let drawn = pairs.map(|(mean, log)| mean + (log / 2.0).exp() * rng.normal() as f32);
        drawn.collect::<Vec<_>>()
    });
    draws.collect()
}

#[test]
fn it_learns_images_by_heart() {
    let fashion = "fashion".parse::<Dataset>().unwrap();
    let images = data::load(&fashion, Split::Train, &Options::default()).unwrap();
    let numbers: Vec<u32> = (0..IMAGES as u32).collect();
    let mut real = Vec::new();
    images.assemble(&numbers, &mut real, &mut Vec::new());
    let settings = Recipe::Vae.parts(Size::Nano, images.shape()).settings(1);
    let mut gan = Gan::new(Cpu::default(), &settings).unwrap();
    let bound =
        |losses: &Losses| losses.get("divergence").unwrap() + losses.get("reconstruction").unwrap();
    let first = gan.step(Batch::new(IMAGES, &real, &[])).unwrap();
    let steps = (0..400).map(|_| bound(&gan.step(Batch::new(IMAGES, &real, &[])).unwrap()));
    let bounds: Vec<f32> = steps.collect();
    let last = bounds[380..].iter().sum::<f32>() / 20.0;
    // A decoder that knows nothing says one half: ln 2 a pixel.
    assert!(
        (bound(&first) - 784.0 * std::f32::consts::LN_2).abs() < 40.0,
        "{first:?}"
    );
    assert!(last < bound(&first) - 200.0, "{} to {last}", bound(&first));

    let mut rng = Rng::new(5, Stream::Latents);
    let latents = posterior(&gan, &real, &mut rng);
    let decoded = gan.generator.model.evaluate(&latents, &[]).unwrap();
    let distance =
        |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum() };
    for (i, decoded) in decoded.chunks_exact(784).enumerate() {
        let distances = real.chunks_exact(784).map(|real| distance(decoded, real));
        let distances: Vec<f32> = distances.collect();
        let nearest = (0..IMAGES).min_by(|&a, &b| distances[a].total_cmp(&distances[b]));
        assert_eq!(nearest, Some(i), "{distances:?}");
    }
}
