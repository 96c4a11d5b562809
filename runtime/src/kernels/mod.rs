//! The layers' arithmetic: the reference that defines it, and the fast kernels that match it bit
//! for bit.

pub mod arithmetic;
pub mod reference;

#[cfg(pocketgan_asm)]
mod asm;
pub(crate) mod float;
pub(crate) mod int8;
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
mod portable;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod x86_64;

/// The inner products of the int8 kernels on this target.
#[cfg(pocketgan_asm)]
pub(crate) type Best = asm::Asm;
/// The inner products of the int8 kernels on this target.
#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(crate) type Best = x86_64::Sse2;
/// The inner products of the int8 kernels on this target.
#[cfg(not(any(pocketgan_asm, all(target_arch = "x86_64", not(miri)))))]
pub(crate) type Best = portable::Portable;
