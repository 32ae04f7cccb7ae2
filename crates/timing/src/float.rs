//! The FP unit as far as it refuses instructions, and what operands make of the time of its divisions.

use crate::params::{Float, FloatPort};
use crate::pipeline::Visitor;
use crate::work::{Unit, Work};

/// Results that can be on their way to the port at the same time.
const WAY: usize = 4;

/// Cycles from the writing of a result until its flags can be read.
const FLAGS: u64 = 2;

/// The port through which all results are written ([`FloatPort`]).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Port {
    /// When each of the last results is written, the last first.
    written: [u64; WAY],
    /// When a dependent instruction of the last division can issue.
    divided: u64,
}

impl Port {
    /// Goes through everything that matters to what issues after `now`.
    pub(crate) fn visit(&mut self, now: u64, visitor: &mut impl Visitor) {
        self.written.sort_unstable();
        self.written.reverse();
        for time in &mut self.written {
            visitor.time(time, now.saturating_sub(1));
        }
        visitor.time(&mut self.divided, now);
    }

    /// When an instruction that could issue at `at` is taken.
    pub(crate) fn takes(&self, params: &FloatPort, work: &Work, at: u64) -> u64 {
        if let Unit::CsrRead(csr) | Unit::CsrWrite(csr) = work.unit {
            // `fflags`, `frm` and `fcsr` wait for the results on their way.
            let idle = (self.written[0] + FLAGS).max(self.divided.saturating_sub(1));
            return if (1..=3).contains(&csr) { at.max(idle) } else { at };
        }
        if !work.is_float() {
            return at;
        }
        let again = params.again.max(1);
        let mut at = at;
        loop {
            let divides = matches!(work.unit, Unit::FpDivide { .. } | Unit::FpRoot { .. });
            let meets = match cycles(params, work.unit) {
                Some(cycles) => self.written.contains(&(at + cycles)),
                None => divides && self.written[0] > at,
            };
            if !meets && at + params.lead >= self.divided {
                return at;
            }
            at += again;
        }
    }

    /// One issues at `at`, with a result that is there at `done`.
    pub(crate) fn issues(&mut self, params: &FloatPort, unit: Unit, at: u64, done: u64) {
        match (cycles(params, unit), unit) {
            (Some(cycles), _) => {
                // They need not be written in order.
                self.written[WAY - 1] = at + cycles;
                self.written.sort_unstable();
                self.written.reverse();
            }
            (None, Unit::FpDivide { .. } | Unit::FpRoot { .. }) => self.divided = done,
            _ => {}
        }
    }
}

/// Cycles until the result of an instruction that is not a division is written to an `f` register.
fn cycles(params: &FloatPort, unit: Unit) -> Option<u64> {
    match unit {
        Unit::FpArithmetic { double } => Some(params.arithmetic[usize::from(double)]),
        Unit::FpSelect { .. } | Unit::FpConvert | Unit::FpConvertFromInt | Unit::IntToFp => {
            Some(params.other)
        }
        _ => None,
    }
}

/// Cycles of a division or root of these operands that are spared.
pub(crate) fn spared(float: &Float, unit: Unit, operands: [u64; 2]) -> u64 {
    let (double, full, root) = match unit {
        Unit::FpRoot { double } => (double, float.root, true),
        Unit::FpDivide { double } => (double, float.divide, false),
        _ => return 0,
    };
    let full = full[usize::from(double)];
    let [a, b] = operands.map(|bits| value(bits, double));
    let plain = |value: f64| value.is_finite() && value != 0.0;
    let special = !plain(a) || if root { a < 0.0 } else { !plain(b) };
    if float.bitwise {
        let short = if root { exponent(a) & 1 != 0 } else { fraction(a) >= fraction(b) };
        return if special { full.saturating_sub(float.select) } else { u64::from(short) };
    }
    let Some(divider) = float.divider else { return 0 };
    let all = divider.digits[usize::from(double)];
    let needed = if special { 1 } else { digits(divider.digit, double, root, [a, b]) };
    all.saturating_sub(needed)
}

/// Digits, of so many bits, after which nothing is left to divide or to take the root of.
fn digits(digit: u64, double: bool, root: bool, [a, b]: [f64; 2]) -> u64 {
    let [(a_exponent, a), (b_exponent, b)] = [a, b].map(parts);
    let (result, remainder) = if root {
        let a = if a_exponent & 1 != 0 { 2.0 * a } else { a };
        (a.sqrt(), a.sqrt().mul_add(a.sqrt(), -a))
    } else {
        // What overflows in any case, or is nothing beside the least subnormal number, shows at once.
        let (most, least) = if double { (1024, -1075) } else { (128, -150) };
        if !(least..=most).contains(&(a_exponent - b_exponent)) {
            return 1;
        }
        (a / b, (a / b).mul_add(b, -a))
    };
    if remainder != 0.0 {
        return u64::MAX;
    }
    let significant = 53 - u64::from(result.to_bits().trailing_zeros().min(52));
    // That nothing is left shows a digit later.
    significant.div_ceil(digit.max(1)) + 1
}

/// What an `f` register holds; a narrower value that is not boxed is a NaN [unpriv: "NaN Boxing of Narrower Values"].
fn value(bits: u64, double: bool) -> f64 {
    match (double, bits >> 32 == 0xffff_ffff) {
        (true, _) => f64::from_bits(bits),
        (false, true) => f32::from_bits(bits as u32).into(),
        (false, false) => f64::NAN,
    }
}

/// The same number with its exponent even farther from the least one, so that none is subnormal.
fn normal(value: f64) -> u64 {
    let large = value.is_normal();
    (if large { value } else { value * 2f64.powi(64) }).to_bits()
}

/// The exponent of a number that is not zero, and its fraction as a number from 1 to below 2.
fn parts(value: f64) -> (i64, f64) {
    let bits = normal(value);
    let scale = if value.is_normal() { 0 } else { 64 };
    let exponent = (bits >> 52 & 0x7ff) as i64 - 1023 - scale;
    (exponent, f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52))
}

/// The bits behind the leading one.
fn fraction(value: f64) -> u64 {
    normal(value) << 12
}

/// Whether it is even or odd is right.
fn exponent(value: f64) -> u64 {
    // The bias is odd.
    (normal(value) >> 52 & 0x7ff) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Core;

    fn cycles_of(core: &str, unit: Unit, a: f64, b: f64) -> u64 {
        let float = Core::preset(core).unwrap().float;
        let full = if matches!(unit, Unit::FpRoot { .. }) { float.root } else { float.divide };
        full[1] - spared(&float, unit, [a.to_bits(), b.to_bits()])
    }

    #[test]
    fn divisions_and_roots_take_what_was_measured() {
        let divide = Unit::FpDivide { double: true };
        let root = Unit::FpRoot { double: true };
        // On Rocket's RTL, less the dependent instruction behind it.
        for (unit, a, b, cycles) in [
            (divide, 1.0, 3.0, 58),
            (divide, 6.0, 3.0, 57),
            (divide, 7.5, 0.3, 57),
            (divide, 0.0, 3.0, 4),
            (divide, 3.0, 0.0, 4),
            (divide, f64::INFINITY, 2.0, 4),
            (root, 2.0, 0.0, 56),
            (root, 4.0, 0.0, 57),
            (root, 0.25, 0.0, 57),
            (root, -1.0, 0.0, 4),
        ] {
            assert_eq!(cycles_of("rocket", unit, a, b), cycles, "{unit:?} {a} {b}");
        }
    }

    /// Cycles of the unit, of which one is there for the first of 14 or 7 digits, with five to begin and to end
    /// (`ct_vfdsu_ctrl.v`): 19 and 12 for whole ones, 6 at least. The dividends and divisors were measured on CVA6's RTL.
    #[test]
    fn quotients_end_with_the_digit_that_leaves_nothing() {
        let float = Core::preset("cva6").unwrap().float;
        let cycles = |unit, a: f64, b: f64| {
            let operands = match unit {
                Unit::FpDivide { double: false } | Unit::FpRoot { double: false } => {
                    [a, b].map(|value| u64::from((value as f32).to_bits()) | 0xffff_ffff << 32)
                }
                _ => [a, b].map(f64::to_bits),
            };
            let full = if unit == (Unit::FpDivide { double: false }) { 12 } else { 19 };
            full - spared(&float, unit, operands)
        };
        let divide = Unit::FpDivide { double: true };
        for (a, b, expected) in [
            (1.0, 3.0, 19),
            (3.0, 1.5, 7),
            (12_345_678.0, 16.0, 12),
            (0.0, 3.0, 6),
            (3.0, 0.0, 6),
            (f64::NAN, 2.0, 6),
            (1e300, 1e-300, 6),
            (1e-300, 1e300, 6),
            (2.0, 5e-324, 6),
            // It is subnormal, and its fraction exact.
            (5e-324, 2.0, 7),
            (5e-324, 3.0, 19),
        ] {
            assert_eq!(cycles(divide, a, b), expected, "{a} / {b}");
        }
        let root = Unit::FpRoot { double: true };
        for (a, expected) in [(2.0, 19), (4.0, 7), (0.0, 6), (-1.0, 6), (1e-310, 19), (144.0, 7)] {
            assert_eq!(cycles(root, a, 0.0), expected, "root of {a}");
        }
        let single = Unit::FpDivide { double: false };
        for (a, b, expected) in [(1.0, 3.0, 12), (6.0, 3.0, 7), (1e30, 1e-30, 6), (0.0, 3.0, 6)] {
            assert_eq!(cycles(single, a, b), expected, "{a} / {b}, single");
        }
    }

    #[test]
    fn two_results_are_not_written_together() {
        let params = FloatPort { arithmetic: [3, 4], other: 2, again: 5, lead: 3 };
        let decoder = isa::Decoder::new(&isa::ExtSet::parse("rv64gc").unwrap());
        let work = |word| Work::of(&decoder.decode(word).unwrap());
        // fadd.s, fadd.d, fdiv.d
        let (single, double, divide) = (work(0x0020_f053), work(0x0220_f053), work(0x1a20_f053));
        let mut port = Port::default();
        port.issues(&params, double.unit, 100, 106);
        assert_eq!(port.takes(&params, &single, 101), 106);
        assert_eq!(port.takes(&params, &single, 102), 102);
        assert_eq!(port.takes(&params, &divide, 103), 108);
        assert_eq!(port.takes(&params, &divide, 104), 104);
        port.issues(&params, divide.unit, 104, 162);
        assert_eq!(port.takes(&params, &double, 105), 160);
        assert_eq!(port.takes(&params, &double, 162), 162);
    }
}
