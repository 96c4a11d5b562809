//! `cargo xtask fuzz`: hostile blobs for the parser and the kernels, under AddressSanitizer.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::{process, workspace};

/// The targets in `fuzz/fuzz_targets`.
const TARGETS: [&str; 2] = ["parse", "parse_and_run"];
/// Lets the stable compiler take the flags that sanitizers need.
const UNSTABLE_FLAGS: (&str, &str) = ("RUSTC_BOOTSTRAP", "1");
const CARGO_FUZZ: &str = "cargo-fuzz";
const CARGO_FUZZ_VERSION: &str = "0.13.2";
/// The largest blob that is tried, in bytes.
const MAX_LEN: u32 = 8192;
/// Seconds after which a blob is said to hang.
const TIMEOUT: u32 = 20;

#[derive(clap::Args)]
pub struct Arguments {
    /// How long to run each target.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Run only this target; may be given more than once.
    #[arg(long, value_parser = TARGETS)]
    target: Vec<String>,
}

/// Runs the tests of the fuzzers' own code, and then the targets, one after the other, from the seeds and from what
/// earlier runs have learnt.
///
/// # Errors
///
/// No cargo-fuzz, a failing test, or a finding; its file is named.
pub fn run(arguments: &Arguments) -> Result<()> {
    let program = find_cargo_fuzz()?;
    let mut tests = process::cargo();
    tests.args(["test", "--release", "--locked", "--target-dir"]);
    tests.arg(workspace::target().join("fuzz"));
    process::run(tests.current_dir(folder())).context("the fuzzers' own tests fail")?;
    for target in TARGETS {
        if arguments.target.is_empty() || arguments.target.iter().any(|wanted| wanted == target) {
            fuzz(&program, target, arguments.seconds)?;
        }
    }
    Ok(())
}

/// The workspace of the targets.
pub fn folder() -> PathBuf {
    workspace::root().join("fuzz")
}

/// cargo-fuzz on the path, or the one in the build folder, installed on first use.
fn find_cargo_fuzz() -> Result<PathBuf> {
    let folder = workspace::target().join(CARGO_FUZZ);
    let own = folder.join("bin").join(CARGO_FUZZ);
    for program in [PathBuf::from(CARGO_FUZZ), own.clone()] {
        if process::output(process::command(&program).arg("--version")).is_ok() {
            return Ok(program);
        }
    }
    let mut install = process::cargo();
    install.args([
        "install",
        CARGO_FUZZ,
        "--version",
        CARGO_FUZZ_VERSION,
        "--locked",
        "--root",
    ]);
    process::run(install.arg(folder)).context("connect to the network, or install cargo-fuzz")?;
    Ok(own)
}

/// Runs one target.
fn fuzz(program: &Path, target: &str, seconds: u32) -> Result<()> {
    let corpus = folder().join("corpus").join(target);
    let artifacts = folder().join("artifacts").join(target);
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    let before = files(&artifacts)?;
    let mut fuzzer = process::command(program);
    fuzzer.env(UNSTABLE_FLAGS.0, UNSTABLE_FLAGS.1);
    fuzzer.args(["run", "--sanitizer", "address", "--target-dir"]);
    fuzzer.arg(workspace::target().join("fuzz"));
    fuzzer.arg(target).arg(corpus);
    // Read only: what is learnt goes into the first corpus.
    fuzzer.args(["fuzz/seeds", "runtime/tests/data", "--"]);
    fuzzer.arg(format!("-max_total_time={seconds}"));
    fuzzer.arg(format!("-max_len={MAX_LEN}"));
    fuzzer.arg(format!("-timeout={TIMEOUT}"));
    // An input is slow where it takes that long: on a busy machine a second may be a wait.
    fuzzer.arg(format!("-report_slow_units={TIMEOUT}"));
    fuzzer.arg("-print_final_stats=1");
    let outcome = process::run(&mut fuzzer);
    let found = files(&artifacts)?;
    let found: Vec<String> = found
        .difference(&before)
        .map(|(file, _)| file.display().to_string())
        .collect();
    if !found.is_empty() {
        bail!("`{target}` found {}", found.join(", "));
    }
    outcome.with_context(|| format!("`{target}` could not run"))
}

/// The files of a folder and when each was written: a finding made again is a finding.
fn files(folder: &Path) -> io::Result<BTreeSet<(PathBuf, SystemTime)>> {
    fs::read_dir(folder)?
        .map(|entry| {
            let entry = entry?;
            Ok((entry.path(), entry.metadata()?.modified()?))
        })
        .collect()
}
