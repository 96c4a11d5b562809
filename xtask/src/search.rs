//! `cargo xtask search`: trains a list of configurations on as many images each, scores them, and writes a table.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::runs::{self, figure};
use crate::{process, workspace};

#[derive(clap::Args)]
pub struct Arguments {
    /// A TOML file: `images`, the budget of a row; `[all]`, keys of `trainer fit` that all rows have; `[[row]]`, a
    /// `name` and the keys of one. Beside it are written the results, as FILE.jsonl, and the table, as FILE.md. A row
    /// that has a result is not trained again.
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
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Search {
    /// Training images that a row sees, a whole number of epochs.
    images: u64,
    /// Images that FIDs are of, instead of 10,000: fewer take less time, and compare among each other only.
    fid_images: Option<u32>,
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
    /// The run's folder; its configuration lies beside it.
    run: PathBuf,
    /// Without figures yet.
    outcome: Outcome,
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
    let mut results = Results::read(&file)?;
    let mut planned = Vec::new();
    for row in &search.row {
        let is_named = arguments.only.is_empty() || arguments.only.contains(&row.name);
        if is_named && !results.is_done(&search.outcome(row)?, arguments.no_inception) {
            planned.push(search.plan(row, &folder)?);
        }
    }
    search.write(&file, &results)?;
    for row in &planned {
        row.train()?;
        row.score(!arguments.no_inception)?;
        results.add(row.result(&file.with_extension(""))?);
        // The rows that are done are in the table while others train.
        search.write(&file, &results)?;
    }
    Ok(())
}

impl Search {
    /// Training images that a row sees.
    fn budget(&self, row: &Configuration) -> u64 {
        row.images.unwrap_or(self.images)
    }

    /// All keys of a row.
    fn keys(&self, row: &Configuration) -> toml::Table {
        let mut keys = self.all.clone();
        keys.extend(row.keys.clone());
        keys
    }

    /// A row without figures.
    fn outcome(&self, row: &Configuration) -> Result<Outcome> {
        Ok(Outcome {
            name: row.name.clone(),
            config: toml::to_string(&self.keys(row))?,
            images: self.budget(row),
            fid_images: self.fid_images(),
            figures: None,
        })
    }

    /// Images that FIDs are of.
    fn fid_images(&self) -> u32 {
        self.fid_images.unwrap_or(runs::INCEPTION_IMAGES)
    }

    /// A row with its budget in epochs, as `trainer fit` takes it.
    fn plan<'a>(&'a self, row: &'a Configuration, folder: &Path) -> Result<Planned<'a>> {
        let mut keys = self.keys(row);
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
        let budget = self.budget(row);
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
            run,
            outcome: self.outcome(row)?,
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
                runs::fid_inception(&self.run, self.outcome.fid_images)?;
            }
        }
        Ok(())
    }

    /// What it came to; its grid comes to lie in a folder.
    fn result(&self, grids: &Path) -> Result<Outcome> {
        let mut outcome = Outcome {
            figures: None,
            ..self.outcome.clone()
        };
        if self.has_failed() {
            return Ok(outcome);
        }
        let (summary, scores) = (runs::summary(&self.run)?, runs::scores(&self.run)?);
        let mut fid = None;
        if self
            .run
            .join(runs::inception_file(self.outcome.fid_images))
            .exists()
        {
            fid = runs::fid_inception(&self.run, self.outcome.fid_images)?;
        }
        let mut trainer = process::cargo();
        trainer.args(["trainer", "inspect", "--target", "cortex-m4", "--json"]);
        let printed = process::output(trainer.arg(&self.run))?;
        let inspected: Inspected = serde_json::from_str(&printed)?;
        fs::create_dir_all(grids)?;
        let grid = grids.join(format!("{}.png", outcome.name));
        fs::copy(self.run.join("samples.png"), &grid)?;
        let int8 = scores.engines.get("int8");
        outcome.figures = Some(Figures {
            minutes: summary.minutes,
            parameters: summary.parameters,
            blob_bytes: runs::blob_bytes(&self.run)?,
            working_memory: inspected.working_memory,
            instructions: inspected.instructions,
            fid_cls: scores.fid_cls,
            fid_cls_int8: int8.and_then(|int8| int8.fid_cls),
            fid_channels: scores.fid_channels,
            fid,
        });
        Ok(outcome)
    }
}

impl Configuration {
    /// Its keys as they stand in the table.
    fn keys(&self) -> String {
        let keys = self.keys.iter();
        let keys = keys.map(|(key, value)| format!("{key} {value}"));
        keys.collect::<Vec<_>>().join(", ")
    }
}

/// What a row came to.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Outcome {
    name: String,
    /// All keys that it was trained by, as TOML.
    config: String,
    images: u64,
    /// Images that its FID is of.
    fid_images: u32,
    /// `None` where the training failed.
    figures: Option<Figures>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Figures {
    minutes: f64,
    parameters: u64,
    blob_bytes: u64,
    working_memory: u64,
    instructions: u64,
    fid_cls: Option<f64>,
    fid_cls_int8: Option<f64>,
    fid_channels: Option<f64>,
    fid: Option<f64>,
}

/// The outcomes of rows, a line each in a file: they outlive the runs.
struct Results(Vec<Outcome>);

impl Results {
    /// Those beside the list of rows; none where there is no file.
    fn read(file: &Path) -> Result<Self> {
        let path = file.with_extension("jsonl");
        if !path.exists() {
            return Ok(Self(Vec::new()));
        }
        let text = fs::read_to_string(&path)?;
        let outcomes = text.lines().map(serde_json::from_str);
        let outcomes: Result<Vec<Outcome>, _> = outcomes.collect();
        let outcomes = outcomes.with_context(|| format!("{} holds no results", path.display()))?;
        Ok(Self(outcomes))
    }

    /// What is known of a row that would be trained and scored so; the recipe's own parts may have changed since.
    fn get(&self, wanted: &Outcome) -> Option<&Outcome> {
        let is_its = |outcome: &&Outcome| {
            Outcome {
                figures: None,
                ..(*outcome).clone()
            } == *wanted
        };
        self.0.iter().find(is_its)
    }

    /// Whether nothing is left to do for a row.
    fn is_done(&self, wanted: &Outcome, no_inception: bool) -> bool {
        let figures = self
            .get(wanted)
            .and_then(|outcome| outcome.figures.as_ref());
        figures.is_some_and(|figures| no_inception || figures.fid.is_some())
    }

    /// Adds an outcome in the place of one of the same name.
    fn add(&mut self, outcome: Outcome) {
        self.0.retain(|other| other.name != outcome.name);
        self.0.push(outcome);
    }
}

impl Search {
    /// Writes the results, and the table of all rows.
    fn write(&self, file: &Path, results: &Results) -> Result<()> {
        let mut lines = String::new();
        for outcome in &results.0 {
            writeln!(lines, "{}", serde_json::to_string(outcome)?)?;
        }
        fs::write(file.with_extension("jsonl"), lines)?;
        let head = head(self.fid_images());
        let mut page = format!("{}\n\n{head}", self.about.trim_end());
        let folder = file.file_stem().unwrap_or_default().to_string_lossy();
        let mut pairs = Vec::new();
        for row in &self.row {
            let images = self.budget(row);
            let outcome = results.get(&self.outcome(row)?);
            let start = format!("| {} | {} | {images}", row.name, row.keys());
            let figures = outcome.map(|outcome| outcome.figures.as_ref());
            let rest = match figures {
                None => "not trained yet | | | | | | | | | |".to_owned(),
                Some(None) => "the training failed | | | | | | | | | |".to_owned(),
                Some(Some(figures)) => {
                    pairs.extend(figures.fid_channels.zip(figures.fid));
                    format!("{} | [grid]({folder}/{}.png) |", figures.cells(), row.name)
                }
            };
            writeln!(page, "{start} | {rest}")?;
        }
        pairs.retain(|&(_, fid)| fid < COMPARABLE);
        if pairs.len() > 2 {
            writeln!(
                page,
                "\nOver the {} rows with an FID below {COMPARABLE}, the rank correlation (Spearman 1904) of \
                 `fid-channels` with it is {:.2}.",
                pairs.len(),
                rank_correlation(&pairs)
            )?;
        }
        let path = file.with_extension("md");
        fs::write(&path, page)?;
        eprintln!("wrote {}", path.display());
        Ok(())
    }
}

impl Figures {
    fn cells(&self) -> String {
        format!(
            "{:.1} | {} | {} | {} | {} | {} | {} | {} | {}",
            self.minutes,
            self.parameters,
            self.blob_bytes,
            self.working_memory,
            self.instructions,
            figure(self.fid_cls, 2),
            figure(self.fid_cls_int8, 2),
            figure(self.fid_channels, 2),
            figure(self.fid, 2),
        )
    }
}

/// FIDs from here on are left out of the correlation.
const COMPARABLE: f64 = 45.0;

/// Spearman's rank correlation of pairs, in -1 to 1; equal numbers have the mean of their ranks.
fn rank_correlation(pairs: &[(f64, f64)]) -> f64 {
    let ranks = |number: &dyn Fn(&(f64, f64)) -> f64| -> Vec<f64> {
        let rank = |pair| {
            let own = number(pair);
            let below = pairs.iter().filter(|other| number(other) < own).count();
            let equal = pairs.iter().filter(|other| number(other) == own).count();
            below as f64 + (equal as f64 - 1.0) / 2.0
        };
        pairs.iter().map(rank).collect()
    };
    let (a, b) = (ranks(&|pair| pair.0), ranks(&|pair| pair.1));
    let middle = (pairs.len() as f64 - 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle));
        products.sum()
    };
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

/// What stands above the rows, with FIDs of so many images.
fn head(fid_images: u32) -> String {
    let count = match fid_images {
        images if images.is_multiple_of(1000) => format!("{}k", images / 1000),
        images => images.to_string(),
    };
    format!(
        "\
Minutes are those of the machine that trained, other work beside it included. `fid-cls` is `fid-cls-5k-test`,
`fid-channels` is `fid-channels-5k-train`, FID is `fid-inception-{count}-test`, all of the float model: the lower the
better. RAM is the runtime's working memory in bytes, instructions are predicted for a Cortex-M4.

| row | keys | images | minutes | parameters | blob, bytes | RAM | instructions | fid-cls | int8 | fid-channels | FID | grid |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of ten people's intelligence and hours of television, -29 / 165, and a tie.
    #[test]
    fn ranks_are_correlated() {
        let pairs = [
            (106.0, 7.0),
            (100.0, 27.0),
            (86.0, 2.0),
            (101.0, 50.0),
            (99.0, 28.0),
            (103.0, 29.0),
            (97.0, 20.0),
            (113.0, 12.0),
            (112.0, 6.0),
            (110.0, 17.0),
        ];
        assert!((rank_correlation(&pairs) + 29.0 / 165.0).abs() < 1e-12);
        assert!((rank_correlation(&[(1.0, 10.0), (2.0, 30.0), (9.0, 40.0)]) - 1.0).abs() < 1e-12);
        // Ranks 0.5, 0.5, 2 against 0, 1, 2: 1.5 / sqrt(1.5 * 2).
        let tied = rank_correlation(&[(1.0, 1.0), (1.0, 2.0), (2.0, 3.0)]);
        assert!((tied - 0.75f64.sqrt()).abs() < 1e-12, "{tied}");
    }
}
