//! Where a user wants something written: a file, perhaps through links, a device, a pipe, standard output.

use super::{folder_of, write_aside, write_whole};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// So many links in a row are followed, as Linux does.
const MOST_LINKS: usize = 40;

/// What a path leads to, its symbolic links followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This process's standard output.
    Stdout,
    /// A device, a pipe, or what a process has open: `/proc/self/fd/3`. It is opened and written, never replaced.
    Through(PathBuf),
    /// A regular file of several names (hard links), which it keeps: it is written in place.
    InPlace(PathBuf),
    /// A regular file, replaced as a whole.
    Replace(PathBuf),
    /// Nothing is there yet.
    New(PathBuf),
}

impl Target {
    /// Follows the links of `path`; the last may lead to what is not there yet.
    ///
    /// # Errors
    /// [`ErrorKind::IsADirectory`] for a folder; links that lead in a circle; the system's.
    pub fn find(path: &Path) -> io::Result<Self> {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            let there = match path.symlink_metadata() {
                Err(error) if error.kind() == ErrorKind::NotFound => return Self::new(path),
                there => there?,
            };
            if !there.is_symlink() {
                return Self::of(path, &there);
            }
            let folder = folder_of(&path).canonicalize()?;
            if folder.starts_with("/proc") && folder.ends_with("fd") {
                return Self::descriptor(path, &folder);
            }
            path = folder.join(std::fs::read_link(&path)?);
        }
        Err(io::Error::other("its links lead in a circle"))
    }

    /// Tries whether a file can be written, and leaves everything as it is. Devices and pipes are not tried: to open
    /// one can have an effect, or wait.
    ///
    /// # Errors
    /// The system's.
    pub fn probe(&self) -> io::Result<()> {
        match self {
            Self::Stdout | Self::Through(_) => Ok(()),
            Self::InPlace(path) | Self::Replace(path) => {
                OpenOptions::new().write(true).open(path).map(drop)
            }
            Self::New(path) => {
                let folder = folder_of(path);
                if folder.exists() {
                    tempfile::tempfile_in(folder).map(drop)
                } else {
                    let sentence = format!("there is no folder {}", folder.display());
                    Err(io::Error::new(ErrorKind::NotFound, sentence))
                }
            }
        }
    }

    /// Writes `bytes`. A file is there whole or as it was, and keeps its permissions and its owner. One that cannot be
    /// replaced (its folder cannot be written, it has other names) is written in place. A pipe is waited for until it
    /// has a reader; a reader that has gone away is no error.
    ///
    /// # Errors
    /// The system's; it says if a file that was written in place is incomplete.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                unless_gone(stdout.write_all(bytes).and_then(|()| stdout.flush()))
            }
            Self::Through(path) => unless_gone(truncated(path)?.write_all(bytes)),
            Self::InPlace(path) => in_place(path, bytes),
            Self::Replace(path) => replace(path, bytes),
            Self::New(path) => write_whole(path, bytes),
        }
    }

    /// A path that ends in `/`, `.` or `..` cannot become a file.
    fn new(path: PathBuf) -> io::Result<Self> {
        let whole = path.as_os_str().as_encoded_bytes();
        match path.file_name() {
            Some(name) if whole.ends_with(name.as_encoded_bytes()) => Ok(Self::New(path)),
            _ => Err(ErrorKind::IsADirectory.into()),
        }
    }

    fn of(path: PathBuf, there: &Metadata) -> io::Result<Self> {
        if there.is_dir() {
            Err(ErrorKind::IsADirectory.into())
        } else if !there.is_file() {
            Ok(Self::Through(path))
        } else if names(there) > 1 {
            Ok(Self::InPlace(path))
        } else {
            Ok(Self::Replace(path))
        }
    }

    /// A descriptor, which has the number of its name, of the process that `folder` is of.
    fn descriptor(path: PathBuf, folder: &Path) -> io::Result<Self> {
        if path.metadata()?.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        let own = Path::new("/proc/self").canonicalize()?;
        if folder.starts_with(own) && path.ends_with("1") {
            Ok(Self::Stdout)
        } else {
            Ok(Self::Through(path))
        }
    }
}

/// What is there is emptied; devices and pipes have nothing to empty.
fn truncated(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).truncate(true).open(path)
}

fn unless_gone(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn in_place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = truncated(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|error| io::Error::new(error.kind(), format!("it is incomplete now: {error}")))
}

/// Renames a new file to `path`, or writes in place where the system does not allow that.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let replaced = write_aside(path, bytes).and_then(|file| {
        keep_access(path, file.as_file())?;
        file.persist(path)?;
        super::sync_folder(folder_of(path));
        Ok(())
    });
    match replaced {
        Err(error) if is_final(error.kind()) => in_place(path, bytes),
        other => other,
    }
}

/// Whether a file cannot be replaced, whoever makes room; the last two come of a mount point, as in a container.
fn is_final(error: ErrorKind) -> bool {
    use ErrorKind::{CrossesDevices, PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(
        error,
        PermissionDenied | ReadOnlyFilesystem | ResourceBusy | CrossesDevices
    )
}

/// How many hard links a file has.
#[cfg(unix)]
fn names(file: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(file)
}

#[cfg(not(unix))]
fn names(_: &Metadata) -> u64 {
    1
}

/// Gives a new file the owner, the group and the permissions of the one at `path`.
#[cfg(unix)]
fn keep_access(path: &Path, new: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let (old, made) = (path.metadata()?, new.metadata()?);
    if (old.uid(), old.gid()) != (made.uid(), made.gid()) {
        fchown(new, Some(old.uid()), Some(old.gid()))?;
    }
    new.set_permissions(old.permissions())
}

#[cfg(not(unix))]
fn keep_access(path: &Path, new: &File) -> io::Result<()> {
    new.set_permissions(path.metadata()?.permissions())
}
