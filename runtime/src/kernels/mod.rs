//! The layers' arithmetic: the reference that defines it, and the fast kernels that match it bit
//! for bit.

pub mod arithmetic;
#[cfg(feature = "writer")]
pub mod reference;

#[cfg(pocketgan_asm)]
mod asm;
pub(crate) mod backend;
#[cfg(pocketgan_dsp)]
mod dsp;
pub(crate) mod float;
pub(crate) mod int4;
pub(crate) mod int8;
#[cfg(pocketgan_mve)]
mod mve;
#[cfg(not(any(pocketgan_asm, pocketgan_mve, pocketgan_x86_64)))]
mod portable;
#[cfg(pocketgan_x86_64)]
mod x86_64;
