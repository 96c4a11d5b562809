//! `trainer verify`: the runtime against tract and ONNX Runtime.

use super::export::{checkpoint, way_back};
use super::pixels::PixelModel;
use super::{Failure, print_json};
use crate::engines::{EngineError, read, reads_pictures};
use crate::export::{BACK_ONNX, FLOAT_ONNX, INT8_BLOB, translator};
use crate::parameters::Parameters;
use crate::spec::Network;
use crate::verify::{
    Comparison, ExportedModel, Verification, VerifyError, verify, verify_pictures, verify_pixels,
};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::IsTerminal;
use std::path::PathBuf;

/// Compare an exported model in the runtime with tract and with ONNX Runtime.
///
/// The folder must hold model.onnx, model-int8.onnx, model.pgan and model-f32.pgan, as `trainer fit` leaves them.
///
/// int8: each layer, given the same input, may differ from the same layer of the QDQ model by one quantum, and by 9/16
/// of one from what that has before it rounds. The whole network is bounded on average, since a number that rounds to
/// the other side in an early layer can move a pixel by many quanta: over all pixels, what is beyond these 9/16 may
/// come to 0.05 quanta, and as much more as the differences of the layers before the last move the pixels.
///
/// Floats: pixels may differ by 2e-6 on average, and by 1e-4 at most. In both, the runtime's fast kernels must give the
/// very bits of its reference kernels. A model with classes is asked for each in turn.
///
/// Of a model that reads pictures the folder must hold model.onnx; the other three are compared if they are there, in
/// the same way. The trainer's own arithmetic, tract and ONNX Runtime may differ by 1e-5 at most. All are given
/// pictures drawn from the seed; of large ones fewer than --count says. back.onnx beside it is compared too.
///
/// Of a model that draws pixel by pixel the folder must hold model.onnx and model.safetensors. The probabilities of
/// each pixel's levels may differ by 1e-5 at most.
///
/// Exits with 1 if anything is further apart. Where ONNX Runtime is missing, a warning says so and tract runs the QDQ
/// model in its place, with the same bounds; that does not change the exit code.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// A run's folder, or a model's folder in models/.
    folder: PathBuf,
    /// How many latents, or pictures, to compare on.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(256..=1 << 20))]
    count: u32,
    /// Seed of the first latent; the others follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object: folder, count, seed; passes; without_onnx_runtime, why it took no
    /// part, or null; comparisons, each with
    /// what, unit, largest, largest_bound, mean, mean_bound. A bound is null where there is none.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    folder: String,
    count: usize,
    seed: u64,
    passes: bool,
    without_onnx_runtime: Option<&'a str>,
    comparisons: &'a [Comparison],
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Failed { .. } => Self::Run(error.into()),
            _ => Self::Input(error.to_string()),
        }
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Engine(error) => error.into(),
            _ => Self::Input(error.to_string()),
        }
    }
}

/// Runs `trainer verify`.
///
/// # Errors
/// A folder without the four files of one model, as bad input; engines that are too far apart, or
/// that fail.
pub fn run(args: VerifyArgs) -> Result<(), Failure> {
    let pixels = PixelModel::find(&args.folder)?;
    let found = if let Some(model) = &pixels {
        of_pixels(&args, model)?
    } else if reads_pictures(&args.folder.join(FLOAT_ONNX)) {
        of_pictures(&args)?
    } else {
        of_forms(&args)?
    };
    let failed = found.failures().len();
    if args.json {
        print_json(&Report {
            folder: args.folder.display().to_string(),
            count: found.count,
            seed: args.seed,
            passes: failed == 0,
            without_onnx_runtime: found.without_onnx_runtime.as_deref(),
            comparisons: &found.comparisons,
        })?;
    } else {
        print_table(&found);
    }
    match failed {
        0 => Ok(()),
        n => Err(Failure::Run(anyhow::anyhow!(
            "{n} of {} comparisons are out of bounds",
            found.comparisons.len()
        ))),
    }
}

/// The four forms of a model are compared.
fn of_forms(args: &VerifyArgs) -> Result<Verification, Failure> {
    let model = ExportedModel::read(&args.folder)?;
    let progress = Progress::new();
    let outcome = verify(&model, args.seed, args.count as usize, &mut |done, of| {
        progress.show(done, of);
    });
    progress.finish();
    let found = outcome?;
    if let Some(reason) = &found.without_onnx_runtime {
        tell!(
            "warning: {reason}. tract took its place: the runtime was compared with tract alone, in f32, layer by layer in \
             int8 and as a whole, and its fast kernels with its reference kernels"
        );
    }
    Ok(found)
}

/// The engines, and the sampler, are compared with the full pass of a network that draws pixel by pixel.
fn of_pixels(args: &VerifyArgs, model: &PixelModel) -> Result<Verification, Failure> {
    let path = args.folder.join(FLOAT_ONNX);
    let bytes = read(&path)?;
    if bytes != model.onnx()? {
        return Err(Failure::Input(format!(
            "{} is not of the network in {}: export the run again",
            path.display(),
            model.path.display()
        )));
    }
    let network = (&model.network, &model.parameters);
    let found = verify_pixels(&bytes, network, args.seed, args.count as usize)?;
    if let Some(reason) = &found.without_onnx_runtime {
        tell!("warning: {reason}. ONNX Runtime took no part");
    }
    Ok(found)
}

/// The engines are compared with the networks of the run's newest or best checkpoint, whichever was exported.
fn of_pictures(args: &VerifyArgs) -> Result<Verification, Failure> {
    let mut found = Vec::new();
    if args.folder.join("checkpoints").is_dir() {
        let all = [false, true].map(|best| checkpoint(&args.folder, best));
        found.extend(all.into_iter().flatten());
    }
    let mut verification: Option<Verification> = None;
    for name in [FLOAT_ONNX, BACK_ONNX] {
        let path = args.folder.join(name);
        if name == BACK_ONNX && !path.exists() {
            continue;
        }
        let bytes = read(&path)?;
        let trained = found.iter().filter_map(|found| match name {
            BACK_ONNX => way_back(&found.checkpoint),
            _ => found.checkpoint.generator(),
        });
        let is_exported = |&(network, parameters): &(&Network, &Parameters)| {
            translator(network, parameters).is_ok_and(|exported| exported == bytes)
        };
        let trained = trained.into_iter().find(is_exported);
        if trained.is_none() {
            tell!(
                "{} is of no checkpoint there: the engines are compared with each other alone",
                path.display()
            );
        }
        let of_file = verify_pictures(&path, trained, args.seed, args.count as usize)?;
        match &mut verification {
            None => verification = Some(of_file),
            Some(all) => {
                let back = of_file.comparisons.into_iter();
                all.comparisons.extend(back.map(|comparison| Comparison {
                    what: format!("back: {}", comparison.what),
                    ..comparison
                }));
            }
        }
    }
    let mut found = verification.context("there is no model")?;
    if args.folder.join(INT8_BLOB).exists() {
        let on_device = of_forms(args)?;
        found.comparisons.extend(on_device.comparisons);
    }
    if let Some(reason) = &found.without_onnx_runtime {
        tell!("warning: {reason}. ONNX Runtime took no part");
    }
    Ok(found)
}

/// A progress bar on a terminal, a line every so often otherwise.
struct Progress(Option<ProgressBar>);

impl Progress {
    /// Inputs from one line to the next.
    const LINE: usize = 1024;

    fn new() -> Self {
        Self(std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            let template = "{bar:32} {pos} of {len} inputs  {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        }))
    }

    fn show(&self, done: usize, of: usize) {
        match &self.0 {
            Some(bar) => {
                bar.set_length(of as u64);
                bar.set_position(done as u64);
            }
            None if done.is_multiple_of(Self::LINE) => tell!("compared {done} of {of} inputs"),
            None => {}
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn print_table(found: &Verification) {
    let comparisons = &found.comparisons;
    let width = comparisons.iter().map(|c| c.what.len()).max().unwrap_or(0);
    say!(
        "{:width$}  {:>9}  {:>9}  {:>9}  {:>9}",
        format!("absolute differences over {} inputs", found.count),
        "largest",
        "at most",
        "mean",
        "at most"
    );
    for c in comparisons {
        let [largest_bound, mean_bound] =
            [c.largest_bound, c.mean_bound].map(|bound| bound.map_or_else(String::new, number));
        let verdict = if c.passes() { "" } else { "  too far apart" };
        say!(
            "{:width$}  {:>9}  {largest_bound:>9}  {:>9}  {mean_bound:>9}  {}{verdict}",
            c.what,
            number(c.largest),
            number(c.mean),
            c.unit
        );
    }
}

/// A number in as few characters as it takes.
fn number(x: f64) -> String {
    if x == 0.0 || (0.001..1e5).contains(&x) {
        format!("{}", (x * 1e4).round() / 1e4)
    } else {
        format!("{x:.1e}")
    }
}
