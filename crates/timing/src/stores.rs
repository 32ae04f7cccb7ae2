//! The way of stores to memory in a core with a write-through data cache: a queue behind commit, then a
//! buffer of words that merges what is stored to the same word and writes it out, so many at a time.

use crate::pipeline::Visitor;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How the way is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreParams {
    /// Stores that were made and have not committed.
    pub speculative: usize,
    /// Stores that have committed and not reached the write buffer.
    pub committed: usize,
    /// Cycles from issue until a store is in the write buffer, where nothing is in its way.
    pub latency: u64,
    /// Words of 8 bytes in the write buffer.
    pub words: usize,
    /// Writes under way at the same time.
    pub outstanding: usize,
    /// Cycles of a write beyond the memory's latency.
    pub overhead: u64,
}

/// The last store to a store's word.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Behind {
    /// So many stores ago it was, 0 for none.
    pub(crate) stores: u16,
    /// The bytes of the word that it was made to, and those that this one is made to.
    pub(crate) bytes: [u8; 2],
}

/// Cycles from the latency of the memory until a write is known to be answered, where a read can take its place.
const ANSWERED: u64 = 1;

/// Cycles from issue until a store is written back, and commits in the next.
const COMMIT: u64 = 2;

/// A word in the buffer.
#[derive(Clone, Copy, Debug)]
struct Word {
    /// The number of the last store to it.
    store: u64,
    /// Its bytes that are to be written; where one store alone made them, all stand for those.
    dirty: u8,
    /// One store alone was made to it.
    lone: bool,
    /// Some of it is under way, or was.
    sent: bool,
    /// When the next part can be sent, or the word leaves.
    free: u64,
}

/// Stores on their way, with the cycles at which they get on. It knows no addresses: with each access it is told how many
/// stores ago one was made to the same word.
#[derive(Clone, Debug)]
pub(crate) struct StoreBuffer {
    params: StoreParams,
    round_trip: u64,
    /// How many stores there were.
    count: u64,
    /// When each store in the queues leaves them for the buffer.
    queue: VecDeque<u64>,
    /// When each of the last stores commits, the oldest first.
    commits: VecDeque<u64>,
    /// Words in the order in which they come up for writing, if there is something to write.
    words: Vec<Word>,
    last_drain: u64,
    last_begin: u64,
}

impl StoreBuffer {
    /// A buffer on a memory of this latency.
    pub(crate) fn new(params: StoreParams, memory_latency: u64) -> Self {
        Self {
            params,
            round_trip: memory_latency + params.overhead,
            count: 0,
            queue: VecDeque::new(),
            commits: std::iter::repeat_n(0, params.speculative).collect(),
            words: Vec::new(),
            last_drain: 0,
            last_begin: 0,
        }
    }

    /// Goes through everything that matters to what issues after `now`.
    pub(crate) fn visit(&mut self, now: u64, visitor: &mut impl Visitor) {
        let soon = now + 1;
        // No store enters the buffer sooner.
        let entry = soon + self.params.latency;
        self.forget(soon);
        self.advance(soon);
        let mut queued = self.queue.len() as u64;
        visitor.number(&mut queued);
        self.queue.resize(queued as usize, 0);
        for leaves in &mut self.queue {
            visitor.time(leaves, soon);
        }
        for commits in &mut self.commits {
            visitor.time(commits, soon);
        }
        let mut held = self.words.len() as u64;
        visitor.number(&mut held);
        let blank = Word { store: 0, dirty: 0, lone: false, sent: false, free: 0 };
        self.words.resize(held as usize, blank);
        for word in &mut self.words {
            let behind = self.count.wrapping_sub(word.store) & 0xffff;
            let mut number = behind
                | u64::from(word.dirty) << 16
                | u64::from(word.lone) << 24
                | u64::from(word.sent) << 25;
            visitor.number(&mut number);
            word.store = self.count.wrapping_sub(number & 0xffff);
            word.dirty = (number >> 16) as u8;
            (word.lone, word.sent) = (number >> 24 & 1 != 0, number >> 25 & 1 != 0);
            visitor.time(&mut word.free, soon);
        }
        visitor.time(&mut self.last_drain, entry - 1);
        visitor.time(&mut self.last_begin, soon);
    }

    /// How many stores are in the queue.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// How many of the last stores include one to each word in the buffer.
    pub(crate) fn reach(&self) -> usize {
        let reaches = self.words.iter().map(|word| self.count.wrapping_sub(word.store) + 1);
        reaches.max().unwrap_or(0) as usize
    }

    /// The cycle from which a line can be asked for, at `now` or later: not while as many writes as there may be have not been
    /// answered.
    pub(crate) fn readable(&mut self, now: u64) -> u64 {
        self.advance(now);
        let since = self.params.overhead.saturating_sub(ANSWERED);
        let answers = self.words.iter().filter(|word| word.sent).map(|word| word.free - since);
        let (count, first) = answers
            .filter(|&answered| answered > now)
            .fold((0, u64::MAX), |(count, first), answered| (count + 1, answered.min(first)));
        if count >= self.params.outstanding { first } else { now }
    }

    /// The cycle from which no write of a word is under way to which a store was made so many stores ago, 0 for none: its line is
    /// not asked for before. What has not been sent by then waits.
    pub(crate) fn unsent(&mut self, ago: u16, now: u64) -> u64 {
        if ago == 0 {
            return now;
        }
        self.advance(now);
        let store = (self.count + 1).wrapping_sub(ago.into());
        let begun = |word: &Word| word.sent && word.free <= now + self.round_trip;
        let word = self.words.iter().find(|word| word.store == store && begun(word));
        word.map_or(now, |word| word.free.max(now))
    }

    /// The first cycle in which a store that could be made at `now` is: one that finds no place waits for it, and a cycle longer.
    pub(crate) fn room(&mut self, now: u64) -> u64 {
        self.forget(now);
        match self.commits.front() {
            Some(&commits) if commits > now => commits + 1,
            _ => now,
        }
    }

    /// A store is made at `now`, and nothing else commits after `last_commit`. Says when it commits.
    pub(crate) fn store(&mut self, behind: Behind, now: u64, last_commit: u64) -> u64 {
        // One at a time commits, if there is a place behind.
        let mut commits = (now + COMMIT).max(last_commit + 1);
        let before = self.queue.len().checked_sub(self.params.committed);
        if let Some(&leaves) = before.and_then(|i| self.queue.get(i)) {
            commits = commits.max(leaves - 1);
        }
        self.commits.pop_front();
        self.commits.push_back(commits);
        let at = (commits + self.params.latency.saturating_sub(COMMIT)).max(self.last_drain + 1);
        self.count = self.count.wrapping_add(1);
        let drain = self.enter(behind, at);
        self.last_drain = drain;
        self.queue.push_back(drain);
        commits
    }

    /// The cycle from which a load sees no store in the queue that it could depend on, where so many stores ago one was made to
    /// a word that the queue cannot tell from the load's: it compares page offsets.
    pub(crate) fn clear_of(&self, behind: u16, now: u64) -> u64 {
        let last = self.queue.len().checked_sub(usize::from(behind)).filter(|_| behind != 0);
        // Those before it leave earlier. What looks in the cycle before it leaves, when it executes, goes on.
        let leaves = last.and_then(|i| self.queue.get(i)).copied().unwrap_or(0);
        if now + 1 < leaves { leaves } else { now }
    }

    /// From when an instruction that issues at `now` does not find anything left to be written at its commit.
    pub(crate) fn drained(&self, now: u64) -> u64 {
        let queued = self.queue.back().map_or(0, |&leaves| leaves);
        let mut rest = self.clone();
        let mut written = 0;
        while !rest.words.is_empty() {
            written = rest.next_event().max(written);
            rest.advance(written);
        }
        // A word is gone a cycle before another write can take the place of its own.
        written.saturating_sub(1).max(queued).saturating_sub(COMMIT).max(now)
    }

    /// Puts a word into the write buffer at `at` or later: says when.
    fn enter(&mut self, behind: Behind, at: u64) -> u64 {
        self.advance(at);
        let Behind { stores, bytes: [before, now] } = behind;
        let store = self.count;
        let same = |held: &Word| stores != 0 && store.wrapping_sub(held.store) == u64::from(stores);
        if let Some(word) = self.words.iter_mut().find(|held| same(held)) {
            // Not on its way yet: it goes along. Else it is written once more.
            if word.lone && word.dirty != 0 {
                word.dirty = before;
            }
            word.dirty |= now;
            (word.store, word.lone) = (store, false);
            return at;
        }
        let mut at = at;
        while self.words.len() >= self.params.words {
            at = at.max(self.next_event());
            self.advance(at);
        }
        let word = Word { store, dirty: 0xff, lone: true, sent: false, free: at + 1 };
        self.words.push(word);
        at
    }

    /// When the next part of a word is sent, or the next word leaves.
    fn next_event(&self) -> u64 {
        let leaves = self.words.iter().filter(|word| word.dirty == 0).map(|word| word.free).min();
        leaves.unwrap_or(u64::MAX).min(self.next_begin())
    }

    /// When the next part of a word is sent: never, if nothing is to be.
    fn next_begin(&self) -> u64 {
        let ready = self.words.iter().filter(|word| word.dirty != 0).map(|word| word.free).min();
        let Some(ready) = ready else { return u64::MAX };
        let begins = ready.max(self.last_begin + 1);
        let under_way = || self.words.iter().filter(|word| word.sent && word.free > begins);
        if under_way().count() < self.params.outstanding.max(1) {
            return begins;
        }
        under_way().map(|word| word.free).min().unwrap_or(begins)
    }

    /// Lets pass the time until `now`.
    fn advance(&mut self, now: u64) {
        loop {
            let begins = self.next_begin();
            if begins > now {
                break;
            }
            let next = self.words.iter().position(|word| word.dirty != 0 && word.free <= begins);
            let Some(next) = next else { break };
            let mut word = self.words.remove(next);
            word.dirty &= !part(word.dirty);
            (word.sent, word.free) = (true, begins + self.round_trip);
            self.last_begin = begins;
            self.words.retain(|word| word.dirty != 0 || word.free > begins);
            self.words.push(word);
        }
        self.words.retain(|word| word.dirty != 0 || word.free > now);
    }

    fn forget(&mut self, now: u64) {
        while self.queue.front().is_some_and(|&leaves| leaves <= now) {
            self.queue.pop_front();
        }
    }
}

/// What is written at once of a word with these bytes to be written: aligned ones of a power of two in number if that is all, else the
/// lowest one.
fn part(dirty: u8) -> u8 {
    match dirty {
        0xff | 0xf0 | 0x0f | 0xc0 | 0x30 | 0x0c | 0x03 => dirty,
        _ => dirty & dirty.wrapping_neg(),
    }
}

/// The last stores of a core whose stores go to the data cache: each is put there in the first cycle in which no load wants
/// it, and a load that comes before that and needs its bytes has to come again. It knows no addresses either.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Undrained {
    /// For the one before the last, and the last: loads have issued in every cycle up to this one since it could have been put
    /// away.
    kept_until: [u64; 2],
}

impl Undrained {
    /// How many stores there are room for.
    pub(crate) const STORES: usize = 2;

    /// Goes through everything that matters to what issues after `now`.
    pub(crate) fn visit(&mut self, now: u64, visitor: &mut impl Visitor) {
        for kept_until in &mut self.kept_until {
            visitor.time(kept_until, now.saturating_sub(1));
        }
    }

    /// How many of the last stores a load that issues after `now` can still meet.
    pub(crate) fn pending(&self, now: u64) -> usize {
        let oldest = self.kept_until.iter().position(|&kept_until| kept_until >= now);
        oldest.map_or(0, |place| Self::STORES - place)
    }

    /// A store issues at `now`.
    pub(crate) fn store(&mut self, now: u64) {
        self.kept_until = [self.kept_until[1], now + 1];
    }

    /// A load issues at `now`, and so many stores ago one was made to its bytes, 0 for none: when it is served, `again` later
    /// where it has to come again.
    pub(crate) fn load(&mut self, behind: u16, now: u64, again: u64) -> u64 {
        let mut conflict = false;
        for (place, kept_until) in self.kept_until.iter_mut().enumerate() {
            if now <= *kept_until + 1 {
                *kept_until = now.max(*kept_until);
                conflict |= behind != 0 && place + usize::from(behind) == Self::STORES;
            }
        }
        if conflict { now + again } else { now }
    }
}

/// The bytes of a word that an access of `size` bytes at `address` touches.
pub(crate) fn bytes_of(address: u64, size: u8) -> u8 {
    let mask = if size >= 8 { 0xff } else { (1u8 << size) - 1 };
    mask << (address & 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: StoreParams = StoreParams {
        speculative: 4,
        committed: 4,
        latency: 4,
        words: 8,
        outstanding: 4,
        overhead: 4,
    };

    /// The cycle at which the last of `count` stores issues, one a cycle at most.
    fn issue(buffer: &mut StoreBuffer, count: u64, behind: u16) -> u64 {
        let mut now = 0;
        for _ in 0..count {
            now = buffer.room(now + 1);
            buffer.store(Behind { stores: behind, bytes: [0xff; 2] }, now, 0);
        }
        now
    }

    #[test]
    fn a_long_row_of_stores_runs_at_the_rate_of_the_writers() {
        for latency in [10, 60] {
            let cycles = issue(&mut StoreBuffer::new(PARAMS, latency), 1000, 0);
            let expected = 1000 * (latency + 4) / 4;
            assert!(cycles.abs_diff(expected) < expected / 20, "{cycles} for {expected}");
        }
    }

    #[test]
    fn a_line_is_not_read_while_it_is_written() {
        let mut buffer = StoreBuffer::new(PARAMS, 60);
        buffer.store(Behind::default(), 0, 0);
        buffer.store(Behind::default(), 1, 0);
        // They are sent at 5 and 6 for 64 cycles (tx_rdwr_collision of wt_dcache_missunit): before that nothing is in the way.
        assert_eq!([4, 5].map(|now| buffer.unsent(2, now)), [4, 69]);
        assert_eq!([buffer.unsent(1, 10), buffer.unsent(0, 10)], [70, 10]);
        assert_eq!(buffer.unsent(2, 80), 80);
    }

    #[test]
    fn stores_to_one_word_merge() {
        let cycles = issue(&mut StoreBuffer::new(PARAMS, 60), 1000, 1);
        assert!(cycles <= 1001, "{cycles}");
    }

    #[test]
    fn a_few_stores_cost_their_issue_alone() {
        assert_eq!(issue(&mut StoreBuffer::new(PARAMS, 60), 8, 0), 8);
    }

    #[test]
    fn a_store_commits_behind_what_precedes_it() {
        let mut buffer = StoreBuffer::new(PARAMS, 10);
        // Behind a load that is there at 20: the commit stage takes one store a cycle, at its first port.
        assert_eq!(buffer.store(Behind::default(), 5, 20), 21);
        assert_eq!(buffer.clear_of(1, 6), 23);
        for now in 6..9 {
            buffer.store(Behind::default(), now, 0);
        }
        // The first of four has to commit before another one is made.
        assert_eq!(buffer.room(9), 22);
        assert_eq!(buffer.room(21), 21);
    }

    #[test]
    fn odd_bytes_of_a_word_are_written_one_by_one() {
        let parts = |mut dirty: u8| {
            let mut parts = 0;
            while dirty != 0 {
                dirty &= !part(dirty);
                parts += 1;
            }
            parts
        };
        // toSize64 of wt_cache_pkg: 0x3f is four bytes, then the upper two at once.
        assert_eq!([0xff, 0x0f, 0x01, 0x7f, 0x3f, 0x3c].map(parts), [1, 1, 1, 7, 5, 3]);
        let mut buffer = StoreBuffer::new(PARAMS, 60);
        buffer.store(Behind::default(), 0, 0);
        buffer.store(Behind { stores: 1, bytes: [0x01, 0x02] }, 1, 0);
        // Sent at 5 alone, when the second byte has just come: that goes when the first one is answered.
        assert_eq!(buffer.drained(10), 5 + 64 + 64 - 1 - COMMIT);
    }

    #[test]
    fn a_line_is_not_read_while_all_writers_are_busy() {
        let mut buffer = StoreBuffer::new(PARAMS, 60);
        for now in 0..3 {
            buffer.store(Behind::default(), now, 0);
        }
        assert_eq!(buffer.readable(20), 20);
        buffer.store(Behind::default(), 3, 0);
        // The first is in the buffer at 4, goes out at 5, and is answered 61 cycles later.
        assert_eq!(buffer.readable(20), 66);
        assert_eq!(buffer.readable(67), 67);
    }

    #[test]
    fn a_load_waits_for_its_word_and_for_none_other() {
        let mut buffer = StoreBuffer::new(PARAMS, 10);
        buffer.store(Behind::default(), 5, 0);
        buffer.store(Behind::default(), 6, 0);
        assert_eq!(buffer.clear_of(2, 6), 9);
        assert_eq!(buffer.clear_of(1, 6), 10);
        assert_eq!(buffer.clear_of(0, 6), 6);
        assert_eq!(buffer.clear_of(3, 6), 6);
        // It executes when the first one has left the queue.
        assert_eq!([7, 8].map(|now| buffer.clear_of(2, now)), [9, 8]);
        assert!(buffer.drained(6) >= 5 + 14);
    }

    #[test]
    fn a_load_behind_a_store_of_its_bytes_comes_again() {
        let served = |behind: u16, after: u64| {
            let mut undrained = Undrained::default();
            undrained.store(10);
            undrained.load(behind, 10 + after, 5) - 10 - after
        };
        assert_eq!(served(1, 1), 5);
        assert_eq!(served(1, 2), 5);
        // The cycle between was free to put it away.
        assert_eq!(served(1, 3), 0);
        assert_eq!(served(0, 1), 0);
        assert_eq!(served(2, 1), 0);
    }

    #[test]
    fn loads_keep_a_store_from_being_put_away() {
        let mut undrained = Undrained::default();
        undrained.store(10);
        undrained.store(11);
        for now in 12..20 {
            assert_eq!(undrained.load(0, now, 5), now);
            assert_eq!(undrained.pending(now), 2);
        }
        assert_eq!(undrained.load(2, 20, 5), 25);
        assert_eq!(undrained.pending(21), 0);
    }

    #[test]
    fn an_access_touches_its_bytes() {
        assert_eq!(bytes_of(0x1004, 4), 0xf0);
        assert_eq!(bytes_of(0x1003, 1), 0x08);
        assert_eq!(bytes_of(0x1000, 8), 0xff);
    }
}
