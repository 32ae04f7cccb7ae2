//! Laws of the fences that are owed, and of A and D that walkers set while tables change.

use isa::{Gpa, PAGE_BYTES, Pa};
use mmu::Kind;

use super::rig::Rig;
use super::tests::{GUEST, MEGA, leaf, mapped};
use super::*;

/// Memory in which a walker sets bits of a PTE just before it is exchanged for the first time.
struct Racing<'a> {
    ram: &'a mmu::Ram,
    at: Pa,
    bits: std::cell::Cell<u64>,
}

impl Memory for Racing<'_> {
    fn load(&self, pte: Pa) -> Result<u64, NotMemory> {
        self.ram.load(pte)
    }

    fn store(&self, pte: Pa, value: u64) -> Result<(), NotMemory> {
        Memory::store(self.ram, pte, value)
    }

    fn compare_exchange(&self, pte: Pa, old: u64, new: u64) -> Result<u64, NotMemory> {
        if pte == self.at {
            let now = self.ram.load(pte)? | self.bits.take();
            Memory::store(self.ram, pte, now)?;
        }
        Memory::compare_exchange(self.ram, pte, old, new)
    }
}

#[test]
fn a_dirty_bit_set_while_a_leaf_is_split_reaches_all_its_children() {
    let mut rig = Rig::new(Mode::Sv39x4);
    let clean = Leaf { dirty: false, ..leaf(GUEST, Size::Mega, true) };
    rig.edit().map(Gpa(0), &clean).unwrap();
    let at = rig.edit().find(Gpa(0)).unwrap().at;
    let racing = Racing { ram: &rig.ram, at, bits: isa::pte::D.into() };
    rig.gstage.edit(&racing, &mut rig.spare).split(Gpa(0), Size::Page).unwrap();
    for page in [0, 3, 511] {
        assert!(rig.edit().find(Gpa(page * PAGE_BYTES)).unwrap().pte.is_dirty(), "page {page}");
    }
}

#[test]
fn a_dirty_bit_set_while_rights_change_stays() {
    let mut rig = Rig::new(Mode::Sv39x4);
    let clean = Leaf { dirty: false, ..leaf(GUEST, Size::Page, true) };
    rig.edit().map(Gpa(0), &clean).unwrap();
    let at = rig.edit().find(Gpa(0)).unwrap().at;
    let racing = Racing { ram: &rig.ram, at, bits: isa::pte::D.into() };
    let mut editor = rig.gstage.edit(&racing, &mut rig.spare);
    editor.write_protect(Gpa(0), Gpa(PAGE_BYTES), Partial::Whole, 1).unwrap();
    let now = rig.edit().find(Gpa(0)).unwrap().pte;
    assert!(now.is_dirty() && !now.is_writable());
}

#[test]
fn rights_that_a_mapping_takes_away_are_fenced_before_the_guest_runs() {
    for rights in [Rights::READ_ONLY, Rights { write: true, execute: false }] {
        let mut rig = mapped(Mode::Sv39x4, 0, Size::Page);
        rig.edit().map(Gpa(0), &Leaf { rights, ..leaf(GUEST, Size::Page, true) }).unwrap();
        assert!(rig.gstage.is_fence_due(), "{rights:?}");
        rig.fence();
        rig.edit().map(Gpa(0), &leaf(GUEST, Size::Page, true)).unwrap();
        assert!(!rig.gstage.is_fence_due(), "a right that is added can wait");
    }
}

#[test]
fn a_fresh_mapping_owes_a_fence_for_all_of_it() {
    for (size, stride) in [(Size::Napot, PAGE_BYTES), (Size::Mega, MEGA)] {
        let mut rig = Rig::new(Mode::Sv39x4);
        rig.edit().map(Gpa(MEGA + 0x5000), &leaf(GUEST, size, true)).unwrap();
        let (gpa, bytes) = (Gpa(MEGA), size.bytes());
        let expected = Fence::Leaves { gpa, bytes, stride, why: Why::Mapped };
        assert_eq!(rig.gstage.take_duties().fences(), [expected]);
    }
}

#[test]
fn whatever_takes_something_away_is_fenced_before_the_guest_runs() {
    const END: Gpa = Gpa(MEGA);
    let ways: [fn(&mut Editor<'_>); 4] = [
        |editor| {
            editor.write_protect(Gpa(0), END, Partial::Whole, u64::MAX).unwrap();
        },
        |editor| {
            editor.age(Gpa(0), END, u64::MAX, |_, _, _| ()).unwrap();
        },
        |editor| {
            editor.harvest_dirty(Gpa(0), END, u64::MAX, |_, _, _| ()).unwrap();
        },
        |editor| {
            editor.unmap(Gpa(0), END, u64::MAX, |_, _, _| ()).unwrap();
        },
    ];
    for (index, way) in ways.into_iter().enumerate() {
        let mut rig = mapped(Mode::Sv39x4, 0, Size::Mega);
        way(&mut rig.edit());
        assert!(rig.gstage.is_fence_due(), "way {index}");
    }
}

#[test]
fn one_fence_by_address_is_owed_for_a_split_leaf() {
    let mut rig = mapped(Mode::Sv48x4, MEGA, Size::Mega);
    rig.edit().split(Gpa(MEGA + 0x7000), Size::Page).unwrap();
    let duties = rig.gstage.take_duties();
    assert!(duties.is_due());
    let whole = Fence::Leaves { gpa: Gpa(MEGA), bytes: MEGA, stride: MEGA, why: Why::Split };
    assert_eq!(duties.fences(), [whole]);
    assert_eq!(whole.instructions(), 1);
}

#[test]
fn every_page_of_a_napot_range_is_fenced() {
    let mut rig = mapped(Mode::Sv39x4, 0x1_0000, Size::Napot);
    rig.edit().write_protect(Gpa(0x1_3000), Gpa(0x1_4000), Partial::Whole, u64::MAX).unwrap();
    let duties = rig.gstage.take_duties();
    assert_eq!(duties.fences().iter().map(|fence| fence.instructions()).sum::<u64>(), 16);
    assert_eq!(rig.walk(Gpa(0x1_f000), Kind::Store), None);
}

#[test]
fn a_collapse_owes_a_fence_without_address_and_frees_the_table_only_after_it() {
    let mut rig = mapped(Mode::Sv48x4, 0, Size::Mega);
    rig.edit().split(Gpa(0), Size::Page).unwrap();
    rig.fence();
    rig.edit();
    let free_before = rig.heap.left;
    rig.edit().collapse(Gpa(0), Size::Mega).unwrap();
    let duties = rig.gstage.take_duties();
    assert_eq!(duties.fences(), [Fence::Everything { why: Why::Unlinked }]);
    assert_eq!(rig.heap.left, free_before, "a walker may still read the table");
    rig.gstage.fenced(duties, &*rig.ram, &mut rig.heap).unwrap();
    assert_eq!(rig.heap.left, free_before + 1);
    assert_eq!(rig.walk(Gpa(MEGA - 1), Kind::Store), Some(Pa(GUEST + MEGA - 1)));
}

#[test]
fn a_dirty_bit_set_in_a_collapsed_table_before_the_fence_reaches_the_leaf() {
    let mut rig = Rig::new(Mode::Sv39x4);
    let clean = Leaf { dirty: false, ..leaf(GUEST, Size::Mega, true) };
    rig.edit().map(Gpa(0), &clean).unwrap();
    rig.edit().split(Gpa(0), Size::Page).unwrap();
    rig.fence();
    let child = rig.edit().find(Gpa(0x3000)).unwrap();
    rig.edit().collapse(Gpa(0), Size::Mega).unwrap();
    // A walker that holds the old pointer sets D where it found the PTE.
    rig.ram.write(child.at, child.pte.0 | isa::pte::D).unwrap();
    rig.fence();
    assert!(rig.edit().find(Gpa(0)).unwrap().pte.is_dirty());
}

#[test]
fn pages_of_a_split_napot_range_have_the_a_and_d_of_any_of_its_ptes() {
    let mut rig = Rig::new(Mode::Sv39x4);
    let clean = Leaf { dirty: false, ..leaf(GUEST, Size::Napot, true) };
    rig.edit().map(Gpa(0), &clean).unwrap();
    rig.edit().age(Gpa(0), Gpa(0x1_0000), u64::MAX, |_, _, _| ()).unwrap();
    // The walker sets A and D in the PTE it read; a TLB serves the other pages by that.
    assert!(rig.walk(Gpa(0x5000), Kind::Store).is_some());
    rig.edit().split(Gpa(0x3000), Size::Page).unwrap();
    for page in 0..16 {
        let pte = rig.edit().find(Gpa(page * PAGE_BYTES)).unwrap().pte;
        assert!(pte.is_accessed() && pte.is_dirty() && !pte.is_napot(), "page {page}");
        assert_eq!(pte.target(), Pa(GUEST + page * PAGE_BYTES));
    }
}
