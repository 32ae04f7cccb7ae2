//! What the hypervisor is told to do with memory, and what must follow from it.

use std::collections::BTreeSet;

use hyp::dirty::{Bitmap, RingEntry};
use hyp::gstage;
use hyp::memory::{Clearing, Env, GuestMemory, MemoryError};
use hyp::policy::{Detect, Split};
use isa::Gpa;

use super::World;
use crate::Property;
use crate::layout::{AUX, AUX_GPAS, SLOTS, VCPUS};
use crate::model::{LogModel, index_of};
use crate::schedule::{Meanwhile, Operation};
use crate::shared::{Done, violation};

/// The hypervisor's operations.
impl World {
    pub(super) fn operation(
        &mut self,
        vm: usize,
        operation: Operation,
        meanwhile: Vec<Meanwhile>,
    ) -> Done<()> {
        match operation {
            Operation::Toggle { slot } => self.toggle(vm, slot, meanwhile),
            Operation::Get { slot } => self.get(vm, slot, meanwhile).map(drop),
            Operation::Clear { slot, word, mask } => self.clear(vm, slot, word, mask, meanwhile),
            Operation::Rings => self.rings(vm, meanwhile),
            Operation::Replug { slot } => self.replug(vm, slot, meanwhile),
            Operation::Plug => self.plug(vm, meanwhile),
            Operation::Move => self.move_aux(vm, meanwhile),
        }
    }

    /// Whether a slot is there and, if so, logs.
    fn logs(&self, vm: usize, id: u32) -> Option<bool> {
        let model = self.shared.model.borrow();
        let slot = &model.slots[vm][index_of(id)];
        slot.is_there.then_some(slot.log.is_some())
    }

    fn toggle(&mut self, vm: usize, id: u32, meanwhile: Vec<Meanwhile>) -> Done<()> {
        let index = index_of(id);
        match self.logs(vm, id) {
            None => Ok(()),
            Some(true) => {
                self.operate(vm, None, meanwhile, |memory, env| memory.disable_log(env, id))?
                    .or_else(|error| violation(Property::Progress, format!("log off: {error}")))?;
                self.forget_log(vm, index);
                Ok(())
            }
            Some(false) => {
                let all = self.setup.clearing == Clearing::Manual { initially_set: true };
                let excused =
                    std::mem::take(&mut self.shared.model.borrow_mut().slots[vm][index].in_rings);
                let log = LogModel {
                    excused_but: all.then(BTreeSet::new),
                    excused,
                    // Until it is known that every leaf could be split.
                    coarse: true,
                    ..LogModel::default()
                };
                self.shared.model.borrow_mut().slots[vm][index].log = Some(log);
                let on =
                    self.operate(vm, None, meanwhile, |memory, env| memory.enable_log(env, id))?;
                let mut model = self.shared.model.borrow_mut();
                let copy = model.snapshot(&self.shared.ram, vm, index);
                let slot = &mut model.slots[vm][index];
                if self.setup.policy.detect == Detect::WriteProtection && !all {
                    slot.stored.clear();
                }
                let Some(log) = &mut slot.log else { return Ok(()) };
                log.copy = copy;
                log.coarse = on.is_err();
                log.excused.append(&mut log.meanwhile);
                log.written.clear();
                match on {
                    Ok(()) | Err(MemoryError::Gstage(gstage::Error::OutOfTables(_))) => Ok(()),
                    Err(error) => violation(Property::Progress, format!("log on: {error}")),
                }
            }
        }
    }

    /// The log of a slot is gone, but the rings may hold some of it.
    fn forget_log(&mut self, vm: usize, index: usize) {
        let rings = self.setup.rings;
        let slot = &mut self.shared.model.borrow_mut().slots[vm][index];
        if let Some(mut log) = slot.log.take()
            && rings
        {
            slot.in_rings.append(&mut log.written);
            slot.in_rings.append(&mut log.excused);
        }
    }

    /// Reads a log, and compares it. What it names is cleared and copied if that is how this VM clears.
    pub(super) fn get(
        &mut self,
        vm: usize,
        id: u32,
        meanwhile: Vec<Meanwhile>,
    ) -> Done<Option<Bitmap>> {
        if self.logs(vm, id) != Some(true) {
            return Ok(None);
        }
        let index = index_of(id);
        let log = self.read_log(vm, id, meanwhile)?;
        let named: BTreeSet<u64> = (0..log.pages()).filter(|&page| log.contains(page)).collect();
        self.compare(vm, index, &named, !self.setup.rings)?;
        if self.setup.clearing == Clearing::AtGet {
            self.copy(vm, index, &named, false);
            if !self.setup.rings {
                self.agree(vm, index)?;
            }
        }
        self.end_of_meanwhile(vm, index);
        Ok(Some(log))
    }

    fn read_log(&mut self, vm: usize, id: u32, meanwhile: Vec<Meanwhile>) -> Done<Bitmap> {
        self.shared.count(|counts| counts.logs += 1);
        let log = self.operate(vm, None, meanwhile, |memory, env| memory.get_log(env, id))?;
        log.or_else(|error| violation(Property::Progress, format!("the log of slot {id}: {error}")))
    }

    /// No page that was written is missing, if all are named here; and none is named that nobody wrote.
    fn compare(&self, vm: usize, index: usize, named: &BTreeSet<u64>, all: bool) -> Done<()> {
        let model = self.shared.model.borrow();
        let Some(log) = &model.slots[vm][index].log else { return Ok(()) };
        let missing = log
            .written
            .iter()
            .find(|page| all && !named.contains(page) && !log.meanwhile.contains(page));
        let slot = SLOTS[index];
        if let Some(page) = missing {
            let what = format!("page {page} of slot {slot} of VM {vm} was written");
            return violation(Property::MissingDirty, what);
        }
        if let Some(page) = named.iter().find(|page| log.is_false(**page)) {
            let what = format!("nobody wrote page {page} of slot {slot} of VM {vm}");
            return violation(Property::FalseDirty, what);
        }
        Ok(())
    }

    /// The reader copies pages whose marks were cleared, in the log or, if `rings`, everywhere.
    fn copy(&self, vm: usize, index: usize, named: &BTreeSet<u64>, rings: bool) {
        let mut model = self.shared.model.borrow_mut();
        let starved = self.shared.heap.borrow().left < 8;
        let exact = self.setup.policy.split == Split::AtClear && !starved;
        for &page in named {
            let value = model.truth(&self.shared.ram, vm, index, page);
            if self.setup.policy.detect == Detect::WriteProtection {
                model.may_fault(vm, index, page, exact);
            }
            if let Some(log) = &mut model.slots[vm][index].log {
                let in_ring = log.written.contains(&page) || log.excused.contains(&page);
                log.cleared(page, value);
                if in_ring && self.setup.rings && !rings {
                    log.excused.insert(page);
                }
            }
        }
    }

    /// Whoever has copied every page that the logs named has what is there, but for what was written behind the
    /// reader's back, which the next log must name.
    fn agree(&self, vm: usize, index: usize) -> Done<()> {
        let model = self.shared.model.borrow();
        let slot = &model.slots[vm][index];
        let Some(log) = &slot.log else { return Ok(()) };
        for &page in slot.touched.difference(&log.written) {
            let truth = model.truth(&self.shared.ram, vm, index, page);
            let copied = log.copy.get(&page).copied();
            if copied.unwrap_or(0) != truth {
                let what = format!(
                    "page {page} of slot {} of VM {vm} holds {truth:#x}, its copy {copied:x?}",
                    SLOTS[index]
                );
                return violation(Property::MissingDirty, what);
            }
        }
        Ok(())
    }

    fn end_of_meanwhile(&self, vm: usize, index: usize) {
        if let Some(log) = &mut self.shared.model.borrow_mut().slots[vm][index].log {
            log.meanwhile.clear();
        }
    }

    fn clear(
        &mut self,
        vm: usize,
        id: u32,
        word: u64,
        mask: u64,
        meanwhile: Vec<Meanwhile>,
    ) -> Done<()> {
        if self.setup.clearing == Clearing::AtGet || self.logs(vm, id) != Some(true) {
            return Ok(());
        }
        let index = index_of(id);
        // Read, clear, then copy: in this order a store is either copied or marked again.
        let Some(log) = self.get(vm, id, Vec::new())? else { return Ok(()) };
        let cleared = self.operate(vm, None, meanwhile, |memory, env| {
            memory.clear_log(env, id, word as usize, &[mask])
        })?;
        cleared.or_else(|error| violation(Property::Progress, format!("clearing: {error}")))?;
        let named = (0..64).filter(|bit| mask >> bit & 1 != 0).map(|bit| word * 64 + bit);
        let named = named.filter(|&page| log.contains(page)).collect();
        self.copy(vm, index, &named, false);
        self.end_of_meanwhile(vm, index);
        Ok(())
    }

    /// Reads and resets the rings of a VM, and the logs, which hold what found a ring full.
    pub(super) fn rings(&mut self, vm: usize, mut meanwhile: Vec<Meanwhile>) -> Done<()> {
        let mut named = vec![BTreeSet::new(); SLOTS.len()];
        for (vcpu, (of, index)) in VCPUS.into_iter().enumerate() {
            if of != vm {
                continue;
            }
            for RingEntry { slot, page } in self.memories[vm].collect_ring(index) {
                named[index_of(slot)].insert(page);
            }
            let meanwhile = std::mem::take(&mut meanwhile);
            self.operate(vm, None, meanwhile, |memory, env| memory.reset_ring(env, index))?
                .or_else(|error| violation(Property::Progress, format!("ring: {error}")))?;
            self.shared.model.borrow_mut().stopped[vcpu] = false;
        }
        for (index, id) in SLOTS.into_iter().enumerate() {
            let mut named = std::mem::take(&mut named[index]);
            if self.logs(vm, id) == Some(true) {
                let log = self.read_log(vm, id, Vec::new())?;
                if self.setup.clearing != Clearing::AtGet {
                    let masks = vec![u64::MAX; log.words().len()];
                    let all = |memory: &mut GuestMemory, env: &mut Env<'_>| {
                        memory.clear_log(env, id, 0, &masks)
                    };
                    self.operate(vm, None, Vec::new(), all)?.or_else(|error| {
                        violation(Property::Progress, format!("clearing: {error}"))
                    })?;
                }
                named.extend((0..log.pages()).filter(|&page| log.contains(page)));
                self.compare(vm, index, &named, true)?;
                self.copy(vm, index, &named, true);
                self.agree(vm, index)?;
                self.end_of_meanwhile(vm, index);
            } else {
                let mut model = self.shared.model.borrow_mut();
                for &page in &named {
                    model.may_fault(vm, index, page, false);
                }
            }
            self.shared.model.borrow_mut().slots[vm][index].in_rings.clear();
        }
        Ok(())
    }

    /// Takes the second slot away, or brings it back.
    fn plug(&mut self, vm: usize, meanwhile: Vec<Meanwhile>) -> Done<()> {
        if self.logs(vm, AUX).is_none() {
            let mut model = self.shared.model.borrow_mut();
            let slot = &mut model.slots[vm][1];
            let added = self.memories[vm].add_slot(slot.slot.clone());
            slot.is_there = true;
            return added
                .or_else(|error| violation(Property::Progress, format!("a slot: {error}")));
        }
        let removed =
            self.operate(vm, None, meanwhile, |memory, env| memory.remove_slot(env, AUX))?;
        self.restless(vm, 1);
        match removed {
            Ok(_) => {
                self.forget_log(vm, 1);
                self.shared.model.borrow_mut().slots[vm][1].is_there = false;
                Ok(())
            }
            Err(error) => self.put_up_with(vm, 1, error),
        }
    }

    /// Takes a slot away and brings it back, with a new log if it had one.
    fn replug(&mut self, vm: usize, id: u32, meanwhile: Vec<Meanwhile>) -> Done<()> {
        let Some(logged) = self.logs(vm, id) else { return Ok(()) };
        let index = index_of(id);
        let removed =
            self.operate(vm, None, meanwhile, |memory, env| memory.remove_slot(env, id))?;
        self.restless(vm, index);
        match removed {
            Ok(slot) => {
                self.forget_log(vm, index);
                self.memories[vm]
                    .add_slot(slot)
                    .or_else(|error| violation(Property::Progress, format!("a slot: {error}")))?;
                if logged { self.toggle(vm, id, Vec::new()) } else { Ok(()) }
            }
            Err(error) => self.put_up_with(vm, index, error),
        }
    }

    fn move_aux(&mut self, vm: usize, meanwhile: Vec<Meanwhile>) -> Done<()> {
        if self.logs(vm, AUX).is_none() {
            return Ok(());
        }
        let here = self.shared.model.borrow().slots[vm][1].slot.gpa.0;
        let there = if here == AUX_GPAS[0] { AUX_GPAS[1] } else { AUX_GPAS[0] };
        let moved = self
            .operate(vm, None, meanwhile, |memory, env| memory.move_slot(env, AUX, Gpa(there)))?;
        self.restless(vm, 1);
        match moved {
            Ok(()) => {
                self.forget_log(vm, 1);
                self.shared.model.borrow_mut().slots[vm][1].slot.gpa = Gpa(there);
                Ok(())
            }
            Err(error) => self.put_up_with(vm, 1, error),
        }
    }

    /// Every page of a slot may fault again.
    fn restless(&self, vm: usize, index: usize) {
        let slot = &mut self.shared.model.borrow_mut().slots[vm][index];
        slot.stored.clear();
        slot.loaded.clear();
    }

    /// Too few tables are no mistake; the slot stays with its log.
    fn put_up_with(&self, vm: usize, index: usize, error: MemoryError) -> Done<()> {
        self.end_of_meanwhile(vm, index);
        match error {
            MemoryError::Gstage(gstage::Error::OutOfTables(_)) => Ok(()),
            error => violation(Property::Progress, format!("slot {}: {error}", SLOTS[index])),
        }
    }
}
