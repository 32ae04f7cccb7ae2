//! The memory of one VM: slots above, G-stage tables below, and the dirty log between them.
//!
//! Every operation here ends with the fences it owes executed, and marks a page before it lets the guest write
//! it: so a reader who copies pages after it has read the log misses no store. Long operations release the lock now and
//! then, and execute what they owe before they do.

mod log;

use isa::{Gpa, PAGE_BYTES, Pa};

use crate::dirty::{Bitmap, DirtyRing};
use crate::faults::Fault;
use crate::gstage::{self, Form, Gstage, Leaf, Progress, Rights, Size, SpareTables};
use crate::memslot::{Slot, SlotError, Slots};
use crate::policy::{Detect, Policy, Recover, Split};
use crate::port::{Fences, Frames, Memory};

/// Tables that one fault can need.
const TABLES_PER_FAULT: usize = 4;
/// Leaves that an operation on a range changes before it releases the lock.
const LEAVES_PER_LOCK: u64 = 64;

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
    /// Marks that a fault puts off.
    #[cfg(feature = "faults")]
    late: Vec<(u32, Gpa, u64)>,
}

impl GuestMemory {
    /// Memory without slots over empty tables.
    pub fn new(config: MemoryConfig, gstage: Gstage, vmid: u16) -> Self {
        let slots = Slots::new(gstage.mode().gpa_bits());
        let spare = SpareTables::default();
        let counts = MemoryCounts::default();
        Self {
            config,
            gstage,
            slots,
            spare,
            rings: Vec::new(),
            vmid,
            counts,
            #[cfg(feature = "faults")]
            late: Vec::new(),
        }
    }

    /// From now on translations are tagged with this VMID: no hart holds any of this VM under it.
    pub fn set_vmid(&mut self, vmid: u16) {
        if !self.has(Fault::FenceUnderOldVmid) || self.vmid == 0 {
            self.vmid = vmid;
        }
    }

    /// The VMID.
    pub fn vmid(&self) -> u16 {
        self.vmid
    }

    /// Gives back the tables that are held ready, when memory is short.
    pub fn release_spares(&mut self, env: &mut Env<'_>) {
        self.spare.drain(env.frames);
    }

    /// How many tables are held ready.
    pub fn spare_tables(&self) -> usize {
        self.spare.len()
    }

    /// How it is kept.
    pub fn config(&self) -> &MemoryConfig {
        &self.config
    }

    /// Notes that the hypervisor itself is about to write guest memory, which no fault reports.
    pub fn mark_written(&mut self, gpa: Gpa, bytes: u64) {
        let Some(slot) = self.slots.at(gpa) else { return };
        let (id, first) = (slot.id, Gpa(gpa.0 & !(PAGE_BYTES - 1)));
        let pages = (gpa.0 - first.0).saturating_add(bytes).div_ceil(PAGE_BYTES);
        self.mark_bitmap(id, first, pages * PAGE_BYTES);
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
    /// There is no such slot.
    pub fn remove_slot(&mut self, env: &mut Env<'_>, id: u32) -> Result<Slot, MemoryError> {
        let slot = self.slots.get(id).ok_or(SlotError::Unknown(id))?;
        let (start, mut end) = (slot.gpa, slot.end());
        if self.has(Fault::UnmapMissesLastLeaf) {
            end.0 -= PAGE_BYTES;
        }
        self.fence_too_early(env);
        // No leaf reaches beyond its slot, so that no table is needed to take it away.
        let unmapped = self.in_steps(env, start, end, |editor, from| {
            editor.unmap(from, end, LEAVES_PER_LOCK, |_, _, _| ())
        });
        let unlinked = self.edit(env).unlink_empty(start, end);
        self.flush(env)?;
        unmapped?;
        unlinked?;
        Ok(self.slots.remove(id)?)
    }

    /// Moves a slot, with its memory and without its log.
    ///
    /// # Errors
    /// As [`GuestMemory::remove_slot`] and [`GuestMemory::add_slot`]; where the new place will not do it stays.
    pub fn move_slot(&mut self, env: &mut Env<'_>, id: u32, gpa: Gpa) -> Result<(), MemoryError> {
        let old = if self.has(Fault::MoveWithoutUnmap) {
            self.slots.remove(id)?
        } else {
            self.remove_slot(env, id)?
        };
        let moved = Slot { gpa, log: None, ..old.clone() };
        match self.add_slot(moved) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.slots.add(old)?;
                Err(error)
            }
        }
    }

    /// Says which pages of a slot were used since the last time, or mapped, and forgets it. A leaf larger than a page
    /// was used as a whole.
    ///
    /// # Errors
    /// There is no such slot.
    pub fn age(&mut self, env: &mut Env<'_>, id: u32) -> Result<Bitmap, MemoryError> {
        let slot = self.slots.get(id).ok_or(SlotError::Unknown(id))?;
        let (start, end) = (slot.gpa, slot.end());
        let mut used = Bitmap::new(slot.pages(), false);
        self.fence_too_early(env);
        let done = self.in_steps(env, start, end, |editor, from| {
            editor.age(from, end, LEAVES_PER_LOCK, |gpa, bytes, was_used| {
                if was_used {
                    used.set((gpa.0 - start.0) / PAGE_BYTES, bytes / PAGE_BYTES);
                }
            })
        });
        self.flush(env)?;
        done?;
        Ok(used)
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
        if write && !slot.writable && !self.is_wrongly_writable(gpa) {
            return Ok(Answer::Device);
        }
        let (id, writable, executable) = (slot.id, slot.writable, slot.executable);
        let logs = slot.log.is_some();
        let by_protection = logs && self.config.policy.detect == Detect::WriteProtection;
        let wanted = self.wanted(slot, gpa);
        #[cfg(feature = "faults")]
        for (id, gpa, bytes) in std::mem::take(&mut self.late) {
            self.mark_bitmap(id, gpa, bytes);
        }
        if self.has(Fault::MarkTooEarly) && by_protection && write {
            let _ = self.mark(vcpu, id, Gpa(gpa.0 & !(PAGE_BYTES - 1)), PAGE_BYTES);
        }
        self.fence_too_early(env);
        let tables = self.top_up(env, TABLES_PER_FAULT);
        if !self.has(Fault::SplitErrorIgnored) {
            tables?;
        }
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
            answer = self.mark_before_write(vcpu, id, Gpa(gpa.0 & !(bytes - 1)), bytes);
        }
        let mut write_now = writable && (write || !by_protection);
        if self.has(Fault::ReadFaultMakesWritable) || self.is_wrongly_writable(gpa) {
            write_now = true;
        }
        if present.pte.form() == Form::Leaf && !write {
            // It is mapped: A was cleared, or the hart held on to what was there before.
            let Rights { write, .. } = present.pte.rights();
            let rights = Rights { write, execute: executable };
            let size = size_of(present.bytes());
            let leaf =
                Leaf { pa: present.pte.target(), size, rights, dirty: present.pte.is_dirty() };
            self.edit(env).map(gpa, &leaf)?;
        } else {
            let rights = Rights { write: write_now, execute: executable };
            let dirty = write || !logs || by_protection;
            self.edit(env).map(gpa, &Leaf { rights, dirty, ..wanted })?;
        }
        if !logs && self.config.policy.recover == Recover::AtFault {
            self.recover_around(env, gpa)?;
        }
        self.flush(env)?;
        Ok(answer)
    }

    /// Whether a faulty answer makes the page at `gpa` writable that must not be.
    fn is_wrongly_writable(&self, gpa: Gpa) -> bool {
        self.has(Fault::ReadOnlyMadeWritable)
            && self.slots.at(gpa).is_some_and(|slot| slot.log.is_some())
    }

    /// What an access at `gpa` maps, before its rights are known.
    fn wanted(&self, slot: &Slot, gpa: Gpa) -> Leaf {
        let small = slot.log.is_some()
            && self.config.policy.split != Split::Never
            && !self.has(Fault::PromotionWhileLogging);
        let sizes = [Size::Giga, Size::Mega, Size::Napot, Size::Page];
        let found = sizes
            .into_iter()
            .filter(|&size| size <= self.config.largest && (!small || size == Size::Page))
            .find_map(|size| self.block(slot, gpa, size).map(|pa| (size, pa)));
        let (size, pa) = found.unwrap_or((Size::Page, slot.memory));
        Leaf { pa, size, rights: Rights::READ_ONLY, dirty: true }
    }

    /// Where the block around an address lies, if it can be mapped as one.
    fn block(&self, slot: &Slot, gpa: Gpa, size: Size) -> Option<Pa> {
        let bytes = size.bytes();
        let found = slot.block(gpa, bytes);
        let start = gpa.0 & !(bytes - 1);
        if found.is_none() && start >= slot.gpa.0 {
            let memory = Pa(slot.memory.0 + (start - slot.gpa.0));
            let inside = slot.end().0 - start >= bytes;
            if self.has(Fault::MisalignedBlock) && inside {
                return Some(Pa(memory.0 & !(bytes - 1)));
            }
            if self.has(Fault::BlockBeyondSlot) && memory.is_aligned(bytes) {
                return Some(memory);
            }
        }
        found
    }

    /// Makes the 2 MiB around an address one leaf again, if all of them are mapped, and then the 1 GiB.
    fn recover_around(&mut self, env: &mut Env<'_>, gpa: Gpa) -> Result<(), MemoryError> {
        for size in [Size::Mega, Size::Giga] {
            let Some(slot) = self.slots.at(gpa) else { return Ok(()) };
            if self.config.largest < size || slot.block(gpa, size.bytes()).is_none() {
                return Ok(());
            }
            let (writable, start) = (slot.writable, Gpa(gpa.0 & !(size.bytes() - 1)));
            if writable && size == Size::Mega {
                self.edit(env).make_writable(start, Gpa(start.0 + size.bytes()))?;
            }
            match self.edit(env).collapse(start, size) {
                Ok(()) | Err(gstage::Error::NotUniform { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Splits every leaf between two addresses. The lock is released to get more tables.
    fn split_all(&mut self, env: &mut Env<'_>, start: Gpa, end: Gpa) -> Result<(), MemoryError> {
        let mut at = start;
        while at < end {
            self.release_lock(env)?;
            self.top_up(env, TABLES_PER_FAULT)?;
            let next = Gpa(((at.0 | (Size::Mega.bytes() - 1)) + 1).min(end.0));
            self.edit(env).split_range(at, next)?;
            at = next;
        }
        Ok(())
    }

    /// Does an operation on a range step by step, and releases the lock between them.
    fn in_steps(
        &mut self,
        env: &mut Env<'_>,
        start: Gpa,
        end: Gpa,
        mut step: impl FnMut(&mut gstage::Editor<'_>, Gpa) -> Result<Progress, gstage::Error>,
    ) -> Result<(), MemoryError> {
        let mut from = start;
        while let Progress::More(next) = step(&mut self.edit(env), from)? {
            self.release_lock(env)?;
            from = next;
            if self.has(Fault::ResumeSkipsLeaf) {
                from = Gpa((next.0 + PAGE_BYTES).min(end.0));
            }
        }
        Ok(())
    }

    fn top_up(&mut self, env: &mut Env<'_>, tables: usize) -> Result<(), MemoryError> {
        Ok(self.spare.top_up(tables, env.frames).map_err(gstage::Error::from)?)
    }

    fn edit<'a>(&'a mut self, env: &'a mut Env<'_>) -> gstage::Editor<'a> {
        self.gstage.edit(env.memory, &mut self.spare)
    }

    /// Executes what is owed before others may take the lock.
    fn release_lock(&mut self, env: &mut Env<'_>) -> Result<(), MemoryError> {
        if self.has(Fault::FlushDroppedAtLockRelease) {
            let duties = self.gstage.take_duties();
            return Ok(self.gstage.fenced(duties, env.memory, env.frames)?);
        }
        self.flush(env)
    }

    /// Executes what is owed, and gives back what no walker reaches then.
    fn flush(&mut self, env: &mut Env<'_>) -> Result<(), MemoryError> {
        let mut duties = self.gstage.take_duties();
        if self.has(Fault::TableFreedEarly) {
            for frame in std::mem::take(&mut duties.freed) {
                env.frames.free(frame);
            }
        }
        for &(mut fence) in duties.fences() {
            if self.config.svvptc && fence.why() == gstage::Why::Mapped {
                continue;
            }
            if self.has(Fault::FenceBeforeStore) {
                break;
            }
            if self.has(Fault::RangeFencedOnce)
                && let gstage::Fence::Leaves { bytes, stride, .. } = &mut fence
            {
                *bytes = *stride;
            }
            self.fence(env, &fence);
        }
        Ok(self.gstage.fenced(duties, env.memory, env.frames)?)
    }

    fn fence(&mut self, env: &mut Env<'_>, fence: &gstage::Fence) {
        self.counts.fences += fence.instructions();
        self.counts.fences_of_all += u64::from(matches!(fence, gstage::Fence::Everything { .. }));
        env.fences.fence(self.vmid, fence);
    }

    /// What a hypervisor does that fences before it writes: nothing without that fault.
    fn fence_too_early(&mut self, env: &mut Env<'_>) {
        if self.has(Fault::FenceBeforeStore) {
            self.fence(env, &gstage::Fence::Everything { why: gstage::Why::Unlinked });
        }
    }

    #[inline(always)]
    fn has(&self, fault: Fault) -> bool {
        self.gstage.faults.has(fault)
    }
}

fn size_of(bytes: u64) -> Size {
    [Size::Napot, Size::Mega, Size::Giga]
        .into_iter()
        .find(|size| size.bytes() == bytes)
        .unwrap_or(Size::Page)
}
