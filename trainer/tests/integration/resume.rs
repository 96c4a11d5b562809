//! Runs that nothing can spoil: the real binary, killed, stopped, starved and lied to.

use crate::common::{Place, complaint, signal, wait};
use crate::runs_and_data::pictures;
use pocketgan_trainer::gan::checkpoint::Checkpoint;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

/// A run of 234 steps on real images.
const FIT: &str = "fit --dataset fashion --recipe dcgan --size nano --batch 256 --epochs 1 --device cpu \
                   --checkpoint-every 5";

/// Kills a run at many moments of its life and resumes it with other numbers of threads.
#[test]
fn a_killed_run_ends_with_the_bytes_of_one_left_alone() {
    let place = Place::new();
    let alone = std::thread::scope(|scope| {
        let alone = scope.spawn(|| place.ends_with(0, &format!("{FIT} --threads 1 --out alone")));
        kill_and_resume(&place, "killed");
        alone.join().unwrap()
    });
    assert_eq!(place.outcome("killed"), place.outcome("alone"), "{alone}");
    assert_eq!(place.logged("killed"), place.logged("alone"));
    // The losses every 50 steps, the score at the end.
    assert_eq!(place.logged("killed"), [50, 100, 150, 200, 234]);
}

/// Kills run `run` at random moments, as many as `KILLS` says, the first before there is a checkpoint, and lets it come
/// to its end.
fn kill_and_resume(place: &Place, run: &str) {
    let kills = std::env::var("KILLS");
    let kills: u32 = kills.map_or(10, |kills| kills.parse().expect("a number"));
    const STEPS: u32 = 234;
    // Marsaglia's xorshift: the moments are the same each time as far as the machine is.
    let mut random = 0x9e37_79b9u32;
    let mut below = |n: u32| {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        random % n
    };
    for kill in 0..kills {
        let threads = 1 + kill % 3;
        let line = match kill {
            0 => format!("{FIT} --threads {threads} --out {run}"),
            _ => format!("fit --resume {run} --threads {threads}"),
        };
        let mut child = place.start(&line);
        match kill {
            // Before the data is there; before the first step; before the first checkpoint.
            0..3 => {
                let sign = ["config.toml", "checkpoints", "stats.jsonl"][kill as usize];
                let sign = place.path(run).join(sign);
                wait(&mut child, || sign.exists());
            }
            _ => place.wait_for_step(run, STEPS * kill / (kills + 2), &mut child),
        }
        std::thread::sleep(Duration::from_micros(below(100_000).into()));
        assert_eq!(
            child.try_wait().unwrap(),
            None,
            "it ended before kill {kill}"
        );
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // Between the last checkpoint and the export.
    let mut child = place.start(&format!("fit --resume {run}"));
    place.wait_for_step(run, STEPS, &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    place.ends_with(0, &format!("fit --resume {run} --threads 3"));
}

/// A run that was stopped somewhere after step 10, of which there are checkpoints.
static STOPPED: LazyLock<Place> = LazyLock::new(|| {
    let place = Place::new();
    let mut child = place.start(&format!("{FIT} --threads 2 --out run"));
    place.wait_for_step("run", 10, &mut child);
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    place
});

/// Resumes the run `run` of a place until it has another checkpoint.
fn goes_on(place: &Place, run: &str) {
    let before = *place.checkpoints(run).last().unwrap();
    let mut child = place.start(&format!("fit --resume {run}"));
    place.wait_for_step(run, before + 1, &mut child);
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_finished_run_is_left_as_it_is() {
    let place = Place::new();
    // Long enough for one step.
    let line = "fit --dataset fashion --recipe dcgan --size nano --batch 64 --minutes 0.0001 --device cpu --out run";
    place.ends_with(0, line);
    let before = place.contents("run");
    let output = place.output("fit --resume run");
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("run is finished"));
    let output = place.output("fit --resume run --json");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["steps"], *place.checkpoints("run").last().unwrap());
    let sentence = place.refusal("fit --resume run --lr 0.01");
    assert!(
        sentence.contains("lr (0.0002 then, 0.01 now)"),
        "{sentence}"
    );
    assert!(place.contents("run") == before);
}

/// Nine steps an epoch.
fn short(place: &Place, options: &str) {
    let line = "fit --dataset folder:own --image-size 8 --recipe mlp --batch 4 --device cpu --threads 1 \
                --checkpoint-every 4";
    place.ends_with(0, &format!("{line} {options}"));
}

fn with_pictures() -> Place {
    let place = Place::new();
    pictures(&place.path("own/train"), 36, 10);
    pictures(&place.path("own/test"), 4, 30);
    place
}

/// A file of a run without what depends on the time it took or on its name.
fn timeless(place: &Place, run: &str, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(place.path(run).join(file)).unwrap();
    let json = |line: &str| -> serde_json::Value {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        let object = line.as_object_mut().unwrap();
        object.retain(|key, _| !["elapsed_s", "images_per_s", "minutes", "run"].contains(&&**key));
        line
    };
    text.lines()
        .filter(|line| !line.starts_with("out ="))
        .map(|line| {
            if file.ends_with(".toml") {
                line.to_owned()
            } else {
                json(line).to_string()
            }
        })
        .collect()
}

/// Whatever a run's length was, it ends as one that had its last length from the start.
#[test]
fn a_longer_run_ends_with_the_bytes_of_one_that_was_begun_so() {
    let place = with_pictures();
    short(&place, "--epochs 8 --out alone");
    // Finished, twice made longer.
    short(&place, "--epochs 3 --out longer");
    place.ends_with(0, "fit --resume longer --epochs 5");
    place.ends_with(0, "fit --resume longer --epochs 8");
    // Interrupted, then made shorter.
    let mut child = place.start(
        "fit --dataset folder:own --image-size 8 --recipe mlp --batch 4 --device cpu --threads 1 \
         --checkpoint-every 4 --epochs 100000 --out stopped",
    );
    place.wait_for_step("stopped", 5, &mut child);
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let at = *place.checkpoints("stopped").last().unwrap();
    let epochs = at / 9 + 2;
    place.ends_with(0, &format!("fit --resume stopped --epochs {epochs}"));
    short(&place, &format!("--epochs {epochs} --out begun"));
    for [run, other] in [["longer", "alone"], ["stopped", "begun"]] {
        assert_eq!(place.outcome(run), place.outcome(other), "{run}");
        assert_eq!(
            place.checkpoints(run).last(),
            place.checkpoints(other).last()
        );
        for file in ["stats.jsonl", "summary.json", "config.toml"] {
            let [a, b] = [run, other].map(|run| timeless(&place, run, file));
            assert_eq!(a, b, "{run}: {file}");
        }
        for file in ["samples.png", "losses.png", "model.onnx"] {
            let [a, b] = [run, other].map(|run| std::fs::read(place.path(run).join(file)).unwrap());
            assert!(a == b, "{run}: {file}");
        }
    }
    assert_eq!(place.checkpoints("longer"), place.checkpoints("alone"));
}

#[test]
fn a_run_cannot_be_made_shorter_than_it_is() {
    let place = with_pictures();
    short(&place, "--epochs 3 --out run");
    let before = place.contents("run");
    let sentence = place.refusal("fit --resume run --epochs 2");
    assert!(
        sentence
            .starts_with("run has trained for 3 epochs and 0 steps, which is more than --epochs 2"),
        "{sentence}"
    );
    let sentence = place.refusal("fit --resume run --minutes 0.0000001");
    assert!(
        sentence.contains("which is more than --minutes 0.0000001"),
        "{sentence}"
    );
    // As long as it is: there is nothing to do.
    let output = place.output("fit --resume run --epochs 3");
    assert!(String::from_utf8_lossy(&output.stdout).contains("run is finished"));
    assert!(place.contents("run") == before);
    // By the clock from here on, and then by epochs again.
    let log = std::fs::read_to_string(place.path("run/checkpoints/log.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    let minutes = last["elapsed_s"].as_f64().unwrap() / 60.0 + 0.002;
    place.ends_with(0, &format!("fit --resume run --minutes {minutes}"));
    assert!(place.checkpoints("run").last() > Some(&27));
    let epochs = place.checkpoints("run").last().unwrap() / 9 + 1;
    place.ends_with(0, &format!("fit --resume run --epochs {epochs}"));
    short(&place, &format!("--epochs {epochs} --out alone"));
    assert_eq!(place.outcome("run"), place.outcome("alone"));
}

/// As with a closed terminal, or `trainer fit 2>&1 | head`.
#[test]
fn a_run_goes_on_when_nobody_listens() {
    let place = Place::new();
    let line =
        "fit --dataset fashion --recipe dcgan --size nano --minutes 0.0001 --device cpu --out run";
    let mut command = place.command(line);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(place.path("run/summary.json").is_file());
}

#[test]
fn ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on() {
    let place = Place::new();
    let mut command = place.command(FIT);
    let run = "a run of Ann's";
    command.args(["--out", run]);
    let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    place.wait_for_step(run, 5, &mut child);
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    let last = said.lines().last().unwrap();
    let words = last.strip_prefix("stopped after step ").unwrap();
    let (step, line) = words.split_once("; go on with: ").unwrap();
    let step: u32 = step.parse().unwrap();
    assert_eq!(place.checkpoints(run).last(), Some(&step));

    // The line works in a shell as it stands, and nothing is locked.
    let bin = Path::new(env!("CARGO_BIN_EXE_trainer")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("exec {line}")])
        .env("PATH", path);
    shell.current_dir(place.path(".")).stderr(Stdio::null());
    let mut child = shell.spawn().unwrap();
    place.wait_for_step(run, step + 1, &mut child);
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(place.checkpoints(run).last() > Some(&step));
}

/// The second signal does not wait for the end of a step that takes long.
#[test]
fn ctrl_c_twice_leaves_at_once() {
    let place = Place::new();
    let line =
        "fit --dataset fashion --recipe dcgan --size nano --batch 8192 --device cpu --out run";
    let mut child = place.start(line);
    let log = place.path("run/stats.jsonl");
    wait(&mut child, || log.exists());
    signal(&child, "INT");
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(place.checkpoints("run"), [0; 0]);
}

#[test]
fn a_second_run_in_the_same_folder_is_refused() {
    let place = STOPPED.copy();
    let mut child = place.start("fit --resume run");
    let before = *place.checkpoints("run").last().unwrap();
    place.wait_for_step("run", before + 1, &mut child);
    let sentence = place.refusal("fit --resume run");
    assert!(
        sentence.contains("another `trainer fit` works in run"),
        "{sentence}"
    );
    // The system lets go of the lock of a process that dies.
    child.kill().unwrap();
    child.wait().unwrap();
    goes_on(&place, "run");
}

#[test]
fn another_recipe_is_refused_and_its_keys_are_named() {
    let place = STOPPED.copy();
    let before = place.contents("run");
    let sentence =
        place.refusal("fit --resume run --seed 5 --lr 0.01 --parts 8 --threads 1 --keep 9");
    assert!(
        sentence
            .contains("lr (0.0002 then, 0.01 now), parts (1 then, 8 now), seed (1 then, 5 now)"),
        "{sentence}"
    );
    for line in [
        "fit --resume run --out other",
        "fit --resume run --config run/config.toml",
    ] {
        assert!(place.refusal(line).contains("cannot be used with"));
    }
    let sentence = place.refusal("fit --resume nowhere");
    assert!(sentence.starts_with("nowhere (in /"), "{sentence}");
    assert!(
        sentence.ends_with("is not the folder of a run"),
        "{sentence}"
    );
    assert!(place.contents("run") == before);

    let config = place.path("run/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("batch = 256", "batch = 128")).unwrap();
    let sentence = place.refusal("fit --resume run");
    assert!(sentence.contains("batch (256 then, 128 now)"), "{sentence}");
    // Circumstances may change there too.
    std::fs::write(&config, text.replace("threads = 2", "threads = 1")).unwrap();
    goes_on(&place, "run");
}

#[test]
fn data_that_vanished_costs_nothing() {
    let place = STOPPED.copy();
    let before = place.contents("run");
    let sentence = place.refusal("fit --resume run --data-dir nowhere");
    assert!(sentence.contains(") has neither"), "{sentence}");
    assert!(place.contents("run") == before);
}

/// `trainer` where no file may become longer than so many blocks of the shell's, 512 or 1,024 bytes.
fn limited(place: &Place, blocks: u32, line: &str) -> std::process::Output {
    let trainer = env!("CARGO_BIN_EXE_trainer");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec {trainer} {line}");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(place.path("."));
    shell.output().unwrap()
}

#[test]
fn a_full_disk_costs_nothing_that_was_there() {
    let place = STOPPED.copy();
    let before = place.contents("run/checkpoints");
    let sentence = complaint(&limited(&place, 1000, "fit --resume run"));
    assert!(
        sentence.starts_with("cannot write run/checkpoints/step-"),
        "{sentence}"
    );
    let after = place.contents("run/checkpoints");
    let models = |files: &[(std::path::PathBuf, Vec<u8>)]| -> Vec<_> {
        let log = |path: &Path| path.ends_with("log.jsonl");
        files
            .iter()
            .filter(|(path, _)| !log(path))
            .cloned()
            .collect()
    };
    assert!(models(&after) == models(&before));
    goes_on(&place, "run");
    // Not even the configuration.
    let sentence = complaint(&limited(&place, 0, &format!("{FIT} --out other")));
    assert!(sentence.starts_with("cannot create other"), "{sentence}");
    assert!(!place.path("other").exists());
}

/// Below a file no file can be made, whoever asks.
#[test]
fn a_folder_that_cannot_be_written_is_a_sentence() {
    let place = STOPPED.copy();
    let samples = place.path("run/samples");
    let _ = std::fs::remove_dir_all(&samples);
    std::fs::write(&samples, "precious").unwrap();
    let before = place.contents("run");
    let sentence = place.refusal("fit --resume run");
    assert!(
        sentence.starts_with("cannot write run/samples"),
        "{sentence}"
    );
    assert!(place.contents("run") == before);
    std::fs::create_dir(place.path("run/model.pgan")).unwrap();
    let sentence = place.refusal("export run");
    assert!(
        sentence.contains("cannot write run/model.pgan"),
        "{sentence}"
    );
}

/// `export`, `sample` and `fit --resume` read checkpoints alike.
#[test]
fn a_damaged_checkpoint_is_said_and_the_one_before_it_is_used() {
    let place = STOPPED.copy();
    let steps = place.checkpoints("run");
    let [.., good, bad] = steps[..] else {
        panic!("{steps:?}")
    };
    place.change(&place.checkpoint("run", bad), |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    std::fs::write(place.path("run/checkpoints/.partial-x"), "half").unwrap();
    let damage = format!("step-{bad:08}.safetensors: it is damaged");
    let said = place.ends_with(0, "sample run --count 4 -o four.png");
    assert!(said.contains(&damage), "{said}");
    let said = place.ends_with(0, "export run");
    assert!(said.contains(&damage), "{said}");
    let output = place.output("export run");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(&format!("run: step {good},")), "{said}");
    goes_on(&place, "run");
    assert!(!place.path("run/checkpoints/.partial-x").exists());
    let newest = *place.checkpoints("run").last().unwrap();
    let bytes = std::fs::read(place.checkpoint("run", newest)).unwrap();
    assert_eq!(Checkpoint::decode(&bytes).unwrap().gan.steps, newest);

    for step in place.checkpoints("run") {
        place.change(&place.checkpoint("run", step), |bytes| bytes.truncate(1000));
    }
    let before = place.contents("run");
    for line in ["fit --resume run", "export run"] {
        let sentence = place.refusal(line);
        assert!(
            sentence.starts_with("no checkpoint in run/checkpoints can be used"),
            "{sentence}"
        );
    }
    assert!(place.contents("run") == before);
}

/// Files that the code of then wrote.
#[test]
fn a_run_of_an_old_format_is_exported_and_sampled() {
    for kind in ["gan", "vae"] {
        let place = Place::new();
        let checkpoint = place.checkpoint("run", 63);
        std::fs::create_dir_all(checkpoint.parent().unwrap()).unwrap();
        let fixture = format!("tests/fixtures/format-3-{kind}.safetensors");
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture);
        std::fs::copy(fixture, checkpoint).unwrap();
        place.ends_with(0, "export run");
        place.ends_with(0, "verify run");
        place.ends_with(0, "sample run --count 4 -o four.png");
    }
}
