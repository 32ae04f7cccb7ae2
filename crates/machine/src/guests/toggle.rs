//! Dirty logging switched on and off while guests run, checked against a copy of their memory.
//!
//! When the log goes on, a guest's memory is copied; when it goes off, every page that differs from the copy must be in the
//! log. Nothing is asked of the guest, so any guest is a test of every policy. Moments are multiples of the interval in virtual
//! time, whether guests run or wait.

use hyp::hypervisor::Hypervisor;
use hyp::port::Parts;
use isa::{Gpa, PAGE_BYTES};

use super::{GUEST_BASE, RAM_SLOT};

/// What was found so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ToggleCounts {
    /// Moments at which logs were switched, on or off.
    pub switches: u64,
    /// How often a log went on and off again.
    pub periods: u64,
    /// Pages that logs named.
    pub named: u64,
    /// Of those, pages that are as they were.
    pub not_changed: u64,
    /// Pages that changed and that no log named.
    pub lost: u64,
    /// Operations on a log that failed.
    pub failures: u64,
}

/// Switches the logs of all VMs.
#[derive(Debug)]
pub(super) struct Toggle {
    every: u64,
    next: u64,
    copies: Vec<Kept>,
    pub(super) counts: ToggleCounts,
}

/// A VM's memory as it was.
#[derive(Debug, Default)]
struct Kept {
    /// Its log is on.
    logs: bool,
    bytes: Vec<u8>,
}

impl Toggle {
    pub(super) fn new(every: u64) -> Self {
        let every = every.max(1);
        Self { every, next: every, copies: Vec::new(), counts: ToggleCounts::default() }
    }

    /// The next moment, in cycles.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Whether the moment for a switch has come.
    pub(super) fn is_due(&self, cycle: u64) -> bool {
        cycle >= self.next
    }

    /// Switches.
    pub(super) fn switch(
        &mut self,
        hypervisor: &mut Hypervisor,
        parts: &mut Parts<'_>,
        cycle: u64,
    ) {
        self.next = (cycle - cycle % self.every).saturating_add(self.every);
        self.counts.switches += 1;
        self.copies.resize_with(hypervisor.vms.len(), Kept::default);
        for index in 0..hypervisor.vms.len() {
            if hypervisor.vms[index].end.is_none() {
                self.switch_one(hypervisor, parts, index);
            }
        }
    }

    fn switch_one(&mut self, hypervisor: &mut Hypervisor, parts: &mut Parts<'_>, index: usize) {
        let Self { copies, counts, .. } = self;
        let copy = &mut copies[index];
        let slot = hypervisor.vms[index].memory.slots().get(RAM_SLOT);
        let Some(bytes) = slot.and_then(|slot| usize::try_from(slot.bytes).ok()) else { return };
        copy.logs = !copy.logs;
        if copy.logs {
            let on =
                hypervisor.with_memory(parts, index, None, |vm, env| vm.enable_log(env, RAM_SLOT));
            copy.bytes.resize(bytes, 0);
            let read = hypervisor.vms[index].read(parts.memory, Gpa(GUEST_BASE.0), &mut copy.bytes);
            counts.failures += u64::from(on.is_err()) + u64::from(read.is_err());
            return;
        }
        let log = hypervisor.with_memory(parts, index, None, |vm, env| vm.get_log(env, RAM_SLOT));
        let off =
            hypervisor.with_memory(parts, index, None, |vm, env| vm.disable_log(env, RAM_SLOT));
        counts.failures += u64::from(off.is_err());
        let Ok(log) = log else {
            counts.failures += 1;
            return;
        };
        counts.periods += 1;
        counts.named += log.count();
        let vm = &hypervisor.vms[index];
        let mut now = [0; PAGE_BYTES as usize];
        for (page, was) in copy.bytes.chunks_exact(now.len()).enumerate() {
            let gpa = Gpa(GUEST_BASE.0 + page as u64 * PAGE_BYTES);
            counts.failures += u64::from(vm.read(parts.memory, gpa, &mut now).is_err());
            match (was == now, log.contains(page as u64)) {
                (false, false) => counts.lost += 1,
                (true, true) => counts.not_changed += 1,
                _ => {}
            }
        }
    }
}
