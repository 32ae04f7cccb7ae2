//! The common case in the native floating-point unit: round to nearest, with operands and result well
//! inside the range.
//!
//! Such an operation can raise nothing but NX, and whether it does follows from the operands and the
//! result: the error of an addition is itself a number, and for the others a comparison of integer
//! significands tells. Nothing here reads or sets the native rounding mode or flags. Every function
//! returns `None` when in doubt, and the arithmetic in integers decides.

use std::ops::{Add, Div, Mul, Sub};

use crate::format::{F16, F32, F64, Format, is_negative};
use crate::round::{Flags, Rounding};

/// A widened pattern, and whether it is inexact.
type Outcome = Option<(u64, bool)>;

/// Operations on widened patterns, rounding to nearest, ties to even.
///
/// Being out of reach, this trait also keeps [`Format`] to the formats of this crate.
pub trait Native {
    #[doc(hidden)]
    #[inline]
    fn native_add(_a: u64, _b: u64) -> Outcome {
        None
    }

    #[doc(hidden)]
    #[inline]
    fn native_mul(_a: u64, _b: u64) -> Outcome {
        None
    }

    #[doc(hidden)]
    #[inline]
    fn native_div(_a: u64, _b: u64) -> Outcome {
        None
    }

    #[doc(hidden)]
    #[inline]
    fn native_sqrt(_a: u64) -> Outcome {
        None
    }

    #[doc(hidden)]
    #[inline]
    fn native_fma(_a: u64, _b: u64, _c: u64) -> Outcome {
        None
    }
}

/// No native type for binary16.
impl Native for F16 {}

impl Native for F32 {
    #[inline]
    fn native_add(a: u64, b: u64) -> Outcome {
        add::<F32>(a, b)
    }

    #[inline]
    fn native_mul(a: u64, b: u64) -> Outcome {
        mul::<F32>(a, b)
    }

    #[inline]
    fn native_div(a: u64, b: u64) -> Outcome {
        div::<F32>(a, b)
    }

    #[inline]
    fn native_sqrt(a: u64) -> Outcome {
        sqrt::<F32>(a)
    }

    #[inline]
    fn native_fma(a: u64, b: u64, c: u64) -> Outcome {
        fma_by_binary64(a, b, c)
    }
}

impl Native for F64 {
    #[inline]
    fn native_add(a: u64, b: u64) -> Outcome {
        add::<F64>(a, b)
    }

    #[inline]
    fn native_mul(a: u64, b: u64) -> Outcome {
        mul::<F64>(a, b)
    }

    #[inline]
    fn native_div(a: u64, b: u64) -> Outcome {
        div::<F64>(a, b)
    }

    #[inline]
    fn native_sqrt(a: u64) -> Outcome {
        sqrt::<F64>(a)
    }

    #[inline]
    fn native_fma(a: u64, b: u64, c: u64) -> Outcome {
        fma_by_instruction(a, b, c)
    }
}

/// The outcome as the public functions return it, if the rounding mode allows to ask for one.
#[inline]
pub(crate) fn in_nearest<F: Format>(
    rm: Rounding,
    operation: impl FnOnce() -> Outcome,
) -> Option<(F::Bits, Flags)> {
    if rm != Rounding::Rne {
        return None;
    }
    operation().map(|(wide, inexact)| (F::from_wide(wide), Flags::inexact_if(inexact)))
}

/// A format that the native processor computes in.
trait Machine: Format {
    type Value: Copy
        + PartialEq
        + Add<Output = Self::Value>
        + Sub<Output = Self::Value>
        + Mul<Output = Self::Value>
        + Div<Output = Self::Value>;

    fn value(wide: u64) -> Self::Value;
    fn wide(value: Self::Value) -> u64;
    fn root(value: Self::Value) -> Self::Value;
}

impl Machine for F32 {
    type Value = f32;

    #[inline]
    fn value(wide: u64) -> f32 {
        f32::from_bits(wide as u32)
    }

    #[inline]
    fn wide(value: f32) -> u64 {
        value.to_bits().into()
    }

    #[inline]
    fn root(value: f32) -> f32 {
        value.sqrt()
    }
}

impl Machine for F64 {
    type Value = f64;

    #[inline]
    fn value(wide: u64) -> f64 {
        f64::from_bits(wide)
    }

    #[inline]
    fn wide(value: f64) -> u64 {
        value.to_bits()
    }

    #[inline]
    fn root(value: f64) -> f64 {
        value.sqrt()
    }
}

#[inline]
fn add<F: Machine>(a: u64, b: u64) -> Outcome {
    let (x, y) = (F::value(a), F::value(b));
    let sum = x + y;
    let wide = F::wide(sum);
    // An infinite or NaN operand shows in the sum. A sum below the normal range is exact, so only
    // the upper end matters, where the error might overflow on its way.
    if exponent::<F>(wide) > F::EXPONENT_MAX - 2 {
        return None;
    }
    let zero = F::value(0);
    Some((wide, two_sum_error(x, y, sum) != zero))
}

/// What the rounded `sum` lacks of a + b, exactly (Knuth's TwoSum).
#[inline]
fn two_sum_error<T: Copy + Add<Output = T> + Sub<Output = T>>(a: T, b: T, sum: T) -> T {
    let b_part = sum - a;
    let a_part = sum - b_part;
    (a - a_part) + (b - b_part)
}

#[inline]
fn mul<F: Machine>(a: u64, b: u64) -> Outcome {
    let wide = F::wide(F::value(a) * F::value(b));
    if !(is_normal::<F>(a) && is_normal::<F>(b) && in_range::<F>(wide)) {
        return None;
    }
    // The product of the significands has FRACTION_BITS digits too many, one more if it reached the
    // next power of two: it is exact if they are zeros. (Being rounded up to that power is inexact.)
    let carried = exponent::<F>(wide) - (exponent::<F>(a) + exponent::<F>(b) - F::BIAS);
    let zeros = significand::<F>(a).trailing_zeros() + significand::<F>(b).trailing_zeros();
    Some((wide, (zeros as i32) < F::FRACTION_BITS as i32 + carried))
}

#[inline]
fn div<F: Machine>(a: u64, b: u64) -> Outcome {
    let wide = F::wide(F::value(a) / F::value(b));
    if !(is_normal::<F>(a) && is_normal::<F>(b) && in_range::<F>(wide)) {
        return None;
    }
    // The quotient is exact if quotient × b = a. In binary64 this takes 106 bits, but the two sides
    // differ by less than 2^54, so the low 64 bits tell.
    let scale = exponent::<F>(a) - exponent::<F>(wide) - exponent::<F>(b) + F::BIAS;
    let scaled = significand::<F>(a).wrapping_shl((F::FRACTION_BITS as i32 + scale) as u32);
    Some((wide, significand::<F>(wide).wrapping_mul(significand::<F>(b)) != scaled))
}

#[inline]
fn sqrt<F: Machine>(a: u64) -> Outcome {
    if is_negative::<F>(a) || !is_normal::<F>(a) {
        return None;
    }
    let wide = F::wide(F::root(F::value(a)));
    // As for a quotient: the square of the root differs from a by less than 2^54.
    let root = significand::<F>(wide);
    let scale = exponent::<F>(a) - 2 * exponent::<F>(wide) + F::BIAS;
    let scaled = significand::<F>(a).wrapping_shl((F::FRACTION_BITS as i32 + scale) as u32);
    Some((wide, root.wrapping_mul(root) != scaled))
}

/// A product of two binary32 is exact in binary64. The sum with the addend is rounded there to odd,
/// so that rounding it once more gives what one rounding would have given.
#[inline]
fn fma_by_binary64(a: u64, b: u64, c: u64) -> Outcome {
    let [a, b, c] = [a, b, c].map(|wide| f64::from(F32::value(wide)));
    let product = a * b;
    let sum = product + c;
    let error = two_sum_error(product, c, sum);
    let to_odd = if error != 0.0 && sum.to_bits() & 1 == 0 {
        // The exact sum lies between this even neighbour and an odd one.
        let outwards = (error > 0.0) == (sum > 0.0);
        f64::from_bits(sum.to_bits().wrapping_add(if outwards { 1 } else { u64::MAX }))
    } else {
        sum
    };
    let rounded = to_odd as f32;
    let wide = F32::wide(rounded);
    // A zero sum is exact, for binary64 reaches far below these operands; it has the right sign.
    (in_range::<F32>(wide) || sum == 0.0).then(|| (wide, f64::from(rounded) != to_odd))
}

/// Whether `mul_add` is one instruction. If not, it is right too, but slower than the arithmetic in
/// integers.
#[inline]
pub(crate) fn has_fma_instruction() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

#[inline]
fn fma_by_instruction(a: u64, b: u64, c: u64) -> Outcome {
    type F = F64;
    if !(is_normal::<F>(a) && is_normal::<F>(b) && is_normal::<F>(c) && has_fma_instruction()) {
        return None;
    }
    let wide = f64::from_bits(a).mul_add(f64::from_bits(b), f64::from_bits(c)).to_bits();
    if !in_range::<F>(wide) {
        return None;
    }
    // The sum is exact if its lowest one is not beneath the last place of the result. That is the
    // lower of the lowest ones of product and addend, unless these are in the same place.
    let (a_zeros, b_zeros, c_zeros) = (
        significand::<F>(a).trailing_zeros(),
        significand::<F>(b).trailing_zeros(),
        significand::<F>(c).trailing_zeros(),
    );
    let product_place = place::<F>(a) + place::<F>(b) + (a_zeros + b_zeros) as i32;
    let addend_place = place::<F>(c) + c_zeros as i32;
    let last_place = place::<F>(wide);
    let inexact = if product_place != addend_place {
        product_place.min(addend_place) < last_place
    } else {
        let product =
            i128::from(significand::<F>(a) >> a_zeros) * i128::from(significand::<F>(b) >> b_zeros);
        let addend = i128::from(significand::<F>(c) >> c_zeros);
        let same_sign = is_negative::<F>(a ^ b) == is_negative::<F>(c);
        let sum = if same_sign { product + addend } else { product - addend };
        product_place + (sum.trailing_zeros() as i32) < last_place
    };
    Some((wide, inexact))
}

/// The power of two that the last bit of the significand of a normal number stands for.
#[inline]
fn place<F: Format>(wide: u64) -> i32 {
    exponent::<F>(wide) - F::BIAS - F::FRACTION_BITS as i32
}

/// The exponent field.
#[inline]
fn exponent<F: Format>(wide: u64) -> i32 {
    ((wide & F::INFINITY) >> F::FRACTION_BITS) as i32
}

/// The significand of a normal number as an integer.
#[inline]
fn significand<F: Format>(wide: u64) -> u64 {
    wide & F::FRACTION | 1 << F::FRACTION_BITS
}

#[inline]
fn is_normal<F: Format>(wide: u64) -> bool {
    (1..F::EXPONENT_MAX).contains(&exponent::<F>(wide))
}

/// Whether a result is far enough from both ends of the range to have been rounded like any other.
#[inline]
pub(crate) fn in_range<F: Format>(wide: u64) -> bool {
    (2..F::EXPONENT_MAX - 1).contains(&exponent::<F>(wide))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{add_sub::add_wide, div::div_wide, fma::fma_wide, mul::mul_wide, sqrt::sqrt_wide};

    /// Patterns crowded at exponents where guards decide and at fractions where exactness does.
    fn pattern<F: Format>() -> impl Strategy<Value = u64> {
        let top = F::EXPONENT_MAX as u64;
        let middle = F::BIAS as u64;
        let reach = u64::from(F::FRACTION_BITS) + 3;
        let exponent = prop_oneof![
            4 => middle - 4..middle + 4,
            2 => middle - reach..middle + reach,
            1 => 0..4u64,
            1 => top - 3..=top,
            1 => middle / 2 - 2..middle / 2 + 3,
            2 => 0..=top,
        ];
        let run = 0..=F::FRACTION_BITS;
        let fraction = prop_oneof![
            2 => any::<u64>(),
            2 => (run.clone(), any::<u64>()).prop_map(|(zeros, word)| word << zeros),
            1 => run.clone().prop_map(|run| 1 << run),
            1 => run.prop_map(|run| (1 << run) - 1),
            1 => (0..4u64).prop_map(u64::wrapping_neg),
        ];
        (any::<bool>(), exponent, fraction).prop_map(|(sign, exponent, fraction)| {
            crate::format::sign_bit::<F>(sign)
                | exponent << F::FRACTION_BITS
                | fraction & F::FRACTION
        })
    }

    /// The native outcome, if there is one, is the one computed in integers.
    fn agrees<F: Format>(native: Outcome, integer: (F::Bits, Flags)) -> Result<(), TestCaseError> {
        if let Some((wide, inexact)) = native {
            prop_assert_eq!((F::from_wide(wide), Flags::inexact_if(inexact)), integer);
        }
        Ok(())
    }

    fn all_agree<F: Format>(a: u64, b: u64, c: u64) -> Result<(), TestCaseError> {
        let rm = Rounding::Rne;
        agrees::<F>(F::native_add(a, b), add_wide::<F>(a, b, rm))?;
        agrees::<F>(F::native_mul(a, b), mul_wide::<F>(a, b, rm))?;
        agrees::<F>(F::native_div(a, b), div_wide::<F>(a, b, rm))?;
        agrees::<F>(F::native_sqrt(a), sqrt_wide::<F>(a, rm))?;
        agrees::<F>(F::native_fma(a, b, c), fma_wide::<F>(a, b, c, rm))?;
        // Addends in the neighbourhood of the product, where most of the sum cancels.
        let (product, _) = mul_wide::<F>(a, b, rm);
        let near = product.into().wrapping_add(c & 3) ^ (c & F::SIGN);
        agrees::<F>(F::native_fma(a, b, near), fma_wide::<F>(a, b, near, rm))?;
        agrees::<F>(F::native_add(a, near), add_wide::<F>(a, near, rm))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(30_000) })]

        #[test]
        fn native_single_precision_agrees_with_integers(
            a in pattern::<F32>(), b in pattern::<F32>(), c in pattern::<F32>()
        ) {
            all_agree::<F32>(a, b, c)?;
        }

        #[test]
        fn native_double_precision_agrees_with_integers(
            a in pattern::<F64>(), b in pattern::<F64>(), c in pattern::<F64>()
        ) {
            all_agree::<F64>(a, b, c)?;
        }
    }

    #[test]
    fn ordinary_operands_take_the_native_path() {
        let [a, b, c] = [3.0f32, 0.1, -7.5].map(|x| u64::from(x.to_bits()));
        assert!(F32::native_add(a, b).is_some());
        assert!(F32::native_mul(a, b).is_some());
        assert!(F32::native_div(a, b).is_some());
        assert!(F32::native_sqrt(a).is_some());
        assert!(F32::native_fma(a, b, c).is_some());
        let [a, b, c] = [3.0f64, 0.1, -7.5].map(f64::to_bits);
        assert!(F64::native_add(a, b).is_some());
        assert!(F64::native_mul(a, b).is_some());
        assert!(F64::native_div(a, b).is_some());
        assert!(F64::native_sqrt(a).is_some());
        assert_eq!(F64::native_fma(a, b, c).is_some(), has_fma_instruction());
    }

    #[test]
    fn results_at_the_ends_of_the_range_are_left_to_integers() {
        let [least, half, largest] = [f64::MIN_POSITIVE, 0.5, f64::MAX].map(f64::to_bits);
        assert_eq!(F64::native_mul(least, half), None);
        assert_eq!(F64::native_div(largest, half), None);
        assert_eq!(F64::native_add(largest, largest), None);
        assert_eq!(F64::native_fma(largest, largest, half), None);
        assert_eq!(F64::native_sqrt(F64::SIGN | half), None);
    }
}
