//! How long multiplication and division take where that depends on their operands.

use crate::params::{Divider, Multiplier};
use crate::work::Unit;

/// What the operands of a product or quotient make of its time: see [`crate::outcome::Outcome::operand`].
pub(crate) fn operand(divider: Divider, multiplier: Multiplier, unit: Unit, x: [u64; 2]) -> u16 {
    let cycles = match (unit, multiplier) {
        (Unit::Div { signed, word }, _) => divide_cycles(divider, x, signed, word),
        (_, Multiplier::Iterative { bits, .. }) => multiply_iterations(bits, unit, x[0]),
        (_, Multiplier::Pipelined { .. }) => 0,
    };
    u16::try_from(cycles).unwrap_or(u16::MAX)
}

/// Iterations of a multiplier that makes so many bits of its first operand a cycle and ends early.
fn multiply_iterations(bits: u64, unit: Unit, first: u64) -> u64 {
    let word = matches!(unit, Unit::Mul { word: true });
    let all = if word { 32u64 } else { 64 }.div_ceil(bits);
    // That the rest is zero shows an iteration later.
    let first = if word { first & 0xffff_ffff } else { first };
    let needed = u64::from(64 - first.leading_zeros()).div_ceil(bits).max(1) + 1;
    if unit == Unit::MulHigh { all } else { needed.min(all) }
}

/// Cycles of a division.
fn divide_cycles(divider: Divider, x: [u64; 2], signed: bool, word: bool) -> u64 {
    let [a, b] = x.map(|value| match (signed, word) {
        (true, true) => value as i32 as i64 as u64,
        (false, true) => value & 0xffff_ffff,
        (_, false) => value,
    });
    let negative = |value: u64| signed && (value as i64) < 0;
    match divider {
        Divider::Aligning { bits, overhead, trivial, .. } => {
            // Of a negative operand the complement stands for its size, moved up by one and odd if it is the dividend.
            let width = |value: u64, negative: u64| {
                let size = if (value as i64) < 0 && signed { negative } else { value };
                64 - size.leading_zeros()
            };
            match (width(a, !a << 1 | 1), width(b, !b)) {
                (0, _) | (_, 0) => trivial,
                (a, b) if a < b => trivial,
                (a, b) => u64::from(a - b).div_ceil(bits.max(1)) + overhead,
            }
        }
        Divider::Skipping { overhead } => {
            let size = |value: u64| if negative(value) { value.wrapping_neg() } else { value };
            let highest = |value: u64| u64::from(value.checked_ilog2().unwrap_or(0));
            let signs =
                u64::from(negative(a) || negative(b)) + u64::from(negative(a) != negative(b));
            let bits =
                if b == 0 { 62 } else { highest(size(a)).wrapping_sub(highest(size(b))) & 63 };
            bits + overhead + signs
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_division_takes_a_cycle_for_each_bit_of_its_quotient() {
        let aligning = Divider::Aligning { bits: 1, overhead: 4, trivial: 3, early: 1 };
        let skipping = Divider::Skipping { overhead: 5 };
        let max = i64::MAX as u64;
        // Operands, signed, and cycles as the cores were measured, less the loop around them.
        for (a, b, signed, cva6, rocket) in [
            (0, 1, true, 3, 5),
            (1, 1, true, 4, 5),
            (255, 3, true, 10, 11),
            (65535, 3, true, 18, 19),
            (0x7fff_ffff, 3, true, 33, 34),
            (max, 3, true, 65, 66),
            (max, 0x7fff_ffff, true, 36, 37),
            (max, max >> 1, true, 5, 6),
            (3, max >> 1, true, 3, 9),
            ((-1_000_000i64) as u64, 3, true, 23, 25),
            (12345, 0, true, 3, 67),
            (u64::MAX, 3, false, 66, 67),
        ] {
            assert_eq!(divide_cycles(aligning, [a, b], signed, false), cva6, "{a} / {b}");
            assert_eq!(divide_cycles(skipping, [a, b], signed, false), rocket, "{a} / {b}");
        }
    }

    #[test]
    fn a_negative_divisor_is_aligned_by_its_complement() {
        // serdiv: 9 is moved up by one for -9, so that it has 5 bits, and 4 stands for -5. On CVA6's RTL, less what follows.
        let aligning = Divider::Aligning { bits: 1, overhead: 4, trivial: 3, early: 1 };
        for (a, b, cycles) in [(-9, -5, 6), (100, -7, 8), (-100, -7, 9), (-100, 7, 9), (-1, -1, 3)]
        {
            let operands = [a, b].map(|value: i64| value as u64);
            assert_eq!(divide_cycles(aligning, operands, true, false), cycles, "{a} / {b}");
        }
    }
}
