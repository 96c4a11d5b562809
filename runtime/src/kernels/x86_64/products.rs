//! How products of bytes are summed, so that the int8 kernels can be written once.
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m128i, __m256i, _mm_dpbusd_epi32, _mm_set1_epi8, _mm_set1_epi32, _mm_sub_epi32,
    _mm_xor_si128, _mm256_add_epi32, _mm256_cvtepi8_epi16, _mm256_cvtepu8_epi16,
    _mm256_dpbusd_epi32, _mm256_hadd_epi32, _mm256_madd_epi16, _mm256_permute4x64_epi64,
    _mm256_set_m128i, _mm256_set1_epi8, _mm256_set1_epi32, _mm256_sub_epi32, _mm256_xor_si256,
};

use bytemuck::Zeroable;

/// Each is used only where the machine has it.
pub(super) trait Products {
    /// Sums of eight outputs.
    type Sums: Copy + Zeroable;
    /// Eight columns of four channels.
    type Columns: Copy;
    /// Sums of four outputs.
    type Fours: Copy + Zeroable;

    /// How many sums of the same outputs leave enough registers for everything else: 1 or 2.
    const CHAINS: usize;

    fn columns(words: [[u32; 4]; 2]) -> Self::Columns;
    /// Adds the products of each column with four weights.
    fn add(sums: Self::Sums, columns: Self::Columns, weights: i32) -> Self::Sums;
    fn sums(sums: Self::Sums, more: Self::Sums) -> __m256i;
    /// Adds the products of four inputs with four weights for each of four outputs.
    fn add_four(sums: Self::Fours, inputs: u32, weights: [i8; 16]) -> Self::Fours;
    fn fours(sums: [Self::Fours; 2]) -> __m256i;
}

/// PMADDWD of AVX2: sixteen products of sixteen bits, added two by two.
pub(super) struct Pairs<const SIGNED: bool>;

impl<const SIGNED: bool> Pairs<SIGNED> {
    #[inline(always)]
    fn widened(bytes: __m128i) -> __m256i {
        // SAFETY: this machine has AVX2, here and below.
        if SIGNED {
            unsafe { _mm256_cvtepi8_epi16(bytes) }
        } else {
            unsafe { _mm256_cvtepu8_epi16(bytes) }
        }
    }
}

impl<const SIGNED: bool> Products for Pairs<SIGNED> {
    type Sums = [__m256i; 2];
    type Columns = [__m256i; 2];
    type Fours = __m256i;

    const CHAINS: usize = 1;

    #[inline(always)]
    fn columns(words: [[u32; 4]; 2]) -> [__m256i; 2] {
        words.map(|words| Self::widened(bytemuck::cast(words)))
    }

    #[inline(always)]
    fn add(sums: [__m256i; 2], columns: [__m256i; 2], weights: i32) -> [__m256i; 2] {
        unsafe {
            let weights = _mm256_cvtepi8_epi16(_mm_set1_epi32(weights));
            [0, 1].map(|i| _mm256_add_epi32(sums[i], _mm256_madd_epi16(columns[i], weights)))
        }
    }

    #[inline(always)]
    fn sums([low, high]: [__m256i; 2], _: [__m256i; 2]) -> __m256i {
        unsafe { _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(low, high)) }
    }

    #[inline(always)]
    fn add_four(sums: __m256i, inputs: u32, weights: [i8; 16]) -> __m256i {
        unsafe {
            let inputs = Self::widened(_mm_set1_epi32(inputs as i32));
            let weights = _mm256_cvtepi8_epi16(bytemuck::cast(weights));
            _mm256_add_epi32(sums, _mm256_madd_epi16(weights, inputs))
        }
    }

    #[inline(always)]
    fn fours(sums: [__m256i; 2]) -> __m256i {
        Self::sums(sums, Zeroable::zeroed())
    }
}

/// VPDPBUSD of AVX-512: four products of a byte without sign and one with, added to a sum.
///
/// A signed column is taken with 128 added to it, and 128 times the weights is summed beside, to be taken off.
pub(super) struct Quads<const SIGNED: bool>;

impl<const SIGNED: bool> Products for Quads<SIGNED> {
    type Sums = [__m256i; 2];
    type Columns = __m256i;
    type Fours = [__m128i; 2];

    const CHAINS: usize = 2;

    #[inline(always)]
    fn columns(words: [[u32; 4]; 2]) -> __m256i {
        let columns = bytemuck::cast(words);
        if SIGNED {
            // SAFETY: this machine has AVX2 and AVX-512 with VNNI, here and below.
            unsafe { _mm256_xor_si256(columns, _mm256_set1_epi8(-128)) }
        } else {
            columns
        }
    }

    #[inline(always)]
    fn add([sums, off]: [__m256i; 2], columns: __m256i, weights: i32) -> [__m256i; 2] {
        unsafe {
            let weights = _mm256_set1_epi32(weights);
            let off = if SIGNED {
                _mm256_dpbusd_epi32(off, _mm256_set1_epi8(-128), weights)
            } else {
                off
            };
            [_mm256_dpbusd_epi32(sums, columns, weights), off]
        }
    }

    #[inline(always)]
    fn sums([sums, off]: [__m256i; 2], [more, more_off]: [__m256i; 2]) -> __m256i {
        unsafe {
            let off = _mm256_add_epi32(off, more_off);
            _mm256_sub_epi32(_mm256_add_epi32(sums, more), off)
        }
    }

    #[inline(always)]
    fn add_four([sums, off]: [__m128i; 2], inputs: u32, weights: [i8; 16]) -> [__m128i; 2] {
        unsafe {
            let (inputs, weights) = (_mm_set1_epi32(inputs as i32), bytemuck::cast(weights));
            let sign = _mm_set1_epi8(-128);
            if SIGNED {
                [
                    _mm_dpbusd_epi32(sums, _mm_xor_si128(inputs, sign), weights),
                    _mm_dpbusd_epi32(off, sign, weights),
                ]
            } else {
                [_mm_dpbusd_epi32(sums, inputs, weights), off]
            }
        }
    }

    #[inline(always)]
    fn fours(sums: [[__m128i; 2]; 2]) -> __m256i {
        unsafe {
            let [low, high] = sums.map(|[sums, off]| _mm_sub_epi32(sums, off));
            _mm256_set_m128i(high, low)
        }
    }
}
