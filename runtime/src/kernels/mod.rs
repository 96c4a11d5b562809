//! The layers' arithmetic: the reference that defines it, and the fast kernels that match it bit
//! for bit.

pub mod arithmetic;
pub mod reference;

#[cfg(pocketgan_dsp)]
mod cortex_m;
pub(crate) mod float;
pub(crate) mod int8;
mod portable;

/// The inner products of the int8 kernels on this target.
#[cfg(pocketgan_dsp)]
pub(crate) type Best = cortex_m::Dsp;
/// The inner products of the int8 kernels on this target.
#[cfg(not(pocketgan_dsp))]
pub(crate) type Best = portable::Portable;
