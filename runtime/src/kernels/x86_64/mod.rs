//! Kernels for x86-64: SSE2, which every one has, and AVX2 and AVX-512, found when the program runs.

mod features;
pub(crate) mod float;
mod int8;
mod planes;
pub(crate) mod pointwise;
mod products;
mod sse2;
mod vector;

pub(crate) use features::{has_avx2, has_vnni};
pub(crate) use int8::{Avx2, Vnni};
pub(crate) use sse2::Sse2;
