//! `fdiv`.

use crate::format::{
    Finite, Format, Operand, infinity, invalid, is_negative, nan_result, unpack, zero,
};
use crate::native::in_nearest;
use crate::round::{Flags, Rounding, round_and_pack};

/// a ÷ b.
#[inline]
pub fn div<F: Format>(a: F::Bits, b: F::Bits, rm: Rounding) -> (F::Bits, Flags) {
    let (a, b) = (a.into(), b.into());
    match in_nearest::<F>(rm, || F::native_div(a, b)) {
        Some(quotient) => quotient,
        None => div_wide::<F>(a, b, rm),
    }
}

pub(crate) fn div_wide<F: Format>(a: u64, b: u64, rm: Rounding) -> (F::Bits, Flags) {
    use Operand::{Finite, Infinite, Nan, Zero};
    let sign = is_negative::<F>(a ^ b);
    match (unpack::<F>(a), unpack::<F>(b)) {
        (Finite(x), Finite(y)) => div_finite::<F>(sign, x, y, rm),
        (Nan, _) | (_, Nan) => nan_result::<F, 2>([a, b]),
        (Infinite, Infinite) | (Zero, Zero) => invalid::<F>(),
        (Infinite, _) => infinity::<F>(sign),
        (_, Zero) => (infinity::<F>(sign).0, Flags::DZ),
        (Zero, _) | (_, Infinite) => zero::<F>(sign),
    }
}

#[inline]
fn div_finite<F: Format>(sign: bool, a: Finite, b: Finite, rm: Rounding) -> (F::Bits, Flags) {
    let dividend = u128::from(a.significand) << 63;
    let divisor = u128::from(b.significand);
    // The ratio of two significands lies between 1/2 and 2, so the quotient has 63 or 64 bits.
    let quotient = (dividend / divisor) as u64;
    let remainder = dividend - u128::from(quotient) * divisor;
    let leading = quotient.leading_zeros();
    let significand = quotient << leading | u64::from(remainder != 0);
    round_and_pack::<F>(sign, a.exponent - b.exponent - leading as i32, significand, rm)
}
