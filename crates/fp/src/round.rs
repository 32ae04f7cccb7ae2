//! Rounding modes, exception flags, and the one place where an exact result becomes a pattern.
//!
//! An operation hands over a significand of 64 bits whose lowest bit is sticky: set if anything
//! nonzero lies beneath it. The formats keep at most 53 of them, so this loses nothing.

use std::ops::{BitOr, BitOrAssign};

use crate::format::{Format, sign_bit};

/// A rounding mode, as the `frm` field and the `rm` field of instructions encode it (norm:dyn_round_enc).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Rounding {
    /// To nearest, ties to even.
    Rne = 0,
    /// Towards zero.
    Rtz = 1,
    /// Down, towards −∞.
    Rdn = 2,
    /// Up, towards +∞.
    Rup = 3,
    /// To nearest, ties to the larger magnitude.
    Rmm = 4,
}

impl Rounding {
    /// All five, in the order of their encodings.
    pub const ALL: [Rounding; 5] =
        [Rounding::Rne, Rounding::Rtz, Rounding::Rdn, Rounding::Rup, Rounding::Rmm];

    /// Decodes `frm` or a static `rm`. The reserved encodings 5 and 6 are `None`, and so is 7: that
    /// is DYN in an instruction, which the caller resolves, and reserved in `frm`.
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<Rounding> {
        match bits {
            0 => Some(Rounding::Rne),
            1 => Some(Rounding::Rtz),
            2 => Some(Rounding::Rdn),
            3 => Some(Rounding::Rup),
            4 => Some(Rounding::Rmm),
            _ => None,
        }
    }

    /// Whether a magnitude whose last kept bit is `odd` grows by one unit in that place, where
    /// `remainder` has been cut off and `half` is half a unit.
    #[inline]
    pub(crate) fn rounds_up(self, sign: bool, odd: bool, remainder: u64, half: u64) -> bool {
        match self {
            Rounding::Rne => remainder > half || (remainder == half && odd),
            Rounding::Rtz => false,
            Rounding::Rdn => sign && remainder != 0,
            Rounding::Rup => !sign && remainder != 0,
            Rounding::Rmm => remainder >= half,
        }
    }

    /// The sign of an exact zero that is the sum of two operands of opposite signs.
    #[inline]
    pub(crate) fn cancelled_sign(self) -> bool {
        self == Rounding::Rdn
    }

    /// Whether a result of this sign that is too large becomes ∞ rather than the largest number.
    fn overflows_to_infinity(self, sign: bool) -> bool {
        match self {
            Rounding::Rne | Rounding::Rmm => true,
            Rounding::Rtz => false,
            Rounding::Rdn => sign,
            Rounding::Rup => !sign,
        }
    }
}

/// Accrued exception flags, as `fflags` encodes them (norm:fcsr_fflags_op).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// No exception.
    pub const NONE: Flags = Flags(0);
    /// Inexact.
    pub const NX: Flags = Flags(1);
    /// Underflow.
    pub const UF: Flags = Flags(2);
    /// Overflow.
    pub const OF: Flags = Flags(4);
    /// Divide by zero.
    pub const DZ: Flags = Flags(8);
    /// Invalid operation.
    pub const NV: Flags = Flags(16);

    /// The five bits of `fflags`.
    #[inline]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// NX if `inexact`, else nothing.
    #[inline]
    pub(crate) const fn inexact_if(inexact: bool) -> Flags {
        Flags(inexact as u8)
    }
}

impl BitOr for Flags {
    type Output = Flags;

    #[inline]
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    #[inline]
    fn bitor_assign(&mut self, other: Flags) {
        self.0 |= other.0;
    }
}

/// Rounds (−1)^sign × significand × 2^(exponent − 63) to `F`. Bit 63 of `significand` is set and
/// bit 0 is sticky.
#[inline]
pub(crate) fn round_and_pack<F: Format>(
    sign: bool,
    exponent: i32,
    significand: u64,
    rm: Rounding,
) -> (F::Bits, Flags) {
    debug_assert!(significand >> 63 == 1);
    let biased = exponent + F::BIAS;
    if biased < 1 {
        return underflow::<F>(sign, biased, significand, rm);
    }
    if biased >= F::EXPONENT_MAX {
        return overflow::<F>(sign, rm);
    }
    let (kept, inexact) = round_significand::<F>(sign, significand, rm);
    // The implicit bit, and a carry out of the fraction, add to the exponent field.
    let magnitude = ((biased as u64 - 1) << F::FRACTION_BITS) + kept;
    if magnitude >= F::INFINITY {
        return overflow::<F>(sign, rm);
    }
    (F::from_wide(sign_bit::<F>(sign) | magnitude), Flags::inexact_if(inexact))
}

/// The significand with its implicit bit at the precision of `F`, possibly carried into the next
/// bit, and whether that changed its value.
#[inline]
fn round_significand<F: Format>(sign: bool, significand: u64, rm: Rounding) -> (u64, bool) {
    let dropped = 63 - F::FRACTION_BITS;
    let remainder = significand & ((1 << dropped) - 1);
    let kept = significand >> dropped;
    let up = rm.rounds_up(sign, kept & 1 == 1, remainder, 1 << (dropped - 1));
    (kept + u64::from(up), remainder != 0)
}

/// A result less than the smallest normal number before rounding.
#[cold]
fn underflow<F: Format>(
    sign: bool,
    biased: i32,
    significand: u64,
    rm: Rounding,
) -> (F::Bits, Flags) {
    let shifted = shift_right_jam(significand, biased.abs_diff(1));
    let (magnitude, inexact) = round_significand::<F>(sign, shifted, rm);
    // Tininess is judged on the result rounded as if the exponent had no bound: only a number just
    // below the smallest normal one can escape it.
    let (unbounded, _) = round_significand::<F>(sign, significand, rm);
    let tiny = biased < 0 || unbounded >> (F::FRACTION_BITS + 1) == 0;
    let flags = if inexact && tiny { Flags::NX | Flags::UF } else { Flags::inexact_if(inexact) };
    (F::from_wide(sign_bit::<F>(sign) | magnitude), flags)
}

#[cold]
fn overflow<F: Format>(sign: bool, rm: Rounding) -> (F::Bits, Flags) {
    let magnitude = if rm.overflows_to_infinity(sign) { F::INFINITY } else { F::INFINITY - 1 };
    (F::from_wide(sign_bit::<F>(sign) | magnitude), Flags::OF | Flags::NX)
}

/// `value >> count` for any count, with bit 0 set if a one was shifted out.
#[inline]
pub(crate) fn shift_right_jam(value: u64, count: u32) -> u64 {
    match count {
        0 => value,
        1..=63 => value >> count | u64::from(value << (64 - count) != 0),
        _ => u64::from(value != 0),
    }
}

/// [`shift_right_jam`] on twice the width.
#[inline]
pub(crate) fn shift_right_jam_wide(value: u128, count: u32) -> u128 {
    match count {
        0 => value,
        1..=127 => value >> count | u128::from(value << (128 - count) != 0),
        _ => u128::from(value != 0),
    }
}

/// The upper half, with bit 0 set if the lower half is not zero.
#[inline]
pub(crate) fn narrow_jam(value: u128) -> u64 {
    (value >> 64) as u64 | u64::from(value as u64 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::F32;

    #[test]
    fn only_five_encodings_are_rounding_modes() {
        for bits in 0..=u8::MAX {
            assert_eq!(Rounding::from_bits(bits).map(|rm| rm as u8), (bits < 5).then_some(bits));
        }
    }

    #[test]
    fn tininess_is_detected_after_rounding() {
        // 2^-126 × (1 − 2^-25) rounds to 2^-126 at 24 bits: subnormal before, not tiny after.
        let rounds_up = round_and_pack::<F32>(false, -127, !0 << 39, Rounding::Rne);
        assert_eq!(rounds_up, (0x0080_0000, Flags::NX));
        // 2^-126 × (1 − 2^-24) has 24 bits, so it stays tiny, though it too is delivered as 2^-126.
        let stays = round_and_pack::<F32>(false, -127, !0 << 40, Rounding::Rne);
        assert_eq!(stays, (0x0080_0000, Flags::NX | Flags::UF));
    }

    #[test]
    fn a_jammed_shift_remembers_what_it_lost() {
        assert_eq!(shift_right_jam(0b1000, 3), 1);
        assert_eq!(shift_right_jam(0b1001_0000, 5), 0b101);
        assert_eq!(shift_right_jam(1, 64), 1);
        assert_eq!(shift_right_jam_wide(1 << 100, 200), 1);
        assert_eq!(shift_right_jam_wide(0, 200), 0);
    }
}
