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
    let digit = float.divide_exact[usize::from(double)];
    if digit == 0 {
        return 0;
    }
    let bits = if double { 53 } else { 24 };
    let all = u64::div_ceil(bits, digit);
    if special {
        return all - 1;
    }
    let result = if root { a.sqrt() } else { a / b };
    let remainder = if root { result.mul_add(result, -a) } else { result.mul_add(b, -a) };
    if remainder != 0.0 || !result.is_normal() {
        return 0;
    }
    let significant = 53 - u64::from(result.to_bits().trailing_zeros().min(52));
    // That nothing is left shows a digit later.
    all.saturating_sub(significant.div_ceil(digit) + 1)
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
        // cva6: fdiv_d and fdiv_d_exact of the reference.
        assert_eq!(cycles_of("cva6", divide, 1.0, 3.0), 19);
        assert_eq!(cycles_of("cva6", divide, 3.0, 1.5), 7);
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
