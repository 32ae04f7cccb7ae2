//! Dirty logging: when it begins and ends, how the log is read, cleared and kept.

use isa::{Gpa, PAGE_BYTES};

use super::{Answer, Clearing, Env, GuestMemory, LEAVES_PER_LOCK, MemoryError};
use crate::dirty::{Bitmap, DirtyRing, Push, RingEntry};
use crate::faults::Fault;
use crate::gstage::{Partial, Size};
use crate::memslot::SlotError;
use crate::policy::{Detect, Recover, Split};

/// Tables that protecting the pages of one word can need: two edges, one level each side.
const TABLES_PER_WORD: usize = 4;

impl GuestMemory {
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
        self.fence_too_early(env);
        let split =
            if policy.split == Split::AtEnable { self.split_all(env, start, end) } else { Ok(()) };
        if policy.detect == Detect::DirtyBit {
            // Where a leaf could not be split, all of it will be reported.
            self.in_steps(env, start, end, |editor, from| {
                editor.harvest_dirty(from, end, LEAVES_PER_LOCK, |_, _, _| ())
            })?;
        } else if !initially_set {
            self.in_steps(env, start, end, |editor, from| {
                editor.write_protect(from, end, Partial::Whole, LEAVES_PER_LOCK)
            })?;
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
        self.fence_too_early(env);
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
        self.fence_too_early(env);
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
        if self.has(Fault::RingResetWithoutProtection) {
            return Ok(());
        }
        self.fence_too_early(env);
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
        let harvested = self.in_steps(env, start, end, |editor, from| {
            editor.harvest_dirty(from, end, LEAVES_PER_LOCK, |gpa, bytes, is_dirty| {
                if is_dirty {
                    dirty.push((gpa, bytes));
                }
            })
        });
        let fenced = self.flush(env);
        // What was taken from the tables is in the log, whatever happened then.
        for (gpa, bytes) in dirty {
            self.mark_bitmap(id, gpa, bytes);
        }
        harvested.and(fenced)
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
        if taken == 0
            || self.config.policy.detect == Detect::DirtyBit
            || self.has(Fault::ClearWithoutProtection)
        {
            return Ok(());
        }
        let Some(slot) = self.slots.get(id) else { return Ok(()) };
        let mut first = slot.gpa_of(word as u64 * 64);
        if self.has(Fault::MaskOffByOne) {
            first.0 += PAGE_BYTES;
        }
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

    /// Marks what is about to become writable.
    pub(super) fn mark_before_write(
        &mut self,
        vcpu: usize,
        id: u32,
        gpa: Gpa,
        bytes: u64,
    ) -> Answer {
        if self.has(Fault::MarkForgotten) {
            return Answer::Retry;
        }
        #[cfg(feature = "faults")]
        if self.has(Fault::MarkTooLate) {
            self.late.push((id, gpa, bytes));
            return Answer::Retry;
        }
        let mut at = gpa;
        if self.has(Fault::MarkOfFirstPage) {
            at = Gpa(gpa.0 & !(Size::Mega.bytes() - 1));
        }
        self.mark(vcpu, id, at, bytes)
    }

    pub(super) fn mark(&mut self, vcpu: usize, id: u32, gpa: Gpa, bytes: u64) -> Answer {
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
                    if self.gstage.faults.has(Fault::RingOverflowForgotten) {
                        continue;
                    }
                    if let Some(log) = self.slots.get_mut(id).and_then(|slot| slot.log.as_mut()) {
                        log.set(page, 1);
                    }
                }
            }
        }
        answer
    }

    pub(super) fn mark_bitmap(&mut self, id: u32, gpa: Gpa, bytes: u64) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        // A leaf may begin before the slot only if the slot changed since it was mapped, which unmaps.
        let first = slot.page_of(gpa);
        if let Some(log) = &mut slot.log {
            log.set(first, bytes / PAGE_BYTES);
        }
    }
}
