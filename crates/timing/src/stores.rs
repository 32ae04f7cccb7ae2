//! The way of stores to memory in a core with a write-through data cache: a queue behind commit, then a
//! buffer of words that merges what is stored to the same word and writes it out, so many at a time.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How the way is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreParams {
    /// Stores that are issued and have not reached the write buffer.
    pub queue: usize,
    /// Cycles from issue until a store is in the write buffer, where it finds room.
    pub latency: u64,
    /// Words of 8 bytes in the write buffer.
    pub words: usize,
    /// Writes under way at the same time.
    pub outstanding: usize,
    /// Cycles of a write beyond the memory's latency.
    pub overhead: u64,
}

#[derive(Clone, Copy, Debug)]
struct Word {
    word: u64,
    begins: u64,
    done: u64,
}

/// Stores on their way, with the cycles at which they get on.
#[derive(Clone, Debug)]
pub(crate) struct StoreBuffer {
    params: StoreParams,
    round_trip: u64,
    /// The word of each store in the queue, and when it leaves.
    queue: VecDeque<(u64, u64)>,
    words: Vec<Word>,
    /// When each of the writers is free again.
    writers: Vec<u64>,
    last_drain: u64,
    last_begin: u64,
    all_done: u64,
}

impl StoreBuffer {
    /// A buffer on a memory of this latency.
    pub(crate) fn new(params: StoreParams, memory_latency: u64) -> Self {
        Self {
            params,
            round_trip: memory_latency + params.overhead,
            queue: VecDeque::new(),
            words: Vec::new(),
            writers: vec![0; params.outstanding.max(1)],
            last_drain: 0,
            last_begin: 0,
            all_done: 0,
        }
    }

    /// The first cycle, from `now` on, at which a store can issue.
    pub(crate) fn room(&mut self, now: u64) -> u64 {
        self.forget(now);
        if self.queue.len() < self.params.queue {
            return now;
        }
        self.queue.front().map_or(now, |&(_, leaves)| leaves.max(now))
    }

    /// A store to `pa` issues at `now`.
    pub(crate) fn store(&mut self, pa: u64, now: u64) {
        let word = pa >> 3;
        let at = (now + self.params.latency).max(self.last_drain + 1);
        let drain = self.enter(word, at);
        self.last_drain = drain;
        self.queue.push_back((word, drain));
    }

    /// The cycle from which a load of `pa` sees no store in the queue that it could depend on: the queue compares
    /// page offsets of words.
    pub(crate) fn clear_of(&self, pa: u64, now: u64) -> u64 {
        let offset = |word: u64| word & 0x1ff;
        let hits = self.queue.iter().filter(|(word, _)| offset(*word) == offset(pa >> 3));
        hits.map(|&(_, leaves)| leaves).max().map_or(now, |leaves| leaves.max(now))
    }

    /// When a store that issues at `now` commits: it needs a place in the half of the queue behind commit.
    pub(crate) fn commits(&self, now: u64) -> u64 {
        let behind = self.params.queue / 2;
        let before = self.queue.len().checked_sub(behind).and_then(|i| self.queue.get(i));
        before.map_or(now, |&(_, leaves)| leaves.max(now))
    }

    /// The cycle from which nothing is left to be written.
    pub(crate) fn drained(&self, now: u64) -> u64 {
        let queued = self.queue.back().map_or(0, |&(_, leaves)| leaves);
        self.all_done.max(queued).max(now)
    }

    /// Puts a word into the write buffer at `at` or later: says when.
    fn enter(&mut self, word: u64, at: u64) -> u64 {
        if let Some(held) = self.words.iter().position(|held| held.word == word && held.done > at) {
            // Not on its way yet: it goes along. Else it is written once more.
            if self.words[held].begins <= at {
                let ready = self.words[held].done;
                let (begins, done) = self.write(ready);
                self.words[held] = Word { word, begins, done };
            }
            return at;
        }
        let mut at = at;
        self.words.retain(|held| held.done > at);
        if self.words.len() >= self.params.words {
            let first = self.words.iter().map(|held| held.done).min().unwrap_or(at);
            at = at.max(first);
            self.words.retain(|held| held.done > at);
        }
        let (begins, done) = self.write(at + 1);
        self.words.push(Word { word, begins, done });
        at
    }

    /// Hands a word to a writer at `ready` or later.
    fn write(&mut self, ready: u64) -> (u64, u64) {
        let writer = (0..self.writers.len()).min_by_key(|&w| self.writers[w]).unwrap_or(0);
        let begins = ready.max(self.writers[writer]).max(self.last_begin + 1);
        let done = begins + self.round_trip;
        self.writers[writer] = done;
        self.last_begin = begins;
        self.all_done = self.all_done.max(done);
        (begins, done)
    }

    fn forget(&mut self, now: u64) {
        while self.queue.front().is_some_and(|&(_, leaves)| leaves <= now) {
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: StoreParams =
        StoreParams { queue: 8, latency: 4, words: 8, outstanding: 4, overhead: 4 };

    /// The cycle at which the last of `count` stores issues, one a cycle at most.
    fn issue(buffer: &mut StoreBuffer, count: u64, stride: u64) -> u64 {
        let mut now = 0;
        for i in 0..count {
            now = buffer.room(now + 1);
            buffer.store(0x1000 + i * stride, now);
        }
        now
    }

    #[test]
    fn a_long_row_of_stores_runs_at_the_rate_of_the_writers() {
        for latency in [10, 60] {
            let cycles = issue(&mut StoreBuffer::new(PARAMS, latency), 1000, 8);
            let expected = 1000 * (latency + 4) / 4;
            assert!(cycles.abs_diff(expected) < expected / 20, "{cycles} for {expected}");
        }
    }

    #[test]
    fn stores_to_one_word_merge() {
        let cycles = issue(&mut StoreBuffer::new(PARAMS, 60), 1000, 0);
        assert!(cycles <= 1001, "{cycles}");
    }

    #[test]
    fn a_few_stores_cost_their_issue_alone() {
        assert_eq!(issue(&mut StoreBuffer::new(PARAMS, 60), 8, 8), 8);
    }

    #[test]
    fn a_load_waits_for_its_word_and_for_none_other() {
        let mut buffer = StoreBuffer::new(PARAMS, 10);
        buffer.store(0x1000, 5);
        assert_eq!(buffer.clear_of(0x1000, 6), 9);
        // The comparison covers bits 11 to 3.
        assert_eq!(buffer.clear_of(0x7004, 6), 9);
        assert_eq!(buffer.clear_of(0x1008, 6), 6);
        assert!(buffer.drained(6) >= 5 + 14);
    }
}
