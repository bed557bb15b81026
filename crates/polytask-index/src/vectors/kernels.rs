//! Inner products of rows, written so that the compiler makes vector instructions of them: sums stand in fixed lanes, so
//! every instruction set gives the same bits. All are inlined, to be compiled within [`polytask_nn::trunk::simd::wide`].
#![allow(clippy::inline_always)] // they must land in code compiled for each instruction set

/// Sums that are kept apart.
const LANES: usize = 32;
/// Two to the power of 112: what the exponent of a two-byte real lacks once its bits stand in a four-byte one.
const HALF_SCALE: f32 = f32::from_bits(0x7780_0000);

/// The inner product of two rows.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            sums[i] += a[i] * b[i];
        }
    }
    fold(&sums) + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// The inner product of a row and one of two-byte reals (their bits; none is infinite).
#[inline(always)]
pub(super) fn dot_half(a: &[f32], b: &[u16]) -> f32 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            sums[i] += a[i] * half(b[i]);
        }
    }
    fold(&sums) + a_rest.iter().zip(b_rest).map(|(a, b)| a * half(*b)).sum::<f32>()
}

/// A finite two-byte real.
#[inline(always)]
fn half(bits: u16) -> f32 {
    let size = f32::from_bits(u32::from(bits & 0x7fff) << 13) * HALF_SCALE;
    f32::from_bits(size.to_bits() | (u32::from(bits & 0x8000) << 16))
}

/// The inner product of two rows of whole numbers.
#[inline(always)]
pub(super) fn dot_int8(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

/// In how many places two rows of bits differ.
#[inline(always)]
pub(super) fn differing(a: &[u64], b: &[u64]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// The sum of all lanes, halves first. Never inlined: seen together with the loop before it, the compiler would make
/// pairs of the lanes in the place of whole vectors.
#[inline(never)]
fn fold(sums: &[f32; LANES]) -> f32 {
    let mut half = [0.0_f32; LANES / 2];
    let mut quarter = [0.0_f32; LANES / 4];
    for i in 0..LANES / 2 {
        half[i] = sums[i] + sums[i + LANES / 2];
    }
    for i in 0..LANES / 4 {
        quarter[i] = half[i] + half[i + LANES / 4];
    }
    let four = |i: usize| quarter[i] + quarter[i + 4];
    (four(0) + four(2)) + (four(1) + four(3))
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    #[test]
    fn products_are_those_of_the_plain_loop_at_every_width() {
        for n in [0, 1, 31, 32, 33, 100, 384] {
            let a: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
            let b: Vec<f32> = (0..n).map(|i| (i as f32 * 0.11).cos()).collect();
            let plain = |b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
            assert!((dot(&a, &b) - plain(&b)).abs() < 1e-4);
            let halves: Vec<u16> = b.iter().map(|b| f16::from_f32(*b).to_bits()).collect();
            let back: Vec<f32> = halves.iter().map(|bits| f16::from_bits(*bits).to_f32()).collect();
            assert!((dot_half(&a, &halves) - plain(&back)).abs() < 1e-4);
            let whole: Vec<i8> = b.iter().map(|b| (b * 127.0) as i8).collect();
            let exact = whole.iter().map(|x| i32::from(*x) * i32::from(*x)).sum::<i32>();
            assert_eq!(dot_int8(&whole, &whole), exact);
        }
        assert_eq!(differing(&[0b1011, 0], &[0b0001, u64::MAX]), 2 + 64);
    }

    #[test]
    fn two_byte_reals_are_read_exactly_small_ones_too() {
        for bits in (0..=u16::MAX).filter(|bits| bits & 0x7c00 != 0x7c00) {
            assert_eq!(half(bits).to_bits(), f16::from_bits(bits).to_f32().to_bits(), "{bits:x}");
        }
    }
}
