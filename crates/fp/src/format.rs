//! The three binary interchange formats, and taking a bit pattern apart.
//!
//! Everything behind the public functions works on the pattern widened to `u64`, so the arithmetic
//! is written once and specialised by the constants of [`Format`].

use std::fmt::{Debug, LowerHex};
use std::hash::Hash;

use crate::native::Native;
use crate::round::Flags;

/// A binary interchange format of IEEE 754, as a type that has no values.
pub trait Format: Native + Copy + Debug + Sized + 'static {
    /// The unsigned integer that holds one pattern.
    type Bits: Copy + Eq + Ord + Hash + Debug + LowerHex + Into<u64> + Send + Sync + 'static;

    /// Width of the exponent field in bits.
    const EXPONENT_BITS: u32;
    /// Width of the trailing significand field in bits.
    const FRACTION_BITS: u32;

    /// Width of the whole pattern in bits.
    const WIDTH: u32 = 1 + Self::EXPONENT_BITS + Self::FRACTION_BITS;
    /// The exponent of 1.0 as it is stored.
    const BIAS: i32 = (1 << (Self::EXPONENT_BITS - 1)) - 1;
    /// The exponent field of infinities and NaNs.
    const EXPONENT_MAX: i32 = (1 << Self::EXPONENT_BITS) - 1;
    /// The sign bit of a widened pattern.
    const SIGN: u64 = 1 << (Self::WIDTH - 1);
    /// The trailing significand field of a widened pattern.
    const FRACTION: u64 = (1 << Self::FRACTION_BITS) - 1;
    /// +∞ as a widened pattern, which is also the mask of the exponent field.
    const INFINITY: u64 = (Self::EXPONENT_MAX as u64) << Self::FRACTION_BITS;
    /// The fraction bit that tells a quiet NaN from a signaling one.
    const QUIET: u64 = 1 << (Self::FRACTION_BITS - 1);

    /// The pattern in the low [`Self::WIDTH`] bits of `wide`; the others are ignored.
    fn from_wide(wide: u64) -> Self::Bits;
}

/// binary16, the format of Zfh and Zfhmin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum F16 {}

/// binary32, the format of F.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum F32 {}

/// binary64, the format of D.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum F64 {}

impl Format for F16 {
    type Bits = u16;
    const EXPONENT_BITS: u32 = 5;
    const FRACTION_BITS: u32 = 10;

    #[inline]
    fn from_wide(wide: u64) -> u16 {
        wide as u16
    }
}

impl Format for F32 {
    type Bits = u32;
    const EXPONENT_BITS: u32 = 8;
    const FRACTION_BITS: u32 = 23;

    #[inline]
    fn from_wide(wide: u64) -> u32 {
        wide as u32
    }
}

impl Format for F64 {
    type Bits = u64;
    const EXPONENT_BITS: u32 = 11;
    const FRACTION_BITS: u32 = 52;

    #[inline]
    fn from_wide(wide: u64) -> u64 {
        wide
    }
}

/// The canonical NaN: positive, quiet, with no other fraction bit set (norm:F_canonical_NaN).
#[inline]
pub fn canonical_nan<F: Format>() -> F::Bits {
    F::from_wide(F::INFINITY | F::QUIET)
}

/// A number that is neither zero nor infinite: (−1)^sign × significand × 2^(exponent − 63).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finite {
    pub(crate) sign: bool,
    pub(crate) exponent: i32,
    /// Bit 63 is set, for subnormal numbers too.
    pub(crate) significand: u64,
}

/// What a bit pattern means.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operand {
    Finite(Finite),
    Zero,
    Infinite,
    Nan,
}

/// Takes a widened pattern apart.
#[inline]
pub(crate) fn unpack<F: Format>(wide: u64) -> Operand {
    let biased = ((wide & F::INFINITY) >> F::FRACTION_BITS) as i32;
    let fraction = wide & F::FRACTION;
    // A subnormal number has the exponent of the smallest normal ones and no implicit bit.
    if biased != 0 && biased != F::EXPONENT_MAX {
        Operand::Finite(Finite {
            sign: is_negative::<F>(wide),
            exponent: biased - F::BIAS,
            significand: 1 << 63 | fraction << (63 - F::FRACTION_BITS),
        })
    } else if biased == 0 {
        if fraction == 0 {
            return Operand::Zero;
        }
        let aligned = fraction << (63 - F::FRACTION_BITS);
        let leading = aligned.leading_zeros();
        Operand::Finite(Finite {
            sign: is_negative::<F>(wide),
            exponent: 1 - F::BIAS - leading as i32,
            significand: aligned << leading,
        })
    } else if fraction == 0 {
        Operand::Infinite
    } else {
        Operand::Nan
    }
}

#[inline]
pub(crate) fn is_negative<F: Format>(wide: u64) -> bool {
    wide & F::SIGN != 0
}

#[inline]
pub(crate) fn is_nan<F: Format>(wide: u64) -> bool {
    wide & !F::SIGN > F::INFINITY
}

#[inline]
pub(crate) fn is_signaling<F: Format>(wide: u64) -> bool {
    is_nan::<F>(wide) && wide & F::QUIET == 0
}

/// The sign bit of a widened pattern, set when `sign` is.
#[inline]
pub(crate) fn sign_bit<F: Format>(sign: bool) -> u64 {
    if sign { F::SIGN } else { 0 }
}

/// ±0.
#[inline]
pub(crate) fn zero<F: Format>(sign: bool) -> (F::Bits, Flags) {
    (F::from_wide(sign_bit::<F>(sign)), Flags::NONE)
}

/// ±∞, exactly.
#[inline]
pub(crate) fn infinity<F: Format>(sign: bool) -> (F::Bits, Flags) {
    (F::from_wide(sign_bit::<F>(sign) | F::INFINITY), Flags::NONE)
}

/// The result of an invalid operation on operands that are not NaN.
#[inline]
pub(crate) fn invalid<F: Format>() -> (F::Bits, Flags) {
    (canonical_nan::<F>(), Flags::NV)
}

/// The result of an operation one of whose operands is NaN: canonical, and invalid if any of them
/// signals.
#[cold]
pub(crate) fn nan_result<F: Format, const N: usize>(operands: [u64; N]) -> (F::Bits, Flags) {
    (canonical_nan::<F>(), signaling_flags::<F, N>(operands))
}

/// NV if any operand is a signaling NaN.
#[inline]
pub(crate) fn signaling_flags<F: Format, const N: usize>(operands: [u64; N]) -> Flags {
    if operands.into_iter().any(is_signaling::<F>) { Flags::NV } else { Flags::NONE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_nans_are_those_of_the_manual() {
        assert_eq!(canonical_nan::<F16>(), 0x7e00);
        assert_eq!(canonical_nan::<F32>(), 0x7fc0_0000);
        assert_eq!(canonical_nan::<F64>(), 0x7ff8_0000_0000_0000);
    }

    #[test]
    fn the_smallest_subnormal_unpacks_to_a_power_of_two() {
        let Operand::Finite(least) = unpack::<F32>(1) else { panic!("a subnormal is finite") };
        assert_eq!((least.sign, least.exponent, least.significand), (false, -149, 1 << 63));
    }
}
