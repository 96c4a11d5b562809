//! A file of JSON lines in the order of their steps that can be continued from any of them.

use crate::files::write_whole;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A line that belongs to a step.
pub(super) trait Stepped: Serialize + DeserializeOwned {
    fn step(&self) -> u32;
}

/// The file and what is in it.
pub(super) struct Log<L> {
    path: PathBuf,
    file: File,
    lines: Vec<L>,
}

impl<L: Stepped> Log<L> {
    /// Opens the file at `path` as it was at `step`: later lines go, and so does a torn one. Where there is
    /// no file, an empty one is made.
    pub fn open(path: &Path, step: u32) -> io::Result<Self> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut lines: Vec<L> = Vec::new();
        let mut kept = Vec::with_capacity(bytes.len());
        for text in bytes.split_inclusive(|&byte| byte == b'\n') {
            let Ok(line) = serde_json::from_slice::<L>(text) else {
                continue;
            };
            let in_order = lines.last().is_none_or(|last| last.step() <= line.step());
            if text.ends_with(b"\n") && in_order && line.step() <= step {
                kept.extend_from_slice(text);
                lines.push(line);
            }
        }
        if kept != bytes {
            write_whole(path, &kept)?;
        }
        Ok(Self {
            file: File::options().append(true).create(true).open(path)?,
            path: path.to_owned(),
            lines,
        })
    }

    /// Adds a line in one piece.
    pub fn append(&mut self, line: L) -> io::Result<()> {
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        self.file.write_all(&text)?;
        self.lines.push(line);
        Ok(())
    }

    /// Forgets the lines after `step`.
    pub fn cut_back(&mut self, step: u32) -> io::Result<()> {
        *self = Self::open(&self.path, step)?;
        Ok(())
    }

    /// Waits until all lines are on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    pub fn lines(&self) -> &[L] {
        &self.lines
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Serialize, Deserialize)]
    struct Line {
        step: u32,
        what: String,
    }

    impl Stepped for Line {
        fn step(&self) -> u32 {
            self.step
        }
    }

    fn text(step: u32) -> String {
        format!("{{\"step\":{step},\"what\":\"w{step}\"}}\n")
    }

    #[test]
    fn a_log_goes_on_from_a_step_without_gap_or_duplicate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let torn = [text(10), text(20), text(30), "{\"step\":40,\"wh".to_owned()].concat();
        std::fs::write(&path, torn).unwrap();
        let mut log: Log<Line> = Log::open(&path, 20).unwrap();
        let steps: Vec<u32> = log.lines().iter().map(|line| line.step).collect();
        assert_eq!(steps, [10, 20]);
        let what = "w30".to_owned();
        log.append(Line { step: 30, what }).unwrap();
        let now = std::fs::read_to_string(&path).unwrap();
        assert_eq!(now, [text(10), text(20), text(30)].concat());
        log.cut_back(10).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text(10));
    }

    /// A line without its end may be a piece of a longer one.
    #[test]
    fn a_line_without_its_end_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, text(10) + text(20).trim_end()).unwrap();
        let log: Log<Line> = Log::open(&path, 20).unwrap();
        assert_eq!(log.lines().len(), 1);
    }
}
