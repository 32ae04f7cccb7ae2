//! Comparisons, minimum and maximum, and `fclass`.

use crate::format::{Format, canonical_nan, is_nan, is_negative, is_signaling, signaling_flags};
use crate::round::Flags;

/// `feq`: false with NaN, which is invalid only if it signals.
#[inline]
pub fn eq<F: Format>(a: F::Bits, b: F::Bits) -> (bool, Flags) {
    compare_quiet::<F>(a.into(), b.into(), |a, b| a == b)
}

/// `flt`: false and invalid with any NaN.
#[inline]
pub fn lt<F: Format>(a: F::Bits, b: F::Bits) -> (bool, Flags) {
    compare_signaling::<F>(a.into(), b.into(), |a, b| a < b)
}

/// `fle`: false and invalid with any NaN.
#[inline]
pub fn le<F: Format>(a: F::Bits, b: F::Bits) -> (bool, Flags) {
    compare_signaling::<F>(a.into(), b.into(), |a, b| a <= b)
}

/// `fltq` of Zfa: [`lt`], but invalid only with a signaling NaN.
#[inline]
pub fn lt_quiet<F: Format>(a: F::Bits, b: F::Bits) -> (bool, Flags) {
    compare_quiet::<F>(a.into(), b.into(), |a, b| a < b)
}

/// `fleq` of Zfa: [`le`], but invalid only with a signaling NaN.
#[inline]
pub fn le_quiet<F: Format>(a: F::Bits, b: F::Bits) -> (bool, Flags) {
    compare_quiet::<F>(a.into(), b.into(), |a, b| a <= b)
}

/// `fmin`: minimumNumber, so a NaN loses against a number; −0 is less than +0.
#[inline]
pub fn min<F: Format>(a: F::Bits, b: F::Bits) -> (F::Bits, Flags) {
    choose_number::<F>(a, b, |a, b| a < b)
}

/// `fmax`: maximumNumber, so a NaN loses against a number; +0 is greater than −0.
#[inline]
pub fn max<F: Format>(a: F::Bits, b: F::Bits) -> (F::Bits, Flags) {
    choose_number::<F>(a, b, |a, b| a > b)
}

/// `fminm` of Zfa: minimum, so any NaN gives the canonical NaN; −0 is less than +0.
#[inline]
pub fn min_m<F: Format>(a: F::Bits, b: F::Bits) -> (F::Bits, Flags) {
    choose_or_nan::<F>(a, b, |a, b| a < b)
}

/// `fmaxm` of Zfa: maximum, so any NaN gives the canonical NaN; +0 is greater than −0.
#[inline]
pub fn max_m<F: Format>(a: F::Bits, b: F::Bits) -> (F::Bits, Flags) {
    choose_or_nan::<F>(a, b, |a, b| a > b)
}

/// `fclass`: one bit of ten, from −∞ (bit 0) through the zeros (3, 4) to +∞ (7), then signaling (8)
/// and quiet NaN (9) (norm:fclass-s_op).
#[inline]
pub fn classify<F: Format>(a: F::Bits) -> u64 {
    let wide = a.into();
    if is_nan::<F>(wide) {
        return if is_signaling::<F>(wide) { 1 << 8 } else { 1 << 9 };
    }
    let magnitude = wide & !F::SIGN;
    let distance_from_zero = if magnitude == F::INFINITY {
        3
    } else if magnitude > F::FRACTION {
        2
    } else if magnitude != 0 {
        1
    } else {
        0
    };
    if is_negative::<F>(wide) {
        1 << (3 - distance_from_zero)
    } else {
        1 << (4 + distance_from_zero)
    }
}

/// An integer in the order of the numbers, with −0 just beneath +0.
#[inline]
fn rank<F: Format>(wide: u64) -> i64 {
    let magnitude = (wide & !F::SIGN) as i64;
    if is_negative::<F>(wide) { !magnitude } else { magnitude }
}

/// As [`rank`], but the zeros are equal.
#[inline]
fn value_rank<F: Format>(wide: u64) -> i64 {
    let magnitude = (wide & !F::SIGN) as i64;
    if is_negative::<F>(wide) { -magnitude } else { magnitude }
}

#[inline]
fn compare_quiet<F: Format>(a: u64, b: u64, holds: impl Fn(i64, i64) -> bool) -> (bool, Flags) {
    if is_nan::<F>(a) || is_nan::<F>(b) {
        return (false, signaling_flags::<F, 2>([a, b]));
    }
    (holds(value_rank::<F>(a), value_rank::<F>(b)), Flags::NONE)
}

#[inline]
fn compare_signaling<F: Format>(a: u64, b: u64, holds: impl Fn(i64, i64) -> bool) -> (bool, Flags) {
    if is_nan::<F>(a) || is_nan::<F>(b) {
        return (false, Flags::NV);
    }
    (holds(value_rank::<F>(a), value_rank::<F>(b)), Flags::NONE)
}

#[inline]
fn choose_number<F: Format>(
    a: F::Bits,
    b: F::Bits,
    before: impl Fn(i64, i64) -> bool,
) -> (F::Bits, Flags) {
    let (wide_a, wide_b) = (a.into(), b.into());
    let number = match (is_nan::<F>(wide_a), is_nan::<F>(wide_b)) {
        (false, false) => {
            let first = before(rank::<F>(wide_a), rank::<F>(wide_b));
            return (if first { a } else { b }, Flags::NONE);
        }
        (true, true) => canonical_nan::<F>(),
        (true, false) => b,
        (false, true) => a,
    };
    (number, signaling_flags::<F, 2>([wide_a, wide_b]))
}

#[inline]
fn choose_or_nan<F: Format>(
    a: F::Bits,
    b: F::Bits,
    before: impl Fn(i64, i64) -> bool,
) -> (F::Bits, Flags) {
    if is_nan::<F>(a.into()) || is_nan::<F>(b.into()) {
        return (canonical_nan::<F>(), signaling_flags::<F, 2>([a.into(), b.into()]));
    }
    choose_number::<F>(a, b, before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::F32;

    const QNAN: u32 = 0x7fc0_1234;
    const SNAN: u32 = 0xff80_0001;
    const ONE: u32 = 0x3f80_0000;
    const MINUS_ZERO: u32 = 0x8000_0000;
    const CANONICAL: u32 = 0x7fc0_0000;

    #[test]
    fn minimum_number_prefers_a_number_to_any_nan() {
        assert_eq!(min::<F32>(QNAN, ONE), (ONE, Flags::NONE));
        assert_eq!(max::<F32>(ONE, SNAN), (ONE, Flags::NV));
        assert_eq!(min::<F32>(QNAN, QNAN), (CANONICAL, Flags::NONE));
        assert_eq!(max::<F32>(QNAN, SNAN), (CANONICAL, Flags::NV));
    }

    #[test]
    fn zfa_minimum_is_nan_with_any_nan() {
        assert_eq!(min_m::<F32>(QNAN, ONE), (CANONICAL, Flags::NONE));
        assert_eq!(max_m::<F32>(ONE, SNAN), (CANONICAL, Flags::NV));
        assert_eq!(max_m::<F32>(ONE, 0), (ONE, Flags::NONE));
    }

    #[test]
    fn minus_zero_is_less_than_plus_zero_only_for_minimum_and_maximum() {
        for (a, b) in [(0, MINUS_ZERO), (MINUS_ZERO, 0)] {
            assert_eq!(min::<F32>(a, b), (MINUS_ZERO, Flags::NONE));
            assert_eq!(min_m::<F32>(a, b), (MINUS_ZERO, Flags::NONE));
            assert_eq!(max::<F32>(a, b), (0, Flags::NONE));
            assert_eq!(max_m::<F32>(a, b), (0, Flags::NONE));
            assert_eq!(eq::<F32>(a, b), (true, Flags::NONE));
            assert_eq!(lt::<F32>(a, b), (false, Flags::NONE));
            assert_eq!(le::<F32>(a, b), (true, Flags::NONE));
        }
    }

    #[test]
    fn fclass_names_each_of_the_ten_classes() {
        let classes = [
            0xff80_0000,
            0xbf80_0000,
            0x8000_0001,
            0x8000_0000,
            0x0000_0000,
            0x007f_ffff,
            0x0080_0000,
            0x7f80_0000,
            SNAN,
            QNAN,
        ];
        for (bit, pattern) in classes.into_iter().enumerate() {
            assert_eq!(classify::<F32>(pattern), 1 << bit);
        }
    }
}
