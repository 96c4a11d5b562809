//! The command line: one file a subcommand. The help texts are the documentation.

/// Prints a line on stdout. A reader that has gone away (`| head`) is no error.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// Prints a line on stderr. A terminal that was closed must not end a run.
macro_rules! tell {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

mod anomaly;
mod bench;
mod classifier;
mod data;
mod data_flags;
mod eval;
mod export;
mod fit;
mod inpaint;
mod inspect;
mod interpolate;
mod latent_search;
mod output;
mod pixels;
mod project;
mod recipes;
mod sample;
mod translate;
mod verify;

use crate::export::ExportError;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use std::path::Path;
use std::process::ExitCode;

/// Train a GAN on a laptop, sample from it on a microcontroller.
#[derive(Debug, Parser)]
#[command(name = "trainer", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Fit(Box<fit::FitArgs>),
    Recipes(recipes::RecipesArgs),
    Export(export::ExportArgs),
    Sample(sample::SampleArgs),
    Interpolate(interpolate::InterpolateArgs),
    Translate(translate::TranslateArgs),
    Project(project::ProjectArgs),
    Inpaint(inpaint::InpaintArgs),
    Anomaly(anomaly::AnomalyArgs),
    Eval(eval::EvalArgs),
    Inspect(inspect::InspectArgs),
    Verify(verify::VerifyArgs),
    Data(data::DataArgs),
    Bench(bench::BenchArgs),
    Classifier(classifier::ClassifierArgs),
}

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// What was asked for cannot be done: one sentence on what to do instead. Exit code 2.
    Input(String),
    /// The work itself failed. Exit code 1.
    Run(anyhow::Error),
    /// The user stopped it: how to go on. Exit code 130.
    Stopped(String),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Run(error)
    }
}

/// A file that cannot be written is the user's to repair.
impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Write { .. } => Self::Input(error.to_string()),
            // Its sentence holds those of its sources.
            other => Self::Run(anyhow::Error::msg(other.to_string())),
        }
    }
}

impl From<crate::nn::ModelError> for Failure {
    fn from(error: crate::nn::ModelError) -> Self {
        Self::Run(error.into())
    }
}

/// The command line: its subcommands with their flags and help texts.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command line that the process was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && error.kind() != HELP_INSTEAD => {
            return refuse(&complaint(&error));
        }
        Err(error) => error.exit(),
    };
    let outcome = match cli.command {
        Command::Fit(args) => fit::run(*args),
        Command::Recipes(args) => recipes::run(args),
        Command::Export(args) => export::run(args),
        Command::Sample(args) => sample::run(args),
        Command::Interpolate(args) => interpolate::run(args),
        Command::Translate(args) => translate::run(args),
        Command::Project(args) => project::run(args),
        Command::Inpaint(args) => inpaint::run(args),
        Command::Anomaly(args) => anomaly::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Data(args) => data::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Classifier(args) => classifier::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Input(sentence)) => refuse(&sentence),
        Err(Failure::Run(error)) => {
            tell!("error: {error:#}");
            ExitCode::FAILURE
        }
        Err(Failure::Stopped(sentence)) => {
            tell!("{sentence}");
            ExitCode::from(fit::INTERRUPTED)
        }
    }
}

/// Clap shows the whole help where a subcommand is missing.
const HELP_INSTEAD: clap::error::ErrorKind =
    clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;

fn refuse(sentence: &str) -> ExitCode {
    tell!("error: {sentence}");
    ExitCode::from(2)
}

/// What is wrong with the command line, in one line.
fn complaint(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:"));
    let words: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let sentence = words.join(" ");
    let sentence = sentence.trim_start_matches("error: ").trim_end_matches('.');
    let sentence = sentence.replace(" For more information, try '--help'", "");
    format!("{sentence} (see --help)")
}

/// A path as text; where it is not UTF-8, as near as can be.
fn lossy<S: serde::Serializer>(path: impl AsRef<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.as_ref().to_string_lossy())
}

/// A value's name on the command line.
fn name(value: impl ValueEnum) -> String {
    let named = value.to_possible_value();
    named.map_or_else(String::new, |named| named.get_name().to_owned())
}

/// Prints one JSON object on stdout.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(anyhow::Error::from)?;
    say!("{text}");
    Ok(())
}

/// Threads to compute with.
fn thread_pool(threads: u16) -> Result<rayon::ThreadPool, Failure> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(usize::from(threads))
        .build();
    Ok(pool.map_err(anyhow::Error::from)?)
}
