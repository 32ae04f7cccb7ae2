//! `fmadd` and, with sign bits flipped by the caller, `fmsub`, `fnmsub`, `fnmadd`.

use crate::format::{
    Finite, Format, Operand, infinity, invalid, is_negative, nan_result, unpack, zero,
};
use crate::native::in_nearest;
use crate::round::{Flags, Rounding, narrow_jam, round_and_pack, shift_right_jam_wide};

/// a × b + c with one rounding. ∞ × 0 is invalid even if c is a quiet NaN (norm:fma_nv_flag).
#[inline]
pub fn fma<F: Format>(a: F::Bits, b: F::Bits, c: F::Bits, rm: Rounding) -> (F::Bits, Flags) {
    let (a, b, c) = (a.into(), b.into(), c.into());
    match in_nearest::<F>(rm, || F::native_fma(a, b, c)) {
        Some(sum) => sum,
        None => fma_wide::<F>(a, b, c, rm),
    }
}

pub(crate) fn fma_wide<F: Format>(a: u64, b: u64, c: u64, rm: Rounding) -> (F::Bits, Flags) {
    use Operand::{Finite, Infinite, Nan, Zero};
    let sign = is_negative::<F>(a ^ b);
    let c_sign = is_negative::<F>(c);
    match (unpack::<F>(a), unpack::<F>(b), unpack::<F>(c)) {
        (Finite(x), Finite(y), Finite(z)) => Sum::product(x, y).plus(z).round::<F>(rm),
        (Infinite, Zero, _) | (Zero, Infinite, _) => invalid::<F>(),
        (Nan, _, _) | (_, Nan, _) | (_, _, Nan) => nan_result::<F, 3>([a, b, c]),
        (Infinite, _, Infinite) | (_, Infinite, Infinite) if sign != c_sign => invalid::<F>(),
        (Infinite, _, _) | (_, Infinite, _) => infinity::<F>(sign),
        (_, _, Infinite) => infinity::<F>(c_sign),
        (Finite(x), Finite(y), Zero) => Sum::product(x, y).round::<F>(rm),
        (_, _, Finite(_)) => (F::from_wide(c), Flags::NONE),
        (_, _, Zero) if sign == c_sign => zero::<F>(sign),
        (_, _, Zero) => zero::<F>(rm.cancelled_sign()),
    }
}

/// (−1)^sign × significand × 2^(exponent − 127), where bit 127 of the significand is set unless it
/// is zero, and bit 0 is sticky.
struct Sum {
    sign: bool,
    exponent: i32,
    significand: u128,
}

impl Sum {
    /// The exact product; at least its last 21 bits are zero.
    #[inline]
    fn product(a: Finite, b: Finite) -> Sum {
        let product = u128::from(a.significand) * u128::from(b.significand);
        let leading = product.leading_zeros();
        Sum {
            sign: a.sign != b.sign,
            exponent: a.exponent + b.exponent + 1 - leading as i32,
            significand: product << leading,
        }
    }

    #[inline]
    fn plus(self, c: Finite) -> Sum {
        let c = Sum {
            sign: c.sign,
            exponent: c.exponent,
            significand: u128::from(c.significand) << 64,
        };
        let (large, small) = if (self.exponent, self.significand) >= (c.exponent, c.significand) {
            (self, c)
        } else {
            (c, self)
        };
        // As in a plain addition: one bit of headroom, and enough zeros beneath both operands that
        // the smaller loses bits only where at most one bit can cancel.
        let distance = large.exponent.abs_diff(small.exponent);
        let augend = large.significand >> 1;
        let addend = shift_right_jam_wide(small.significand >> 1, distance);
        let sum = if large.sign == small.sign { augend + addend } else { augend - addend };
        if sum == 0 {
            return Sum { significand: 0, ..large };
        }
        let leading = sum.leading_zeros();
        Sum {
            sign: large.sign,
            exponent: large.exponent + 1 - leading as i32,
            significand: sum << leading,
        }
    }

    #[inline]
    fn round<F: Format>(self, rm: Rounding) -> (F::Bits, Flags) {
        if self.significand == 0 {
            return zero::<F>(rm.cancelled_sign());
        }
        round_and_pack::<F>(self.sign, self.exponent, narrow_jam(self.significand), rm)
    }
}
