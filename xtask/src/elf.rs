//! How much of a board's memory a firmware takes, read from its ELF file.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::Endianness;
use object::elf::{FileHeader32, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

/// Bytes that flashing the program writes: the file contents of all loadable segments, the initial
/// values of variables included.
///
/// # Errors
///
/// The file cannot be read or is no 32-bit ELF file.
pub fn flash_bytes(path: &Path) -> Result<u64> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let header = FileHeader32::<Endianness>::parse(&*bytes)
        .with_context(|| format!("{} is no 32-bit ELF file", path.display()))?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, &*bytes)?;
    let loaded = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == PT_LOAD);
    Ok(loaded
        .map(|segment| u64::from(segment.p_filesz(endian)))
        .sum())
}
