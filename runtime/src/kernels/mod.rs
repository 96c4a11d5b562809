//! The layers' arithmetic: the reference that defines it, and the fast kernels that match it bit
//! for bit.

pub mod arithmetic;
pub mod reference;

#[cfg(pocketgan_asm)]
mod asm;
pub(crate) mod float;
pub(crate) mod int8;
mod portable;

/// The inner products of the int8 kernels on this target.
#[cfg(pocketgan_asm)]
pub(crate) type Best = asm::Asm;
/// The inner products of the int8 kernels on this target.
#[cfg(not(pocketgan_asm))]
pub(crate) type Best = portable::Portable;
