//! What this machine has, found when the program runs.

use core::arch::x86_64::__cpuid_count;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

cpufeatures::new!(avx2_feature, "avx2");
cpufeatures::new!(avx512_feature, "avx512f", "avx512dq");
cpufeatures::new!(avx512vl_feature, "avx2", "avx512vl");

/// Whether this machine has AVX2 (never in a build for testing SSE2).
#[inline(always)]
pub(crate) fn has_avx2() -> bool {
    cfg!(not(pocketgan_sse2)) && avx2_feature::get()
}

/// Whether this machine, which has AVX2, has AVX-512 too (never in a build for testing AVX2).
#[inline(always)]
pub(super) fn has_avx512() -> bool {
    cfg!(not(pocketgan_avx2)) && avx512_feature::get()
}

/// Whether this machine has AVX-512's VNNI for vectors of AVX2's width (never in a build for testing others).
#[inline(always)]
pub(crate) fn has_vnni() -> bool {
    /// What was found, and that it was looked for. To look takes microseconds where the machine is a virtual one.
    static FOUND: AtomicU8 = AtomicU8::new(0);
    const LOOKED: u8 = 2;
    if cfg!(any(pocketgan_sse2, pocketgan_avx2)) {
        return false;
    }
    let mut found = FOUND.load(Relaxed);
    if found == 0 {
        // Bit 11 of ECX, leaf 7; the crate `cpufeatures` does not know it.
        let vnni = avx512vl_feature::get() && __cpuid_count(7, 0).ecx & 1 << 11 != 0;
        found = LOOKED | u8::from(vnni);
        FOUND.store(found, Relaxed);
    }
    found & 1 != 0
}
