//! `fadd` and `fsub`.

use crate::format::{
    Finite, Format, Operand, infinity, invalid, is_negative, nan_result, unpack, zero,
};
use crate::native::in_nearest;
use crate::round::{Flags, Rounding, round_and_pack, shift_right_jam};

/// a + b.
#[inline]
pub fn add<F: Format>(a: F::Bits, b: F::Bits, rm: Rounding) -> (F::Bits, Flags) {
    add_signed::<F>(a.into(), b.into(), rm)
}

/// a − b.
#[inline]
pub fn sub<F: Format>(a: F::Bits, b: F::Bits, rm: Rounding) -> (F::Bits, Flags) {
    // Flipping the sign of a NaN changes neither the result nor the flags.
    add_signed::<F>(a.into(), b.into() ^ F::SIGN, rm)
}

#[inline]
fn add_signed<F: Format>(a: u64, b: u64, rm: Rounding) -> (F::Bits, Flags) {
    match in_nearest::<F>(rm, || F::native_add(a, b)) {
        Some(sum) => sum,
        None => add_wide::<F>(a, b, rm),
    }
}

pub(crate) fn add_wide<F: Format>(a: u64, b: u64, rm: Rounding) -> (F::Bits, Flags) {
    use Operand::{Finite, Infinite, Nan, Zero};
    let (a_sign, b_sign) = (is_negative::<F>(a), is_negative::<F>(b));
    match (unpack::<F>(a), unpack::<F>(b)) {
        (Finite(x), Finite(y)) => add_finite::<F>(x, y, rm),
        (Nan, _) | (_, Nan) => nan_result::<F, 2>([a, b]),
        (Infinite, Infinite) if a_sign != b_sign => invalid::<F>(),
        (Infinite, _) => infinity::<F>(a_sign),
        (_, Infinite) => infinity::<F>(b_sign),
        (Zero, Zero) if a_sign != b_sign => zero::<F>(rm.cancelled_sign()),
        (_, Zero) => (F::from_wide(a), Flags::NONE),
        (Zero, _) => (F::from_wide(b), Flags::NONE),
    }
}

#[inline]
fn add_finite<F: Format>(a: Finite, b: Finite, rm: Rounding) -> (F::Bits, Flags) {
    let (large, small) =
        if (a.exponent, a.significand) >= (b.exponent, b.significand) { (a, b) } else { (b, a) };
    // One bit of headroom for the carry. Significands have at least 11 zeros at the end, so this is
    // exact, and a difference that loses bits of `small` cancels at most one bit.
    let distance = large.exponent.abs_diff(small.exponent);
    let augend = large.significand >> 1;
    let addend = shift_right_jam(small.significand >> 1, distance);
    let sum = if large.sign == small.sign { augend + addend } else { augend - addend };
    if sum == 0 {
        return zero::<F>(rm.cancelled_sign());
    }
    let leading = sum.leading_zeros();
    round_and_pack::<F>(large.sign, large.exponent + 1 - leading as i32, sum << leading, rm)
}
