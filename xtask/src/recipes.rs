//! `cargo xtask recipes`: trains every recipe on real images, scores it, and writes `docs/recipes.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use crate::runs::{self, figure};
use crate::workspace;

#[derive(clap::Args)]
pub struct Arguments {
    /// One epoch each and no Inception: whether all of it works. The page goes beside the runs, not into docs/.
    #[arg(long)]
    quick: bool,
    /// Leave out the scores by Inception, some seven minutes each, that are not there yet.
    #[arg(long)]
    no_inception: bool,
    /// Train, score and print these only, and write no page.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Print one JSON object a recipe on standard output.
    #[arg(long)]
    json: bool,
}

/// A recipe as it is trained for the page.
struct Entry {
    recipe: &'static str,
    size: Option<&'static str>,
    /// So many that two idle cores take about five minutes.
    epochs: u32,
}

const fn entry(recipe: &'static str, size: Option<&'static str>, epochs: u32) -> Entry {
    Entry {
        recipe,
        size,
        epochs,
    }
}

const DATASET: &str = "fashion";

const ENTRIES: [Entry; 15] = [
    entry("mlp", None, 70),
    entry("dense-bn", None, 60),
    entry("keras", None, 24),
    entry("dcgan", Some("nano"), 28),
    entry("dcgan", Some("small"), 12),
    entry("dcgan", Some("full"), 5),
    entry("cgan", None, 50),
    entry("cdcgan", Some("nano"), 28),
    entry("wgan", Some("nano"), 50),
    entry("wgan-gp", Some("nano"), 30),
    entry("lsgan", Some("nano"), 28),
    entry("hinge", Some("nano"), 28),
    entry("relativistic", Some("nano"), 20),
    entry("relativistic", Some("small"), 9),
    entry("vae", Some("small"), 16),
];

/// A row of the page.
#[derive(Serialize)]
struct Row {
    recipe: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<&'static str>,
    dataset: &'static str,
    epochs: u32,
    minutes: f64,
    parameters: u64,
    blob_bytes: u64,
    fid_cls: Option<f64>,
    fid_cls_int8: Option<f64>,
    fid_inception: Option<f64>,
    entropy: Option<f64>,
    coverage: Option<f64>,
    class_coverage: Option<f64>,
    js_classes: Option<f64>,
}

/// Trains what is not trained yet, scores what is not scored yet, and writes the page.
///
/// # Errors
///
/// A training or a score fails; a file cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let folder = workspace::root().join(if arguments.quick {
        "runs/recipes-quick"
    } else {
        "runs/recipes"
    });
    let chosen = |entry: &&Entry| {
        arguments.only.is_empty() || arguments.only.iter().any(|name| *name == entry.label())
    };
    let entries: Vec<&Entry> = ENTRIES.iter().filter(chosen).collect();
    anyhow::ensure!(
        !entries.is_empty(),
        "no recipe has that name; there are: {}",
        ENTRIES.map(|entry| entry.label()).join(", ")
    );
    let mut rows = Vec::new();
    for entry in entries {
        let run = folder.join(entry.label());
        runs::train(&run, &entry.flags(arguments.quick))?;
        let row = entry.score(&run, arguments)?;
        if arguments.json {
            println!("{}", serde_json::to_string(&row)?);
        }
        rows.push((entry, run, row));
    }
    if !arguments.only.is_empty() {
        return Ok(());
    }
    let docs = if arguments.quick {
        folder
    } else {
        workspace::root().join("docs")
    };
    write_page(&docs, &rows, arguments.quick)
}

impl Entry {
    fn label(&self) -> String {
        match self.size {
            Some(size) => format!("{}-{size}", self.recipe),
            None => self.recipe.to_owned(),
        }
    }

    fn epochs(&self, quick: bool) -> u32 {
        if quick { 1 } else { self.epochs }
    }

    /// The flags of `trainer fit`.
    fn flags(&self, quick: bool) -> Vec<String> {
        let mut flags = vec!["--dataset".into(), DATASET.into()];
        flags.extend(["--recipe".into(), self.recipe.into()]);
        if let Some(size) = self.size {
            flags.extend(["--size".into(), size.into()]);
        }
        flags.extend(["--epochs".into(), self.epochs(quick).to_string()]);
        flags
    }

    /// The row of a finished run.
    fn score(&self, run: &Path, arguments: &Arguments) -> Result<Row> {
        let evaluated = runs::scores(run)?;
        let summary = runs::summary(run)?;
        // The figure is for tables of GANs, which other networks are not.
        let is_gan = summary.discriminator_loss.is_some();
        let scored = run
            .join(runs::inception_file(runs::INCEPTION_IMAGES))
            .exists();
        let left_out = arguments.quick || arguments.no_inception && !scored;
        let fid_inception = if is_gan && !left_out {
            runs::fid_inception(run, runs::INCEPTION_IMAGES)?
        } else {
            None
        };
        let int8 = evaluated.engines.get("int8");
        Ok(Row {
            recipe: self.recipe,
            size: self.size,
            dataset: DATASET,
            epochs: self.epochs(arguments.quick),
            minutes: summary.minutes,
            parameters: summary.parameters,
            blob_bytes: runs::blob_bytes(run)?,
            fid_cls: evaluated.fid_cls,
            fid_cls_int8: int8.and_then(|figures| figures.fid_cls),
            fid_inception,
            entropy: evaluated.entropy,
            coverage: evaluated.coverage,
            class_coverage: evaluated.class_coverage,
            js_classes: evaluated.js_classes,
        })
    }
}

/// `recipes.md`, `recipes.jsonl` and a grid of samples for each row in `recipes/`.
fn write_page(docs: &Path, rows: &[(&Entry, PathBuf, Row)], quick: bool) -> Result<()> {
    let grids = docs.join("recipes");
    fs::create_dir_all(&grids)?;
    let (mut table, mut sections, mut lines) = (String::new(), String::new(), String::new());
    for (entry, run, row) in rows {
        let label = entry.label();
        fs::copy(run.join("samples.png"), grids.join(format!("{label}.png")))?;
        writeln!(table, "{}", table_row(&label, row))?;
        writeln!(lines, "{}", serde_json::to_string(row)?)?;
        let command = format!("cargo trainer fit {}", entry.flags(quick).join(" "));
        writeln!(
            sections,
            "\n## {label}\n\n```\n{command}\n```\n\n![Samples of {label}](recipes/{label}.png)"
        )?;
    }
    let page = format!("{HEAD}{table}{sections}");
    fs::write(docs.join("recipes.md"), page)?;
    fs::write(docs.join("recipes.jsonl"), lines)?;
    eprintln!("wrote {}", docs.join("recipes.md").display());
    Ok(())
}

/// What stands above the rows.
const HEAD: &str = "\
# The recipes, measured

`cargo xtask recipes` trains each recipe on Fashion-MNIST's 60,000 training images by the command below it, with a budget of
epochs that takes some five minutes on two idle cores, scores it with `trainer eval`, and writes this page.
[scores.md](scores.md) says what each figure is. They are short runs for comparison, not the best that a recipe can give.

Minutes are those of the machine that trained, other work beside it included. Figures are of the float model, `int8` of the quantized blob.
`fid-cls` is `fid-cls-5k-test`, `fid-inception` (of GANs) is `fid-inception-10k-test`: the lower the better. `entropy` is that of the
pixels, `coverage` that of the test images in the classifier's features, `classes` the share of the classes that is seen,
`JS classes` the divergence of the classes from equal shares.

| recipe | minutes | parameters | blob, bytes | fid-cls | int8 | fid-inception | entropy | coverage | classes | JS classes |
|---|---|---|---|---|---|---|---|---|---|---|
";

fn table_row(label: &str, row: &Row) -> String {
    format!(
        "| [{label}](#{label}) | {:.1} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        row.minutes,
        row.parameters,
        row.blob_bytes,
        figure(row.fid_cls, 2),
        figure(row.fid_cls_int8, 2),
        figure(row.fid_inception, 2),
        figure(row.entropy, 3),
        figure(row.coverage, 3),
        figure(row.class_coverage, 2),
        figure(row.js_classes, 4),
    )
}
