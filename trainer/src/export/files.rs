//! Files that are there whole or not at all.

use super::ExportError;
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

/// Writes files into `dir`: all of them under temporary names first, then each under its own.
pub fn write_all(dir: &Path, files: &[(&str, &Vec<u8>)]) -> Result<(), ExportError> {
    let mut complete = Vec::new();
    for (name, bytes) in files {
        let path = dir.join(name);
        match write(dir, bytes) {
            Ok(file) => complete.push((file, path)),
            Err(source) => return Err(ExportError::Write { path, source }),
        }
    }
    for (file, path) in complete {
        if let Err(error) = file.persist(&path) {
            let source = error.error;
            return Err(ExportError::Write { path, source });
        }
    }
    Ok(())
}

fn write(dir: &Path, bytes: &[u8]) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".export-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any other file: temporary files are private otherwise.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}
