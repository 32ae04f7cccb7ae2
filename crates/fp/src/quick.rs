//! Arithmetic for callers whose NX is raised already, so that nobody has to find out whether an operation raises it: rounded to
//! nearest, ties to even, where nothing but NX can be raised.

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
        }
    )*};
}
quick! {
    F32: f32, u32;
    F64: f64, u64;
}

#[cfg(test)]
mod tests {
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
