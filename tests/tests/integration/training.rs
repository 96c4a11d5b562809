//! Training: what is trained is what is exported, and a seed is a result.

use pocketgan_tests::networks;
use pocketgan_trainer::engines::{Engine, TractEngine, latents};
use pocketgan_trainer::export::fold::fold;
use pocketgan_trainer::export::onnx::{OnnxModel, float_model};
use pocketgan_trainer::gan::checkpoint::{Checkpoint, Position};
use pocketgan_trainer::gan::{Gan, Recipe, Settings, Size};
use pocketgan_trainer::nn::{Initialization, Model};
use pocketgan_trainer::ops::Cpu;
use pocketgan_trainer::rng::{Rng, Stream};
use pocketgan_trainer::samples;
use pocketgan_trainer::spec::{Layer, Network, Shape};

const BATCH: usize = 12;

fn settings(size: Size, image: Shape) -> Settings {
    of(Recipe::Dcgan, size, image)
}

fn of(recipe: Recipe, size: Size, image: Shape) -> Settings {
    let mut settings = recipe.parts(size, image).settings(7);
    settings.optimizer.learning_rate = 2e-3;
    settings.ema_decay = 0.9;
    settings
}

fn checkpoint(settings: &Settings, gan: &Gan<Cpu>) -> Checkpoint {
    Checkpoint {
        gan: gan.state().unwrap(),
        networks: settings.networks.clone(),
        position: Position::default(),
        rollbacks: 0,
        since: Vec::new(),
        recipe: "seed = 7".into(),
        data: None,
    }
}

/// A few steps on fixed noise.
fn train(settings: &Settings, steps: usize) -> Gan<Cpu> {
    let mut gan = Gan::new(Cpu::default(), settings).unwrap();
    let mut rng = Rng::new(3, Stream::Order(0));
    let image = settings.networks.generator.network.output().unwrap();
    let len = BATCH * image.len();
    for _ in 0..steps {
        let real: Vec<f32> = (0..len).map(|_| rng.uniform() as f32 - 0.5).collect();
        let losses = gan.step(BATCH, &real, &[]).unwrap();
        assert!(losses.is_finite());
    }
    gan
}

/// tract, on the folded export, gives what the model on the device gives: the weights' orders, the
/// batch norm and its folding are right.
fn assert_export_agrees(model: &Model<Cpu>) {
    let network = model.network();
    let folded = fold(network, &model.parameters().unwrap()).unwrap();
    let onnx = OnnxModel::read(&float_model(&folded)).unwrap();
    let mut tract = TractEngine::new(onnx).unwrap();
    let (count, size) = (20, network.input.len());
    let classes = samples::classes_in_turn(network, count);
    let exported = tract.images(&latents(5, count, size), &classes).unwrap();
    let ours = model
        .evaluate(&samples::latents(5, count, size), &classes)
        .unwrap();
    assert_eq!(ours.len(), exported.data.len());
    let spread = ours.iter().fold(0f32, |m, v| m.max(v.abs()));
    assert!(spread > 1e-3, "the images are blank");
    for (a, b) in ours.iter().zip(&exported.data) {
        assert!((a - b).abs() < 1e-5, "{a} against {b}");
    }
}

#[test]
fn what_was_trained_is_what_is_exported() {
    for size in [Size::Nano, Size::Small] {
        let mut gan = train(&settings(size, Shape::new(1, 28, 28)), 3);
        gan.settle_average().unwrap();
        assert_export_agrees(gan.average());
        assert_export_agrees(&gan.generator.model);
    }
}

#[test]
fn colour_images_keep_their_channels() {
    for recipe in [Recipe::Dcgan, Recipe::Vae] {
        let mut gan = train(&of(recipe, Size::Nano, Shape::new(3, 8, 12)), 2);
        gan.settle_average().unwrap();
        assert_export_agrees(gan.average());
    }
}

/// Every kind of layer, dense batch norm before the picture included.
#[test]
fn every_layer_is_exported_as_it_is_trained() {
    let conv = |channels, kernel, padding| Layer::Conv2d {
        channels,
        kernel,
        stride: 1,
        padding,
        bias: true,
    };
    let network = Network::chain(
        Shape::features(6),
        vec![
            Layer::Linear {
                features: 20,
                bias: true,
            },
            Layer::LeakyRelu { slope: 0.2 },
            Layer::Linear {
                features: 4 * 3 * 5,
                bias: false,
            },
            Layer::Reshape(Shape::new(4, 3, 5)),
            Layer::batch_norm(),
            Layer::Tanh,
            Layer::Upsample { factor: 2 },
            conv(3, 3, 1),
            Layer::batch_norm(),
            Layer::Relu,
            conv(2, 1, 0),
            Layer::Sigmoid,
        ],
    );
    let mut rng = Rng::new(1, Stream::Initialization);
    let mut parameters = Initialization::Dcgan
        .parameters(&network, &mut rng)
        .unwrap();
    for (name, tensor) in &mut parameters.tensors {
        for value in &mut tensor.data {
            *value = match name.rsplit('.').next() {
                Some("variance" | "gamma") => 0.5 + rng.uniform() as f32,
                _ => 0.4 * rng.normal() as f32,
            };
        }
    }
    let model = Model::new(Cpu::default(), &network, &parameters).unwrap();
    assert_eq!(model.parameters().unwrap(), parameters);
    assert_export_agrees(&model);
}

/// The embedding is joined behind the latent, by the trained model as by the folding that takes it out.
#[test]
fn a_conditional_generator_is_exported_as_it_is_trained() {
    let network = networks::conditional(networks::dcgan(8, 4), 4, 6);
    let parameters = networks::random_parameters(&network, 2);
    assert_export_agrees(&Model::new(Cpu::default(), &network, &parameters).unwrap());
}

#[test]
fn a_seed_gives_the_same_weights_with_any_number_of_threads() {
    for recipe in [Recipe::Dcgan, Recipe::Vae] {
        same_with_any_number_of_threads(recipe);
    }
}

fn same_with_any_number_of_threads(recipe: Recipe) {
    let state = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let settings = Settings {
                seed,
                ..of(recipe, Size::Nano, Shape::new(1, 28, 28))
            };
            let mut gan = train(&settings, 4);
            gan.settle_average().unwrap();
            checkpoint(&settings, &gan).encode().unwrap()
        })
    };
    let one = state(1, 7);
    for threads in [1, 2, 3] {
        assert!(state(threads, 7) == one, "{threads} threads");
    }
    assert!(state(2, 8) != one);
}

/// The exponential average from its definition, in f64: the decay is that of the settings, or `t / (t + 9)` in the
/// first steps.
#[test]
fn the_average_is_that_of_the_weights_of_all_steps() {
    const DECAY: f64 = 0.3;
    let mut settings = settings(Size::Nano, Shape::new(1, 8, 8));
    settings.ema_decay = DECAY;
    let trained = |steps| train(&settings, steps);
    let mut expected = trained(0).generator.model.parameters().unwrap();
    expected
        .tensors
        .retain(|name, _| !name.ends_with("mean") && !name.ends_with("variance"));
    for t in 1..=8u8 {
        let gan = trained(usize::from(t));
        let (now, average) = (gan.generator.model.parameters(), gan.average().parameters());
        let (now, average) = (now.unwrap(), average.unwrap());
        assert_ne!(now, average);
        let decay = DECAY.min(f64::from(t) / f64::from(t + 9));
        for (name, tensor) in &mut expected.tensors {
            let (now, average) = (&now.tensors[name], &average.tensors[name]);
            for (i, value) in tensor.data.iter_mut().enumerate() {
                let next = f64::from(*value) * decay + f64::from(now.data[i]) * (1.0 - decay);
                let found = f64::from(average.data[i]);
                assert!((found - next).abs() < 1e-6, "{name}: {found}, not {next}");
                *value = average.data[i];
            }
        }
    }
}

#[test]
fn a_checkpoint_holds_the_averaged_generator() {
    let settings = settings(Size::Nano, Shape::new(1, 28, 28));
    let mut gan = train(&settings, 3);
    gan.settle_average().unwrap();
    let bytes = checkpoint(&settings, &gan).encode().unwrap();
    let read = Checkpoint::decode(&bytes).unwrap();
    assert_eq!((read.gan.steps, read.recipe.as_str()), (3, "seed = 7"));
    let (network, average) = read.generator().unwrap();
    assert_eq!(network, gan.average().network());
    assert_eq!(average, &gan.average().parameters().unwrap());
}

/// All that a step changes is in a checkpoint: the steps after it are those that would have followed.
#[test]
fn a_restored_gan_goes_on_as_the_one_it_was_saved_from() {
    for recipe in [Recipe::Dcgan, Recipe::Vae] {
        goes_on_as_it_was(&of(recipe, Size::Nano, Shape::new(1, 28, 28)));
    }
}

fn goes_on_as_it_was(settings: &Settings) {
    let mut gan = train(settings, 3);
    let bytes = checkpoint(settings, &gan).encode().unwrap();
    let state = Checkpoint::decode(&bytes).unwrap().gan;
    assert_eq!(state, gan.state().unwrap());
    let mut again = Gan::restore(Cpu::default(), settings, &state).unwrap();
    let real: Vec<f32> = (0..BATCH * 784).map(|i| (i % 97) as f32 / 97.0).collect();
    for _ in 0..3 {
        assert_eq!(
            gan.step(BATCH, &real, &[]).unwrap(),
            again.step(BATCH, &real, &[]).unwrap()
        );
        assert!(gan.state().unwrap() == again.state().unwrap());
    }
}

/// The generator's and the discriminator's losses start at the value of an undecided verdict.
#[test]
fn losses_begin_at_ln_2() {
    let settings = settings(Size::Nano, Shape::new(1, 28, 28));
    let mut gan = Gan::new(Cpu::default(), &settings).unwrap();
    let losses = gan.step(BATCH, &vec![0.1; BATCH * 784], &[]).unwrap();
    let ln_2 = std::f32::consts::LN_2;
    let [discriminator, generator] =
        ["discriminator", "generator"].map(|key| losses.get(key).unwrap());
    assert!((discriminator - 2.0 * ln_2).abs() < 0.05, "{losses:?}");
    assert!((generator - ln_2).abs() < 0.1, "{losses:?}");
}
