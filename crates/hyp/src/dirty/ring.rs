//! A ring of written pages for one vCPU, as `KVM_CAP_DIRTY_LOG_RING` describes it: the vCPU pushes, a
//! reader collects, and a reset makes room again and protects what was collected.

use std::collections::VecDeque;

/// One written page.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RingEntry {
    /// The slot's number.
    pub slot: u32,
    /// The page within the slot.
    pub page: u64,
}

/// What became of a push.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Push {
    /// There is room for more.
    Room,
    /// The vCPU must not run on before a reset: the entry is in, and what may still come in the same exit
    /// has room kept for it.
    SoftFull,
    /// There was no room. The page must be marked elsewhere.
    Full,
}

/// A ring of limited size.
#[derive(Clone, Debug)]
pub struct DirtyRing {
    entries: VecDeque<RingEntry>,
    collected: usize,
    capacity: usize,
}

/// How many entries are kept free when a vCPU is stopped. An exit marks a page or a block.
const RESERVED: usize = 64;

impl DirtyRing {
    /// A ring for `capacity` entries, at least twice what is kept in reserve.
    pub fn new(capacity: usize) -> Self {
        Self { entries: VecDeque::new(), collected: 0, capacity: capacity.max(2 * RESERVED) }
    }

    /// Notes a page.
    pub fn push(&mut self, entry: RingEntry) -> Push {
        if self.entries.len() == self.capacity {
            return Push::Full;
        }
        self.entries.push_back(entry);
        if self.is_soft_full() { Push::SoftFull } else { Push::Room }
    }

    /// Whether the vCPU must wait for a reset.
    pub fn is_soft_full(&self) -> bool {
        self.entries.len() + RESERVED >= self.capacity
    }

    /// The entries that were not collected yet. They stay until a reset.
    pub fn collect(&mut self) -> Vec<RingEntry> {
        let fresh = self.entries.range(self.collected..).copied().collect();
        self.collected = self.entries.len();
        fresh
    }

    /// Forgets what was collected, and returns it: those pages are to be protected again.
    #[must_use = "the pages must be protected again"]
    pub fn reset(&mut self) -> Vec<RingEntry> {
        self.entries.drain(..std::mem::take(&mut self.collected)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(page: u64) -> RingEntry {
        RingEntry { slot: 1, page }
    }

    #[test]
    fn a_reset_frees_only_what_was_collected() {
        let mut ring = DirtyRing::new(256);
        assert_eq!([ring.push(entry(1)), ring.push(entry(2))], [Push::Room; 2]);
        assert_eq!(ring.collect(), [entry(1), entry(2)]);
        assert_eq!(ring.push(entry(3)), Push::Room);
        assert_eq!(ring.reset(), [entry(1), entry(2)]);
        assert_eq!(ring.collect(), [entry(3)]);
    }

    #[test]
    fn it_is_soft_full_before_it_is_full_and_never_grows() {
        let mut ring = DirtyRing::new(128);
        let outcomes: Vec<Push> = (0..130).map(|page| ring.push(entry(page))).collect();
        assert_eq!(outcomes[62..64], [Push::Room, Push::SoftFull]);
        assert_eq!(outcomes[127..], [Push::SoftFull, Push::Full, Push::Full]);
        assert_eq!(ring.collect().len(), 128);
    }
}
