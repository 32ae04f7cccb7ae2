//! What should be true: where each guest physical address is, what is in it, who wrote what since when.
//!
//! It knows nothing of tables, TLBs or policies, but for how coarse a policy's log may be.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use hyp::memslot::Slot;
use hyp::policy::{Detect, Split};
use isa::{Gpa, PAGE_BYTES, Pa, pte};
use mmu::Ram;

use crate::layout::{
    self, AUX, CODE, FIRST_GLOBAL, MAIN, MAIN_GPA, SLOTS, TABLES, TABLES_GPA, VCPUS, VMS, WINDOWS,
    WORD,
};
use crate::pages::Pages;
use crate::schedule::{Setup, Spot};

/// What a reader of a slot's log knows.
#[derive(Debug, Default)]
pub(crate) struct LogModel {
    /// What it has of each page; zero for one it never copied.
    pub(crate) copy: BTreeMap<u64, u64>,
    /// Written since their mark was last cleared.
    pub(crate) written: BTreeSet<u64>,
    /// May be marked although nobody wrote them since then.
    pub(crate) excused: Pages,
    /// All may, but for these.
    pub(crate) excused_but: Option<Pages>,
    /// Written while the operation under way was.
    pub(crate) meanwhile: BTreeSet<u64>,
    /// What else that may have marked.
    pub(crate) meanwhile_excused: Pages,
    /// A leaf could not be split when logging began.
    pub(crate) coarse: bool,
}

impl LogModel {
    /// A page whose mark is false, if one of these is marked that must not be.
    pub(crate) fn false_mark(&self, marked: &Pages) -> Option<u64> {
        let mut left = self.excused_but.as_ref().map_or(marked.clone(), |known| marked.and(known));
        self.excused.ranges().for_each(|range| left.remove(range));
        for &page in self.written.iter().chain(&self.meanwhile) {
            left.remove(page..page + 1);
        }
        left.first()
    }

    /// Pages that may be marked, but for what was marked at first.
    pub(crate) fn marked(&self) -> Pages {
        let mut marked = self.excused.clone();
        marked.extend(self.written.iter().copied());
        marked
    }

    /// The marks of pages were cleared, and the pages copied.
    pub(crate) fn cleared(&mut self, pages: Range<u64>) {
        self.written.retain(|page| !pages.contains(page));
        self.excused.remove(pages.clone());
        self.excused.extend(self.meanwhile.range(pages.clone()).copied());
        self.excused.extend_by(&self.meanwhile_excused);
        if let Some(cleared) = &mut self.excused_but {
            cleared.insert(pages);
        }
    }
}

/// One slot.
#[derive(Debug)]
pub(crate) struct SlotModel {
    pub(crate) slot: Slot,
    pub(crate) is_there: bool,
    pub(crate) log: Option<LogModel>,
    /// Pages that hold something.
    pub(crate) touched: BTreeSet<u64>,
    /// Pages that were just stored to, or loaded from, and that nothing was done to since: another store or load has no
    /// reason to fault.
    pub(crate) stored: BTreeSet<u64>,
    pub(crate) loaded: BTreeSet<u64>,
    /// Pages that were accessed since somebody last asked.
    pub(crate) used: BTreeSet<u64>,
    /// Pages that the rings may still hold from an earlier log.
    pub(crate) in_rings: Pages,
}

/// Where an address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) slot: usize,
    pub(crate) page: u64,
    pub(crate) pa: Pa,
    pub(crate) is_writable: bool,
}

/// What one guest did with its tables.
#[derive(Clone, Debug)]
pub(crate) struct GuestMap {
    pub(crate) paging: bool,
    /// Where each window leads: a guest physical page address.
    pub(crate) windows: Vec<u64>,
    /// Whether the block is mapped one to one.
    pub(crate) straight: bool,
}

pub(crate) struct Model {
    /// By VM, then as in [`SLOTS`].
    pub(crate) slots: Vec<Vec<SlotModel>>,
    pub(crate) guests: Vec<GuestMap>,
    /// PTEs of the guests' tables as they were last seen, by physical address.
    pub(crate) ptes: BTreeMap<u64, u64>,
    pub(crate) stopped: [bool; VCPUS.len()],
    coarse_pages: u64,
    is_coarse: bool,
    finds_dirty_bits: bool,
    gpa_bits: u32,
}

/// Flags of a guest's PTE.
pub(crate) fn guest_flags(global: bool, vs_adue: bool) -> u64 {
    let used = if vs_adue { 0 } else { pte::A | pte::D };
    pte::V | pte::R | pte::W | pte::X | used | if global { pte::G } else { 0 }
}

fn leaf(gpa: u64, flags: u64) -> u64 {
    gpa >> 12 << 10 | flags
}

impl Model {
    pub(crate) fn new(setup: &Setup) -> Self {
        let slots = (0..VMS).map(|vm| {
            let slot = |id| {
                let mut slot = layout::slot(vm, id, setup.large, setup.shift);
                slot.writable = id != AUX || setup.aux_writable;
                SlotModel {
                    slot,
                    is_there: true,
                    log: None,
                    touched: BTreeSet::new(),
                    stored: BTreeSet::new(),
                    loaded: BTreeSet::new(),
                    used: BTreeSet::new(),
                    in_rings: Pages::default(),
                }
            };
            SLOTS.map(slot).into()
        });
        let guests = setup.paging.map(|paging| GuestMap {
            paging,
            windows: WINDOWS.map(|page| MAIN_GPA + page * PAGE_BYTES).collect(),
            straight: true,
        });
        Self {
            slots: slots.collect(),
            guests: guests.into(),
            ptes: BTreeMap::new(),
            stopped: [false; VCPUS.len()],
            coarse_pages: layout::pages_of(setup.largest),
            is_coarse: setup.policy.split == Split::Never,
            finds_dirty_bits: setup.policy.detect == Detect::DirtyBit,
            gpa_bits: setup.mode.gpa_bits(),
        }
    }

    /// Writes the guests' tables.
    pub(crate) fn write_tables(&mut self, ram: &Ram, setup: &Setup) {
        for vcpu in 0..VCPUS.len() {
            let flags = guest_flags(false, setup.vs_adue);
            let put = |level: u64, index: u64, value: u64| {
                let at = self.pte_pa(vcpu, level, index);
                ram.write(at, value).unwrap_or(());
            };
            let table = |page: u64| leaf(table_gpa(vcpu, page), pte::V);
            put(2, 1, table(1));
            put(2, 2, leaf(0x8000_0000, flags));
            put(1, 0, table(0));
            for index in 1..512 {
                put(1, index, leaf(MAIN_GPA + (index << 21), flags));
            }
            for index in 0..512 {
                let global = (FIRST_GLOBAL..WINDOWS.end).contains(&index);
                let flags = guest_flags(global, setup.vs_adue);
                put(0, index, leaf(MAIN_GPA + index * PAGE_BYTES, flags));
            }
        }
        for vm in &mut self.slots {
            vm[2].touched.extend(0..layout::TABLES_PAGES);
        }
    }

    /// `vsatp` of a vCPU. All guests use the same ASID.
    pub(crate) fn vsatp(&self, vcpu: usize) -> u64 {
        if self.guests[vcpu].paging { 8 << 60 | 1 << 44 | table_gpa(vcpu, 2) >> 12 } else { 0 }
    }

    /// Where a PTE of a guest is: the root has level 2.
    pub(crate) fn pte_gpa(&self, vcpu: usize, level: u64, index: u64) -> u64 {
        table_gpa(vcpu, level) + index * 8
    }

    fn pte_pa(&self, vcpu: usize, level: u64, index: u64) -> Pa {
        let slot = &self.slots[VCPUS[vcpu].0][2].slot;
        Pa(slot.memory.0 + (self.pte_gpa(vcpu, level, index) - TABLES_GPA))
    }

    /// The PTEs that a guest's walk of an address reads.
    pub(crate) fn walk(&self, vcpu: usize, va: u64) -> Vec<Pa> {
        let mut path = vec![self.pte_pa(vcpu, 2, va >> 30 & 511)];
        if va >> 30 == MAIN_GPA >> 30 {
            path.push(self.pte_pa(vcpu, 1, va >> 21 & 511));
            if va >> 21 == MAIN_GPA >> 21 {
                path.push(self.pte_pa(vcpu, 0, va >> 12 & 511));
            }
        }
        path
    }

    /// The address that a vCPU uses for a spot.
    pub(crate) fn va(&self, vcpu: usize, spot: Spot) -> u64 {
        let page = |page: u64| MAIN_GPA + page * PAGE_BYTES + WORD;
        match spot {
            Spot::Main(n) => page(n),
            Spot::Aux(n) => self.slots[VCPUS[vcpu].0][1].slot.gpa.0 + n * PAGE_BYTES + WORD,
            Spot::Window(n) => page(WINDOWS.start + n),
            Spot::Block(n) => page(512 + n),
            // Only where the address is a guest physical one.
            Spot::Beyond(n) if !self.guests[vcpu].paging => page(n) | 1 << self.gpa_bits,
            Spot::Beyond(n) => page(n),
        }
    }

    /// Where a vCPU's address leads in guest physical memory.
    pub(crate) fn gpa(&self, vcpu: usize, va: u64) -> Gpa {
        let guest = &self.guests[vcpu];
        let page = va.wrapping_sub(MAIN_GPA) / PAGE_BYTES;
        if guest.paging && WINDOWS.contains(&page) {
            return Gpa(guest.windows[(page - WINDOWS.start) as usize] + va % PAGE_BYTES);
        }
        if guest.paging && (512..1024).contains(&page) && !guest.straight {
            return Gpa(va - (2 << 20));
        }
        Gpa(va)
    }

    /// Where a guest physical address is.
    pub(crate) fn place(&self, vm: usize, gpa: Gpa) -> Option<Place> {
        let (slot, found) = self.slots[vm]
            .iter()
            .enumerate()
            .find(|(_, slot)| slot.is_there && slot.slot.contains(gpa))?;
        let pa = Pa(found.slot.memory.0 + (gpa.0 - found.slot.gpa.0));
        let page = found.slot.page_of(gpa);
        Some(Place { slot, page, pa, is_writable: found.slot.writable })
    }

    /// Whether what a guest does there changes what the guest needs to go on.
    pub(crate) fn is_precious(&self, vm: usize, place: &Place) -> bool {
        let slot = &self.slots[vm][place.slot].slot;
        slot.id == TABLES || slot.id == MAIN && slot.gpa_of(place.page).0 == CODE
    }

    /// A page of a slot was written.
    pub(crate) fn note_write(&mut self, vm: usize, slot: usize, page: u64, in_operation: bool) {
        let block = self.block(vm, slot, page);
        let model = &mut self.slots[vm][slot];
        model.touched.insert(page);
        if let Some(log) = &mut model.log {
            log.written.insert(page);
            if in_operation {
                log.meanwhile.insert(page);
            }
            if self.is_coarse || log.coarse && self.finds_dirty_bits {
                if in_operation {
                    log.meanwhile_excused.insert(block.clone());
                }
                log.excused.insert(block);
            }
        }
    }

    /// A page may be marked although it was not written.
    pub(crate) fn excuse(&mut self, vm: usize, slot: usize, page: u64) {
        let block = self.block(vm, slot, page);
        let coarse = self.is_coarse;
        let model = &mut self.slots[vm][slot];
        if let Some(log) = &mut model.log {
            log.excused.insert(page..page + 1);
            if coarse {
                log.excused.insert(block);
            }
        }
    }

    /// The pages of the largest leaf that a page can be in.
    pub(crate) fn block(&self, vm: usize, slot: usize, page: u64) -> Range<u64> {
        let slot = &self.slots[vm][slot].slot;
        let gpa = slot.gpa_of(page).0 / PAGE_BYTES;
        let first = gpa & !(self.coarse_pages - 1);
        let base = slot.gpa.0 / PAGE_BYTES;
        let end = (first + self.coarse_pages).min(base + slot.pages());
        first.saturating_sub(base)..end - base
    }

    /// What a page holds, as far as it is looked at.
    pub(crate) fn truth(&self, ram: &Ram, vm: usize, slot: usize, page: u64) -> u64 {
        let slot = &self.slots[vm][slot].slot;
        let start = slot.memory.0 + page * PAGE_BYTES;
        let word = |at: u64| ram.read::<u64>(Pa(start + at)).unwrap_or(0);
        if slot.id != TABLES {
            return word(WORD);
        }
        let fold = |hash: u64, at: usize| (hash ^ word(at as u64)).wrapping_mul(0x100_0000_01b3);
        (0..PAGE_BYTES as usize).step_by(8).fold(0, fold)
    }

    /// What a reader has who copies all of a slot now.
    pub(crate) fn snapshot(&self, ram: &Ram, vm: usize, slot: usize) -> BTreeMap<u64, u64> {
        let touched = &self.slots[vm][slot].touched;
        touched.iter().map(|&page| (page, self.truth(ram, vm, slot, page))).collect()
    }

    /// Something may have taken W from pages, or from the leaves that they are in.
    pub(crate) fn may_fault(&mut self, vm: usize, slot: usize, pages: Range<u64>, exact: bool) {
        let mut block = pages.clone();
        if !exact && !pages.is_empty() {
            block.start = self.block(vm, slot, pages.start).start;
            block.end = self.block(vm, slot, pages.end - 1).end;
        }
        let stored = &mut self.slots[vm][slot].stored;
        if !stored.is_empty() {
            let mut rest = stored.split_off(&block.start);
            let mut after = rest.split_off(&block.end);
            stored.append(&mut after);
        }
    }
}

fn table_gpa(vcpu: usize, page: u64) -> u64 {
    TABLES_GPA + (VCPUS[vcpu].1 as u64 * 3 + page) * PAGE_BYTES
}

/// The index of a slot.
pub(crate) fn index_of(id: u32) -> usize {
    SLOTS.iter().position(|&known| known == id).unwrap_or(0)
}
