//! `cargo xtask cycles`: how many cycles an image would take, estimated from a trace of its instructions and the
//! timing tables of the cores' reference manuals, and where its instructions go.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use object::{Endianness, Object, ObjectSegment, read::elf::ElfFile32};
use serde::Serialize;

use super::machines::{self, Core, Machine};
use super::{Example, thumb};
use crate::bare_metal::Toolchain;
use crate::{process, setup};

#[derive(clap::Args)]
pub struct Arguments {
    /// Print one JSON object for each core and model instead of the table.
    #[arg(long)]
    json: bool,
    /// Print the functions that most instructions are in as well.
    #[arg(long)]
    functions: bool,
}

/// What a trace comes to.
#[derive(Default)]
struct Trace {
    instructions: u64,
    cycles: u64,
    /// Instructions of each function.
    functions: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Estimate {
    target: String,
    model: &'static str,
    instructions: u64,
    cycles_estimate: u64,
}

/// Traces an image of each model on each core that has a timing table.
///
/// # Errors
///
/// No compiler, no QEMU, or a trace that cannot be read.
pub fn run(arguments: &Arguments) -> Result<()> {
    let toolchain = setup::firmware()?;
    if !arguments.json {
        println!("target      model   instructions  cycles, estimated");
    }
    // The micro:bit's core is there a second time, with memory for all models.
    for machine in machines::with_room() {
        let Some(timing) = timing(machine.core) else {
            continue;
        };
        for model in machines::MODELS {
            let trace = trace(&toolchain, machine, model, timing)?;
            report(arguments, machine, model, &trace)?;
        }
    }
    Ok(())
}

/// The core's timing table; `None` where the manual has none (the cores that issue two instructions at once) or there
/// is no core behind the machine.
fn timing(core: Core) -> Option<thumb::Timing> {
    match core {
        Core::CortexM0 => Some(thumb::CORTEX_M0),
        Core::CortexM3 => Some(thumb::CORTEX_M3),
        Core::CortexM4 => Some(thumb::CORTEX_M4),
        Core::CortexM7 | Core::CortexM33 | Core::CortexM55 | Core::Riscv32imc => None,
    }
}

fn report(arguments: &Arguments, machine: &Machine, model: &Example, trace: &Trace) -> Result<()> {
    let estimate = Estimate {
        target: machine.core.name(),
        model: model.feature,
        instructions: trace.instructions,
        cycles_estimate: trace.cycles,
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&estimate)?);
    } else {
        println!(
            "{:<10}  {:<6}  {:>12}  {:>17}",
            estimate.target, estimate.model, estimate.instructions, estimate.cycles_estimate
        );
    }
    if arguments.functions {
        let mut functions: Vec<_> = trace.functions.iter().collect();
        functions.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (name, count) in functions.iter().take(12) {
            eprintln!("{count:>12}  {:#}", rustc_demangle::demangle(name));
        }
    }
    Ok(())
}

/// Runs the example that makes one image, one instruction at a time.
fn trace(
    toolchain: &Toolchain,
    machine: &Machine,
    model: &Example,
    timing: thumb::Timing,
) -> Result<Trace> {
    let mut build = machine.cargo(toolchain, "build");
    build.args(["--example", "once", "--no-default-features", "--features"]);
    let program = machines::build(build.arg(model.feature))?;
    let mut run = machine.cargo(toolchain, "run");
    run.args([
        "--example",
        "once",
        "--no-default-features",
        "--features",
        model.feature,
    ]);
    run.arg("--")
        .args(machine.options)
        .args(["-d", "exec,nochain"]);
    let mut child = run.args(one_at_a_time()?).stderr(Stdio::piped()).spawn()?;
    let log = child.stderr.take().context("the trace is lost")?;
    let trace = read(BufReader::new(log), &program, timing)?;
    let status = child.wait()?;
    ensure!(
        status.success(),
        "{} ended with {status}",
        program.display()
    );
    Ok(trace)
}

/// What makes this QEMU translate one instruction at a time.
fn one_at_a_time() -> Result<&'static [&'static str]> {
    let help = process::output(process::command("qemu-system-arm").arg("-help"))?;
    Ok(if help.contains("one-insn-per-tb") {
        &["-accel", "tcg,one-insn-per-tb=on"]
    } else {
        &["-singlestep"]
    })
}

/// Counts the instructions behind the start-up code. A line of the log has the address between the first two slashes
/// and the function behind the last bracket.
fn read(mut log: impl BufRead, program: &Path, timing: thumb::Timing) -> Result<Trace> {
    let code = Code::read(program)?;
    let mut trace = Trace::default();
    let mut before: Option<u32> = None;
    let mut line = Vec::new();
    while log.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        if let Some((address, function)) = place(&text)
            && function != "Reset"
        {
            if let Some(before) = before {
                trace.cycles += timing.cycles(code.at(before), address.wrapping_sub(before));
            }
            trace.instructions += 1;
            before = Some(address);
            match trace.functions.get_mut(function) {
                Some(count) => *count += 1,
                None => drop(trace.functions.insert(function.to_owned(), 1)),
            }
        }
        line.clear();
    }
    Ok(trace)
}

fn place(line: &str) -> Option<(u32, &str)> {
    let rest = line.strip_prefix("Trace ")?;
    let (_, rest) = rest.split_once('/')?;
    let (address, rest) = rest.split_once('/')?;
    let (_, function) = rest.split_once("] ")?;
    Some((u32::from_str_radix(address, 16).ok()?, function.trim_end()))
}

/// The program's memory, as it is loaded.
struct Code(Vec<(u32, Vec<u8>)>);

impl Code {
    fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)?;
        let file = ElfFile32::<Endianness>::parse(&*bytes)?;
        let mut segments = Vec::new();
        for segment in file.segments() {
            segments.push((segment.address() as u32, segment.data()?.to_vec()));
        }
        Ok(Self(segments))
    }

    /// The two halfwords at an address; zeros where there is nothing.
    fn at(&self, address: u32) -> [u16; 2] {
        let halfword = |address: u32| {
            let bytes = self.0.iter().find_map(|(start, bytes)| {
                let at = address.checked_sub(*start)? as usize;
                bytes.get(at..at + 2)
            });
            bytes.map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
        };
        [halfword(address), halfword(address + 2)]
    }
}
