//! A generator for JavaScript: `sample(class, seed)` makes a picture and says where in the memory its
//! `image_len()` bytes are.
#![no_std]

#[cfg(feature = "pictures")]
mod pictures;

use core::panic::PanicInfo;
use core::ptr;

use firmware_shared::model::MODEL;
use pocketgan::{Buffer, Error, Generator};

/// The picture made last.
static mut IMAGE: [u8; MODEL.image_len()] = [0; MODEL.image_len()];

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

/// How many classes the model has.
// SAFETY: nothing else has this name; so with the two below.
#[unsafe(no_mangle)]
pub extern "C" fn classes() -> usize {
    MODEL.classes()
}

/// Bytes of a picture.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn image_len() -> usize {
    MODEL.image_len()
}

/// Makes the picture of a seed, and of a class if the model has any. Returns where its bytes are until
/// the next call, or 0 if there is no such class.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn sample(class: usize, seed: u64) -> *const u8 {
    let image = &raw mut IMAGE;
    // SAFETY: the module has one thread, and no other Rust code uses the picture.
    let image = unsafe { &mut *image };
    match make(class, seed, image) {
        Ok(()) => image.as_ptr(),
        Err(_) => ptr::null(),
    }
}

fn make(class: usize, seed: u64, image: &mut [u8]) -> Result<(), Error> {
    let mut buffer = Buffer::<{ MODEL.buffer_len() }>::new();
    let mut generator = Generator::new(&MODEL, &mut buffer)?;
    if MODEL.classes() > 0 {
        generator.set_class(class)?;
    }
    generator.sample(seed, image)
}
