//! Issue of several instructions a cycle, in order: which pipes take which instructions, and which of them fit into a cycle
//! together.
//!
//! What a cycle took so far is the set of sets of pipes that it can occupy: instructions are given their pipes when all of a cycle are
//! known, so that an earlier one does not stand in the way of a later one if it has a choice. It is numbers of pipes and registers, no values.

use crate::work::{Unit, Work};
use serde::{Deserialize, Serialize};

/// What instructions are to pipes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Integer arithmetic.
    Alu,
    /// Branches and jumps.
    Branch,
    /// Products.
    Multiply,
    /// Quotients of integers.
    Divide,
    /// Loads.
    Load,
    /// Stores.
    Store,
    /// FP arithmetic, comparisons and conversions.
    Float,
    /// Bits between `x` and `f` registers.
    Move,
    /// Atomics, CSRs, fences, returns.
    System,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Alu,
        Self::Branch,
        Self::Multiply,
        Self::Divide,
        Self::Load,
        Self::Store,
        Self::Float,
        Self::Move,
        Self::System,
    ];

    fn of(unit: Unit) -> Self {
        match unit {
            Unit::Alu => Self::Alu,
            Unit::Branch => Self::Branch,
            Unit::Mul { .. } | Unit::MulHigh => Self::Multiply,
            Unit::Div { .. } => Self::Divide,
            Unit::Load | Unit::LoadNarrow => Self::Load,
            Unit::Store => Self::Store,
            Unit::FpToInt | Unit::IntToFp => Self::Move,
            Unit::FpArithmetic { .. }
            | Unit::FpDivide { .. }
            | Unit::FpRoot { .. }
            | Unit::FpSelect { .. }
            | Unit::FpCompare
            | Unit::FpConvert
            | Unit::FpConvertToInt
            | Unit::FpConvertFromInt => Self::Float,
            Unit::Amo
            | Unit::LoadReserved
            | Unit::StoreConditional
            | Unit::CsrRead(_)
            | Unit::CsrWrite(_)
            | Unit::Fence
            | Unit::FenceI
            | Unit::FenceTranslation
            | Unit::TrapReturn
            | Unit::Wait => Self::System,
        }
    }
}

/// How instructions issue, where it can be several a cycle.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issue {
    /// For each pipe what it takes: one instruction a cycle. There are as many a cycle as pipes.
    pub pipes: Vec<Vec<Kind>>,
    /// Stages between the first ALUs and a second row of them, 0 where there is none: arithmetic, branches and the data of stores
    /// whose operands come later than they issue wait there and not before issue.
    #[serde(default)]
    pub late: u64,
    /// Whether an instruction can issue in the cycle of the branch before it.
    pub pairs_behind_branch: bool,
}

/// Pipes at most.
const PIPES_MAX: usize = 4;

impl Issue {
    /// Whether this can be built: every instruction has a pipe.
    pub fn is_sound(&self) -> bool {
        (1..=PIPES_MAX).contains(&self.pipes.len())
            && self.late <= 16
            && Kind::ALL.iter().all(|kind| self.pipes.iter().any(|pipe| pipe.contains(kind)))
    }

    /// The pipes that take an instruction, a bit each.
    pub(crate) fn pipes_of(&self, unit: Unit) -> u8 {
        let kind = Kind::of(unit);
        let takes = self.pipes.iter().enumerate().filter(|(_, pipe)| pipe.contains(&kind));
        takes.fold(0, |pipes, (number, _)| pipes | 1 << number)
    }
}

/// Which operands of an instruction can come late: a bit for each source.
pub(crate) fn late_sources(work: &Work) -> u8 {
    match work.unit {
        Unit::Alu | Unit::Branch => 0b111,
        // The data, not the address.
        Unit::Store => 0b010,
        _ => 0,
    }
}

/// What issued in the cycle of the last issue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// For each set of pipes, whether the instructions of the cycle can occupy it.
    ways: u16,
    /// The registers that they write, one byte each.
    targets: u32,
    /// Nothing more fits.
    closed: bool,
}

impl Group {
    /// A cycle that takes nothing more.
    pub(crate) const CLOSED: Self = Self { ways: 1, targets: 0, closed: true };

    /// The numbers that stand for it.
    pub(crate) fn numbers(self) -> [u64; 2] {
        if self.closed { [0; 2] } else { [self.ways.into(), self.targets.into()] }
    }

    /// What numbers stand for.
    pub(crate) fn of_numbers([ways, targets]: [u64; 2]) -> Self {
        match ways {
            0 => Self::CLOSED,
            _ => Self { ways: ways as u16, targets: targets as u32, closed: false },
        }
    }

    /// Whether an instruction fits in.
    pub(crate) fn takes(self, work: &Work, pipes: u8) -> bool {
        let depends = |register: u8| {
            register != 0 && (0..PIPES_MAX - 1).any(|i| (self.targets >> (8 * i)) as u8 == register)
        };
        !self.closed
            && occupied(self.ways, pipes) != 0
            && !work.sources.iter().any(|&source| depends(source))
            && !depends(work.target)
    }

    /// An instruction issues: in this cycle, or as the first one of the next.
    pub(crate) fn add(&mut self, work: &Work, pipes: u8, same_cycle: bool) {
        if !same_cycle {
            *self = Self { ways: 1, targets: 0, closed: false };
        }
        self.ways = occupied(self.ways, pipes);
        self.targets = self.targets << 8 | u32::from(work.target);
        // Everything else that a cycle may be closed for is known from its pipes.
        self.targets &= 0xff_ffff;
    }

    /// Nothing more fits.
    pub(crate) fn close(&mut self) {
        *self = Self::CLOSED;
    }
}

/// The sets of pipes that can be occupied when one of `pipes` is in addition to `ways`.
fn occupied(ways: u16, pipes: u8) -> u16 {
    let mut more = 0;
    for set in (0..16u16).filter(|set| ways >> set & 1 != 0) {
        for pipe in (0..PIPES_MAX as u16).filter(|pipe| u16::from(pipes) >> pipe & 1 != 0) {
            if set >> pipe & 1 == 0 {
                more |= 1 << (set | 1 << pipe);
            }
        }
    }
    more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_with_a_choice_makes_room() {
        // Either pipe, then the first one alone, or the second one alone: both fit.
        for second in [0b01, 0b10] {
            assert_ne!(occupied(occupied(1, 0b11), second), 0);
        }
        assert_eq!(occupied(occupied(1, 0b01), 0b01), 0);
        assert_eq!(occupied(occupied(occupied(1, 0b11), 0b11), 0b11), 0);
    }

    #[test]
    fn a_group_is_its_number() {
        let work = |target| Work {
            unit: Unit::Alu,
            sources: [0; 3],
            target,
            flow: None,
            bytes: 0,
            ordered: [false; 2],
        };
        let mut group = Group::CLOSED;
        assert!(!group.takes(&work(0), 0b11));
        group.add(&work(7), 0b11, false);
        let again = Group::of_numbers(group.numbers());
        assert_eq!(again.numbers(), group.numbers());
        assert!(again.takes(&work(8), 0b11));
        assert!(!again.takes(&work(7), 0b11), "it writes the same register");
        assert!(!again.takes(&Work { sources: [0, 7, 0], ..work(9) }, 0b11), "it needs the result");
        assert_eq!(Group::of_numbers(Group::CLOSED.numbers()).numbers(), [0; 2]);
    }
}
