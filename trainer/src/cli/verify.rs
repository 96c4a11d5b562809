//! `trainer verify`: the runtime against tract and ONNX Runtime.

use super::{Failure, print_json};
use crate::engines::EngineError;
use crate::verify::{Comparison, ExportedModel, VerifyError, verify};
use serde::Serialize;
use std::path::PathBuf;

/// Compare an exported model in the runtime with tract and with ONNX Runtime.
///
/// The folder must hold model.onnx, model-int8.onnx, model.pgan and model-f32.pgan, as `trainer fit`
/// leaves them. In floats the engines may differ by 1e-5. In int8 each layer, given the same input, may
/// differ from the QDQ model by one quantum, and the whole network by two (one more with
/// int4 weights, and for each addition), 0.05 on average. The runtime's fast kernels must give the very bits of its reference kernels. A model with classes is asked for
/// each in turn. Exits with 1 if anything is further apart.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// A run's folder, or a model's folder in models/.
    folder: PathBuf,
    /// How many latents to compare on.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(256..=1 << 20))]
    count: u32,
    /// Seed of the first latent; the others follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    folder: String,
    count: u32,
    seed: u64,
    passes: bool,
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
    let model = ExportedModel::read(&args.folder)?;
    let comparisons = verify(&model, args.seed, args.count as usize)?;
    let failed = comparisons.iter().filter(|c| !c.passes()).count();
    if args.json {
        print_json(&Report {
            folder: args.folder.display().to_string(),
            count: args.count,
            seed: args.seed,
            passes: failed == 0,
            comparisons: &comparisons,
        })?;
    } else {
        print_table(&comparisons, args.count);
    }
    match failed {
        0 => Ok(()),
        n => Err(Failure::Run(anyhow::anyhow!(
            "{n} of {} comparisons are out of bounds",
            comparisons.len()
        ))),
    }
}

fn print_table(comparisons: &[Comparison], count: u32) {
    let width = comparisons.iter().map(|c| c.what.len()).max().unwrap_or(0);
    say!(
        "{:width$}  {:>9}  {:>9}  {:>9}  {:>9}",
        format!("absolute differences over {count} latents"),
        "largest",
        "at most",
        "mean",
        "at most"
    );
    for c in comparisons {
        let bound = c.mean_bound.map_or_else(String::new, number);
        let verdict = if c.passes() { "" } else { "  too far apart" };
        say!(
            "{:width$}  {:>9}  {:>9}  {:>9}  {bound:>9}  {}{verdict}",
            c.what,
            number(c.largest),
            number(c.largest_bound),
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
