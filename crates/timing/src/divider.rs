//! A unit of its own for FP quotients and roots, with a register before it in which the next one waits. Another one behind
//! that keeps all of the FP unit's instructions back.

use crate::pipeline::Visitor;
use serde::{Deserialize, Serialize};

/// How it is built: cycles are those of [`crate::params::Float`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FloatDivider {
    /// Bits of a digit. It ends with the digit that leaves nothing, and with the first one for zeros, infinities, NaNs, roots of
    /// negative numbers, and quotients whose exponents say that they overflow, or are smaller than any subnormal number.
    pub digit: u64,
    /// Digits of a whole result: single and double precision.
    pub digits: [u64; 2],
    /// Cycles from when the next one can begin to when a dependent instruction can issue, beyond those of the unit.
    pub result: u64,
}

impl FloatDivider {
    /// Whether it can be built like that.
    pub fn is_sound(&self) -> bool {
        (1..=64).contains(&self.digit) && self.digits.iter().all(|digits| (1..=64).contains(digits))
    }
}

/// Cycles from issue until the unit can begin: to execute, and through the register.
const ENTRY: u64 = 2;

/// What is under way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Divisions {
    /// When the last one left the register for the unit, and when the next one can.
    began: u64,
    free: u64,
    /// Nothing for the FP unit issues before that.
    pub(crate) held: u64,
}

impl Divisions {
    /// Goes through everything that matters to what issues after `now`.
    pub(crate) fn visit(&mut self, now: u64, visitor: &mut impl Visitor) {
        let soon = now + 1;
        visitor.time(&mut self.began, soon + 1);
        visitor.time(&mut self.free, soon + ENTRY);
        visitor.time(&mut self.held, soon);
    }

    /// One issues at `at` and keeps the unit for so many cycles: when it leaves the unit.
    pub(crate) fn issue(&mut self, at: u64, cycles: u64) -> u64 {
        // It executes in the next cycle, and needs the register to be empty.
        let enters = self.began.max(at + 1);
        if enters > at + 1 {
            self.held = enters;
        }
        self.began = self.free.max(enters + 1);
        self.free = self.began + cycles;
        self.free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_division_waits_without_keeping_others_back() {
        let mut divisions = Divisions::default();
        // Of 19 cycles each, as doubles on CVA6: began at 12, 31 and 50 (fpnew_divsqrt_th_64_multi.sv).
        assert_eq!(divisions.issue(10, 19), 31);
        assert_eq!((divisions.issue(11, 19), divisions.held), (50, 0));
        assert_eq!((divisions.issue(12, 19), divisions.held), (69, 31));
    }
}
