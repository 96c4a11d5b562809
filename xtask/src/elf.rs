//! What a firmware's ELF file says: how much of the board's memory it takes, and what is in it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::elf::{FileHeader32, PT_LOAD, SHF_ALLOC, SHT_NOBITS};
use object::read::elf::{ElfFile32, FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, Object, ObjectSymbol};

/// The section of cortex-m-rt's interrupt vectors.
const VECTORS: &[u8] = b".vector_table";

/// Bytes that flashing the program writes: the file contents of all loadable segments, the initial
/// values of variables included.
///
/// # Errors
///
/// The file cannot be read or is no 32-bit ELF file.
pub fn flash_bytes(path: &Path) -> Result<u64> {
    let bytes = read(path)?;
    let header = header(&bytes, path)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, &*bytes)?;
    let loaded = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == PT_LOAD);
    Ok(loaded
        .map(|segment| u64::from(segment.p_filesz(endian)))
        .sum())
}

/// Bytes of all sections that are loaded but the interrupt vectors, whose number is the chip's.
///
/// # Errors
///
/// As [`flash_bytes`].
pub fn flash_bytes_without_vectors(path: &Path) -> Result<u64> {
    let bytes = read(path)?;
    let header = header(&bytes, path)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, &*bytes)?;
    let mut sum = 0;
    for section in sections.iter() {
        let loaded = section.sh_flags(endian).contains(SHF_ALLOC);
        let stored = section.sh_type(endian) != SHT_NOBITS;
        if loaded && stored && sections.section_name(endian, section)? != VECTORS {
            sum += u64::from(section.sh_size(endian));
        }
    }
    Ok(sum)
}

/// The names of all functions and variables, those of Rust as paths, and how many bytes each has.
///
/// # Errors
///
/// As [`flash_bytes`].
pub fn symbols(path: &Path) -> Result<Vec<(String, u64)>> {
    let bytes = read(path)?;
    let file = ElfFile32::<Endianness>::parse(&*bytes)
        .with_context(|| format!("{} is no 32-bit ELF file", path.display()))?;
    let mut symbols = Vec::new();
    for symbol in file.symbols() {
        let name = format!("{:#}", rustc_demangle::demangle(symbol.name()?));
        symbols.push((name, symbol.size()));
    }
    Ok(symbols)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn header<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a FileHeader32<Endianness>> {
    FileHeader32::parse(bytes).with_context(|| format!("{} is no 32-bit ELF file", path.display()))
}
