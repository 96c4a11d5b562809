//! `cargo xtask recipes`: trains every recipe on real images, scores it, and writes `docs/recipes.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::runs::{self, figure};
use crate::{emoji, workspace};

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
    /// Where a recipe's run is not there, take its row and its grid as docs/ has them, trained by the same flags.
    #[arg(long, conflicts_with = "quick")]
    keep: bool,
}

/// The rows that docs/recipes.jsonl has of one kind.
fn kept<T: DeserializeOwned>() -> Result<Vec<T>> {
    let text = fs::read_to_string(workspace::root().join("docs/recipes.jsonl"))?;
    let rows = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    Ok(rows.collect())
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

static ENTRIES: [Entry; 15] = [
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

/// A recipe whose generator reads pictures, as it is trained for the page.
struct Translation {
    label: &'static str,
    recipe: &'static str,
    size: Option<&'static str>,
    dataset: &'static str,
    /// The other flags of `trainer fit`.
    flags: &'static str,
    epochs: u32,
}

/// Where the page's commands have the emoji of `cargo xtask emoji`.
const EMOJI: &str = "../emoji";
const STYLES: &str = "--target-dataset folder:../emoji/google --image-size 32";

static TRANSLATIONS: [Translation; 6] = [
    Translation {
        label: "autoencoder",
        recipe: "autoencoder",
        size: Some("small"),
        dataset: "mnist",
        flags: "",
        epochs: 10,
    },
    Translation {
        label: "pix2pix-upscale",
        recipe: "pix2pix",
        size: Some("nano"),
        dataset: "fashion",
        flags: "--task upscale-2x --adversarial-weight 0 --norm none",
        epochs: 5,
    },
    Translation {
        label: "pix2pix-emoji",
        recipe: "pix2pix",
        size: Some("nano"),
        dataset: "folder:../emoji/twitter",
        flags: STYLES,
        epochs: 40,
    },
    Translation {
        label: "cyclegan-emoji",
        recipe: "cyclegan",
        size: None,
        dataset: "folder:../emoji/twitter",
        flags: STYLES,
        epochs: 10,
    },
    Translation {
        label: "cyclegan-emoji-instance",
        recipe: "cyclegan",
        size: None,
        dataset: "folder:../emoji/twitter",
        flags: "--target-dataset folder:../emoji/google --image-size 32 --norm instance",
        epochs: 10,
    },
    Translation {
        label: "encdec",
        recipe: "encdec",
        size: None,
        dataset: "folder:../emoji/twitter",
        flags: "--image-size 64",
        epochs: 4,
    },
];

/// What the page says of such a recipe.
#[derive(Clone, Serialize, Deserialize)]
struct Translated {
    recipe: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<String>,
    dataset: String,
    flags: String,
    epochs: u32,
    minutes: f64,
    parameters: u64,
    /// By the keys of `trainer eval`.
    #[serde(flatten)]
    figures: BTreeMap<String, f64>,
}

impl Translation {
    fn arguments(&self, quick: bool) -> Vec<String> {
        let mut line = format!("--dataset {} --recipe {}", self.dataset, self.recipe);
        if let Some(size) = self.size {
            write!(line, " --size {size}").unwrap_or_default();
        }
        let epochs = if quick { 1 } else { self.epochs };
        write!(line, " {} --epochs {epochs}", self.flags).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect()
    }

    /// The row of a finished run.
    fn score(&self, run: &Path, quick: bool) -> Result<Translated> {
        let summary = runs::summary(run)?;
        let figures = runs::figures(run)?;
        Ok(Translated {
            recipe: self.recipe.to_owned(),
            size: self.size.map(str::to_owned),
            dataset: self.dataset.to_owned(),
            flags: self.flags.to_owned(),
            epochs: if quick { 1 } else { self.epochs },
            minutes: summary.minutes,
            parameters: summary.parameters,
            figures,
        })
    }
}

/// Trains and scores the recipes that read pictures.
fn translated(arguments: &Arguments, folder: &Path) -> Result<Vec<Line<Translation, Translated>>> {
    let chosen = |entry: &&Translation| {
        arguments.only.is_empty() || arguments.only.iter().any(|name| name == entry.label)
    };
    let entries: Vec<&Translation> = TRANSLATIONS.iter().filter(chosen).collect();
    let emoji = workspace::root().join(EMOJI);
    if entries.iter().any(|entry| entry.dataset.contains(EMOJI)) && !emoji.exists() {
        emoji::lay_out(&emoji)?;
    }
    let known: Vec<Translated> = if arguments.keep { kept()? } else { Vec::new() };
    let mut rows = Vec::new();
    for entry in entries {
        let run = folder.join(entry.label);
        let same = |row: &&Translated| {
            row.recipe == entry.recipe
                && row.size.as_deref() == entry.size
                && row.dataset == entry.dataset
                && row.flags == entry.flags
                && row.epochs == entry.epochs
        };
        if let Some(row) = known.iter().find(same).filter(|_| !run.exists()) {
            rows.push((entry, None, row.clone()));
            continue;
        }
        runs::train(&run, &entry.arguments(arguments.quick))?;
        let row = entry.score(&run, arguments.quick)?;
        if arguments.json {
            println!("{}", serde_json::to_string(&row)?);
        }
        rows.push((entry, Some(run), row));
    }
    Ok(rows)
}

fn translation_row(label: &str, row: &Translated) -> String {
    let of = |key: &str| row.figures.get(key).copied();
    let beside = [
        ("l1_identity", "L1 of the picture itself", 2),
        ("retrieval_identity", "its retrieval", 3),
        ("l1_union", "L1 on the shapes", 2),
        ("l1_union_identity", "of the picture", 2),
        ("l1_union_blurred", "of the picture blurred", 2),
        ("cycle_l1", "L1 there and back", 2),
        ("psnr_bicubic", "PSNR of bicubic scaling", 2),
        ("mse", "mean square", 1),
        ("mse_components", "of principal components", 1),
    ];
    let beside = beside.iter().filter_map(|(key, what, digits)| {
        let shown = *key != "mse" || of("mse_components").is_some();
        let value = of(key).filter(|_| shown)?;
        Some(format!("{what} {value:.digits$}"))
    });
    format!(
        "| [{label}](#{label}) | {:.1} | {} | {} | {} | {} | {} | {} |",
        row.minutes,
        row.parameters,
        figure(of("l1"), 2),
        figure(of("psnr"), 2),
        figure(of("ssim"), 3),
        figure(of("retrieval"), 3),
        beside.collect::<Vec<_>>().join(", "),
    )
}

/// A row of the page.
#[derive(Clone, Serialize, Deserialize)]
struct Row {
    recipe: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<String>,
    dataset: String,
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
    let labels = ENTRIES.iter().map(Entry::label);
    let labels: Vec<String> = labels
        .chain(TRANSLATIONS.iter().map(|entry| entry.label.to_owned()))
        .collect();
    if let Some(unknown) = arguments.only.iter().find(|name| !labels.contains(name)) {
        anyhow::bail!(
            "no recipe is called {unknown}; there are: {}",
            labels.join(", ")
        );
    }
    let known: Vec<Row> = if arguments.keep { kept()? } else { Vec::new() };
    let mut rows = Vec::new();
    for entry in entries {
        let run = folder.join(entry.label());
        let same = |row: &&Row| {
            row.recipe == entry.recipe
                && row.size.as_deref() == entry.size
                && row.epochs == entry.epochs
        };
        if let Some(row) = known.iter().find(same).filter(|_| !run.exists()) {
            rows.push((entry, None, row.clone()));
            continue;
        }
        runs::train(&run, &entry.flags(arguments.quick))?;
        let row = entry.score(&run, arguments)?;
        if arguments.json {
            println!("{}", serde_json::to_string(&row)?);
        }
        rows.push((entry, Some(run), row));
    }
    let translations = translated(arguments, &folder)?;
    if !arguments.only.is_empty() {
        return Ok(());
    }
    let docs = if arguments.quick {
        folder
    } else {
        workspace::root().join("docs")
    };
    write_page(&docs, &rows, &translations, arguments.quick)
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
            recipe: self.recipe.to_owned(),
            size: self.size.map(str::to_owned),
            dataset: DATASET.to_owned(),
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

/// An entry, its run unless the row was kept, and the row.
type Line<E, R> = (&'static E, Option<PathBuf>, R);

/// Puts the last grid of a run beside the page; one that was kept must be there.
fn copy_grid(run: Option<&Path>, grids: &Path, label: &str) -> Result<()> {
    let grid = grids.join(format!("{label}.png"));
    match run {
        Some(run) => drop(fs::copy(run.join("samples.png"), &grid)?),
        None => anyhow::ensure!(grid.exists(), "{} is missing", grid.display()),
    }
    Ok(())
}

/// `recipes.md`, `recipes.jsonl` and a grid of samples for each row in `recipes/`.
fn write_page(
    docs: &Path,
    rows: &[Line<Entry, Row>],
    translations: &[Line<Translation, Translated>],
    quick: bool,
) -> Result<()> {
    let grids = docs.join("recipes");
    fs::create_dir_all(&grids)?;
    let (mut table, mut sections, mut lines) = (String::new(), String::new(), String::new());
    for (entry, run, row) in rows {
        let label = entry.label();
        copy_grid(run.as_deref(), &grids, &label)?;
        writeln!(table, "{}", table_row(&label, row))?;
        writeln!(lines, "{}", serde_json::to_string(row)?)?;
        let command = format!("cargo trainer fit {}", entry.flags(quick).join(" "));
        writeln!(
            sections,
            "\n## {label}\n\n```\n{command}\n```\n\n![Samples of {label}](recipes/{label}.png)"
        )?;
    }
    table.push_str(PICTURES);
    for (entry, run, row) in translations {
        let label = entry.label;
        copy_grid(run.as_deref(), &grids, label)?;
        writeln!(table, "{}", translation_row(label, row))?;
        writeln!(lines, "{}", serde_json::to_string(row)?)?;
        let command = format!("cargo trainer fit {}", entry.arguments(quick).join(" "));
        let before = if entry.dataset.contains(EMOJI) {
            format!("cargo xtask emoji {EMOJI}\n")
        } else {
            String::new()
        };
        writeln!(
            sections,
            "\n## {label}\n\n```\n{before}{command}\n```\n\n![Pictures of {label}](recipes/{label}.png)"
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

/// What stands above the rows of recipes that read pictures.
const PICTURES: &str = "
Recipes whose generators read pictures are given held-out ones. L1 and PSNR are those of the pixels of their images and of what
should have come out, in grey levels and dB; retrieval is the share of images that are nearest to their own. The grids show a
picture, its image, and what should have come out.

| recipe | minutes | parameters | L1 | PSNR | SSIM | retrieval | beside it |
|---|---|---|---|---|---|---|---|
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
