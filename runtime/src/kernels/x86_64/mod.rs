//! Kernels for x86-64: SSE2, which every one has, and AVX2 and AVX-512, found when the program runs.

mod avx2;
pub(crate) mod float;
mod planes;
pub(crate) mod pointwise;
mod sse2;
mod vector;

pub(crate) use avx2::Avx2;
pub(crate) use sse2::Sse2;

cpufeatures::new!(avx2_feature, "avx2");
cpufeatures::new!(avx512_feature, "avx512f", "avx512dq");

/// Whether this machine has AVX2 (never in a build for testing SSE2).
#[inline(always)]
pub(crate) fn has_avx2() -> bool {
    cfg!(not(pocketgan_sse2)) && avx2_feature::get()
}

/// Whether this machine, which has AVX2, has AVX-512 too (never in a build for testing AVX2).
#[inline(always)]
fn has_avx512() -> bool {
    cfg!(not(pocketgan_avx2)) && avx512_feature::get()
}
