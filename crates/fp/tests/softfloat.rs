//! Value and flags of every operation against Berkeley SoftFloat in its RISC-V specialisation.
//!
//! Operands come from a fixed seed and crowd where rounding goes wrong: at the ends of the exponent
//! range, at runs of ones and zeros, and at partners of nearly equal magnitude. SoftFloat keeps its
//! flags in thread-local variables, so tests may run side by side.

use fp::{F16, F32, F64, Flags, Format, Rounding};
use softfloat_wrapper::{ExceptionFlags, Float, RoundingMode};

const CASES_PER_MODE: usize = 40_000;

/// A format together with SoftFloat's type for it.
trait Oracle: Format {
    type Soft: Float<Payload = Self::Bits>;
}

impl Oracle for F16 {
    type Soft = softfloat_wrapper::F16;
}

impl Oracle for F32 {
    type Soft = softfloat_wrapper::F32;
}

impl Oracle for F64 {
    type Soft = softfloat_wrapper::F64;
}

fn soft<F: Oracle>(bits: F::Bits) -> F::Soft {
    F::Soft::from_bits(bits)
}

fn mode(rm: Rounding) -> RoundingMode {
    match rm {
        Rounding::Rne => RoundingMode::TiesToEven,
        Rounding::Rtz => RoundingMode::TowardZero,
        Rounding::Rdn => RoundingMode::TowardNegative,
        Rounding::Rup => RoundingMode::TowardPositive,
        Rounding::Rmm => RoundingMode::TiesToAway,
    }
}

/// The result of an operation of SoftFloat and the flags it raised.
fn observed<T>(operation: impl FnOnce() -> T) -> (T, u8) {
    let mut flags = ExceptionFlags::default();
    flags.set();
    let value = operation();
    flags.get();
    (value, flags.to_bits())
}

fn raised<T>((value, flags): (T, Flags)) -> (T, u8) {
    (value, flags.bits())
}

/// xorshift64*: the operands of a failing case are the same on every machine.
struct Operands(u64);

impl Operands {
    fn new(seed: u64) -> Operands {
        Operands(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn word(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8 ^ self.0 << 24
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.word() >> 20) % bound
    }

    fn fraction<F: Format>(&mut self) -> u64 {
        let run = self.below(u64::from(F::FRACTION_BITS) + 1);
        let pattern = match self.below(8) {
            0 => 0,
            1 => F::FRACTION,
            2 => (1 << run) >> 1,
            3 => (1 << run) - 1,
            4 => F::FRACTION << run,
            5 => (1 << run) + 1,
            _ => self.word(),
        };
        let nudge = self.below(3).wrapping_sub(1);
        if self.below(4) == 0 { pattern.wrapping_add(nudge) } else { pattern }
    }

    fn assemble<F: Format>(&mut self, biased: u64) -> F::Bits {
        let sign = if self.below(2) == 0 { 0 } else { F::SIGN };
        let fraction = self.fraction::<F>() & F::FRACTION;
        let biased = biased.min(F::EXPONENT_MAX as u64);
        F::from_wide(sign | biased << F::FRACTION_BITS | fraction)
    }

    /// Any pattern.
    fn any<F: Format>(&mut self) -> F::Bits {
        let top = F::EXPONENT_MAX as u64;
        let biased = match self.below(10) {
            0 => 0,
            1 => top,
            2 => self.below(4),
            3 => top - self.below(4),
            4 | 5 => F::BIAS as u64 + self.below(5) - 2,
            6 => self.below(u64::from(F::FRACTION_BITS) + 4),
            7 => F::BIAS as u64 / 2 + self.below(4),
            _ => self.below(top + 1),
        };
        self.assemble::<F>(biased)
    }

    /// A pattern whose exponent, and sometimes fraction, is close to that of `other`.
    fn near<F: Format>(&mut self, other: F::Bits) -> F::Bits {
        let other: u64 = other.into();
        if self.below(3) == 0 {
            let sign = if self.below(2) == 0 { 0 } else { F::SIGN };
            let distance = self.below(5).wrapping_sub(2);
            return F::from_wide(other.wrapping_add(distance) ^ sign);
        }
        let biased = (other & F::INFINITY) >> F::FRACTION_BITS;
        let spread = u64::from(F::FRACTION_BITS) + 4;
        let distance = self.below(2 * spread + 1);
        self.assemble::<F>((biased + distance).saturating_sub(spread))
    }

    fn pair<F: Format>(&mut self) -> (F::Bits, F::Bits) {
        let a = self.any::<F>();
        let b = if self.below(2) == 0 { self.near::<F>(a) } else { self.any::<F>() };
        (a, b)
    }

    /// Two factors and an addend, which is often close to their product.
    fn triple<F: Format>(&mut self) -> (F::Bits, F::Bits, F::Bits) {
        let (a, b) = self.pair::<F>();
        let c = match self.below(3) {
            0 => self.any::<F>(),
            1 => self.near::<F>(a),
            _ => {
                let (product, _) = fp::mul::<F>(a, b, Rounding::Rne);
                self.near::<F>(product)
            }
        };
        (a, b, c)
    }

    /// A pattern for conversion to an integer: usually of the size of one.
    fn integer_sized<F: Format>(&mut self) -> F::Bits {
        if self.below(3) == 0 {
            return self.any::<F>();
        }
        let biased = F::BIAS as u64 + self.below(70) - 3;
        self.assemble::<F>(biased)
    }
}

/// Runs `case` for every rounding mode on its own stream of operands.
fn every_mode(seed: u64, mut case: impl FnMut(&mut Operands, Rounding)) {
    for rm in Rounding::ALL {
        let mut operands = Operands::new(seed * 8 + rm as u64);
        for _ in 0..CASES_PER_MODE {
            case(&mut operands, rm);
        }
    }
}

type Binary<F> =
    fn(<F as Format>::Bits, <F as Format>::Bits, Rounding) -> (<F as Format>::Bits, Flags);

fn check_binary<F: Oracle>(
    seed: u64,
    ours: Binary<F>,
    theirs: impl Fn(F::Soft, F::Soft, RoundingMode) -> F::Soft,
) {
    every_mode(seed, |operands, rm| {
        let (a, b) = operands.pair::<F>();
        let expected = observed(|| theirs(soft::<F>(a), soft::<F>(b), mode(rm)).to_bits());
        assert_eq!(raised(ours(a, b, rm)), expected, "{a:#x} {b:#x} {rm:?}");
    });
}

fn check_arithmetic<F: Oracle>() {
    check_binary::<F>(1, fp::add::<F>, |a, b, rm| a.add(b, rm));
    check_binary::<F>(2, fp::sub::<F>, |a, b, rm| a.sub(b, rm));
    check_binary::<F>(3, fp::mul::<F>, |a, b, rm| a.mul(b, rm));
    check_binary::<F>(4, fp::div::<F>, |a, b, rm| a.div(b, rm));
    every_mode(5, |operands, rm| {
        let a = operands.any::<F>();
        let expected = observed(|| soft::<F>(a).sqrt(mode(rm)).to_bits());
        assert_eq!(raised(fp::sqrt::<F>(a, rm)), expected, "{a:#x} {rm:?}");
    });
    every_mode(6, |operands, rm| {
        let (a, b, c) = operands.triple::<F>();
        let expected =
            observed(|| soft::<F>(a).fused_mul_add(soft::<F>(b), soft::<F>(c), mode(rm)).to_bits());
        assert_eq!(raised(fp::fma::<F>(a, b, c, rm)), expected, "{a:#x} {b:#x} {c:#x} {rm:?}");
    });
}

#[test]
fn half_precision_arithmetic_equals_softfloat() {
    check_arithmetic::<F16>();
}

#[test]
fn single_precision_arithmetic_equals_softfloat() {
    check_arithmetic::<F32>();
}

#[test]
fn double_precision_arithmetic_equals_softfloat() {
    check_arithmetic::<F64>();
}

fn check_comparisons<F: Oracle>() {
    let mut operands = Operands::new(7);
    for _ in 0..CASES_PER_MODE {
        let (a, b) = operands.pair::<F>();
        let (x, y) = (soft::<F>(a), soft::<F>(b));
        assert_eq!(raised(fp::eq::<F>(a, b)), observed(|| x.eq(&y)), "{a:#x} == {b:#x}");
        assert_eq!(raised(fp::lt::<F>(a, b)), observed(|| x.lt(&y)), "{a:#x} < {b:#x}");
        assert_eq!(raised(fp::le::<F>(a, b)), observed(|| x.le(&y)), "{a:#x} <= {b:#x}");
        let quiet = observed(|| x.lt_quiet(&y));
        assert_eq!(raised(fp::lt_quiet::<F>(a, b)), quiet, "{a:#x} < {b:#x} quietly");
        let quiet = observed(|| x.le_quiet(&y));
        assert_eq!(raised(fp::le_quiet::<F>(a, b)), quiet, "{a:#x} <= {b:#x} quietly");
        if !x.is_nan() && !y.is_nan() {
            let less = x.lt_quiet(&y) || (x.is_negative_zero() && y.is_zero());
            let (least, greatest) = if less { (a, b) } else { (b, a) };
            assert_eq!(fp::min::<F>(a, b), (least, Flags::NONE), "{a:#x} {b:#x}");
            assert_eq!(fp::min_m::<F>(a, b), (least, Flags::NONE), "{a:#x} {b:#x}");
            assert_eq!(fp::max::<F>(a, b), (greatest, Flags::NONE), "{a:#x} {b:#x}");
            assert_eq!(fp::max_m::<F>(a, b), (greatest, Flags::NONE), "{a:#x} {b:#x}");
        }
        let classes = [
            x.is_negative_infinity(),
            x.is_negative_normal(),
            x.is_negative_subnormal(),
            x.is_negative_zero(),
            x.is_positive_zero(),
            x.is_positive_subnormal(),
            x.is_positive_normal(),
            x.is_positive_infinity(),
            x.is_signaling_nan(),
            x.is_nan() && !x.is_signaling_nan(),
        ];
        let class = classes.iter().rposition(|&is| is).map(|bit| 1 << bit);
        assert_eq!(Some(fp::classify::<F>(a)), class, "class of {a:#x}");
    }
}

#[test]
fn comparisons_equal_softfloat() {
    check_comparisons::<F16>();
    check_comparisons::<F32>();
    check_comparisons::<F64>();
}

fn check_to_integers<F: Oracle>(a: F::Bits, rm: Rounding) {
    let x = soft::<F>(a);
    let expected = observed(|| x.to_i32(mode(rm), true));
    assert_eq!(raised(fp::to_i32::<F>(a, rm)), expected, "i32 of {a:#x} {rm:?}");
    let expected = observed(|| x.to_u32(mode(rm), true));
    assert_eq!(raised(fp::to_u32::<F>(a, rm)), expected, "u32 of {a:#x} {rm:?}");
    let expected = observed(|| x.to_i64(mode(rm), true));
    assert_eq!(raised(fp::to_i64::<F>(a, rm)), expected, "i64 of {a:#x} {rm:?}");
    let expected = observed(|| x.to_u64(mode(rm), true));
    assert_eq!(raised(fp::to_u64::<F>(a, rm)), expected, "u64 of {a:#x} {rm:?}");
}

fn check_round_to_integral<F: Oracle>(a: F::Bits, rm: Rounding) {
    let (rounded, flags) = observed(|| soft::<F>(a).round_to_integral(mode(rm)).to_bits());
    let ours = raised(fp::round_to_integral::<F>(a, rm, false));
    assert_eq!(ours, (rounded, flags), "fround of {a:#x} {rm:?}");
    let inexact = !soft::<F>(a).is_nan() && rounded != a;
    let ours = raised(fp::round_to_integral::<F>(a, rm, true));
    assert_eq!(ours, (rounded, flags | u8::from(inexact)), "froundnx of {a:#x} {rm:?}");
}

#[test]
fn half_precision_to_integers_equals_softfloat_for_every_pattern() {
    for rm in Rounding::ALL {
        for a in 0..=u16::MAX {
            check_to_integers::<F16>(a, rm);
            check_round_to_integral::<F16>(a, rm);
        }
    }
}

#[test]
fn single_and_double_precision_to_integers_equals_softfloat() {
    every_mode(8, |operands, rm| {
        let a = operands.integer_sized::<F32>();
        check_to_integers::<F32>(a, rm);
        check_round_to_integral::<F32>(a, rm);
        let a = operands.integer_sized::<F64>();
        check_to_integers::<F64>(a, rm);
        check_round_to_integral::<F64>(a, rm);
    });
}

fn check_from_integers<F: Oracle>(value: u64, rm: Rounding) {
    let expected = observed(|| F::Soft::from_i32(value as i32, mode(rm)).to_bits());
    assert_eq!(raised(fp::from_i32::<F>(value as i32, rm)), expected, "{value:#x} {rm:?}");
    let expected = observed(|| F::Soft::from_u32(value as u32, mode(rm)).to_bits());
    assert_eq!(raised(fp::from_u32::<F>(value as u32, rm)), expected, "{value:#x} {rm:?}");
    let expected = observed(|| F::Soft::from_i64(value as i64, mode(rm)).to_bits());
    assert_eq!(raised(fp::from_i64::<F>(value as i64, rm)), expected, "{value:#x} {rm:?}");
    let expected = observed(|| F::Soft::from_u64(value, mode(rm)).to_bits());
    assert_eq!(raised(fp::from_u64::<F>(value, rm)), expected, "{value:#x} {rm:?}");
}

#[test]
fn integers_to_every_format_equals_softfloat() {
    every_mode(9, |operands, rm| {
        let shift = operands.below(64) as u32;
        let value = match operands.below(4) {
            0 => (operands.word() >> shift).wrapping_neg(),
            1 => (1u64 << shift).wrapping_add(operands.below(3)).wrapping_sub(1),
            2 => !0 << shift,
            _ => operands.word() >> shift,
        };
        check_from_integers::<F16>(value, rm);
        check_from_integers::<F32>(value, rm);
        check_from_integers::<F64>(value, rm);
    });
}

#[test]
fn conversions_between_formats_equal_softfloat() {
    for rm in Rounding::ALL {
        for a in 0..=u16::MAX {
            let expected = observed(|| soft::<F16>(a).to_f32(mode(rm)).to_bits());
            assert_eq!(raised(fp::convert::<F16, F32>(a, rm)), expected, "{a:#x} {rm:?}");
            let expected = observed(|| soft::<F16>(a).to_f64(mode(rm)).to_bits());
            assert_eq!(raised(fp::convert::<F16, F64>(a, rm)), expected, "{a:#x} {rm:?}");
        }
    }
    every_mode(10, |operands, rm| {
        // Half of the operands have an exponent that the narrower format can or can just not hold.
        let narrow = F16::BIAS as u64 + 14;
        let biased = F32::BIAS as u64 - narrow + operands.below(2 * narrow);
        let a = match operands.below(2) {
            0 => operands.any::<F32>(),
            _ => operands.assemble::<F32>(biased),
        };
        let expected = observed(|| soft::<F32>(a).to_f16(mode(rm)).to_bits());
        assert_eq!(raised(fp::convert::<F32, F16>(a, rm)), expected, "{a:#x} {rm:?}");
        let expected = observed(|| soft::<F32>(a).to_f64(mode(rm)).to_bits());
        assert_eq!(raised(fp::convert::<F32, F64>(a, rm)), expected, "{a:#x} {rm:?}");

        let narrow = if operands.below(2) == 0 { narrow } else { F32::BIAS as u64 + 26 };
        let biased = F64::BIAS as u64 - narrow + operands.below(2 * narrow);
        let a = match operands.below(2) {
            0 => operands.any::<F64>(),
            _ => operands.assemble::<F64>(biased),
        };
        let expected = observed(|| soft::<F64>(a).to_f16(mode(rm)).to_bits());
        assert_eq!(raised(fp::convert::<F64, F16>(a, rm)), expected, "{a:#x} {rm:?}");
        let expected = observed(|| soft::<F64>(a).to_f32(mode(rm)).to_bits());
        assert_eq!(raised(fp::convert::<F64, F32>(a, rm)), expected, "{a:#x} {rm:?}");
    });
}
