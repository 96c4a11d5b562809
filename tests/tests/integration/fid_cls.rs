//! The score `fid-cls` on real images, and the frozen classifiers behind it.

use pocketgan_tests::{networks, unfolded};
use pocketgan_trainer::classifier::{self, Frozen};
use pocketgan_trainer::data::{self, Images, Options, Split};
use pocketgan_trainer::engines::{Arithmetic, OrtGraph};
use pocketgan_trainer::metrics::FidCls;
use pocketgan_trainer::metrics::fid_cls::Score;
use pocketgan_trainer::nn::Model;
use pocketgan_trainer::ops::Cpu;
use pocketgan_trainer::rng::{Rng, Stream};
use pocketgan_trainer::spec::Shape;
use std::path::Path;

/// Images of each set that is scored, as in the protocol.
const COUNT: usize = 5_000;

fn fashion(split: Split) -> Images {
    data::load(&"fashion".parse().unwrap(), split, &Options::default()).unwrap()
}

fn scorer() -> FidCls {
    FidCls::new(&"fashion".parse().unwrap()).unwrap().unwrap()
}

fn score(pixels: &[u8]) -> Score {
    let scorer = scorer();
    let mut tally = scorer.tally();
    tally.add(pixels).unwrap();
    let score = tally.score();
    println!("{score:?}");
    score
}

fn frozen(dataset: &str) -> Frozen {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let file = folder.join(format!("classifier-{dataset}/classifier.safetensors"));
    classifier::decode(&std::fs::read(file).unwrap()).unwrap()
}

/// The first training images with normal noise of a standard deviation, in pixel values.
fn noisy(images: &Images, deviation: f64) -> Vec<u8> {
    let mut rng = Rng::new(1, Stream::Latents);
    images.pixels[..COUNT * 784]
        .iter()
        .map(|&p| (f64::from(p) + deviation * rng.normal() + 0.5) as u8)
        .collect()
}

/// From the test images themselves, over training images, ever more noise, to noise alone and to a
/// generator that has collapsed.
#[test]
fn the_worse_the_images_the_higher_the_score() {
    let train = fashion(Split::Train);
    let same = score(&fashion(Split::Test).pixels);
    let real = score(&train.pixels[..COUNT * 784]);
    assert!(same.fid_cls < 1e-6 * real.fid_cls, "{same:?} {real:?}");
    // Ten classes of about 500 each.
    assert!(real.class_entropy > 0.999, "{real:?}");
    let mut last = real.fid_cls;
    for deviation in [4.0, 12.0, 36.0, 108.0] {
        let worse = score(&noisy(&train, deviation));
        assert!(worse.fid_cls > last, "{deviation}: {worse:?} {last}");
        last = worse.fid_cls;
    }
    let mut rng = Rng::new(1, Stream::Latents);
    let noise: Vec<u8> = (0..COUNT * 784)
        .map(|_| (256.0 * rng.uniform()) as u8)
        .collect();
    let collapsed = train.pixels[..784].repeat(COUNT);
    let (noise, collapsed) = (score(&noise), score(&collapsed));
    for bad in [&noise, &collapsed] {
        assert!(bad.fid_cls > 50.0 * real.fid_cls, "{bad:?} {real:?}");
    }
    assert_eq!(collapsed.class_entropy, 0.0);
    // The first training image is an ankle boot.
    assert_eq!(collapsed.class_counts[9], COUNT as u32);
}

/// The accuracy that the file claims, told again by ONNX Runtime from the file's weights: the network,
/// its numbers' order and its batch norm are what they are taken for.
#[test]
fn onnx_runtime_sees_what_the_classifier_sees() {
    let test = fashion(Split::Test);
    let frozen = frozen("fashion");
    let network = &frozen.state.network;
    let whole = unfolded::onnx(network, &frozen.parameters);
    let mut whole = OrtGraph::new(&whole, Arithmetic::AsWritten).unwrap();
    let samples: Vec<f32> = test
        .pixels
        .iter()
        .map(|&p| (f32::from(p) - 128.0) / 128.0)
        .collect();
    let mut right = 0;
    let mut differing = 0;
    for (i, samples) in samples.chunks(1000 * 784).enumerate() {
        let logits = whole.run(samples, &[784]).unwrap();
        let ours = frozen
            .classifier
            .judge(&test.pixels[i * 784_000..][..784_000])
            .unwrap();
        for (j, row) in logits.chunks(10).enumerate() {
            let best = row.iter().copied().fold(f32::MIN, f32::max);
            let class = row.iter().position(|&x| x == best).unwrap();
            right += u32::from(class == usize::from(test.labels[1000 * i + j]));
            differing += u32::from(class != usize::from(ours.classes[j]));
        }
    }
    // A tie may fall to either side.
    assert!(differing <= 2, "{differing} images are seen otherwise");
    let accuracy = f64::from(right) / 10_000.0;
    assert!(
        (accuracy - frozen.state.test_accuracy).abs() < 3e-4,
        "{accuracy}"
    );
    assert!(accuracy > 0.91);
}

#[test]
fn a_generators_score_has_the_same_bits_with_any_number_of_threads() {
    let network = networks::dcgan(8, 4);
    let parameters = networks::random_parameters(&network, 1);
    assert_eq!(network.output().unwrap(), Shape::new(1, 28, 28));
    let scores = [1, 2, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let generator = Model::new(Cpu::default(), &network, &parameters).unwrap();
            scorer().score(&generator).unwrap()
        })
    });
    assert_eq!(scores[0].class_counts.iter().sum::<u32>(), 5_000);
    assert!(scores[0].fid_cls.is_finite());
    assert_eq!(scores[0], scores[1]);
    assert_eq!(scores[0], scores[2]);
}
