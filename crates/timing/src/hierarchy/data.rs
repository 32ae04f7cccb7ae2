//! The data cache.

use super::Hierarchy;
use crate::cache::Lookup;
use crate::outcome::Data;

impl Hierarchy {
    /// A load of memory.
    pub(super) fn load_data(&mut self, marked: u64, pa: u64) -> Data {
        let lookup = self.dcache.access(pa, false);
        self.found(&lookup, pa, false);
        self.filter.has_line(lookup.slot, marked, false);
        data_of(&lookup)
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
        self.found(&lookup, pa, true);
        self.filter.has_line(lookup.slot, marked, true);
        data_of(&lookup)
    }

    /// What else a look-up leads to.
    fn found(&mut self, lookup: &Lookup, pa: u64, store: bool) {
        if !lookup.hit {
            self.filter.drop_line(lookup.slot);
            self.ask(pa, false, lookup.evicted);
            self.counting.data_missed(store, lookup.evicted.is_some());
        }
    }

    /// An atomic was made by the memory at `pa`: the data cache gives up the set in which its line would be.
    pub(super) fn lose_set(&mut self, pa: u64) {
        if self.core.atomic.clears_set {
            for slot in self.dcache.clear_set(pa) {
                self.filter.drop_line(slot);
            }
        }
    }
}

fn data_of(lookup: &Lookup) -> Data {
    match (lookup.hit, lookup.evicted) {
        (true, _) => Data::Hit,
        (false, None) => Data::Miss,
        (false, Some(_)) => Data::MissWritten,
    }
}
