//! The layers' arithmetic: the reference that defines it, and the fast kernels that match it bit
//! for bit.

pub mod arithmetic;
pub mod reference;

#[cfg(pocketgan_asm)]
mod asm;
pub(crate) mod float;
pub(crate) mod int8;
#[cfg(not(pocketgan_sse2))]
mod portable;
#[cfg(pocketgan_sse2)]
mod x86_64;

/// The int8 kernels of this target.
#[cfg(pocketgan_asm)]
pub(crate) type Best = asm::Asm;
/// The int8 kernels of this target.
#[cfg(pocketgan_sse2)]
pub(crate) type Best = x86_64::Sse2;
/// The int8 kernels of this target.
#[cfg(not(any(pocketgan_asm, pocketgan_sse2)))]
pub(crate) type Best = portable::Portable;
