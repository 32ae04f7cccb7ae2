//! `fmul`.

use crate::format::{Format, Operand, infinity, invalid, is_negative, nan_result, unpack, zero};
use crate::native::in_nearest;
use crate::round::{Flags, Rounding, narrow_jam, round_and_pack};

/// a × b.
#[inline]
pub fn mul<F: Format>(a: F::Bits, b: F::Bits, rm: Rounding) -> (F::Bits, Flags) {
    let (a, b) = (a.into(), b.into());
    match in_nearest::<F>(rm, || F::native_mul(a, b)) {
        Some(product) => product,
        None => mul_wide::<F>(a, b, rm),
    }
}

pub(crate) fn mul_wide<F: Format>(a: u64, b: u64, rm: Rounding) -> (F::Bits, Flags) {
    use Operand::{Finite, Infinite, Nan, Zero};
    let sign = is_negative::<F>(a ^ b);
    match (unpack::<F>(a), unpack::<F>(b)) {
        (Finite(x), Finite(y)) => {
            let product = u128::from(x.significand) * u128::from(y.significand);
            let leading = product.leading_zeros();
            let exponent = x.exponent + y.exponent + 1 - leading as i32;
            round_and_pack::<F>(sign, exponent, narrow_jam(product << leading), rm)
        }
        (Nan, _) | (_, Nan) => nan_result::<F, 2>([a, b]),
        (Infinite, Zero) | (Zero, Infinite) => invalid::<F>(),
        (Infinite, _) | (_, Infinite) => infinity::<F>(sign),
        (Zero, _) | (_, Zero) => zero::<F>(sign),
    }
}
