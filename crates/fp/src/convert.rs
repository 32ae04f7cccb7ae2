//! Conversions between formats and to and from integers.

use crate::format::{Finite, Format, Operand, infinity, is_negative, nan_result, unpack, zero};
use crate::round::{Flags, Rounding, round_and_pack};

/// The value of `a` in another format.
#[inline]
pub fn convert<From: Format, To: Format>(a: From::Bits, rm: Rounding) -> (To::Bits, Flags) {
    let wide = a.into();
    match unpack::<From>(wide) {
        Operand::Finite(x) => round_and_pack::<To>(x.sign, x.exponent, x.significand, rm),
        Operand::Zero => zero::<To>(is_negative::<From>(wide)),
        Operand::Infinite => infinity::<To>(is_negative::<From>(wide)),
        Operand::Nan => {
            let (_, flags) = nan_result::<From, 1>([wide]);
            (crate::format::canonical_nan::<To>(), flags)
        }
    }
}

/// `fcvt.w.fmt`: out-of-range values saturate, NaN becomes the maximum, and both raise NV alone
/// (norm:fcvt_unrepresentable_nv).
#[inline]
pub fn to_i32<F: Format>(a: F::Bits, rm: Rounding) -> (i32, Flags) {
    let (value, flags) = to_integer::<F>(a, rm, i32::MIN.into(), i32::MAX.into());
    (value as i32, flags)
}

/// `fcvt.wu.fmt`, saturating as [`to_i32`]. A negative value is in range if it rounds to zero.
#[inline]
pub fn to_u32<F: Format>(a: F::Bits, rm: Rounding) -> (u32, Flags) {
    let (value, flags) = to_integer::<F>(a, rm, 0, u32::MAX.into());
    (value as u32, flags)
}

/// `fcvt.l.fmt`, saturating as [`to_i32`].
#[inline]
pub fn to_i64<F: Format>(a: F::Bits, rm: Rounding) -> (i64, Flags) {
    let (value, flags) = to_integer::<F>(a, rm, i64::MIN.into(), i64::MAX.into());
    (value as i64, flags)
}

/// `fcvt.lu.fmt`, saturating as [`to_u32`].
#[inline]
pub fn to_u64<F: Format>(a: F::Bits, rm: Rounding) -> (u64, Flags) {
    let (value, flags) = to_integer::<F>(a, rm, 0, u64::MAX.into());
    (value as u64, flags)
}

/// `fcvt.fmt.w`.
#[inline]
pub fn from_i32<F: Format>(value: i32, rm: Rounding) -> (F::Bits, Flags) {
    from_integer::<F>(value < 0, value.unsigned_abs().into(), rm)
}

/// `fcvt.fmt.wu`.
#[inline]
pub fn from_u32<F: Format>(value: u32, rm: Rounding) -> (F::Bits, Flags) {
    from_integer::<F>(false, value.into(), rm)
}

/// `fcvt.fmt.l`.
#[inline]
pub fn from_i64<F: Format>(value: i64, rm: Rounding) -> (F::Bits, Flags) {
    from_integer::<F>(value < 0, value.unsigned_abs(), rm)
}

/// `fcvt.fmt.lu`.
#[inline]
pub fn from_u64<F: Format>(value: u64, rm: Rounding) -> (F::Bits, Flags) {
    from_integer::<F>(false, value, rm)
}

/// Rounds ±magnitude to a number; integer zero is +0.
#[inline]
pub(crate) fn from_integer<F: Format>(
    sign: bool,
    magnitude: u64,
    rm: Rounding,
) -> (F::Bits, Flags) {
    if magnitude == 0 {
        return zero::<F>(false);
    }
    let leading = magnitude.leading_zeros();
    round_and_pack::<F>(sign, 63 - leading as i32, magnitude << leading, rm)
}

/// The integer that `x` rounds to, without its sign, and whether that is inexact; `None` from 2^64
/// on.
#[inline]
pub(crate) fn round_to_integer(x: Finite, rm: Rounding) -> Option<(u64, bool)> {
    match x.exponent {
        64.. => None,
        63 => Some((x.significand, false)),
        0..=62 => {
            // Only significands of at most 53 bits come here, so the increment cannot carry out.
            let dropped = 63 - x.exponent;
            let kept = x.significand >> dropped;
            let remainder = x.significand & ((1 << dropped) - 1);
            let up = rm.rounds_up(x.sign, kept & 1 == 1, remainder, 1 << (dropped - 1));
            Some((kept + u64::from(up), remainder != 0))
        }
        // Between 1/2 and 1 the significand is the remainder against a half of 2^63, beneath that
        // any remainder short of half will do.
        -1 => Some((rm.rounds_up(x.sign, false, x.significand, 1 << 63).into(), true)),
        _ => Some((rm.rounds_up(x.sign, false, 1, 1 << 63).into(), true)),
    }
}

#[inline]
fn to_integer<F: Format>(a: F::Bits, rm: Rounding, least: i128, greatest: i128) -> (i128, Flags) {
    let wide = a.into();
    let out_of_range = |sign| (if sign { least } else { greatest }, Flags::NV);
    match unpack::<F>(wide) {
        Operand::Zero => (0, Flags::NONE),
        Operand::Nan => out_of_range(false),
        Operand::Infinite => out_of_range(is_negative::<F>(wide)),
        Operand::Finite(x) => {
            let Some((magnitude, inexact)) = round_to_integer(x, rm) else {
                return out_of_range(x.sign);
            };
            let magnitude = i128::from(magnitude);
            let value = if x.sign { -magnitude } else { magnitude };
            if value < least || value > greatest {
                return out_of_range(x.sign);
            }
            (value, Flags::inexact_if(inexact))
        }
    }
}
