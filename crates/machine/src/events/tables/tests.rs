//! Laws of the observer of G-stage tables, with memory written as anybody may write it.

use super::*;
use isa::pte;

const BASE: u64 = 0x8000_0000;
const ROOT: u64 = BASE + 0x10_0000;
const LEAF: u64 = pte::V | pte::R | pte::W | pte::X | pte::U | pte::A | pte::D;
const SV39X4: u64 = hgatp::SV39X4;

/// A pointer or leaf to an address.
fn entry(address: u64, flags: u64) -> u64 {
    address >> 12 << 10 | flags
}

struct Bench {
    ram: Arc<Ram>,
    tables: Tables,
}

impl Bench {
    fn new(bytes: u64) -> Self {
        let ram = Arc::new(Ram::new(Pa(BASE), bytes).unwrap());
        Self { tables: Tables::new(Arc::clone(&ram)), ram }
    }

    fn set(&self, at: u64, value: u64) {
        self.ram.write(Pa(at), value).unwrap();
    }

    fn load(&mut self, mode: u64, vmid: u64, root: u64) -> Vec<Told> {
        let mut told = Vec::new();
        self.tables.root_written(mode << 60 | vmid << 44 | root >> 12, &mut |one| told.push(one));
        told
    }

    /// What is told of the writes so far.
    fn told(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        self.tables.follow_writes(&mut |one| told.push(one));
        told
    }

    /// The stores that are told, as name, level and address.
    fn stores(&mut self) -> Vec<(&'static str, u8, u64)> {
        let stores = self.told().into_iter().filter_map(|told| match told {
            Told::Store(store) => Some((store.op.name(), store.level, store.gpa.0)),
            Told::News(_) => None,
        });
        stores.collect()
    }

    fn is_followed(&self, page: u64) -> bool {
        self.ram.is_watched_as(Pa(page), PageClass::Table)
    }
}

fn found(told: &[Told]) -> Option<(usize, u64)> {
    told.iter().find_map(|told| match told {
        Told::News(TablesNews::Found { tables, leaves, .. }) => Some((*tables, *leaves)),
        _ => None,
    })
}

fn lost(told: &[Told]) -> Vec<(u64, Lost)> {
    let lost = told.iter().filter_map(|told| match told {
        Told::News(TablesNews::Lost { page, why, .. }) => Some((page.0, *why)),
        _ => None,
    });
    lost.collect()
}

#[test]
fn a_tree_is_known_whole_from_the_write_of_its_root() {
    let mut b = Bench::new(4 << 20);
    let (middle, bottom) = (ROOT + 0x4000, ROOT + 0x5000);
    // The last entry of the 16 KiB root translates the last gigabyte of 41 bits.
    b.set(ROOT + 2047 * 8, entry(middle, pte::V));
    b.set(middle, entry(bottom, pte::V));
    b.set(middle + 8, entry(0x4000_0000, LEAF));
    b.set(bottom + 511 * 8, entry(0x1000, LEAF));
    assert!(b.told().is_empty());
    let told = b.load(SV39X4, 7, ROOT);
    assert_eq!(found(&told), Some((6, 2)));
    b.set(bottom + 511 * 8, 0);
    let [Told::Store(store)] = b.told()[..] else { panic!() };
    let top = (1 << 41) - (1 << 30);
    assert_eq!((store.op, store.gpa, store.level), (TableOp::Unmap, Gpa(top + 511 * 0x1000), 0));
    assert_eq!((store.vmid, store.root, store.pte_at), (7, Pa(ROOT), Pa(bottom + 511 * 8)));
    // Loaded again, under another VMID: the same tree, nothing to find.
    assert!(b.load(SV39X4, 9, ROOT).is_empty());
    b.set(bottom, entry(0x2000, LEAF));
    let [Told::Store(store)] = b.told()[..] else { panic!() };
    assert_eq!((store.op, store.gpa, store.vmid), (TableOp::Map, Gpa(top), 9));
}

#[test]
fn levels_and_addresses_follow_the_scheme() {
    let mut b = Bench::new(4 << 20);
    for (mode, level, bits) in [(SV39X4, 2, 41), (hgatp::SV48X4, 3, 50), (hgatp::SV57X4, 4, 59)] {
        let root = ROOT + (mode << 16);
        assert_eq!(found(&b.load(mode, 1, root)), Some((4, 0)));
        b.set(root + 2047 * 8, entry(0, LEAF));
        let last = (1u64 << bits) - (1 << shift(level));
        assert_eq!(b.stores(), [("map", level, last)]);
    }
}

#[test]
fn whoever_writes_and_however_each_change_is_told_once() {
    let mut b = Bench::new(4 << 20);
    b.load(SV39X4, 1, ROOT);
    let leaf = entry(0x4000_0000, LEAF);
    // A device writes two entries and a half.
    let mut bytes = [leaf.to_le_bytes(), leaf.to_le_bytes()].concat();
    bytes.extend([0xff; 4]);
    b.ram.write_bytes(Pa(ROOT + 8), &bytes).unwrap();
    assert_eq!(b.stores(), [("map", 2, 1 << 30), ("map", 2, 2 << 30), ("change", 2, 3 << 30)]);
    // Half an entry is enough.
    b.ram.write(Pa(ROOT + 8), (leaf & !pte::W) as u32).unwrap();
    assert_eq!(b.stores(), [("write-protect", 2, 1 << 30)]);
    // A hart sets A or D by comparing and exchanging.
    assert_eq!(b.ram.compare_exchange(Pa(ROOT + 16), leaf, leaf & !pte::D), Some(Ok(())));
    assert_eq!(b.stores(), [("change", 2, 2 << 30)]);
    // The same bits are no change.
    b.set(ROOT + 16, leaf & !pte::D);
    assert!(b.stores().is_empty());
    // Two changes before anybody looks are one.
    b.set(ROOT + 16, 0);
    b.set(ROOT + 16, leaf);
    assert_eq!(b.stores(), [("change", 2, 2 << 30)]);
    // More writes than RAM remembers: every page is looked at.
    for i in 0..5000 {
        b.set(ROOT + 4096, entry(i << 30, LEAF));
    }
    assert_eq!(b.stores(), [("map", 2, 512 << 30)]);
}

#[test]
fn what_a_pointer_no_longer_names_is_memory_again() {
    let mut b = Bench::new(4 << 20);
    let (middle, bottom) = (ROOT + 0x4000, ROOT + 0x5000);
    b.load(SV39X4, 1, ROOT);
    b.set(middle, entry(bottom, pte::V));
    b.set(ROOT, entry(middle, pte::V));
    assert_eq!(b.stores(), [("link", 2, 0)]);
    assert!(b.is_followed(middle) && b.is_followed(bottom));
    b.set(ROOT, entry(0x4000_0000, LEAF));
    assert_eq!(b.stores(), [("collapse", 2, 0)]);
    assert!(!b.is_followed(middle) && !b.is_followed(bottom));
    b.set(bottom, entry(0x1000, LEAF));
    assert!(b.stores().is_empty());
    // And a table again elsewhere, with what was stored meanwhile.
    b.set(ROOT + 8, entry(bottom, pte::V));
    let told = b.told();
    let [Told::Store(store)] = told[..] else { panic!("{told:?}") };
    assert_eq!((store.op, store.entries, store.gpa), (TableOp::Link, Some(1), Gpa(1 << 30)));
    b.set(bottom + 8, entry(0x20_0000, LEAF));
    assert_eq!(b.stores(), [("map", 1, (1 << 30) + (1 << 21))]);
}

#[test]
fn a_pointer_that_names_another_table_takes_its_tree_along() {
    let mut b = Bench::new(4 << 20);
    let (one, two) = (ROOT + 0x4000, ROOT + 0x5000);
    b.set(ROOT, entry(one, pte::V));
    b.load(SV39X4, 1, ROOT);
    b.set(ROOT, entry(two, pte::V));
    assert_eq!(b.stores(), [("change", 2, 0)]);
    assert!(!b.is_followed(one) && b.is_followed(two));
}

#[test]
fn cycles_and_tables_with_two_parents_are_followed_once() {
    let mut b = Bench::new(4 << 20);
    let table = ROOT + 0x4000;
    b.set(ROOT, entry(table, pte::V));
    b.set(ROOT + 8, entry(table, pte::V));
    b.set(table, entry(table, pte::V));
    b.set(table + 8, entry(ROOT, pte::V));
    b.set(table + 16, entry(ROOT + 0x1000, pte::V));
    assert_eq!(found(&b.load(SV39X4, 1, ROOT)), Some((5, 0)));
    // Under the first of its parents; when that goes, it goes.
    b.set(table + 24, entry(0x20_0000, LEAF));
    assert_eq!(b.stores().len(), 1);
    b.set(ROOT, 0);
    assert_eq!(b.stores(), [("unlink", 2, 0)]);
    assert!(!b.is_followed(table) && b.is_followed(ROOT) && b.is_followed(ROOT + 0x1000));
}

#[test]
fn a_page_that_holds_no_entries_any_more_is_let_go() {
    let mut b = Bench::new(4 << 20);
    let table = ROOT + 0x4000;
    b.set(ROOT, entry(table, pte::V));
    b.load(SV39X4, 1, ROOT);
    // An odd one out is told as what it is.
    b.set(table, entry(0x1000, LEAF));
    let [Told::Store(store)] = b.told()[..] else { panic!() };
    assert_eq!((store.op, store.malformed), (TableOp::Change, Some(Reason::MisalignedSuperpage)));
    b.set(table + 8, entry(0x20_0000, LEAF));
    assert_eq!(b.stores(), [("map", 1, 1 << 21)]);
    // Text, kernel addresses, small numbers.
    b.set(table, u64::from_le_bytes(*b"some tex"));
    b.set(table + 8, 0xffff_ffd8_1234_5678);
    assert!(lost(&b.told()).is_empty());
    b.set(table + 16, 0x10);
    assert_eq!(lost(&b.told()), [(table, Lost::Reused)]);
    assert!(!b.is_followed(table) && b.is_followed(ROOT));
    // A root goes with all its pages.
    for number in 0..3 {
        b.set(ROOT + 0x2000 + 8 * number, 0xffff_ffd8_1234_5678);
    }
    assert_eq!(lost(&b.told()), [(ROOT + 0x2000, Lost::Reused)]);
    assert_eq!((b.tables.pages(), b.tables.roots.len()), (0, 0));
    assert!(!b.is_followed(ROOT));
    // Loaded again, it is found again, with the table that it still points to.
    assert_eq!(found(&b.load(SV39X4, 1, ROOT)), Some((5, 0)));
}

#[test]
fn entries_that_are_only_switched_off_are_no_reuse() {
    let mut b = Bench::new(4 << 20);
    b.load(SV39X4, 1, ROOT);
    for number in 0..8 {
        b.set(ROOT + 8 * number, entry(number << 30, LEAF & !pte::V));
    }
    assert!(b.told().is_empty());
    assert!(b.is_followed(ROOT));
}

#[test]
fn a_table_that_is_loaded_as_a_root_is_a_root() {
    let mut b = Bench::new(4 << 20);
    let other = ROOT + 0x4000;
    b.set(ROOT, entry(other, pte::V));
    b.load(SV39X4, 1, ROOT);
    let told = b.load(SV39X4, 2, other);
    assert_eq!((lost(&told), found(&told)), (vec![(other, Lost::Reloaded)], Some((4, 0))));
    // The same root under another MODE is another tree.
    let told = b.load(hgatp::SV48X4, 2, other);
    assert_eq!((lost(&told), found(&told)), (vec![(other, Lost::Reloaded)], Some((4, 0))));
    b.set(other, entry(0, LEAF));
    assert_eq!(b.stores(), [("map", 3, 0)]);
}

#[test]
fn bare_and_roots_outside_memory_are_nothing() {
    let mut b = Bench::new(4 << 20);
    b.load(SV39X4, 1, ROOT);
    assert!(b.load(hgatp::BARE, 1, ROOT).is_empty());
    assert!(b.load(SV39X4, 0x3fff, 0).is_empty());
    assert!(b.load(SV39X4, 1, BASE + (4 << 20) - 0x1000).is_empty());
    assert_eq!(b.tables.pages(), 4);
}

#[test]
fn the_oldest_of_too_many_roots_goes() {
    let mut b = Bench::new(4 << 20);
    let root = |number: u64| BASE + number * 0x4000;
    for number in 0..ROOTS_MAX as u64 {
        assert_eq!(found(&b.load(SV39X4, number, root(number))), Some((4, 0)));
    }
    // The first is in use again, so the second is the one.
    b.load(SV39X4, 0, root(0));
    let told = b.load(SV39X4, 100, root(100));
    assert_eq!(lost(&told), [(root(1), Lost::Evicted)]);
    assert_eq!(b.tables.pages(), 4 * ROOTS_MAX);
    assert!(b.is_followed(root(0)) && !b.is_followed(root(1)));
}

#[test]
fn more_tables_than_are_followed_are_told_once_and_left_out() {
    let mut b = Bench::new(64 << 20);
    let middles = BASE + 0x10_0000;
    let bottoms = BASE + 0x20_0000;
    // 20 tables of 512 tables each.
    for number in 0..20 {
        b.set(BASE + 8 * number, entry(middles + number * 0x1000, pte::V));
        for below in 0..512 {
            let table = bottoms + (number * 512 + below) * 0x1000;
            b.set(middles + number * 0x1000 + 8 * below, entry(table, pte::V));
        }
    }
    let told = b.load(SV39X4, 1, BASE);
    let full = |told: &[Told]| {
        told.iter().filter(|told| matches!(told, Told::News(TablesNews::Full { .. }))).count()
    };
    assert_eq!((found(&told).unwrap().0, full(&told)), (TABLES_MAX, 1));
    b.set(BASE + 8 * 20, entry(BASE + 0x5000, pte::V));
    let told = b.told();
    assert_eq!((told.len(), full(&told), b.tables.pages()), (1, 0, TABLES_MAX));
    b.tables.clear();
    assert!(!b.is_followed(BASE) && !b.is_followed(middles));
}
