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

/// The header of a file of unsigned bytes with these sizes.
pub fn header(sizes: &[usize]) -> Vec<u8> {
    let magic = 0x0800 | sizes.len() as u32;
    let words = std::iter::once(magic).chain(sizes.iter().map(|&size| size as u32));
    words.flat_map(u32::to_be_bytes).collect()
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
    let found = sizes(header, rank)?;
    if found != shape {
        return Err(FileProblem::Shape {
            expected: shape.to_vec(),
            found,
        });
    }
    check_len(data, shape.iter().product())?;
    Ok(data)
}

/// Reads an idx file of unsigned bytes with `rank` axes of any sizes, of at most `limit` elements: the sizes and
/// the elements.
///
/// # Errors
///
/// Every [`FileProblem`] of a header; more elements than `limit`; what the reader says, as of a gzip stream.
pub fn read(
    mut reader: impl Read,
    rank: usize,
    limit: usize,
) -> Result<(Vec<usize>, Vec<u8>), FileProblem> {
    let mut header = Vec::new();
    let mut first = reader.by_ref().take(header_len(rank) as u64);
    first.read_to_end(&mut header).map_err(FileProblem::Gzip)?;
    if header.len() < header_len(rank) {
        return Err(FileProblem::NoHeader(header.len()));
    }
    let sizes = sizes(&header, rank)?;
    let product = sizes
        .iter()
        .try_fold(1usize, |n, &size| n.checked_mul(size));
    let Some(expected) = product.filter(|&n| n <= limit) else {
        return Err(FileProblem::TooLarge { sizes, limit });
    };
    let mut elements = Vec::new();
    let mut rest = reader.take(expected as u64 + 1);
    rest.read_to_end(&mut elements).map_err(FileProblem::Gzip)?;
    check_len(&elements, expected)?;
    Ok((sizes, elements))
}

/// The sizes in a header of `rank` axes.
fn sizes(header: &[u8], rank: usize) -> Result<Vec<usize>, FileProblem> {
    let mut words = header.chunks_exact(4).map(|word| {
        word.iter()
            .fold(0u32, |sum, &byte| sum << 8 | u32::from(byte))
    });
    let found = words.next().unwrap_or_default();
    let expected = 0x0800 | rank as u32;
    if found != expected {
        return Err(FileProblem::Magic { expected, found });
    }
    Ok(words.map(|size| size as usize).collect())
}

fn check_len(elements: &[u8], expected: usize) -> Result<(), FileProblem> {
    let found = elements.len();
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => Err(FileProblem::TooShort { expected, found }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(FileProblem::TooLong { expected }),
    }
}
