//! `--output`: the picture that a user names.

use super::Failure;
use crate::files::Target;
use crate::report::Format;
use image::RgbImage;
use serde::{Serialize, Serializer};
use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Where a picture goes, and in what format. There is one only where a picture can be written, as far as can be told
/// beforehand.
pub struct Output {
    /// As the user says it; `-` is standard output.
    named: PathBuf,
    format: Format,
    stdout: bool,
}

impl Output {
    /// Checks, before the work, what is named. `json` says that standard output is taken.
    ///
    /// The ending decides the format. What has none is written as PNG, but only to standard output, a device or a pipe.
    ///
    /// # Errors
    /// As bad input: a name with another ending, a folder, a file that holds no picture or cannot be written, links
    /// that lead nowhere.
    pub fn check(named: PathBuf, json: bool) -> Result<Self, Failure> {
        let target = target(&named)?;
        let stdout = target == Target::Stdout;
        let format = format(&named, &target)?;
        target.probe().map_err(|error| cannot(&named, &error))?;
        if json && stdout {
            return Err(Failure::Input(format!(
                "--json takes standard output, so the picture cannot go to {}: name a file",
                named.display()
            )));
        }
        Ok(Self {
            named,
            format,
            stdout,
        })
    }

    /// The format to encode in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Encodes and writes a picture.
    ///
    /// # Errors
    /// As bad input: a picture too large for the format, and what [`Self::write`] refuses.
    pub fn save(&self, picture: RgbImage) -> Result<(), Failure> {
        self.write(self.format.encode(picture))
    }

    /// Writes a picture that is encoded already, in this format.
    ///
    /// # Errors
    /// As bad input: that it could not be encoded; what has become of the target since it was checked; the system's.
    pub fn write<E: Error>(&self, encoded: Result<Vec<u8>, E>) -> Result<(), Failure> {
        let bytes = encoded.map_err(|error| cannot(&self.named, &error))?;
        let written = target(&self.named)?.write(&bytes);
        written.map_err(|error| cannot(&self.named, &error))
    }

    /// Prints a line, on standard error if the picture is on standard output.
    pub fn say(&self, line: &str) {
        if self.stdout {
            tell!("{line}")
        } else {
            say!("{line}")
        }
    }
}

impl Display for Output {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.stdout {
            f.write_str("standard output")
        } else {
            self.named.display().fmt(f)
        }
    }
}

impl Serialize for Output {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn cannot(named: &Path, error: &dyn Error) -> Failure {
    Failure::Input(format!("cannot write {}: {error}", named.display()))
}

/// What a name stands for, unless it holds what is no picture.
fn target(named: &Path) -> Result<Target, Failure> {
    if named == Path::new("-") {
        return Ok(Target::Stdout);
    }
    let target = Target::find(named).map_err(|error| match error.kind() {
        ErrorKind::IsADirectory => {
            Failure::Input(format!("{} is a folder: name a file", named.display()))
        }
        _ => cannot(named, &error),
    })?;
    if holds_other(&target).map_err(|error| cannot(named, &error))? {
        return Err(Failure::Input(format!(
            "{} is there and is not a picture: choose another name",
            named.display()
        )));
    }
    Ok(target)
}

/// Whether a file is there with anything but a picture in it.
fn holds_other(target: &Target) -> io::Result<bool> {
    let (Target::Through(path) | Target::InPlace(path) | Target::Replace(path)) = target else {
        return Ok(false);
    };
    if !path.metadata()?.is_file() {
        return Ok(false);
    }
    let mut head = Vec::new();
    File::open(path)?
        .take(Format::HEAD)
        .read_to_end(&mut head)?;
    Ok(!head.is_empty() && !Format::begins(&head))
}

fn format(named: &Path, target: &Target) -> Result<Format, Failure> {
    let unnamed = matches!(target, Target::Stdout | Target::Through(_));
    let format = match named.extension() {
        None if unnamed => Some(Format::Png),
        ending => ending.and_then(Format::of_ending),
    };
    format.ok_or_else(|| {
        Failure::Input(format!(
            "{} ends in none of {}, by which a picture's format is chosen",
            named.display(),
            Format::ENDINGS
        ))
    })
}
