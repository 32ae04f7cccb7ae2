//! `fsqrt`.

use crate::format::{Format, Operand, infinity, invalid, is_negative, nan_result, unpack};
use crate::native::in_nearest;
use crate::round::{Flags, Rounding, round_and_pack};

/// The square root of a; that of −0 is −0.
#[inline]
pub fn sqrt<F: Format>(a: F::Bits, rm: Rounding) -> (F::Bits, Flags) {
    let a = a.into();
    match in_nearest::<F>(rm, || F::native_sqrt(a)) {
        Some(root) => root,
        None => sqrt_wide::<F>(a, rm),
    }
}

pub(crate) fn sqrt_wide<F: Format>(a: u64, rm: Rounding) -> (F::Bits, Flags) {
    match unpack::<F>(a) {
        Operand::Nan => nan_result::<F, 1>([a]),
        Operand::Zero => (F::from_wide(a), Flags::NONE),
        _ if is_negative::<F>(a) => invalid::<F>(),
        Operand::Infinite => infinity::<F>(false),
        Operand::Finite(x) => {
            // An odd exponent gives one factor of two to the radicand, so that half of the rest is
            // whole. The root of 127 or 128 bits has 64 of them.
            let radicand = u128::from(x.significand) << (63 + (x.exponent & 1));
            let root = radicand.isqrt();
            let significand = root as u64 | u64::from(root * root != radicand);
            round_and_pack::<F>(false, x.exponent >> 1, significand, rm)
        }
    }
}
