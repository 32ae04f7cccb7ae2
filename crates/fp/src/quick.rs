//! Arithmetic for callers whose NX is raised already, so that nobody has to find out whether an operation raises it: rounded to
//! nearest, ties to even, where nothing but NX can be raised.

use std::cmp::Ordering;

use crate::format::{F32, F64, Format};
use crate::native::{has_fma_instruction, in_range};

/// A format with such operations. Each returns `None` where it might raise something else, or it would take long to tell; the functions of
/// this crate decide then.
pub trait Quick: Format {
    /// a + b.
    fn add(a: Self::Bits, b: Self::Bits) -> Option<Self::Bits>;
    /// a − b.
    fn sub(a: Self::Bits, b: Self::Bits) -> Option<Self::Bits>;
    /// a × b.
    fn mul(a: Self::Bits, b: Self::Bits) -> Option<Self::Bits>;
    /// a ÷ b.
    fn div(a: Self::Bits, b: Self::Bits) -> Option<Self::Bits>;
    /// The square root of a.
    fn sqrt(a: Self::Bits) -> Option<Self::Bits>;
    /// a × b + c, rounded once.
    fn fma(a: Self::Bits, b: Self::Bits, c: Self::Bits) -> Option<Self::Bits>;
    /// Whether a = b; `None` with a NaN.
    fn eq(a: Self::Bits, b: Self::Bits) -> Option<bool>;
    /// Whether a < b; `None` with a NaN.
    fn lt(a: Self::Bits, b: Self::Bits) -> Option<bool>;
    /// Whether a ≤ b; `None` with a NaN.
    fn le(a: Self::Bits, b: Self::Bits) -> Option<bool>;
    /// The lesser, −0 before +0; `None` with a NaN.
    fn min(a: Self::Bits, b: Self::Bits) -> Option<Self::Bits>;
    /// The greater, +0 before −0; `None` with a NaN.
    fn max(a: Self::Bits, b: Self::Bits) -> Option<Self::Bits>;
    /// The whole number next to a on the way to zero, if an `i32` holds it.
    fn to_i32(a: Self::Bits) -> Option<i32>;
    /// The same of a `u32`.
    fn to_u32(a: Self::Bits) -> Option<u32>;
    /// The same of an `i64`.
    fn to_i64(a: Self::Bits) -> Option<i64>;
    /// The same of a `u64`.
    fn to_u64(a: Self::Bits) -> Option<u64>;
    /// The number next to a whole one.
    fn from_i64(value: i64) -> Self::Bits;
    /// The same of one without sign.
    fn from_u64(value: u64) -> Self::Bits;
}

impl F32 {
    /// The number of binary64 that a number of binary32 is; `None` of a NaN.
    #[inline(always)]
    #[must_use]
    pub fn widen(a: u32) -> Option<u64> {
        let a = f32::from_bits(a);
        (!a.is_nan()).then(|| f64::from(a).to_bits())
    }
}

impl F64 {
    /// The number of binary32 next to one of binary64.
    #[inline(always)]
    #[must_use]
    pub fn narrow(a: u64) -> Option<u32> {
        let narrow = (f64::from_bits(a) as f32).to_bits();
        (in_range::<F32>(narrow.into()) || is_zero::<F64>(a)).then_some(narrow)
    }
}

/// What is infinite or a NaN, as a result or because an operand is, has the greatest exponent.
#[inline(always)]
fn is_finite<F: Format>(wide: u64) -> bool {
    wide & F::INFINITY != F::INFINITY
}

#[inline(always)]
fn is_zero<F: Format>(wide: u64) -> bool {
    wide & !F::SIGN == 0
}

/// A conversion that cuts off what is behind the point. The range of an integer is half open in numbers that both formats have but for
/// −1, and but for the least `i32` of all, which takes the long way.
macro_rules! to_integer {
    ($value:ty, $bits:ty, $name:ident, $int:ty) => {
        #[inline(always)]
        fn $name(a: $bits) -> Option<$int> {
            // Twice the middle of the range, as its end is no integer of the type.
            let end = (<$int>::MAX / 2 + 1) as $value * 2.0;
            let a = <$value>::from_bits(a);
            let above = if <$int>::MIN == 0 { a > -1.0 } else { a > -end };
            (above && a < end).then_some(a as $int)
        }
    };
}

macro_rules! quick {
    ($($format:ty: $value:ty, $bits:ty;)*) => {$(
        impl Quick for $format {
            // A sum below the normal range is exact.
            #[inline(always)]
            fn add(a: $bits, b: $bits) -> Option<$bits> {
                let sum = (<$value>::from_bits(a) + <$value>::from_bits(b)).to_bits();
                is_finite::<$format>(sum.into()).then_some(sum)
            }

            #[inline(always)]
            fn sub(a: $bits, b: $bits) -> Option<$bits> {
                let difference = (<$value>::from_bits(a) - <$value>::from_bits(b)).to_bits();
                is_finite::<$format>(difference.into()).then_some(difference)
            }

            #[inline(always)]
            fn mul(a: $bits, b: $bits) -> Option<$bits> {
                let product = (<$value>::from_bits(a) * <$value>::from_bits(b)).to_bits();
                let zero = || {
                    is_zero::<$format>(product.into())
                        && (is_zero::<$format>(a.into()) || is_zero::<$format>(b.into()))
                };
                (in_range::<$format>(product.into()) || zero()).then_some(product)
            }

            #[inline(always)]
            fn div(a: $bits, b: $bits) -> Option<$bits> {
                let quotient = (<$value>::from_bits(a) / <$value>::from_bits(b)).to_bits();
                in_range::<$format>(quotient.into()).then_some(quotient)
            }

            #[inline(always)]
            fn sqrt(a: $bits) -> Option<$bits> {
                let root = <$value>::from_bits(a).sqrt().to_bits();
                in_range::<$format>(root.into()).then_some(root)
            }

            #[inline(always)]
            fn fma(a: $bits, b: $bits, c: $bits) -> Option<$bits> {
                if !has_fma_instruction() {
                    return None;
                }
                let [a, b, c] = [a, b, c].map(<$value>::from_bits);
                let sum = a.mul_add(b, c).to_bits();
                in_range::<$format>(sum.into()).then_some(sum)
            }

            #[inline(always)]
            fn eq(a: $bits, b: $bits) -> Option<bool> {
                let (a, b) = (<$value>::from_bits(a), <$value>::from_bits(b));
                a.partial_cmp(&b).map(|_| a == b)
            }

            #[inline(always)]
            fn lt(a: $bits, b: $bits) -> Option<bool> {
                let (a, b) = (<$value>::from_bits(a), <$value>::from_bits(b));
                a.partial_cmp(&b).map(|_| a < b)
            }

            #[inline(always)]
            fn le(a: $bits, b: $bits) -> Option<bool> {
                let (a, b) = (<$value>::from_bits(a), <$value>::from_bits(b));
                a.partial_cmp(&b).map(|_| a <= b)
            }

            #[inline(always)]
            fn min(a: $bits, b: $bits) -> Option<$bits> {
                let order = <$value>::from_bits(a).partial_cmp(&<$value>::from_bits(b))?;
                // Of zeros, that with a sign is less; other equals are alike.
                let first = order == Ordering::Less || order == Ordering::Equal && a >= b;
                Some(if first { a } else { b })
            }

            #[inline(always)]
            fn max(a: $bits, b: $bits) -> Option<$bits> {
                let order = <$value>::from_bits(a).partial_cmp(&<$value>::from_bits(b))?;
                let first = order == Ordering::Greater || order == Ordering::Equal && a <= b;
                Some(if first { a } else { b })
            }

            to_integer!($value, $bits, to_i32, i32);
            to_integer!($value, $bits, to_u32, u32);
            to_integer!($value, $bits, to_i64, i64);
            to_integer!($value, $bits, to_u64, u64);

            #[inline(always)]
            fn from_i64(value: i64) -> $bits {
                (value as $value).to_bits()
            }

            #[inline(always)]
            fn from_u64(value: u64) -> $bits {
                (value as $value).to_bits()
            }
        }
    )*};
}
quick! {
    F32: f32, u32;
    F64: f64, u64;
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;
    use crate::{Flags, Rounding};

    /// Patterns in which exponents and fractions are often extreme.
    fn pattern<F: Format>() -> impl Strategy<Value = F::Bits> {
        let exponents = prop_oneof![
            0..=3u64,
            (F::EXPONENT_MAX as u64 - 3)..=F::EXPONENT_MAX as u64,
            (F::BIAS as u64 - 30)..=F::BIAS as u64 + 30,
            0..=F::EXPONENT_MAX as u64,
        ];
        let fractions = prop_oneof![Just(0u64), Just(1), Just(F::FRACTION), any::<u64>()];
        (any::<bool>(), exponents, fractions).prop_map(|(negative, exponent, fraction)| {
            let sign = if negative { F::SIGN } else { 0 };
            F::from_wide(sign | exponent << F::FRACTION_BITS | fraction & F::FRACTION)
        })
    }

    /// What is quick has the bits of the other function, which raises NX at most.
    fn agrees<F: Format>(quick: Option<F::Bits>, (bits, flags): (F::Bits, Flags)) {
        if let Some(quick) = quick {
            assert_eq!((quick, flags.bits() & !Flags::NX.bits()), (bits, 0));
        }
    }

    fn truths_agree(quick: Option<bool>, (truth, flags): (bool, Flags)) {
        if let Some(quick) = quick {
            assert_eq!((quick, flags), (truth, Flags::NONE));
        }
    }

    fn all_agree<F: Quick>(a: F::Bits, b: F::Bits, c: F::Bits) {
        let rm = Rounding::Rne;
        agrees::<F>(F::add(a, b), crate::add::<F>(a, b, rm));
        agrees::<F>(F::sub(a, b), crate::sub::<F>(a, b, rm));
        agrees::<F>(F::mul(a, b), crate::mul::<F>(a, b, rm));
        agrees::<F>(F::div(a, b), crate::div::<F>(a, b, rm));
        agrees::<F>(F::sqrt(a), crate::sqrt::<F>(a, rm));
        agrees::<F>(F::fma(a, b, c), crate::fma::<F>(a, b, c, rm));
        truths_agree(F::eq(a, b), crate::eq::<F>(a, b));
        truths_agree(F::lt(a, b), crate::lt::<F>(a, b));
        truths_agree(F::le(a, b), crate::le::<F>(a, b));
        agrees::<F>(F::min(a, b), crate::min::<F>(a, b));
        agrees::<F>(F::max(a, b), crate::max::<F>(a, b));
        let rm = Rounding::Rtz;
        integers_agree(F::to_i32(a), crate::to_i32::<F>(a, rm));
        integers_agree(F::to_u32(a), crate::to_u32::<F>(a, rm));
        integers_agree(F::to_i64(a), crate::to_i64::<F>(a, rm));
        integers_agree(F::to_u64(a), crate::to_u64::<F>(a, rm));
    }

    fn integers_agree<T: PartialEq + Debug>(quick: Option<T>, (value, flags): (T, Flags)) {
        if let Some(quick) = quick {
            assert_eq!((quick, flags.bits() & !Flags::NX.bits()), (value, 0));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn quick_binary32_has_the_bits_and_no_flag_but_nx(
            a in pattern::<F32>(), b in pattern::<F32>(), c in pattern::<F32>(),
        ) {
            all_agree::<F32>(a, b, c);
        }

        #[test]
        fn quick_binary64_has_the_bits_and_no_flag_but_nx(
            a in pattern::<F64>(), b in pattern::<F64>(), c in pattern::<F64>(),
        ) {
            all_agree::<F64>(a, b, c);
        }

        #[test]
        fn quick_conversions_have_the_bits_and_no_flag_but_nx(
            narrow in pattern::<F32>(), wide in pattern::<F64>(), value in any::<u64>(), shift in 0..64u32,
        ) {
            let rm = Rounding::Rne;
            agrees::<F64>(F32::widen(narrow), crate::convert::<F32, F64>(narrow, rm));
            agrees::<F32>(F64::narrow(wide), crate::convert::<F64, F32>(wide, rm));
            let value = value >> shift;
            let signed = value.cast_signed();
            agrees::<F32>(Some(F32::from_u64(value)), crate::from_u64::<F32>(value, rm));
            agrees::<F32>(Some(F32::from_i64(signed)), crate::from_i64::<F32>(signed, rm));
            agrees::<F64>(Some(F64::from_u64(value)), crate::from_u64::<F64>(value, rm));
            agrees::<F64>(Some(F64::from_i64(signed)), crate::from_i64::<F64>(signed, rm));
        }
    }

    #[test]
    fn integers_end_where_their_type_does() {
        let f = |a: f64| a.to_bits();
        assert_eq!(F64::to_i32(f(2_147_483_647.9)), Some(i32::MAX));
        assert_eq!(F64::to_i32(f(2_147_483_648.0)), None);
        assert_eq!(F64::to_u32(f(-0.9)), Some(0));
        assert_eq!(F64::to_u32(f(-1.0)), None);
        assert_eq!(F64::to_u32(f(4_294_967_296.0)), None);
        assert_eq!(F64::to_i64(f(9_223_372_036_854_775_808.0)), None);
        assert_eq!(F64::to_u64(f(18_446_744_073_709_551_616.0)), None);
        assert_eq!(F64::to_u64(f(9_223_372_036_854_775_808.0)), Some(1 << 63));
        assert_eq!(F64::to_i64(f(f64::NAN)), None);
        assert_eq!(F64::min(f(0.0), f(-0.0)), Some(f(-0.0)));
        assert_eq!(F64::max(f(-0.0), f(0.0)), Some(0));
    }

    #[test]
    fn ordinary_numbers_are_quick() {
        let [a, b, c] = [0.1f64, 3.0, -7.5].map(f64::to_bits);
        assert_eq!(F64::add(a, b), Some((0.1f64 + 3.0).to_bits()));
        assert_eq!(F64::mul(a, 0), Some(0));
        assert_eq!(F64::lt(c, a), Some(true));
        assert_eq!(F64::fma(a, b, c).is_some(), has_fma_instruction());
    }
}
