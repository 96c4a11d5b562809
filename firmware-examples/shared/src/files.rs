//! The host's files, through semihosting; errors are sentences.

use core::ffi::CStr;

use semihosting::fs::File;
use semihosting::io::Read;

/// Opens a file for reading.
pub fn open(path: &str) -> Result<File, &'static str> {
    const TOO_LONG: &str = "the path is too long";
    let mut name = [0; 1024];
    let room = name.get_mut(..path.len()).ok_or(TOO_LONG)?;
    room.copy_from_slice(path.as_bytes());
    let name = CStr::from_bytes_until_nul(&name).map_err(|_| TOO_LONG)?;
    File::open(name).map_err(|_| "the file cannot be opened")
}

/// Fills `bytes` from the file, or as far as it goes; returns how far that is.
pub fn read(file: &mut File, bytes: &mut [u8]) -> Result<usize, &'static str> {
    let mut len = 0;
    while len < bytes.len() {
        match file.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(_) => return Err("the file cannot be read"),
        }
    }
    Ok(len)
}
