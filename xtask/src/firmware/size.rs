//! `cargo xtask size`: what each model takes on each core, against the table that is kept in the repository.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::bare::{Bare, Footprint, Kind};
use super::bench;
use super::machines::MACHINES;
use super::{NANO, every_operator, footprint, perceptron, random};
use crate::bare_metal::Toolchain;
use crate::{process, setup, workspace};

/// What a figure may grow by, in percent.
const GROWTH: u64 = 1;

#[derive(clap::Args)]
pub struct Arguments {
    /// Write the table anew.
    #[arg(long)]
    update: bool,
}

/// The table, as it is kept.
#[derive(Deserialize, Serialize)]
struct Table {
    /// The compiler that made the firmware.
    compiler: String,
    /// By core and model.
    rows: BTreeMap<String, Row>,
    /// By core and random model: what predictions are checked on besides.
    held_out: BTreeMap<String, Footprint>,
    /// By core.
    small: BTreeMap<String, Small>,
}

/// What code takes on a core with `opt-level = "s"`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
struct Small {
    /// The functions and tables of the int8 operators.
    operator_bytes: u64,
    /// All code of nano's smallest firmware, and of that of two linear layers without the feature `convolution`.
    nano_bytes: u64,
    perceptron_bytes: u64,
}

impl Small {
    fn figures(self) -> [(&'static str, u64); 3] {
        [
            ("bytes of the int8 operators", self.operator_bytes),
            ("bytes of nano's small code", self.nano_bytes),
            (
                "bytes of the perceptron's small code",
                self.perceptron_bytes,
            ),
        ]
    }
}

/// What a model takes on a core.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
struct Row {
    /// The blob and the smallest firmware's code.
    flash_bytes: u64,
    #[serde(flatten)]
    footprint: Footprint,
    ram_bytes: u64,
    /// The mean over the benchmark's seeds.
    instructions: u64,
}

impl Row {
    fn figures(self) -> [(&'static str, u64); 5] {
        [
            ("flash bytes", self.flash_bytes),
            ("code bytes", self.footprint.code_bytes),
            ("RAM bytes", self.ram_bytes),
            ("stack bytes", self.footprint.stack_bytes),
            ("instructions", self.instructions),
        ]
    }
}

/// Measures, and compares with the table or writes it.
///
/// # Errors
///
/// A figure grew by more than [`GROWTH`] percent, or a core or model is not in the table; what [`bench()`](bench::run)
/// reports.
pub fn run(arguments: &Arguments) -> Result<()> {
    let toolchain = setup::firmware()?;
    let measured = measure(&toolchain)?;
    for (name, row) in &measured.rows {
        println!("{name:<20}  {}", serde_json::to_string(row)?);
    }
    for (name, small) in &measured.small {
        println!("{name:<20}  {}", serde_json::to_string(small)?);
    }
    for (name, footprint) in &measured.held_out {
        println!("{name:<20}  {}", serde_json::to_string(footprint)?);
    }
    if arguments.update {
        fs::write(path(), serde_json::to_string_pretty(&measured)? + "\n")?;
        return Ok(());
    }
    let kept = Table::read()?;
    kept.check_compiler(&measured.compiler);
    compare(&kept, &measured)
}

/// A part of the table, which the tests of the firmware measure anyway.
pub struct Sample {
    table: Table,
    /// Whether the compiler is the one that the table was made with: others make other code.
    same_compiler: bool,
    grown: Vec<String>,
}

impl Sample {
    /// Reads the table.
    ///
    /// # Errors
    ///
    /// It cannot be read, or there is no compiler.
    pub fn new(toolchain: &Toolchain) -> Result<Self> {
        let table = Table::read()?;
        let same_compiler = table.check_compiler(&compiler(toolchain)?);
        Ok(Self {
            table,
            same_compiler,
            grown: Vec::new(),
        })
    }

    /// Compares the code and the stack of a model.
    pub fn footprint(&mut self, core: &str, model: &str, measured: Footprint) {
        self.compare(
            core,
            model,
            |row| row.footprint.figures(),
            measured.figures(),
        );
    }

    /// Compares the memory of a model and the instructions of its images.
    pub fn images(&mut self, core: &str, model: &str, samples: &[bench::Sample]) {
        let figures =
            |ram_bytes, instructions| [("RAM bytes", ram_bytes), ("instructions", instructions)];
        let (ram_bytes, instructions) = of_images(samples);
        let of_row = |row: Row| figures(row.ram_bytes, row.instructions);
        self.compare(core, model, of_row, figures(ram_bytes, instructions));
    }

    fn compare<const N: usize>(
        &mut self,
        core: &str,
        model: &str,
        of_row: impl Fn(Row) -> [(&'static str, u64); N],
        measured: [(&'static str, u64); N],
    ) {
        if self.same_compiler {
            let name = format!("{core} {model}");
            let kept = self.table.rows.get(&name).map(|row| of_row(*row));
            note_growth(&mut self.grown, &name, kept, measured);
        }
    }

    /// The outcome of all comparisons.
    ///
    /// # Errors
    ///
    /// A figure grew by more than [`GROWTH`] percent, or is not in the table.
    pub fn outcome(self) -> Result<()> {
        outcome(&self.grown)
    }
}

impl Table {
    fn read() -> Result<Self> {
        let text = fs::read_to_string(path());
        let text = text.with_context(|| format!("cannot read {}", path().display()))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Whether figures of this compiler can be held against the table; says so if not.
    fn check_compiler(&self, compiler: &str) -> bool {
        if self.compiler != compiler {
            eprintln!(
                "the table of sizes is of {}, these figures are of {compiler}",
                self.compiler
            );
        }
        self.compiler == compiler
    }
}

/// The compiler of the firmware and its version.
fn compiler(toolchain: &Toolchain) -> Result<String> {
    let version = process::output(toolchain.rustc().arg("--version"))?;
    Ok(version.trim().to_owned())
}

/// The working memory of images and their instructions in the mean.
fn of_images(samples: &[bench::Sample]) -> (u64, u64) {
    let ram_bytes = samples.iter().map(|sample| sample.ram_bytes).max();
    let instructions: u64 = samples.iter().map(|sample| sample.instructions).sum();
    let count = samples.len().max(1) as u64;
    (ram_bytes.unwrap_or_default(), instructions / count)
}

fn path() -> PathBuf {
    workspace::root().join("firmware-examples/size.json")
}

fn measure(toolchain: &Toolchain) -> Result<Table> {
    let (mut rows, mut small) = (BTreeMap::new(), BTreeMap::new());
    let perceptron = perceptron::write()?;
    for machine in &MACHINES {
        for model in machine.models.iter().chain(machine.int4) {
            let samples = bench::samples(toolchain, machine, model)?;
            let footprint = Footprint::measure(toolchain, machine, &model.path())?;
            let (ram_bytes, instructions) = of_images(&samples);
            let row = Row {
                flash_bytes: footprint.code_bytes + model.path().metadata()?.len(),
                footprint,
                ram_bytes,
                instructions,
            };
            rows.insert(format!("{} {}", machine.core.name(), model.feature), row);
        }
        let build = |blob: &Path, kind| Bare::build(toolchain, machine, blob, kind);
        let code = Small {
            operator_bytes: build(&every_operator(), Kind::Small)?.operator_bytes()?,
            nano_bytes: build(&NANO.path(), Kind::Small)?.code_bytes()?,
            perceptron_bytes: build(&perceptron, Kind::Small)?.code_bytes()?,
        };
        small.insert(machine.core.name(), code);
    }
    let models = random::held_out();
    let mut held_out = BTreeMap::new();
    for (core, measured) in footprint::measure(toolchain, &models)? {
        for (model, footprint) in models.iter().zip(measured) {
            held_out.insert(format!("{core} {}", model.name()), footprint);
        }
    }
    Ok(Table {
        compiler: compiler(toolchain)?,
        rows,
        held_out,
        small,
    })
}

fn compare(kept: &Table, measured: &Table) -> Result<()> {
    let mut grown = Vec::new();
    for (name, row) in &measured.rows {
        let before = kept.rows.get(name).map(|before| before.figures());
        note_growth(&mut grown, name, before, row.figures());
    }
    for (name, footprint) in &measured.held_out {
        let before = kept.held_out.get(name).map(|before| before.figures());
        note_growth(&mut grown, name, before, footprint.figures());
    }
    for (name, small) in &measured.small {
        let before = kept.small.get(name).map(|before| before.figures());
        note_growth(&mut grown, name, before, small.figures());
    }
    outcome(&grown)
}

fn outcome(grown: &[String]) -> Result<()> {
    if !grown.is_empty() {
        bail!(
            "{}\nIf that is meant, run `cargo xtask size --update` and commit the table",
            grown.join("\n")
        );
    }
    Ok(())
}

/// Adds a sentence for each figure that grew.
fn note_growth<const N: usize>(
    grown: &mut Vec<String>,
    name: &str,
    before: Option<[(&str, u64); N]>,
    now: [(&str, u64); N],
) {
    let Some(before) = before else {
        grown.push(format!("{name} is not in the table"));
        return;
    };
    for ((figure, before), (_, now)) in before.into_iter().zip(now) {
        if now * 100 > before * (100 + GROWTH) {
            grown.push(format!("{name}: {figure} grew from {before} to {now}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::machines::RISCV_VIRT;
    use super::*;

    fn table(instructions: u64) -> Table {
        let row = Row {
            flash_bytes: 1000,
            footprint: Footprint {
                code_bytes: 100,
                stack_bytes: 500,
            },
            ram_bytes: 1212,
            instructions,
        };
        Table {
            compiler: String::new(),
            rows: BTreeMap::from([("cortex-m4 nano".to_owned(), row)]),
            held_out: BTreeMap::new(),
            small: BTreeMap::new(),
        }
    }

    /// The shipped models in int8 and int4, and random ones that no fit has seen, on every core.
    #[test]
    fn code_and_stack_are_predicted() {
        let kept: Table = serde_json::from_slice(&fs::read(path()).unwrap()).unwrap();
        let examples = RISCV_VIRT.models.iter().chain(RISCV_VIRT.int4);
        let shipped = examples.map(|it| (it.feature.to_owned(), fs::read(it.path()).unwrap()));
        let random = random::held_out();
        let random = random.iter().map(|it| (it.name(), it.blob().unwrap()));
        let blobs: Vec<_> = shipped.chain(random).collect();
        assert_eq!(blobs.len(), 6 + 20);
        let rows = kept
            .rows
            .into_iter()
            .map(|(name, row)| (name, row.footprint));
        let kept: BTreeMap<_, _> = rows.chain(kept.held_out).collect();
        // Of the Cortex-M55 there are the shipped models, and nothing is predicted.
        assert_eq!(kept.len(), 6 * blobs.len() + 6);
        for core in footprint::machines().map(|machine| machine.core.name()) {
            for (name, blob) in &blobs {
                let measured = kept[&format!("{core} {name}")];
                footprint::check(&core, name, blob, measured).unwrap();
            }
        }
    }

    #[test]
    fn a_percent_is_let_pass_and_more_is_named() {
        assert!(compare(&table(1000), &table(1010)).is_ok());
        assert!(compare(&table(1000), &table(900)).is_ok());
        let error = compare(&table(1000), &table(1011)).unwrap_err().to_string();
        assert!(
            error.contains("cortex-m4 nano: instructions grew from 1000 to 1011"),
            "{error}"
        );
        let empty = Table {
            compiler: String::new(),
            rows: BTreeMap::new(),
            held_out: BTreeMap::new(),
            small: BTreeMap::new(),
        };
        assert!(compare(&empty, &table(1)).is_err());
    }
}
