//! The ONNX files against ONNX's own checker, shape inference included.

use pocketgan_tests::networks;
use pocketgan_trainer::export::Bundle;
use pocketgan_trainer::export::quantize::{Calibration, Weights};
use std::path::{Path, PathBuf};
use std::process::Command;

const CHECK: &str = "
import sys, onnx
for path in sys.argv[1:]:
    onnx.checker.check_model(onnx.load(path), full_check=True)
    print(path)
";

/// The Python with the `onnx` package that `cargo xtask setup` installs.
fn python() -> PathBuf {
    if let Some(path) = std::env::var_os("POCKETGAN_PYTHON") {
        return path.into();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python");
    assert!(
        path.exists(),
        "the onnx package is not installed: run `cargo xtask setup`, or set POCKETGAN_PYTHON to a Python that has it"
    );
    path
}

/// Runs the checker on files; gives what it printed, or its complaint.
fn check(paths: &[PathBuf]) -> Result<String, String> {
    let output = Command::new(python())
        .args(["-c", CHECK])
        .args(paths)
        .output()
        .expect("POCKETGAN_PYTHON names a program");
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn the_checker_accepts_every_exported_model() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (index, (_, network)) in networks::all().into_iter().enumerate() {
        let parameters = networks::random_parameters(&network, 1);
        let bundle =
            Bundle::new(&network, &parameters, Weights::Int8, Calibration::default()).unwrap();
        for (kind, bytes) in [("float", bundle.float_onnx), ("int8", bundle.int8_onnx)] {
            let path = folder.path().join(format!("{index}-{kind}.onnx"));
            std::fs::write(&path, bytes).unwrap();
            paths.push(path);
        }
    }
    let accepted = check(&paths).unwrap();
    assert_eq!(accepted.lines().count(), paths.len());
}

#[test]
fn the_checker_would_complain() {
    let folder = tempfile::tempdir().unwrap();
    let network = networks::dcgan(8, 4);
    let parameters = networks::random_parameters(&network, 1);
    let bundle = Bundle::new(&network, &parameters, Weights::Int8, Calibration::default()).unwrap();
    // The same length, so that the file still parses.
    let broken = replace(&bundle.float_onnx, b"ConvTranspose", b"ConvTransform");
    let path = folder.path().join("broken.onnx");
    std::fs::write(&path, broken).unwrap();
    let complaint = check(&[path]).unwrap_err();
    assert!(complaint.contains("ConvTransform"), "{complaint}");
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + from.len()].copy_from_slice(to);
        }
    }
    bytes
}
