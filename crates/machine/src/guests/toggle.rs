//! Dirty logging switched on and off while guests run, checked against a copy of their memory.
//!
//! When the log goes on, a guest's memory is copied; when it goes off, every page that differs from the copy must be in the
//! log. Nothing is asked of the guest, so any guest is a test of every policy.

use hyp::hypervisor::Hypervisor;
use hyp::port::Parts;
use isa::{Gpa, PAGE_BYTES};

use super::{GUEST_BASE, RAM_SLOT};

/// What was found so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ToggleCounts {
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
    copies: Vec<Option<Vec<u8>>>,
    pub(super) counts: ToggleCounts,
}

impl Toggle {
    pub(super) fn new(every: u64) -> Self {
        let every = every.max(1);
        Self { every, next: every, copies: Vec::new(), counts: ToggleCounts::default() }
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
        self.next = cycle.saturating_add(self.every);
        self.copies.resize_with(hypervisor.vms.len(), || None);
        for index in 0..hypervisor.vms.len() {
            if hypervisor.vms[index].end.is_some() {
                continue;
            }
            let Some(memory) = memory(hypervisor, parts, index) else { continue };
            match self.copies[index].take() {
                None => {
                    let on = hypervisor
                        .with_memory(parts, index, None, |vm, env| vm.enable_log(env, RAM_SLOT));
                    self.counts.failures += u64::from(on.is_err());
                    self.copies[index] = Some(memory);
                }
                Some(copy) => {
                    let log = hypervisor
                        .with_memory(parts, index, None, |vm, env| vm.get_log(env, RAM_SLOT));
                    let off = hypervisor
                        .with_memory(parts, index, None, |vm, env| vm.disable_log(env, RAM_SLOT));
                    self.counts.failures += u64::from(off.is_err());
                    let Ok(log) = log else {
                        self.counts.failures += 1;
                        continue;
                    };
                    self.counts.periods += 1;
                    self.counts.named += log.count();
                    let size = PAGE_BYTES as usize;
                    for (page, (was, is)) in copy.chunks(size).zip(memory.chunks(size)).enumerate()
                    {
                        match (was == is, log.contains(page as u64)) {
                            (false, false) => self.counts.lost += 1,
                            (true, true) => self.counts.not_changed += 1,
                            _ => {}
                        }
                    }
                }
            }
        }
    }
}

/// All of a VM's memory.
fn memory(hypervisor: &Hypervisor, parts: &Parts<'_>, index: usize) -> Option<Vec<u8>> {
    let vm = &hypervisor.vms[index];
    let slot = vm.memory.slots().get(RAM_SLOT)?;
    let mut bytes = vec![0; usize::try_from(slot.bytes).ok()?];
    vm.read(parts.memory, Gpa(GUEST_BASE.0), &mut bytes).ok()?;
    Some(bytes)
}
