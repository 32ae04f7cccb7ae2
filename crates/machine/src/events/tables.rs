//! Which pages serve as G-stage tables, and what is stored to them.
//!
//! A tree of tables becomes known when its root is written to `hgatp`, the moment from which hardware may read it,
//! and is followed from there: a pointer that is stored makes a page a table, one that goes makes it memory again.
//! Of every table page a copy is kept, so that whatever wrote, and however many bytes, each entry's change is seen
//! once, old and new. A page that several pointers name is a table under the first of them alone. What lies beyond
//! the bounds is left out, and that is told.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use isa::field::{get, hgatp};
use isa::{Gpa, PAGE_BITS, PAGE_BYTES, Pa};
use mmu::{PageClass, Ram, Reason, TableWrite};

use super::entry::{Entry, LEVEL_BITS, TableOp, form, maps_frames_of, shift};

/// Entries of a page.
const ENTRIES: usize = 512;
const PTE_BYTES: u64 = 8;
/// A G-stage root is four pages long.
const ROOT_PAGES: u64 = 4;
/// Table pages that are known at most: with 4 KiB leaves, they map 16 GiB.
const TABLES_MAX: usize = 8192;
/// Roots that are known at most; then the one whose last load is longest ago goes.
const ROOTS_MAX: usize = 64;
/// After so many stores in a row of what can be no entry, a page is a table no more: somebody uses it for
/// something else.
const STRANGE_STORES: u8 = 3;

/// A mode of `hgatp` that translates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scheme {
    levels: u8,
}

impl Scheme {
    /// The scheme in a value of `hgatp`; `None` for Bare.
    pub fn of(value: u64) -> Option<Self> {
        let levels = match get(value, hgatp::MODE) {
            hgatp::SV39X4 => 3,
            hgatp::SV48X4 => 4,
            hgatp::SV57X4 => 5,
            _ => return None,
        };
        Some(Self { levels })
    }

    /// The manual's name.
    pub const fn name(self) -> &'static str {
        match self.levels {
            3 => "Sv39x4",
            4 => "Sv48x4",
            _ => "Sv57x4",
        }
    }
}

/// A store to a G-stage table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableStore {
    /// What it did.
    pub op: TableOp,
    /// The first guest physical address that the entry translates.
    pub gpa: Gpa,
    /// The entry's level, 0 for 4 KiB pages.
    pub level: u8,
    /// The VMID under which the root was loaded last.
    pub vmid: u16,
    /// The root's address.
    pub root: Pa,
    /// The root's scheme.
    pub scheme: Scheme,
    /// The entry's address.
    pub pte_at: Pa,
    /// What it held.
    pub old: u64,
    /// What it holds.
    pub new: u64,
    /// Of the table that a pointer came or went to: how many of its entries are valid.
    pub entries: Option<u16>,
    /// Where a leaf and a table took each other's place: whether both map the same frames.
    pub same_frames: Option<bool>,
    /// Why no walk can use the new entry.
    pub malformed: Option<Reason>,
}

/// What the observer of the tables itself has to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TablesNews {
    /// A root was loaded for the first time: its tree is followed from now on.
    Found {
        /// The root's address.
        root: Pa,
        /// Its scheme.
        scheme: Scheme,
        /// The pages of its tables.
        tables: usize,
        /// The leaves in them.
        leaves: u64,
    },
    /// Table pages are followed no more.
    Lost {
        /// The page, with those below it.
        page: Pa,
        /// The root of its tree.
        root: Pa,
        /// Why.
        why: Lost,
    },
    /// There are more table pages than are followed: this one and what is below it are left out. Told once.
    Full {
        /// The page.
        page: Pa,
    },
}

/// Why tables are followed no more, although no pointer to them went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// What was stored there can be no entries.
    Reused,
    /// It was loaded as a root, in another place or scheme than before.
    Reloaded,
    /// There were too many roots, and this one was not loaded for longest.
    Evicted,
}

/// Either of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    Store(TableStore),
    News(TablesNews),
}

#[derive(Clone, Copy, Debug)]
struct Root {
    scheme: Scheme,
    vmid: u16,
    /// The number of the load, to know which is longest ago.
    loaded: u64,
}

#[derive(Debug)]
struct Table {
    root: u64,
    /// The first address that its first entry translates.
    gpa: u64,
    level: u8,
    /// The page and the number of the entry that points here; `None` for the pages of a root.
    parent: Option<(u64, usize)>,
    strange: u8,
    entries: Box<[u64; ENTRIES]>,
}

/// A page to be followed.
#[derive(Clone, Copy)]
struct Candidate {
    page: u64,
    gpa: u64,
    level: u8,
    parent: Option<(u64, usize)>,
}

/// The tables that are known, by page and by root.
pub(super) struct Tables {
    ram: Arc<Ram>,
    tables: HashMap<u64, Table>,
    roots: BTreeMap<u64, Root>,
    loads: u64,
    full_told: bool,
    writes: Vec<TableWrite>,
}

impl Tables {
    pub(super) fn new(ram: Arc<Ram>) -> Self {
        Self {
            ram,
            tables: HashMap::new(),
            roots: BTreeMap::new(),
            loads: 0,
            full_told: false,
            writes: Vec::new(),
        }
    }

    /// How many pages are followed.
    pub(super) fn pages(&self) -> usize {
        self.tables.len()
    }

    /// Memory was loaded anew: nothing is known.
    pub(super) fn clear(&mut self) {
        for page in self.tables.keys() {
            self.ram.unwatch(Pa(*page), PageClass::Table);
        }
        self.tables.clear();
        self.roots.clear();
    }

    /// `hgatp` was written.
    pub(super) fn root_written(&mut self, value: u64, tell: &mut dyn FnMut(Told)) {
        let Some(scheme) = Scheme::of(value) else { return };
        let root = get(value, hgatp::PPN) << PAGE_BITS;
        if !self.ram.contains(Pa(root), ROOT_PAGES * PAGE_BYTES) {
            return;
        }
        let vmid = get(value, hgatp::VMID) as u16;
        self.loads += 1;
        let loaded = self.loads;
        if let Some(known) = self.roots.get_mut(&root)
            && known.scheme == scheme
        {
            (known.vmid, known.loaded) = (vmid, loaded);
            return;
        }
        let pages = (0..ROOT_PAGES).map(|number| root + number * PAGE_BYTES);
        // What was known of these pages is no longer so.
        for page in pages.clone() {
            if self.tables.contains_key(&page) {
                self.lose(page, Lost::Reloaded, tell);
            }
        }
        if self.roots.len() == ROOTS_MAX {
            let oldest = self.roots.iter().min_by_key(|(_, root)| root.loaded);
            if let Some((&oldest, _)) = oldest {
                self.lose(oldest, Lost::Evicted, tell);
            }
        }
        self.roots.insert(root, Root { scheme, vmid, loaded });
        let level = scheme.levels - 1;
        let before = self.tables.len();
        let candidate = |(page, number): (u64, u64)| {
            let gpa = number << (shift(level) + LEVEL_BITS);
            Candidate { page, gpa, level, parent: None }
        };
        let leaves = self.adopt(root, pages.zip(0..).map(candidate), tell);
        let tables = self.tables.len() - before;
        tell(Told::News(TablesNews::Found { root: Pa(root), scheme, tables, leaves }));
    }

    /// Follows pages and everything below them; says how many leaves there are.
    fn adopt(
        &mut self,
        root: u64,
        first: impl IntoIterator<Item = Candidate>,
        tell: &mut dyn FnMut(Told),
    ) -> u64 {
        let mut leaves = 0;
        let mut left = Vec::new();
        for candidate in first {
            left.extend(self.claim(root, candidate, tell));
        }
        while let Some(page) = left.pop() {
            let Some(&Table { gpa, level, ref entries, .. }) = self.tables.get(&page) else {
                continue;
            };
            let mut below = Vec::new();
            for (number, &entry) in entries.iter().enumerate() {
                match Entry::of(entry, level) {
                    Entry::Leaf => leaves += 1,
                    // A pointer has a level below it.
                    Entry::Pointer(to) => below.push(Candidate {
                        page: to,
                        gpa: gpa + ((number as u64) << shift(level)),
                        level: level - 1,
                        parent: Some((page, number)),
                    }),
                    Entry::Absent | Entry::Malformed(_) => {}
                }
            }
            for candidate in below {
                left.extend(self.claim(root, candidate, tell));
            }
        }
        leaves
    }

    /// Follows one page, unless it is followed already, is not there or one too many; returns it if so.
    fn claim(
        &mut self,
        root: u64,
        candidate: Candidate,
        tell: &mut dyn FnMut(Told),
    ) -> Option<u64> {
        let Candidate { page, gpa, level, parent } = candidate;
        if self.tables.contains_key(&page) {
            return None;
        }
        let entries = self.read(page)?;
        if self.tables.len() >= TABLES_MAX {
            if !std::mem::replace(&mut self.full_told, true) {
                tell(Told::News(TablesNews::Full { page: Pa(page) }));
            }
            return None;
        }
        self.ram.watch(Pa(page), PageClass::Table);
        self.tables.insert(page, Table { root, gpa, level, parent, strange: 0, entries });
        Some(page)
    }

    fn read(&self, page: u64) -> Option<Box<[u64; ENTRIES]>> {
        let mut bytes = [0; PAGE_BYTES as usize];
        self.ram.read_bytes(Pa(page), &mut bytes).ok()?;
        let mut entries = Box::new([0; ENTRIES]);
        for (entry, bytes) in entries.iter_mut().zip(bytes.as_chunks().0) {
            *entry = u64::from_le_bytes(*bytes);
        }
        Some(entries)
    }

    /// Forgets a page and what is below it.
    fn forget(&mut self, page: u64) {
        let mut left = vec![page];
        while let Some(page) = left.pop() {
            let Some(table) = self.tables.remove(&page) else { continue };
            self.ram.unwatch(Pa(page), PageClass::Table);
            for (number, &entry) in table.entries.iter().enumerate() {
                if let Entry::Pointer(below) = Entry::of(entry, table.level)
                    && self.is_child(below, page, number)
                {
                    left.push(below);
                }
            }
        }
    }

    fn is_child(&self, below: u64, page: u64, number: usize) -> bool {
        self.tables.get(&below).is_some_and(|table| table.parent == Some((page, number)))
    }

    /// Forgets a page for a reason that is told, and with a page of a root its whole tree.
    fn lose(&mut self, page: u64, why: Lost, tell: &mut dyn FnMut(Told)) {
        let root = match self.tables.get(&page) {
            Some(table) if table.parent.is_some() => {
                let root = table.root;
                self.forget(page);
                root
            }
            table => {
                let root = table.map_or(page, |table| table.root);
                for number in 0..ROOT_PAGES {
                    let page = root + number * PAGE_BYTES;
                    if self.tables.get(&page).is_some_and(|table| table.root == root) {
                        self.forget(page);
                    }
                }
                self.roots.remove(&root);
                root
            }
        };
        tell(Told::News(TablesNews::Lost { page: Pa(page), root: Pa(root), why }));
    }

    /// Looks at what was written to table pages since the last call.
    pub(super) fn follow_writes(&mut self, tell: &mut dyn FnMut(Told)) {
        let mut writes = std::mem::take(&mut self.writes);
        if !self.ram.fetch_table_writes(&mut writes) {
            // More than RAM remembers: look everywhere.
            let mut pages: Vec<u64> = self.tables.keys().copied().collect();
            pages.sort_unstable();
            writes.clear();
            writes.extend(
                pages.into_iter().map(|page| TableWrite { pa: Pa(page), bytes: PAGE_BYTES }),
            );
        }
        for write in writes.drain(..) {
            let page = write.pa.page().0;
            let first = write.pa.offset() / PTE_BYTES;
            let last = (write.pa.offset() + write.bytes.max(1) - 1) / PTE_BYTES;
            for number in first..=last.min(ENTRIES as u64 - 1) {
                self.follow_entry(page, number as usize, tell);
            }
        }
        self.writes = writes;
    }

    fn follow_entry(&mut self, page: u64, number: usize, tell: &mut dyn FnMut(Told)) {
        let pte_at = Pa(page + number as u64 * PTE_BYTES);
        let Some(new) = self.ram.read::<u64>(pte_at) else { return };
        let Some(table) = self.tables.get_mut(&page) else { return };
        let old = std::mem::replace(&mut table.entries[number], new);
        if old == new {
            return;
        }
        let (root, level) = (table.root, table.level);
        let gpa = table.gpa + ((number as u64) << shift(level));
        let is_pointer_outside = matches!(Entry::of(new | 1, level), Entry::Pointer(to) if !self.ram.contains(Pa(to), PAGE_BYTES));
        let strange = new != 0 && (is_pointer_outside || form(new, level).is_err());
        table.strange = if strange { table.strange + 1 } else { 0 };
        let is_lost = table.strange >= STRANGE_STORES;

        let (mut entries, mut same_frames) = (None, None);
        let mut child = |this: &Self, below: u64, leaf: u64| {
            let known = this.tables.get(&below).map(|table| *table.entries);
            let Some(table) = known.or_else(|| this.read(below).map(|table| *table)) else {
                return;
            };
            let valid = table.iter().filter(|&&entry| entry & isa::pte::V != 0).count();
            entries = u16::try_from(valid).ok();
            if Entry::of(leaf, level) == Entry::Leaf {
                same_frames = Some(maps_frames_of(leaf, level, &table));
            }
        };
        match (Entry::of(old, level), Entry::of(new, level)) {
            (_, Entry::Pointer(below)) => child(self, below, old),
            (Entry::Pointer(below), _) => child(self, below, new),
            _ => {}
        }
        if let Entry::Pointer(below) = Entry::of(old, level)
            && self.is_child(below, page, number)
        {
            self.forget(below);
        }
        if let Entry::Pointer(below) = Entry::of(new, level) {
            let parent = Some((page, number));
            self.adopt(root, [Candidate { page: below, gpa, level: level - 1, parent }], tell);
        }
        let op = TableOp::of(old, new, level, same_frames == Some(true));
        if let (Some(op), Some(&Root { scheme, vmid, .. })) = (op, self.roots.get(&root)) {
            let malformed = match Entry::of(new, level) {
                Entry::Malformed(reason) => Some(reason),
                Entry::Pointer(_) if is_pointer_outside => Some(Reason::Pma),
                _ => None,
            };
            tell(Told::Store(TableStore {
                op,
                gpa: Gpa(gpa),
                level,
                vmid,
                root: Pa(root),
                scheme,
                pte_at,
                old,
                new,
                entries,
                same_frames,
                malformed,
            }));
        }
        if is_lost && self.tables.contains_key(&page) {
            self.lose(page, Lost::Reused, tell);
        }
    }
}

#[cfg(test)]
mod tests;
