//! `trainer bench`: how fast training is.

use super::Failure;
use crate::gan::{self, Gan, Objective, Settings, Size};
use crate::nn::Initialization;
use crate::ops::cpu::account;
use crate::optim::AdamConfig;
use crate::rng::{Rng, Stream};
use crate::spec::Shape;
use clap::ValueEnum;
use dfdx::prelude::Cpu;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Measure full GAN steps (both updates) on the CPU, in images a second.
///
/// Images are noise of Fashion-MNIST's size: the arithmetic does not depend on what they show.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// Measure only this network; all of them otherwise.
    #[arg(long)]
    net: Option<Net>,
    /// Images a step.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Threads to compute with.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Seconds to measure each network for, after a warm-up of a quarter of that.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Keep an account of where the time goes, a line for each kind of work.
    #[arg(long)]
    profile: bool,
    /// Print one JSON object a network.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Net {
    /// Dense: 100-128-256-784 against 784-256-128-1.
    Mlp,
    /// DCGAN, size nano.
    Nano,
    /// DCGAN, size small.
    Small,
    /// DCGAN, size full.
    Full,
    /// DCGAN, size small, with the Wasserstein distance and the gradient penalty.
    WganGp,
}

#[derive(Serialize)]
struct Measured {
    net: Net,
    batch: u32,
    threads: u16,
    images_per_s: f64,
}

pub fn run(args: BenchArgs) -> Result<(), Failure> {
    if !(args.seconds > 0.0 && args.seconds <= 3600.0) {
        return Err(Failure::Input(
            "--seconds must be above 0 and at most 3600".into(),
        ));
    }
    let pool = super::thread_pool(args.threads)?;
    let nets = args
        .net
        .map_or_else(|| Net::value_variants().to_vec(), |net| vec![net]);
    for net in nets {
        let images_per_s = pool.install(|| measure(net, &args))?;
        let measured = Measured {
            net,
            batch: args.batch,
            threads: args.threads,
            images_per_s,
        };
        if args.json {
            super::print_json(&measured)?;
        } else {
            say!("{net:?}: {images_per_s:.0} images/s");
        }
    }
    Ok(())
}

fn measure(net: Net, args: &BenchArgs) -> Result<f64, Failure> {
    let image = Shape::new(1, 28, 28);
    let (generator, discriminator) = match net {
        Net::Mlp => (gan::mlp::generator(image), gan::mlp::discriminator(image)),
        Net::Nano => gan::dcgan::networks(Size::Nano, image),
        Net::Small | Net::WganGp => gan::dcgan::networks(Size::Small, image),
        Net::Full => gan::dcgan::networks(Size::Full, image),
    };
    let (objective, gradient_penalty) = match net {
        Net::WganGp => (Objective::Wasserstein, Some(10.0)),
        _ => (Objective::NonSaturating, None),
    };
    let settings = Settings {
        generator,
        discriminator,
        objective,
        gradient_penalty,
        initialization: Initialization::Dcgan,
        adam: AdamConfig {
            learning_rate: 2e-4,
            beta1: 0.5,
            beta2: 0.999,
            epsilon: 1e-8,
        },
        ema_decay: 0.999,
        seed: 1,
    };
    let mut gan = Gan::new(Cpu::default(), &settings)?;
    let n = args.batch as usize;
    let mut rng = Rng::new(1, Stream::Order(0));
    let real: Vec<f32> = (0..n * image.len())
        .map(|_| rng.uniform() as f32 * 2.0 - 1.0)
        .collect();
    let mut steps_for = |seconds: f64| -> Result<f64, Failure> {
        let (start, mut steps) = (Instant::now(), 0u32);
        while start.elapsed() < Duration::from_secs_f64(seconds) {
            gan.step(n, &real)?;
            steps += 1;
        }
        Ok(f64::from(steps) * n as f64 / start.elapsed().as_secs_f64())
    };
    steps_for(args.seconds / 4.0)?;
    if args.profile {
        account::open();
    }
    let start = Instant::now();
    let s = steps_for(args.seconds)?;
    if args.profile {
        let wall = start.elapsed().as_secs_f64() * f64::from(args.threads);
        let mut rest = 1.0;
        for (work, spent) in account::close() {
            let share = spent.as_secs_f64() / wall;
            rest -= share;
            eprintln!("{:<20} {:5.1} %", work.name(), share * 100.0);
        }
        eprintln!("{:<20} {:5.1} %", "waiting, tape, rest", rest * 100.0);
    }
    Ok(s)
}
