//! A run of the real `trainer`, watched from outside.

use pocketgan_trainer::files::sha256;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than anything here takes, on a busy machine as well.
const PATIENCE: Duration = Duration::from_secs(300);

/// A user who is not root; the number is `nobody`'s nearly everywhere.
pub const NOBODY: u32 = 65534;

/// A folder to run in.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The same again.
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        for (path, bytes) in self.contents(".") {
            let path = copy.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        copy
    }

    /// Every file below a folder, its path and its bytes.
    pub fn contents(&self, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![self.path(name)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.0.path()).unwrap().to_owned();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push((name, std::fs::read(path).unwrap()));
                }
            }
        }
        files.sort();
        files
    }

    /// Changes the bytes of a file.
    pub fn change(&self, path: &Path, change: impl Fn(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(path).unwrap();
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `trainer` with the words of `line`, to be run here.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        // Cargo's mark would make it speak of `cargo trainer`.
        command.current_dir(self.0.path()).env_remove("CARGO");
        command.args(line.split_whitespace());
        command
    }

    pub fn output(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Runs `trainer` to an end that it must have with this exit code; gives what it said on standard error.
    pub fn ends_with(&self, code: i32, line: &str) -> String {
        let output = self.output(line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        said
    }

    /// Runs `trainer`, which must end with exit code 2 and nothing on standard output; gives its complaint.
    pub fn refusal(&self, line: &str) -> String {
        let output = self.output(line);
        assert!(output.stdout.is_empty(), "{line}");
        complaint(&output)
    }

    /// Whether root made the place: permissions do not bind root.
    #[cfg(unix)]
    pub fn is_roots(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(self.0.path()).unwrap().uid() == 0
    }

    /// Runs `trainer` as a user whom permissions bind: this one, or nobody in root's stead.
    #[cfg(unix)]
    pub fn bound(&self, line: &str) -> Output {
        use std::os::unix::fs::PermissionsExt;
        use std::os::unix::process::CommandExt;
        let mut command = self.command(line);
        if self.is_roots() {
            // The program may be where only root can go.
            let copy = self.path("trainer");
            if !copy.exists() {
                std::fs::copy(env!("CARGO_BIN_EXE_trainer"), &copy).unwrap();
            }
            let open = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(self.0.path(), open).unwrap();
            command = Command::new(copy);
            command.current_dir(self.0.path()).uid(NOBODY).gid(NOBODY);
            command.args(line.split_whitespace());
        }
        command.output().unwrap()
    }

    /// Starts `trainer`, its words dropped.
    pub fn start(&self, line: &str) -> Child {
        let mut command = self.command(line);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// The steps of the checkpoints of the run `run`, in order.
    pub fn checkpoints(&self, run: &str) -> Vec<u32> {
        let Ok(entries) = std::fs::read_dir(self.path(run).join("checkpoints")) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut steps: Vec<u32> = names
            .filter_map(|name| {
                let digits = name.strip_prefix("step-")?.strip_suffix(".safetensors")?;
                digits.parse().ok()
            })
            .collect();
        steps.sort_unstable();
        steps
    }

    pub fn checkpoint(&self, run: &str, step: u32) -> PathBuf {
        let name = format!("checkpoints/step-{step:08}.safetensors");
        self.path(run).join(name)
    }

    /// The SHA-256 of the last checkpoint and of the model of a run.
    pub fn outcome(&self, run: &str) -> [String; 2] {
        let last = *self.checkpoints(run).last().unwrap();
        [
            self.checkpoint(run, last),
            self.path(run).join("model.pgan"),
        ]
        .map(|path| sha256(&std::fs::read(path).unwrap()))
    }

    /// Waits until the run has a checkpoint of this step or a later one.
    pub fn wait_for_step(&self, run: &str, step: u32, child: &mut Child) {
        wait(child, || self.checkpoints(run).last() >= Some(&step));
    }

    /// The steps of the lines of a run's log.
    pub fn logged(&self, run: &str) -> Vec<u64> {
        let text = std::fs::read_to_string(self.path(run).join("stats.jsonl")).unwrap();
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        text.lines()
            .map(|l| line(l)["step"].as_u64().unwrap())
            .collect()
    }
}

/// Waits until something has come true while `child` runs, or `child` has ended.
pub fn wait(child: &mut Child, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < PATIENCE, "nothing came of it");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Sends a signal by its name.
pub fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(sent.unwrap().success());
}

/// The sentence at the end of what a process said that ended with exit code 2.
pub fn complaint(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let last = said.lines().last().unwrap_or_default();
    let sentence = last.strip_prefix("error: ");
    sentence
        .unwrap_or_else(|| panic!("no sentence: {said}"))
        .to_owned()
}
