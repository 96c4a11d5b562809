//! Training: what is trained is what is exported, and a seed is a result.

use pocketgan_tests::networks;
use pocketgan_trainer::engines::{Engine, TractEngine, latents};
use pocketgan_trainer::export::fold::fold;
use pocketgan_trainer::export::onnx::{OnnxModel, float_model};
use pocketgan_trainer::gan::checkpoint::{Checkpoint, Position};
use pocketgan_trainer::gan::{
    Adversarial, Batch, DiffAugment, Game, Gan, GanState, Objective, Recipe, Settings, Size, TopK,
};
use pocketgan_trainer::nn::{Initialization, Model};
use pocketgan_trainer::ops::Cpu;
use pocketgan_trainer::optim::OptimizerKind;
use pocketgan_trainer::parameters::HostTensor;
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

fn checkpoint(gan: &Gan<Cpu>) -> Checkpoint {
    Checkpoint {
        gan: gan.state().unwrap(),
        networks: gan.networks(),
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
        let losses = gan.step(Batch::new(BATCH, &real, &[])).unwrap();
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
            checkpoint(&gan).encode().unwrap()
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
    let bytes = checkpoint(&gan).encode().unwrap();
    let read = Checkpoint::decode(&bytes).unwrap();
    assert_eq!((read.gan.steps, read.recipe.as_str()), (3, "seed = 7"));
    let (network, average) = read.generator().unwrap();
    assert_eq!(network, gan.average().network());
    assert_eq!(average, &gan.average().parameters().unwrap());
}

/// All that a step changes is in a checkpoint: the steps after it are those that would have followed.
#[test]
fn a_restored_gan_goes_on_as_the_one_it_was_saved_from() {
    let mut all = [Recipe::Dcgan, Recipe::Vae, Recipe::Relativistic]
        .map(|recipe| of(recipe, Size::Nano, Shape::new(1, 28, 28)));
    for settings in &all {
        goes_on_as_it_was(settings);
    }
    // Saved in the middle of a phase, at the end of one, and before the first.
    for steps in [2, 3, 4] {
        let mut growing = of(Recipe::Progressive, Size::Nano, Shape::new(1, 28, 28));
        growing.growth.as_mut().unwrap().steps = steps;
        goes_on_as_it_was(&growing);
    }
    let top_k = TopK {
        share: 0.5,
        decay: 0.8,
        first_step: 1,
        steps_an_epoch: 2,
    };
    for settings in &mut all {
        if let Game::Adversarial(rules) = &mut settings.game {
            rules.diff_augment = DiffAugment::All;
            rules.top_k = Some(top_k);
        }
        goes_on_as_it_was(settings);
    }
}

/// How the bias of a generator of one linear layer moves in a step of gradient descent, against a critic that gives the
/// sum of an image times `weights`: by the mean gradient of what the critic saw. Then the product of the layer's weight
/// and its movement: the mean over the images that it learned from of what the critic gave them, but for the bias.
fn movement(weights: &[f32], rules: impl FnOnce(&mut Adversarial)) -> (Vec<f32>, f32) {
    let linear = |features| Layer::Linear {
        features,
        bias: true,
    };
    let image = Shape::new(1, 8, 8);
    let generator = vec![linear(image.len()), Layer::Reshape(image)];
    let mut settings = settings(Size::Nano, image);
    settings.networks = Adversarial::networks(
        Network::chain(Shape::features(3), generator),
        Network::chain(image, vec![Layer::Flatten, linear(1)]),
    );
    let mut adversarial = Adversarial::new(Objective::Wasserstein);
    rules(&mut adversarial);
    settings.game = adversarial.into();
    settings.optimizer = OptimizerKind::Sgd.with_rate(1.0);
    settings
        .rates
        .insert(Adversarial::DISCRIMINATOR.into(), 0.0);
    let mut state = Gan::new(Cpu::default(), &settings)
        .unwrap()
        .state()
        .unwrap();
    let critic = state.networks.get_mut(Adversarial::DISCRIMINATOR).unwrap();
    let weight = HostTensor {
        shape: vec![1, image.len()],
        data: weights.to_vec(),
    };
    critic.parameters.tensors.insert("1.weight".into(), weight);
    // After an epoch of one step.
    state.steps = 1;
    let mut gan = Gan::restore(Cpu::default(), &settings, &state).unwrap();
    gan.step(Batch::new(BATCH, &vec![0.1; BATCH * image.len()], &[]))
        .unwrap();
    let after = gan.state().unwrap();
    let of = |state: &GanState, name: &str| {
        let generator = &state.networks[Adversarial::GENERATOR].parameters;
        generator.tensors[name].data.clone()
    };
    let moved = |name: &str| -> Vec<f32> {
        let moved = of(&after, name).into_iter().zip(of(&state, name));
        moved.map(|(after, before)| after - before).collect()
    };
    let products = moved("0.weight").into_iter().zip(of(&state, "0.weight"));
    let given = products.map(|(moved, weight)| moved * weight).sum();
    (moved("0.bias"), given)
}

/// The generator's gradient passes back through what was done to its images.
#[test]
fn a_generator_learns_what_the_discriminator_saw() {
    let close = |a: f32, b: f32| (a - b).abs() < 1e-5;
    let ones = [1.0; 64];
    let (plain, of_all) = movement(&ones, |_| {});
    assert!(plain.iter().all(|&moved| close(moved, 1.0)));
    // A pixel moves by the share of the images in which it was seen.
    let (cut, _) = movement(&ones, |rules| rules.diff_augment = DiffAugment::Cutout);
    let seen = cut.iter().map(|moved| moved * BATCH as f32);
    assert!(seen.clone().all(|seen| close(seen, seen.round())));
    // A square of four by four is cut out of each image; at the edge, down to a quarter of it.
    let hidden: f32 = seen.map(|seen| BATCH as f32 - seen).sum();
    let range = 4.0 * BATCH as f32..16.0 * BATCH as f32;
    assert!(range.contains(&hidden), "{hidden}");
    // What is seen of one pixel comes from those beside it.
    let mut one = [0.0; 64];
    one[3 * 8 + 4] = 1.0;
    let (moved, _) = movement(&one, |rules| rules.diff_augment = DiffAugment::Translation);
    assert!(close(moved.iter().sum(), 1.0));
    assert!(moved[3 * 8 + 4] < 0.9);
    for (i, &moved) in moved.iter().enumerate() {
        let near = (2..=4).contains(&(i / 8)) && (3..=5).contains(&(i % 8));
        assert!(near || moved == 0.0, "pixel {i}");
    }
    // A quarter of the batch is learned from as much as all of it; it is what the critic gives the most.
    let top_k = TopK {
        share: 0.25,
        decay: 0.25,
        first_step: 0,
        steps_an_epoch: 1,
    };
    let (best, of_best) = movement(&ones, |rules| rules.top_k = Some(top_k));
    assert!(of_best > of_all + 0.1, "{of_best} against {of_all}");
    assert!(best.iter().all(|&moved| close(moved, 1.0)));
}

fn goes_on_as_it_was(settings: &Settings) {
    let mut gan = train(settings, 3);
    let bytes = checkpoint(&gan).encode().unwrap();
    let state = Checkpoint::decode(&bytes).unwrap().gan;
    assert_eq!(state, gan.state().unwrap());
    let mut again = Gan::restore(Cpu::default(), settings, &state).unwrap();
    let real: Vec<f32> = (0..BATCH * 784).map(|i| (i % 97) as f32 / 97.0).collect();
    for _ in 0..3 {
        assert_eq!(
            gan.step(Batch::new(BATCH, &real, &[])).unwrap(),
            again.step(Batch::new(BATCH, &real, &[])).unwrap()
        );
        assert!(gan.state().unwrap() == again.state().unwrap());
    }
}

/// The generator's and the discriminator's losses start at the value of an undecided verdict.
#[test]
fn losses_begin_at_ln_2() {
    let settings = settings(Size::Nano, Shape::new(1, 28, 28));
    let mut gan = Gan::new(Cpu::default(), &settings).unwrap();
    let losses = gan
        .step(Batch::new(BATCH, &vec![0.1; BATCH * 784], &[]))
        .unwrap();
    let ln_2 = std::f32::consts::LN_2;
    let [discriminator, generator] =
        ["discriminator", "generator"].map(|key| losses.get(key).unwrap());
    assert!((discriminator - 2.0 * ln_2).abs() < 0.05, "{losses:?}");
    assert!((generator - ln_2).abs() < 0.1, "{losses:?}");
}
