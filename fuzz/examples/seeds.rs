//! Writes the seed corpus anew: `cargo run --example seeds`, in this folder.

use std::path::Path;
use std::{fs, io};

use pocketgan_fuzz::forge;

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir(&folder)?,
    }
    for (index, blob) in forge::seeds().iter().enumerate() {
        fs::write(folder.join(format!("{index:02}.pgan")), blob)?;
    }
    Ok(())
}
