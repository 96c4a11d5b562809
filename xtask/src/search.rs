//! `cargo xtask search`: trains a list of configurations on as many images each, scores them, and writes a table.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::runs::{self, figure};
use crate::{process, workspace};

#[derive(clap::Args)]
pub struct Arguments {
    /// A TOML file: `images`, the budget of a row; `[all]`, keys of `trainer fit` that all rows have; `[[row]]`, a
    /// `name` and the keys of one. The table is written beside it, as FILE.md.
    file: PathBuf,
    /// Where the runs are; those that are there are resumed, and not trained again once they are finished.
    #[arg(long, value_name = "DIR", default_value = "runs/search")]
    runs: PathBuf,
    /// Leave out the scores by Inception, some seven minutes each, that are not there yet.
    #[arg(long)]
    no_inception: bool,
    /// Train and score these rows only; the table has the others as far as they are done.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    /// Training images that a row sees, a whole number of epochs.
    images: u64,
    /// What stands above the table.
    about: String,
    all: toml::Table,
    row: Vec<Configuration>,
}

#[derive(Deserialize)]
struct Configuration {
    name: String,
    /// More or fewer images than the others.
    images: Option<u64>,
    #[serde(flatten)]
    keys: toml::Table,
}

/// What `trainer fit --dry-run --json` says.
#[derive(Deserialize)]
struct Dry {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    images: u64,
}

/// What `trainer inspect --json` says.
#[derive(Deserialize)]
struct Inspected {
    working_memory: u64,
    instructions: u64,
}

/// A row of the search, ready to be trained.
struct Planned<'a> {
    row: &'a Configuration,
    images: u64,
    /// The run's folder; its configuration lies beside it.
    run: PathBuf,
}

/// Trains what is not trained yet, scores what is not scored yet, and writes the table.
///
/// # Errors
///
/// A row that `trainer fit` refuses, which is found before the first training; a score that fails; a file that cannot
/// be read or written. A training that fails is a row that says so.
pub fn run(arguments: &Arguments) -> Result<()> {
    let file = std::path::absolute(&arguments.file)?;
    let text = fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", arguments.file.display()))?;
    let search: Search = toml::from_str(&text)
        .with_context(|| format!("{} is no list of rows", arguments.file.display()))?;
    let mut names = BTreeSet::new();
    for row in &search.row {
        ensure!(names.insert(&row.name), "two rows are named {}", row.name);
    }
    for name in &arguments.only {
        ensure!(names.contains(name), "no row is named {name}");
    }
    let folder = workspace::root().join(&arguments.runs);
    fs::create_dir_all(&folder)?;
    let planned = search.row.iter().map(|row| search.plan(row, &folder));
    let planned: Vec<Planned<'_>> = planned.collect::<Result<_>>()?;
    for row in &planned {
        if arguments.only.is_empty() || arguments.only.contains(&row.row.name) {
            row.train()?;
            row.score(!arguments.no_inception)?;
            // The rows that are done are in the table while others train.
            write_page(&file, &search.about, &planned)?;
        }
    }
    Ok(())
}

impl Search {
    /// A row with its budget in epochs, as `trainer fit` takes it.
    fn plan<'a>(&'a self, row: &'a Configuration, folder: &Path) -> Result<Planned<'a>> {
        let mut keys = self.all.clone();
        keys.extend(row.keys.clone());
        ensure!(
            !row.name.contains(['.', '/', '\\']),
            "the name {} has a dot or a slash: a run's folder is named so",
            row.name
        );
        let run = folder.join(&row.name);
        let path = run.with_extension("toml");
        let kept = run
            .exists()
            .then(|| fs::read_to_string(&path))
            .transpose()?;
        let budget = row.images.unwrap_or(self.images);
        let dry = tempfile::NamedTempFile::new()?;
        fs::write(dry.path(), toml::to_string(&keys)?)?;
        let mut trainer = process::cargo();
        trainer.args(["trainer", "fit", "--dry-run", "--json", "--config"]);
        let printed = process::output(trainer.arg(dry.path()));
        let printed = printed.with_context(|| format!("row {}", row.name))?;
        let Dry { data } = serde_json::from_str(&printed)?;
        ensure!(
            budget > 0 && budget.is_multiple_of(data.images),
            "row {}: {budget} images are no whole number of epochs of {} images",
            row.name,
            data.images
        );
        let epochs = i64::try_from(budget / data.images)?;
        keys.insert("epochs".into(), epochs.into());
        let config = toml::to_string(&keys)?;
        ensure!(
            kept.is_none_or(|kept| kept == config),
            "row {} is not what {} was trained by: give it another name",
            row.name,
            run.display()
        );
        fs::write(path, &config)?;
        Ok(Planned {
            row,
            images: budget,
            run,
        })
    }
}

impl Planned<'_> {
    /// Trains, or goes on; a failure is kept as the row's result until the training ends well.
    fn train(&self) -> Result<()> {
        let config = self.run.with_extension("toml");
        let trained = runs::train(&self.run, &["--config".as_ref(), config.as_os_str()]);
        if let Err(failure) = trained {
            eprintln!("{}: {failure}", self.row.name);
            fs::write(self.failed(), failure.to_string())?;
        } else if self.has_failed() {
            fs::remove_file(self.failed())?;
        }
        Ok(())
    }

    /// The file beside the run that says why its training failed.
    fn failed(&self) -> PathBuf {
        self.run.with_extension("failed")
    }

    fn has_failed(&self) -> bool {
        self.failed().exists()
    }

    fn score(&self, inception: bool) -> Result<()> {
        if !self.has_failed() {
            runs::scores(&self.run)?;
            if inception {
                runs::fid_inception(&self.run)?;
            }
        }
        Ok(())
    }

    /// The row of the table; its grid comes to lie in a folder.
    fn line(&self, grids: &Path) -> Result<String> {
        let Configuration { name, keys, .. } = self.row;
        let keys = keys.iter().map(|(key, value)| format!("{key} {value}"));
        let keys = keys.collect::<Vec<_>>().join(", ");
        let start = format!("| {name} | {keys} | {}", self.images);
        if self.has_failed() {
            return Ok(format!("{start} | the training failed | | | | | | | | |"));
        }
        if !self.run.join("eval.json").exists() {
            return Ok(format!("{start} | not trained yet | | | | | | | | |"));
        }
        let (summary, scores) = (runs::summary(&self.run)?, runs::scores(&self.run)?);
        let scored = self.run.join(runs::INCEPTION).exists();
        let inception = if scored {
            runs::fid_inception(&self.run)?
        } else {
            None
        };
        let int8 = scores.engines.get("int8");
        let mut trainer = process::cargo();
        trainer.args(["trainer", "inspect", "--target", "cortex-m4", "--json"]);
        let printed = process::output(trainer.arg(&self.run))?;
        let inspected: Inspected = serde_json::from_str(&printed)?;
        fs::create_dir_all(grids)?;
        let grid = grids.join(format!("{name}.png"));
        fs::copy(self.run.join("samples.png"), &grid)?;
        let folder = grids.file_name().unwrap_or_default().to_string_lossy();
        Ok(format!(
            "{start} | {:.1} | {} | {} | {} | {} | {} | {} | {} | [grid]({folder}/{name}.png) |",
            summary.minutes,
            summary.parameters,
            runs::blob_bytes(&self.run)?,
            inspected.working_memory,
            inspected.instructions,
            figure(scores.fid_cls, 2),
            figure(int8.and_then(|int8| int8.fid_cls), 2),
            figure(inception, 2),
        ))
    }
}

/// The table beside the file, and the grids in a folder of its name.
fn write_page(file: &Path, about: &str, planned: &[Planned<'_>]) -> Result<()> {
    let grids = file.with_extension("");
    let mut page = format!("{}\n\n{HEAD}", about.trim_end());
    for row in planned {
        writeln!(page, "{}", row.line(&grids)?)?;
    }
    let path = file.with_extension("md");
    fs::write(&path, page)?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// What stands above the rows.
const HEAD: &str = "\
Minutes are those of the machine that trained, other work beside it included. `fid-cls` is `fid-cls-5k-test`, FID is
`fid-inception-10k-test`, both of the float model: the lower the better. RAM is the runtime's working memory in bytes,
instructions are predicted for a Cortex-M4.

| row | keys | images | minutes | parameters | blob, bytes | RAM | instructions | fid-cls | int8 | FID | grid |
|---|---|---|---|---|---|---|---|---|---|---|---|
";
