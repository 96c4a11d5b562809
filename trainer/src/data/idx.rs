//! The idx format: a magic number, big-endian sizes, then unsigned bytes, nothing after.
//!
//! Defined on Yann LeCun's MNIST page: bytes 0 and 1 are zero, byte 2 is the element type (0x08,
//! unsigned byte), byte 3 the number of axes, then one big-endian u32 an axis.

use std::io::{Read, Take};

use flate2::read::MultiGzDecoder;

use super::error::FileProblem;

/// Bytes of the header of a file with `rank` axes.
pub fn header_len(rank: usize) -> usize {
    4 + 4 * rank
}

/// Unpacks a gzip file of at most `limit` bytes unpacked; one byte more is kept, so that the
/// caller sees that the file is too long without unpacking all of it.
///
/// # Errors
///
/// [`FileProblem::Gzip`] where the stream is truncated, fails its own CRC, or is no gzip.
pub fn gunzip(packed: &[u8], limit: usize) -> Result<Vec<u8>, FileProblem> {
    let mut unpacked = Vec::with_capacity(limit);
    let mut reader: Take<_> = MultiGzDecoder::new(packed).take(limit as u64 + 1);
    reader
        .read_to_end(&mut unpacked)
        .map_err(FileProblem::Gzip)?;
    Ok(unpacked)
}

/// Checks the header and the length of an idx file of unsigned bytes with these sizes and returns
/// its elements.
///
/// # Errors
///
/// Every [`FileProblem`] of a header: magic number, sizes, bytes missing or left over.
pub fn elements<'a>(bytes: &'a [u8], shape: &[usize]) -> Result<&'a [u8], FileProblem> {
    let rank = shape.len();
    let Some((header, data)) = bytes.split_at_checked(header_len(rank)) else {
        return Err(FileProblem::NoHeader(bytes.len()));
    };
    let mut words = header.chunks_exact(4).map(|word| {
        word.iter()
            .fold(0u32, |sum, &byte| sum << 8 | u32::from(byte))
    });
    let found = words.next().unwrap_or_default();
    let expected = 0x0800 | rank as u32;
    if found != expected {
        return Err(FileProblem::Magic { expected, found });
    }
    let sizes: Vec<usize> = words.map(|size| size as usize).collect();
    if sizes != shape {
        return Err(FileProblem::Shape {
            expected: shape.to_vec(),
            found: sizes,
        });
    }
    let expected: usize = shape.iter().product();
    if data.len() < expected {
        return Err(FileProblem::TooShort {
            expected,
            found: data.len(),
        });
    }
    if data.len() > expected {
        return Err(FileProblem::TooLong { expected });
    }
    Ok(data)
}
