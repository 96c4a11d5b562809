//! `cargo xtask soak`: a long run in miniature. One run is left alone; its twin is killed, stopped, resumed,
//! sampled, exported and verified in turns, and must end with the same bytes. Memory must not grow.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{onnxruntime, process, workspace};

#[derive(clap::Args)]
pub struct Arguments {
    /// How often the run is interrupted; four times an epoch.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(4..=4000))]
    rounds: u32,
    /// Keep the folder of the two runs, and say where it is.
    #[arg(long)]
    keep: bool,
}

/// Steps of an epoch: 60,000 images by 256.
const PER_EPOCH: u32 = 234;
const ROUNDS_PER_EPOCH: u32 = 4;
const CHECKPOINT_EVERY: u32 = 13;
/// Memory may be this much more at the end than at the beginning: what an allocator's pools differ by.
const GROWTH_KIB: u64 = 8 * 1024;
/// No part of the soak takes this long, on a busy machine as well.
const PATIENCE: Duration = Duration::from_secs(1800);

/// How a round ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Kill,
    Interrupt,
    Terminate,
    Finish,
}

/// What became of a round.
struct Round {
    end: End,
    threads: u32,
    step: u32,
    seconds: f64,
    peak_kib: u64,
}

/// The memory of a process while it trains.
#[derive(Default)]
struct Memory {
    /// The last checkpoint's step and the resident memory, as they were read.
    samples: Vec<(u32, u64)>,
    peak_kib: u64,
}

/// Soaks and prints a table.
///
/// # Errors
///
/// A command that fails, bytes that differ, memory that grows.
pub fn run(arguments: &Arguments) -> Result<()> {
    ensure!(
        Path::new("/proc/self/status").exists(),
        "the soak reads /proc: run it on Linux"
    );
    let start = Instant::now();
    let soak = Soak::new(arguments.rounds)?;
    let outcome = soak.run(arguments.rounds);
    if arguments.keep {
        println!("the runs are in {}", soak.folder.keep().display());
    }
    outcome?;
    println!("sound, in {:.0} seconds", start.elapsed().as_secs_f64());
    Ok(())
}

struct Soak {
    trainer: PathBuf,
    onnx_runtime: PathBuf,
    folder: TempDir,
    epochs: u32,
}

impl Soak {
    fn new(rounds: u32) -> Result<Self> {
        let build = "build --release --locked --package pocketgan-trainer --bin trainer";
        process::run(process::cargo().args(build.split(' ')))?;
        let folder = tempfile::tempdir()?;
        // A copy, for who soaks for hours may build something else meanwhile.
        let trainer = folder.path().join("trainer");
        let built = workspace::target().join("release/trainer");
        fs::copy(&built, &trainer).with_context(|| built.display().to_string())?;
        Ok(Self {
            trainer,
            onnx_runtime: onnxruntime::find()?.0,
            folder,
            epochs: rounds.div_ceil(ROUNDS_PER_EPOCH),
        })
    }

    fn steps(&self) -> u32 {
        self.epochs * PER_EPOCH
    }

    fn run(&self, rounds: u32) -> Result<()> {
        println!("{} steps, {rounds} interruptions", self.steps());
        let memory = self.leave_alone()?;
        let grown = grown_within(&memory, self.steps())?;
        let table = self.interrupt(rounds)?;
        self.compare()?;
        let peaks: Vec<u64> = table.iter().map(|round| round.peak_kib).collect();
        check_peaks(&peaks)?;
        ensure!(
            grown <= GROWTH_KIB as i64,
            "the run left alone grew by {grown} KiB"
        );
        Ok(())
    }

    /// The run that nothing befalls.
    fn leave_alone(&self) -> Result<Memory> {
        let start = Instant::now();
        let mut child = self.fit("alone", 2)?;
        let memory = self.watch("alone", &mut child, self.steps() + 1)?;
        let status = child.wait()?;
        ensure!(status.success(), "the run left alone failed: {status}");
        println!(
            "left alone: {:.0} s, peak {} KiB",
            start.elapsed().as_secs_f64(),
            memory.peak_kib
        );
        Ok(memory)
    }

    /// The run that everything befalls, round by round.
    fn interrupt(&self, rounds: u32) -> Result<Vec<Round>> {
        println!(
            "{:>5} {:<10} {:>7} {:>6} {:>8} {:>9}",
            "round", "end", "threads", "step", "seconds", "peak KiB"
        );
        let mut table = Vec::new();
        let mut random = Random(0x9e37_79b9);
        for round in 0..=rounds {
            let end = match round {
                _ if round == rounds => End::Finish,
                _ => [End::Kill, End::Interrupt, End::Kill, End::Terminate][round as usize % 4],
            };
            let row = self
                .round(round, rounds, end, &mut random)
                .with_context(|| format!("round {round}, {end:?}"))?;
            println!(
                "{round:>5} {:<10} {:>7} {:>6} {:>8.1} {:>9}",
                format!("{:?}", row.end).to_lowercase(),
                row.threads,
                row.step,
                row.seconds,
                row.peak_kib
            );
            table.push(row);
        }
        Ok(table)
    }

    /// Goes on with the run, ends it, and uses what it left.
    fn round(&self, round: u32, rounds: u32, end: End, random: &mut Random) -> Result<Round> {
        let start = Instant::now();
        let threads = 1 + round % 2;
        let mut child = match round {
            0 => self.fit("soaked", threads)?,
            _ => self.start(&format!("fit --resume soaked --threads {threads}"))?,
        };
        let memory = match end {
            End::Finish => self.watch("soaked", &mut child, self.steps() + 1)?,
            _ => {
                let step = (round + 1) * self.steps() / (rounds + 2);
                self.watch("soaked", &mut child, step)?
            }
        };
        finish(&mut child, end, random)?;
        self.use_what_is_there(end)?;
        Ok(Round {
            end,
            threads,
            step: self.newest("soaked").unwrap_or(0),
            seconds: start.elapsed().as_secs_f64(),
            peak_kib: memory.peak_kib,
        })
    }

    fn fit(&self, run: &str, threads: u32) -> Result<Child> {
        let epochs = self.epochs;
        self.start(&format!(
            "fit --dataset fashion --recipe dcgan --size nano --batch 256 --epochs {epochs} --device cpu \
             --checkpoint-every {CHECKPOINT_EVERY} --threads {threads} --out {run}"
        ))
    }

    fn trainer(&self, line: &str) -> Command {
        let mut trainer = process::command(&self.trainer);
        trainer
            .current_dir(self.folder.path())
            .env("ORT_DYLIB_PATH", &self.onnx_runtime)
            .args(line.split_whitespace());
        trainer
    }

    fn start(&self, line: &str) -> Result<Child> {
        let mut trainer = self.trainer(line);
        let child = trainer.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        child.with_context(|| format!("cannot run {}", self.trainer.display()))
    }

    /// Watches a run's memory until it has a checkpoint of this step, or ends.
    fn watch(&self, run: &str, child: &mut Child, step: u32) -> Result<Memory> {
        let start = Instant::now();
        let mut memory = Memory::default();
        while child.try_wait()?.is_none() {
            ensure!(start.elapsed() < PATIENCE, "{run} makes no progress");
            let newest = self.newest(run);
            // A process that is about to end has no memory any more.
            if let Some([resident, peak]) = memory_of(child.id()) {
                memory.peak_kib = memory.peak_kib.max(peak);
                memory
                    .samples
                    .extend(newest.map(|newest| (newest, resident)));
            }
            if newest >= Some(step) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(memory)
    }

    /// The step of a run's newest checkpoint.
    fn newest(&self, run: &str) -> Option<u32> {
        let folder = self.folder.path().join(run).join("checkpoints");
        let names = fs::read_dir(folder).ok()?;
        let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let step = |name: String| {
            let digits = name.strip_prefix("step-")?.strip_suffix(".safetensors")?;
            digits.parse().ok()
        };
        names.filter_map(step).max()
    }

    /// Whatever state the run is in, its newest checkpoint can be sampled, exported and verified.
    fn use_what_is_there(&self, end: End) -> Result<()> {
        if !matches!(end, End::Finish) {
            process::output(&mut self.trainer("export soaked"))?;
        }
        process::output(&mut self.trainer("sample soaked --count 64 -o grid.png"))?;
        process::output(&mut self.trainer("verify soaked"))?;
        Ok(())
    }

    /// The two runs have the same last checkpoint, the same model and the same steps in their logs.
    fn compare(&self) -> Result<()> {
        let checkpoint = format!("checkpoints/step-{:08}.safetensors", self.steps());
        for file in [&checkpoint, "model.pgan"] {
            let sum = |run: &str| -> Result<String> {
                let path = self.folder.path().join(run).join(file);
                let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
                let sum = Sha256::digest(bytes);
                Ok(sum.iter().map(|byte| format!("{byte:02x}")).collect())
            };
            let (alone, soaked) = (sum("alone")?, sum("soaked")?);
            ensure!(alone == soaked, "{file} differs: {alone} and {soaked}");
            println!("{file}: SHA-256 {alone}, both");
        }
        let steps = |run: &str| self.logged(run);
        let (alone, soaked) = (steps("alone")?, steps("soaked")?);
        ensure!(
            alone == soaked,
            "the logs have other steps: {alone:?} and {soaked:?}"
        );
        Ok(())
    }

    /// The steps in a run's log.
    fn logged(&self, run: &str) -> Result<Vec<u64>> {
        let path = self.folder.path().join(run).join("stats.jsonl");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let step = |line: &str| -> Result<u64> {
            let line: serde_json::Value = serde_json::from_str(line)?;
            line["step"].as_u64().context("a line without a step")
        };
        text.lines().map(step).collect()
    }
}

/// Ends a process as the round wants it, and checks its exit code.
fn finish(child: &mut Child, end: End, random: &mut Random) -> Result<()> {
    std::thread::sleep(Duration::from_millis(random.below(200)));
    let wanted = match end {
        End::Finish => Some(0),
        End::Kill => {
            child.kill()?;
            None
        }
        End::Interrupt => signal(child, "INT")?,
        End::Terminate => signal(child, "TERM")?,
    };
    let status = child.wait()?;
    if status.code() != wanted {
        bail!("it ended with {status}");
    }
    Ok(())
}

/// Sends a signal by its name; the exit code that it is answered with.
fn signal(child: &Child, name: &str) -> Result<Option<i32>> {
    let pid = child.id().to_string();
    process::output(process::command("kill").args(["-s", name, &pid]))?;
    Ok(Some(130))
}

/// Resident memory of a process, now and at most, KiB.
fn memory_of(pid: u32) -> Option<[u64; 2]> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some([field("VmRSS:")?, field("VmHWM:")?])
}

/// How much more memory a run has in the last quarter of its steps than in the first, medians, KiB.
fn grown_within(memory: &Memory, steps: u32) -> Result<i64> {
    let median = |from: u32, to: u32| {
        let within = memory
            .samples
            .iter()
            .filter(|(step, _)| (from..to).contains(step));
        let mut within: Vec<u64> = within.map(|&(_, kib)| kib).collect();
        within.sort_unstable();
        within
            .get(within.len() / 2)
            .copied()
            .context("the run was too short to watch")
    };
    let (first, last) = (median(1, steps / 4)?, median(steps - steps / 4, steps)?);
    println!("left alone: {first} KiB in the first quarter, {last} KiB in the last");
    Ok(last as i64 - first as i64)
}

/// The later rounds take no more memory than the earlier ones.
fn check_peaks(peaks: &[u64]) -> Result<()> {
    let (early, late) = peaks.split_at(peaks.len() / 2);
    let most = |peaks: &[u64]| peaks.iter().copied().max().unwrap_or(0);
    let (early, late) = (most(early), most(late));
    println!("rounds: peak {early} KiB in the first half, {late} KiB in the second");
    ensure!(
        late <= early + GROWTH_KIB,
        "the rounds' peak memory grew from {early} to {late} KiB"
    );
    Ok(())
}

/// Marsaglia's xorshift.
struct Random(u32);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        u64::from(self.0) % n
    }
}

#[cfg(test)]
mod tests {
    use super::{GROWTH_KIB, Memory, check_peaks, grown_within, memory_of};

    #[test]
    fn memory_that_grows_is_found() {
        let memory = |kib: fn(u32) -> u64| Memory {
            samples: (1..100).map(|step| (step, kib(step))).collect(),
            peak_kib: 0,
        };
        assert_eq!(grown_within(&memory(|_| 5000), 100).unwrap(), 0);
        let grown = grown_within(&memory(|step| 5000 + u64::from(step)), 100).unwrap();
        assert!((70..80).contains(&grown), "{grown}");
        assert!(grown_within(&Memory::default(), 100).is_err());
        assert!(check_peaks(&[10, 11, 10, 11]).is_ok());
        assert!(check_peaks(&[10, 11, 10, 12 + GROWTH_KIB]).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        let [resident, peak] = memory_of(std::process::id()).unwrap();
        assert!(0 < resident && resident <= peak);
    }
}
