//! `trainer fit`: train, evaluate, export.

mod options;
mod screen;
mod summary;

use super::Failure;
use crate::data::{self, Images, Split};
use crate::files::write_whole;
use crate::gan::Settings;
use crate::gan::fit::{self, FitError, Run};
use crate::metrics::FidCls;
use crate::ops::Device;
use crate::spec::{Network, Shape};
use dfdx::prelude::Cpu;
use options::{DeviceKind, Options, Plan, input};
use screen::Screen;
use std::path::{Path, PathBuf};
use summary::Summary;

/// Train a generator on real images and export it for the device.
///
/// Leaves everything in one folder: config.toml, stats.jsonl, losses.png, samples/, samples.png,
/// checkpoints/, model.onnx, model-int8.onnx, model.pgan (int8, what the device runs) and
/// model-f32.pgan.
#[derive(Debug, clap::Args)]
pub struct FitArgs {
    #[command(flatten)]
    options: Options,
    /// A TOML file whose keys are these flags' names; a flag overrides its key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(args: FitArgs) -> Result<(), Failure> {
    let plan = Plan::new(match &args.config {
        Some(path) => args.options.or(Options::read(path)?),
        None => args.options,
    })?;
    let pool = super::thread_pool(plan.threads)?;
    match plan.device {
        DeviceKind::Cpu => pool.install(|| fit_on(Cpu::default(), &plan)),
        #[cfg(feature = "cuda")]
        kind => match dfdx::prelude::Cuda::try_build(0, plan.seed) {
            Ok(gpu) => fit_on(gpu, &plan),
            Err(_) if kind == DeviceKind::Auto => {
                eprintln!("no GPU was found: training on the CPU");
                pool.install(|| fit_on(Cpu::default(), &plan))
            }
            Err(error) => input(format!("no GPU can be used: {error:?}")),
        },
        #[cfg(not(feature = "cuda"))]
        DeviceKind::Auto => {
            eprintln!("this build has no CUDA: training on the CPU");
            pool.install(|| fit_on(Cpu::default(), &plan))
        }
        #[cfg(not(feature = "cuda"))]
        DeviceKind::Cuda => {
            input("this build has no CUDA: build with `--features cuda`, or choose --device cpu")
        }
    }
}

fn fit_on<D: Device<f32>>(device: D, plan: &Plan) -> Result<(), Failure> {
    let config = plan.to_toml()?;
    let judge = FidCls::new(plan.dataset).map_err(anyhow::Error::from)?;
    create_folder(&plan.out, &config)?;
    let (images, settings) = match prepare(plan) {
        Ok(prepared) => prepared,
        Err(failure) => {
            // Nothing was begun, so nothing is left.
            let _ = std::fs::remove_dir_all(&plan.out);
            return Err(failure);
        }
    };
    let shape = Shape::new(images.channels, images.height, images.width);
    eprintln!(
        "{}: {} images of {shape}; generator {} parameters, discriminator {}; into {}",
        plan.dataset,
        images.count,
        parameters(&settings.generator),
        parameters(&settings.discriminator),
        plan.out.display()
    );
    let run = Run {
        settings,
        length: plan.length,
        batch: plan.batch as usize,
        folder: plan.out.clone(),
        config,
    };
    let mut watch = Screen::new();
    let trained = fit::fit(device, &run, &images, judge.as_ref(), &mut watch).map_err(failure)?;
    watch.finish();
    let summary = Summary::new(plan, &trained, &images, shape)?;
    if plan.json {
        super::print_json(&summary)
    } else {
        summary.print();
        Ok(())
    }
}

/// The images to learn, and networks that fit them.
fn prepare(plan: &Plan) -> Result<(Images, Settings), Failure> {
    let options = data::Options {
        data_dir: plan.data_dir.clone(),
        ..data::Options::default()
    };
    let images = data::load(plan.dataset, Split::Train, &options)?;
    if images.count < plan.batch as usize {
        return input(format!(
            "--batch {} is more than the {} images there are",
            plan.batch, images.count
        ));
    }
    let shape = Shape::new(images.channels, images.height, images.width);
    let settings = plan.settings(shape);
    if settings.generator.output() != Ok(shape) {
        return input(format!(
            "this recipe makes images whose sides are multiples of 4, not {shape}"
        ));
    }
    Ok((images, settings))
}

/// Trained parameters of a network that was built.
fn parameters(network: &Network) -> usize {
    network.parameters().unwrap_or_default()
}

/// A file that cannot be written is the user's to mend.
fn failure(error: FitError) -> Failure {
    match error {
        FitError::Write { .. } => Failure::Input(error.to_string()),
        other => Failure::Run(other.into()),
    }
}

fn create_folder(out: &Path, config: &str) -> Result<(), Failure> {
    let create = || -> std::io::Result<()> {
        if let Some(parent) = out.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::create_dir(out)?;
        write_whole(&out.join("config.toml"), config.as_bytes())
    };
    create().or_else(|error| input(format!("cannot create {}: {error}", out.display())))
}
