//! What the hypervisor is told to do with memory, and what must follow from it.

use hyp::dirty::{Bitmap, RingEntry};
use hyp::gstage;
use hyp::memory::{Clearing, Env, GuestMemory, MemoryError};
use hyp::memslot::Slot;
use hyp::policy::{Detect, Split};
use isa::Gpa;

use super::World;
use crate::events::Event;
use crate::layout::{AUX, AUX_GPAS, SLOTS, VCPUS};
use crate::model::{LogModel, index_of};
use crate::pages::Pages;
use crate::schedule::{Meanwhile, Operation};
use crate::shared::{Done, violation};
use crate::{Property, audit};

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
            Operation::Age { slot } => self.age(vm, slot, meanwhile),
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
                self.shared.note(Event::LogOff);
                self.forget_log(vm, index);
                Ok(())
            }
            Some(false) => {
                let all = self.setup.clearing == Clearing::Manual { initially_set: true };
                let excused =
                    std::mem::take(&mut self.shared.model.borrow_mut().slots[vm][index].in_rings);
                let log = LogModel {
                    excused_but: all.then(Pages::default),
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
                log.excused.extend(std::mem::take(&mut log.meanwhile));
                log.excused.extend_by(&std::mem::take(&mut log.meanwhile_excused));
                log.written.clear();
                match on {
                    Ok(()) => {
                        self.shared.note(Event::LogOn);
                        Ok(())
                    }
                    Err(MemoryError::Gstage(gstage::Error::OutOfTables(_))) => {
                        self.shared.note(Event::LogOnWithoutTables);
                        Ok(())
                    }
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
            slot.in_rings.extend(std::mem::take(&mut log.written));
            slot.in_rings.extend_by(&log.excused);
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
        let named = Pages::of_words(log.words());
        self.shared.note(Event::Get);
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
    fn compare(&self, vm: usize, index: usize, named: &Pages, all: bool) -> Done<()> {
        let model = self.shared.model.borrow();
        let Some(log) = &model.slots[vm][index].log else { return Ok(()) };
        let missing = log
            .written
            .iter()
            .find(|page| all && !named.contains(**page) && !log.meanwhile.contains(page));
        let slot = SLOTS[index];
        if let Some(page) = missing {
            let what = format!("page {page} of slot {slot} of VM {vm} was written");
            return violation(Property::MissingDirty, what);
        }
        if let Some(page) = log.false_mark(named) {
            let what = format!("nobody wrote page {page} of slot {slot} of VM {vm}");
            return violation(Property::FalseDirty, what);
        }
        Ok(())
    }

    /// The reader copies pages whose marks were cleared, in the log or, if `rings`, everywhere.
    fn copy(&self, vm: usize, index: usize, named: &Pages, rings: bool) {
        let mut model = self.shared.model.borrow_mut();
        let starved = self.shared.heap.borrow().left < 8;
        let exact = self.setup.policy.split == Split::AtClear && !starved;
        for range in named.ranges() {
            // Other pages hold nothing yet.
            let touched = model.slots[vm][index].touched.range(range.clone()).copied();
            let values = touched.map(|page| (page, model.truth(&self.shared.ram, vm, index, page)));
            let values: Vec<(u64, u64)> = values.collect();
            if self.setup.policy.detect == Detect::WriteProtection {
                model.may_fault(vm, index, range.clone(), exact);
            }
            if let Some(log) = &mut model.slots[vm][index].log {
                let mut in_ring = Pages::default();
                if self.setup.rings && !rings {
                    in_ring.insert(range.clone());
                    in_ring = in_ring.and(&log.marked());
                }
                log.copy.extend(values);
                log.cleared(range);
                log.excused.extend_by(&in_ring);
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
            log.meanwhile_excused.clear();
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
        self.note_clear(vm, index, word, mask & log.words().get(word as usize).unwrap_or(&0));
        let cleared = self.operate(vm, None, meanwhile, |memory, env| {
            memory.clear_log(env, id, word as usize, &[mask])
        })?;
        cleared.or_else(|error| violation(Property::Progress, format!("clearing: {error}")))?;
        let mut words = vec![0; log.words().len()];
        if let (Some(cleared), Some(set)) =
            (words.get_mut(word as usize), log.words().get(word as usize))
        {
            *cleared = set & mask;
        }
        let named = Pages::of_words(&words);
        self.copy(vm, index, &named, false);
        self.end_of_meanwhile(vm, index);
        Ok(())
    }

    /// Reads and resets the rings of a VM, and the logs, which hold what found a ring full.
    pub(super) fn rings(&mut self, vm: usize, mut meanwhile: Vec<Meanwhile>) -> Done<()> {
        let mut named = vec![Pages::default(); SLOTS.len()];
        self.shared.note(Event::Rings);
        for (vcpu, (of, index)) in VCPUS.into_iter().enumerate() {
            if of != vm {
                continue;
            }
            for RingEntry { slot, page } in self.memories[vm].collect_ring(index) {
                named[index_of(slot)].insert(page..page + 1);
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
                named.extend_by(&Pages::of_words(log.words()));
                self.compare(vm, index, &named, true)?;
                self.copy(vm, index, &named, true);
                self.agree(vm, index)?;
                self.end_of_meanwhile(vm, index);
            } else {
                let mut model = self.shared.model.borrow_mut();
                for range in named.ranges() {
                    model.may_fault(vm, index, range, false);
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
            self.shared.note(Event::Plug);
            return added
                .or_else(|error| violation(Property::Progress, format!("a slot: {error}")));
        }
        let removed =
            self.operate(vm, None, meanwhile, |memory, env| memory.remove_slot(env, AUX))?;
        self.restless(vm, 1);
        match removed {
            Ok(slot) => {
                self.note_unplug(&slot);
                self.forget_log(vm, 1);
                self.shared.model.borrow_mut().slots[vm][1].is_there = false;
                Ok(())
            }
            Err(error) => violation(Property::Progress, format!("slot {AUX}: {error}")),
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
                self.note_unplug(&slot);
                self.forget_log(vm, index);
                self.memories[vm]
                    .add_slot(slot)
                    .or_else(|error| violation(Property::Progress, format!("a slot: {error}")))?;
                if logged { self.toggle(vm, id, Vec::new()) } else { Ok(()) }
            }
            Err(error) => violation(Property::Progress, format!("slot {id}: {error}")),
        }
    }

    fn move_aux(&mut self, vm: usize, meanwhile: Vec<Meanwhile>) -> Done<()> {
        let Some(logged) = self.logs(vm, AUX) else { return Ok(()) };
        let here = self.shared.model.borrow().slots[vm][1].slot.gpa.0;
        let there = if here == AUX_GPAS[0] { AUX_GPAS[1] } else { AUX_GPAS[0] };
        let moved = self
            .operate(vm, None, meanwhile, |memory, env| memory.move_slot(env, AUX, Gpa(there)))?;
        self.restless(vm, 1);
        match moved {
            Ok(()) => {
                self.shared.note(if logged { Event::MoveLogging } else { Event::Move });
                self.forget_log(vm, 1);
                self.shared.model.borrow_mut().slots[vm][1].slot.gpa = Gpa(there);
                Ok(())
            }
            Err(error) => violation(Property::Progress, format!("slot {AUX}: {error}")),
        }
    }

    fn note_unplug(&self, slot: &Slot) {
        let event = if slot.log.is_some() { Event::UnplugLogging } else { Event::Unplug };
        self.shared.note(event);
    }

    /// Every page of a slot may fault again.
    fn restless(&self, vm: usize, index: usize) {
        let slot = &mut self.shared.model.borrow_mut().slots[vm][index];
        slot.stored.clear();
        slot.loaded.clear();
        slot.used.clear();
    }

    /// Asks which pages were used.
    fn age(&mut self, vm: usize, id: u32, meanwhile: Vec<Meanwhile>) -> Done<()> {
        if self.logs(vm, id).is_none() {
            return Ok(());
        }
        let index = index_of(id);
        let aged = self.operate(vm, None, meanwhile, |memory, env| memory.age(env, id))?;
        let used =
            aged.or_else(|error| violation(Property::Progress, format!("aging: {error}")))?;
        self.shared.note(Event::Age);
        self.shared.count(|counts| counts.events.note(Event::AgeFound, used.count()));
        let asked = std::mem::take(&mut self.shared.model.borrow_mut().slots[vm][index].used);
        if let Some(page) = asked.into_iter().find(|page| !used.contains(*page)) {
            let what = format!("page {page} of slot {id} of VM {vm} was used, and nobody says so");
            return violation(Property::Unused, what);
        }
        // Where no walker sets A, the next access faults.
        if !self.setup.gstage_adue() {
            self.restless(vm, index);
        }
        Ok(())
    }

    /// What a request to clear is about to meet.
    fn note_clear(&self, vm: usize, index: usize, word: u64, mask: u64) {
        let gpa = self.shared.model.borrow().slots[vm][index].slot.gpa_of(word * 64);
        let pages = (0..64).filter(|bit| mask >> bit & 1 != 0);
        let inside =
            pages.filter_map(|bit| audit::leaf_bytes(self, vm, Gpa(gpa.0 + bit * isa::PAGE_BYTES)));
        self.shared.note(Event::Clear);
        if inside.max().unwrap_or(0) > u64::from(mask.count_ones()) * isa::PAGE_BYTES {
            self.shared.note(Event::ClearPart);
            if self.shared.heap.borrow().left == 0 {
                self.shared.note(Event::ClearWithoutTables);
            }
        }
    }
}
