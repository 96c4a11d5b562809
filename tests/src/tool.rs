//! The real `trainer` binary, built once and run as a user would.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The release build of `trainer`, in the build folder that the tests are in.
///
/// # Panics
/// If it does not build.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().expect("the test has a path");
        // <build folder>/<profile>/deps/<test>
        let target = test
            .ancestors()
            .nth(3)
            .expect("tests lie in a build folder");
        let status = Command::new(env!("CARGO"))
            .args([
                "build",
                "--release",
                "--quiet",
                "--workspace",
                "--bin",
                "trainer",
            ])
            .arg("--target-dir")
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(
            status.expect("cargo runs").success(),
            "trainer does not build"
        );
        let name = format!("trainer{}", std::env::consts::EXE_SUFFIX);
        target.join("release").join(name)
    })
}

/// Runs `trainer` in the folder `current`.
pub fn trainer<S: AsRef<OsStr>>(current: &Path, arguments: &[S]) -> Output {
    let mut command = Command::new(binary());
    command.current_dir(current).args(arguments);
    command.output().expect("trainer starts")
}

/// Runs `trainer` on bad input, which must end with exit code 2, nothing on standard output and one
/// sentence on standard error; gives the sentence.
///
/// # Panics
/// If it ends in any other way.
pub fn refusal<S: AsRef<OsStr>>(current: &Path, arguments: &[S]) -> String {
    let output = trainer(current, arguments);
    let complaint = String::from_utf8(output.stderr).expect("messages are UTF-8");
    let code = output.status.code();
    assert_eq!(code, Some(2), "exit code {code:?}: {complaint}");
    assert!(output.stdout.is_empty(), "{:?}", output.stdout);
    let mut lines = complaint.lines();
    let sentence = lines.next().and_then(|line| line.strip_prefix("error: "));
    let sentence = sentence.unwrap_or_else(|| panic!("not an error: {complaint}"));
    assert_eq!(lines.next(), None, "more than one line: {complaint}");
    sentence.to_owned()
}
