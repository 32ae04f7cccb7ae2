//! What the tests of this module share: memory with a hart's walker over it, as the judge of the tables.

use std::sync::Arc;

use isa::{Ext, ExtSet, Gpa, PAGE_BYTES, Pa, Privilege, Va};
use mmu::{Access, Kind, Mmu, MmuConfig, PmaMap, Ram, Shape, Target, TranslationCsrs};

use super::*;

pub(super) const BASE: Pa = Pa(0x8000_0000);
const RAM_BYTES: u64 = 64 << 20;

impl Memory for Ram {
    fn load(&self, pte: Pa) -> Result<u64, NotMemory> {
        self.read(pte).ok_or(NotMemory(pte))
    }

    fn store(&self, pte: Pa, value: u64) -> Result<(), NotMemory> {
        self.write(pte, value).ok_or(NotMemory(pte))
    }

    fn compare_exchange(&self, pte: Pa, old: u64, new: u64) -> Result<u64, NotMemory> {
        match Ram::compare_exchange(self, pte, old, new) {
            None => Err(NotMemory(pte)),
            Some(Ok(())) => Ok(old),
            Some(Err(now)) => Ok(now),
        }
    }
}

/// Frames from the start of memory up, at most `left` of them.
pub(super) struct Heap {
    ram: Arc<Ram>,
    free: Vec<Pa>,
    next: u64,
    pub(super) left: usize,
}

impl Frames for Heap {
    fn allocate(&mut self) -> Option<Pa> {
        self.left = self.left.checked_sub(1)?;
        let frame = self.free.pop().unwrap_or_else(|| {
            self.next += PAGE_BYTES;
            Pa(self.next - PAGE_BYTES)
        });
        self.ram.write_bytes(frame, &[0; PAGE_BYTES as usize]).unwrap();
        Some(frame)
    }

    fn free(&mut self, frame: Pa) {
        assert!(!self.free.contains(&frame), "{frame} was freed twice");
        self.left += 1;
        self.free.push(frame);
    }
}

pub(super) struct Rig {
    pub(super) ram: Arc<Ram>,
    pub(super) heap: Heap,
    pub(super) gstage: Gstage,
    pub(super) spare: SpareTables,
    mmu: Mmu,
}

impl Rig {
    pub(super) fn new(mode: Mode) -> Self {
        let ram = Arc::new(Ram::new(BASE, RAM_BYTES).unwrap());
        let pma = PmaMap::default();
        let mut exts = ExtSet::default_set();
        exts.insert(Ext::Svadu);
        let config = MmuConfig::new(&exts, 16, 14, 0, Shape::none());
        let mut mmu = Mmu::new(config, ram.clone(), Arc::new(pma));
        let gstage = Gstage::new(mode, BASE).unwrap();
        let hgatp = gstage.hgatp(1);
        mmu.set_csrs(&TranslationCsrs { hgatp, adue: true, ..TranslationCsrs::default() });
        let heap = Heap { ram: ram.clone(), free: Vec::new(), next: BASE.0 + 0x4000, left: 1000 };
        Self { ram, heap, gstage, spare: SpareTables::default(), mmu }
    }

    /// An editor with tables enough for any one operation.
    pub(super) fn edit(&mut self) -> Editor<'_> {
        self.spare.top_up(16, &mut self.heap).unwrap();
        self.gstage.edit(&*self.ram, &mut self.spare)
    }

    /// Does what is owed.
    pub(super) fn fence(&mut self) {
        let duties = self.gstage.take_duties();
        self.gstage.fenced(duties, &*self.ram, &mut self.heap).unwrap();
    }

    /// Where a hart's walk takes an access by the guest, with the guest's own translation off.
    pub(super) fn walk(&mut self, gpa: Gpa, kind: Kind) -> Option<Pa> {
        let access = Access { kind, size: 1, privilege: Privilege::S, v: true, hlvx: false };
        match self.mmu.translate(Va(gpa.0), access).ok()?.target {
            Target::Ram { pa } | Target::Mmio { pa } => Some(pa),
        }
    }
}
