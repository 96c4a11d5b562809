//! Files that are there whole or not at all.

mod target;

pub use target::Target;

use etcetera::BaseStrategy;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// How the names of files begin that are not whole yet.
pub const PARTIAL: &str = ".partial-";

/// Writes `bytes` under a temporary name in the same folder, then renames it to `path`.
///
/// # Errors
/// The system's; `path` is then as it was.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_aside(path, bytes)?.persist(path)?;
    sync_folder(folder_of(path));
    Ok(())
}

/// Makes renames in a folder durable, which they are only once the folder is; not every system can sync one.
pub fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        folder.sync_all().ok();
    }
}

/// Writes `bytes` beside `path`, safe on the disk, to be persisted as `path` later.
///
/// # Errors
/// The system's; nothing is left behind.
pub fn write_aside(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PARTIAL);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any other file: temporary files are private otherwise.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder_of(path))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Removes what a killed process left half written in `folder`.
///
/// # Errors
/// The system's.
pub fn sweep(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A path for a sentence, and where a relative one was looked for.
pub fn place(path: &Path) -> String {
    match std::env::current_dir() {
        Ok(folder) if path.is_relative() => {
            format!("{} (in {})", path.display(), folder.display())
        }
        _ => path.display().to_string(),
    }
}

/// The SHA-256 of `bytes`, hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder for what can be fetched or made again: `POCKETGAN_CACHE`, or else `pocketgan` in the user's cache
/// folder; `None` where the user has none.
pub fn cache_folder() -> Option<PathBuf> {
    match std::env::var_os("POCKETGAN_CACHE") {
        Some(folder) if !folder.is_empty() => Some(folder.into()),
        _ => {
            let strategy = etcetera::choose_base_strategy().ok()?;
            Some(strategy.cache_dir().join("pocketgan"))
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
