//! Exits of guests by cause, and what passed until a guest was entered again.

use std::collections::BTreeMap;

use isa::{Cause, Mode};
use serde::{Serialize, Serializer};

use super::stats::{Moment, place};

/// Exits by the bits of `mcause` and the place of the mode that handles them in the order M, S, U, VS, VU.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Exits(BTreeMap<(u64, usize), ExitCount>);

/// Exits of one cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExitCount {
    /// Why.
    pub cause: Cause,
    /// The mode that handles it.
    pub to: Mode,
    /// How often.
    pub count: u64,
    /// Cycles until a guest was entered again on this hart: this one or another. An exit that no entry followed has none.
    pub cycles: u64,
    /// Instructions until then.
    pub instructions: u64,
}

/// An exit that no entry followed yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OpenExit {
    pub(super) cause: Cause,
    pub(super) to: Mode,
    pub(super) at: Moment,
}

impl Exits {
    fn of(&mut self, cause: Cause, to: Mode) -> &mut ExitCount {
        let none = ExitCount { cause, to, count: 0, cycles: 0, instructions: 0 };
        self.0.entry((cause.bits(), place(to))).or_insert(none)
    }

    /// A guest was left.
    pub(super) fn left(&mut self, cause: Cause, to: Mode) {
        self.of(cause, to).count += 1;
    }

    /// A guest was entered after that.
    pub(super) fn entered(&mut self, open: &OpenExit, now: Moment) {
        let count = self.of(open.cause, open.to);
        count.cycles += now.cycle.saturating_sub(open.at.cycle);
        count.instructions += now.insns.saturating_sub(open.at.insns);
    }

    /// Adds those of another hart.
    pub(super) fn add(&mut self, other: &Self) {
        for more in other.iter() {
            let sum = self.of(more.cause, more.to);
            sum.count += more.count;
            sum.cycles += more.cycles;
            sum.instructions += more.instructions;
        }
    }

    /// All of them, in the order of causes.
    pub fn iter(&self) -> impl Iterator<Item = ExitCount> {
        self.0.values().copied()
    }
}

impl Serialize for Exits {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line {
            cause: &'static str,
            code: u64,
            interrupt: bool,
            to: String,
            count: u64,
            cycles: u64,
            instructions: u64,
        }
        to.collect_seq(self.iter().map(|exit| {
            let (cause, code, interrupt) = super::json::cause(exit.cause);
            let ExitCount { to, count, cycles, instructions, .. } = exit;
            Line { cause, code, interrupt, to: to.to_string(), count, cycles, instructions }
        }))
    }
}
