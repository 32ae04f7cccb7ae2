//! What the hypervisor's work costs, in instructions: what it did, counted, times a stated cost of each thing.
//!
//! The hypervisor is no guest software, so that no instruction of its own is ever counted. The
//! [standard costs](Costs::MEASURED) are fitted to what Linux's KVM takes for the same things on our harts; `docs/HYPERVISOR.md`
//! says how they were measured.

use crate::vm::Vm;

/// What was done for a VM.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Work {
    /// Guest-page faults that were answered with a mapping.
    pub faults: u64,
    /// Those of stores that a dirty log was the reason for.
    pub log_faults: u64,
    /// PTEs read.
    pub loads: u64,
    /// PTEs written, by store or by compare-and-exchange.
    pub writes: u64,
    /// Leaves replaced by a table.
    pub splits: u64,
    /// Fence instructions on the hart of the hypervisor.
    pub fences_local: u64,
    /// Fence instructions on other harts.
    pub fences_remote: u64,
    /// Interrupts to other harts to have them fence.
    pub ipis: u64,
}

impl Work {
    /// All that was done for a VM so far.
    pub fn of(vm: &Vm) -> Self {
        let (memory, tables, fences) =
            (vm.memory.counts(), vm.memory.gstage().counts(), vm.fences());
        Self {
            faults: memory.faults,
            log_faults: memory.log_faults,
            loads: tables.loads,
            writes: tables.stores + tables.exchanges,
            splits: tables.splits,
            fences_local: fences.gvma_local + fences.gvma_all_local + fences.vvma_placed,
            fences_remote: fences.gvma_remote + fences.gvma_all_remote,
            ipis: fences.ipis,
        }
    }

    /// What was done since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            faults: self.faults - before.faults,
            log_faults: self.log_faults - before.log_faults,
            loads: self.loads - before.loads,
            writes: self.writes - before.writes,
            splits: self.splits - before.splits,
            fences_local: self.fences_local - before.fences_local,
            fences_remote: self.fences_remote - before.fences_remote,
            ipis: self.ipis - before.ipis,
        }
    }

    /// This and that.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            faults: self.faults + other.faults,
            log_faults: self.log_faults + other.log_faults,
            loads: self.loads + other.loads,
            writes: self.writes + other.writes,
            splits: self.splits + other.splits,
            fences_local: self.fences_local + other.fences_local,
            fences_remote: self.fences_remote + other.fences_remote,
            ipis: self.ipis + other.ipis,
        }
    }
}

/// What an exit cost, in instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spent {
    /// All of them.
    pub instructions: u64,
    /// Of them, those that split leaves: a loop that fills a table takes other cycles an instruction than what finds a page.
    pub splitting: u64,
}

/// Instructions for each thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Costs {
    /// An exit and the entry after it, whatever it is for: state saved and restored, the cause looked at.
    pub exit: u64,
    /// A guest-page fault beside that and its PTEs: the slot, locks, the page behind.
    pub fault: u64,
    /// What marking a page adds, and finding that the page behind may be written.
    pub log_fault: u64,
    /// A PTE read.
    pub load: u64,
    /// A PTE written.
    pub write: u64,
    /// A leaf replaced by a table, beside its PTEs: the table allocated, zeroed and linked.
    pub split: u64,
    /// A fence instruction.
    pub fence: u64,
    /// An interrupt to another hart, on both sides.
    pub ipi: u64,
}

impl Costs {
    /// Nothing costs anything.
    pub const NONE: Self =
        Self { exit: 0, fault: 0, log_fault: 0, load: 0, write: 0, split: 0, fence: 0, ipi: 0 };

    /// Fitted to Linux 7.2.13 with Sv57x4 and memory of hugetlbfs, from the trap to the entry after it: 1014 instructions for the
    /// cheapest SBI call, 2756 for a load whose leaf is mapped, 3007 for a store to a page that the log protects, 13 227 where a leaf of
    /// 2 MiB is split for it; an interrupt to another hart is 2402 there and some 800 here. How a split divides into its PTEs and the
    /// rest is not measured but assumed.
    pub const MEASURED: Self = Self {
        exit: 1014,
        fault: 1704,
        log_fault: 242,
        load: 5,
        write: 18,
        split: 1004,
        fence: 4,
        ipi: 3200,
    };

    /// What of that goes to splits: what each takes, and the PTEs written for it.
    pub fn of_splits(&self, work: &Work) -> u64 {
        if work.splits == 0 { 0 } else { self.split * work.splits + self.write * work.writes }
    }

    /// What it comes to, without exits.
    pub fn of(&self, work: &Work) -> u64 {
        let Work { faults, log_faults, loads, writes, splits, fences_local, fences_remote, ipis } =
            *work;
        self.fault * faults
            + self.log_fault * log_faults
            + self.load * loads
            + self.write * writes
            + self.split * splits
            + self.fence * (fences_local + fences_remote)
            + self.ipi * ipis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_paths_come_to_what_was_measured() {
        // Loads of a walk of five levels down to 2 MiB and to 4 KiB; docs/HYPERVISOR.md has the figures.
        let costs = Costs::MEASURED;
        let map = Work { faults: 1, loads: 4, writes: 1, ..Work::default() };
        assert_eq!(costs.exit + costs.of(&map), 2756);
        let log = Work { log_faults: 1, loads: 5, fences_local: 1, ..map };
        assert_eq!(costs.exit + costs.of(&log), 3007);
        let split = Work { splits: 1, ..log };
        assert_eq!(costs.exit + costs.of(&split) + 512 * costs.write, 13_227);
    }

    #[test]
    fn work_is_a_difference_and_costs_are_a_sum() {
        let before = Work { faults: 1, loads: 10, ..Work::default() };
        let after = Work { faults: 3, loads: 14, ipis: 1, ..Work::default() };
        let work = after.since(&before);
        assert_eq!(before.plus(&work), after);
        let costs = Costs { fault: 100, load: 3, ipi: 7, ..Costs::NONE };
        assert_eq!(costs.of(&work), 2 * 100 + 4 * 3 + 7);
        let costs = Costs { split: 1000, write: 10, ..costs };
        assert_eq!(costs.of_splits(&Work { writes: 3, ..work }), 0);
        assert_eq!(costs.of_splits(&Work { writes: 514, splits: 1, ..work }), 6140);
    }
}
