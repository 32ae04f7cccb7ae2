//! The operations that Zfa adds: `fround`, `froundnx`, `fcvtmod.w.d`, `fli`. Its comparisons and its
//! minimum and maximum are with their elders.

use crate::convert::{from_integer, round_to_integer, to_i32};
use crate::format::{F64, Format, Operand, canonical_nan, nan_result, sign_bit, unpack};
use crate::round::{Flags, Rounding};

/// `fround`, and with `exact` `froundnx`, which raises NX if the result differs from `a`.
#[inline]
pub fn round_to_integral<F: Format>(a: F::Bits, rm: Rounding, exact: bool) -> (F::Bits, Flags) {
    let wide = a.into();
    match unpack::<F>(wide) {
        Operand::Nan => nan_result::<F, 1>([wide]),
        // From 2^FRACTION_BITS on every number is an integer.
        Operand::Finite(x) if x.exponent < F::FRACTION_BITS as i32 => {
            let (magnitude, inexact) = round_to_integer(x, rm).unwrap_or_default();
            let (rounded, _) = from_integer::<F>(false, magnitude, rm);
            let signed = rounded.into() | sign_bit::<F>(x.sign);
            (F::from_wide(signed), Flags::inexact_if(inexact && exact))
        }
        Operand::Finite(_) | Operand::Zero | Operand::Infinite => (a, Flags::NONE),
    }
}

/// `fcvtmod.w.d`: the low 32 bits of `a` truncated to an integer, sign-extended; zero for NaN and ±∞.
/// The flags are those of `fcvt.w.d` with RTZ.
#[inline]
pub fn fcvtmod_w_d(a: u64) -> (u64, Flags) {
    let (_, flags) = to_i32::<F64>(a, Rounding::Rtz);
    let Operand::Finite(x) = unpack::<F64>(a) else { return (0, flags) };
    let magnitude = match x.exponent {
        0..=63 => x.significand >> (63 - x.exponent),
        // Bits shifted out on the left are above bit 31.
        64..=126 => x.significand << (x.exponent - 63),
        _ => 0,
    };
    let value = if x.sign { magnitude.wrapping_neg() } else { magnitude };
    (value as i32 as i64 as u64, flags)
}

/// The constant number `index` of `fli` (norm:fli-s_op); only the low 5 bits of `index` count.
#[inline]
pub fn fli<F: Format>(index: u8) -> F::Bits {
    // Significands in units of 1/4 and exponents: no entry sets more than two fraction bits.
    let (quarters, exponent) = match index & 31 {
        0 => return F::from_wide(F::SIGN | (F::BIAS as u64) << F::FRACTION_BITS),
        1 => (4, 1 - F::BIAS),
        2 => (4, -16),
        3 => (4, -15),
        4 => (4, -8),
        5 => (4, -7),
        6 => (4, -4),
        7 => (4, -3),
        8 => (4, -2),
        9 => (5, -2),
        10 => (6, -2),
        11 => (7, -2),
        12 => (4, -1),
        13 => (5, -1),
        14 => (6, -1),
        15 => (7, -1),
        16 => (4, 0),
        17 => (5, 0),
        18 => (6, 0),
        19 => (7, 0),
        20 => (4, 1),
        21 => (5, 1),
        22 => (6, 1),
        23 => (4, 2),
        24 => (4, 3),
        25 => (4, 4),
        26 => (4, 7),
        27 => (4, 8),
        28 => (4, 15),
        29 => (4, 16),
        30 => return F::from_wide(F::INFINITY),
        _ => return canonical_nan::<F>(),
    };
    // In binary16 the powers −16 and −15 are subnormal and 2^16 overflows to +∞, as they should.
    crate::round::round_and_pack::<F>(false, exponent, quarters << 61, Rounding::Rne).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{F16, F32};

    #[test]
    fn fli_loads_the_values_of_the_manual() {
        let finite = [
            -1.0,
            f32::MIN_POSITIVE,
            1.0 / 65536.0,
            1.0 / 32768.0,
            1.0 / 256.0,
            1.0 / 128.0,
            0.0625,
            0.125,
            0.25,
            0.3125,
            0.375,
            0.4375,
            0.5,
            0.625,
            0.75,
            0.875,
            1.0,
            1.25,
            1.5,
            1.75,
            2.0,
            2.5,
            3.0,
            4.0,
            8.0,
            16.0,
            128.0,
            256.0,
            32768.0,
            65536.0,
        ];
        for (index, value) in (0..).zip(finite) {
            assert_eq!(fli::<F32>(index), value.to_bits(), "entry {index}");
            if index != 1 {
                assert_eq!(fli::<F64>(index), f64::from(value).to_bits(), "entry {index}");
            }
        }
        assert_eq!(fli::<F64>(1), f64::MIN_POSITIVE.to_bits());
        assert_eq!((fli::<F32>(30), fli::<F32>(31)), (0x7f80_0000, 0x7fc0_0000));
    }

    #[test]
    fn fli_h_knows_what_half_precision_cannot_hold() {
        assert_eq!(fli::<F16>(0), 0xbc00);
        assert_eq!(fli::<F16>(1), 0x0400);
        assert_eq!(fli::<F16>(2), 0x0100, "2^-16 is subnormal");
        assert_eq!(fli::<F16>(3), 0x0200, "2^-15 is subnormal");
        assert_eq!(fli::<F16>(28), 0x7800);
        assert_eq!(fli::<F16>(29), 0x7c00, "2^16 is out of range");
        assert_eq!(fli::<F16>(30), 0x7c00);
        assert_eq!(fli::<F16>(31), 0x7e00);
    }

    #[test]
    fn fcvtmod_takes_the_low_32_bits_and_the_flags_of_fcvt() {
        let of = |value: f64| fcvtmod_w_d(value.to_bits());
        assert_eq!(of(1.5), (1, Flags::NX));
        assert_eq!(of(-1.5), (u64::MAX, Flags::NX));
        assert_eq!(of(-0.5), (0, Flags::NX));
        assert_eq!(of(-2_147_483_648.0), (0xffff_ffff_8000_0000, Flags::NONE));
        assert_eq!(of(2_147_483_648.0), (0xffff_ffff_8000_0000, Flags::NV));
        assert_eq!(of(4_294_967_297.5), (1, Flags::NV));
        assert_eq!(of(-4_294_967_297.0), (u64::MAX, Flags::NV));
        assert_eq!(of(9_007_199_254_740_993.0 * 4096.0), (0, Flags::NV));
        // 2^83 + 2^31: the lowest bit of the significand is bit 31 of the integer.
        assert_eq!(of(2f64.powi(83) + 2f64.powi(31)), (0xffff_ffff_8000_0000, Flags::NV));
        assert_eq!(of(2f64.powi(84)), (0, Flags::NV));
        assert_eq!(of(f64::MAX), (0, Flags::NV));
        assert_eq!(of(f64::INFINITY), (0, Flags::NV));
        assert_eq!(of(f64::NEG_INFINITY), (0, Flags::NV));
        assert_eq!(of(f64::NAN), (0, Flags::NV));
        assert_eq!(of(-0.0), (0, Flags::NONE));
    }

    #[test]
    fn only_froundnx_raises_inexact() {
        let half = 0.5f32.to_bits();
        assert_eq!(round_to_integral::<F32>(half, Rounding::Rne, false), (0, Flags::NONE));
        assert_eq!(round_to_integral::<F32>(half, Rounding::Rne, true), (0, Flags::NX));
        let minus_half = (-0.5f32).to_bits();
        assert_eq!(
            round_to_integral::<F32>(minus_half, Rounding::Rup, true),
            (0x8000_0000, Flags::NX)
        );
        assert_eq!(
            round_to_integral::<F32>(0xff80_0001, Rounding::Rne, false),
            (0x7fc0_0000, Flags::NV)
        );
    }
}
