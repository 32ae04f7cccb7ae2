//! Laws of the tables. Where a guest's access ends is judged by the walker of `mmu`, which knows nothing of how
//! the tables came to be.

use std::collections::BTreeMap;

use isa::{Gpa, PAGE_BYTES, Pa};
use mmu::Kind;
use proptest::prelude::*;

use super::rig::{BASE, Rig};
use super::*;

/// Where the guest's memory lies, 32 MiB into ours.
pub(super) const GUEST: u64 = BASE.0 + (32 << 20);
pub(super) const MEGA: u64 = 2 << 20;

pub(super) fn leaf(pa: u64, size: Size, write: bool) -> Leaf {
    Leaf { pa: Pa(pa), size, rights: Rights { write, execute: true }, dirty: true }
}

pub(super) fn mapped(mode: Mode, gpa: u64, size: Size) -> Rig {
    let mut rig = Rig::new(mode);
    rig.edit().map(Gpa(gpa), &leaf(GUEST, size, true)).unwrap();
    rig.fence();
    rig
}

#[test]
fn every_mode_maps_up_to_the_end_of_its_space_and_no_further() {
    for mode in Mode::ALL {
        let end = 1u64 << mode.gpa_bits();
        let mut rig = mapped(mode, end - PAGE_BYTES, Size::Page);
        assert_eq!(rig.walk(Gpa(end - 1), Kind::Store), Some(Pa(GUEST + 0xfff)));
        assert_eq!(rig.walk(Gpa(end - PAGE_BYTES - 1), Kind::Load), None);
        let beyond = rig.edit().map(Gpa(end), &leaf(GUEST, Size::Page, true));
        assert_eq!(beyond, Err(Error::OutOfRange { gpa: Gpa(end), bits: mode.gpa_bits() }));
    }
}

#[test]
fn a_block_is_mapped_whole_around_the_address_that_faulted() {
    for (size, at) in [(Size::Napot, 0x5000), (Size::Mega, 0x12_3000)] {
        let mut rig = mapped(Mode::Sv39x4, at, size);
        let last = size.bytes() - 1;
        assert_eq!(rig.walk(Gpa(0), Kind::Fetch), Some(Pa(GUEST)));
        assert_eq!(rig.walk(Gpa(last), Kind::Store), Some(Pa(GUEST + last)));
        assert_eq!(rig.walk(Gpa(last + 1), Kind::Load), None);
    }
}

#[test]
fn a_split_changes_nothing_that_the_guest_sees() {
    let mut rig = mapped(Mode::Sv48x4, MEGA, Size::Mega);
    rig.edit().write_protect(Gpa(MEGA), Gpa(2 * MEGA), Partial::Whole, u64::MAX).unwrap();
    rig.edit().split(Gpa(MEGA + 0x7000), Size::Page).unwrap();
    for page in 0..512 {
        let offset = page * PAGE_BYTES + 8;
        assert_eq!(rig.walk(Gpa(MEGA + offset), Kind::Load), Some(Pa(GUEST + offset)));
        assert_eq!(rig.walk(Gpa(MEGA + offset), Kind::Store), None, "protection was lost");
    }
    assert_eq!(rig.gstage.counts().splits, 1);
}

#[test]
fn a_collapsed_leaf_is_dirty_at_once_if_a_page_was() {
    let mut rig = Rig::new(Mode::Sv39x4);
    let clean = Leaf { dirty: false, ..leaf(GUEST, Size::Mega, true) };
    rig.edit().map(Gpa(0), &clean).unwrap();
    rig.edit().split(Gpa(0), Size::Page).unwrap();
    assert!(rig.walk(Gpa(0x7000), Kind::Store).is_some());
    rig.edit().collapse(Gpa(0), Size::Mega).unwrap();
    assert!(rig.edit().find(Gpa(0)).unwrap().pte.is_dirty());
}

#[test]
fn pages_whose_memory_is_less_aligned_than_a_block_do_not_collapse() {
    let mut rig = Rig::new(Mode::Sv39x4);
    for page in 0..512 {
        let frame = GUEST + (page + 1) * PAGE_BYTES;
        rig.edit().map(Gpa(page * PAGE_BYTES), &leaf(frame, Size::Page, true)).unwrap();
    }
    assert_eq!(rig.edit().collapse(Gpa(0), Size::Mega), Err(Error::NotUniform { gpa: Gpa(0) }));
}

#[test]
fn a_range_becomes_writable_and_nothing_beyond_it() {
    let mut rig = Rig::new(Mode::Sv39x4);
    let clean = Leaf { dirty: false, ..leaf(GUEST, Size::Mega, false) };
    rig.edit().map(Gpa(0), &clean).unwrap();
    rig.edit().make_writable(Gpa(0), Gpa(MEGA / 2)).unwrap();
    assert!(!rig.edit().find(Gpa(0)).unwrap().pte.is_writable(), "it reaches beyond the range");
    rig.edit().make_writable(Gpa(0), Gpa(MEGA)).unwrap();
    let pte = rig.edit().find(Gpa(0)).unwrap().pte;
    assert!(pte.is_writable() && pte.is_dirty(), "a store need not fault to set D");
}

#[test]
fn a_block_takes_the_place_of_a_table_that_maps_nothing() {
    let mut rig = Rig::new(Mode::Sv39x4);
    let mut spare = SpareTables::default();
    spare.top_up(1, &mut rig.heap).unwrap();
    let short = rig.gstage.edit(&*rig.ram, &mut spare).map(Gpa(0), &leaf(GUEST, Size::Page, true));
    assert_eq!((short, rig.gstage.counts().tables), (Err(OutOfTables.into()), 1));
    let giga = Leaf { pa: Pa(1 << 30), ..leaf(0, Size::Giga, true) };
    assert_eq!(rig.edit().map(Gpa(0), &giga), Ok(Mapped::Fresh));
    assert_eq!(rig.edit().find(Gpa(0)).unwrap().bytes(), 1 << 30);
    assert_eq!(rig.gstage.counts().tables, 0);
    let duties = rig.gstage.take_duties();
    assert_eq!(duties.fences(), [Fence::Everything { why: Why::Unlinked }]);
}

#[test]
fn blocks_of_several_frames_or_rights_do_not_collapse() {
    let mut rig = mapped(Mode::Sv39x4, 0, Size::Mega);
    rig.edit().split(Gpa(0), Size::Page).unwrap();
    rig.edit().write_protect(Gpa(0x1000), Gpa(0x2000), Partial::Split, 1).unwrap();
    assert_eq!(rig.edit().collapse(Gpa(0), Size::Mega), Err(Error::NotUniform { gpa: Gpa(0) }));
    rig.edit().map(Gpa(0x1000), &leaf(GUEST + MEGA, Size::Page, true)).unwrap();
    assert_eq!(rig.edit().collapse(Gpa(0), Size::Mega), Err(Error::NotUniform { gpa: Gpa(0) }));
}

#[test]
fn a_fault_on_a_later_page_of_a_split_block_is_answered_for_that_page() {
    // Looking up the first page of the block instead would leave this one protected for ever.
    let mut rig = mapped(Mode::Sv57x4, 0, Size::Mega);
    rig.edit().split(Gpa(0), Size::Page).unwrap();
    rig.edit().write_protect(Gpa(0), Gpa(MEGA), Partial::Whole, u64::MAX).unwrap();
    let outcome = rig.edit().map(Gpa(0x5000), &leaf(GUEST, Size::Mega, true)).unwrap();
    assert_eq!(outcome, Mapped::Rights);
    assert_eq!(rig.walk(Gpa(0x5000), Kind::Store), Some(Pa(GUEST + 0x5000)));
    assert_eq!(rig.walk(Gpa(0x6000), Kind::Store), None);
}

#[test]
fn a_page_wanted_within_a_larger_leaf_splits_it() {
    let mut rig = mapped(Mode::Sv39x4, 0, Size::Mega);
    rig.edit().write_protect(Gpa(0), Gpa(MEGA), Partial::Whole, u64::MAX).unwrap();
    rig.edit().map(Gpa(0x9000), &leaf(GUEST + 0x9000, Size::Page, true)).unwrap();
    assert_eq!(rig.walk(Gpa(0x9000), Kind::Store), Some(Pa(GUEST + 0x9000)));
    assert_eq!(rig.walk(Gpa(0x8000), Kind::Store), None);
    assert_eq!(rig.walk(Gpa(0xa000), Kind::Load), Some(Pa(GUEST + 0xa000)));
}

#[test]
fn one_gigabyte_splits_along_the_path_of_the_address_only() {
    let mut rig = Rig::new(Mode::Sv39x4);
    let giga = leaf(0x8000_0000, Size::Giga, true);
    rig.edit().map(Gpa(0), &giga).unwrap();
    assert_eq!(rig.edit().split(Gpa(5 * MEGA + 0x3000), Size::Page), Ok(2));
    assert_eq!(rig.edit().find(Gpa(5 * MEGA)).unwrap().level, Level::PAGE);
    assert_eq!(rig.edit().find(Gpa(6 * MEGA)).unwrap().level, Level::MEGA);
    assert_eq!(rig.gstage.counts().tables, 2);
    let at = 5 * MEGA + 0x3008;
    assert_eq!(rig.walk(Gpa(at), Kind::Store), Some(Pa(0x8000_0000 + at)));
}

#[test]
fn running_out_of_tables_loses_nothing_and_can_go_on() {
    let mut rig = Rig::new(Mode::Sv39x4);
    rig.edit().map(Gpa(0), &leaf(0x8000_0000, Size::Giga, true)).unwrap();
    rig.fence();
    rig.spare.drain(&mut rig.heap);
    rig.spare.top_up(1, &mut rig.heap).unwrap();
    let split = rig.gstage.edit(&*rig.ram, &mut rig.spare).split(Gpa(0x3000), Size::Page);
    assert_eq!(split, Err(Error::OutOfTables(OutOfTables)));
    for at in [0, 0x3000, 17 << 20] {
        assert_eq!(rig.walk(Gpa(at), Kind::Store), Some(Pa(0x8000_0000 + at)));
    }
    assert!(rig.gstage.is_fence_due(), "one level was split");
    assert_eq!(rig.edit().split(Gpa(0x3000), Size::Page), Ok(1));
}

#[test]
fn protecting_part_of_a_leaf_protects_all_of_it_where_no_table_is_left() {
    let mut rig = mapped(Mode::Sv39x4, 0, Size::Mega);
    rig.spare.drain(&mut rig.heap);
    let mut editor = rig.gstage.edit(&*rig.ram, &mut rig.spare);
    editor.write_protect(Gpa(0x4000), Gpa(0x5000), Partial::Split, u64::MAX).unwrap();
    assert_eq!(rig.walk(Gpa(0x4000), Kind::Store), None);
    assert_eq!(rig.walk(Gpa(0x9000), Kind::Store), None);
    assert_eq!(rig.walk(Gpa(0x9000), Kind::Load), Some(Pa(GUEST + 0x9000)));
}

#[test]
fn protecting_part_of_a_leaf_protects_what_it_came_to_where_tables_run_out_half_way() {
    // The range lies in one block of 2 MiB, begins in one and ends in the next, or covers one and parts of two.
    let ranges = [(0, 0x4000), (MEGA - 0x4000, MEGA + 0x4000), (MEGA / 2, 3 * MEGA - 0x4000)];
    for (start, end) in ranges {
        for tables in 0..4 {
            let mut rig = Rig::new(Mode::Sv39x4);
            let giga = Leaf { pa: BASE, ..leaf(0, Size::Giga, true) };
            rig.edit().map(Gpa(0), &giga).unwrap();
            rig.spare.drain(&mut rig.heap);
            rig.spare.top_up(tables, &mut rig.heap).unwrap();
            let mut editor = rig.gstage.edit(&*rig.ram, &mut rig.spare);
            editor.write_protect(Gpa(start), Gpa(end), Partial::Split, u64::MAX).unwrap();
            for gpa in (start..end).step_by(0x1000) {
                let stored = rig.walk(Gpa(gpa), Kind::Store);
                assert_eq!(stored, None, "{gpa:#x} of {start:#x}..{end:#x} with {tables} tables");
                assert!(rig.walk(Gpa(gpa), Kind::Load).is_some());
            }
            let beyond = rig.walk(Gpa(4 * MEGA), Kind::Store).is_some();
            assert_eq!(beyond, tables > 0, "{start:#x}..{end:#x} with {tables} tables");
        }
    }
}

#[test]
fn a_mask_protects_the_pages_it_names() {
    let mut rig = mapped(Mode::Sv39x4, 0, Size::Mega);
    rig.edit().write_protect_masked(Gpa(0x10_0000), 0x8000_0000_0000_0105, Partial::Split).unwrap();
    for page in 0..64u64 {
        let gpa = 0x10_0000 + page * PAGE_BYTES;
        let writable = ![0, 2, 8, 63].contains(&page);
        assert_eq!(rig.walk(Gpa(gpa), Kind::Store).is_some(), writable, "page {page}");
    }
}

#[test]
fn unmapping_everything_gives_every_table_back() {
    for mode in Mode::ALL {
        let mut rig = Rig::new(mode);
        let before = rig.heap.left;
        let end = 1u64 << mode.gpa_bits();
        for gpa in [0, MEGA, 5 << 30, end - PAGE_BYTES] {
            rig.edit().map(Gpa(gpa), &leaf(GUEST, Size::Page, true)).unwrap();
        }
        let mut gone = Vec::new();
        let hear = |gpa: Gpa, bytes, _: Pte| gone.push((gpa.0, bytes));
        rig.edit().unmap(Gpa(0), Gpa(end), u64::MAX, hear).unwrap();
        assert_eq!(gone.len(), 4);
        rig.fence();
        rig.spare.drain(&mut rig.heap);
        assert_eq!(rig.heap.left, before);
        assert_eq!(rig.gstage.counts().tables, 0);
    }
}

#[test]
fn a_table_that_part_of_a_range_left_empty_is_given_back() {
    let mut rig = mapped(Mode::Sv48x4, 0x5000, Size::Page);
    rig.edit().map(Gpa(MEGA), &leaf(GUEST, Size::Page, true)).unwrap();
    rig.fence();
    let tables = rig.gstage.counts().tables;
    rig.edit().unmap(Gpa(0x5000), Gpa(0x6000), u64::MAX, |_, _, _| ()).unwrap();
    assert_eq!(rig.gstage.counts().tables, tables - 1, "its neighbour still maps something");
    rig.edit().unmap(Gpa(MEGA), Gpa(MEGA + PAGE_BYTES), u64::MAX, |_, _, _| ()).unwrap();
    assert_eq!(rig.gstage.counts().tables, 0);
}

#[test]
fn a_leaf_that_cannot_be_split_for_another_reason_than_tables_is_an_error() {
    let mut rig = mapped(Mode::Sv39x4, 0, Size::Mega);
    let mut spare = SpareTables::default();
    let nowhere = Pa(0x1000);
    spare.put_back(nowhere);
    let mut editor = rig.gstage.edit(&*rig.ram, &mut spare);
    let protected = editor.write_protect(Gpa(0x1000), Gpa(0x2000), Partial::Split, u64::MAX);
    assert_eq!(protected, Err(NotMemory(nowhere).into()));
}

#[test]
fn a_range_may_begin_and_end_anywhere_in_leaves() {
    for (start, end) in [(MEGA - PAGE_BYTES, MEGA), (MEGA / 2, 3 * MEGA / 2), (0, PAGE_BYTES)] {
        let mut rig = mapped(Mode::Sv39x4, 0, Size::Mega);
        rig.edit().map(Gpa(MEGA), &leaf(GUEST + MEGA, Size::Mega, true)).unwrap();
        rig.edit().write_protect(Gpa(start), Gpa(end), Partial::Split, u64::MAX).unwrap();
        for page in 0..1024 {
            let gpa = Gpa(page * PAGE_BYTES);
            let is_inside = (start..end).contains(&gpa.0);
            assert_eq!(rig.edit().find(gpa).unwrap().pte.is_writable(), !is_inside, "{gpa}");
        }
    }
}

#[test]
fn a_leaf_is_split_no_further_than_the_range_needs() {
    let mut rig = Rig::new(Mode::Sv39x4);
    rig.edit().map(Gpa(0), &Leaf { pa: Pa(1 << 30), ..leaf(0, Size::Giga, true) }).unwrap();
    rig.edit().unmap(Gpa(MEGA), Gpa(2 * MEGA), u64::MAX, |_, _, _| ()).unwrap();
    assert_eq!(rig.gstage.counts().tables, 1);
    assert_eq!(rig.edit().find(Gpa(0)).unwrap().bytes(), MEGA);
}

#[test]
fn a_range_that_leaves_the_address_space_changes_nothing() {
    let end = 1u64 << Mode::Sv39x4.gpa_bits();
    let mut rig = mapped(Mode::Sv39x4, end - PAGE_BYTES, Size::Page);
    let (start, beyond) = (Gpa(end - PAGE_BYTES), Gpa(end + PAGE_BYTES));
    assert!(rig.edit().unmap(start, beyond, u64::MAX, |_, _, _| ()).is_err());
    assert!(rig.walk(start, Kind::Store).is_some());
}

#[test]
fn unmapping_part_of_a_leaf_leaves_the_rest_mapped() {
    let mut rig = mapped(Mode::Sv39x4, 0, Size::Mega);
    rig.edit().unmap(Gpa(0x3000), Gpa(0x5000), u64::MAX, |_, _, _| ()).unwrap();
    for (gpa, there) in [(0x2000, true), (0x3000, false), (0x4000, false), (0x5000, true)] {
        assert_eq!(rig.walk(Gpa(gpa), Kind::Load).is_some(), there, "{gpa:#x}");
    }
}

#[test]
fn a_harvest_hears_each_dirty_page_once() {
    let mut rig = Rig::new(Mode::Sv39x4);
    let clean = Leaf { dirty: false, ..leaf(GUEST, Size::Napot, true) };
    rig.edit().map(Gpa(0), &clean).unwrap();
    rig.walk(Gpa(0x7000), Kind::Store).unwrap();
    for expected in [true, false] {
        let mut heard = Vec::new();
        let hear = |gpa, bytes, dirty| heard.push((gpa, bytes, dirty));
        rig.edit().harvest_dirty(Gpa(0), Gpa(0x1_0000), u64::MAX, hear).unwrap();
        assert_eq!(heard, [(Gpa(0), 0x1_0000, expected)]);
    }
}

#[test]
fn a_table_that_points_out_of_memory_is_an_error() {
    let mut rig = mapped(Mode::Sv39x4, 0, Size::Mega);
    let root = rig.gstage.hgatp(0) << 12 & ((1 << 56) - 1);
    rig.ram.write(Pa(root), Pte::table(Pa(0x1000)).0).unwrap();
    assert_eq!(rig.edit().find(Gpa(0)), Err(Error::NotMemory(NotMemory(Pa(0x1000)))));
}

/// One operation on the first 8 MiB of guest memory. Pages are counted from its start.
#[derive(Clone, Debug)]
enum Operation {
    Map { page: u64, size: Size, write: bool, other: bool },
    Split { page: u64, size: Size },
    Protect { page: u64, pages: u64, partial: Partial },
    Unmap { page: u64, pages: u64 },
    Collapse { page: u64 },
    Fence,
}

const PAGES: u64 = 2048;

fn operation() -> impl Strategy<Value = Operation> {
    let page = 0..PAGES;
    let size = prop_oneof![Just(Size::Page), Just(Size::Napot), Just(Size::Mega)];
    let partial = prop_oneof![Just(Partial::Whole), Just(Partial::Split)];
    let pages = prop_oneof![1..20u64, 1..1200u64];
    prop_oneof![
        4 => (page.clone(), size.clone(), any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(page, size, write, other)| Operation::Map { page, size, write, other }),
        2 => (page.clone(), size).prop_map(|(page, size)| Operation::Split { page, size }),
        2 => (page.clone(), pages.clone(), partial)
            .prop_map(|(page, pages, partial)| Operation::Protect { page, pages, partial }),
        1 => (page.clone(), pages).prop_map(|(page, pages)| Operation::Unmap { page, pages }),
        2 => page.prop_map(|page| Operation::Collapse { page }),
        1 => Just(Operation::Fence),
    ]
}

/// What each page maps to, and whether it may be written: all that a guest can tell.
type Model = BTreeMap<u64, (u64, bool)>;

/// The frame of a page: one of two places, so that frames change now and then.
fn frame(page: u64, other: bool) -> u64 {
    GUEST + page * PAGE_BYTES + if other { 8 << 20 } else { 0 }
}

fn apply(rig: &mut Rig, model: &mut Model, operation: &Operation) {
    let end = |page: u64, pages: u64| (page + pages).min(PAGES);
    match *operation {
        Operation::Map { page, size, write, other } => {
            let first = page & !(size.bytes() / PAGE_BYTES - 1);
            let wanted = leaf(frame(first, other), size, write);
            let before = rig.edit().find(Gpa(page * PAGE_BYTES)).unwrap();
            rig.edit().map(Gpa(page * PAGE_BYTES), &wanted).unwrap();
            // The law: the faulting page is as wanted; the others of the block are as wanted or as they were.
            let after = rig.edit().find(Gpa(page * PAGE_BYTES)).unwrap();
            assert!(after.bytes() <= before.bytes().max(size.bytes()));
            for page in after.gpa.0 / PAGE_BYTES..(after.gpa.0 + after.bytes()) / PAGE_BYTES {
                model.insert(page, (frame(page, other), write));
            }
        }
        Operation::Split { page, size } => {
            rig.edit().split(Gpa(page * PAGE_BYTES), size).unwrap();
        }
        Operation::Protect { page, pages, partial } => {
            let (first, last) = (page, end(page, pages));
            let mut hit: Vec<u64> = (first..last).collect();
            if partial == Partial::Whole {
                for page in first..last {
                    let place = rig.edit().find(Gpa(page * PAGE_BYTES)).unwrap();
                    if place.pte.form() != Form::Leaf {
                        continue;
                    }
                    let from = place.gpa.0 / PAGE_BYTES;
                    hit.extend(from..from + place.bytes() / PAGE_BYTES);
                }
            }
            rig.edit()
                .write_protect(Gpa(first * PAGE_BYTES), Gpa(last * PAGE_BYTES), partial, u64::MAX)
                .unwrap();
            for page in hit {
                if let Some((_, write)) = model.get_mut(&page) {
                    *write = false;
                }
            }
        }
        Operation::Unmap { page, pages } => {
            let (first, last) = (page, end(page, pages));
            let (from, to) = (Gpa(first * PAGE_BYTES), Gpa(last * PAGE_BYTES));
            rig.edit().unmap(from, to, u64::MAX, |_, _, _| ()).unwrap();
            model.retain(|page, _| !(first..last).contains(page));
        }
        Operation::Collapse { page } => {
            let _ = rig.edit().collapse(Gpa(page * PAGE_BYTES), Size::Mega);
        }
        Operation::Fence => rig.fence(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_hart_reaches_exactly_what_was_mapped(
        mode in prop::sample::select(&Mode::ALL[..]),
        operations in prop::collection::vec(operation(), 1..40),
    ) {
        let mut rig = Rig::new(mode);
        let mut model = Model::new();
        for operation in &operations {
            apply(&mut rig, &mut model, operation);
        }
        for page in 0..PAGES {
            let gpa = Gpa(page * PAGE_BYTES + 0x18);
            let expected = model.get(&page);
            let there = expected.map(|(frame, _)| Pa(frame + 0x18));
            prop_assert_eq!(rig.walk(gpa, Kind::Load), there, "{:?}", gpa);
            let writable = expected.and_then(|(_, write)| write.then_some(there)).flatten();
            prop_assert_eq!(rig.walk(gpa, Kind::Store), writable, "{:?}", gpa);
        }
        // Every table that is linked is reachable, and none is held by nobody.
        rig.edit().unmap(Gpa(0), Gpa(PAGES * PAGE_BYTES), u64::MAX, |_, _, _| ()).unwrap();
        rig.edit().unmap(Gpa(0), Gpa(1 << mode.gpa_bits()), u64::MAX, |_, _, _| ()).unwrap();
        prop_assert_eq!(rig.gstage.counts().tables, 0);
        rig.fence();
        rig.spare.drain(&mut rig.heap);
        prop_assert_eq!(rig.heap.left, 1000);
    }
}
