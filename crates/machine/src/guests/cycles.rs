//! What the hypervisor's exits take on harts with a cycle model.
//!
//! The hypervisor is no guest software, so that of most of its instructions only the number is known. The accesses to PTEs, the
//! fences and the return are told to the model one by one, each behind an equal share of the others.

use std::cell::{Cell, RefCell};

use cpu::{Hart, Left, OutsideStep};
use hyp::cost::{Spent, Work};
use serde::Serialize;

/// Steps of one exit that the model is told at most; what lies behind counts as instructions alone.
const STEPS_MAX: usize = 1 << 16;

/// How many thousandths of a cycle an instruction of the hypervisor takes, without its PTEs and fences.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cpi {
    /// One that splits a leaf.
    pub splitting: u64,
    /// Any other.
    pub other: u64,
}

impl Cpi {
    /// A cycle for each.
    pub const ONE: Self = Self { splitting: 1000, other: 1000 };

    /// What these instructions take but for some that the model is told, each of which is one of the more numerous kind.
    fn cycles(self, spent: Spent, told: u64) -> u128 {
        let (splitting, other) = (spent.splitting, spent.instructions - spent.splitting);
        let (splitting, other) = if splitting > other {
            (splitting.saturating_sub(told), other)
        } else {
            (splitting, other.saturating_sub(told))
        };
        let of = |count, each| u128::from(count) * u128::from(each);
        (of(splitting, self.splitting) + of(other, self.other)) / 1000
    }
}

/// What the hypervisor did for one exit, in order.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// The hart that it acts on, if an exit of that is being handled.
    serves: Cell<Option<usize>>,
    done: RefCell<Vec<OutsideStep>>,
    /// Cycles that accesses to PTEs took in the last exit.
    ptes: Cell<u64>,
}

impl Steps {
    /// An exit of `hart` begins.
    pub(super) fn begin(&self, hart: usize) {
        self.serves.set(Some(hart));
        self.done.borrow_mut().clear();
        self.ptes.set(0);
    }

    /// It is over.
    pub(super) fn end(&self) {
        self.serves.set(None);
    }

    /// The hypervisor did something, on `hart` or on the one that it serves.
    pub(super) fn push(&self, hart: Option<usize>, step: OutsideStep) {
        let Some(serves) = self.serves.get() else { return };
        let mut done = self.done.borrow_mut();
        if hart.is_none_or(|hart| hart == serves) && done.len() < STEPS_MAX {
            done.push(step);
        }
    }

    /// Has the model of `hart` go through all of it, as part of these instructions.
    pub(super) fn replay(&self, hart: &mut Hart, spent: Spent, cpi: Cpi) {
        let steps = std::mem::take(&mut *self.done.borrow_mut());
        // SRET comes behind.
        let told = steps.iter().map(|step| step.instructions()).sum::<u64>() + 1;
        let all = cpi.cycles(spent, told);
        let shares = steps.len() as u128 + 1;
        let mut passed = 0;
        for (step, share) in steps.into_iter().zip(1..) {
            let due = all * share / shares;
            hart.work_outside((due - passed) as u64);
            passed = due;
            let before = hart.cycle();
            hart.step_outside(step);
            if !matches!(step, OutsideStep::Fence) {
                self.ptes.set(self.ptes.get() + (hart.cycle() - before));
            }
        }
        hart.work_outside((all - passed) as u64);
    }
}

/// What an exit was for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ExitKind {
    /// A guest-page fault that was answered with a mapping.
    Mapped,
    /// One of a store that a dirty log was the reason for.
    Logged,
    /// Such a one for which a leaf was split.
    Split,
}

impl ExitKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mapped, Self::Logged, Self::Split];

    fn of(work: &Work) -> Option<Self> {
        match *work {
            Work { log_faults: 1, splits: 0, .. } => Some(Self::Logged),
            Work { log_faults: 1, .. } => Some(Self::Split),
            Work { faults: 1, .. } => Some(Self::Mapped),
            _ => None,
        }
    }
}

/// What the cycles of exits of one kind went to, from the issue of what trapped until that has its translation when it comes again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ExitCycles {
    /// Exits.
    pub count: u64,
    /// Walks that found no translation, until they trap.
    pub walk: u64,
    /// Traps.
    pub trap: u64,
    /// Returns from them.
    pub returns: u64,
    /// Instructions of the hypervisor without its PTEs and fences: the rest.
    pub instructions: u64,
    /// The hypervisor's loads and stores of PTEs.
    pub ptes: u64,
    /// Fences, as far as anything waited for them.
    pub fences: u64,
    /// Walks of what trapped when it comes again.
    pub refill: u64,
    /// All of it.
    pub total: u64,
}

impl ExitCycles {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.walk += other.walk;
        self.trap += other.trap;
        self.returns += other.returns;
        self.instructions += other.instructions;
        self.ptes += other.ptes;
        self.fences += other.fences;
        self.refill += other.refill;
        self.total += other.total;
    }

    /// The same with what the hart's guest waited for translations behind it.
    fn refilled(self, hart: &Hart) -> Self {
        let refill = hart.refill();
        Self { refill, total: self.total + refill, ..self }
    }

    /// What lies between these sums and earlier ones.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            count: self.count - before.count,
            walk: self.walk - before.walk,
            trap: self.trap - before.trap,
            returns: self.returns - before.returns,
            instructions: self.instructions - before.instructions,
            ptes: self.ptes - before.ptes,
            fences: self.fences - before.fences,
            refill: self.refill - before.refill,
            total: self.total - before.total,
        }
    }
}

/// All exits so far.
#[derive(Debug, Default)]
pub(super) struct Exits {
    sums: [ExitCycles; ExitKind::ALL.len()],
    /// For each hart, the exit behind which its guest runs now, without the refill.
    last: Vec<Option<(ExitKind, ExitCycles)>>,
}

impl Exits {
    /// The sums of a kind.
    pub(super) fn of(&self, kind: ExitKind, harts: &[Hart]) -> ExitCycles {
        let mut sum = self.sums[kind as usize];
        for (last, hart) in self.last.iter().zip(harts) {
            if let Some((_, exit)) = last.filter(|(of, _)| *of == kind) {
                sum.add(&exit.refilled(hart));
            }
        }
        sum
    }

    /// The hart has left its guest: what its first instruction waited for translations is known.
    pub(super) fn left(&mut self, number: usize, hart: &Hart) {
        if let Some((kind, exit)) = self.last.get_mut(number).and_then(Option::take) {
            self.sums[kind as usize].add(&exit.refilled(hart));
        }
    }

    /// It has entered the same vCPU again, once `work` was done.
    pub(super) fn entered(&mut self, number: usize, hart: &Hart, steps: &Steps, work: &Work) {
        let (Some(kind), Some(left), Some(now)) = (ExitKind::of(work), hart.left(), hart.spent())
        else {
            return;
        };
        let Left { before, issued } = left;
        let (failed, raising) =
            (now.failed_walks - before.failed_walks, now.raising - before.raising);
        let returns = now.returns - before.returns;
        // A walk lies behind its access's place in time where that issues once; times end with the issue of the return.
        let total = hart.cycle().saturating_sub(issued) + failed.saturating_sub(raising) + returns;
        let exit = ExitCycles {
            count: 1,
            walk: failed.max(raising),
            trap: now.traps - before.traps,
            returns,
            instructions: 0,
            ptes: steps.ptes.get(),
            fences: now.fences - before.fences,
            refill: 0,
            total,
        };
        let known = exit.walk + exit.trap + exit.returns + exit.ptes + exit.fences;
        let exit = ExitCycles { instructions: total.saturating_sub(known), ..exit };
        if self.last.len() <= number {
            self.last.resize(number + 1, None);
        }
        self.last[number] = Some((kind, exit));
    }
}
