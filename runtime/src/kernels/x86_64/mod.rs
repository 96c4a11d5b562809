//! Kernels for x86-64: SSE2, which every one has, and AVX2, found when the program runs.

mod avx2;
pub(crate) mod float;
mod sse2;

pub(crate) use avx2::Avx2;
pub(crate) use sse2::Sse2;

cpufeatures::new!(avx2_feature, "avx2");

/// Whether this machine has AVX2 (never in a build for testing SSE2).
#[inline(always)]
pub(crate) fn has_avx2() -> bool {
    cfg!(not(pocketgan_sse2)) && avx2_feature::get()
}
