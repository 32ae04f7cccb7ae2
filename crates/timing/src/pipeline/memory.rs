//! Accesses to memory as the pipeline sees them: when each begins, when its result is there, and what it keeps busy.

use super::{Pipeline, following};
use crate::item::Item;
use crate::outcome::{Data, Outcome};
use crate::stores::Behind;
use crate::work::Unit;

impl Pipeline {
    pub(super) fn load(&mut self, item: &Item, outcome: &Outcome, at: u64) -> u64 {
        let params = self.core.load;
        if outcome.data == Data::Unknown {
            return at + params.hit;
        }
        // Where an access waits in front of a busy cache, it is translated meanwhile.
        let begins = self.begins(at);
        let mut start = match params.reissues {
            true => self.translate(outcome, begins.max(self.cache_free)),
            false => self.translate(outcome, begins).max(self.cache_free),
        };
        let done = match outcome.data {
            Data::Nowhere | Data::Unknown => start + 1,
            Data::Device => {
                let memory = if params.device_latency { self.latency } else { 0 };
                let done = start + params.device + memory;
                self.cache_free = done;
                done
            }
            Data::Hit | Data::Miss | Data::MissWritten => {
                start = match &self.stores {
                    Some(stores) => stores.clear_of(outcome.behind, start),
                    None => self.undrained.load(outcome.behind, start, params.after_store),
                };
                if let Some(stores) = &mut self.stores
                    && outcome.data != Data::Hit
                {
                    // The memory is asked for the line in the cycle behind that in which a hit would be there.
                    let asks = params.hit + 1;
                    let free = stores.unsent(outcome.beside, start + asks);
                    start = stores.readable(free) - asks;
                }
                let served = self.touch(outcome, start);
                let narrow = item.work.unit == Unit::LoadNarrow;
                let float = item.work.target >= 32;
                let extra = if float { self.core.float.load_extra } else { 0 };
                let hit = if narrow { params.narrow } else { params.hit };
                let hit = self.core.float.load.filter(|_| float).unwrap_or(hit) + extra;
                if params.reissues {
                    start = served;
                    start + hit
                } else if outcome.data == Data::Hit {
                    start + hit
                } else {
                    start + params.miss + self.latency + u64::from(outcome.beyond)
                }
            }
        };
        self.loads[self.next_load] = start;
        self.next_load = following(self.next_load, self.loads.len());
        self.accesses.begin(at, start);
        self.reissued(start);
        self.accessed = start;
        done
    }

    /// When an access that issues at `at` can begin, for those before it.
    fn begins(&self, at: u64) -> u64 {
        if self.core.load.in_order { self.accesses.begins(at) } else { at }
    }

    /// A miss keeps the data cache busy: says until when, for an access at `start`.
    fn touch(&mut self, outcome: &Outcome, start: u64) -> u64 {
        let data = outcome.data;
        let load = &self.core.load;
        let written = if data == Data::MissWritten { load.write_back } else { 0 };
        if !matches!(data, Data::Miss | Data::MissWritten) {
            return start;
        }
        let busy = if load.reissues { load.miss } else { load.busy };
        self.cache_free = start + busy + self.latency + u64::from(outcome.beyond) + written;
        self.cache_free
    }

    /// An access was served at `cycle`: where it issues again for that, it does so then.
    fn reissued(&mut self, cycle: u64) {
        if self.core.load.reissues && cycle > self.issued {
            self.issued = cycle;
            // It was fetched again, and what is behind it.
            self.fetched = self.fetched.max(cycle);
            self.group.close();
        }
    }

    /// Says when it commits.
    pub(super) fn store(&mut self, outcome: &Outcome, at: u64) -> u64 {
        let through = self.stores.is_some();
        let start = self.begins(at);
        let start = if through { start } else { start.max(self.cache_free) };
        let mut start = match outcome.data {
            Data::Unknown => return at,
            _ => self.translate(outcome, start),
        };
        match (&mut self.stores, outcome.data) {
            (_, Data::Nowhere | Data::Unknown) => {}
            (_, Data::Device) => {
                if self.core.load.device_store != 0 {
                    self.cache_free = start + self.core.load.device_store;
                }
            }
            (Some(stores), _) => {
                start = stores.room(start);
                self.accesses.begin(at, start);
                let bytes = if outcome.bytes == [0; 2] { [0xff; 2] } else { outcome.bytes };
                let behind = Behind { stores: outcome.behind, bytes };
                return stores.store(behind, start, self.last_commit);
            }
            (None, _) => {
                let served = self.touch(outcome, start);
                if self.core.load.reissues {
                    start = served;
                }
                self.undrained.store(start);
            }
        }
        self.reissued(start);
        self.accessed = start;
        start
    }

    pub(super) fn atomic(&mut self, item: &Item, outcome: &Outcome, at: u64) -> u64 {
        let unit = item.work.unit;
        let params = self.core.atomic;
        let mut start = at.max(self.cache_free);
        if outcome.data != Data::Unknown {
            start = self.translate(outcome, start);
        }
        let cycles = match unit {
            Unit::LoadReserved => params.load_reserved,
            Unit::StoreConditional => params.store_conditional,
            _ => params.amo,
        };
        if params.in_memory {
            let done = self.written(start) + cycles + self.latency;
            self.refetch(done);
            return done;
        }
        if self.stores.is_some() {
            let done = self.touch(outcome, start) + cycles;
            self.refetch(done);
            return done;
        }
        // A load and a store in the cache.
        if unit != Unit::StoreConditional {
            start = self.undrained.load(outcome.behind, start, self.core.load.after_store);
        }
        start = self.touch(outcome, start);
        if unit != Unit::LoadReserved {
            // What it stores is made a cycle later.
            self.undrained.store(start + 1);
        }
        self.reissued(start);
        self.accessed = start;
        if item.work.ordered[0] {
            self.order();
        }
        start + cycles
    }

    /// Translates a data access that begins at `start`; says when it can go on.
    fn translate(&mut self, outcome: &Outcome, start: u64) -> u64 {
        let start = start.max(self.translator_free);
        if outcome.walk == 0 {
            return start;
        }
        let done = self.walked(start, outcome.walk);
        // Nothing passes an access that waits for its translation.
        self.translator_free = done + self.core.translation.replay;
        self.reissued(done);
        done
    }

    /// Walks, from `start` or when the walker is free; says when it is over.
    pub(super) fn walked(&mut self, start: u64, cycles: u32) -> u64 {
        self.held.walks_behind_fences += std::mem::take(&mut self.fence_ends).saturating_sub(start);
        self.walker_free = start.max(self.walker_free) + u64::from(cycles);
        self.walker_free
    }

    /// From when an instruction that issues at `at` and commits once earlier stores are written is not held up by them any more.
    pub(super) fn written(&self, at: u64) -> u64 {
        self.stores.as_ref().map_or(at, |stores| stores.drained(at))
    }
}
