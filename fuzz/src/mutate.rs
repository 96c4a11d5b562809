//! How an input becomes the next one. Inputs are whole blobs, so a corpus is one of `.pgan` files. Most changes
//! end with the right magic, length and checksum: no other input gets past the checksum.

use libfuzzer_sys::fuzzer_mutate;
use pocketgan::Rng;

use crate::forge::{self, between};
use crate::layers::{HEADER_LEN, RECORD_LEN};
use crate::restructure::restructure;

/// Bytes of a record that are not always 0.
const RECORD_FIELDS: usize = 54;
/// The most layers there can be.
const MAX_LAYERS: u8 = 64;

/// Changes the input in `data[..size]` within `data[..max_size]`; returns its new size.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut rng = Rng::new(seed.into());
    let size = match rng.below(16) {
        0 => return fuzzer_mutate(data, size, max_size),
        1 => replace(data, max_size, forge::model(&mut rng)).unwrap_or(size),
        2 => replace(data, max_size, forge::graph(&mut rng)).unwrap_or(size),
        3..=6 => {
            let changes = between(&mut rng, 1, 2);
            let changed = restructure(&data[..size], changes, max_size, &mut rng);
            replace(data, max_size, changed).unwrap_or(size)
        }
        7..=8 => {
            change_fields(&mut data[..size], &mut rng);
            size
        }
        9..=13 => {
            change_parameters(&mut data[..size]);
            size
        }
        _ => fuzzer_mutate(data, size, max_size),
    };
    forge::seal(&mut data[..size]);
    size
}

/// Puts another blob in the input's place, if there is one that fits; returns its size.
fn replace(data: &mut [u8], max_size: usize, blob: Option<Vec<u8>>) -> Option<usize> {
    let blob = blob?;
    data[..max_size]
        .get_mut(..blob.len())?
        .copy_from_slice(&blob);
    Some(blob.len())
}

/// Small changes of a few bytes of the header or of one record.
fn change_fields(blob: &mut [u8], rng: &mut Rng) {
    let layers = blob
        .get(16)
        .map_or(0, |&layers| usize::from(layers.min(MAX_LAYERS)));
    let (start, len) = match between(rng, 0, layers) {
        0 => (8, HEADER_LEN - 8),
        record => (HEADER_LEN + (record - 1) * RECORD_LEN, RECORD_FIELDS),
    };
    for _ in 0..between(rng, 1, 3) {
        let at = start + between(rng, 0, len - 1);
        let Some(byte) = blob.get_mut(at) else {
            continue;
        };
        *byte = match rng.below(4) {
            0 => byte.wrapping_add(1),
            1 => byte.wrapping_sub(1),
            2 => between(rng, 0, 8) as u8,
            _ => rng.next_u32() as u8,
        };
    }
}

/// Any change of the parameters that keeps their length.
fn change_parameters(blob: &mut [u8]) {
    let layers = blob
        .get(16)
        .map_or(0, |&layers| usize::from(layers.min(MAX_LAYERS)));
    if let Some(parameters) = blob.get_mut(HEADER_LEN + layers * RECORD_LEN..)
        && !parameters.is_empty()
    {
        let len = parameters.len();
        fuzzer_mutate(parameters, len, len);
    }
}
