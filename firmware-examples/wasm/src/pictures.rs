//! Pictures that JavaScript writes into the memory: one is enlarged, another is scored.

use core::ptr;

use firmware_shared::pictures::{self, ANOMALY_THRESHOLD, DIGITS, ENLARGER, Enlarged, Scored};

/// The picture to enlarge.
static mut SMALL: [u8; ENLARGER.picture_len()] = [0; ENLARGER.picture_len()];
/// The picture that was enlarged last.
static mut ENLARGED: Enlarged = [0; ENLARGER.image_len()];
/// The picture to score.
static mut SCORED: Scored = [0; DIGITS.picture_len()];

/// Where the picture to enlarge is written: 14 rows of 14 grey levels.
// SAFETY: nothing else has this name; so with those below.
#[unsafe(no_mangle)]
pub extern "C" fn small() -> *mut u8 {
    (&raw mut SMALL).cast()
}

/// Bytes of an enlarged picture.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn enlarged_len() -> usize {
    ENLARGER.image_len()
}

/// Enlarges the picture at [`small`]. Returns where the pixels are until the next call, or 0 if that failed.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn enlarge() -> *const u8 {
    let (picture, image) = (&raw const SMALL, &raw mut ENLARGED);
    // SAFETY: the module has one thread, and no other Rust code uses the pictures.
    let (picture, image) = unsafe { (&*picture, &mut *image) };
    match pictures::enlarge(picture, image) {
        Ok(()) => image.as_ptr(),
        Err(_) => ptr::null(),
    }
}

/// Where the picture to score is written: 28 rows of 28 grey levels.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn scored() -> *mut u8 {
    (&raw mut SCORED).cast()
}

/// How unlike the digits the picture at [`scored`] is; the greatest number if that failed.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn score() -> u64 {
    let picture = &raw const SCORED;
    // SAFETY: the module has one thread, and no other Rust code uses the picture.
    let picture = unsafe { &*picture };
    pictures::score(picture).unwrap_or(u64::MAX)
}

/// A picture whose score is above is no digit.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn threshold() -> u64 {
    ANOMALY_THRESHOLD
}
