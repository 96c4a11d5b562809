//! What the firmware examples share: the choice of model, pictures as text, pictures by two cores and, for boards that
//! QEMU emulates, what the user asks for and figures of instructions.
#![no_std]

#[cfg(feature = "emulated")]
pub mod cases;
#[cfg(feature = "emulated")]
pub mod console;
#[cfg(feature = "emulated")]
pub mod counter;
#[cfg(feature = "emulated")]
pub mod emulated;
#[cfg(feature = "emulated")]
pub mod files;
#[cfg(feature = "two-cores")]
pub mod halves;
pub mod model;
pub mod picture;
#[cfg(feature = "pictures")]
pub mod pictures;
#[cfg(all(feature = "pictures", feature = "emulated"))]
pub mod pictures_emulated;
#[cfg(feature = "emulated")]
pub mod request;
