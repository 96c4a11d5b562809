//! Networks that grow: nothing jumps where a phase begins, and what fits an engine in one phase does in all.

use pocketgan_tests::unfolded;
use pocketgan_trainer::engines::{Arithmetic, OrtGraph};
use pocketgan_trainer::gan::{Batch, Gan, Recipe, Settings, Size};
use pocketgan_trainer::nn::Model;
use pocketgan_trainer::ops::Cpu;
use pocketgan_trainer::rng::{Rng, Stream};
use pocketgan_trainer::samples;
use pocketgan_trainer::spec::Shape;

const IMAGE: Shape = Shape::new(3, 16, 16);
const COUNT: usize = 8;
/// Steps of a phase: so many that the first share is next to nothing.
const STEPS: u32 = 1 << 20;

/// Networks that learn nothing, so that only growing changes them.
fn settings() -> Settings {
    let mut settings = Recipe::Progressive.parts(Size::Nano, IMAGE).settings(5);
    settings.growth.as_mut().unwrap().steps = STEPS;
    settings.optimizer.learning_rate = 0.0;
    settings
}

fn images(rng: &mut Rng) -> Vec<f32> {
    let numbers = COUNT * IMAGE.len();
    (0..numbers)
        .map(|_| 2.0 * rng.uniform() as f32 - 1.0)
        .collect()
}

/// What the averaged generator makes of some latents, and what the discriminator says of some images.
fn outputs(gan: &Gan<Cpu>) -> [Vec<f32>; 2] {
    let made = gan.average();
    let latents = samples::latents(3, COUNT, made.network().input.len());
    let seen = &gan.others[0].model;
    let real = images(&mut Rng::new(1, Stream::Order(0)));
    [
        made.evaluate(&latents, &[]).unwrap(),
        seen.evaluate(&real, &[]).unwrap(),
    ]
}

fn step(gan: &mut Gan<Cpu>) {
    let real = images(&mut Rng::new(2, Stream::Order(0)));
    let losses = gan.step(Batch::new(COUNT, &real, &[])).unwrap();
    assert!(losses.is_finite());
}

#[test]
fn nothing_jumps_where_a_phase_begins() {
    let settings = settings();
    let phases = settings.growth.as_ref().unwrap().phases.len();
    assert_eq!(phases, 5);
    let mut gan = Gan::new(Cpu::default(), &settings).unwrap();
    for phase in 1..phases {
        let mut state = gan.state().unwrap();
        state.steps = STEPS * phase as u32;
        gan = Gan::restore(Cpu::default(), &settings, &state).unwrap();
        let before = outputs(&gan);
        let layers = gan.average().network().layers.len();
        step(&mut gan);
        assert_ne!(gan.average().network().layers.len(), layers);
        for (before, after) in before.iter().zip(outputs(&gan)) {
            let spread = before.iter().fold(0f32, |most, v| most.max(v.abs()));
            assert!(spread > 1e-3);
            for (a, b) in before.iter().zip(&after) {
                assert!((a - b).abs() < 1e-4, "phase {phase}: {a} against {b}");
            }
        }
    }
}

/// Half-way through a phase the blend counts: ONNX Runtime, on the networks layer for layer, gives the same.
#[test]
fn a_blend_is_what_onnx_runtime_makes_of_it() {
    let settings = settings();
    for phase in [1, 3] {
        let growth = settings.growth.as_ref().unwrap();
        let networks = growth.networks(STEPS * phase + STEPS / 3);
        for named in networks.iter() {
            let network = &named.network;
            assert!(network.blends());
            let mut rng = Rng::new(4, Stream::Initialization);
            let numbers = settings
                .initialization
                .parameters(network, &mut rng)
                .unwrap();
            let model = Model::new(Cpu::default(), network, &numbers).unwrap();
            let x: Vec<f32> = (0..COUNT * network.input.len())
                .map(|_| rng.normal() as f32)
                .collect();
            let ours = model.evaluate(&x, &[]).unwrap();
            let whole = unfolded::onnx(network, &numbers);
            let mut whole = OrtGraph::new(&whole, Arithmetic::AsWritten).unwrap();
            let expected = whole.run_classes(&x, &[network.input.len()], &[]).unwrap();
            assert_eq!(ours.len(), expected.len());
            for (a, b) in ours.iter().zip(&expected) {
                assert!((a - b).abs() < 1e-4, "{}: {a} against {b}", named.name);
            }
        }
    }
}

/// Shares rise from one step to the next, to one at the end of a phase; sizes stay between.
#[test]
fn phases_follow_each_other_by_steps() {
    let mut growth = settings().growth.unwrap();
    growth.steps = 4;
    let factors: Vec<usize> = (1..=24).map(|steps| growth.phase(steps).factor).collect();
    let expected = [[4; 4], [2; 4], [2; 4], [1; 4], [1; 4], [1; 4]].concat();
    assert_eq!(factors, expected);
    let ends: Vec<u32> = (0..40).filter(|&steps| growth.ends_a_size(steps)).collect();
    assert_eq!(ends, [4, 12]);
    for (steps, share) in [(5, 0.25), (6, 0.5), (8, 1.0), (13, 0.25)] {
        let mut expected = growth.phase(steps).networks.clone();
        expected
            .iter_mut()
            .for_each(|named| named.network.set_share(share));
        assert_eq!(growth.networks(steps), expected, "{steps}");
    }
}
