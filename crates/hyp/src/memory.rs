//! The memory of one VM: slots above, G-stage tables below, and the dirty log between them.
//!
//! Every operation here ends with the fences it owes executed, and marks a page before it lets the guest write
//! it: so a reader who copies pages after it has read the log misses no store.

use isa::{Gpa, PAGE_BYTES};

use crate::dirty::{Bitmap, DirtyRing, Push, RingEntry};
use crate::gstage::{self, Form, Gstage, Leaf, Partial, Rights, Size, SpareTables};
use crate::memslot::{Slot, SlotError, Slots};
use crate::policy::{Detect, Policy, Recover, Split};
use crate::port::{Fences, Frames, Memory};

/// Tables that one fault can need.
const TABLES_PER_FAULT: usize = 4;
/// Tables that protecting the pages of one word can need: two edges, one level each side.
const TABLES_PER_WORD: usize = 4;

/// What an operation reaches.
pub struct Env<'a> {
    /// The machine's memory.
    pub memory: &'a dyn Memory,
    /// Frames for tables.
    pub frames: &'a mut dyn Frames,
    /// The harts.
    pub fences: &'a mut dyn Fences,
}

impl std::fmt::Debug for Env<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the machine")
    }
}

/// Why an operation failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MemoryError {
    /// See [`gstage::Error`].
    #[error(transparent)]
    Gstage(#[from] gstage::Error),
    /// See [`SlotError`].
    #[error(transparent)]
    Slot(#[from] SlotError),
}

/// What a guest-page fault turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The guest can try again.
    Retry,
    /// It can, once the vCPU's dirty ring was reset.
    RingFull,
    /// No memory is there for this access: it is one of a device.
    Device,
}

/// When a dirty log forgets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Clearing {
    /// When it is read.
    AtGet,
    /// When it is told to, page by page (KVM's manual protect).
    Manual {
        /// Whether every page counts as dirty, and none is protected, when logging begins.
        initially_set: bool,
    },
}

/// How a VM's memory is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryConfig {
    /// How writes are logged.
    pub policy: Policy,
    /// The largest leaf.
    pub largest: Size,
    /// When the log forgets.
    pub clearing: Clearing,
    /// Whether invalid PTEs are never cached for long [Svvptc], so that a fresh mapping needs no fence.
    pub svvptc: bool,
}

/// What happened to a VM's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemoryCounts {
    /// Guest-page faults that were answered.
    pub faults: u64,
    /// Those of stores that the dirty log was the reason for.
    pub log_faults: u64,
    /// HFENCE.GVMA instructions, on one hart.
    pub fences: u64,
    /// Those without an address.
    pub fences_of_all: u64,
}

/// The memory of one VM.
#[derive(Debug)]
pub struct GuestMemory {
    config: MemoryConfig,
    gstage: Gstage,
    slots: Slots,
    spare: SpareTables,
    rings: Vec<DirtyRing>,
    vmid: u16,
    counts: MemoryCounts,
}

impl GuestMemory {
    /// Memory without slots over empty tables.
    pub fn new(config: MemoryConfig, gstage: Gstage, vmid: u16) -> Self {
        let slots = Slots::new(gstage.mode().gpa_bits());
        let spare = SpareTables::default();
        let counts = MemoryCounts::default();
        Self { config, gstage, slots, spare, rings: Vec::new(), vmid, counts }
    }

    /// The tables.
    pub fn gstage(&self) -> &Gstage {
        &self.gstage
    }

    /// The slots.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// What happened so far.
    pub fn counts(&self) -> &MemoryCounts {
        &self.counts
    }

    /// Adds a slot. Nothing is mapped until the guest faults.
    ///
    /// # Errors
    /// See [`Slots::add`].
    pub fn add_slot(&mut self, slot: Slot) -> Result<(), MemoryError> {
        Ok(self.slots.add(Slot { log: None, ..slot })?)
    }

    /// Takes a slot away: when this returns no hart translates to its memory.
    ///
    /// # Errors
    /// There is no such slot, or a leaf that reaches beyond it cannot be split; then it stays.
    pub fn remove_slot(&mut self, env: &mut Env<'_>, id: u32) -> Result<Slot, MemoryError> {
        let slot = self.slots.get(id).ok_or(SlotError::Unknown(id))?;
        let (start, end) = (slot.gpa, slot.end());
        self.top_up(env, TABLES_PER_FAULT)?;
        let unmapped = self.edit(env).unmap(start, end, u64::MAX, |_, _, _| ()).map(drop);
        self.flush(env)?;
        unmapped?;
        Ok(self.slots.remove(id)?)
    }

    /// Moves a slot, with its memory and without its log.
    ///
    /// # Errors
    /// As [`GuestMemory::remove_slot`] and [`GuestMemory::add_slot`]; where the new place will not do it stays.
    pub fn move_slot(&mut self, env: &mut Env<'_>, id: u32, gpa: Gpa) -> Result<(), MemoryError> {
        let old = self.remove_slot(env, id)?;
        let moved = Slot { gpa, log: None, ..old.clone() };
        match self.add_slot(moved) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.slots.add(old)?;
                Err(error)
            }
        }
    }

    /// Answers a guest-page fault of a vCPU at `gpa`.
    ///
    /// # Errors
    /// There is no frame for a table: the guest may try again later.
    pub fn fault(
        &mut self,
        env: &mut Env<'_>,
        vcpu: usize,
        gpa: Gpa,
        write: bool,
    ) -> Result<Answer, MemoryError> {
        let Some(slot) = self.slots.at(gpa) else { return Ok(Answer::Device) };
        if write && !slot.writable {
            return Ok(Answer::Device);
        }
        let (id, writable, logs) = (slot.id, slot.writable, slot.log.is_some());
        let by_protection = logs && self.config.policy.detect == Detect::WriteProtection;
        let wanted = self.wanted(slot, gpa);
        self.top_up(env, TABLES_PER_FAULT)?;
        self.counts.faults += 1;
        let present = self.edit(env).find(gpa)?;
        let mut answer = Answer::Retry;
        if by_protection && write {
            self.counts.log_faults += 1;
            // What becomes writable is marked before it does.
            let bytes = match present.pte.form() {
                Form::Leaf => present.bytes().min(wanted.size.bytes()),
                _ => wanted.size.bytes(),
            };
            answer = self.mark(vcpu, id, Gpa(gpa.0 & !(bytes - 1)), bytes);
        }
        let write_now = writable && (write || !by_protection);
        if present.pte.form() == Form::Leaf && !write {
            // It is mapped: A was cleared, or the hart held on to what was there before.
            let rights = Rights { write: present.pte.is_writable(), execute: true };
            let size = size_of(present.bytes());
            let leaf =
                Leaf { pa: present.pte.target(), size, rights, dirty: present.pte.is_dirty() };
            self.edit(env).map(gpa, &leaf)?;
        } else {
            let rights = Rights { write: write_now, execute: true };
            let dirty = write || !logs || by_protection;
            self.edit(env).map(gpa, &Leaf { rights, dirty, ..wanted })?;
        }
        if !logs && self.config.policy.recover == Recover::AtFault {
            self.recover_around(env, gpa)?;
        }
        self.flush(env)?;
        Ok(answer)
    }

    /// What an access at `gpa` maps, before its rights are known.
    fn wanted(&self, slot: &Slot, gpa: Gpa) -> Leaf {
        let small = slot.log.is_some() && self.config.policy.split != Split::Never;
        let sizes = [Size::Giga, Size::Mega, Size::Napot, Size::Page];
        let found = sizes
            .into_iter()
            .filter(|&size| size <= self.config.largest && (!small || size == Size::Page))
            .find_map(|size| slot.block(gpa, size.bytes()).map(|pa| (size, pa)));
        let (size, pa) = found.unwrap_or((Size::Page, slot.memory));
        Leaf { pa, size, rights: Rights::READ_ONLY, dirty: true }
    }

    /// Begins to log writes to a slot.
    ///
    /// # Errors
    /// There is no such slot. There may be no frame to split a leaf eagerly: then logging is on, and large leaves are
    /// left to be split at faults.
    pub fn enable_log(&mut self, env: &mut Env<'_>, id: u32) -> Result<(), MemoryError> {
        let initially_set = self.config.clearing == Clearing::Manual { initially_set: true };
        let slot = self.slots.get_mut(id).ok_or(SlotError::Unknown(id))?;
        if slot.log.is_some() {
            return Ok(());
        }
        slot.log = Some(Bitmap::new(slot.pages(), initially_set));
        let (start, end) = (slot.gpa, slot.end());
        let policy = self.config.policy;
        let split =
            if policy.split == Split::AtEnable { self.split_all(env, start, end) } else { Ok(()) };
        if policy.detect == Detect::DirtyBit {
            // Where a leaf could not be split, all of it will be reported.
            self.edit(env).harvest_dirty(start, end, u64::MAX, |_, _, _| ())?;
        } else if !initially_set {
            self.edit(env).write_protect(start, end, Partial::Whole, u64::MAX)?;
        }
        self.flush(env)?;
        split
    }

    /// Stops logging writes to a slot.
    ///
    /// # Errors
    /// There is no such slot.
    pub fn disable_log(&mut self, env: &mut Env<'_>, id: u32) -> Result<(), MemoryError> {
        let slot = self.slots.get_mut(id).ok_or(SlotError::Unknown(id))?;
        slot.log = None;
        let (start, end) = (slot.gpa, slot.end());
        if self.config.policy.recover == Recover::AtDisable {
            let mut at = start;
            while at < end {
                self.recover_around(env, at)?;
                at = Gpa((at.0 | (Size::Mega.bytes() - 1)) + 1);
            }
        }
        self.flush(env)
    }

    /// Reads the dirty log of a slot, and forgets it if that is how this VM clears.
    ///
    /// # Errors
    /// There is no such slot, or it does not log.
    pub fn get_log(&mut self, env: &mut Env<'_>, id: u32) -> Result<Bitmap, MemoryError> {
        self.collect_dirty_bits(env, id)?;
        let log = self.log_of(id)?.clone();
        if self.config.clearing == Clearing::AtGet {
            for word in 0..log.words().len() {
                self.clear_word(env, id, word, u64::MAX)?;
            }
            self.flush(env)?;
        }
        Ok(log)
    }

    /// Forgets the pages of a slot's log that the words from `first_word` on name, and sees their next write.
    ///
    /// # Errors
    /// There is no such slot, or it does not log.
    pub fn clear_log(
        &mut self,
        env: &mut Env<'_>,
        id: u32,
        first_word: usize,
        masks: &[u64],
    ) -> Result<(), MemoryError> {
        for (index, mask) in masks.iter().enumerate() {
            self.clear_word(env, id, first_word.saturating_add(index), *mask)?;
        }
        self.flush(env)
    }

    /// Gives each of `vcpus` vCPUs a ring of `entries` entries; pages are pushed there from now on.
    pub fn use_rings(&mut self, vcpus: usize, entries: usize) {
        self.rings = vec![DirtyRing::new(entries); vcpus];
    }

    /// What was pushed to a vCPU's ring since the last time.
    pub fn collect_ring(&mut self, vcpu: usize) -> Vec<RingEntry> {
        self.rings.get_mut(vcpu).map_or(Vec::new(), DirtyRing::collect)
    }

    /// Makes room in a vCPU's ring for as many entries as were collected, and sees the next write to those pages.
    ///
    /// # Errors
    /// A table was not in main memory.
    pub fn reset_ring(&mut self, env: &mut Env<'_>, vcpu: usize) -> Result<(), MemoryError> {
        let entries = self.rings.get_mut(vcpu).map_or(Vec::new(), DirtyRing::reset);
        for RingEntry { slot, page } in entries {
            let Some(slot) = self.slots.get(slot).filter(|slot| page < slot.pages()) else {
                continue;
            };
            let gpa = slot.gpa_of(page);
            self.protect_pages(env, gpa, 1)?;
        }
        self.flush(env)
    }

    fn log_of(&mut self, id: u32) -> Result<&mut Bitmap, SlotError> {
        let slot = self.slots.get_mut(id).ok_or(SlotError::Unknown(id))?;
        slot.log.as_mut().ok_or(SlotError::NotLogging(id))
    }

    /// Moves the D bits of a slot's leaves into its log.
    fn collect_dirty_bits(&mut self, env: &mut Env<'_>, id: u32) -> Result<(), MemoryError> {
        let slot = self.slots.get(id).ok_or(SlotError::Unknown(id))?;
        let (start, end) = (slot.gpa, slot.end());
        if self.config.policy.detect != Detect::DirtyBit || slot.log.is_none() {
            return Ok(());
        }
        let mut dirty = Vec::new();
        self.edit(env).harvest_dirty(start, end, u64::MAX, |gpa, bytes, is_dirty| {
            if is_dirty {
                dirty.push((gpa, bytes));
            }
        })?;
        self.flush(env)?;
        for (gpa, bytes) in dirty {
            self.mark_bitmap(id, gpa, bytes);
        }
        Ok(())
    }

    /// Forgets pages of one word of a log, and protects them.
    fn clear_word(
        &mut self,
        env: &mut Env<'_>,
        id: u32,
        word: usize,
        mask: u64,
    ) -> Result<(), MemoryError> {
        let taken = self.log_of(id)?.take(word, mask);
        if taken == 0 || self.config.policy.detect == Detect::DirtyBit {
            return Ok(());
        }
        let Some(slot) = self.slots.get(id) else { return Ok(()) };
        let first = slot.gpa_of(word as u64 * 64);
        self.protect_pages(env, first, taken)
    }

    /// Takes W from pages from `first` on.
    fn protect_pages(
        &mut self,
        env: &mut Env<'_>,
        first: Gpa,
        mask: u64,
    ) -> Result<(), MemoryError> {
        let partial = if self.config.policy.split == Split::AtClear {
            Partial::Split
        } else {
            Partial::Whole
        };
        if partial == Partial::Split {
            // Too few tables means more protection than asked for, no less.
            let _ = self.spare.top_up(TABLES_PER_WORD, env.frames);
        }
        Ok(self.edit(env).write_protect_masked(first, mask, partial)?)
    }

    fn mark(&mut self, vcpu: usize, id: u32, gpa: Gpa, bytes: u64) -> Answer {
        let Some(slot) = self.slots.get(id) else { return Answer::Retry };
        let first = slot.page_of(gpa);
        let Some(ring) = self.rings.get_mut(vcpu) else {
            self.mark_bitmap(id, gpa, bytes);
            return Answer::Retry;
        };
        let mut answer = Answer::Retry;
        for page in first..first + bytes / PAGE_BYTES {
            match ring.push(RingEntry { slot: id, page }) {
                Push::Room => {}
                Push::SoftFull => answer = Answer::RingFull,
                Push::Full => {
                    answer = Answer::RingFull;
                    if let Some(log) = self.slots.get_mut(id).and_then(|slot| slot.log.as_mut()) {
                        log.set(page, 1);
                    }
                }
            }
        }
        answer
    }

    fn mark_bitmap(&mut self, id: u32, gpa: Gpa, bytes: u64) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        // A leaf may begin before the slot only if the slot changed since it was mapped, which unmaps.
        let first = slot.page_of(gpa);
        if let Some(log) = &mut slot.log {
            log.set(first, bytes / PAGE_BYTES);
        }
    }

    /// Makes the block around an address one leaf again, if it is whole.
    fn recover_around(&mut self, env: &mut Env<'_>, gpa: Gpa) -> Result<(), MemoryError> {
        let Some(slot) = self.slots.at(gpa) else { return Ok(()) };
        let (writable, size) = (slot.writable, Size::Mega);
        if self.config.largest < size || slot.block(gpa, size.bytes()).is_none() {
            return Ok(());
        }
        let start = Gpa(gpa.0 & !(size.bytes() - 1));
        if writable {
            self.edit(env).make_writable(start, Gpa(start.0 + size.bytes()))?;
        }
        match self.edit(env).collapse(start, size) {
            Ok(()) | Err(gstage::Error::NotUniform { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn split_all(&mut self, env: &mut Env<'_>, start: Gpa, end: Gpa) -> Result<(), MemoryError> {
        let mut at = start;
        while at < end {
            self.top_up(env, TABLES_PER_FAULT)?;
            let next = Gpa(((at.0 | (Size::Mega.bytes() - 1)) + 1).min(end.0));
            self.edit(env).split_range(at, next)?;
            at = next;
        }
        Ok(())
    }

    fn top_up(&mut self, env: &mut Env<'_>, tables: usize) -> Result<(), MemoryError> {
        Ok(self.spare.top_up(tables, env.frames).map_err(gstage::Error::from)?)
    }

    fn edit<'a>(&'a mut self, env: &'a mut Env<'_>) -> gstage::Editor<'a> {
        self.gstage.edit(env.memory, &mut self.spare)
    }

    /// Executes what is owed, and gives back what no walker reaches then.
    fn flush(&mut self, env: &mut Env<'_>) -> Result<(), MemoryError> {
        let duties = self.gstage.take_duties();
        for fence in duties.fences() {
            if self.config.svvptc && fence.why() == gstage::Why::Mapped {
                continue;
            }
            self.counts.fences += fence.instructions();
            self.counts.fences_of_all +=
                u64::from(matches!(fence, gstage::Fence::Everything { .. }));
            env.fences.fence(self.vmid, fence);
        }
        Ok(self.gstage.fenced(duties, env.memory, env.frames)?)
    }
}

fn size_of(bytes: u64) -> Size {
    [Size::Napot, Size::Mega, Size::Giga]
        .into_iter()
        .find(|size| size.bytes() == bytes)
        .unwrap_or(Size::Page)
}
