//! Vectors of numbers, so that the kernels can be written once.
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m256, __m512, _mm256_add_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_mul_ps, _mm256_or_ps,
    _mm256_set1_ps, _mm256_storeu_ps, _mm512_add_ps, _mm512_loadu_ps, _mm512_max_ps, _mm512_mul_ps,
    _mm512_or_ps, _mm512_set1_ps, _mm512_storeu_ps,
};

use crate::kernels::float::words;

/// A vector of numbers: each is used only where the machine has it.
pub(super) trait Vector: Copy {
    const LANES: usize;
    /// How many vectors of sums leave enough registers for everything else.
    const SUMS: usize;

    fn splat(x: f32) -> Self;
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// The bits of both.
    fn or(self, other: Self) -> Self;
    /// 0 in place of what is not above it.
    fn positive(self) -> Self;
    /// # Safety
    /// A vector lies there.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// There is room for a vector.
    unsafe fn store(self, to: *mut f32);
}

macro_rules! vector {
    ($vector:ty, $lanes:literal, $sums:literal: $splat:ident, $add:ident, $mul:ident, $or:ident, $max:ident, $load:ident, $store:ident) => {
        impl Vector for $vector {
            const LANES: usize = $lanes;
            const SUMS: usize = $sums;

            #[inline(always)]
            fn splat(x: f32) -> Self {
                // SAFETY: this machine has these vectors, here and below.
                unsafe { $splat(x) }
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                unsafe { $add(self, other) }
            }

            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                unsafe { $mul(self, other) }
            }

            #[inline(always)]
            fn or(self, other: Self) -> Self {
                unsafe { $or(self, other) }
            }

            #[inline(always)]
            fn positive(self) -> Self {
                // Where they are equal, or the first is no number, it gives the second.
                unsafe { $max(self, Self::splat(0.0)) }
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                unsafe { $store(to, self) }
            }
        }
    };
}

vector!(__m256, 8, 12: _mm256_set1_ps, _mm256_add_ps, _mm256_mul_ps, _mm256_or_ps, _mm256_max_ps, _mm256_loadu_ps, _mm256_storeu_ps);
vector!(__m512, 16, 28: _mm512_set1_ps, _mm512_add_ps, _mm512_mul_ps, _mm512_or_ps, _mm512_max_ps, _mm512_loadu_ps, _mm512_storeu_ps);

/// `V` vectors of little-endian numbers from number `start` on, zeros where there are not so many.
#[inline(always)]
pub(super) fn load<W: Vector, const V: usize>(bytes: &[u8], start: usize) -> [W; V] {
    let mut vectors = [W::splat(0.0); V];
    let numbers = words(bytes, start);
    for (vector, numbers) in vectors.iter_mut().zip(numbers.chunks_exact(W::LANES)) {
        // SAFETY: these are as many as a vector's.
        *vector = unsafe { W::load(numbers.as_ptr().cast()) };
    }
    vectors
}

/// Writes vectors in `out`, those that there is room for.
#[inline(always)]
pub(super) fn store<W: Vector>(vectors: &[W], out: &mut [f32]) {
    for (vector, out) in vectors.iter().zip(out.chunks_exact_mut(W::LANES)) {
        // SAFETY: there is room for as many as a vector's.
        unsafe { vector.store(out.as_mut_ptr()) }
    }
}
