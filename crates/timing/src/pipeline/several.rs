//! What is different where several instructions issue in a cycle, and where arithmetic can execute later than it issues.

use super::Pipeline;
use crate::item::Item;
use crate::work::Unit;

impl Pipeline {
    /// The cycle from which its operands can be waited for where it executes.
    pub(super) fn operands(&self, item: &Item) -> u64 {
        let work = &item.work;
        let later = self.core.issue.as_ref().map_or(0, |issue| issue.late);
        let mut at = 0;
        for (number, source) in work.sources.into_iter().enumerate() {
            let ready = self.ready[usize::from(source & 63)];
            let later = if item.late >> number & 1 != 0 { later } else { 0 };
            at = at.max(ready.saturating_sub(later));
        }
        if self.core.integer.orders_writes && work.target != 0 {
            let later = if work.unit == Unit::Alu { later } else { 0 };
            at = at.max(self.ready[usize::from(work.target & 63)].saturating_sub(later));
        }
        at
    }

    /// How much later an instruction that issues at `at` executes: in the second row of ALUs, `later` stages on, if an operand is
    /// not there yet.
    fn lateness(&self, item: &Item, later: u64, at: u64) -> u64 {
        let waits = |&source: &u8| self.ready[usize::from(source & 63)] > at;
        let executes = matches!(item.work.unit, Unit::Alu | Unit::Branch);
        if executes && item.work.sources.iter().any(waits) { later } else { 0 }
    }

    /// The first cycle in which the next instruction could issue.
    pub(super) fn soonest(&self) -> u64 {
        self.issued + u64::from(self.core.issue.is_none())
    }

    /// An instruction issues at `at`, in the cycle of the last one if they are `together`.
    pub(super) fn group_with(&mut self, item: &Item, together: bool, at: u64) {
        let Some(issue) = &self.core.issue else { return };
        self.group.add(&item.work, item.pipes, together);
        if item.work.flow.is_some() && !issue.pairs_behind_branch {
            self.group.close();
        }
        self.late = self.lateness(item, issue.late, at);
    }
}
