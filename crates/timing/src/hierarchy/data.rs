//! The data cache, and the filter in front of it.

use super::{FILTER_LINES, Hierarchy, NONE};
use crate::outcome::Data;

impl Hierarchy {
    /// Whether the filter knows that the line of a load is in the data cache.
    #[inline]
    pub(super) fn knows_line(&self, marked: u64) -> bool {
        let line = marked >> self.dcache.line_bits();
        self.lines[line as usize % FILTER_LINES] == line
    }

    /// A load of memory.
    pub(super) fn load_data(&mut self, marked: u64, pa: u64) -> Data {
        let lookup = self.dcache.access(pa, false);
        if !lookup.hit {
            self.drop_line(lookup.slot);
            self.ask(pa, false, lookup.evicted);
            self.counting.data_missed(false, lookup.evicted.is_some());
        }
        if self.core.dcache.is_random() {
            let line = marked >> self.dcache.line_bits();
            let index = line as usize % FILTER_LINES;
            let owner = std::mem::replace(&mut self.owners[lookup.slot], index as u32) as usize;
            if owner != index {
                // A line is known under one name.
                self.lines[owner] = NONE;
                self.changed[owner] = NONE;
            }
            self.lines[index] = line;
            self.changed[index] = NONE;
        }
        match (lookup.hit, lookup.evicted) {
            (true, _) => Data::Hit,
            (false, None) => Data::Miss,
            (false, Some(_)) => Data::MissWritten,
        }
    }

    /// A store to memory.
    pub(super) fn store_data(&mut self, marked: u64, pa: u64) -> Data {
        if self.core.store.is_some() {
            // The cache is written through where it holds the line.
            if !self.core.dcache.is_random() {
                self.dcache.probe(pa, false);
            }
            return Data::Hit;
        }
        let lookup = self.dcache.access(pa, true);
        if !lookup.hit {
            self.drop_line(lookup.slot);
            self.ask(pa, false, lookup.evicted);
            self.counting.data_missed(true, lookup.evicted.is_some());
        }
        if self.core.dcache.is_random() {
            let line = marked >> self.dcache.line_bits();
            let index = line as usize % FILTER_LINES;
            let owner = std::mem::replace(&mut self.owners[lookup.slot], index as u32) as usize;
            if owner != index {
                self.lines[owner] = NONE;
                self.changed[owner] = NONE;
            }
            self.lines[index] = line;
            self.changed[index] = line;
        }
        match (lookup.hit, lookup.evicted) {
            (true, _) => Data::Hit,
            (false, None) => Data::Miss,
            (false, Some(_)) => Data::MissWritten,
        }
    }

    /// An atomic was made by the memory at `pa`: the data cache gives up the set in which its line would be.
    pub(super) fn lose_set(&mut self, pa: u64) {
        if self.core.atomic.clears_set {
            for slot in self.dcache.clear_set(pa) {
                self.drop_line(slot);
            }
        }
    }

    /// Another line came into this place of the data cache.
    pub(super) fn drop_line(&mut self, slot: usize) {
        let owner = self.owners[slot] as usize;
        self.lines[owner] = NONE;
        self.changed[owner] = NONE;
    }

    /// Addresses may mean something else from now on.
    pub(super) fn forget_filters(&mut self) {
        self.lines.fill(NONE);
        self.changed.fill(NONE);
        self.pages.fill((NONE, 0));
        self.last_place = u32::MAX;
    }
}
