//! `trainer eval` from outside.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn eval(current: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command
        .current_dir(current)
        .arg("eval")
        .args(line.split_whitespace());
    command
}

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/fashion-nano")
}

/// Runs it to a good end; gives the JSON object that it printed.
fn figures(current: &Path, line: &str) -> Value {
    let Output {
        status,
        stdout,
        stderr,
    } = eval(current, line).output().unwrap();
    assert!(
        status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&stderr)
    );
    serde_json::from_slice(&stdout).unwrap()
}

/// Runs it on bad input; gives the sentence that it ends with.
fn refusal(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(output.stdout.is_empty());
    let sentence = complaint
        .lines()
        .last()
        .and_then(|line| line.strip_prefix("error: "));
    sentence
        .unwrap_or_else(|| panic!("no error: {complaint}"))
        .to_owned()
}

/// A run's folder as `trainer fit` leaves one, with a model of models/ in it.
fn run() -> tempfile::TempDir {
    let run = tempfile::tempdir().unwrap();
    for name in ["model-f32.pgan", "model.onnx", "model.pgan"] {
        std::fs::copy(model().join(name), run.path().join(name)).unwrap();
    }
    let config = "dataset = \"fashion\"\nrecipe = \"dcgan\"\nsize = \"nano\"\n";
    std::fs::write(run.path().join("config.toml"), config).unwrap();
    run
}

#[test]
fn a_runs_figures_come_in_one_json_object() {
    let run = run();
    let report = figures(run.path(), ". --samples 300 --json");
    assert_eq!(report["recipe"], "dcgan");
    assert_eq!(report["dataset"], "fashion");
    assert_eq!(report["engine"], "float");
    assert_eq!(report["fid_inception"], Value::Null);
    assert_eq!(report["protocols"]["fid_cls"], "fid-cls-300-test");
    assert_eq!(report["protocols"]["kid"], "kid-cls-300-test-100x300");
    assert_eq!(report["protocols"]["coverage"], "coverage-k5-cls-300-test");
    assert_eq!(
        report["protocols"]["nearest_train"],
        "nearest-train-pixel-300"
    );
    let counts = report["class_counts"].as_array().unwrap();
    assert_eq!(counts.iter().filter_map(Value::as_u64).sum::<u64>(), 300);

    let keys = report["protocols"].as_object().unwrap().keys();
    for engine in ["float", "onnx", "int8"] {
        for key in keys.clone().filter(|key| *key != "fid_inception") {
            let figure = &report["engines"][engine][key];
            assert!(
                figure.is_number() || figure == "Infinity",
                "{engine} {key}: {figure}"
            );
        }
    }
    let of = |engine: &str, key: &str| report["engines"][engine][key].as_f64().unwrap();
    for key in [
        "fid_cls",
        "entropy",
        "coverage",
        "js_classes",
        "kid",
        "recall",
    ] {
        assert_eq!(report[key], report["engines"]["float"][key]);
        assert!((of("float", key) - of("onnx", key)).abs() < 0.02, "{key}");
    }
    // Quantization changes the images a little, and never nothing.
    assert_ne!(of("float", "fid_cls"), of("int8", "fid_cls"));
    assert!((of("float", "fid_cls") - of("int8", "fid_cls")).abs() < 2.0);
    assert!(of("int8", "nearest_train") > 10.0);
    assert!(report["data"]["nearest_train"].as_f64().unwrap() > 10.0);
}

/// The protocol of training: the figure of the model's card, and no other images than those of the seeds 1 to 5,000.
#[test]
fn the_score_is_the_one_that_training_tells() {
    let model = model();
    let line = format!("{} --dataset fashion --engine float", model.display());
    let output = eval(&model, &line).output().unwrap();
    assert!(output.status.success());
    let table = String::from_utf8(output.stdout).unwrap();
    let row = table
        .lines()
        .find(|line| line.starts_with("fid-cls-5k-test"));
    let told: f64 = row
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let card = std::fs::read_to_string(model.join("README.md")).unwrap();
    let row = card
        .lines()
        .find(|line| line.starts_with("| `fid-cls-5k-test`"));
    let said: f64 = row
        .unwrap()
        .split('|')
        .nth(2)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!((told - said).abs() < 0.02, "{told} {said}");
}

/// The models that the project ships say what they learned, as folders and as files.
#[test]
fn a_shipped_model_knows_its_data_set() {
    let models = model().join("..");
    for (name, dataset) in [
        ("fashion-nano", "fashion"),
        ("fashion-small", "fashion"),
        ("mnist-nano", "mnist"),
        ("fashion-nano/model.pgan", "fashion"),
    ] {
        let line = format!("{name} --engine int8 --samples 10 --json");
        assert_eq!(figures(&models, &line)["dataset"], dataset, "{name}");
    }
}

#[test]
fn bad_input_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let model = model();
    let model = model.display();
    let refused = |line: &str| refusal(&mut eval(here, line));
    let unknown = run();
    std::fs::remove_file(unknown.path().join("config.toml")).unwrap();
    let unknown = unknown.path().display().to_string();
    assert!(refused(&unknown).contains("add --dataset fashion"));
    assert!(refused(&format!("{model} --dataset cats")).contains("no data set `cats`"));
    assert!(refused("nothing --dataset fashion").contains("nothing"));
    assert!(refused(&format!("{model} --dataset fashion --samples 3")).contains("--samples"));
    let file = format!("{model}/model.onnx --dataset fashion --engine int8");
    assert!(refused(&file).contains("the onnx form of a model, not the int8"));
    assert!(refused(". --dataset fashion").contains("model-f32.pgan"));

    let run = run();
    std::fs::write(run.path().join("config.toml"), "dataset = ").unwrap();
    let sentence = refusal(&mut eval(run.path(), "."));
    assert!(
        sentence.contains("config.toml cannot be understood"),
        "{sentence}"
    );
}

/// Whoever asks for Inception without having it is told what to do, before any work is done.
#[test]
fn inception_must_be_there_and_whole() {
    let run = run();
    let cache = tempfile::tempdir().unwrap();
    let mut command = eval(run.path(), ". --fid inception");
    command.env("POCKETGAN_CACHE", cache.path());
    let sentence = refusal(&mut command);
    assert!(sentence.contains("make the Inception network once with `cargo xtask fid-weights`"));
    let folder = cache.path().join("inception");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("inception-2015-12-05.onnx"), "another").unwrap();
    assert!(refusal(&mut command).contains("is damaged or of another version"));
}
