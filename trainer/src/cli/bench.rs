//! `trainer bench`: how fast training is, and where its time goes.

use super::Failure;
use crate::gan::{Batch, Game, Gan, Recipe, Settings, Size, Sizes};
use crate::ops::Cpu;
use crate::ops::cpu::account;
use crate::rng::{Rng, Stream};
use crate::spec::Shape;
use clap::ValueEnum;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Measure full training steps (both networks' updates) on the CPU, in images a second.
///
/// Images are noise of Fashion-MNIST's size: the arithmetic does not depend on what they show.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// Measure only this network; all of them otherwise.
    #[arg(long)]
    net: Option<Net>,
    /// Images a step.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..=65_536))]
    batch: u32,
    /// Threads to compute with.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// Seconds to measure each network for, after a warm-up of a quarter of that.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Keep an account of the threads' time: each kind of work's share of it.
    #[arg(long)]
    profile: bool,
    /// Print one JSON object a network.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Net {
    /// Recipe pocket.
    Pocket,
    /// Recipe pocket, for images of 64x64 in colour.
    Pocket64,
    /// Dense: 100-128-256-784 against 784-256-128-1.
    Mlp,
    /// DCGAN, size nano.
    Nano,
    /// DCGAN, size small.
    Small,
    /// DCGAN, size full.
    Full,
    /// Recipe wgan-gp, size small, one update of the critic a step as in the others.
    WganGp,
    /// Recipe dense-bn.
    DenseBn,
    /// Recipe wgan, size small.
    Wgan,
    /// Recipe lsgan, size small.
    Lsgan,
    /// Recipe hinge, size small.
    Hinge,
    /// Recipe relativistic, size small.
    Relativistic,
    /// Recipe vae, size small.
    Vae,
}

#[derive(Serialize)]
struct Measured {
    net: Net,
    batch: u32,
    threads: u16,
    images_per_s: f64,
    /// The most memory that the process has held so far, where the system tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_bytes: Option<u64>,
    /// Shares of the threads' time by kind of work.
    #[serde(skip_serializing_if = "Option::is_none")]
    shares: Option<BTreeMap<&'static str, f64>>,
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
        let measured = pool.install(|| measure(net, &args))?;
        if args.json {
            super::print_json(&measured)?;
            continue;
        }
        say!("{net:?}: {:.0} images/s", measured.images_per_s);
        for (work, share) in measured.shares.into_iter().flatten() {
            say!("  {work:<20} {:>5.1} %", share * 100.0);
        }
    }
    Ok(())
}

fn measure(net: Net, args: &BenchArgs) -> Result<Measured, Failure> {
    let settings = settings(net);
    let n = args.batch as usize;
    let mut rng = Rng::new(1, Stream::Order(0));
    let image = settings.networks.generator.network.output();
    let image = image.map_err(anyhow::Error::from)?;
    let real: Vec<f32> = (0..n * image.len())
        .map(|_| rng.uniform() as f32 * 2.0 - 1.0)
        .collect();
    let mut gan = Gan::new(Cpu::default(), &settings)?;
    let mut steps_for = |seconds: f64| -> Result<(u32, Duration), Failure> {
        let (start, mut steps) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_secs_f64(seconds) {
            gan.step(Batch::new(n, &real, &[]))?;
            steps += 1;
        }
        Ok((steps, start.elapsed()))
    };
    steps_for(args.seconds / 4.0)?;
    if args.profile {
        account::open();
    }
    let (steps, elapsed) = steps_for(args.seconds)?;
    let shares = args.profile.then(|| shares(elapsed * args.threads.into()));
    Ok(Measured {
        net,
        batch: args.batch,
        threads: args.threads,
        images_per_s: f64::from(steps) * n as f64 / elapsed.as_secs_f64(),
        peak_bytes: peak_bytes(),
        shares,
    })
}

/// Closes the account over the threads' time in all.
fn shares(all: Duration) -> BTreeMap<&'static str, f64> {
    let spent = account::close();
    let mut shares: BTreeMap<_, _> = spent
        .into_iter()
        .map(|(work, spent)| (work.name(), spent.as_secs_f64() / all.as_secs_f64()))
        .collect();
    let rest = 1.0 - shares.values().sum::<f64>();
    shares.insert("tape, waiting, rest", rest);
    shares
}

/// Linux keeps the mark in kibibytes.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

fn settings(net: Net) -> Settings {
    let (recipe, size) = match net {
        Net::Pocket | Net::Pocket64 => (Recipe::Pocket, Size::Nano),
        Net::Mlp => (Recipe::Mlp, Size::Small),
        Net::Nano => (Recipe::Dcgan, Size::Nano),
        Net::Small => (Recipe::Dcgan, Size::Small),
        Net::Full => (Recipe::Dcgan, Size::Full),
        Net::WganGp => (Recipe::WganGp, Size::Small),
        Net::DenseBn => (Recipe::DenseBn, Size::Small),
        Net::Wgan => (Recipe::Wgan, Size::Small),
        Net::Lsgan => (Recipe::Lsgan, Size::Small),
        Net::Hinge => (Recipe::Hinge, Size::Small),
        Net::Relativistic => (Recipe::Relativistic, Size::Small),
        Net::Vae => (Recipe::Vae, Size::Small),
    };
    let image = match net {
        Net::Pocket64 => Shape::new(3, 64, 64),
        _ => Shape::new(1, 28, 28),
    };
    let sizes = Sizes {
        generator: size,
        discriminator: recipe
            .usual_sizes()
            .and_then(|usual| usual.discriminator)
            .unwrap_or(size),
    };
    let mut parts = recipe.parts(sizes, image);
    // One update of either network is what is measured.
    if let Game::Adversarial(rules) = &mut parts.game {
        rules.critic_steps = 1;
    }
    parts.settings(1)
}
