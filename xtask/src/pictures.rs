//! Folders of pictures that a chore makes outside the repository.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::workspace;

/// Makes a folder whole or not at all: `fill` gets one to fill, which then gets its name.
///
/// # Errors
///
/// A folder that is there, or inside the repository; what `fill` says; a folder that cannot be written.
pub fn make(folder: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let folder = std::path::absolute(folder)?;
    // Without `..`, as far as the folders are there.
    let there = folder
        .ancestors()
        .find_map(|above| Some((above, above.canonicalize().ok()?)));
    let (above, real) = there.context("the folder has no parent")?;
    let folder = real.join(folder.strip_prefix(above)?);
    ensure!(
        !folder.starts_with(workspace::root().canonicalize()?),
        "{} is inside the repository: name a folder elsewhere",
        folder.display()
    );
    ensure!(
        !folder.exists(),
        "{} is there already: name another folder",
        folder.display()
    );
    let parent = folder.parent().context("the folder has no parent")?;
    fs::create_dir_all(parent)?;
    let made = tempfile::tempdir_in(parent)?;
    fill(made.path())?;
    // Others may read it too, as any folder.
    let made = made.keep();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&made, fs::Permissions::from_mode(0o755))?;
    }
    fs::rename(&made, &folder)?;
    Ok(())
}

/// A number drawn for a picture by its name, for a seeded split.
pub fn draw(seed: u64, name: &str) -> u64 {
    let hash = Sha256::new()
        .chain_update(seed.to_le_bytes())
        .chain_update(name)
        .finalize();
    let first = hash.iter().take(8);
    first.fold(0, |number, &byte| number << 8 | u64::from(byte))
}
